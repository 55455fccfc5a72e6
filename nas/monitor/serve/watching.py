"""The watch of each model that is served, and what adapts it; the alarms that stand, and the frames kept of them.

Frames are looked at 16 at a time: after each run of a network the processor's caches hold that, and Python takes four
times as long as in a loop of its own.
"""

from __future__ import annotations

from typing import Any, Optional, Sequence, Tuple, Union

import numpy as np

from .acting import ESTIMATE, Acting, open_acting
from .charts import GROUP
from .health import Health
from .kept import Kept
from .reviewed import Reviewed
from .terminal import say
from .versions import Model
from .watch import Watch, read_reference
from .watch_detections import DetectionWatch

AnyWatch = Union[Watch, DetectionWatch]
Seen = Tuple[np.ndarray, np.ndarray, Optional[np.ndarray], float, float]  # what `observe` is given of a frame
MOST_STATES = 4  # models whose watches a state keeps: those that were served last


class Watching:
    """`states` are those that an earlier serving left, by the model's name; a watch goes on from its own."""

    def __init__(self, kept: Kept, health: Health, states: Any) -> None:
        self.kept, self.health, self.reviewed = kept, health, Reviewed(kept.folder.parent)
        self.states: dict[str, Any] = dict(states) if isinstance(states, dict) else {}
        self.alarms: set[str] = set()  # charts
        self.watches: dict[str, AnyWatch] = {}
        self.actings: dict[str, Acting | None] = {}
        self.estimate: dict[str, Any] = {}  # of the last window
        self._told: dict[str, Any] = {}  # the health that each watch was told last
        self._waiting: dict[str, list[Seen]] = {}  # frames of each model that were not looked at yet, below 16

    def watch(self, model: Model) -> AnyWatch:
        """The watch of a model, made when it is first served."""
        if model.name not in self.watches:
            self.watches[model.name] = made = _watch(model, self.states.get(model.name))
            self.actings[model.name] = acting = open_acting(model, made)
            if acting is not None and ESTIMATE in made.alarms:
                acting.ask()  # the network as deployed is served again
            self.alarms |= made.alarms
            for line in made.off:
                say(line)
        return self.watches[model.name]

    def observe(
        self, model: Model, pixels: np.ndarray, scores: np.ndarray, features: np.ndarray | None, ms: float,
        computing_ms: float = 0.0,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """One frame that was served: uint8 (r, r, 3), its scores, features and milliseconds, as `Watch.observe` takes
        them. What the log has of it and of the frames before it that waited, mostly nothing.
        """
        waiting = self._waiting.setdefault(model.name, [])
        waiting.append((pixels, scores, features, ms, computing_ms))
        return self.look(model) if len(waiting) >= GROUP else []

    def look(self, model: Model) -> list[dict[str, Any]]:
        """Looks at the frames of a model that wait; what the log has of them."""
        watch, acting = self.watch(model), self.actings[model.name]
        found: list[dict[str, Any]] = []
        if self._told.get(model.name) is not self.health.facts:
            self._told[model.name] = self.health.facts
            watch.latency.health(**self.health_facts())
        for pixels, scores, features, ms, computing_ms in self._waiting.pop(model.name, ()):
            events = watch.observe(pixels, scores, features, ms, computing_ms, self.kept.see(pixels))
            if acting is not None:
                acting.hear(pixels, scores, events)
            found += [self._noted(dict(event)) for event in events]
        return found

    def leave(self, model: Model) -> None:
        """The frames of a model that wait are not looked at: another network serves from here on."""
        self._waiting.pop(model.name, None)

    def _noted(self, event: dict[str, Any]) -> dict[str, Any]:
        chart = str(event.get("chart"))
        if event.get("kind") == "alarm":
            self.alarms.add(chart)
            if chart == "latency":
                self.health.read_soon()
            else:
                event["frames"] = self.kept.keep()
        elif event.get("kind") == "clear":
            self.alarms.discard(chart)
            if not self.alarms - {"latency"}:
                self.kept.cleared()
        return event

    def window(self, model: Model) -> dict[str, Any]:
        """What the log has of a window: the board's health, and the estimated accuracy."""
        self.estimate = self.watch(model).estimate()
        return {**self.health_facts(), **self.estimate}

    def labels(self, model: Model) -> list[dict[str, Any]]:
        """What a person has labelled since it was last asked; mostly nothing."""
        return self.watch(model).labels(self.reviewed.new(model.classes))

    def health_facts(self) -> dict[str, Any]:
        """What of the board's health the log and the watch are told."""
        return {name: self.health.facts[name] for name in ("temperature_c", "frequency_mhz", "throttled", "other_load")}

    def serve(self, models: Sequence[Model], first: Model) -> None:
        """These are served from here on; the alarms of others are left."""
        self._note_states()
        self._waiting.clear()
        names = {model.name for model in models}
        self.watches = {name: watch for name, watch in self.watches.items() if name in names}
        self.actings = {name: acting for name, acting in self.actings.items() if name in names}
        self.alarms = set()
        for watch in self.watches.values():
            self.alarms |= watch.alarms
        self.watch(first)

    def state(self) -> dict[str, Any]:
        """The states of the models that were served last, by name."""
        self._note_states()
        return self.states

    def _note_states(self) -> None:
        for name, watch in self.watches.items():
            self.states.pop(name, None)
            self.states[name] = watch.state()
        self.states = dict(list(self.states.items())[-MOST_STATES:])


def _watch(model: Model, state: Any) -> AnyWatch:
    kind = DetectionWatch if model.detects else Watch
    reference = read_reference(model.place / "watch.npz", model.precision)
    try:
        return kind(reference, state if isinstance(state, dict) else None)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        say(f"what watched {model.name} before cannot be read: {error}; it begins again")
        return kind(reference)
