// The scripts of a page: its parts, copy buttons, and its stream.

import { follow } from './live.js';
import { prepare } from './parts.js';

prepare(document);

document.addEventListener('click', async (event) => {
  const button = event.target.closest('button[data-copy]');
  if (button) {
    const text = button.dataset.copy;
    // The gateway does not know by which address it is reached.
    const isPath = button.dataset.path !== undefined;
    await navigator.clipboard.writeText(isPath ? new URL(text, location.href).href : text);
    button.textContent = `✓ ${button.textContent.replace(/^✓ /, '')}`;
  }
});

if (document.body.dataset.stream) {
  follow(document.body.dataset.stream);
}
