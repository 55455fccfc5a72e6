"""Images as an exported network takes them, from a split of a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from nas.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from nas.data.dataset import Split
    from nas.models.trained import Preprocessing

_BATCH = 64  # images that are decoded at a time


def network_inputs(preprocessing: Preprocessing, split: Split, most: int | None = None) -> Iterator[np.ndarray]:
    """The images of a split, or the first `most`, as float32 (1, 3, resolution, resolution), one after the other."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (preprocessing.mean, preprocessing.std))
    for batch in torch.arange(min(len(split), most or len(split))).split(_BATCH):  # type: ignore[no-untyped-call]
        pixels = split.images.take(batch, preprocessing.resolution).permute(0, 3, 1, 2)
        for image in (pixels.float() - mean) / std:
            yield image[None].contiguous().numpy()


def check_calibration(classes: Sequence[str], split: Split | None) -> Split:
    """The images that give int8 its ranges. Raises UserError where there are none, or all of one class."""
    if split is None or not len(split):
        raise UserError("int8 takes its ranges from calibration images; got none")
    if split.labels.ndim > 1:
        if not split.counted:
            raise UserError(f"calibration pictures must show an object; got {len(split)} without any")
        return split
    if int(split.labels.min()) < 0 or int(split.labels.max()) >= len(classes):
        raise UserError(f"calibration images must be of the model's {len(classes)} classes; got other labels")
    if int(split.labels.min()) == int(split.labels.max()):
        name = classes[int(split.labels[0])]
        raise UserError(f"calibration images must be of at least two classes; got {len(split)} of {name[:80]!r} alone")
    return split
