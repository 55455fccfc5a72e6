"""Classification counts images by hand, batch by batch."""

import math

import numpy as np
import pytest
import torch

from nas.errors import UserError
from nas.space.search_space import load_space
from nas.tasks.classification import Classification, balanced_weights


def test_accuracy_is_the_share_of_all_images_whatever_the_batches() -> None:
    task = Classification(("a", "b", "c"))
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 0.5], [0.0, 0.1, 0.2], [9.0, 0.0, 0.0]])
    task.process(logits[:3], torch.tensor([0, 1, 1]))  # 2 of 3
    task.process(logits[3:], torch.tensor([2]))  # 0 of 1
    assert task.evaluate() == 0.5
    task.reset()
    task.process(logits[3:], torch.tensor([0]))
    assert task.evaluate() == 1.0


def test_networks_must_end_in_a_logit_a_class() -> None:
    task, space = Classification(("a", "b", "c")), load_space("tiny")
    candidate = space.sample(np.random.default_rng(0))
    task.check(space.network(candidate, 3), "d")
    with pytest.raises(UserError, match="a network of 4 classes cannot learn the 3 of d"):
        task.check(space.network(candidate, 4), "d")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_output_that_is_not_finite_is_no_answer(value: float) -> None:
    with pytest.raises(FloatingPointError, match="output is not finite"):
        Classification(("a", "b")).process(torch.tensor([[0.0, value]]), torch.tensor([0]))


def test_loss_is_cross_entropy_with_smoothed_labels() -> None:
    """Logits 0 and ln 3 are shares 1/4 and 3/4. Smoothing 0.2 of two classes asks for 0.9 and 0.1."""
    task, logits = Classification(("a", "b")), torch.tensor([[0.0, math.log(3)]])
    assert float(task.loss(logits, torch.tensor([1]), 0.0)) == pytest.approx(-math.log(3 / 4))
    smoothed = -0.9 * math.log(3 / 4) - 0.1 * math.log(1 / 4)
    assert float(task.loss(logits, torch.tensor([1]), 0.2)) == pytest.approx(smoothed)


def test_the_loss_of_soft_targets_and_of_weighted_classes_by_hand() -> None:
    """With logits 0 and 0 each class has the log-probability -log 2."""
    output, log2 = torch.tensor([[0.0, 0.0], [0.0, math.log(3)]]), math.log(2)
    soft = torch.tensor([[0.3, 0.7], [1.0, 0.0]])
    assert float(Classification("ab").loss(output, soft, 0.0)) == pytest.approx((log2 + math.log(4)) / 2)
    weighted = Classification("ab", torch.tensor([3.0, 1.0]))
    wanted = (3 * log2 + 1 * math.log(4 / 3)) / 4  # labels a and b
    assert float(weighted.loss(output, torch.tensor([0, 1]), 0.0)) == pytest.approx(wanted)


def test_balanced_weights_give_each_class_the_same_part() -> None:
    labels = torch.tensor([0] * 6 + [1] * 2 + [3] * 1)
    weights = balanced_weights(labels, 4)
    assert weights.tolist() == pytest.approx([0.5, 1.5, 0.0, 3.0])
    assert float(weights[labels].mean()) == pytest.approx(1.0)
