// Below a stream's row: what it waits for and why, and what else is not as it should be, in words and with advice.

/** What there is to say. A connection that streams, and is the only one, needs no words. */
function streamNotes(stream, { single, tone }) {
  const notes = [];
  for (const connection of stream.connections) {
    if (single && connection.state === "streaming") continue;
    if (single && !connection.reason && !connection.gap) continue;
    notes.push({ key: `connection ${connection.slot}`, make: connectionNote, connection, single });
  }
  if (stream.delivery.state !== "well") notes.push({ key: "delivery", make: deliveryNote, tone, delivery: stream.delivery });
  const { trouble, read_trouble: unread } = stream.journal;
  if (trouble || unread) notes.push({ key: "journal", make: journalNote, tone, text: [trouble, unread && `what is on disk cannot be read back: ${unread}`].filter(Boolean).join("; ") });
  return notes;
}

function connectionNote() {
  const mark = shape();
  const state = el("span", "strong");
  const since = el("span", "quiet figures");
  const clock = el("span", "clock figures");
  clock.setAttribute("role", "timer");
  const bar = el("i");
  const until = el("time");
  const left = el("div", "left", clock, el("div", "bar", bar));
  left.lastElementChild.setAttribute("aria-hidden", "true");
  const title = el("span", "strong");
  const text = el("span", "wrap");
  const why = el("p", "why", title, " ", text);
  const when = el("p", "quiet figures", "May connect at ", until);
  const gap = el("p", "gap figures");
  const means = el("dl", "means");
  const fold = el("details", "fold", el("summary", "", "What it means, and what to do"), means);
  const node = el("li", "note", mark.node, el("div", "head", state, since), left, el("div", "words", why, when, gap, fold));

  let whole = 0;
  const wait = countdown((seconds) => {
    put(clock, remaining(seconds));
    fill(bar, whole > 0 ? seconds / whole : 0);
  });

  return {
    node,
    gone: wait.clear,
    update({ connection, single }) {
      const { reason, remaining_seconds: seconds } = connection;
      const [tone, words] = connectionState(connection);
      mark.set(tone);
      for (const one of TONES) node.classList.toggle(`tone-${one}`, one === tone);
      node.classList.toggle("single", single);
      putOrHide(state, single ? "" : `${connection.slot}: ${words}`);
      putOrHide(since, single ? "" : `for ${span(connection.since_seconds)}`);

      const waits = connection.state === "waiting" && seconds !== undefined;
      show(left, waits);
      show(when, waits && connection.until);
      if (waits) {
        whole = connection.since_seconds + seconds;
        wait.set(seconds);
        if (connection.until) putTime(until, connection.until);
      } else wait.clear();

      show(why, reason);
      show(fold, reason);
      if (reason) {
        put(title, `${capital(reason.title || reason.name)}.`);
        putOrHide(text, reason.text === reason.title ? "" : capital(reason.text));
        putTerms(means, [["What it means", reason.means], ["What livestreamd does", reason.daemon], ["What you can do", reason.operator], ["More", reason.name && `livestreamd explain ${reason.name}`]]);
      }
      putOrHide(gap, connection.state !== "streaming" && connection.gap && gapWords(connection.gap));
      node.classList.toggle("probable", Boolean(connection.gap?.probable));
    },
  };
}

const gapWords = ({ seconds, from, probable }) =>
  `Without connection since ${localTime(from)}, ${span(seconds)}: ${probable ? "hits are probably lost" : "a small loss is possible"}.`;

function plainNote() {
  const mark = shape();
  const title = el("span", "strong");
  const text = el("span", "wrap");
  const advice = el("p", "advice wrap");
  const again = el("p", "quiet figures");
  const node = el("li", "note single", mark.node, el("div", "words", el("p", "why", title, " ", text), advice, again));
  const setTone = (tone) => {
    mark.set(tone === "bad" ? "bad" : "wait");
    node.classList.toggle("tone-bad", tone === "bad");
    node.classList.toggle("tone-wait", tone !== "bad");
  };
  return { node, title, text, advice, again, setTone };
}

function deliveryNote() {
  const { node, title, text, advice, again, setTone } = plainNote();
  const wait = countdown((seconds) => put(again, `Produces again in ${remaining(seconds)}`));
  return {
    node,
    gone: wait.clear,
    update({ delivery, tone }) {
      setTone(tone);
      const lasting = delivery.since_seconds === undefined ? "" : ` for ${span(delivery.since_seconds)}`;
      put(title, `${DELIVERY_STATES[delivery.state] ?? "Kafka is in trouble"}${lasting}.`);
      putOrHide(text, delivery.reason);
      putOrHide(advice, delivery.advice && `What to do: ${delivery.advice}`);
      show(again, delivery.retry_seconds !== undefined);
      if (delivery.retry_seconds === undefined) wait.clear();
      else wait.set(delivery.retry_seconds);
    },
  };
}

function journalNote() {
  const { node, title, text, advice, again, setTone } = plainNote();
  put(title, "The journal:");
  show(advice, false);
  show(again, false);
  const update = (note) => {
    setTone(note.tone);
    put(text, note.text);
  };
  return { node, update };
}
