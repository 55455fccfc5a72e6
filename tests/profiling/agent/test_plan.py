"""What the agent refuses of a bundle."""

from __future__ import annotations

import json
import math
import os

import onnx
import pytest

from nas.profiling.agent.plan import check_plan, read_model
from nas.profiling.agent.terminal import Refused
from tests.profiling.agent.bundle import QUICK, change, journal_of, refusal


def test_models_that_are_not_the_plans_or_lie_elsewhere_are_refused(bundle, tmp_path, capsys):
    arguments = ["--bundle", str(bundle), "--out", str(bundle / "results.json")]
    plan = json.loads((bundle / "plan.json").read_text())
    model = bundle / plan["items"][1]["file"]
    content = model.read_bytes()
    outside = tmp_path / "outside.onnx"
    outside.write_bytes(content)

    model.write_bytes(content + b"\0")
    assert "is not the file that the plan was made with" in refusal(capsys, *arguments)
    model.unlink()
    assert "must be a file inside the bundle" in refusal(capsys, *arguments)
    model.symlink_to(outside)
    assert "must be a file inside the bundle" in refusal(capsys, *arguments)
    model.unlink()
    model.symlink_to(model.name)
    assert "agent: models/" in refusal(capsys, *arguments)
    model.unlink()
    os.mkfifo(model)
    assert "must be a file inside the bundle" in refusal(capsys, *arguments)
    for name in ("../outside.onnx", str(outside), "models", "a\0b"):
        plan["items"][1]["file"] = name
        change(bundle, items=plan["items"])
        assert "inside the bundle" in refusal(capsys, *arguments) or "\0" in name
    assert not journal_of(bundle).exists()


def test_a_model_that_would_read_other_files_is_refused(bundle, tmp_path):
    model = onnx.load(next((bundle / "models").glob("b*-fp32.onnx")))
    path = bundle / "models" / "split.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    with pytest.raises(Refused, match="must hold its weights itself"):
        read_model(bundle, "models/split.onnx")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"format": 2}, "reads plans of format 1"),
        ({"items": 3}, "must have settings and items"),
        ({"items": []}, "one item of the kind reference"),
        ({"items": [7]}, "items[0].id must be a text"),
        ({"items": [{"id": "a", "name": ["b"]}]}, "items[0].name must be a text"),
        ({"settings": None}, "must have settings and items"),
        ({"settings": QUICK | {"runs": 1e300}}, "settings.runs must be a whole number from 1 to 10000"),
        ({"settings": QUICK | {"rounds": 10**400}}, "settings.rounds must be a whole number"),
        ({"settings": QUICK | {"rounds": True}}, "settings.rounds must be a whole number"),
        ({"settings": QUICK | {"within": math.nan}}, "settings.within must be a number"),
        ({"settings": QUICK | {"visit_s": "1"}}, "settings.visit_s must be a number"),
        ({"seed": None}, "seed must be a whole number"),
    ],
)
def test_a_plan_that_is_none_is_one_line(bundle, capsys, values, said):
    change(bundle, **values)
    line = refusal(capsys, "--bundle", str(bundle), "--out", str(bundle / "results.json"))
    assert said in line and line.endswith("make a new bundle")


@pytest.mark.parametrize("content", [b"", b"\xff", b"[" * 100_000, b"[]", b'{"format": 1'])
def test_what_is_no_json_is_one_line(bundle, capsys, content):
    (bundle / "plan.json").write_bytes(content)
    assert "plan.json: " in refusal(capsys, "--bundle", str(bundle), "--out", str(bundle / "results.json"))


def test_items_must_have_ids_of_their_own_and_known_kinds(made):
    plan = json.loads((made / "plan.json").read_text())
    for key, value, said in (("id", plan["items"][2]["id"], "one id"), ("kind", "guess", "kind must be one of")):
        items = [dict(item) for item in plan["items"]]
        items[1][key] = value
        with pytest.raises(Refused, match=said):
            check_plan(plan | {"items": items})
