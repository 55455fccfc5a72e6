"""The training of shared weights: what is drawn, what is learned, and that it goes on where it was stopped."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nas.data.catalog import load_dataset
from nas.data.dataset import Dataset
from nas.errors import UserError
from nas.models.supernet import make_supernet
from nas.space.search_space import SearchSpace, load_space, parse_space
from nas.tasks.classification import Classification
from nas.train.checkpoint import read_state, write_state
from nas.train.supernet import Paths, State, SupernetRecipe, begin, disorder, total_steps, train_supernet
from tests.models.test_supernet import small

RECIPE = SupernetRecipe(epochs=1, batch_size=64, resolution_share=1.0)
CPU = torch.device("cpu")


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


def train(
    digits: Dataset, recipe: SupernetRecipe, state: State | None = None, *, kill_at: int = 0, keep: Path | None = None
) -> State:
    space = small()
    state = state or begin(make_supernet(space, 10, own=recipe.own, seed=1))

    def on_step(now: State) -> None:
        if keep and now.step == kill_at:
            write_state(keep, now)
        if kill_at and now.step > kill_at + 1:  # two steps are lost
            raise Killed

    paths = Paths(space, 10, seed=1)
    return train_supernet(
        state, paths, Classification(digits.classes), digits.train, recipe, flip=False, device=CPU, on_step=on_step
    )


@pytest.mark.parametrize(
    "change", [{}, {"sandwich": True}, {"rank_weight": 1.0}, {"sandwich": True, "rank_weight": 1.0, "own": 8}]
)
def test_a_training_that_was_killed_ends_with_the_weights_of_one_that_was_not(
    digits: Dataset, change: dict[str, object], tmp_path: Path
) -> None:
    recipe = replace(RECIPE, **change)  # type: ignore[arg-type]
    whole = train(digits, recipe)
    with pytest.raises(Killed):
        train(digits, recipe, kill_at=7, keep=tmp_path / "f")
    found = read_state(
        tmp_path / "f", make_supernet(small(), 10, own=recipe.own, seed=1), total_steps(digits.train, recipe)
    )
    assert found.step == 7
    resumed = train(digits, recipe, found)
    assert resumed.step == whole.step == total_steps(digits.train, recipe) > 10
    for name, weight in whole.supernet.weights.items():
        assert torch.equal(weight, resumed.supernet.weights[name]), name


def test_the_supernet_learns(digits: Dataset) -> None:
    trained = train(digits, replace(RECIPE, epochs=8, batch_size=32, learning_rate=0.3))
    network = Paths(small(), 10, seed=1).largest()
    images = digits.validation.images.take(torch.arange(200), 16).permute(0, 3, 1, 2).float() / 127.5 - 1
    right = (trained.supernet.forward(network, images).argmax(1) == digits.validation.labels[:200]).float().mean()
    assert right > 0.5


def test_every_option_is_drawn_as_often_as_any_other_and_a_path_depends_on_its_number_alone() -> None:
    space = load_space("nas-bench-macro")
    paths = Paths(space, 10, seed=0)
    networks = [paths.network(number) for number in range(30)]
    # of each three paths one has each operation in the first place, which is never an identity: strict fairness
    first = [next(b.key for b, stage in zip(n.blocks, n.stages, strict=True) if stage == 1) for n in networks]
    assert all(len(set(first[i : i + 3])) == 3 for i in range(0, 30, 3)) and set(Counter(first).values()) == {10}
    assert Paths(space, 10, seed=0).network(17) == networks[17]
    assert [Paths(space, 10, seed=1).network(n) for n in range(5)] != networks[:5]


def test_the_largest_and_the_smallest_network_have_the_most_and_the_fewest_macs() -> None:
    paths = Paths(load_space("nas-bench-macro"), 10, seed=0)
    drawn = [paths.network(n).macs for n in range(300)]
    assert paths.smallest().macs <= min(drawn) and paths.largest().macs >= max(drawn)
    assert sum(b.kind == "mbconv" for b in paths.largest().blocks) == 8 and not any(
        b.kind == "mbconv" for b in paths.smallest().blocks
    )


def test_disorder_is_what_networks_of_more_macs_lose_more() -> None:
    paths = Paths(load_space("nas-bench-macro"), 10, seed=0)
    small_one, large = paths.smallest(), paths.largest()
    for first, second, expected in [(2.0, 3.5, 1.5), (3.5, 2.0, 0.0)]:
        losses = [torch.tensor(first), torch.tensor(second)]
        assert float(disorder([small_one, large], losses)) == expected
        assert float(disorder([large, small_one], losses[::-1])) == expected
    assert float(disorder([large, large], [torch.tensor(1.0), torch.tensor(2.0)])) == 0.0


def test_weights_of_other_paths_stay_as_they_are(digits: Dataset) -> None:
    state = begin(make_supernet(small(), 10, own=8, seed=1))
    before = {name: weight.clone() for name, weight in state.supernet.weights.items()}
    path = Paths(small(), 10, seed=1).network(0)

    def stop(now: State) -> None:
        raise Killed

    with pytest.raises(Killed):
        train_supernet(
            state, Paths(small(), 10, seed=1), Classification(digits.classes), digits.train,
            replace(RECIPE, weight_decay=0.1), flip=True, device=CPU, on_step=stop,
        )  # fmt: skip
    changed = {name for name, weight in state.supernet.weights.items() if not torch.equal(weight, before[name])}
    assert 0 < len(changed) < len(before)
    assert len({name.split(".")[2] for name in changed}) == len([b for b in path.blocks if b.kind != "pool"])


@pytest.mark.parametrize(
    ("candidate", "share", "pixels"), [(32, 0.5, 16), (24, 0.5, 16), (32, 0.75, 24), (32, 0.01, 8), (6, 0.5, 6)]
)
def test_resolution_is_the_share_of_the_candidates_in_steps_of_eight(candidate: int, share: float, pixels: int) -> None:
    text = small().text.replace("resolution = 16", f"resolution = {candidate}")
    space: SearchSpace = parse_space(text, Path("small.toml"))
    assert SupernetRecipe(resolution_share=share).resolution(Paths(space, 10, 0).network(0)) == pixels


def test_a_gradient_that_is_not_finite_ends_the_training_with_its_step(digits: Dataset) -> None:
    state = begin(make_supernet(small(), 10, seed=1))
    next(iter(state.supernet.weights.values())).fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="the gradient is not finite at step 1 of "):
        train(digits, RECIPE, state)


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0}, {"batch_size": 1}, {"resolution_share": 0.0}, {"learning_rate": float("nan")},
        {"weight_decay": -1.0}, {"rank_weight": float("inf")}, {"own": -1},
    ],
)  # fmt: skip
def test_a_recipe_that_cannot_be_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(UserError, match=r"must be above 0|must be at least 1|at least 1, batch_size"):
        SupernetRecipe(**change)  # type: ignore[arg-type]
