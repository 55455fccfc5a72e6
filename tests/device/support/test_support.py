"""The rules of accelerators: the files that ship are sound, and a wrong one is refused with its file and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.device.profile import load_device
from nas.device.support.support import load_support, targets
from nas.device.support.target import target_of
from nas.errors import UserError
from tests.device.hand_made import hand_made

SHIPPED = ("edge-tpu", "ethos-u55", "ethos-u65", "ethos-u85", "litert-gpu", "rknn", "tensorrt")
OWN = """
name = "mine"
title = "An accelerator"
precisions = ["int8"]
operators = ["standard", "depthwise"]
activations = ["relu"]
first_unsupported_ends = false
source = ["the tests"]
date = "2026-11-26"
"""


def test_the_targets_that_ship() -> None:
    assert set(targets()) >= set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_file_names_its_sources_and_when_they_were_read(name: str) -> None:
    found = load_support(name)
    assert found.rules.name == name
    assert any("https://" in source for source in found.rules.source)
    assert len(found.sha256) == 64
    assert {"standard", "pointwise", "depthwise", "linear"} <= set(found.rules.operators)
    assert set(found.rules.max_kernel) | set(found.rules.max_stride) <= set(found.rules.operators)


def test_what_the_sources_say() -> None:
    """Published facts: no HardSwish on the Edge TPU, strides up to 3 of depthwise convolutions on the Ethos-U55."""
    assert "hswish" not in load_support("edge-tpu").rules.activations
    assert load_support("edge-tpu").rules.first_unsupported_ends
    assert load_support("ethos-u55").rules.max_stride == {"depthwise": 3}
    assert load_support("ethos-u85").rules.max_stride == {}
    assert load_support("tensorrt").rules.precisions == ["fp32", "fp16", "int8"]
    assert load_support("rknn").rules.precisions == ["fp16", "int8"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('date = "2026', 'kernels = 3\ndate = "2026', "kernels: unknown key"),
        ('["relu"]', '["relu", "hardswish"]', "activations.1: "),
        ('["standard", "depthwise"]', "[]", "operators: "),
        ('["standard", "depthwise"]', '["standard", "activation"]', "operators: activations are named one by one"),
        ("ends = false", 'ends = "no"', "first_unsupported_ends: "),
        ('date = "2026-11-26"', 'date = "soon"', "date: must be a day, e.g. 2026-11-26; got 'soon'"),
        ('source = ["the tests"]', "source = []", "source: "),
        ('date = "2026', 'max_kernel = { depthwise = 0 }\ndate = "2026', "max_kernel.depthwise: "),
        ('name = "mine"', 'name = "../mine"', "name: must have 1 to 64 letters"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(OWN)
    assert load_support(str(file)).rules.name == "mine"
    assert old in OWN
    file.write_text(OWN.replace(old, new))
    with pytest.raises(UserError) as refused:
        load_support(str(file))
    assert str(refused.value).startswith(f"{file}: {said}") and "\n" not in str(refused.value)


def test_an_unknown_target_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown target 'edgetpu'; did you mean 'edge-tpu'"):
        load_support("edgetpu")


def test_a_profile_names_its_target_and_no_other_may_be_asked_for(tmp_path: Path) -> None:
    plain, own = hand_made(tmp_path / "a"), hand_made(tmp_path / "b", target="ethos-u55")
    assert target_of(plain) is None
    assert target_of(own) is not None and target_of(own).rules.name == "ethos-u55"  # type: ignore[union-attr]
    assert target_of(plain, "edge-tpu").rules.name == "edge-tpu"  # type: ignore[union-attr]
    assert target_of(own, "ethos-u55") is not None
    with pytest.raises(UserError, match="device hand is for the target ethos-u55; got edge-tpu"):
        target_of(own, "edge-tpu")
    with pytest.raises(UserError, match="unknown target 'npu'"):
        target_of(hand_made(tmp_path / "c", target="npu"))


def test_a_target_says_which_precisions_it_lacks(tmp_path: Path) -> None:
    target = target_of(load_device("raspberry-pi-4"), "rknn")
    assert target is not None
    assert target.precisions(("fp32", "int8"), named=False) == ("int8",)
    for asked, named in ((("fp32", "int8"), True), (("fp32",), False)):
        with pytest.raises(UserError, match=r"target rknn has no fp32 \(it has: fp16, int8\)"):
            target.precisions(asked, named=named)  # type: ignore[arg-type]
