"""Whether a machine is a profile's device, by what people and machines write of the same board."""

from __future__ import annotations

import pytest

from nas.errors import UserError
from nas.profiling.results.machine import Identity, is_device, require_device
from tests.device.hand_made import about

PI = Identity("aarch64", "Raspberry Pi 4 Model B Rev 1.4", "Linux", "aarch64")
XEON = Identity("Intel(R) Xeon(R) Gold 6240 CPU @ 2.60GHz", None, "Linux", "x86_64")
CLOUD = Identity("Intel(R) Xeon(R) Processor @ 2.80GHz", None, "Linux", "x86_64")
UNNAMED = Identity("aarch64", None, "Linux", "aarch64")


@pytest.mark.parametrize(
    ("board", "soc", "machine", "same"),
    [
        ("Raspberry Pi 4 Model B", "Broadcom BCM2711, 4x Arm Cortex-A72", PI, True),
        ("Raspberry Pi 4 Model B Rev 1.4", "aarch64", PI, True),  # as nas profile writes it
        ("Raspberry Pi 4 Model B Rev 1.1", "Broadcom BCM2711", PI, True),  # another revision
        ("Raspberry Pi 5 Model B Rev 1.0", "Broadcom BCM2712", PI, False),
        ("Raspberry Pi 400", "Broadcom BCM2711", PI, False),
        ("Raspberry Pi", "aarch64", PI, False),
        ("Khadas VIM4", "aarch64", PI, False),  # every 64-bit ARM is one
        ("server, Intel Xeon Gold 6240", "Intel Xeon Gold 6240 (Cascade Lake), 18 cores", XEON, True),
        ("server", "Intel Xeon Gold 6240R", XEON, False),
        ("Linux x86_64", "Intel(R) Xeon(R) Gold 6240 CPU @ 2.60GHz", XEON, True),
        ("Raspberry Pi 4 Model B", "Broadcom BCM2711", XEON, False),
        ("cloud server, two virtual CPUs", "Intel(R) Xeon(R) Processor @ 2.80GHz", CLOUD, True),
        ("server", "Intel Xeon Gold 6240", CLOUD, False),
        ("cloud server", "Intel(R) Xeon(R) Processor @ 2.50GHz", CLOUD, False),
        ("Linux aarch64", "aarch64", UNNAMED, True),
        ("Linux aarch64", "unknown", UNNAMED, False),
        ("", "", UNNAMED, False),
        ("a board", "", Identity("", "", "Linux", "x86_64"), False),
    ],
)
def test_a_machine_is_the_device_by_its_board_or_its_model_of_processor(
    board: str, soc: str, machine: Identity, same: bool
) -> None:
    assert is_device(about(board=board, soc=soc), machine) == same


def test_what_is_refused_names_both_and_says_what_to_do() -> None:
    said = r"pi@board \(Raspberry Pi 4 .*\) is not the device of hand \(a board, a chip\): measure on that device"
    with pytest.raises(UserError, match=said):
        require_device(about(), PI, "pi@board")
