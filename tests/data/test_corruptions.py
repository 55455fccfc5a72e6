"""Corruptions are those of the benchmark.

corruptions.npz was recorded from imagecorruptions-imaug 1.1.5 (Pillow 13.0, OpenCV 5.0, scikit-image 0.26), which is
not needed here: what it makes of `picture(16)`, with CIFAR-10-C's constants put in the place of its own, and every
sixth pixel of what it makes of `picture(72)` with its own constants, ImageNet-C's; each for severities 1 to 5. Of
noise, which it draws otherwise, the mean distance from the picture, the mean and the standard deviation.
"""

from pathlib import Path

import numpy as np
import pytest

from nas.data.corruptions import CORRUPTIONS, SMALL, corrupt
from nas.errors import UserError

RECORDED = np.load(Path(__file__).parent / "corruptions.npz")
EVERY = {16: 1, 72: 6}  # of the pixels recorded


def picture(side: int) -> np.ndarray:
    """Two ramps, a pattern with edges, and a black corner: uint8 (1, side, side, 3)."""
    y, x = np.indices((side, side))
    levels = np.stack([x * 255 // side, y * 255 // side, (x * x + 3 * y) % 256], axis=-1)
    return np.where((x + y < side // 3)[:, :, None], 0, levels).astype(np.uint8)[None]


@pytest.mark.parametrize("side", EVERY)
@pytest.mark.parametrize("name", sorted(CORRUPTIONS.keys() - {"gaussian-noise"}))
def test_pixels_are_those_of_the_reference(name: str, side: int) -> None:
    every = EVERY[side]
    for severity, recorded in enumerate(RECORDED[f"{name}-{side}"], 1):
        ours = corrupt(picture(side), name, severity, seed=0)[0, ::every, ::every]
        distance = np.abs(ours.astype(int) - recorded)
        most = 8 if name == "jpeg" else 1  # codecs differ; the reference rounds in single precision
        assert distance.max() <= most and (distance > 0).mean() < 0.25, (severity, distance.max(), distance.mean())
        changed = np.abs(recorded.astype(int) - picture(side)[0, ::every, ::every]).mean()
        assert changed > 0.4 > 1.5 * distance.mean(), severity  # so that doing nothing would not pass


@pytest.mark.parametrize("side", EVERY)
def test_noise_is_as_strong_as_that_of_the_reference(side: int) -> None:
    for severity, (distance, mean, deviation) in enumerate(RECORDED[f"gaussian-noise-{side}"], 1):
        ours = corrupt(np.repeat(picture(side), 40, axis=0), "gaussian-noise", severity, seed=0).astype(float)
        assert np.abs(ours - picture(side)).mean() == pytest.approx(distance, rel=0.06), severity
        assert ours.mean() == pytest.approx(mean, rel=0.03) and ours.std() == pytest.approx(deviation, rel=0.03)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_is_a_function_of_image_and_seed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many come in one batch; they themselves stay as they are."""
    images = np.concatenate([picture(16), 255 - picture(16), picture(16)])
    before = images.copy()
    whole = corrupt(images, name, 3, seed=5)
    monkeypatch.setattr("nas.data.corruptions.CHUNK", 1)  # image by image
    assert np.array_equal(corrupt(images, name, 3, seed=5), whole)
    assert np.array_equal(images, before) and whole.shape == images.shape and whole.dtype == np.uint8
    noise = name == "gaussian-noise"
    assert np.array_equal(corrupt(images, name, 3, seed=6), whole) != noise
    assert np.array_equal(whole[0], whole[2]) != noise  # equal images have noise of their own


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("side", [16, 72])
def test_a_higher_severity_changes_more(name: str, side: int) -> None:
    changed = [
        np.abs(corrupt(picture(side), name, severity, seed=0).astype(int) - picture(side)).mean()
        for severity in range(1, 6)
    ]
    assert changed == sorted(changed) and changed[0] < changed[-1]


@pytest.mark.parametrize("side", [1, 2, 8])
def test_the_smallest_images_can_be_corrupted(side: int) -> None:
    for name in CORRUPTIONS:
        assert corrupt(picture(side), name, 5, seed=0).shape == (1, side, side, 3)


def test_constants_change_above_64_pixels() -> None:
    """Contrast keeps 0.75 of the distance from the mean up to there, 0.4 beyond."""
    for side, share in ((SMALL, 0.75), (SMALL + 1, 0.4)):
        image = np.zeros((1, side, side, 3), np.uint8)
        image[:, ::2] = 200
        mean = image.mean()
        assert corrupt(image, "contrast", 1, seed=0)[0, 0, 0, 0] == int((200 - mean) * share + mean)


def test_a_flat_image_stays_flat_under_blur_and_pixelation() -> None:
    for level in (0, 77, 255):
        image = np.full((1, 72, 72, 3), level, np.uint8)
        for name in ("gaussian-blur", "defocus-blur", "pixelate", "contrast"):
            for severity in (1, 5):
                assert np.array_equal(corrupt(image, name, severity, seed=0), image), (name, severity, level)


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match="unknown corruption 'jpg'; did you mean 'jpeg'"):
        corrupt(picture(16), "jpg", 1, seed=0)
    for severity in (0, 6):
        with pytest.raises(UserError, match=f"from 1 to 5; got {severity}"):
            corrupt(picture(16), "jpeg", severity, seed=0)
