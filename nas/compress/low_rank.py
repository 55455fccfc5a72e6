"""Low-rank factorization, a step: weights become products of smaller ones, where the device gains by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from math import log
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nas.compress.factors import factors, losses, possible_ranks
from nas.compress.finetune import EPOCHS, check_epochs, check_share, fine_tuned, profile_for
from nas.compress.plan import comparable, gain, latency
from nas.compress.step import Given, with_step
from nas.compress.tensors import tensors_of
from nas.errors import UserError
from nas.models.builder import build
from nas.space.block import Block, Ranks
from nas.space.layer import Precision
from nas.space.network import Network

if TYPE_CHECKING:
    from nas.device.profile import DeviceProfile
    from nas.models.trained import TrainedModel

PAYS = 0.95  # of the latency: with more than that left, accuracy is lost for nothing
PARTS: dict[str, tuple[str, ...]] = {  # of a kind of block, the weights that may be products, in order of execution
    "conv": ("conv",), "ds": ("conv_pw",), "mbconv": ("conv_pw", "conv_pwl"), "shuffle": ("conv_pw", "conv_pwl"),
    "fused_mbconv": ("conv_exp", "conv_pwl"), "linear": ("classifier",), "pool_linear": ("classifier",),
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Weight:
    """A weight that may become a product: its block, and its place among that block's."""

    block: int
    place: int
    ways: tuple[tuple[Ranks, float], ...]  # ranks, and minus the logarithm of what remains of it; the largest first


@dataclass(frozen=True, slots=True)
class LowRank:
    """A `Step`. `share` of the multiply-adds is taken away, then the rest is fine-tuned.

    What the device gains is predicted first. A product is two or three layers instead of one: on many devices it takes
    as long with half the MACs. Where less than a twentieth of the latency would go, nothing is done, unless `anyway`.
    """

    name: str = field(default="low-rank", init=False)
    share: float = 0.3
    epochs: int = EPOCHS
    precision: Precision | None = None  # that latency is predicted in; None: the model's
    anyway: bool = False

    def __post_init__(self) -> None:
        check_share(self.share, "MACs to factorize away")
        check_epochs(self.epochs)

    def apply(self, model: TrainedModel, given: Given) -> TrainedModel:
        """Raises UserError without a profile, where it does not pay, or cannot be reached, or a training fails."""
        precision = self.precision or model.precision
        profile = comparable(profile_for(model, given, "whether products pay is told by a device's profile"), precision)
        network = factorized(model.network, weights_to_factorize(model), profile, precision, self.share)
        gained = gain(profile, model.network, network, precision)
        if gained.latency > PAYS and not self.anyway:
            raise UserError(
                f"low-rank does not pay: {gained.text}; prune instead, or take it for its smaller file with --anyway"
            )
        given.on_progress(f"{gained.text}; nothing is trained yet")
        tuned = fine_tuned(model, as_products(model, network), given, self.epochs)
        line = f"{self.name}: {gained.text}; {tuned.text}"
        given.on_progress(line)
        return with_step(tuned.model, line)


def weights_to_factorize(model: TrainedModel) -> tuple[Weight, ...]:
    """The pointwise, linear and dense weights that are whole and of which some product has fewer values.

    Raises UserError where there are none.
    """
    found = []
    for number, name, _, tensor in tensors_of(model.network, model.module()):
        block = model.network.blocks[number]
        for place, part in enumerate(parts_of(block)):
            if name == f"{part}.weight" and not block.ranks_of(place):
                ways = tuple(possible_ranks(tensor))
                paid = (-log(max(1e-9, 1 - loss)) for loss in losses(tensor, ways))
                if ways:
                    found.append(Weight(number, place, tuple(zip(ways, paid, strict=True))))
    if not found:
        raise UserError("the network has nothing to factorize: no pointwise, linear or dense weight is large enough")
    return tuple(found)


def parts_of(block: Block) -> tuple[str, ...]:
    """The names of a block's weights that may be products; none of a grouped one."""
    if block.groups > 1:
        return ()
    return ("conv",) if block.kind == "fused_mbconv" and block.mid == block.in_shape[0] else PARTS.get(block.kind, ())


def factorized(
    network: Network, weights: Sequence[Weight], profile: DeviceProfile, precision: Precision, share: float
) -> Network:
    """The network with ranks by which `share` of the MACs goes, with the least lost.

    Greedy: of all weights the one that saves most milliseconds for what it loses gets smaller ranks, again and again;
    where none saves time any more, the one that saves most MACs; the last one keeps the largest ranks with which it is
    enough. What remains of the network is taken as the product of what remains of its weights. Raises UserError, naming
    what can be reached, where no ranks do it.
    """

    @cache
    def of_block(block: Block) -> tuple[float, int]:
        return latency(profile, Network((block,)), precision), sum(layer.macs for layer in block.layers)

    uses = {w.block: [n for n in range(len(network.blocks)) if network.weights_of(n) == w.block] for w in weights}
    paid = dict.fromkeys(weights, 0.0)
    current, whole = network, network.macs
    while current.macs > (1 - share) * whole:
        best: tuple[bool, float, Weight, float, Block] | None = None
        for weight in weights:
            block = current.blocks[weight.block]
            now, times = of_block(block), len(uses[weight.block])
            for ranks, loss in weight.ways:
                if loss <= paid[weight] and block.ranks_of(weight.place):
                    continue
                changed = _with_ranks(block, weight.place, ranks)
                there = of_block(changed)
                ms, macs = times * (now[0] - there[0]), times * (now[1] - there[1])
                if macs <= 0:
                    continue
                rate = (ms if ms > 0 else macs / whole) / max(loss - paid[weight], 1e-9)
                if best is None or (ms > 0, rate) > best[:2]:
                    best = ms > 0, rate, weight, loss, changed
        if best is None:
            raise UserError(
                f"factorizing to ranks that are multiples of 8 takes {1 - current.macs / whole:.0%} of the MACs at "
                f"most; got {share:.0%}"
            )
        _, _, weight, loss, changed = best
        left, times = current.macs - (1 - share) * whole, len(uses[weight.block])
        block = current.blocks[weight.block]
        for ranks, less in weight.ways:  # the largest first
            smaller = _with_ranks(block, weight.place, ranks)
            if less < loss and times * (of_block(block)[1] - of_block(smaller)[1]) >= left:
                loss, changed = less, smaller
                break
        paid[weight] = loss
        blocks = (changed if n in uses[weight.block] else block for n, block in enumerate(current.blocks))
        current = replace(current, blocks=tuple(blocks))
    return current


def as_products(model: TrainedModel, network: Network) -> TrainedModel:
    """The model with the weights that `network` has ranks for as products; the rest is as it was."""
    old = {(number, name): tensor for number, name, _, tensor in tensors_of(model.network, model.module())}
    made: dict[tuple[int, str], Tensor] = {}
    for number, name, tensor in _products(model.network, network, old):
        made[number, name] = tensor
    with torch.device("meta"):
        module = build(network)
    weights = {
        full: (made[number, name] if (number, name) in made else old[number, name]).clone().contiguous()
        for number, name, full, _ in tensors_of(network, module)
    }
    return replace(model, network=network, weights=weights)


def _products(
    before: Network, after: Network, old: Mapping[tuple[int, str], Tensor]
) -> Iterator[tuple[int, str, Tensor]]:
    """The tensors of each new product: its block's number, its name there, and itself."""
    for number, block in enumerate(after.blocks):
        for place, part in enumerate(parts_of(block)):
            ranks = block.ranks_of(place)
            if not ranks or before.blocks[number].ranks_of(place) or after.weights_of(number) != number:
                continue
            weight = old[number, f"{part}.weight"]
            for name, tensor in factors(weight, ranks).items():
                yield number, f"{part}.{name}.weight", tensor
            if (bias := old.get((number, f"{part}.bias"))) is not None:
                yield number, f"{part}.expand.bias", bias
            if weight.dim() == 2:
                yield number, f"{part}.reduce.bias", torch.zeros(ranks[0])


def _with_ranks(block: Block, place: int, ranks: Ranks) -> Block:
    whole = [block.ranks_of(n) for n in range(len(parts_of(block)))]
    whole[place] = ranks
    return replace(block, ranks=tuple(whole))
