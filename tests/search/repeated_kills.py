"""One search that is killed over and over, in one folder: `python -m tests.search.repeated_kills FOLDER LOG KILLS`.

Each time a process of its own goes on with the run, and SIGKILL ends it before one of its first file operations that
change something. Prints a JSON object: how many kills there were, and after which the folder was not a run.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np

from nas.errors import UserError
from nas.run import Settings, load_run
from nas.search.loop import search
from nas.space.search_space import load_space
from tests import kills
from tests.search.small_tasks import CountingPricer, FormulaEvaluator, settings_for

OPERATIONS = 150  # of the first so many one is the last; to go on takes about 30, a trial about 10
TINY = load_space("tiny")


def settings() -> Settings:
    return settings_for(TINY, trials=150, budgets={"max_latency_ms": 6.0})


def go_on(path: Path, log: Path) -> None:
    resume = (path / "run.toml").exists()
    search(TINY, CountingPricer(TINY), FormulaEvaluator(log=log), settings(), path, resume=resume)


if __name__ == "__main__":
    path, log = Path(sys.argv[1]), Path(sys.argv[2])
    os.fsync = lambda descriptor: None  # what is written outlives a process without it
    kills.watched = str(path)
    sys.addaudithook(kills.hook)
    done, wrong = 0, {}
    for moment in np.random.default_rng(5).integers(0, OPERATIONS, int(sys.argv[3])):
        status, _ = kills.in_a_child(lambda: go_on(path, log), int(moment))
        done += status == -signal.SIGKILL
        if (path / "trials.csv").exists():
            try:
                numbers = [t.trial for t in load_run(path).trials]
                said = "" if numbers == list(range(len(numbers))) else f"trials {numbers}"
            except UserError as error:
                said = str(error)
            if said:
                wrong[done] = said
    print(json.dumps({"moments": done, "wrong": wrong}))
