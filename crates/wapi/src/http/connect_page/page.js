// The page goes on by itself: seconds run down, and the next step takes the place of this one.
const PAUSE = 2000;
const step = () => document.querySelector('main');

function showTimes() {
  for (const time of document.querySelectorAll('time[datetime]')) {
    time.textContent = new Date(time.dateTime).toLocaleString(document.documentElement.lang);
  }
}

async function look() {
  try {
    const answer = await fetch(step().dataset.next, { cache: 'no-store' });
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const next = page.querySelector('main');
    const seconds = next?.querySelector('[data-seconds]');
    const shown = step().querySelector('[data-seconds]');
    if (next && next.dataset.step !== step().dataset.step) {
      step().replaceWith(next);
      showTimes();
    } else if (seconds && shown) {
      shown.dataset.seconds = seconds.dataset.seconds;
    }
    if (next?.dataset.next) {
      step().dataset.next = next.dataset.next;
    }
  } catch {
    // The gateway is away for a moment.
  }
  plan();
}

function plan() {
  if (step().dataset.next) {
    setTimeout(look, PAUSE);
  }
}

setInterval(() => {
  for (const seconds of document.querySelectorAll('[data-seconds]')) {
    seconds.textContent = seconds.dataset.seconds = Math.max(0, seconds.dataset.seconds - 1);
  }
}, 1000);
showTimes();
plan();
