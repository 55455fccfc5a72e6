"""Acts on what the watch finds: adapts the network that is served, beside serving it, and undoes it in time.

An alarm of the accuracy asks for it. It is tried on recent frames by another thread, again a little later where those
were too few or of too few classes. It is undone when the picture is as usual again, and when the network as it was
deployed is estimated to do as well: an adapted one is worse on what it was trained for.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any, Callable, Dict, List, Sequence, Tuple

import numpy as np

from .adapt import (
    ARRAYS,
    EXPOSURE,
    FEWEST,
    GRAPH,
    MOST,
    Estimate,
    Exposed,
    Folding,
    Inputs,
    NotAdaptable,
    Outcome,
    Start,
    attempt,
    scores_of,
    table_of,
)  # fmt: skip
from .terminal import say

ESTIMATE = "accuracy"  # the chart of what the accuracy is estimated to be
MOST_BYTES = 16_000_000  # of frames that are kept: 512 of 32 pixels, 106 of 224
WAIT_S = 5.0  # between two attempts that could not be made
TRIALS = 12  # of one alarm
CHECK_FRAMES = 1000  # served, between two looks whether the network as deployed would do as well

Event = Dict[str, Any]
News = Tuple[Any, List[Event]]  # the network to serve from here on, None the one that was deployed; the log's lines


class Acting:
    """For one model that is served. `start` makes a network of a file's bytes; `as_input` is the preprocessing.

    `hear` gets every frame with the events of the watch; `poll` gives what is to be done between two frames.
    """

    def __init__(
        self, folding: Folding, estimate: Estimate, start: Start,
        as_input: Callable[[np.ndarray], np.ndarray], *, exposed: Callable[[Sequence[np.ndarray]], Any] | None = None,
        wait_s: float = WAIT_S,
    ) -> None:  # fmt: skip
        self.folding, self.estimate, self.start, self.as_input = folding, estimate, start, as_input
        self.exposed = exposed
        self.frames: deque[tuple[np.ndarray, np.ndarray]] = deque()
        self.most = 0  # frames that are kept; known with the first
        self.adapted: Any = None  # the network that is served in the place of the deployed one
        self.way = ""  # in which it was adapted
        self.wanted = 0  # attempts that are left
        self.since = 0  # frames since the last change
        self.wait_s, self.tried = wait_s, -wait_s
        self.thread: threading.Thread | None = None
        self.result: Outcome | NotAdaptable | None = None
        self.undo = ""  # why it is to be undone

    def ask(self) -> None:
        """The accuracy is too low: recent frames are to be adapted to."""
        self.wanted = TRIALS

    def hear(self, pixels: np.ndarray, scores: np.ndarray, events: list[Event]) -> None:
        """A frame that was served: uint8 (r, r, 3), the scores float32 (classes,), and what the watch said of it."""
        if not self.most:
            self.most = max(FEWEST, min(MOST, MOST_BYTES // pixels.nbytes))
        self.frames.append((pixels, scores))
        self.since += 1
        if len(self.frames) > self.most:
            self.frames.popleft()
        for event in events:
            if event.get("kind") == "alarm" and event.get("chart") == ESTIMATE and self.adapted is None:
                self.ask()
            if event.get("kind") == "clear" and event.get("chart") == "picture":
                self.wanted = 0
                if self.adapted is not None:
                    self.undo = "the pictures are as usual again"

    def poll(self) -> News | None:
        """What is to be done now, between two frames; None: nothing."""
        if self.thread is not None:
            if self.thread.is_alive():
                return None
            self.thread = None
            return self._ended()
        if self.undo:
            why, self.undo, self.adapted = self.undo, "", None
            return None, [dict(self._changed({}), kind="undo", why=why)]
        now = time.monotonic()
        checks = self.adapted is not None and self.since >= CHECK_FRAMES
        tries = self.wanted > 0 and self.adapted is None and len(self.frames) >= FEWEST
        if (checks or tries) and now - self.tried >= self.wait_s:
            self.tried, frames = now, list(self.frames)
            self.thread = threading.Thread(target=self._try, args=(frames, checks), daemon=True)
            self.thread.start()
        return None

    def join(self) -> None:
        """Waits for the attempt that is under way."""
        if self.thread is not None:
            self.thread.join()

    def _try(self, frames: list[tuple[np.ndarray, np.ndarray]], checks: bool) -> None:
        """In another thread: NumPy and the runtime let serving go on."""
        images = Inputs([pixels for pixels, _ in frames], self.as_input)
        scores = np.stack([scores for _, scores in frames])
        try:
            if checks:
                deployed = self.estimate(scores_of(self.start(self.folding.model), images), False)[0]
                now = self.estimate(scores, self.way != EXPOSURE)[0]
                facts = {"before": round(now, 4), "after": round(deployed, 4), "images": len(images)}
                self.result = Outcome(None, dict(facts, accepted=now >= deployed))
            else:
                self.result = attempt(self.folding, images, scores, self.estimate, self.start, self.exposed)
        except NotAdaptable as refused:
            self.result = refused
        except Exception as error:  # serving goes on, whatever happens here
            self.result = NotAdaptable(f"{type(error).__name__}: {str(error)[:200]}")
            self.wanted = 0

    def _ended(self) -> News | None:
        result, self.result = self.result, None
        if isinstance(result, NotAdaptable):
            self.wanted -= 1
            if self.wanted == 0:
                return self.adapted, [{"kind": "adapt", "why": f"not adapted: {result}"}]
            return None
        if result is None:
            return None
        facts = dict(result.facts)
        accepted = facts.pop("accepted")
        if self.adapted is not None:  # a check
            self.since = 0
            if accepted:
                return None
            self.adapted = None
            return None, [dict(self._changed(facts), kind="undo", why="as deployed it is estimated to do as well")]
        self.wanted = 0
        if not accepted:
            return None, [dict(facts, kind="adapt", why="not adapted: the estimated accuracy does not rise")]
        self.adapted, self.way = result.network, facts["way"]
        return result.network, [dict(self._changed(facts), kind="adapt", why="the estimated accuracy fell")]

    def _changed(self, facts: dict[str, Any]) -> dict[str, Any]:
        """What was said of frames before a change is not what is said of them after it."""
        self.since = 0
        self.frames.clear()
        return facts


def open_acting(model: Any, watch: Any) -> Acting | None:
    """For a model as `versions.load` gives it and its watch; None where it cannot be adapted, which is said once."""
    estimate, place = getattr(watch, "accuracy_of", None), model.deployment.folder
    if estimate is None or getattr(watch, "reference", None) is None:
        return None
    if not (place / ARRAYS).is_file() or not (place / GRAPH).is_file():
        return None
    if model.program.is_lite(model.precision):
        say(f"version {model.version} will not be adapted: {model.precision} is for LiteRT")
        return None
    deployment, threads = model.deployment, model.threads or model.deployment.facts["threads"]
    try:
        file = deployment.facts["models"][model.precision]
        folding = Folding(
            lambda: deployment.checked(GRAPH), deployment.checked(ARRAYS), lambda: deployment.checked(file),
            model.precision, threads,
        )  # fmt: skip
    except NotAdaptable as reason:
        say(f"version {model.version} will not be adapted: {reason}")
        return None
    mean, std = deployment.facts["mean"], deployment.facts["std"]

    def start(content: bytes) -> Any:
        return model.program.Network(content, threads)

    def exposed(images: Sequence[np.ndarray]) -> Exposed:
        return Exposed(start(folding.model), table_of(images, folding.usual, mean, std), mean, std)

    return Acting(folding, estimate, start, deployment.input, exposed=exposed)
