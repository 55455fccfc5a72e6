"""A version that proves worse than the one before it is left again; one that does not is kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.monitor.log import Switch, read_log
from nas.monitor.serve import versions
from nas.monitor.serve.frames import of_arrays
from nas.monitor.serve.loop import Serving
from nas.monitor.serve.options import Options
from nas.monitor.serve.probation import Probation, worse
from tests.monitor.serve.deployments import make_version, picture
from tests.monitor.serve.fakes import FakeModel, Healthy


def window(**facts: Any) -> dict[str, Any]:
    usual = {"accuracy": 0.8, "accuracy_low": 0.76, "accuracy_high": 0.84, "trusted": True, "p90_ms": 2.0}
    return dict(usual, late=0, served=500, throttled=[]) | facts


@pytest.mark.parametrize(
    ("facts", "deadline", "said"),
    [
        ({}, False, ""),
        ({"accuracy": 0.72, "accuracy_low": 0.68, "accuracy_high": 0.76}, False, "8.0 points below"),
        ({"accuracy": 0.78}, False, ""),  # within what may be lost
        ({"accuracy": 0.5, "trusted": False}, False, ""),
        ({"accuracy": None, "trusted": None}, False, ""),
        ({"accuracy": 0.9}, False, ""),
        ({"p90_ms": 3.1}, False, "its p90 is 3.1 ms, 2 ms before"),
        ({"p90_ms": 2.9}, False, ""),
        ({"p90_ms": 9.0, "throttled": ["throttled"]}, False, ""),  # the board's doing
        ({"p90_ms": 9.0}, True, ""),  # slower, and soon enough
        ({"late": 50}, True, "10% of its results are late, 0% before"),
        ({"late": 20}, True, ""),
    ],
)
def test_what_makes_a_version_worse(facts: dict[str, Any], deadline: bool, said: str) -> None:
    why = worse([window()] * 3, [window(**facts)] * 2, deadline)
    assert (said in why) if said else why == ""
    assert worse([window()] * 3, [window(**facts)], deadline) == "", "one window says too little"
    assert worse([window()], [window(**facts)] * 3, deadline) == ""


def test_a_comparison_ends_after_four_windows_and_outlives_a_restart() -> None:
    one = Probation(1, deadline=False)
    for _ in range(6):
        assert one.judge(window()) == ""
    one.switched(2, compare=True)
    one.judge(window(p90_ms=2.1))
    again = Probation(2, deadline=False, state=one.state())
    assert again.old == 1 and len(again.old_windows) == 4
    assert again.judge(window(p90_ms=9.0)) == "", "the better of two counts"
    assert "its p90" in again.judge(window(p90_ms=9.0))
    for _ in range(4):
        again.judge(window())
    assert again.old is None and again.judge(window(p90_ms=99.0)) == ""
    for harm in (None, [], {"version": 3}, {"version": 2, "windows": [1], "old": "x", "old_windows": [{}]}):
        assert Probation(2, deadline=False, state=harm).judge(window()) == ""


def served(folder: Path, times: dict[int, float], automatic_return: bool = True) -> Serving:
    """Serves version 1, then 2 once 40 frames were served, for 110 and until it serves what is in use.

    Milliseconds are of the version.
    """

    def load(version: int) -> Any:
        return [FakeModel(folder, version, times=[times[version]])]

    def frames() -> Iterator[np.ndarray]:
        yield from [picture("red")] * 40
        versions.use(folder, 2)
        yield from until_current(folder, serving)
        yield from [picture("red")] * 100
        yield from until_current(folder, serving)
        yield from [picture("red")] * 10

    serving = Serving(
        folder, Options(every=True, quiet=True, window=10, automatic_return=automatic_return),
        loader=load, health=Healthy(),
    )  # fmt: skip
    assert serving.run(of_arrays(frames())) == 0
    return serving


def until_current(folder: Path, serving: Serving) -> Iterator[np.ndarray]:
    for _ in range(6000):
        yield picture("red")
        if serving.model.version == versions.current_of(folder):
            break
        time.sleep(0.01)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in (1, 2):
        make_version(tmp_path, number)
    (tmp_path / "current").write_text("1\n")
    (tmp_path / "previous").unlink()
    return tmp_path


def test_serving_returns_from_a_slower_version_and_stays(folder: Path) -> None:
    serving = served(folder, {1: 1.0, 2: 5.0})
    assert serving.model.version == 1 and versions.current_of(folder) == 1
    first, second = read_log(folder).of(Switch)
    assert (first.old, first.new, second.old, second.new) == (1, 2, 2, 1)
    assert second.why == "automatic return from version 2: its p90 is 5 ms, 1 ms before"
    assert versions.previous_of(folder) == [], "nas switch --back does not lead to what was left"


def test_a_version_as_good_is_kept_and_so_is_any_where_that_was_asked(folder: Path) -> None:
    assert served(folder, {1: 1.0, 2: 1.2}).model.version == 2
    versions.back(folder)
    assert served(folder, {1: 1.0, 2: 5.0}, automatic_return=False).model.version == 2
