"""A search that was given a time, at a speed that is given: real trainings, but no clock decides what is planned."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nas
from nas.run import read_settings
from nas.search import api, guided, loop, speed, timed
from nas.search.api import resume
from nas.search.plan import Speed
from nas.search.problem.feasibility import feasible_pool
from nas.search.speed import measure_speed, timed_candidates, typical
from nas.space.network import Network
from tests.search.small_tasks import SMALL

BUDGETS = {"max_macs": 3e5}


def failing(*given: object, **named: object) -> float:
    raise FloatingPointError


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float]]:
    """Batch and resolutions of what is timed; a training of the shortest kind is said to take some three minutes."""
    seen: list[tuple[int, float]] = []

    def said(proxy: object, networks: Iterable[Network], batch: int, most_s: float, *, threads: int | None) -> Speed:
        seen.append((batch, most_s))
        assert len({network.macs for network in networks}) >= 2
        return Speed(0.2, 0.1, 0.05, 1.0)

    monkeypatch.setattr(timed, "measure_speed", said)
    monkeypatch.setattr(timed, "measure_training", failing)  # so the plan is that of the speed
    monkeypatch.setattr(guided, "GUIDED_FROM", float("inf"))  # no network is scored
    return seen


def searched(folder: Path, **changed: object) -> nas.Run:
    (folder / "small.toml").write_text(SMALL)
    given: dict[str, object] = {
        "time": "2h", "budgets": BUDGETS, "sampler": "random", "confirm": 0.0, "out": folder / "run", "test": False,
    }  # fmt: skip
    space = str(folder / "small.toml")
    return nas.search("raspberry-pi-4", space, "digits", ["accuracy", "macs"], **given | changed)  # type: ignore[arg-type]


def test_a_plan_is_said_kept_and_gone_on_with(tmp_path: Path, measured: list[tuple[int, float]]) -> None:
    said: list[str] = []

    def stop(progress: object) -> None:
        if getattr(progress, "done", 0) == 1:
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt, match=r"--resume goes on"):
            searched(tmp_path, proxy={"batch_size": 2}, on_note=said.append, on_progress=stop)
        assert len(measured) == 1  # the same command keeps the plan
    kept = read_settings(tmp_path / "run")
    assert kept.minutes == 120 and 0 < kept.max_minutes < 120
    assert kept.proxy["batch_size"] == 2 and kept.proxy["epochs"] == 2
    assert measured == [(2, pytest.approx(0.03 * 7200))]
    assert [line.split(":")[0] for line in said if "networks of" in line] == ["2 h"]
    again = resume(tmp_path / "run", trials=3, test=False)
    assert len(again.trials) == 3 and again.settings.proxy == kept.proxy and again.settings.max_minutes == 0


def test_without_time_and_trials_a_search_has_five_minutes(tmp_path: Path, measured: list[tuple[int, float]]) -> None:
    said: list[str] = []

    def stop(progress: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path, time=None, on_note=said.append, on_progress=stop)
    assert measured == [(16, pytest.approx(0.03 * 300))]
    assert sum(line.startswith("5 min: about 1 network of 2 epochs") for line in said) == 1


def test_trials_and_settings_of_a_training_that_are_given_stay(
    tmp_path: Path, measured: list[tuple[int, float]]
) -> None:
    quick = {"epochs": 1, "data_share": 0.1, "batch_size": 32}
    run = searched(tmp_path, trials=2, proxy=quick)
    assert measured == [(32, pytest.approx(0.03 * 7200))]
    assert len(run.trials) == 2 == run.settings.trials and quick.items() <= run.settings.proxy.items()


@pytest.mark.parametrize("time", ["2h", None])
def test_feasible_candidates_are_looked_for_once(
    tmp_path: Path, measured: list[tuple[int, float]], monkeypatch: pytest.MonkeyPatch, time: str | None
) -> None:
    asked: list[str] = []
    for module in (loop, api):
        monkeypatch.setattr(module, "feasible_pool", lambda *given: asked.append("pool") or feasible_pool(*given))
    searched(tmp_path, time=time, trials=1, proxy={"epochs": 1, "data_share": 0.1, "batch_size": 32})
    assert asked == ["pool"] and bool(measured) == (time is not None)


def test_a_whole_training_that_is_quicker_than_its_steps_said_makes_them_longer(
    tmp_path: Path, measured: list[tuple[int, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps that were timed beside other work said two and a half minutes; a whole training took a tenth."""
    passes = {}
    for took in (None, 15.0):
        if took is not None:
            monkeypatch.setattr(timed, "measure_training", lambda proxy, network, threads, took=took: took)
        folder = tmp_path / str(took)
        folder.mkdir()

        def stop(progress: object) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            searched(folder, time="20h", on_progress=stop)
        proxy = read_settings(folder / "run").proxy
        passes[took] = float(proxy["epochs"]) * float(proxy["data_share"])
    assert passes[15.0] > 4 * passes[None]


def test_trials_alone_are_not_timed(tmp_path: Path, measured: list[tuple[int, float]]) -> None:
    run = searched(tmp_path, time=None, trials=1, proxy={"epochs": 1, "data_share": 0.1, "batch_size": 32})
    assert measured == [] and (run.settings.minutes, run.settings.max_minutes) == (0, 0)


def test_one_thread_trains_where_it_is_faster_than_all(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from nas.space.reference import reference_network

    network, before = reference_network("mobilenet_v2", resolution=32), torch.get_num_threads()
    try:
        for one, four, expected in ((1.0, 0.5, 4), (1.0, 8.0, 1)):
            torch.set_num_threads(4)
            seconds = {1: one, 4: four}
            monkeypatch.setattr(speed, "_step", lambda *_, s=seconds: (s[torch.get_num_threads()], 0.0))
            assert speed.fastest_threads(object(), network, 16) == expected  # type: ignore[arg-type]
            assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


def test_a_machine_is_timed_at_both_resolutions(tmp_path: Path) -> None:
    from nas.data.catalog import load_dataset
    from nas.estimate.fidelity import Fidelity
    from nas.estimate.proxy import ProxyTraining
    from tests.search.small_tasks import CountingPricer, settings_for, small_space

    space = small_space(tmp_path)
    networks = list(timed_candidates(feasible_pool(space, CountingPricer(space), settings_for(space)), space, 10))
    macs = [network.macs for network in networks]
    assert macs[2] < macs[4] < macs[0] < macs[3] < macs[1]
    pool = feasible_pool(space, CountingPricer(space), settings_for(space)).columns["macs"]
    assert macs[0] == pytest.approx(np.sqrt(pool.min() * pool.max()), rel=0.3)  # spread in logarithms
    assert typical(networks).macs == min(macs, key=lambda m: abs(m - np.mean(macs)))
    proxy = ProxyTraining(load_dataset("digits"), Fidelity(resolution_share=0.5))
    both = measure_speed(proxy, networks[:2], 8, 1e9)
    assert 0 < both.evaluated < both.trained and both.trained_small > 0 and both.fixed >= 0
    same = measure_speed(replace(proxy, fidelity=Fidelity(resolution_share=1.0)), networks, 8, 0.0)
    assert same.trained == same.trained_small
    hurried = measure_speed(proxy, networks, 8, 0.0)  # 24 pixels, at first 16: RESOLUTION_STEP
    assert hurried.trained_small < hurried.trained
