"""Profiling from the workstation: the bundle beside the results, the agent run here or on a board over ssh."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from nas.errors import UserError
from nas.files.json import read_json
from nas.profiling.agent import command as agent
from nas.profiling.agent.machine import machine
from nas.profiling.agent.plan import LARGEST_PLAN
from nas.profiling.plan.bundle import Progress, described, write_bundle
from nas.profiling.plan.plan import Plan
from nas.profiling.results.machine import Identity
from nas.profiling.results.results import Results, read_results

BUNDLE, JOURNAL, RESULTS = "bundle", "measurements.jsonl", "results.json"


class Stopped(Exception):
    """The agent ended before it was done, and said why; `status` is its exit status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def prepare(plan: Plan, folder: Path, progress: Progress | None = None) -> Path:
    """The bundle in folder/bundle: the one that is there if it is of this plan, so that a stopped measurement goes on.

    Raises UserError where a measurement of another plan was begun there.
    """
    bundle = folder / BUNDLE
    if bundle.exists():
        if _same(plan, bundle):
            return bundle
        if (folder / JOURNAL).exists():
            raise UserError(
                f"{folder}: a measurement with other settings was begun here; repeat its command, or remove it"
            )
        shutil.rmtree(bundle)
    write_bundle(plan, bundle, progress)
    return bundle


def _same(plan: Plan, bundle: Path) -> bool:
    try:
        there = read_json(bundle / "plan.json", LARGEST_PLAN)
    except UserError:
        return False
    wanted = json.loads(json.dumps(described(plan)))
    rows = there.pop("items", None) if isinstance(there, dict) else None
    if there != wanted or not isinstance(rows, list) or len(rows) != len(plan.items):
        return False
    return all(
        isinstance(row, dict) and row | {"id": i.id, "name": i.name, "precision": i.precision, "kind": i.kind} == row
        for row, i in zip(rows, plan.items, strict=True)
    )


def run_here(bundle: Path, arguments: Sequence[str]) -> Results:
    """Runs the agent on this machine. Raises Stopped when it could not finish; it has then said why."""
    results = bundle.parent / RESULTS
    status = agent.main(["--bundle", str(bundle), "--out", str(results), *arguments])
    if status:
        raise Stopped(status)
    return read_results(results)


def check_board(target: str, *, python: str) -> Identity | None:
    """What the board says that it is, None where it does not say.

    Raises UserError unless it can be reached over ssh and has that Python.
    """
    from nas.profiling.boards import remote  # late: only with --ssh

    return remote.check_board(target, python=python)


def this_machine() -> Identity:
    """What this machine says that it is."""
    about = machine({})
    return Identity(about["processor"], about["board"], about["system"], about["machine"])


def run_there(target: str, bundle: Path, arguments: Sequence[str], *, python: str) -> Results:
    """Runs the agent on a board over ssh. Raises UserError as `run_on_board` does."""
    results = bundle.parent / RESULTS
    run_board(target, bundle, results, arguments, python=python)
    return read_results(results)


def run_board(target: str, bundle: Path, results: Path, arguments: Sequence[str], *, python: str) -> None:
    """Runs a bundle's agent on a board over ssh, as `run_on_board`, and writes what it found to `results`."""
    from nas.profiling.boards.remote import run_on_board  # late: only with --ssh

    run_on_board(target, bundle, results, python=python, arguments=arguments, output=sys.stderr)


def clean(folder: Path) -> None:
    """Removes what only an unfinished measurement needs; results.json stays."""
    shutil.rmtree(folder / BUNDLE, ignore_errors=True)
    (folder / JOURNAL).unlink(missing_ok=True)
