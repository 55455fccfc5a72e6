"""ONNX Runtime and LiteRT as the agent runs them."""

from __future__ import annotations

import platform
import sys
import time
from importlib.metadata import version

import onnx
import onnxruntime
import pytest

from nas.profiling.agent.command import main
from nas.profiling.agent.plan import read_model, read_plan, reference_item
from nas.profiling.agent.runtimes import CPU, LiteRT, OnnxRuntime, open_runner
from nas.profiling.agent.terminal import Refused
from nas.profiling.agent.timing import measurable
from nas.profiling.results.results import read_results
from tests.profiling.agent.bundle import change, refusal, run


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="ONNX Runtime has fp16 on some ARM cores")
def test_fp16_is_left_out_where_the_runtime_computes_it_as_fp32(bundle, capsys):
    plan, runner = read_plan(bundle), OnnxRuntime(1, "CPUExecutionProvider")
    assert {item["precision"] for item in measurable(plan, bundle, runner)} == {"fp32", "int8"}
    for item in plan["items"]:
        assert runner.runs_as_float32(read_model(bundle, item["file"])) == (item["precision"] == "fp16")
    change(bundle, items=[item for item in plan["items"] if item["kind"] == "reference" or item["precision"] == "fp16"])
    assert "none of the plan's precisions" in refusal(capsys, "--bundle", str(bundle), "--out", str(bundle / "r.json"))


def test_without_onnx_runtime_it_says_what_to_install(bundle, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main(["--bundle", str(bundle), "--out", str(bundle / "results.json")]) == 3
    assert "pip install numpy onnxruntime" in capsys.readouterr().err


def test_litert_measures_its_bundle(litert_bundle):
    done = run(litert_bundle)
    assert done.returncode == 0, done.stderr
    results = read_results(litert_bundle / "results.json")
    assert results.plan.runtime == "litert" and results.precisions == ("fp32", "int8")
    assert results.machine.runtime == f"LiteRT {version('ai-edge-litert')} CPU" and results.machine.provider == "CPU"
    assert [len(results.items[item.id]) for item in results.items_of("block", "calibrate")] == [2, 2, 4, 4]
    assert all(0 < v.median_ms <= v.p90_ms < 10_000 for visits in results.items.values() for v in visits)


@pytest.mark.skipif(not hasattr(time, "thread_time"), reason="this system has no clock of a thread")
def test_one_thread_of_litert_does_all_of_its_work(litert_bundle):
    """A whole network takes as long by the thread's clock as by the processor's time of the whole process."""
    plan = read_plan(litert_bundle)
    runner = open_runner(plan, 1, CPU)
    assert runner.clock_name == "thread" and open_runner(plan, 2, CPU).clock_name == "wall"
    once = runner.prepare(read_model(litert_bundle, reference_item(plan)["file"]))
    thread, process = time.thread_time(), time.process_time()
    for _ in range(50):
        once()
    assert time.thread_time() - thread == pytest.approx(time.process_time() - process, rel=0.2)


def test_fp16_is_left_out_with_litert(litert_bundle):
    plan = read_plan(litert_bundle)
    plan["items"][3]["precision"] = "fp16"
    left = measurable(plan, litert_bundle, open_runner(plan, 1, CPU))
    assert [item["precision"] for item in left] == ["fp32", "fp32", "int8"]


def test_without_litert_it_says_what_to_install(litert_bundle, monkeypatch, capsys):
    for package in ("ai_edge_litert", "tflite_runtime"):
        monkeypatch.setitem(sys.modules, package, None)
    assert main(["--bundle", str(litert_bundle), "--out", str(litert_bundle / "results.json")]) == 3
    assert "pip install numpy ai-edge-litert" in capsys.readouterr().err


def test_what_litert_cannot_do_is_one_line(litert_bundle, capsys):
    given = ["--bundle", str(litert_bundle), "--out", str(litert_bundle / "results.json")]
    assert "--provider is for ONNX Runtime" in refusal(capsys, *given, "--provider", "CUDAExecutionProvider")
    with pytest.raises(Refused, match=r"LiteRT .* cannot run a model"):
        LiteRT(1, CPU).prepare(b"no model")
    change(litert_bundle, runtime="tvm")
    assert "this agent measures with onnxruntime or litert; got tvm" in refusal(capsys, *given)


def test_what_onnx_runtime_cannot_run_is_one_line(bundle):
    runner = OnnxRuntime(1, "CPUExecutionProvider")
    with pytest.raises(Refused, match=r"ONNX Runtime .* cannot run a model"):
        runner.prepare(b"no model")
    model = onnx.load(next((bundle / "models").glob("b*-fp32.onnx")))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    with pytest.raises(Refused, match="must have a fixed shape"):
        runner.prepare(model.SerializeToString())


def test_a_model_runs_on_data_of_the_type_and_shape_that_it_takes(bundle, monkeypatch):
    runner, bound, ran = OnnxRuntime(1, "CPUExecutionProvider"), [], []
    bind, run = onnxruntime.IOBinding.bind_cpu_input, onnxruntime.InferenceSession.run_with_iobinding
    monkeypatch.setattr(onnxruntime.IOBinding, "bind_cpu_input", lambda s, n, v: (bound.append(v), bind(s, n, v)))
    monkeypatch.setattr(onnxruntime.InferenceSession, "run_with_iobinding", lambda s, b: (ran.append(b), run(s, b)))
    items = measurable(read_plan(bundle), bundle, runner)
    for item in items:
        once = runner.prepare(read_model(bundle, item["file"]))
        before = len(ran)
        once()
        assert len(ran) == before + 1
        image = onnx.load(bundle / item["file"]).graph.input[0].type.tensor_type
        assert bound[-1].dtype == onnx.helper.tensor_dtype_to_np_dtype(image.elem_type)
        assert bound[-1].shape == tuple(d.dim_value for d in image.shape.dim) and bound[-1].std() > 0
    assert {v.dtype.name for v in bound} == {"float32", "uint8"}  # whole networks; blocks of int8
