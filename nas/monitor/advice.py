"""What to do next, in words, from what a log says of the last frames."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from nas.monitor.log import ESTIMATE_CHART, Alarm, AnyRecord, Clear, Log, Profile, Start, Stop, Switch, Window

LATEST = 5  # windows that say how it is now
MUCH_LOST = 2.0  # points of accuracy
MANY_LATE, MANY_SKIPPED = 0.01, 0.2
SILENT = timedelta(minutes=30)


def next_steps(log: Log, folder: str, now: datetime) -> list[str]:
    """Sentences, the most pressing first; one that nothing is to be done where that is so."""
    return [
        *_running(log, now), *_versions(log, folder), *_accuracy(log, folder), *_health(log), *_latency(log, folder),
    ] or ["Nothing to do."]  # fmt: skip


def open_alarms(log: Log) -> list[Alarm]:
    """The last alarm of each chart that nothing has ended: no `clear`, no other version, no start without it."""
    found: dict[str, Alarm] = {}
    for record in log.records:
        if isinstance(record, Alarm):
            found[record.chart] = record
        elif isinstance(record, Clear):
            found.pop(record.chart, None)
        elif isinstance(record, Switch) and not record.failed:
            found.clear()
        elif isinstance(record, Start):
            stands = found.keys() if record.alarms is None else record.alarms
            found = {c: a for c, a in found.items() if c in stands and a.version == record.version}
    return list(found.values())


def lost_points(log: Log, alarms: Sequence[Alarm]) -> float | None:
    """Points of accuracy that are expected to be lost under alarms that stand; None where it cannot be told.

    An alarm is raised by few frames. Once a window of frames has ended that all came after it, what counts is the last
    one's accuracy, which may be that of an adapted network, against that of the last one before, or against what the
    alarms took for usual.
    """
    first, version = min(alarm.n for alarm in alarms), alarms[0].version
    trusted = [
        (w.n, w.accuracy) for w in log.of(Window) if w.version == version and w.trusted and w.accuracy is not None
    ]
    before, since = ([accuracy for n, accuracy in trusted if (n > first) == later] for later in (False, True))
    usual = [alarm.usual for alarm in alarms if alarm.usual is not None]
    if (before or usual) and len(since) > 1:
        return max(0.0, 100 * ([*usual, *before][-1] - since[-1]))
    return max((a.expected_loss_points for a in alarms if a.expected_loss_points is not None), default=None)


def _running(log: Log, now: datetime) -> list[str]:
    last = log.records[-1] if log.records else None
    if isinstance(last, Stop):
        return [f"Serving ended at {last.time:%Y-%m-%d %H:%M} UTC ({last.why or 'not said why'})."]
    if last is not None and now - last.time > SILENT:
        return [
            f"Nothing was written since {last.time:%Y-%m-%d %H:%M} UTC: is serve.pyz still running, and do frames come?"
        ]
    return []


def _versions(log: Log, folder: str) -> list[str]:
    last = next((r for r in reversed(log.records) if isinstance(r, Switch)), None)
    if last is None or not last.failed:
        return []
    return [
        f"Version {last.new} could not be served ({last.why}): copy it again, or `nas switch {folder} --to {last.old}`."
    ]


def _accuracy(log: Log, folder: str) -> list[str]:
    alarms = {alarm.chart: alarm for alarm in open_alarms(log) if alarm.chart != "latency"}
    if not alarms:
        return []
    lost = lost_points(log, list(alarms.values()))
    since = min(a.time for a in alarms.values())
    what = f"What the camera sees has changed since {since:%Y-%m-%d %H:%M} UTC ({', '.join(sorted(alarms))})"
    trusted = next((w.trusted for w in reversed(log.of(Window)) if w.trusted is not None), None)
    if any(window.objects is not None for window in log.of(Window)[-1:]):
        return [_of_detector(what, lost, trusted, surely=ESTIMATE_CHART in alarms)]
    if lost is None or trusted is False:
        return [
            f"{what}; how much accuracy is lost cannot be told without labels: "
            f"look at the camera, then `nas calibrate {folder} --labels labels.csv`."
        ]
    if lost < MUCH_LOST and ESTIMATE_CHART not in alarms:
        return [f"{what}, but only {lost:.1f} points of accuracy are expected to be lost: nothing to do yet."]
    return [
        f"{what}, and {lost:.1f} points of accuracy are expected to be lost: look at the camera (light, focus, "
        f"dirt); if it must stay so, `nas calibrate {folder}` makes a version for it."
    ]


def _of_detector(what: str, lost: float | None, trusted: bool | None, *, surely: bool) -> str:
    """No version is made for what a detector's camera sees: boxes would have to be drawn."""
    look = "look at the camera (light, focus, dirt), and at the boxes with --draw"
    if lost is None or trusted is False:
        return f"{what}; what that costs a detector cannot be told without labels: {look}."
    if lost < MUCH_LOST and not surely:
        return f"{what}, but only {max(lost, 0):.0f} points of AP50 are expected to be lost: nothing to do yet."
    return f"{what}, and {lost:.0f} points of AP50 are expected to be lost: {look}."


def _health(log: Log) -> list[str]:
    words = {word for window in log.of(Window)[-LATEST:] for word in window.throttled}
    found = []
    if "under-voltage" in words:
        found.append("The board has too little voltage, and slows itself down: use a stronger power supply or cable.")
    if words - {"under-voltage"}:
        found.append(f"The board slows itself down ({', '.join(sorted(words - {'under-voltage'}))}): cool it.")
    return found


def _latency(log: Log, folder: str) -> list[str]:
    found, windows = [], log.of(Window)[-LATEST:]
    over = max((r.n for r in log.records if isinstance(r, Start | Switch) or _is_over(r)), default=0)
    if any(profile.n > over for profile in log.of(Profile)):
        found.append(
            "An inference takes longer than it did, and neither temperature nor clock nor voltage nor other programs "
            "explain it: measure the board again with `nas profile --quick`."
        )
    served, captured = sum(w.served for w in windows), sum(w.captured for w in windows)
    late, skipped = sum(w.late for w in windows), sum(w.skipped for w in windows)
    if served and late / served > MANY_LATE:
        found.append(
            f"{100 * late / served:.0f}% of the last results were later than their deadline: a faster model is needed "
            f"(`--precision int8`, `--max-latency`, or another version by `nas switch {folder} --to N`)."
        )
    elif captured and skipped / captured > MANY_SKIPPED:
        found.append(
            f"{100 * skipped / captured:.0f}% of the last frames were skipped: they come faster than they are served."
        )
    return found


def _is_over(record: AnyRecord) -> bool:
    return isinstance(record, Clear) and record.chart == "latency"
