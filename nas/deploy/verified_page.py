"""What verifications of a version found, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nas.deploy.accuracy import Accuracy
from nas.deploy.card import Card
from nas.deploy.model_card import shown
from nas.numbers import figure
from nas.runtimes.runtime import Form, parts_of

if TYPE_CHECKING:
    from nas.deploy.verify import Verified, VerifiedModel

HEADS = (
    "precision", "runtime", "accuracy", "less fp32", "p50 ms", "p90 ms", "p99 ms", "CPU ms", "of fp32", "predicted ms",
    "load ms", "first ms", "mJ", "predicted mJ", "memory MB", "predicted MB", "file MB", "verdict",
)  # fmt: skip


def verified_page(card: Card, verified: Sequence[Verified]) -> str:
    """The last one first."""
    parts = [f"# Version {card.version}, as verified\n"]
    for one in reversed(verified):
        parts += [f"## {one.where}, {one.at[:10]}\n", table(one), "", *(f"- {line}" for line in sentences(one)), ""]
    return "\n".join(parts)


def table(one: Verified) -> str:
    """A row a model."""
    rows = [HEADS, ["---"] * len(HEADS), *(cells(form, model) for form, model in one.models.items())]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def cells(form: Form, m: VerifiedModel) -> list[str]:
    """The cells under `HEADS`."""
    (precision, runtime), t, p = parts_of(form), m.measured, m.predicted
    return [
        precision, runtime, shown(m.accuracy), points(m.less_fp32), figure(t.p50_ms), figure(t.p90_ms),
        figure(t.p99_ms), figure(t.cpu_ms), ratio(m.relative), figure(p.latency_ms if p else None), figure(t.load_ms),
        figure(t.first_ms), figure(t.energy_mj), figure(p.energy_mj if p else None),
        figure(t.memory_mb), figure(p.weights_mb + p.activations_mb if p else None), figure(m.megabytes), m.verdict,
    ]  # fmt: skip


def named(form: Form) -> str:
    """A model in words: its precision, and LiteRT where it is for that."""
    precision, runtime = parts_of(form)
    return precision if runtime == "onnxruntime" else f"{precision} LiteRT"


def points(difference: Accuracy | None) -> str:
    """A difference of accuracies in points, with its interval."""
    if difference is None:
        return "-"
    return f"{100 * difference.value:+.1f} ({100 * difference.low:+.1f} to {100 * difference.high:+.1f})"


def ratio(relative: tuple[float, float, float] | None) -> str:
    return "-" if relative is None else "{:.2f} ({:.2f} to {:.2f})".format(*relative)


def sentences(one: Verified) -> list[str]:
    """What the table cannot say, a sentence each."""
    said = [
        f"{one.count:,} of {one.total:,} images of {one.images}; {one.pictures} picture files became the same pixels "
        "there as in training, to the bit",
        "times are of batch 1, each the second of two runs, the models in turn in every round; CPU ms are of all "
        "threads; load and first are medians over new processes; memory is what a process grows by",
    ]
    device = next((m.predicted.device for m in one.models.values() if m.predicted), None)
    if device is not None and not one.same_device:
        said.append(f"predictions are for {device}, which is not this machine, so they say nothing about these times")
    runtime = next((m.predicted.runtime for m in one.models.values() if m.predicted), "")
    if runtime and len({parts_of(form)[1] for form in one.models}) > 1:
        said.append(f"predicted times are of the profile's own runtime, {runtime}")
    said.append("predicted memory is of weights and activations, without the runtime's own")
    for form, model in one.models.items():
        precision = named(form)
        if model.verdict != "no budgets":
            said.append(f"{precision}: {model.verdict} ({model.verdict_words})")
        said += [f"{precision} is slower than fp32 here: {reason}" for reason in model.slower]
        card = model.of_card
        if card is not None and abs(card.value - model.accuracy.value) > 0.5 / one.count:
            said.append(
                f"{precision}: the card's accuracy is {100 * card.value:.1f}%; other processors round otherwise"
            )
    return said + one.notes
