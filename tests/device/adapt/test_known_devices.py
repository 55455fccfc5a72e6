"""The library of known devices: block costs and what is paid once, as the profiles price them."""

from pathlib import Path

import numpy as np
import pytest

from nas.device.adapt.known_devices import library_of
from nas.device.profile import load_device
from nas.device.tables.blocks import BlockTime
from nas.errors import UserError
from nas.space.block import Block
from nas.space.block_table import BlockTable, all_blocks, block_table
from nas.space.search_space import load_space
from tests.device.hand_made import BODY, HEAD, STEM, hand_made

BLOCKS = (STEM, BODY, HEAD)
NETWORKS = BlockTable((HEAD, STEM, BODY), np.array([[1, 1], [2, 2], [2, -1], [0, 0]]))  # two bodies, and one


def test_blocks_cost_what_the_profile_says(tmp_path: Path) -> None:
    library = library_of([hand_made(tmp_path / "a")], BLOCKS, "fp32")
    assert library.costs == pytest.approx(np.array([[2.0, 3.0, 0.5]]))
    assert library.offsets == pytest.approx([0.0])
    assert library.uses(NETWORKS).tolist() == [[1, 2, 1, 1], [1, 1, 1, 1]]
    assert library.uses(NETWORKS) @ library.tables.T == pytest.approx(np.array([[8.5], [5.5]]))


def test_a_calibration_line_is_in_the_costs_and_the_offset(tmp_path: Path) -> None:
    profile = hand_made(tmp_path / "a", calibration={"fp32": {"slope": 2.0, "offset_ms": 0.25}})
    library = library_of([profile], BLOCKS, "fp32")
    assert library.costs == pytest.approx(np.array([[4.0, 6.0, 1.0]]))
    assert library.offsets == pytest.approx([0.25])


def test_energy_has_a_library_of_its_own(tmp_path: Path) -> None:
    library = library_of([hand_made(tmp_path / "a")], BLOCKS, "fp32", "energy")
    assert library.costs == pytest.approx(np.array([[10.0, 20.0, 1.0]]))


def test_a_device_that_cannot_price_every_block_is_left_out(tmp_path: Path) -> None:
    whole = hand_made(tmp_path / "a", name="whole")
    poor = hand_made(tmp_path / "b", (BlockTime(STEM.key, "fp32", 2.0, None, 1, None),), name="poor", energy=None)
    assert library_of([whole, poor], BLOCKS, "fp32").names == ("whole",)
    assert library_of([whole, poor], (STEM,), "fp32").names == ("whole", "poor")
    assert library_of([whole, poor], (STEM,), "fp32", "energy").names == ("whole",)
    assert library_of([whole, poor], (STEM,), "int8").names == ()
    adapted = hand_made(tmp_path / "c", name="adapted", adapted_from=["one", "two"])
    assert library_of([whole, adapted], BLOCKS, "fp32").names == ("whole",)


def test_rates_price_networks_as_predict_does() -> None:
    """A rates profile pays for the image and the interpreter once; with both in the library, sums stay the same."""
    from nas.device.cost import price

    space, profile = load_space("tiny"), load_device("raspberry-pi-4")
    networks = block_table(space, space.sample_codes(20, np.random.default_rng(0)))
    library = library_of([profile], all_blocks(space), "fp32")
    expected = price(profile, networks, "fp32").latency_ms
    assert (library.uses(networks) @ library.tables.T)[:, 0] == pytest.approx(expected, rel=1e-9)


def test_a_foreign_block_is_named(tmp_path: Path) -> None:
    library = library_of([hand_made(tmp_path / "a")], (STEM, HEAD), "fp32")
    with pytest.raises(UserError, match="library's blocks; mbconv-8x16x16"):
        library.uses(NETWORKS)
    other = Block("conv", (3, 8, 8), (8, 8, 8), 3)
    with pytest.raises(UserError, match="conv-3x8x8"):
        library.uses(BlockTable((other,), np.array([[0]])))
