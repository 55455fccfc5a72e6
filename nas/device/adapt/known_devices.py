"""What known devices charge for the blocks of a space: the library that a new board is adapted from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from nas.device.cost import price
from nas.device.profile import DeviceProfile
from nas.device.tables.rates import Quantity
from nas.errors import UserError
from nas.space.block import Block
from nas.space.block_table import BlockTable
from nas.space.layer import Precision


@dataclass(frozen=True, eq=False)
class Library:
    """Costs of `blocks` on d devices, in ms or mJ: `costs` (d, blocks), and `offsets` (d,) paid once per inference.

    May hold no device: then a new board is fitted from its layers only.
    """

    names: tuple[str, ...]
    blocks: tuple[Block, ...]
    costs: np.ndarray
    offsets: np.ndarray
    precision: Precision

    def __post_init__(self) -> None:
        d, b = len(self.names), len(self.blocks)
        if self.costs.shape != (d, b) or self.offsets.shape != (d,):
            raise ValueError(f"{d} devices and {b} blocks, but costs {self.costs.shape}, offsets {self.offsets.shape}")
        if not (np.isfinite(self.costs).all() and np.isfinite(self.offsets).all()):
            raise UserError("a library's costs must be finite")

    @property
    def tables(self) -> np.ndarray:
        """Costs and, last, offsets: (d, blocks + 1). A network costs `uses(...) @ tables[i]`."""
        return np.column_stack([self.costs, self.offsets])

    def uses(self, networks: BlockTable) -> np.ndarray:
        """How often each of n networks has each block, and a last column of ones: (n, blocks + 1).

        Raises UserError for a network with a block that the library has not.
        """
        numbers = {block: i for i, block in enumerate(self.blocks)}
        if foreign := [block.key for block in networks.blocks if block not in numbers]:
            raise UserError(f"the networks must be of the library's blocks; {foreign[0]} is none of them")
        column = np.array([numbers[block] for block in networks.blocks])
        found = np.zeros((networks.index.shape[1], len(self.blocks) + 1))
        found[:, -1] = 1
        for position in networks.index:
            rows = np.flatnonzero(position >= 0)
            np.add.at(found, (rows, column[position[rows]]), 1)
        return found


def library_of(
    profiles: Iterable[DeviceProfile], blocks: Sequence[Block], precision: Precision, quantity: Quantity = "latency"
) -> Library:
    """The devices among the profiles that have the precision and the quantity and a price for every block.

    Profiles that were adapted themselves teach nothing new, and compiler estimates are of no board: both are left out.
    Leave out those of the board to come.
    """
    names: list[str] = []
    costs: list[np.ndarray] = []
    offsets: list[float] = []
    image = np.array([block.in_shape[0] == 3 for block in blocks])
    for profile in profiles:
        about = profile.about
        if about.adapted_from or about.blocks == "estimated" or precision not in profile.precisions:
            continue
        if quantity == "energy" and not profile.has_energy:
            continue
        once, twice = (_prices(profile, blocks, precision, quantity, times) for times in (1, 2))
        if once is None or twice is None or not np.isfinite(once).all():
            continue
        each = twice - once
        rest = once - each  # paid once per inference; with rates it depends on the image, which the first block reads
        offset = float(rest[image].min() if image.any() else rest.min())
        names.append(profile.name)
        costs.append(each + np.where(image, rest - offset, 0.0))
        offsets.append(offset)
    return Library(
        tuple(names), tuple(blocks), np.array(costs).reshape(-1, len(blocks)), np.array(offsets), precision
    )  # fmt: skip


def _prices(
    profile: DeviceProfile, blocks: Sequence[Block], precision: Precision, quantity: Quantity, times: int
) -> np.ndarray | None:
    """What networks cost that are one of the blocks, so many times: (blocks,)."""
    found = price(profile, BlockTable(tuple(blocks), np.tile(np.arange(len(blocks)), (times, 1))), precision)
    return found.latency_ms if quantity == "latency" else found.energy_mj
