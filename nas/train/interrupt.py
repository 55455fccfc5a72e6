"""An interrupt that waits for the end of a training step, so that what is kept is whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def waiting_interrupt() -> Iterator[Callable[[], bool]]:
    """Ctrl-C during the block only makes what it yields true; a second one is a KeyboardInterrupt at once.

    Outside the main thread, and where interrupts are ignored, nothing changes.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before == signal.SIG_IGN:
        yield lambda: False
        return
    asked = False

    def wait(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    signal.signal(signal.SIGINT, wait)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
