"""This machine, described for its profile."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from pathlib import Path

from nas.device.profile import About
from nas.profiling.space_profile import RUNS_PER_VISIT, VISITS, SpaceProfile
from nas.space.search_space import SearchSpace


def about_machine(name: str, space: SearchSpace, found: SpaceProfile, resolution: int | None) -> About:
    """What profile.toml says of a profile that was measured here."""
    at = f" at {resolution} pixels" if resolution else ""
    clock = "time of the thread" if found.threads == 1 else "time that passed"
    return About(
        name=name,
        board=f"{platform.system()} {platform.machine()}",
        soc=processor(),
        runtime=found.runtime,
        threads=found.threads,
        precisions=list(found.calibration),
        statistic="median",
        protocol=f"each block in {VISITS} rounds of {RUNS_PER_VISIT} runs after warm-up, in random order, networks "
        f"three times as often, in turn with a reference block; {clock}",
        date=datetime.now(UTC).date().isoformat(),
        source="measured by nas profile",
        limits=f"the {space.name} space{at}; networks of other blocks have no price; no energy",
        calibration=dict(found.calibration),
    )


def processor() -> str:
    """The processor's name, from the system where it tells."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith(("model name", "hardware")):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "unknown"
