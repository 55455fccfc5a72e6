"""Which layers of a network stay on the CPU, and by which rule of the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from nas.device.support.support import Support
from nas.space.layer import Layer
from nas.space.network import Network

AFTER = "it comes after the first layer that is not mapped"
SHORTER = "only the longest run of mapped layers leaves the CPU"


@dataclass(frozen=True, slots=True)
class OnCpu:
    """A layer that the accelerator does not run: its place in the network, from 0, and the rule that keeps it off."""

    place: int
    layer: Layer
    rule: str


def fault(rules: Support, layer: Layer) -> str:
    """The rule by which a layer is not mapped, in words; empty where it is."""
    kind = layer.kind
    if kind == "activation":
        return "" if layer.function in rules.activations else f"{layer.function or 'this activation'} is not mapped"
    if kind not in rules.operators:
        return f"{_WORDS.get(kind, kind)} is not mapped"
    if (most := rules.max_kernel.get(kind)) is not None and max(layer.kernel) > most:
        return f"a {_WORDS.get(kind, kind)} must have a kernel of at most {most}; got {max(layer.kernel)}"
    if (most := rules.max_stride.get(kind)) is not None and layer.stride > most:
        return f"a {_WORDS.get(kind, kind)} must have a stride of at most {most}; got {layer.stride}"
    if kind == "resize" and rules.resize_factors:
        factors = [out / into for into, out in zip(layer.in_shape[1:], layer.out_shape[1:], strict=True)]
        if factors[0] != factors[1] or factors[0] not in (1, *rules.resize_factors):
            known = ", ".join(map(str, rules.resize_factors))
            return f"a resize must be by {known}, the same in both directions; got {factors[0]:g} and {factors[1]:g}"
    return ""


_WORDS = {
    "standard": "convolution", "pointwise": "pointwise convolution", "depthwise": "depthwise convolution",
    "grouped": "grouped convolution", "linear": "linear layer", "pool": "pooling", "global_pool": "global pooling",
    "add": "addition", "multiply": "multiplication", "shuffle": "channel shuffle", "concat": "concatenation",
}  # fmt: skip


def on_cpu(rules: Support, network: Network) -> tuple[OnCpu, ...]:
    """The layers that stay on the CPU, in order of execution; empty where the whole network is mapped."""
    layers = list(network.layers)
    faults = [fault(rules, layer) for layer in layers]
    if rules.first_unsupported_ends:
        first = next((place for place, rule in enumerate(faults) if rule), len(faults))
        faults[first:] = [rule or AFTER for rule in faults[first:]]
    elif rules.longest_run_only:
        faults = _longest(faults)
    return tuple(OnCpu(n, layer, rule) for n, (layer, rule) in enumerate(zip(layers, faults, strict=True)) if rule)


def _longest(faults: Sequence[str]) -> list[str]:
    """The faults with those of all runs of mapped layers but the longest, the first of equals."""
    runs = [list(run) for _, run in groupby(range(len(faults)), key=lambda place: not faults[place])]
    mapped = [run for run in runs if not faults[run[0]]]
    kept = max(mapped, key=len, default=[])
    return [rule or ("" if place in kept else SHORTER) for place, rule in enumerate(faults)]
