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


class Kept:
    """Keeps the last frames before an alarm, and at most `most` of all; 0: none. Names are unique in a folder."""

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder / FRAMES, most
        self.began, self.count = int(1000 * time.time()), 0
        self.recent: deque[tuple[str, np.ndarray]] = deque(maxlen=min(BEFORE, most) or 1)

    def see(self, pixels: np.ndarray) -> str:
        """The name of a frame, uint8 (r, r, 3), whether it is kept later or not."""
        self.count += 1
        name = f"{self.began}-{self.count}.png"
        if self.most:
            self.recent.append((name, pixels))
        return name

    def keep(self) -> list[str]:
        """Writes the last frames, and removes the oldest of all beyond `most`; their names."""
        if not self.most:
            return []
        names = []
        try:
            self.folder.mkdir(exist_ok=True)
            for name, pixels in self.recent:
                write_atomic(self.folder / name, png_of(pixels))
                names.append(name)
        except OSError as error:
            say(f"{self.folder}: cannot be written: {error.strerror or error}")
        self.recent.clear()
        files = sorted(self.folder.glob("[0-9]*-[0-9]*.png"), key=_order) if self.folder.is_dir() else []
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
