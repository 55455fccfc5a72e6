"""How often items are visited."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from nas.profiling.agent.journal import FIGURES, Journal
from nas.profiling.agent.plan import read_model, read_plan
from nas.profiling.agent.runtimes import OnnxRuntime
from nas.profiling.agent.timing import time_items, uncertainty
from tests.profiling.agent.bundle import QUICK, SETTING, change, keep_fp32


def test_a_median_is_known_as_well_as_its_visits_agree():
    # stdev of 1.0, 1.1, 1.2 is 0.1; t(97.5%, 2) = 4.30; 1.25 * 4.30 * 0.1 / sqrt(3) / 1.1 = 0.28213
    assert uncertainty([1.1, 1.0, 1.2]) == pytest.approx(0.28213, abs=1e-4)
    assert uncertainty([2.0]) == math.inf
    assert uncertainty([2.0] * 5) == 0
    even = [1.0, 1.02] * 50  # t is that of 15 degrees from there on: 1.25 * 2.13 * 0.010050 / 10 / 1.01
    assert uncertainty(even) == pytest.approx(0.0026495, abs=1e-6)


def test_settled_items_are_left_in_peace(bundle, monkeypatch, tmp_path):
    """Visits to one block agree, those to another do not: the first gets `least_rounds`, the second all rounds."""
    keep_fp32(bundle)
    change(bundle, settings=QUICK | {"least_rounds": 3, "rounds": 6, "within": 0.02})
    plan, runner = read_plan(bundle), OnnxRuntime(1, "CPUExecutionProvider")
    _, steady, _, network = [item["id"] for item in plan["items"]]
    file = {read_model(bundle, item["file"]): item["id"] for item in plan["items"]}
    seen: Counter[str] = Counter()

    def visit(model, reference, settings):
        name = file[model]
        seen[name] += 1
        relative = 2.0 if name in (steady, network) else 2.0 + seen[name] % 2
        return dict.fromkeys(FIGURES, 1.0) | {"relative": relative, "at": 1.0, "runs": 2}

    monkeypatch.setattr(runner, "visit", visit)
    visits = time_items(plan, bundle, runner, Journal(tmp_path / "m.jsonl", SETTING, file.values()))
    assert sorted(map(len, visits.values())) == [3, 6, 6] and len(visits[steady]) == 3 and len(visits[network]) == 6
