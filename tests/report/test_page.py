"""The page that a team picks a network from."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.device.profile import load_device
from nas.errors import UserError
from nas.report import pick, write_comparison, write_report
from nas.report.page import page
from nas.run import (
    MeasuredCosts,
    Reference,
    Run,
    load_run,
    read_trials,
    write_curves,
    write_measured,
    write_references,
    write_settings,
    write_trials,
)
from nas.search.api import search_front
from nas.space.candidate import Candidate
from nas.space.search_space import load_space
from tests.report.browser import data_of, opened
from tests.runs import ROWS, costs, make_run, settings

CIFAR = Path(__file__).parents[2] / "experiments" / "first-front"


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A real search: ten networks trained on handwritten digits, for an epoch."""
    path = tmp_path_factory.mktemp("runs") / "digits"
    return search_front(
        "raspberry-pi-4", trials=10, proxy={"epochs": 1, "data_share": 0.3}, sampler="random", out=path
    )  # fmt: skip


@pytest.fixture(scope="module")
def cifar(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The recorded trials of a real search: CIFAR-10, MobileNetV3, Raspberry Pi 4 (experiments/first-front)."""
    path = tmp_path_factory.mktemp("runs") / "cifar"
    space, device = load_space("mobilenet-v3"), load_device("raspberry-pi-4")
    run = Run(path, settings(
        space="mobilenet-v3", device="raspberry-pi-4", dataset="cifar10", space_sha256=space.fingerprint,
        device_sha256=device.fingerprint, budgets={"max_latency_ms": 60.0},
        reference_point={"latency_ms": 60.0, "energy_mj": 300.0},
    ), tuple(read_trials(CIFAR / "trials.csv")))  # fmt: skip
    write_settings(path, run.settings)
    write_trials(path, run.settings, run.trials)
    return run


def shown(driver: Any, what: str) -> str:
    found: str = driver.execute_script("return document.querySelector(arguments[0]).textContent", what)
    return found


def slide(driver: Any, what: str, position: int) -> None:
    """Moves a slider as a hand would: its value, then the event that a browser sends."""
    driver.execute_script(
        "const s = document.querySelector(arguments[0]); s.value = arguments[1];"
        "s.dispatchEvent(new Event('input', {bubbles: true}))", what, position,
    )  # fmt: skip


def limit_at(run: Run, position: int) -> float:
    """The latency that a slider's position stands for: even steps of the logarithm."""
    ms = [t.costs.latency_ms for t in run.trials if t.state == "trained"]
    return min(ms) * (max(ms) / min(ms)) ** (position / 1000)


@pytest.mark.parametrize("which", ["digits", "cifar"])
def test_a_slider_changes_the_pick_to_that_of_nas_pick(which: str, request: pytest.FixtureRequest) -> None:
    run: Run = request.getfixturevalue(which)
    write_report(run, ["html"])
    with opened(run.path / "report.html") as driver:
        picks = []
        for position in (1000, 700, 400, 0):
            slide(driver, "#budget-latency_ms", position)
            picks.append(int(driver.find_element("id", "pick").get_attribute("data-trial")))
            limit = {} if position == 1000 else {"max_latency_ms": limit_at(run, position) * (1 + 1e-12)}
            assert picks[-1] == pick(run, **limit).trial  # type: ignore[arg-type]
        assert len(set(picks)) > 1
        last = next(t for t in run.trials if t.trial == picks[-1])
        assert f"{100 * last.value('accuracy'):.1f}%" in shown(driver, "#pick [data-figure=accuracy]")
        driver.find_element("css selector", "#reset").click()
        driver.find_element("css selector", "input[value=knee]").click()
        assert int(driver.find_element("id", "pick").get_attribute("data-trial")) == pick(run, knee=True).trial
        on = run.front_trials[0]
        driver.find_element("css selector", f"[data-pick='{on.trial}']").send_keys("\n")  # by keyboard
        assert f"Trial {on.trial}" in shown(driver, "#pick h3")
        rows = driver.find_elements("css selector", "#detail .stages tbody tr")
        assert len(rows) > 3 and len(driver.find_elements("css selector", "#layers tbody tr")) > 10
        assert driver.find_elements("css selector", "#front .scatterlayer .trace")


def test_a_phone_shows_the_page_without_scrolling_sideways(digits: Run) -> None:
    write_report(digits, ["html"])
    with opened(digits.path / "report.html", width=390, height=844) as driver:
        wide = driver.execute_script(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide <= 0


def test_two_devices_are_compared(digits: Run, tmp_path: Path) -> None:
    other = search_front(
        "jetson-agx-xavier", trials=5, proxy={"epochs": 1, "data_share": 0.2}, sampler="random", out=tmp_path / "xavier"
    )  # fmt: skip
    written = write_comparison([digits, other], tmp_path)
    assert [p.name for p in written] == [f"comparison.{f}" for f in ("html", "csv", "json", "md", "png")]
    with opened(tmp_path / "comparison.html") as driver:
        assert len(driver.find_elements("css selector", "#fronts-chart .scatterlayer .trace")) == 4
        rows = [row.text for row in driver.find_elements("css selector", "#runs ~ .scroll tbody tr")]
        assert "raspberry-pi-4" in rows[0] and "jetson-agx-xavier" in rows[1]
    assert "trained differently" in (tmp_path / "comparison.md").read_text()


def test_every_number_of_the_page_is_that_of_pareto_csv(digits: Run) -> None:
    write_report(digits)
    with (digits.path / "pareto.csv").open() as file:
        rows = list(csv.DictReader(file))
    trials = {t["trial"]: t for t in data_of((digits.path / "report.html").read_text())["trials"] if t["front"]}
    assert sorted(trials) == sorted(int(row["trial"]) for row in rows)
    for row in rows:
        found = trials[int(row["trial"])]
        for name in set(row) - {"trial", "candidate", "seconds", "seed"}:
            assert (str(found[name]) == row[name] or float(found[name]) == float(row[name])) if row[name] else (
                found[name] is None
            ), name  # fmt: skip


def test_parts_of_a_network_add_up_to_at_most_the_whole(digits: Run) -> None:
    found = data_of(page(digits))
    for t in found["trials"]:
        parts = [part for _, block in t["blocks"] for part in found["blocks"][block]["parts"]]
        assert 0 < sum(ms for _, ms, _ in parts) <= t["latency_ms"] * (1 + 1e-9)


def test_five_hundred_trials_are_a_page_for_a_mailbox(tmp_path: Path, cifar: Run) -> None:
    many = [replace(t, trial=i) for i in range(500) for t in [cifar.trials[i % len(cifar.trials)]]]
    run = Run(cifar.path, cifar.settings, tuple(many))
    assert len(page(run).encode()) < 5e6


EVIL = "<img src=x onerror='window.hacked=1'>\"'&{{7*7}}</script>|`"


def test_markup_in_any_name_is_text(tmp_path: Path) -> None:
    run = make_run(
        tmp_path / "run", ROWS, space=EVIL, device=EVIL, dataset=EVIL, command=EVIL, created=EVIL,
        versions={EVIL: EVIL}, sampler=EVIL, proxy={EVIL: EVIL},
    )  # fmt: skip
    marked = [
        replace(t, candidate=Candidate.of({"precision": "fp32", EVIL: EVIL, f"{EVIL}.op": EVIL})) for t in run.trials
    ]
    write_trials(run.path, run.settings, marked)
    write_curves(run.path, {4: []}, {4: EVIL})
    write_references(run.path, [Reference(EVIL, "fp32", costs(12.0, 30.0))])
    write_measured(run.path, [MeasuredCosts(2, 5.5, 6.0, None, EVIL, EVIL)])
    loaded = load_run(run.path)
    marked[0] = replace(marked[0], costs=replace(marked[0].costs, latency_basis=EVIL, energy_basis=EVIL))
    loaded = replace(loaded, trials=tuple(marked))  # no table with such a basis is read
    for file in write_report(loaded):
        if file.suffix in (".html", ".md"):
            assert "<img" not in file.read_text()
    write_comparison([loaded, loaded], tmp_path)
    assert "<img" not in (tmp_path / "comparison.md").read_text() + (tmp_path / "comparison.html").read_text()
    for name in ("run/report.html", "comparison.html"):
        with opened(tmp_path / name) as driver:
            assert driver.execute_script("return window.hacked") is None
            assert not driver.find_elements("css selector", "img, svg image")
            assert "{{7*7}}" in driver.find_element("tag name", "h1").text or name == "comparison.html"


@pytest.mark.parametrize("rows", [(), ((0, None, 3.0, 9.0),), ((0, 0.5, 3.0, 9.0),)])
def test_runs_with_hardly_a_trial_have_a_page(
    tmp_path: Path, rows: tuple[tuple[int, float | None, float, float | None], ...]
) -> None:
    run = make_run(tmp_path / "run", rows)
    write_report(run, ["html"])
    with opened(run.path / "report.html") as driver:
        assert shown(driver, "#pick h3") == ("Trial 0" if rows and rows[0][1] else "No network is trained yet")


def test_the_knee_of_two_equally_good_networks_is_that_of_nas_pick(tmp_path: Path) -> None:
    rows = ((0, 0.9, 10.0, None), (2, 0.8, 5.0, None))
    run = make_run(tmp_path / "run", rows, objectives=("accuracy", "latency"))
    write_report(run, ["html"])
    with opened(run.path / "report.html") as driver:
        driver.find_element("css selector", "input[value=knee]").click()
        assert int(driver.find_element("id", "pick").get_attribute("data-trial")) == pick(run, knee=True).trial == 2
        driver.find_element("css selector", "input[value=cheap]").click()
        slide(driver, "#accuracy", 1000)
        assert int(driver.find_element("id", "pick").get_attribute("data-trial")) == 0


def test_a_budget_on_a_logarithmic_axis_upwards_stays_in_the_picture(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", budgets={"max_energy_mj": 60.0})
    write_report(run, ["html"])
    with opened(run.path / "report.html") as driver:
        driver.execute_script(
            "const y = document.getElementById('y'); y.value = 'energy_mj'; y.dispatchEvent(new Event('change'))"
        )
        low, high = driver.execute_script("return document.getElementById('front')._fullLayout.yaxis.range")
        assert 0 < low < high < 4  # of the decimal logarithm of mJ
        axis = "document.getElementById('front')._fullLayout.xaxis"
        ticks = dict(zip(*driver.execute_script(f"return [{axis}.tickvals, {axis}.ticktext]"), strict=True))
        assert ticks[0.5] == "0.5" and ticks[20] == "20" and ticks[2000] == "2 k"


def test_a_run_without_trials_is_compared_too(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "one"), make_run(tmp_path / "two", ())]
    write_comparison(runs, tmp_path, ["html", "md"])
    with opened(tmp_path / "comparison.html") as driver:
        assert driver.find_elements("css selector", "#fronts-chart .scatterlayer .trace")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("curves.jsonl", '{"trial": 1e999, "curve": []}\n'),
        ("curves.jsonl", '{"trial": 1, "curve": [{"loss": 1' + "0" * 400 + "}]}\n"),
        ("curves.jsonl", "[]\n"),
        ("pareto.json", '{"proposals": {"train": 1e999}}'),
        ("pareto.json", "[]"),
        ("measured.csv", "trial,latency_ms\n"),
        ("measured.csv", "trial,latency_ms,latency_p90_ms,energy_mj,where,date\n1,nan,2,,a,b\n"),
        ("measured.csv", "trial,latency_ms,latency_p90_ms,energy_mj,where,date\n1,1,2,," + "a" * 200_000 + ",b\n"),
    ],
)
def test_a_broken_file_is_named_before_anything_is_written(tmp_path: Path, name: str, text: str) -> None:
    run = make_run(tmp_path / "run")
    (run.path / name).write_text(text)
    before = sorted(p.name for p in run.path.iterdir())
    with pytest.raises(UserError, match=name):
        write_report(load_run(run.path))
    assert sorted(p.name for p in run.path.iterdir()) == before


def test_why_networks_failed_is_said(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    write_curves(run.path, {4: []}, {4: "loss is not finite"})
    assert "failed: loss is not finite" in page(run)


def test_what_was_proposed_is_counted(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    assert "The sampler proposed" not in page(run)
    write_trials(run.path, run.settings, run.trials, {"train": 7, "infeasible": 2, "duplicate": 0})
    said = "The sampler proposed 9 candidates. Not trained: 2 that would have broken a budget or have no price on this "
    assert said + "device, and 0 that were known already." in page(load_run(run.path))
    write_report(load_run(run.path))
    assert load_run(run.path).proposals["infeasible"] == 2


def test_what_was_measured_counts(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    assert pick(run, max_latency_ms=20.0).trial == 1
    write_measured(run.path, [MeasuredCosts(1, 21.0, 22.0, None, "a board", "2026-11-23")])
    run = load_run(run.path)
    assert pick(run, max_latency_ms=20.0).trial == 0
    assert pick(run, trial=1).costs.latency_ms == 21.0
    write_report(run, ["html"])
    with opened(run.path / "report.html") as driver:
        assert "a board" in shown(driver, "#limits ~ ul")
        driver.find_element("css selector", "[data-pick='1']").click()
        assert "measured: 21.0 ms, predicted 20.0 ms" in shown(driver, "#pick")
