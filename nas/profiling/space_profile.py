"""Measuring a search space on this machine: every block of it, and whole networks that calibrate and check the sum."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

import numpy as np

from nas.device.lookup_table import BlockTime
from nas.device.profile import Line
from nas.device.validation import HeldOutError, Validation
from nas.errors import UserError
from nas.profiling.block_graph import block_graph
from nas.profiling.int8 import quantized, within_network
from nas.profiling.measurements import Measurement, append_measurement, pooled, read_measurements
from nas.profiling.timing import Timing, compare, prepare, runtime, time_model
from nas.space.block import Block
from nas.space.block_table import all_blocks
from nas.space.candidate import Candidate
from nas.space.layer import Precision
from nas.space.network import Network
from nas.space.search_space import SearchSpace

MEASURABLE: tuple[Precision, ...] = ("fp32", "int8")
VISITS = 5  # to each block, in another random order each time, so that a slow minute of the machine hits them all alike
NETWORK_VISITS = 3  # times as many to a network: few are measured, and each weighs more than a block
RUNS_PER_VISIT = 10
NETWORKS = 12  # whole networks that calibrate the sum of blocks
HELD_OUT = 10  # further networks, which only check it

Progress = Callable[[int, int, float], None]  # visits done, visits in all, seconds left


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to measure: a block on its own, or all blocks of a network."""

    name: str
    blocks: tuple[Block, ...]
    precision: Precision
    whole: bool


@dataclass(frozen=True, slots=True)
class SpaceProfile:
    """What was measured of a space: times of blocks, the lines through whole networks, and the networks held out."""

    blocks: tuple[BlockTime, ...]
    calibration: Mapping[Precision, Line]
    validation: tuple[Validation, ...]
    errors: tuple[HeldOutError, ...]
    runtime: str
    threads: int


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is measured for a profile. `calibrating` networks fit the lines, the `held_out` ones check them."""

    items: tuple[Item, ...]
    calibrating: Mapping[str, Network]
    held_out: Mapping[str, Network]

    @property
    def reference(self) -> Item:
        """The block that every visit is compared with: the one with the middle number of MACs."""
        blocks = [item for item in self.items if not item.whole]
        return sorted(blocks, key=lambda item: sum(layer.macs for layer in item.blocks[0].layers))[len(blocks) // 2]

    def visits(self, rng: np.random.Generator) -> list[tuple[int, Item]]:
        """Every item with the numbers of its visits: round by round, each round in a random order."""
        found: list[tuple[int, Item]] = []
        for turn in range(VISITS):
            once = [(turn, item) for item in self.items if not item.whole]
            often = [
                (turn * NETWORK_VISITS + k, item) for item in self.items if item.whole for k in range(NETWORK_VISITS)
            ]
            found += [(once + often)[i] for i in rng.permutation(len(once) + len(often))]
        return found

    @property
    def seconds(self) -> float:
        """About how long it takes, for a first word to the user: known better once it runs."""
        quantising = sum(0.1 * len(item.blocks) for item in self.items if item.precision == "int8")
        visits = VISITS * np.array([NETWORK_VISITS if item.whole else 1 for item in self.items])
        layers = np.array([sum(len(block.layers) for block in item.blocks) for item in self.items])
        macs = np.array([sum(layer.macs for block in item.blocks for layer in block.layers) for item in self.items])
        inference = macs / 2e10 + layers * 1e-5  # 20 MACs a nanosecond, 10 microseconds a layer: one core of a laptop
        return float(quantising + visits @ (layers * 1e-3 + (RUNS_PER_VISIT + 6) * inference))


def make_plan(
    space: SearchSpace, precisions: Sequence[Precision], resolution: int | None = None, seed: int = 0,
    networks: int = NETWORKS, held_out: int = HELD_OUT,
) -> Plan:  # fmt: skip
    """The blocks of the space, at one resolution if given, and distinct random networks of it.

    Raises UserError for a precision that ONNX Runtime does not run on a CPU, or a resolution the space lacks.
    """
    if odd := [p for p in precisions if p not in MEASURABLE]:
        raise UserError(f"precisions measured on a CPU are {', '.join(MEASURABLE)}; {odd[0]} is not among them")
    if not precisions:
        raise UserError(f"name at least one precision to measure: {', '.join(MEASURABLE)}")
    options = next((choice.options for choice in space.choices if choice.name == "resolution"), ())
    if resolution is not None and options and resolution not in options:
        raise UserError(
            f"{space.name} has the resolutions {', '.join(map(str, options))}; {resolution} is none of them"
        )
    fixed = resolution if options else None
    blocks = {block.key: block for block in all_blocks(space, resolution=fixed)}
    sampled = _sample(space, networks + held_out, fixed, seed)
    items = [Item(key, (block,), p, False) for key, block in blocks.items() for p in precisions]
    items += [Item(name, network.blocks, p, True) for name, network in sampled.items() for p in precisions]
    names = list(sampled)
    calibrating = names[: max(2, len(names) * networks // (networks + held_out))]
    return Plan(
        tuple(items),
        {name: sampled[name] for name in calibrating},
        {name: sampled[name] for name in names if name not in calibrating},
    )


def _sample(space: SearchSpace, n: int, resolution: int | None, seed: int) -> dict[str, Network]:
    """Up to n distinct networks; a small space has fewer."""
    rng = np.random.default_rng(seed)
    found: dict[Network, str] = {}
    for _ in range(50 * n):
        values = space.sample(rng).as_dict()
        if resolution is not None:
            values["resolution"] = resolution
        candidate = space.canonical(Candidate.of(values))
        network = space.network(candidate)
        if len(found) < n and network.blocks:
            found.setdefault(network, f"{space.name}-{candidate.digest}")
    if len(found) < 4:
        raise UserError(
            f"{space.name} has too few networks to calibrate a profile: {len(found)}, at least 4 are needed"
        )
    return {name: network for network, name in found.items()}


def measure(plan: Plan, folder: Path, threads: int, seed: int = 0, progress: Progress | None = None) -> SpaceProfile:
    """Carries out the plan; what folder/measurements.csv already has is not measured again.

    Each block is visited VISITS times, each network NETWORK_VISITS times as often, for RUNS_PER_VISIT runs in turn
    with a reference block; every visit makes a new session and warms it up. May be interrupted at any time and called
    again. Raises UserError if the file belongs to another setting.
    """
    path = folder / "measurements.csv"
    name = runtime()
    done = read_measurements(path, name, threads)
    known = {(m.name, m.precision, m.visit) for m in done}
    visits = plan.visits(np.random.default_rng(seed))
    left = [(visit, item) for visit, item in visits if (item.name, item.precision, visit) not in known]
    reference = prepare(block_graph(plan.reference.blocks).SerializeToString(), threads, seed)
    start = monotonic()
    with TemporaryDirectory() as models:
        for position, (visit, item) in enumerate(left):
            found = compare(prepare(_model(item, Path(models)), threads, seed), reference, RUNS_PER_VISIT)
            m = Measurement(
                item.name, item.precision, visit, name, threads,
                found.timing.median_ms, found.timing.p90_ms, found.relative, found.reference_ms, found.timing.runs,
            )  # fmt: skip
            done.append(append_measurement(path, m))
            if progress:
                remaining = (monotonic() - start) / (position + 1) * (len(left) - position - 1)
                progress(len(visits) - len(left) + position + 1, len(visits), remaining)
    return _profile(plan, pooled(done), name, threads)


def _model(item: Item, cache: Path) -> bytes:
    """The item as a serialised model. Quantising takes longer than measuring, so int8 models are kept for a while."""
    if item.precision == "fp32":
        return bytes(block_graph(item.blocks).SerializeToString())
    path = cache / f"{item.name}.onnx"
    if not path.exists():
        model = quantized(block_graph(item.blocks))
        path.write_bytes((model if item.whole else within_network(model)).SerializeToString())
    return path.read_bytes()


def measure_network(network: Network, precision: Precision, threads: int, runs: int = 50) -> Timing:
    """One whole network as it is deployed: float32 image in, float32 scores out."""
    if precision not in MEASURABLE:
        raise UserError(f"precisions measured on a CPU are {', '.join(MEASURABLE)}; {precision} is not among them")
    model = block_graph(network.blocks)
    return time_model((quantized(model) if precision == "int8" else model).SerializeToString(), threads, runs)


def _profile(plan: Plan, times: Mapping[tuple[str, Precision], Timing], name: str, threads: int) -> SpaceProfile:
    blocks = tuple(
        BlockTime(item.name, item.precision, t.median_ms, t.p90_ms, t.runs, None)
        for item in plan.items
        if not item.whole and (t := times[item.name, item.precision])
    )
    calibration: dict[Precision, Line] = {}
    rows: list[Validation] = []
    errors: list[HeldOutError] = []
    for precision in dict.fromkeys(item.precision for item in plan.items):

        def total(network: Network, p: Precision = precision) -> float:
            return sum(times[block.key, p].median_ms for block in network.blocks)

        measured = {n: times[n, precision].median_ms for n in (*plan.calibrating, *plan.held_out)}
        line = fit_line([total(n) for n in plan.calibrating.values()], [measured[n] for n in plan.calibrating])
        calibration[precision] = line
        known = [measured[n] for n in plan.calibrating]
        by_macs = fit_line([float(network.macs) for network in plan.calibrating.values()], known)
        wanted = np.array([measured[n] for n in plan.held_out])
        held_out = list(plan.held_out.values())
        ours = np.array([line.slope * total(network) + line.offset_ms for network in held_out])
        macs = np.array([by_macs.slope * network.macs + by_macs.offset_ms for network in held_out])
        figures = [
            _error(ours, wanted),
            0.0,
            _rank(ours, wanted),
            _error(np.median(known), wanted),
            _error(macs, wanted),
        ]
        errors.append(HeldOutError(precision, "latency", "held-out", len(held_out), *figures))
        rows += [
            Validation(n, precision, "held-out", float(w), float(p))
            for n, w, p in zip(plan.held_out, wanted, ours, strict=True)
        ]
    return SpaceProfile(blocks, calibration, tuple(rows), tuple(errors), name, threads)


def _error(predicted: np.ndarray | np.floating[Any], measured: np.ndarray) -> float:
    """Mean absolute error as a fraction of the measured times."""
    return float(np.mean(np.abs(predicted / measured - 1)))


def _rank(predicted: np.ndarray, measured: np.ndarray) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(predicted, measured).statistic)


def fit_line(sums_ms: Sequence[float], measured_ms: Sequence[float]) -> Line:
    """The straight line from the sums of block times to whole networks with the least relative errors, squared.

    A line through the origin where networks so alike were measured that no other says more.
    """
    x, y = np.array(sums_ms), np.array(measured_ms)
    if np.ptp(x) > 0.05 * x.mean():
        slope, offset = np.polyfit(x, y, 1, w=1 / y)
        if slope > 0 and np.all(slope * x + offset > 0):
            return Line(slope=float(slope), offset_ms=float(offset))
    return Line(slope=float(np.mean(y / x)), offset_ms=0.0)
