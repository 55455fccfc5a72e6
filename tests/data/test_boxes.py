"""Boxes by hand arithmetic: where they stand, how they are decoded, which are kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.ops import batched_nms, box_iou

from nas.data.boxes import decode, detections, overlaps, priors, suppressed


def test_priors_without_anchors_are_the_places_of_the_maps() -> None:
    """A 1x1 map, then one of 2x2: the middle, and the four quarters row by row, each as wide as a step."""
    found = priors("anchor_free", [(1, 1), (2, 2)])
    wanted = [(0.5, 0.5, 1, 1), *((x, y, 0.5, 0.5) for y in (0.25, 0.75) for x in (0.25, 0.75))]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_anchors_are_largest_on_the_coarsest_map() -> None:
    """Sides from 0.1 on the finest map to 0.9; the second is the geometric mean with the next coarser map's."""
    found = priors("ssdlite", [(1, 1), (1, 2)])
    assert found.shape == (6 + 12, 4)
    np.testing.assert_allclose(found[0], (0.5, 0.5, 0.9, 0.9), rtol=1e-6)
    np.testing.assert_allclose(found[1, 2:], [0.9**0.5] * 2, rtol=1e-6)
    np.testing.assert_allclose(found[6], (0.25, 0.5, 0.1, 0.1), rtol=1e-6)
    np.testing.assert_allclose(found[7, 2:], [0.09**0.5] * 2, rtol=1e-6)
    np.testing.assert_allclose(found[8, 2:], (0.1 * 2**0.5, 0.1 / 2**0.5), rtol=1e-6)
    np.testing.assert_allclose(found[12], (0.75, 0.5, 0.1, 0.1), rtol=1e-6)


def test_boxes_are_decoded_by_hand() -> None:
    prior = np.array([[0.5, 0.5, 0.2, 0.4]], np.float32)
    moved = decode(np.array([[1.0, -1.0, 5 * np.log(2), 0.0]]), prior, "ssdlite")  # 0.02 right, 0.04 up, twice as wide
    np.testing.assert_allclose(moved, [[0.52 - 0.2, 0.46 - 0.2, 0.52 + 0.2, 0.46 + 0.2]], rtol=1e-6)
    reach = decode(np.log([[1.0, 0.5, 2.0, 1.0]]), prior, "anchor_free")
    np.testing.assert_allclose(reach, [[0.5 - 0.2, 0.5 - 0.2, 0.5 + 0.4, 0.5 + 0.4]], rtol=1e-6)


def test_overlaps_and_suppression_agree_with_torchvision() -> None:
    rng = np.random.default_rng(0)
    low = rng.random((200, 2)).astype(np.float32) * 0.6
    boxes = np.concatenate([low, low + 0.02 + rng.random((200, 2)).astype(np.float32) * 0.4], axis=1)
    np.testing.assert_allclose(
        overlaps(boxes, boxes[:7]), box_iou(torch.tensor(boxes), torch.tensor(boxes[:7])), atol=1e-5
    )
    labels = rng.integers(3, size=200)
    scores = torch.linspace(1, 0, 200)  # the best first
    wanted = batched_nms(torch.tensor(boxes), scores, torch.tensor(labels), 0.5).numpy()
    np.testing.assert_array_equal(suppressed(boxes, labels, 0.5), wanted)


def test_detections_are_sorted_and_the_weak_are_dropped() -> None:
    """Two places of one map of 1x2, two classes. Logit 0 is one half, ln 9 is 0.9, -3 is 0.047: below 0.05."""
    prior = priors("anchor_free", [(1, 2)])
    said = np.array([[0.0, -3.0, 0, 0, 0, 0], [np.log(9), 0.0, 0, 0, 0, 0]], np.float32)
    found = detections(said, prior, "anchor_free")
    assert found.labels.tolist() == [0, 0, 1]
    assert found.scores == pytest.approx([0.9, 0.5, 0.5])
    np.testing.assert_allclose(found.boxes[0], (0.25, 0, 1, 1))  # half a picture each side of 0.75, cut at its edge
    assert len(detections(said - 20, prior, "anchor_free").scores) == 0
    assert len(detections(said, prior, "anchor_free", most=1).scores) == 1
