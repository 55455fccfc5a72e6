"use strict";
(async () => {
const D = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);
const COLOURS = { fp32: "#0072B2", fp16: "#007A5A", int8: "#C24E00" }, SYMBOLS = { fp32: "circle", fp16: "square", int8: "diamond" };
const RUNS = ["#0072B2", "#C24E00", "#007A5A", "#A8578A", "#7A6000", "#1b1f24"], DASHES = ["solid", "dash", "dot", "dashdot"];
const CONFIG = { displaylogo: false, responsive: true, ...(matchMedia("(max-width: 52rem)").matches ? { displayModeBar: false } : {}), modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
const LAYOUT = { margin: { l: 58, r: 16, t: 12, b: 50 }, font: { family: "system-ui, sans-serif", size: 13, color: "#1b1f24" },
  paper_bgcolor: "#fff", plot_bgcolor: "#fff", hovermode: "closest", hoverlabel: { align: "left" }, dragmode: "zoom",
  legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 } };
const GRID = { gridcolor: "#e4e8ec", zeroline: false, linecolor: "#8b949e", ticks: "outside", automargin: true };
const axis = Object.fromEntries(D.axes.map(a => [a.column, a]));

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) made.setAttribute(name, value);
  made.append(...children.filter(c => c !== null && c !== undefined));
  return made;
}
function three(x) {  // three significant digits, never in scientific notation
  if (x === null || x === undefined || !Number.isFinite(x)) return "-";
  if (x === 0) return "0";
  const places = Math.min(20, Math.max(0, 2 - Math.floor(Math.log10(Math.abs(x)))));
  return x.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places });
}
const count = x => x >= 1e9 ? three(x / 1e9) + " G" : x >= 1e6 ? three(x / 1e6) + " M" : x >= 1e3 ? three(x / 1e3) + " k" : Number.isInteger(x) ? String(x) : three(x);
function shown(column, x) {
  const a = axis[column];
  if (x === null || x === undefined) return "-";
  if (a.unit === "%") return (100 * x).toFixed(1) + "%";
  return a.unit ? three(x) + " " + a.unit : count(x);
}
const cost = (t, column) => t.measured && t.measured[column] != null ? t.measured[column] : t[column];
const escape = text => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");  // Plotly reads tags

async function plotly() {  // it travels compressed: the page stays small enough for a mailbox
  const packed = Uint8Array.from(atob($("plotly").textContent), c => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = element("script");
  script.text = await new Response(stream).text();
  document.head.append(script);
  return window.Plotly;
}

function options(select, columns, chosen) {
  for (const c of columns) select.append(element("option", { value: c, ...(c === chosen ? { selected: "" } : {}) }, axis[c].label));
}
function scale(column, values) {  // log where costs span more than a factor of four
  const positive = values.filter(v => v > 0);
  const log = axis[column].unit !== "%" && positive.length && Math.max(...positive) > 4 * Math.min(...positive);
  const ticks = log ? { tickvals: [...Array(24).keys()].flatMap(k => [1, 2, 5].map(d => d * 10 ** (k - 9))), tickformat: "~g", tickmode: "array" } : {};
  if (log) ticks.ticktext = ticks.tickvals.map(v => count(v).replace(/(\.\d*?)0+(?= |$)/, "$1").replace(/\.(?= |$)/, ""));
  return { ...GRID, type: log ? "log" : "linear", ...ticks,
    title: { text: axis[column].label + (axis[column].unit ? ` (${axis[column].unit})` : "") } };
}
const drawn = (column, x) => axis[column].unit === "%" ? 100 * x : x;
function better(column, a, b) { return axis[column].more ? a > b : a < b; }
function beyond(trials, x, y) {  // the front of two columns alone, cheapest first
  const order = [...trials].sort((a, b) => (better(x, cost(a, x), cost(b, x)) ? -1 : better(x, cost(b, x), cost(a, x)) ? 1 : better(y, cost(a, y), cost(b, y)) ? -1 : 1));
  const front = [];
  for (const t of order) if (!front.length || better(y, cost(t, y), cost(front[front.length - 1], y))) front.push(t);
  return front;
}
function hover(t) {
  const lines = D.axes.filter(a => t[a.column] != null).map(a => `${a.label} ${shown(a.column, t[a.column])}` +
    (a.basis ? ` (${t[a.low] != null ? `${three(t[a.low])} to ${three(t[a.high])}, ` : ""}${escape(t[a.basis])})` : "") +
    (t.measured && t.measured[a.column] != null ? `, measured ${shown(a.column, t.measured[a.column])}` : ""));
  return `<b>trial ${t.trial}, ${escape(t.precision)}</b><br>${escape(t.summary)}<br>` + lines.join("<br>");
}

if (D.kind === "compare") { compare(); return; }

const trained = D.trials.filter(t => t.state === "trained"), front = D.front.map(n => trained.find(t => t.trial === n));
const has = D.axes.map(a => a.column).filter(c => trained.some(t => t[c] != null && (t[c] > 0 || c.includes("accuracy"))));
const limited = has.filter(c => !axis[c].more);
const limit = Object.fromEntries(limited.map(c => [c, D.budgets[c] ?? null]));
let picked = null, chosen = null, Plot = null;

// ---- the pick, by the rules of `nas pick`
function within(list) { return list.filter(t => limited.every(c => limit[c] === null || (cost(t, c) != null && cost(t, c) <= limit[c]))); }
function mostAccurate(list) {
  return list.reduce((a, b) => !a || b.accuracy > a.accuracy || (b.accuracy === a.accuracy && cost(b, "latency_ms") < cost(a, "latency_ms")) ? b : a, null);
}
function kneeOf(list) {
  const columns = D.objectives.map(c => list.map(t => c === "accuracy" ? 1 - t[c] : cost(t, c)));
  const sums = list.map((_, i) => columns.reduce((sum, col) => {
    const low = Math.min(...col), high = Math.max(...col);
    return sum + (high > low ? (col[i] - low) / (high - low) : 0);
  }, 0));
  return list.length ? list[sums.indexOf(Math.min(...sums))] : null;
}
function find() {
  const mode = document.querySelector("input[name=mode]:checked").value;
  if (mode === "knee") return kneeOf(within(front));
  if (mode === "best") return mostAccurate(within(trained));
  const enough = within(trained).filter(t => t.accuracy >= least());
  return enough.reduce((a, b) => !a || cost(b, "latency_ms") < cost(a, "latency_ms") ||
    (cost(b, "latency_ms") === cost(a, "latency_ms") && b.accuracy > a.accuracy) ? b : a, null);
}
function buys(column) {  // what more of one budget would buy, the others as they are
  if (!picked) return "";
  const others = trained.filter(t => t.accuracy > picked.accuracy && limited.every(c => c === column || limit[c] === null || cost(t, c) <= limit[c]));
  const next = others.filter(t => cost(t, column) > (limit[column] ?? Infinity)).reduce((a, b) => !a || cost(b, column) < cost(a, column) ? b : a, null);
  if (!next) return limit[column] === null ? "" : "more buys nothing here";
  return `${shown(column, cost(next, column) - limit[column])} more buys ${(100 * (next.accuracy - picked.accuracy)).toFixed(1)} points (trial ${next.trial})`;
}
function fits(t, column) {
  const at = limit[column], a = axis[column];
  if (at === null) return null;
  if (cost(t, column) == null) return ["violates", "it has no figure"];
  if (t.measured && t.measured[column] != null) return t.measured[column] <= at ? ["feasible", "measured"] : ["violates", "measured"];
  if (t[column] > at) return ["violates", a.low && t[a.low] != null && t[a.low] <= at ? "though its interval reaches below" : ""];
  if (a.high && t[a.high] != null && t[a.high] > at) return ["likely", "its interval reaches beyond"];
  if (a.high && t[a.high] == null) return ["likely", "the error is not known"];
  return ["feasible", ""];
}
const spread = Object.fromEntries(has.map(c => { const v = trained.map(t => cost(t, c)).filter(x => x != null); return [c, [Math.min(...v), Math.max(...v)]]; }));
function least() { const [a, b] = spread.accuracy || [0, 1]; return Math.min(b, a + (b - a) * $("accuracy").value / 1000); }
function ofSlider(column, position) {  // even steps of the logarithm; the right end is no budget
  const [a, b] = spread[column];
  return position >= 1000 ? null : a > 0 ? a * (b / a) ** (position / 1000) : a + (b - a) * position / 1000;
}
function toSlider(column, value) {
  const [a, b] = spread[column];
  if (value === null || !(b > a)) return 1000;
  return Math.max(0, Math.min(999, Math.round(1000 * (a > 0 ? Math.log(value / a) / Math.log(b / a) : (value - a) / (b - a)))));
}
function sliders() {
  for (const c of limited) {
    const output = element("output", { for: "budget-" + c }), text = element("div", { class: "buys", id: "buys-" + c });
    const input = element("input", { type: "range", id: "budget-" + c, min: 0, max: 1000, value: toSlider(c, limit[c]) });
    input.addEventListener("input", () => { limit[c] = ofSlider(c, +input.value); chosen = null; update(); });
    $("budgets").append(element("div", { class: "budget" }, element("label", {}, axis[c].label + " at most ", output, input), text));
  }
  for (const c of limited) if (!["latency_ms", "energy_mj"].includes(c) && limit[c] === null) $("budget-" + c).closest(".budget").dataset.more = "";
  const more = [...document.querySelectorAll("[data-more]")];
  if (more.length) $("budgets").append(element("details", {}, element("summary", {}, "More budgets"), ...more));
  $("reset").addEventListener("click", () => { for (const c of limited) { limit[c] = null; $("budget-" + c).value = 1000; } chosen = null; update(); });
  for (const radio of document.querySelectorAll("input[name=mode]")) radio.addEventListener("change", () => { chosen = null; update(); });
  $("accuracy").addEventListener("input", () => { document.querySelector("input[value=cheap]").checked = true; chosen = null; update(); });
}
function choose(trial) { chosen = trained.find(t => t.trial === trial) || null; update(); }
function update() {
  picked = chosen || find();
  for (const c of limited) {
    document.querySelector(`output[for="budget-${c}"]`).textContent = limit[c] === null ? "no limit" : shown(c, limit[c]);
    $("budget-" + c).setAttribute("aria-valuetext", limit[c] === null ? "no limit" : shown(c, limit[c]));
    $("buys-" + c).textContent = chosen || !document.querySelector("input[value=best]").checked ? "" : buys(c);
  }
  $("least").querySelector("output").textContent = has.includes("accuracy") ? shown("accuracy", least()) : "-";
  card(); detail();
  for (const row of document.querySelectorAll("#front-table tbody tr")) row.classList.toggle("picked", picked !== null && +row.dataset.trial === picked.trial);
  if (Plot) draw();
}

// ---- what is said of the pick
function card() {
  const box = $("pick");
  box.replaceChildren();
  box.dataset.trial = picked ? picked.trial : "";
  if (!picked) {
    const near = within(trained).length ? mostAccurate(within(trained)) : trained.reduce((a, b) => !a || over(b) < over(a) ? b : a, null);
    box.append(element("h3", {}, trained.length ? "No network qualifies" : "No network is trained yet"),
      near ? element("p", {}, `The nearest is trial ${near.trial}: ${shown("accuracy", near.accuracy)}, ` + limited.filter(c => limit[c] !== null || c === "latency_ms").map(c => shown(c, cost(near, c))).join(", ") + ".") : null);
    return;
  }
  const t = picked, figures = element("div", { class: "figures" });
  const columns = [...has.filter(c => axis[c].more && (c === "accuracy" || t[c] != null)), ...limited];
  for (const c of columns) {
    const a = axis[c], between = a.low && t[a.low] != null ? `${three(t[a.low])} to ${three(t[a.high])}` : "";
    figures.append(element("div", { "data-figure": c }, element("b", {}, shown(c, t[c])), element("small", {}, a.label, between ? element("br") : null, between)));
  }
  box.append(element("h3", {}, chosen && !t.front ? `Trial ${t.trial} (not on the front)` : `Trial ${t.trial}`), figures);
  for (const c of limited) {
    const said = fits(t, c);
    if (said) box.append(element("div", {}, element("b", { class: said[0] }, said[0]), ` under ${shown(c, limit[c])}` + (said[1] ? `: ${said[1]}` : "")));
  }
  for (const c of limited) if (t.measured && t.measured[c] != null) box.append(element("div", {}, `measured: ${shown(c, t.measured[c])}, predicted ${shown(c, t[c])}`));
  const from = { measured: "the sum of blocks that were measured on the device", fitted: "from rates fitted to networks measured on the device", extrapolated: "extrapolated: the device profile has measured nothing like parts of this network" };
  const bases = D.axes.filter(a => a.basis && t[a.column] != null && from[t[a.basis]]).map(a => `${a.label}: ${from[t[a.basis]]}.`);
  box.append(element("p", { class: "soft" }, bases.join(" ")));
  if (t.command) box.append(element("code", { class: "command" }, t.command));
  else box.append(element("p", { class: "soft" }, "Its weights were not kept: only the front's are."));
  const link = element("a", { href: "#network" }, "Its stages, layers and training");
  box.append(link);
}
const over = t => Math.max(...limited.map(c => limit[c] === null ? 0 : cost(t, c) / limit[c]));

function bar(value, most, kind) { return !(most > 0) ? null : element("span", { class: "bar " + kind, style: `width:${Math.max(1, 100 * value / most).toFixed(1)}%` }); }
function detail() {
  const box = $("detail");
  box.replaceChildren();
  if (!picked) return;
  const t = picked;
  box.append(element("p", {}, `Trial ${t.trial}, ${t.precision}: ${t.summary}`));
  if (t.blocks) box.append(stages(t), layers(t)); else if (D.unpriced) box.append(element("p", { class: "note" }, D.unpriced));
  const choices = element("dl");
  for (const [name, value] of Object.entries(t.choices).filter(([name]) => D.hyperparameters.includes(name)))
    choices.append(element("dt", {}, name), element("dd", {}, typeof value === "number" ? (Math.abs(value) < 1e-3 && value ? value.toExponential(2) : String(+value.toPrecision(3))) : String(value)));
  const all = element("dl");
  for (const [name, value] of Object.entries(t.choices)) all.append(element("dt", {}, name), element("dd", {}, String(value)));
  const curve = element("div", { id: "curve", class: "chart low", role: "img", "aria-label": "Training curve" });
  box.append(element("div", { class: "columns even" },
    element("div", {}, element("h3", {}, "Hyperparameters"), choices, element("details", {}, element("summary", {}, "Every choice"), all)),
    element("figure", {}, element("h3", {}, "Training"), t.curve.length > 1 ? curve : null,
      element("figcaption", {}, t.curve.length ? `Validation accuracy in fp32 after each of ${t.curve.length} epochs; ${three(t.seconds)} s.` : "No curve was kept."))));
  if (Plot) drawCurve();
}
function stages(t) {
  const rows = [];
  for (const [stage, id] of t.blocks) {
    const last = rows[rows.length - 1];
    if (last && last.stage === stage) last.blocks.push(D.blocks[id]); else rows.push({ stage, blocks: [D.blocks[id]] });
  }
  const sum = (blocks, at) => blocks.reduce((s, b) => s + b.parts.reduce((x, p) => x + (p[at] ?? 0), 0), 0);
  const energy = t.energy_mj != null && rows.some(r => sum(r.blocks, 2) > 0), ms = Math.max(...rows.map(r => sum(r.blocks, 1))), mj = Math.max(...rows.map(r => sum(r.blocks, 2)));
  const head = element("tr", {}, element("th", {}, "input"), element("th", {}, "stage: its blocks, as wide as their channels"), element("th", {}, "time (ms)"), energy ? element("th", {}, "energy (mJ)") : null);
  const body = element("tbody");
  const most = Math.max(...rows.flatMap(r => r.blocks.map(b => b.out)));
  for (const row of rows) {
    const boxes = element("div", { class: "blocks" });
    for (const b of row.blocks) {
      const text = b.kernel ? `k${b.kernel}${b.expand ? " e" + b.expand : ""}${b.se ? " SE" : ""}${b.stride > 1 ? " /" + b.stride : ""}` : b.kind;
      boxes.append(element("div", { class: "block k" + (b.kernel || 0), title: b.label, style: `min-width:${Math.round(2.6 * 16 + 90 * Math.sqrt(b.out / most))}px` }, text, element("br"), `${b.out} ch`));
    }
    body.append(element("tr", {}, element("td", { class: "n" }, row.blocks[0].size), element("td", {}, boxes),
      element("td", { style: "min-width:5rem" }, three(sum(row.blocks, 1)), bar(sum(row.blocks, 1), ms, "")),
      energy ? element("td", { style: "min-width:5rem" }, three(sum(row.blocks, 2)), bar(sum(row.blocks, 2), mj, "mj")) : null));
  }
  const rest = t.latency_ms - sum(rows.flatMap(r => r.blocks), 1), restMj = energy ? t.energy_mj - sum(rows.flatMap(r => r.blocks), 2) : 0;
  if (Math.abs(rest) > 1e-6 * t.latency_ms) body.append(element("tr", {}, element("td", {}), element("td", { class: "soft" }, "of no one block: paid once per inference, or what blocks save together"),
    element("td", {}, three(rest)), energy ? element("td", {}, three(restMj)) : null));
  return element("div", {}, element("h3", {}, "Stages, and where time" + (energy ? " and energy go" : " goes")), element("div", { class: "scroll" }, element("table", { class: "stages" }, element("thead", {}, head), body)),
    element("p", { class: "soft" }, "k: kernel; e: expansion; SE: squeeze-excite; /2: stride; ch: channels out. Blue: 3x3 and 1x1, yellow: 5x5, red: 7x7."));
}
function layers(t) {
  const every = t.blocks.flatMap(([, id]) => D.blocks[id].parts), energy = every.some(p => p[2] > 0);
  const total = every.reduce((s, p) => s + p[1], 0), most = Math.max(...every.map(p => p[1])), body = element("tbody");
  every.forEach((p, i) => body.append(element("tr", {}, element("td", { class: "n" }, String(i + 1)), element("td", {}, p[0]), element("td", { class: "n" }, three(p[1])),
    element("td", { class: "n" }, (100 * p[1] / total).toFixed(1) + "%"), energy ? element("td", { class: "n" }, three(p[2])) : null, element("td", { style: "width:25%" }, bar(p[1], most, "")))));
  const head = element("tr", {}, ...["", D.measured_blocks ? "block, as measured" : "layer"].map(x => element("th", {}, x)), ...["ms", "share", ...(energy ? ["mJ"] : [])].map(x => element("th", { class: "n" }, x)), element("th"));
  return element("details", {}, element("summary", {}, `Every ${D.measured_blocks ? "block" : "layer"} (${every.length})`), element("div", { class: "scroll" }, element("table", { id: "layers" }, element("thead", {}, head), body)));
}

// ---- charts
function ends(t, a) {  // of the bar; none where it was measured
  return t[a.low] == null || (t.measured && t.measured[a.column] != null) ? [0, 0] : [t[a.column] - t[a.low], t[a.high] - t[a.column]];
}
function draw() {
  const x = $("x").value, y = $("y").value, traces = [], lines = [], notes = [];
  if (!trained.length) return;
  const whole = trained.filter(t => t[x] != null && t[y] != null);
  const points = (list, extra) => ({ type: "scatter", mode: "markers", x: list.map(t => drawn(x, cost(t, x))), y: list.map(t => drawn(y, cost(t, y))), text: list.map(hover), customdata: list.map(t => t.trial), hovertemplate: "%{text}<extra></extra>", ...extra });
  const on = beyond(whole, x, y);
  traces.push({ type: "scatter", mode: "lines", x: on.map(t => drawn(x, cost(t, x))), y: on.map(t => drawn(y, cost(t, y))), line: { shape: axis[y].more ? "hv" : "vh", color: "#6b7480", width: 1.5 }, hoverinfo: "skip", showlegend: false });
  for (const p of Object.keys(COLOURS)) {
    const mine = whole.filter(t => t.precision === p), best = mine.filter(t => t.front);
    if (!mine.length) continue;
    traces.push(points(mine.filter(t => !t.front), { name: p, legendgroup: p, showlegend: !best.length, marker: { color: COLOURS[p], symbol: SYMBOLS[p], opacity: 0.3, size: 7 } }));
    const bars = {};
    for (const [way, a] of [["error_x", axis[x]], ["error_y", axis[y]]]) if (a.low) bars[way] = { type: "data", symmetric: false, thickness: 1, width: 2, color: COLOURS[p] + "88",
      array: best.map(t => ends(t, a)[1]), arrayminus: best.map(t => ends(t, a)[0]) };
    traces.push(points(best, { name: p, legendgroup: p, showlegend: best.length > 0, marker: { color: COLOURS[p], symbol: SYMBOLS[p], size: 10, line: { color: "#fff", width: 1 } }, ...bars }));
  }
  const remeasured = whole.filter(t => t.measured && t.measured[x] != null);
  if (remeasured.length) traces.push(points(remeasured, { name: "measured", marker: { symbol: "x-thin", size: 9, line: { color: "#1b1f24", width: 2 } } }));
  if (picked && picked[x] != null && picked[y] != null) traces.push({ type: "scatter", mode: "markers", x: [drawn(x, cost(picked, x))], y: [drawn(y, cost(picked, y))], name: "pick", hoverinfo: "skip", marker: { symbol: "circle-open", size: 20, color: "#1b1f24", line: { width: 2.5 } } });
  const xaxis = scale(x, whole.map(t => cost(t, x))), yaxis = scale(y, whole.map(t => cost(t, y))), log = xaxis.type === "log", place = v => log ? Math.log10(v) : v;
  for (const [c, way] of [[x, "x"], [y, "y"]]) if (limit[c] != null) {
    const at = drawn(c, limit[c]), label = (way === "x" ? xaxis : yaxis).type === "log" ? Math.log10(at) : at;  // shapes take the value, notes its logarithm
    lines.push({ type: "line", xref: way === "x" ? "x" : "paper", yref: way === "x" ? "paper" : "y", ...(way === "x" ? { x0: at, x1: at, y0: 0, y1: 1 } : { x0: 0, x1: 1, y0: at, y1: at }), line: { color: "#B00020", dash: "dash", width: 1.5 } });
    notes.push({ text: "budget " + shown(c, limit[c]), showarrow: false, font: { color: "#B00020", size: 12 }, textangle: way === "x" ? -90 : 0, xshift: way === "x" ? -2 : 0, ...(way === "x" ? { x: label, xanchor: "right", y: 1, yref: "paper", yanchor: "top" } : { x: 0, xref: "paper", xanchor: "left", y: label, yanchor: "bottom" }) });
  }
  const most = Math.max(...whole.map(t => t[x])), small = Math.min(...whole.map(t => t[x]));
  let last = -Infinity;
  for (const r of D.references.filter(r => r[x] != null && r[x] >= small / 1.3 && r[x] <= 1.6 * most).sort((a, b) => a[x] - b[x])) {
    lines.push({ type: "line", x0: r[x], x1: r[x], yref: "paper", y0: 0, y1: 1, line: { color: "#8b949e", dash: "dot", width: 1 } });
    const width = log ? Math.log10(1.6 * most / small) : 1.6 * most - small;
    if ((place(r[x]) - last) / width > 0.035) { last = place(r[x]);
      notes.push({ text: escape(r.name), x: place(r[x]), y: 0.01, yref: "paper", yanchor: "bottom", xanchor: "left", textangle: -90, showarrow: false, font: { size: 10.5, color: "#545d68" }, bgcolor: "rgba(255,255,255,.75)" }); }
  }
  Plot.react("front", traces, { ...LAYOUT, xaxis, yaxis, shapes: lines, annotations: notes, uirevision: x + y }, CONFIG);
}
function drawCurve() {
  if (!$("curve")) return;
  Plot.newPlot("curve", [{ type: "scatter", mode: "lines+markers", x: picked.curve.map((_, i) => i + 1), y: picked.curve.map(v => v === null ? null : 100 * v), line: { color: COLOURS[picked.precision] }, hovertemplate: "epoch %{x}: %{y:.1f}%<extra></extra>" }],
    { ...LAYOUT, xaxis: { ...GRID, title: { text: "epoch" }, dtick: picked.curve.length < 12 ? 1 : undefined }, yaxis: { ...GRID, title: { text: "validation accuracy (%)" } } }, CONFIG);
}
function drawVolume() {
  const seconds = $("over").value === "seconds";
  Plot.react("volume", [{ type: "scatter", mode: "lines", line: { shape: "hv", color: "#0072B2" }, x: D.volume.map(v => seconds ? v[1] / 60 : v[0] + 1), y: D.volume.map(v => v[2]), hovertemplate: "%{y:.3f} after %{x:.3~g}<extra></extra>" }],
    { ...LAYOUT, xaxis: { ...GRID, title: { text: seconds ? "training time, summed (min)" : "trials" } }, yaxis: { ...GRID, title: { text: "hypervolume" } } }, CONFIG);
}
function drawImportance() {
  if (!$("importance")) return;
  const best = D.importance.slice(0, 10).reverse();
  Plot.newPlot("importance", [{ type: "bar", orientation: "h", y: best.map(v => escape(v[0])), x: best.map(v => v[1]), error_x: { type: "data", array: best.map(v => v[2]), thickness: 1 }, marker: { color: "#4a90c2" }, hovertemplate: "%{y}: %{x:.2f}<extra></extra>" }],
    { ...LAYOUT, xaxis: { ...GRID, title: { text: "R² lost when it is shuffled" } }, yaxis: { ...GRID, ticks: "" } }, CONFIG);
}

options($("x"), has.filter(c => !axis[c].more), "latency_ms");
options($("y"), has, "accuracy");
sliders();
for (const button of document.querySelectorAll("[data-pick]")) button.addEventListener("click", () => { choose(+button.dataset.pick); $("pick").focus(); $("pick").scrollIntoView({ block: "nearest" }); });
update();
Plot = await plotly();
draw(); drawCurve(); drawVolume(); drawImportance();
if (trained.length) $("front").on("plotly_click", e => { const at = e.points[0]; if (at && at.customdata !== undefined) choose(at.customdata); });
for (const id of ["x", "y"]) $(id).addEventListener("change", draw);
$("over").addEventListener("change", drawVolume);
document.documentElement.dataset.ready = "";

async function compare() {
  const has = D.axes.map(a => a.column).filter(c => D.runs.some(r => r.trials.length) && D.runs.every(r => !r.trials.length || r.trials.some(t => t[c] != null)));
  options($("x"), has.filter(c => !axis[c].more), "latency_ms");
  options($("y"), has, "accuracy");
  const Plot = await plotly();
  if (!has.length) { document.documentElement.dataset.ready = ""; return; }
  function draw() {
    const x = $("x").value, y = $("y").value, traces = [];
    D.runs.forEach((run, i) => {
      const list = run.trials.filter(t => t.state === "trained" && t[x] != null && t[y] != null), on = beyond(list, x, y), kept = new Set(on);
      const common = { type: "scatter", legendgroup: String(i), name: escape(run.name), hovertemplate: "%{text}<extra></extra>" };
      const places = l => ({ x: l.map(t => drawn(x, t[x])), y: l.map(t => drawn(y, t[y])), text: l.map(t => `<b>${escape(run.name)}</b><br>` + hover(t)) });
      const rest = list.filter(t => !kept.has(t));
      traces.push({ ...common, ...places(rest), mode: "markers", showlegend: false, marker: { color: RUNS[i % RUNS.length], opacity: 0.25, size: 6 } });
      traces.push({ ...common, ...places(on), mode: "lines+markers", line: { shape: axis[y].more ? "hv" : "vh", color: RUNS[i % RUNS.length], dash: DASHES[i % DASHES.length], width: 2 }, marker: { color: RUNS[i % RUNS.length], size: 9, symbol: i % 5 } });
    });
    const every = D.runs.flatMap(r => r.trials);
    Plot.react("fronts-chart", traces, { ...LAYOUT, legend: { ...LAYOUT.legend, orientation: "v", y: 1.02 }, xaxis: scale(x, every.map(t => t[x]).filter(v => v != null)), yaxis: scale(y, every.map(t => t[y]).filter(v => v != null)), uirevision: x + y }, CONFIG);
  }
  draw();
  for (const id of ["x", "y"]) $(id).addEventListener("change", draw);
  Plot.newPlot("volumes", D.runs.map((run, i) => ({ type: "scatter", mode: "lines", name: escape(run.name), line: { shape: "hv", color: RUNS[i % RUNS.length], dash: DASHES[i % DASHES.length] }, x: run.volume.map(v => v[0] + 1), y: run.volume.map(v => v[2]), hovertemplate: "%{y:.3f} after %{x}<extra></extra>" })),
    { ...LAYOUT, legend: { ...LAYOUT.legend, orientation: "v" }, xaxis: { ...GRID, title: { text: "trials" } }, yaxis: { ...GRID, title: { text: "hypervolume" } } }, CONFIG);
  document.documentElement.dataset.ready = "";
}
})();
