// The network that the page of one run picks, by the rules of `nas pick`, and why there is none.
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
