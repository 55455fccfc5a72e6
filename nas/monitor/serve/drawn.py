"""Frames with their boxes, as JPEG files in a folder: the newest ones, a bounded number."""

from __future__ import annotations

import contextlib
from collections import deque
from pathlib import Path
from typing import Any

from .terminal import Refused, say

MOST_DRAWN = 500
LONGEST = 80  # characters of a frame's name
QUALITY = 90


class Drawn:
    """Writes frames into `folder`; beyond `most` the oldest of this serving go. Other files in it are left.

    Raises Refused where there can be no such folder. A full disk later stops no serving.
    """

    def __init__(self, folder: Path, most: int = MOST_DRAWN) -> None:
        self.folder, self.most = folder, most
        self.paths: deque[Path] = deque()
        self.count = 0
        self.failed = ""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Refused(f"--draw {folder}: cannot be written: {error.strerror or error}") from None

    def add(self, name: str, image: Any) -> None:
        """An image of Pillow, as 000001-NAME.jpg: the frame's number in this serving, and its own name."""
        self.count += 1
        stem = Path(name.replace("#", "-")).name
        plain = "".join(c if c.isalnum() or c in "-_." else "_" for c in stem)[-LONGEST:]
        path = self.folder / f"{self.count:06d}-{plain}.jpg"
        try:
            image.save(path, "JPEG", quality=QUALITY)
            self.failed = ""
        except OSError as error:
            reason = error.strerror or str(error)
            if reason != self.failed:
                say(f"{self.folder}: cannot be written: {reason}; serving goes on")
            self.failed = reason
        self.paths.append(path)
        while len(self.paths) > self.most:
            with contextlib.suppress(OSError):
                self.paths.popleft().unlink()
