"""What a study holds so far, as a sampler sees it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.pareto import Array

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Tried:
    """Trials by rows: codes (n, d), objectives (n, m) as known or told, minimised."""

    codes: Array
    values: Array
    feasible: Mask
    done: Mask  # the others are running, and NaN in what must be learned
