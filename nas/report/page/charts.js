// The charts of the page of one run: the front with the pick on it, the training curve, the search itself.
function ends(t, a) {  // of the interval's bar; none where it was measured
  if (a.deviation) return [t[a.deviation] ?? 0, t[a.deviation] ?? 0].map(d => drawn(a.column, d));
  return t[a.low] == null || (t.measured && t.measured[a.column] != null) ? [0, 0] : [t[a.column] - t[a.low], t[a.high] - t[a.column]];
}
const nearReferences = (x, whole) => {
  const values = whole.map(t => cost(t, x)), low = Math.min(...values) / 1.3, high = 1.6 * Math.max(...values);
  return D.references.filter(r => r[x] != null && r[x] >= low && r[x] <= high).sort((a, b) => a[x] - b[x]);
};
const wholeOf = (x, y) => trained.filter(t => cost(t, x) != null && cost(t, y) != null);
function stairsOf(x, y) {  // the front of two axes; of what is reported, where they are objectives and some networks were left off
  const objective = c => D.objectives.includes(c === "expected" ? "accuracy" : c), reported = D.left_off.length && objective(x) && objective(y) && [x, y].includes("expected");
  return frontOf(reported ? front : wholeOf(x, y), x, y);
}
const referenceText = (r, x) => `${r.name}, ${r.precision}: ${shown(x, r[x])}`;
function draw() {  // all that does not depend on the pick; `mark` adds what does
  const x = $("x").value, y = $("y").value, traces = [];
  if (!trained.length) return;
  const whole = wholeOf(x, y);
  const points = (list, extra) => ({ type: "scatter", mode: "markers", ...places(list, x, y), text: list.map(hover), customdata: list.map(t => t.trial), hovertemplate: "%{text}<extra></extra>", ...extra });
  traces.push({ type: "scatter", mode: "lines", ...places(stairsOf(x, y), x, y), line: { shape: stepOf(y), color: color("soft"), width: 1.5 }, hoverinfo: "skip", name: "front of these axes", showlegend: !PHONE });
  for (const p of Object.keys(SYMBOLS)) {
    const mine = whole.filter(t => t.precision === p), best = mine.filter(t => t.front), marker = { color: color(p), symbol: SYMBOLS[p] };
    if (!mine.length) continue;
    traces.push(points(mine.filter(t => !t.front), { name: p, legendgroup: p, showlegend: !best.length, marker: { ...marker, opacity: 0.35, size: 7 } }));
    const bars = {};
    for (const [way, a] of [["error_x", axis[x]], ["error_y", axis[y]]]) if (a.low || a.deviation) bars[way] = { type: "data", symmetric: false, thickness: 1, width: 2, color: color(p) + "99",
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
  const ring = (t, line) => ({ type: "circle", xsizemode: "pixel", ysizemode: "pixel", ...corner(full.xaxis, drawn(x, cost(t, x)), "x"), ...corner(full.yaxis, drawn(y, cost(t, y)), "y"), line });
  for (const t of ties.filter(t => t !== picked)) if (cost(t, x) != null && cost(t, y) != null) shapes.push(ring(t, { color: color("soft"), width: 1.5, dash: "dot" }));
  if (there) shapes.push(ring(picked, { color: color("ink"), width: 2.5 }));
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
    layout({ dragmode: false, xaxis: { ...still(), title: { text: "epoch" }, dtick: picked.curve.length < 12 ? 1 : undefined }, yaxis: { ...still(), title: { text: D.detection ? "validation mAP (%)" : "validation accuracy (%)" } } }), NO_BAR);
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
