"""The command that measures again what results hold: the same plan, in the same way."""

from __future__ import annotations

import shlex

from nas.errors import UserError
from nas.profiling.results.results import Results
from nas.space.search_space import load_space


def command_of(results: Results, *, noisy: bool = False, power: str | None = None) -> str:
    """`nas profile` with every option that the plan and the measurement depend on; `power` is the file of a trace.

    A space that is not a shipped one is named by its file.
    """
    plan, machine = results.plan, results.machine
    rounds = plan.settings.get("rounds")
    given = {
        "space": _space(results), "precision": ",".join(plan.precisions),
        "runtime": plan.runtime if plan.runtime != "onnxruntime" else None, "resolution": plan.space.resolution,
        "threads": machine.threads, "cpus": ",".join(map(str, machine.cpus)) if machine.cpus else None,
        "meter": machine.meter if machine.meter != "none" else None, "power": power,
        "rounds": None if rounds is None else int(rounds), "seed": plan.seed,
    }  # fmt: skip
    options = [f"--{name} {shlex.quote(str(value))}" for name, value in given.items() if value is not None]
    return " ".join(["nas profile", *options, *["--quick"] * plan.quick, *["--noisy"] * noisy])


def _space(results: Results) -> str:
    """The space's name where the shipped one is what was measured, else the name of its file."""
    name = results.plan.space.name
    try:
        shipped = load_space(name).fingerprint == results.plan.space.sha256
    except UserError:
        shipped = False
    return name if shipped else f"{name}.toml"
