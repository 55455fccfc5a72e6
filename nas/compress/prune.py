"""Structured pruning, a step: whole channels leave, those that cost the device most for what they give."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nas.compress.channels import groups_of, importance, pruned
from nas.compress.finetune import EPOCHS, check_epochs, check_share, fine_tuned, profile_for
from nas.compress.plan import comparable, gain, sizes_for
from nas.compress.step import Given, with_step
from nas.space.layer import Precision

if TYPE_CHECKING:
    from nas.models.trained import TrainedModel

MULTIPLE, INT8_MULTIPLE = 8, 16  # of channels; others than these are slower than what was pruned
DEAR = 1.5  # times the share of the latency: more of the MACs than that is a warning


@dataclass(frozen=True, slots=True)
class Prune:
    """A `Step`. `share` of the latency that the device's profile predicts is taken away, then the rest is fine-tuned.

    What the device gains is said before anything is trained. Channels stay multiples of 8, in int8 of 16: unrounded,
    MobileNetV2 with half the MACs was 1.23 times slower in ONNX Runtime.
    """

    name: str = field(default="prune", init=False)
    share: float = 0.3
    epochs: int = EPOCHS
    precision: Precision | None = None  # that latency is predicted in; None: the model's

    def __post_init__(self) -> None:
        check_share(self.share, "latency to prune")
        check_epochs(self.epochs)

    def apply(self, model: TrainedModel, given: Given) -> TrainedModel:
        """Raises UserError without a profile, where it cannot predict or reach that, and for a training that fails."""
        precision = self.precision or model.precision
        profile = comparable(profile_for(model, given, "what to prune is chosen by a device's profile"), precision)
        multiple = INT8_MULTIPLE if precision == "int8" else MULTIPLE
        groups = groups_of(model.network)
        worth = importance(model, groups)
        made = pruned(model, sizes_for(model.network, worth, profile, precision, self.share, multiple), worth)
        gained = gain(profile, model.network, made.network, precision)
        given.on_progress(f"{gained.text}; nothing is trained yet")
        taken = 1 - made.network.macs / model.network.macs
        if taken > DEAR * (1 - gained.latency):
            given.on_progress(
                f"{taken:.0%} of the MACs for {1 - gained.latency:.0%} of the latency: most of this network's time is "
                "what every layer costs, and accuracy may fall far; a smaller network of the search may keep more"
            )
        tuned = fine_tuned(model, made, given, self.epochs)
        line = f"{self.name}: {gained.text}; {tuned.text}"
        given.on_progress(line)
        return with_step(tuned.model, line)
