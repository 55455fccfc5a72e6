"""Whether two forms of a network compute the same, and where they first do not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nas.errors import UserError
from nas.models.int8 import block_modules
from nas.space.layer import Precision

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

Outputs = Callable[[np.ndarray], Mapping[str, np.ndarray]]  # of one image, every output of a graph by its name
LEAST_SNR = 10.0  # dB of a block's output against its error: a third of the values' size is error
TOLERANCE: dict[Precision, float] = {  # of the largest logit: runtimes fuse and reorder sums
    "fp32": 1e-3, "fp16": 5e-2,
}  # fmt: skip
LEAST_AGREEMENT = 0.9  # of int8's first classes with the module's; below it, the block is named where it goes wrong
SURE = math.log(0.3 / 0.7)  # the logit of a box of a detector whose class is compared


def snr(wanted: Sequence[np.ndarray], got: Sequence[np.ndarray]) -> float:
    """The ratio of a signal to its error in dB, over all images; infinite where they are equal."""
    signal = sum(float((w.astype(np.float64) ** 2).sum()) for w in wanted)
    error = sum(float(((w.astype(np.float64) - g) ** 2).sum()) for w, g in zip(wanted, got, strict=True))
    if not math.isfinite(error):
        return -math.inf
    return 10 * math.log10(max(signal, 1e-30) / error) if error else math.inf


def agreement(wanted: Sequence[np.ndarray], got: Sequence[np.ndarray]) -> float:
    """The share of images with the same first class, of scores (1, classes) of each image.

    Of a detector's (1, boxes, classes + 4) it is the share of the boxes that the first is sure of; 1 where it is sure
    of none.
    """
    if wanted[0].ndim < 3:
        return float(np.mean([w.argmax() == g.argmax() for w, g in zip(wanted, got, strict=True)]))
    alike = [_same_class(w[0, :, :-4], g[0, :, :-4]) for w, g in zip(wanted, got, strict=True)]
    every = np.concatenate(alike)
    return float(every.mean()) if every.size else 1.0


def _same_class(wanted: np.ndarray, got: np.ndarray) -> np.ndarray:
    """Of logits (boxes, classes), for each box that the first is sure of, whether the second has the same class."""
    sure = wanted.max(1) > SURE
    return np.asarray(wanted[sure].argmax(1) == got[sure].argmax(1))


def disagreement(alike: float, images: int, *, boxes: bool) -> str:
    """What is said of an int8 file whose first classes agree with fp32's on that share."""
    where = f"{1 - alike:.0%} of the boxes that fp32 is sure of" if boxes else f"{round((1 - alike) * images)} of"
    return f"int8 gives another class than fp32 on {where}{'' if boxes else f' {images} images'}"


def largest_difference(wanted: Sequence[np.ndarray], got: Sequence[np.ndarray]) -> float:
    """The largest difference of logits (1, classes), as a share of an image's largest; NaN where one is."""
    shares = [float(np.abs(g - w).max() / max(np.abs(w).max(), 1e-6)) for g, w in zip(got, wanted, strict=True)]
    return max(shares) if np.isfinite(shares).all() else math.nan


def block_values(module: nn.Module, images: Iterable[np.ndarray]) -> dict[str, list[np.ndarray]]:
    """The output of each block of a module, by the block's name in order of execution, of each image.

    A block whose weights are shared runs more than once: its own output is the first.
    """
    import torch

    found: dict[str, list[np.ndarray]] = {}
    seen: dict[str, np.ndarray] = {}  # of one image

    def note(name: str, output: Tensor) -> None:
        seen.setdefault(name, output.numpy())

    hooks = [
        part.register_forward_hook(lambda _, inputs, output, name=name: note(name, output))
        for name, part in block_modules(module).items()
    ]
    try:
        with torch.inference_mode():
            for image in images:
                seen.clear()
                module(torch.from_numpy(image))
                for name, value in seen.items():
                    found.setdefault(name, []).append(value)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def first_block_that_differs(
    wanted: Mapping[str, Sequence[np.ndarray]], got: Mapping[str, Sequence[np.ndarray]], least: float = LEAST_SNR
) -> str | None:
    """The first block whose values have an SNR below `least` dB; None where none has. A block may lack from `got`."""
    for block, values in wanted.items():
        if block in got:
            there = [v.astype(np.float32).reshape(w.shape) for v, w in zip(got[block], values, strict=True)]
            if snr(values, there) < least:
                return block
    return None


def check_difference(path: Path, precision: Precision, difference: float, where: Callable[[float], str | None]) -> None:
    """Raises UserError for logits that differ by more than TOLERANCE, naming the block that `where` finds.

    `where` gives the first block with an SNR below so many dB. Of int8 the difference must be finite.
    """
    allowed = TOLERANCE.get(precision, math.inf)
    if difference <= allowed and math.isfinite(difference):
        return
    raise UserError(
        f"{path} is not written: in {precision} the exported network differs from the module by {difference:.2%} of "
        f"its largest logit, where at most {allowed:.2%} is allowed; the first block that differs is "
        f"{where(-20 * math.log10(min(allowed, 0.3))) or 'the last'}"
    )
