"""One set of corrupted images for all: the same for every candidate, made once, within bounds of memory."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch

import nas.data.corrupted as module
from nas.data.corrupted import CORRUPTED, MOST_IMAGES, SEVERITIES, CorruptedSplit
from nas.data.corruptions import corrupt
from nas.data.dataset import Split
from nas.data.images import ImagesInMemory


def split(count: int) -> Split:
    rng = np.random.default_rng(0)
    pixels = torch.from_numpy(rng.integers(0, 256, (count, 8, 8, 3), np.uint8))
    return Split(ImagesInMemory(pixels), torch.arange(count))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str, int]]:
    """What is corrupted: pixels a side, corruption, severity."""
    seen: list[tuple[int, str, int]] = []

    def counted(pixels: Any, name: str, severity: int, *, seed: int) -> Any:
        seen.append((pixels.shape[1], name, severity))
        return corrupt(pixels, name, severity, seed=seed)

    monkeypatch.setattr(module, "corrupt", counted)
    return seen


def pixels(corrupted: CorruptedSplit, resolution: int) -> list[torch.Tensor]:
    return [s.images.take(torch.arange(len(s)), resolution) for s in corrupted.at(resolution)]


def test_every_corruption_and_severity_is_there_at_the_resolution_asked_for() -> None:
    corrupted = CorruptedSplit(split(5), seed=3)
    for resolution in (8, 16):
        clean = split(5).images.take(torch.arange(5), resolution).numpy()  # resized first, corrupted then
        expected = [corrupt(clean, name, severity, seed=3) for name in CORRUPTED for severity in SEVERITIES]
        assert len(expected) == 18
        for ours, theirs in zip(pixels(corrupted, resolution), expected, strict=True):
            assert np.array_equal(ours.numpy(), theirs)
        assert all(torch.equal(s.labels, torch.arange(5)) for s in corrupted.at(resolution))


def test_a_part_of_many_images_is_taken_by_the_seed() -> None:
    every = split(2 * MOST_IMAGES)
    first, again, other = (CorruptedSplit(every, seed).part.labels for seed in (0, 0, 1))
    assert len(first) == MOST_IMAGES == len(set(first.tolist()))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_images_are_corrupted_once_for_each_resolution(made: list[tuple[int, str, int]]) -> None:
    corrupted = CorruptedSplit(split(4), seed=0)
    first = pixels(corrupted, 8)
    pixels(corrupted, 12)
    assert all(torch.equal(a, b) for a, b in zip(first, pixels(corrupted, 8), strict=True))
    assert len(made) == 36 and len(set(made)) == 36


def test_resolutions_that_were_not_asked_for_longest_are_forgotten(
    made: list[tuple[int, str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CACHE_BYTES", 18 * 4 * 3 * (8**2 + 12**2))  # two of them
    corrupted = CorruptedSplit(split(4), seed=0)
    for resolution in (8, 12, 8, 9, 8):  # 9 takes the place of 12
        pixels(corrupted, resolution)
    assert [side for side, _, _ in made] == 18 * [8] + 18 * [12] + 18 * [9]
    pixels(corrupted, 12)
    assert len(made) == 4 * 18


def test_too_many_pixels_for_memory_are_made_one_corruption_at_a_time(
    made: list[tuple[int, str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CACHE_BYTES", 100)
    corrupted = CorruptedSplit(split(4), seed=0)
    assert corrupted._bytes(8) > 100
    going = corrupted.at(8)
    next(going)
    assert len(made) == 1
    assert len([*going]) == 17 and len(pixels(corrupted, 8)) == 18 and len(made) == 36 and not corrupted._kept


def test_corrupted_images_are_not_sent_to_other_processes() -> None:
    corrupted = CorruptedSplit(split(50), seed=0)
    before = len(pickle.dumps(corrupted))
    there = pixels(corrupted, 32)
    sent = pickle.dumps(corrupted)
    assert len(sent) == before
    assert all(torch.equal(a, b) for a, b in zip(there, pixels(pickle.loads(sent), 32), strict=True))
