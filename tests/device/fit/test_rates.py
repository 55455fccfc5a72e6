"""Fitting: rates that are known are found again, and held-out errors on the public measurements."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from nas.device.counts import COUNTS, INDEX, network_counts
from nas.device.fit.rates import FittedProfile, fit_profile, fit_rates
from nas.device.formats.mlperf import Run, architecture, read_mlperf
from nas.errors import UserError
from nas.space.network import Network
from nas.space.reference import reference_network
from tests.shared_data import shared_data

NETWORKS = [
    (name, width, resolution)
    for name in ("mobilenet_v1", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small")
    for width in (0.5, 0.75, 1.0)
    for resolution in (128, 224)
] + [(f"efficientnet_lite{i}", 1.0, resolution) for i in (0, 2, 4) for resolution in (160, 224)]
TRUE = {"network": 1.0, "image": 8.0, "layer": 0.01, "pointwise": 0.1, "depthwise3": 0.3, "add": 2.0, "moved": 0.4}


def made_up(noise: float = 0.0, energy: float | None = 5.0) -> list[Run]:
    """Runs on a board whose rates are TRUE, with a relative error; `energy` is its power in W."""
    rng = np.random.default_rng(7)
    rates = np.zeros(len(COUNTS))
    for name, value in (TRUE | {"depthwise5": 0.4, "hswish": 1.0, "linear": 0.5, "stem": 0.2}).items():
        rates[INDEX[name]] = value
    runs = []
    for name, width, resolution in NETWORKS:
        network = reference_network(name, resolution, width=width)
        ms = float(network_counts(network, "fp32") @ rates * (1 + noise * rng.standard_normal()))
        mj = None if energy is None else ms * energy
        runs.append(Run(f"{name}-{width}@{resolution}", architecture(name), network, "fp32", ms, mj))
    return runs


def test_known_rates_are_found_and_predict_a_network_that_was_not_fitted() -> None:
    runs = made_up()
    fitted = fit_rates(runs).get("fp32", "latency")
    assert fitted is not None
    for run in runs:
        assert fitted.cost(run.network) == pytest.approx(run.latency_ms, rel=0.025)  # the ridge holds back by 2%
    assert fitted.rate[INDEX["pointwise"]] == pytest.approx(0.1, rel=0.15)
    unseen = reference_network("mobilenet_v2", 176, width=0.6)
    counts = dict(zip(COUNTS, network_counts(unseen, "fp32"), strict=True))
    truth = sum(value * counts[name] for name, value in (TRUE | {"linear": 0.5, "stem": 0.2}).items())
    assert fitted.cost(unseen) == pytest.approx(truth, rel=0.025)


def test_energy_follows_latency_on_a_board_of_constant_power() -> None:
    rates = fit_rates(made_up(noise=0.02))
    latency, energy = rates.get("fp32", "latency"), rates.get("fp32", "energy")
    assert latency is not None and energy is not None
    network = reference_network("mobilenet_v2", 192)
    assert energy.cost(network) / latency.cost(network) == pytest.approx(5.0, rel=0.02)


def test_without_energy_only_latency_is_fitted() -> None:
    fitted = fit_profile(made_up(energy=None))
    assert fitted.rates.get("fp32", "energy") is None
    assert {e.quantity for e in fitted.errors} == {"latency"}
    assert all(row.predicted_mj is None and row.measured_mj is None for row in fitted.validation)


def test_one_run_without_energy_leaves_energy_out() -> None:
    runs = made_up()
    assert fit_rates([replace(runs[0], energy_mj=None), *runs[1:]]).get("fp32", "energy") is None


def test_a_held_out_prediction_does_not_depend_on_the_measurement_it_predicts() -> None:
    runs = made_up(noise=0.02)
    wrong = [replace(run, latency_ms=run.latency_ms * 3) if i == 5 else run for i, run in enumerate(runs)]
    first, second = fit_profile(runs), fit_profile(wrong)
    for split in ("network", "family"):
        [ours] = [r for r in first.validation if (r.network, r.split) == (runs[5].name, split)]
        [theirs] = [r for r in second.validation if (r.network, r.split) == (runs[5].name, split)]
        assert theirs.measured_ms == 3 * ours.measured_ms
        assert theirs.predicted_ms == ours.predicted_ms


def test_a_family_left_out_is_predicted_without_any_of_its_networks() -> None:
    runs = made_up(noise=0.02)
    wrong = [replace(r, latency_ms=r.latency_ms * 2) if r.family == "mobilenet_v1" else r for r in runs]
    [ours, theirs] = [
        {r.network: r.predicted_ms for r in fit_profile(x).validation if r.split == "family" and "v1" in r.network}
        for x in (runs, wrong)
    ]
    assert len(ours) == 6 and ours == theirs


def test_too_few_networks_are_refused() -> None:
    with pytest.raises(UserError, match="at least 10 networks of a precision; fp32 has 9"):
        fit_rates(made_up()[:9])


def test_the_same_runs_give_the_same_fit() -> None:
    first, second = (fit_profile(made_up(noise=0.05)) for _ in range(2))
    assert first.validation == second.validation and first.errors == second.errors


@lru_cache(maxsize=1)
def raspberry_pi() -> FittedProfile:
    path = shared_data("mlperf_inference_edge/singlestream_latency_energy_mobile.csv")
    return fit_profile(read_mlperf(path, "rpi4-tflite-v2.7.1-ruy"))


@pytest.mark.parametrize(
    ("precision", "quantity", "split", "at_most"),
    [  # as measured on 2026-11: 4.0, 4.3, 2.6, 3.7 and 4.4, 4.8, 2.6, 5.3%
        ("fp32", "latency", "network", 0.042),
        ("fp32", "latency", "family", 0.046),
        ("fp32", "energy", "network", 0.028),
        ("fp32", "energy", "family", 0.040),
        ("int8", "latency", "network", 0.045),
        ("int8", "latency", "family", 0.050),
        ("int8", "energy", "network", 0.027),
        ("int8", "energy", "family", 0.055),
    ],
)
def test_held_out_errors_on_the_raspberry_pi_4(precision: str, quantity: str, split: str, at_most: float) -> None:
    key = (precision, quantity, split)
    [error] = [e for e in raspberry_pi().errors if (e.precision, e.quantity, e.split) == key]
    assert error.mean <= at_most
    assert error.spearman >= 0.99
    assert error.macs > 4 * error.mean and error.constant > 0.5
    rows = [r for r in raspberry_pi().validation if (r.precision, r.split) == (precision, split)]
    pairs = [pair for r in rows if (pair := r.pair(quantity == "energy"))]
    assert len(pairs) == error.networks
    by_hand = sum(abs(predicted / measured - 1) for measured, predicted in pairs) / len(pairs)
    assert by_hand == pytest.approx(error.mean, abs=0.012)  # one way of splitting, against the mean of five


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("quantity", ["latency", "energy"])
def test_wider_or_larger_networks_cost_more_on_the_raspberry_pi_4(precision: str, quantity: str) -> None:
    rate = raspberry_pi().rates.get(precision, quantity)  # type: ignore[arg-type]
    assert rate is not None

    def costs(networks: list[Network]) -> list[float]:
        return [rate.cost(network) for network in networks]

    wider = costs([reference_network("mobilenet_v2", 160, width=w / 20) for w in range(5, 30)])
    larger = costs([reference_network("mobilenet_v3_large", size) for size in range(96, 320, 16)])
    assert wider == sorted(wider) and larger == sorted(larger) and wider[0] > 0


def test_what_the_raspberry_pi_4_never_ran_is_named() -> None:
    rates = raspberry_pi().rates
    assert rates.unknown(reference_network("efficientnet_b0").layers, "fp32", "latency") == ("activation swish",)
    assert rates.unknown(reference_network("mobilenet_v3_large").layers, "int8", "latency") == ()
