"""The names that an ONNX operation sees: those of its graph, of one turn of a loop, or of one call of a function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nas.space.onnx.tensors import Shape, Value

if TYPE_CHECKING:
    import onnx

STANDARD = ("", "ai.onnx")


@dataclass(slots=True)
class Scope:
    parent: Scope | None
    opset: Mapping[str, int]
    values: dict[str, Value] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)  # of a function's call
    label: str = ""  # the operation of the file that the nodes stand for; empty: they are the file's own
    use: str = ""  # tells that operation from all others
    int8: bool = False
    declared: Mapping[str, Shape] = field(default_factory=dict)  # shapes that the file states

    def get(self, name: str) -> Value | None:
        """The tensor of that name, looked for outwards."""
        scope: Scope | None = self
        while scope is not None:
            if (value := scope.values.get(name)) is not None:
                return value
            scope = scope.parent
        return None

    def inner(self, **changed: Any) -> Scope:
        """A scope inside this one."""
        kept = {"opset": self.opset, "attributes": self.attributes, "label": self.label, "use": self.use,
                "int8": self.int8}  # fmt: skip
        return Scope(self, **{**kept, **changed})


def opsets(given: Sequence[onnx.OperatorSetIdProto]) -> dict[str, int]:
    """Versions by domain; one that a newer library wrote is read as the newest that this one knows."""
    import onnx

    found = {"": 1}
    for entry in list(given)[:100]:
        domain = "" if entry.domain in STANDARD else entry.domain
        newest = entry.version if domain else onnx.defs.onnx_opset_version()
        found[domain] = min(max(1, entry.version), newest)
    return found


def bound(node: onnx.NodeProto, attributes: Mapping[str, Any]) -> onnx.NodeProto:
    """The node with the attributes that it takes from its function's call."""
    if not any(a.ref_attr_name for a in node.attribute):
        return node
    import onnx

    found = onnx.NodeProto()
    found.CopyFrom(node)
    del found.attribute[:]
    for a in node.attribute:
        source = attributes.get(a.ref_attr_name) if a.ref_attr_name else a
        if source is not None:
            found.attribute.add().CopyFrom(source)
            found.attribute[-1].name = a.name
    return found
