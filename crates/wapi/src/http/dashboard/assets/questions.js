// Questions before what cannot be undone: a button that has one is sent once it is answered.

export function askQuestions() {
  const dialog = document.getElementById('question');
  let button;
  document.addEventListener('submit', (event) => {
    const question = event.submitter?.dataset.question;
    if (!dialog || !question || event.target.elements.confirmed) {
      return;
    }
    event.preventDefault();
    button = event.submitter;
    document.getElementById('question-text').textContent = question;
    dialog.returnValue = '';
    dialog.showModal();
  });
  dialog?.addEventListener('close', () => {
    if (dialog.returnValue && button.isConnected) {
      const answer = document.createElement('input');
      answer.type = 'hidden';
      answer.name = dialog.returnValue;
      answer.value = 'yes';
      button.form.append(answer);
      button.form.requestSubmit(button);
      answer.remove();
    }
  });
}
