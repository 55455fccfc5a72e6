"""The agent on a tiny bundle: what it refuses, what it says, and that nothing is lost whenever it is stopped."""

from __future__ import annotations

import json
import math
import os
import platform
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import pytest
import vermin

from nas.profiling import agent, launcher
from nas.profiling.plan.bundle import write_bundle
from nas.profiling.plan.plan import make_plan, with_runtime
from nas.profiling.results.results import read_results
from nas.space.search_space import load_space

QUICK = {"runs": 2, "most_runs": 2, "visit_s": 0.0, "least_rounds": 1, "rounds": 2, "network_factor": 2, "within": 0.0}
SETTING = {"agent": "1", "plan": "abc", "threads": 1}
ITEMS = 9  # two blocks and a network in three precisions


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


def change(folder: Path, **values) -> None:
    """Changes plan.json."""
    path = folder / "plan.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def keep_fp32(folder: Path) -> None:
    items = json.loads((folder / "plan.json").read_text())["items"]
    change(folder, items=[item for item in items if item["precision"] == "fp32"])


def command(bundle: Path, *arguments: str, python: str = sys.executable) -> list[str]:
    return [python, "-I", str(bundle / "agent.py"), "--out", str(bundle / "results.json"), *arguments]


def run(bundle: Path, *arguments: str, **kwargs) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(bundle, *arguments), capture_output=True, text=True, timeout=120, **kwargs)


def journal_of(bundle: Path) -> Path:
    return bundle / "measurements.jsonl"


def refusal(capsys, *arguments: str) -> str:
    """The one line with which it refuses."""
    status = agent.main(arguments)
    said = capsys.readouterr().err.splitlines()
    assert status == 2 and said[-1].startswith("agent: ") and "Traceback" not in "".join(said)
    return said[-1]


# ---- where it runs


@pytest.mark.parametrize("module", [agent, launcher])
def test_what_runs_on_boards_needs_no_more_than_python_38(module):
    found = vermin.detect(Path(module.__file__).read_text(encoding="utf-8"))
    assert found[1] <= (3, 8)
    assert vermin.detect("'a'.removeprefix('b')")[1] == (3, 9)  # it would be noticed


def board_python(folder: Path) -> Path:
    """A new environment with NumPy and ONNX Runtime alone, of Python 3.8 where there is one."""
    for python in ("python3.8", sys.executable):
        make = [python, "-m", "venv", "--without-pip", folder]
        if shutil.which(python) and subprocess.run(make, capture_output=True, check=False).returncode == 0:
            break
    else:
        pytest.skip("no virtual environment can be made: this Python has no venv")
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--retries", "1", "--timeout", "20"]
    try:
        done = subprocess.run(
            [*pip, "--no-compile", "numpy", "onnxruntime"], capture_output=True, text=True, check=False, timeout=240
        )
    except subprocess.TimeoutExpired:
        pytest.skip("pip could not install NumPy and ONNX Runtime within four minutes")
    if done.returncode:
        pytest.skip(f"pip could not install NumPy and ONNX Runtime: {done.stderr.strip().splitlines()[-1:]}")
    return python


def test_it_runs_alone_where_only_numpy_and_onnx_runtime_are(bundle, tmp_path):
    python = board_python(tmp_path / "environment")
    alone = subprocess.run([python, "-c", "import nas"], capture_output=True, check=False, cwd=tmp_path)
    assert alone.returncode, "nas can be imported there"
    done = subprocess.run(command(bundle, python=str(python)), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    results = read_results(bundle / "results.json")
    assert results.plan.space.name == "nas-bench-macro" and results.machine.threads == 1
    assert results.machine.runtime.startswith("ONNX Runtime 1.")
    measured = {item.id for item in results.items_of("block", "calibrate")}
    casts = "this runtime computes fp16 as fp32, so fp16 is not measured" in done.stderr
    assert len(measured) == (6 if casts else ITEMS) and any("fp16" in name for name in measured) != casts
    for item in results.items_of("block"):
        visits = results.items[item.id]
        assert len(visits) == 2 and all(v.median_ms <= v.p90_ms <= v.p99_ms for v in visits)
    assert all(len(results.items[item.id]) == 4 for item in results.items_of("calibrate"))


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="ONNX Runtime has fp16 on some ARM cores")
def test_fp16_is_left_out_where_the_runtime_computes_it_as_fp32(bundle, capsys):
    plan, runner = agent.read_plan(bundle), agent.OnnxRuntime(1, "CPUExecutionProvider")
    assert {item["precision"] for item in agent.measurable(plan, bundle, runner)} == {"fp32", "int8"}
    for item in plan["items"]:
        assert runner.runs_as_float32(agent.read_model(bundle, item["file"])) == (item["precision"] == "fp16")
    change(bundle, items=[item for item in plan["items"] if item["kind"] == "reference" or item["precision"] == "fp16"])
    assert "none of the plan's precisions" in refusal(capsys, "--bundle", str(bundle), "--out", str(bundle / "r.json"))


def test_only_check_says_what_would_be_measured_and_writes_nothing(bundle, capsys):
    before = sorted(bundle.rglob("*"))
    assert agent.main(["--bundle", str(bundle), "--out", str(bundle / "results.json"), "--only-check"]) == 0
    said = capsys.readouterr().err
    assert "blocks and " in said and "ONNX Runtime" in said and "1 thread, governor" in said and "takes about" in said
    assert sorted(bundle.rglob("*")) == before


def test_without_onnx_runtime_it_says_what_to_install(bundle, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert agent.main(["--bundle", str(bundle), "--out", str(bundle / "results.json")]) == 3
    assert "pip install numpy onnxruntime" in capsys.readouterr().err


def test_without_a_threads_clock_it_takes_the_time_that_passes(monkeypatch):
    assert agent.OnnxRuntime(2, "CPUExecutionProvider").clock_name == "wall"
    monkeypatch.delattr(agent.time, "thread_time")
    assert agent.OnnxRuntime(1, "CPUExecutionProvider").clock_name == "wall"


# ---- LiteRT


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
    plan = agent.read_plan(litert_bundle)
    runner = agent.open_runner(plan, 1, agent.CPU)
    assert runner.clock_name == "thread" and agent.open_runner(plan, 2, agent.CPU).clock_name == "wall"
    once = runner.prepare(agent.read_model(litert_bundle, agent.reference_item(plan)["file"]))
    before = time.process_time()
    seconds = sum(once() for _ in range(50))
    assert seconds == pytest.approx(time.process_time() - before, rel=0.2)


def test_fp16_is_left_out_with_litert(litert_bundle):
    plan = agent.read_plan(litert_bundle)
    plan["items"][3]["precision"] = "fp16"
    left = agent.measurable(plan, litert_bundle, agent.open_runner(plan, 1, agent.CPU))
    assert [item["precision"] for item in left] == ["fp32", "fp32", "int8"]


def test_without_litert_it_says_what_to_install(litert_bundle, monkeypatch, capsys):
    for package in ("ai_edge_litert", "tflite_runtime"):
        monkeypatch.setitem(sys.modules, package, None)
    assert agent.main(["--bundle", str(litert_bundle), "--out", str(litert_bundle / "results.json")]) == 3
    assert "pip install numpy ai-edge-litert" in capsys.readouterr().err


def test_what_litert_cannot_do_is_one_line(litert_bundle, capsys):
    given = ["--bundle", str(litert_bundle), "--out", str(litert_bundle / "results.json")]
    assert "--provider is for ONNX Runtime" in refusal(capsys, *given, "--provider", "CUDAExecutionProvider")
    with pytest.raises(agent.Refused, match=r"LiteRT .* cannot run a model"):
        agent.LiteRT(1, agent.CPU).prepare(b"no model")
    change(litert_bundle, runtime="tvm")
    assert "this agent measures with onnxruntime or litert; got tvm" in refusal(capsys, *given)


# ---- stopped and taken up again


def test_killed_again_and_again_it_loses_nothing_and_repeats_nothing(bundle):
    change(bundle, settings=QUICK | {"rounds": 4, "visit_s": 0.03, "most_runs": 50})
    path, seen = journal_of(bundle), b""
    for lines in (1, 6, 12):
        with (bundle / "log").open("w") as log:
            process = subprocess.Popen(command(bundle), stderr=log)
            until = time.monotonic() + 60
            while time.monotonic() < until and process.poll() is None:
                if path.exists() and path.read_bytes().count(b"\n") >= lines:
                    break
                time.sleep(0.005)
            assert process.poll() is None, (bundle / "log").read_text()
            process.kill()
            process.wait()
        content = path.read_bytes()
        assert content.startswith(seen)
        seen = content[: content.rfind(b"\n") + 1]
        with path.open("ab") as file:
            file.write(b'{"median_ms": 1.5, "p9')  # as a kill in the middle of writing leaves it
    done = run(bundle)
    assert done.returncode == 0, done.stderr
    content = path.read_bytes()
    assert content.startswith(seen)
    visits = [json.loads(line) for line in content.splitlines()[1:]]
    results = json.loads((bundle / "results.json").read_text())
    for item in results["plan"]["items"]:
        own = [visit for visit in visits if visit["id"] == item["id"]]
        if item["id"] in results["items"]:
            assert len(own) == (4 if item["kind"] == "block" else 8)
            assert [visit["at"] for visit in results["items"][item["id"]]] == [visit["at"] for visit in own]
    assert len({visit["at"] for visit in visits}) == len(visits) == sum(map(len, results["items"].values()))


def test_an_interrupt_ends_it_with_130_and_the_same_command_goes_on(bundle):
    change(bundle, settings=QUICK | {"rounds": 50})
    process = subprocess.Popen(command(bundle, "--progress", "bar"), stderr=subprocess.PIPE)
    until = time.monotonic() + 60
    while time.monotonic() < until and not (journal_of(bundle).exists() and journal_of(bundle).stat().st_size > 2000):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and said.endswith(b"agent: stopped; the same command goes on\n")
    assert b"Traceback" not in said and b"\r[" in said
    assert agent.Journal(journal_of(bundle), {}).entries


def test_a_full_disk_is_one_line_and_keeps_what_was_measured(bundle):
    keep_fp32(bundle)
    full = run(bundle, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1200, 1200)))
    assert full.returncode == 2 and "Traceback" not in full.stderr
    assert "measurements.jsonl: cannot be written: File too large; what it has is kept" in full.stderr
    content = journal_of(bundle).read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    assert len(content) <= 1200 and whole.count(b"\n") >= 2
    assert run(bundle).returncode == 0
    assert journal_of(bundle).read_bytes().startswith(whole)
    visits = json.loads((bundle / "results.json").read_text())["items"].values()
    assert sorted(map(len, visits)) == [2, 2, 4]


def test_results_that_cannot_be_written_are_one_line(tmp_path):
    (tmp_path / "results.json.tmp").mkdir()
    with pytest.raises(agent.Refused, match="the same command goes on"):
        agent.write_results(tmp_path / "results.json", {})
    assert not (tmp_path / "results.json").exists()


def test_a_torn_last_line_is_dropped(tmp_path):
    path = tmp_path / "m.jsonl"
    journal = agent.Journal(path, SETTING)
    journal.add({"kind": "idle", "start": 1.0, "end": 2.0, "joules": None})
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"kind": "id')
    again = agent.Journal(path, SETTING)
    assert again.entries == journal.entries and path.read_bytes() == whole
    again.add({"kind": "idle", "start": 2.0, "end": 3.0, "joules": None})
    assert [entry["start"] for entry in agent.Journal(path, SETTING).entries] == [1.0, 2.0]
    path.write_bytes(b'{"agent": "1", "pl')  # killed while the first line was written
    assert agent.Journal(path, SETTING).entries == []


def test_another_setting_or_file_is_refused(tmp_path):
    path = tmp_path / "m.jsonl"
    agent.Journal(path, SETTING)
    with pytest.raises(agent.Refused, match="was begun with threads 1, this is 2; move it away"):
        agent.Journal(path, SETTING | {"threads": 2})
    with pytest.raises(agent.Refused, match="was begun with another plan; move it away"):
        agent.Journal(path, SETTING | {"plan": "x"})
    begun = path.read_text()
    visit = {"kind": "visit", "id": "b", "at": 1.0, "runs": 2, "median_ms": "fast"}
    for entry in (visit, {"kind": "idle", "start": 1.0}, {"kind": "window", "start": 1.0, "end": None, "runs": 3}):
        path.write_text(f"{begun}{json.dumps(entry)}\n")
        with pytest.raises(agent.Refused, match="was changed by something else"):
            agent.Journal(path, SETTING)
    for content in (b"id,ms\n1,2\n", b"[1]\n", b"\xff\xfe\n", b"[" * 100_000 + b"\n"):
        path.write_bytes(content)
        with pytest.raises(agent.Refused, match="is no file of measurements"):
            agent.Journal(path, SETTING)
        assert path.read_bytes() == content


def test_another_number_of_threads_is_refused_and_so_is_a_second_agent(bundle, capsys):
    keep_fp32(bundle)
    arguments = ["--bundle", str(bundle), "--out", str(bundle / "results.json")]
    assert agent.main(arguments) == 0
    assert "wrote " in capsys.readouterr().err
    assert "was begun with threads 1, this is 2" in refusal(capsys, *arguments, "--threads", "2")
    with agent.alone(journal_of(bundle)):
        assert "another agent is measuring into it" in refusal(capsys, *arguments)


# ---- bundles and options that are refused


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
    with pytest.raises(agent.Refused, match="must hold its weights itself"):
        agent.read_model(bundle, "models/split.onnx")


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
    assert said in line and line.endswith("make the bundle anew")


@pytest.mark.parametrize("content", [b"", b"\xff", b"[" * 100_000, b"[]", b'{"format": 1'])
def test_what_is_no_json_is_one_line(bundle, capsys, content):
    (bundle / "plan.json").write_bytes(content)
    assert "plan.json: " in refusal(capsys, "--bundle", str(bundle), "--out", str(bundle / "results.json"))


def test_items_must_have_ids_of_their_own_and_known_kinds(made):
    plan = json.loads((made / "plan.json").read_text())
    for key, value, said in (("id", plan["items"][2]["id"], "one id"), ("kind", "guess", "kind must be one of")):
        items = [dict(item) for item in plan["items"]]
        items[1][key] = value
        with pytest.raises(agent.Refused, match=said):
            agent.check_plan(plan | {"items": items})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--threads", "0"], "--threads must be 1 to 1024; got 0"),
        (["--window", "nan"], "--window must be 0.1 to 3600 seconds"),
        (["--cpus", "0,x"], "--cpus must be numbers of processors"),
        (["--cpus", "99999999999999999999"], "--cpus must be numbers of processors"),
        (["--cpus", "-1"], "--cpus must be numbers of processors"),
        (["--provider", "Fast"], "--provider must be one that this ONNX Runtime has"),
        (["--meter", "guess"], "unknown meter 'guess'"),
        (["--out", "nowhere/results.json"], "in a folder that exists"),
        (["--out", "measurements.jsonl"], "--out must be a file that ends in .json"),
    ],
)
def test_bad_options_are_one_line_and_leave_nothing(bundle, capsys, monkeypatch, arguments, said):
    monkeypatch.chdir(bundle)
    before = sorted(bundle.rglob("*"))
    assert said in refusal(capsys, "--bundle", str(bundle), *arguments)
    assert sorted(bundle.rglob("*")) == before


def test_processors_are_kept_to_and_recorded(bundle):
    keep_fp32(bundle)
    cpu = min(os.sched_getaffinity(0))
    assert run(bundle, "--cpus", str(cpu)).returncode == 0
    assert read_results(bundle / "results.json").machine.cpus == [cpu]


def test_a_system_that_cannot_choose_processors_says_so(monkeypatch):
    monkeypatch.delattr(agent.os, "sched_setaffinity")
    with pytest.raises(agent.Refused, match="--cpus works on Linux alone"):
        agent.stay_on("0")


# ---- the machine


def sysfs(root: Path, **files: str) -> Path:
    """A sysfs of two processors; names with __ for the slashes after cpuN."""
    for name, text in files.items():
        for cpu, value in zip(("cpu0", "cpu1"), text.split(","), strict=False):
            path = root / "sys/devices/system/cpu" / cpu / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{value}\n")
    return root


def test_the_condition_is_read_from_sysfs(tmp_path):
    nothing = {"governor": None, "mhz": None, "celsius": None, "throttle_count": None, "pi_throttled": None}
    assert agent.condition(tmp_path) == nothing
    sysfs(
        tmp_path, cpufreq__scaling_governor="schedutil,performance", cpufreq__scaling_cur_freq="1500000,1800000",
        thermal_throttle__core_throttle_count="3,4",
    )  # fmt: skip
    for zone, text in (("thermal_zone0", "48312"), ("thermal_zone1", "N/A")):
        (tmp_path / "sys/class/thermal" / zone).mkdir(parents=True)
        (tmp_path / "sys/class/thermal" / zone / "temp").write_text(text)
    firmware = tmp_path / "sys/devices/platform/soc/soc:firmware"
    firmware.mkdir(parents=True)
    (firmware / "get_throttled").write_text("50005\n")
    assert agent.condition(tmp_path) == {
        "governor": "performance, schedutil", "mhz": 1800.0, "celsius": 48.312, "throttle_count": 7.0,
        "pi_throttled": "50005",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({}, {}, []),
        ({"throttle_count": 2.0}, {"throttle_count": 2.0}, []),
        ({"throttle_count": 2.0}, {"throttle_count": 5.0}, ["the processor throttled itself 3 times"]),
        ({"throttle_count": None}, {"throttle_count": 5.0}, []),
        ({"pi_throttled": "0"}, {"pi_throttled": "0x50000"}, ["under-voltage", "throttled"]),
        ({"pi_throttled": "50000"}, {"pi_throttled": "50000"}, []),  # it happened before we began
        ({"pi_throttled": "80008"}, {"pi_throttled": "80000"}, ["soft temperature limit"]),
        ({"pi_throttled": "what"}, {"pi_throttled": "no hex"}, []),
        ({"mhz": 2000.0}, {"mhz": 1799.0}, ["the clock fell from 2000 to 1799 MHz"]),
        ({"mhz": 2000.0}, {"mhz": 1801.0}, []),
    ],
)
def test_throttling_is_noticed_and_said(before, after, said):
    assert agent.throttling(before, after) == said


def test_what_will_disturb_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(agent.os, "getloadavg", lambda: (0.4, 0.0, 0.0))
    monkeypatch.setattr(agent.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(agent, "usable_cpus", lambda: [0, 1])
    assert agent.disturbances(tmp_path) == []
    sysfs(tmp_path, cpufreq__scaling_governor="performance,performance", cpufreq__cpuinfo_max_freq="1800000,1800000")
    assert agent.disturbances(tmp_path) == []
    sysfs(tmp_path, cpufreq__scaling_governor="performance,powersave", cpufreq__cpuinfo_max_freq="1800000,2400000")
    monkeypatch.setattr(agent.os, "getloadavg", lambda: (1.5, 0.0, 0.0))
    governor, cores, busy = agent.disturbances(tmp_path)
    assert "governor is performance, powersave" in governor and "--cpus" in cores and "the machine is busy: 1.5" in busy


# ---- timing


def test_a_median_is_known_as_well_as_its_visits_agree():
    # stdev of 1.0, 1.1, 1.2 is 0.1; t(97.5%, 2) = 4.30; 1.25 * 4.30 * 0.1 / sqrt(3) / 1.1 = 0.28213
    assert agent.uncertainty([1.1, 1.0, 1.2]) == pytest.approx(0.28213, abs=1e-4)
    assert agent.uncertainty([2.0]) == math.inf
    assert agent.uncertainty([2.0] * 5) == 0
    even = [1.0, 1.02] * 50  # t is that of 15 degrees from there on: 1.25 * 2.13 * 0.010050 / 10 / 1.01
    assert agent.uncertainty(even) == pytest.approx(0.0026495, abs=1e-6)


def test_a_visit_compares_each_run_with_the_reference_around_it(monkeypatch):
    """The machine becomes half as fast midway: the model takes 6 ms, then 12 ms, the reference 2 ms, then 4 ms.

    What runs after the other finds the caches cold, which takes it 1 ms more.
    """
    runner = agent.OnnxRuntime(1, "CPUExecutionProvider")
    calls, last = Counter(), [""]

    def timed(name, ms):
        def once():
            calls[name] += 1
            cold, last[0] = last[0] != name, name
            return (ms + cold) / 1000 * (1 if calls["reference"] <= 12 else 2)

        return once

    monkeypatch.setattr(runner, "prepare", lambda model: timed("model", 6.0))
    settings = {"runs": 10, "most_runs": 10, "visit_s": 0.0}
    found = runner.visit(b"", timed("reference", 2.0), settings)
    assert found["relative"] == 3.0 and found["runs"] == 10
    assert found["median_ms"] == 9.0 or found["median_ms"] == 12.0
    assert calls == {"model": 21, "reference": 23}


def test_more_runs_are_made_of_short_models(monkeypatch):
    runner = agent.OnnxRuntime(1, "CPUExecutionProvider")
    monkeypatch.setattr(runner, "prepare", lambda model: lambda: 0.0005)
    settings = {"runs": 10, "most_runs": 25, "visit_s": 0.03}
    assert runner.visit(b"", lambda: 0.0005, settings)["runs"] == 15  # of 2 ms, two of either
    assert runner.visit(b"", lambda: 0.0095, settings)["runs"] == 10
    assert runner.visit(b"", lambda: 0.00001, settings)["runs"] == 25
    with pytest.raises(agent.Refused, match="too coarse"):
        runner.visit(b"", lambda: 0.0, settings)


def test_what_onnx_runtime_cannot_run_is_one_line(bundle):
    runner = agent.OnnxRuntime(1, "CPUExecutionProvider")
    with pytest.raises(agent.Refused, match=r"ONNX Runtime .* cannot run a model"):
        runner.prepare(b"no model")
    model = onnx.load(next((bundle / "models").glob("b*-fp32.onnx")))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    with pytest.raises(agent.Refused, match="must have a fixed shape"):
        runner.prepare(model.SerializeToString())


def test_once_runs_the_model_on_the_data_that_it_takes(bundle):
    runner = agent.OnnxRuntime(1, "CPUExecutionProvider")
    for item in agent.measurable(agent.read_plan(bundle), bundle, runner):
        seconds = [runner.prepare(agent.read_model(bundle, item["file"]))() for _ in range(2)]
        assert np.all(np.array(seconds) > 0) and max(seconds) < 10


def test_settled_items_are_left_in_peace(bundle, monkeypatch, tmp_path):
    """Visits to one block agree, those to another do not: the first gets `least_rounds`, the second all rounds."""
    keep_fp32(bundle)
    change(bundle, settings=QUICK | {"least_rounds": 3, "rounds": 6, "within": 0.02})
    plan, runner = agent.read_plan(bundle), agent.OnnxRuntime(1, "CPUExecutionProvider")
    _, steady, _, network = [item["id"] for item in plan["items"]]
    file = {agent.read_model(bundle, item["file"]): item["id"] for item in plan["items"]}
    seen: Counter[str] = Counter()

    def visit(model, reference, settings):
        name = file[model]
        seen[name] += 1
        relative = 2.0 if name in (steady, network) else 2.0 + seen[name] % 2
        return dict.fromkeys(agent.FIGURES, 1.0) | {"relative": relative, "at": 1.0, "runs": 2}

    monkeypatch.setattr(runner, "visit", visit)
    visits = agent.time_items(plan, bundle, runner, agent.Journal(tmp_path / "m.jsonl", SETTING))
    assert sorted(map(len, visits.values())) == [3, 6, 6] and len(visits[steady]) == 3 and len(visits[network]) == 6


def test_progress_is_a_bar_or_lines(capsys):
    bar, lines = agent.Progress("timing", bar=True), agent.Progress("timing", bar=False)
    bar.show(1, 4)
    bar.show(4, 4, last=True)
    assert capsys.readouterr().err.count("\r[") == 2
    lines.show(1, 4)
    lines.show(2, 4)  # too soon
    lines.show(4, 4, last=True)
    assert capsys.readouterr().err.splitlines() == ["timing 1/4, 0:00 left", "timing 4/4, 0:00 left"]


def test_nothing_that_steers_a_terminal_is_printed(bundle, capsys):
    line = refusal(capsys, "--bundle", f"{bundle}\x1b[2J", "--out", str(bundle / "results.json"))
    assert "\x1b" not in line
