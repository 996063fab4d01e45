// The scripts of a page: its parts, copy buttons, questions, and its stream.

import { follow } from './live.js';
import { openLink } from './login.js';
import { prepare } from './parts.js';
import { askQuestions } from './questions.js';

// The page of a form that failed has the address of that form, where there is no page to load again.
if (document.body.dataset.page) {
  history.replaceState(null, '', document.body.dataset.page);
}
prepare(document);
askQuestions();
openLink();
// The link of another start, opened in a tab that shows the login already.
window.addEventListener('hashchange', openLink);

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
