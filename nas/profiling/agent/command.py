"""Measures the models of a bundle on the machine that it runs on. One file: Python 3.8 or later, NumPy, and the
bundle's runtime: ONNX Runtime or LiteRT.

    python agent.pyz                   measures what plan.json beside it lists, into results.json
    python agent.pyz --threads 4        with four threads (default: 1)
    python agent.pyz --meter rapl       and energy, by the processor's own counters
    python agent.pyz --only-check       checks the bundle and the machine, and says how long it will take

Stop it at any time; the same command goes on. Leave the machine alone meanwhile: no browser, no updates. Every run of
a model is timed in turn with a run of one reference network, so that a change of the machine's speed falls on both.

Exit status: 0 done, 2 what was given is wrong, 3 something must be installed, 130 interrupted.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .energy import IDLE_EVERY, LAST_IDLES, energy_items, measure_energy
from .journal import FIGURES, Journal, alone
from .machine import condition, disturbances, machine, stay_on, throttling, usable_cpus
from .meters import Meter
from .plan import FORMAT, is_network, read_plan
from .results import AGENT, MOST_THREADS, write_results
from .runner import Runner
from .runtimes import CPU, open_runner
from .sensors import open_meter
from .terminal import Refused, minutes, say
from .timing import expected_seconds, measurable, report, time_items


def parser() -> argparse.ArgumentParser:
    summary, _, rest = (__doc__ or "").partition("\n")
    made = argparse.ArgumentParser(
        prog="agent.pyz", description=summary, epilog=rest, formatter_class=argparse.RawTextHelpFormatter
    )
    made.add_argument("--threads", type=int, default=1, help="threads that a model runs on (default: 1)")
    made.add_argument("--cpus", help="processors to stay on, for example 0,1 (default: wherever the system puts it)")
    made.add_argument("--provider", default=CPU, help="ONNX Runtime's execution provider")
    meters = "energy meter: none, rapl, ina3221[:RAIL+RAIL], nvml[:GPU], external (default: none)"
    made.add_argument("--meter", default="none", metavar="NAME", help=meters)
    window = "seconds of running that one energy reading takes (default: 3)"
    made.add_argument("--window", type=float, default=3.0, metavar="S", help=window)
    made.add_argument("--out", default="results.json", help="the results file (default: results.json)")
    made.add_argument("--bundle", default=str(Path(sys.argv[0]).resolve().parent), help="the folder with plan.json")
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
        say(f"warning: {runner.threads} threads, but it may run on {len(usable_cpus())} processors only")
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
        ids = [item["id"] for item in plan["items"] if item["kind"] != "reference"]
        journal = Journal(out.with_name("measurements.jsonl"), setting, ids)
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
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given == ["launch"]:  # over ssh
        from .launcher import main as launch  # late: Windows has no fcntl

        return launch()
    if given[:1] == ["verify"]:
        from .deployed import main as verify

        return verify(given[1:])
    try:
        measure(parser().parse_args(given))
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
