// The stream of a page: parts that changed replace those of the page.

import { prepare } from './parts.js';

// The one place where text becomes HTML. The gateway has escaped all that came from strangers.
const rules = { createHTML: (html) => html };
const policy = window.trustedTypes ? window.trustedTypes.createPolicy('wapi', rules) : rules;

// A hidden tab gives its stream back after this time.
const HIDDEN_LIMIT = 60_000;
// Between two looks at a gateway that is away.
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 8_000;
// A stream that ends sooner, time and again, is cut by something on the way.
const SHORT_LIFE = 2_000;

const banner = document.getElementById('away');
let address;
let stream;
let position;
let hiding;
let retry;
let pause = 0;
let paused = false;

function elementOf(html) {
  const template = document.createElement('template');
  template.innerHTML = policy.createHTML(html);
  return template.content.firstElementChild;
}

function isAtEnd() {
  return window.innerHeight + window.scrollY >= document.body.scrollHeight - 80;
}

// Fields that people fill in.
function fieldsOf(part) {
  const fields = [...part.querySelectorAll('form')].flatMap((form) => [...form.elements]);
  return fields.filter((it) => it.name && !['hidden', 'submit', 'button', 'file'].includes(it.type));
}

function isSame(one, other) {
  const form = (field) => field.form.getAttribute('action');
  const value = (field) => (['checkbox', 'radio'].includes(field.type) ? field.value : '');
  return one.name === other.name && form(one) === form(other) && value(one) === value(other);
}

// Everything that the reader opened stays open, what was typed stays, and the focus stays where it was.
function replace(present, element) {
  const typed = fieldsOf(present);
  for (const field of fieldsOf(element)) {
    const same = typed.find((it) => isSame(it, field));
    if (same && ['checkbox', 'radio'].includes(field.type)) {
      field.checked = same.checked;
    } else if (same) {
      field.value = same.value;
    }
  }
  const opened = [...present.querySelectorAll('details')].map((it) => it.open);
  element.querySelectorAll('details').forEach((it, index) => {
    it.open = it.open || Boolean(opened[index]);
  });
  const focusable = 'a[href], button, input, select, textarea, summary';
  const at = [...present.querySelectorAll(focusable)].indexOf(document.activeElement);
  present.replaceWith(element);
  if (at >= 0) {
    element.querySelectorAll(focusable)[at]?.focus({ preventScroll: true });
  }
}

// A list of which nothing came again has gone on elsewhere: the page says that there is a hole.
function markHole(fragments) {
  const list = document.getElementById(fragments.find((it) => it.list)?.list);
  if (list?.children.length && !fragments.some((it) => it.list && document.getElementById(it.id))) {
    const link = document.createElement('a');
    link.href = location.pathname + location.search;
    link.textContent = document.body.dataset.skipped;
    const hole = document.createElement('li');
    hole.className = 'warning';
    hole.append(link);
    list.append(hole);
  }
}

function apply(fragments) {
  const follows = isAtEnd();
  let appended = false;
  for (const { id, list, html } of fragments) {
    const present = document.getElementById(id);
    const element = elementOf(html);
    if (!element) {
      continue;
    }
    prepare(element);
    if (present) {
      replace(present, element);
    } else if (list && document.getElementById(list)) {
      const place = document.getElementById(list);
      place.append(element);
      appended = true;
      while (place.dataset.limit && place.children.length > Number(place.dataset.limit)) {
        place.firstElementChild.remove();
      }
    }
  }
  if (appended) {
    for (const empty of document.querySelectorAll('[data-empty]')) {
      empty.remove();
    }
    if (follows) {
      window.scrollTo(0, document.body.scrollHeight);
    }
  }
}

// One banner tells that the gateway is away; `data-live` tells that the page follows it.
function tell(isHere) {
  banner.textContent = isHere ? '' : document.body.dataset.away;
  banner.hidden = isHere;
  if (isHere) {
    document.body.dataset.live = 'yes';
  } else {
    delete document.body.dataset.live;
  }
}

// The stream was cut or refused. Browsers would ask for it again after seconds, and show a page for so long whose login has
// ended; and they give up after a refusal.
async function look() {
  try {
    const answer = await fetch(address, { method: 'HEAD', headers: { accept: 'text/event-stream' } });
    if (answer.ok) {
      open();
      return;
    }
    if (answer.status !== 429 && answer.status < 500) {
      // The login has ended, or the page is of something that is gone: the page itself says so.
      location.reload();
      return;
    }
  } catch {
    // It is away.
  }
  lookAgain();
}

function lookAgain() {
  retry = setTimeout(look, pause);
  pause = Math.min(2 * pause || FIRST_PAUSE, LONGEST_PAUSE);
}

function open() {
  clearTimeout(retry);
  if (stream || paused || document.hidden) {
    return;
  }
  const from = new URL(address, location.href);
  if (position) {
    from.searchParams.set('after', position);
  }
  stream = new EventSource(from);
  const opened = performance.now();
  const keep = (event) => {
    position = event.lastEventId || position;
    tell(true);
  };
  stream.addEventListener('alive', keep);
  stream.addEventListener('whole', (event) => {
    keep(event);
    const fragments = JSON.parse(event.data);
    markHole(fragments);
    apply(fragments);
  });
  stream.addEventListener('fragments', (event) => {
    keep(event);
    apply(JSON.parse(event.data));
  });
  stream.addEventListener('error', () => {
    close();
    tell(false);
    if (performance.now() - opened > SHORT_LIFE) {
      pause = 0;
    }
    lookAgain();
  });
}

function close() {
  clearTimeout(retry);
  if (stream) {
    stream.close();
    stream = undefined;
  }
  delete document.body.dataset.live;
}

function preparePause(button) {
  button.hidden = false;
  const other = button.dataset.on;
  const first = button.textContent;
  button.addEventListener('click', () => {
    paused = !paused;
    button.textContent = paused ? other : first;
    if (paused) {
      close();
    } else {
      open();
    }
  });
}

export function follow(path) {
  address = path;
  open();
  const button = document.getElementById('pause');
  if (button) {
    preparePause(button);
  }
  document.addEventListener('visibilitychange', () => {
    clearTimeout(hiding);
    if (document.hidden) {
      hiding = setTimeout(close, HIDDEN_LIMIT);
    } else {
      open();
    }
  });
}
