// The streams: a row for each, those in trouble first.

/** What connections do, in words: shape, tone, words. */
const CONNECTION_STATES = {
  streaming: ["good", "Streaming"],
  waiting: ["wait", "Waiting"],
  authorizing: ["begin", "Fetching a token"],
  connecting: ["begin", "Connecting"],
  stopped: ["end", "Stopped"],
};
const DELIVERY_STATES = { set_back: "Kafka refuses records", stalled: "Kafka is silent" };
const JOURNAL_STATES = { full: "Journal full, reading paused", disk_full: "Disk full, reading paused", disk_failing: "Disk fails, reading paused" };

/** From the worst to the best: what comes first also comes first on the page. */
const TONES = ["bad", "end", "wait", "begin", "good"];
const worst = (tones) => TONES.find((tone) => tones.includes(tone)) ?? "good";

const streamId = (name) => `stream-${name}`;

function connectionState(connection) {
  const [tone, words] = CONNECTION_STATES[connection.state] ?? ["begin", capital(spaced(connection.state))];
  return connection.failing && connection.state !== "streaming" ? ["bad", connection.state === "waiting" ? "No connection" : words] : [tone, words];
}

/** A stream's state: its tone, the words for its connections, and what else is the matter. */
function streamState(stream, hindered) {
  const { connections, delivery, journal } = stream;
  const states = connections.map(connectionState);
  const open = connections.filter(({ state }) => state === "streaming").length;
  const words = states.length === 1 ? states[0][1] : `${open} of ${states.length} streaming`;
  const also = [];
  if (delivery.state !== "well") also.push(DELIVERY_STATES[delivery.state] ?? `Kafka: ${spaced(delivery.state)}`);
  if (journal.state !== "good") also.push(JOURNAL_STATES[journal.state] ?? `Journal: ${spaced(journal.state)}`);
  if (journal.read_trouble) also.push("Journal cannot be read back");
  if (hindered.includes("kafka") && also.length === 0) also.push("Kafka does not keep up");
  const tones = states.map(([tone]) => tone);
  if (hindered.length > 0) tones.push("bad");
  if (also.length > 0) tones.push("wait");
  return { tone: worst(tones), words, also: also.join("; "), failing: states.some(([tone]) => tone === "bad"), single: states.length === 1 };
}

/** The last connection of a stream that ended. */
function lastDisconnect({ connections }) {
  const ends = connections.map((connection) => connection.last_disconnect).filter(Boolean);
  return ends.reduce((last, one) => (last && last.ago_seconds <= one.ago_seconds ? last : one), undefined);
}

/** A term with two lines, the second one quieter. */
function fact(term, classes) {
  const first = el("span", "first figures");
  const second = el("span", "second figures");
  const node = el("div", `fact ${classes}`, el("dt", "", term), el("dd", "", first, second));
  return {
    node,
    set(one, two = "", title = "") {
      put(first, one);
      putOrHide(second, two);
      attribute(second, "title", title);
      node.classList.toggle("nothing", one === "none");
    },
  };
}

function streamRow({ stream: { name } }) {
  const mark = shape();
  const suite = el("span", "second wrap");
  const facts = {
    state: fact("State", "of-state"),
    backlog: fact("Backlog", "of-backlog"),
    lag: fact("Lag", "of-lag"),
    end: fact("Last disconnect", "of-end"),
    aside: fact("Set aside", "of-aside"),
  };
  const also = el("span", "also");
  facts.state.node.lastElementChild.append(also);
  const rateNow = el("span", "rate figures");
  const spark = sparkline(`Hits a second of ${name}, last 15 minutes`);
  const rates = el("div", "fact of-rate", el("dt", "", "Hits a second"), el("dd", "", rateNow, spark.node));
  const list = el("dl", "facts", facts.state.node, rates, facts.backlog.node, facts.lag.node, facts.end.node, facts.aside.node);
  const notes = el("ul", "notes");
  const panel = el("dl", "panel");
  panel.id = `${streamId(name)}-panel`;
  panel.hidden = true;
  const unfold = el("button", "unfold");
  unfold.type = "button";
  unfold.append(shape("fold").node, el("span", "unseen", `Details of ${name}`));
  unfold.setAttribute("aria-expanded", "false");
  unfold.setAttribute("aria-controls", panel.id);
  const title = el("h3", "", name);
  const node = el("li", "stream", el("div", "who", mark.node, el("div", "", title, suite)), list, unfold, notes, panel);
  node.id = streamId(name);
  node.tabIndex = -1;
  node.dataset.stream = name;

  let last;
  unfold.addEventListener("click", () => {
    show(panel, panel.hidden);
    unfold.setAttribute("aria-expanded", String(!panel.hidden));
    putTerms(panel, streamTerms(last));
  });

  return {
    node,
    gone: () => notes.parts?.forEach((note) => note.gone?.()),
    update({ stream, state }) {
      last = stream;
      mark.set(state.tone);
      for (const tone of TONES) node.classList.toggle(`tone-${tone}`, tone === state.tone);
      node.dataset.state = state.tone;
      put(suite, stream.report_suite);
      const [only] = stream.connections;
      facts.state.set(state.words, state.single ? `for ${span(only.since_seconds)}` : "", state.single ? `since ${utcTime(only.since)}` : "");
      facts.state.node.classList.toggle("failing", state.failing);
      putOrHide(also, state.also);
      put(rateNow, rate(stream.rates.now));
      spark.update(stream.rates);
      putBacklog(facts.backlog, stream.journal);
      putLag(facts.lag, stream);
      const end = lastDisconnect(stream);
      if (end) facts.end.set(`${span(end.ago_seconds)} ago`, end.reason.title || end.reason.text, `${utcTime(end.at)}: ${end.reason.text}`);
      else facts.end.set("none", "since the start");
      putAside(facts.aside, stream.counts);
      each(notes, streamNotes(stream, state), (note) => note.key, (note) => note.make());
      show(notes, notes.childElementCount > 0);
      if (!panel.hidden) putTerms(panel, streamTerms(stream));
    },
  };
}

function putBacklog(one, { backlog_bytes: size, backlog_records: records, oldest_seconds: oldest }) {
  if (size === 0) return one.set("none");
  const rest = [records !== undefined && `${records ? "about " : ""}${counted(records, "record")}`, oldest > 0 && `oldest ${span(oldest)}`];
  one.set(bytes(size), rest.filter(Boolean).join(", "));
}

function putLag(one, stream) {
  const { upstream_lag_seconds: read, delivery_latency_seconds: delivered } = stream;
  const first = read === undefined ? "unknown" : `${lag(read)} old when read`;
  const nothing = stream.counts.delivered ? "" : "nothing delivered yet";
  one.set(first, delivered === undefined ? nothing : `${lag(delivered)} more to Kafka`);
  one.node.classList.toggle("nothing", read === undefined);
}

const sum = (counts) => Object.values(counts ?? {}).reduce((total, one) => total + one, 0);

function putAside(one, { dead_letters: dead, duplicates, quarantined }) {
  const letters = sum(dead);
  const more = [duplicates && counted(duplicates, "duplicate"), quarantined && `${count(quarantined)} in quarantine`].filter(Boolean);
  const parts = [letters && counted(letters, "dead letter"), ...more].filter(Boolean);
  one.set(parts[0] ?? "none", parts.slice(1).join(", "));
}

/** A further output, in a line. */
function outputTerm({ topic, delivery, delivered, backlog_bytes: backlog, filtered, incomplete, dead_letters: dead, quarantined }) {
  const held = sum(filtered) + incomplete;
  const parts = [`to ${topic}`, delivery.state !== "well" && spaced(delivery.state), `${count(delivered)} delivered`, held && `${count(held)} held back or incomplete`, sum(dead) && counted(sum(dead), "dead letter"), quarantined && `${count(quarantined)} in quarantine`, backlog && `${bytes(backlog)} to deliver`];
  return parts.filter(Boolean).join(", ");
}

/** All that is known of a stream, for who unfolds it. */
function streamTerms(stream) {
  const { counts, journal, delivery } = stream;
  const each = (names) => Object.entries(names ?? {}).filter(([, number]) => number).map(([name, number]) => `${spaced(name)} ${count(number)}`).join(", ");
  const some = (number, text) => number && text;
  const tries = stream.connections.map(({ slot, last_byte_seconds: byte, failures, tries: unreached }) => {
    const parts = [byte === undefined ? "no byte yet" : `last byte ${lag(byte)} ago`, failures && `${counted(failures, "failed attempt")} in a row`, unreached && `${counted(unreached, "attempt")} in a row reached nobody`];
    return `${stream.connections.length > 1 ? `${slot}: ` : ""}${parts.filter(Boolean).join(", ")}`;
  });
  return [
    ["Topic", stream.topic],
    ["Dead letters go to", stream.dead_letter_topic],
    ["Upstream", tries.join("; ")],
    ["Attempts to connect", each(stream.connects)],
    ["Disconnects", each(stream.disconnects)],
    ["Redirects refused", some(counts.redirects_refused, count(counts.redirects_refused))],
    ["Gaps that are over", some(counts.gaps_possible + counts.gaps_probable, `${count(counts.gaps_possible)} possible losses, ${count(counts.gaps_probable)} probable (${span(counts.probable_gap_seconds)})`)],
    ["Hits", `${count(counts.hits)} in ${counted(counts.batches, "batch", "batches")}, ${bytes(counts.bytes)}`],
    ["Hits without an id", some(counts.hits_without_ids, count(counts.hits_without_ids))],
    ["Duplicates", `${count(counts.duplicates)}${counts.twins ? `, and ${count(counts.twins)} with the ids of another hit` : ""}`],
    ["Held back by filters", sum(counts.filtered) && each(counts.filtered)],
    ["Incomplete", some(counts.incomplete, count(counts.incomplete))],
    ["Dead letters", sum(counts.dead_letters) ? each(counts.dead_letters) : "none"],
    ["Records cut off", some(counts.cut_records, count(counts.cut_records))],
    ["In quarantine", some(counts.quarantined, count(counts.quarantined))],
    ["Delivered", `${count(counts.delivered)}${delivery.last_seconds === undefined ? "" : `, last ${lag(delivery.last_seconds)} ago`}`],
    ["Produced again", some(counts.rewinds, `${count(counts.reproduced)} after ${counted(counts.rewinds, "rewind")}`)],
    ["Journal", `${bytes(journal.held_bytes)} on disk; ${bytes(journal.backlog_bytes)} to deliver, of at most ${bytes(journal.max_bytes)}`],
    ["Waiting to be durable", some(journal.sync_lag_seconds >= 0.0005, lag(journal.sync_lag_seconds))],
    ["Faults on disk", each(journal.faults)],
    ...(stream.outputs ?? []).slice(1).map((output) => [`Output ${output.name}`, outputTerm(output)]),
  ];
}

/** `{ stream, state }` of each, in the order of the page. */
let rows = [];

function putStreams(daemon) {
  const hindered = (name) => daemon.hindrances.filter(({ stream }) => stream === name).map(({ kind }) => kind);
  rows = daemon.streams.map((stream) => ({ stream, state: streamState(stream, daemon.stopping ? [] : hindered(stream.name)) }));
  const rank = ({ state }) => TONES.indexOf(state.tone);
  rows.sort((a, b) => rank(a) - rank(b) || (a.stream.name < b.stream.name ? -1 : 1));
  each($("streams"), rows, ({ stream }) => stream.name, streamRow);
  filterStreams();
  announceChanges();
}

let spokenStates;

/** Tells who listens what has changed since the last status: of a few streams each, of many only how many. */
function announceChanges() {
  const states = new Map(rows.map(({ stream, state }) => [stream.name, [state.words, state.also].filter(Boolean).join(", ")]));
  const changed = spokenStates ? [...states].filter(([name, words]) => spokenStates.get(name) !== words) : [];
  spokenStates = states;
  if (changed.length > 3) announce(`${count(changed.length)} streams changed their state`);
  else if (changed.length > 0) announce(changed.map(([name, words]) => `${name}: ${words}`).join(". "));
}

function filterStreams() {
  const wanted = $("filter-text").value.trim().toLowerCase().split(/\s+/);
  const inTroubleOnly = $("filter-trouble").checked;
  let shown = 0;
  for (const { stream, state } of rows) {
    const said = [stream.name, stream.report_suite, stream.topic, state.words, state.also].join(" ").toLowerCase();
    const fits = wanted.every((word) => said.includes(word)) && (!inTroubleOnly || state.tone === "bad");
    show($("streams").parts.get(stream.name).node, fits);
    shown += fits ? 1 : 0;
  }
  put($("streams-count"), shown === rows.length ? count(shown) : `${count(shown)} of ${count(rows.length)}`);
  const none = rows.length === 0 ? "No streams are configured." : inTroubleOnly && wanted[0] === "" ? "No stream is in trouble." : "No stream fits the filter.";
  putOrHide($("streams-none"), shown === 0 && none);
}
