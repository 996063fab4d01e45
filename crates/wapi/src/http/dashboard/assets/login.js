// The link of a terminal: browsers keep its secret, which follows the #, to themselves, until it is sent here.

export function openLink() {
  const form = document.getElementById('link-form');
  const link = new URLSearchParams(location.hash.slice(1)).get('link');
  if (form && link) {
    // Neither the history of the browser nor the button "back" holds it.
    history.replaceState(null, '', location.pathname + location.search);
    form.elements.link.value = link;
    form.requestSubmit();
  }
}
