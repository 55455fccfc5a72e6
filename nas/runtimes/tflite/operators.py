"""The operators of a TFLite file, and those of int8 that XNNPACK leaves to the reference kernels."""

from __future__ import annotations

from collections import Counter

from nas.errors import UserError
from nas.runtimes.tflite.file import NEEDS

UNMAPPED = ("HARD_SWISH",)  # in int8: measured on x86, where it takes 20 times as long as in float


def operators(model: bytes) -> Counter[str]:
    """How often each operator stands in the file. Raises UserError where the package that reads it is missing."""
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ImportError:
        raise UserError(NEEDS) from None
    read = schema.ModelT.InitFromPackedBuf(model)
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    codes = [names[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in read.operatorCodes]
    return Counter(codes[op.opcodeIndex] for op in read.subgraphs[0].operators)


def unmapped(model: bytes) -> str:
    """The operators of an int8 file that are slow on x86, with their number, in words; empty where there are none."""
    there = operators(model)
    return ", ".join(f"{there[name]} {name}" for name in UNMAPPED if there[name])
