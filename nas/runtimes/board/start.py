"""Runs the version that the file `current` names, as it says: python run.py image.jpg"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path


def main() -> int:
    """The exit status of a start that failed; else the version's own program ends this one."""
    here = Path(__file__).resolve().parent
    try:
        version = (here / "current").read_text("ascii").strip()
    except (OSError, ValueError):
        version = ""
    program = here / "versions" / version / "run.py"
    if not version.isdigit() or not program.is_file():
        print(f"run.py: {here / 'current'} must name a version in {here / 'versions'}, as 1", file=sys.stderr)
        return 2
    sys.path[0] = str(program.parent)
    runpy.run_path(str(program), run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main())
