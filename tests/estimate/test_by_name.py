from pathlib import Path

import numpy as np
import pytest

from nas.data.catalog import load_dataset
from nas.errors import UserError
from nas.estimate.by_name import make_estimator
from nas.estimate.estimator import Estimate
from nas.estimate.fidelity import Fidelity
from nas.estimate.proxy import ProxyTraining
from nas.estimate.table import read_known
from nas.space.search_space import load_space, parse_space
from tests.estimate.bench.test_comparison import SMALL


def test_proxy_trains_at_the_fidelity_asked_for() -> None:
    made = make_estimator("proxy", load_dataset("digits"), {"epochs": 3, "data_share": 0.5}, seed=4)
    assert isinstance(made, ProxyTraining)
    assert made.fidelity == Fidelity(epochs=3, data_share=0.5) and made.seed == 4


def test_an_unknown_estimator_is_named_with_those_there_are() -> None:
    with pytest.raises(
        UserError,
        match=r"unknown estimator 'proxi'; did you mean 'proxy'\? \(known: combined, curve, proxy, supernet, ta",
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


def test_combined_and_curve_train_their_labels_once_and_keep_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_HOME", str(tmp_path))
    space, digits = parse_space(SMALL, Path("small.toml")), load_dataset("digits")
    quick = {"epochs": 2, "data_share": 0.06, "trainings": 3}
    network = space.network(space.sample(np.random.default_rng(0)), 10)
    said: list[tuple[int, int, str]] = []
    combined = make_estimator("combined", digits, {**quick, "score": "none"}, 0, space)
    combined.prepare(lambda *x: said.append(x))
    told = combined.estimate(network, {}, seed=0)
    assert told.kind == "accuracy" and 0 < told.value < 1 and (told.standard_deviation or 0) > 0
    assert said == [(n, 3, "labels") for n in range(4)]
    (file,) = tmp_path.glob("labels/small-*/labels.csv")
    kept = file.read_bytes()
    curve = make_estimator("curve", digits, {**quick, "first": 1}, 0, space)
    curve.prepare()  # the same trainings
    estimate = curve.estimate(network, {}, seed=0)
    assert len(estimate.curve) == 1 and 0 < estimate.accuracy < 1 and file.read_bytes() == kept
    make_estimator("combined", digits, {**quick, "epochs": 1}, 0, space)
    assert list(tmp_path.glob("labels/*")) == [file.parent]  # nothing is written before it is asked for


def test_labels_of_a_table_need_no_images(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("arch,top1\n" + "".join(f"{a}{a}{b}{b}{b}000,{60 + a + b}\n" for a in range(3) for b in range(3)))
    space = load_space("nas-bench-macro")
    combined = make_estimator("combined", None, {"labels": str(path), "accuracy": "top1"}, 0, space)
    known = read_known(path, space, ("top1",))
    told = [combined.estimate(k.network, {}, seed=0).accuracy for k in known]
    assert told[0] < told[-1] and told == pytest.approx([k.accuracy for k in known], abs=0.01)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("combined", {"trainings": 2}, "trainings must be from 3 to 300; got 2"),
        ("combined", {"trainings": "9"}, "trainings must be a whole number"),
        ("combined", {"design": "best"}, "unknown design 'best'"),
        ("combined", {"labels": 3}, "labels must be a text"),
        ("combined", {"labels": "none.csv"}, "none.csv"),
        ("combined", {"score": "zero-cots"}, "unknown estimator 'zero-cots'; did you mean 'zero-cost'"),
        ("combined", {"epoch": 3}, "unknown proxy setting 'epoch'"),
        ("curve", {"first": 7}, "first must be from 1 to the training's 6 epochs; got 7"),
        ("curve", {"first": 0}, "first must be from 1"),
        ("curve", {"score": "none"}, "unknown proxy setting 'score'"),
    ],
)
def test_settings_of_combined_and_curve_that_cannot_be_are_refused(
    name: str, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        make_estimator(name, load_dataset("digits"), settings, 0, load_space("tiny"))
    with pytest.raises(UserError, match="needs the search space"):
        make_estimator(name, load_dataset("digits"), {}, 0)
    with pytest.raises(UserError, match=f"estimator {name} needs a dataset"):
        make_estimator(name, None, {}, 0, load_space("tiny"))
