"""What verifications of a deployment found, as a page: every variant under the same threads, batch and images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nas.deploy.accuracy import Accuracy
from nas.deploy.card import Card
from nas.deploy.detected import by_class
from nas.deploy.detected_page import detected_parts
from nas.deploy.variant import variant
from nas.numbers import figure, percent
from nas.page import Column, bar, bullets, document, table

if TYPE_CHECKING:
    from markupsafe import Markup

    from nas.deploy.verified import Verified, VerifiedModel

    Rows = Sequence[tuple[str, VerifiedModel]]

WORDS = Column("variant", number=False)
FEW = 10  # classes that are named in a sentence


def verified_page(name: str, sessions: Sequence[tuple[Mapping[int, Card], Mapping[int, Verified]]]) -> str:
    """The page of a folder; a session is the versions that were measured together. The first one comes first."""
    from markupsafe import Markup

    parts = [_section(cards, found, place) for place, (cards, found) in enumerate(sessions)]
    lead = (
        "Every variant of a section ran on the same images with as many threads, batch 1, in turn in one process, so "
        "that their ratios hold where the machine was busy."
    )
    return document(f"{name}, as verified", lead, Markup("\n").join(parts))


def _section(cards: Mapping[int, Card], found: Mapping[int, Verified], place: int) -> Markup:
    from markupsafe import Markup

    one, rows = next(iter(found.values())), list(rows_of(cards, found))
    accuracy, *costs = _tables(rows, one)
    tables = [accuracy, *detected_parts(rows, found, place), *costs]
    return Markup("<section><h2>{}, {}</h2>\n{}\n{}</section>").format(
        one.where, one.at[:10], Markup("\n").join(tables), bullets(sentences(cards, found))
    )


def rows_of(cards: Mapping[int, Card], found: Mapping[int, Verified]) -> Rows:
    """Each model under its variant's name, with its version's number where there are several."""
    several = len(found) > 1
    return [
        (f"{f'version {version}: ' if several else ''}{variant(cards[version], form)}", model)
        for version, one in found.items() for form, model in one.models.items()
    ]  # fmt: skip


def _tables(rows: Rows, one: Verified) -> list[Markup]:
    """Accuracy, time, and what it takes: each narrow enough for a phone, or nearly."""
    base, most = one.base, max(m.measured.p50_ms for _, m in rows)
    device = next((m.predicted.device for _, m in rows if m.predicted), "")
    largest = max(m.megabytes for _, m in rows)
    energy = any(m.measured.energy_mj is not None for _, m in rows)
    detects = any(m.at_50 is not None for _, m in rows)
    metric = "mAP" if detects else "accuracy"
    accuracy = table("Accuracy", [WORDS, Column(metric), Column(f"less {base}, points"), Column("on its card"),
                                  Column("budgets", number=False)], [
        (name, _interval(m.accuracy), points(m.less_fp32), percent(m.of_card.value) if m.of_card else "-",
         _verdict(m)) for name, m in rows
    ])  # fmt: skip
    boxes = table("AP50, and what the boxes take", [WORDS, Column("AP50"), Column(f"less {base}, points"),
                                                    Column("decoding and suppression ms")], [
        (name, _interval(m.at_50), points(m.at_50_less_fp32), figure(m.measured.boxes_ms))
        for name, m in rows if m.at_50
    ])  # fmt: skip
    time = table("Time", [WORDS, Column("p50 ms"), Column("p90"), Column("p99"), Column(f"of {base}"),
                          Column(f"predicted, {device}" if device else "predicted"), Column("load ms"),
                          Column("first ms"), Column("CPU ms")], [
        (name, bar(t.p50_ms / most, figure(t.p50_ms)), figure(t.p90_ms), figure(t.p99_ms), ratio(m.relative),
         figure(m.predicted.latency_ms if m.predicted else None), figure(t.load_ms), figure(t.first_ms),
         figure(t.cpu_ms)) for name, m in rows for t in (m.measured,)
    ])  # fmt: skip
    heads = [WORDS, Column("file MB"), Column("memory MB"), Column("predicted MB")]
    heads += [Column("mJ"), Column("predicted mJ")] if energy else []
    taken = table("Size, memory and energy", heads, [
        (name, bar(m.megabytes / largest, figure(m.megabytes)), figure(m.measured.memory_mb),
         figure(m.predicted.weights_mb + m.predicted.activations_mb if m.predicted else None),
         *((figure(m.measured.energy_mj), figure(m.predicted.energy_mj if m.predicted else None)) if energy else ()))
        for name, m in rows
    ])  # fmt: skip
    parts = [_titled("Accuracy", accuracy), *[_titled("Boxes", boxes)] * detects]
    return [*parts, _titled("Time", time), _titled("Size, memory and energy" if energy else
            "Size and memory", taken)]  # fmt: skip


def _titled(title: str, part: Markup) -> Markup:
    from markupsafe import Markup

    return Markup("<h3>{}</h3>\n{}").format(title, part)


def _verdict(model: VerifiedModel) -> Markup:
    from markupsafe import Markup

    kind = model.verdict if model.verdict in ("feasible", "violates") else "soft"
    return Markup('<span class="{}">{}</span>').format(kind, model.verdict)


def _interval(accuracy: Accuracy) -> str:
    return f"{percent(accuracy.value)} ({100 * accuracy.low:.1f} to {100 * accuracy.high:.1f})"


def points(difference: Accuracy | None) -> str:
    """A difference of accuracies in points, with its interval."""
    if difference is None:
        return "-"
    return f"{100 * difference.value:+.1f} ({100 * difference.low:+.1f} to {100 * difference.high:+.1f})"


def ratio(relative: tuple[float, float, float] | None) -> str:
    return "-" if relative is None else "{:.2f} ({:.2f} to {:.2f})".format(*relative)


def _robustness(card: Card, *, several: bool) -> str:
    """What the card says of corrupted images; nothing where it does not."""
    robust = card.robustness
    if robust is None:
        return ""
    name = f"version {card.version}, {robust.model}" if several else robust.model
    return (
        f"{name}: its card has {_interval(Accuracy(**robust.model_dump(include=set(Accuracy.model_fields))))} on test "
        f"images under {len(robust.kinds)} kinds of corruption, {percent(robust.clean)} on the same {robust.images} "
        "images as they are"
    )


def _licences(cards: Mapping[int, Card], found: Mapping[int, Verified]) -> list[tuple[str, str]]:
    """Each dataset that versions were made from, with its licence where one was given."""
    return list(dict.fromkeys((cards[n].dataset, cards[n].licence) for n in found if cards[n].licence))


def sentences(cards: Mapping[int, Card], found: Mapping[int, Verified]) -> list[str]:
    """What the tables cannot say, a sentence each."""
    one, rows = next(iter(found.values())), rows_of(cards, found)
    said = [
        f"{one.count:,} of {one.total:,} images of {one.images}; {one.pictures} picture files became the same pixels "
        "there as in training, to the bit",
        f"{one.threads} thread{'s' * (one.threads > 1)}; times are of batch 1, each the second of two runs, the "
        "models in turn in every round; CPU ms are of all threads; load and first are medians over new processes; "
        "memory is what a process grows by",
    ]
    device = next((m.predicted.device for _, m in rows if m.predicted), None)
    if device is not None and not one.same_device:
        said.append(f"predictions are for {device}, which is not this machine, so they say nothing about these times")
    if any(m.measured.boxes_ms is not None for _, m in rows):
        said.append("times are of the network alone; decoding its boxes and suppressing those that overlap is done "
                    "after it, in NumPy, and is measured apart")  # fmt: skip
    if one.classes and len(one.classes) <= FEW:
        for name, model in rows:
            if model.detected and (classes := by_class({name: model.detected}, one.classes)):
                said.append(f"{name}: mAP / AP50 of {', '.join(f'{label} {share}' for label, share in classes)}")
    said.append("predicted memory is of weights and activations, without the runtime's own")
    said += [robustness for number in found if (robustness := _robustness(cards[number], several=len(found) > 1))]
    said += [f"licence of {dataset}: {licence}" for dataset, licence in _licences(cards, found)]
    for name, model in rows:
        if model.verdict != "no budgets":
            said.append(f"{name}: {model.verdict} ({model.verdict_words})")
        said += [f"{name} is slower than {one.base} here: {reason}" for reason in model.slower]
        card = model.of_card
        if card is not None and abs(card.value - model.accuracy.value) > 0.5 / one.count:
            said.append(f"{name}: the card's accuracy is {percent(card.value)}; other processors round otherwise")
    return said + one.notes
