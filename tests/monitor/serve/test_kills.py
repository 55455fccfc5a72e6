"""kill -9 at every moment of serving and switching loses nothing, and always one whole version is served."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kills import moments_of, run_kills


def test_serving_and_switching_go_on_from_every_file_operation(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    (found,) = run_kills("tests.monitor.serve.kills", tmp_path, moments_of(pytestconfig, 30))
    assert found["moments"] >= 25 and found["operations"] > 0 and found["wrong"] == {}
