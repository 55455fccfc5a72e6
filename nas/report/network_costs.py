"""Where the time and the energy of each network of a run go: block by block, from the device's profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nas.device.info import About
from nas.device.parts import Part, by_block, parts_of
from nas.device.profile import load_device
from nas.errors import UserError
from nas.run import Run
from nas.space.block import KINDS, Block
from nas.space.block_table import block_table
from nas.space.network import Network
from nas.space.search_space import load_space


@dataclass(frozen=True)
class NetworkCosts:
    """The distinct blocks of a run's networks, and each network as places in that list.

    A block's parts are [layer or block, ms, mJ]. `networks`: blocks in order, by trial, of those that were trained.
    `lacking`: why there is none of it, in a sentence.
    """

    blocks: Sequence[Mapping[str, Any]] = ()
    networks: Mapping[int, Sequence[int]] = field(default_factory=dict)
    measured: bool = False  # the blocks' costs were measured one by one, else their layers' are known
    about: About | None = None
    lacking: str = ""


def network_costs(run: Run) -> NetworkCosts:
    """Costs of every block of every network; none where the space or the profile is not the run's any more."""
    s = run.settings
    try:
        space, device = load_space(s.space), load_device(s.device)
    except UserError as error:
        return NetworkCosts(lacking=f"Layers cannot be shown: {error}.")
    for what, name, now, was in (
        ("the space", s.space, space.fingerprint, s.space_sha256),
        ("the device profile", s.device, device.fingerprint, s.device_sha256),
    ):
        if now != was:
            return NetworkCosts(lacking=f"Layers cannot be shown: {what} {name} has changed since this run.")
    trained = [t for t in run.trials if t.state == "trained"]
    codes = []
    for t in trained:
        try:
            codes.append(space.encode(t.candidate))
        except UserError as error:
            return NetworkCosts(lacking=f"Layers cannot be shown: trial {t.trial}: {error}.")
    if not trained:
        return NetworkCosts(about=device.about)
    table = block_table(space, np.stack(codes), s.classes)
    stage_at = [i for i, stage in enumerate(space.stages) for _ in range(stage.deepest)]
    places: dict[tuple[int, int, str, bool], int] = {}
    blocks: list[Mapping[str, Any]] = []
    networks: dict[int, list[int]] = {}
    for t, column in zip(trained, table.index.T.tolist(), strict=True):
        precision, there = t.candidate.precision, [x for x in zip(stage_at, column, strict=True) if x[1] >= 0]
        whole = by_block(device, Network(tuple(table.blocks[b] for _, b in there)), precision)
        networks[t.trial] = []
        for stage, b in there:
            place = places.setdefault((stage, b, precision, whole), len(blocks))
            networks[t.trial].append(place)
            if place == len(blocks):
                parts = [_rounded(part) for part in parts_of(device, table.blocks[b], precision, whole)]
                blocks.append(_shown(table.blocks[b]) | {"stage": stage, "parts": parts})
    return NetworkCosts(blocks, networks, any(whole for *_, whole in places), device.about)


def _shown(block: Block) -> dict[str, Any]:
    uses = KINDS[block.kind].uses
    expand = block.mid / block.in_shape[0] if "expand" in uses else 0
    return {
        "kind": block.kind.replace("pool_", "pool + "), "kernel": block.kernel if "kernel" in uses else 0,
        "stride": block.stride,
        "expand": round(expand, 1), "se": block.se, "out": block.out_shape[0],
        "size": "x".join(map(str, block.in_shape[1:])), "label": block.key,
    }  # fmt: skip


def _rounded(part: Part) -> list[Any]:
    """Six digits: a network's parts add up to what it costs, to more digits than anyone reads."""
    return [part.name, *(None if v is None else float(f"{v:.6g}") for v in (part.latency_ms, part.energy_mj))]
