"""What a change of a network gains on a device, by its profile, and how many channels it pays to keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from torch import Tensor

from nas.compress.channels import Group, resized
from nas.device.cost import predict
from nas.device.parts import rate_of
from nas.errors import UserError
from nas.numbers import figure
from nas.space.block import Block
from nas.space.network import Network

if TYPE_CHECKING:
    from nas.device.profile import DeviceProfile
    from nas.space.layer import Precision

LEAST_SHARE = 0.25  # of a group's channels that stay


def latency(profile: DeviceProfile, network: Network, precision: Precision) -> float:
    """Milliseconds. Raises UserError where the profile lacks the precision or cannot predict the network whole."""
    found = predict(profile, network, precision)
    if found.latency_ms is None or found.latency_partial:
        raise UserError(
            f"device profile {profile.name} cannot predict the compressed network: it has no figure for "
            f"{', '.join(found.unknown[:3]) or 'its blocks'}; use a profile with rates"
        )
    return found.latency_ms


def comparable(profile: DeviceProfile, precision: Precision) -> DeviceProfile:
    """The profile as it can compare a network with a changed one: by its rates alone, where it has some.

    Of a changed network some block was never measured, so its cost is that of the rates; the original's must be too.
    """
    return profile if rate_of(profile, precision, "latency") is None else replace(profile, lookup_table=())


@dataclass(frozen=True, slots=True)
class Gain:
    """What a changed network costs beside the original."""

    latency: float  # as a share of the original's
    text: str


def gain(profile: DeviceProfile, before: Network, after: Network, precision: Precision) -> Gain:
    """Raises UserError as `latency`."""
    old, new = (latency(profile, network, precision) for network in (before, after))
    return Gain(
        new / old,
        f"{profile.name} {figure(old)} to {figure(new)} ms predicted in {precision}, {new / old:.2f} of the latency, "
        f"{after.macs / before.macs:.2f} of the MACs, {after.params / before.params:.2f} of the parameters",
    )


def sizes_for(
    network: Network, worth: Mapping[Group, Tensor], profile: DeviceProfile, precision: Precision, share: float,
    multiple: int,
) -> dict[Group, int]:  # fmt: skip
    """The size of each group with which the predicted latency falls by `share`, with the least of `worth` lost.

    Greedy: of all groups the one that saves most milliseconds for what it loses becomes smaller, to the next multiple
    of `multiple` channels, again and again; a quarter of each group stays. What remains of the network is taken as the
    product of the shares of importance that remain of its groups, so that no group is pruned away alone. MACs are not
    looked at: what saves many of them may save no time. Raises UserError, naming what can be reached, where no such
    sizes do it.
    """
    whole = latency(profile, network, precision)

    @cache
    def of_block(block: Block) -> float:
        return latency(profile, Network((block,)), precision)

    sizes = {group: group.channels for group in worth}
    lost = {group: _lost(values) for group, values in worth.items()}
    now, current = whole, network
    while now > (1 - share) * whole:
        best: tuple[float, Group, int, Network] | None = None
        for group, size in sizes.items():
            for smaller in _below(group.channels, size, multiple):
                changed = resized(network, sizes | {group: smaller})
                if changed is None:
                    continue
                saved = sum(
                    of_block(current.blocks[n]) - of_block(changed.blocks[n])
                    for n in {number for number, _ in group.members}
                )
                paid = lost[group][group.channels - smaller] - lost[group][group.channels - size]
                if saved > 0 and (best is None or saved / max(paid, 1e-9) > best[0]):
                    best = saved / max(paid, 1e-9), group, smaller, changed
                break
        if best is None:
            raise UserError(
                f"pruning to multiples of {multiple} channels takes {1 - now / whole:.0%} of the latency on "
                f"{profile.name} at most; got {share:.0%}"
            )
        _, group, sizes[group], current = best
        now = latency(profile, current, precision)
    return {group: size for group, size in sizes.items() if size < group.channels}


def _below(channels: int, size: int, multiple: int) -> range:
    """The multiples below a size, the largest first, that leave enough of the group."""
    least = max(multiple, -(-round(LEAST_SHARE * channels) // multiple) * multiple)
    return range((size - 1) // multiple * multiple, least - 1, -multiple)


def _lost(worth: Tensor) -> list[float]:
    """Minus the logarithm of the importance that remains without so many of the least important channels, 0 to all."""
    remaining = 1 - worth.double().sort().values.cumsum(0)
    values: list[float] = (-remaining.clamp_min(1e-9).log()).tolist()
    return [0.0, *values]
