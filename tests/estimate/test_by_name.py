import pytest

from nas.data.catalog import load_dataset
from nas.errors import UserError
from nas.estimate.by_name import make_estimator
from nas.estimate.estimator import Estimate
from nas.estimate.proxy import Fidelity, ProxyTraining
from nas.space.search_space import load_space


def test_proxy_trains_at_the_fidelity_asked_for() -> None:
    made = make_estimator("proxy", load_dataset("digits"), {"epochs": 3, "data_share": 0.5}, seed=4)
    assert isinstance(made, ProxyTraining)
    assert made.fidelity == Fidelity(epochs=3, data_share=0.5) and made.seed == 4


def test_an_unknown_estimator_is_named_with_those_there_are() -> None:
    with pytest.raises(
        UserError, match=r"unknown estimator 'proxi'; did you mean 'proxy'\? \(known: proxy, table, zero-cost\)"
    ):
        make_estimator("proxi", load_dataset("digits"), {}, seed=0)


@pytest.mark.parametrize(
    ("fidelity", "message"),
    [
        ({"evil": 1}, "unknown proxy setting 'evil'"),
        ({"epochs": "6"}, "epochs must be a whole number; got '6'"),
        ({"epochs": 1.5}, "epochs must be a whole number"),
        ({"epochs": True}, "epochs must be a whole number"),
        ({"data_share": [1]}, "data_share must be a number"),
        ({"data_share": float("nan")}, "must lie above 0"),
        ({"epochs": 0}, "epochs must be at least 1"),
    ],
)
def test_a_fidelity_that_cannot_be_is_refused(fidelity: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_estimator("proxy", load_dataset("digits"), fidelity, seed=0)


def test_a_rank_is_never_taken_for_an_accuracy() -> None:
    assert Estimate(0.5, 1.0).accuracy == 0.5
    with pytest.raises(ValueError, match="only ranks candidates"):
        _ = Estimate(0.5, 1.0, kind="rank").accuracy


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pool": 1}, "pool must be from 2"),
        ({"pool": 3.5}, "pool must be a whole number"),
        ({"images": 3}, "unknown zero-cost setting 'images'"),
        ({"weights": [1]}, "weights must give a number for each score"),
        ({"weights": {"swap": "x"}}, "swap must be a number"),
    ],
)
def test_zero_cost_settings_that_cannot_be_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_estimator("zero-cost", load_dataset("digits"), settings, 0, load_space("tiny"))
    with pytest.raises(UserError, match="needs the search space"):
        make_estimator("zero-cost", load_dataset("digits"), settings, 0)
    with pytest.raises(UserError, match="needs a dataset"):
        make_estimator("proxy", None, {}, 0)


def test_robust_accuracy_is_asked_only_of_what_trains() -> None:
    made = make_estimator("proxy", load_dataset("digits"), {"epochs": 1}, seed=0, robust=True)
    assert isinstance(made, ProxyTraining) and made.robust and made.fidelity.epochs == 1
    with pytest.raises(UserError, match="estimator zero-cost does not tell the robust accuracy; take proxy"):
        make_estimator("zero-cost", load_dataset("digits"), {"pool": 2}, 0, load_space("tiny"), robust=True)
