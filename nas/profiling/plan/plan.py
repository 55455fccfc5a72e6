"""What is measured for a profile of a search space: its blocks, and whole networks that calibrate and check the sum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal

import numpy as np

from nas.errors import UserError
from nas.runtimes.by_name import runtime_of
from nas.runtimes.runtime import RuntimeName
from nas.space.block import Block
from nas.space.block_table import all_blocks
from nas.space.candidate import Candidate
from nas.space.layer import PRECISIONS, Precision
from nas.space.network import Network
from nas.space.search_space import SearchSpace
from nas.space.stage import as_options

NETWORKS = 22  # whole networks that calibrate the sum of blocks
NETWORKS_QUICK = 10  # that a profile is adapted from

Kind = Literal["reference", "block", "calibrate", "check"]


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to measure: a block on its own, or a network, which then names its candidate."""

    id: str
    name: str  # Block.key, or the network's name
    precision: Precision
    kind: Kind
    network: Network
    candidate: Candidate | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is measured, the references first. `quick`: networks only, to adapt a profile from other devices'.

    Raises UserError for a precision that the runtime is not timed in.
    """

    space: SearchSpace
    resolution: int | None
    seed: int
    items: tuple[Item, ...]
    quick: bool = False
    runtime: RuntimeName = "onnxruntime"
    rounds: int | None = None  # visits to a block at most; None: as the bundle's settings say

    def __post_init__(self) -> None:
        timed = runtime_of(self.runtime).timed
        if odd := [p for p in self.precisions if p not in timed]:
            raise UserError(
                f"with {self.runtime}, {' and '.join(timed)} are measured; {odd[0]} is not: leave it out of --precision"
            )

    @property
    def precisions(self) -> tuple[Precision, ...]:
        return tuple(dict.fromkeys(item.precision for item in self.items if item.kind != "reference"))

    @property
    def seconds(self) -> float:
        """About how long it takes on one core of a laptop, for a first word to the user: known better once it runs."""
        return float(sum(_seconds(item) for item in self.items if item.kind != "reference"))


def _seconds(item: Item) -> float:
    layers = list(item.network.layers)
    once = sum(layer.macs for layer in layers) / 2e10 + 1e-5 * len(layers)  # 20 MACs a nanosecond
    visits = 4 if item.kind == "block" else 12
    return visits * (1e-3 * len(layers) + 2 * max(16 * once, 0.02))  # the session, then as long for the reference


def make_plan(
    space: SearchSpace, precisions: Sequence[Precision], resolution: int | None = None, seed: int = 0,
    networks: int = NETWORKS, *, blocks: bool = True,
) -> Plan:  # fmt: skip
    """The blocks of the space, at one resolution if given, and distinct random networks of it.

    Without `blocks` only the networks, all of them to check a profile with. Raises UserError for a precision that
    ONNX Runtime does not run, or a resolution that the space lacks.
    """
    check_precisions(precisions)
    fixed = check_resolution(space, resolution)
    every = {block.key: block for block in all_blocks(space, resolution=fixed)}
    sampled = sample_networks(space, networks, fixed, seed)
    items = [Item("", key, p, "block", Network((block,))) for key, block in every.items() for p in precisions if blocks]
    items += [
        network_item(space, candidate, p, "calibrate" if blocks else "check")
        for candidate in sampled
        for p in precisions
    ]
    return Plan(space, fixed, seed, (*references(space, fixed, precisions), *numbered(items)))


def plan_of(
    space: SearchSpace, candidates: Sequence[Candidate], precisions: Sequence[Precision], seed: int,
    resolution: int | None = None,
) -> Plan:  # fmt: skip
    """A quick plan: only these networks, all of which calibrate."""
    check_precisions(precisions)
    items = [network_item(space, candidate, p, "calibrate") for candidate in candidates for p in precisions]
    return Plan(space, resolution, seed, (*references(space, resolution, precisions), *numbered(items)), quick=True)


def with_runtime(plan: Plan, runtime: str) -> Plan:
    """The plan for the runtime of that name. Raises UserError where there is none, or it lacks a precision."""
    return replace(plan, runtime=runtime_of(runtime).name)


def check_precisions(precisions: Sequence[Precision]) -> None:
    if odd := [p for p in precisions if p not in PRECISIONS]:
        raise UserError(f"precisions that are measured are {', '.join(PRECISIONS)}; {odd[0]} is not among them")
    if not precisions:
        raise UserError(f"name at least one precision to measure: {', '.join(PRECISIONS)}")


def check_resolution(space: SearchSpace, resolution: int | None) -> int | None:
    """The resolution to keep to, None for all that the space has. Raises UserError for one that it lacks."""
    options = as_options(space.table.resolution)
    if resolution is not None and resolution not in options:
        has = f"the resolutions {', '.join(map(str, options))}" if len(options) > 1 else f"one resolution, {options[0]}"
        raise UserError(f"--resolution must be one of the space's: {space.name} has {has}; got {resolution}")
    return resolution if len(options) > 1 else None


def references(space: SearchSpace, resolution: int | None, precisions: Sequence[Precision]) -> list[Item]:
    """The network that every run is compared with, in each precision: of random networks, one a quarter up in MACs.

    The same in every plan of a space, so that two of them have the same yardstick. A single block is a poor one: after
    a whole network has emptied the caches it takes longer, so that networks would seem faster than they are. So is a
    network of another precision: a busy neighbour slows int8 more than fp32.
    """
    networks = [space.network(candidate) for candidate in sample_networks(space, NETWORKS, resolution, 0)]
    found = sorted(networks, key=lambda network: network.macs)[len(networks) // 4]
    keys = "/".join(block.key for block in found.blocks)
    name = f"{space.name}-reference-{sha256(keys.encode()).hexdigest()[:8]}"
    return [Item(f"reference-{p}", name, p, "reference", found) for p in precisions]


def network_item(
    space: SearchSpace, candidate: Candidate, precision: Precision, kind: Kind, *, name: str = "",
    classes: int | None = None,
) -> Item:  # fmt: skip
    network = space.network(candidate, classes)
    return Item("", name or network_name(space, candidate), precision, kind, network, candidate)


def network_name(space: SearchSpace, candidate: Candidate) -> str:
    """What a candidate's network is called in plans, results and profiles."""
    return f"{space.name}-{candidate.digest}"


def sample_networks(space: SearchSpace, n: int, resolution: int | None, seed: int) -> list[Candidate]:
    """Up to n candidates of distinct networks; a small space has fewer. Raises UserError where it has below 4."""
    rng = np.random.default_rng(seed)
    found: dict[tuple[Block, ...], Candidate] = {}
    for _ in range(50 * n):
        values = space.sample(rng).as_dict()
        if resolution is not None:
            values["resolution"] = resolution
        candidate = space.canonical(Candidate.of(values))
        blocks = space.network(candidate).blocks
        if blocks:
            found.setdefault(blocks, candidate)
        if len(found) == n:
            break
    if len(found) < min(n, 4):
        raise UserError(
            f"{space.name} has too few networks to make a profile with: {len(found)}, at least 4 are needed"
        )
    return list(found.values())


def numbered(items: Sequence[Item]) -> Iterator[Item]:
    """The items with ids."""
    for number, item in enumerate(items):
        name = f"{'b' if item.kind == 'block' else 'n'}{number:05d}-{item.precision}"
        yield Item(name, item.name, item.precision, item.kind, item.network, item.candidate)
