"""profile.toml: what a device profile says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from nas.device.calibration import EnergyLine, Line
from nas.device.tables.columns import LEAST_COST, MOST_COST
from nas.files.names import safe_name
from nas.files.toml import Table, read_toml
from nas.space.layer import Precision


class About(Table):
    """profile.toml: where the numbers come from and what they mean."""

    name: str
    board: str
    soc: str
    runtime: str
    threads: Annotated[int, Field(gt=0)] | None = None
    precisions: Annotated[list[Precision], Field(min_length=1)]
    statistic: str  # of the latency: median, mean, 90th percentile ...
    protocol: str
    date: str
    source: str
    licence: str | None = None  # of the data that it was made from
    energy: str | None = None  # what it includes: board at the wall, core rail, idle in or out; None: no energy
    energy_without_idle: bool = False  # which of the two the energies are; with `idle_w`, `both_energies` tells both
    idle_w: Annotated[float, Field(ge=0, le=1e6)] | None = None  # idle power in watts; None: not measured
    ram_mb: Annotated[int, Field(gt=0)] | None = None
    target: str | None = None  # the accelerator, whose rules say what maps: nas/device/support/TARGET.toml
    sram_kib: Annotated[int, Field(gt=0, le=1_000_000)] | None = None  # the chip's, into which each block must fit
    batch: Annotated[int, Field(gt=0)] = 1  # images an inference; costs are those of the whole batch
    clock: str | None = None  # what time was taken with
    noise: str | None = None  # how much the machine's speed varied, in words
    reference: str | None = None  # the network that every run was taken in turn with
    reference_ms: dict[
        Precision, Annotated[float, Field(ge=LEAST_COST, le=MOST_COST)]
    ] = {}  # what it takes at the speed that is meant
    repeatability: str | None = None  # how far a second measurement agreed, in words
    blocks: Literal["measured", "fitted", "estimated"] = "measured"  # blocks.csv: timed, fitted to whole networks, or
    # estimated by a compiler
    adapted_from: list[str] = []  # the few networks measured on the board, where the rest comes from other devices
    command: str | None = None  # what made this profile
    limits: str | None = None  # what it must not be used for
    calibration: dict[Precision, Line] = {}
    energy_calibration: dict[Precision, EnergyLine] = {}

    @field_validator("name")
    @classmethod
    def _safe(cls, name: str) -> str:
        return safe_name(name)

    def both_energies(self, energy_mj: float, latency_ms: float) -> tuple[float, float] | None:
        """An inference's energy (with, without) the idle power, in mJ.

        None where the idle power is not known, and where it would be all of the energy and more.
        """
        if self.idle_w is None:
            return None
        idle_mj = self.idle_w * latency_ms  # W x ms = mJ
        if self.energy_without_idle:
            return energy_mj + idle_mj, energy_mj
        return (energy_mj, energy_mj - idle_mj) if energy_mj > idle_mj else None


def basis(about: About, blocks: bool, rates: bool) -> str:
    """How a profile predicts: from blocks, measured, fitted or estimated by a compiler, from fitted rates, or both; or
    adapted from devices."""
    if about.adapted_from:
        return f"adapted ({len(about.adapted_from)} networks)"
    words = "compiler estimate" if about.blocks == "estimated" else f"{about.blocks} blocks"
    return " + ".join(w for w, has in ((words, blocks), ("fitted rates", rates)) if has)


def read_about(path: Path) -> About:
    """Reads profile.toml. Raises UserError naming the key."""
    return read_toml(path, About)


def about_toml(about: About) -> str:
    """The text of profile.toml."""
    import tomli_w

    return tomli_w.dumps(about.model_dump(exclude_none=True, exclude_defaults=True))
