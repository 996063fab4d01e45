// Moments in the reader's own time, and seconds that run down.

export function showTimes(root) {
  for (const time of root.querySelectorAll('time[datetime]')) {
    const moment = new Date(time.dateTime);
    if (!Number.isNaN(moment.getTime())) {
      time.title = time.textContent;
      const language = document.documentElement.lang;
      const clock = { hour: '2-digit', minute: '2-digit' };
      const weekday = time.dataset.clock === 'day' ? { weekday: 'short' } : {};
      time.textContent = time.dataset.clock === undefined
        ? moment.toLocaleString(language)
        : moment.toLocaleTimeString(language, { ...weekday, ...clock });
    }
  }
}

setInterval(() => {
  for (const seconds of document.querySelectorAll('[data-seconds]')) {
    const left = Math.max(0, Number(seconds.dataset.seconds) - 1);
    seconds.dataset.seconds = left;
    seconds.textContent = left;
  }
}, 1000);
