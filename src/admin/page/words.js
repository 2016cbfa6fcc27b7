// How numbers, lengths and times are written.
//
// Promise: pure. A length never shows more digits than a person can use at three in the morning.

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const TENTHS = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** 12,345 */
const count = (number) => WHOLE.format(number);

/** 1 stream, 2 streams */
const counted = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

/** Hits a second: 0, <0.1, 4.2, 1,204 */
function rate(number) {
  if (number <= 0) return "0";
  if (number < 0.1) return "<0.1";
  return number < 9.95 ? TENTHS.format(number) : WHOLE.format(number);
}

/** 0 B, 512 B, 4.2 MiB */
function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (number >= 1023.95 && unit < units.length - 1) {
    number /= 1024;
    unit += 1;
  }
  return `${unit === 0 || number >= 99.95 ? WHOLE.format(number) : TENTHS.format(number)} ${units[unit]}`;
}

const pad = (number) => String(number).padStart(2, "0");

/** A length in whole seconds: 42 s, 12 min 05 s, 3 h 12 min, 3 d 4 h */
function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [days, hours, minutes] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60];
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${minutes} min ${pad(whole % 60)} s`;
  if (days === 0) return `${hours} h ${pad(minutes)} min`;
  return `${count(days)} d ${hours} h`;
}

/** A length that may be short: 4 ms, 1.2 s, then as `span` */
function lag(seconds) {
  if (seconds < 0.0005) return "<1 ms";
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  return seconds < 9.95 ? `${TENTHS.format(seconds)} s` : span(seconds);
}

/** What is still to wait: 0:42, 12:05, 1:02:03. The last second shows as 0:01. */
function remaining(seconds) {
  const whole = Math.max(0, Math.ceil(seconds - 0.001));
  const rest = `${pad(Math.floor(whole / 60) % 60)}:${pad(whole % 60)}`;
  return whole < 3600 ? rest.replace(/^0/, "") : `${Math.floor(whole / 3600)}:${rest}`;
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

/** The time of day here, with the date if it is not today. What cannot be read stays as it came. */
function localTime(text) {
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) return String(text);
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? CLOCK.format(date) : `${DAY.format(date)} ${CLOCK.format(date)}`;
}

/** 2026-11-21 03:12:05 UTC */
const utcTime = (text) => `${String(text).replace("T", " ").replace(/(\.\d+)?(Z|\+00:00)$/, "")} UTC`;

/** Names of counts and reasons are words with underscores. */
const spaced = (name) => name.replaceAll("_", " ");

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
