"""Calibrations that are killed: `python -m tests.monitor.calibrate_kills FOLDER MOMENTS`.

After each kill the folder must name a whole version; after the second call it must be what one call makes. Exports and
measurements are those of one real calibration, given again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import torch

from nas.data.catalog import load_dataset
from nas.deploy import measure
from nas.deploy.card import read_card
from nas.deploy.facts import read_facts
from nas.deploy.folder import versions_in
from nas.deploy.job import deploy, job_of_run
from nas.errors import UserError
from nas.files.csv import csv_text
from nas.monitor import calibrate as module
from nas.monitor.calibrate import Calibration, calibrate, find_model
from nas.monitor.labels import COLUMNS
from nas.monitor.serve import versions
from tests.deploy.deployments import FEW, TRIAL, give_again, make_trained_run, names
from tests.kills import killed
from tests.monitor.drifted import ALARM, write_frames, write_log

ROOT = Path(sys.argv[1])
WHOLE = ROOT / "moved/whole/out"  # of the call that was not killed
WEIGHTS = "weights.safetensors"


def asked(folder: Path) -> Calibration:
    return Calibration(
        folder, labels=folder / "monitor/frames/labels.csv", model=ROOT / "run/models" / str(TRIAL), epochs=1
    )


def not_whole(folder: Path) -> str:
    """What is wrong with what is served; empty: nothing."""
    if (current := versions.current_of(folder)) != 1:
        return f"current names {current}"
    try:
        for version in versions_in(folder):
            versions.check(folder, version)
            read_facts(folder / f"versions/{version}")
    except (versions.Refused, UserError) as error:
        return str(error)
    return ""


def wrong(folder: Path, go_on: Callable[[], int]) -> str:
    """What is wrong after a kill, and after the second call; empty: nothing."""
    if said := not_whole(folder):
        return said
    if status := go_on():
        return f"exit status {status}"
    if odd := set(names(folder)) ^ set(names(WHOLE)):
        return f"differs in {sorted(odd)}"
    if (folder / ".models/2" / WEIGHTS).read_bytes() != (WHOLE / ".models/2" / WEIGHTS).read_bytes():
        return "other weights"
    find_model(Calibration(folder), read_card(folder / "versions/2"))
    return not_whole(folder)


if __name__ == "__main__":
    torch.set_num_threads(1)  # a fork does not have the threads of the process before
    measure.SETTINGS.update(FEW)
    run = make_trained_run(ROOT)
    base = deploy(job_of_run(run.path, TRIAL, ("fp32",), training=None), ROOT / "base").parents[1]
    write_log(base, ALARM)
    labels = write_frames(load_dataset(f"folder:{ROOT / 'data'}"), base / "monitor/frames")
    rows = [(f"1-{number:02}.png", "red", label) for number, label in enumerate(labels)]
    (base / "monitor/frames/labels.csv").write_text(csv_text(COLUMNS, rows))
    kept: dict[str, Any] = {}
    real_verify = module._verified

    def verified(*given: Any) -> Any:
        if "verification" not in kept:
            kept["verification"] = real_verify(*given)
        return kept["verification"]

    give_again()
    module._verified = verified
    module._check = lambda verification, most: None  # of few images, after one epoch
    calibrate(asked(copytree(base, ROOT / "first")))  # fills `kept`
    (ROOT / "moved").mkdir()
    print(
        killed(
            ROOT / "moved", sys.argv[2], lambda folder: calibrate(asked(folder)), wrong, lambda out: copytree(base, out)
        )
    )
