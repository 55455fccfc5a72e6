"""`python agent.pyz verify`: runs each model of a deployment on the images of the bundle, and times them in turn.

plan.json has `deployed`: the versions, the threads, and the SHA-256 of each file by its path. Of each version N there
is its folder with its program, deployment/N; the pixels (n, r, r, 3) of the same images as its networks see them,
images/N.npy; and a few files to decode, pictures/N. What it finds goes into results.json: the answers, and what an
inference takes. The models run round by round in another order, each the second of two runs, so that a
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
from typing import Any, Callable, Sequence, Tuple

from .energy import measure_idle, measure_window
from .machine import condition, disturbances, machine, read_text, throttling
from .meters import Meter
from .plan import FORMAT, LARGEST_PLAN, check_number
from .results import AGENT, MOST_THREADS, write_results
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
DEPLOYMENT, IMAGES, PICTURES = "models/deployment", "models/images", "models/pictures"
Name = Tuple[str, str]  # a version's number, and the name of a model in it


def main(arguments: Sequence[str]) -> int:
    """The exit status, as of the agent's other work."""
    sys.dont_write_bytecode = True  # the bundle stays as it was sent
    made = argparse.ArgumentParser(prog="agent.pyz verify")
    made.add_argument("--threads", type=int, help="default: those of the plan")
    made.add_argument("--meter", default="none", help="rapl, ina3221, nvml or none")
    made.add_argument("--bundle", default=str(Path(sys.argv[0]).resolve().parent))
    made.add_argument("--first", nargs=2, help=argparse.SUPPRESS)  # a version's model, in a process of its own
    options = made.parse_args(arguments)
    folder = Path(options.bundle)
    program: Any = None
    try:
        if options.threads is not None and not 1 <= options.threads <= MOST_THREADS:
            raise Refused(f"--threads must be 1 to {MOST_THREADS}; got {options.threads}")
        if options.first:
            version, precision = options.first
            program = open_program(folder / DEPLOYMENT / version)
            print(json.dumps(first_inference(program, folder, version, precision, options.threads or 1)))
        else:
            plan = read_plan(folder)
            program = open_program(folder / DEPLOYMENT / plan["versions"][0])
            verify(program, plan, folder, options.threads or plan["threads"], options.meter)
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


def verify(program: Any, plan: Any, folder: Path, threads: int, meter_name: str = "none") -> None:
    """All of it, into results.json. Raises Refused, and the program's own."""
    import numpy as np

    meter = open_meter(meter_name)
    if meter is not None and meter.name == "external":
        raise Refused("verify reads the board's own meter: rapl, ina3221 or nvml; got external")
    before = condition()
    for what in disturbances():
        say(f"warning: {what}")
    deployments = {version: program.Deployment(folder / DEPLOYMENT / version) for version in plan["versions"]}
    pictures = {v: picture_digests(program, d, folder / PICTURES / v) for v, d in deployments.items()}
    names, missing = runnable(program, [(v, model) for v, d in deployments.items() for model in d.precisions])
    starts = first_inferences(folder, names, threads, plan["settings"]["starts"])
    networks = {name: deployments[name[0]].load(name[1], threads) for name in names}
    answers: dict[Name, dict[str, Any]] = {}
    ready: dict[Name, list[Any]] = {}
    for name, network in networks.items():
        deployment = deployments[name[0]]
        images = np.load(str(folder / IMAGES / (name[0] + ".npy")), mmap_mode="r", allow_pickle=False)
        answers[name] = answers_of(network, deployment, images, shown(*name, len(deployments)))
        ready[name] = [network.ready(deployment.input(np.asarray(image))) for image in images[:INPUTS]]
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
    versions: dict[str, Any] = {
        version: {"models": {}, "missing": missing.get(version, {}), "pictures": pictures[version]}
        for version in deployments
    }
    for name in names:
        found = dict(timed[name], **answers[name], **starts[name], **energies.get(name, {}))
        versions[name[0]]["models"][name[1]] = found
    digest = hashlib.sha256((folder / "plan.json").read_bytes()).hexdigest()
    write_results(folder / "results.json", {"format": FORMAT, "plan": digest, "machine": about, "versions": versions})


def shown(version: str, precision: str, versions: int) -> str:
    """A model's name; the version's number where there are several."""
    return precision if versions == 1 else f"version {version}, {precision}"


def runnable(program: Any, names: Sequence[Name]) -> tuple[list[Name], dict[str, dict[str, str]]]:
    """The models whose runtime is installed, and by version why others do not run.

    Raises the program's Refused where none is.
    """
    there: list[Name] = []
    missing: dict[str, dict[str, str]] = {}
    first = None
    for version, model in names:
        try:
            program.library(model)
            there.append((version, model))
        except program.Refused as refused:
            missing.setdefault(version, {})[model] = str(refused)
            first = first or refused
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
        if not plan["versions"] or not all(str(v).isalnum() for v in plan["versions"]):
            raise Refused(f"{path}: names no versions of a deployment")
        for name, (least, most) in SETTINGS.items():
            check_number(name, plan["settings"].get(name), least, most)
        check_number("threads", plan["threads"], 1, MOST_THREADS)
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


def answers_of(network: Any, deployment: Any, images: Any, name: str) -> dict[str, Any]:
    """`answers`: the deployment's to each image; of a detector also `boxes_ms`, the median of the milliseconds that
    decoding its boxes and suppressing those that overlap takes. Raises Refused where a score is not a finite number."""
    import numpy as np

    progress, found, took = Progress(f"{name} on the images"), [], []
    for number, image in enumerate(images):
        scores = network.scores(network.ready(deployment.input(np.asarray(image))))
        if not np.isfinite(scores).all():
            raise Refused(f"the {name} model gives scores that are not finite")
        start = time.perf_counter()
        found.append(deployment.answer(scores))
        took.append(1000 * (time.perf_counter() - start))
        progress.show(number + 1, len(images), last=number + 1 == len(images))
    return dict({"boxes_ms": round(float(np.median(took)), 4)} if deployment.detects else {}, answers=found)


def time_networks(
    networks: dict[Name, Any], inputs: dict[Name, Any], settings: dict[str, Any]
) -> dict[Name, dict[str, float]]:
    """p50, p90 and p99 of the time that passed and the median of CPU time, ms; `relative` is the median of a round's
    time over that of `base_of` the model in the same round, with its 95% interval. `inputs` are as each takes them."""
    import numpy as np

    names, rng = list(networks), random.Random(0)
    start = time.perf_counter()
    for name in names:
        for turn in range(WARM_UP):
            networks[name].scores(inputs[name][turn % len(inputs[name])])
    a_round = 2 * (time.perf_counter() - start) / WARM_UP
    rounds = int(min(settings["most_rounds"], max(settings["least_rounds"], settings["seconds"] / max(a_round, 1e-6))))
    wall: dict[Name, list[float]] = {name: [] for name in names}
    cpu: dict[Name, list[float]] = {name: [] for name in names}
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


def base_of(name: Name, names: Sequence[Name]) -> Name:
    """What a model's time is divided by: that of fp32 in the first version, of the same runtime, of another, or of the
    first model."""
    version, runtime = names[0][0], "".join(name[1].partition("-")[1:])
    return next((base for base in ((version, "fp32" + runtime), (version, "fp32")) if base in names), names[0])


def energies_of(
    networks: dict[Name, Any], inputs: dict[Name, Any], meter: Meter, settings: dict[str, Any]
) -> dict[Name, dict[str, float]]:
    """Millijoules of an inference, with the idle power and without: windows of each model in turn, idle ones between.

    Raises Refused where the meter reads nothing.
    """
    names, progress = list(networks), Progress("energy")
    windows: dict[Name, list[dict[str, Any]]] = {name: [] for name in names}
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


def first_inferences(folder: Path, names: Sequence[Name], threads: int, starts: int) -> dict[Name, dict[str, Any]]:
    """What `first_inference` gives, medians over new processes, one model after the other. Raises Refused."""
    found: dict[Name, list[dict[str, Any]]] = {name: [] for name in names}
    progress, total = Progress("first inferences"), starts * len(names)
    for turn in range(starts):
        for place, (version, precision) in enumerate(names):
            command = [sys.executable, str(folder / "agent.pyz"), "verify", "--bundle", str(folder)]
            command += ["--first", version, precision, "--threads", str(threads)]
            done = subprocess.run(command, capture_output=True, check=False)
            said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
            if done.returncode < 0:
                raise Refused(f"the {precision} model was ended by signal {-done.returncode} (out of memory?)")
            if done.returncode:
                raise Refused(said[-1].replace("agent: ", "", 1)[:300], done.returncode)
            found[version, precision].append(json.loads(done.stdout.decode("ascii")))
            begun = turn * len(names) + place + 1
            progress.show(begun, total, last=begun == total)
    return {p: {key: median([run[key] for run in runs]) for key in runs[0]} for p, runs in found.items()}


def median(values: Sequence[Any]) -> Any:
    """The middle one; None where one is not known."""
    return None if None in values else sorted(values)[len(values) // 2]


def first_inference(program: Any, folder: Path, version: str, precision: str, threads: int) -> dict[str, Any]:
    """Milliseconds to load the model and of its first inference, and the megabytes that the process grew by."""
    import numpy as np

    program.library(precision)  # what it takes by itself is not the model's
    deployment, images = program.Deployment(folder / DEPLOYMENT / version), folder / IMAGES / (version + ".npy")
    image = deployment.input(np.asarray(np.load(str(images), mmap_mode="r", allow_pickle=False)[0]))
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
