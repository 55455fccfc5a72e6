"""Which windows are adapted to, what is accepted, and when it is undone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nas.monitor.serve import adapt
from nas.monitor.serve.acting import Acting
from nas.monitor.serve.adapt import NotAdaptable, balanced, mix_of

RNG = np.random.default_rng(0)


def certainty(scores: np.ndarray, adapted: bool) -> tuple[float, float, float, bool]:
    """An estimate for tests: the mean of the largest score."""
    value = float(scores.max(axis=1).mean())
    return value, value - 0.05, value + 0.05, True


class Net:
    """Says what it was told, with a certainty."""

    def __init__(self, sure: float) -> None:
        self.sure = sure

    def ready(self, image: np.ndarray) -> np.ndarray:
        return image

    def outputs(self, image: np.ndarray) -> tuple[np.ndarray, None]:
        scores = np.full(4, 0.1, np.float32)
        scores[int(image.flat[0]) % 4] = self.sure
        return scores, None


class Bytes:
    """Stands for a Folding whose file's bytes say how sure the network is."""

    model = b"0.5"

    def __init__(self, after: bytes, best: float = adapt.SHARES[1]) -> None:
        self.after, self.best, self.seen = after, best, 0

    def statistics(self, images: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        self.seen = len(images)
        return np.zeros(1), np.ones(1)

    def blended(self, means: np.ndarray, variances: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
        return means, variances * share

    def folded(self, means: np.ndarray, variances: np.ndarray) -> bytes:
        return self.after if variances[0] == self.best else b"0.2"


def acting(after: bytes = b"0.8") -> Acting:
    folding: Any = Bytes(after)
    return Acting(
        folding, certainty, lambda content: Net(float(content)), lambda pixels: pixels.astype(np.float32), wait_s=0
    )


def feed(
    one: Acting, count: int, sure: float = 0.5, events: list[dict[str, Any]] | None = None, kinds: int = 4
) -> None:
    for number in range(count):
        pixels = np.full((2, 2, 3), number % kinds, np.uint8)
        one.hear(pixels, Net(sure).outputs(pixels)[0], (events or []) if number == count - 1 else [])


def news(one: Acting) -> Any:
    """What comes of all that is under way."""
    found = one.poll()
    one.join()
    return found or one.poll()


ALARM = [{"kind": "alarm", "chart": "accuracy"}]


def test_a_mix_is_one_where_all_classes_are_alike_and_zero_of_one() -> None:
    assert mix_of(np.arange(100) % 10, 10) == pytest.approx(1)
    assert mix_of(np.zeros(100, int), 10) == 0
    assert mix_of(np.arange(100) % 2, 10) == pytest.approx(np.log(2) / np.log(10))
    assert mix_of(np.arange(100) % 2, 2) == pytest.approx(1), "a network of two classes needs both"


@pytest.mark.parametrize(
    ("predicted", "reason"),
    [
        (np.arange(63) % 10, "needs 64 recent images; got 63"),
        (np.arange(256) % 2, "of too few classes: their mix is 0.30 of 1"),
        (np.where(RNG.random(256) < 0.9, 3, RNG.integers(0, 10, 256)), "of too few classes"),
    ],
)
def test_a_window_that_would_make_it_worse_is_refused(predicted: np.ndarray, reason: str) -> None:
    with pytest.raises(NotAdaptable, match=reason):
        balanced(predicted, 10)


def test_of_a_class_that_is_frequent_the_newest_images_are_taken() -> None:
    predicted = np.where(RNG.random(500) < 0.3, 7, np.arange(500) % 10)
    chosen = balanced(predicted, 10, most=256)
    counts = np.bincount(predicted[chosen], minlength=10)
    assert len(chosen) <= 256 and (np.diff(chosen) > 0).all() and counts.max() < 1.4 * counts.min()
    sevens = np.flatnonzero(predicted == 7)
    assert set(chosen[predicted[chosen] == 7]) == set(sevens[-counts[7] :])


def test_an_alarm_of_the_accuracy_adapts_and_pictures_as_usual_undo_it() -> None:
    one = acting()
    feed(one, 200)
    assert news(one) is None, "nothing has alarmed"
    feed(one, 1, events=[{"kind": "alarm", "chart": "picture"}])
    assert news(one) is None, "an alarm of the picture alone says nothing of the accuracy"
    feed(one, 1, events=ALARM)
    network, (event,) = news(one)
    assert network.sure == 0.8 and event["kind"] == "adapt" and (event["before"], event["after"]) == (0.5, 0.8)
    assert event["way"] == str(adapt.SHARES[1]), "the other would be worse than nothing"
    assert event["images"] == one.folding.seen == 202
    feed(one, 10, 0.8, [{"kind": "clear", "chart": "accuracy"}])
    assert news(one) is None, "it clears because it was adapted"
    feed(one, 10, 0.8, [{"kind": "clear", "chart": "picture"}])
    assert news(one) == (None, [{"kind": "undo", "why": "the pictures are as usual again"}])
    assert one.adapted is None and news(one) is None


def test_what_does_not_raise_the_estimate_is_not_accepted() -> None:
    one = acting(b"0.505")
    feed(one, 100, events=ALARM)
    network, (event,) = news(one)
    assert network is None and event["kind"] == "adapt" and "does not rise" in event["why"] and event["after"] == 0.505
    feed(one, 10)
    assert news(one) is None, "and not tried again until the next alarm"


def test_frames_of_too_few_classes_are_waited_for_and_then_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    one = acting()
    feed(one, 100, events=ALARM, kinds=1)
    assert news(one) is None and one.wanted == 11
    feed(one, 300)
    network, (event,) = news(one)
    assert network.sure == 0.8 and event["images"] >= adapt.FEWEST
    one = acting()
    feed(one, 100, events=ALARM, kinds=1)
    found = None
    for _ in range(30):
        found = found or news(one)
    assert found is not None and found[0] is None and "of too few classes" in found[1][0]["why"]
    assert news(one) is None


def test_it_is_undone_when_the_network_as_deployed_would_do_as_well() -> None:
    one = acting()
    feed(one, 100, events=ALARM)
    assert news(one)[0].sure == 0.8
    feed(one, 1000, 0.8)
    assert news(one) is None and one.adapted is not None, "0.5 as deployed"
    feed(one, 1000, 0.4)  # the drift has ended: the adapted network does worse than 0.5
    network, (event,) = news(one)
    assert network is None and event["kind"] == "undo" and (event["before"], event["after"]) == (0.4, 0.5)


def test_an_error_in_the_attempt_does_not_end_serving() -> None:
    one = acting(b"not a number")
    feed(one, 100, events=ALARM)
    assert news(one) is None and news(one) is None and one.adapted is None


def test_frames_that_are_kept_are_bounded() -> None:
    one = acting()
    feed(one, 2000)
    assert len(one.frames) == 512
    large = acting()
    for _ in range(200):
        large.hear(np.zeros((224, 224, 3), np.uint8), np.zeros(4, np.float32), [])
    assert len(large.frames) == 106


MEAN, STD = (100.0, 110.0, 120.0), (50.0, 55.0, 60.0)


def as_inputs(pixels: np.ndarray) -> list[np.ndarray]:
    """uint8 (n, r, r, 3) to float32 (1, 3, r, r) each."""
    values = (pixels.astype(np.float32) - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return [one.transpose(2, 0, 1)[None] for one in values]


class Mirror:
    """Gives back what it is given."""

    def ready(self, image: np.ndarray) -> np.ndarray:
        return image

    def outputs(self, ready: np.ndarray) -> tuple[np.ndarray, None]:
        return (ready[0].transpose(1, 2, 0) * np.array(STD) + np.array(MEAN)), None


@pytest.mark.parametrize(
    ("change", "near"), [(lambda v: v * 0.5, 1.5), (lambda v: v * 0.7 + 40, 1.0), (lambda v: v, 0.6)]
)
def test_pictures_are_made_as_bright_as_usual(change: Any, near: float) -> None:
    usual, clean = RNG.beta(2, 3, (2, 64, 16, 16, 1))
    colors = np.array([1.0, 0.8, 0.3])
    counts = np.bincount(np.rint(255 * usual).astype(int).ravel(), minlength=256)
    wanted = np.rint(255 * clean) * colors
    dark = np.clip(np.rint(change(255 * clean) * colors), 0, 255).astype(np.uint8)
    images = as_inputs(dark)
    table = adapt.table_of(images, counts, MEAN, STD)
    assert (np.diff(table[dark.max(axis=-1).min() : dark.max() + 1]) >= -1e-9).all(), "brighter stays brighter"
    net = adapt.Exposed(Mirror(), table, MEAN, STD)
    found = np.stack([net.outputs(net.ready(image))[0] for image in images])
    assert np.abs(found[..., 0] - wanted[..., 0]).mean() < 1 + near
    bright = found[..., 0] > 20
    np.testing.assert_allclose((found[..., 1] / np.maximum(found[..., 0], 1))[bright], 0.8, atol=0.1)


def test_the_way_that_the_estimate_prefers_is_taken() -> None:
    folding: Any = Bytes(b"0.6")
    one = Acting(folding, certainty, lambda content: Net(float(content)), lambda pixels: pixels.astype(np.float32),
                 exposed=lambda images: Net(0.9), wait_s=0)  # fmt: skip
    feed(one, 100, events=ALARM)
    network, (event,) = news(one)
    assert network.sure == 0.9 and event["way"] == "exposure" and event["after"] == 0.9
