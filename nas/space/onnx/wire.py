"""An ONNX file as a model without its weights: what protobuf would allocate is bounded before it parses anything.

The structure of a network is small and its weights are not needed to count it. So the file is mapped, its fields are
walked (protobuf's wire format: https://protobuf.dev/programming-guides/encoding), and only the structure is copied.
"""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import UserError

if TYPE_CHECKING:
    import onnx

MOST_FIELDS = 1_000_000  # a network of 10,000 operations has about a fifth of it
MOST_DEPTH = 90  # protobuf itself stops at 100
KEPT_BYTES = 32_768  # data of a tensor: shapes, axes and limits are kept, weights are not

Kind = str
# message and field number -> message in the field; `tensor` and `leaf` are not walked further for messages
_MESSAGES: dict[Kind, dict[int, Kind]] = {
    "model": {7: "graph", 8: "leaf", 25: "function", 14: "leaf", 20: "leaf"},
    "graph": {1: "node", 5: "tensor", 11: "leaf", 12: "leaf", 13: "leaf", 14: "leaf", 15: "sparse", 16: "leaf"},
    "node": {5: "attribute", 9: "leaf"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 14: "leaf", 15: "leaf", 22: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "function": {7: "node", 9: "leaf", 11: "attribute", 12: "leaf", 14: "leaf"},
    "tensor": {3: "leaf", 13: "leaf", 16: "leaf"},
    "leaf": {},
}
_SKIPPED: dict[Kind, frozenset[int]] = {  # training graphs, documentation, notes of tools
    "model": frozenset({6, 14, 20, 26}), "graph": frozenset({10, 14, 16}), "node": frozenset({6, 9, 10}),
    "function": frozenset({8, 14}), "attribute": frozenset({13}), "tensor": frozenset({12, 16}),
}  # fmt: skip
_DATA = frozenset({4, 5, 7, 9, 10, 11})  # fields of TensorProto that hold its values
_RAW, _DOC = 9, 12
_CHUNK = 1_000_000


def load_structure(path: Path) -> onnx.ModelProto:
    """The model in `path`, without the values of large tensors.

    Raises UserError for what is not a plain file, not an ONNX model, or has more structure than a network needs.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
            raise UserError(f"{path}: must be an ONNX file; got a folder, a pipe or a device")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else memoryview(b"") as data:
                structure = _Walk(path, data).copy("model", 0, size, 0)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        raise UserError(f"{_short(str(path))}: {reason}; an ONNX model is expected") from None
    model = onnx.ModelProto()
    try:
        model.ParseFromString(structure)
    except (DecodeError, ValueError) as error:
        raise UserError(f"{path}: not an ONNX file, or a truncated one ({str(error)[:80]})") from None
    if not model.ir_version or not model.graph.node:
        raise UserError(f"{path}: not an ONNX file, or one without any operation")
    return model


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:100]}...{text[-60:]}"


class _Walk:
    def __init__(self, path: Path, data: mmap.mmap | memoryview) -> None:
        self.path = path
        self.data = data
        self.fields = 0

    def copy(self, kind: Kind, start: int, end: int, depth: int) -> bytes:
        """The message between two offsets, without values of large tensors and without notes."""
        if depth > MOST_DEPTH:
            raise UserError(f"{self.path}: its graphs are nested more than {MOST_DEPTH} deep")
        parts: list[bytes] = []
        for number, wire, begin, head, stop in self._fields_between(start, end):
            if number in _SKIPPED.get(kind, ()):
                continue
            if kind == "tensor" and number in _DATA and stop - head > KEPT_BYTES:
                if number == _RAW:  # what remains stands in the place of the documentation
                    summary = self._summary(head, stop).encode()
                    parts += [_varint(_DOC << 3 | 2), _varint(len(summary)), summary]
                continue
            inner = _MESSAGES[kind].get(number) if wire == 2 else None
            if inner is None or inner == "leaf":
                # what a leaf message allocates is bounded by its bytes; a field of 8 bytes counts as one
                self._count((stop - head) // 8 if inner else 0)
                parts.append(bytes(self.data[begin:stop]))
                continue
            body = self.copy(inner, head, stop, depth + 1)
            parts += [_varint(number << 3 | 2), _varint(len(body)), body]
        return b"".join(parts)

    def _summary(self, start: int, end: int) -> str:
        """Of a weight's bytes: how many, whether all its values are the same, and whether the last one is 0."""
        chunks = (bytes(self.data[at : min(end, at + _CHUNK)]) for at in range(start, end, _CHUNK))
        return f"{end - start} {all(map(one_value, chunks)):d} {not any(self.data[end - 4 : end]):d}"

    def _fields_between(self, start: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
        """Each field's number, wire type and offsets: of its tag, of its content, behind it."""
        at = start
        while at < end:
            self._count(1)
            begin = at
            tag, at = self._number(at, end)
            wire, head = tag & 7, at
            if wire == 0:
                _, at = self._number(at, end)
            elif wire == 2:
                length, head = self._number(at, end)
                at = head + length
            elif wire in (1, 5):
                at += 8 if wire == 1 else 4
            else:
                at = end + 1
            if at > end or not tag >> 3:
                raise UserError(f"{self.path}: not an ONNX file, or a truncated one")
            yield tag >> 3, wire, begin, head, at

    def _number(self, at: int, end: int) -> tuple[int, int]:
        value = shift = 0
        while at < end and shift < 64:
            byte = self.data[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value, at
            shift += 7
        raise UserError(f"{self.path}: not an ONNX file, or a truncated one")

    def _count(self, fields: int) -> None:
        self.fields += fields
        if self.fields > MOST_FIELDS:
            raise UserError(f"{self.path}: has more structure than a network needs (over {MOST_FIELDS:,} fields)")


def one_value(raw: bytes) -> bool:
    """Whether all values are the same, 0 and -0 taken for one; several chunks are taken to begin alike."""
    return raw.count(raw[:1]) == len(raw) or raw.count(0) + raw.count(128) == len(raw)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
