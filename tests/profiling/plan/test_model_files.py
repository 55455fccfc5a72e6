"""Processes that write models: one that is killed, a parent that is killed or interrupted, a full disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.errors import UserError
from nas.profiling.plan import model_files
from nas.profiling.plan.bundle import write_bundle
from nas.profiling.plan.plan import make_plan
from nas.space.search_space import load_space

SLOW = """
import sys, time
from pathlib import Path
from nas.profiling.plan import bundle, model_files
from nas.profiling.plan.plan import make_plan
from nas.space.search_space import load_space
def model(item, runtime):
    time.sleep(0.05)
    return b"model"
model_files.model = model
bundle.write_bundle(make_plan(load_space("nas-bench-macro"), ["fp32"]), Path(sys.argv[1]))
"""


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def until(holds: Callable[[], bool], seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    return holds()


def is_gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def writing(target: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """A process that writes a bundle, at work, and its workers."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, target], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    made = target.with_name(f".{target.name}-making") / "bundle/models"
    assert until(lambda: made.is_dir() and any(made.iterdir())), process.communicate(timeout=5)
    return process, children(process.pid)


def test_a_killed_worker_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    process, workers = writing(tmp_path / "b.zip")
    os.kill(workers[0], signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert said.splitlines()[-1].endswith("a process that writes models was ended from outside (out of memory?)")
    assert all(map(is_gone, workers)) and not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_a_parent_that_is_killed_and_the_same_command_cleans_up(tmp_path: Path, number: int) -> None:
    process, workers = writing(tmp_path / "b.zip")
    process.send_signal(number)
    process.communicate(timeout=60)
    assert until(lambda: all(map(is_gone, workers)))
    write_bundle(make_plan(load_space("nas-bench-macro"), ["fp32"], networks=4, blocks=False), tmp_path / "b.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["b.zip"]


def test_an_interrupt_of_all_ends_all_and_leaves_nothing(tmp_path: Path) -> None:
    process, workers = writing(tmp_path / "deep" / "b.zip")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, said = process.communicate(timeout=60)
    assert said.count("Traceback") == 1, "of the parent only"
    assert until(lambda: all(map(is_gone, workers))) and not list(tmp_path.iterdir())


def test_two_processes_do_not_write_one_bundle(tmp_path: Path) -> None:
    process, _ = writing(tmp_path / "b.zip")
    plan = make_plan(load_space("nas-bench-macro"), ["fp32"], networks=4, blocks=False)
    with pytest.raises(UserError, match=r"another process is writing .*b\.zip"):
        write_bundle(plan, tmp_path / "b.zip")
    process.kill()
    process.communicate()


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for the end of the disk, also of temporary files."""
    command = f"ulimit -f 20; exec {sys.executable} -m nas profile pack --space nas-bench-macro --out deep/b.zip"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.splitlines()[-1] == "nas: cannot write deep/b.zip: File too large"
    assert "Traceback" not in done.stderr and not list(tmp_path.iterdir())


def test_models_are_of_the_items_in_their_order(tmp_path: Path) -> None:
    plan = make_plan(load_space("nas-bench-macro"), ["fp32"], networks=4, blocks=False)
    paths = [tmp_path / f"{number}.onnx" for number in range(3)]
    digests = list(model_files.write_models(plan.items[:3], paths, plan.runtime, tmp_path))
    assert [path.read_bytes() == model_files.model(item) for item, path in zip(plan.items, paths, strict=False)] == [
        True
    ] * 3
    assert len(set(digests)) == 3
