"""The controller of adaptive serving, on made-up loads; and the models that it chooses among."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from nas.monitor.log import Window, read_log
from nas.monitor.serve import fleet
from nas.monitor.serve.controller import LEAST, QUIET, WINDOW, Controller, percentile, strained
from nas.monitor.serve.fleet import front, load_fleet
from nas.monitor.serve.frames import of_arrays
from nas.monitor.serve.loop import Serving
from nas.monitor.serve.options import Options
from tests.monitor.serve.deployments import color_model, make_version, picture
from tests.monitor.serve.fakes import FakeModel, Healthy

USUAL = (8.0, 4.0, 2.0)


def run(controller: Controller, frames: int, load: Callable[[int], float]) -> list[int]:
    """The models that served; `load` multiplies every model's usual time."""
    used = []
    for frame in range(frames):
        used.append(controller.index)
        controller.add(controller.usual[controller.index] * load(frame))
    return used


def test_the_most_accurate_model_serves_where_it_keeps_the_budget() -> None:
    assert set(run(Controller(USUAL, 10.0), 1000, lambda frame: 1.0)) == {0}
    assert set(run(Controller(USUAL, 5.0), 1000, lambda frame: 1.0)) == {1}
    assert set(run(Controller(USUAL, 1.0), 1000, lambda frame: 1.0)) == {2}, "the fastest there is"
    assert set(run(Controller((3.0,), 1.0), 1000, lambda frame: 1.0)) == {0}


def test_a_load_is_answered_within_frames_and_its_end_after_quiet_windows() -> None:
    controller = Controller(USUAL, 10.0)
    used = run(controller, 400, lambda frame: 1.0 if frame < 100 else 2.0)
    assert used[100] == 0 and used[100 + LEAST] == 1, "twice as slow: 16 ms, then 8 ms"
    assert set(used[100 + LEAST :]) == {1}
    back = run(controller, 1000, lambda frame: 1.0)
    assert back[QUIET * WINDOW - WINDOW] == 1 and back[-1] == 0
    assert back.index(0) <= (QUIET + 1) * WINDOW


def test_a_heavy_load_goes_to_the_model_that_keeps_the_budget_at_once() -> None:
    controller = Controller(USUAL, 10.0)
    used = run(controller, 60, lambda frame: 4.5)
    assert used[: LEAST + 1] == [0] * LEAST + [2], "36 ms and 18 ms are too long: the one of 9 ms at once"


def test_rare_long_times_change_nothing() -> None:
    """One frame of 16 takes a hundred times as long: the percentile of 64 does not see it."""
    assert set(run(Controller(USUAL, 10.0), 2000, lambda frame: 100.0 if frame % 16 == 15 else 1.0)) == {0}


def test_a_load_at_the_edge_does_not_make_it_go_to_and_fro() -> None:
    """The slower model takes 11 ms of 10 again and again: after each wrong way up it waits twice as long."""
    controller = Controller((8.0, 5.0), 10.0)

    def serve(frames: int) -> int:
        ups = 0
        for _ in range(frames):
            before = controller.index
            controller.add(11.0 if before == 0 else 5.0)
            ups += controller.index < before
        return ups

    assert serve(64 * 64) <= 6
    assert serve(64 * 64) <= 3


def test_strain_goes_to_faster_models_and_holds_them() -> None:
    controller = Controller(USUAL, 10.0)
    for _ in range(5 * WINDOW):
        controller.add(controller.usual[controller.index], strained=True)
    assert controller.index == 2
    run(controller, 10 * WINDOW, lambda frame: 1.0)
    assert controller.index == 0
    assert strained({"temperature_c": 81.0}) and strained({"battery_percent": 5.0}) and strained({"throttled": ["x"]})
    assert not strained({}) and not strained({"temperature_c": 60.0, "battery_percent": 50.0, "throttled": []})


def test_the_percentile_by_hand() -> None:
    assert percentile(list(range(1, 11))) == 10 and percentile([5.0]) == 5.0
    assert percentile([float(n) for n in np.random.default_rng(0).permutation(100)]) == 90.0


def named(name: str, accuracy: float | None, ms: float) -> SimpleNamespace:
    return SimpleNamespace(name=name, accuracy=accuracy, ms=ms)


def names(*models: SimpleNamespace) -> list[str]:
    return [model.name for model in front(models)]  # type: ignore[arg-type]


def test_a_model_that_another_beats_is_left_out() -> None:
    large, small = named("large", 0.9, 8.0), named("small", 0.7, 2.0)
    assert names(small, named("slow", 0.6, 4.0), large, named("as large", 0.9, 9.0)) == ["large", "small"]
    assert names(named("a", None, 2.0), named("b", 0.9, 8.0)) == ["b", "a"], "not all known: the slower is the better"


def test_models_of_the_folder_are_loaded_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slow, quick = color_model(work=60), color_model()
    make_version(tmp_path, 1, {"fp32": quick}, accuracy={"fp32": 0.6})
    make_version(tmp_path, 2, {"fp32": quick}, classes=["a", "b", "c"], accuracy={"fp32": 0.99})
    make_version(tmp_path, 3, {"fp32": quick}, accuracy={"fp32": 0.8})
    (tmp_path / "versions/3/model-fp32.onnx").write_bytes(b"broken")
    make_version(tmp_path, 4, {"fp32": slow, "int8": slow}, accuracy={"fp32": 0.9, "int8": 0.2})
    found = load_fleet(tmp_path, 4)
    assert [model.name for model in found] == ["4:fp32", "1:fp32"] and found[0].ms > found[1].ms
    assert "version 3 is not among the models to choose from" in capsys.readouterr().err


def test_memory_that_is_low_keeps_models_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_version(
        tmp_path, 1, {"fp32": color_model(work=60), "int8": color_model()}, accuracy={"fp32": 0.9, "int8": 0.8}
    )
    assert len(load_fleet(tmp_path, 1)) == 2
    monkeypatch.setattr(fleet, "available_mb", lambda: 60.0)
    assert [model.name for model in load_fleet(tmp_path, 1)] == ["1:fp32"]


def test_serving_chooses_frame_by_frame_and_says_the_shares(tmp_path: Path) -> None:
    make_version(tmp_path, 1)
    large = FakeModel(tmp_path, 1, "fp32", times=[8.0] * 100 + [16.0])
    small = FakeModel(tmp_path, 1, "int8", times=[2.0])
    large.ms, small.ms = 8.0, 2.0
    said: list[str] = []
    serving = Serving(
        tmp_path, Options(every=True, as_json=True, window=100, max_latency_ms=10.0), say_result=said.append,
        loader=lambda version: [large, small], health=Healthy(),  # type: ignore[list-item]
    )  # fmt: skip
    frames: Iterator[np.ndarray] = (picture("red") for _ in range(200))
    assert serving.run(of_arrays(frames)) == 0
    used = [json.loads(line)["precision"] for line in said]
    assert used[:107] == ["fp32"] * 107, "the seventh frame of 64 above the budget"
    assert set(used[107:]) == {"int8"} and len(used) == 200
    first, second = read_log(tmp_path).of(Window)
    assert first.shares == {"1:fp32": 1.0} and first.over_budget == 0
    assert set(second.shares) == {"1:fp32", "1:int8"} and sum(second.shares.values()) == pytest.approx(1)
    assert second.over_budget == used[100:].count("fp32") > 0
