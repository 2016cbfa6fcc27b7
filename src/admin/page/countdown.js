// Waits that tick by themselves between two statuses.
//
// Promise: they are counted from what the daemon said, by a clock of this page that nobody sets; and they stand still while the
// connection to the daemon is lost.

const countdowns = new Set();
/** A status that differs by less is jitter on its way here, and would make the numbers hop. */
const JITTER_SECONDS = 0.7;

/** `tick(left)` is called some times a second with the seconds that are left, while there is a wait. */
function countdown(tick) {
  let end = null;
  const one = {
    set(left) {
      const next = performance.now() / 1000 + left;
      if (end === null || Math.abs(next - end) > JITTER_SECONDS) end = next;
      countdowns.add(one);
      one.tick();
    },
    clear() {
      end = null;
      countdowns.delete(one);
    },
    tick: () => tick(Math.max(0, end - performance.now() / 1000)),
  };
  return one;
}

function tickCountdowns() {
  for (const one of countdowns) one.tick();
}
