"""A deployment that is killed: `python -m tests.deploy.kills FOLDER MOMENTS`.

Exports and measurements are those of one real deployment, given again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from nas.deploy import measure
from nas.deploy.facts import read_facts
from nas.deploy.job import deploy, job_of_run
from tests.deploy.deployments import FEW, TRIAL, give_again, make_trained_run, names
from tests.kills import killed

ROOT = Path(sys.argv[1])


def wrong(folder: Path, go_on: Callable[[], int]) -> str:
    if status := go_on():
        return f"exit status {status}"
    if odd := set(names(folder)) ^ set(names(ROOT / "whole/out")):
        return f"differs in {sorted(odd)}"
    if (folder / "current").read_text() != "1\n":
        return "current names another version"
    read_facts(folder / "versions/1")  # every file is the one that SHA256SUMS names
    return ""


if __name__ == "__main__":
    measure.SETTINGS.update(FEW)
    RUN = make_trained_run(ROOT)
    JOB = job_of_run(RUN.path, TRIAL, training=None)
    give_again()
    deploy(JOB, ROOT / "first")
    print(killed(ROOT, sys.argv[2], lambda folder: deploy(JOB, folder), wrong))
