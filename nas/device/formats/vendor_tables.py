"""Latencies that vendors and authors publish: one row a network, device, accelerator and number of threads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nas.device.formats.mlperf import MOST_RUNS, Run, read_run
from nas.device.tables.columns import MOST_BYTES
from nas.errors import UserError, unknown
from nas.files.csv import read_rows
from nas.space.reference import REFERENCES

COLUMNS = (
    "model", "family", "width_mult", "resolution", "precision", "device", "accelerator", "threads", "latency_ms",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Published:
    """The networks of one platform that can be built, and the names of those that cannot."""

    runs: tuple[Run, ...]
    left_out: tuple[str, ...]


def read_published(path: Path, platform: str) -> Published:
    """The rows of one platform, "DEVICE/ACCELERATOR/THREADS" ("Snapdragon 855/CPU (Paddle-Lite)/1").

    One network under two names (trained in two ways) counts once. Raises UserError naming file and line for a missing
    column, a bad number, or one network with two latencies; so also for an unknown platform.
    """
    runs: dict[tuple[str, str], Run] = {}
    left_out: dict[str, None] = {}
    platforms: set[str] = set()
    for line, row in read_rows(path, COLUMNS, MOST_BYTES):
        platforms.add(found := "/".join((row["device"], row["accelerator"], row["threads"])))
        if found != platform:
            continue
        if row["family"] not in REFERENCES or not row["resolution"]:
            left_out[row["model"]] = None
            continue
        if len(runs) == MOST_RUNS:
            raise UserError(f"{path}: must have at most {MOST_RUNS:,} networks of one platform")
        run = read_run(row, path, line, background=False)
        if runs.setdefault((run.name, run.precision), run).latency_ms != run.latency_ms:
            raise UserError(f"{path}: line {line} gives {run.name} {run.precision} a second latency on {platform}")
    if platform not in platforms:
        raise unknown("platform", platform, platforms)
    return Published(tuple(runs.values()), tuple(left_out))
