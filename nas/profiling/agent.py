"""Measures the models of a bundle on the machine that it runs on. One file: Python 3.8 or later, NumPy, and the
bundle's runtime: ONNX Runtime or LiteRT.

    python agent.py                    measures what plan.json beside it lists, into results.json
    python agent.py --threads 4        with four threads (default: 1)
    python agent.py --meter rapl       and energy, by the processor's own counters
    python agent.py --only-check       checks the bundle and the machine, and says how long it will take

Stop it at any time; the same command goes on. Leave the machine alone meanwhile: no browser, no updates. Every run of
a model is timed in turn with a run of one reference network, so that a change of the machine's speed falls on both.

Exit status: 0 done, 2 what was given is wrong, 3 something must be installed, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import glob
import hashlib
import json
import math
import os
import platform
import random
import statistics
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

AGENT = "1"
FORMAT = 1
LARGEST_MODEL = 1 << 30  # bytes
LARGEST_PLAN = 64 << 20
MOST_THREADS = 1024
STUDENT = (0, 12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.2, 2.18, 2.16, 2.14, 2.13)  # t, 97.5%
CAST = b"InsertedPrecisionFreeCast_"  # what ONNX Runtime puts before an operation that it has in float32 alone
READS_FILES = (b"location", b"EPContext")  # the key of ONNX's files of weights, the operation that loads a compiled one
RENEWED = 20  # visits after which the references are loaded anew: where a session lies in memory is worth some per cent
WARM_UP_BATCH, WARM_UP_BATCHES, STEADY = 3, 8, 0.95  # warm once three runs are no longer 5% faster than those before

CPU = "CPUExecutionProvider"  # ONNX Runtime's default
RUNTIMES = ("onnxruntime", "litert")  # of a plan; the first where it names none
KINDS = ("reference", "block", "calibrate", "check")
ITEM_TEXTS = ("id", "name", "precision", "kind", "file", "sha256")
SETTINGS = {  # least, most; whole numbers but for seconds and fractions
    "runs": (1, 10_000), "most_runs": (1, 10_000), "visit_s": (0.0, 600.0), "least_rounds": (1, 1000),
    "rounds": (1, 1000), "network_factor": (1, 100), "within": (0.0, 100.0),
}  # fmt: skip
FIGURES = ("median_ms", "p90_ms", "p99_ms", "relative", "reference_ms")
ENTRIES = {  # the numbers that the lines of the journal have
    "visit": ("at", "runs", *FIGURES), "window": ("start", "end", "runs"), "idle": ("start", "end"),
    "pattern": ("start", "end"),
}  # fmt: skip


class Refused(Exception):
    """One line for the user. `status` is the exit status: 2 what was given is wrong, 3 something must be installed."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status


def say(text: str, end: str = "\n") -> None:
    """Writes on standard error, without what could steer a terminal. A terminal that went away stops no measurement."""
    shown = "".join(c if c.isprintable() or c == "\r" else "?" for c in text)
    with contextlib.suppress(OSError, ValueError):
        print(shown, end=end, file=sys.stderr, flush=True)


# ---- the plan and what was measured before


def read_plan(folder: str | Path) -> dict[str, Any]:
    """plan.json, checked: every model inside the folder, of the sha256 that the plan states. Raises Refused."""
    path = Path(folder) / "plan.json"
    try:
        if path.stat().st_size > LARGEST_PLAN:
            raise Refused(f"{path}: a plan has at most {LARGEST_PLAN} bytes")
        plan = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path}: is no plan: {str(error)[:200]}") from None
    try:
        check_plan(plan)
    except Refused as refused:
        raise Refused(f"{path}: {refused}; make the bundle anew") from None
    checked: dict[str, str] = {}
    for item in plan["items"]:
        name = item["file"]
        if name not in checked:
            checked[name] = hashlib.sha256(read_model(folder, name)).hexdigest()
        if checked[name] != item["sha256"]:
            raise Refused(f"{name}: is not the file that the plan was made with; make the bundle anew")
    return dict(plan)


def check_plan(plan: Any) -> None:
    """Raises Refused for anything in a plan that what follows could not work with."""
    if not isinstance(plan, dict) or plan.get("format") != FORMAT:
        raise Refused(f"this agent reads plans of format {FORMAT}")
    settings, items = plan.get("settings"), plan.get("items")
    if not isinstance(settings, dict) or not isinstance(items, list):
        raise Refused("it must have settings and items")
    for name, (least, most) in SETTINGS.items():
        check_number(f"settings.{name}", settings.get(name), least, most)
    check_number("seed", plan.get("seed"), -(2**63), 2**63)
    if plan.get("runtime", RUNTIMES[0]) not in RUNTIMES:
        raise Refused(f"this agent measures with {' or '.join(RUNTIMES)}; got {str(plan['runtime'])[:40]}")
    for number, item in enumerate(items):
        for key in ITEM_TEXTS:
            text = item.get(key) if isinstance(item, dict) else None
            if not isinstance(text, str) or not 0 < len(text) <= 400:
                raise Refused(f"items[{number}].{key} must be a text of 1 to 400 characters")
        if item["kind"] not in KINDS:
            raise Refused(f"items[{number}].kind must be one of {', '.join(KINDS)}; got {item['kind']}")
    if len({item["id"] for item in items}) < len(items):
        raise Refused("no two items may have one id")
    compared = [item["precision"] for item in items if item["kind"] == "reference"]
    others = {item["precision"] for item in items if item["kind"] != "reference"}
    if not others or not others <= set(compared) or len(set(compared)) < len(compared):
        raise Refused("it must have items to measure, and one item of the kind reference in each of their precisions")


def check_number(name: str, value: Any, least: float, most: float) -> None:
    kinds = (int, float) if isinstance(least, float) else (int,)
    if not isinstance(value, kinds) or isinstance(value, bool) or not least <= value <= most:
        what = "number" if isinstance(least, float) else "whole number"
        raise Refused(f"{name} must be a {what} from {least} to {most}")


def read_model(folder: str | Path, name: str) -> bytes:
    """The bytes of a model inside the folder. Raises Refused, also for a model that would read other files."""
    try:
        path = (Path(folder) / name).resolve()
        if Path(folder).resolve() not in path.parents or not path.is_file():
            raise Refused(f"{name}: a model must be a file inside the bundle")
        if path.stat().st_size > LARGEST_MODEL:
            raise Refused(f"{name}: a model has at most {LARGEST_MODEL} bytes")
        content = path.read_bytes()
    except (OSError, ValueError, RuntimeError) as error:  # a NUL in the name, a link to itself
        raise Refused(f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if any(key in content for key in READS_FILES):
        raise Refused(f"{name}: a model must hold its weights itself")
    return content


class Journal:
    """measurements.jsonl: one line a measurement, on the disk before the next begins. The first says how it is done.

    Raises Refused when the file is something else, was begun with another setting, or cannot be written.
    """

    def __init__(self, path: str | Path, setting: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.entries: list[dict[str, Any]] = []
        content = self.path.read_bytes() if self.path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]  # a line cut off by a kill or a full disk is dropped
        try:
            lines = [json.loads(line) for line in whole.decode("utf-8").splitlines()]
        except (ValueError, RecursionError):
            lines = [None]
        if not all(isinstance(line, dict) for line in lines):
            raise Refused(f"{self.path}: is no file of measurements; move it away")
        if len(whole) < len(content):
            os.truncate(self.path, len(whole))
        if lines:
            self.first, self.entries = lines[0], lines[1:]
            self._check(setting)
        else:
            self.first = dict(setting, before=condition())
            self._append(self.first)

    def add(self, entry: dict[str, Any]) -> None:
        self._append(entry)
        self.entries.append(entry)

    def _check(self, setting: Mapping[str, Any]) -> None:
        for key, value in setting.items():
            if self.first.get(key) != value:
                was = "another plan" if key == "plan" else f"{key} {self.first.get(key)}, this is {value}"
                raise Refused(f"{self.path}: was begun with {was}; move it away to begin anew")
        whole = isinstance(self.first.get("before"), dict)
        for entry in self.entries:
            needed = ENTRIES.get(str(entry.get("kind")), ())
            whole &= all(isinstance(entry.get(key), (int, float)) for key in needed)
        if not whole:
            raise Refused(f"{self.path}: was changed by something else; move it away to begin anew")

    def _append(self, entry: dict[str, Any]) -> None:
        try:
            with self.path.open("ab") as file:
                file.write(f"{json.dumps(entry)}\n".encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise Refused(
                f"{self.path}: cannot be written: {error.strerror}; what it has is kept, the same command goes on"
            ) from None


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keeps a second agent from measuring into the same file meanwhile, where the system has locks."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"{path}: another agent is measuring into it; wait for it, or stop it") from None
        except OSError:  # a file system without locks
            pass
        yield


# ---- the machine


def read_text(path: str | Path) -> str:
    """The beginning of a small file, empty if it cannot be read."""
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            return file.read(65536).strip("\0\n ")
    except OSError:
        return ""


def paths(folder: str | Path, pattern: str) -> list[Path]:
    """What matches; unlike pathlib's own, nothing where a folder may not be read."""
    return [Path(path) for path in sorted(glob.glob(os.path.join(folder, pattern)))]  # noqa: PTH118, PTH207


def numbers(found: Iterable[Path]) -> list[float]:
    """The numbers in these files; those that cannot be read are left out."""
    read: list[float] = []
    for path in found:
        with contextlib.suppress(ValueError):
            read.append(float(read_text(path)))
    return read


def condition(root: str | Path = "/") -> dict[str, Any]:
    """Governor, clock and temperature now, and how often the processor slowed itself down; None where it won't tell."""
    cpu = Path(root) / "sys/devices/system/cpu"
    mhz = numbers(paths(cpu, "cpu*/cpufreq/scaling_cur_freq"))
    celsius = numbers(paths(root, "sys/class/thermal/thermal_zone*/temp"))
    throttled = numbers(paths(cpu, "cpu*/thermal_throttle/core_throttle_count"))
    governors = sorted({read_text(path) for path in paths(cpu, "cpu*/cpufreq/scaling_governor")} - {""})
    pi = read_text(Path(root) / "sys/devices/platform/soc/soc:firmware/get_throttled")
    return {
        "governor": ", ".join(governors) or None,
        "mhz": max(mhz) / 1000 if mhz else None,
        "celsius": max(celsius) / 1000 if celsius else None,
        "throttle_count": sum(throttled) if throttled else None,
        "pi_throttled": pi or None,  # bits: https://www.raspberrypi.com/documentation/computers/os.html#get_throttled
    }


def throttling(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What was noticed of the processor slowing itself down, in words."""
    said = []
    if None not in (before.get("throttle_count"), after.get("throttle_count")):
        times = after["throttle_count"] - before["throttle_count"]
        if times > 0:
            said.append(f"the processor throttled itself {times:.0f} times")
    old, new = pi_bits(before.get("pi_throttled")), pi_bits(after.get("pi_throttled"))
    new |= old & 0xF  # what held when it began
    for bit, what in enumerate(("under-voltage", "frequency capped", "throttled", "soft temperature limit")):
        # 16 bits higher: it has happened since the board was started, which may have been before we began
        if new & 1 << bit or new & ~old & 1 << bit + 16:
            said.append(what)
    if before.get("mhz") and after.get("mhz") and after["mhz"] < 0.9 * before["mhz"]:
        said.append(f"the clock fell from {before['mhz']:.0f} to {after['mhz']:.0f} MHz")
    return said


def pi_bits(text: Any) -> int:
    try:
        return int(text or "0", 16)
    except (ValueError, TypeError):
        return 0


def disturbances(root: str | Path = "/") -> list[str]:
    """What will make the timings noisier than they need be, in words."""
    said = []
    governor = condition(root)["governor"]
    if governor not in (None, "performance"):
        said.append(
            f"the governor is {governor}, so the clock changes with the load; better: "
            "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        )
    fastest = set(numbers(paths(root, "sys/devices/system/cpu/cpu*/cpufreq/cpuinfo_max_freq")))
    if len(fastest) > 1 and len(usable_cpus()) > 1:
        said.append("this machine has fast and slow processors; choose those to measure by --cpus")
    with contextlib.suppress(AttributeError, OSError):  # Windows has none
        load, cores = os.getloadavg()[0], os.cpu_count() or 1
        if load > cores / 2:
            said.append(f"the machine is busy: {load:.1f} programs run on its {cores} processors; better stop them")
    return said


def usable_cpus() -> list[int]:
    """The processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def stay_on(text: str) -> list[int]:
    """Keeps this process on the processors of a list like "0,1", and gives them. Raises Refused."""
    if not hasattr(os, "sched_setaffinity"):
        raise Refused("--cpus works on Linux alone; leave it out")
    try:
        cpus = sorted({int(cpu) for cpu in text.split(",")})
        os.sched_setaffinity(0, cpus)
    except (ValueError, OverflowError, OSError):
        usable = ",".join(map(str, usable_cpus()))
        raise Refused(f"--cpus must be numbers of processors, of {usable}, with commas between; got {text}") from None
    return cpus


def processor() -> str:
    for line in read_text("/proc/cpuinfo").splitlines():
        if line.lower().startswith(("model name", "hardware")):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "unknown"


def machine(setting: Mapping[str, Any]) -> dict[str, Any]:
    """The machine in words, as results.json has it."""
    try:
        ram = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    except (AttributeError, ValueError, OSError):
        ram = None
    return dict(
        setting, system=platform.system(), machine=platform.machine(), processor=processor(),
        board=read_text("/proc/device-tree/model") or None, python=platform.python_version(), ram_mb=ram,
    )  # fmt: skip


# ---- timing


class Runner(ABC):
    """Runs models: `threads` threads, one operation after the other. The runtimes are its subclasses.

    `title` is the runtime with its version, `provider` what it computes with, `name` both in words, `clock` gives
    seconds. Raises Refused with status 3 where something is missing: what it `needs`.
    """

    title, name, provider, needs = "", "", "CPU", ""

    def __init__(self, threads: int) -> None:
        try:
            import numpy
        except ImportError as error:
            raise self.missing(error) from None
        self.numpy, self.threads = numpy, threads

    def missing(self, error: ImportError) -> Refused:
        return Refused(f"this needs NumPy and {self.needs} ({error})", 3)

    def set_clock(self, alone: bool) -> None:
        """The time in which the thread ran, if it computes `alone`: turns of other programs are not the model's."""
        # too coarse on Windows
        fine = hasattr(time, "thread_time") and time.get_clock_info("thread_time").resolution < 1e-6
        self.clock_name = "thread" if alone and fine else "wall"
        self.clock = time.thread_time if self.clock_name == "thread" else time.perf_counter

    @abstractmethod
    def load(self, model: bytes, seed: int) -> Callable[[], Any]:
        """A function that runs the model once, on random data of its input's type."""

    @abstractmethod
    def runs_as_float32(self, model: bytes) -> bool:
        """Whether this runtime computes a float16 model in float32."""

    def prepare(self, model: bytes, seed: int = 0) -> Callable[[], float]:
        """The model on random data, warmed up: each call runs it once and returns the seconds that it took."""
        run, clock = self.load(model, seed), self.clock

        def once() -> float:
            start = clock()
            run()
            return clock() - start

        try:
            warm_up(once)
        except Exception as error:
            raise self.failed(error) from None
        return once

    def visit(self, model: bytes, reference: Callable[[], float], settings: Mapping[str, Any]) -> dict[str, Any]:
        """Times a model in turn with the reference: `relative` is the median of each run's time over that of the
        reference runs around it, the machine's speed at that moment left out.

        Either runs twice and the second counts: what the other left in the caches is nobody's cost.
        """
        np, once = self.numpy, self.prepare(model)
        both = max(2 * (once() + reference()), 1e-7)
        runs = int(min(settings["most_runs"], max(settings["runs"], settings["visit_s"] / both)))
        at, beside, times = time.time(), [warm(reference)], []
        for _ in range(runs):
            times.append(warm(once))
            beside.append(warm(reference))
        ms, around = np.array(times) * 1000, np.array(beside) * 1000
        between = (around[:-1] + around[1:]) / 2
        fine = (ms > 0) & (between > 0)  # a clock of the thread's time stands still now and then
        if fine.mean() < 0.9:
            raise Refused(f"the clock of this machine ({self.clock_name}) is too coarse to time a model")
        ms, between = ms[fine], between[fine]
        figures = {
            "median_ms": np.median(ms), "p90_ms": np.quantile(ms, 0.9), "p99_ms": np.quantile(ms, 0.99),
            "relative": np.median(ms / between), "reference_ms": np.median(between),
        }  # fmt: skip
        return dict({key: float(f"{value:.6g}") for key, value in figures.items()}, at=at, runs=runs)

    def failed(self, error: Exception) -> Refused:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return Refused(f"{self.title} cannot run a model: {reason[:300]}")


class OnnxRuntime(Runner):
    """Runs ONNX models."""

    needs = "ONNX Runtime: pip install numpy onnxruntime"

    def __init__(self, threads: int, provider: str) -> None:
        super().__init__(threads)
        try:
            import onnxruntime
        except ImportError as error:
            raise self.missing(error) from None
        if provider not in onnxruntime.get_available_providers():
            known = ", ".join(onnxruntime.get_available_providers())
            raise Refused(f"--provider must be one that this ONNX Runtime has: {known}; not {provider}")
        self.onnxruntime, self.provider = onnxruntime, provider
        self.title = f"ONNX Runtime {onnxruntime.__version__}"
        self.name = f"{self.title} {provider.replace('ExecutionProvider', '')}"
        self.set_clock(threads == 1 and provider == CPU)

    def session(self, model: bytes, optimized: str | None = None) -> Any:
        """The model, ready to run; also written to the path `optimized` as the runtime will run it."""
        ort = self.onnxruntime
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        if optimized:
            options.optimized_model_filepath = optimized
        try:
            return ort.InferenceSession(model, options, providers=[self.provider])
        except Exception as error:  # it raises many kinds
            raise self.failed(error) from None

    def runs_as_float32(self, model: bytes) -> bool:
        """It does where it converts what the first operation reads.

        Later operations may still be converted, as a deployed network's are.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "optimized.onnx"
            image = self.session(model, str(path)).get_inputs()[0]
            # a whole network takes float32, and its own conversion is merged with the runtime's
            first = CAST + image.name.encode() if image.type == "tensor(float16)" else CAST
            return first in path.read_bytes()

    def load(self, model: bytes, seed: int) -> Callable[[], Any]:
        np, session = self.numpy, self.session(model)
        rng, image = np.random.default_rng(seed), session.get_inputs()[0]
        if not all(isinstance(size, int) and size > 0 for size in image.shape):
            raise Refused(f"a model's input must have a fixed shape; got {image.shape}")
        if image.type == "tensor(uint8)":
            values = rng.integers(0, 256, image.shape, dtype=np.uint8)
        else:
            values = rng.standard_normal(image.shape).astype(np.float16 if "float16" in image.type else np.float32)
        binding = session.io_binding()
        binding.bind_cpu_input(image.name, values)
        binding.bind_output(session.get_outputs()[0].name)
        return lambda: session.run_with_iobinding(binding)


class LiteRT(Runner):
    """Runs TFLite models through LiteRT or, as it was called before, TensorFlow Lite, with XNNPACK."""

    needs = "LiteRT: pip install numpy ai-edge-litert; for Python 3.8: pip install 'numpy<2' tflite-runtime"

    def __init__(self, threads: int, provider: str) -> None:
        if provider != CPU:
            raise Refused(f"--provider is for ONNX Runtime; this bundle is for LiteRT, on the CPU; got {provider}")
        super().__init__(threads)
        self.interpreter, self.title = self._find()
        self.name = f"{self.title} CPU"
        self.set_clock(threads == 1)  # XNNPACK then computes on the thread that calls it

    def _find(self) -> tuple[Any, str]:
        """The class of interpreters, and the package's name and version."""
        try:
            import ai_edge_litert
            from ai_edge_litert.interpreter import Interpreter

            return Interpreter, f"LiteRT {getattr(ai_edge_litert, '__version__', '(unknown version)')}"
        except ImportError as error:
            missing = self.missing(error)
        try:
            import tflite_runtime
            from tflite_runtime.interpreter import Interpreter

            return Interpreter, f"TensorFlow Lite {tflite_runtime.__version__}"
        except ImportError:
            raise missing from None

    def runs_as_float32(self, model: bytes) -> bool:
        return True

    def load(self, model: bytes, seed: int) -> Callable[[], Any]:
        np = self.numpy
        try:
            interpreter = self.interpreter(model_content=model, num_threads=self.threads)
            interpreter.allocate_tensors()
            image = interpreter.get_input_details()[0]
            rng, shape = np.random.default_rng(seed), image["shape"]
            if image["dtype"] == np.int8:
                values = rng.integers(-128, 128, shape, dtype=np.int8)
            else:
                values = rng.standard_normal(shape).astype(np.float32)
            interpreter.set_tensor(image["index"], values)
            run: Callable[[], Any] = interpreter.invoke
        except Exception as error:  # it raises many kinds
            raise self.failed(error) from None
        return run


def open_runner(plan: Mapping[str, Any], threads: int, provider: str) -> Runner:
    """The runtime that the plan's models are for. Raises Refused where it is missing."""
    known = {"onnxruntime": OnnxRuntime, "litert": LiteRT}
    return known[plan.get("runtime", RUNTIMES[0])](threads, provider)


def warm_up(once: Callable[[], float]) -> None:
    """Runs it until it gets no faster."""
    before = math.inf
    for _ in range(WARM_UP_BATCHES):
        batch = min(once() for _ in range(WARM_UP_BATCH))
        if batch > STEADY * before:
            break
        before = min(before, batch)


def warm(once: Callable[[], float]) -> float:
    """Seconds of the second of two runs."""
    once()
    return once()


def uncertainty(relatives: Sequence[float]) -> float:
    """Half the 95% confidence interval of the median over visits, as a fraction of it: t, and 1.25 as for a median."""
    if len(relatives) < 2:
        return math.inf
    t = STUDENT[min(len(relatives), len(STUDENT)) - 1]
    return 1.25 * t * statistics.stdev(relatives) / math.sqrt(len(relatives)) / statistics.median(relatives)


class Progress:
    """A bar (the default on a terminal), else a line every ten seconds."""

    def __init__(self, what: str, bar: bool | None = None) -> None:
        self.what, self.bar = what, sys.stderr.isatty() if bar is None else bar
        self.start, self.said, self.first = time.monotonic(), -math.inf, -1

    def show(self, done: int, total: int, last: bool = False) -> None:
        self.first = done - 1 if self.first < 0 else self.first
        now = time.monotonic()
        if not last and now - self.said < (0.2 if self.bar else 10):
            return
        self.said = now
        left = int((now - self.start) / max(done - self.first, 1) * (total - done))
        text = f"{self.what} {done}/{total}, {minutes(left)} left"
        if self.bar:
            filled = 20 * done // max(total, 1)
            say(f"\r[{'#' * filled}{'-' * (20 - filled)}] {text:<52}", end="\n" if last else "")
        else:
            say(text)


def minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def measurable(plan: Mapping[str, Any], folder: str | Path, runner: Runner) -> list[dict[str, Any]]:
    """The items to time: all but the reference, and those in fp16 where the runtime has it not. Raises Refused if
    none is left."""
    items = [item for item in plan["items"] if item["kind"] != "reference"]
    # a block rather than a whole network: it takes float16 itself
    example = min((item for item in items if item["precision"] == "fp16"), key=is_network, default=None)
    if example and runner.runs_as_float32(read_model(folder, example["file"])):
        items = [item for item in items if item["precision"] != "fp16"]
    if not items:
        raise Refused("nothing is left to measure: this runtime has none of the plan's precisions")
    return items


def is_network(item: Mapping[str, Any]) -> bool:
    return item["kind"] in ("calibrate", "check")


def reference_item(plan: Mapping[str, Any]) -> dict[str, Any]:
    """The first reference: a network to load the machine with."""
    return next(item for item in plan["items"] if item["kind"] == "reference")


def prepare_references(
    plan: Mapping[str, Any], folder: str | Path, runner: Runner, items: Sequence[Mapping[str, Any]]
) -> dict[str, Callable[[], float]]:
    """The reference of each precision that is measured, ready to run."""
    measured = {item["precision"] for item in items}
    wanted = [item for item in plan["items"] if item["kind"] == "reference" and item["precision"] in measured]
    return {item["precision"]: runner.prepare(read_model(folder, item["file"])) for item in wanted}


def often(item: Mapping[str, Any], settings: Mapping[str, Any]) -> int:
    """Visits to an item in a round: whole networks are few, and each weighs more than a block."""
    return int(settings["network_factor"]) if is_network(item) else 1


def time_items(
    plan: Mapping[str, Any], folder: str | Path, runner: Runner, journal: Journal, bar: bool | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Visits every item round by round, in random order, until its median is known well enough or `rounds` are over.

    Gives the visits by the item's id, those that the journal had before among them.
    """
    settings = plan["settings"]
    items = measurable(plan, folder, runner)
    references: dict[str, Callable[[], float]] = {}
    visits: dict[str, list[dict[str, Any]]] = {item["id"]: [] for item in items}
    for entry in journal.entries:
        if entry.get("kind") == "visit" and entry.get("id") in visits:
            visits[entry["id"]].append(entry)
    progress = Progress("timing", bar)
    for turn in range(settings["rounds"]):
        due: list[dict[str, Any]] = []
        for item in items:
            found = visits[item["id"]]
            known = uncertainty([visit["relative"] for visit in found])
            settled = turn >= settings["least_rounds"] and known <= settings["within"]
            due += [item] * (0 if settled else max(0, (turn + 1) * often(item, settings) - len(found)))
        random.Random(f"{plan['seed']} {turn}").shuffle(due)
        later = max(0, settings["least_rounds"] - 1 - turn) * sum(often(item, settings) for item in items)
        before = sum(map(len, visits.values()))
        for position, item in enumerate(due, 1):
            if position % RENEWED == 1:
                references = prepare_references(plan, folder, runner, items)
            entry = runner.visit(read_model(folder, item["file"]), references[item["precision"]], settings)
            entry.update(kind="visit", id=item["id"])
            journal.add(entry)
            visits[item["id"]].append(entry)
            progress.show(before + position, before + len(due) + later)
    done = sum(map(len, visits.values()))
    progress.show(done, done, last=True)
    return visits


def expected_seconds(
    plan: Mapping[str, Any], folder: str | Path, runner: Runner, items: Sequence[Mapping[str, Any]], sample: int = 6
) -> tuple[float, float]:
    """How long timing takes on a quiet machine and at most, from visits to a few blocks and a few networks."""
    settings, a_round = plan["settings"], 0.0
    references = prepare_references(plan, folder, runner, items)
    for network in (False, True):
        group = [item for item in items if is_network(item) == network]
        if group:
            start = time.perf_counter()
            some = random.Random(plan["seed"]).sample(group, min(sample, len(group)))
            for item in some:
                runner.visit(read_model(folder, item["file"]), references[item["precision"]], settings)
            each = (time.perf_counter() - start) / len(some)
            a_round += each * sum(often(item, settings) for item in group)
    return a_round * min(settings["least_rounds"], settings["rounds"]), a_round * settings["rounds"]


def report(
    items: Sequence[Mapping[str, Any]], visits: Mapping[str, Sequence[Mapping[str, Any]]], settings: Mapping[str, Any]
) -> None:
    """Says how even the machine was, and how many items are not known as well as was wanted."""
    precision = {item["id"]: item["precision"] for item in items}
    for each in dict.fromkeys(precision[name] for name in visits):
        took = sorted(v["reference_ms"] for name, found in visits.items() if precision[name] == each for v in found)
        low, middle, high = (took[int(share * (len(took) - 1))] for share in (0.1, 0.5, 0.9))
        say(f"the {each} reference took {middle:.3g} ms, {low:.3g} to {high:.3g} ms in the middle 80% of visits")
    wide = 0
    for item in items:
        found = visits.get(item["id"])
        if found is not None and uncertainty([visit["relative"] for visit in found]) > settings["within"]:
            wide += 1
    say(f"{len(visits) - wide} of {len(visits)} medians are known within {100 * settings['within']:.3g}%")


# ---- energy


BARKER = (1, 1, 1, 1, 1, 0, 0, 1, 1, 0, 1, 0, 1)  # Barker 13: shifted against itself it hardly agrees
PATTERN_STEP_S = 1.5  # a meter that samples once a second still sees every step
PATTERN_QUIET_S = 3.0  # before and after the pattern
SAMPLE_S = 0.02
LONGEST_ENERGY_S = 1800
IDLE_EVERY = 8  # windows between two idle windows: a board's idle power drifts as it warms
LAST_IDLES = 3
TOTAL_RAILS = ("VDD_IN", "POM_5V_IN", "VDD_SYS_IN")  # the rail of a Jetson that feeds all others


class Meter(Protocol):
    """What reads energy. `includes` says in words what its energy covers; `period_s` are the seconds between two
    changes of what it reads, None where it has no readings, or before start()."""

    name: str
    includes: str
    period_s: float | None

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def joules(self) -> float | None:
        """Since start(); None where it has no readings."""

    def reading(self) -> tuple[float, float | None]:
        """Unix seconds, and the joules at that moment."""


class CounterMeter:
    """Energy counters in the hardware: `counters` are (function that reads joules, joules at which it wraps around).

    More than one wrap-around between two readings goes unseen. RAPL's comes after minutes at full load, and the two
    readings of a window are seconds apart.
    """

    def __init__(self, name: str, includes: str, counters: Sequence[tuple[Callable[[], float], float]]) -> None:
        self.name, self.includes, self._counters = name, includes, counters
        self.period_s: float | None = None
        self._last, self._joules = [read() for read, _ in counters], 0.0

    def start(self) -> None:
        self.joules()
        self._joules, self.period_s = 0.0, self._period()

    def stop(self) -> None:
        pass

    def joules(self) -> float:
        for i, (read, wraps_at) in enumerate(self._counters):
            now = read()
            step = now - self._last[i]
            self._joules += step + wraps_at if step < 0 else step
            self._last[i] = now
        return self._joules

    def reading(self) -> tuple[float, float]:
        joules = self.joules()
        return time.time(), joules

    def _period(self, changes: int = 5, limit_s: float = 1.0) -> float:
        """Seconds between two changes of the first counter, as found now; the limit where it hardly changed."""
        read = self._counters[0][0]
        began, last = time.monotonic(), read()
        times: list[float] = []
        while len(times) <= changes and time.monotonic() < began + limit_s:
            now = read()
            if now != last:
                times.append(time.monotonic())
                last = now
        return (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else limit_s


class SampledMeter:
    """Power that a thread reads again and again and adds up by the trapezoid rule; `watts` reads it once."""

    def __init__(self, name: str, includes: str, watts: Callable[[], float], period_s: float = SAMPLE_S) -> None:
        self.name, self.includes = name, includes
        self.period_s: float | None = period_s
        self._watts, self._every, self._lock, self._ended = watts, period_s, threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None
        self._joules, self._at, self._last = 0.0, time.monotonic(), watts()

    def start(self) -> None:
        self.joules()
        self._joules = 0.0
        self._ended.clear()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def joules(self) -> float:
        with self._lock:
            watts, at = self._watts(), time.monotonic()  # time.time() may be set while we measure
            self._joules += (watts + self._last) / 2 * (at - self._at)
            self._last, self._at = watts, at
            return self._joules

    def reading(self) -> tuple[float, float]:
        joules = self.joules()
        return time.time(), joules

    def _sample(self) -> None:
        while not self._ended.wait(self._every):
            try:
                self.joules()
            except Refused:  # one failed reading is bridged; if all fail, the window's own reading raises
                continue


class ExternalMeter:
    """A meter that the board cannot read: windows get their times alone."""

    name, includes = "external", "what the external meter feeds"
    period_s: float | None = None

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def joules(self) -> None:
        return None

    def reading(self) -> tuple[float, None]:
        return time.time(), None


def open_meter(spec: str, sysfs: str | Path = "/sys") -> Meter | None:
    """The meter of that name, None for "none"; after a colon stand its rails (ina3221) or its GPU's number (nvml)."""
    name, _, which = spec.partition(":")
    if spec == "none":
        return None
    if spec == "external":
        return ExternalMeter()
    if spec == "rapl":
        return open_rapl(sysfs)
    if name == "ina3221":
        return open_ina3221(sysfs, which)
    if name == "nvml" and (not which or which.isdigit()):
        return open_nvml(int(which[:9] or 0))
    known = "rapl, ina3221, ina3221:RAIL+RAIL, nvml, nvml:1, external, none"
    raise Refused(f"unknown meter {spec!r} (known: {known})")


def open_rapl(sysfs: str | Path = "/sys") -> CounterMeter:
    """Intel's and AMD's package counters. `psys` holds the packages, and would count them twice."""
    folders = paths(sysfs, "class/powercap/intel-rapl:*")
    packages = [folder for folder in folders if read_text(folder / "name").startswith("package")]
    if not packages:
        raise Refused(
            f"no RAPL here: {sysfs}/class/powercap has no intel-rapl package (ARM has none, virtual machines hide it)"
        )

    def counter(folder: Path) -> tuple[Callable[[], float], float]:
        path = folder / "energy_uj"
        return lambda: read_sensor(path) / 1e6, read_sensor(folder / "max_energy_range_uj") / 1e6

    includes = (
        f"{len(packages)} processor package(s): cores, caches, memory controller, built-in graphics; "
        "without DRAM and board"
    )
    return CounterMeter("rapl", includes, [counter(folder) for folder in packages])


def open_ina3221(sysfs: str | Path = "/sys", rails: str = "") -> SampledMeter:
    """A Jetson's power monitor: its total rail, or the sum of those named, as "VDD_GPU_SOC+VDD_CPU_CV"."""
    found = ina3221_rails(sysfs)
    if not found:
        raise Refused(f"no INA3221 here: {sysfs}/bus/i2c/drivers/ina3221* has no rail with a name")
    names = rails.split("+") if rails else [name for name in TOTAL_RAILS if name in found][:1]
    known = ", ".join(sorted(found))
    if not names:
        raise Refused(f"this board has no rail that feeds all others: name those to add, as ina3221:A+B, of {known}")
    for name in names:
        if name not in found or names.count(name) > 1:
            raise Refused(f"ina3221: rails must be of {known}, each once; not {rails}")
    chosen = [found[name] for name in names]
    includes = f"the module's {' + '.join(names)}, by its INA3221"
    return SampledMeter("ina3221", includes, lambda: sum(watts() for watts in chosen))


def ina3221_rails(sysfs: str | Path) -> dict[str, Callable[[], float]]:
    """Functions that read watts, by the rail's name: hwmon (JetPack 5 and later) and iio (before it)."""
    chips = "bus/i2c/drivers/ina3221*/*/"
    rails: dict[str, Callable[[], float]] = {}
    for label in paths(sysfs, f"{chips}hwmon/hwmon*/in[1-3]_label"):
        mv, ma = (label.with_name(f"{kind}{label.name[2]}_input") for kind in ("in", "curr"))
        if mv.exists() and ma.exists():
            rails.setdefault(read_text(label), product((mv, ma), 1e-6))
    for label in paths(sysfs, f"{chips}iio:device*/rail_name_[0-2]"):
        mw = label.with_name(f"in_power{label.name[-1]}_input")
        if mw.exists():
            rails.setdefault(read_text(label), product((mw,), 1e-3))
    return {name: watts for name, watts in rails.items() if name not in ("", "NC")}  # NC: not connected


def product(sensors: Sequence[Path], unit: float) -> Callable[[], float]:
    """A function that reads these and multiplies them."""

    def read() -> float:
        value = unit
        for path in sensors:
            value *= read_sensor(path)
        return value

    return read


def open_nvml(index: int = 0) -> CounterMeter | SampledMeter:
    """An NVIDIA GPU's energy counter (Volta and later), else its power, sampled; through zeus."""
    try:
        from zeus.device import get_gpus
    except ImportError:
        raise Refused("the meter nvml needs the package zeus in this Python: pip install zeus", 3) from None
    try:
        gpus = get_gpus()
        names = [gpus.get_name(i) for i in range(len(gpus))]
        counts = index < len(names) and gpus.supports_get_total_energy_consumption(index)
    except Exception as error:  # zeus has one class for each of NVML's errors
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise Refused(f"no NVIDIA GPU can be read: {reason}") from None
    if index >= len(names):
        raise Refused(f"no GPU {index} here: NVML has {', '.join(names) or 'none'}, numbered from 0")
    includes = f"the GPU board ({names[index]}) with its memory, without the host"
    if counts:
        counter = (lambda: gpus.get_total_energy_consumption(index) / 1e3, 0.0)  # 64 bits of mJ: no wrap-around
        return CounterMeter("nvml", f"{includes}, by its energy counter", [counter])
    return SampledMeter("nvml", f"{includes}, by its sampled power", lambda: gpus.get_average_power_usage(index) / 1e3)


def read_sensor(path: str | Path) -> float:
    """The number in a file of sysfs."""
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123
            return float(file.read(64))
    except PermissionError:
        how = "run this as root"
        if Path(path).name == "energy_uj":  # for root alone since Linux 5.10
            how += ", or until the next start: sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"
        raise Refused(f"{path}: permission denied: {how}") from None
    except (OSError, ValueError) as error:
        raise Refused(f"{path}: cannot be read: {error}") from None


def measure_window(meter: Meter, once: Callable[[], float], seconds: float) -> dict[str, Any]:
    """Runs `once` again and again for so long, and at least once."""
    start, before = meter.reading()
    runs, until = 0, time.monotonic() + seconds
    while runs == 0 or time.monotonic() < until:
        once()
        runs += 1
    end, after = meter.reading()
    return {"start": start, "end": end, "runs": runs, "joules": spent(before, after)}


def measure_idle(meter: Meter, seconds: float) -> dict[str, Any]:
    start, before = meter.reading()
    time.sleep(seconds)
    end, after = meter.reading()
    return {"start": start, "end": end, "joules": spent(before, after)}


def spent(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def play_pattern(
    once: Callable[[], float], step_s: float = PATTERN_STEP_S, quiet_s: float = PATTERN_QUIET_S
) -> list[list[float]]:
    """Loads the board in the steps of a Barker sequence: the busy intervals, [[start, end], ...] in unix seconds.

    `once` should take less than a tenth of a step, and load the board as much as anything does.
    """
    time.sleep(quiet_s)
    intervals: list[list[float]] = []
    began = time.monotonic()
    for step, busy in enumerate(BARKER):
        until = began + (step + 1) * step_s
        if not busy:
            time.sleep(max(0.0, until - time.monotonic()))
            continue
        if step == 0 or not BARKER[step - 1]:
            intervals.append([time.time(), 0.0])
        while time.monotonic() < until:
            once()
        intervals[-1][1] = time.time()
    time.sleep(quiet_s)
    return intervals


def energy_section(
    meter: Meter, idle: list[dict[str, Any]], windows: list[dict[str, Any]], pattern: list[list[float]]
) -> dict[str, Any]:
    """What results.json says of energy; `idle_w` is the mean power of the idle windows, None if it is not known."""
    seconds = sum(window["end"] - window["start"] for window in idle)
    known = seconds > 0 and all(window["joules"] is not None for window in idle)
    return {
        "meter": meter.name, "includes": meter.includes, "period_s": meter.period_s,
        "utc_offset_s": time.localtime().tm_gmtoff,  # PowerTOP writes local time
        "idle_w": sum(window["joules"] for window in idle) / seconds if known else None,
        "idle": idle, "windows": windows, "pattern": pattern,
    }  # fmt: skip


def energy_items(plan: Mapping[str, Any], timed: Iterable[str], meter: Meter, seconds: float) -> list[str]:
    """The ids of the timed items that get an energy window. Blocks are left out where all would take longer than
    LONGEST_ENERGY_S, or the meter is external: then rates are fitted to the whole networks."""
    names = list(timed)
    if meter.name == "external" or len(names) * seconds > LONGEST_ENERGY_S:
        whole = {item["id"] for item in plan["items"] if is_network(item)}
        names = [name for name in names if name in whole]
    return names


def measure_energy(
    plan: Mapping[str, Any], folder: str | Path, runner: Runner, journal: Journal, meter: Meter, seconds: float,
    visits: Iterable[str], bar: bool | None = None,
) -> dict[str, Any]:  # fmt: skip
    """One window of `seconds` for every item of `visits` that `energy_items` leaves, in random order, idle windows
    between them; around them the load pattern, where the meter is external.

    What the journal has is not measured again.
    """
    wanted = energy_items(plan, visits, meter, seconds)
    models = {item["id"]: item["file"] for item in plan["items"]}
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in ("idle", "window", "pattern")}
    for entry in journal.entries:
        if entry.get("kind") in found:
            found[entry["kind"]].append(entry)

    def add(kind: str, entry: dict[str, Any]) -> None:
        entry = dict(entry, kind=kind)
        journal.add(entry)
        found[kind].append(entry)

    def pattern() -> None:
        if meter.name == "external":
            for start, end in play_pattern(runner.prepare(read_model(folder, reference_item(plan)["file"]))):
                add("pattern", {"start": start, "end": end})

    done = {entry.get("id") for entry in found["window"]}
    due = [name for name in wanted if name not in done]
    random.Random(f"{plan['seed']} energy").shuffle(due)
    if due:
        pattern()  # a run that goes on plays it again: every one helps
    progress = Progress("energy", bar)
    for position, name in enumerate(due):
        if position % IDLE_EVERY == 0:
            add("idle", measure_idle(meter, seconds))
        once = runner.prepare(read_model(folder, models[name]))
        add("window", dict(measure_window(meter, once, seconds), id=name))
        progress.show(len(done) + position + 1, len(wanted))
    if due:
        for _ in range(LAST_IDLES):
            add("idle", measure_idle(meter, seconds))
        pattern()
        progress.show(len(wanted), len(wanted), last=True)

    def plain(kind: str, keys: Sequence[str]) -> list[dict[str, Any]]:
        return [{key: entry.get(key) for key in keys} for entry in found[kind]]

    return energy_section(
        meter, plain("idle", ("start", "end", "joules")), plain("window", ("id", "start", "end", "runs", "joules")),
        [[entry["start"], entry["end"]] for entry in found["pattern"]],
    )  # fmt: skip


# ---- the command


def parser() -> argparse.ArgumentParser:
    summary, _, rest = (__doc__ or "").partition("\n")
    made = argparse.ArgumentParser(
        prog="agent.py", description=summary, epilog=rest, formatter_class=argparse.RawTextHelpFormatter
    )
    made.add_argument("--threads", type=int, default=1, help="threads that a model runs on (default: 1)")
    made.add_argument("--cpus", help="processors to stay on, for example 0,1 (default: wherever the system puts it)")
    made.add_argument("--provider", default=CPU, help="ONNX Runtime's execution provider")
    meters = "energy meter: none, rapl, ina3221[:RAIL+RAIL], nvml[:GPU], external (default: none)"
    made.add_argument("--meter", default="none", metavar="NAME", help=meters)
    window = "seconds of running that one energy reading takes (default: 3)"
    made.add_argument("--window", type=float, default=3.0, metavar="S", help=window)
    made.add_argument("--out", default="results.json", help="the results file (default: results.json)")
    made.add_argument("--bundle", default=str(Path(__file__).resolve().parent), help="the folder with plan.json")
    progress = "how progress is shown (default: a bar on a terminal, else a line every ten seconds)"
    made.add_argument("--progress", choices=("bar", "lines"), help=progress)
    only_check = "check the bundle and this machine, and say how long measuring will take"
    made.add_argument("--only-check", action="store_true", help=only_check)
    return made


def introduce(items: Sequence[Mapping[str, Any]], plan: Mapping[str, Any], runner: Runner) -> None:
    """Says what will be measured, how, and what will disturb it."""
    precisions = " ".join(dict.fromkeys(item["precision"] for item in items))
    networks = sum(map(is_network, items))
    threads = "1 thread" if runner.threads == 1 else f"{runner.threads} threads"
    governor = condition()["governor"] or "unknown"
    say(
        f"{len(items) - networks} blocks and {networks} whole networks, {precisions}; "
        f"{runner.name}, {threads}, governor {governor}"
    )
    if len(items) < len(plan["items"]) - 1:
        say("this runtime computes fp16 as fp32, so fp16 is not measured")
    if runner.threads > len(usable_cpus()):
        say(f"warning: {runner.threads} threads, but it may run on {len(usable_cpus())} processors alone")
    for what in disturbances():
        say(f"warning: {what}")


def forecast(
    plan: Mapping[str, Any], folder: Path, runner: Runner, items: Sequence[Mapping[str, Any]], meter: Meter | None,
    window_s: float,
) -> None:  # fmt: skip
    """Says how long measuring will take."""
    least, most = expected_seconds(plan, folder, runner, items)
    if meter:
        windows = len(energy_items(plan, [item["id"] for item in items], meter, window_s))
        energy = window_s * (windows + math.ceil(windows / IDLE_EVERY) + LAST_IDLES)
        least, most = least + energy, most + energy
    say(f"measuring takes about {minutes(least)} on a quiet machine, at most about {minutes(most)} (minutes:seconds)")


def write_results(path: Path, content: dict[str, Any]) -> None:
    """Writes the file; it appears only when it is whole."""
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise Refused(
            f"{path}: cannot be written: {error.strerror}; what was measured is kept, the same command goes on"
        ) from None


def check_options(options: argparse.Namespace) -> None:
    if not 1 <= options.threads <= MOST_THREADS:
        raise Refused(f"--threads must be 1 to {MOST_THREADS}; got {options.threads}")
    if not 0.1 <= options.window <= 3600:
        raise Refused(f"--window must be 0.1 to 3600 seconds; got {options.window:g}")
    out = Path(options.out)
    if out.suffix != ".json" or out.is_dir() or not out.absolute().parent.is_dir():
        raise Refused(f"--out must be a file that ends in .json, in a folder that exists; got {options.out}")


def measure(options: argparse.Namespace) -> None:
    """All of it: check, time, measure energy, write the results. Raises Refused."""
    check_options(options)
    cpus = stay_on(options.cpus) if options.cpus else None
    folder, out = Path(options.bundle), Path(options.out).absolute()
    bar = None if options.progress is None else options.progress == "bar"
    plan = read_plan(folder)
    runner = open_runner(plan, options.threads, options.provider)
    meter = open_meter(options.meter)
    items = measurable(plan, folder, runner)
    introduce(items, plan, runner)
    if options.only_check:
        forecast(plan, folder, runner, items, meter, options.window)
        return
    digest = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()
    setting = {"agent": AGENT, "plan": digest, "runtime": runner.name, "provider": runner.provider,
               "threads": runner.threads, "cpus": cpus, "clock": runner.clock_name, "meter": options.meter}  # fmt: skip
    with alone(out.with_name("measurements.jsonl")):
        journal = Journal(out.with_name("measurements.jsonl"), setting)
        visits = time_items(plan, folder, runner, journal, bar)
        energy = None
        if meter:
            meter.start()
            try:
                energy = measure_energy(plan, folder, runner, journal, meter, options.window, visits, bar)
            finally:
                meter.stop()
        after = condition()
        about = dict(machine(setting), before=journal.first["before"], after=after)
        about["throttled"] = throttling(about["before"], after)
        timed = {name: [{key: visit[key] for key in ("at", "runs", *FIGURES)} for visit in found]
                 for name, found in visits.items()}  # fmt: skip
        write_results(out, {"format": FORMAT, "agent": AGENT, "plan": plan, "machine": about, "items": timed,
                            "energy": energy})  # fmt: skip
    report(plan["items"], visits, plan["settings"])
    for what in about["throttled"]:
        say(f"noticed: {what}")
    say(f"wrote {out}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 done, 2 what was given is wrong, 3 something must be installed, 130 interrupted."""
    try:
        measure(parser().parse_args(arguments))
    except Refused as refused:
        say(f"agent: {refused}")
        return refused.status
    except OSError as error:
        say(f"agent: {error.filename or 'this machine'}: {error.strerror or error}")
        return 2
    except MemoryError:
        say("agent: this machine has too little memory for a model of the bundle")
        return 2
    except KeyboardInterrupt:
        say("")
        say("agent: stopped; the same command goes on")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
