"""The tables of a run while it is searched: appended to trial by trial, by the process that holds the run's lock.

A trial's cost is that of its own line: trials.csv and curves.jsonl grow at their end, and the front, which is written
whole, at most once a second. A process that dies leaves half a last line at worst, which readers leave out; the journal
is the truth, and a search that goes on makes the tables anew.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nas.errors import UserError
from nas.files.atomic import write_atomic
from nas.files.json import read_json
from nas.files.plain import MB
from nas.run.average_precision import BOX_COLUMNS
from nas.run.curves import curve_line
from nas.run.front import Front
from nas.run.rank_quality import RankQuality
from nas.run.settings import FORMAT, Settings
from nas.run.trial import COLUMNS, Trial, csv_bytes, row_of

MOST_SUMMARY = 16 * MB  # of pareto.json
FRONT_S = 1.0  # seconds between two writings of the front, at least


class Tables:
    """trials.csv, curves.jsonl, pareto.csv and pareto.json of a running search, and its front so far."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path, self.settings, self.front = path, settings, Front(settings)
        self._trials: dict[int, Trial] = {}
        self._curves: dict[int, bytes] = {}
        self._written = -FRONT_S  # when the front was, on the monotonic clock
        self.rank_quality: RankQuality | None = None  # as of `Run`; None: not known yet
        self._whole: object = None  # with what all is on the disk, in order

    def keep(self, trial: Trial, curve: Sequence[Mapping[str, Any]], error: str | None) -> tuple[bool, bytes]:
        """Takes a trial in, without writing it: whether the front has changed, and the line of its curve."""
        self._trials[trial.trial], self._whole = trial, None
        line = self._curves[trial.trial] = curve_line(trial.trial, curve, error)
        return self.front.add(trial), line

    def add(
        self, trial: Trial, curve: Sequence[Mapping[str, Any]], error: str | None, proposals: Mapping[str, int]
    ) -> bool:
        """Writes one more trial; returns whether the front has changed. Raises UserError when the disk is full."""
        changed, line = self.keep(trial, curve, error)
        _append(self.path / "curves.jsonl", line)
        _append(self.path / "trials.csv", csv_bytes(columns_for(self.settings), [row_of(trial)]).partition(b"\n")[2])
        if changed and time.monotonic() - self._written >= FRONT_S:
            self._write_front(proposals)
        return changed

    def replace(self, trials: Iterable[Trial]) -> None:
        """Puts trials of which more is known now in the place of the old ones: what is expected, and tested."""
        for trial in trials:
            self._trials[trial.trial], self._whole = trial, None
        self.front = Front(self.settings, self.trials)

    def fail(self, trial: Trial, reason: str) -> None:
        """Puts a trial that has turned out to be a failure in the place of the old one, with the reason."""
        curve = json.loads(self._curves[trial.trial])["curve"]
        self._curves[trial.trial] = curve_line(trial.trial, curve, reason)
        self.replace([trial])

    @property
    def trials(self) -> list[Trial]:
        """Every trial so far, in the order of their numbers."""
        return [self._trials[number] for number in sorted(self._trials)]

    def write(self, proposals: Mapping[str, int], *, ended: bool = False) -> None:
        """Writes every table anew, where anything has changed; pareto.json last, which tells that a run has ended.

        Raises UserError when the disk is full.
        """
        whole = dict(proposals), self.rank_quality, ended
        if self._whole == whole:
            return
        write_atomic(self.path / "curves.jsonl", b"".join(self._curves[number] for number in sorted(self._curves)))
        write_atomic(self.path / "trials.csv", csv_bytes(columns_for(self.settings), map(row_of, self.trials)))
        self._write_front(proposals, ended=ended)
        self._whole = whole

    def _write_front(self, proposals: Mapping[str, int], *, ended: bool = False) -> None:
        quality = self.rank_quality
        _write_front(self.path, self.settings, self.front, len(self._trials), proposals, quality, ended)
        self._written = time.monotonic()


def write_trials(
    path: Path, settings: Settings, trials: Sequence[Trial], proposals: Mapping[str, int] = MappingProxyType({}),
    rank_quality: RankQuality | None = None,
) -> None:  # fmt: skip
    """trials.csv, pareto.csv and pareto.json of a run whose trials are all known; the last two: as of `Run`."""
    write_atomic(path / "trials.csv", csv_bytes(columns_for(settings), map(row_of, trials)))
    _write_front(path, settings, Front(settings, trials), len(trials), proposals, rank_quality, True)


def front_summary(
    settings: Settings, trials: Sequence[Trial], proposals: Mapping[str, int], rank_quality: RankQuality | None
) -> dict[str, Any]:  # fmt: skip
    """The front with what it is of, as JSON has it; `left_off` and the last two: as of `Run`."""
    return _summary(settings, Front(settings, trials), len(trials), proposals, rank_quality)


def has_ended(path: Path) -> bool:
    """Whether the search of a run folder came to its end, and wrote so last of all. Raises UserError."""
    file = path / "pareto.json"
    summary = read_json(file, MOST_SUMMARY) if file.exists() else {}
    return isinstance(summary, dict) and summary.get("ended") is True


def _write_front(
    path: Path, settings: Settings, front: Front, trials: int, proposals: Mapping[str, int],
    rank_quality: RankQuality | None, ended: bool,
) -> None:  # fmt: skip
    write_atomic(path / "pareto.csv", csv_bytes(columns_for(settings), map(row_of, by_cost(front.distinct, settings))))
    summary = _summary(settings, front, trials, proposals, rank_quality) | {"ended": ended}
    write_atomic(path / "pareto.json", (json.dumps(summary, indent=1) + "\n").encode())


def _summary(
    settings: Settings, front: Front, trials: int, proposals: Mapping[str, int], rank_quality: RankQuality | None
) -> dict[str, Any]:  # fmt: skip
    shown = by_cost(front.distinct, settings)
    numbers, rows = {t.trial for t in shown}, [row_of(t) for t in shown]
    return {
        "format": FORMAT, "space": settings.space, "device": settings.device, "dataset": settings.dataset,
        "objectives": list(settings.objectives), "budgets": dict(settings.budgets), "trials": trials,
        "proposals": dict(proposals), "rank_quality": None if rank_quality is None else rank_quality.model_dump(),
        "hypervolume": front.volume, "reference_point": dict(settings.reference_point),
        "front": [row | {"candidate": json.loads(row["candidate"])} for row in rows],
        "left_off": [t.trial for t in by_cost(front.trials, settings) if t.trial not in numbers],
    }  # fmt: skip


def columns_for(settings: Settings) -> tuple[str, ...]:
    """The columns of a run's tables: those of detectors have more."""
    return (*COLUMNS, *BOX_COLUMNS) if settings.task == "detection" else COLUMNS


def by_cost(trials: Sequence[Trial], settings: Settings) -> tuple[Trial, ...]:
    """The trials by their first objective that is a cost, the cheapest first."""
    return tuple(sorted(trials, key=lambda t: (t.value(settings.first_cost), t.trial)))


def _append(file: Path, line: bytes) -> None:
    try:
        with file.open("ab") as opened:
            opened.write(line)
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror}; the run can be resumed") from None
