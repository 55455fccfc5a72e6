"""The nodes of an exported graph by the modules that they came from."""

from __future__ import annotations

import ast
from collections import Counter
from typing import TYPE_CHECKING

from nas.models.int8 import block_of

if TYPE_CHECKING:
    import onnx

JOINING = ("Transpose", "Reshape", "Concat")  # a detector's own nodes
_SCOPES = "pkg.torch.onnx.name_scopes"  # of a node's metadata: ['', 'blocks', 'blocks.0', ..., 'relu_1']


def name_nodes(graph: onnx.GraphProto) -> None:
    """Names each node, in place, after the module that it came from: blocks.2.1.bn1.act.Relu.

    Where the exporter does not say which that is, a node keeps its name. What it says must not be stripped yet.
    """
    taken: Counter[str] = Counter()
    for node in graph.node:
        said = next((p.value for p in node.metadata_props if p.key == _SCOPES), "")
        if not said:
            continue
        scopes = ast.literal_eval(said)
        part = _within_its_block(scopes[:-1])
        name = f"{part}.{node.op_type}" if part else node.op_type
        taken[name] += 1
        node.name = name if taken[name] == 1 else f"{name}_{taken[name]}"


def _within_its_block(scopes: list[str]) -> str:
    """The innermost of the modules around a node, as a part of the block that runs it.

    A block that shares another's weights runs that one's module: blocks.0.2, blocks.0.1, blocks.0.1.conv_pw.
    """
    inner = scopes[-1] if scopes else ""
    block = next((scope for scope in scopes if scope.startswith("blocks.") and scope.count(".") == 2), "")
    return block + inner.removeprefix(block_of(inner)) if block else inner


def nodes_of(graph: onnx.GraphProto, blocks: tuple[str, ...]) -> list[str]:
    """The names of the nodes of some blocks; with a detector's head also of what joins the heads' boxes."""
    joins = any(block.startswith("heads.") for block in blocks)
    return [
        node.name
        for node in graph.node
        if block_of(node.name) in blocks or (joins and "." not in node.name and node.op_type in JOINING)
    ]


def block_outputs(graph: onnx.GraphProto) -> dict[str, str]:
    """The name of the tensor that each block ends in, by the block's name, in order of execution."""
    return {block_of(node.name): node.output[0] for node in graph.node}
