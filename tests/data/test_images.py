"""Images in memory: resized copies are kept, as many as fit."""

import pytest
import torch

import nas.data.images as module
from nas.data.images import ImagesInMemory, resize


def test_resized_copies_are_kept_up_to_a_limit_the_oldest_given_up_first(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = torch.randint(256, (10, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images, made = ImagesInMemory(pixels), list[int]()

    def counted(pixels: torch.Tensor, resolution: int) -> torch.Tensor:
        made.append(resolution)
        return resize(pixels, resolution)

    monkeypatch.setattr(module, "resize", counted)
    monkeypatch.setattr(module, "CACHE_BYTES", 10 * 3 * (16**2 + 24**2))
    for resolution in (8, 16, 24, 16, 24, 16):
        out = images.take(torch.tensor([3, 1]), resolution)
        assert torch.equal(out, resize(pixels, resolution)[[3, 1]] if resolution != 8 else pixels[[3, 1]])
    assert made == [16, 24]
    images.take(torch.tensor([0]), 12)  # does not fit beside both: 24 was asked for before 16
    images.take(torch.tensor([0]), 16)
    assert made == [16, 24, 12]
    assert images.take(torch.tensor([0]), 64).shape == (1, 64, 64, 3)  # never fits: only what is asked for
    images.take(torch.tensor([0]), 16)
    assert made == [16, 24, 12, 64]
