"""README.md of a version: a model card (Mitchell et al., FAT* 2019), from card.toml alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nas.deploy.accuracy import Accuracy
from nas.deploy.card import Card, ModelFile
from nas.deploy.detected import FOUND, Detected, by_class, by_size
from nas.files.plain import printable
from nas.numbers import count, figure, percent
from nas.run.average_precision import SIZES
from nas.runtimes.runtime import parts_of

MOST_CLASSES = 100  # that are named
SIZED = (
    "Objects are small below 32 x 32 pixels, medium up to 96 x 96 and large beyond, by their area in their own "
    "picture,\nas COCO has it; none: there is no such object among the test images."
)
DRAWN = "White: what is there. In the color of its class, with its probability: what {} finds, from 40% on."


class Words(NamedTuple):
    """What a card says of a kind of network."""

    title: str
    names: str
    accuracy: str
    use: str


CLASSIFIER = Words(
    "Image classifier", "names one of", "top-1",
    "It classifies pictures like those of its dataset, cut to the middle square. It gives every picture one of its "
    "classes,\nalso a picture of none of them.",
)  # fmt: skip
DETECTOR = Words(
    "Object detector", "finds objects of", "COCO's mAP, over overlaps from 0.5 to 0.95",
    "It finds objects in pictures like those of its dataset, each looked at whole. Small objects, and those that its "
    "dataset has\nfew of, are found least; mAP is a mean over all classes.",
)  # fmt: skip


def model_card(card: Card, classes: Sequence[str]) -> str:
    """The card in Markdown."""
    trial = f", trial {card.trial}" if card.trial is not None else ""
    named = ", ".join(map(_plain, classes[:MOST_CLASSES]))
    if len(classes) > MOST_CLASSES:
        named += f" and {len(classes) - MOST_CLASSES} more"
    proxy = (
        "**The weights are those of the search's short training: good to measure with, not to deploy.** "
        "`nas deploy` without --no-train trains in full.\n\n"
    )
    measured = f"measured, {_plain(card.measured_on)}" if card.measured_on else "measured"
    heads = ("precision", "runtime", "file", "MB", "validation", "test", f"predicted, {_plain(card.device)}", measured)
    cells = [
        (
            parts_of(p)[0],
            m.runtime,
            _plain(m.file),
            figure(m.megabytes),
            shown(m.validation) + at_50(m.validation_at_50),
            shown(m.test) + at_50(m.test_at_50),
            _predicted(m),
            _measured(m),
        )
        for p, m in card.models.items()
    ]
    rows = _table(heads, cells)
    found = "\n".join(f"- {p}: {_plain('; '.join([m.agreement, *m.notes]))}" for p, m in card.models.items())
    recipe = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in card.recipe.items())
    hashes = "\n".join(f"- {name}: `{digest}`" for name, digest in card.hashes.items())
    if card.weights != "proxy":
        proxy = ""
    words = DETECTOR if card.task == "detection" else CLASSIFIER
    return f"""# {words.title}, version {card.version}

{proxy}A network of {count(card.params)} parameters and {count(card.macs)} MACs for pictures of
{card.resolution} x {card.resolution} pixels, of run {_plain(card.run)}{trial}.
It {words.names} {len(classes)} classes: {named}.

    pip install -r requirements.txt
    python run.py image.jpg

## Accuracy and costs
{rows}

{found}

Accuracies are those of the file itself, with 95% intervals: {words.accuracy}, run by its runtime. Validation images
chose the network, so its validation accuracy is biased by selection; test images did not.

{_boxes(card, classes)}{_robustness(card)}

## How it was made
- dataset: {_plain(card.dataset)}; licence: {_plain(card.licence) or "not known (`--data-licence`)"}
- steps: {_plain("; ".join(card.steps)) or "none"}
- recipe: {_plain(recipe) or "not known"}
- made {card.made} with {card.tool}
{hashes}

## What it is for
{words.use} nas did not measure it on groups of people, nor on other cameras and light.
"""


def shown(accuracy: Accuracy | None) -> str:
    """An accuracy or a difference with its interval; a dash where it was not measured."""
    if accuracy is None:
        return "-"
    return (
        f"{percent(accuracy.value)} ({100 * accuracy.low:.1f} to {100 * accuracy.high:.1f}, {accuracy.images:,} images)"
    )


def _boxes(card: Card, classes: Sequence[str]) -> str:
    """Of a detector: what its boxes are worth by overlap, size and class, and some pictures; else nothing."""
    found: dict[str, Detected] = {form: one.detected for form, one in card.models.items() if one.detected is not None}
    if not found:
        return ""
    named = by_class(found, classes)[:MOST_CLASSES]
    tables = [_table(("test images", "AP75", *(f"mAP, {size}" for size in SIZES)), by_size(found))]
    if named:
        tables.append(_table(("mAP / AP50", *found), [(_plain(name), *rest) for name, *rest in named]))
    if len(classes) > len(named):
        tables.append(f"{len(classes) - len(named):,} more classes: card.toml, up to a thousand.")
    tables = [*tables, SIZED, f"![test images with boxes]({FOUND})", DRAWN.format(card.first)]
    return "\n\n".join(tables) + "\n\n"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows))


def _robustness(card: Card) -> str:
    """What corruptions do to its accuracy, in a sentence and a table; or why that is not known."""
    found = card.robustness
    if found is None:
        return f"Robustness was not measured{': ' * bool(card.no_robustness)}{_plain(card.no_robustness)}."
    rows = "\n".join(f"| {_plain(kind)} | {percent(value)} |" for kind, value in found.kinds.items())
    between = f"{100 * found.low:.1f} to {100 * found.high:.1f}"
    return f"""Robustness, of {found.model}: {percent(found.value)} ({between}) on corrupted test images,
{percent(found.clean)} on the same {found.images} images as they are. Each is seen in three severities of each
kind (Hendrycks and Dietterich, ICLR 2019):

| corruption | test |
| --- | --- |
{rows}"""


def at_50(accuracy: Accuracy | None) -> str:
    """Of a detector, AP50 with its interval."""
    return f", AP50 {shown(accuracy)}" if accuracy else ""


def _predicted(model: ModelFile) -> str:
    cost = model.predicted
    if cost is None or cost.latency_ms is None:
        return "-"
    low, high = cost.latency_low_ms, cost.latency_high_ms
    between = f" ({figure(low)} to {figure(high)})" if low is not None and high is not None else ""
    return f"{figure(cost.latency_ms)} ms{between}"


def _measured(model: ModelFile) -> str:
    m = model.measured
    if m is None:
        return "-"
    boxes = "" if m.boxes_ms is None else f"; its boxes {figure(m.boxes_ms)} ms more"
    return f"{figure(m.p50_ms)} ms, p99 {figure(m.p99_ms)} ms{boxes}"


def _plain(text: str) -> str:
    """A text of the user's as Markdown may have it, in one line."""
    return "".join(f"\\{c}" if c in "\\`*_|<>[]" else c for c in printable(" ".join(text.split())))
