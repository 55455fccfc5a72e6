"""A plan measured, on this machine or on a board over ssh: what `nas profile` does between planning and building."""

from __future__ import annotations

from pathlib import Path

from nas.errors import UserError
from nas.profiling.agent.machine import read_cpus
from nas.profiling.agent.sensors import check_meter
from nas.profiling.agent.terminal import Refused
from nas.profiling.boards.local import check_board, prepare, run_here, run_there
from nas.profiling.plan.bundle import Progress
from nas.profiling.plan.plan import Plan
from nas.profiling.results.results import Results


def measure(
    plan: Plan, folder: Path, *, threads: int = 1, cpus: str | None = None, meter: str = "none",
    ssh: str | None = None, python: str = "python3", progress: Progress | None = None,
) -> Results:  # fmt: skip
    """Writes the plan's bundle into `folder`, runs the agent on it here or on the board `ssh`, and reads the results.

    `cpus` are processors with commas between, `meter` is none, rapl, ina3221[:RAIL+RAIL], nvml[:GPU] or external. A
    measurement that was stopped goes on where it was. Raises UserError, before anything is written where an option or
    the board is wrong; Stopped where the agent ended before it was done.
    """
    try:
        check_meter(meter)
        if cpus is not None:
            read_cpus(cpus)
    except Refused as refused:
        raise UserError(str(refused)) from None
    if ssh:
        check_board(ssh, python=python)
    bundle = prepare(plan, folder, progress)
    arguments = ["--threads", str(threads), "--meter", meter, *(["--cpus", cpus] if cpus else [])]
    return run_there(ssh, bundle, arguments, python=python) if ssh else run_here(bundle, arguments)
