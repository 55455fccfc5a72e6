"""What is priced is what is built, for every legal stage table: drawn at random, built, run and read back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.layers import SelectAdaptivePool2d
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nas.models.builder import build, shareable
from nas.models.trace import read_module
from nas.space.block import Block
from nas.space.layer import Layer
from nas.space.network import Network
from nas.space.search_space import SearchSpace
from nas.space.stage import BODY, HEADS, Op, Stage
from nas.space.stage_table import StageTable
from tests.space.random_tables import spaces

COPIES = {("shuffle", 1), ("concat", 1)}


def seen(model: nn.Module, image: Tensor) -> tuple[list[tuple[object, ...]], Tensor]:
    """Every convolution, linear layer, norm and pool in order of execution, and what the module gives."""
    layers: list[tuple[object, ...]] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        into, out = tuple(inputs[0].shape[1:]), tuple(output.shape[1:])
        if isinstance(module, nn.Conv2d):
            assert module.dilation == (1, 1)
            kernel, stride = tuple(module.kernel_size), module.stride
            layers.append(("conv", into, out, kernel, stride, module.groups, module.bias is not None))
        elif isinstance(module, nn.Linear):
            layers.append(("linear", into, out, module.bias is not None))
        elif isinstance(module, nn.BatchNorm2d):
            layers.append(("norm", into))
        elif isinstance(module, SelectAdaptivePool2d):
            layers.append(("pool", into, out))
        elif isinstance(module, nn.ChannelShuffle):
            layers.append(("shuffle", into, module.groups))

    handles = [module.register_forward_hook(note) for module in model.modules()]
    output = model(image)
    for handle in handles:
        handle.remove()
    return layers, output


def wanted(network: Network) -> list[tuple[object, ...]]:
    """The same of a network's layers."""
    layers: list[tuple[object, ...]] = []
    for block in network.blocks:
        for layer in block.layers:
            stride = (layer.stride, layer.stride)
            if layer.op == "conv":
                layers.append(("conv", layer.in_shape, layer.out_shape, layer.kernel, stride, layer.groups, layer.bias))
            elif layer.op == "linear":
                layers.append(("linear", layer.in_shape[:1], layer.out_shape[:1], layer.bias))
            elif layer.op == "shuffle":
                layers.append(("shuffle", layer.in_shape, layer.groups))
            elif layer.op == "global_pool" and block.kind in ("pool", "pool_linear"):  # squeeze-excite's is no module
                layers.append(("pool", layer.in_shape, layer.out_shape))
            if layer.norm:
                layers.append(("norm", layer.out_shape))
    return layers


def boxes_of(network: Network) -> int:
    """How many boxes a detector gives: 6 anchors, or 1, at each place of the maps."""
    heads = [network.blocks[i] for i in network.heads]
    each = {"ssdlite": 6, "anchor_free": 1}
    return sum(each[head.kind] * head.in_shape[1] * head.in_shape[2] for head in heads)


def comparable(layer: Layer) -> tuple[object, ...]:
    return (layer.op, layer.in_shape, layer.out_shape, layer.kernel, layer.stride, layer.groups, layer.function,
            layer.norm, layer.bias)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(space=spaces(), seed=st.integers(0, 2**32 - 1))
def test_every_legal_table_is_built_as_it_is_priced(space: SearchSpace, seed: int) -> None:
    for code in space.sample_codes(2, np.random.default_rng(seed)):
        check_built_as_priced(space.network(space.decode(code)))


def check_built_as_priced(network: Network) -> None:
    with torch.device("meta"):
        model, image = build(network).eval(), torch.empty(1, *network.input_shape)
    assert sum(p.numel() for p in model.parameters()) == network.params
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        layers, output = seen(model, image)
    assert counter.get_total_flops() == 2 * network.macs
    assert layers == wanted(network)
    assert output.shape == (1, network.classes) if not network.detects else (1, boxes_of(network), network.classes + 4)
    read = read_module(model, network.input_shape)
    assert read.unread == () and read.network.params == network.params
    # what a detector's heads say is turned and joined box by box, which copies it: no layer of a block
    copies = [x for x in read.network.layers if network.detects and (x.op, x.groups) in COPIES]
    of_blocks = [layer for layer in read.network.layers if layer not in copies]
    assert [comparable(layer) for layer in of_blocks] == [comparable(x) for x in network.layers]


def factorized(network: Network, rng: np.random.Generator) -> Network:
    """The network with a third of the weights that may be products as products, of any ranks."""
    weights = {"conv": 1, "ds": 1, "mbconv": 2, "shuffle": 2, "fused_mbconv": 2, "linear": 1, "pool_linear": 1}

    def ranks(block: Block, number: int) -> tuple[int, ...]:
        if block.groups > 1 or rng.random() > 1 / 3:
            return ()
        wide = block.kernel > 1 and number == 0 and block.kind in ("conv", "fused_mbconv")
        return tuple(int(rank) for rank in rng.integers(1, 20, 2 if wide else 1))

    def changed(block: Block) -> Block:
        made = tuple(ranks(block, number) for number in range(weights.get(block.kind, 0)))
        return replace(block, ranks=made if any(made) else ())

    return replace(network, blocks=tuple(changed(block) for block in network.blocks))


def sharing(network: Network, rng: np.random.Generator) -> Network:
    """The network with half of its equal blocks sharing their weights."""
    first: dict[tuple[int, Block], int] = {}
    shared = list(range(len(network.blocks)))
    for number in shareable(network):
        source = first.setdefault((network.stages[number], network.blocks[number]), number)
        if rng.random() < 1 / 2:
            shared[number] = source
    return replace(network, shared=tuple(shared))


@settings(max_examples=30, deadline=None)
@given(space=spaces(), seed=st.integers(0, 2**32 - 1))
def test_factors_and_shared_weights_are_built_as_they_are_priced(space: SearchSpace, seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = space.network(space.sample(rng))
    factors = factorized(network, rng)
    check_built_as_priced(sharing(factors, rng))
    shared = sharing(network, rng)
    check_built_as_priced(shared)
    assert (shared.macs, shared.peak_memory_mb("int8")) == (network.macs, network.peak_memory_mb("int8"))


def test_the_drawn_networks_have_factors_and_share() -> None:
    drawn, kinds, shared = np.random.default_rng(0), set[tuple[str, int, int]](), 0

    @settings(max_examples=100, deadline=None, derandomize=True, database=None)
    @given(space=spaces(), seed=st.integers(0, 2**32 - 1))
    def draw(space: SearchSpace, seed: int) -> None:
        nonlocal shared
        network = space.network(space.sample(np.random.default_rng(seed)))
        for block in factorized(network, drawn).blocks:
            kinds.update((block.kind, place, len(ranks)) for place, ranks in enumerate(block.ranks) if ranks)
        shared += sharing(network, drawn).params < network.params

    draw()
    assert shared > 5 and kinds >= {
        ("conv", 0, 1), ("conv", 0, 2), ("ds", 0, 1), ("mbconv", 0, 1), ("mbconv", 1, 1), ("fused_mbconv", 0, 2),
        ("fused_mbconv", 1, 1), ("linear", 0, 1), ("pool_linear", 0, 1),
    }  # fmt: skip


def test_the_drawn_tables_reach_every_key() -> None:
    """Each key of the three tables has at least two values among 400 drawn spaces."""
    values: dict[str, set[str]] = {}

    @settings(max_examples=400, deadline=None, derandomize=True, database=None)
    @given(space=spaces())
    def draw(space: SearchSpace) -> None:
        for table in (space.table, *space.table.stage, *space.table.ops.values()):
            for name in type(table).model_fields:
                values.setdefault(f"{type(table).__name__}.{name}", set()).add(str(getattr(table, name)))

    draw()
    every = {f"{t.__name__}.{name}" for t in (Stage, Op, StageTable) for name in t.model_fields}
    assert {key for key in every if len(values[key]) < 2} == {
        "StageTable.name",
        "StageTable.title",
        "StageTable.source",
    }
    assert values["Stage.block"] >= {*BODY, *HEADS, "ops"} and values["Op.block"] == {*BODY, "skip"}
