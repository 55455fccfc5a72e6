"""What serving says to a program that asks: of itself by /health and /metrics, of a picture that it is sent."""

from __future__ import annotations

from typing import Any

from .answers import answer_of
from .endpoint import label, metric
from .loop import Serving


class Asked:
    """What the endpoint asks, from its own threads."""

    def __init__(self, serving: Serving) -> None:
        self.serving = serving

    def health_answer(self) -> dict[str, Any]:
        """/health."""
        return health_of(self.serving)

    def metrics(self) -> str:
        """/metrics."""
        return metrics_of(self.serving)

    @property
    def asked(self) -> str:
        """The path that a picture is sent to."""
        return "/detect" if self.serving.model.detects else "/classify"

    def answer(self, picture: bytes) -> dict[str, Any]:
        """What --json prints of a picture that a program sent; it is not a frame. Raises ValueError for none."""
        model = self.serving.model
        try:
            answer, ms, _ = answer_of(model, picture, self.serving.options)
        except model.program.NotAPicture as error:
            raise ValueError(str(error)) from None
        return dict(answer.object("", ms), version=model.version, precision=model.precision)


def health_of(serving: Serving) -> dict[str, Any]:
    """/health: `status` is "alarm" while a chart alarms, else "ok"."""
    return {
        "status": "alarm" if serving.watching.alarms else "ok", "alarms": sorted(serving.watching.alarms),
        "version": serving.model.version, "precision": serving.model.precision, **serving.counts.now(),
        **serving.health.facts,
    }  # fmt: skip


def metrics_of(serving: Serving) -> str:
    """/metrics, in Prometheus' text format."""
    counts, facts, estimate = serving.counts.now(), serving.health.facts, serving.watching.estimate
    parts = [
        metric(f"nas_frames_{name}_total", "counter", f"Frames {name}.", {"": count}) for name, count in counts.items()
    ]
    inference, result = serving.counts.times()
    for name, words, times in (
        ("nas_inference_milliseconds", "Time of the network alone.", inference),
        ("nas_result_milliseconds", "Time from capture to result.", result),
    ):
        shares: dict[str, Any] = {label(quantile=str(share)): times.at(share) for share in (0.5, 0.9, 0.99)}
        text = metric(name, "summary", words, shares)
        parts.append(text + f"{name}_count {times.total}\n" if text else "")
    served = label(version=str(serving.model.version), precision=serving.model.precision)
    parts.append(metric("nas_version_info", "gauge", "The version that is served.", {served: 1}))
    parts.append(metric("nas_accuracy_estimate", "gauge", "Estimated without labels.", {"": estimate.get("accuracy")}))
    charts = ("picture", "detections" if serving.model.detects else "features", "accuracy", "latency")
    alarms: dict[str, Any] = {label(chart=chart): int(chart in serving.watching.alarms) for chart in charts}
    parts.append(metric("nas_alarm", "gauge", "1 while a chart alarms.", alarms))
    parts += _objects_of(serving)
    parts.append(metric("nas_temperature_celsius", "gauge", "Of the hottest sensor.", {"": facts["temperature_c"]}))
    parts.append(metric("nas_frequency_mhz", "gauge", "Of the fastest processor.", {"": facts["frequency_mhz"]}))
    parts.append(
        metric("nas_throttled", "gauge", "1 while the board slows itself down.", {"": bool(facts["throttled"])})
    )
    return "".join(parts)


def _objects_of(serving: Serving) -> list[str]:
    """A detector's objects, of the last window; of a bounded number of classes."""
    found = serving.objects.last if serving.objects is not None else {}
    rows = {"": found["objects"], **found["objects_of"]} if found else {}
    return [
        metric(name, "gauge", words, {label(**{"class": of}) if of else "": row[key] for of, row in rows.items()})
        for name, words, key in (
            ("nas_objects_mean", "Objects a frame in the last window, by class.", "mean"),
            ("nas_objects_p90", "The 90th percentile of a frame's objects.", "p90"),
            ("nas_frames_without_ratio", "Share of the frames without an object, by class.", "none"),
        )
    ]
