"""Frames: from a camera, a video, a folder of pictures, standard input, or any iterable of pixels; the newest counts.

A thread reads them into a slot of one: a frame that was not taken when the next one comes is skipped, and counted.
With `every` the thread waits instead, so that every frame is served.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, Union

import numpy as np

from .terminal import Refused

MOST_BYTES = 1 << 26  # of a picture on standard input
MOST_SIDE = 16384  # pixels of a raw frame

Content = Union[Path, bytes, np.ndarray, Callable[[], np.ndarray]]  # decoded when it is served: a skipped one never is


class Frame:
    """`content` is a picture's file, what such a file holds, or uint8 (h, w, 3); `at` is when it was captured."""

    __slots__ = ("at", "content", "name")

    def __init__(self, name: str, content: Content, at: float) -> None:
        self.name, self.content, self.at = name, content, at

    def picture(self) -> Any:
        """What the version's program reads."""
        return self.content() if callable(self.content) else self.content


class Slot:
    """A place for one frame. `every`: a frame is never skipped; who puts the next one waits until it was taken."""

    def __init__(self, every: bool) -> None:
        self.every = every
        self.captured = self.skipped = 0
        self._frame: Frame | None = None
        self._closed = False
        self._change = threading.Condition()

    def put(self, frame: Frame) -> bool:
        """False: nobody takes frames any more."""
        with self._change:
            while self.every and self._frame is not None and not self._closed:
                self._change.wait()
            if self._closed:
                return False
            self.captured += 1
            self.skipped += self._frame is not None
            self._frame = frame
            self._change.notify_all()
            return True

    def take(self, timeout: float) -> Frame | None:
        """The newest frame; None after so many seconds, or at once where no more come."""
        with self._change:
            if self._frame is None and not self._closed:
                self._change.wait(timeout)
            frame, self._frame = self._frame, None
            if frame is not None:
                self._change.notify_all()
            return frame

    def counts(self) -> tuple[int, int]:
        """Captured and skipped so far; a frame that waits in the slot is captured."""
        with self._change:
            return self.captured, self.skipped

    def close(self) -> None:
        """No more frames come; one that waits may still be taken."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    @property
    def ended(self) -> bool:
        with self._change:
            return self._closed and self._frame is None


class Source:
    """Frames in words, and where they come from. `fps`: the rate of a recording; None: they come when they come."""

    def __init__(self, words: str, frames: Iterable[tuple[str, Content]], fps: float | None = None) -> None:
        self.words, self.frames, self.fps = words, frames, fps


class Reader(threading.Thread):
    """Reads a source into a slot, at `fps` frames a second where that is given. `error` is why it ended early."""

    def __init__(self, source: Source, slot: Slot, fps: float | None = None) -> None:
        super().__init__(daemon=True, name="frames")
        self.source, self.slot, self.fps = source, slot, fps
        self.error: Exception | None = None
        self._stop_asked = threading.Event()

    def run(self) -> None:
        due = time.monotonic()
        try:
            for name, content in self.source.frames:
                if self.fps:
                    if self._stop_asked.wait(max(0.0, due - time.monotonic())):
                        break
                    due = max(due + 1 / self.fps, time.monotonic() - 1.0)  # never makes up for more than a second
                if not self.slot.put(Frame(name, content, time.monotonic())):
                    break
        except Exception as error:  # a camera's library raises anything; the main thread says it
            self.error = error
        finally:
            self.slot.close()

    def stop(self) -> None:
        """Ends it before its next frame; it may never come."""
        self._stop_asked.set()
        self.slot.close()


def of_arrays(frames: Iterable[np.ndarray], words: str = "frames") -> Source:
    """Frames of a program: each uint8 (h, w, 3), RGB."""
    return Source(words, ((f"{words}#{n}", frame) for n, frame in enumerate(frames, 1)))


def of_images(folder: Path, is_picture: Callable[[Path], bool]) -> Source:
    """The pictures in a folder and its folders, in the order of their paths. Raises Refused where there is none."""
    if not folder.is_dir():
        raise Refused(f"--images must be a folder; got {folder}")
    paths = sorted(path for path in folder.rglob("*") if is_picture(path))
    if not paths:
        raise Refused(f"{folder}: has no pictures")
    return Source(f"images {folder}", ((str(path), path) for path in paths))


def of_stdin(raw: str | None, descriptor: int = 0) -> Source:
    """Frames on standard input: pictures (JPEG, PNG, ...), each after its length in 4 bytes, the highest first.

    With `raw`, as 640x480: raw RGB frames of that width and height. Raises Refused.
    """
    if raw is None:
        return Source("stdin", _lengths(descriptor))
    width, _, height = raw.partition("x")
    if not (width.isdigit() and height.isdigit() and 0 < int(width) <= MOST_SIDE and 0 < int(height) <= MOST_SIDE):
        raise Refused(f"--raw must be WIDTHxHEIGHT of 1 to {MOST_SIDE} pixels, as 640x480; got {raw[:40]}")
    return Source("stdin", _raw(descriptor, int(width), int(height)))


def _lengths(descriptor: int) -> Iterator[tuple[str, Content]]:
    number = 0
    while True:
        head = _read(descriptor, 4)
        if not head:
            return
        number += 1
        length = int.from_bytes(head, "big")
        if len(head) < 4 or not 0 < length <= MOST_BYTES:
            raise Refused(f"stdin: frame {number} must begin with its length, 1 to {MOST_BYTES} bytes; got {head!r}")
        content = _read(descriptor, length)
        if len(content) < length:
            raise Refused(f"stdin: frame {number} ends after {len(content)} of {length} bytes")
        yield f"stdin#{number}", content


def _raw(descriptor: int, width: int, height: int) -> Iterator[tuple[str, Content]]:
    number, size = 0, width * height * 3
    while True:
        content = _read(descriptor, size)
        if not content:
            return
        number += 1
        if len(content) < size:
            raise Refused(f"stdin: frame {number} ends after {len(content)} of {size} bytes")
        yield f"stdin#{number}", np.frombuffer(content, np.uint8).reshape(height, width, 3)


def _read(descriptor: int, size: int) -> bytes:
    """So many bytes, or what there are before the end. Not by sys.stdin: its lock would keep Python from ending."""
    parts = []
    while size:
        part = os.read(descriptor, min(size, 1 << 20))
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def of_video(path: str) -> Source:
    """A video's file, through PyAV or OpenCV, at its own rate. Raises Refused where it cannot be opened."""
    if not Path(path).is_file():
        raise Refused(f"--video must be a file; got {path}")
    try:
        import av
    except ImportError:
        return _of_opencv(path, f"video {path}", "--video needs PyAV or OpenCV: pip install av")
    try:
        container = av.open(path)
        stream = container.streams.video[0]
    except Exception as error:  # it raises many kinds
        raise Refused(f"{path}: is not a readable video: {str(error)[:200]}") from None
    frames = ((f"{path}#{n}", _converter(frame)) for n, frame in enumerate(container.decode(stream), 1))
    return Source(f"video {path}", frames, float(stream.average_rate or 0) or None)


def _converter(frame: Any) -> Callable[[], np.ndarray]:
    return lambda: np.asarray(frame.to_ndarray(format="rgb24"))


def of_camera(name: str) -> Source:
    """A camera by its number, or by what OpenCV opens: a device, a URL. Raises Refused where it cannot be opened."""
    need = "--camera needs OpenCV: pip install opencv-python-headless (or apt install python3-opencv)"
    return _of_opencv(int(name) if name.isdigit() and len(name) < 5 else name, f"camera {name}", need)


def _of_opencv(what: int | str, words: str, need: str) -> Source:
    try:
        import cv2
    except ImportError:
        raise Refused(need, 3) from None
    capture = cv2.VideoCapture(what)
    if not capture.isOpened():
        raise Refused(f"{words}: cannot be opened by OpenCV {cv2.__version__}")
    if isinstance(what, int):
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the driver's queue would hold old frames
    fps = None if words.startswith("camera") else capture.get(cv2.CAP_PROP_FPS) or None

    def frames() -> Iterator[tuple[str, Content]]:
        number = 0
        try:
            while True:
                there, pixels = capture.read()
                if not there:
                    if words.startswith("camera"):
                        raise Refused(f"{words}: gives no more frames", 1)
                    return
                number += 1
                yield f"{what}#{number}", np.ascontiguousarray(pixels[:, :, ::-1])  # OpenCV's are BGR
        finally:
            capture.release()

    return Source(words, frames(), fps)
