"""results.json, which the agent writes."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from .terminal import Refused

AGENT = "1"
MOST_THREADS = 1024


def write_results(path: Path, content: dict[str, Any]) -> None:
    """Writes the file; it appears only when it is whole."""
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise Refused(
            f"{path}: cannot be written: {error.strerror}; what was measured is kept, the same command goes on"
        ) from None
