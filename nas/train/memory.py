"""Memory that a training step has freed stays with the process, for the next step."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
KEPT_BYTES = 2**30


@cache
def keep_freed_memory() -> bool:
    """Has glibc's malloc keep up to 1 GiB of what was freed, of any size; false where there is no glibc.

    By default it asks the kernel for each tensor above 32 MiB and gives it back, and the kernel zeroes every page: a
    third of the time of a step on images of 96 pixels (mallopt(3)).
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    return all(mallopt(option, KEPT_BYTES) == 1 for option in (TRIM_THRESHOLD, MMAP_THRESHOLD))
