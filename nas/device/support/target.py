"""The accelerator that a search is for: what its compiler maps, and the SRAM that a chip has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from nas.device.parts import layer_name
from nas.device.profile import DeviceProfile
from nas.device.support.mapping import OnCpu, fault, on_cpu
from nas.device.support.support import Support, load_support
from nas.errors import UserError
from nas.space.block import Block
from nas.space.layer import Precision
from nas.space.network import Network


@dataclass(frozen=True)
class Target:
    """An accelerator's rules, and what blocks need of the chip's SRAM, in KiB, by their key; without a limit: none."""

    rules: Support
    sha256: str  # of the rules' file
    name: str  # as it was given: a name, or the path of a file
    sram_kib: Mapping[str, float] = field(default_factory=dict)
    most_sram_kib: int | None = None

    def fault(self, block: Block) -> str:
        """Why a block does not run on the accelerator as a whole: layer and rule; empty where it does."""
        if block not in self._known:
            self._known[block] = self._fault(block)
        return self._known[block]

    def _fault(self, block: Block) -> str:
        for layer in block.layers:
            if rule := fault(self.rules, layer):
                return f"{layer_name(layer)}: {rule}"
        needed = self.sram_kib.get(block.key)
        if needed is not None and self.most_sram_kib is not None and needed > self.most_sram_kib:
            return f"{block.key}: needs {needed:,.0f} KiB of SRAM; the chip has {self.most_sram_kib:,}"
        return ""

    @cached_property
    def _known(self) -> dict[Block, str]:
        return {}

    def on_cpu(self, network: Network) -> tuple[OnCpu, ...]:
        """The layers that stay on the CPU, in order of execution."""
        return on_cpu(self.rules, network)

    def too_large(self, network: Network) -> str:
        """The first block that the chip's SRAM does not hold, in words; empty where there is none."""
        return next((f for b in network.blocks if "SRAM" in (f := self.fault(b))), "")

    def precisions(self, asked: tuple[Precision, ...], *, named: bool) -> tuple[Precision, ...]:
        """Those that the accelerator has. Raises UserError where none is left, or where it lacks one that was `named`
        by the user."""
        kept = tuple(p for p in asked if p in self.rules.precisions)
        odd = [p for p in asked if p not in kept]
        if odd and (named or not kept):
            raise UserError(f"target {self.rules.name} has no {odd[0]} (it has: {', '.join(self.rules.precisions)})")
        return kept


def target_of(profile: DeviceProfile, name: str | None = None) -> Target | None:
    """The accelerator of a profile, or the one called `name`; None where neither is given.

    Raises UserError where the profile names another one, and for a target that cannot be read.
    """
    own = profile.about.target
    if name is not None and own not in (None, name):
        raise UserError(f"device {profile.name} is for the target {own}; got {name}")
    if (chosen := name or own) is None:
        return None
    found = load_support(chosen)
    needed = {t.block: t.sram_kib for t in profile.lookup_table if t.sram_kib is not None}
    return Target(found.rules, found.sha256, chosen, needed, profile.about.sram_kib)
