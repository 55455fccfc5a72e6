"""ONNX operations that multiply by weights: convolutions, linear layers, attention's products, recurrent layers."""

from __future__ import annotations

from math import prod

from nas.space.graph.node import Node
from nas.space.onnx.call import Call, Fields


def conv(call: Call) -> Fields:
    source, weight, bias = call.at(0), call.at(1), call.at(2)
    if source is None or source.constant or weight is None or not weight.constant:
        return None
    shape = weight.shape or ()
    return {
        "op": "conv", "kernel": (shape[2], prod(shape[3:])), "stride": max(call.attribute("strides", [1])),
        "groups": call.attribute("group", 1), "bias": bias is not None, "stored": call.stored(weight, bias),
        "precision": call.precision(source, weight), "inputs": (source.name,),
    }  # fmt: skip


def transposed_conv(call: Call) -> Fields | list[Node]:
    """A matrix product at each place of the input, whose results are then added up where they overlap."""
    source, weight, bias = call.at(0), call.at(1), call.at(2)
    if source is None or source.constant or weight is None or not weight.constant or source.shape is None:
        return None
    shape, groups = weight.shape or (), call.attribute("group", 1)
    columns = call.room(call.label, (source.shape[0], shape[1] * groups * prod(shape[2:]), *source.shape[2:]))
    precision = call.precision(source, weight)
    return [
        Node("conv", call.label, (source.name,), columns, groups=groups, stored=call.stored(weight),
             precision=precision),
        Node("resize", call.label, (columns,), call.outs[0].name, bias=bias is not None, stored=call.stored(bias)),
    ]  # fmt: skip


def product(call: Call) -> Fields:
    """MatMul and Gemm: a linear layer where one factor is a weight, on whichever side; else a product of two images."""
    left, right = call.at(0), call.at(1)
    if left is None or right is None or left.shape is None or right.shape is None:
        return None
    rows, columns = list(left.shape), list(right.shape)
    for dims, name in ((rows, "transA"), (columns, "transB")):
        if call.attribute(name, 0) and len(dims) > 1:
            dims[-2:] = dims[:-3:-1]
    bias = call.at(2) if call.node.op_type in ("Gemm", "FusedGemm") else None
    inner, out = rows[-1], call.out
    common = {"bias": bias is not None and bias.constant, "stored": call.stored(bias)}
    if right.constant and not left.constant:
        wide = columns[-1] if len(columns) > 1 else 1
        positions = out[:-1] if len(columns) > 1 else out
        weight = right
        batch = prod(columns[:-2])
    elif left.constant:
        wide = rows[-2] if len(rows) > 1 else 1
        positions = (*out[:-2], *out[-1:]) if len(rows) > 1 else out
        weight = left
        batch = prod(rows[:-2])
    else:
        batch = prod(out[:-2])
        return {"op": "linear", "features": (inner, out[-1] if out else 1), "positions": out[-2:-1],
                "groups": batch, "stored": ()}  # fmt: skip
    common["stored"] = call.stored(weight, bias)
    common["precision"] = call.precision(right if left.constant else left, weight)
    if batch > 1:
        positions = (max(1, prod(positions) // batch),)
    return {"op": "linear", "features": (inner, wide), "positions": tuple(positions), "groups": batch, **common}


def few_bits(call: Call) -> Fields:
    """MatMulNBits: weights of 2 to 8 bits, packed; they are multiplied as floats."""
    features = (int(call.attribute("K", 0)), int(call.attribute("N", 0)))
    weight = call.at(1)
    if weight is None or not weight.constant or min(features) < 1 or call.shape(0)[-1] != features[0]:
        return None
    return {"op": "linear", "features": features, "stored": tuple((key, prod(features)) for key in weight.stored)}


def einsum(call: Call) -> Fields:
    """A product of two tensors in which each index is a batch, a position, or summed over."""
    equation = str(call.attribute("equation", "")).replace(" ", "")
    terms, arrow, result = equation.partition("->")
    names = terms.split(",")
    if not arrow or "." in equation or len(names) != 2 or any(len(set(name)) != len(name) for name in names):
        return None
    sizes = {index: size for k, name in enumerate(names) for index, size in zip(name, call.shape(k), strict=False)}
    left, right = call.at(0), call.at(1)
    if left is None or right is None or set(result) - sizes.keys():
        return None
    weight = left if left.constant else right
    other, own = (names[1], names[0]) if left.constant else (names[0], names[1])
    summed = prod(sizes[i] for i in sizes if i not in result)
    batch = prod(sizes[i] for i in own if i in other and i in result)
    wide = prod(sizes[i] for i in own if i not in other and i in result)
    positions = tuple(sizes[i] for i in other if i not in own and i in result)
    if not weight.constant:
        return {"op": "linear", "features": (summed, wide), "positions": positions, "groups": batch, "stored": ()}
    source = right if left.constant else left
    return {"op": "linear", "features": (summed, wide), "positions": positions, "groups": batch,
            "stored": call.stored(weight), "precision": call.precision(source, weight)}  # fmt: skip


GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_MOST_TURNS = 1024


def recurrent(call: Call) -> Fields | list[Node]:
    """All inputs times their weights at once, then the state times its own weights at each step."""
    source, weight, state, bias = (call.at(index) for index in range(4))
    if source is None or source.constant or source.shape is None or len(source.shape) != 3 or call.outs[0].name == "":
        return None
    if weight is None or state is None or not weight.constant or not state.constant:
        return None
    gates = GATES[call.node.op_type]
    shape = state.shape or ()
    if len(shape) != 3 or shape[1] != gates * shape[2] or len(weight.shape or ()) != 3:
        return None
    directions, wide, hidden = shape[0], shape[1], shape[2]
    steps = source.shape[1] if call.attribute("layout", 0) else source.shape[0]
    if steps * directions > _MOST_TURNS or prod(source.shape) != steps * source.shape[2]:
        return None
    nodes: list[Node] = []
    for direction in range(directions):
        last = call.room(call.label, (steps, wide))
        nodes.append(Node("linear", call.label, (source.name,), last, features=(source.shape[2], wide),
                          stored=call.stored(weight) if not direction else (), positions=(steps,),
                          precision=call.precision(source, weight)))  # fmt: skip
        for step in range(steps):
            name = call.room(call.label, (1, wide))
            both = (*call.stored(state), *(call.stored(bias) if bias is not None else ()))
            nodes.append(Node("linear", call.label, (last,), name, features=(hidden, wide), positions=(1,),
                              stored=both if not step and not direction else (),
                              precision=call.precision(source, state)))  # fmt: skip
            last = call.room(call.label, (1, wide))
            nodes.append(Node("activation", call.label, (name,), last, function="sigmoid"))
        nodes.append(Node("concat", call.label, (last,), call.room(call.label, (steps, hidden))))
    ends = tuple(node.output for node in nodes if node.op == "concat")
    nodes += [Node("concat", call.label, ends, out.name) for out in call.outs if out.name]
    return nodes
