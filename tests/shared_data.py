"""Where the public measurements lie that some tests check against; the project does not carry them."""

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("NAS_SHARED_DATA") or Path(__file__).resolve().parents[2] / "shared/data")


def shared_data(name: str) -> Path:
    """The path of one file of the shared data; skips the test, saying why, where the folder is absent."""
    path = ROOT / name
    if not path.exists():
        pytest.skip(f"needs the public measurements: no {name} under {ROOT} (set NAS_SHARED_DATA)")
    return path
