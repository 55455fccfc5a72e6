"""Object detection: scores and boxes, learned together; mean average precision as COCO counts it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torchvision.ops import generalized_box_iou_loss

from nas.data.augmentation import augment_boxes
from nas.data.boxes import CENTER, MOST_LOG, SIZE, STRIDES, Detections, Map, detections, priors
from nas.errors import UserError
from nas.models.trained import Resize
from nas.run.average_precision import AveragePrecision
from nas.space.block import KINDS
from nas.space.hyperparameters import Augmentation
from nas.space.network import Network
from nas.tasks.assignment import assign
from nas.tasks.precision import Truth, average_precision

BOX_WEIGHT = 2.0  # of the boxes' loss beside the scores' (Li et al., NeurIPS 2020)
NOTHING_WEIGHT = 0.75  # of places and classes where there is no object (Zhang et al., CVPR 2021)
MOST_WEIGHT = 5.0  # of a rare class
STEP = 8  # pixels: the sizes of images that a training may take


class Detection:
    """A `Task`. Outputs are (n, boxes, classes + 4) of `nas.models.detector.Detector`; the metric is COCO's mAP.

    Targets are float32 (n, m, 8), padded with rows of class -1: class, the box (x1, y1, x2, y2) in shares of the
    square picture's side, whether it is a crowd, the pixels that the square's side had in the picture, and the object's
    area in such pixels. Crowds are not learned, and what lies in them is not counted. Scores learn how well their box
    fits (Li et al., NeurIPS 2020), and where there is nothing, the more the surer they are that there is something
    (varifocal loss: Zhang et al., CVPR 2021); boxes by their generalized overlap (Rezatofighi et al., CVPR 2019).
    `weights` (classes,) multiply the loss of each class. Raises UserError for a network that is not a detector.
    """

    name = "detection"
    resize: Resize = "whole, bilinear"

    def __init__(self, classes: Sequence[str], network: Network, weights: Tensor | None = None) -> None:
        if not network.detects:
            raise UserError(f"a dataset with boxes needs a detector; the network ends in {network.blocks[-1].kind}")
        self.classes = tuple(classes)
        self.network = network
        self.weights = torch.ones(len(self.classes)) if weights is None else weights
        self.head, maps = heads_of(network)
        self._maps = dict(_maps_by_boxes(network, maps, KINDS[self.head].anchors))
        self._priors: dict[int, Tensor] = {}
        self.reset()

    @property
    def guessed(self) -> float:
        return 0.0

    def check(self, network: Network, dataset: str) -> None:
        if network.classes != len(self.classes):
            raise UserError(f"a network of {network.classes} classes cannot learn the {len(self.classes)} of {dataset}")

    def augment(
        self, pixels: Tensor, target: Tensor, augmentation: Augmentation, *, flip: bool, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        return augment_boxes(pixels, target, augmentation, flip=flip, generator=generator)

    def loss(self, output: Tensor, target: Tensor, label_smoothing: float) -> Tensor:
        """A scalar; labels are not smoothed, as scores learn shares already."""
        scores, prior = output[..., :-4], self._prior(output)
        labels, objects = target[..., 0].long(), target[..., 1:5]
        valid = (labels >= 0) & (target[..., 5] == 0)
        with torch.no_grad():
            levels = [h * w * KINDS[self.head].anchors for h, w in self._maps[output.shape[1]]]
            learned = assign(self._standing(prior), levels, objects, valid)
        positive = learned >= 0
        image, box = positive.nonzero(as_tuple=True)
        wanted = objects[image, learned[image, box]]
        found = decode(output[image, box, -4:], prior[box], self.head)
        label, weights = labels[image, learned[image, box]], self.weights.to(output.device)
        quality, weight = torch.zeros_like(scores), NOTHING_WEIGHT * scores.detach().sigmoid().square()
        with torch.no_grad():
            quality[image, box, label] = _overlap(found, wanted)
            weight[image, box, label] = 1.0
        said = (weights * weight * binary_cross_entropy_with_logits(scores, quality, reduction="none")).sum()
        boxes = (weights[label] * generalized_box_iou_loss(found, wanted, reduction="none")).sum()
        total: Tensor = (said + BOX_WEIGHT * boxes) / max(1, len(image))
        return total

    def reset(self) -> None:
        self._found: list[Detections] = []
        self._truth: list[Truth] = []
        self._counted: AveragePrecision | None = None

    def process(self, output: Tensor, target: Tensor) -> None:
        if not bool(output.isfinite().all()):
            raise FloatingPointError("the network's output is not finite")
        prior = self._prior(output).cpu().numpy()
        self._found += [detections(said, prior, self.head) for said in output.detach().float().cpu().numpy()]
        self._counted = None
        self._truth += [Truth.of(rows) for rows in target.cpu().numpy()]

    def evaluate(self) -> float:
        """COCO's mean average precision, over overlaps from 0.5 to 0.95. Raises ZeroDivisionError before any batch."""
        return self.details().mean

    def details(self) -> AveragePrecision:
        if not self._truth:
            raise ZeroDivisionError("no image was looked at")
        if self._counted is None:
            self._counted = average_precision(self._found, self._truth, self.classes)
        return self._counted

    def unweighted(self) -> Detection:
        return Detection(self.classes, self.network)

    @property
    def found(self) -> tuple[list[Detections], list[Truth]]:
        """What was found in every picture since `reset`, and what is there."""
        return self._found, self._truth

    def _prior(self, output: Tensor) -> Tensor:
        number = output.shape[1]
        if number not in self._priors:
            if number not in self._maps:
                raise UserError(f"the network gives {number} boxes; got a picture of another size than its own")
            self._priors[number] = torch.from_numpy(priors(self.head, self._maps[number]))
        return self._priors[number].to(output.device)

    def _standing(self, prior: Tensor) -> Tensor:
        """The boxes (boxes, 4) that say which objects a box is near."""
        size = prior[:, 2:] * (1.0 if self.head == "ssdlite" else STRIDES)
        return torch.cat([prior[:, :2] - size / 2, prior[:, :2] + size / 2], 1)


def object_weights(targets: Tensor, classes: int) -> Tensor:
    """Weights float32 (classes,) by which every class has the same part in the loss; their mean over objects is 1.

    `targets` (images, m, 8) as of `Detection`. A class's weight is at most 5 before the mean is made 1, so that a few
    objects do not decide what is learned; a class without an object is weighted as a rare one.
    """
    labels = targets[(targets[..., 0] >= 0) & (targets[..., 5] == 0)][:, 0].long()
    counts = torch.bincount(labels, minlength=classes).float()
    if not len(labels):
        return torch.ones(classes)
    weights = (len(labels) / int((counts > 0).sum()) / counts).clamp_max(MOST_WEIGHT)
    return weights * len(labels) / (weights * counts).sum()


def heads_of(network: Network) -> tuple[str, list[Map]]:
    """The kind of a detector's heads, and the maps that they read, in their order."""
    blocks = [network.blocks[i] for i in network.heads]
    return blocks[0].kind, [block.in_shape[1:] for block in blocks]


def decode(numbers: Tensor, prior: Tensor, head: str) -> Tensor:
    """As `nas.data.boxes.decode`, with gradients: numbers (n, 4) and priors (n, 4) to boxes (n, 4)."""
    center, size = prior[:, :2], prior[:, 2:]
    if head == "ssdlite":
        middle = center + CENTER * numbers[:, :2] * size
        half = size * (SIZE * numbers[:, 2:]).clamp_max(MOST_LOG).exp() / 2
        return torch.cat([middle - half, middle + half], 1)
    reach = numbers.clamp_max(MOST_LOG).exp()
    return torch.cat([center - reach[:, :2] * size, center + reach[:, 2:] * size], 1)


def _maps_by_boxes(network: Network, maps: Sequence[Map], anchors: int) -> list[tuple[int, list[Map]]]:
    """The maps at every smaller size of the images, by how many boxes there are; the network's own counts last."""
    full, found = network.input_shape[1], []
    strides = [round(full / height) for height, _ in maps]
    for resolution in range(STEP, full, STEP):
        smaller = [(-(-resolution // s),) * 2 for s in strides]
        found.append((anchors * sum(h * w for h, w in smaller), smaller))
    return [*found, (anchors * sum(h * w for h, w in maps), list(maps))]


def _overlap(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of pairs of boxes (n, 4), float32 (n,)."""
    shared = (torch.minimum(boxes[:, 2:], others[:, 2:]) - torch.maximum(boxes[:, :2], others[:, :2])).clamp_min(0)
    area = shared.prod(1)
    own, other = ((b[:, 2:] - b[:, :2]).clamp_min(0).prod(1) for b in (boxes, others))
    return (area / (own + other - area).clamp_min(1e-12)).clamp(0, 1)
