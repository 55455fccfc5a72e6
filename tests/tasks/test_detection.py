"""A detector's loss, assignment and metric: by hand, against pycocotools, and as far as a small network learns."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from nas.data import boxes as board
from nas.data.augmentation import augment_boxes
from nas.data.boxes import Detections, priors
from nas.errors import UserError
from nas.models.builder import build
from nas.run.average_precision import AveragePrecision
from nas.space.network import Network
from nas.space.search_space import load_space, parse_space
from nas.tasks.assignment import assign
from nas.tasks.by_name import task_of
from nas.tasks.classification import Classification
from nas.tasks.detection import Detection, decode, object_weights
from nas.tasks.precision import Truth, average_precision

CLASSES = ("cat", "dog")
TABLE = """
name = "d"
title = "t"
source = "a test"
classes = 2
resolution = 32
stage = [
  { block = "conv", kernel = 3, stride = 2, channels = 8, activation = "relu6" },
  { block = "mbconv", kernel = 3, expand = 2, channels = 16, stride = 2, activation = "relu6", tap = true },
  { block = "mbconv", kernel = 3, expand = 2, channels = 16, stride = 2, activation = "relu6", tap = true },
  { block = "HEAD", depth = 2, kernel = 3, activation = "relu6", per = "stage" },
]
"""


def network(head: str = "anchor_free") -> Network:
    space = parse_space(TABLE.replace("HEAD", head), Path("d.toml"))
    return space.network(space.sample(np.random.default_rng(0)), 2)


def targets(*objects: tuple[float, ...]) -> Tensor:
    """One picture of 100 pixels with these objects: class, x1, y1, x2, y2; and a row of padding."""
    areas = [1e4 * (x2 - x1) * (y2 - y1) for _, x1, y1, x2, y2 in objects]
    rows = [[*one, 0.0, 100.0, area] for one, area in zip(objects, areas, strict=True)]
    rows.append([-1.0, 0, 0, 0, 0, 0, 100.0, 0])
    return torch.tensor([rows])


def said(task: Detection, head: str, objects: Tensor, wrong: float = 0.0) -> Tensor:
    """What a network says that finds exactly these objects, each at the box that learns it; `wrong` moves them."""
    prior = torch.from_numpy(priors(head, task._maps[task_boxes(task)]))
    learned = assign(task._standing(prior), levels(task), objects[..., 1:5], objects[..., 0] >= 0)[0]
    found = torch.full((1, len(prior), 6), -9.0)
    found[..., 2:] = 0
    for box in (learned >= 0).nonzero()[:, 0]:
        row = objects[0, learned[box]]
        found[0, box, int(row[0])] = 9.0
        middle, size = prior[box, :2], prior[box, 2:]
        corners = row[1:5] + wrong
        if head == "ssdlite":
            center, sides = (corners[:2] + corners[2:]) / 2, corners[2:] - corners[:2]
            found[0, box, 2:] = torch.cat([(center - middle) / size / 0.1, (sides / size).log() / 0.2])
        else:
            found[0, box, 2:] = torch.cat([(middle - corners[:2]) / size, (corners[2:] - middle) / size]).log()
    return found


def task_boxes(task: Detection) -> int:
    return list(task._maps)[-1]


def levels(task: Detection) -> list[int]:
    each = 6 if task.head == "ssdlite" else 1
    return [each * h * w for h, w in task._maps[task_boxes(task)]]


@pytest.mark.parametrize("head", ["ssdlite", "anchor_free"])
def test_what_finds_every_object_has_no_loss_and_a_precision_of_1(head: str) -> None:
    task = Detection(CLASSES, network(head))
    there = targets((0, 0.1, 0.1, 0.4, 0.5), (1, 0.5, 0.4, 0.9, 0.95))
    exact, moved = said(task, head, there), said(task, head, there, 0.02)
    assert float(task.loss(exact, there, 0.0)) < 0.01
    assert float(task.loss(moved, there, 0.0)) > 0.1
    task.process(exact, there)
    assert task.evaluate() == pytest.approx(1.0)
    task.reset()
    task.process(torch.full_like(exact, -9.0), there)
    assert task.evaluate() == 0.0


@pytest.mark.parametrize("head", ["ssdlite", "anchor_free"])
def test_training_decodes_as_the_board_does(head: str) -> None:
    prior = priors(head, [(2, 2), (4, 4)])
    numbers = np.random.default_rng(0).normal(size=(len(prior), 4)).astype(np.float32) * 3
    wanted = board.decode(numbers, prior, head)
    np.testing.assert_allclose(decode(torch.tensor(numbers), torch.tensor(prior), head), wanted, rtol=1e-5, atol=1e-6)


def test_a_picture_without_objects_teaches_that_there_is_none() -> None:
    task = Detection(CLASSES, network())
    output = torch.zeros(1, task_boxes(task), 6, requires_grad=True)
    empty = targets()
    loss = task.loss(output, empty, 0.0)
    # no box learns an object: 80 places, two classes, probability one half each: 0.75 x 0.25 x ln 2, over one
    assert float(loss.detach()) == pytest.approx(task_boxes(task) * 2 * 0.75 * 0.25 * math.log(2), rel=1e-5)
    loss.backward()  # type: ignore[no-untyped-call]
    assert output.grad is not None
    assert float(output.grad[..., :2].min()) > 0
    task.process(output, empty)
    assert task.evaluate() == 0.0


def test_a_rare_class_has_the_same_part_in_the_loss() -> None:
    """Three cats, a dog and a crowd of dogs: 4 objects, 2 a class, so that a cat counts 2/3 and a dog 2."""
    there = targets(
        (0, 0, 0, 0.2, 0.2), (0, 0.2, 0.2, 0.5, 0.5), (0, 0, 0.5, 0.5, 1), (1, 0.5, 0.1, 0.9, 0.95), (1, 0, 0, 1, 1)
    )
    there[0, 4, 5] = 1.0
    torch.testing.assert_close(object_weights(there, 2), torch.tensor([2 / 3, 2.0]))
    rarest = torch.cat([there[:, :1].repeat(1, 999, 1), there[:, 3:4]], 1)
    weights = object_weights(rarest, 3)  # 500 / 999 and 500, of which 5 are left
    assert float(weights[1] / weights[0]) == pytest.approx(5 / (500 / 999))
    assert float(weights[0] * 999 + weights[1]) == pytest.approx(1000)
    assert torch.equal(object_weights(targets(), 2), torch.ones(2))
    # what says nothing of a dog loses as much as what says nothing of three cats
    task = task_of("detection", CLASSES, network(), there)
    assert isinstance(task, Detection)
    cat, dog = targets((0, 0.1, 0.1, 0.4, 0.5)), targets((1, 0.1, 0.1, 0.4, 0.5))
    blind = torch.full((1, task_boxes(task), 6), -9.0)
    assert float(task.loss(blind, dog, 0.0)) == pytest.approx(3 * float(task.loss(blind, cat, 0.0)), rel=1e-3)
    plain = task.unweighted()
    assert float(plain.loss(blind, dog, 0.0)) == pytest.approx(float(plain.loss(blind, cat, 0.0)), rel=1e-3)


def test_a_crowd_is_not_learned_and_what_lies_in_it_is_not_counted() -> None:
    task = Detection(CLASSES, network())
    one = targets((0, 0.1, 0.1, 0.4, 0.5))
    crowd = torch.cat([one[:, :1], torch.tensor([[[0, 0.5, 0.5, 1.0, 1.0, 1.0, 100.0, 2500.0]]])], 1)
    exact = said(task, "anchor_free", one)
    inside = said(task, "anchor_free", targets((0, 0.6, 0.6, 0.9, 0.9)))
    both = torch.where(inside[..., :1] > 0, inside - 1, exact)  # a little less sure than the object itself
    assert float(task.loss(exact, crowd, 0.0)) < 0.01
    task.process(both, crowd)
    assert task.evaluate() == pytest.approx(1.0)
    task.reset()
    task.process(both, one)
    assert task.evaluate() == pytest.approx(1.0)  # a false alarm below the last object found costs nothing
    task.reset()
    task.process(torch.where(inside[..., :1] > 0, inside + 1, exact), one)
    assert task.evaluate() < 1.0


def test_an_object_that_no_place_lies_in_is_learned_by_the_nearest() -> None:
    prior = torch.from_numpy(priors("anchor_free", [(4, 4)]))
    standing = torch.cat([prior[:, :2] - 0.3, prior[:, :2] + 0.3], 1)
    small = torch.tensor([[[0.24, 0.24, 0.26, 0.26]]])  # between the four places around a quarter
    learned = assign(standing, [16], small, torch.ones(1, 1, dtype=torch.bool))
    assert int((learned >= 0).sum()) == 1
    nobody = assign(standing, [16], small, torch.zeros(1, 1, dtype=torch.bool))
    assert int((nobody >= 0).sum()) == 0


def test_no_object_goes_without_a_box_while_another_has_two() -> None:
    """Small objects on and beside large ones, on a coarse map: what a large one overlaps more was all its own."""
    prior = torch.from_numpy(priors("anchor_free", [(2, 2), (6, 6)]))
    half = 2 * prior[:, 2:]  # as of `Detection._standing`
    standing = torch.cat([prior[:, :2] - half, prior[:, :2] + half], 1)
    large = [[0.1, 0.1, 0.8, 0.8], [0.3, 0.2, 0.95, 0.9]]
    small = [[x, y, x + 0.05, y + 0.05] for x, y in ((0.4, 0.4), (0.42, 0.42), (0.22, 0.6), (0.6, 0.6), (0.9, 0.9))]
    objects = torch.tensor([large + small, [*small, *large]])
    valid = torch.ones(2, 7, dtype=torch.bool)
    valid[1, 0] = False
    learned = assign(standing, [4, 36], objects, valid)
    for boxes, there in zip(learned, valid, strict=True):
        number = torch.bincount(boxes[boxes >= 0], minlength=7)
        assert ((number > 0) == there).all()


SIDES_PX = {"small": (0.02, 0.05), "medium": (0.12, 0.2), "large": (0.35, 0.6)}  # of a picture of 400 pixels


def random_pictures(kinds: Sequence[str], classes: int, seed: int) -> tuple[list[Detections], list[Truth]]:
    """Crowds, pictures without objects, false alarms, boxes that fit more or less; classes 0 to `classes` - 1.

    Areas are those of outlines, smaller than the boxes, so that sizes by boxes would be others.
    """
    rng, truth, found = np.random.default_rng(seed), [], []
    for picture in range(30):
        n = int(rng.integers(0, 8)) if picture else 0
        sides = np.array([rng.uniform(*SIDES_PX[kinds[rng.integers(len(kinds))]], size=2) for _ in range(n)])
        sides = sides.reshape(n, 2)
        low = rng.random((n, 2)) * (1 - sides)
        there = np.concatenate([low, low + sides], axis=1).astype(np.float32)
        labels = rng.integers(classes, size=n)
        areas = (400 * 400 * sides.prod(1) * rng.uniform(0.6, 1.0, size=n)).astype(np.float32)
        truth.append(Truth(labels, there, rng.random(n) < 0.1, 400.0, areas))
        m = int(rng.integers(0, 5))
        corner = rng.random((m, 2)) * 0.7
        extra = np.concatenate([corner, corner + np.array([0.1, 0.2])], axis=1)
        off = rng.normal(size=there.shape) * 0.05 * np.tile(sides, 2)
        boxes = np.concatenate([there + off, extra]).clip(0, 1).astype(np.float32)
        wrong = np.where(rng.random(n) < 0.8, labels, (labels + 1) % classes)
        guessed = np.concatenate([wrong, rng.integers(classes, size=m)])
        scores = rng.random(n + m).astype(np.float32)
        order = np.argsort(-scores)
        found.append(Detections(guessed[order].astype(np.int64), scores[order], boxes[order]))
    return found, truth


def of_pycocotools(found: Sequence[Detections], truth: Sequence[Truth], classes: Sequence[str]) -> AveragePrecision:
    """By the library of COCO's authors; its -1 is None."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def pixels(box: np.ndarray, side: float) -> list[float]:
        x1, y1, x2, y2 = (float(v) * side for v in box)
        return [x1, y1, x2 - x1, y2 - y1]

    objects, results = [], []
    for image, (t, f) in enumerate(zip(truth, found, strict=True), 1):
        assert t.areas is not None
        for label, box, area, crowd in zip(t.labels, t.boxes, t.areas, t.crowd, strict=True):
            objects.append({"id": len(objects) + 1, "image_id": image, "category_id": int(label) + 1,
                            "bbox": pixels(box, t.side), "area": float(area), "iscrowd": int(crowd)})  # fmt: skip
        for label, score, box in zip(f.labels, f.scores, f.boxes, strict=True):
            results.append({"image_id": image, "category_id": int(label) + 1, "bbox": pixels(box, t.side),
                            "score": float(score)})  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {}, "images": [{"id": i + 1} for i in range(len(truth))], "annotations": objects,
            "categories": [{"id": i + 1, "name": name} for i, name in enumerate(classes)],
        }  # fmt: skip
        coco.createIndex()

        def stats(class_: int | None) -> list[float | None]:
            counted = COCOeval(coco, coco.loadRes(results), "bbox")
            if class_ is not None:
                counted.params.catIds = [class_]
            counted.evaluate()
            counted.accumulate()
            counted.summarize()
            return [None if v == -1 else float(v) for v in counted.stats[:6]]

        each = [stats(k + 1) for k in range(len(classes))]
        mean, at_50, at_75, *sizes = stats(None)
    return AveragePrecision(
        mean or 0.0, at_50 or 0.0, at_75 or 0.0, *sizes, tuple(one[0] for one in each), tuple(one[1] for one in each)
    )


def numbers(one: AveragePrecision) -> list[float]:
    """All of them; -1 for None, which is no precision."""
    every = (one.mean, one.at_50, one.at_75, *one.of_sizes.values(), *one.of_classes, *one.at_50_of_classes)
    return [-1.0 if value is None else value for value in every]


@pytest.mark.parametrize("kinds", [("small", "medium", "large"), ("small",), ("medium", "large")])
def test_average_precision_is_that_of_pycocotools(kinds: tuple[str, ...]) -> None:
    """Over all, by size and by class; three classes, of the third there is no object, and of some sizes neither."""
    found, truth = random_pictures(kinds, 2, seed=len(kinds))
    ours = average_precision(found, truth, ("cat", "dog", "bird"))
    wanted = of_pycocotools(found, truth, ("cat", "dog", "bird"))
    np.testing.assert_allclose(numbers(ours), numbers(wanted), atol=1e-6)
    assert 0.05 < ours.mean < 0.9 and ours.of_classes[2] is None and ours.of_classes[0]
    missing = {"small", "medium", "large"} - set(kinds)
    assert {size for size, value in ours.of_sizes.items() if value is None} == missing


def test_what_is_not_there_has_no_precision_and_what_is_not_found_has_0() -> None:
    """One small cat and a crowd of dogs, none of them found; then the same in a picture where nothing is."""
    boxes = np.array([[0, 0, 0.05, 0.05], [0.5, 0.5, 1, 1]], np.float32)
    nothing = Detections(np.empty(0, np.int64), np.empty(0, np.float32), np.empty((0, 4), np.float32))
    there = Truth(np.array([0, 1]), boxes, np.array([False, True]), 100.0)
    assert average_precision([nothing], [there], CLASSES) == AveragePrecision(
        0.0, 0.0, 0.0, 0.0, None, None, (0.0, None), (0.0, None)
    )
    none = Truth(np.empty(0, np.int64), np.empty((0, 4), np.float32), np.empty(0, bool), 100.0)
    some = Detections(np.array([0]), np.array([0.9], np.float32), boxes[:1])
    assert average_precision([some], [none], CLASSES) == AveragePrecision(
        0.0, 0.0, 0.0, None, None, None, (None, None), (None, None)
    )
    missed = average_precision([some], [Truth(np.array([0]), boxes[1:], np.array([False]), 100.0)], CLASSES)
    assert (missed.medium, missed.small, missed.of_classes) == (0.0, None, (0.0, None))


def test_a_task_refuses_networks_of_another() -> None:
    tiny = load_space("tiny")
    classifier = tiny.network(tiny.sample(np.random.default_rng(0)), 2)
    with pytest.raises(UserError, match="needs a detector; the network ends in pool_linear"):
        task_of("detection", CLASSES, classifier)
    with pytest.raises(UserError, match="digits has no boxes"):
        Classification(CLASSES).check(network(), "digits")
    with pytest.raises(UserError, match="a network of 2 classes cannot learn the 1 of d"):
        Detection(("cat",), network()).check(network(), "d")


def test_smaller_pictures_have_their_own_maps() -> None:
    task, module = Detection(CLASSES, network()), build(network()).eval()
    there = targets((0, 0.1, 0.1, 0.6, 0.6))
    for resolution in (16, 24, 32):
        with torch.no_grad():
            output = module(torch.zeros(1, 3, resolution, resolution))
        assert math.isfinite(float(task.loss(output, there, 0.0)))
    with pytest.raises(UserError, match="a picture of another size"):
        task.loss(torch.zeros(1, 7, 6), there, 0.0)


def test_boxes_move_with_their_pictures() -> None:
    """A white square on black: after every augmentation the box is still around what is white."""
    pixels = torch.zeros(64, 64, 64, 3, dtype=torch.uint8)
    pixels[:, 20:36, 8:40] = 255
    there = targets((1, 8 / 64, 20 / 64, 40 / 64, 36 / 64)).repeat(64, 1, 1)
    generator = torch.Generator().manual_seed(0)
    moved, boxes = augment_boxes(pixels, there, "crop-flip", flip=True, generator=generator)
    assert moved.shape == pixels.shape and moved.dtype == torch.uint8
    mirrored = 0
    for image, box in zip(moved, boxes[:, 0], strict=True):
        white = (image[..., 0] > 190).nonzero()
        if box[0] < 0:
            continue
        low, high = white.min(0).values.flip(0) / 64, (white.max(0).values.flip(0) + 1) / 64
        torch.testing.assert_close(torch.cat([low, high]), box[1:5], atol=2 / 64, rtol=0)
        mirrored += float(box[1] + box[3]) > 1
    assert 10 < mirrored < 54
    assert (boxes[:, 0, 0] == 1).float().mean() > 0.9
    same, kept = augment_boxes(pixels, there, "none", flip=True, generator=generator)
    assert torch.equal(same, pixels) and torch.equal(kept, there)
