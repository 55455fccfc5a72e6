"""When an accuracy is that of guessing."""

import pytest

from nas.estimate.chance import AtChance, check_above_chance


# Of 287 images with 10 classes, guessing gets 29 +- 5: 41 or more in 1.3% of cases, 42 or more in 0.8%.
@pytest.mark.parametrize("right", [0, 29, 41])
def test_what_guessing_gets_is_at_chance(right: int) -> None:
    with pytest.raises(AtChance, match=rf"{right} of 287 validation images right, where guessing one of 10 classes"):
        check_above_chance(right / 287, images=287, classes=10, steps=85)


@pytest.mark.parametrize("right", [42, 60, 287])
def test_what_guessing_hardly_gets_is_above_chance(right: int) -> None:
    check_above_chance(right / 287, images=287, classes=10, steps=85)


def test_a_training_too_short_to_learn_is_not_judged() -> None:
    check_above_chance(0.1, images=287, classes=10, steps=49)
    with pytest.raises(AtChance, match="after 50 steps"):
        check_above_chance(0.1, images=287, classes=10, steps=50)


@pytest.mark.parametrize(("images", "judged"), [(200, False), (500, False), (1000, True), (5000, True)])
def test_too_few_images_for_so_many_classes_judge_nothing(images: int, judged: bool) -> None:
    """Twice the accuracy of guessing one of 100 is 4 of 200 images, which guessing gets in 14% of cases."""
    if not judged:
        check_above_chance(0.01, images=images, classes=100, steps=1000)
        return
    with pytest.raises(AtChance):
        check_above_chance(0.01, images=images, classes=100, steps=1000)
    check_above_chance(0.02, images=images, classes=100, steps=1000)


def test_two_classes_are_judged_by_few_images() -> None:
    with pytest.raises(AtChance):
        check_above_chance(0.6, images=40, classes=2, steps=1000)
    check_above_chance(0.75, images=40, classes=2, steps=1000)
