// The composer: a button of a message names it as the one to answer.

export function prepareChat(root) {
  // Only the page of the newest messages has a composer.
  const field = document.getElementById('reply-to');
  for (const button of field ? root.querySelectorAll('button[data-reply]') : []) {
    button.hidden = false;
    button.addEventListener('click', () => {
      field.value = button.dataset.reply;
      document.getElementById('text').focus();
    });
  }
}
