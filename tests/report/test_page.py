"""The page that a team picks a network from."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.data.shown import shown_picture
from nas.device.profile import load_device
from nas.errors import UserError
from nas.numbers import percent
from nas.report import pick, write_comparison, write_report
from nas.report.page import page
from nas.report.pick import choose
from nas.report.ties import expected_text, interval
from nas.report.words import ties_text
from nas.run import (
    AveragePrecision,
    Costs,
    MeasuredCosts,
    Reference,
    Run,
    Trial,
    load_run,
    read_trials,
    write_curves,
    write_measured,
    write_references,
    write_settings,
    write_trials,
)
from nas.run.pictures import MOST_BOXES, MOST_PICTURES, write_pictures
from nas.search.api import search
from nas.space.candidate import Candidate
from nas.space.search_space import load_space
from tests.report.browser import data_of, opened, settled, trials_of
from tests.runs import BELIEFS, ROWS, costs, make_believed_run, make_detector_run, make_run, settings

CIFAR = Path(__file__).parents[2] / "experiments" / "first-front"


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A real search: ten networks trained on handwritten digits, for an epoch."""
    path = tmp_path_factory.mktemp("runs") / "digits"
    return search(
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


@pytest.fixture(scope="module")
def believed(cifar: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The recorded trials with what might be expected of their networks: other than measured, and hardly sure."""
    path, rng = tmp_path_factory.mktemp("runs") / "believed", np.random.default_rng(0)
    path.mkdir()
    given = replace(cifar.settings, validation_images=5000)
    trials = [
        replace(
            t, trainings=int(rng.integers(1, 4)), expected_accuracy=t.value("accuracy") + float(rng.normal(0, 0.005)),
            accuracy_deviation=float(rng.uniform(0.01, 0.05)), front_probability=float(rng.uniform()),
        )
        for t in cifar.trials
    ]  # fmt: skip
    write_settings(path, given)
    write_trials(path, given, trials)
    return load_run(path)


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


def choose_trial(driver: Any, trial: int) -> None:
    driver.execute_script(f"choose({trial})")


def picked(driver: Any) -> int:
    return int(driver.find_element("id", "pick").get_attribute("data-trial"))


@pytest.mark.parametrize("which", ["digits", "cifar", "believed"])
def test_a_slider_changes_the_pick_to_that_of_nas_pick(which: str, request: pytest.FixtureRequest) -> None:
    run: Run = request.getfixturevalue(which)
    write_report(run, ["html"])
    with opened(run.path / "report.html") as driver:
        picks = []
        for position in (1000, 700, 400, 0):
            slide(driver, "#budget-latency_ms", position)
            picks.append(picked(driver))
            limit = {} if position == 1000 else {"max_latency_ms": limit_at(run, position) * (1 + 1e-12)}
            assert picks[-1] == pick(run, **limit).trial  # type: ignore[arg-type]
        assert len(set(picks)) > 1
        last = next(t for t in run.trials if t.trial == picks[-1])
        assert f"{100 * last.value('accuracy'):.1f}%" in shown(driver, "#pick [data-figure=accuracy]")
        driver.find_element("css selector", "#reset").click()
        driver.find_element("css selector", "input[value=knee]").click()
        assert picked(driver) == pick(run, knee=True).trial
        on = run.front_trials[0]
        driver.find_element("css selector", f"[data-pick='{on.trial}']").send_keys("\n")  # by keyboard
        assert f"Trial {on.trial}" in shown(driver, "#pick h3")
        rows = driver.find_elements("css selector", "#detail .stages tbody tr")
        assert len(rows) > 3 and len(driver.find_elements("css selector", "#layers tbody tr")) > 10
        assert driver.find_elements("css selector", "#front .scatterlayer .trace")


def test_networks_that_cannot_be_told_apart_are_picked_as_nas_pick_does(believed: Run) -> None:
    """Under budgets that are networks' own latencies, with ties and greedily; then by the least accuracy."""
    write_report(believed, ["html"])
    budgets = sorted(t.costs.latency_ms for t in believed.trials)[::3]
    others = 0
    with opened(believed.path / "report.html") as driver:
        for ms in budgets:
            for greedy in (False, True):
                driver.execute_script(
                    "limit.latency_ms = arguments[0]; $('greedy').checked = arguments[1]; update()", ms, greedy
                )
                chosen = choose(believed, {"max_latency_ms": ms}, greedy=greedy)
                assert picked(driver) == chosen.trial.trial
                said = driver.find_elements("css selector", "#ties")
                assert [text.text.lower() for text in said] == (
                    [f"{ties_text(believed, chosen.ties)}.".lower()] if len(chosen.ties) > 1 else []
                )
                others += bool(said)
        assert 3 < others < len(budgets)
        driver.execute_script("limit.latency_ms = null; update()")
        driver.find_element("css selector", "input[value=cheap]").click()
        for position in (250, 500, 900):
            slide(driver, "#accuracy", position)
            least = driver.execute_script("return leastAccuracy()")
            assert picked(driver) == pick(believed, min_accuracy=least).trial


@pytest.mark.parametrize("epochs", [1, 200])
def test_a_guide_decides_as_nas_pick_lets_it(believed: Run, epochs: int) -> None:
    """Between networks that are not clearly less accurate, which of short trainings more are."""
    scores = np.random.default_rng(0).random(len(believed.trials)).tolist()
    run = replace(
        believed,
        trials=tuple(
            replace(t, guide_score=s, promise=(5 * s) % 1 if epochs > 1 else None)
            for t, s in zip(believed.trials, scores, strict=True)
        ),
        settings=replace(believed.settings, guide="zero-cost", proxy={"epochs": epochs, "data_share": 0.5}),
    )  # fmt: skip
    write_report(run, ["html"])
    with opened(run.path / "report.html") as driver:
        for ms in sorted(t.costs.latency_ms for t in run.trials)[4::7]:
            driver.execute_script("limit.latency_ms = arguments[0]; update()", ms)
            chosen = choose(run, {"max_latency_ms": ms})
            assert picked(driver) == chosen.trial.trial
            said = driver.find_elements("css selector", "#ties")
            assert [text.text.lower() for text in said] == (
                [f"{ties_text(run, chosen.ties)}.".lower()] if len(chosen.ties) > 1 else []
            )


def test_a_chart_has_the_deviations_and_rings_the_ties(believed: Run) -> None:
    write_report(believed, ["html"])
    with opened(believed.path / "report.html") as driver:
        driver.find_element("id", "reset").click()
        assert driver.execute_script("return document.getElementById('y').value") == "expected"
        bars = driver.execute_script(
            "return document.getElementById('front').data.filter(t => t.error_y && t.customdata)"
            ".flatMap(t => t.customdata.map((n, i) => [n, t.y[i], t.error_y.array[i], t.error_y.arrayminus[i]]))"
        )
        front = {t.trial: t for t in believed.front_trials}
        assert {n for n, *_ in bars} == front.keys()
        for n, *drawn in bars:
            t = front[n]
            off = interval(t, 5000) or 0.0
            assert drawn == pytest.approx([100 * x for x in (t.value("expected_accuracy"), off, off)])
        rings = "return document.getElementById('front')._fullLayout.shapes.filter(s => s.type === 'circle').length"
        assert settled(driver, rings, len(choose(believed, {}).ties))
        said = driver.execute_script("return hover(trained.find(t => t.trainings === 3))")
        t = next(t for t in believed.trials if t.trainings == 3)
        assert f"expected accuracy {expected_text(t, 5000)}" in said and "3 trainings" in said
        assert f"on the front with a probability of {percent(t.front_probability, 0)}" in said


def test_the_table_has_what_is_believed_beside_what_was_measured(tmp_path: Path) -> None:
    run = make_believed_run(tmp_path / "run", {**BELIEFS, 5: (0.957, 0.01)}, validation_images=1000)
    write_report(run, ["html"])
    with opened(run.path / "report.html") as driver:
        heads = [h.text for h in driver.find_elements("css selector", "#front-table th")]
        assert heads[1:7] == ["trial", "expected", "on the front", "trainings", "tied with", "measured"]
        rows = {
            row.get_attribute("data-trial"): [cell.text for cell in row.find_elements("tag name", "td")][2:7]
            for row in driver.find_elements("css selector", "#front-table tbody tr")
        }
        assert rows["5"] == ["95.7 ±1.2%", "25%", "3", "1", "95.0%"] and rows.keys() == {"2", "0", "1", "5"}
        assert rows["1"] == ["95.5 ±1.0%", "25%", "2", "", "95.0%"]  # 0.8 of its own, 0.66 of 1,000 images
        told = driver.find_element("css selector", "#front-table").find_element("xpath", "../..").text
        assert "Expected accuracy is what trainings of the network reach on average" in told
        assert "Measured accuracy is that of the one set of weights that is kept" in told
        assert "3 of the 4 networks on the front can be told apart." in told
        assert "1 network was left off the front, as it cannot be told from a cheaper one of it: trial 6." in told
        assert "Differences between networks are surer than that" in told
        assert shown(driver, "#gain-latency_ms") == ""  # the pick is trial 1 already, and 6 cannot be told from it
        driver.execute_script("limit.latency_ms = 79; update()")
        assert shown(driver, "#gain-latency_ms") == "a larger budget gains nothing that can be told"
        driver.execute_script("$('greedy').checked = true; update()")
        assert shown(driver, "#gain-latency_ms") == "1.00 ms more would gain 0.3 points (trial 6)"
        driver.execute_script("choose(6)")
        assert shown(driver, "#pick h3") == "Trial 6 (left off the front)"
        assert shown(driver, "#pick [data-figure=expected] b") == "96.0 ±0.9%"
        line = driver.execute_script("return stairsOf('latency_ms', 'expected').map(t => t.trial)")
        assert line == [2, 0, 1, 5]  # of the front that is reported
        assert driver.execute_script("return stairsOf('size_mb', 'expected').map(t => t.trial)") == [2, 0, 1, 5, 6]


def test_without_deviations_nothing_is_offered_about_ties(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    write_report(run, ["html"])
    with opened(run.path / "report.html") as driver:
        assert not driver.find_element("id", "greedy").is_displayed()
        options = [o.text for o in driver.find_elements("css selector", "#y option")]
        assert options[0] == "accuracy (validation)" and "expected accuracy" not in options


@pytest.mark.parametrize("which", ["digits", "believed"])
def test_a_phone_shows_chart_and_sliders_together(which: str, request: pytest.FixtureRequest) -> None:
    """On a screen of 390 x 844: nothing to scroll sideways, and the chart stays in view while its sliders are moved."""
    run: Run = request.getfixturevalue(which)
    write_report(run, ["html"])
    seen = (
        "const box = document.querySelector(arguments[0]).getBoundingClientRect();"
        "return [box.top, box.bottom, box.left, box.right]"
    )
    with opened(run.path / "report.html", phone=True) as driver:
        assert driver.execute_script("return innerWidth") == 390
        assert driver.execute_script("return document.documentElement.scrollWidth") <= 390
        for slider in ("#budget-latency_ms", "#budget-energy_mj", "#accuracy"):
            driver.execute_script("document.querySelector(arguments[0]).scrollIntoView({block: 'end'})", slider)
            chart, moved = driver.execute_script(seen, "#front"), driver.execute_script(seen, slider)
            assert 0 <= chart[0] < chart[1] <= moved[0] < moved[1] <= 844, slider
            assert chart[1] - chart[0] > 200
        rows = driver.execute_script(
            "return [...document.querySelectorAll('#front-table tbody tr')].map(row => row.offsetHeight)"
        )
        assert rows and max(rows) <= 60
        blocks = driver.execute_script(
            "return [...document.querySelectorAll('.stages tbody tr')].map(row => row.offsetHeight)"
        )
        assert max(blocks) <= (110 if which == "digits" else 160)  # stages of tiny have three blocks, of others four


def test_the_page_and_its_charts_follow_a_dark_theme(digits: Run) -> None:
    write_report(digits, ["html"])
    colors = (
        "const chart = document.getElementById('front')._fullLayout;"
        "return [getComputedStyle(document.body).backgroundColor, chart.paper_bgcolor, chart.font.color]"
    )
    with opened(digits.path / "report.html", dark=True) as driver:
        assert driver.execute_script(colors) == ["rgb(20, 24, 29)", "#14181d", "#e6e9ed"]
        light = {"features": [{"name": "prefers-color-scheme", "value": "light"}]}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", light)
        assert settled(driver, colors, ["rgb(255, 255, 255)", "#fff", "#1b1f24"])


def test_a_command_is_copied_by_its_button(digits: Run) -> None:
    write_report(digits, ["html"])
    with opened(digits.path / "report.html") as driver:
        driver.execute_script(
            "navigator.clipboard.writeText = text => { window.copied = text; return Promise.resolve() }"
        )
        driver.find_element("css selector", "#pick .copy").click()
        trial = driver.find_element("id", "pick").get_attribute("data-trial")
        assert driver.execute_script("return window.copied").endswith(f"--pick {trial} --onnx trial-{trial}.onnx")
        assert len(driver.find_elements("css selector", ".command")) == len(
            driver.find_elements("css selector", ".command-box .copy")
        )


def test_known_networks_are_named_with_their_precision(tmp_path: Path) -> None:
    """Two on one place: the names stand above each other, and each line answers the pointer."""
    run = make_run(tmp_path / "run")
    names = ("MobileNetV2 1.0", "MobileNetV1 0.25", "ResNet-50")
    write_references(run.path, [
        Reference(name, p, costs(ms, ms * 3)) for p in ("fp32", "int8")
        for name, ms in zip(names, (60.0, 60.5, 4000.0), strict=True)
    ])  # fmt: skip
    write_report(load_run(run.path), ["html"])
    with opened(run.path / "report.html") as driver:
        layout = "document.getElementById('front')._fullLayout"
        labels = driver.execute_script(f"return {layout}.annotations.map(a => [a.text, a.x, a.y])")
        assert [text for text, *_ in labels] == ["MobileNetV2 1.0, fp32", "MobileNetV1 0.25, fp32"]
        assert labels[0][2] < labels[1][2] and labels[0][1] == pytest.approx(labels[1][1], abs=0.01)
        lines = driver.execute_script(
            "const t = document.getElementById('front').data.find(t => t.yaxis === 'y2'); return [t.name, t.text]"
        )
        assert lines[0] == "known networks, fp32"
        assert {"MobileNetV2 1.0, fp32: 60.0 ms", "MobileNetV1 0.25, fp32: 60.5 ms"} == set(filter(None, lines[1]))


def test_what_an_axis_cannot_show_is_said(tmp_path: Path) -> None:
    """Two of the front were tested: on the axis of test accuracy only they are drawn, and the legend names no other."""
    run = make_run(tmp_path / "run")
    tested = [replace(t, test_accuracy=0.5 if t.trial in (0, 2) else None) for t in run.trials]
    write_trials(run.path, run.settings, tested)
    write_report(load_run(run.path), ["html"])
    with opened(run.path / "report.html") as driver:
        assert shown(driver, "#drawn") == ""
        driver.execute_script(
            "const y = document.getElementById('y'); y.value = 'test_accuracy'; y.dispatchEvent(new Event('change'))"
        )
        said = "4 of 6 networks are not drawn: they have no accuracy (test). The pick is one of them."
        assert shown(driver, "#drawn") == said
        legend = driver.execute_script(
            "return [...document.querySelectorAll('#front .legendtext')].map(text => text.textContent)"
        )
        assert "fp32" in legend and "int8" not in legend


def test_no_mode_bar_covers_a_small_chart(cifar: Run) -> None:
    write_report(cifar, ["html"])
    with opened(cifar.path / "report.html") as driver:
        assert driver.find_elements("css selector", "#front .modebar-btn")
        assert not driver.find_elements("css selector", ".chart.low .modebar-btn")
        bar, legend = driver.execute_script(
            "return ['.modebar', '.legend'].map(c => {"
            "const box = document.querySelector('#front ' + c).getBoundingClientRect(); return [box.top, box.bottom] })"
        )
        assert bar[1] <= legend[0] + 1


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("screen", ["desktop", "phone"])
def test_the_page_passes_axe(screen: str, theme: str, digits: Run) -> None:
    """Contrast, labels, roles and headings by axe-core's rules; the variable AXE_CORE gives its axe.min.js."""
    script = Path(os.environ.get("AXE_CORE", ""))
    if not script.is_file():
        pytest.skip("set AXE_CORE to the axe.min.js of npm's axe-core to check the page's accessibility")
    write_report(digits, ["html"])
    with opened(digits.path / "report.html", phone=screen == "phone", dark=theme == "dark") as driver:
        driver.execute_script(script.read_text("utf-8"))
        found = driver.execute_async_script("axe.run().then(arguments[0])")
        assert [(v["impact"], v["id"], [n["html"] for n in v["nodes"]]) for v in found["violations"]] == []


def test_two_devices_are_compared(digits: Run, tmp_path: Path) -> None:
    other = search(
        "jetson-agx-xavier", trials=5, proxy={"epochs": 1, "data_share": 0.2}, sampler="random", out=tmp_path / "xavier"
    )  # fmt: skip
    written = write_comparison([digits, other], tmp_path)
    assert [p.name for p in written] == [f"comparison.{f}" for f in ("html", "csv", "json", "md", "png")]
    with opened(tmp_path / "comparison.html") as driver:
        assert len(driver.find_elements("css selector", "#fronts-chart .scatterlayer .trace")) == 4
        rows = [row.text for row in driver.find_elements("css selector", "#runs ~ .scroll tbody tr")]
        assert "raspberry-pi-4" in rows[0] and "jetson-agx-xavier" in rows[1]
    assert "trained differently" in (tmp_path / "comparison.md").read_text()


def test_every_number_of_the_page_is_that_of_the_tables(digits: Run) -> None:
    write_report(digits)
    data = data_of((digits.path / "report.html").read_text())
    trials = {t["trial"]: t for t in trials_of(data)}
    for table, numbers in (("trials.csv", sorted(trials)), ("pareto.csv", data["front"])):
        with (digits.path / table).open() as file:
            rows = list(csv.DictReader(file))
        assert [int(row["trial"]) for row in rows] == numbers
        for row in rows:
            found = trials[int(row["trial"])]
            assert found.keys() == set(row) - {"candidate", "seed"}
            for name, value in found.items():
                assert (str(value) == row[name] or float(value) == float(row[name])) if row[name] else value is None
            choices = {name: c["values"][c["at"][numbers_of(data).index(found["trial"])]]
                       for name, c in data["choices"].items()}  # fmt: skip
            assert choices == json.loads(row["candidate"])


def numbers_of(data: dict[str, Any]) -> list[int]:
    numbers: list[int] = data["columns"]["trial"]
    return numbers


def test_parts_of_a_network_add_up_to_at_most_the_whole(digits: Run) -> None:
    found = data_of(page(digits))
    trials = {t["trial"]: t for t in trials_of(found)}
    assert found["networks"].keys() == {str(t.trial) for t in digits.trials if t.state == "trained"}
    for number, blocks in found["networks"].items():
        parts = [part for block in blocks for part in found["blocks"][block]["parts"]]
        assert 0 < sum(ms for _, ms, _ in parts) <= trials[int(number)]["latency_ms"] * (1 + 1e-5)


def test_blocks_are_those_of_the_network(cifar: Run) -> None:
    found, space = data_of(page(cifar)), load_space("mobilenet-v3")
    for t in cifar.trials[:10]:
        network = space.network(t.candidate, cifar.settings.classes)
        shown = [found["blocks"][block] for block in found["networks"][str(t.trial)]]
        assert [b["label"] for b in shown] == [b.key for b in network.blocks]
        assert [b["stage"] for b in shown] == list(network.stages)


def test_five_thousand_trials_are_a_page_for_a_mailbox(tmp_path: Path, cifar: Run) -> None:
    """Under 5 MB, with every choice, layer and training curve of each."""
    space, rng = load_space("mobilenet-v3"), np.random.default_rng(0)
    trials, curves = [], {}
    for i, code in enumerate(space.sample_codes(5000, rng)):
        ms, mj, accuracy = float(rng.lognormal(3, 0.8)), float(rng.lognormal(4.5, 0.8)), float(rng.uniform())
        some = Costs(ms, 0.9 * ms, 1.1 * ms, mj, 0.9 * mj, 1.1 * mj, int(rng.integers(10**7)), int(rng.integers(10**9)),
                     float(rng.uniform(1, 9)), float(rng.uniform(1, 9)), "fitted", "fitted")  # fmt: skip
        trials.append(Trial(
            i, "trained", accuracy, None, some, float(rng.uniform(1, 9)), i, space.decode(code),
            trainings=int(rng.integers(1, 4)), expected_accuracy=float(rng.uniform()),
            accuracy_deviation=float(rng.uniform()), front_probability=float(rng.uniform()),
        ))  # fmt: skip
        curves[i] = [{"loss": float(rng.uniform()), "validation_accuracy": float(rng.uniform())} for _ in range(6)]
    run = Run(tmp_path / "run", replace(cifar.settings, trials=5000), tuple(trials))
    run.path.mkdir()
    write_settings(run.path, run.settings)
    write_trials(run.path, run.settings, run.trials)
    write_curves(run.path, curves)
    (file,) = write_report(load_run(run.path), ["html"])
    assert file.stat().st_size < 5e6
    assert len(data_of(file.read_text())["networks"]) == 5000


EVIL = "<img src=x onerror='window.hacked=1'>\"'&{{7*7}}</script>|`"


def test_a_detectors_page_tells_sizes_and_classes_apart_and_draws_boxes(tmp_path: Path) -> None:
    run = make_detector_run(tmp_path / "run")
    write_report(run, ["html"])
    first, second, other = (t.trial for t in run.front_trials[:3])
    with opened(run.path / "report.html") as driver:
        choose_trial(driver, first)
        rows = driver.execute_script(
            "return [...document.querySelectorAll('#precision tbody tr')]"
            ".map(r => [...r.cells].map(c => c.textContent))"
        )
        kept = run.front_trials[0].average_precision
        assert kept is not None and kept.medium is not None
        assert rows[:4] == [
            ["all", percent(run.front_trials[0].accuracy), percent(kept.at_50), ""], ["small", "none", "", ""],
            ["medium", percent(kept.medium), "", ""], ["large", percent(kept.large), "", ""],
        ]  # fmt: skip
        named = [["RBC", "12.5%", "25.0%", ""], ["a|b <i>", percent(kept.of_classes[1]), "100.0%", ""]]
        assert rows[4:] == [*named, ["Platelets", "none", "none", ""]]
        visible = "return [...document.querySelectorAll('.samples')].filter(s => !s.hidden).map(s => +s.dataset.trial)"
        assert driver.execute_script(visible) == [first]
        boxes = (
            "return [...document.querySelectorAll('.samples:not([hidden]) .boxes g')]"
            ".filter(g => getComputedStyle(g).display !== 'none').map(g => g.textContent)"
        )
        assert driver.execute_script(boxes) == ["a|b <i> 90"]
        slide(driver, "#least-p", 10)
        assert driver.execute_script(boxes) == ["RBC 20", "a|b <i> 90"]
        wide = driver.execute_script(
            "const p = document.querySelector('.samples:not([hidden]) .boxes').getBoundingClientRect();"
            "return p.width / p.height"
        )
        assert wide == pytest.approx(64 / 48, rel=0.01)
        choose_trial(driver, second)
        assert driver.execute_script(visible) == [second]
        choose_trial(driver, other)
        assert driver.execute_script(visible) == [] and "Pictures are kept of" in shown(driver, "#no-samples")
        assert "AP50 (validation)" in [o.text for o in driver.find_elements("css selector", "#y option")]
        assert "mAP" in shown(driver, "#pick")


def test_pictures_and_boxes_fit_a_phone_and_a_mailbox(tmp_path: Path) -> None:
    """Ten networks on the front, six pictures of 320 pixels, thirty boxes in each."""
    run = make_run(
        tmp_path / "run", tuple((n, 0.5 + n / 100, 5.0 + n, 10.0 + n) for n in range(10)), task="detection", classes=80,
        class_names=tuple(f"class {n}" for n in range(80)),
    )  # fmt: skip
    many = AveragePrecision(0.5, 0.6, 0.5, 0.1, 0.2, 0.3, (0.123456,) * 80, (0.654321,) * 80)
    write_trials(run.path, run.settings, [replace(t, average_precision=many) for t in run.trials])
    rng = np.random.default_rng(0)
    pictures = [
        shown_picture(rng.integers(256, size=(320, 320, 3), dtype=np.uint8), np.empty((0, 8), np.float32), ())
        for _ in range(MOST_PICTURES)
    ]  # the worst for JPEG
    box = ("class 7", 0.5, 0.1, 0.1, 0.9, 0.9)
    write_pictures(run.path, pictures, {n: [[box] * MOST_BOXES] * MOST_PICTURES for n in range(10)})
    run = load_run(run.path)
    write_report(run, ["html"])
    assert (run.path / "report.html").stat().st_size < 5_000_000
    with opened(run.path / "report.html", phone=True) as driver:
        wide = driver.execute_script("return document.documentElement.scrollWidth")
        assert wide <= 390
        assert driver.execute_script("return document.querySelector('.long .scroll').clientHeight") < 500


def test_the_pictures_of_a_strange_run_are_refused_in_a_line(tmp_path: Path) -> None:
    run = make_detector_run(tmp_path / "run")
    file = run.path / "pictures.json"
    text = file.read_text()
    for old, new, said in (
        ('"jpeg":["', '"jpeg":["\\"/><script>', "jpeg"), ('"width":64', '"width":9999', "width"),
        ('"found"', '"find"', "Field required"), ("RBC", "\\u001b[31m", "control characters"),
        (text, "{" * 9999, "JSON"),
    ):  # fmt: skip
        assert old in text
        file.write_text(text.replace(old, new, 1))
        with pytest.raises(UserError, match=said) as error:
            write_report(load_run(run.path), ["html"])
        assert "pictures.json" in str(error.value) and "\n" not in str(error.value)


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


def test_markup_in_names_of_classes_is_text(tmp_path: Path) -> None:
    run = make_detector_run(tmp_path / "run", names=(EVIL, "b", "c"))
    for file in write_report(run, ["html", "md"]):
        assert "<img" not in file.read_text()
    with opened(run.path / "report.html") as driver:
        choose_trial(driver, run.front_trials[0].trial)
        assert driver.execute_script("return window.hacked") is None
        assert not driver.find_elements("css selector", "img")
        text = driver.execute_script("return document.getElementById('precision').textContent")
        assert EVIL in text and EVIL in driver.execute_script("return document.querySelector('.samples').textContent")


@pytest.mark.parametrize("rows", [(), ((0, None, 3.0, 9.0),), ((0, 0.5, 3.0, 9.0),)])
def test_runs_with_hardly_a_trial_have_a_page(
    tmp_path: Path, rows: tuple[tuple[int, float | None, float, float | None], ...]
) -> None:
    run = make_run(tmp_path / "run", rows)
    write_report(run, ["html"])
    with opened(run.path / "report.html") as driver:
        assert shown(driver, "#pick h3") == ("Trial 0" if rows and rows[0][1] else "No network is trained yet")


def test_where_nothing_is_picked_the_page_says_why(tmp_path: Path) -> None:
    """A budget of 2 ms, where the fastest network takes 5 ms; then trials that there are not, or that failed."""
    run = make_run(tmp_path / "run", budgets={"max_latency_ms": 2.0})
    write_curves(run.path, {4: []}, {4: "loss is not finite"})
    write_report(run, ["html"])
    with opened(run.path / "report.html") as driver:
        assert shown(driver, "#pick h3") == "No network meets these budgets"
        assert shown(driver, "#pick p") == "The smallest latency is 5.00 ms (trial 2, 80.0%)."
        number = driver.find_element("id", "number")
        for typed, title, why in (
            ("40", "This run has no trial 40", "Its trials are 0 to 6."),
            ("4", "Trial 4 cannot be picked", "It failed to train: loss is not finite."),
            ("3", "Trial 3 (not on the front)", None),
        ):
            number.clear()
            number.send_keys(typed)
            assert shown(driver, "#pick h3") == title
            assert why in (None, shown(driver, "#pick p"))
        slide(driver, "#budget-latency_ms", 1000)  # back to budgets
        assert shown(driver, "#pick h3") == "Trial 6"
        driver.execute_script("limit.latency_ms = 12; limit.energy_mj = 25; limit.size_mb = 0.4; update()")
        assert shown(driver, "#pick p") == "The smallest size of the weights is 0.500 MB (trial 2, 80.0%)."
        driver.execute_script("limit.size_mb = null; limit.latency_ms = 6; limit.energy_mj = 19; update()")
        assert shown(driver, "#pick p") == "The smallest energy is 20.0 mJ (trial 2, 80.0%)."


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


def test_seeds_of_a_sampler_are_one_line_with_a_band(tmp_path: Path) -> None:
    """Three runs of one sampler and one of another: 90%, 80% and 60% for 10 ms; the median run reaches 80%."""
    runs = [
        make_run(
            tmp_path / f"random-{seed}", ((0, accuracy, 10.0, 30.0), (1, 0.95, 20.0, 60.0)), sampler="random", seed=seed
        )
        for seed, accuracy in enumerate((0.9, 0.6, 0.8))
    ]
    runs.append(make_run(tmp_path / "pareto-0", sampler="pareto"))
    write_comparison(runs, tmp_path, ["html"])
    with opened(tmp_path / "comparison.html") as driver:
        rows = [row.text for row in driver.find_elements("css selector", "#groups tbody tr")]
        assert len(rows) == 2 and rows[0].startswith("random, 3 seeds") and "95.0%" in rows[0]
        names = driver.execute_script(
            "return [...document.querySelectorAll('#fronts-chart .legendtext')].map(text => text.textContent)"
        )
        assert names == ["random, 3 seeds", str(tmp_path / "pareto-0")]
        lines = driver.execute_script(
            "return document.getElementById('fronts-chart').data"
            ".filter(t => t.legendgroup === '0' && t.mode === 'lines').map(t => [...t.y])"
        )
        assert lines == [[60, 95], [90, 95], [80, 95]]  # of all, of any, of half
        driver.execute_script("document.querySelector('details').open = true")
        assert len(driver.find_elements("css selector", "#each tbody tr")) == 4


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
    said = (
        "The sampler proposed 9 candidates. Not trained: 2 that exceed a budget or have no known cost on this device, "
    )
    assert said + "and 0 that had been tried before." in page(load_run(run.path))
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
