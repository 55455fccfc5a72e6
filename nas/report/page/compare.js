// The page of several runs: a front and a line of hypervolume for each group of runs that differ by their seed alone.
let runs, groups;
const LINES = ["solid", "dash", "dot", "dashdot"], MARKS = ["circle", "square", "diamond", "triangle-up", "cross"];
const pale = (name, share) => name + Math.round(255 * share).toString(16).padStart(2, "0");  // of a color in six digits

function attained(fronts, x, y) {  // at each cost, what all, half and any of the runs reach; null where too few do
  const at = [...new Set(fronts.flatMap(front => front.map(t => t[x])))].sort((a, b) => a - b);
  const best = fronts.map(front => {
    const sorted = [...front].sort((a, b) => a[x] - b[x]);
    let i = 0, reached = null;
    return at.map(v => {
      for (; i < sorted.length && sorted[i][x] <= v; i++) if (reached === null || better(y, sorted[i][y], reached)) reached = sorted[i][y];
      return reached;
    });
  });
  const order = (a, b) => a === b ? 0 : a === null ? 1 : b === null ? -1 : better(y, a, b) ? -1 : 1;  // the best run first
  const ranked = at.map((_, i) => best.map(row => row[i]).sort(order)), n = fronts.length;
  return { at, all: ranked.map(r => r[n - 1]), half: ranked.map(r => r[Math.ceil(n / 2) - 1]), any: ranked.map(r => r[0]) };
}
function band(common, at, low, high, shape, shade) {  // between two lines, where both are there
  const there = at.map((_, i) => i).filter(i => low[i] !== null && high[i] !== null), edge = values => ({ ...common, type: "scatter", mode: "lines", line: { shape, width: 0 }, x: there.map(i => at[i]), y: there.map(i => values[i]), hoverinfo: "skip", showlegend: false });
  return there.length > 1 ? [edge(low), { ...edge(high), fill: "tonexty", fillcolor: shade }] : [];
}
function drawFronts() {
  const x = $("x").value, y = $("y").value, traces = [];
  groups.forEach((group, i) => {
    const common = { legendgroup: String(i), name: escape(group.name) }, line = { shape: stepOf(y), color: series(i), dash: LINES[i % LINES.length], width: 2 };
    const lists = group.runs.map(run => run.trials.filter(t => t.state === "trained" && t[x] != null && t[y] != null)), fronts = lists.map(list => frontOf(list, x, y));
    const on = new Set(fronts.flat()), mark = group.runs.length > 1 ? { size: 6, opacity: 0.5 } : { size: 9 };
    const points = (list, marker) => ({ type: "scatter", mode: "markers", ...common, ...places(list, x, y), text: list.map(t => `<b>${escape(t.run)}</b><br>${hover(t)}`), hovertemplate: "%{text}<extra></extra>", showlegend: false, marker: { color: series(i), symbol: MARKS[i % MARKS.length], ...marker } });
    traces.push(points(lists.flat().filter(t => !on.has(t)), { opacity: 0.25, size: 5 }));
    if (group.runs.length > 1) {
      const { at, all, half, any } = attained(fronts, x, y), costs = at.map(v => drawn(x, v)), up = values => values.map(v => v === null ? null : drawn(y, v));
      traces.push(...band(common, costs, up(all), up(any), line.shape, pale(series(i), 0.16)));
      traces.push({ type: "scatter", mode: "lines", ...common, line, x: costs, y: up(half), hoverinfo: "skip" }, points(fronts.flat(), mark));
    } else traces.push({ ...points(fronts[0], mark), mode: "lines+markers", line, showlegend: true });
  });
  const every = runs.flatMap(run => run.trials).filter(t => t.state === "trained"), values = column => every.map(t => t[column]).filter(v => v != null);
  Plot.react("fronts-chart", traces, layout({ margin: barMargin(), legend: { ...layout().legend, orientation: "v" }, xaxis: scale(x, values(x)), yaxis: scale(y, values(y)), uirevision: x + y }), BAR);
}
function drawVolumes() {
  const traces = [];
  groups.forEach((group, i) => {
    const common = { legendgroup: String(i), name: escape(group.name) }, line = { shape: "hv", color: series(i), dash: LINES[i % LINES.length], width: 2 };
    const steps = group.runs.map(run => run.volume).filter(volume => volume.length);
    if (!steps.length) return;
    const last = Math.min(...steps.map(volume => volume[volume.length - 1][0]));  // where the shortest run ends
    const at = [...new Set(steps.flatMap(volume => volume.map(v => v[0])))].filter(v => v <= last).sort((a, b) => a - b);
    const value = steps.map(volume => { let k = -1; return at.map(v => { while (k + 1 < volume.length && volume[k + 1][0] <= v) k += 1; return k < 0 ? 0 : volume[k][2]; }); });
    const ranked = at.map((_, j) => value.map(row => row[j]).sort((a, b) => a - b)), middle = r => (r[Math.floor((r.length - 1) / 2)] + r[Math.ceil((r.length - 1) / 2)]) / 2;
    const trials = at.map(v => v + 1);
    if (steps.length > 1) traces.push(...band(common, trials, ranked.map(r => r[0]), ranked.map(r => r[r.length - 1]), "hv", pale(series(i), 0.16)));
    traces.push({ type: "scatter", mode: "lines", ...common, line, x: trials, y: ranked.map(middle), hovertemplate: "%{y:.3f} after %{x}<extra></extra>" });
  });
  Plot.react("volumes", traces, layout({ dragmode: false, legend: { ...layout().legend, orientation: "v" }, xaxis: { ...still(), title: { text: "trials" } }, yaxis: { ...still(), title: { text: "hypervolume" } } }), NO_BAR);
}

(async () => {
  await readData();
  runs = D.runs.map(run => ({ ...run, trials: rowsOf(run) }));
  for (const run of runs) for (const t of run.trials) t.run = run.name;
  expectAll(runs.flatMap(run => run.trials.filter(t => t.state === "trained")));
  groups = D.groups.map(group => ({ name: group.name, runs: group.runs.map(i => runs[i]) }));
  const drawnOf = run => run.trials.filter(t => t.state === "trained");
  const has = D.axes.map(a => a.column).filter(c => runs.some(r => drawnOf(r).length) && runs.every(r => !drawnOf(r).length || drawnOf(r).some(t => t[c] != null)));
  options($("x"), has.filter(c => !axis[c].more), "latency_ms");
  options($("y"), has, has.includes("expected") ? "expected" : "accuracy");
  await loadPlotly();
  const drawAll = () => { if (has.length) { drawFronts(); drawVolumes(); } };
  drawAll();
  redrawWithTheme(drawAll);
  for (const id of ["x", "y"]) $(id).addEventListener("change", drawFronts);
  document.documentElement.dataset.ready = "";
})();
