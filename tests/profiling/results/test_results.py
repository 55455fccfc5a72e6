"""Reading what an agent wrote: a file recorded from a real run, and what strangers may send instead."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from nas.errors import UserError
from nas.profiling.results.results import PlannedItem, Results, candidate_of, read_results
from nas.space.search_space import load_space

RECORDED = Path(__file__).parents[1] / "recorded/results.json"  # nas-bench-macro on two shared virtual cores
VISIT = {"at": 1.0, "runs": 10, "median_ms": 2.0, "p90_ms": 3.0, "p99_ms": 4.0, "relative": 8.0, "reference_ms": 0.25}
WINDOW = {"id": "n00076-fp32", "start": 1.0, "end": 2.0, "runs": 3, "joules": 4.0}


def recorded() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(RECORDED.read_text())
    return content


def test_a_recorded_file_is_read() -> None:
    results = read_results(RECORDED)
    assert results.space().name == "nas-bench-macro"
    assert results.precisions == ("fp32", "int8")
    assert len(results.items_of("calibrate")) == 2 * 12 and len(results.items_of("check")) == 2 * 10
    assert results.machine.runtime.startswith("ONNX Runtime")


def change(content: dict[str, Any], path: str, value: object) -> None:
    *parents, last = path.split("/")
    place: Any = content
    for key in parents:
        place = place[int(key) if isinstance(place, list) else key]
    place[int(last) if isinstance(place, list) else last] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("format", 2, "format 2"),
        ("plan/items", [], "plan.items"),
        ("plan/items/0/precision", "fp64", "precision"),
        ("machine/threads", 0, "threads"),
        ("machine/processor", "x" * 401, "processor"),
        ("items", {"b": [VISIT | {"median_ms": -1.0}]}, "median_ms"),
        ("items", {"b": [VISIT | {"relative": float("nan")}]}, "relative"),
        ("items", {"b": 3}, "items.b"),
        ("items", {}, "nothing of the plan was measured"),
        ("items", {"b": [VISIT]}, "'b' was measured, but is not in the plan"),
        ("items", {"n00076-fp32": []}, "has no visit"),
        ("items/n00076-fp32/0/median_ms", 1e308, "median_ms"),
        ("items/n00076-fp32/0/at", 1e18, "at"),
        ("items/n00076-fp32/0/runs", 10**30, "runs"),
        ("plan/items/3/id", "n00076-fp32", "no two items of the plan may have one id"),
        ("plan/items/3/name", "\x1b[2J", "no control characters"),
        ("plan/space/toml", "x" * 300_000, "toml"),
        ("plan/settings", {"rounds": float("inf")}, "rounds"),
        ("energy", {"meter": "m", "includes": "i", "idle": [], "windows": [WINDOW | {"id": "b"}]}, "not in the plan"),
        ("energy", {"meter": "m", "includes": "i", "idle": [], "windows": [WINDOW | {"joules": 1e308}]}, "joules"),
        ("energy", {"meter": "m", "includes": "i", "idle": [], "windows": [], "pattern": [[0, 1e300]]}, "pattern"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, path: str, value: object, message: str) -> None:
    content = recorded()
    change(content, path, value)
    file = tmp_path / "results.json"
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match=message) as caught:
        read_results(file)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_a_file_that_is_cut_off_too_large_or_absent_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text(RECORDED.read_text()[:5000])
    with pytest.raises(UserError, match=r"is not a results\.json written by the agent"):
        read_results(file)
    with file.open("wb") as large:
        large.truncate(32_000_001)
    with pytest.raises(UserError, match="at most 32 MB"):
        read_results(file)
    with pytest.raises(UserError, match="not a readable results file"):
        read_results(tmp_path / "absent.json")


def test_results_of_a_space_that_changed_since_are_refused() -> None:
    content = recorded()
    change(content, "plan/space/sha256", "0" * 64)
    with pytest.raises(UserError, match="has changed since"):
        Results.model_validate(content).space()


def test_nesting_too_deep_a_pipe_and_a_key_given_twice_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    for text in ("[" * 100_000, '{"a":' * 50_000, '{"format": 1, "items": ' + "[" * 5_000):
        file.write_text(text)
        with pytest.raises(UserError, match=r"results\.json: is not a results\.json"):
            read_results(file)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(UserError, match="a folder, a pipe or a device"):
        read_results(file)


def test_a_network_without_its_own_candidate_is_refused() -> None:
    """Not the default network under its name, nor another candidate's."""
    content = recorded()
    one, other = [item for item in content["plan"]["items"] if item["kind"] == "check"][:2]
    space = Results.model_validate(content).space()
    for candidate, message in (
        ({}, "must name each choice once"),
        (None, "must name each choice once"),
        (other["candidate"] | {"layer1.op": "no such"}, "missing or unknown|must be one of"),
        (next(i["candidate"] for i in content["plan"]["items"] if i.get("candidate") not in (None, one["candidate"])),
         f"but it is named '{one['name']}'"),
    ):  # fmt: skip
        item = PlannedItem.model_validate(one | {"candidate": candidate})
        with pytest.raises(UserError, match=message):
            candidate_of(space, item)
    assert candidate_of(space, PlannedItem.model_validate(one)).as_dict() == one["candidate"]


def test_results_carry_the_space_that_was_measured(tmp_path: Path) -> None:
    """A user's own space file need not be here any more, and one that was changed does not pass for it."""
    content = recorded()
    text = load_space("nas-bench-macro").text.replace('name = "nas-bench-macro"', 'name = "my-space"')
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    content["plan"]["space"] = {"name": "my-space", "sha256": sha256, "toml": text}
    assert Results.model_validate(content).space().name == "my-space"
    for change in ({"toml": text + "# changed"}, {"name": "another"}, {"sha256": "0" * 64}):
        changed = content | {"plan": content["plan"] | {"space": content["plan"]["space"] | change}}
        with pytest.raises(UserError, match="has changed since"):
            Results.model_validate(changed).space()
    content["plan"]["space"]["toml"] = "name = 3"
    with pytest.raises(UserError, match="the results' space"):
        Results.model_validate(content).space()
