"""What a board says over ssh, shown to the user as it comes."""

from __future__ import annotations

import codecs
from collections import deque
from typing import TextIO

COUNT = 30  # columns


class Screen:
    """Where the board's words go: shown as they come, the last lines kept. Without a terminal only whole lines."""

    def __init__(self, output: TextIO) -> None:
        self._output, self._live = output, output.isatty()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._line, self._counting = "", False
        self.lines: deque[str] = deque(maxlen=20)

    def say(self, text: str) -> None:
        """A line of our own."""
        self.close()
        self._output.write(f"{text}\n")
        self._output.flush()

    def count(self, text: str) -> None:
        """A short text of our own that the next one replaces; on a terminal only."""
        if self._live:
            self._output.write(f"\r{text:<{COUNT}}")
            self._output.flush()
            self._counting = True

    def relay(self, data: bytes) -> None:
        """Shows what the board sent."""
        self._clear()
        text = "".join(c for c in self._decoder.decode(data) if c.isprintable() or c in "\n\r\t")
        if self._live:
            self._output.write(text)
        *whole, self._line = (self._line + text).split("\n")
        for line in whole:
            self._end(line)
        self._line = self._line.rpartition("\r")[2][-4096:]
        self._output.flush()

    def close(self) -> None:
        """Ends a line that was left open."""
        self._clear()
        if self._line:
            self.relay(b"\n")

    def _clear(self) -> None:
        if self._counting:
            self._output.write(f"\r{'':<{COUNT}}\r")
            self._counting = False

    def _end(self, line: str) -> None:
        shown = line.rstrip("\r").rpartition("\r")[2].rstrip()  # of a line written over, what stood there last
        if not self._live:
            self._output.write(f"{shown}\n")
        if shown.strip():
            self.lines.append(shown.strip()[:500])
