"""The Ethos-U configurations that Arm's compiler estimates for: memory and clock as Arm's own examples have them.

Shared_Sram: the NPU shares the chip's SRAM with the processor, and weights come from off-chip flash. The systems are
those of https://arm-software.github.io/CMSIS-Ethos-U/main/integration/fvp-ethos-setup.html. With an arena in DRAM
(Dedicated_Sram) a network costs 0.6 to 0.9 of the sum of its blocks: what passes between two blocks stays in the cache,
and a block on its own reads it from DRAM. So such systems are not priced by blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

from nas.errors import unknown

MEMORY = "Shared_Sram"
SRAM_KIB = 2048  # for tensors on Arm's Corstone-300, says its ML embedded evaluation kit
SYSTEMS = {
    "ethos-u55": "Ethos_U55_High_End_Embedded",
    "ethos-u65": "Ethos_U65_Embedded",
    "ethos-u85": "Ethos_U85_SYS_Flash_High",
}
MACS = {"ethos-u55": (32, 64, 128, 256), "ethos-u65": (256, 512), "ethos-u85": (128, 256, 512, 1024, 2048)}


@dataclass(frozen=True, slots=True)
class Configuration:
    """An NPU with so many MACs a cycle, by the name that vela gives it."""

    name: str
    target: str  # whose rules say what maps
    macs: int

    @property
    def system(self) -> str:
        """The section of vela's own configuration file."""
        return SYSTEMS[self.target]


CONFIGURATIONS = {
    name: Configuration(name, target, macs)
    for target, sizes in MACS.items()
    for macs in sizes
    for name in [f"{target}-{macs}"]
}


def configuration_of(name: str) -> Configuration:
    """The configuration of that name, such as ethos-u55-128. Raises UserError where there is none."""
    if name not in CONFIGURATIONS:
        raise unknown("configuration", name, CONFIGURATIONS)
    return CONFIGURATIONS[name]
