"""Every item timed in rounds, until its median is known well enough."""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .journal import Journal
from .plan import is_network, read_model
from .runner import Runner
from .terminal import Progress, Refused, say

STUDENT = (0, 12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.2, 2.18, 2.16, 2.14, 2.13)  # t, 97.5%
RENEWED = 20  # visits after which the references are loaded again: where a session lies in memory matters by per cents


def uncertainty(relatives: Sequence[float]) -> float:
    """Half the 95% confidence interval of the median over visits, as a fraction of it: t, and 1.25 as for a median."""
    if len(relatives) < 2:
        return math.inf
    t = STUDENT[min(len(relatives), len(STUDENT)) - 1]
    return 1.25 * t * statistics.stdev(relatives) / math.sqrt(len(relatives)) / statistics.median(relatives)


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
