"""The objectives: one place says what each is, and nothing else asks for one by its name."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import nas
from nas.errors import UserError
from nas.run import BUDGETS, OBJECTIVES, check_objectives, default_objectives
from nas.run.objectives import ACCURACY, LATENCY
from nas.run.trial import COLUMNS
from tests.runs import settings


def test_every_objective_is_a_column_of_the_trials_and_every_cost_can_have_a_budget() -> None:
    assert all(objective.column in COLUMNS and objective.name == name for name, objective in OBJECTIVES.items())
    assert {o.name for o in OBJECTIVES.values() if not o.known} == {"accuracy", "robust-accuracy"}
    assert {o.name for o in BUDGETS.values()} == {o.name for o in OBJECTIVES.values() if o.known}


def test_losses_are_minimized() -> None:
    assert ACCURACY.minimized(0.9) == pytest.approx(0.1)
    assert LATENCY.minimized(20.0, 80.0) == 0.25


def test_settings_tell_what_is_known_before_training() -> None:
    given = settings(objectives=("accuracy", "energy", "latency"), budgets={"max_size_mb": 4})
    assert given.costs == ("energy_mj", "latency_ms") and given.first_cost == "energy_mj"
    assert given.needed == {"energy_mj", "latency_ms"} and given.limits == {"size_mb": 4.0}
    alone = settings(objectives=("accuracy",))
    assert alone.costs == () and alone.first_cost == "latency_ms" and alone.needed == {"latency_ms"}


def test_a_search_without_a_wish_has_what_the_device_has() -> None:
    assert default_objectives(energy=True) == ("accuracy", "latency", "energy")
    assert default_objectives(energy=False) == ("accuracy", "latency")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "needs an objective"),
        (("acuracy",), "did you mean 'accuracy'"),
        (("size", "size"), "'size' is given twice"),
    ],
)
def test_objectives_that_cannot_be_are_refused(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_objectives(names)


def test_nothing_else_asks_for_an_objective_by_its_name() -> None:
    """A second learned objective, or one to be maximized, must not need a change in every room."""
    asking = []
    for file in Path(nas.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
                if any(isinstance(side, ast.Attribute) and side.attr == "kind" for side in sides):
                    continue  # what an estimate is: an accuracy or a rank
                if any(isinstance(side, ast.Constant) and side.value == "accuracy" for side in sides):
                    asking.append(f"{file}:{node.lineno}")
    assert asking == []
