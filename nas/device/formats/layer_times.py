"""Rates from one network's own profile: the traces that ONNX Runtime and TFLite write, laid over its layers.

A trace knows operations and times, but neither MACs nor what a convolution is for; the network gives those. Its
convolutions and linear layers are matched one by one (`matching`); additions, products and activations as sums. A rate
is the time of all layers of a kind over their MACs or values, so the network itself is priced exactly; what is no layer
(reorders, quantisation, starting the run) is charged once per inference. One network says little of another one:
nearly all costs from such rates are extrapolations, and there is no held-out error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from nas.device.counts import ACTIVATIONS, COUNTS, INDEX, network_counts
from nas.device.formats.matching import match
from nas.device.formats.onnxruntime_profile import read_onnxruntime
from nas.device.formats.tflite_profile import read_tflite
from nas.device.formats.trace import Node, Trace
from nas.device.tables.rates import Rate, Rates
from nas.errors import UserError
from nas.space.graph.graph import Reading
from nas.space.graph.origins import Origin
from nas.space.layer import PRECISIONS, Precision
from nas.space.network import Network

TRACE_FORMATS: dict[str, Callable[[Path], Trace]] = {"onnxruntime": read_onnxruntime, "tflite": read_tflite}


def read_trace(path: Path, form: str, model: Reading | Network, precision: str) -> Rates:
    """The rates of the network that the trace is of.

    Raises UserError for a file that is not such a trace, an unknown precision, or a trace that does not fit the model.
    """
    chosen = next((p for p in PRECISIONS if p == precision), None)
    if chosen is None:
        raise UserError(f"precision must be one of {', '.join(PRECISIONS)}; got {precision!r}")
    try:
        return rates_of(TRACE_FORMATS[form](path), model, chosen)
    except UserError as error:
        raise error if str(error).startswith(str(path)) else UserError(f"{path}: {error}") from None


def rates_of(trace: Trace, model: Reading | Network, precision: Precision) -> Rates:
    """The rates of a trace. Raises UserError when it does not fit the model, or does not tell its layers apart."""
    network, origins = (model, ()) if isinstance(model, Network) else (model.network, _weighted_origins(model))
    totals = network_counts(network, precision)
    spent = np.zeros(len(COUNTS))
    layers = [layer for layer in network.layers if layer.weights]
    nodes = [node for node in trace.nodes if node.kind == "weighted"]
    chain = not origins and all(block.kind != "imported" for block in network.blocks)
    for node, kind in zip(nodes, match(nodes, layers, origins, chain=chain), strict=True):
        spent[INDEX[kind]] += node.ms
    for node in trace.nodes:
        if node.kind != "weighted":
            for name, share in _shares(node, totals):
                spent[INDEX[name]] += node.ms * share
    spent[INDEX["network"]] += max(0.0, trace.total_ms - sum(node.ms for node in trace.nodes))
    rate = np.divide(spent, totals, out=np.zeros(len(COUNTS)), where=totals > 0)
    cost = float(spent.sum())
    return Rates((Rate(precision, "latency", rate, totals, totals, cost, cost),))


def _weighted_origins(reading: Reading) -> tuple[Origin, ...]:
    """Those of the convolutions and linear layers; each needs those that it reads through other layers, too."""
    through: list[frozenset[int]] = []  # of each layer: the weighted ones that its output comes from
    found: list[Origin] = []
    for layer, origin in zip(reading.network.layers, reading.origins, strict=True):
        needs: frozenset[int] = frozenset().union(*(through[k] for k in origin.needs))
        if layer.weights:
            found.append(Origin(origin.names, needs))
            needs = frozenset({len(found) - 1})
        through.append(needs)
    return tuple(found)


def _shares(node: Node, totals: np.ndarray) -> Sequence[tuple[str, float]]:
    """What the network has of this node's kind, and each one's share of its time."""
    kin: dict[str, tuple[str, ...]] = {
        "add": ("add",), "multiply": ("multiply",), "pool": ("multiply",), "activation": ACTIVATIONS,
        "product": (*ACTIVATIONS, "multiply"),
    }  # fmt: skip
    names = [name for name in kin.get(node.kind, ()) if totals[INDEX[name]] > 0]
    if not names:
        return [("network", 1.0)]
    values = sum(totals[INDEX[name]] for name in names)
    return [(name, float(totals[INDEX[name]] / values)) for name in names]
