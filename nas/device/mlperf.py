"""Whole networks measured by MLPerf Inference: the results file of TensorFlow Lite's reference networks on a board.

The columns are those of mlcommons/cm4mlperf-results collected into one table: single-stream p90 latency in ms, wall
energy of the whole board in mJ per inference, idle included.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nas.errors import UserError, unknown
from nas.space.layer import PRECISIONS, Precision
from nas.space.network import Network
from nas.space.reference import REFERENCES, reference_network

COLUMNS = (
    "platform", "model", "family", "width_mult", "resolution", "precision", "latency_ms", "energy_mj_per_inference",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Run:
    """One network, measured: batch 1. `family` groups networks that are left out of a fit together."""

    name: str
    family: str
    network: Network
    precision: Precision
    latency_ms: float
    energy_mj: float | None = None


def read_mlperf(path: Path, platform: str) -> tuple[Run, ...]:
    """The runs of one platform, in the file's order.

    Raises UserError naming file and line for a missing column, a number that is missing or not above 0, a repeated
    network and precision, an unknown network, precision or platform. An empty energy is one that was not measured.
    """
    runs: dict[tuple[str, str], Run] = {}
    platforms: set[str] = set()
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if lacking := [c for c in COLUMNS if c not in (reader.fieldnames or [])]:
                raise UserError(f"{path}: needs the columns {', '.join(COLUMNS)}; missing {lacking[0]}")
            for row in reader:
                platforms.add(row["platform"])
                if row["platform"] != platform:
                    continue
                where = f"{path}: line {reader.line_num}"
                run = _run(row, where)
                if (run.name, run.precision) in runs:
                    raise UserError(f"{where} repeats {run.name} {run.precision} of {platform}")
                runs[run.name, run.precision] = run
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a readable CSV file: {error}") from None
    if not runs:
        raise unknown("platform", platform, platforms)
    return tuple(runs.values())


def architecture(family: str) -> str:
    """What is left out of a fit as one family: mobilenet_v3_large and _small are both mobilenet_v3."""
    match = re.match(r"mobilenet_v\d|efficientnet_lite|efficientnet", family)
    return match[0] if match else family


def _run(row: Mapping[str, str | None], where: str) -> Run:
    precision = next((p for p in PRECISIONS if p == row["precision"]), None)
    if precision is None:
        raise UserError(f"{where}: precision must be one of {', '.join(PRECISIONS)}; got {row['precision']!r}")
    family = row["family"] or ""
    if family not in REFERENCES:
        error = unknown("network family", family, REFERENCES)
        raise UserError(f"{where}: model {row['model']!r}: {error}")
    width = _number(row, "width_mult", where) if row["width_mult"] else 1.0
    resolution = _number(row, "resolution", where)
    if resolution != int(resolution):
        raise UserError(f"{where}: resolution must be a whole number; got {row['resolution']!r}")
    classes = 1001 if family.startswith("mobilenet") else 1000  # TensorFlow's MobileNets have a background class
    try:
        network = reference_network(family, int(resolution), classes, width)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    energy = _number(row, "energy_mj_per_inference", where) if row["energy_mj_per_inference"] else None
    name = f"{family}-{width:g}@{int(resolution)}"
    return Run(name, architecture(family), network, precision, _number(row, "latency_ms", where), energy)


def _number(row: Mapping[str, str | None], column: str, where: str) -> float:
    try:
        value = float(row[column] or "")
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise UserError(f"{where}: {column} must be a number above 0; got {row[column]!r}")
    return value
