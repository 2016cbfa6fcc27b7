// The connection to the daemon: it brings a status about once a second, and is made again by itself.
//
// Promise: old numbers never look fresh. A status counts as new only if the daemon took it at another moment than the one before, and
// without a new one for some seconds the page says so, greys out and stands still.

const FORMAT = 1;
const STALE_AFTER = 5_000;
/** A long status comes less often than each second: so many of its characters ask for one more second of patience. */
const STALE_AFTER_MORE = 100 * 1024;
/** A connection without a word for so long beyond that is given up. */
const DEAD_AFTER = 10_000;
const RETRY_FIRST = 500;
const RETRY_MOST = 4_000;

let daemon;
let source;
/** By the page's own clock, in milliseconds. */
let freshAt = performance.now();
let staleAfter = STALE_AFTER;
let heardAt = performance.now();
let isLost = false;
/** What the daemon says cannot be shown, because it is another version than the page. */
let misfit;
let retryIn = RETRY_FIRST;
let retrying;

function connect() {
  clearTimeout(retrying);
  retrying = undefined;
  source?.close();
  heardAt = performance.now();
  const mine = new EventSource("/events");
  source = mine;
  mine.addEventListener("open", () => (heardAt = performance.now()));
  mine.addEventListener("status", (event) => {
    heardAt = performance.now();
    staleAfter = STALE_AFTER + (1000 * event.data.length) / STALE_AFTER_MORE;
    takeStatus(JSON.parse(event.data));
  });
  mine.addEventListener("log", (event) => {
    heardAt = performance.now();
    if (takeEvent(JSON.parse(event.data))) putEvents();
  });
  // By hand and not by the browser: after an answer other than 200 it would not try again at all.
  mine.addEventListener("error", () => {
    if (mine !== source) return;
    mine.close();
    retryLater();
  });
}

function retryLater() {
  if (retrying !== undefined) return;
  retrying = setTimeout(connect, retryIn);
  retryIn = Math.min(retryIn * 2, RETRY_MOST);
}

function takeStatus(status) {
  if (status.format !== FORMAT) {
    misfit = `This page does not fit the daemon any more, which is now ${status.version}: load the page again.`;
    lost(misfit);
    return;
  }
  misfit = undefined;
  if (daemon && daemon.at === status.at && daemon.started === status.started) return;
  daemon = status;
  retryIn = RETRY_FIRST;
  draw();
  // Not before: what could not be drawn is not on the page.
  freshAt = performance.now();
}

function draw() {
  show($("main"), true);
  putStreams(daemon);
  putHeadline(daemon);
  putTiles(daemon);
  putEventStreams(daemon);
  takeEvents(daemon);
  if (isLost) {
    isLost = false;
    show($("stale"), false);
    document.body.classList.remove("is-stale");
    announce("The connection to the daemon is back.");
  }
}

/** Says so, once, and how old what is shown is, which goes on. */
function lost(why, age = "") {
  if (!isLost) {
    isLost = true;
    document.body.classList.add("is-stale");
    const before = daemon ? `Last known: ${$("verdict-title").textContent.toLowerCase()}.` : "";
    putVerdict("lost", "No connection to the daemon", before, "no connection");
    show($("stale"), true);
  }
  put($("stale-why"), why);
  put($("stale-age"), age);
}

function watch() {
  const now = performance.now();
  const old = now - freshAt;
  // By the clock, because timers of a page in the background come late, and then the numbers on it are old at once.
  if (misfit) lost(misfit);
  else if (old > staleAfter) {
    const age = daemon ? `What you see is old: it was so at ${localTime(daemon.at)}, ${span(old / 1000)} ago.` : "";
    const silent = source.readyState === EventSource.OPEN;
    lost(`${silent ? "The daemon is silent." : "The daemon cannot be reached."} Trying again.`, age);
  } else if (!isLost) tickCountdowns();
  if (now - heardAt > staleAfter + DEAD_AFTER) connect();
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  if (source.readyState !== EventSource.OPEN) connect();
  watch();
});

for (const id of ["filter", "events-filter"]) $(id).addEventListener("submit", (event) => event.preventDefault());
$("filter").addEventListener("input", filterStreams);
$("events-filter").addEventListener("input", putEvents);
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, select, textarea")) return;
  event.preventDefault();
  $("filter-text").focus();
});
// A hindrance leads to its stream, also if that is filtered out.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a.where");
  if (!link || !daemon) return;
  event.preventDefault();
  $("filter").reset();
  filterStreams();
  const row = $(streamId(link.dataset.stream));
  row?.scrollIntoView({ block: "center" });
  row?.focus({ preventScroll: true });
});

show($("page"), true);
connect();
setInterval(watch, 250);
