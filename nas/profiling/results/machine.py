"""Whether results come from the machine that a device profile is of."""

from __future__ import annotations

from nas.device.profile import About
from nas.profiling.results.results import CLOCKS, Results


def same_machine(about: About, results: Results) -> bool:
    """Whether a profile was measured on the results' machine and in the same way: then only its speed differs."""
    m = results.machine
    there = (about.reference, about.soc, about.runtime, about.threads, about.clock)
    return about.reference is not None and there == (
        results.reference, m.processor, m.runtime, m.threads, CLOCKS[m.clock],
    )  # fmt: skip
