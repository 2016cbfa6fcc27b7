// A curve of hits a second over the last quarter of an hour.
//
// Its base is 0, its right edge is now. Pointing at it, or focusing it and using the arrow keys, shows one value.

const SPARK = { width: 180, height: 36, steps: 90 };

/** `label` is for who cannot see it. */
function sparkline(label) {
  const area = svg("path", { class: "area" });
  const line = svg("path", { class: "line" });
  const cursor = svg("path", { class: "cursor" });
  const drawing = svg("svg", { viewBox: `0 0 ${SPARK.width} ${SPARK.height}`, preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" }, area, line, cursor);
  const bubble = el("span", "bubble figures");
  const node = el("div", "spark", drawing, bubble);
  const roles = { role: "slider", tabindex: "0", "aria-label": label, "aria-readonly": "true", "aria-valuemin": "0" };
  for (const [name, value] of Object.entries(roles)) node.setAttribute(name, value);
  bubble.hidden = true;

  let points = [];
  let step = 10;
  // How many steps ago the cursor is; null while it is not shown.
  let back = null;

  const x = (index) => SPARK.width * (1 - (points.length - 1 - index) / SPARK.steps);
  const y = (value, most) => SPARK.height - 1.5 - (SPARK.height - 4) * (value / most);
  const tenth = (number) => Math.round(number * 10) / 10;

  function draw() {
    const most = Math.max(...points) || 1;
    let path = "";
    points.forEach((value, index) => (path += `${index ? "L" : "M"}${tenth(x(index))} ${tenth(y(value, most))}`));
    line.setAttribute("d", path);
    area.setAttribute("d", `${path}V${SPARK.height}H${tenth(x(0))}Z`);
  }

  const valueText = (steps) => {
    const ago = steps === 0 ? "now" : `${span(steps * step)} ago`;
    return `${rate(points[points.length - 1 - steps] ?? 0)} a second, ${ago}`;
  };

  function point() {
    const last = points.length - 1;
    const steps = Math.min(Math.max(back ?? 0, 0), Math.max(last, 0));
    attribute(node, "aria-valuemax", String(Math.max(last, 0)));
    attribute(node, "aria-valuenow", String(last - steps));
    attribute(node, "aria-valuetext", valueText(steps));
    const shown = back !== null && points.length > 0;
    show(bubble, shown);
    cursor.setAttribute("d", shown ? `M${tenth(x(last - steps))} 0V${SPARK.height}` : "");
    if (!shown) return;
    put(bubble, valueText(steps));
    bubble.style.setProperty("--at", `${((100 * x(last - steps)) / SPARK.width).toFixed(1)}%`);
  }

  const pointAt = (event) => {
    const box = drawing.getBoundingClientRect();
    back = Math.round((1 - (event.clientX - box.left) / box.width) * SPARK.steps);
    point();
  };
  const leave = () => {
    back = null;
    point();
  };
  node.addEventListener("pointermove", pointAt);
  node.addEventListener("pointerdown", pointAt);
  node.addEventListener("pointerleave", leave);
  node.addEventListener("blur", leave);
  node.addEventListener("focus", () => {
    back ??= 0;
    point();
  });
  node.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: 1, ArrowDown: 1, ArrowRight: -1, ArrowUp: -1, PageDown: 6, PageUp: -6, Home: 1000, End: -1000 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    back = Math.min(Math.max((back ?? 0) + by, 0), Math.max(points.length - 1, 0));
    point();
  });

  return {
    node,
    /** `rates` as the daemon has them. */
    update(rates) {
      const next = [...rates.history.slice(-SPARK.steps), rates.now];
      if (next.length === points.length && next.every((value, index) => value === points[index])) return;
      points = next;
      step = rates.step_seconds || step;
      draw();
      point();
    },
  };
}

/** All streams together: their last values lie side by side. */
function summedRates(streams) {
  const sum = { now: 0, step_seconds: 10, history: [] };
  const length = Math.max(0, ...streams.map((stream) => stream.rates.history.length));
  sum.history = new Array(length).fill(0);
  for (const { rates } of streams) {
    sum.now += rates.now;
    sum.step_seconds = rates.step_seconds || sum.step_seconds;
    const offset = length - rates.history.length;
    rates.history.forEach((value, index) => (sum.history[offset + index] += value));
  }
  return sum;
}
