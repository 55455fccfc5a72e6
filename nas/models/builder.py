"""A network as a torch module: its blocks one after the other, with the attribute names of timm's models."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import torch
from timm.models._efficientnet_builder import efficientnet_init_weights
from torch import nn

from nas.errors import UserError
from nas.models.blocks import module_of
from nas.models.detector import Detector, rows_of
from nas.models.parts import Again
from nas.space.block import KINDS, Block
from nas.space.network import Network

STEM = {"conv": "conv_stem", "bn1": "bn1", "act1": "act1"}
HEAD = {"conv": "conv_head", "bn1": "bn2", "act1": "act2"}


def build(network: Network, *, seed: int = 0) -> nn.Module:
    """The module of a network, weights drawn with `seed`; torch's global generator is left alone.

    Input (n, 3, h, w), output (n, classes). Where the network is one of timm's, weights move both ways: the stem is
    called conv_stem and bn1, the body blocks.<stage>.<block>, the head conv_head, bn2 or act2, and classifier.
    A detector's output is (n, boxes, classes + 4), as of `nas.models.detector.Detector`; its body has the names of a
    classifier's. Raises UserError for a network read from a file, which has no blocks, and for heads that read the body
    elsewhere than at its end, or that share the weights of a block.
    """
    lone = len(network.heads) <= 1 and all(t + 1 == h for t, h in zip(network.taps, network.heads, strict=True))
    if not (lone or network.detects):
        raise UserError("only a network with one head, after its last block, can be built")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts = OrderedDict(_parts(network))
        model = Detector(parts, network) if network.detects else nn.Sequential(parts)
        out_of_place(model)
        draw_weights(model)
    return model


def out_of_place(model: nn.Module) -> None:
    """All activations but ReLU would copy their input before they work in place: slower, and no smaller."""
    for module in model.modules():
        if isinstance(module, nn.ReLU | nn.Hardtanh | nn.Hardswish | nn.SiLU):
            module.inplace = False


def draw_weights(model: nn.Module) -> None:
    """Initial weights, from torch's global generator."""
    efficientnet_init_weights(model)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            # timm scales the classifier for 1,000 classes; with ten its first logits are so large that short trainings
            # lose an epoch to them. MobileNetV2's own 0.01 does not.
            nn.init.normal_(module.weight, 0, 0.01)
        elif isinstance(module, Detector):
            module.draw_predictions()


def shareable(network: Network) -> range:
    """The numbers of the blocks that may share weights: those between stem and head."""
    start, head = _body(network)
    return range(start, head)


def _parts(network: Network) -> Iterator[tuple[str, nn.Module]]:
    """The module's parts in order of execution, each under its own name."""
    taken: dict[str, int] = {}
    for name, module in _named(network):
        taken[name] = taken.get(name, 0) + 1
        yield name if taken[name] == 1 else f"{name}_{taken[name]}", module


def _named(network: Network) -> Iterator[tuple[str, nn.Module]]:
    """The parts with timm's names, which a second convolution of a head has once more."""
    blocks = network.blocks
    stages = network.stages or tuple(range(len(blocks)))
    start, head = _body(network)
    if start:
        yield from _renamed(blocks[0], STEM)
    shares = {number: source for number, source in enumerate(network.shared) if source != number}
    if any(not start <= source < number < head for number, source in shares.items()):
        raise UserError("only blocks between stem and head can share weights")
    own = {i: module_of(blocks[i]) for i in range(start, head) if i not in shares}
    body = {i: own[i] if i in own else Again(own[shares[i]]) for i in range(start, head)}
    rows = [[body[i] for i in row] for row in rows_of(stages, start, head)]
    yield "blocks", nn.Sequential(*(nn.Sequential(*row) for row in rows))
    if network.detects:
        yield "heads", nn.ModuleList(module_of(block) for block in blocks[head:])
        return
    for block in blocks[head:]:
        if block.kind == "conv":
            yield from _renamed(block, HEAD)
        elif "channels" in KINDS[block.kind].uses:
            yield "head", module_of(block)
        else:
            yield from module_of(block).named_children()


def _body(network: Network) -> tuple[int, int]:
    """The number of the first block after the stem, and that of the head's first."""
    blocks, head = network.blocks, len(network.backbone)
    if network.detects:
        pass
    elif not any(block.kind == "conv" for block in blocks[head:]) and head > 1 and blocks[head - 1].kind == "conv":
        head -= 1  # EfficientNet's convolution before the pool is of its head; MobileNetV3's comes after it
    return int(blocks[0].kind == "conv" and head > 0), head


def _renamed(block: Block, names: dict[str, str]) -> Iterator[tuple[str, nn.Module]]:
    return ((names[name], part) for name, part in module_of(block).named_children())
