"""Energy per inference from a meter's windows: with the board's idle power in it, and without.

A window is seconds in which one model ran again and again; its energy over its runs is what an inference costs with
idle. Idle power is measured apart, in windows of the same length between the others. Their spread, the meter's
last digit and its pace say what the meter resolves: below three times that, energy without idle is not resolved.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nas.device.compare.with_measured import Measured
from nas.device.fit.rates import LEAST_RUNS, FittedProfile, fit_profile
from nas.device.formats.mlperf import Run
from nas.errors import UserError
from nas.profiling.energy.power_trace import Alignment, Trace, align, integrate
from nas.profiling.results.results import Energy, Idle, Window

RESOLVED = 3.0  # times the error
LEAST_IDLE = 3  # windows: fewer have no spread to speak of


@dataclass(frozen=True, slots=True)
class ItemEnergy:
    """Energy of one item: millijoules per inference, batch 1, with idle and without.

    `error_mj` is one standard deviation of the energy without idle.
    """

    mj: float
    net_mj: float
    error_mj: float
    runs: int

    @property
    def resolved(self) -> bool:
        return self.net_mj >= RESOLVED * self.error_mj


@dataclass(frozen=True)
class MeasuredEnergy:
    """Energy of the items by id, idle power in watts and the standard deviation between its windows.

    `lost` says what was left out and why; `alignment` is None where the board read its meter itself.
    """

    meter: str
    includes: str
    idle_w: float
    idle_spread_w: float
    items: Mapping[str, ItemEnergy]
    lost: tuple[str, ...]
    alignment: Alignment | None

    def unresolved(self, ids: Sequence[str]) -> tuple[str, ...]:
        """Those of `ids` whose energy without idle the meter does not resolve, or that have none."""
        return tuple(i for i in ids if i not in self.items or not self.items[i].resolved)

    def definition(self, *, idle: bool, fitted_to: int = 0) -> str:
        """What a profile's energy means, in one line: for `energy` of profile.toml."""
        power = f"idle power of {self.idle_w:.4g} W ({self.idle_spread_w:.2g} W between windows)"
        how = f"; energy fitted to {fitted_to} whole networks" if fitted_to else ""
        return f"{self.includes}; {power} {'included' if idle else 'taken out'}{how}; meter: {self.meter}"


def measured_energy(readings: Energy, trace: Trace | None = None) -> MeasuredEnergy:
    """Energy per inference of every item, from the board's own readings or from the trace of another meter.

    Raises UserError when there are no readings and no trace, the trace cannot be aligned, or idle power is not known.
    """
    alignment = None
    if trace is not None:
        alignment = _alignment(readings, trace)
    elif any(w.joules is None for w in readings.idle) or any(w.joules is None for w in readings.windows):
        raise UserError(
            f"results: the windows of meter {readings.meter!r} have no energy: add the meter's own file with --power"
        )
    lost: list[str] = []
    idle = [found for window in readings.idle if (found := _read(window, trace, alignment, "idle", lost))]
    if len(idle) < LEAST_IDLE:
        raise UserError(
            f"results: idle power needs {LEAST_IDLE} idle windows; {len(idle)} of {len(readings.idle)} can be read"
            + (f": {lost[0]}" if lost else "")
        )
    joules, seconds = np.array(idle).T
    idle_w = float(joules.sum() / seconds.sum())
    spread_w = float((joules / seconds).std(ddof=1))
    period_s = trace.period_s if trace else readings.period_s or 0.0
    idle_error_w = math.hypot(spread_w * math.sqrt(1 + 1 / len(idle)), trace.step_w / 2 if trace else 0.0)
    sums: dict[str, np.ndarray] = {}  # runs, J, J without idle, variance of that
    for window in readings.windows:
        if found := _read(window, trace, alignment, window.id, lost):
            energy, length = found
            net = energy - idle_w * length
            edge = abs(net) / length * period_s  # the power that comes and goes within one reading
            row = np.array([window.runs, energy, net, (idle_error_w * length) ** 2 + edge**2])
            sums[window.id] = sums.get(window.id, 0.0) + row
    items = {
        name: ItemEnergy(1000 * energy / runs, 1000 * net / runs, 1000 * math.sqrt(variance) / runs, int(runs))
        for name, (runs, energy, net, variance) in ((name, row.tolist()) for name, row in sums.items())
    }
    return MeasuredEnergy(readings.meter, readings.includes, idle_w, spread_w, items, tuple(lost), alignment)


def fit_energy(networks: Sequence[Measured]) -> FittedProfile:
    """Rates fitted to whole networks, for boards whose meter does not resolve single blocks.

    Latency rates come with them, as a profile must have both. `errors` are those of networks left out, in fifths, and
    `validation` their predictions. Raises UserError for fewer than 10 networks of a precision, or a network that has no
    energy above 0.
    """
    if bad := next((n for n in networks if not 0 < (n.energy_mj or 0) < math.inf), None):
        raise UserError(
            f"a fit needs networks of more than 0 mJ; {bad.name} {bad.precision} has {bad.energy_mj or 0:.3g} mJ: "
            "measure longer windows, or keep idle power in"
        )
    for precision in {n.precision for n in networks}:
        if (count := sum(n.precision == precision for n in networks)) < LEAST_RUNS:
            raise UserError(f"energy is fitted to {LEAST_RUNS} whole networks or more; {precision} has {count}")
    runs = [Run(n.name, n.name, n.network, n.precision, n.latency_ms, n.energy_mj) for n in networks]
    fitted = fit_profile(runs)
    return FittedProfile(
        fitted.rates,
        tuple(v for v in fitted.validation if v.split == "network"),
        tuple(e for e in fitted.errors if e.split == "network"),
    )


def _alignment(readings: Energy, trace: Trace) -> Alignment:
    """The meter's clock: known where it is the board's own local time, else found by the load pattern."""
    if not trace.local_time:
        return align(trace, [(start, end) for start, end in readings.pattern])
    if readings.utc_offset_s is None:
        raise UserError(f"{trace.source}: is in the board's local time, and the results do not say its time zone")
    return Alignment(readings.utc_offset_s)


def _read(
    window: Idle | Window, trace: Trace | None, alignment: Alignment | None, name: str, lost: list[str]
) -> tuple[float, float] | None:
    """A window's joules and seconds by the meter; None, and a line in `lost`, where the trace does not have it."""
    if not window.start < window.end:
        raise UserError(f"{name}: a window must end after it starts; got {window.start} s to {window.end} s")
    if trace is None or alignment is None:
        return None if window.joules is None else (window.joules, window.end - window.start)
    start, end = alignment.meter_time(window.start), alignment.meter_time(window.end)
    try:
        return integrate(trace, start, end), window.end - window.start
    except UserError as error:
        lost.append(f"{name}: {error}")
        return None
