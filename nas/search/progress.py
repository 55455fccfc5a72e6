"""Where a search stands, as it tells whoever started it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nas.run import Trial


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a search stands. `hypervolume` is that of `nas.run.front_volume`, from 0 to 1."""

    done: int
    total: int
    front: int
    hypervolume: float
    seconds: float  # since this process began to search
    seconds_left: float | None  # None: not known yet
    trial: Trial | None  # the one that has just ended
    note: str = ""  # why the search ended, where it was not the number of trials
    confirmed: int = 0  # trainings with another seed that have ended
    confirming: int = 0  # how many are wanted; 0: the search still trains new networks
    preparing: tuple[str, int, int] | None = None  # before the first trial: of what, how many are done, of how many


OnProgress = Callable[[Progress], object]
