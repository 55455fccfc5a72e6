"""Power over time as a meter recorded it, and where in it the board's own timestamps lie.

The meter's clock is not the board's. The agent plays a load pattern, and the offset is where the pattern's busy and
idle steps agree best with the power: Pearson's correlation of the mean power in short bins with how busy the pattern
was in them. A second pattern, at the end of the run, gives the rate between the clocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nas.errors import UserError

GAP = 5.0  # an interval so many times the usual one holds no samples
BIN_S = 0.1
PAD_S = 2.0  # idle before and after a pattern; the agent keeps quiet for 3 s
PAUSE_S = 10.0  # between busy intervals: they belong to two patterns
LEAST_CORRELATION = 0.7  # where noise has the power of the pattern's own steps
MOST_RUNNER_UP = 0.85  # of the best correlation, at any other place
LONGEST_S = 7 * 86400.0
MOST_WATTS = 1e6
MOST_DRIFT = 5e-4  # of a clock; quartz is within 1e-4


@dataclass(frozen=True, eq=False)
class Trace:
    """Power samples of a meter: `t` (n,) seconds of its own clock, rising, and `watts` (n,).

    Between two samples the power is taken as a straight line. `local_time`: t is the board's own local time, in
    seconds as if it were UTC. Raises UserError for fewer than two samples, times that do not rise, numbers that are
    not finite, and a trace of more than a week.
    """

    t: np.ndarray
    watts: np.ndarray
    source: str
    local_time: bool = False

    def __post_init__(self) -> None:
        if self.t.shape != self.watts.shape or self.t.ndim != 1 or len(self.t) < 2:
            raise UserError(f"{self.source}: a trace needs two or more samples; it has {len(self.t)}")
        if not (np.isfinite(self.t).all() and np.isfinite(self.watts).all() and (np.diff(self.t) > 0).all()):
            raise UserError(f"{self.source}: a trace's times must rise, and times and powers must be finite")
        if (span := float(self.t[-1] - self.t[0])) > LONGEST_S:
            raise UserError(f"{self.source}: a trace must last at most seven days; got {span:.6g} s; cut it to the run")
        if (most := float(np.abs(self.watts).max())) > MOST_WATTS:
            raise UserError(f"{self.source}: powers must be at most {MOST_WATTS:g} W; got {most:.3g} W")

    @cached_property
    def period_s(self) -> float:
        """The usual interval between samples, in seconds: the median."""
        return float(np.median(np.diff(self.t)))

    @cached_property
    def gaps(self) -> tuple[tuple[float, float], ...]:
        """Where samples are missing: (start, end) in seconds of the meter's clock."""
        wide = np.flatnonzero(np.diff(self.t) > GAP * self.period_s)
        return tuple((float(self.t[i]), float(self.t[i + 1])) for i in wide)

    @cached_property
    def step_w(self) -> float:
        """The meter's last digit, in watts: the smallest difference between two powers that it showed."""
        steps = np.diff(np.unique(self.watts))
        real = steps[steps > 1e-9 * max(1.0, float(np.abs(self.watts).max()))]
        return float(real.min()) if len(real) else 0.0

    @cached_property
    def _joules(self) -> np.ndarray:
        """Energy from the first sample to each, (n,)."""
        parts = (self.watts[1:] + self.watts[:-1]) / 2 * np.diff(self.t)
        return np.concatenate([[0.0], np.cumsum(parts)])

    def joules_until(self, times: np.ndarray) -> np.ndarray:
        """Energy from the first sample to `times` (m,), which must lie inside the trace; (m,)."""
        i = np.clip(np.searchsorted(self.t, times, side="right") - 1, 0, len(self.t) - 2)
        since = times - self.t[i]
        slope = (self.watts[i + 1] - self.watts[i]) / (self.t[i + 1] - self.t[i])
        return np.asarray(self._joules[i] + since * (self.watts[i] + slope * since / 2))


def averaged(t: np.ndarray, watts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The times (m,) among `t` (n,), each once and rising, and the mean of `watts` (n,) at each of them."""
    times, where, rows = np.unique(t, return_inverse=True, return_counts=True)
    return times, np.bincount(where, weights=watts, minlength=len(times)) / rows


@dataclass(frozen=True, slots=True)
class Alignment:
    """Meter's time = board's time + offset_s + drift x (board's time - at). `correlation`: 1 is a perfect match.

    `runner_up` is the best correlation at any other place of the trace, as a share of the best.
    """

    offset_s: float
    at: float = 0.0
    drift: float = 0.0
    correlation: float = 1.0
    runner_up: float = 0.0

    def meter_time(self, board_time: float) -> float:
        return board_time + self.offset_s + self.drift * (board_time - self.at)


def integrate(trace: Trace, start: float, end: float) -> float:
    """Joules between two times of the meter's clock, exact for straight lines between the samples.

    Raises UserError for a window outside the trace, or across a gap in it.
    """
    if not start < end:
        raise UserError(f"{trace.source}: a window must end after it starts; got {start:.3f} s to {end:.3f} s")
    if start < trace.t[0] or end > trace.t[-1]:
        raise UserError(
            f"{trace.source}: the window {start:.3f} s to {end:.3f} s is outside the trace, "
            f"{trace.t[0]:.3f} s to {trace.t[-1]:.3f} s"
        )
    for low, high in trace.gaps:
        if start < high and end > low:
            raise UserError(f"{trace.source}: no samples from {low:.3f} s to {high:.3f} s, inside a window")
    before, after = trace.joules_until(np.array([start, end]))
    return float(after - before)


def align(trace: Trace, pattern: Sequence[tuple[float, float]]) -> Alignment:
    """Finds the meter's clock from busy intervals [(start, end), ...] in seconds of the board's clock.

    The offset is searched over the whole trace. Raises UserError when the pattern is not found, or found twice.
    """
    bursts = _bursts(pattern)
    grid = np.arange(trace.t[0], trace.t[-1], BIN_S)
    first = bursts[0][0][0]
    span = max(burst[-1][1] - burst[0][0] for burst in bursts) + 2 * PAD_S
    if len(grid) < 3 or trace.t[-1] - trace.t[0] < span:
        raise UserError(f"{trace.source}: the trace is shorter than the load pattern of {span:.0f} s")
    power = np.diff(trace.joules_until(grid)) / BIN_S
    places = len(power)  # offset number k puts the first pattern's first bin into bin k
    score = np.zeros(places)
    for burst in bursts:
        found = _correlations(power, _busy(burst))
        shift = round((burst[0][0] - first) / BIN_S)
        slack = int(np.ceil(MOST_DRIFT * (burst[0][0] - first) / BIN_S))
        score += _best_near(found, shift, slack, places) / len(bursts)
    best = int(np.argmax(score))
    around = int(min(end - start for start, end in bursts[0]) / BIN_S)
    elsewhere = np.concatenate([score[: max(0, best - around)], score[best + around + 1 :]])
    second = max(float(elsewhere.max()), 0.0) if len(elsewhere) else 0.0
    if score[best] < LEAST_CORRELATION:
        raise UserError(
            f"{trace.source}: the load pattern is not in it: the best correlation is {score[best]:.2f}, it must be "
            f"{LEAST_CORRELATION}; record from before the run to after it, with nothing else running on the board"
        )
    if second > MOST_RUNNER_UP * score[best]:
        raise UserError(
            f"{trace.source}: the load pattern fits in two places, with correlations {score[best]:.2f} and "
            f"{second:.2f}; record with more samples a second, or cut the trace to this run"
        )
    coarse = float(grid[0]) + best * BIN_S + PAD_S - first
    offsets, correlations = zip(*(_refine(trace, burst, coarse, first) for burst in bursts), strict=True)
    middles = np.array([(burst[0][0] + burst[-1][1]) / 2 for burst in bursts])
    at = float(middles.mean())
    drift = float(np.polyfit(middles - at, offsets, 1)[0]) if len(bursts) > 1 else 0.0
    return Alignment(float(np.mean(offsets)), at, drift, float(np.mean(correlations)), second / float(score[best]))


def _bursts(pattern: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """The pattern's busy intervals, apart where the agent played it again."""
    if not pattern or any(not start < end for start, end in pattern):
        raise UserError("a load pattern needs busy intervals that end after they start; play it with --meter external")
    bursts: list[list[tuple[float, float]]] = []
    for start, end in sorted(pattern):
        if not bursts or start - bursts[-1][-1][1] > PAUSE_S:
            bursts.append([])
        bursts[-1].append((start, end))
    return bursts


def _busy(burst: Sequence[tuple[float, float]]) -> np.ndarray:
    """How much of each bin was busy, 0 to 1, from PAD_S before the pattern to PAD_S after it, (m,)."""
    start = burst[0][0] - PAD_S
    edges = np.arange(round((burst[-1][1] + PAD_S - start) / BIN_S) + 1) * BIN_S
    busy_until = sum(np.clip(edges, low - start, high - start) for low, high in burst)
    return np.asarray(np.diff(busy_until)) / BIN_S


def _correlations(power: np.ndarray, busy: np.ndarray) -> np.ndarray:
    """Pearson's correlation of `busy` (m,) with `power` (n,) from each bin on, (n - m + 1,)."""
    from scipy.signal import fftconvolve

    if len(power) < len(busy):
        return np.zeros(0)
    centred, template = power - power.mean(), busy - busy.mean()
    sums = np.concatenate([[0.0], np.cumsum(centred)])
    squares = np.concatenate([[0.0], np.cumsum(centred**2)])
    m = len(busy)
    variance = (squares[m:] - squares[:-m]) - (sums[m:] - sums[:-m]) ** 2 / m
    flat = variance <= 1e-9 * max(squares[-1], 1e-12)  # rounding, where the power did not change at all
    norm = np.sqrt(np.where(flat, 1.0, variance) * (template**2).sum())
    return np.asarray(np.where(flat, 0.0, fftconvolve(centred, template[::-1], mode="valid") / norm))


def _best_near(found: np.ndarray, shift: int, slack: int, places: int) -> np.ndarray:
    """The best correlation within `slack` bins of each place + shift, (places,); 0 outside the trace."""
    from scipy.ndimage import maximum_filter1d

    if not len(found):
        return np.zeros(places)
    near = maximum_filter1d(found, 2 * slack + 1, mode="constant", cval=0.0)
    at = np.arange(places) + shift
    return np.asarray(np.where((at >= 0) & (at < len(near)), near[np.clip(at, 0, len(near) - 1)], 0.0))


def _refine(trace: Trace, burst: Sequence[tuple[float, float]], coarse: float, first: float) -> tuple[float, float]:
    """The offset near `coarse` at which one pattern fits best, in seconds, and the correlation there."""
    busy = _busy(burst)
    edges = burst[0][0] - PAD_S + BIN_S * np.arange(len(busy) + 1)
    slack = 2 * BIN_S + MOST_DRIFT * (burst[0][0] - first)
    offsets = coarse + np.arange(-slack, slack + BIN_S / 20, BIN_S / 10)
    inside = (edges[0] + offsets >= trace.t[0]) & (edges[-1] + offsets <= trace.t[-1])
    offsets = offsets[inside] if inside.any() else np.array([coarse])
    fits = [float(np.corrcoef(np.diff(trace.joules_until(edges + offset)), busy)[0, 1]) for offset in offsets]
    best = int(np.argmax(fits))
    return float(offsets[best]), fits[best]
