"""What one proxy training may cost."""

from __future__ import annotations

from dataclasses import dataclass

from nas.errors import UserError
from nas.space.network import Network

SMALLEST_RESOLUTION = 8  # pixels
RESOLUTION_STEP = 8  # small resolutions are its multiples, so that few resized copies of the data are made
CURVE_IMAGES = 500  # of the validation split, at least, that each epoch is measured on
CURVE_SHARE = 1 / 8  # of an epoch's training images, where that is more


@dataclass(frozen=True, slots=True)
class Fidelity:
    """What one proxy training may cost.

    Most of its steps may see small images. It always ends at the candidate's own resolution, where its accuracy is
    measured: that of the network whose cost is known, and that `nas build` writes.
    """

    epochs: int = 6
    data_share: float = 1.0  # of the training split
    resolution_share: float = 0.5  # of the candidate's resolution, at first
    full_resolution_share: float = 0.2  # of the steps, the last, at the candidate's own resolution
    validation_share: float = 1.0  # of the validation split, that accuracies are measured on, the same for all
    batch_size: int = 64

    def __post_init__(self) -> None:
        for name in ("data_share", "resolution_share", "full_resolution_share", "validation_share"):
            if not 0 < getattr(self, name) <= 1:
                raise UserError(f"{name} must lie above 0 and at most at 1; got {getattr(self, name)}")
        if self.epochs < 1 or self.batch_size < 2:
            raise UserError(
                f"epochs must be at least 1, and batch_size at least 2 for batch norm; "
                f"got {self.epochs} and {self.batch_size}"
            )

    def small_resolution(self, network: Network) -> int:
        """Pixels of the first training images for a network."""
        size = network.input_shape[1]
        share = RESOLUTION_STEP * round(size * self.resolution_share / RESOLUTION_STEP)
        return min(size, max(SMALLEST_RESOLUTION, share))


def watched_images(training: int, validation: int) -> int:
    """How many validation images each epoch of so many training images is measured on."""
    return min(validation, max(CURVE_IMAGES, round(CURVE_SHARE * training)))
