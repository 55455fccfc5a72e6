"""An adapted network takes its place between two frames, is noted, and goes again."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nas.monitor.log import Adapt, Window, read_log
from nas.monitor.serve import watching
from nas.monitor.serve.acting import open_acting
from nas.monitor.serve.frames import of_arrays
from nas.monitor.serve.kept import Kept
from nas.monitor.serve.loop import Serving
from nas.monitor.serve.options import Options
from nas.monitor.serve.watch import Watch
from nas.monitor.serve.watching import Watching
from tests.monitor.serve.deployments import color_model, make_version, picture
from tests.monitor.serve.fakes import FakeModel, Healthy


class Told:
    """Stands for an Acting that gives another network after some frames, and takes it back later."""

    def __init__(self, network: Any, at: int, until: int) -> None:
        self.network, self.at, self.until, self.heard = network, at, until, 0

    def hear(self, pixels: np.ndarray, scores: np.ndarray, events: list[dict[str, Any]]) -> None:
        self.heard += 1

    def poll(self) -> tuple[Any, list[dict[str, Any]]] | None:
        if self.heard == self.at:
            self.at = -1
            facts = {"before": 0.5, "after": 0.7, "images": 64, "way": "0.8", "why": "the estimated accuracy fell"}
            return self.network, [dict(facts, kind="adapt")]
        if self.heard == self.until:
            self.until = -1
            return None, [{"kind": "undo", "why": "the pictures are as usual again"}]
        return None


def test_an_adapted_network_serves_until_it_is_undone(tmp_path: Path) -> None:
    make_version(tmp_path / "flowers", 1)
    said: list[str] = []
    serving = Serving(tmp_path / "flowers", Options(every=True, as_json=True), say_result=said.append)
    other = serving.model.program.Network(color_model(1), 1)
    told: Any = Told(other, 16, 32)  # frames are looked at 16 at a time
    serving.watching.watch(serving.model)
    serving.watching.actings[serving.model.name] = told
    replaced: list[bool] = []
    watch: Any = serving.watching.watch(serving.model)
    watch.replaced = lambda *, adapted: replaced.append(adapted)
    assert serving.run(of_arrays([picture("red")] * 48)) == 0
    classes = [json.loads(line)["classes"][0]["class"] for line in said]
    assert classes == ["red"] * 16 + ["green"] * 16 + ["red"] * 16
    assert replaced == [True, False], "its watch knows whose frames they are"
    log = read_log(tmp_path / "flowers")
    adapted, undone = log.of(Adapt)
    assert (adapted.kind, adapted.before, adapted.after, adapted.images) == ("adapt", 0.5, 0.7, 64)
    assert undone.kind == "undo" and undone.why == "the pictures are as usual again"
    assert [window.served for window in log.of(Window)] == [16, 16, 16], "a window is of one network"


def test_a_version_without_what_is_needed_is_not_adapted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_version(tmp_path / "flowers", 1)
    serving = Serving(tmp_path / "flowers", Options(every=True), say_result=lambda line: None)
    assert open_acting(serving.model, serving.watching.watch(serving.model)) is None
    serving.journal.close()


def test_frames_are_kept_while_an_alarm_holds_and_no_longer(tmp_path: Path) -> None:
    kept = Kept(tmp_path, 20)
    frames = [np.full((4, 4, 3), number, np.uint8) for number in range(200)]
    for frame in frames[:30]:
        kept.see(frame)
    assert len(kept.keep()) == 8
    for frame in frames[30:90]:
        kept.see(frame)
    assert len(list((tmp_path / "frames").iterdir())) == 8 + 6, "one of ten"
    kept.cleared()
    for frame in frames[90:]:
        kept.see(frame)
    assert len(list((tmp_path / "frames").iterdir())) == 14
    kept.keep()
    for _ in range(20):
        for frame in frames:
            kept.see(frame)
    assert len(list((tmp_path / "frames").iterdir())) == 20


def test_frames_before_an_alarm_outlast_those_after_it(tmp_path: Path) -> None:
    """They are what a page shows of it. A quarter of all may be such frames, the newest ones."""
    kept, frame = Kept(tmp_path, 64), np.zeros((4, 4, 3), np.uint8)

    def alarm() -> list[str]:
        for _ in range(10):
            kept.see(frame)
        names = kept.keep()
        for _ in range(1000):
            kept.see(frame)
        return names

    first, second = alarm(), alarm()
    there = {path.name for path in (tmp_path / "frames").iterdir()}
    assert len(there) == 64 and {*first, *second} <= there
    third = alarm()
    there = {path.name for path in (tmp_path / "frames").iterdir()}
    assert len(there) == 64 and {*second, *third} <= there and not {*first} & there


def test_an_accuracy_alarm_that_stands_from_before_a_restart_is_acted_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart begins with the network as deployed: nobody would ask for an adaptation again."""
    asked: list[bool] = []
    acting = SimpleNamespace(ask=lambda: asked.append(True))
    monkeypatch.setattr(watching, "open_acting", lambda model, watch: acting)
    for low in (False, True):
        monkeypatch.setattr(Watch, "alarms", {"accuracy"} if low else {"picture"})
        Watching(Kept(tmp_path, 0), Healthy(), {}).watch(FakeModel(tmp_path, 1))
        assert bool(asked) == low
