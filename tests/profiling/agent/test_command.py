"""The agent on a tiny bundle: where it runs, and that nothing is lost whenever it is stopped."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import vermin

from nas.profiling import agent
from nas.profiling.agent.command import main
from nas.profiling.agent.journal import Journal
from nas.profiling.agent.results import write_results
from nas.profiling.agent.terminal import Refused
from nas.profiling.results.results import read_results
from tests.profiling.agent.bundle import ITEMS, QUICK, change, command, journal_of, keep_fp32, refusal, run


@pytest.mark.parametrize("source", sorted(Path(agent.__file__).parent.glob("*.py")), ids=lambda path: path.stem)
def test_what_runs_on_boards_needs_no_more_than_python_38(source):
    found = vermin.detect(source.read_text(encoding="utf-8"))
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
    alone = subprocess.run([python, "-I", "-c", "import nas"], capture_output=True, check=False, cwd=tmp_path)
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


def test_only_check_says_what_would_be_measured_and_writes_nothing(bundle, capsys):
    before = sorted(bundle.rglob("*"))
    assert main(["--bundle", str(bundle), "--out", str(bundle / "results.json"), "--only-check"]) == 0
    said = capsys.readouterr().err
    assert "blocks and " in said and "ONNX Runtime" in said and "1 thread, governor" in said and "takes about" in said
    assert sorted(bundle.rglob("*")) == before


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
    ids = [item["id"] for item in json.loads((bundle / "plan.json").read_text())["items"]]
    assert Journal(journal_of(bundle), {}, ids).entries


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
    with pytest.raises(Refused, match="the same command goes on"):
        write_results(tmp_path / "results.json", {})
    assert not (tmp_path / "results.json").exists()


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
