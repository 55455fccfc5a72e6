"""What is known of a tensor of an ONNX model before it runs: its shape, and the values of small constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.errors import UserError
from nas.space.onnx.wire import one_value

if TYPE_CHECKING:
    import onnx

MOST_VALUES = 4096  # of a constant whose values are kept: shapes, axes, limits; never weights
MOST_SIZE = 2**40  # values of any tensor
FLOAT, INT64, BOOL = 1, 7, 9  # onnx.TensorProto.DataType
_HALF = (10, 16)  # float16, bfloat16

_SIZES = f"dimensions of 0 or more and at most {MOST_SIZE:,} values"

Shape = tuple[int, ...]


@dataclass(slots=True, eq=False)
class Value:
    """One tensor. `name` is unique in the reading, even where a subgraph that runs twice repeats names."""

    name: str
    shape: Shape | None  # None: not known, or not a tensor
    elem: int = FLOAT
    constant: bool = False  # depends on no image
    data: np.ndarray | None = None  # the values of a small constant, where they are known
    stored: Mapping[str, int] = field(default_factory=dict)  # the file's weights it is made of, and their values
    trained: bool = True  # False: a scale or zero point that the runtime computes
    uniform: bool = False  # all its values are the same
    padded: bool = False  # its last value is 0, and others are not
    quantized: bool = False  # int8, or computed from int8 alone
    raw: bool = False  # the image before the first layer
    maker: str = ""  # the operation that makes it, as the user finds it in the file
    proto: Any = None  # `data` as shape inference wants it

    @property
    def half(self) -> bool:
        return self.elem in _HALF

    @property
    def number(self) -> float | None:
        """The single number that it holds; None if it is not known, or more than one."""
        return float(self.data.reshape(())) if self.data is not None and self.data.size == 1 else None


def shown(name: str) -> str:
    """A name from a file as a message may have it: quoted, without escape sequences, cut."""
    return ascii(name) if len(name) <= 60 else f"{ascii(name[:40])[:-1]}...{ascii(name[-12:])[1:]}"


def label(node: onnx.NodeProto) -> str:
    """How a user finds the node in the file; many files do not name their nodes, but every output has a name."""
    name = node.name or next(iter(node.output), "")
    text = f"{node.op_type} {name}".strip()
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= 100 else f"{text[:70]}...{text[-20:]}"


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """The value of a node's attribute; text as str."""
    import onnx

    for a in node.attribute:
        if a.name == name:
            value = onnx.helper.get_attribute_value(a)
            return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return default


class TensorReader:
    """Tensors that a file stores. Raises UserError for those that no runtime would take."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def constant(self, tensor: onnx.TensorProto, name: str, key: str) -> Value:
        """The tensor as a constant; `key` tells its parameters from those of all other tensors."""
        import onnx
        from onnx.external_data_helper import uses_external_data

        title = shown(tensor.name or name)
        shape = tuple(tensor.dims)
        if any(dim < 0 for dim in shape) or prod(shape) > MOST_SIZE:
            raise UserError(f"{self.path}: weight {title} must have {_SIZES}; got {_dims(shape)}")
        try:
            item = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        except (KeyError, ValueError, TypeError):
            raise UserError(f"{self.path}: weight {title} has the unknown data type {tensor.data_type}") from None
        value = Value(name, shape, tensor.data_type, constant=True)
        value.quantized = tensor.data_type in (2, 3, 21, 22)  # uint8, int8, uint4, int4
        if value.quantized or np.issubdtype(item, np.floating) or value.half or tensor.data_type == 6:
            value.stored = {key: prod(shape)}
        if uses_external_data(tensor):
            raw = self._external(tensor, title, prod(shape) * item.itemsize)
            if raw is None:
                return value
            tensor = onnx.TensorProto(name=tensor.name, dims=shape, data_type=tensor.data_type, raw_data=raw)
        held = self._describe(value, tensor)
        if held and item.itemsize * prod(shape) != held and tensor.data_type not in (21, 22, 23, 25, 26):
            raise UserError(f"{self.path}: weight {title} of shape {_dims(shape)} holds {held:,} bytes")
        if prod(shape) <= MOST_VALUES and not tensor.doc_string:
            try:
                value.data = onnx.numpy_helper.to_array(tensor)
                value.uniform = value.data.size > 1 and bool(np.all(value.data == value.data.flat[0]))
            except (ValueError, TypeError, OverflowError):
                if held or not _stripped(tensor):
                    raise UserError(f"{self.path}: weight {title} does not hold {prod(shape):,} values") from None
        return value

    @staticmethod
    def _describe(value: Value, tensor: onnx.TensorProto) -> int:
        """The bytes that the tensor holds in the file, and what is seen in them."""
        raw = tensor.raw_data
        if tensor.doc_string:  # a large tensor, of which only this was kept
            held, same, last = map(int, tensor.doc_string.split())
        else:
            held, same, last = len(raw), bool(raw) and one_value(raw), not any(raw[-4:])
        value.uniform, value.padded = bool(same), bool(held and last and not same)
        return held

    def sparse(self, tensor: onnx.SparseTensorProto, name: str, key: str) -> Value:
        """A tensor that is mostly zeros; all its values count as parameters."""
        shape = tuple(tensor.dims)
        if any(dim < 0 for dim in shape) or prod(shape) > MOST_SIZE:
            raise UserError(f"{self.path}: weight {shown(name)} must have {_SIZES}; got {_dims(shape)}")
        return Value(name, shape, tensor.values.data_type, constant=True, stored={key: prod(shape)})

    def _external(self, tensor: onnx.TensorProto, title: str, size: int) -> bytes | None:
        """The values of a small tensor in another file; None of a large one."""
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        inside = PurePath(location.replace("\\", "/"))
        if not location or inside.is_absolute() or ".." in inside.parts or ":" in inside.parts[0]:
            raise UserError(f"{self.path}: weight {title} points outside the file's folder, at {shown(location)}")
        file = self.path.parent / inside
        try:
            inner = file.resolve().is_relative_to(self.path.parent.resolve()) and file.is_file()
        except (OSError, RuntimeError, ValueError):  # a name too long, a link to itself
            inner = False
        if not inner:
            raise UserError(f"{self.path}: weight {title} is in {shown(location)}, which is not beside the file")
        offset, length = (entries.get(key, "") for key in ("offset", "length"))
        try:
            start, count = int(offset or 0), int(length or size)
        except ValueError:
            start = count = -1
        if start < 0 or count < size or start + size > file.stat().st_size:
            raise UserError(f"{self.path}: weight {title} is not in {shown(location)}, which is too short")
        if size > MOST_VALUES * 8:
            return None
        with file.open("rb") as opened:
            opened.seek(start)
            return opened.read(size)


def _stripped(tensor: onnx.TensorProto) -> bool:
    """Whether only the tensor's shape is left, as tools leave it that take the weights out of a file."""
    return not any(len(getattr(tensor, name)) for name in (
        "raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data",
    ))  # fmt: skip


def _dims(shape: Sequence[int]) -> str:
    return "(" + ", ".join(map(str, shape[:8])) + (", ..." if len(shape) > 8 else "") + ")"
