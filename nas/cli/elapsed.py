"""How long a bar has run, in words: rich's own column is a bare 0:10:51, which next to a time left reads as that."""

from __future__ import annotations

from rich.progress import ProgressColumn, Task
from rich.text import Text

from nas.numbers import clock


class Elapsed(ProgressColumn):
    """Such as `10:51 elapsed`, hours only where there are any."""

    def render(self, task: Task) -> Text:
        return Text(f"{clock(task.elapsed or 0.0)} elapsed")
