"""A tiny bundle for the tests of the agent, and what it says when it refuses."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from nas.profiling.plan.bundle import write_bundle
from nas.profiling.plan.plan import make_plan, with_runtime
from nas.space.search_space import load_space
from tests.profiling.agent.bundle import QUICK, Clock, change, set_time


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A bundle of two blocks and a network in three precisions, with few runs: `within` 0 means all rounds."""
    plan = make_plan(load_space("nas-bench-macro"), ["fp32", "fp16", "int8"], networks=4)
    blocks = [item for item in plan.items if item.kind == "block"]
    networks = [item for item in plan.items if item.kind == "calibrate"]
    folder = tmp_path_factory.mktemp("made") / "bundle"
    write_bundle(replace(plan, items=(*plan.items[:3], *blocks[:6], *networks[:3])), folder)
    change(folder, settings=QUICK)
    return folder


@pytest.fixture
def bundle(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "bundle"))


@pytest.fixture
def litert_bundle(tmp_path):
    """A bundle for LiteRT: a block and a network in fp32 and int8, with few runs."""
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed: pip install -e '.[litert]'")
    plan = with_runtime(make_plan(load_space("nas-bench-macro"), ["fp32", "int8"], networks=4), "litert")
    blocks = [item for item in plan.items if item.kind == "block"]
    networks = [item for item in plan.items if item.kind == "calibrate"]
    folder = tmp_path / "litert"
    write_bundle(replace(plan, items=(*plan.items[:2], *blocks[:2], *networks[:2])), folder)
    change(folder, settings=QUICK)
    return folder


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    set_time(monkeypatch, clock)
    return clock
