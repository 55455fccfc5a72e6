"""Serving a detector: boxes in the frame's own pixels, counts without tracking, frames that are drawn, versions."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import pytest
from PIL import Image

from nas.monitor.log import Switch, Window, read_log
from nas.monitor.serve import objects
from nas.monitor.serve.answers import part_of
from nas.monitor.serve.endpoint import Endpoint
from nas.monitor.serve.fleet import load_fleet
from nas.monitor.serve.frames import of_arrays
from nas.monitor.serve.loop import Serving
from nas.monitor.serve.metrics import Asked
from nas.monitor.serve.objects import ObjectCounts, pooled
from nas.monitor.serve.options import Options
from nas.monitor.serve.terminal import Refused
from nas.monitor.serve.versions import Model, current_of, load, use
from tests.monitor.serve.deployments import color_model, make_detector, make_version, square_model, squares
from tests.monitor.serve.fakes import Healthy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_detector(tmp_path / "cups", 1)
    return tmp_path / "cups"


def lines_of(folder: Path, options: Options, frames: list[np.ndarray]) -> list[str]:
    said: list[str] = []
    assert Serving(folder, options, say_result=said.append).run(of_arrays(frames)) == 0
    return said


def test_boxes_are_in_the_frames_own_pixels(folder: Path) -> None:
    """Two squares of 16 pixels in a frame of 64 x 48, and of 32 in one of 96 x 128."""
    frames = [squares(1, 1), squares(2, size=(96, 128)), squares(0)]
    wide, tall, empty = map(json.loads, lines_of(folder, Options(every=True, as_json=True), frames))
    assert [(o["class"], o["box"]) for o in wide["objects"]] == [("red", [0, 0, 16, 16]), ("blue", [16, 0, 32, 16])]
    assert [o["box"] for o in tall["objects"]] == [[0, 0, 32, 32], [32, 0, 64, 32]]
    assert all(0.9 < o["probability"] <= 1 for o in wide["objects"])
    assert empty["objects"] == [] and empty["version"] == 1 and not empty["late"] and empty["ms"] > 0


def test_a_line_names_each_class_with_its_number_and_the_surest(folder: Path) -> None:
    said = lines_of(folder, Options(every=True), [squares(2, 1), squares(0)])
    assert "red 2 (" in said[0] and "blue 1 (" in said[0] and said[0].startswith("frames#1: ")
    assert said[1].startswith("frames#2: nothing found, ") and said[1].endswith(" ms")


def test_the_boxes_are_those_of_run_py_whatever_the_source(folder: Path, tmp_path: Path) -> None:
    """Pictures of a folder, and the same on standard input; the EXIF orientation is followed."""
    turned = Image.Exif()
    turned[274] = 6  # to be turned by a quarter
    (tmp_path / "pictures").mkdir()
    path = tmp_path / "pictures/a.jpg"
    Image.fromarray(squares(3, 1)).save(path, quality=95, exif=turned)
    command = [sys.executable, str(folder / "run.py"), "--json", str(path)]
    once = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)
    serve = [sys.executable, str(folder / "serve.pyz"), str(folder), "--json"]
    images = subprocess.run(
        [*serve, "--images", str(tmp_path / "pictures")], capture_output=True, text=True, check=True, timeout=60
    )
    content = path.read_bytes()
    stdin = subprocess.run(
        [*serve, "--stdin", "--every-frame"], input=len(content).to_bytes(4, "big") + content, capture_output=True,
        check=True, timeout=60,
    )  # fmt: skip
    served = [json.loads(done.stdout) for done in (images, stdin)]
    assert len(once["objects"]) == 4 and [one["objects"] for one in served] == [once["objects"]] * 2


def test_less_certain_objects_are_said_where_they_are_asked_for(folder: Path) -> None:
    pale = squares(0)
    pale[:16, :16] = (130, 105, 105)  # a probability of 0.08, below that of what is watched
    for least, count in ((0.4, 0), (0.05, 1)):
        (line,) = lines_of(folder, Options(every=True, as_json=True, least=least), [pale])
        assert len(json.loads(line)["objects"]) == count


def test_windows_have_the_objects_a_frame_by_class(folder: Path) -> None:
    frames = [squares(red, 1) for red in (0, 0, 1, 3)] + [squares(0)] * 2
    lines_of(folder, Options(every=True, window=4), frames)
    first, second = read_log(folder).of(Window)
    assert first.objects is not None and second.objects is not None
    assert (first.objects.mean, first.objects.p90, first.objects.none) == (2.0, 4.0, 0.0)
    red, blue = first.objects_of["red"], first.objects_of["blue"]
    assert (red.mean, red.p90, red.none) == (1.0, 3.0, 0.5) and (blue.mean, blue.p90, blue.none) == (1.0, 1.0, 0.0)
    assert (second.objects.mean, second.objects.none, second.objects_of["red"].none) == (0.0, 1.0, 1.0)
    assert first.accuracy is None and first.accuracy_low is None and first.p90_ms is not None


def test_named_classes_are_bounded() -> None:
    names = [f"{n}" * 90 for n in range(30)]
    counts = ObjectCounts(names)
    counts.add(np.arange(30))
    found = counts.end_window()
    assert len(found["objects_of"]) == 12 and found["more_classes"] == 17
    assert all(len(name) <= 80 for name in found["objects_of"]) and len(json.dumps(found)) < 4000
    assert counts.end_window() == {}, "a window without a frame says nothing"


def test_the_newest_frames_are_drawn_in_their_own_size(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "drawn"
    place.mkdir()
    (place / "mine.jpg").write_bytes(b"of somebody else")
    lines_of(folder, Options(every=True, draw=place, drawn=2), [squares(1), squares(2), squares(3)])
    assert sorted(path.name for path in place.iterdir()) == ["000002-frames-2.jpg", "000003-frames-3.jpg", "mine.jpg"]
    with Image.open(place / "000003-frames-3.jpg") as image:
        assert image.size == (64, 48)
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match=r"--draw .*file: cannot be written"):
        Serving(folder, Options(draw=tmp_path / "file"))
    Serving(folder, Options()).journal.close()  # the refused one let the folder go


def test_a_picture_is_sent_to_detect(folder: Path) -> None:
    serving = Serving(folder, Options(every=True, quiet=True, window=2))
    endpoint = Endpoint(Asked(serving), "127.0.0.1", 0)
    address = f"http://127.0.0.1:{endpoint.server_port}"
    packed = io.BytesIO()
    Image.fromarray(squares(1, 1)).save(packed, "PNG")
    try:
        found = json.loads(urlopen(Request(f"{address}/detect", packed.getvalue()), timeout=20).read())
        assert [o["box"] for o in found["objects"]] == [[0, 0, 16, 16], [16, 0, 32, 16]] and found["version"] == 1
        with pytest.raises(OSError, match="404"):
            urlopen(Request(f"{address}/classify", packed.getvalue()), timeout=20)
        assert "nas_objects_mean" not in urlopen(f"{address}/metrics", timeout=20).read().decode()
        assert serving.run(of_arrays([squares(2, 1), squares(0)])) == 0
        text = urlopen(f"{address}/metrics", timeout=20).read().decode()
    finally:
        endpoint.close()
    assert 'nas_objects_mean{class="red"} 1\n' in text and "nas_objects_mean 1.5\n" in text
    assert 'nas_frames_without_ratio{class="blue"} 0.5\n' in text and 'nas_objects_p90{class="red"} 2\n' in text
    assert 'nas_alarm{chart="detections"} 0' in text and "nas_accuracy_estimate" not in text


def timed(folder: Path, version: int, ms: float, precision: str | None = None) -> Model:
    """The version's model, whose inferences say that they took so long."""
    model = load(folder, version, precision)
    run = model.run
    model.run = lambda image: (*run(image)[:2], ms, ms)  # type: ignore[method-assign]
    model.ms = ms
    return model


def until(serving: Serving, version: int) -> Iterator[np.ndarray]:
    """Frames until a version serves, and 60 more."""
    for _ in range(2000):
        yield squares(1)
        if serving.model.version == version:
            break
        time.sleep(0.005)
    yield from [squares(1)] * 60


def test_a_switch_between_a_classifier_and_a_detector_counts_as_each_does(folder: Path) -> None:
    make_version(folder, 2, {"fp32": color_model()})
    said: list[str] = []
    serving = Serving(folder, Options(every=True, as_json=True, window=20), say_result=said.append)
    assert Asked(serving).asked == "/classify"
    use(folder, 1)
    assert serving.run(of_arrays(until(serving, 1))) == 0
    assert Asked(serving).asked == "/detect"
    assert ["classes" in json.loads(line) for line in (said[0], said[-1])] == [True, False]
    windows = read_log(folder).of(Window)
    assert all((window.objects is not None) == (window.version == 1) for window in windows)
    assert {window.version for window in windows} == {1, 2}
    assert sum(window.served for window in windows) == len(said)


def test_a_slower_version_of_a_detector_is_returned_from(folder: Path) -> None:
    make_detector(folder, 2)
    use(folder, 1)
    serving = Serving(
        folder, Options(every=True, quiet=True, window=10), health=Healthy(),
        loader=lambda version: [timed(folder, version, {1: 1.0, 2: 5.0}[version])],
    )  # fmt: skip

    def frames() -> Iterator[np.ndarray]:
        yield from [squares(1)] * 40
        use(folder, 2)
        yield from until(serving, 2)
        yield from until(serving, 1)

    assert serving.run(of_arrays(frames())) == 0
    assert current_of(folder) == serving.model.version == 1
    there, back = read_log(folder).of(Switch)
    assert there.new == 2 and back.why == "automatic return from version 2: its p90 is 5 ms, 1 ms before"


def test_detectors_are_chosen_among_by_latency(folder: Path) -> None:
    """A classifier of the same classes is not among them."""
    make_version(folder, 2, {"fp32": color_model()}, classes=["red", "blue", "green"])
    files = {"fp32": square_model(3), "int8": square_model(3)}
    make_detector(folder, 3, files, classes=["red", "blue", "green"], accuracy={"fp32": 0.4, "int8": 0.3})
    assert {model.version for model in load_fleet(folder, 3)} == {3}
    large, small = timed(folder, 3, 8.0, "fp32"), timed(folder, 3, 2.0, "int8")
    serving = Serving(
        folder, Options(every=True, quiet=True, window=100, max_latency_ms=5.0), health=Healthy(),
        loader=lambda version: [large, small],
    )  # fmt: skip
    assert serving.run(of_arrays(squares(1) for _ in range(100))) == 0
    (window,) = read_log(folder).of(Window)
    assert window.shares == {"3:int8": 1.0} and window.objects is not None and window.objects.mean == 1


def test_results_that_are_late_are_counted(folder: Path) -> None:
    lines_of(folder, Options(every=True, deadline_ms=1e-6), [squares(1)] * 3)
    assert [window.late for window in read_log(folder).of(Window)] == [3]


def test_numbers_that_are_none_find_nothing(folder: Path) -> None:
    """A network that breaks at work: no frame ends serving, and nothing that is said is not a number."""
    (folder / "current").write_text("1")
    model = load(folder, 1)
    outputs = iter([np.nan, np.inf, -np.inf])
    model.run = lambda image: (np.full((16, 6), next(outputs), np.float32), None, 1.0, 1.0)  # type: ignore[method-assign]
    said: list[str] = []
    serving = Serving(folder, Options(every=True, as_json=True), say_result=said.append, loader=lambda version: [model])
    assert serving.run(of_arrays([squares(1)] * 3)) == 0
    assert all("NaN" not in line and "Infinity" not in line for line in said) and len(said) == 3


def test_the_part_of_a_square_that_is_picture() -> None:
    assert part_of((64, 64), 320) == (320, 320)
    assert part_of((640, 480), 320) == (239, 320) and part_of((480, 640), 192) == (192, 143)
    assert part_of((10_000, 3), 320) == (1, 320)


@pytest.mark.parametrize("each", [1, 6])
def test_heads_are_pooled_by_place_also_of_every_few_boxes(each: int, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = [(2, 3), (12, 10)]
    said = np.random.default_rng(0).standard_normal((126 * each, 5)).astype(np.float32)
    found = pooled(said, maps)
    assert found == pytest.approx(np.concatenate([said[: 6 * each].mean(0), said[6 * each :].mean(0)]), abs=1e-6)
    monkeypatch.setattr(objects, "MOST_VALUES", said.size // 4)
    said[:] = np.tile(np.arange(each), 126)[:, None]  # each anchor says its number
    assert pooled(said, maps)[5:] == pytest.approx(np.full(5, (each - 1) / 2), abs=0.1)


def test_options_of_detectors_are_refused_for_classifiers(tmp_path: Path, folder: Path) -> None:
    make_version(tmp_path / "colors", 1)
    (tmp_path / "pictures").mkdir()
    Image.fromarray(squares(1)).save(tmp_path / "pictures/a.png")
    for place, options, said in (
        (tmp_path / "colors", ["--draw", str(tmp_path / "drawn")], "--draw and --least are for detectors"),
        (folder, ["--least", "1"], "--least must be between 0 and 1; got 1.0"),
        (folder, ["--drawn", "3"], "--drawn goes with --draw"),
    ):
        command = [sys.executable, str(place / "serve.pyz"), str(place), "--images", str(tmp_path / "pictures")]
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1
