"""Rates: pricing by hand, kin for what was not fitted, the range of the fit, and the file."""

from pathlib import Path

import numpy as np
import pytest

from nas.device.counts import COUNTS, INDEX, network_counts
from nas.device.tables.rates import Rate, Rates, rates_csv, read_rates
from nas.errors import UserError
from nas.space.layer import Layer
from nas.space.network import imported
from nas.space.reference import reference_network


def rate_of(quantity: str = "latency", unseen: tuple[str, ...] = (), **rates: float) -> Rate:
    """Rates as given, the others 0; a range from 0 to 100 of everything but `unseen`."""
    rate, high = np.zeros(len(COUNTS)), np.full(len(COUNTS), 100.0)
    for name, value in rates.items():
        rate[INDEX[name]] = value
    for name in unseen:
        high[INDEX[name]] = 0
    return Rate("fp32", quantity, rate, np.zeros(len(COUNTS)), high, 1.0, 50.0)  # type: ignore[arg-type]


POINTWISE = Layer("conv", (100, 10, 10), (100, 10, 10))  # 1 million MACs


def test_a_network_costs_its_layers_and_what_is_paid_once() -> None:
    rate = rate_of(network=2.0, layer=0.5, pointwise=3.0, image=10.0)
    network = imported([POINTWISE, POINTWISE])
    # 2 once, 2 layers of 0.5, 2 million MACs at 3, 100 * 10 * 10 = 0.01 million input values at 10
    assert rate.cost(network) == pytest.approx(2 + 1 + 6 + 0.1)


def test_unseen_primitives_are_named_and_cost_what_their_kin_do() -> None:
    unseen = ("swish", "multiply", "depthwise7", "standard")
    rate = rate_of(pointwise=3.0, add=5.0, hswish=7.0, depthwise5=11.0, unseen=unseen)
    charged = {name: rate.charged[INDEX[name]] for name in unseen}
    assert charged == {"swish": 12.0, "multiply": 5.0, "depthwise7": 11.0, "standard": 3.0}
    network = reference_network("efficientnet_b0")
    assert Rates((rate,)).unknown(network.layers, "fp32", "latency") == ("activation swish", "multiply")


def test_a_swish_costs_something_on_rates_that_never_saw_an_activation() -> None:
    rate = rate_of(add=5.0, pointwise=1.0, unseen=("hswish", "swish", "activation", "multiply"))
    swish = Layer("activation", (10, 10, 10), (10, 10, 10), function="swish")
    assert rate.cost(imported([swish])) == pytest.approx(5.0 / 1000)


def test_inside_and_outside_the_range() -> None:
    rate = rate_of(pointwise=1.0, unseen=("depthwise7",))  # fitted from 1 to 50 ms, to 100 of each other count
    assert rate.outside(np.array([0.9, 0.96, 52.0, 53.0])).tolist() == [True, False, False, True]
    wide = Layer("conv", (8, 9, 9), (8, 9, 9), (7, 7), groups=8)
    for layers, inside in (([POINTWISE] * 104, True), ([POINTWISE] * 106, False), ([POINTWISE, wide], False)):
        assert bool((network_counts(imported(layers), "fp32") <= rate.most).all()) is inside


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    rates = Rates((rate_of(pointwise=1 / 3, moved=2.0), rate_of("energy", pointwise=4.0)))
    path = tmp_path / "rates.csv"
    path.write_text(rates_csv(rates))
    back = read_rates(path)
    for quantity in ("latency", "energy"):
        ours, theirs = rates.get("fp32", quantity), back.get("fp32", quantity)  # type: ignore[arg-type]
        assert ours is not None and theirs is not None
        assert np.allclose(ours.rate, theirs.rate, rtol=1e-5) and np.allclose(ours.high, theirs.high)
        assert (ours.cost_low, ours.cost_high) == (theirs.cost_low, theirs.cost_high)
    assert back.get("int8", "latency") is None
    with pytest.raises(UserError, match="no rates for int8"):
        back.unknown([], "int8", "latency")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("primitive,", "", "missing primitive"),
        ("fp32,latency,add,", "fp32,latency,addition,", "missing or unknown: 'add', 'addition'"),
        ("fp32,latency,add,ms per million values,0,", "fp32,latency,add,ms per million values,-1,", "rate must be"),
        ("fp32,latency,add,ms per million values,0,", "fp32,latency,add,ms per million values,x,", "rate must be"),
        ("fp32,latency,add,", "fp32,latency,stem,", "repeats 'stem'"),
        ("fp32,latency", "fp64,latency", "precision must be one of fp32, fp16, int8; line 2"),
        ("fp32,latency", "fp32,energy", "energy but no latency"),
    ],
)
def test_a_broken_file_is_refused_and_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "rates.csv"
    path.write_text(rates_csv(Rates((rate_of(pointwise=1.0),))).replace(old, new))
    with pytest.raises(UserError, match=message) as caught:
        read_rates(path)
    assert str(caught.value).startswith(str(path))


def test_rates_below_zero_or_all_zero_are_refused() -> None:
    for rates in ({"pointwise": -1.0}, {}, {"pointwise": float("nan")}):
        with pytest.raises(UserError, match="rates must be finite"):
            rate_of(**rates)
