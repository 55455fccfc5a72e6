"""Bundles: written whole or not at all, small, with models that read and write what flows at their place."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from nas.errors import UserError
from nas.profiling import agent
from nas.profiling.agent.plan import read_plan
from nas.profiling.plan.bundle import write_bundle
from nas.profiling.plan.model_files import model
from nas.profiling.plan.plan import Plan, make_plan, with_runtime
from nas.space.search_space import load_space

FLOAT, UINT8, FLOAT16 = onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8, onnx.TensorProto.FLOAT16


def small_plan() -> Plan:
    """The references, a stem and another block, and one network, in three precisions."""
    plan = make_plan(load_space("nas-bench-macro"), ["fp32", "fp16", "int8"], networks=4)
    blocks = [item for item in plan.items if item.kind == "block"]
    networks = [item for item in plan.items if item.kind == "calibrate"]
    return replace(plan, items=(*plan.items[:3], *blocks[:6], *networks[:3]))


@pytest.fixture(scope="module")
def plan() -> Plan:
    return small_plan()


@pytest.fixture(scope="module")
def bundle(plan, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "b"
    write_bundle(plan, folder)
    return folder


def test_the_plan_states_the_checksum_of_every_model(plan, bundle):
    items = json.loads((bundle / "plan.json").read_text())["items"]
    assert [item["id"] for item in items] == [item.id for item in plan.items]
    for item in items:
        assert hashlib.sha256((bundle / item["file"]).read_bytes()).hexdigest() == item["sha256"]
    assert len(list((bundle / "models").iterdir())) == 12
    assert [("candidate" in item) for item in items] == [False] * 9 + [True] * 3
    assert read_plan(bundle)["items"] == items


def test_the_agent_in_it_is_the_one_here(bundle):
    assert sorted(path.name for path in bundle.iterdir()) == ["README.txt", "agent.pyz", "models", "plan.json"]
    with zipfile.ZipFile(bundle / "agent.pyz") as file:
        packed = {name: file.read(name) for name in file.namelist()}
    assert packed.pop("__main__.py").endswith(b"sys.exit(main())\n")
    assert packed == {f"agent/{path.name}": path.read_bytes() for path in Path(agent.__file__).parent.glob("*.py")}


@pytest.mark.parametrize(
    ("precision", "block", "network"), [("fp32", FLOAT, FLOAT), ("int8", UINT8, FLOAT), ("fp16", FLOAT16, FLOAT)]
)
def test_blocks_speak_their_precision_and_networks_float32(plan, bundle, precision, block, network):
    for item in plan.items:
        if item.precision != precision:
            continue
        graph = onnx.load(bundle / "models" / f"{item.id}.onnx").graph
        wanted = block if item.kind == "block" else network
        for value in (graph.input[0], graph.output[0]):
            assert value.type.tensor_type.elem_type == wanted, f"{item.id} {value.name}"
    assert any(item.precision == precision and item.candidate for item in plan.items)


def test_a_bundle_for_litert_names_its_package_and_has_tflite_models(plan, tmp_path):
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed: pip install -e '.[litert]'")
    fp32 = tuple(item for item in plan.items if item.precision == "fp32")
    write_bundle(with_runtime(replace(plan, items=fp32), "litert"), tmp_path / "b")
    read = read_plan(tmp_path / "b")
    assert read["runtime"] == "litert" and len(read["items"]) == len(fp32)
    for item in read["items"]:
        assert item["file"] == f"models/{item['id']}.tflite"
        assert (tmp_path / "b" / item["file"]).read_bytes()[4:8] == b"TFL3"  # the format's identifier
    assert "pip install numpy ai-edge-litert" in (tmp_path / "b" / "README.txt").read_text()


def test_a_zip_holds_what_the_folder_does_and_packs_small(plan, bundle, tmp_path):
    packed = tmp_path / "bundle.zip"
    write_bundle(plan, packed)
    with zipfile.ZipFile(packed) as file:
        assert file.testzip() is None
        inside = {name: file.read(name) for name in file.namelist()}
    folder = {path.relative_to(bundle).as_posix(): path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    assert inside.keys() == folder.keys()
    for name in ("agent.pyz", "README.txt", "plan.json"):
        assert inside[name] == folder[name]
    network = next(item for item in plan.items if item.candidate and item.precision == "fp32")
    with zipfile.ZipFile(packed) as file:
        info = file.getinfo(f"models/{network.id}.onnx")
    assert info.file_size > 1_000_000  # a megabyte of weights, which repeat
    assert info.compress_size < info.file_size / 8
    assert [path.name for path in tmp_path.iterdir()] == ["bundle.zip"]


def test_equal_items_make_equal_models(plan):
    for item in plan.items[:5]:
        assert model(item) == model(item)


def test_nothing_is_overwritten(plan, tmp_path):
    for name in ("there", "there.zip"):
        (tmp_path / name).write_text("mine")
        with pytest.raises(UserError, match=r"there.* exists; give another --out or remove it"):
            write_bundle(plan, tmp_path / name)
        assert (tmp_path / name).read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_place_that_cannot_be_written_is_one_line(plan, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*/file/bundle: "):
        write_bundle(plan, tmp_path / "file" / "bundle")
    if os.geteuid():  # root may write anywhere
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o500)
        with pytest.raises(UserError, match="Permission denied"):
            write_bundle(plan, closed / "bundle")
        assert not list(closed.iterdir())


def test_what_fails_on_the_way_leaves_nothing(plan, tmp_path, monkeypatch):
    def fail(done, total):
        if done == 3:
            raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match=r"cannot write .*bundle.zip: No space left on device"):
        write_bundle(plan, tmp_path / "bundle.zip", fail)
    assert not list(tmp_path.iterdir())


def test_progress_counts_the_models(plan, tmp_path):
    seen = []
    write_bundle(plan, tmp_path / "b", lambda done, total: seen.append((done, total)))
    assert seen == [(n, 12) for n in range(1, 13)]


def test_an_older_python_is_told_which_one_is_needed(bundle):
    """Before it reads a line that it cannot."""
    done = subprocess.run(
        [sys.executable, "-c", OLD, bundle / "agent.pyz"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert done.stderr == "agent: this needs Python 3.8 or later; this is Python 3.7\n"


OLD = """
import sys, zipfile
sys.version_info = (3, 7, 9)
exec(zipfile.ZipFile(sys.argv[1]).read("__main__.py").decode())
"""
