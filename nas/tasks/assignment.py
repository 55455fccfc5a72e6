"""Which boxes of a detector learn which objects: ATSS (Zhang et al., CVPR 2020, arXiv:1912.02424), batch by batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

NEAREST = 9  # candidates a map and anchor


def assign(boxes: Tensor, levels: Sequence[int], objects: Tensor, valid: Tensor) -> Tensor:
    """The object that each box learns, int64 (n, boxes); -1: none.

    `boxes` (boxes, 4) are where boxes stand before training, `levels` how many of each map; `objects` (n, m, 4) and
    `valid` (n, m) say which of them are objects. Of each map the nearest to an object's center are its candidates, and
    those learn it whose center lies in it and whose overlap is at least the candidates' mean and standard deviation. A
    box learns the object that it overlaps most. An object that no box learns then, as small ones beside large ones on
    coarse maps, is learned by the candidate that overlaps it most and is not another object's only one.
    """
    centers, wanted = (boxes[:, :2] + boxes[:, 2:]) / 2, (objects[..., :2] + objects[..., 2:]) / 2
    distance = torch.cdist(centers.expand(len(objects), -1, -1), wanted)  # (n, boxes, m)
    found, start = [], 0
    for number, count in enumerate(levels):
        places = boxes_at_place(boxes, levels, number)
        nearest = distance[:, start : start + count].topk(min(count, NEAREST * places), dim=1, largest=False).indices
        found.append(nearest + start)
        start += count
    rows = torch.cat(found, 1)  # (n, candidates, m)
    overlap = overlaps(boxes, objects)  # (n, boxes, m)
    near = overlap.gather(1, rows)
    least = near.mean(1, keepdim=True) + near.std(1, keepdim=True)
    inside = ((centers[:, None] > objects[:, None, :, :2]) & (centers[:, None] < objects[:, None, :, 2:])).all(-1)
    learns = (near >= least) & inside.gather(1, rows) & valid[:, None]
    score = torch.full_like(overlap, -1.0).scatter(1, rows, torch.where(learns, near, -1.0))
    value, which = score.max(2)
    learned = torch.where(value >= 0, which, -1)
    boxes_of = _boxes_of(learned, objects.shape[1])
    for image, number in (valid & (boxes_of == 0)).nonzero().tolist():
        own = learned[image, rows[image, :, number]]
        free = (own < 0) | (boxes_of[image, own.clamp_min(0)] > 1)
        if bool(free.any()):
            place = int(torch.where(free, near[image, :, number], -1.0).argmax())
            if (before := int(own[place])) >= 0:
                boxes_of[image, before] -= 1
            learned[image, rows[image, place, number]], boxes_of[image, number] = number, 1
    return learned


def _boxes_of(learned: Tensor, objects: int) -> Tensor:
    """How many boxes learn each object, int64 (n, objects)."""
    found = torch.zeros(len(learned), objects + 1, dtype=torch.int64, device=learned.device)
    return found.scatter_add(1, learned + 1, torch.ones_like(learned))[:, 1:]


def boxes_at_place(boxes: Tensor, levels: Sequence[int], number: int) -> int:
    """How many boxes of a map have the same center."""
    start = sum(levels[:number])
    centers = (boxes[start : start + levels[number], :2] + boxes[start : start + levels[number], 2:]) / 2
    return int((centers - centers[0]).abs().amax(1).lt(1e-6).sum())


def overlaps(boxes: Tensor, objects: Tensor) -> Tensor:
    """Intersection over union of boxes (boxes, 4) and objects (n, m, 4), float32 (n, boxes, m)."""
    low = torch.maximum(boxes[None, :, None, :2], objects[:, None, :, :2])
    high = torch.minimum(boxes[None, :, None, 2:], objects[:, None, :, 2:])
    shared = (high - low).clamp_min(0).prod(-1)
    own, other = ((b[..., 2:] - b[..., :2]).clamp_min(0).prod(-1) for b in (boxes, objects))
    return shared / (own[None, :, None] + other[:, None] - shared).clamp_min(1e-12)
