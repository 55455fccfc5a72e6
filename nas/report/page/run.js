// The page of one run: the chart and its sliders, the pick by the rules of `nas pick`, and what is said of it.
let trials, trained, front, has, limited, limit, spread, picked = null, unnamed = [], frame = 0, budgetMode = "best";

// ---- the pick
const mode = () => document.querySelector("input[name=mode]:checked").value;
const setMode = value => { document.querySelector(`input[name=mode][value=${value}]`).checked = true; };
const within = list => list.filter(t => limited.every(c => limit[c] === null || (cost(t, c) != null && cost(t, c) <= limit[c])));
function mostAccurate(list) {
  return list.reduce((a, b) => !a || b.accuracy > a.accuracy || (b.accuracy === a.accuracy && cost(b, "latency_ms") < cost(a, "latency_ms")) ? b : a, null);
}
function kneeOf(list) {
  const columns = D.objectives.map(c => list.map(t => axis[c].more ? 1 - t[c] : cost(t, c)));
  const sums = list.map((_, i) => columns.reduce((sum, column) => {
    const low = Math.min(...column), high = Math.max(...column);
    return sum + (high > low ? (column[i] - low) / (high - low) : 0);
  }, 0));
  return list.length ? list[sums.indexOf(Math.min(...sums))] : null;
}
function find() {
  if (mode() === "trial") return trained.find(t => String(t.trial) === $("number").value.trim()) || null;
  if (mode() === "knee") return kneeOf(within(front));
  if (mode() === "best") return mostAccurate(within(trained));
  const enough = within(trained).filter(t => t.accuracy >= leastAccuracy());
  return enough.reduce((a, b) => !a || cost(b, "latency_ms") < cost(a, "latency_ms") ||
    (cost(b, "latency_ms") === cost(a, "latency_ms") && b.accuracy > a.accuracy) ? b : a, null);
}
function gain(column) {  // what more of one budget would gain, the others as they are
  if (!picked) return "";
  const others = trained.filter(t => t.accuracy > picked.accuracy && limited.every(c => c === column || limit[c] === null || cost(t, c) <= limit[c]));
  const next = others.filter(t => cost(t, column) > (limit[column] ?? Infinity)).reduce((a, b) => !a || cost(b, column) < cost(a, column) ? b : a, null);
  if (!next) return limit[column] === null ? "" : "a larger budget gains nothing";
  return `${shown(column, cost(next, column) - limit[column])} more would gain ${(100 * (next.accuracy - picked.accuracy)).toFixed(1)} points (trial ${next.trial})`;
}
function verdict(t, column) {
  const at = limit[column], a = axis[column];
  if (at === null) return null;
  if (cost(t, column) == null) return ["violates", "not known"];
  if (t.measured && t.measured[column] != null) return t.measured[column] <= at ? ["feasible", "measured"] : ["violates", "measured"];
  if (t[column] > at) return ["violates", a.low && t[a.low] != null && t[a.low] <= at ? "though its interval reaches below" : ""];
  if (a.high && t[a.high] != null && t[a.high] > at) return ["likely", "its interval reaches beyond"];
  if (a.high && t[a.high] == null) return ["likely", "the error is not known"];
  return ["feasible", ""];
}
function whyNone() {  // in sentences, where nothing is picked
  const brief = t => `trial ${t.trial}, ${shown("accuracy", t.accuracy)}`;
  if (!trials.length) return ["No network is trained yet", "The run has no trial. nas search --resume continues it."];
  if (!trained.length) return ["No network is trained yet", `All ${trials.length} trials failed or were stopped; the reasons are under "The search".`];
  const range = `Its trials are ${trials[0].trial} to ${trials[trials.length - 1].trial}.`;
  if (mode() === "trial") {
    const typed = $("number").value.trim(), there = trials.find(t => String(t.trial) === typed);
    if (!typed) return ["Which trial?", `Type its number, or click a point of the chart. ${range}`];
    if (!there) return [`This run has no trial ${typed}`, range];
    const why = there.state === "stopped" ? "was stopped early" : `failed to train${D.errors[typed] ? ": " + D.errors[typed] : ""}`;
    return [`Trial ${typed} cannot be picked`, `It ${why}.`];
  }
  const among = mode() === "knee" ? front : trained, fit = within(among);
  if (fit.length) return ["No network reaches this accuracy within the budgets", `The most accurate within them is ${brief(mostAccurate(fit))}.`];
  const said = limited.filter(c => limit[c] !== null).map(c => [c, among.filter(t => cost(t, c) != null).reduce((a, b) => !a || cost(b, c) < cost(a, c) ? b : a, null)])
    .filter(([c, t]) => t && cost(t, c) > limit[c]).map(([c, t]) => `The smallest ${axis[c].label} is ${shown(c, cost(t, c))} (${brief(t)}).`);
  if (said.length) return ["No network meets these budgets", said.join(" ")];
  const excess = t => Math.max(...limited.map(c => limit[c] === null ? 0 : cost(t, c) / limit[c]));
  const near = among.reduce((a, b) => !a || excess(b) < excess(a) ? b : a, null);
  return ["No network meets all of these budgets", `Each can be met, but not all at once. The nearest is ${brief(near)}: ${limited.filter(c => limit[c] !== null).map(c => shown(c, cost(near, c))).join(", ")}.`];
}

// ---- sliders
function leastAccuracy() { const [a, b] = spread.accuracy || [0, 1]; return Math.min(b, a + (b - a) * $("accuracy").value / 1000); }
function ofSlider(column, position) {  // even steps of the logarithm; the right end is no budget
  const [a, b] = spread[column];
  return position >= 1000 ? null : a > 0 ? a * (b / a) ** (position / 1000) : a + (b - a) * position / 1000;
}
function toSlider(column, value) {
  const [a, b] = spread[column];
  if (value === null || !(b > a)) return 1000;
  return Math.max(0, Math.min(999, Math.round(1000 * (a > 0 ? Math.log(value / a) / Math.log(b / a) : (value - a) / (b - a)))));
}
function addSliders() {
  const more = element("details", {}, element("summary", {}, "More budgets"));
  for (const c of limited) {
    const output = element("output", { for: "budget-" + c }), text = element("div", { class: "gain", id: "gain-" + c });
    const input = element("input", { type: "range", id: "budget-" + c, min: 0, max: 1000, value: toSlider(c, limit[c]) });
    input.addEventListener("input", () => { limit[c] = ofSlider(c, +input.value); leaveTrial(); update(); });
    const box = element("div", { class: "budget" }, element("label", {}, axis[c].label + " at most ", output, input), text);
    (["latency_ms", "energy_mj"].includes(c) || limit[c] !== null ? $("budgets") : more).append(box);
  }
  if (more.children.length > 1) $("budgets").append(more);
  $("reset").addEventListener("click", () => { for (const c of limited) { limit[c] = null; $("budget-" + c).value = 1000; } leaveTrial(); update(); });
  for (const radio of document.querySelectorAll("input[name=mode]")) radio.addEventListener("change", () => { if (mode() !== "trial") budgetMode = mode(); update(); });
  $("accuracy").addEventListener("input", () => { setMode("cheap"); budgetMode = "cheap"; update(); });
  $("number").addEventListener("input", () => { setMode("trial"); update(); });
}
function leaveTrial() { if (mode() === "trial") setMode(budgetMode); }
function choose(trial) { $("number").value = trial; setMode("trial"); update(); }
function update() {
  picked = find();
  for (const c of limited) {
    const text = limit[c] === null ? "no limit" : shown(c, limit[c]);
    document.querySelector(`output[for="budget-${c}"]`).textContent = text;
    $("budget-" + c).setAttribute("aria-valuetext", text);
    $("gain-" + c).textContent = mode() === "best" ? gain(c) : "";
  }
  const least = has.includes("accuracy") ? shown("accuracy", leastAccuracy()) : "-";
  $("least").querySelector("output").textContent = least;
  $("accuracy").setAttribute("aria-valuetext", least);
  showCard();
  showNetwork();
  for (const row of document.querySelectorAll("#front-table tbody tr")) row.classList.toggle("picked", picked !== null && +row.dataset.trial === picked.trial);
  if (Plot && !frame) frame = requestAnimationFrame(() => { frame = 0; mark(); });
}

// ---- what is said of the pick
function showCard() {
  const box = $("pick");
  box.replaceChildren();
  box.dataset.trial = picked ? picked.trial : "";
  if (!picked) {
    const [title, text] = whyNone();
    box.append(element("h3", {}, title), element("p", {}, text));
    return;
  }
  const t = picked, figures = element("div", { class: "figures" });
  for (const c of [...has.filter(c => axis[c].more && (c === "accuracy" || t[c] != null)), ...limited]) {
    const a = axis[c], between = a.low && t[a.low] != null ? `${three(t[a.low])} to ${three(t[a.high])}` : "";
    figures.append(element("div", { "data-figure": c }, element("b", {}, shown(c, t[c])), element("small", {}, a.label, between ? element("br") : null, between)));
  }
  box.append(element("h3", {}, `Trial ${t.trial}` + (t.front ? "" : " (not on the front)")), figures);
  for (const c of limited) {
    const said = verdict(t, c);
    if (said) box.append(element("div", {}, element("b", { class: said[0] }, said[0]), ` under ${shown(c, limit[c])}` + (said[1] ? `: ${said[1]}` : "")));
  }
  for (const c of limited) if (t.measured && t.measured[c] != null) box.append(element("div", {}, `measured: ${shown(c, t.measured[c])}, predicted ${shown(c, t[c])}`));
  box.append(element("p", { class: "soft" }, basisOf(t)));
  if (t.command) box.append(element("code", { class: "command" }, t.command));
  else box.append(element("p", { class: "soft" }, "Its weights were not kept: only those of the front are."));
  box.append(element("a", { href: "#network" }, "Its stages, layers and training"));
  addCopyButtons(box);
}
function basisOf(t) {
  const from = { measured: "the sum of blocks that were measured on the device", fitted: "from rates fitted to networks measured on the device", extrapolated: "extrapolated: the device profile has measured nothing like parts of this network" };
  const told = D.axes.filter(a => a.basis && t[a.column] != null && from[t[a.basis]]), bases = [...new Set(told.map(a => t[a.basis]))];
  return bases.map(basis => `${told.filter(a => t[a.basis] === basis).map(a => a.label).join(" and ")}: ${from[basis]}.`).join(" ");
}
function bar(value, most, kind) { return !(most > 0) ? null : element("span", { class: "bar " + kind, style: `width:${Math.max(1, 100 * value / most).toFixed(1)}%` }); }
function scrolling(label, table) { return element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, table); }
function valueOf(name, i) { const c = D.choices[name]; return c.values[c.at[i]]; }
function showNetwork() {
  const box = $("detail");
  box.replaceChildren();
  if (!picked) { box.append(element("p", {}, "No network is picked.")); return; }
  const t = picked;
  box.append(element("p", {}, `Trial ${t.trial}, ${t.precision}: ${t.summary}`));
  if (t.blocks) box.append(stages(t), layers(t)); else if (D.no_blocks) box.append(element("p", { class: "note" }, D.no_blocks));
  const choices = element("dl"), all = element("dl");
  for (const name of Object.keys(D.choices)) {
    const value = valueOf(name, t.row), short = typeof value === "number" ? (Math.abs(value) < 1e-3 && value ? value.toExponential(2) : String(+value.toPrecision(3))) : String(value);
    if (value === null) continue;
    if (D.hyperparameters.includes(name)) choices.append(element("dt", {}, name), element("dd", {}, short));
    all.append(element("dt", {}, name), element("dd", {}, String(value)));
  }
  const curve = element("div", { id: "curve", class: "chart low", role: "img", "aria-label": "Validation accuracy after each epoch" });
  box.append(element("div", { class: "columns even" },
    element("div", {}, element("h3", {}, "Hyperparameters"), choices, element("details", {}, element("summary", {}, "Every choice"), all)),
    element("figure", {}, element("h3", {}, "Training"), t.curve.length > 1 ? curve : null,
      element("figcaption", {}, t.curve.length ? `Validation accuracy in fp32 after each of ${t.curve.length} epochs; ${three(t.seconds)} s.` : "No training curve was kept."))));
  if (Plot) drawCurve();
}
function stages(t) {
  const rows = [];
  for (const block of t.blocks) {
    const last = rows[rows.length - 1];
    if (last && last.stage === block.stage) last.blocks.push(block); else rows.push({ stage: block.stage, blocks: [block] });
  }
  const sum = (blocks, at) => blocks.reduce((s, b) => s + b.parts.reduce((x, p) => x + (p[at] ?? 0), 0), 0);
  const energy = t.energy_mj != null && rows.some(r => sum(r.blocks, 2) > 0), ms = Math.max(...rows.map(r => sum(r.blocks, 1))), mj = Math.max(...rows.map(r => sum(r.blocks, 2)));
  const head = element("tr", {}, element("th", {}, "input"), element("th", {}, "blocks"), element("th", {}, "time (ms)"), energy ? element("th", {}, "energy (mJ)") : null);
  const body = element("tbody");
  const most = Math.max(...rows.flatMap(r => r.blocks.map(b => b.out)));
  for (const row of rows) {
    const boxes = element("div", { class: "blocks" });
    for (const b of row.blocks) {
      const text = b.kernel ? `k${b.kernel}${b.expand ? " e" + b.expand : ""}${b.se ? " SE" : ""}${b.stride > 1 ? " /" + b.stride : ""}` : b.kind;
      boxes.append(element("div", { class: "block k" + (b.kernel || 0), title: b.label, style: `--wide:${Math.round(90 * Math.sqrt(b.out / most))}` }, text, element("br"), `${b.out} ch`));
    }
    body.append(element("tr", {}, element("td", {}, row.blocks[0].size), element("td", {}, boxes),
      element("td", { class: "cost" }, three(sum(row.blocks, 1)), bar(sum(row.blocks, 1), ms, "")),
      energy ? element("td", { class: "cost" }, three(sum(row.blocks, 2)), bar(sum(row.blocks, 2), mj, "mj")) : null));
  }
  const rest = t.latency_ms - sum(rows.flatMap(r => r.blocks), 1), restMj = energy ? t.energy_mj - sum(rows.flatMap(r => r.blocks), 2) : 0;
  if (Math.abs(rest) > 1e-5 * t.latency_ms) body.append(element("tr", {}, element("td", {}), element("td", { class: "soft" }, "not in any one block"),
    element("td", {}, three(rest)), energy ? element("td", {}, three(restMj)) : null));
  return element("div", {}, element("h3", {}, "Stages, and where time" + (energy ? " and energy go" : " goes")),
    scrolling("Stages of the picked network", element("table", { class: "stages" }, element("thead", {}, head), body)),
    element("p", { class: "soft" }, "A row is a stage. k: kernel; e: expansion; SE: squeeze-excite; /2: stride; ch: output channels. Blue: 3x3 and 1x1; yellow: 5x5; red: 7x7. Not in any one block: what an inference costs once, and what blocks save together."));
}
function layers(t) {
  const every = t.blocks.flatMap(block => block.parts), energy = every.some(p => p[2] > 0);
  const total = every.reduce((s, p) => s + p[1], 0), most = Math.max(...every.map(p => p[1])), body = element("tbody");
  every.forEach((p, i) => body.append(element("tr", {}, element("td", { class: "n" }, String(i + 1)), element("td", {}, p[0]), element("td", { class: "n" }, three(p[1])),
    element("td", { class: "n" }, (100 * p[1] / total).toFixed(1) + "%"), energy ? element("td", { class: "n" }, three(p[2])) : null, element("td", { class: "wide" }, bar(p[1], most, "")))));
  const what = D.measured_blocks ? "block" : "layer";
  const head = element("tr", {}, element("th", { class: "n" }, "no."), element("th", {}, what), ...["ms", "share", ...(energy ? ["mJ"] : [])].map(x => element("th", { class: "n" }, x)), element("td"));
  return element("details", {}, element("summary", {}, `Every ${what} (${every.length})`), scrolling(`Every ${what} of the picked network`, element("table", { id: "layers" }, element("thead", {}, head), body)));
}

// ---- charts
function ends(t, a) {  // of the interval's bar; none where it was measured
  return t[a.low] == null || (t.measured && t.measured[a.column] != null) ? [0, 0] : [t[a.column] - t[a.low], t[a.high] - t[a.column]];
}
const nearReferences = (x, whole) => {
  const values = whole.map(t => cost(t, x)), low = Math.min(...values) / 1.3, high = 1.6 * Math.max(...values);
  return D.references.filter(r => r[x] != null && r[x] >= low && r[x] <= high).sort((a, b) => a[x] - b[x]);
};
const wholeOf = (x, y) => trained.filter(t => cost(t, x) != null && cost(t, y) != null);
const referenceText = (r, x) => `${r.name}, ${r.precision}: ${shown(x, r[x])}`;
function draw() {  // all that does not depend on the pick; `mark` adds what does
  const x = $("x").value, y = $("y").value, traces = [];
  if (!trained.length) return;
  const whole = wholeOf(x, y);
  const points = (list, extra) => ({ type: "scatter", mode: "markers", ...places(list, x, y), text: list.map(hover), customdata: list.map(t => t.trial), hovertemplate: "%{text}<extra></extra>", ...extra });
  traces.push({ type: "scatter", mode: "lines", ...places(frontOf(whole, x, y), x, y), line: { shape: stepOf(y), color: color("soft"), width: 1.5 }, hoverinfo: "skip", name: "front of these axes", showlegend: !PHONE });
  for (const p of Object.keys(SYMBOLS)) {
    const mine = whole.filter(t => t.precision === p), best = mine.filter(t => t.front), marker = { color: color(p), symbol: SYMBOLS[p] };
    if (!mine.length) continue;
    traces.push(points(mine.filter(t => !t.front), { name: p, legendgroup: p, showlegend: !best.length, marker: { ...marker, opacity: 0.35, size: 7 } }));
    const bars = {};
    for (const [way, a] of [["error_x", axis[x]], ["error_y", axis[y]]]) if (a.low) bars[way] = { type: "data", symmetric: false, thickness: 1, width: 2, color: color(p) + "99",
      array: best.map(t => ends(t, a)[1]), arrayminus: best.map(t => ends(t, a)[0]) };
    traces.push(points(best, { name: p, legendgroup: p, showlegend: best.length > 0, marker: { ...marker, size: 10, line: { color: color("paper"), width: 1 } }, ...bars }));
  }
  const measured = whole.filter(t => t.measured && t.measured[x] != null);
  if (measured.length) traces.push(points(measured, { name: "measured", marker: { symbol: "x-thin", size: 9, line: { color: color("ink"), width: 2 } } }));
  const known = nearReferences(x, whole), heights = [...Array(25).keys()].map(i => i / 24);  // along the line, so that all of it answers
  if (known.length) traces.push({ type: "scatter", mode: "lines", yaxis: "y2", name: `known networks, ${known[0].precision}`, line: { color: color("edge"), dash: "dot", width: 1.2 }, hovertemplate: "%{text}<extra></extra>",
    x: known.flatMap(r => [...heights.map(() => drawn(x, r[x])), null]), y: known.flatMap(() => [...heights, null]), text: known.flatMap(r => [...heights.map(() => escape(referenceText(r, x))), ""]) });
  traces.push({ type: "scatter", mode: "markers", x: [null], y: [null], name: "pick", showlegend: !PHONE, marker: { symbol: "circle-open", size: 14, color: color("ink"), line: { width: 2.5 } } });
  const xaxis = scale(x, whole.map(t => cost(t, x))), yaxis = scale(y, whole.map(t => cost(t, y)));
  Plot.react("front", traces, layout({ margin: barMargin(), xaxis, yaxis, yaxis2: { overlaying: "y", range: [0, 1], visible: false, fixedrange: true }, uirevision: x + y }), BAR);
  mark();
  nameReferences();
  mark();  // the ring is placed in pixels of the axes as they now are
}
function corner(a, value, way) {  // of the ring: Plotly misplaces pixels left of an anchor on a logarithmic axis, so it stands at the corner
  return { [way + "anchor"]: a.p2d(a.d2p(value) + (way === "x" ? -10 : 10)), [way + "0"]: 1e-9, [way + "1"]: 20 };
}
function mark() {  // the pick's ring and the budgets' lines: shapes alone, which Plotly draws at once
  const x = $("x").value, y = $("y").value, box = $("front"), full = box._fullLayout, shapes = [];
  if (!trained.length || !full) return;
  for (const [c, across] of [[x, true], [y, false]]) if (limit[c] != null) {
    const at = drawn(c, limit[c]), label = { text: "budget " + shown(c, limit[c]), font: { color: color("warn"), size: 12 }, textposition: "end", xanchor: "right", yanchor: "bottom" };
    shapes.push({ type: "line", xref: across ? "x" : "paper", yref: across ? "paper" : "y", ...(across ? { x0: at, x1: at, y0: 0, y1: 1 } : { x0: 0, x1: 1, y0: at, y1: at }), line: { color: color("warn"), dash: "dash", width: 1.5 }, label });
  }
  const there = picked && cost(picked, x) != null && cost(picked, y) != null;
  if (there) shapes.push({ type: "circle", xsizemode: "pixel", ysizemode: "pixel", ...corner(full.xaxis, drawn(x, cost(picked, x)), "x"), ...corner(full.yaxis, drawn(y, cost(picked, y)), "y"), line: { color: color("ink"), width: 2.5 } });
  Plot.relayout(box, { shapes });
  const missing = c => trained.filter(t => cost(t, c) == null).length, said = [];
  for (const c of new Set([x, y])) if (missing(c)) said.push(`${missing(c)} of ${trained.length} networks are not drawn: they have no ${axis[c].label}.`);
  if (picked && !there) said.push("The pick is one of them.");
  if (unnamed.length) said.push(`Known networks without a label: ${unnamed.map(r => referenceText(r, x)).join("; ")}.`);
  $("drawn").textContent = said.join(" ");
}
function nameReferences() {  // upright beside their lines, above each other where lines are close; `unnamed` find no room
  const x = $("x").value, box = $("front"), { xaxis, yaxis } = box._fullLayout, annotations = [], taken = [];
  unnamed = [];
  for (const r of nearReferences(x, wholeOf(x, $("y").value))) {
    const at = xaxis.d2p(drawn(x, r[x])), text = `${r.name}, ${r.precision}`, long = 5.9 * text.length + 6;
    let low = 3;
    for (const other of taken.filter(o => Math.abs(o.at - at) < 16)) low = Math.max(low, other.high + 4);
    if (low + long > yaxis._length || at < 0 || at > xaxis._length - 4) { unnamed.push(r); continue; }
    taken.push({ at, high: low + long });
    annotations.push({ text: escape(text), x: xaxis.type === "log" ? Math.log10(drawn(x, r[x])) : drawn(x, r[x]), y: low / yaxis._length, yref: "paper", yanchor: "bottom", xanchor: "left", textangle: -90, showarrow: false, font: { size: 10.5, color: color("soft") } });
  }
  Plot.relayout(box, { annotations });
}
function drawCurve() {
  if (!$("curve")) return;
  Plot.newPlot("curve", [{ type: "scatter", mode: "lines+markers", x: picked.curve.map((_, i) => i + 1), y: picked.curve.map(v => v === null ? null : 100 * v), line: { color: color(picked.precision) }, hovertemplate: "epoch %{x}: %{y:.1f}%<extra></extra>" }],
    layout({ dragmode: false, xaxis: { ...still(), title: { text: "epoch" }, dtick: picked.curve.length < 12 ? 1 : undefined }, yaxis: { ...still(), title: { text: "validation accuracy (%)" } } }), NO_BAR);
}
function drawVolume() {
  if (!$("volume")) return;
  const seconds = $("over").value === "seconds";
  Plot.react("volume", [{ type: "scatter", mode: "lines", line: { shape: "hv", color: color("fp32") }, x: D.volume.map(v => seconds ? v[1] / 60 : v[0] + 1), y: D.volume.map(v => v[2]), hovertemplate: "%{y:.3f} after %{x:.3~g}<extra></extra>" }],
    layout({ dragmode: false, xaxis: { ...still(), title: { text: seconds ? "training time, summed (min)" : "trials" } }, yaxis: { ...still(), title: { text: "hypervolume" } } }), NO_BAR);
}
function drawImportance() {
  if (!$("importance")) return;
  const best = D.importance.slice(0, 10).reverse();
  Plot.react("importance", [{ type: "bar", orientation: "h", y: best.map(v => escape(v[0])), x: best.map(v => v[1]), error_x: { type: "data", array: best.map(v => v[2]), thickness: 1, color: color("ink") }, marker: { color: color("bar") }, hovertemplate: "%{y}: %{x:.2f}<extra></extra>" }],
    layout({ dragmode: false, xaxis: { ...still(), title: { text: "R² lost when its values are shuffled" } }, yaxis: { ...still(), ticks: "" } }), NO_BAR);
}

(async () => {
  await readData();
  trials = rowsOf(D);
  trials.forEach((t, row) => Object.assign(t, { row, measured: D.measured[t.trial], curve: D.curves[t.trial] || [], command: D.commands[t.trial],
    blocks: D.networks[t.trial] && D.networks[t.trial].map(block => D.blocks[block]) }));
  trained = trials.filter(t => t.state === "trained");
  front = D.front.map(n => trained.find(t => t.trial === n));
  has = D.axes.map(a => a.column).filter(c => trained.some(t => t[c] != null && (t[c] > 0 || axis[c].more)));
  limited = has.filter(c => !axis[c].more);
  limit = Object.fromEntries(limited.map(c => [c, D.budgets[c] ?? null]));
  spread = Object.fromEntries(has.map(c => { const v = trained.map(t => cost(t, c)).filter(x => x != null); return [c, [Math.min(...v), Math.max(...v)]]; }));
  options($("x"), limited, "latency_ms");
  options($("y"), has, "accuracy");
  addSliders();
  for (const button of document.querySelectorAll("[data-pick]")) button.addEventListener("click", () => { choose(+button.dataset.pick); $("pick").focus(); $("pick").scrollIntoView({ block: "nearest" }); });
  update();
  addCopyButtons(document);
  await loadPlotly();
  const drawAll = () => { draw(); drawCurve(); drawVolume(); drawImportance(); };
  drawAll();
  redrawWithTheme(drawAll);
  if (trained.length) $("front").on("plotly_relayout", e => { if (Object.keys(e).some(key => /axis/.test(key))) { nameReferences(); mark(); } });  // zoomed: other names find room
  if (trained.length) $("front").on("plotly_click", e => { const at = e.points[0]; if (at && at.customdata !== undefined) choose(at.customdata); });
  for (const id of ["x", "y"]) $(id).addEventListener("change", draw);
  $("over").addEventListener("change", drawVolume);
  document.documentElement.dataset.ready = "";
})();
