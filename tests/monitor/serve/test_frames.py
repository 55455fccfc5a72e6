"""Frames: the place for one, pacing, and what cameras and videos give, with stand-ins for their libraries."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nas.monitor.serve.frames import Frame, Reader, Slot, Source, of_camera, of_images, of_stdin, of_video
from nas.monitor.serve.terminal import Refused

BGR = np.array([[[1, 2, 3]]], np.uint8)


def frame(number: int) -> Frame:
    return Frame(str(number), b"", float(number))


def test_the_newest_frame_is_taken_and_the_others_are_skipped() -> None:
    slot = Slot(every=False)
    assert all(slot.put(frame(n)) for n in range(5))
    taken = slot.take(0.0)
    assert taken is not None and taken.name == "4" and slot.counts() == (5, 4)
    assert slot.take(0.0) is None and not slot.ended
    slot.put(frame(5))
    slot.close()
    assert not slot.ended, "one waits"
    last = slot.take(0.0)
    assert last is not None and last.name == "5" and slot.ended and not slot.put(frame(6))


def test_every_frame_waits_for_its_turn() -> None:
    slot, taken = Slot(every=True), []
    reader = Reader(Source("numbers", ((str(n), b"") for n in range(20))), slot)
    reader.start()
    while (one := slot.take(5.0)) is not None:
        taken.append(one.name)
    assert taken == [str(n) for n in range(20)] and slot.counts() == (20, 0) and reader.error is None


def test_a_source_that_fails_ends_the_frames_and_says_why() -> None:
    def frames() -> Iterator[tuple[str, bytes]]:
        yield "1", b""
        raise OSError("unplugged")

    slot = Slot(every=True)
    reader = Reader(Source("camera", frames()), slot)
    reader.start()
    assert slot.take(5.0) is not None and slot.take(5.0) is None
    reader.join(5)
    assert str(reader.error) == "unplugged" and slot.ended


def test_a_reader_that_is_stopped_ends_in_the_middle_of_a_wait() -> None:
    slot = Slot(every=False)
    reader = Reader(Source("slow", ((str(n), b"") for n in range(9))), slot, fps=0.01)
    reader.start()
    assert slot.take(5.0) is not None
    reader.stop()
    reader.join(5)
    assert not reader.is_alive()


class Capture:
    """cv2.VideoCapture, with three frames."""

    def __init__(self, what: object) -> None:
        self.what, self.left, self.released = what, 3, threading.Event()

    def isOpened(self) -> bool:
        return self.what not in (9, "none")

    def set(self, *values: object) -> None: ...

    def get(self, what: object) -> float:
        return 25.0

    def read(self) -> tuple[bool, Any]:
        self.left -= 1
        return self.left >= 0, BGR

    def release(self) -> None:
        self.released.set()


def module(name: str, monkeypatch: pytest.MonkeyPatch, **contents: Any) -> None:
    made = ModuleType(name)
    vars(made).update(contents)
    monkeypatch.setitem(sys.modules, name, made)


@pytest.fixture
def cv2(monkeypatch: pytest.MonkeyPatch) -> None:
    module("cv2", monkeypatch, VideoCapture=Capture, CAP_PROP_FPS=5, CAP_PROP_BUFFERSIZE=38, __version__="5.0")


def test_a_camera_gives_rgb_until_it_is_gone(cv2: None) -> None:
    source = of_camera("0")
    assert source.words == "camera 0" and source.fps is None
    found = []
    with pytest.raises(Refused, match="camera 0: gives no more frames") as stopped:
        found += [content for _, content in source.frames]
    assert stopped.value.status == 1
    assert of_camera("rtsp://board/1").words == "camera rtsp://board/1"
    for wrong in ("9", "none"):
        with pytest.raises(Refused, match=r"cannot be opened by OpenCV 5\.0"):
            of_camera(wrong)


def test_a_video_is_read_by_opencv_where_pyav_is_missing(
    cv2: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "a.mp4").write_bytes(b"")
    source = of_video(str(tmp_path / "a.mp4"))
    frames = list(source.frames)
    assert source.fps == 25.0 and [name.rpartition("#")[2] for name, _ in frames] == ["1", "2", "3"]
    assert np.asarray(frames[0][1]).tolist() == [[[3, 2, 1]]], "OpenCV's are blue first"
    with pytest.raises(Refused, match="must be a file"):
        of_video(str(tmp_path))


def test_a_video_is_converted_by_pyav_only_where_a_frame_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    converted = []

    class Picture:
        def to_ndarray(self, format: str) -> Any:
            converted.append(format)
            return BGR

    stream = SimpleNamespace(average_rate=Fraction(30))
    container = SimpleNamespace(streams=SimpleNamespace(video=[stream]), decode=lambda stream: [Picture(), Picture()])
    module("av", monkeypatch, open=lambda path: container)
    (tmp_path / "a.mp4").write_bytes(b"")
    source = of_video(str(tmp_path / "a.mp4"))
    frames = [Frame(name, content, 0.0) for name, content in source.frames]
    assert source.fps == 30.0 and converted == []
    assert frames[1].picture() is BGR and converted == ["rgb24"]

    def broken(path: str) -> None:
        raise ValueError("moov atom not found")

    module("av", monkeypatch, open=broken)
    with pytest.raises(Refused, match="is not a readable video: moov atom not found"):
        of_video(str(tmp_path / "a.mp4"))


def test_pictures_come_in_the_order_of_their_paths_from_folders_too(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/1.png", "a.png", "c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    source = of_images(tmp_path, lambda path: path.suffix == ".png")
    assert [Path(name).relative_to(tmp_path).as_posix() for name, _ in source.frames] == ["a.png", "b/1.png", "b/2.png"]


def test_a_stream_in_pieces_is_put_together() -> None:
    end, start = os.pipe()
    source = of_stdin(None, end)
    content = bytes(range(256)) * 300

    def write() -> None:
        for piece in (b"\0", b"\1\x2c\0", content[:1000], content[1000:], b"\0\0\0\2hi"):
            os.write(start, piece)
        os.close(start)

    threading.Thread(target=write).start()
    assert [found for _, found in source.frames] == [content, b"hi"]
    os.close(end)
