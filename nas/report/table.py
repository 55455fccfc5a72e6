"""The front as a table of at most 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nas.files.plain import printable
from nas.numbers import figure, percent
from nas.report.ranking import ranking_line
from nas.report.ties import expected_text, guided, tied_with, told_apart
from nas.run import Run, Trial
from nas.space.candidate import Candidate, Value

if TYPE_CHECKING:
    from rich.console import Group

HYPERPARAMETERS = {"learning_rate", "weight_decay", "label_smoothing", "optimizer", "augmentation", "precision"}
LETTERS = {"depth": "d", "kernel": "k", "expand": "e", "se": "se", "channels": "c", "op": ""}


def front_table(run: Run) -> Group:
    """The front, cheapest first: three digits a cost, accuracies to 0.1%; intervals below."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    s, front = run.settings, run.front_trials
    heads, rows = _accuracies(front, s.validation_images)
    energy = any(t.costs.energy_mj is not None for t in front)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    for name in ("trial", *heads, "ms", *["mJ"] * energy, "MB"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("network", overflow="fold")
    for t, accuracies in zip(front, rows, strict=True):
        costs = [figure(t.costs.latency_ms), *[figure(t.costs.energy_mj)] * energy, figure(t.costs.size_mb)]
        table.add_row(str(t.trial), *accuracies, *costs, t.candidate.precision, Text(printable(summary(t.candidate))))
    title = f"{s.space_name} on {s.device_name}, {s.dataset}: {len(front)} of {len(run.trials)} trials on the front"
    notes = [*accuracy_notes(run), *intervals(front), ranking_line(run)]
    return Group(Text(printable(title)), table, *(Text(note) for note in notes if note))


def _accuracies(front: Sequence[Trial], images: int) -> tuple[list[str], list[list[str]]]:
    """The columns that tell of accuracy, as narrow as they can be: heads, and the cells of each trial."""
    tested = any(t.test_accuracy is not None for t in front)
    robust, boxes = any(t.robust_accuracy is not None for t in front), any(t.average_precision for t in front)
    if not believed(front):
        heads = [f"{'mAP ' * boxes}{'val/test' if tested else 'val'} %"]
        rows = [["/".join(_bare(percent(a)) for a in (t.accuracy, t.test_accuracy)[: 1 + tested])] for t in front]
    else:
        ties = tied_with(front)
        some = any(ties.values())
        heads = [f"{'mAP' if boxes else 'expected'}\n%", "front\n%", *["tie"] * some, *["test\n%"] * tested]
        rows = [
            [_bare(expected_text(t, images)), _bare(percent(t.front_probability, 0)),
             *[" ".join(map(str, ties[t.trial][:1]))] * some, *[_bare(percent(t.test_accuracy))] * tested]
            for t in front
        ]  # fmt: skip
    return heads + ["AP50\n%"] * boxes + ["robust\n%"] * robust, [
        row + [_bare(percent(t.value("ap50")))] * boxes + [_bare(percent(t.robust_accuracy))] * robust
        for row, t in zip(rows, front, strict=True)
    ]


def _bare(text: str) -> str:
    return text.rstrip("%")


def believed(trials: Sequence[Trial]) -> bool:
    """Whether an expected accuracy is known of any of them."""
    return any(t.expected_accuracy is not None for t in trials)


EXPECTED = (
    "Expected accuracy is what trainings of the network reach on average, judged by all that the run has seen; ±: one "
    "standard deviation of what it would reach on new images. Differences between networks are surer than that: all "
    "were validated on the same images."
)
MEASURED = "Measured accuracy is that of the one set of weights that is kept, on the validation images."


def accuracy_notes(run: Run, *, whole: bool = False) -> list[str]:
    """How to read the accuracies of a front, a line each. `whole`: of a table that has every tie, and measured ones."""
    front = run.front_trials
    if not believed(front):
        return metric_notes(run)
    notes = [*metric_notes(run), f"{EXPECTED} {MEASURED}" if whole else EXPECTED]
    if any(t.front_probability is not None for t in front):
        notes.append(f"{'On the front' if whole else 'front'}: probability that no other network of the run is better "
                     "in every objective.")  # fmt: skip
    if any(tied_with(front).values()):
        tie = "Tied with: cheaper networks" if whole else "tie: the cheapest network"
        prefers = "the best by its guide and accuracy together" if guided(front) else "the cheapest"
        notes.append(f"{tie} of the front that cannot be told from this one; nas pick prefers {prefers}.")
    if any(t.accuracy_deviation is not None for t in front):
        apart = told_apart(front)
        which = "All" if apart == len(front) else f"{apart} of the"
        notes.append(f"{which} {len(front)} networks on the front can be told apart." if len(front) > 1 else "")
    notes = [note for note in notes if note]
    return notes + [left_off_text(run)] * bool(run.left_off)


def metric_notes(run: Run) -> list[str]:
    """What an accuracy is, where it is not the share of images classified correctly."""
    if run.settings.task != "detection":
        return []
    number = run.settings.validation_images
    of = f" Intervals take each of the {number:,} objects of the validation images for one answer." if number else ""
    return [
        "Accuracy is mAP, COCO's average precision, over overlaps from 0.5 to 0.95 and all classes; AP50 is that of an "
        f"overlap of at least 0.5.{of}"
    ]


def left_off_text(run: Run) -> str:
    """How many networks are not on the front though no other is expected to beat them, and which, in a sentence."""
    numbers = [str(t.trial) for t in run.left_off]
    if len(numbers) == 1:
        return f"1 network was left off the front, as it cannot be told from a cheaper one of it: trial {numbers[0]}."
    return (
        f"{len(numbers)} networks were left off the front, as they cannot be told from cheaper ones of it: trials "
        f"{', '.join(numbers)}."
    )


def intervals(trials: Sequence[Trial]) -> list[str]:
    """How far off latencies and energies may be, by precision and by what they were predicted from."""
    lines: dict[str, dict[str, str]] = {"latency": {}, "energy": {}}
    for t in trials:
        c, key = t.costs, t.candidate.precision
        lines["latency"][f"{key}, {c.latency_basis}"] = _between(c.latency_ms, c.latency_low_ms, c.latency_high_ms)
        if c.energy_mj is not None:
            lines["energy"][f"{key}, {c.energy_basis}"] = _between(c.energy_mj, c.energy_low_mj, c.energy_high_mj)
    return [f"{cost}, {key}: {between}" for cost, rows in lines.items() for key, between in sorted(rows.items())]


def _between(value: float, low: float | None, high: float | None) -> str:
    if low is None or high is None or not value:
        return "error not known"
    ends = (f"{100 * (end / value - 1):+.0f}%" for end in (low, high))
    return f"90% of held-out networks fell within {' to '.join(ends)}"


def summary(candidate: Candidate) -> str:
    """A candidate's architecture in a few letters: @resolution, xwidth, then stage by stage depth, kernel, expansion.

    Choices of single blocks are given as the stage's list: `k3535`.
    """
    values = candidate.as_dict()
    parts = [f"@{values['resolution']}"] if "resolution" in values else []
    parts += [f"x{values['width']}"] if "width" in values else []
    stages: dict[str, dict[str, list[Value]]] = {}
    for name, value in values.items():
        path = name.split(".")
        if len(path) > 1 and name not in HYPERPARAMETERS:
            stages.setdefault(path[0], {}).setdefault(path[-1], []).append(value)
    for fields in stages.values():
        depth = int(fields.get("depth", [10**6])[0])
        parts.append("".join(f"{LETTERS.get(f, f)}{_several(v[:depth])}" for f, v in fields.items()))
    return " ".join(parts)


def _several(values: list[Value]) -> str:
    """Values of single blocks: once where they are equal, side by side where each is one character."""
    texts = [str(v) for v in values]
    if len(set(texts)) == 1:
        return texts[0]
    return ("" if all(len(t) == 1 for t in texts) else ",").join(texts)
