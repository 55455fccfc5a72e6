// The network that the page of one run picks, by the rules of `nas pick`, and why there is none.
const mode = () => document.querySelector("input[name=mode]:checked").value;
const setMode = value => { document.querySelector(`input[name=mode][value=${value}]`).checked = true; };
const within = list => list.filter(t => limited.every(c => limit[c] === null || (cost(t, c) != null && cost(t, c) <= limit[c])));
function cheaper(a, b) {  // below 0 where a is: by the run's first cost, then the more accurate, then by its other costs
  const [first, ...rest] = D.cost_order, by = c => cost(a, c) - cost(b, c);
  return by(first) || expected(b) - expected(a) || rest.map(by).find(x => x) || a.trial - b.trial;
}
const least = (list, order) => list.reduce((a, b) => !a || order(b, a) < 0 ? b : a, null);
const mostAccurate = list => least(list, (a, b) => expected(b) - expected(a) || cheaper(a, b));
function tied(a, b, deviations = D.tie_deviations, share = 0) {  // nas.report.ties
  const biased = t => t.accuracy_deviation == null ? null : Math.sqrt(t.accuracy_deviation ** 2 + (share * expected(t) * (1 - expected(t))) ** 2);
  const [s, t] = [biased(a), biased(b)];
  return s != null && t != null && Math.abs(expected(a) - expected(b)) <= deviations * Math.sqrt(s * s + t * t) + 1e-9;
}
function tiesOfBest(list) {  // cheapest first; the last is the most accurate
  const stairs = [];
  for (const t of [...list].sort(cheaper)) if (!stairs.length || expected(t) > expected(stairs[stairs.length - 1])) stairs.push(t);
  const best = stairs[stairs.length - 1];
  if (guided(list)) return [...[...list].sort(cheaper).filter(t => t !== best && tied(t, best, D.clear, D.bias)), best].filter(t => t);
  return stairs.filter(t => t === best || tied(t, best));
}
const guided = list => list.every(t => t.guide_score != null);
function preferred(list) {  // nas.report.ties
  const key = list.every(t => t.promise != null) ? "promise" : "guide_score";
  return guided(list) ? list.reduce((a, b) => a && a[key] >= b[key] ? a : b, null) : list[0] || null;
}
const greedy = () => $("greedy").checked;
function kneeOf(list) {
  const columns = D.objectives.map(c => list.map(t => axis[c].more ? 1 - (c === "accuracy" ? expected(t) : t[c]) : cost(t, c)));
  const sums = list.map((_, i) => columns.reduce((sum, column) => {
    const low = Math.min(...column), high = Math.max(...column);
    return sum + (high > low ? (column[i] - low) / (high - low) : 0);
  }, 0));
  return list.length ? list[sums.indexOf(Math.min(...sums))] : null;
}
function find() {
  ties = [];
  if (mode() === "trial") return trained.find(t => String(t.trial) === $("number").value.trim()) || null;
  if (mode() === "knee") return kneeOf(within(front));
  if (mode() === "best") {
    const fit = within(trained);
    ties = greedy() ? [] : tiesOfBest(fit);
    return greedy() ? mostAccurate(fit) : preferred(ties);
  }
  return least(within(trained).filter(t => expected(t) >= leastAccuracy()), (a, b) => cost(a, "latency_ms") - cost(b, "latency_ms") || expected(b) - expected(a));
}
function whyTied() {  // as nas pick says it
  if (ties.length < 2) return "";
  if (guided(ties)) {
    const n = ties.length - 1, best = ties[n];
    return `${n} other network${n > 1 ? "s are" : " is"} not clearly less accurate than the most accurate, trial ${best.trial} (${sure(QUALITY, best)}); of all these, this one is the best by scores without training (${D.guide}) and accuracy together.`;
  }
  const [cheapest, best, others] = [ties[0], ties[ties.length - 1], ties.length - 2], first = D.cost_order[0];
  return `Trial ${cheapest.trial}${others ? ` and ${others} other${others > 1 ? "s" : ""}` : ""} cannot be told from the most accurate, trial ${best.trial} (${sure(QUALITY, best)}); ` +
    `this is the ${first === "latency_ms" ? "fastest" : "one of least " + axis[first].label}.`;
}
function gain(column) {  // what more of one budget would gain, the others as they are
  if (!picked) return "";
  const apart = t => expected(t) > expected(picked) && (greedy() || !tied(t, picked));
  const others = trained.filter(t => apart(t) && limited.every(c => c === column || limit[c] === null || cost(t, c) <= limit[c]));
  const next = others.filter(t => cost(t, column) > (limit[column] ?? Infinity)).reduce((a, b) => !a || cost(b, column) < cost(a, column) ? b : a, null);
  if (!next) return limit[column] === null ? "" : "a larger budget gains nothing" + (ties.length > 1 ? " that can be told" : "");
  return `${shown(column, cost(next, column) - limit[column])} more would gain ${(100 * (expected(next) - expected(picked))).toFixed(1)} points (trial ${next.trial})`;
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
  const brief = t => `trial ${t.trial}, ${sure(QUALITY, t)}`;
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
