"""Serving a folder: what is said of each frame, counts, what is noted, following `current`, stopping."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from nas.monitor.advice import open_alarms
from nas.monitor.log import Start, Stop, Switch, Window, read_log, read_state
from nas.monitor.serve.frames import of_arrays, of_images
from nas.monitor.serve.loop import Serving
from nas.monitor.serve.options import Options
from nas.monitor.serve.terminal import Refused
from nas.monitor.serve.versions import use
from tests.monitor.serve.deployments import color_model, make_version, picture, write_pictures
from tests.monitor.serve.fakes import FakeModel, Healthy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_version(tmp_path / "flowers", 1)
    return tmp_path / "flowers"


def lines_of(folder: Path, options: Options, frames: Iterator[np.ndarray] | list[np.ndarray]) -> list[str]:
    said: list[str] = []
    assert Serving(folder, options, say_result=said.append).run(of_arrays(frames)) == 0
    return said


def test_every_frame_of_an_iterable_is_classified(folder: Path) -> None:
    colors = ["red", "blue", "green", "green"]
    said = lines_of(folder, Options(every=True, as_json=True), [picture(color) for color in colors])
    found = [json.loads(line) for line in said]
    assert [one["classes"][0]["class"] for one in found] == colors
    assert [one["image"] for one in found] == ["frames#1", "frames#2", "frames#3", "frames#4"]
    assert all(one["version"] == 1 and one["precision"] == "fp32" and not one["late"] for one in found)
    assert all(0 < one["ms"] <= one["result_ms"] < 60_000 for one in found)


def test_a_line_has_the_form_of_run_py(folder: Path, tmp_path: Path) -> None:
    (path, _) = write_pictures(tmp_path / "pictures", ["red", "green"])
    program = [sys.executable, str(folder / "run.py"), str(path)]
    once = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    said: list[str] = []
    serving = Serving(folder, Options(every=True), say_result=said.append)
    assert serving.run(of_images(tmp_path / "pictures", serving.model.program.is_picture)) == 0
    assert said[0].rpartition(", ")[0] == once.rpartition(", ")[0] and said[0].endswith(" ms")
    assert "red" in said[0] and "green" in said[1]


def test_counts_and_windows_stand_in_the_log_and_the_state(folder: Path) -> None:
    lines_of(folder, Options(every=True, window=4, deadline_ms=1e-6), [picture("red")] * 10)
    log = read_log(folder)
    assert [record.kind for record in log.records] == ["start", "window", "window", "window", "stop"]
    windows = log.of(Window)
    assert [window.served for window in windows] == [4, 4, 2]
    assert sum(window.captured for window in windows) == 10 and sum(window.skipped for window in windows) == 0
    assert [window.late for window in windows] == [4, 4, 2], "no result is there within a nanosecond"
    first = windows[0]
    assert first.p50_ms and first.p90_ms and first.p99_ms and first.result_p90_ms
    assert first.p50_ms <= first.p90_ms <= first.p99_ms
    assert [record.n for record in log.records] == [1, 2, 3, 4, 5]
    assert log.of(Start)[0].source == "frames" and log.of(Stop)[0].why == "the frames ended"
    state = read_state(folder)
    assert state is not None and state["served"] == state["late"] == 10 and state["version"] == 1


def test_counts_go_on_after_a_restart(folder: Path) -> None:
    for _ in range(3):
        lines_of(folder, Options(every=True, window=4), [picture("red")] * 5)
    state = read_state(folder)
    assert state is not None and state["served"] == 15
    assert [record.n for record in read_log(folder).records] == list(range(1, 13))


def test_a_restart_says_which_alarms_stand_and_leaves_those_of_another_version(folder: Path) -> None:
    make_version(folder, 2)
    use(folder, 1)

    def serve(times: list[float]) -> set[str]:
        serving = Serving(
            folder, Options(every=True, quiet=True), health=Healthy(),
            loader=lambda version: [FakeModel(folder, version, times=times)],
        )  # fmt: skip
        assert serving.run(of_arrays([picture("red")] * len(times))) == 0
        return serving.watching.alarms

    assert serve([1.0] * 512 + [3.0] * 96) == {"latency"}
    assert serve([3.0] * 32) == {"latency"}
    use(folder, 2)
    assert serve([3.0] * 32) == set()
    log = read_log(folder)
    assert [start.alarms for start in log.of(Start)] == [(), ("latency",), ()]
    assert open_alarms(log) == []


def test_a_slow_network_skips_frames_and_serves_the_newest(folder: Path) -> None:
    """The reader puts forty frames while the first one is served: of those the last one is next."""
    done = threading.Event()

    def frames() -> Iterator[np.ndarray]:
        for _ in range(40):
            yield picture("red")
        yield picture("blue")
        done.set()

    said: list[str] = []
    serving = Serving(folder, Options(as_json=True), say_result=said.append)
    run, first = serving.model.run, True

    def slow(image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, float, float]:
        nonlocal first
        if first:
            first = False
            assert done.wait(20)
        return run(image)

    serving.model.run = slow  # type: ignore[method-assign]
    assert serving.run(of_arrays(frames())) == 0
    answers = [json.loads(line) for line in said]
    assert answers[-1]["classes"][0]["class"] == "blue" and answers[-1]["image"] == "frames#41"
    (window,) = read_log(folder).of(Window)
    assert window.captured == 41 == window.served + window.skipped and window.skipped > 0


def test_frames_that_cannot_be_read_are_named_and_the_others_go_on(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pictures(tmp_path / "pictures", ["red", "green"])
    (tmp_path / "pictures/000-a.png").write_text("not a picture")
    said: list[str] = []
    serving = Serving(folder, Options(every=True), say_result=said.append)
    assert serving.run(of_images(tmp_path / "pictures", serving.model.program.is_picture)) == 2
    assert len(said) == 2 and "000-a.png: not a readable image" in capsys.readouterr().err
    (window,) = read_log(folder).of(Window)
    assert (window.captured, window.served) == (3, 2)


def frames_until(done: Callable[[], bool]) -> Iterator[np.ndarray]:
    """Red frames until something has happened, and one more."""
    for _ in range(2000):
        yield picture("red")
        if done():
            break
        time.sleep(0.005)
    yield picture("red")


def test_serving_follows_current_between_frames(folder: Path) -> None:
    said: list[str] = []
    serving = Serving(folder, Options(every=True, as_json=True), say_result=said.append)
    make_version(folder, 2, {"fp32": color_model(1)})
    assert serving.run(of_arrays(frames_until(lambda: serving.model.version == 2))) == 0
    answers = [json.loads(line) for line in said]
    versions = [one["version"] for one in answers]
    assert versions[0] == 1 and versions[-1] == 2 and versions == sorted(versions)
    assert {(one["version"], one["classes"][0]["class"]) for one in answers} == {(1, "red"), (2, "green")}
    names = [int(one["image"].partition("#")[2]) for one in answers]
    assert names == list(range(1, len(names) + 1)), "every frame was served, by one version or the other"
    (switch,) = read_log(folder).of(Switch)
    assert (switch.old, switch.new, switch.failed) == (1, 2, False)
    assert [window.version for window in read_log(folder).of(Window)] == [1, 2]


@pytest.mark.parametrize("harm", ["cut", "gone", "garbage", "scores", "program", "no version"])
def test_a_version_that_fails_to_load_is_not_served(
    folder: Path, harm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    serving = Serving(folder, Options(every=True, as_json=True), say_result=said.append)
    classes = ["red", "green"] if harm == "scores" else ["red", "green", "blue"]
    models = {"fp32": b"not a model"} if harm == "garbage" else None
    place = make_version(folder, 2, models, classes=classes)
    if harm == "cut":
        (place / "model-fp32.onnx").write_bytes((place / "model-fp32.onnx").read_bytes()[:-1])
    elif harm == "gone":
        (place / "model-fp32.onnx").unlink()
    elif harm == "program":
        (place / "pixels.py").write_text("raise SystemError")
    elif harm == "no version":
        (folder / "current").write_text("7\n")
    assert serving.run(of_arrays(frames_until(lambda: bool(serving.journal.waiting or switches(folder))))) == 0
    assert {json.loads(line)["version"] for line in said} == {1}
    (switch,) = switches(folder)
    assert (switch.old, switch.new, switch.failed) == (1, 7 if harm == "no version" else 2, True) and switch.why
    assert "is not served: " in capsys.readouterr().err
    # a start finds the version that was served before
    again = Serving(folder, Options(every=True), say_result=said.append)
    assert again.model.version == 1
    again.journal.close()


def switches(folder: Path) -> tuple[Switch, ...]:
    try:
        return read_log(folder).of(Switch)
    except Exception:
        return ()


def test_a_folder_that_cannot_be_served_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is not a deployment folder"):
        Serving(tmp_path)
    place = make_version(tmp_path, 1)
    (tmp_path / "current").write_text("one")
    with pytest.raises(Refused, match="must name a version"):
        Serving(tmp_path)
    use(tmp_path, 1)
    with pytest.raises(Refused, match="--precision must be fp32; got int8"):
        Serving(tmp_path, Options(precision="int8"))
    serving = Serving(tmp_path)
    with pytest.raises(Refused, match="another process serves this folder"):
        Serving(tmp_path)
    serving.journal.close()
    (place / "run.py").write_text("print('harm')")
    with pytest.raises(Refused, match=r"run\.py: is not the file that SHA256SUMS names"):
        Serving(tmp_path)


def test_frames_that_wait_to_be_looked_at_are_known_when_serving_ends(folder: Path) -> None:
    """Frames are looked at 16 at a time; a second serving has the first one's last ones in its medians of 32."""
    for _ in range(2):
        serving = Serving(
            folder,
            Options(every=True, quiet=True),
            health=Healthy(),
            loader=lambda version: [FakeModel(folder, version)],
        )
        assert serving.run(of_arrays([picture("red")] * 20)) == 0
        state = read_state(folder)
        assert state is not None
        latency = state["watch"]["1:fp32"]["latency"]
        assert 32 * len(latency["first"]) + len(latency["times"]) == state["served"]
