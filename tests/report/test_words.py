"""What a report says of the accuracies in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nas.report.words import limits_of
from tests.runs import make_believed_run, make_run


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        (
            {"epochs": 5, "resolution_share": 0.5, "full_resolution_share": 0.4},
            "5 epochs at 50% of the resolution, the last 40% of the steps at all of it. They were measured at each "
            "network's own resolution and precision. Full training",
        ),
        (
            {"epochs": 5, "data_share": 0.2, "full_resolution_share": 0.4},
            "5 epochs on 20% of the images. They were measured at each network's own resolution",
        ),
        ({"epochs": 5, "resolution_share": 0.25}, "5 epochs at 25% of the resolution. Full training"),  # an older run
    ],
)
def test_the_fidelity_of_the_accuracies_is_said(proxy: dict[str, Any], said: str, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", proxy=proxy)
    assert f"Accuracies are from a short training: {said}" in " ".join(limits_of(run, None, {}))


def test_how_often_networks_were_trained_is_said(tmp_path: Path) -> None:
    once = " ".join(limits_of(make_run(tmp_path / "once"), None, {}))
    assert "how much an accuracy varies with the seed. Each network was trained once." in once
    again = " ".join(limits_of(make_believed_run(tmp_path / "again"), None, {}))
    assert "3 of the 6 trained networks were trained more than once, with other seeds." in again
    assert "trained once" not in again
