"""Augmentation keeps what it must: sizes, counts of pixels, and equal results for equal seeds."""

import pytest
import torch

from nas.data.augmentation import augment
from nas.space.hyperparameters import AUGMENTATIONS


def picture() -> torch.Tensor:
    """256 equal images of 8x8 pixels whose pixel at row i, column j is 10 i + j + 1 in every channel."""
    image = 10 * torch.arange(8)[:, None] + torch.arange(8) + 1
    return image.to(torch.uint8)[None, :, :, None].expand(256, 8, 8, 3).contiguous()


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_equal_seeds_give_equal_images_and_leave_the_global_generator_alone(name: str) -> None:
    before = torch.get_rng_state()
    first, again = (augment(picture(), name, flip=True, generator=torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(first, again) and first.shape == (256, 8, 8, 3) and first.dtype == torch.uint8
    assert torch.equal(before, torch.get_rng_state())
    assert (name == "none") == torch.equal(first, picture())


@pytest.mark.parametrize("flip", [True, False])
def test_crops_move_by_one_pixel_of_eight_and_flip_where_they_may(flip: bool) -> None:
    out = augment(picture(), "crop-flip", flip=flip, generator=torch.Generator().manual_seed(0)).long()
    centres = out[:, 1:7, 1:7, 0]  # padding of 1 reaches the border only
    steps = centres[:, :, 1:] - centres[:, :, :-1]
    mirrored = (steps == -1).all((1, 2))
    assert ((steps == 1).all((1, 2)) | mirrored).all()
    assert 90 < mirrored.sum() < 166 if flip else not mirrored.any()
    assert set(centres[~mirrored][:, 0, 0].tolist()) == {1, 2, 3, 11, 12, 13, 21, 22, 23}  # 12 moved by -1, 0, 1
    assert (out[:, 0, 0] == 0).any()  # black where the crop leaves the image
