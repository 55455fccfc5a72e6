"""What networks cost: sums by hand on a profile of three blocks, and arrays that agree with single predictions."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.catalog import names
from nas.device.cost import BASES, predict, price
from nas.device.counts import COUNTS, INDEX
from nas.device.profile import load_device
from nas.device.tables.blocks import BlockTime
from nas.device.tables.rates import Rate, Rates
from nas.device.tables.validation import Validation
from nas.errors import UserError
from nas.space.block import Block
from nas.space.block_table import BlockTable, block_table
from nas.space.candidate import Candidate
from nas.space.layer import Layer
from nas.space.network import Network, imported
from nas.space.reference import reference_network
from nas.space.search_space import load_space
from tests.device.hand_made import BODY, HEAD, NETWORK, STEM, TIMES, hand_made

SPACES = list(names("search_spaces", ".toml"))
BLOCKS = st.sampled_from([STEM, BODY, HEAD, replace(BODY, kernel=5), replace(STEM, kernel=7)])


def rate(quantity: str = "latency", most: float = 1e9, cost_high: float = 1e9, **per_unit: float) -> Rate:
    """Rates of 0 but those given; every count was in the fit, up to `most`."""
    figures = np.zeros(len(COUNTS))
    for name, value in per_unit.items():
        figures[INDEX[name]] = value
    return Rate("fp32", quantity, figures, np.zeros(len(COUNTS)), np.full(len(COUNTS), most), 0.0, cost_high)  # type: ignore[arg-type]


def test_measured_blocks_add_up(tmp_path: Path) -> None:
    found = predict(hand_made(tmp_path / "p"), NETWORK, "fp32")
    assert (found.latency_ms, found.energy_mj) == (8.5, 51.0)
    assert (found.latency_basis, found.energy_basis) == ("measured", "measured")
    assert (found.unknown, found.partial) == ((), False)
    assert [(p.name, p.latency_ms) for p in found.parts] == [
        (STEM.key, 2.0), (BODY.key, 3.0), (BODY.key, 3.0), (HEAD.key, 0.5),
    ]  # fmt: skip


def test_without_energy_there_is_none(tmp_path: Path) -> None:
    times = tuple(replace(t, energy_mj=None) for t in TIMES)
    found = predict(hand_made(tmp_path / "p", times, energy=None), NETWORK, "fp32")
    assert (found.latency_ms, found.energy_mj, found.energy_interval_mj) == (8.5, None, None)


def test_the_calibration_line_is_laid_through_the_sum(tmp_path: Path) -> None:
    profile = hand_made(tmp_path / "p", calibration={"fp32": {"slope": 0.8, "offset_ms": 1.0}})
    assert predict(profile, NETWORK, "fp32").latency_ms == pytest.approx(7.8)  # 0.8 x 8.5 + 1


LINE = {"fp32": {"slope": 0.8, "offset_ms": -9.0, "per_block_ms": -0.5, "per_million_params_ms": 300.0}}
ENERGY_LINE = {"fp32": {"slope": 0.8, "offset_mj": -90.0, "per_block_mj": -5.0}}


@pytest.mark.parametrize("lines", [{}, {"calibration": LINE, "energy_calibration": ENERGY_LINE}], ids=["bare", "lines"])
def test_a_block_that_was_not_measured_is_named_and_left_out(lines: dict[str, object], tmp_path: Path) -> None:
    """What is left is a sum: on no line, which is one of whole networks, and without an interval."""
    rows = tuple(Validation(f"n{i}", "fp32", "network", 1.0 + i, 1.0, 2.0, 1.0) for i in range(11))
    found = predict(hand_made(tmp_path / "p", (TIMES[0], TIMES[2]), validation=rows, **lines), NETWORK, "fp32")
    assert found.unknown == (BODY.key,)
    assert (found.latency_ms, found.latency_interval_ms, found.latency_basis) == (2.5, None, "extrapolated")
    assert (found.energy_mj, found.energy_interval_mj, found.energy_basis) == (11.0, None, "extrapolated")
    assert found.latency_partial and found.energy_partial and found.partial


def test_a_network_without_any_known_block_has_no_figure(tmp_path: Path) -> None:
    profile = hand_made(tmp_path / "p", calibration=LINE, energy_calibration=ENERGY_LINE)
    found = predict(profile, Network((replace(STEM, kernel=5), replace(BODY, kernel=5))), "fp32")
    assert (found.latency_ms, found.energy_mj, found.partial, len(found.unknown)) == (None, None, True, 2)
    assert (found.latency_interval_ms, found.energy_interval_mj) == (None, None)


def test_a_calibration_below_zero_is_not_used(tmp_path: Path) -> None:
    """Of a network far smaller than those that the line was laid through, the sum is nearer than less than nothing."""
    profile = hand_made(
        tmp_path / "p", calibration={"fp32": {"slope": 0.8, "offset_ms": -4.0}},
        energy_calibration={"fp32": {"slope": 0.8, "offset_mj": -4.0}},
    )  # fmt: skip
    small, large = predict(profile, Network((STEM, HEAD)), "fp32"), predict(profile, NETWORK, "fp32")
    assert (small.latency_ms, small.latency_basis) == (2.5, "extrapolated")  # not 0.8 x 2.5 - 4
    assert (small.energy_mj, small.energy_basis) == (pytest.approx(0.8 * 11 - 4), "measured")
    assert (large.latency_ms, large.latency_basis) == (pytest.approx(0.8 * 8.5 - 4), "measured")


@settings(max_examples=100, deadline=None)
@given(
    known=st.lists(st.sampled_from(TIMES), unique=True, min_size=1), blocks=st.lists(BLOCKS, min_size=1, max_size=6),
    line=st.tuples(st.floats(1e-3, 10), *[st.floats(-100, 100)] * 3), timed=st.booleans(), rated=st.booleans(),
    unread=st.sampled_from([(), ("Softmax",)]),
)  # fmt: skip
def test_no_prediction_is_negative_and_a_part_has_no_interval(
    known: list[BlockTime], blocks: list[Block], line: tuple[float, ...], timed: bool, rated: bool,
    unread: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    slope, offset, per_block, per_params = line
    rows = tuple(
        Validation(f"n{i}", "fp32", s, 1.0 + i, 2.0, 3.0, 2.0) for i in range(5) for s in ("network", "family")
    )
    profile = hand_made(
        tmp_path_factory.mktemp("p") / "p", tuple(t if timed else replace(t, energy_mj=None) for t in known),
        rates=Rates((rate(layer=1.0), rate("energy", layer=2.0))) if rated else None, validation=rows,
        calibration={"fp32": {"slope": slope, "offset_ms": offset, "per_block_ms": per_block,
                              "per_million_params_ms": per_params}},
        energy_calibration={"fp32": {"slope": slope, "offset_mj": offset, "per_block_mj": per_block}},
    )  # fmt: skip
    found = predict(profile, Network(tuple(blocks)), "fp32", unread)
    held = {t.block for t in known}
    lacking = any(b.key not in held for b in blocks) and not rated
    for value, interval, partial in (
        (found.latency_ms, found.latency_interval_ms, found.latency_partial),
        (found.energy_mj, found.energy_interval_mj, found.energy_partial),
    ):
        assert value is None or 0 < value < np.inf
        assert interval is None or 0 < interval[0] <= interval[1]
        assert not (partial and interval)
    assert found.latency_partial == (lacking or bool(unread))
    assert bool(found.unknown) == found.partial or rated


def test_a_classifier_for_few_classes_is_charged_as_the_smallest_larger_one(tmp_path: Path) -> None:
    heads = (1000, 100, 5)
    times = tuple(
        replace(TIMES[2], block=replace(HEAD, out_shape=(n, 1, 1)).key, median_ms=n / 100) for n in heads
    )  # 10 ms, 1 ms and 0.05 ms
    found = predict(hand_made(tmp_path / "p", (*TIMES[:2], *times)), NETWORK, "fp32")
    assert found.latency_ms == pytest.approx(2 + 3 + 3 + 1)
    assert (found.latency_basis, found.unknown, found.partial) == ("extrapolated", (), False)


def test_a_precision_that_the_profile_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"hand has no int8 \(it has: fp32\)"):
        predict(hand_made(tmp_path / "p"), NETWORK, "int8")


def test_rates_alone_by_hand(tmp_path: Path) -> None:
    """The stem convolves 3x3x3 to 8 channels at 16x16 places: 55,296 MACs; the classifier has 80."""
    rates = Rates((rate(network=1.5, stem=100.0, linear=1000.0), rate("energy", network=4.0)))
    found = predict(hand_made(tmp_path / "p", (), rates=rates), Network((STEM, HEAD)), "fp32")
    assert found.latency_ms == pytest.approx(1.5 + 0.055296 * 100 + 0.00008 * 1000)
    assert found.energy_mj == pytest.approx(4.0)
    assert (found.latency_basis, found.energy_basis, found.unknown) == ("fitted", "fitted", ())


def test_rates_price_what_the_table_lacks(tmp_path: Path) -> None:
    """A network that the table holds whole is measured; one with a foreign block is priced by the rates alone."""
    foreign = replace(BODY, kernel=5)
    profile = hand_made(tmp_path / "p", rates=Rates((rate(layer=1.0), rate("energy", layer=2.0))))
    assert predict(profile, NETWORK, "fp32").latency_ms == 8.5
    found = predict(profile, Network((STEM, foreign, HEAD)), "fp32")
    assert (found.latency_ms, found.energy_mj) == (7.0, 14.0)  # conv; 3 convs and an addition; pool, classifier
    assert (found.latency_basis, found.energy_basis, found.partial) == ("fitted", "fitted", False)


@pytest.mark.parametrize(("most", "cost_high"), [(5.0, 1e9), (1e9, 5.0)], ids=["a count", "the cost"])
def test_more_than_the_fit_had_is_an_extrapolation(most: float, cost_high: float, tmp_path: Path) -> None:
    rates = Rates((rate(layer=1.0, most=most, cost_high=cost_high),))
    profile = hand_made(tmp_path / "p", (), rates=rates, energy=None)
    assert predict(profile, Network((STEM, HEAD)), "fp32").latency_basis == "fitted"  # 3 layers
    assert predict(profile, NETWORK, "fp32").latency_basis == "extrapolated"  # 11 layers
    assert predict(profile, NETWORK, "fp32").energy_basis is None


@pytest.mark.parametrize(("most", "cost_high"), [(5.0, 1e9), (1e9, 5.0), (0.0, 1e9)], ids=["count", "cost", "unseen"])
def test_energy_is_judged_by_its_own_fit(most: float, cost_high: float, tmp_path: Path) -> None:
    """Blocks with times and without energies: the latency is measured, and the energy is outside of the rates' fit."""
    times = tuple(replace(t, energy_mj=None) for t in TIMES)
    rates = Rates((rate(layer=7.0), rate("energy", layer=1.0, most=most, cost_high=cost_high)))
    rows = tuple(
        Validation(f"n{i}", "fp32", split, 1.0, 1.0, ratio, 1.0)
        for i in range(11) for split, ratio in (("held-out", 1.1), ("family", 4.0))
    )  # fmt: skip
    profile = hand_made(tmp_path / "p", times, rates=rates, validation=rows)
    found = predict(profile, NETWORK, "fp32")
    assert (found.latency_ms, found.latency_basis) == (8.5, "measured")
    assert (found.energy_basis, found.energy_partial) == ("extrapolated", False)
    assert found.latency_interval_ms == (8.5, 8.5)  # of the networks held out
    energy = found.energy_mj or 0.0
    assert found.energy_interval_mj == (energy, 4 * energy)  # of the families held out
    assert all(name.endswith(" (energy)") for name in found.unknown) and bool(found.unknown) == (most == 0)
    prices = price(profile, BlockTable(NETWORK.blocks, np.arange(4)[:, None]), "fp32")
    assert prices.energy_basis is not None
    assert (BASES[prices.latency_basis[0]], BASES[prices.energy_basis[0]]) == ("measured", "extrapolated")


def test_energy_can_be_partial_beside_a_whole_latency(tmp_path: Path) -> None:
    times = (TIMES[0], replace(TIMES[1], energy_mj=None), TIMES[2])
    found = predict(hand_made(tmp_path / "p", times), NETWORK, "fp32")
    assert (found.latency_ms, found.latency_basis, found.latency_partial) == (8.5, "measured", False)
    assert (found.energy_mj, found.energy_interval_mj, found.energy_partial) == (11.0, None, True)
    assert found.unknown == (f"{BODY.key} (energy)",)


def test_a_precision_without_energies_has_none(tmp_path: Path) -> None:
    """The profile has energy in fp32; that int8 has none is not a gap in each of its blocks."""
    int8 = tuple(replace(t, precision="int8", energy_mj=None) for t in TIMES)
    profile = hand_made(tmp_path / "p", (*TIMES, *int8), precisions=["fp32", "int8"])
    found = predict(profile, NETWORK, "int8")
    assert (found.latency_ms, found.energy_mj, found.energy_basis, found.unknown) == (8.5, None, None, ())


def test_an_unknown_primitive_is_named_and_makes_an_extrapolation() -> None:
    """The Raspberry Pi's fit saw no grouped convolution."""
    network = reference_network("mobilenet_v1")
    grouped = Layer("conv", (8, 16, 16), (8, 16, 16), (3, 3), groups=2)
    found = predict(load_device("raspberry-pi-4"), imported([*network.layers, grouped]), "fp32")
    assert found.unknown == ("grouped",)
    assert (found.latency_basis, found.energy_basis, found.partial) == ("extrapolated", "extrapolated", False)
    assert found.latency_ms > predict(load_device("raspberry-pi-4"), network, "fp32").latency_ms


def test_operations_that_are_no_layers_are_named_too(tmp_path: Path) -> None:
    profile = hand_made(tmp_path / "p", calibration=LINE)
    found = predict(profile, NETWORK, "fp32", unread=("Softmax",))
    assert (found.unknown, found.partial, found.latency_basis) == (("Softmax",), True, "extrapolated")
    assert (found.latency_ms, found.latency_interval_ms) == (8.5, None)


def test_the_interval_is_that_of_the_networks_held_out(tmp_path: Path) -> None:
    """Measured over predicted is 0.5, 0.6 ... 1.5 eleven times: the central 90% is 0.55 to 1.45."""
    rows = tuple(Validation(f"n{i}", "fp32", "network", 0.5 + 0.1 * i, 1.0, 2.0, 1.0) for i in range(11))
    family = tuple(Validation(f"n{i}", "fp32", "family", 3.0, 1.0) for i in range(11))
    profile = hand_made(tmp_path / "p", validation=rows + family)
    found = predict(profile, NETWORK, "fp32")
    assert found.latency_interval_ms == pytest.approx((0.55 * 8.5, 1.45 * 8.5))
    assert found.energy_interval_mj == pytest.approx((51.0, 2 * 51.0))  # all were twice as dear, none cheaper
    assert predict(profile, NETWORK, "fp32", unread=("Softmax",)).latency_interval_ms is None


def test_the_interval_of_an_extrapolation_is_that_of_families_held_out(tmp_path: Path) -> None:
    rows = tuple(Validation(f"n{i}", "fp32", "network", 1.0, 1.0, 1.0, 1.0) for i in range(11))
    family = tuple(Validation(f"n{i}", "fp32", "family", 3.0, 1.0, 2.0, 1.0) for i in range(11))
    larger = (*TIMES[:2], replace(TIMES[2], block=replace(HEAD, out_shape=(100, 1, 1)).key))
    found = predict(hand_made(tmp_path / "p", larger, validation=rows + family), NETWORK, "fp32")
    assert found.latency_interval_ms == pytest.approx((8.5, 3 * 8.5))
    assert found.energy_interval_mj == pytest.approx((51.0, 2 * 51.0))


def test_without_validation_there_is_no_interval(tmp_path: Path) -> None:
    assert predict(hand_made(tmp_path / "p"), NETWORK, "fp32").latency_interval_ms is None


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_arrays_agree_with_single_predictions(name: str, precision: str) -> None:
    space, pi = load_space(name), load_device("raspberry-pi-4")
    codes = space.sample_codes(24, np.random.default_rng(3))
    prices = price(pi, block_table(space, codes), precision)  # type: ignore[arg-type]
    assert prices.energy_mj is not None
    for i, code in enumerate(codes):
        one = predict(pi, space.network(space.decode(code)), precision)  # type: ignore[arg-type]
        assert prices.latency_ms[i] == pytest.approx(one.latency_ms)
        assert prices.energy_mj[i] == pytest.approx(one.energy_mj)
        assert prices.energy_basis is not None
        assert (BASES[prices.latency_basis[i]], BASES[prices.energy_basis[i]]) == (one.latency_basis, one.energy_basis)


def test_arrays_have_nan_where_a_block_has_no_price() -> None:
    space, note10 = load_space("mobilenet-v3"), load_device("samsung-note10")
    resolutions = next(c for c in space.choices if c.name == "resolution").options
    codes = space.sample_codes(len(resolutions), np.random.default_rng(0))
    codes[:, [c.name for c in space.choices].index("resolution")] = np.arange(len(resolutions))
    priced = np.isfinite(price(note10, block_table(space, codes), "fp32").latency_ms)
    assert priced.tolist() == [int(r) >= 160 for r in resolutions]  # the table holds 160 to 224


def test_a_hundred_thousand_candidates_take_at_most_a_second_of_one_core() -> None:
    space, pi = load_space("mobilenet-v3"), load_device("raspberry-pi-4")
    codes = space.sample_codes(100_000, np.random.default_rng(0))
    seconds = []
    for _ in range(3):
        start = time.process_time()
        prices = price(pi, block_table(space, codes), "fp32")
        seconds.append(time.process_time() - start)
    assert np.isfinite(prices.latency_ms).all()
    assert min(seconds) <= 1.0, seconds


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(["mobilenet-v2", "mobilenet-v3", "tiny"]))
def test_a_larger_image_never_costs_less(seed: int, name: str) -> None:
    space, pi = load_space(name), load_device("raspberry-pi-4")
    candidate = space.sample(np.random.default_rng(seed))
    sizes = sorted(int(r) for r in next(c for c in space.choices if c.name == "resolution").options)
    small, large = sorted(np.random.default_rng(seed).choice(sizes, 2, replace=False))
    costs = [
        predict(pi, space.network(Candidate.of(candidate.as_dict() | {"resolution": int(r)})), "fp32")
        for r in (small, large)
    ]
    assert costs[0].latency_ms <= costs[1].latency_ms
    assert (costs[0].energy_mj or 0) <= (costs[1].energy_mj or 0)


def test_a_block_costs_the_same_wherever_it_stands(tmp_path: Path) -> None:
    profile = hand_made(tmp_path / "p")
    other = Block("conv", (3, 32, 32), (8, 16, 16), 3, 2, activation="relu")
    assert predict(profile, Network((BODY, other, HEAD, BODY)), "fp32").latency_ms == 8.5


@pytest.mark.parametrize("device", ["raspberry-pi-4", "samsung-note10"])
def test_sharing_weights_changes_no_latency_and_factors_are_predicted_by_rates(device: str) -> None:
    """What is shared is read again for each block."""
    profile, network = load_device(device), reference_network("mobilenet_v2", resolution=224)
    number = next(n for n, b in enumerate(network.blocks) if network.blocks[n + 1] == b)
    sharing = (*range(number + 1), number, *range(number + 2, len(network.blocks)))
    shared = replace(network, shared=sharing)
    precision = profile.precisions[0]
    assert (
        predict(profile, shared, precision) == predict(profile, network, precision) and shared.params < network.params
    )
    factors = replace(network.blocks[number], ranks=((8,), (8,)))
    changed = replace(network, blocks=(*network.blocks[:number], factors, *network.blocks[number + 1 :]))
    found = predict(profile, changed, precision)
    if profile.rates is None:
        assert found.latency_partial and factors.key in found.unknown
    else:
        assert not found.latency_partial and found.latency_basis == "fitted"
