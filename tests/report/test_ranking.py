"""What a report says of where accuracies come from, and of how well they rank networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nas.errors import UserError
from nas.report import FORMATS, write_report
from nas.report.page import page
from nas.report.ranking import not_known, ranking_line, ranking_notes, source_of
from nas.report.report import report_json
from nas.run import load_run
from tests.report.test_report import printed
from tests.runs import QUALITY, make_believed_run, make_ranked_run, make_run, settings

LINE = (
    "Accuracies are of short trainings; training again would rank the networks alike with a tau of 0.71 (noise alone; "
    "bias is not seen). 5 networks were trained again."
)


def test_terminal_page_and_markdown_say_what_noise_allows(tmp_path: Path) -> None:
    run = make_ranked_run(tmp_path / "run", proxy={"epochs": 5, "data_share": 0.25})
    lines = printed(run).splitlines()
    assert max(map(len, lines)) <= 80 and LINE in " ".join(line.strip() for line in lines)
    write_report(run, FORMATS)
    shown, text = (run.path / "report.html").read_text(), (run.path / "report.md").read_text()
    for said in (
        "two trainings of all 6 networks would rank them alike", "of 0.71 (1: the same order; 0: no relation)",
        "one training has a tau of 0.80, and the expected accuracies have 0.85.",
        "between their first and second trainings tau is 0.40 (90% interval 0.00 to 0.90)",
        "Bias is not seen by any of these figures", "if they differ less than all networks do", "docs/accuracy.md",
    ):  # fmt: skip
        assert said in shown.replace("&#39;", "'") and said in text
    assert "Accuracies are from a short training: 5 epochs on 25% of the images. Full" in text
    command = "nas bench estimators --self-check --space tiny --dataset digits --epochs 5 --data-share 0.25"
    assert command in shown and command.replace("_", "\\_") in text
    assert json.loads((run.path / "front.json").read_text())["rank_quality"] == QUALITY.model_dump()
    assert report_json(run, [])["rank_quality"] == QUALITY.model_dump()


def test_few_networks_that_were_trained_again_have_no_tau(tmp_path: Path) -> None:
    few = {"first_second": None, "low": None, "high": None}
    for repeated, said in ((1, "1 network was trained again"), (4, "4 networks were trained again")):
        run = make_ranked_run(tmp_path / str(repeated), QUALITY.model_copy(update={"repeated": repeated} | few))
        assert ranking_notes(run)[1] == f"{said}: too few to measure a tau between first and second trainings."
        assert ranking_line(run).endswith(f"{said}.")


def test_a_run_that_does_not_know_says_so(tmp_path: Path) -> None:
    once, believed = make_run(tmp_path / "once"), make_believed_run(tmp_path / "believed")
    for run in (once, believed):
        assert ranking_notes(run) == [] and ranking_line(run) == "" and "tau" not in printed(run)
        assert not_known(run) in page(run) and "rank networks</h3>" not in page(run)
    assert "Each network was trained once." in not_known(once)


@pytest.mark.parametrize(
    ("changed", "source", "unknown"),
    [
        (
            {"estimator": "table", "estimator_settings": {"path": "/t/known.csv"}, "proxy": {"epochs": 5}},
            "Accuracies are those of a table, /t/known.csv; no network was trained.", "how the table's accuracies were",
        ),
        (
            {"estimator": "combined", "estimator_settings": {"trainings": 40}, "proxy": {"epochs": 5}},
            "predicted by the estimator combined, which learned from short trainings of other networks: 5 epochs. No",
            "how well these predictions rank",
        ),
        (
            {"estimator": "combined", "estimator_settings": {"labels": "/t/l.csv"}, "proxy": {"epochs": 5}},
            "which learned from the networks of /t/l.csv; no network of the search was trained.",
            "how well these predictions rank",
        ),
        (
            {"estimator": "curve", "estimator_settings": {"first": 3}, "proxy": {"epochs": 50, "data_share": 0.5}},
            "other networks: 50 epochs on 50% of the images. Those of the search had the first 3 epochs of it.",
            "how well these predictions rank",
        ),
    ],
)  # fmt: skip
def test_where_accuracies_come_from_is_said(tmp_path: Path, changed: dict[str, Any], source: str, unknown: str) -> None:
    assert source in source_of(settings(**changed)) and "short training:" not in source_of(settings(**changed))
    assert unknown in not_known(make_run(tmp_path / "run", **changed))


def test_a_broken_summary_is_named_before_anything_is_written(tmp_path: Path) -> None:
    run = make_ranked_run(tmp_path / "run")
    file = run.path / "pareto.json"
    file.write_text(file.read_text().replace('"expected": 0.846', '"expected": 8.46'))
    before = sorted(p.name for p in run.path.iterdir())
    for formats in (["html"], ["md"], ["json"]):
        with pytest.raises(UserError, match=r"pareto\.json: rank_quality: expected: "):
            write_report(load_run(run.path), formats)
    assert sorted(p.name for p in run.path.iterdir()) == before


def test_the_guide_and_fewer_validation_images_are_named() -> None:
    proxy = {"epochs": 2, "data_share": 0.1, "full_resolution_share": 0.2, "validation_share": 0.15}
    given = settings(proxy=proxy, validation_images=1500, guide="zero-cost", guide_networks=100)
    told = source_of(given)
    assert "at each network's own resolution and precision, on 1,500 validation images." in told
    assert told.endswith(
        "guided by scores of 100 untrained networks (zero-cost), which have no part in the accuracies."
    )
    assert "guided" not in source_of(settings(proxy=proxy))
