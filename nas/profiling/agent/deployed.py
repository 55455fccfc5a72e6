"""`python agent.pyz verify`: runs each model of a deployment on the images of the bundle, and times them in turn.

plan.json has `deployed`: the SHA-256 of each file by its path. deployment/ is the folder of a version with its program,
images.npy the pixels (n, r, r, 3), pictures/ a few files to decode. What it finds goes into results.json: the answers,
and what an inference takes. The models run round by round in another order, each the second of two runs, so that a
change of the machine's speed falls on all of them. Loading, the first inference and memory are of new processes.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import importlib.util
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Sequence

from .command import AGENT, MOST_THREADS, write_results
from .energy import measure_idle, measure_window
from .machine import condition, disturbances, machine, read_text, throttling
from .meters import Meter
from .plan import FORMAT, LARGEST_PLAN, check_number
from .sensors import open_meter
from .terminal import Progress, Refused, say

SETTINGS = {
    "window_s": (0.0, 3600.0),
    "windows": (1, 1000),
    "seconds": (0.0, 3600.0),
    "least_rounds": (3, 100_000),
    "most_rounds": (3, 100_000),
    "starts": (1, 100),
}
WARM_UP, INPUTS = 5, 16  # runs before any is timed; images that are kept ready to time with
INSTRUCTIONS = ("avx2", "avx512_vnni", "avx_vnni", "avxvnni", "amx_int8", "asimddp", "i8mm")  # that int8 gains from
DEPLOYMENT, IMAGES, PICTURES = "models/deployment", "models/images.npy", "models/pictures"


def main(arguments: Sequence[str]) -> int:
    """The exit status, as of the agent's other work."""
    sys.dont_write_bytecode = True  # the bundle stays as it was sent
    made = argparse.ArgumentParser(prog="agent.pyz verify")
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--meter", default="none", help="rapl, ina3221, nvml or none")
    made.add_argument("--bundle", default=str(Path(sys.argv[0]).resolve().parent))
    made.add_argument("--first", help=argparse.SUPPRESS)  # of one model, in a process of its own
    options = made.parse_args(arguments)
    folder = Path(options.bundle)
    program: Any = None
    try:
        if not 1 <= options.threads <= MOST_THREADS:
            raise Refused(f"--threads must be 1 to {MOST_THREADS}; got {options.threads}")
        program = open_program(folder / DEPLOYMENT)
        if options.first:
            print(json.dumps(first_inference(program, folder, options.first, options.threads)))
        else:
            verify(program, folder, options.threads, options.meter)
    except Refused as refused:
        say(f"agent: {refused}")
        return refused.status
    except KeyboardInterrupt:
        say("agent: stopped; the same command begins again")
        return 130
    except MemoryError:
        say("agent: this machine has too little memory for a model of the deployment")
        return 2
    except Exception as error:
        if program is None or not isinstance(error, program.Refused):
            raise
        say(f"agent: {error}")
        return int(error.status)
    return 0


def open_program(folder: Path) -> Any:
    """The deployment's program as a module. Ends with status 3 where NumPy or Pillow is missing."""
    sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location("deployed_run", str(folder / "run.py"))
    if spec is None or spec.loader is None or not (folder / "run.py").is_file():
        raise Refused(f"{folder}: has no run.py; make the bundle again")
    module = importlib.util.module_from_spec(spec)
    sys.modules["deployed_run"] = module
    spec.loader.exec_module(module)
    return module


def verify(program: Any, folder: Path, threads: int, meter_name: str = "none") -> None:
    """All of it, into results.json. Raises Refused, and the program's own."""
    import numpy as np

    plan, meter = read_plan(folder), open_meter(meter_name)
    if meter is not None and meter.name == "external":
        raise Refused("verify reads the board's own meter: rapl, ina3221 or nvml; got external")
    before = condition()
    for what in disturbances():
        say(f"warning: {what}")
    deployment = program.Deployment(folder / DEPLOYMENT)
    images = np.load(str(folder / IMAGES), mmap_mode="r", allow_pickle=False)
    pictures = picture_digests(program, deployment, folder / PICTURES)
    there, missing = runnable(program, deployment.precisions)
    starts = first_inferences(folder, there, threads, plan["settings"]["starts"])
    networks = {name: deployment.load(name, threads) for name in there}
    answers = {name: answers_of(network, deployment, images, name) for name, network in networks.items()}
    inputs = [deployment.input(np.asarray(image)) for image in images[:INPUTS]]
    ready = {name: [network.ready(image) for image in inputs] for name, network in networks.items()}
    timed = time_networks(networks, ready, plan["settings"])
    energies = energies_of(networks, ready, meter, plan["settings"]) if meter else {}
    after = condition()
    setting = {
        "agent": AGENT,
        "runtime": " and ".join(dict.fromkeys(n.runtime for n in networks.values())),
        "threads": threads,
    }
    about = dict(machine(setting), before=before, after=after, throttled=throttling(before, after))
    flags = set(read_text("/proc/cpuinfo").split())
    about["instructions"] = [name for name in INSTRUCTIONS if name in flags]
    about["energy"] = meter.includes if meter else None
    models = {p: dict(timed[p], answers=answers[p], **starts[p], **energies.get(p, {})) for p in networks}
    found = {"format": FORMAT, "machine": about, "models": models, "missing": missing, "pictures": pictures}
    write_results(folder / "results.json", found)


def runnable(program: Any, names: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The models whose runtime is installed, and why others do not run. Raises the program's Refused where none is."""
    there, missing, first = [], {}, None
    for name in names:
        try:
            program.library(name)
            there.append(name)
        except program.Refused as refused:
            missing[name], first = str(refused), first or refused
    if not there and first is not None:
        raise first
    return there, missing


def read_plan(folder: Path) -> Any:
    """plan.json, every file of it as it says. Raises Refused."""
    path = folder / "plan.json"
    try:
        if path.stat().st_size > LARGEST_PLAN:
            raise Refused(f"{path}: a plan has at most {LARGEST_PLAN} bytes")
        plan = json.loads(path.read_text(encoding="utf-8"))["deployed"]
        for name, digest in plan["sums"].items():
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
                raise Refused(f"{name}: is not the file that the plan was made with; make the bundle again")
        for name, (least, most) in SETTINGS.items():
            check_number(name, plan["settings"].get(name), least, most)
    except OSError as error:
        raise Refused(f"{error.filename or path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused(f"{path}: is not a plan of a deployment: {str(error)[:200]}") from None
    return plan


def picture_digests(program: Any, deployment: Any, folder: Path) -> dict[str, str]:
    """The SHA-256 of what the program makes of each picture's file."""
    with program.quiet():
        return {
            path.name: hashlib.sha256(deployment.image(path).tobytes()).hexdigest() for path in sorted(folder.glob("*"))
        }


def answers_of(network: Any, deployment: Any, images: Any, name: str) -> list[int]:
    """The class with the largest score for each image. Raises Refused where a score is not a finite number."""
    import numpy as np

    progress, found = Progress(f"{name} on the images"), []
    for number, image in enumerate(images):
        scores = network.scores(network.ready(deployment.input(np.asarray(image))))
        if not np.isfinite(scores).all():
            raise Refused(f"the {name} model gives scores that are not finite")
        found.append(int(scores.argmax()))
        progress.show(number + 1, len(images), last=number + 1 == len(images))
    return found


def time_networks(networks: dict[str, Any], inputs: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """p50, p90 and p99 of the time that passed and the median of CPU time, ms; `relative` is the median of a round's
    time over that of `base_of` the model in the same round, with its 95% interval. `inputs` are as each takes them."""
    import numpy as np

    names, rng = sorted(networks), random.Random(0)
    start = time.perf_counter()
    for name in names:
        for turn in range(WARM_UP):
            networks[name].scores(inputs[name][turn % len(inputs[name])])
    a_round = 2 * (time.perf_counter() - start) / WARM_UP
    rounds = int(min(settings["most_rounds"], max(settings["least_rounds"], settings["seconds"] / max(a_round, 1e-6))))
    wall: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    progress = Progress("timing")
    for turn in range(rounds):
        for name in rng.sample(names, len(names)):
            passed, used = second_of_two(networks[name].scores, inputs[name][turn % len(inputs[name])])
            wall[name].append(1000 * passed)
            cpu[name].append(1000 * used)
        progress.show(turn + 1, rounds, last=turn + 1 == rounds)
    found = {}
    for name in names:
        ratios = np.sort(np.array(wall[name]) / np.array(wall[base_of(name, names)]))
        off = int(0.98 * rounds**0.5) + 1  # of the ranks of a median's 95% interval
        low, high = ratios[max(0, rounds // 2 - off)], ratios[min(rounds - 1, rounds // 2 + off)]
        p50, p90, p99 = np.quantile(wall[name], (0.5, 0.9, 0.99))
        figures = {
            "p50_ms": p50, "p90_ms": p90, "p99_ms": p99, "cpu_ms": np.median(cpu[name]), "relative": np.median(ratios),
            "relative_low": low, "relative_high": high,
        }  # fmt: skip
        found[name] = dict({key: float(f"{value:.6g}") for key, value in figures.items()}, runs=rounds)
    return found


def base_of(name: str, names: Sequence[str]) -> str:
    """What a model's time is divided by: that of fp32 of its runtime, of another runtime, or of the first model."""
    runtime = "".join(name.partition("-")[1:])
    return next((base for base in ("fp32" + runtime, "fp32") if base in names), names[0])


def energies_of(
    networks: dict[str, Any], inputs: dict[str, Any], meter: Meter, settings: dict[str, Any]
) -> dict[str, dict[str, float]]:
    """Millijoules of an inference, with the idle power and without: windows of each model in turn, idle ones between.

    Raises Refused where the meter reads nothing.
    """
    names, progress = sorted(networks), Progress("energy")
    windows: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    meter.start()
    try:
        idle = [measure_idle(meter, settings["window_s"])]
        for turn in range(settings["windows"]):
            for name in names:
                once = functools.partial(networks[name].scores, inputs[name][0])
                windows[name].append(measure_window(meter, once, settings["window_s"]))
            idle.append(measure_idle(meter, settings["window_s"]))
            progress.show(turn + 1, settings["windows"], last=turn + 1 == settings["windows"])
    finally:
        meter.stop()
    watts = total(idle, "joules") / max(total(idle, "seconds"), 1e-9)
    found = {}
    for name in names:
        joules, seconds, runs = (total(windows[name], key) for key in ("joules", "seconds", "runs"))
        found[name] = {"energy_mj": 1000 * joules / runs, "energy_net_mj": 1000 * (joules - watts * seconds) / runs}
    return found


def total(windows: Sequence[dict[str, Any]], key: str) -> float:
    """The sum over windows of joules, runs, or seconds. Raises Refused where joules are not known."""
    values = [w["end"] - w["start"] if key == "seconds" else w[key] for w in windows]
    if None in values:
        raise Refused("the meter gave no readings")
    return float(sum(values))


def second_of_two(run: Callable[[Any], Any], image: Any) -> tuple[float, float]:
    """Seconds that passed, and that all threads computed."""
    run(image)
    used, start = time.process_time(), time.perf_counter()
    run(image)
    return time.perf_counter() - start, time.process_time() - used


def first_inferences(folder: Path, precisions: Sequence[str], threads: int, starts: int) -> dict[str, dict[str, Any]]:
    """What `first_inference` gives, medians over new processes, one model after the other. Raises Refused."""
    found: dict[str, list[dict[str, Any]]] = {precision: [] for precision in precisions}
    for _ in range(starts):
        for precision in precisions:
            command = [sys.executable, str(folder / "agent.pyz"), "verify", "--bundle", str(folder)]
            command += ["--first", precision, "--threads", str(threads)]
            done = subprocess.run(command, capture_output=True, check=False)
            said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
            if done.returncode < 0:
                raise Refused(f"the {precision} model was ended by signal {-done.returncode} (out of memory?)")
            if done.returncode:
                raise Refused(said[-1].replace("agent: ", "", 1)[:300], done.returncode)
            found[precision].append(json.loads(done.stdout.decode("ascii")))
    return {p: {key: median([run[key] for run in runs]) for key in runs[0]} for p, runs in found.items()}


def median(values: Sequence[Any]) -> Any:
    """The middle one; None where one is not known."""
    return None if None in values else sorted(values)[len(values) // 2]


def first_inference(program: Any, folder: Path, precision: str, threads: int) -> dict[str, Any]:
    """Milliseconds to load the model and of its first inference, and the megabytes that the process grew by."""
    import numpy as np

    program.library(precision)  # what it takes by itself is not the model's
    deployment = program.Deployment(folder / DEPLOYMENT)
    image = deployment.input(np.asarray(np.load(str(folder / IMAGES), mmap_mode="r", allow_pickle=False)[0]))
    before, start = resident_mb(), time.perf_counter()
    network = deployment.load(precision, threads)
    loaded = time.perf_counter()
    ready = network.ready(image)
    network.scores(ready)
    done = time.perf_counter()
    for _ in range(WARM_UP):
        network.scores(ready)
    after = resident_mb()
    grown = None if before is None or after is None else round(max(after - before, 0.0), 3)
    load_ms, first_ms = round(1000 * (loaded - start), 4), round(1000 * (done - loaded), 4)
    return {"load_ms": load_ms, "first_ms": first_ms, "memory_mb": grown}


def resident_mb() -> float | None:
    """Megabytes (10^6 bytes) of memory that this process holds, on Linux; None elsewhere."""
    fields = read_text("/proc/self/statm").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6 if len(fields) > 1 else None
