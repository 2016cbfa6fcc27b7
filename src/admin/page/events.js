// What happened lately, newest first.

const EVENTS_KEPT = 300;
const LEVELS = { ERROR: ["bad", "error"], WARN: ["wait", "warning"], INFO: ["good", "info"] };

/** Newest first: `{ key, event }`. A daemon that was started anew counts its events from 1 again. */
let events = [];
let eventsOf;
let eventsDay;

/** Takes the events of a status, which fill what was missed. */
function takeEvents(daemon) {
  const isOther = eventsOf !== daemon.started;
  if (isOther && eventsOf !== undefined) {
    const started = { seq: 0, at: daemon.started, level: "INFO", text: "livestreamd was started anew", fields: {} };
    events.unshift({ key: `${daemon.started} 0`, event: started });
  }
  eventsOf = daemon.started;
  const taken = daemon.events.filter(takeEvent);
  const today = new Date().toDateString();
  if (isOther || taken.length > 0 || today !== eventsDay) putEvents();
  eventsDay = today;
}

/** Takes one event. Those that come before the first status are in it. */
function takeEvent(event) {
  if (eventsOf === undefined) return false;
  const key = `${eventsOf} ${event.seq}`;
  const after = events.findIndex((one) => one.key === key || !one.key.startsWith(`${eventsOf} `) || one.event.seq < event.seq);
  if (after >= 0 && events[after].key === key) return false;
  events.splice(after < 0 ? events.length : after, 0, { key, event });
  events.length = Math.min(events.length, EVENTS_KEPT);
  return true;
}

function putEvents() {
  const [level, stream] = [$("events-level").value, $("events-stream").value];
  const fits = ({ event }) =>
    (!stream || event.stream === stream) && (!level || event.level === "ERROR" || event.level === level);
  const wanted = events.filter(fits);
  each($("events"), wanted, ({ key }) => key, eventItem);
  show($("events-none"), wanted.length === 0);
}

function eventItem({ event }) {
  const [tone, word] = LEVELS[event.level] ?? ["good", String(event.level).toLowerCase()];
  const time = el("time", "figures");
  putTime(time, event.at);
  const level = el("span", "level", shape(tone === "bad" ? "bad" : tone === "wait" ? "end" : "good").node, word);
  const place = event.slot === undefined ? event.stream : `${event.stream ?? ""} ${event.slot}`;
  const what = el("div", "what", el("p", "wrap", place ? el("b", "where", place) : "", event.text));
  const fields = Object.entries(event.fields ?? {});
  if (fields.length > 0) {
    const list = el("dl", "fields");
    const fold = el("details", "fold", el("summary", "", fields.map(([name]) => name).join(", ")), list);
    fold.addEventListener("toggle", () => putTerms(list, fields), { once: true });
    what.append(fold);
  }
  const node = el("li", `event tone-${tone}`, time, level, what);
  node.dataset.seq = event.seq;
  // Yesterday's times get their date.
  return { node, update: () => putTime(time, event.at) };
}

/** The streams that events can be filtered by. */
function putEventStreams(daemon) {
  const select = $("events-stream");
  const names = ["", ...daemon.streams.map(({ name }) => name)];
  if (names.length === select.options.length && names.every((name, nth) => select.options[nth].value === name)) return;
  const chosen = select.value;
  select.replaceChildren(...names.map((name) => new Option(name || "all streams", name)));
  select.value = names.includes(chosen) ? chosen : "";
  if (select.value !== chosen) putEvents();
}
