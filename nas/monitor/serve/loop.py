"""Serving: takes the newest frame, runs the version in use on it, watches, and notes what happened.

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

from .adapt import EXPOSURE
from .answers import Answer, Found, answer_of
from .controller import Controller, strained
from .counts import Counts
from .drawn import Drawn
from .fleet import load_fleet
from .frames import Frame, Reader, Slot, Source
from .health import Health
from .kept import Kept
from .objects import ObjectCounts
from .options import Options
from .probation import Probation
from .state import Journal
from .terminal import Refused, say
from .versions import Follower, Model, back, current_of, load, previous_of, use
from .watch import Watch
from .watching import Watching

MONITOR = "monitor"
SAVE_S = 30.0  # between two states where no window ends
LEAST_S, MOST_LINES = 2.0, 16  # between two where windows end, unless so many lines wait


class Serving:
    """One folder that is served. `run` serves a source to its end; `stop` ends it from a signal or another thread.

    `say_result` gets each line; it prints it unless given. Raises Refused where no version can be served, or another
    process serves the folder.
    """

    def __init__(
        self, folder: Path, options: Options | None = None, *, say_result: Callable[[str], None] | None = None,
        loader: Callable[[int], list[Model]] | None = None, health: Health | None = None,
    ) -> None:  # fmt: skip
        self.folder, self.options = folder, options or Options()
        if not (folder / "versions").is_dir():
            raise Refused(f"{folder} is not a deployment folder: it has no versions")
        self.say_result = say_result or (lambda line: print(line, flush=True))
        self.loader = loader or self._load
        self.journal = Journal(folder / MONITOR)
        try:
            state = self.journal.read()
            self.counts = Counts(state)
            self._serve_with(self._first(state))
            if not self.model.detects and (self.options.draw or self.options.least):
                raise Refused("--draw and --least are for detectors; this network gives the whole picture one class")
            self.drawn = Drawn(self.options.draw, self.options.drawn) if self.options.draw else None
        except BaseException:
            self.journal.close()
            raise
        self.follower = Follower(folder, self.loader, self.version)
        self.health = health or Health()
        kept = Kept(folder / MONITOR, self.options.keep)
        self.watching = Watching(kept, self.health, state.get("watch"))
        self.probation = Probation(self.version, self.options.deadline_ms is not None, state.get("probation"))
        self.why_returned = ""
        self.why_stopped = ""
        self._saved = time.monotonic()

    def _load(self, version: int) -> list[Model]:
        """The model of a version, or those to choose among. Raises Refused."""
        options = self.options
        if options.max_latency_ms is not None:
            return load_fleet(self.folder, version, options.threads)
        return [load(self.folder, version, options.precision, options.threads)]

    def _serve_with(self, found: tuple[int, list[Model]]) -> None:
        """A version's models serve from here on."""
        self.version, self.models = found
        self.controller = None
        if self.options.max_latency_ms is not None:
            self.controller = Controller([model.ms for model in self.models], self.options.max_latency_ms)
        self.model = self.models[self.controller.index if self.controller else 0]
        self.uses: dict[str, int] = {}  # frames of the window by model
        self.over = 0  # of them, above the largest latency
        self.objects = ObjectCounts(self.model.classes) if self.model.detects else None

    def _first(self, state: dict[str, Any]) -> tuple[int, list[Model]]:
        """The version that `current` names; where it cannot be served, the one that was served or used before."""
        wanted = current_of(self.folder)
        others = [state.get("version"), *reversed(previous_of(self.folder))]
        trials = dict.fromkeys(n for n in [wanted, *others] if isinstance(n, int))
        failed: dict[int, Refused] = {}
        for version in trials:
            try:
                models = self.loader(version)
            except Refused as refused:
                failed[version] = refused
                continue
            for number, why in failed.items():
                say(f"version {number} is not served: {why}; version {version} is")
                self._note_failed(number, version, why)
            return version, models
        if not failed:
            raise Refused(f"{self.folder / 'current'}: must name a version in {self.folder / 'versions'}, as 1")
        raise next(iter(failed.values()))

    def _note_failed(self, failed: int, served: int, refused: Refused) -> None:
        facts = {"from": served, "to": failed, "failed": True, "why": str(refused)[:500]}
        self.journal.record("switch", served, self.options.precision or "", **facts)

    # ---- one source, to its end

    def run(self, source: Source) -> int:
        """The exit status: 0, 2 where frames could not be read, 130 after Ctrl-C. Raises Refused of the source."""
        slot = Slot(self.options.every)
        self.counts.begin(slot)
        reader = Reader(source, slot, self.options.fps or (None if self.options.every else source.fps))
        self.watching.serve(self.models, self.model)
        self._record("start", source=source.words[:200], alarms=sorted(self.watching.alarms))
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
            for model in self.models:
                self._note(self.watching.look(model))
            self._end_window()
            self._record("stop", why=self.why_stopped or "the frames ended", served=self.counts.totals["served"])
            self._save()
            self.journal.close()
        if reader.error is not None and not self.why_stopped:
            if isinstance(reader.error, Refused):
                raise reader.error
            raise Refused(f"{source.words}: {type(reader.error).__name__}: {str(reader.error)[:300]}")
        return 130 if self.why_stopped == "interrupted" else 2 * self.counts.failed

    def stop(self, why: str) -> None:
        """Ends serving after the frame that is under way."""
        self.why_stopped = self.why_stopped or why
        self.counts.slot.close()

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
            ended = self.counts.served >= self.options.window
            if ended:
                self._end_window()
                self._note(self.watching.labels(self.model))
            waited = time.monotonic() - self._saved
            if waited > SAVE_S or (ended and (waited > LEAST_S or len(self.journal.waiting) >= MOST_LINES)):
                self._save()

    def frame(self, frame: Frame) -> None:
        """Runs the network on one frame, says what it found, and watches it."""
        model, options = self.model, self.options
        try:
            with model.program.quiet():
                picture = frame.picture()
            answer, ms, computing_ms = answer_of(model, picture, options)
        except model.program.NotAPicture as error:
            say(f"{frame.name}: {error}" if frame.name not in str(error) else str(error))
            self.counts.unreadable()
            return
        result_ms = 1000 * (time.monotonic() - frame.at)
        late = options.deadline_ms is not None and result_ms > options.deadline_ms
        self.counts.add(ms, result_ms, late)
        if not options.quiet:
            self.say_result(self._line(frame.name, answer, ms, result_ms, late))
        if isinstance(answer, Found):
            self._count(answer, frame.name, picture)
        events = self.watching.observe(model, answer.pixels, answer.scores, answer.features, ms, computing_ms)
        if self.controller is not None:
            self._control(self.controller, ms)
        self._note(events)

    def _control(self, controller: Controller, ms: float) -> None:
        """Chooses the model of the next frame."""
        self.uses[self.model.name] = self.uses.get(self.model.name, 0) + 1
        self.over += ms > controller.budget
        self.model = self.models[controller.add(ms, strained(self.health.facts))]

    def _count(self, found: Found, name: str, picture: Any) -> None:
        """Notes a detector's objects, and draws them where that is asked for."""
        if self.objects is not None:
            self.objects.add(found.counts)
        if self.drawn is not None:
            self.drawn.add(name, found.program.drawn(picture, found.objects, self.model.classes))

    def _line(self, name: str, answer: Answer, ms: float, result_ms: float, late: bool) -> str:
        if not self.options.as_json:
            return answer.line(name, ms)
        more = {"version": self.model.version, "precision": self.model.precision, "result_ms": round(result_ms, 4)}
        return json.dumps(dict(answer.object(name, ms), late=late, **more))

    # ---- adaptations and versions, put in place between two frames

    def _act(self) -> None:
        """Puts an adapted network in place, or takes it out again."""
        for model in self.models:
            acting = self.watching.actings.get(model.name)
            news = acting.poll() if acting is not None else None
            if news is None:
                continue
            network, events = news
            if (network or model.deployed) is not model.network:
                self._end_window()
                self.watching.leave(model)
                model.network = network or model.deployed
                ways = [event["way"] for event in events if event.get("way")]
                watch = self.watching.watch(model)
                if isinstance(watch, Watch):
                    watch.replaced(adapted=bool(ways) and ways[-1] != EXPOSURE)
            self._note(events)

    def _follow(self) -> None:
        """Puts another version in place once it is loaded."""
        news = self.follower.poll()
        if news is None:
            return
        version, found = news
        if isinstance(found, Refused):
            say(f"version {version} is not served: {found}; version {self.version} goes on")
            facts = {"from": self.version, "to": version, "failed": True, "why": str(found)[:500]}
            self._record("switch", **facts)
            self._save()
            return
        self._end_window()
        old = self.version
        self._serve_with((version, found))
        self.follower.serving = version
        self.watching.serve(found, self.model)
        self.probation.switched(version, compare=not self.why_returned)
        why, self.why_returned = self.why_returned or "current names it", ""
        self._record("switch", **{"from": old, "to": version, "why": why})
        self._save()

    def _judge(self, window: dict[str, Any]) -> None:
        """Puts the version before into use again where the windows say that the one that is served is worse."""
        if window["served"] < self.options.window / 2:
            return
        old = self.probation.old
        known = dict(window, accuracy=None) if self.model.detects else window  # AP50 is not estimated that exactly
        why = self.probation.judge(known)
        if not why or old is None or not self.options.automatic_return:
            return
        if self.why_returned or current_of(self.folder) != self.version:
            return
        try:
            if previous_of(self.folder)[-1:] == [old]:
                back(self.folder)
            else:
                use(self.folder, old)
        except Refused as refused:
            say(f"version {self.version} is worse ({why}), but version {old} cannot be put into use: {refused}")
            return
        self.why_returned = f"automatic return from version {self.version}: {why}"
        say(self.why_returned)

    # ---- what is noted

    def _record(self, kind: str, **facts: Any) -> None:
        self.journal.record(kind, self.version, self.model.precision, **facts)

    def _note(self, events: list[dict[str, Any]]) -> None:
        """Lines of the log, each with its kind; mostly none."""
        for event in events:
            facts = dict(event)
            self._record(str(facts.pop("kind")), **facts)
        if events:
            self._save()

    def _end_window(self) -> None:
        """Notes the window that ends here, where it has frames, for the next state."""
        facts = self.counts.end_window()
        if facts["captured"] or facts["served"]:
            facts.update(self.watching.window(self.model))
            if self.objects is not None:
                facts.update(self.objects.end_window())
            if self.uses:
                facts["shares"] = {name: round(n / facts["served"], 4) for name, n in self.uses.items()}
                facts["over_budget"], self.uses, self.over = self.over, {}, 0
            self._record("window", **facts)
            self._judge(facts)

    def _save(self) -> None:
        self._saved = time.monotonic()
        self.journal.save(self.state())

    def state(self) -> dict[str, Any]:
        """state.json without its lines."""
        return {
            "version": self.version, "precision": self.model.precision, **self.counts.state(),
            "watch": self.watching.state(), "probation": self.probation.state(),
        }  # fmt: skip
