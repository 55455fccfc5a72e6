"""What a log says in a few rows: what was served, and what happened, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from nas.monitor.log import Adapt, Alarm, AnyRecord, Clear, Labels, Log, Profile, Start, Stop, Switch, Window
from nas.numbers import count, figure, percent

MOST_ROWS = 16


@dataclass(frozen=True, slots=True)
class Period:
    """Neighbouring windows of one model. Times are of the median window; the temperature is the highest."""

    start: datetime
    end: datetime
    version: int
    precision: str
    captured: int
    served: int
    skipped: int
    late: int
    p50_ms: float | None
    p90_ms: float | None
    result_p90_ms: float | None
    accuracy: float | None  # the mean of the windows' estimates
    accuracy_low: float | None
    accuracy_high: float | None
    trusted: bool
    temperature_c: float | None
    throttled: tuple[str, ...]


def periods_of(log: Log, most: int = MOST_ROWS) -> list[Period]:
    """The windows of a log in about `most` rows of as many windows each; a row is of one model."""
    windows = log.of(Window)
    size = max(1, -(-len(windows) // most))
    groups: list[list[Window]] = []
    for window in windows:
        last = groups[-1] if groups else []
        if last and len(last) < size and (last[0].version, last[0].precision) == (window.version, window.precision):
            last.append(window)
        else:
            groups.append([window])
    return [_period(group) for group in groups]


def _period(windows: Sequence[Window]) -> Period:
    estimated = [w for w in windows if w.accuracy is not None]
    return Period(
        start=windows[0].time, end=windows[-1].time, version=windows[0].version, precision=windows[0].precision,
        captured=sum(w.captured for w in windows), served=sum(w.served for w in windows),
        skipped=sum(w.skipped for w in windows), late=sum(w.late for w in windows),
        p50_ms=_middle(w.p50_ms for w in windows), p90_ms=_middle(w.p90_ms for w in windows),
        result_p90_ms=_middle(w.result_p90_ms for w in windows),
        accuracy=_mean(w.accuracy for w in windows), accuracy_low=_mean(w.accuracy_low for w in windows),
        accuracy_high=_mean(w.accuracy_high for w in windows),
        trusted=bool(estimated) and all(w.trusted is not False for w in estimated),
        temperature_c=max((w.temperature_c for w in windows if w.temperature_c is not None), default=None),
        throttled=tuple(dict.fromkeys(word for w in windows for word in w.throttled)),
    )  # fmt: skip


HEADS = ("UTC", "version", "served", "skips", "late", "p90 ms", "accuracy %", "°C")
WIDTHS = (11, 8, 6, 5, 5, 6, 13, 3)  # at most: with what stands between, 80 columns


def cells_of(period: Period) -> tuple[str, ...]:
    """A row of at most 80 columns, under HEADS, whatever the log says. A ? stands by an estimate not to be trusted."""
    accuracy = "-"
    if period.accuracy is not None:
        accuracy = f"{100 * period.accuracy:.0f}"
        if period.accuracy_low is not None and period.accuracy_high is not None:
            accuracy += f" ({100 * period.accuracy_low:.0f}-{100 * period.accuracy_high:.0f})"
        accuracy += "" if period.trusted else "?"
    hot = "-" if period.temperature_c is None else f"{period.temperature_c:.0f}"
    cells = (
        f"{period.start:%m-%d %H:%M}", f"{period.version} {period.precision}", _count(period.served),
        _count(period.skipped), _count(period.late), _time(period.p90_ms), accuracy, hot,
    )  # fmt: skip
    return tuple(c if len(c) <= most else c[: most - 1] + "…" for c, most in zip(cells, WIDTHS, strict=True))


def _count(number: int) -> str:
    """In at most five places: 99999, 100k, 1.23M."""
    return str(number) if number < 100_000 else count(number).replace(" ", "")


def _time(ms: float | None) -> str:
    """In at most six places: 0.0012, 12.3, 1,234, 123k."""
    if ms is None or ms >= 100_000:
        return "-" if ms is None else _count(round(ms))
    return "<0.001" if 0 < ms < 0.001 else figure(ms, 3 if ms >= 0.01 else 2)


def shares_of(log: Log) -> str:
    """Which models served the last windows where several are loaded, in words; empty elsewhere."""
    windows = [window for window in log.of(Window)[-MOST_ROWS:] if window.shares]
    served = sum(window.served for window in windows)
    if not served:
        return ""
    frames: dict[str, float] = {}
    for window in windows:
        for name, share in window.shares.items():
            frames[name] = frames.get(name, 0.0) + share * window.served
    parts = ", ".join(f"{name} {percent(n / served, 0)}" for name, n in sorted(frames.items(), key=lambda x: -x[1]))
    over = sum(window.over_budget for window in windows)
    return f"Of the last {served} frames: {parts}; {percent(over / served)} took longer than --max-latency."


def events_of(log: Log) -> list[tuple[datetime, str]]:
    """Everything that happened but the windows, each in words, the oldest first."""
    return [(record.time, words) for record in log.records if (words := words_of(record))]


def words_of(record: AnyRecord) -> str:
    """What a record says; empty for a window."""
    match record:
        case Start():
            return f"serving began with version {record.version}, {record.precision}" + _of(record.source, ": ")
        case Stop():
            return f"serving ended: {record.why or 'not said why'}"
        case Alarm(chart="latency", value=float() as slower):
            return f"alarm: latency; inference takes {slower:.2f} times the usual" + _of(record.explained or "", "; ")
        case Alarm():
            found = f"alarm: {record.chart} {figure(record.value)}, limit {figure(record.limit)}"
            if record.expected_loss_points is not None and not record.why:  # which says it too
                found += f"; {record.expected_loss_points:.1f} points of accuracy expected to be lost"
            return found + _of(record.why, "; ")
        case Clear():
            return f"over: {record.chart}"
        case Adapt():
            done = "adapted to recent images" if record.kind == "adapt" else "adaptation undone"
            if record.before is not None and record.after is not None:
                done += f": accuracy estimated {percent(record.before)} before, {percent(record.after)} after"
            return done + _of(record.why, "; ")
        case Switch() if record.failed:
            return f"version {record.new} could not be served, version {record.old} goes on: {record.why}"
        case Switch():
            return f"version {record.new} is served instead of {record.old}" + _of(record.why, ": ")
        case Labels():
            return f"{record.right} of {record.labels} labelled frames were classified as labelled"
        case Profile():
            return "the board should be profiled again" + _of(record.why, ": ")
    return ""


def _of(text: str, before: str) -> str:
    return before + text if text else ""


def _middle(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
