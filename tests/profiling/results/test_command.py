"""The command in a profile rebuilds its plan: of results that are made here, and of every shipped profile."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from nas.catalog import names
from nas.cli.amounts import precisions
from nas.device.profile import load_device
from nas.profiling.plan.bundle import described
from nas.profiling.plan.plan import Plan
from nas.profiling.plan.request import plan_for
from nas.profiling.results.command import command_of
from nas.profiling.results.results import Results
from tests.profiling.results.test_results import VISIT, recorded

COMMANDS = {name: load_device(name).about.command or "" for name in names("device_profiles")}
OWN = [name for name, command in COMMANDS.items() if command.startswith("nas profile --")]  # vela's have a test


def options_of(command: str) -> dict[str, Any]:
    """The options of a `nas profile` command that its plan depends on."""
    words = shlex.split(command)
    assert words[:2] == ["nas", "profile"]
    given = {w.removeprefix("--"): v for w, v in zip(words, [*words[1:], ""], strict=True) if w.startswith("--")}
    found: dict[str, Any] = {key: int(given[key]) for key in ("resolution", "rounds", "seed") if key in given}
    found |= {key: given[key] for key in ("space", "runtime") if key in given} | {"quick": "quick" in given}
    return found | {"precisions": precisions(given.get("precision", "fp32,int8"))}


def results_of(plan: Plan, **machine: Any) -> Results:
    """What the agent writes of a plan, each item visited once."""
    content = recorded()
    content["machine"] |= machine
    items = [{"id": i.id, "name": i.name, "precision": i.precision, "kind": i.kind, "sha256": "0"} for i in plan.items]
    content["plan"] = json.loads(json.dumps(described(plan))) | {"items": items}
    content["items"] = {item.id: [VISIT] for item in plan.items if item.kind != "reference"}
    return Results.model_validate(content)


@pytest.mark.parametrize(
    "asked",
    [
        {"space": "tiny", "precisions": ["fp32"]},
        {"space": "tiny", "precisions": ["int8", "fp32"], "resolution": 24, "seed": 7, "rounds": 3},
        {"space": "nas-bench-macro", "precisions": ["fp32", "fp16"], "seed": 3},
        {"space": "nas-bench-macro", "precisions": ["fp32"], "runtime": "litert", "rounds": 2},
        {"space": "tiny", "precisions": ["fp32"], "quick": True, "seed": 5},
    ],
)  # fmt: skip
def test_the_command_of_results_makes_their_plan_again(asked: dict[str, Any]) -> None:
    plan = plan_for(**asked)
    again = plan_for(**options_of(command_of(results_of(plan))))
    assert described(again) == described(plan) and again.items == plan.items


def test_the_command_says_how_it_was_measured() -> None:
    results = results_of(plan_for("tiny", ["fp32"]), threads=2, cpus=[0, 3], meter="ina3221:VDD_IN")
    assert command_of(results, noisy=True, power="my trace.csv") == (
        "nas profile --space tiny --precision fp32 --threads 2 --cpus 0,3 --meter ina3221:VDD_IN "
        "--power 'my trace.csv' --rounds 6 --seed 0 --noisy"
    )


def test_a_space_of_ones_own_is_named_by_its_file(tmp_path: Path) -> None:
    from nas.space.search_space import load_space

    (tmp_path / "mine.toml").write_text(load_space("tiny").text.replace('name = "tiny"', 'name = "mine"'))
    assert "--space mine.toml " in command_of(results_of(plan_for(str(tmp_path / "mine.toml"), ["fp32"])))
    (tmp_path / "tiny.toml").write_text(load_space("tiny").text + "# of my own\n")
    assert "--space tiny.toml " in command_of(results_of(plan_for(str(tmp_path / "tiny.toml"), ["fp32"])))


@pytest.mark.parametrize("name", OWN)
def test_the_command_of_a_shipped_profile_makes_its_plan(name: str) -> None:
    """The blocks and the whole networks of the plan are those that the profile has, and the rounds as it says."""
    folder, about = names("device_profiles")[name], load_device(name).about
    options = options_of(str(about.command))
    plan = plan_for(**options)
    for kind, file, column in (("block", "blocks.csv", "block"), ("calibrate", "validation.csv", "network")):
        with (folder / file).open() as opened:
            rows = {(row[column], row["precision"]) for row in csv.DictReader(opened)}
        assert rows == {(item.name, item.precision) for item in plan.items if item.kind == kind}
    assert f"or {options['rounds']} rounds are over" in about.protocol
    assert "--cpus 0" in str(about.command) and about.protocol.endswith("on processors 0")
