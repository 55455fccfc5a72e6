"""A search for an accelerator: what is proposed maps whole, and what does not has no cost."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

import nas
from nas.device.profile import load_device
from nas.device.support.narrow import for_target
from nas.device.support.target import target_of
from nas.errors import UserError
from nas.files.csv import csv_text
from nas.report.page import page
from nas.run import Run, read_settings
from nas.search import api
from nas.search.problem.costs import DevicePricer, references
from nas.space.search_space import load_space

SPACE = """
name = "mixed"
title = "With and without h-swish"
source = "made for the tests"
classes = 10
resolution = [16, 24, 32]
precision = ["fp32", "int8"]
stage = [
  { block = "conv", kernel = 3, stride = 2, channels = 8, activation = "relu6" },
  { block = "ops", depth = 2, op = ["plain", "smooth", "large"], channels = 8 },
  { block = "pool_linear" },
]
[ops]
plain = { block = "mbconv", kernel = 3, expand = 2, activation = "relu" }
smooth = { block = "mbconv", kernel = 3, expand = 2, activation = "hswish" }
large = { block = "mbconv", kernel = 5, expand = 4, activation = "relu" }
"""


def searched(folder: Path, **changed: object) -> Run:
    """A search of few seconds, of which every accuracy is known."""
    (folder / "mixed.toml").write_text(SPACE)
    arches = ["".join(map(str, at)) for at in product(range(3), repeat=3)]
    rows = [(arch, 0.5 + 0.01 * sum(map(int, arch))) for arch in arches]
    (folder / "known.csv").write_text(csv_text(("arch", "accuracy"), rows))
    given = {"trials": 6, "confirm": 0.0, "sampler": "random", "out": folder / "run", "test": False} | changed
    return nas.search(
        "raspberry-pi-4", str(folder / "mixed.toml"), "digits", ["accuracy", "macs"],
        estimator="table", estimator_settings={"path": str(folder / "known.csv")}, **given,  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_search_for_an_accelerator_proposes_only_what_maps_and_says_what_left(tmp_path: Path) -> None:
    notes: list[str] = []
    run = searched(tmp_path, target="edge-tpu", on_note=notes.append)
    assert {t.candidate.precision for t in run.trials} == {"int8"}
    choices = {t.candidate.as_dict()[f"stage1.block{n}.op"] for t in run.trials for n in (1, 2)}
    assert choices == {"plain", "large"}
    gone = [
        "edge-tpu: precision fp32 leaves the space (it has int8)",
        "edge-tpu: stage1.op smooth leaves the space (activation hswish 16x8x8 > 16x8x8: hswish is not mapped)",
    ]
    assert notes[1:3] == gone
    settings = read_settings(run.path)
    assert settings.target == "edge-tpu" and len(settings.target_sha256) == 64
    shown = page(run)
    assert "Every network on the front runs on it as a whole: none leaves layers on the CPU." in shown
    assert "stage1.op smooth leaves the space" in shown
    again = api.resume(run.path, trials=8, test=False)
    assert len(again.trials) == 8
    assert {t.candidate.as_dict()["stage1.block1.op"] for t in again.trials} <= {"plain", "large"}


def test_without_a_target_nothing_leaves(tmp_path: Path) -> None:
    notes: list[str] = []
    run = searched(tmp_path, trials=12, on_note=notes.append)
    assert read_settings(run.path).target == "" and not any("leaves the space" in note for note in notes)
    assert "Target:" not in page(run)
    choices = {t.candidate.as_dict()["stage1.block1.op"] for t in run.trials}
    assert choices == {"plain", "smooth", "large"}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"target": "edge-tpu", "precisions": ["fp32"]}, r"target edge-tpu has no fp32 \(it has: int8\)"),
        ({"target": "nothing"}, "unknown target 'nothing'"),
    ],
)
def test_what_no_search_for_an_accelerator_can_be_is_refused(tmp_path: Path, changed: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        searched(tmp_path, **changed)
    assert not (tmp_path / "run").exists()


def test_a_run_whose_rules_have_changed_is_not_resumed(tmp_path: Path) -> None:
    from nas.device.support.support import load_support

    rules = load_support("edge-tpu").rules.model_dump(exclude_none=True)
    import tomli_w

    own = tmp_path / "own.toml"
    own.write_text(tomli_w.dumps(rules))
    run = searched(tmp_path, target=str(own))
    assert read_settings(run.path).target == str(own)
    own.write_text(tomli_w.dumps(rules | {"note": "changed"}))
    with pytest.raises(UserError, match=r"target .*own.toml has changed since .* was begun, so it cannot be resumed"):
        api.resume(run.path, trials=8)
    assert "its rules, or the space, have changed since this run" in page(run)


def test_a_candidate_with_a_block_that_does_not_map_has_no_cost(tmp_path: Path) -> None:
    """In the whole space, which keeps h-swish: a price is that of networks that map, nan for the others."""
    (tmp_path / "mixed.toml").write_text(SPACE)
    space, profile = load_space(str(tmp_path / "mixed.toml")).only(("int8",)), load_device("raspberry-pi-4")
    target = target_of(profile, "edge-tpu")
    bare, aimed = DevicePricer(profile, space, 10), DevicePricer(profile, space, 10, target)
    codes = space.sample_codes(60, np.random.default_rng(0))
    smooth = np.array(["smooth" in map(str, space.decode(code).as_dict().values()) for code in codes])
    found, plain = aimed.columns(codes), bare.columns(codes)
    assert np.array_equal(np.isnan(found["latency_ms"]), smooth) and not np.isnan(plain["latency_ms"]).any()
    assert np.array_equal(found["latency_ms"][~smooth], plain["latency_ms"][~smooth])
    for code, odd in zip(codes[:10], smooth[:10], strict=True):
        candidate = space.decode(code)
        assert np.isnan(aimed.costs(candidate, space.network(candidate)).latency_ms) == odd


def test_a_space_of_which_no_sampled_network_maps_is_refused_in_one_line() -> None:
    space, profile = load_space("mobilenet-v3").only(("int8",)), load_device("raspberry-pi-4")
    with pytest.raises(UserError, match=r"^target edge-tpu maps none of 2,000 networks of mobilenet-v3: activation h"):
        DevicePricer(profile, space, 10, target_of(profile, "edge-tpu")).gap()
    with pytest.raises(UserError, match=r"^target edge-tpu maps no network of mobilenet-v3: stage stage0"):
        for_target(load_space("mobilenet-v3"), ("int8",), target_of(profile, "edge-tpu"), 10)


def test_known_networks_that_do_not_map_are_no_references() -> None:
    profile = load_device("raspberry-pi-4")
    named = {r.name for r in references(profile, ("int8",), target_of(profile, "edge-tpu"))}
    assert "MobileNetV2 1.0 @224" in named and not any("MobileNetV3" in name for name in named)
    assert any("MobileNetV3" in r.name for r in references(profile, ("int8",)))


FEW = """
name = "few"
title = "Networks of the tiny space"
source = "made for the tests"
classes = 10
resolution = 32
width = [0.25, 0.5]
precision = ["fp32", "int8"]
stage = [
  { block = "conv", kernel = 3, stride = 2, channels = 16, activation = "relu6" },
  { block = "ds", kernel = 3, channels = 16, activation = "relu6" },
  { block = "mbconv", kernel = [3, 5], expand = 2, channels = 24, stride = 2, activation = "relu6", per = "stage" },
  { block = "mbconv", kernel = [3, 5], expand = 2, channels = 48, stride = 2, activation = "relu6", per = "stage" },
  { block = "mbconv", kernel = [3, 5], expand = 2, channels = 96, stride = 2, activation = "relu6", per = "stage" },
  { block = "conv", channels = 256, activation = "relu6" },
  { block = "pool_linear" },
]
"""


@pytest.mark.parametrize("device", ["ethos-u55-128", "ethos-u65-256", "ethos-u85-256"])
def test_a_search_on_an_ethos_u_that_nobody_has_needs_no_target(tmp_path: Path, device: str) -> None:
    (tmp_path / "few.toml").write_text(FEW)
    rows = [("".join(map(str, at)), 0.5 + 0.01 * sum(at)) for at in product(range(2), repeat=4)]
    (tmp_path / "known.csv").write_text(csv_text(("arch", "accuracy"), rows))
    notes: list[str] = []
    run = nas.search(
        device, str(tmp_path / "few.toml"), trials=4, confirm=0.0, sampler="random", out=tmp_path / "run", test=False,
        estimator="table", estimator_settings={"path": str(tmp_path / "known.csv")}, on_note=notes.append,
    )  # fmt: skip
    family = device.rpartition("-")[0]
    assert f"{family}: precision fp32 leaves the space (it has int8)" in notes
    assert read_settings(run.path).target == family and run.settings.objectives == ("accuracy", "latency")
    assert {t.costs.latency_basis for t in run.trials} == {"estimated"}
    assert all(t.costs.latency_low_ms is not None and t.costs.energy_mj is None for t in run.trials)
    assert "It is a compiler estimate: nothing in it was run on a board." in page(run)
