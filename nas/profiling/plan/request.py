"""What a user asks to be measured, as a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nas.errors import UserError
from nas.profiling.plan.plan import Plan, make_plan, with_runtime
from nas.space.layer import Precision
from nas.space.search_space import load_space


def plan_for(
    space: str, precisions: Sequence[Precision], *, runtime: str = "onnxruntime", resolution: int | None = None,
    seed: int = 0, quick: bool = False, networks: int | None = None, rounds: int | None = None,
) -> Plan:  # fmt: skip
    """The plan of `nas profile` and `nas profile pack` with these options. Raises UserError for what cannot be.

    `quick` measures ten networks to adapt the known devices to; `networks` so many to check a profile with, and no
    blocks; else every block is measured, and whole networks that calibrate their sum.
    """
    searched = load_space(space)
    if not 0 <= seed < 2**63:
        raise UserError(f"--seed must be a whole number of 0 or more; got {seed}")
    if quick and networks is not None:
        raise UserError("--quick chooses its networks itself; leave out --networks")
    if quick:
        from nas.profiling.build.quick import quick_plan  # late: it loads the known devices

        plan = quick_plan(searched, precisions, resolution, seed)
    elif networks is not None:
        plan = make_plan(searched, precisions, resolution, seed, networks, blocks=False)
    else:
        plan = make_plan(searched, precisions, resolution, seed)
    return with_runtime(replace(plan, rounds=rounds), runtime)
