"""Reports as Markdown, for a pull request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nas.numbers import figure, percent
from nas.report.detection import by_size_and_class, detected, metric
from nas.report.detection import notes as detection_notes
from nas.report.ranking import ranking_notes, source_of
from nas.report.table import accuracy_notes, believed, intervals, summary
from nas.report.ties import expected_text, tied_with
from nas.run import Run


def markdown(run: Run) -> str:
    """The front of a run as a table, and how far its costs can be trusted."""
    s, front = run.settings, run.front_trials
    energy = any(t.costs.energy_mj is not None for t in front)
    tested = any(t.test_accuracy is not None for t in front)
    boxes = detected(front)
    robust = any(t.robust_accuracy is not None for t in front)
    known, ties = believed(front), tied_with(front)
    name = metric(run)
    heads = [
        "trial", *([f"expected {name}", "front", "tie", "measured"] if known else [name]), *["AP50"] * boxes,
        *["test"] * tested, *["robust"] * robust, "ms", *["mJ"] * energy, "MB", "precision", "network",
    ]  # fmt: skip
    rows = [
        [
            str(t.trial),
            *([expected_text(t, s.validation_images), percent(t.front_probability, 0)] * known),
            *([", ".join(map(str, ties[t.trial][:1]))] * known),
            percent(t.accuracy), *[percent(t.value("ap50"))] * boxes,
            *[percent(t.test_accuracy)] * tested, *[percent(t.robust_accuracy)] * robust,
            figure(t.costs.latency_ms), *[figure(t.costs.energy_mj)] * energy, figure(t.costs.size_mb),
            t.candidate.precision, summary(t.candidate),
        ]
        for t in front
    ]  # fmt: skip
    trained = sum(t.state == "trained" for t in run.trials)
    title = f"### {plain(s.space_name)} on {plain(s.device_name)}, {plain(s.dataset)}"
    lead = f"{trained} networks trained, {len(front)} on the front; hypervolume {run.hypervolume:.4f}."
    said = (*accuracy_notes(run), *detection_notes(run), *intervals(front), source_of(s), *ranking_notes(run))
    notes = [f"- {plain(line)}" for line in said if line]
    sized, of_sizes = by_size_and_class(run)
    more = ["", "#### By size and class", "", *table(sized, of_sizes)] if of_sizes else []
    return "\n".join([title, "", lead, "", *table(heads, rows), *more, "", *notes]) + "\n"


def compare_markdown(runs: Sequence[Run]) -> str:
    """Several runs as a table, those that differ only in their seed in one row."""
    from nas.report.compare import HEADS, best_under, common_box, compare_rows, notes_on
    from nas.report.groups import groups_of

    groups, box = groups_of(runs), common_box(runs)
    notes = [f"- {plain(note)}" for note in notes_on(groups, box)]
    lines = [f"### {len(runs)} runs side by side", "", *table(HEADS, compare_rows(groups, box)), "", *notes, ""]
    under = [[row["budget"], *row["cells"]] for row in best_under(groups)]
    return "\n".join([*lines, *table(["latency at most", *(g.name for g in groups)], under)]) + "\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(plain(cell) for cell in line) + " |" for line in lines]


def plain(text: str) -> str:
    """The text without a meaning in Markdown or HTML: names may come from strangers."""
    shown = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{c}" if c in "|`*_[]#\\!" else c if c.isprintable() else " " for c in shown)
