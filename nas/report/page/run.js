// The page of one run: the sliders, and what is said of the pick.
let trials, trained, front, has, limited, limit, spread, picked = null, ties = [], QUALITY = "accuracy", unnamed = [], frame = 0, budgetMode = "best";

// ---- sliders
function leastAccuracy() { const [a, b] = spread[QUALITY] || [0, 1]; return Math.min(b, a + (b - a) * $("accuracy").value / 1000); }
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
  $("greedy").addEventListener("change", () => { setMode("best"); budgetMode = "best"; update(); });
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
  const least = has.includes(QUALITY) ? shown(QUALITY, leastAccuracy()) : "-";
  $("least").querySelector("output").textContent = least;
  $("accuracy").setAttribute("aria-valuetext", least);
  showCard();
  showNetwork();
  showPrecision();
  showSamples();
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
  for (const c of [...has.filter(c => axis[c].more && (c === QUALITY || t[c] != null)), ...limited]) {
    const a = axis[c], between = a.low && t[a.low] != null ? `${three(t[a.low])} to ${three(t[a.high])}` : "";
    figures.append(element("div", { "data-figure": c }, element("b", {}, sure(c, t)), element("small", {}, a.label, between ? element("br") : null, between)));
  }
  box.append(element("h3", {}, `Trial ${t.trial}` + (t.front ? "" : D.left_off.includes(t.trial) ? " (left off the front)" : " (not on the front)")), figures);
  if (ties.length > 1) box.append(element("p", { id: "ties" }, whyTied()));
  const told = [t.trainings > 1 ? `${t.trainings} trainings` : "", t.front_probability != null ? `on the front with a probability of ${(100 * t.front_probability).toFixed(0)}%` : ""].filter(x => x).join("; ");
  if (told) box.append(element("p", { class: "soft" }, told + "."));
  for (const c of limited) {
    const said = verdict(t, c);
    if (said) box.append(element("div", {}, element("b", { class: said[0] }, said[0]), ` under ${shown(c, limit[c])}` + (said[1] ? `: ${said[1]}` : "")));
  }
  for (const c of limited) if (t.measured && t.measured[c] != null) box.append(element("div", {}, `measured: ${shown(c, t.measured[c])}, predicted ${shown(c, t[c])}`));
  box.append(element("p", { class: "soft" }, basisOf(t)));
  if (t.command) box.append(element("code", { class: "command" }, t.command));
  else box.append(element("p", { class: "soft" }, "Its weights were not kept: only those of the front are, and of networks that may belong on it."));
  box.append(element("a", { href: "#network" }, "Its stages, layers and training"));
  addCopyButtons(box);
}
function basisOf(t) {
  const from = { measured: "the sum of blocks that were measured on the device", fitted: "from rates fitted to networks measured on the device", extrapolated: "extrapolated: the device profile has measured nothing like parts of this network", estimated: "the sum of blocks as the accelerator's compiler estimates them: nothing was run on a board" };
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
  const curve = element("div", { id: "curve", class: "chart low", role: "img", "aria-label": `Validation ${D.detection ? "mAP" : "accuracy"} after each epoch` });
  box.append(element("div", { class: "columns even" },
    element("div", {}, element("h3", {}, "Hyperparameters"), choices, element("details", {}, element("summary", {}, "Every choice"), all)),
    element("figure", {}, element("h3", {}, "Training"), t.curve.length > 1 ? curve : null,
      element("figcaption", {}, t.curve.length ? `Validation ${D.detection ? "mAP" : "accuracy"} in fp32 after ${t.curve.length > 1 ? `each of ${t.curve.length} epochs` : "one epoch"}; ${three(t.seconds)} s.` : "No training curve was kept."))));
  if (Plot) drawCurve();
}
function showPrecision() {  // of a detector: by overlap, size and class
  const box = $("precision");
  if (!box) return;
  box.replaceChildren();
  const t = picked;
  if (!t || t.ap50 == null) return;
  const share = x => x == null ? "none" : (100 * x).toFixed(1) + "%", row = (name, mean, half) => element("tr", {}, element("th", { scope: "row" }, name),
    element("td", { class: "n" }, share(mean)), element("td", { class: "n" }, half === undefined ? "" : share(half)), element("td", { class: "wide" }, bar(mean ?? 0, 1, "")));
  const table = (label, first, rows) => scrolling(label, element("table", { class: "precision" }, element("thead", {}, element("tr", {}, element("th", {}, first), element("th", { class: "n" }, "mAP"), element("th", { class: "n" }, "AP50"), element("td"))), element("tbody", {}, ...rows)));
  const { names, sizes, of } = D.detection, classes = of[t.trial];
  const sized = table("Average precision by size", "objects", [row("all", t.accuracy, t.ap50), ...sizes.map(size => row(size, t["ap_" + size]))]);
  const named = classes ? table("Average precision by class", "class", names.map((name, i) => row(name, classes[0][i], classes[1][i])))
    : element("p", {}, names.length ? "By class: of networks on the front only; trials.csv has every trial's." : "By class: not kept of so many classes.");
  box.append(element("div", { class: "columns even" }, element("div", {}, element("h3", {}, "Average precision by size"), sized, element("p", { class: "soft" }, `AP75: ${share(t.ap75)}`)), element("div", { class: names.length > 12 ? "long" : "" }, element("h3", {}, "By class"), named)));
}
function showSamples() {
  const all = [...document.querySelectorAll(".samples")];
  if (!all.length) return;
  for (const one of all) one.hidden = !picked || +one.dataset.trial !== picked.trial;
  $("no-samples").hidden = all.some(one => !one.hidden);
  const least = +$("least-p").value / 100;
  $("least-p-said").textContent = $("least-p").value + "%";
  for (const box of document.querySelectorAll(".samples:not([hidden]) [data-p]")) box.classList.toggle("faint", +box.dataset.p < least);
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

(async () => {
  await readData();
  trials = rowsOf(D);
  trials.forEach((t, row) => Object.assign(t, { row, measured: D.measured[t.trial], curve: D.curves[t.trial] || [], command: D.commands[t.trial],
    blocks: D.networks[t.trial] && D.networks[t.trial].map(block => D.blocks[block]) }));
  trained = trials.filter(t => t.state === "trained");
  expectAll(trained);
  front = D.front.map(n => trained.find(t => t.trial === n));
  has = D.axes.map(a => a.column).filter(c => trained.some(t => t[c] != null && (t[c] > 0 || axis[c].more)));
  if (has.includes("expected")) QUALITY = "expected";
  limited = has.filter(c => !axis[c].more);
  limit = Object.fromEntries(limited.map(c => [c, D.budgets[c] ?? null]));
  spread = Object.fromEntries(has.map(c => { const v = trained.map(t => cost(t, c)).filter(x => x != null); return [c, [Math.min(...v), Math.max(...v)]]; }));
  options($("x"), limited, "latency_ms");
  options($("y"), has, QUALITY);
  addSliders();
  if ($("least-p")) $("least-p").addEventListener("input", showSamples);
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
