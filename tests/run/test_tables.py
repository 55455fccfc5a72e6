"""The tables of a search: appended to, as long for the last trial as for the first."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from nas.pareto import non_dominated
from nas.run import Front, Run, Tables, Trial, load_run, points, read_curves, write_settings
from nas.run import tables as module
from tests.runs import settings, trial

CURVE = [{"train_loss": 1.0, "validation_accuracy": 0.5, "seconds": 0.1}]


def trials(n: int) -> list[Trial]:
    """Random trials, of which few reach the front."""
    rng = random.Random(0)
    return [trial(i, rng.uniform(0.1, 0.9), rng.uniform(5, 90), rng.uniform(9, 300)) for i in range(n)]


def test_a_trial_costs_its_own_line_however_many_there_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.time, "monotonic", lambda: 0.0)  # the front is written with time, not with trials
    given = settings(trials=400)
    write_settings(tmp_path, given)
    tables, written = Tables(tmp_path, given), []
    tables.write({})
    for t in trials(400):
        before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
        tables.add(t, CURVE, None, {"train": t.trial + 1})
        after = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
        changed = [name for name in after if after[name] != before.get(name)]
        assert sorted(changed) == ["curves.jsonl", "trials.csv"]
        assert all(after[name].startswith(before[name]) for name in changed)
        written.append(sum(len(after[name]) - len(before[name]) for name in changed))
    assert max(written[200:]) <= max(written[:200]) + 4  # two more digits of a number, twice
    tables.write({"train": 400})
    run = load_run(tmp_path)
    assert len(run.trials) == 400 and run.proposals == {"train": 400} and len(read_curves(tmp_path)) == 400


def test_the_front_is_written_when_a_second_has_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(clock)))
    tables = Tables(tmp_path, settings())
    for number, accuracy in enumerate((0.5, 0.6, 0.7)):
        tables.add(trial(number, accuracy, 10.0, 30.0), CURVE, None, {})
        assert f"\n{number},trained," in (tmp_path / "pareto.csv").read_text()


@pytest.mark.parametrize("order", [1, -1])
def test_the_front_added_to_is_the_front_of_all(order: int) -> None:
    every = [*trials(120), *(trial(120 + t.trial, t.accuracy, t.costs.latency_ms, 30.0) for t in trials(20))]
    every += [trial(200 + t.trial, t.accuracy, t.costs.latency_ms, t.costs.energy_mj) for t in trials(60)]  # equal ones
    every += [trial(300, None, 1.0, 1.0)]
    front, trained = Front(settings(), every[::order]), [t for t in every if t.state == "trained"]
    on = non_dominated(points(trained, settings()))
    assert front.trials == tuple(t for t, is_on in zip(trained, on, strict=True) if is_on)
    assert 0 < front.volume < 1


def test_half_a_last_line_is_left_out(tmp_path: Path) -> None:
    """A search that was killed, or is just writing."""
    given = settings()
    write_settings(tmp_path, given)
    tables = Tables(tmp_path, given)
    tables.write({})
    for t in trials(5):
        tables.add(t, CURVE, None, {})
    whole = load_run(tmp_path).trials
    for name in ("trials.csv", "curves.jsonl"):
        data = (tmp_path / name).read_bytes()
        last = data[:-1].rfind(b"\n") + 1
        for cut in (last, last + 1, (last + len(data)) // 2, len(data) - 1):
            (tmp_path / name).write_bytes(data[:cut])
            assert read_all(tmp_path) == ((whole[:4], 5) if name == "trials.csv" else (whole, 4))
        (tmp_path / name).write_bytes(data)


def read_all(path: Path) -> tuple[Sequence[Trial], int]:
    run: Run = load_run(path)
    return run.trials, len(read_curves(path))
