import pytest

from nas.data.catalog import load_dataset
from nas.errors import UserError
from nas.estimate.by_name import make_estimator
from nas.estimate.estimator import Estimate
from nas.estimate.proxy import Fidelity, ProxyTraining


def test_proxy_trains_at_the_fidelity_asked_for() -> None:
    made = make_estimator("proxy", load_dataset("digits"), {"epochs": 3, "data_share": 0.5}, seed=4)
    assert isinstance(made, ProxyTraining)
    assert made.fidelity == Fidelity(epochs=3, data_share=0.5) and made.seed == 4


def test_an_unknown_estimator_is_named_with_those_there_are() -> None:
    with pytest.raises(UserError, match=r"unknown estimator 'proxi'; did you mean 'proxy'\? \(known: proxy\)"):
        make_estimator("proxi", load_dataset("digits"), {}, seed=0)


def test_a_rank_is_never_taken_for_an_accuracy() -> None:
    assert Estimate(0.5, 1.0).accuracy == 0.5
    with pytest.raises(ValueError, match="only ranks candidates"):
        _ = Estimate(0.5, 1.0, kind="rank").accuracy
