"""FOLDER/monitor/frames: what the network saw before an alarm, as PNG, a bounded number; only where it is asked for."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from .state import write_atomic
from .terminal import say

FRAMES = "frames"
BEFORE = 8  # frames that are kept of an alarm: it and those before it
EVERY = 10  # of the frames after it, while it holds, one is kept


class Kept:
    """Keeps the last frames before an alarm and some of those after it, at most `most` of all; 0: none.

    While an alarm holds one frame of ten is kept, until there are as many of it as are kept of all: then nothing more
    is written, which spares a memory card. A quarter of all may be frames before an alarm, which outlast the others.
    Names are unique in a folder.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder / FRAMES, most
        self.began, self.count = int(1000 * time.time()), 0
        self.left = 0  # frames that are still to be kept of the alarm that holds
        self.before: deque[str] = deque(maxlen=max(most // 4, min(BEFORE, most)))  # names, of frames before alarms
        self.recent: deque[tuple[str, np.ndarray]] = deque(maxlen=min(BEFORE, most) or 1)

    def see(self, pixels: np.ndarray) -> str:
        """The name of a frame, uint8 (r, r, 3), whether it is kept later or not; where none is ever kept, none."""
        if not self.most:
            return ""
        self.count += 1
        name = f"{self.began}-{self.count}.png"
        self.recent.append((name, pixels))
        if self.left > 0 and self.count % EVERY == 0:
            self.left -= 1
            self._write([(name, pixels)])
        return name

    def cleared(self) -> None:
        """No alarm holds any more."""
        self.left = 0

    def keep(self) -> list[str]:
        """Writes the last frames, and removes the oldest of all beyond `most`; their names."""
        if not self.most:
            return []
        self.before.extend(name for name, _ in self.recent)
        names = self._write(list(self.recent))
        self.recent.clear()
        self.left = max(0, self.most - len(names))
        return names

    def _write(self, frames: list[tuple[str, np.ndarray]]) -> list[str]:
        names = []
        try:
            self.folder.mkdir(exist_ok=True)
            for name, pixels in frames:
                write_atomic(self.folder / name, png_of(pixels))
                names.append(name)
        except OSError as error:
            say(f"{self.folder}: cannot be written: {error.strerror or error}")
            self.left = 0
        files = sorted(self.folder.glob("[0-9]*-[0-9]*.png"), key=_order) if self.folder.is_dir() else []
        files.sort(key=lambda path: path.name in self.before)  # these go last
        for path in files[: max(0, len(files) - self.most)]:
            with contextlib.suppress(OSError):
                path.unlink()
        return names


def _order(path: Path) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in path.stem.split("-"))


def png_of(pixels: np.ndarray) -> bytes:
    """The bytes of a PNG file of uint8 (r, r, 3)."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
