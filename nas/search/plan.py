"""What a search does with the time that it is given: how many networks, how long a training, how many again."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from typing import Any

from nas.errors import UserError
from nas.estimate.fidelity import watched_images
from nas.numbers import duration

NETWORKS, IN_MINUTES = 45, 5.0  # so many in so long a search
GROWTH = 0.25  # of their number with the time; the rest goes into longer trainings
ENOUGH_IMAGES = 40_000  # that a training sees, of small datasets LEAST_EPOCHS, before more than FEW networks pay
FEW = 24  # networks: from trainings that are too short, more of them tell no more (experiments/estimators)
MOST_EPOCHS = 30  # of all training images; more time than for these goes into more networks
MOST_WITH_BOXES = 150  # of a detector's pictures
STEPS = 200  # of a training that batches are chosen for
BATCHES = (16, 32, 64)
STEPS_WITH_BOXES, BOXES = 400, (8, *BATCHES, 128)  # of detectors, which learn from fewer pictures in more steps
LEAST_IMAGES, LEAST_EPOCHS = 4000, 2.0  # that a training sees: after fewer, accuracies tell next to nothing
OVER = 0.15  # of an epoch, that is left out: every image once rather than half of them twice
MEASURING = 0.2  # of a training's time, at most, for its accuracy
LEAST_VALIDATION = 1000  # images, where there are so many
FEWEST = 4  # networks that a search should have time for
USED = 0.95  # of the time: the rest is for what lies between trainings, and the report
BETWEEN = 0.3  # seconds from one training to the next: the sampler's proposal, and what is written
SPARE = 2.0  # times the planned networks may be trained where the trainings are quicker than measured


def minutes_of(time: str | float) -> float:
    """A length of time that a person gave, in minutes: 90s, 30m, 2h, or a bare number, which is minutes.

    Raises UserError unless it is above 0 and finite.
    """
    value = math.nan
    if isinstance(time, str):
        match = re.fullmatch(r"\s*([0-9]+\.?[0-9]*|\.[0-9]+)\s*(s|m|min|h|)\s*", time, re.ASCII)
        if match:
            value = float(match[1]) * {"s": 1 / 60, "h": 60.0}.get(match[2], 1.0)
    elif isinstance(time, int | float) and not isinstance(time, bool):
        value = float(time)
    if not 0 < value < math.inf:
        raise UserError(f"time must be a length of time above 0, e.g. 90s, 30m or 2h; got {repr(time)[:80]}")
    return value


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds on this machine, means over candidates of the search."""

    trained: float  # an image in a training step, at the candidate's own resolution
    trained_small: float  # at the small resolution
    evaluated: float  # an image that is only looked at, at the own resolution
    fixed: float  # of a training, whatever its length

    def times(self, factor: float) -> Speed:
        """So many times as many seconds."""
        return Speed(*(factor * seconds for seconds in astuple(self)))


@dataclass(frozen=True, slots=True)
class Images:
    """How many images a training sees."""

    training: int
    validation: int
    others: int  # that are looked at besides: for batch norm's statistics, and for quantization
    rounded: float = 0.0  # share of the candidates that are measured once more, after they were quantized
    boxes: bool = False  # whether they have boxes: detectors learn nothing from few steps


@dataclass(frozen=True, slots=True)
class Plan:
    """What follows from the time."""

    minutes: float  # of the whole search
    networks: int
    again: int  # trainings of networks that were trained, with other seeds
    seconds: float  # that a training takes
    proxy: Mapping[str, Any]  # settings of the proxy training
    enough: float = 0.0  # minutes that a search of few networks would need, where these are not; 0: they are enough

    @property
    def most(self) -> int:
        """Networks after which the search ends, whatever time is left: the machine may be quicker than it was."""
        return math.ceil(SPARE * max(self.networks, NETWORKS))

    def sentence(self) -> str:
        """The plan in one line."""
        epochs, share = self.proxy["epochs"], self.proxy["data_share"]
        images = "" if share >= 1 else f" of {100 * share:.2g}% of the images"
        confirmed = f", then about {self.again} trainings again to confirm the front" if self.again else ""
        short = f": short for this machine; {duration(60 * self.enough)} would be enough for {FEWEST}"
        networks, long = f"{self.networks} network{'s' * (self.networks > 1)}", f"{epochs} epoch{'s' * (epochs > 1)}"
        each = f"about {networks} of {long}{images}, {duration(self.seconds)} each"
        return f"{duration(60 * self.minutes)}: {each}{confirmed}{short if self.enough else ''}"


def plan(
    minutes: float, spent_s: float, speed: Speed, images: Images, proxy: Mapping[str, Any], *, confirm: float,
    chosen: Mapping[str, Any] | None = None, networks: int | None = None, workers: int = 1,
) -> Plan:  # fmt: skip
    """How a search uses `minutes`, of which `spent_s` seconds are over.

    A search of five minutes has 45 networks, and their number grows with the 0.25th power of the time; a training takes
    what is left for each, of which a share of `confirm` trainings are of networks that were trained before. Where that
    is too short for 40,000 images, or for twice those of a small dataset, there are only as many networks as can see so
    many, but at least 24. `proxy` are the settings of a training; those that the user has `chosen`, and the
    number of `networks` where it is given, stay. Of the others epochs, data_share, batch_size and validation_share
    change: small batches, so that a short training has many steps, and no more validation images than a fifth of its
    time is enough for, but at least 1,000. A training never sees the images more than 30 times (of detectors 150), and
    never fewer than 4,000 (of small datasets with classes all images twice): more or fewer networks then fit. Where
    they are fewer than four, the plan says what would be enough.
    """
    chosen = chosen or {}
    left = USED * (60 * minutes - spent_s) * workers
    wanted = networks or max(FEWEST, round(NETWORKS * (minutes / IN_MINUTES) ** GROWTH))
    if networks is None and wanted > FEW and not images.boxes:
        enough = min(ENOUGH_IMAGES, LEAST_EPOCHS * images.training)
        long = _looking(speed, _measured(images, proxy), 1, enough) + enough * _per_pass(speed, proxy)
        wanted = min(wanted, max(FEW, int(left * (1 - confirm) / long)))
    each = left * (1 - confirm) / wanted
    sizes, steps = (BOXES, STEPS_WITH_BOXES) if images.boxes else (BATCHES, STEPS)
    batch = int(chosen.get("batch_size", sizes[0]))
    share = float(chosen.get("validation_share", _validation_share(each, speed, images)))
    proxy = {**proxy, "validation_share": share}
    passes = _passes(each, speed, _measured(images, proxy), proxy, chosen)
    batch = int(chosen.get("batch_size", max([b for b in sizes if b * steps <= passes], default=batch)))
    settings = {**proxy, **_fidelity(passes, images.training, chosen), "batch_size": batch}
    seconds = training_seconds(speed, images, settings)
    fitting = max(1, int(left * (1 - confirm) / seconds))
    needed = (FEWEST * seconds / (1 - confirm) / workers / USED + spent_s) / 60
    trained = networks or fitting
    again = round(left / seconds) - trained if confirm else 0
    again = min(max(0, again), math.ceil(confirm / (1 - confirm) * trained))
    return Plan(
        minutes, trained, again, seconds, settings, needed if fitting < min(FEWEST, networks or FEWEST) else 0.0
    )


def training_seconds(speed: Speed, images: Images, proxy: Mapping[str, Any]) -> float:
    """What a training of these settings takes."""
    passes = float(proxy["epochs"] * proxy["data_share"] * images.training)
    return _looking(speed, _measured(images, proxy), proxy["epochs"], passes) + passes * _per_pass(speed, proxy)


def _measured(images: Images, proxy: Mapping[str, Any]) -> Images:
    """With the validation images that accuracies are measured on."""
    return replace(images, validation=round(float(proxy.get("validation_share", 1.0)) * images.validation))


def _per_pass(speed: Speed, proxy: Mapping[str, Any]) -> float:
    """Seconds of one image in one step, on average over a training."""
    if proxy["resolution_share"] >= 1:
        return speed.trained
    own = float(proxy["full_resolution_share"])
    return own * speed.trained + (1 - own) * speed.trained_small


def _looking(speed: Speed, images: Images, epochs: int, passes: float) -> float:
    """Seconds of a training that are not steps: every validation image once, and some after each epoch."""
    watched = watched_images(round(passes / epochs), images.validation)
    measured = (1 + images.rounded) * images.validation
    return BETWEEN + speed.fixed + (images.others + measured + epochs * watched) * speed.evaluated


def _validation_share(seconds: float, speed: Speed, images: Images) -> float:
    """The share of the validation images that a training of so many seconds has time for."""
    most = MEASURING * seconds / ((1 + images.rounded) * speed.evaluated)
    return _rounded(min(1.0, max(most, LEAST_VALIDATION) / images.validation))


def _passes(
    seconds: float, speed: Speed, images: Images, proxy: Mapping[str, Any], chosen: Mapping[str, Any]
) -> float:  # fmt: skip
    """How many images a training may see in so many seconds, the same ones again counted again."""
    epochs = int(chosen.get("epochs", 1))
    most, least = float(MOST_EPOCHS * images.training), min(LEAST_IMAGES, LEAST_EPOCHS * images.training)
    if images.boxes:
        most, least = float(max(MOST_WITH_BOXES * images.training, LEAST_IMAGES)), float(LEAST_IMAGES)
    if "epochs" in chosen:
        most, least = float(epochs * images.training), 1.0
    passes = least
    for _ in range(8):  # what is only looked at depends on how many are trained with
        left = seconds - _looking(speed, images, epochs, passes)
        passes = min(most, max(least, left / _per_pass(speed, proxy)))
        if "epochs" not in chosen:
            epochs = max(1, math.ceil(passes / images.training))
    return passes


def _fidelity(passes: float, training: int, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Epochs and the share of the images, so that a training sees `passes` images in all."""
    if "data_share" in chosen:
        share = float(chosen["data_share"])
        return {"epochs": int(chosen.get("epochs", max(1, round(passes / (share * training))))), "data_share": share}
    epochs = int(chosen.get("epochs", max(1, math.ceil(passes / training - OVER))))
    return {"epochs": epochs, "data_share": _rounded(min(1.0, passes / (epochs * training)))}


def _rounded(share: float) -> float:
    """Two significant digits, never 0; a share that is nearly all is all."""
    return 1.0 if share > 0.95 else max(1e-4, float(f"{share:.2g}"))
