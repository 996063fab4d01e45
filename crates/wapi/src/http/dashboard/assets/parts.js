// The additions of scripts to a part of a page, whether it came with the page or over its stream.

import { showTimes } from './times.js';
import { prepareChat } from './chat.js';

// Browsers give pages the clipboard over HTTPS and on the gateway's own machine only.
function prepareCopies(root) {
  for (const button of root.querySelectorAll('button[data-copy]')) {
    button.hidden = !navigator.clipboard;
  }
}

export function prepare(root) {
  showTimes(root);
  prepareChat(root);
  prepareCopies(root);
}
