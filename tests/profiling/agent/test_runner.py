"""How one visit is timed."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from nas.profiling.agent.runtimes import OnnxRuntime
from nas.profiling.agent.terminal import Refused


def test_without_a_threads_clock_it_takes_the_time_that_passes(monkeypatch):
    assert OnnxRuntime(2, "CPUExecutionProvider").clock_name == "wall"
    monkeypatch.delattr(time, "thread_time")
    assert OnnxRuntime(1, "CPUExecutionProvider").clock_name == "wall"


def test_a_visit_compares_each_run_with_the_reference_around_it(monkeypatch):
    """The machine becomes half as fast midway: the model takes 6 ms, then 12 ms, the reference 2 ms, then 4 ms.

    What runs after the other finds the caches cold, which takes it 1 ms more.
    """
    runner = OnnxRuntime(1, "CPUExecutionProvider")
    calls, last = Counter(), [""]

    def timed(name, ms):
        def once():
            calls[name] += 1
            cold, last[0] = last[0] != name, name
            return (ms + cold) / 1000 * (1 if calls["reference"] <= 12 else 2)

        return once

    monkeypatch.setattr(runner, "prepare", lambda model: timed("model", 6.0))
    settings = {"runs": 10, "most_runs": 10, "visit_s": 0.0}
    found = runner.visit(b"", timed("reference", 2.0), settings)
    assert found["relative"] == 3.0 and found["runs"] == 10
    assert found["median_ms"] == 9.0 or found["median_ms"] == 12.0
    assert calls == {"model": 21, "reference": 23}


def test_more_runs_are_made_of_short_models(monkeypatch):
    runner = OnnxRuntime(1, "CPUExecutionProvider")
    monkeypatch.setattr(runner, "prepare", lambda model: lambda: 0.0005)
    settings = {"runs": 10, "most_runs": 25, "visit_s": 0.03}
    assert runner.visit(b"", lambda: 0.0005, settings)["runs"] == 15  # of 2 ms, two of either
    assert runner.visit(b"", lambda: 0.0095, settings)["runs"] == 10
    assert runner.visit(b"", lambda: 0.00001, settings)["runs"] == 25
    with pytest.raises(Refused, match="too coarse"):
        runner.visit(b"", lambda: 0.0, settings)
