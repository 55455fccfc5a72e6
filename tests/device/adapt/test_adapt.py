"""Adapting to a new board: which networks are chosen, and what a few measurements say of all others."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from nas.device.adapt.adapt import Adapted, adapt, block_times, choose
from nas.device.adapt.known_devices import Library
from nas.device.cost import price
from nas.device.fit.blocks import solve
from nas.device.folder import write_profile
from nas.device.formats.help import read_fbnet
from nas.device.profile import read_profile
from nas.errors import UserError
from nas.space.block_table import BlockTable, block_table
from nas.space.search_space import load_space
from tests.device.hand_made import about
from tests.shared_data import shared_data

DEVICES = ("slow", "wide", "deep")


@lru_cache
def networks(n: int = 400) -> BlockTable:
    space = load_space("fbnet-cifar")
    return block_table(space, space.sample_codes(n, np.random.default_rng(0)))


def macs() -> np.ndarray:
    return np.array([sum(layer.macs for layer in block.layers) / 1e6 for block in networks().blocks])


def layers() -> np.ndarray:
    return np.array([float(len(block.layers)) for block in networks().blocks])


@lru_cache
def library() -> Library:
    """Three devices: charging for MACs, for weights, for layers; each block with a taste of its own."""
    rng = np.random.default_rng(1)
    weights = np.array([sum(layer.weights for layer in block.layers) / 1e5 for block in networks().blocks])
    costs = np.array([macs() + 0.1, weights + 0.1, layers()]) * rng.uniform(0.8, 1.2, (3, len(macs())))
    return Library(DEVICES, networks().blocks, costs, np.array([1.0, 2.0, 0.0]), "fp32")


def nothing() -> Library:
    return Library((), networks().blocks, np.zeros((0, len(networks().blocks))), np.zeros(0), "fp32")


def true_costs(table: np.ndarray) -> np.ndarray:
    return networks().total(table)


def adapted(cost: np.ndarray, n: int = 10, known: Library | None = None) -> tuple[Adapted, float]:
    """The board adapted from n chosen networks, and its mean error on all others."""
    known = library() if known is None else known
    rows = choose(known, networks(), n)
    board = adapt(known, networks(), networks().of(rows), cost[rows])
    rest = np.setdiff1d(np.arange(len(cost)), rows)
    return board, float(np.mean(np.abs(board.total(networks().of(rest)) / cost[rest] - 1)))


def test_a_known_device_at_another_speed_is_recognised() -> None:
    cost = true_costs(3.7 * library().costs[1]) + 3.7 * 2.0
    board, error = adapted(cost, 6)
    assert next(iter(board.weights)) == "wide"
    assert sum(board.weights.values()) == pytest.approx(1)
    assert error < 0.005
    assert board.error < 0.02


def test_a_board_between_two_known_ones_is_found() -> None:
    cost = true_costs(0.5 * library().costs[0] + 2 * library().costs[2])
    assert adapted(cost)[1] < 0.01


def test_without_a_library_a_board_that_charges_for_layers_is_learned_from_the_layers() -> None:
    board, error = adapted(true_costs(0.4 * layers()) + 3, known=nothing())
    assert error < 0.01
    assert board.weights == {"layers": pytest.approx(1)}


def test_left_out_is_what_the_others_alone_predict() -> None:
    rng = np.random.default_rng(3)
    cost = true_costs(library().costs[0] * rng.uniform(0.6, 1.4, len(macs()))) * rng.normal(1, 0.02, 400)
    rows = choose(library(), networks(), 12)
    board = adapt(library(), networks(), networks().of(rows), cost[rows])
    for i in range(len(rows)):
        others = np.delete(rows, i)
        alone = adapt(library(), networks(), networks().of(others), cost[others])
        found = float(alone.total(networks().of(rows[i : i + 1]))[0])
        assert board.left_out[i] == pytest.approx(found, rel=0.03)
    assert board.error == pytest.approx(np.mean(np.abs(board.left_out / cost[rows] - 1)))


def test_one_spoilt_measurement_does_not_spoil_the_board() -> None:
    cost = true_costs(library().costs[2])
    rows = choose(library(), networks(), 10)
    measured = cost[rows].copy()
    measured[4] *= 1.6
    board = adapt(library(), networks(), networks().of(rows), measured)
    assert np.mean(np.abs(board.total(networks()) / cost - 1)) < 0.03
    assert np.argmax(np.abs(board.left_out / measured - 1)) == 4


def test_the_chosen_networks_are_distinct_and_need_no_measurement() -> None:
    rows = choose(library(), networks(), 20)
    assert len(set(rows.tolist())) == 20
    assert (rows == choose(library(), networks(), 20)).all()
    assert (rows[:10] == choose(library(), networks(), 10)).all()


def test_chosen_networks_teach_more_than_random_ones() -> None:
    """Over twenty made-up boards far from the library."""
    rng = np.random.default_rng(5)
    chosen, random = [], []
    rows = choose(library(), networks(), 8)
    for _ in range(20):
        mix = rng.uniform(0, 1, 3) ** 3
        cost = true_costs(mix @ library().costs * rng.uniform(0.7, 1.3, len(macs())))
        for picked, errors in ((rows, chosen), (rng.choice(400, 8, replace=False), random)):
            board = adapt(library(), networks(), networks().of(picked), cost[picked])
            errors.append(np.mean(np.abs(board.total(networks()) / cost - 1)))
    assert np.mean(chosen) < np.mean(random)


def test_an_adapted_board_is_a_profile_that_prices_the_same(tmp_path: Path) -> None:
    cost = true_costs(library().costs[0]) + 1
    board, _ = adapted(cost)
    energy, _ = adapted(5 * cost)
    assert (board.costs > 0).all()
    assert board.offset >= 0
    line = {"fp32": {"slope": 1.0, "offset_ms": board.offset}}
    energy_line = {"fp32": {"slope": 1.0, "offset_mj": energy.offset}}
    described = about(calibration=line, energy_calibration=energy_line)
    write_profile(tmp_path / "new", described, lookup_table=block_times(board, energy))
    prices = price(read_profile(tmp_path / "new"), networks(), "fp32")
    assert prices.latency_ms == pytest.approx(board.total(networks()), rel=1e-4)
    assert prices.energy_mj == pytest.approx(energy.total(networks()), rel=1e-4)


def test_a_table_stays_above_0_and_the_sums_stay() -> None:
    """Blocks that this board runs for nothing; the best Gaussian answer has some of them below 0."""
    free = np.array([block.kind == "shuffle" for block in networks().blocks])
    board, error = adapted(true_costs(np.where(free, 0, macs())) + 2, 20)
    assert (board.costs > 0).all()
    assert board.offset >= 0
    assert error < 0.02


def test_too_few_or_impossible_measurements_are_refused() -> None:
    rows = choose(library(), networks(), 5)
    few = networks().of(rows[:3])
    with pytest.raises(UserError, match="4 or more networks"):
        adapt(library(), networks(), few, [1.0, 2.0, 3.0])
    with pytest.raises(UserError, match="4 or more networks"):
        adapt(library(), networks(), networks().of(rows), [1.0, 2.0, 3.0, 4.0])
    for bad in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UserError, match="finite and above 0"):
            adapt(library(), networks(), networks().of(rows), [1.0, 2.0, 3.0, 4.0, bad])
    with pytest.raises(UserError, match="must differ in work; these 5 are alike"):
        choose(library(), networks().of(np.zeros(5, dtype=int)), 4)
    for n in (3, 401):
        with pytest.raises(UserError, match="from 4 to 400"):
            choose(library(), networks(), n)


def test_gpus_of_help_from_ten_networks() -> None:
    """The titanx at batch 32, none of its batches in the library, tables from networks that are not tested."""
    path = shared_data("fbnet_help/fbnet_latency_ms.csv")
    known = ("titanxp_1", "titanxp_64", "2080ti_32", "1080ti_1", "silver_4210r", "pixel2")
    target = read_fbnet(path, "titanx_32")
    fitted, pool, test = np.arange(1500), np.arange(1500, 2000), np.arange(2000, 4000)
    bare = Library((), target.blocks.blocks, np.zeros((0, len(target.blocks.blocks))), np.zeros(0), "fp32")
    uses = bare.uses(target.blocks)
    tables = np.array([solve(uses[fitted], read_fbnet(path, name).latency_ms[fitted]) for name in known])
    lib = Library(known, bare.blocks, tables[:, :-1], tables[:, -1], "fp32")
    rows = pool[choose(lib, target.blocks.of(pool), 10)]
    board = adapt(lib, target.blocks.of(pool), target.blocks.of(rows), target.latency_ms[rows])
    found, wanted = board.total(target.blocks.of(test)), target.latency_ms[test]
    assert spearmanr(found, wanted).statistic > 0.98
    assert np.mean(np.abs(found / wanted - 1)) < 0.02
