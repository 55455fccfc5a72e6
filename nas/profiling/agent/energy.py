"""Energy: windows in which one model runs again and again, idle windows between them, and a load pattern."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .journal import Journal
from .meters import Meter
from .plan import is_network, read_model, reference_item
from .runner import Runner
from .terminal import Progress

BARKER = (1, 1, 1, 1, 1, 0, 0, 1, 1, 0, 1, 0, 1)  # Barker 13: shifted against itself it hardly agrees
PATTERN_STEP_S = 1.5  # a meter that samples once a second still sees every step
PATTERN_QUIET_S = 3.0  # before and after the pattern
LONGEST_ENERGY_S = 1800
IDLE_EVERY = 8  # windows between two idle windows: a board's idle power drifts as it warms
LAST_IDLES = 3


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
