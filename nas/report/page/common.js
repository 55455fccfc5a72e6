"use strict";
// What both pages share: reading the data, numbers, colors, axes. The page's own script follows in the same element.
const $ = id => document.getElementById(id);
let D, axis, Plot = null;
const SYMBOLS = { fp32: "circle", fp16: "square", int8: "diamond" };
const PHONE = matchMedia("(max-width: 52rem)").matches, TOUCH = matchMedia("(pointer: coarse)").matches;
const BAR = { displaylogo: false, responsive: true, displayModeBar: !PHONE, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
const NO_BAR = { displaylogo: false, responsive: true, displayModeBar: false };  // it would cover the first bar of a small chart

async function unpacked(id) {  // gzip in base64: the page stays small enough for a mailbox
  const packed = Uint8Array.from(atob($(id).textContent), c => c.charCodeAt(0));
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}
async function readData() {
  D = JSON.parse(await unpacked("data"));
  axis = Object.fromEntries(D.axes.map(a => [a.column, a]));
}
async function loadPlotly() {
  const script = element("script");
  script.text = await unpacked("plotly");
  document.head.append(script);
  Plot = window.Plotly;
}
const expected = t => t.expected_accuracy ?? t.accuracy;  // the accuracy that counts; the measured one where no other is known
function interval(t, images) {  // nas.report.ties: the standard deviation on new images
  const d = t.accuracy_deviation, p = expected(t);
  return d == null ? null : Math.sqrt(d * d + (images ? p * (1 - p) / images : 0));
}
function rowsOf(table) {  // objects, one a trial, from the columns
  const made = table.summaries.map(summary => ({ summary }));
  for (const [name, column] of Object.entries(table.columns)) {
    if (Array.isArray(column)) column.forEach((value, i) => { made[i][name] = value; });
    else column.at.forEach((place, i) => { made[i][name] = column.values[place]; });
  }
  const front = new Set(table.front);
  for (const t of made) Object.assign(t, { front: front.has(t.trial), interval: interval(t, table.validation_images) });
  return made;
}

// ---- text and numbers
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) made.setAttribute(name, value);
  made.append(...children.filter(c => c !== null && c !== undefined));
  return made;
}
function three(x) {  // three significant digits, never in scientific notation
  if (x === null || x === undefined || !Number.isFinite(x)) return "-";
  if (x === 0) return "0";
  let places = Math.min(20, Math.max(0, 2 - Math.floor(Math.log10(Math.abs(x)))));
  if (places && Math.abs(+x.toFixed(places)) >= 10 ** (3 - places)) places -= 1;  // 9.999 is 10.0
  const [whole, rest] = x.toFixed(places).split(".");
  return whole.replace(/\B(?=(\d{3})+$)/g, ",") + (rest ? "." + rest : "");
}
function count(x) {
  for (const [scale, unit] of [[1e9, " G"], [1e6, " M"], [1e3, " k"]]) if (x >= scale * 0.9995) return three(x / scale) + unit;
  return Number.isInteger(x) ? String(x) : three(x);
}
function shown(column, x) {
  const a = axis[column];
  if (x === null || x === undefined) return "-";
  if (a.unit === "%") return (100 * x).toFixed(1) + "%";
  return a.unit ? three(x) + " " + a.unit : count(x);
}
const escape = text => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");  // Plotly reads tags
function sure(column, t) {  // with the standard deviation on new images, where that is known
  const a = axis[column], d = a.deviation ? t[a.deviation] : null;
  if (d == null || t[column] == null) return shown(column, t[column]);
  return `${(100 * t[column]).toFixed(1)} ±${100 * d >= 0.05 ? (100 * d).toFixed(1) : "<0.1"}%`;
}
const cost = (t, column) => t.measured && t.measured[column] != null ? t.measured[column] : t[column];
const drawn = (column, x) => axis[column].unit === "%" ? 100 * x : x;
function hover(t) {
  if (t.said) return t.said;
  const lines = D.axes.filter(a => t[a.column] != null).map(a => `${a.label} ${sure(a.column, t)}` +
    (a.basis ? ` (${t[a.low] != null ? `${three(t[a.low])} to ${three(t[a.high])}, ` : ""}${escape(t[a.basis])})` : "") +
    (t.measured && t.measured[a.column] != null ? `, measured ${shown(a.column, t.measured[a.column])}` : ""));
  if (t.expected_accuracy != null && t.trainings > 1) lines.push(`${t.trainings} trainings`);
  if (t.front_probability != null) lines.push(`on the front with a probability of ${(100 * t.front_probability).toFixed(0)}%`);
  t.said = `<b>trial ${t.trial}, ${escape(t.precision)}</b><br>${escape(t.summary)}<br>` + lines.join("<br>");
  return t.said;
}
function addCopyButtons(root) {
  for (const code of root.querySelectorAll(".command:not(.copied)")) {
    const button = element("button", { type: "button", class: "copy", "aria-label": "Copy the command" }, "Copy");
    button.addEventListener("click", async () => {
      try { await navigator.clipboard.writeText(code.textContent); } catch {  // not allowed here: by the selection
        getSelection().selectAllChildren(code);
        document.execCommand("copy");
      }
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    code.classList.add("copied");
    const box = element("div", { class: "command-box" });
    code.replaceWith(box);
    box.append(code, button);
  }
}

// ---- colors follow the page's, light or dark; a print is always light
function color(name) { return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim(); }
const series = i => color("series-" + (i % 6));
const MARGIN = PHONE ? { l: 44, r: 8, t: 6, b: 36 } : { l: 58, r: 16, t: 12, b: 50 };
const barMargin = () => PHONE ? MARGIN : { ...MARGIN, t: 70 };  // the mode bar stands above the legend
function layout(more = {}) {
  return { margin: MARGIN, font: { family: "system-ui, sans-serif", size: 13, color: color("ink") },
    paper_bgcolor: color("paper"), plot_bgcolor: color("paper"), hovermode: "closest",
    hoverlabel: { align: "left", bgcolor: color("fill"), bordercolor: color("edge"), font: { color: color("ink") } }, dragmode: TOUCH ? false : "zoom",
    modebar: { bgcolor: "rgba(0,0,0,0)", color: color("soft"), activecolor: color("link") }, legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, ...(PHONE ? { font: { size: 11 }, itemwidth: 30 } : {}) }, ...more };
}
function grid() { return { gridcolor: color("grid"), zeroline: false, linecolor: color("edge"), ticks: "outside", tickcolor: color("edge"), automargin: true }; }
function still() { return { ...grid(), fixedrange: true }; }  // small charts do not zoom: a finger on them scrolls the page
function redrawWithTheme(redraw) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", redraw);
  addEventListener("beforeprint", () => { document.documentElement.dataset.print = ""; if (dark.matches) redraw(); });
  addEventListener("afterprint", () => { delete document.documentElement.dataset.print; if (dark.matches) redraw(); });
}

// ---- axes and fronts
function expectAll(trials) {  // gives all of them the column `expected`, if it is known of any
  if (trials.some(t => t.expected_accuracy != null)) for (const t of trials) t.expected = expected(t);
}
function options(select, columns, chosen) {
  for (const c of columns) select.append(element("option", { value: c, ...(c === chosen ? { selected: "" } : {}) }, axis[c].label));
}
function scale(column, values) {  // logarithmic where costs span more than a factor of four
  const positive = values.filter(v => v > 0), low = Math.min(...positive), high = Math.max(...positive);
  const log = axis[column].unit !== "%" && positive.length && high > 4 * low;
  const ticks = log ? { tickvals: [...Array(24).keys()].flatMap(k => [1, 2, 5].map(d => d * 10 ** (k - 9))), tickmode: "array" } : {};
  if (log) ticks.ticktext = ticks.tickvals.map(v => count(v).replace(/(\.\d*?)0+(?= |$)/, "$1").replace(/\.(?= |$)/, ""));
  return { ...grid(), type: log ? "log" : "linear", ...ticks,
    title: { text: axis[column].label + (axis[column].unit ? ` (${axis[column].unit})` : "") } };
}
function better(column, a, b) { return axis[column].more ? a > b : a < b; }
function frontOf(trials, x, y) {  // the front of these two columns, cheapest first
  const order = [...trials].sort((a, b) => (better(x, cost(a, x), cost(b, x)) ? -1 : better(x, cost(b, x), cost(a, x)) ? 1 : better(y, cost(a, y), cost(b, y)) ? -1 : 1));
  const front = [];
  for (const t of order) if (!front.length || better(y, cost(t, y), cost(front[front.length - 1], y))) front.push(t);
  return front;
}
const stepOf = column => axis[column].more ? "hv" : "vh";
const places = (list, x, y) => ({ x: Float64Array.from(list, t => drawn(x, cost(t, x))), y: Float64Array.from(list, t => drawn(y, cost(t, y))) });
