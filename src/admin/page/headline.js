// Does it work? The first thing that one sees: the verdict, what stands in the way, and the daemon in four tiles.

const HINDRANCES_SHOWN = 6;
/** As SVG, and as a sign for the window's title. */
const ICONS = {
  good: ["●", "#2e9e63", "<circle cx='8' cy='8' r='6.5'/>"],
  bad: ["▲", "#d3383f", "<path d='M8 1 15.5 15H.5Z'/>"],
  end: ["■", "#7a828c", "<rect x='2' y='2' width='12' height='12' rx='2'/>"],
  lost: ["✕", "#7a828c", "<path d='m3 3 10 10m0-10L3 13' stroke='#7a828c' stroke-width='3.4' stroke-linecap='round'/>"],
};

/** What is shown at the very top, in the title and as the icon. `kind` is one of ICONS. */
function putVerdict(kind, title, words, inTitle) {
  const [sign, colour, drawing] = ICONS[kind];
  attribute($("verdict"), "data-kind", kind);
  attribute($("verdict-shape"), "href", `#shape-${kind}`);
  put($("verdict-title"), title);
  put($("verdict-words"), words);
  const text = `${sign} ${inTitle} · livestreamd`;
  if (document.title !== text) document.title = text;
  const icon = `<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16' fill='${colour}'>${drawing}</svg>`;
  attribute($("icon"), "href", `data:image/svg+xml,${encodeURIComponent(icon)}`);
}

function putHeadline(daemon) {
  const { hindrances } = daemon;
  if (daemon.stopping) {
    putVerdict("end", "Stopping", "It was told to stop, closes its connections and delivers what it has read.", "stopping");
  } else if (daemon.ready) {
    putVerdict("good", "Ready", streamsInWords(daemon), "ready");
  } else {
    const many = counted(hindrances.length, "hindrance");
    putVerdict("bad", `Not ready: ${many}`, streamsInWords(daemon), many);
  }
  show($("hindrances-section"), hindrances.length > 0 && !daemon.stopping);
  const rest = hindrances.slice(HINDRANCES_SHOWN);
  each($("hindrances"), hindrances.slice(0, HINDRANCES_SHOWN), hindranceKey, hindranceItem);
  each($("more-hindrances"), rest, hindranceKey, hindranceItem);
  show($("more-hindrances-fold"), rest.length > 0);
  put($("more-hindrances-count"), `${count(rest.length)} more`);

  put($("version"), daemon.version);
  put($("uptime"), `up ${span(daemon.uptime_seconds)}`);
  attribute($("uptime"), "title", `since ${utcTime(daemon.started)}`);
  put($("as-of"), `as of ${localTime(daemon.at)}`);
  attribute($("as-of"), "title", utcTime(daemon.at));
}

/** All 4 streams are streaming. / 2 of 4 streams are streaming, 1 more with some of its connections. */
function streamsInWords({ streams }) {
  const open = (stream) => stream.connections.filter(({ state }) => state === "streaming").length;
  const all = streams.filter((stream) => open(stream) === stream.connections.length).length;
  const some = streams.filter(open).length - all;
  if (streams.length === 0) return "No streams are configured.";
  if (streams.length === 1) return all ? "The stream is streaming." : some ? "Some of the stream’s connections are streaming." : "The stream is not streaming.";
  if (all === streams.length) return `All ${count(all)} streams are streaming.`;
  const more = some ? `, ${count(some)} more with some of ${some === 1 ? "its" : "their"} connections` : "";
  return `${all ? count(all) : "None"} of ${count(streams.length)} streams ${all > 1 ? "are" : "is"} streaming${more}.`;
}

// Two of a kind may befall one stream; then the numbers in their texts tell them apart no better than their order.
const hindranceKey = ({ kind, stream, slot }) => JSON.stringify([kind, stream, slot]);

function hindranceItem() {
  const link = el("a", "where");
  const text = el("span", "wrap");
  const advice = el("p", "advice wrap");
  const node = el("li", "tone-bad", shape("bad").node, el("div", "", el("p", "", link, text), advice));
  return {
    node,
    update(hindrance) {
      const { stream, slot } = hindrance;
      show(link, stream !== undefined);
      if (stream !== undefined) {
        put(link, slot === undefined ? stream : `${stream}, connection ${slot}`);
        attribute(link, "href", `#${streamId(stream)}`);
        attribute(link, "data-stream", stream);
      }
      put(text, capital(hindrance.text));
      putOrHide(advice, hindrance.advice && `What to do: ${hindrance.advice}`);
    },
  };
}

const allSpark = sparkline("Hits a second of all streams, last 15 minutes");
$("all-spark").append(allSpark.node);

function putTiles(daemon) {
  const { kafka, journals, quarantine, streams } = daemon;
  const rates = summedRates(streams);
  put($("all-rate"), rate(rates.now));
  allSpark.update(rates);

  // Before its first statistics, librdkafka tells of no broker at all.
  const isDown = kafka.brokers_up === 0 && kafka.brokers_known > 0;
  put($("kafka-brokers"), kafka.brokers_up ? `${counted(kafka.brokers_up, "broker")} connected` : isDown ? "No broker connected" : "No broker known yet");
  $("kafka-brokers").classList.toggle("tone-bad", isDown && kafka.producers > 0);
  const trip = kafka.round_trip_seconds === undefined ? "" : `, round trip ${lag(kafka.round_trip_seconds)}`;
  put($("kafka-words"), `${counted(kafka.queue_records, "record")} in its queue, ${bytes(kafka.queue_bytes)}${trip}`);
  put($("kafka-address"), `${kafka.brokers.replace(/,\s*/g, ", ")}${kafka.brokers_known ? `; ${count(kafka.brokers_known)} known` : ""}`);

  const backlog = streams.reduce((sum, stream) => sum + stream.journal.backlog_bytes, 0);
  put($("journals-backlog"), backlog ? `${bytes(backlog)} to deliver` : "All delivered");
  put($("journals-words"), `${bytes(journals.held_bytes)} on disk of ${bytes(journals.max_bytes)}`);
  fill($("journals-bar"), journals.max_bytes ? journals.held_bytes / journals.max_bytes : 0);
  const lost = quarantine.not_kept ? `, ${count(quarantine.not_kept)} could not be kept` : "";
  putOrHide($("quarantine"), (quarantine.files || lost) && `quarantine: ${counted(quarantine.files, "file")}, ${bytes(quarantine.bytes)}${lost}`);

  putReload(daemon.last_reload);
  each($("credentials"), daemon.credentials, (credential) => credential.name, () => {
    const node = el("li");
    return { node, update: (credential) => put(node, credentialWords(credential)) };
  });
}

function putReload(reload) {
  const verdict = $("reload-verdict");
  verdict.classList.toggle("tone-bad", Boolean(reload) && !reload.ok);
  put(verdict, !reload ? "Not reloaded" : reload.ok ? "Reloaded" : "Reload refused");
  put($("reload-words"), reload ? `${localTime(reload.at)}: ${reload.summary}` : "in use as it was at the start");
  attribute($("reload-words"), "title", reload ? utcTime(reload.at) : "");
  const faults = reload?.faults ?? [];
  const later = (reload?.needs_restart ?? []).map((key) => `${key}: used after a restart`);
  each($("reload-list"), [...faults, ...later], (line) => line, (line) => ({ node: el("li", faults.includes(line) ? "fault" : "", line), update() {} }));
}

function credentialWords({ name, token_age_seconds: age, token_expires_seconds: expires, failures }) {
  const token = age === undefined ? "no token" : expires === undefined ? `token of ${span(age)} ago` : `token good for ${span(expires)}`;
  return `credential ${name}: ${token}${failures ? `, ${counted(failures, "failed fetch", "failed fetches")}` : ""}`;
}
