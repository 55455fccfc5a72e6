"""The page of a served folder: what happened over time, what was done and what it brought, what to do next.

One HTML file, which needs no network and no other file; the frames of an alarm are in it where they were kept.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from nas.deploy.card import read_card
from nas.deploy.folder import VERSIONS, versions_in
from nas.errors import UserError
from nas.files.plain import MB, read_bytes
from nas.monitor.advice import next_steps, open_alarms
from nas.monitor.log import Adapt, Alarm, Clear, Labels, Log, Switch, Window
from nas.monitor.objects import HEADS as OBJECT_HEADS
from nas.monitor.objects import cells_of, measure_of, object_rows
from nas.monitor.table import events_of, words_of
from nas.monitor.timeline import Mark, Panel, Series, panel_svg
from nas.numbers import figure, percent
from nas.page import document

MOST_POINTS = 400  # windows that are drawn
MOST_ALARMS = 12  # with pictures, the last ones
MOST_FRAMES = 8  # of an alarm
MOST_FRAME = MB
MOST_EVENTS = 200
OBJECT_COLORS = ("c0", "c1", "c3", "c4")  # of so many classes
SHORT = 30  # letters of a command that is not broken
LETTERS = {"alarm": "!", "clear": "✓", "adapt": "A", "undo": "U", "switch": "V", "labels": "L", "profile": "P"}


def monitor_page(log: Log, folder: str, now: datetime) -> str:
    """The page, as HTML. `folder` is how the user calls it. Raises UserError for frames that cannot be read."""
    from jinja2 import Environment, PackageLoader
    from markupsafe import Markup

    steps = next_steps(log, folder, now)
    holding = open_alarms(log)
    windows = log.of(Window)
    environment = Environment(loader=PackageLoader("nas.monitor", "page"), autoescape=True, trim_blocks=True)
    css = (files("nas.monitor") / "page" / "monitor.css").read_text("utf-8")
    body = environment.get_template("monitor.html.j2").render(
        css=Markup(css), steps=[Markup(_with_code(step)) for step in steps], quiet=steps == ["Nothing to do."],
        holding=[alarm.chart for alarm in holding], figures=_figures(windows, measure_of(log)),
        charts=[Markup(panel_svg(panel)) for panel in panels_of(log)],
        letters=[(LETTERS[kind], words) for kind, words in _LEGEND.items()],
        done=done_of(log), alarms=[_alarm(log, alarm) for alarm in log.of(Alarm)[-MOST_ALARMS:][::-1]],
        versions=_versions(log.folder), object_heads=OBJECT_HEADS, objects=[cells_of(row) for row in object_rows(log)],
        events=[(f"{time:%Y-%m-%d %H:%M:%S}", words) for time, words in events_of(log)[-MOST_EVENTS:][::-1]],
    )  # fmt: skip
    return document(f"{Path(folder).absolute().name}: what the board has seen", _lead(windows, now), Markup(body))


_LEGEND = {
    "alarm": "a chart passed its limit", "clear": "it is as usual again", "adapt": "adapted on the board",
    "undo": "adaptation undone", "switch": "another version", "labels": "labels of a person",
    "profile": "the board should be profiled again",
}  # fmt: skip


def _with_code(text: str) -> str:
    """HTML of a sentence whose commands stand in backquotes; a short command stays on one line."""
    parts = text.split("`")
    for n, part in enumerate(parts):
        parts[n] = escape(part)
        if n % 2 and n + 1 < len(parts):
            parts[n] = f"<code{' class=short' if len(part) <= SHORT else ''}>{parts[n]}</code>"
    return "".join(parts)


def panels_of(log: Log) -> list[Panel]:
    """Estimated accuracy with its interval, latency, and temperature where the board tells it."""
    windows = _thinned(log.of(Window))
    if not windows:
        return []
    times = tuple(window.time for window in windows)
    marks = _marks(log, times[0], times[-1])
    spans = _spans(windows)

    def points(values: Sequence[float | None]) -> tuple[float | None, ...]:
        return tuple(None if value is None else 100 * value for value in values)

    trusted = [w.accuracy if w.trusted is not False else None for w in windows]
    panels = [
        Panel(
            f"Estimated {measure_of(log)}, with its interval", "%", times,
            (Series("trusted", "c0", points(trusted), points([w.accuracy_low for w in windows]),
                    points([w.accuracy_high for w in windows])),
             Series("not to be trusted", "c4", points([w.accuracy if w.trusted is False else None for w in windows]),
                    dashed=True)),
            tuple(m for m in marks if m.letter != "P"), spans=spans,
        )
    ]  # fmt: skip
    panels.append(
        Panel(
            "Latency of an inference: p50, and p90 dashed", "ms", times,
            (Series("p50", "c0", tuple(w.p50_ms for w in windows)),
             Series("p90", "c1", tuple(w.p90_ms for w in windows), dashed=True)),
            tuple(m for m in marks if m.letter in "PV" or "latency" in m.words), zero=True, spans=spans,
        )
    )  # fmt: skip
    names = [row.name for row in object_rows(log) if row.name is not None][: len(OBJECT_COLORS)]
    if names:
        panels.append(
            Panel(
                "Objects a frame", "mean", times,
                tuple(Series(name, color, tuple(_mean_of(w, name) for w in windows))
                      for name, color in zip(names, OBJECT_COLORS, strict=False)),
                tuple(m for m in marks if m.letter != "P"), zero=True, spans=spans, legend=True,
            )
        )  # fmt: skip
    if any(window.temperature_c is not None for window in windows):
        panels.append(
            Panel("Temperature", "°C", times, (Series("temperature", "c3", tuple(w.temperature_c for w in windows)),))
        )
    return panels


def _mean_of(window: Window, name: str) -> float | None:
    """A class's objects a frame; None where they are not known."""
    if window.objects is None:
        return None
    found = window.objects_of.get(name)
    return found.mean if found is not None else 0.0


def done_of(log: Log) -> list[dict[str, str]]:
    """What was done, and what it brought, in words: the estimate before and after adapting, and around a switch."""
    found: list[dict[str, str]] = []
    windows = log.of(Window)
    for record in log.records:
        if isinstance(record, Adapt | Labels):
            found.append({"when": f"{record.time:%m-%d %H:%M}", "what": words_of(record), "brought": _brought(record)})
        elif isinstance(record, Switch) and not record.failed:
            before = [w for w in windows if w.n < record.n and w.accuracy is not None][-3:]
            after = [w for w in windows if w.n > record.n and w.accuracy is not None][:3]
            found.append({
                "when": f"{record.time:%m-%d %H:%M}", "what": words_of(record),
                "brought": _points(_mean(before), _mean(after)),
            })  # fmt: skip
    return found[::-1]


def _brought(record: Adapt | Labels) -> str:
    if isinstance(record, Labels):
        return f"{percent(record.right / record.labels)} right" if record.labels else "-"
    return _points(record.before, record.after) if record.kind == "adapt" else "-"


def _points(before: float | None, after: float | None) -> str:
    if before is None or after is None:
        return "not known"
    return f"{100 * (after - before):+.1f} points, estimated ({percent(before)} to {percent(after)})"


def _mean(windows: Sequence[Window]) -> float | None:
    values = [w.accuracy for w in windows if w.accuracy is not None]
    return sum(values) / len(values) if values else None


def _thinned(windows: Sequence[Window]) -> list[Window]:
    step = max(1, -(-len(windows) // MOST_POINTS))
    return list(windows[::step])


def _marks(log: Log, start: datetime, end: datetime) -> tuple[Mark, ...]:
    found = []
    for record in log.records:
        kind = record.kind
        if kind not in LETTERS or not start <= record.time <= end:
            continue
        color = "bad" if isinstance(record, Alarm) else "good" if isinstance(record, Clear) else "neutral"
        found.append(Mark(record.time, LETTERS[kind], color, f"{record.time:%m-%d %H:%M:%S} {words_of(record)}"))
    return tuple(found[-MOST_EVENTS:])


def _spans(windows: Sequence[Window]) -> tuple[tuple[datetime, datetime, str], ...]:
    """When each version was served, with neighbouring windows of one version together."""
    spans: list[tuple[datetime, datetime, str]] = []
    for window in windows:
        name = f"version {window.version}, {window.precision}"
        if spans and spans[-1][2] == name:
            spans[-1] = (spans[-1][0], window.time, name)
        else:
            spans.append((spans[-1][1] if spans else window.time, window.time, name))
    return tuple(spans)


def _lead(windows: Sequence[Window], now: datetime) -> str:
    if not windows:
        return f"Nothing was served yet. {now:%Y-%m-%d %H:%M} UTC"
    served = sum(window.served for window in windows)
    return (
        f"{served:,} frames from {windows[0].time:%Y-%m-%d %H:%M} to {windows[-1].time:%Y-%m-%d %H:%M} UTC, "
        f"as of {now:%Y-%m-%d %H:%M}"
    )


def _figures(windows: Sequence[Window], measure: str) -> list[tuple[str, str, str]]:
    """A few figures of the last windows: name, value, and what else is known."""
    last = windows[-5:]
    if not last:
        return []
    newest = next((w for w in reversed(last) if w.accuracy is not None), None)
    interval = ""
    if newest is not None and newest.accuracy_low is not None and newest.accuracy_high is not None:
        interval = f"{percent(newest.accuracy_low)} to {percent(newest.accuracy_high)}"
        interval += "" if newest.trusted is not False else ", not to be trusted"
    captured, skipped = sum(w.captured for w in last), sum(w.skipped for w in last)
    late = sum(w.late for w in last)
    return [
        (f"estimated {measure}", percent(newest.accuracy) if newest is not None else "not known", interval),
        (
            "latency, p90",
            f"{figure(last[-1].p90_ms)} ms",
            f"p50 {figure(last[-1].p50_ms)}, p99 {figure(last[-1].p99_ms)}",
        ),
        ("frames skipped", percent(skipped / captured, 0) if captured else "-", f"{late:,} results late"),
        ("served by", f"version {last[-1].version}", last[-1].precision),
    ]


def _alarm(log: Log, alarm: Alarm) -> dict[str, Any]:
    pictures = []
    for name in alarm.frames[-MOST_FRAMES:]:
        path = log.frame(name)
        if path is not None and path.is_file():
            pictures.append(base64.b64encode(read_bytes(path, MOST_FRAME, "picture")).decode())
    return {
        "when": f"{alarm.time:%Y-%m-%d %H:%M:%S}", "what": words_of(alarm), "pictures": pictures,
        "missing": bool(alarm.frames) and not pictures,
    }  # fmt: skip


def _versions(folder: Path) -> list[dict[str, str]]:
    """The versions that lie in the folder that was read, where it is a deployment."""
    found = []
    for number in versions_in(folder):
        try:
            card = read_card(folder / VERSIONS / str(number))
        except UserError:
            continue
        model = card.models.get(card.precision)
        test = model.test if model is not None else None
        found.append({
            "number": str(number), "precision": card.precision, "made": card.made[:16].replace("T", " "),
            "test": "-" if test is None else f"{percent(test.value)} ({percent(test.low)} to {percent(test.high)})",
            "steps": "; ".join(card.steps[-2:]),
        })  # fmt: skip
    return found
