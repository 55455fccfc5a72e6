"""What a report says of the accuracies in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nas.report.words import limits_of
from tests.runs import make_run


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
