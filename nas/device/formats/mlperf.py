"""Whole networks measured by MLPerf Inference: the results file of TensorFlow Lite's reference networks on a board.

The columns are those of mlcommons/cm4mlperf-results collected into one table: single-stream p90 latency in ms, wall
energy of the whole board in mJ per inference, idle included.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from nas.device.tables.columns import MOST_BYTES, cost, maybe_cost, row_precision
from nas.errors import UserError, unknown
from nas.files.csv import Row, number, read_rows
from nas.space.layer import Precision
from nas.space.network import Network
from nas.space.reference import REFERENCES, reference_network

COLUMNS = (
    "platform", "model", "family", "width_mult", "resolution", "precision", "latency_ms", "energy_mj_per_inference",
)  # fmt: skip
MOST_WIDTH, MOST_RESOLUTION, MOST_RUNS = 16.0, 4096, 1_000


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
    for line, row in read_rows(path, COLUMNS, MOST_BYTES):
        platforms.add(row["platform"])
        if row["platform"] != platform:
            continue
        run = read_run(row, path, line)
        if len(runs) == MOST_RUNS:
            raise UserError(f"{path}: must have at most {MOST_RUNS:,} networks of one platform")
        if (run.name, run.precision) in runs:
            raise UserError(f"{path}: line {line} repeats {run.name} {run.precision} of {platform}")
        runs[run.name, run.precision] = run
    if not runs:
        raise unknown("platform", platform, platforms)
    return tuple(runs.values())


def architecture(family: str) -> str:
    """What is left out of a fit as one family: mobilenet_v3_large and _small are both mobilenet_v3."""
    match = re.match(r"mobilenet_v\d|efficientnet_lite|efficientnet", family)
    return match[0] if match else family


def read_run(row: Row, path: Path, line: int, *, background: bool = True) -> Run:
    """The run in a row. `background`: TensorFlow's MobileNets have a class for it, 1,001 in all.

    Raises UserError naming file and line.
    """
    precision = row_precision(row, path, line)
    family = row["family"]
    if family not in REFERENCES:
        error = unknown("network family", family, REFERENCES)
        raise UserError(f"{path}: line {line}: model {row['model'][:80]!r}: {error}")
    width = number(row["width_mult"], path, line, "width_mult", most=MOST_WIDTH) if row["width_mult"] else 1.0
    pixels = number(row["resolution"], path, line, "resolution", most=MOST_RESOLUTION)
    if pixels != (resolution := int(pixels)):
        raise UserError(f"{path}: resolution must be a whole number; line {line} has {row['resolution'][:80]!r}")
    classes = 1001 if background and family.startswith("mobilenet") else 1000
    try:
        network = reference_network(family, resolution, classes, width)
    except UserError as error:
        raise UserError(f"{path}: line {line}: {error}") from None
    energy = maybe_cost(row, "energy_mj_per_inference", path, line)
    latency = cost(row, "latency_ms", path, line)
    return Run(f"{family}-{width:g}@{resolution}", architecture(family), network, precision, latency, energy)
