"""A device profile of an Ethos-U without hardware: the blocks of search spaces as Arm's compiler estimates them."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from nas.device.calibration import Line
from nas.device.folder import require_ours, write_profile
from nas.device.info import About
from nas.device.tables.blocks import BlockTime
from nas.device.tables.validation import HeldOutError, Validation
from nas.errors import UserError
from nas.files.atomic import parents_of
from nas.files.lock import locked
from nas.profiling.build.space_profile import LEAST, LEFT_OUT, calibrated
from nas.profiling.plan.plan import check_resolution, network_name, sample_networks
from nas.profiling.vela.compiler import Estimate, estimates, vela_version
from nas.profiling.vela.configurations import MEMORY, SRAM_KIB, Configuration, configuration_of
from nas.space.block import Block
from nas.space.block_table import all_blocks
from nas.space.network import Network
from nas.space.search_space import load_space

NETWORKS = 20  # of each space, compiled whole
Progress = Callable[[int, int], object]  # compiled, of how many


@dataclass(frozen=True, slots=True)
class EstimatedProfile:
    """What was written. `left_out`: keys of blocks with an operator that stays on the CPU, which have no figure."""

    about: About
    error: HeldOutError
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Whole:
    """A network compiled as a whole."""

    name: str
    space: str
    network: Network
    estimate: Estimate


def vela_profile(
    spaces: Sequence[str], configuration: str, folder: Path, *, resolution: int | None = None,
    sram_kib: int = SRAM_KIB, networks: int = NETWORKS, seed: int = 0, progress: Progress = lambda done, total: None,
) -> EstimatedProfile:  # fmt: skip
    """Writes the profile `folder`: every block of the spaces in int8 on a configuration such as ethos-u55-128, and so
    many random networks of each space, compiled whole, that calibrate the sum of blocks and check it.

    `sram_kib` is the chip's SRAM; a block that needs more does not fit, and no search for this device proposes it.
    Raises UserError, before anything is compiled, where an option or the folder is wrong, and where vela is missing.
    """
    chosen = configuration_of(configuration)
    if not spaces:
        raise UserError("name at least one search space")
    if sram_kib < 1 or seed < 0:
        raise UserError(f"SRAM must be 1 KiB or more and the seed 0 or more; got {sram_kib} and {seed}")
    if networks < LEAST:
        raise UserError(f"at least {LEAST} whole networks of a space check its blocks; got {networks}")
    require_ours(folder)
    vela_version()
    blocks: dict[str, Block] = {}
    sampled: dict[str, tuple[str, Network]] = {}
    for name in spaces:
        space = load_space(name)
        fixed = check_resolution(space, resolution)
        blocks |= {block.key: block for block in all_blocks(space, resolution=fixed)}
        candidates = sample_networks(space, networks, fixed, seed)
        sampled |= {network_name(space, c): (space.name, space.network(c)) for c in candidates}
    jobs = [Network((block,)) for block in blocks.values()] + [network for _, network in sampled.values()]
    found: list[Estimate] = []
    with _scratch(folder) as scratch:
        for estimate in estimates(jobs, chosen, sram_kib, scratch):
            found.append(estimate)
            progress(len(found), len(jobs))
    each = dict(zip(blocks, found[: len(blocks)], strict=True))
    whole = [
        _Whole(key, space, network, estimate)
        for (key, (space, network)), estimate in zip(sampled.items(), found[len(blocks) :], strict=True)
    ]
    return _write(folder, chosen, each, whole, sram_kib, _command(spaces, chosen, resolution, sram_kib, networks, seed))


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A hidden folder beside `folder` that is removed in the end; what a killed process left in it is removed first.

    Raises UserError where another process has it, or the disk refuses.
    """
    place = folder.with_name(f".{folder.name}-compiling")
    with parents_of(folder), locked(place, busy=f"another process is estimating {folder}; wait for it"):
        _clear(place)
        try:
            yield place
        finally:
            _clear(place)
    with suppress(OSError):  # it was there before, and locking does not remove it
        place.rmdir()


def _clear(place: Path) -> None:
    for left in place.iterdir():
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)


def _write(
    folder: Path, chosen: Configuration, each: dict[str, Estimate], whole: Sequence[_Whole], sram_kib: int, command: str
) -> EstimatedProfile:
    mapped = {key: estimate for key, estimate in each.items() if not estimate.on_cpu}
    kept = [w for w in whole if not w.estimate.on_cpu and all(block.key in mapped for block in w.network.blocks)]
    if len(kept) < LEAST:
        raise UserError(f"{chosen.name} must map {LEAST} of the whole networks or more; it maps {len(kept)}")
    table = {key: estimate.ms for key, estimate in mapped.items()}
    ms = np.array([w.estimate.ms for w in kept])
    line, predicted, error = calibrated([w.network for w in kept], table, ms, "int8", "latency")
    slope, per_block, per_million_params, offset = line
    about = _about(folder.name, chosen, mapped, kept, sram_kib).model_copy(
        update={
            "command": command + (f" --name {folder.name}" if folder.name != chosen.name else ""),
            "calibration": {
                "int8": Line(
                    slope=slope, offset_ms=offset, per_block_ms=per_block, per_million_params_ms=per_million_params
                )
            },
        }
    )
    write_profile(
        folder, about,
        lookup_table=(BlockTime(k, "int8", e.ms, None, 1, None, None, e.sram_kib) for k, e in mapped.items()),
        validation=(
            Validation(w.name, "int8", LEFT_OUT, w.estimate.ms, float(x)) for w, x in zip(kept, predicted, strict=True)
        ),
        errors=[error],
    )  # fmt: skip
    return EstimatedProfile(about, error, tuple(sorted(each.keys() - mapped.keys())))


def _about(
    name: str, chosen: Configuration, each: dict[str, Estimate], whole: Sequence[_Whole], sram_kib: int
) -> About:
    one = next(iter(each.values()))
    sums = np.array([sum(each[block.key].ms for block in w.network.blocks) for w in whole])
    ms = np.array([w.estimate.ms for w in whole])
    largest = np.array([max(each[block.key].sram_kib for block in w.network.blocks) for w in whole])
    sram = np.array([w.estimate.sram_kib for w in whole])
    off = np.abs(sums / ms - 1)
    of_space: dict[str, list[float]] = {w.space: [] for w in whole}
    for w, by in zip(whole, off.tolist(), strict=True):
        of_space[w.space].append(by)
    plain = ", ".join(f"{100 * np.mean(by):.2g}% ({space})" for space, by in of_space.items())
    beyond, foreseen = int((sram > sram_kib).sum()), int(((sram > sram_kib) & (largest > sram_kib)).sum())
    return About(
        name=name,
        board=f"Arm {chosen.target.replace('ethos-u', 'Ethos-U')}, {chosen.macs} MACs a cycle (no board)",
        soc=f"{one.clock_mhz:g} MHz; SRAM {one.sram_gb_s:.3g} GB/s, shared with the processor; weights in off-chip "
        f"flash, {one.flash_gb_s:.2g} GB/s",
        runtime=f"Vela {vela_version()}, {chosen.system}, {MEMORY}",
        precisions=["int8"],
        statistic="compiler estimate",
        protocol=f"each block compiled on its own as an int8 TFLite file, {len(each):,} in all, and {len(whole)} whole "
        "networks, which calibrate their sum; nothing was run. "
        f"Plain sums of blocks are off by {plain} on average. "
        f"A whole network needs {np.min(sram / largest):.2f} to {np.max(sram / largest):.2f} times the SRAM of its "
        f"largest block; {beyond} of the {len(whole)} need more than the chip has, and the largest block says so of "
        f"{foreseen}",
        date=datetime.now(UTC).date().isoformat(),
        source="estimated by Vela, https://pypi.org/project/ethos-u-vela/, Apache-2.0",
        target=chosen.target,
        sram_kib=sram_kib,
        blocks="estimated",
        limits="Arm calls Vela's figures estimates: rank and compare with them, and measure before you promise; of a "
        f"chip with {sram_kib:,} KiB of SRAM and these clocks; networks with other blocks have no known cost",
    )


def _command(
    spaces: Sequence[str], chosen: Configuration, resolution: int | None, sram_kib: int, networks: int, seed: int
) -> str:
    at = f" --resolution {resolution}" if resolution is not None else ""
    return (
        f"nas profile vela --config {chosen.name} --space {shlex.quote(','.join(spaces))}{at} --sram {sram_kib} "
        f"--networks {networks} --seed {seed}"
    )
