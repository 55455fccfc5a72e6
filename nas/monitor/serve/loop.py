"""Serving: takes the newest frame, classifies it with the version in use, watches, and notes what happened.

Whatever can be done beside a frame is: frames are read, health is read, and a new version is loaded by other threads.
A new version is put in place between two frames.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator

import numpy as np

from .acting import Acting, open_acting
from .frames import Frame, Reader, Slot, Source
from .health import Health
from .kept import Kept
from .metrics import health_of, metrics_of
from .quantiles import Quantiles
from .state import Journal
from .terminal import Refused, say
from .versions import Follower, Model, current_of, load, previous_of
from .watch import Watch, read_reference

MONITOR = "monitor"
WINDOW = 500  # frames served
COUNTS = ("captured", "served", "skipped", "late", "unreadable")
SAVE_S = 30.0  # between two states where no window ends


class Options:
    """How a folder is served. `precision` and `threads` None: the version's. `deadline_ms`: from capture to result.

    `every`: no frame is skipped. `window`: frames served to a line of the log. `keep`: most frames kept of alarms.
    """

    def __init__(
        self, *, every: bool = False, fps: float | None = None, deadline_ms: float | None = None, top: int = 1,
        as_json: bool = False, quiet: bool = False, precision: str | None = None, threads: int | None = None,
        window: int = WINDOW, keep: int = 0,
    ) -> None:  # fmt: skip
        self.every, self.fps, self.deadline_ms, self.top = every, fps, deadline_ms, top
        self.as_json, self.quiet, self.precision, self.threads = as_json, quiet, precision, threads
        self.window, self.keep = window, keep


class Serving:
    """One folder that is served. `run` serves a source to its end; `stop` ends it from a signal or another thread.

    `say_result` gets each line; it prints it unless given. Raises Refused where no version can be served, or another
    process serves the folder.
    """

    def __init__(
        self, folder: Path, options: Options | None = None, *, say_result: Callable[[str], None] | None = None,
        loader: Callable[[int], Model] | None = None, health: Health | None = None,
    ) -> None:  # fmt: skip
        self.folder, self.options = folder, options or Options()
        if not (folder / "versions").is_dir():
            raise Refused(f"{folder} is not a deployment folder: it has no versions")
        self.say_result = say_result or (lambda line: print(line, flush=True))
        self.loader = loader or (lambda version: load(folder, version, self.options.precision, self.options.threads))
        self.journal = Journal(folder / MONITOR)
        try:
            state = self.journal.read()
            self.totals = {name: _count(state, name) for name in COUNTS}
            self.inference, self.result = Quantiles(), Quantiles()
            self._restore(state)
            self.model = self._first(state)
        except BaseException:
            self.journal.close()
            raise
        self.watches: dict[str, Watch] = {}
        self.alarms: set[str] = set(state.get("alarms", []))
        self.estimate: dict[str, Any] = {}
        self.kept = Kept(folder / MONITOR, self.options.keep)
        self.actings: dict[str, Acting | None] = {}
        self.watch_states: dict[str, Any] = _table(state, "watch")
        self.follower = Follower(folder, self.loader, self.model.version)
        self.health = health or Health()
        self.window = _Window()
        self.why_stopped = ""
        self.slot: Slot | None = None
        self._saved = time.monotonic()
        self._health_seen: Any = None
        self._counting = threading.Lock()

    def _restore(self, state: dict[str, Any]) -> None:
        try:
            self.inference.restore(state.get("inference", []))
            self.result.restore(state.get("result", []))
        except (TypeError, ValueError) as error:
            say(f"the quantiles of an earlier serving cannot be read: {error}; they begin again")

    def _first(self, state: dict[str, Any]) -> Model:
        """The version that `current` names; where it cannot be served, the one that was served or used before."""
        wanted = current_of(self.folder)
        others = [state.get("version"), *reversed(previous_of(self.folder))]
        trials = dict.fromkeys(n for n in [wanted, *others] if isinstance(n, int))
        failed: dict[int, Refused] = {}
        for version in trials:
            try:
                model = self.loader(version)
            except Refused as refused:
                failed[version] = refused
                continue
            for number, why in failed.items():
                say(f"version {number} is not served: {why}; version {version} is")
                self._note_failed(number, version, why)
            return model
        if not failed:
            raise Refused(f"{self.folder / 'current'}: must name a version in {self.folder / 'versions'}, as 1")
        raise next(iter(failed.values()))

    def _note_failed(self, failed: int, served: int, refused: Refused) -> None:
        facts = {"from": served, "to": failed, "failed": True, "why": str(refused)[:500]}
        self.journal.record("switch", served, self.options.precision or "", **facts)

    # ---- one source, to its end

    def run(self, source: Source) -> int:
        """The exit status: 0, 2 where frames could not be read, 130 after Ctrl-C. Raises Refused of the source."""
        self.slot = slot = Slot(self.options.every)
        reader = Reader(source, slot, self.options.fps or (None if self.options.every else source.fps))
        self.window = _Window()
        self._record("start", source=source.words[:200])
        self._save()
        try:
            with self._signals(reader):
                self.health.start()
                reader.start()
                self._serve(slot)
        except BrokenPipeError:  # what read the lines has seen enough
            self.why_stopped = "the output was closed"
            sys.stderr.close()
        finally:
            reader.stop()
            self.health.stop()
            self._end_window()
            self._record("stop", why=self.why_stopped or "the frames ended", served=self.totals["served"])
            self._save()
            self.journal.close()
        if reader.error is not None and not self.why_stopped:
            if isinstance(reader.error, Refused):
                raise reader.error
            raise Refused(f"{source.words}: {type(reader.error).__name__}: {str(reader.error)[:300]}")
        return 130 if self.why_stopped == "interrupted" else 2 * bool(self.window.total_unreadable)

    def stop(self, why: str) -> None:
        """Ends serving after the frame that is under way."""
        self.why_stopped = self.why_stopped or why
        if self.slot is not None:
            self.slot.close()

    @contextmanager
    def _signals(self, reader: Reader) -> Iterator[None]:
        """SIGTERM and Ctrl-C end serving after the frame that is under way; a second Ctrl-C at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number: int, _frame: object) -> None:
            if self.why_stopped and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.stop("interrupted" if number == signal.SIGINT else "ended by SIGTERM")

        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _serve(self, slot: Slot) -> None:
        while not self.why_stopped:
            self._follow()
            self._act()
            frame = slot.take(0.25)
            if frame is not None:
                self.frame(frame)
            elif slot.ended:
                return
            if self.window.served >= self.options.window:
                self._end_window()
            if self.health.facts is not self._health_seen:
                self._health_seen = self.health.facts
                self.watch_of(self.model).health(**self._health())
            if time.monotonic() - self._saved > SAVE_S:
                self._save()

    def frame(self, frame: Frame) -> None:
        """Classifies one frame, says it, and watches it."""
        model, options = self.model, self.options
        program, deployment = model.program, model.deployment
        try:
            with program.quiet():
                pixels = deployment.image(frame.picture())
        except program.NotAPicture as error:
            say(f"{frame.name}: {error}" if frame.name not in str(error) else str(error))
            self.window.unreadable += 1
            self.window.total_unreadable += 1
            return
        scores, features, ms = model.run(deployment.input(pixels))
        found = program.likeliest(model.classes, program.probabilities(scores), options.top)
        result_ms = 1000 * (time.monotonic() - frame.at)
        late = options.deadline_ms is not None and result_ms > options.deadline_ms
        self.window.add(ms, result_ms, late)
        self.inference.add(ms)
        self.result.add(result_ms)
        if not options.quiet:
            self.say_result(self._line(frame.name, found, ms, result_ms, late))
        self._observe(pixels, scores, features, ms)

    def _line(self, name: str, found: list[tuple[str, float]], ms: float, result_ms: float, late: bool) -> str:
        program = self.model.program
        if not self.options.as_json:
            return str(program.line_of(name, found, ms))
        more = {"version": self.model.version, "precision": self.model.precision, "result_ms": round(result_ms, 4)}
        return json.dumps(dict(program.object_of(name, found, ms), late=late, **more))

    # ---- watching

    def _observe(self, pixels: np.ndarray, scores: np.ndarray, features: np.ndarray | None, ms: float) -> None:
        watch = self.watch_of(self.model)
        events = watch.observe(pixels, scores, features, ms, image=self.kept.see(pixels))
        acting = self.acting_of(self.model, watch)
        if acting is not None:
            acting.hear(pixels, scores, events)
        for event in events:
            facts = dict(event)
            kind = str(facts.pop("kind"))
            if kind == "alarm":
                facts["frames"] = self.kept.keep()
                self.alarms.add(str(facts.get("chart")))
            elif kind == "clear":
                self.alarms.discard(str(facts.get("chart")))
            self._record(kind, **facts)
        if events:
            self._save()

    def watch_of(self, model: Model) -> Watch:
        """What watches a model, made when it is first served; it goes on from the state that an earlier one left."""
        if model.name not in self.watches:
            self.watches[model.name] = watch = _watch(model, self.watch_states.get(model.name))
            for line in watch.off:
                say(line)
        return self.watches[model.name]

    # ---- the endpoint asks these from its own threads

    def health_answer(self) -> dict[str, Any]:
        """/health."""
        return health_of(self)

    def metrics(self) -> str:
        """/metrics."""
        return metrics_of(self)

    def classify(self, picture: bytes) -> dict[str, Any]:
        """What --json prints of a picture that a program sent; it is not a frame. Raises ValueError for none."""
        model = self.model
        try:
            with model.program.quiet():
                pixels = model.deployment.image(picture)
        except model.program.NotAPicture as error:
            raise ValueError(str(error)) from None
        scores, _, ms = model.run(model.deployment.input(pixels))
        found = model.program.likeliest(model.classes, model.program.probabilities(scores), max(self.options.top, 1))
        more = {"version": model.version, "precision": model.precision}
        return dict(model.program.object_of("", found, ms), **more)

    def counts(self) -> dict[str, int]:
        """Frames so far, those of earlier servings too."""
        with self._counting:
            captured, skipped = self.slot.counts() if self.slot is not None else (0, 0)
            now = self.window.counts(captured, skipped)
            return {name: self.totals[name] + now[name] for name in COUNTS}

    # ---- acting

    def acting_of(self, model: Model, watch: Watch) -> Acting | None:
        """What adapts a model, made when it is first served; None: its version carries nothing to adapt it with."""
        if model.name not in self.actings:
            self.actings[model.name] = open_acting(model, watch)
        return self.actings[model.name]

    def _act(self) -> None:
        """Puts an adapted network in place, or takes it out again."""
        acting = self.actings.get(self.model.name)
        news = acting.poll() if acting is not None else None
        if news is None:
            return
        network, events = news
        if (network or self.model.deployed) is not self.model.network:
            self._end_window()
            self.model.network = network or self.model.deployed
        for event in events:
            facts = dict(event)
            self._record(str(facts.pop("kind")), **facts)
        self._save()

    # ---- versions

    def _follow(self) -> None:
        """Puts another version in place once it is loaded."""
        news = self.follower.poll()
        if news is None:
            return
        version, found = news
        if isinstance(found, Refused):
            say(f"version {version} is not served: {found}; version {self.model.version} goes on")
            facts = {"from": self.model.version, "to": version, "failed": True, "why": str(found)[:500]}
            self._record("switch", **facts)
            self._save()
            return
        self._end_window()
        old, self.model = self.model, found
        self.follower.serving = version
        self._record("switch", **{"from": old.version, "to": version, "why": "current names it"})
        self._save()

    # ---- what is noted

    def _record(self, kind: str, **facts: Any) -> None:
        self.journal.record(kind, self.model.version, self.model.precision, **facts)

    def _end_window(self) -> None:
        """Notes the window that ends here, where it has frames."""
        with self._counting:
            captured, skipped = self.slot.counts() if self.slot is not None else (0, 0)
            counts, times = self.window.counts(captured, skipped), self.window.times()
            for name in COUNTS:
                self.totals[name] += counts[name]
            self.window = _Window(captured, skipped, self.window.total_unreadable)
        if counts["captured"] or counts["served"]:
            self.estimate = self.watch_of(self.model).estimate()
            self._record("window", **counts, **times, **self._health(), **self.estimate)
        self._save()

    def _health(self) -> dict[str, Any]:
        """What of the board's health the log and the watch are told."""
        return {name: self.health.facts[name] for name in ("temperature_c", "frequency_mhz", "throttled")}

    def _save(self) -> None:
        self._saved = time.monotonic()
        self.watch_states.update({name: watch.state() for name, watch in self.watches.items()})
        self.journal.save(self.state())

    def state(self) -> dict[str, Any]:
        """state.json without its lines."""
        return {
            "version": self.model.version, "precision": self.model.precision, **self.totals,
            "inference": self.inference.state(), "result": self.result.state(), "watch": self.watch_states,
            "alarms": sorted(self.alarms),
        }  # fmt: skip


class _Window:
    """Counts and times since the last window; `captured` and `skipped` are those of the slot when it began."""

    def __init__(self, captured: int = 0, skipped: int = 0, total_unreadable: int = 0) -> None:
        self.captured, self.skipped = captured, skipped
        self.served = self.late = self.unreadable = 0
        self.total_unreadable = total_unreadable
        self.ms: list[float] = []
        self.result_ms: list[float] = []

    def add(self, ms: float, result_ms: float, late: bool) -> None:
        self.served += 1
        self.late += late
        self.ms.append(ms)
        self.result_ms.append(result_ms)

    def counts(self, captured: int, skipped: int) -> dict[str, int]:
        """By COUNTS; `captured` and `skipped` are those of the slot now."""
        return {
            "captured": captured - self.captured, "served": self.served, "skipped": skipped - self.skipped,
            "late": self.late, "unreadable": self.unreadable,
        }  # fmt: skip

    def times(self) -> dict[str, float]:
        """Quantiles in milliseconds, as the log has them."""
        if not self.ms:
            return {}
        found = dict(zip(("p50_ms", "p90_ms", "p99_ms"), np.quantile(self.ms, (0.5, 0.9, 0.99))))
        found["result_p90_ms"] = np.quantile(self.result_ms, 0.9)
        return {name: round(float(value), 4) for name, value in found.items()}


def _watch(model: Model, state: Any) -> Watch:
    reference = read_reference(model.place / "watch.npz", model.precision)
    try:
        return Watch(reference, state if isinstance(state, dict) else None)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        say(f"what watched {model.name} before cannot be read: {error}; it begins again")
        return Watch(reference)


def _count(state: dict[str, Any], name: str) -> int:
    value = state.get(name)
    return value if isinstance(value, int) and value >= 0 else 0


def _table(state: dict[str, Any], name: str) -> dict[str, Any]:
    value = state.get(name)
    return value if isinstance(value, dict) else {}
