"""A profile of three blocks, small enough to add up by hand, and the networks made of them."""

from __future__ import annotations

from pathlib import Path

from nas.device.folder import write_profile
from nas.device.info import About
from nas.device.profile import DeviceProfile, read_profile
from nas.device.tables.blocks import BlockTime
from nas.device.tables.rates import Rates
from nas.device.tables.validation import Validation
from nas.space.block import Block
from nas.space.network import Network

STEM = Block("conv", (3, 32, 32), (8, 16, 16), 3, 2, activation="relu")
BODY = Block("mbconv", (8, 16, 16), (8, 16, 16), 3, 1, 16, activation="relu")
HEAD = Block("pool_linear", (8, 16, 16), (10, 1, 1))
TIMES = (
    BlockTime(STEM.key, "fp32", 2.0, 2.5, 30, 10.0),
    BlockTime(BODY.key, "fp32", 3.0, None, 30, 20.0),
    BlockTime(HEAD.key, "fp32", 0.5, None, 30, 1.0),
)
NETWORK = Network((STEM, BODY, BODY, HEAD))  # 2 + 3 + 3 + 0.5 = 8.5 ms, 10 + 20 + 20 + 1 = 51 mJ


def about(**changed: object) -> About:
    given = {
        "name": "hand", "board": "a board", "soc": "a chip", "runtime": "a runtime", "precisions": ["fp32"],
        "statistic": "median", "protocol": "by hand", "date": "2024-01", "source": "the tests", "energy": "at the wall",
    }  # fmt: skip
    return About.model_validate(given | changed)


def hand_made(
    folder: Path, times: tuple[BlockTime, ...] = TIMES, *, rates: Rates | None = None,
    validation: tuple[Validation, ...] = (), **changed: object,
) -> DeviceProfile:  # fmt: skip
    write_profile(folder, about(**changed), lookup_table=times, rates=rates, validation=validation)
    return read_profile(folder)
