"""What follows from a time: from speeds that are given, so the same on any machine."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from nas.errors import UserError
from nas.search.plan import Images, Plan, Speed, minutes_of, plan, training_seconds

DIGITS, CIFAR = Images(1151, 287, 800), Images(45_000, 5_000, 800)
QUICK, SLOW = Speed(6e-4, 3e-4, 2e-4, 0.2), Speed(1e-2, 2e-3, 3e-3, 1.0)
PROXY = {
    "epochs": 5, "data_share": 1.0, "resolution_share": 1.0, "full_resolution_share": 0.2, "batch_size": 128
}  # fmt: skip


def planned(minutes: float, speed: Speed = QUICK, images: Images = DIGITS, **changed: Any) -> Plan:
    given: dict[str, Any] = {"confirm": 0.2} | changed
    return plan(minutes, given.pop("spent_s", 10.0), speed, images, given.pop("proxy", PROXY), **given)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90s", 1.5), ("30m", 30), (" 30 min ", 30), ("2h", 120), ("1.5h", 90), ("5", 5), (".5", 0.5), (7, 7), (0.5, 0.5)],
)
def test_a_time_is_a_number_with_a_unit_or_minutes(text: str | float, expected: float) -> None:
    assert minutes_of(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text",
    ["", "m", "soon", "0", "0s", "-5m", "5 parsecs", "5ms", "1e3m", "1:30", "5m30s", "nan", "inf", "٣m", "9" * 5000,
     0, -1.0, math.inf, math.nan, True, None, [5]],
)  # fmt: skip
def test_what_is_no_time_is_refused_in_a_short_line(text: object) -> None:
    with pytest.raises(UserError, match=r"^time must be a length of time above 0, e.g. 90s, 30m or 2h; got ") as error:
        minutes_of(text)  # type: ignore[arg-type]
    assert len(str(error.value)) < 200


@pytest.mark.parametrize(("speed", "images"), [(QUICK, DIGITS), (QUICK, CIFAR), (SLOW, DIGITS), (SLOW, CIFAR)])
@pytest.mark.parametrize("minutes", [15.0, 60.0, 600.0])
def test_what_is_planned_fits_the_time_and_uses_most_of_it(speed: Speed, images: Images, minutes: float) -> None:
    found = planned(minutes, speed, images)
    seconds = training_seconds(speed, images, found.proxy)
    assert found.seconds == seconds
    assert 0.85 < (found.networks + found.again) * seconds / (60 * minutes - 10) < 0.99
    assert found.again == pytest.approx(0.25 * found.networks, abs=2)  # a fifth of all
    assert found.most >= found.networks


def test_five_minutes_on_a_quick_machine_have_forty_networks_and_more_time_has_more_and_longer_ones() -> None:
    five, hour, day = planned(5.0), planned(60.0), planned(1440.0, QUICK, CIFAR)
    assert 40 <= five.networks <= 50 and 3 <= five.seconds < 6
    assert hour.networks > 1.7 * five.networks and hour.seconds > 3 * five.seconds
    assert day.networks > 170 and day.proxy["epochs"] * day.proxy["data_share"] > 3


def test_more_than_few_networks_come_after_trainings_that_are_long_enough() -> None:
    """An hour on two cores: 40,000 images of each of some 24 networks rather than 13,000 of 84."""
    two_cores = Speed(4.4e-3, 1.2e-3, 1.4e-3, 0.3)
    half = PROXY | {"resolution_share": 0.5}
    hour, day = (planned(minutes, two_cores, CIFAR, proxy=half) for minutes in (60.0, 480.0))
    for found in (hour, day):
        assert found.proxy["epochs"] * found.proxy["data_share"] * CIFAR.training > 35_000
    assert 24 <= hour.networks < 40 and day.networks > 120
    assert planned(60.0, two_cores, CIFAR, proxy=half, networks=84).networks == 84


def test_a_little_more_than_an_epoch_is_one_of_every_image() -> None:
    passes = {n: planned(60.0, QUICK, CIFAR, networks=n).proxy for n in range(40, 120, 2)}
    twice = [p["data_share"] for p in passes.values() if p["epochs"] == 2]
    assert min(twice) > 0.55 and any(p == (1, 1.0) for p in ((p["epochs"], p["data_share"]) for p in passes.values()))


def test_accuracies_are_measured_on_as_many_images_as_a_fifth_of_a_training_has_time_for() -> None:
    """Or on 1,000: ten thousand images would take longer than the whole training."""
    many = Images(40_000, 10_000, 800)
    share = {minutes: planned(minutes, SLOW, many).proxy["validation_share"] for minutes in (5.0, 60.0, 6000.0)}
    assert share[5.0] == 0.1 < share[60.0] < share[6000.0] == 1.0
    hour = planned(60.0, SLOW, many)
    assert 0.1 < share[60.0] * 10_000 * SLOW.evaluated / hour.seconds < 0.25
    assert planned(5.0, SLOW, DIGITS).proxy["validation_share"] == 1.0
    assert planned(60.0, SLOW, many, chosen={"validation_share": 0.7}).proxy["validation_share"] == 0.7
    rounded = planned(60.0, SLOW, Images(40_000, 10_000, 800, rounded=0.5))
    assert rounded.proxy["validation_share"] < share[60.0]


def test_a_training_sees_the_images_thirty_times_at_most() -> None:
    found = planned(6000.0)
    assert (found.proxy["epochs"], found.proxy["data_share"]) == (30, 1.0)
    assert found.networks > 2 * 45 * (6000 / 5) ** 0.25


def test_a_short_time_has_fewer_networks_that_see_four_thousand_images_or_all_of_few_twice() -> None:
    for images, least in ((DIGITS, 2 * 1151), (CIFAR, 4000)):
        found = planned(5.0, SLOW, images)
        seen = found.proxy["epochs"] * found.proxy["data_share"] * images.training
        assert found.networks < 45 and seen == pytest.approx(least, rel=0.05)


def test_a_time_for_less_than_four_networks_says_what_is_enough() -> None:
    short = planned(1.0, SLOW, CIFAR)
    assert short.networks < 4 and short.enough > 1
    enough = planned(1.05 * short.enough, SLOW, CIFAR)
    assert enough.networks >= 4 and enough.enough == 0
    over = planned(1.0, SLOW, spent_s=90.0)  # it took so long to begin
    assert over.networks == 1 and over.again == 0
    assert planned(1.0, SLOW, CIFAR, networks=1).enough == 0


def test_batches_are_small_where_steps_are_few() -> None:
    assert planned(5.0).proxy["batch_size"] == 16
    assert planned(600.0, QUICK, CIFAR).proxy["batch_size"] == 64


def test_what_the_user_chose_stays() -> None:
    epochs = planned(5.0, chosen={"epochs": 12}, proxy=PROXY | {"epochs": 12})
    assert epochs.proxy["epochs"] == 12 and epochs.proxy["data_share"] < 1 and epochs.networks >= 40
    share = planned(5.0, chosen={"data_share": 0.5}, proxy=PROXY | {"data_share": 0.5})
    assert share.proxy["data_share"] == 0.5 and share.proxy["epochs"] >= 8
    both = {"epochs": 3, "data_share": 1.0, "batch_size": 64}
    fixed = planned(5.0, chosen=both, proxy=PROXY | both)
    assert both.items() <= fixed.proxy.items() and fixed.networks > 60
    few = planned(5.0, networks=10)
    assert few.networks == 10 and few.seconds > 15


def test_small_images_make_longer_trainings_and_several_workers_more_networks() -> None:
    small, large = planned(600.0, SLOW, proxy=PROXY | {"resolution_share": 0.5}), planned(600.0, SLOW)
    assert small.proxy["epochs"] > 1.5 * large.proxy["epochs"] > 3
    assert small.proxy["resolution_share"] == 0.5
    assert planned(5.0, SLOW, workers=4).networks > 2 * planned(5.0, SLOW).networks


def test_the_plan_is_said_in_a_line() -> None:
    proxy = PROXY | {"epochs": 6}
    assert Plan(5.0, 45, 9, 5.31, proxy).sentence() == (
        "5 min: about 45 networks of 6 epochs, 5.3 s each, then about 9 trainings again to confirm the front"
    )
    assert Plan(60.0, 24, 0, 104.0, proxy).sentence() == "60 min: about 24 networks of 6 epochs, 100 s each"
    few = Plan(1.5, 8, 0, 7.0, PROXY | {"epochs": 1, "data_share": 0.25})
    assert few.sentence() == "90 s: about 8 networks of 1 epoch of 25% of the images, 7 s each"
    assert Plan(5.0, 1, 0, 400.0, proxy, 30.0).sentence() == (
        "5 min: about 1 network of 6 epochs, 6.7 min each: short for this machine; 30 min would be enough for 4"
    )
    assert Plan(150.0, 200, 0, 130.0, proxy).sentence() == "2.5 h: about 200 networks of 6 epochs, 2.2 min each"


def test_detectors_see_at_least_4000_pictures_in_many_steps() -> None:
    """384 pictures: classes are trained on them twice at least, boxes eleven times, in batches of 8."""
    few = Images(384, 96, 384)
    slow = Speed(0.05, 0.05, 0.01, 0.0)
    proxy = {"resolution_share": 1.0, "full_resolution_share": 1.0, "validation_share": 1.0}
    classes = plan(5.0, 0.0, slow, few, proxy, confirm=0.0)
    boxes = plan(5.0, 0.0, slow, replace(few, boxes=True), proxy, confirm=0.0)
    assert (classes.proxy["epochs"], boxes.proxy["epochs"]) == (2, 11)
    assert boxes.proxy["epochs"] * boxes.proxy["data_share"] * 384 >= 3950
    assert boxes.proxy["batch_size"] == 8 and classes.proxy["batch_size"] == 16
    longer = plan(600.0, 0.0, Speed(0.01, 0.01, 0.002, 0.0), replace(few, boxes=True), proxy, confirm=0.0)
    assert 30 < longer.proxy["epochs"] <= 150
