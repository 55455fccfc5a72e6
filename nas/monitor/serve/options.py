"""How a folder is served."""

from __future__ import annotations

from pathlib import Path

from .drawn import MOST_DRAWN

WINDOW = 500  # frames served


class Options:
    """How a folder is served. `precision` and `threads` None: the version's. `deadline_ms`: from capture to result.

    `every`: no frame is skipped. `window`: frames served to a line of the log. `keep`: most frames kept of alarms.
    `automatic_return`: a version that proves worse than the one before it is left for that one.
    `least`: of a detector, the probability of an object; None: 0.4. `draw`: a folder for the newest frames with their
    boxes, at most `drawn` of them. `max_latency_ms`: of inference; several models are loaded, and the most accurate
    that keeps it serves.
    """

    def __init__(
        self, *, every: bool = False, fps: float | None = None, deadline_ms: float | None = None, top: int = 1,
        as_json: bool = False, quiet: bool = False, precision: str | None = None, threads: int | None = None,
        window: int = WINDOW, keep: int = 0, automatic_return: bool = True,
        max_latency_ms: float | None = None, least: float | None = None, draw: Path | None = None,
        drawn: int = MOST_DRAWN,
    ) -> None:  # fmt: skip
        self.every, self.fps, self.deadline_ms, self.top = every, fps, deadline_ms, top
        self.as_json, self.quiet, self.precision, self.threads = as_json, quiet, precision, threads
        self.window, self.keep, self.automatic_return = window, keep, automatic_return
        self.max_latency_ms, self.least = max_latency_ms, least
        self.draw, self.drawn = draw, drawn
