"""The learning curve of a full training, as a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nas.numbers import duration, percent
from nas.page import Column, document, table
from nas.page.chart import line_chart
from nas.train.loop import Epoch

if TYPE_CHECKING:
    from nas.train.full_folder import Result


def curve_page(name: str, curve: Sequence[Epoch], result: Result) -> str:
    """Accuracy and losses by epoch, and the accuracies at the end."""
    from markupsafe import Markup

    epochs = list(range(1, len(curve) + 1))
    reached = line_chart(
        "Validation accuracy, %, of the averaged weights", "epoch", epochs,
        {"validation accuracy": [100 * e.validation_accuracy for e in curve]},
    )  # fmt: skip
    losses = line_chart(
        "Loss: in training of the images as they are augmented, with label smoothing", "epoch", epochs,
        {"training": [e.train_loss for e in curve], "validation": [e.validation_loss or 0.0 for e in curve]},
    )  # fmt: skip
    rows = [
        (precision, f"{percent(a.test)} of {a.test_images:,}", f"{percent(a.validation)} of {a.validation_images:,}")
        for precision, a in result.accuracy.items()
    ]
    columns = [Column("precision", number=False), Column("test"), Column("validation")]
    found = table("Accuracy at the end", columns, rows)
    lead = (
        f"{result.epochs} epoch{'s' * (result.epochs > 1)}, {result.steps:,} steps, {duration(result.seconds)}; "
        f"teacher: {result.teacher}. The model is the average of the last weights; no epoch was chosen by these "
        "curves, and the test images were looked at once, after the last step."
    )
    charts = Markup('<div class="side-by-side">{}{}</div>').format(reached, losses)
    body = Markup("<section><h2>Learning curve</h2>{}</section><section><h2>Accuracy at the end</h2>{}</section>")
    return document(f"{name}, trained in full", lead, body.format(charts, found))
