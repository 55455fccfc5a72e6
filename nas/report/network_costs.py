"""Where the time and the energy of each network of a run go: block by block, from the device's profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas.device.parts import by_block, parts_of
from nas.device.profile import About, load_device
from nas.errors import UserError
from nas.run import Run
from nas.space.block import KINDS, Block
from nas.space.search_space import load_space


@dataclass(frozen=True)
class NetworkCosts:
    """The distinct blocks of a run's networks, and each network as places in that list.

    `networks`: (stage, block) in order, by trial. `lacking`: why there is none of it, in a sentence.
    """

    blocks: Sequence[Mapping[str, Any]] = ()
    networks: Mapping[int, Sequence[tuple[int, int]]] = ()  # type: ignore[assignment]
    measured: bool = False  # the blocks' costs were measured one by one, else their layers' are known
    about: About | None = None
    lacking: str = ""


def network_costs(run: Run) -> NetworkCosts:
    """Costs of every block of every network; none where the space or the profile is not the run's any more."""
    s = run.settings
    try:
        space, device = load_space(s.space), load_device(s.device)
    except UserError as error:
        return NetworkCosts(networks={}, lacking=f"Layers cannot be shown: {error}.")
    for what, name, now, was in (
        ("space", s.space, space.fingerprint, s.space_sha256),
        ("device profile", s.device, device.fingerprint, s.device_sha256),
    ):
        if now != was:
            return NetworkCosts(networks={}, lacking=f"Layers cannot be shown: {what} {name} has changed since.")
    places: dict[tuple[Block, str, bool], int] = {}
    blocks: list[Mapping[str, Any]] = []
    networks: dict[int, list[tuple[int, int]]] = {}
    measured = False
    for t in run.trials:
        try:
            network = space.network(space.decode(space.encode(t.candidate)), s.classes)
        except UserError as error:
            return NetworkCosts(networks={}, lacking=f"Layers cannot be shown: trial {t.trial}: {error}.")
        precision = t.candidate.precision
        whole = by_block(device, network, precision)
        measured |= whole
        stages = network.stages or tuple(range(len(network.blocks)))
        row = []
        for stage, block in zip(stages, network.blocks, strict=True):
            key = (block, precision, whole)
            if key not in places:
                places[key] = len(blocks)
                parts = parts_of(device, block, precision, whole)
                blocks.append(_shown(block) | {"parts": [[p.name, p.latency_ms, p.energy_mj] for p in parts]})
            row.append((stage, places[key]))
        networks[t.trial] = row
    return NetworkCosts(blocks, networks, measured, device.about)


def _shown(block: Block) -> dict[str, Any]:
    uses = KINDS[block.kind].uses
    expand = block.mid / block.in_shape[0] if "expand" in uses else 0
    return {
        "kind": block.kind.replace("pool_", "pool + "), "kernel": block.kernel if "kernel" in uses else 0,
        "stride": block.stride,
        "expand": round(expand, 1), "se": block.se, "out": block.out_shape[0],
        "size": "x".join(map(str, block.in_shape[1:])), "label": block.key,
    }  # fmt: skip
