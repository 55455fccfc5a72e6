"""Rates from one network's own profile: recorded by ONNX Runtime here, and as TFLite documents its output."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from nas.device.cost import predict
from nas.device.counts import INDEX
from nas.device.formats.layer_times import rates_of, read_trace
from nas.device.formats.onnxruntime_profile import read_onnxruntime
from nas.device.formats.tflite_profile import read_tflite
from nas.device.formats.trace import Node, Trace
from nas.device.profile import DeviceProfile
from nas.device.tables.rates import Rate
from nas.errors import UserError
from nas.runtimes.onnx.blocks import network_graph
from nas.space.block import Block
from nas.space.network import Network
from nas.space.onnx.file import read_onnx
from nas.space.reference import reference_network
from tests.device.hand_made import about
from tests.shared_data import shared_data

BLOCKS = (
    Block("conv", (3, 64, 64), (16, 32, 32), 3, 2, activation="hswish"),
    Block("mbconv", (16, 32, 32), (16, 32, 32), 5, 1, mid=32, se=8, activation="hswish", gate="hsigmoid"),
    Block("mbconv", (16, 32, 32), (24, 16, 16), 3, 2, mid=48, activation="relu"),
    Block("pool_linear", (24, 16, 16), (10, 1, 1)),
)
# MobileNetV1 at 224 pixels, as TensorFlow's README of benchmark_model shows it: depthwise, then pointwise, in ms
STEM_MS, POOL_MS, LOGITS_MS, RESHAPE_MS, SOFTMAX_MS, INFERENCE_US = 4.269, 0.036, 1.445, 0.002, 0.029, 79760.9
DEPTHWISE_MS = (2.150, 1.366, 1.260, 0.698, 0.646, 0.331, 0.439, 0.352, 0.357, 0.366, 0.364, 0.155, 0.206)
POINTWISE_MS = (6.107, 4.195, 6.652, 3.344, 5.800, 2.838, 5.293, 5.322, 5.693, 5.472, 5.404, 2.970, 5.888)


def recorded(folder: Path, level: str) -> tuple[Path, Network]:
    """A profile that ONNX Runtime writes of these blocks, five runs, and the network in the file that it ran."""
    onnx.save(network_graph(Network(tuple(BLOCKS))), folder / "net.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "trace")
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    session = onnxruntime.InferenceSession(folder / "net.onnx", options, providers=["CPUExecutionProvider"])
    for _ in range(5):
        session.run(None, {session.get_inputs()[0].name: np.ones((1, 3, 64, 64), np.float32)})
    return Path(session.end_profiling()), read_onnx(folder / "net.onnx").network


def tflite(folder: Path, table: list[tuple[str, float]], *, heading: str = "", row: str = "", end: str = "") -> Path:
    heading = heading or "\t [node type]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]"
    row = row or "\t\t  {0}\t  9.999\t  {1:.3f}\t  1.000%\t  1.000%\t  0.000\t  1\t[layer]:0"
    start = (
        "INFO: STARTING!\n====== Run Order ======\n" + heading + "\n\t ModifyGraphWithDelegate\t 14.8\t 14.8\t 99%\n\n"
    )
    lines = [row.format(*entry) for entry in table]
    text = (
        start + "====== Run Order ======\n" + "\n".join([heading, *lines]) + "\n\n===== Top by Computation Time =====\n"
    )
    (folder / "tflite.txt").write_text(text + end)
    return folder / "tflite.txt"


def mobilenet_v1() -> list[tuple[str, float]]:
    table = [("CONV_2D", STEM_MS)]
    for depthwise, pointwise in zip(DEPTHWISE_MS, POINTWISE_MS, strict=True):
        table += [("DEPTHWISE_CONV_2D", depthwise), ("CONV_2D", pointwise)]
    return [
        *table,
        ("AVERAGE_POOL_2D", POOL_MS),
        ("CONV_2D", LOGITS_MS),
        ("RESHAPE", RESHAPE_MS),
        ("SOFTMAX", SOFTMAX_MS),
    ]


def profile(rates: object) -> DeviceProfile:
    return DeviceProfile(about(energy=None), (), rates, (), (), "")  # type: ignore[arg-type]


@pytest.mark.parametrize("level", ["ORT_ENABLE_ALL", "ORT_ENABLE_BASIC", "ORT_DISABLE_ALL"])
def test_the_network_that_was_traced_costs_what_its_runs_took(level: str, tmp_path: Path) -> None:
    """Whatever ONNX Runtime fuses or reorders, each layer is found."""
    path, network = recorded(tmp_path, level)
    events = json.loads(path.read_text())
    runs = [e["dur"] / 1000 for e in events if e["name"] == "model_run"]
    found = predict(profile(read_trace(path, "onnxruntime", network, "fp32")), network, "fp32")
    assert len(runs) == 5
    assert found.latency_ms == pytest.approx(float(np.median(runs[1:])), rel=0.25)
    assert (found.latency_basis, found.unknown, found.latency_interval_ms) == ("fitted", (), None)


def test_a_convolution_is_charged_the_time_of_its_own_nodes(tmp_path: Path) -> None:
    path, network = recorded(tmp_path, "ORT_ENABLE_BASIC")
    trace = read_onnxruntime(path)
    depthwise = [node for node in trace.nodes if node.depthwise]
    assert [node.size for node in depthwise] == [(32, 32), (16, 16)]
    rate = rates_of(trace, network, "fp32").rates[0]
    macs = 32 * 25 * 32 * 32 / 1e6  # 5x5 over 32 channels
    assert rate.rate[INDEX["depthwise5"]] == pytest.approx(depthwise[0].ms / macs)
    assert sum(r.rate @ r.high for r in [rate]) == pytest.approx(rate.cost_low)


def test_another_network_is_an_extrapolation(tmp_path: Path) -> None:
    path, network = recorded(tmp_path, "ORT_ENABLE_ALL")
    rates = read_trace(path, "onnxruntime", network, "fp32")
    assert (
        predict(profile(rates), Network((*BLOCKS[:2], BLOCKS[1], *BLOCKS[2:])), "fp32").latency_basis == "extrapolated"
    )


def rates_of_mobilenet_v1(folder: Path) -> Rate:
    path = tflite(
        folder, mobilenet_v1(), end=f"Inference timings in us: Warmup (avg): 1, Inference (avg): {INFERENCE_US}\n"
    )
    return read_trace(path, "tflite", reference_network("mobilenet_v1", 224, 1001), "fp32").rates[0]


def test_tflites_table_is_laid_over_the_network(tmp_path: Path) -> None:
    """MobileNetV1 at 224: 17.4 million depthwise MACs, 10.8 of the stem, 1.025 of the classifier (Howard et al.)."""
    rate = rates_of_mobilenet_v1(tmp_path)
    assert rate.rate[INDEX["depthwise3"]] == pytest.approx(sum(DEPTHWISE_MS) / 17.4, rel=0.01)
    assert rate.rate[INDEX["stem"]] == pytest.approx(STEM_MS / 10.8, rel=0.01)
    assert rate.rate[INDEX["linear"]] == pytest.approx(LOGITS_MS / 1.025, rel=0.01)
    rest = INFERENCE_US / 1000 - STEM_MS - LOGITS_MS - sum(DEPTHWISE_MS) - sum(POINTWISE_MS)
    assert rate.rate[INDEX["network"]] == pytest.approx(rest)
    assert rate.cost_low == pytest.approx(INFERENCE_US / 1000)


def test_older_and_csv_tables_are_read_alike(tmp_path: Path) -> None:
    start = "\t [node type]\t  [start]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]"
    older = tflite(
        tmp_path, mobilenet_v1(), heading=start, row="\t  {0}\t 0.0\t 9.9\t {1:.3f}\t 1%\t 1%\t 0.0\t 0\t[x]"
    )
    first = read_tflite(older)
    csv = "node type, first, avg_ms, %, cdf%, mem KB, times called, name"
    xnnpack = [("Convolution (NHWC, F32) " + ("DWConv" if "DEPTH" in op else "GEMM"), ms) for op, ms in mobilenet_v1()]
    second = read_tflite(tflite(tmp_path, xnnpack[:28], heading=csv, row="{0}, 9.9, {1:.3f}, 1, 1, 0, 1, {0}:0"))
    assert [n.ms for n in first.nodes[:27]] == [n.ms for n in second.nodes[:27]]
    assert [n.depthwise for n in first.nodes[:27]] == [n.depthwise for n in second.nodes[:27]]
    assert first.total_ms == pytest.approx(sum(ms for _, ms in mobilenet_v1()))  # no line of it: the sum


def test_a_trace_of_another_network_is_refused(tmp_path: Path) -> None:
    path, _ = recorded(tmp_path, "ORT_ENABLE_ALL")
    with pytest.raises(
        UserError, match="the trace does not fit the model: it ran 10 convolutions and linear layers, the model has 28"
    ):
        read_trace(path, "onnxruntime", reference_network("mobilenet_v1", 224), "fp32")
    wider = Network((Block("conv", (3, 48, 48), (16, 24, 24), 3, 2, activation="hswish"), *BLOCKS[1:]))
    with pytest.raises(UserError, match=r"is at the place of a standard layer of \(24, 24\)"):
        read_trace(path, "onnxruntime", wider, "fp32")


def test_depthwise_must_lie_over_depthwise() -> None:
    network = Network((BLOCKS[0],))
    with pytest.raises(UserError, match=r"'dw' \(depthwise\) is at the place of a standard layer"):
        rates_of(Trace((Node("weighted", "dw", 1.0, True),), 1.0), network, "fp32")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "must be a profile of ONNX Runtime: a list of events"),
        ("[1]", "must be a profile of ONNX Runtime: a list of events"),
        ("[", "not a readable JSON file"),
        ("[" * 100_000, "not a readable JSON file"),
        ("[]", "it has 0 of 0 nodes"),
        (
            '[{"cat": "Session", "name": "model_run", "dur": -1}]',
            "'model_run' must have a duration from 0 to .* us; got -1",
        ),
        ('[{"cat": "Session", "name": "model_run", "dur": NaN}]', "numbers must be finite; got NaN"),
        ('[{"cat": "Session", "name": "model_run", "dur": 1e308}]', "a duration from 0 to 1e.12 us; got 1e.308"),
        ('[{"cat": "Session", "name": "model_run", "dur": 1e999}]', "numbers must be finite"),
        ('[{"cat": "Session", "name": "model_run", "dur": true}]', "got True"),
        ('[{"cat": "Session", "name": "model_run"}]', "got None"),
    ],
)
def test_a_file_that_is_no_profile_of_onnx_runtime_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "trace.json").write_text(text)
    with pytest.raises(UserError, match=message):
        read_onnxruntime(tmp_path / "trace.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold TFLite's table of operators"),
        ("== Run Order ==", "must hold TFLite's table of operators"),
        ("== Run Order ==\n[node type]\t[name]\n", "must hold TFLite's table of operators"),
        (
            "== Run Order ==\n[node type]\t[first]\t[avg ms]\t[%]\t[Name]\nCONV_2D\t1.0\tfast\t1%\tx\n",
            "line 3 must be an",
        ),
        (
            f"== Run Order ==\n[node type]\t[first]\t[avg ms]\t[%]\t[Name]\nCONV_2D\t1.0\t{'9' * 400}\t1%\tx\n",
            "line 3 must",
        ),
        (
            "== Run Order ==\n[node type]\t[first]\t[avg ms]\t[%]\t[Name]\nCONV_2D\t" + "1\t\t\t" * 500 + "x\n",
            "line 3 must",
        ),
        (
            "== Run Order ==\n[node type]\t[avg ms]\t[Name]\nCONV_2D\t1.0\tx\n\nInference: 1e308\n",
            "at most 1e.09 ms; got",
        ),
        ("Number of nodes executed: 5\n== Summary by node type ==\nCONV_2D\t2\t2.0\n", "only the summary by node type"),
    ],
)
def test_a_text_that_is_no_profile_of_tflite_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "tflite.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        read_tflite(tmp_path / "tflite.txt")


def test_an_unknown_precision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="precision must be one of fp32, fp16, int8; got 'int4'"):
        read_trace(tmp_path / "x", "tflite", Network(BLOCKS), "int4")


HEADING = "\t[node type]\t[first]\t[avg ms]\t[%]\t[cdf%]\t[mem KB]\t[times called]\t[Name]"
ROWS = ("\tCONV_2D\t1.2\t1.2\t20%\t20%\t0.0\t1\t[c1]:0", "\tDEPTHWISE_CONV_2D\t0.4\t0.4\t20%\t20%\t0.0\t1\t[c2]:1")
PREFIXES = (
    "", "05-31 10:31:13.006 21767 21767 I tflite  : ", "2024-05-31 10:31:13.006  9 21767 I tflite: ",
    "I/tflite  (21767): ", "I/tflite: ", "05-31 10:31:13.006 I/tflite  (21767): ",
)  # fmt: skip


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_table_is_read_from_a_log_as_from_a_terminal(prefix: str, end: str, tmp_path: Path) -> None:
    lines = ["Inference timings in us: Warmup (avg): 9, Inference (avg): 2500", "== Run Order ==", HEADING, *ROWS, ""]
    (tmp_path / "t.txt").write_bytes("".join(prefix + line + end for line in lines).encode())
    trace = read_tflite(tmp_path / "t.txt")
    assert [(node.ms, node.depthwise, node.name) for node in trace.nodes] == [
        (1.2, False, "[c1]:0"), (0.4, True, "[c2]:1"),
    ]  # fmt: skip
    assert trace.total_ms == 2.5


@pytest.mark.parametrize("delegate", ["TfLiteXNNPackDelegate", "TfLiteGpuDelegateV2", "edgetpu-custom-op"])
@pytest.mark.parametrize("rows", [(), ROWS], ids=["all of it", "a part"])
def test_what_a_delegate_ran_as_one_is_refused(rows: tuple[str, ...], delegate: str, tmp_path: Path) -> None:
    row = ROWS[0].replace("CONV_2D", delegate)
    (tmp_path / "t.txt").write_text("\n".join(["== Run Order ==", HEADING, *rows, row, ""]))
    with pytest.raises(UserError, match=f"'{delegate}' ran several operators as one"):
        read_tflite(tmp_path / "t.txt")


def test_a_conversion_is_not_a_convolution(tmp_path: Path) -> None:
    types = ("Convert (NC, F32, QD8)", "BATCH_MATMUL", "PADV2", "Fully Connected (NC, QS8) GEMM", "Multiply (ND, F32)")
    rows = [ROWS[0].replace("CONV_2D", name) for name in types]
    (tmp_path / "t.txt").write_text("\n".join(["== Run Order ==", HEADING, *rows, ""]))
    assert [n.kind for n in read_tflite(tmp_path / "t.txt").nodes] == ["other", "other", "other", "weighted", "product"]


@pytest.mark.parametrize("name", ["new", "old", "crlf", "logcat"])
def test_shared_tables_are_read(name: str) -> None:
    trace = read_tflite(shared_data(f"../cases/tflite-profiles/{name}.txt"))
    assert [node.ms for node in trace.nodes] == [1.2, 0.4, 0.8, 0.05, 0.02]
    assert [node.kind for node in trace.nodes] == ["weighted", "weighted", "weighted", "pool", "weighted"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("delegate", "ran several operators as one"), ("partly_delegated", "ran several operators as one"),
        ("nodes_only", "it has only the summary by node type"),
    ],
)  # fmt: skip
def test_shared_tables_without_single_times_are_refused(name: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        read_tflite(shared_data(f"../cases/tflite-profiles/{name}.txt"))
