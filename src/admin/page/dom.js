// Building and changing the document.
//
// Promise: whatever the daemon says goes in as text, never as HTML, and nothing is touched that did not change. So the page stays
// quick with many streams, keeps what the reader has selected, focused or unfolded, and keeps to a policy without inline styles.

const $ = (id) => document.getElementById(id);

/** An element with classes and children; texts become text. */
function el(tag, classes = "", ...children) {
  const node = document.createElement(tag);
  if (classes) node.className = classes;
  node.append(...children);
  return node;
}

function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function show(node, wanted) {
  if (node.hidden === Boolean(wanted)) node.hidden = !wanted;
}

function attribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** Text that goes away, with its element, when there is none. */
function putOrHide(node, text) {
  put(node, text || "");
  show(node, text);
}

/** One of the shapes of index.html. Words beside it say the same. */
function shape(name = "begin") {
  const use = svg("use", { href: `#shape-${name}` });
  const node = svg("svg", { class: "shape", "aria-hidden": "true", focusable: "false" }, use);
  return { node, set: (next) => attribute(use, "href", `#shape-${next}`) };
}

/** A point of time: local, UTC where one points at it. */
function putTime(node, text) {
  attribute(node, "datetime", text);
  attribute(node, "title", utcTime(text));
  put(node, localTime(text));
}

/** Sets how full a bar is, 0 to 1. */
function fill(bar, part) {
  const scale = `scaleX(${Math.min(1, Math.max(0, part)).toFixed(4)})`;
  if (bar.style.transform !== scale) bar.style.transform = scale;
}

/**
 * Makes the children of `parent` those of `items`, in their order. `make` gives `{ node, update }` for a key that is new; what is there
 * already is updated and, if need be, moved.
 */
function each(parent, items, keyOf, make) {
  const parts = (parent.parts ??= new Map());
  const keys = new Set(items.map(keyOf));
  for (const [key, part] of parts) {
    if (!keys.has(key)) {
      part.node.remove();
      part.gone?.();
      parts.delete(key);
    }
  }
  const focused = document.activeElement;
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let part = parts.get(key);
    if (!part) parts.set(key, (part = make(item)));
    part.update(item);
    if (part.node === place) place = place.nextElementSibling;
    else parent.insertBefore(part.node, place);
  }
  // A move takes the focus away.
  if (focused !== document.activeElement && parent.contains(focused)) focused.focus({ preventScroll: true });
}

/** Terms and what is said of them, as `[term, text]`; those without a text are left out. */
function putTerms(list, terms) {
  const said = terms.filter(([, text]) => text);
  each(list, said, ([term]) => term, ([term]) => {
    const dd = el("dd", "figures");
    return { node: el("div", "", el("dt", "", term), dd), update: ([, text]) => put(dd, text) };
  });
}

/** Says something to who listens to the page instead of looking at it: changes of state, nothing else. */
const announce = (text) => put($("announcer"), text);
