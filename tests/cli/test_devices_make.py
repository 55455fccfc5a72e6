"""nas devices import and fit: every format from its file to a profile, and what a user gets wrong."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from nas.device.info import about_toml
from nas.device.profile import read_profile
from nas.runtimes.onnx.blocks import network_graph
from nas.space.network import Network
from tests.cli.command import Said, call
from tests.device.formats.test_help import fbnet
from tests.device.formats.test_key_table import PROXYLESS
from tests.device.formats.test_layer_times import mobilenet_v1, tflite
from tests.device.formats.test_relative_tables import table
from tests.device.hand_made import BODY, HEAD, STEM, about
from tests.shared_data import shared_data

ABOUT = "--about about.toml --out new"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "about.toml").write_text(about_toml(about(energy=None)))
    (tmp_path / "proxyless.yaml").write_text(PROXYLESS)
    table(tmp_path)  # fbnet.csv
    tflite(tmp_path, mobilenet_v1())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def nas(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    def run(line: str) -> Said:
        return call(capsys, monkeypatch, *shlex.split(line))

    return run


def test_a_published_yaml_table_becomes_a_profile(folder: Path, nas) -> None:  # type: ignore[no-untyped-def]
    said = nas(f"devices import proxyless.yaml --format proxylessnas {ABOUT}")
    assert (said.status, said.out.strip()) == (0, "new: 3 measured blocks")
    profile = read_profile(folder / "new")
    assert profile.about.command == "nas devices import proxyless.yaml --format proxylessnas --out new"
    assert profile.times["pool_linear-1280x7x7-1000x1x1", "fp32"].median_ms == 0.9348


def test_a_relative_table_becomes_a_profile(folder: Path, nas) -> None:  # type: ignore[no-untyped-def]
    said = nas(f"devices import fbnet.csv --format hwnasbench-fbnet --platform board --rest-ms 8 {ABOUT}")
    assert (said.status, said.out.strip()) == (0, "new: 105 measured blocks")
    command = read_profile(folder / "new").about.command
    assert command == (
        "nas devices import fbnet.csv --format hwnasbench-fbnet --platform board --rest-ms 8.0 --out new"
    )


def test_a_trace_of_onnx_runtime_becomes_rates(folder: Path, nas) -> None:  # type: ignore[no-untyped-def]
    onnx.save(network_graph(Network((STEM, BODY, HEAD))), folder / "net.onnx")
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    session = onnxruntime.InferenceSession("net.onnx", options, providers=["CPUExecutionProvider"])
    for _ in range(3):
        session.run(None, {session.get_inputs()[0].name: np.ones((1, 3, 32, 32), np.float32)})
    trace = session.end_profiling()
    said = nas(f"devices import {trace} --format onnxruntime --model net.onnx {ABOUT}")
    assert said.status == 0 and "the costs of other networks are extrapolated" in said.out
    said = nas("predict net.onnx --device ./new")
    assert said.status == 0 and "(fitted; " in said.out and "error unknown" in said.out


def test_a_trace_of_tflite_becomes_rates(folder: Path, nas) -> None:  # type: ignore[no-untyped-def]
    said = nas(f"devices import tflite.txt --format tflite --model timm:mobilenetv1_100@224 {ABOUT}")
    assert said.status == 0, said.err
    rates = read_profile(folder / "new").rates
    assert rates is not None and rates.rates[0].cost_low == pytest.approx(79.44, abs=0.01)  # the sum of its rows


def test_blocks_are_fitted_to_whole_networks(folder: Path, nas) -> None:  # type: ignore[no-untyped-def]
    """120 networks of HELP's form, each of 1 ms and 0.5 ms a block that is no skip."""
    rng = np.random.default_rng(3)
    ops = [[int(op) for op in rng.integers(0, 9, 22)] for _ in range(120)]
    fbnet(folder, *((row, 1 + 0.5 * sum(op != 8 for op in row)) for row in ops))
    said = nas(f"devices fit fbnet.csv --format help-fbnet --platform titanx_1 {ABOUT}")
    assert said.status == 0 and "blocks fitted to 120 networks on titanx_1" in said.out
    profile = read_profile(folder / "new")
    assert (profile.about.blocks, profile.about.batch, profile.basis) == ("fitted", 1, "fitted blocks")
    assert profile.errors[0].mean < 0.02 < profile.errors[0].macs


def test_rates_are_fitted_to_published_latencies(folder: Path, nas) -> None:  # type: ignore[no-untyped-def]
    path = shared_data("published_tables/published_latency_accuracy.csv")
    said = nas(f"devices fit {path} --format published --platform 'Snapdragon 855/CPU (Paddle-Lite)/4' {ABOUT}")
    assert said.status == 0 and "cannot be built here: GhostNet_x1_3_ssld" in said.out
    assert "--platform 'Snapdragon 855/CPU (Paddle-Lite)/4' --out new" in str(
        read_profile(folder / "new").about.command
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("import proxyless.yaml --format proxyless", "unknown table format 'proxyless'; did you mean 'proxylessnas'"),
        ("import proxyless.yaml --format proxylessnas --rest-ms 3", "--format proxylessnas takes no --rest-ms"),
        ("import fbnet.csv --format hwnasbench-fbnet --rest-ms 3", "--format hwnasbench-fbnet needs --platform"),
        ("import fbnet.csv --format singlepath", "--format singlepath needs --rest-ms"),
        ("import fbnet.csv fbnet.csv --format singlepath --rest-ms 3", "--format singlepath reads one file; got 2"),
        ("import tflite.txt --format tflite", "--format tflite needs --model"),
        ("import tflite.txt --format tflite --model net.tflite", "a model must be given as path.onnx or timm:NAME"),
        ("import none.yaml --format ofa", "none.yaml: not a readable YAML file"),
        ("fit fbnet.csv --platform x --format help", "unknown format of measured networks 'help'; did you mean 'help-"),
        ("fit fbnet.csv --platform x --format help-ofa", "needs the columns ks0"),
    ],
)
def test_what_a_user_gets_wrong_is_said_in_one_line(  # type: ignore[no-untyped-def]
    line: str, message: str, folder: Path, nas
) -> None:
    said = nas(f"devices {line} {ABOUT}")
    assert said.status == 2 and message in said.err and said.err.count("\n") == 1
    assert not (folder / "new").exists()


@pytest.mark.parametrize(("name", "form"), [("empty.yaml", "proxylessnas"), ("heads.csv", "ofa")])
def test_a_table_without_blocks_is_named(folder: Path, nas, name: str, form: str) -> None:  # type: ignore[no-untyped-def]
    heads = "op,in_h,in_w,in_c,out_h,out_w,out_c,expand,kernel,stride,count,mean_ms\n"
    (folder / name).write_text(heads if name.endswith(".csv") else "")
    said = nas(f"devices import {name} --format {form} {ABOUT}")
    assert (said.status, said.err) == (2, f"nas: {name}: must list at least one block; got none\n")
    assert not (folder / "new").exists()
