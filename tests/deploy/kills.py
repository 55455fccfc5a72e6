"""A deployment that is killed before each EVERYth file operation: `python -m tests.deploy.kills FOLDER EVERY`.

Each kill is a real one (SIGKILL) of a process of its own; then the same call goes on in another. Exports and
measurements are those of one real deployment, given again. Prints a JSON object: how many moments there were, at which
of them the second did not end with the same folder, and how many exports and measurements were done again after a kill.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from nas.deploy import make, measure
from nas.deploy.facts import read_facts
from nas.deploy.job import deploy, job_of_run
from nas.files.atomic import write_atomic
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.runtimes.runtime import Exported
from tests.deploy.deployments import FEW, TRIAL, make_trained_run

ROOT, EVERY = Path(sys.argv[1]), int(sys.argv[2])
FILES = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")
left = -1  # file operations until this process is killed; below 0: it is not


def hook(event: str, arguments: tuple[Any, ...]) -> None:
    global left
    if left >= 0 and event in FILES and str(arguments[0]).startswith(str(ROOT / "out")):
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1


def deployed(folder: Path, operations: int = -1) -> int:
    """Deploys in a process of its own, which is killed before so many file operations; its exit status."""
    global left
    child = os.fork()
    if child == 0:
        left = operations
        deploy(JOB, folder)
        left = -1
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def wrong(folder: Path, status: int) -> str:
    if status:
        return f"exit status {status}"
    if names(folder) != WHOLE:
        return f"differs in {sorted(set(names(folder)) ^ set(WHOLE))}"
    if (folder / "current").read_text() != "1\n":
        return "current names another version"
    read_facts(folder / "versions/1")  # every file is the one that SHA256SUMS names
    return ""


if __name__ == "__main__":
    RUN = make_trained_run(ROOT)
    JOB = job_of_run(RUN.path, TRIAL, training=None)
    measure.SETTINGS.update(FEW)
    kept: dict[str, Any] = {}
    real_export, real_measure = OnnxRuntime.export, measure.measure_models

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

    OnnxRuntime.export, make.measure_models = export, measured  # type: ignore[method-assign, assignment]
    deploy(JOB, ROOT / "whole")
    WHOLE = names(ROOT / "whole")
    sys.addaudithook(hook)
    found: dict[int, str] = {}
    moment = 0
    while True:
        place = ROOT / "out" / str(moment)
        if deployed(place, moment) == 0:
            break
        if said := wrong(place, deployed(place)):
            found[moment] = said
        shutil.rmtree(place, ignore_errors=True)
        moment += EVERY
    print(json.dumps({"moments": moment // EVERY, "wrong": found}))
