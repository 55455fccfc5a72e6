"""Calibrations killed before some of their file operations: `python -m tests.monitor.calibrate_kills FOLDER COUNT`.

Each kill is a real one (SIGKILL) of a process of its own; then the same call goes on in another. After each kill the
folder must name a whole version; after the second call it must be what one call makes. COUNT moments are drawn, one of
each such part of all; 0: all. Exports and measurements are those of one real calibration, given again. Prints a JSON
object: how many moments there are, how many were tried, and what was wrong after which.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from nas.data.catalog import load_dataset
from nas.deploy import make, measure
from nas.deploy.card import read_card
from nas.deploy.facts import read_facts
from nas.deploy.folder import versions_in
from nas.deploy.job import deploy, job_of_run
from nas.errors import UserError
from nas.files.atomic import write_atomic
from nas.files.csv import csv_text
from nas.monitor import calibrate as module
from nas.monitor.calibrate import Calibration, calibrate, find_model
from nas.monitor.labels import COLUMNS
from nas.monitor.serve import versions
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.runtimes.runtime import Exported
from tests.deploy.deployments import FEW, TRIAL, make_trained_run
from tests.monitor.drifted import ALARM, write_frames, write_log

ROOT, COUNT = Path(sys.argv[1]), int(sys.argv[2])
WRITES = os.O_WRONLY | os.O_RDWR
FILES = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")
WEIGHTS = "weights.safetensors"
done = 0  # file operations of this process
last = -1  # the number of them before which it is killed; below 0: it is not


def hook(event: str, arguments: tuple[Any, ...]) -> None:
    """Reading changes nothing: what is killed before it was killed after the write before."""
    global done
    if event not in FILES or (event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITES)):
        return
    path = str(arguments[0])
    if event in ("os.remove", "os.rmdir") and arguments[1] != -1:  # of shutil.rmtree
        path = f"{Path(f'/proc/self/fd/{arguments[1]}').readlink()}/{path}"
    if not path.startswith(str(ROOT / "moved")):
        return
    if done == last:
        os.kill(os.getpid(), signal.SIGKILL)
    done += 1


def asked(folder: Path) -> Calibration:
    return Calibration(
        folder, labels=folder / "monitor/frames/labels.csv", model=ROOT / "run/models" / str(TRIAL), epochs=1
    )


def calibrated(folder: Path, moment: int = -1) -> int:
    """Calibrates in a process of its own, which is killed at that moment; its exit status."""
    global done, last
    child = os.fork()
    if child == 0:
        done, last = 0, moment
        try:
            calibrate(asked(folder))
        except UserError as error:
            print(error, file=sys.stderr)
            os._exit(2)
        if moment < 0:
            (ROOT / "operations").write_text(str(done))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def not_whole(folder: Path) -> str:
    """What is wrong with what is served; empty: nothing."""
    if (current := versions.current_of(folder)) != 1:
        return f"current names {current}"
    try:
        for version in versions_in(folder):
            versions.check(folder, version)
            read_facts(folder / f"versions/{version}")
    except (versions.Refused, UserError) as error:
        return str(error)
    return ""


def wrong(folder: Path, status: int) -> str:
    """What is wrong after the second call; empty: nothing."""
    if status:
        return f"exit status {status}"
    if names(folder) != WHOLE:
        return f"differs in {sorted(set(names(folder)) ^ set(WHOLE))}"
    if (folder / ".models/2" / WEIGHTS).read_bytes() != LEARNED:
        return "other weights"
    find_model(Calibration(folder), read_card(folder / "versions/2"))
    return not_whole(folder)


if __name__ == "__main__":
    torch.set_num_threads(1)  # a fork does not have the threads of the process before
    measure.SETTINGS.update(FEW)
    run = make_trained_run(ROOT)
    base = deploy(job_of_run(run.path, TRIAL, ("fp32",), training=None), ROOT / "base").parents[1]
    write_log(base, ALARM)
    labels = write_frames(load_dataset(f"folder:{ROOT / 'data'}"), base / "monitor/frames")
    rows = [(f"1-{number:02}.png", "red", label) for number, label in enumerate(labels)]
    (base / "monitor/frames/labels.csv").write_text(csv_text(COLUMNS, rows))
    kept: dict[str, Any] = {}
    real_export, real_measure, real_verify = OnnxRuntime.export, measure.measure_models, module._verified

    def export(self: OnnxRuntime, model: Any, path: Path, *given: Any, **more: Any) -> Exported:
        if "file" not in kept:
            kept["exported"] = real_export(self, model, path, *given, **more)
            kept["file"] = path.read_bytes()
        write_atomic(path, kept["file"])
        found: Exported = kept["exported"]
        return Exported(path, found.input_shape, found.megabytes, found.difference)

    def measured(*given: Any, **more: Any) -> Any:
        if "results" not in kept:
            kept["results"] = real_measure(*given, **more)
        return kept["results"]

    def verified(*given: Any) -> Any:
        if "verification" not in kept:
            kept["verification"] = real_verify(*given)
        return kept["verification"]

    OnnxRuntime.export, make.measure_models = export, measured  # type: ignore[method-assign, assignment]
    module._verified = verified
    module._check = lambda verification, most: None  # of few images, after one epoch
    calibrate(asked(shutil.copytree(base, ROOT / "first")))  # fills `kept`
    sys.addaudithook(hook)
    assert calibrated(shutil.copytree(base, ROOT / "moved/whole")) == 0
    WHOLE, LEARNED = names(ROOT / "moved/whole"), (ROOT / "moved/whole/.models/2" / WEIGHTS).read_bytes()
    moments = int((ROOT / "operations").read_text())
    parts = [range(n * moments // COUNT, (n + 1) * moments // COUNT) for n in range(COUNT)]
    tried = [random.Random(n).choice(part) for n, part in enumerate(parts)] or range(moments)
    found: dict[int, str] = {}
    for moment in tried:
        place = shutil.copytree(base, ROOT / "moved" / str(moment))
        status = calibrated(place, moment)
        said = not_whole(place) if status == -signal.SIGKILL else f"exit status {status}"
        if said := said or wrong(place, calibrated(place)):
            found[moment] = said
        shutil.rmtree(place)
    print(json.dumps({"moments": moments, "tried": len(tried), "wrong": found}))
