"""Published lookup tables, read into blocks: those of Once-for-All and ProxylessNAS, in YAML, JSON or CSV."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from nas.device.formats.key_table import MOST_BYTES, SUFFIXES, read_key_rows
from nas.device.tables.blocks import BlockTime
from nas.device.tables.columns import cost, size
from nas.errors import UserError, unknown
from nas.files.csv import Row, read_rows
from nas.space.block import Block, make_divisible

COLUMNS = ("op", "in_h", "in_w", "in_c", "out_h", "out_w", "out_c", "expand", "kernel", "stride", "count", "mean_ms")


Whole = Callable[[str], int]  # the whole number in a column of the row


def _ofa(row: Row, whole: Whole) -> Block:
    """Once-for-All MobileNetV3 (Cai et al., ICLR 2020): `expand` is the number of expanded channels."""
    source, target = _shapes(whole)
    match row["op"]:
        case "Conv":
            return Block("conv", source, target, 3, 2, activation="hswish")
        case "Conv_1":
            return Block("conv", source, target, activation="hswish")
        case "AvgPool2D":
            return Block("pool", source, target)
        case "Conv_2":
            return Block("conv", source, target, activation="hswish", norm=False)
        case "Logits":
            return Block("linear", source, target)
    _is_block(row)
    mid, kernel, stride = (whole(c) for c in ("expand", "kernel", "stride"))
    activation = "hswish" if row["hs"] == "1" else "relu"
    if mid == source[0]:
        return Block("ds", source, target, kernel, stride, mid, activation=activation)
    se = make_divisible(mid * 0.25) if row["se"] == "1" else 0
    return Block("mbconv", source, target, kernel, stride, mid, se, activation, "hsigmoid" if se else "")


def _proxylessnas(row: Row, whole: Whole) -> Block:
    """ProxylessNAS (Cai et al., ICLR 2019): `expand` is the ratio, and the logits hold the average pool."""
    source, target = _shapes(whole)
    match row["op"]:
        case "Conv":
            return Block("conv", source, target, 3, 2, activation="relu6")
        case "Conv_1":
            return Block("conv", source, target, activation="relu6")
        case "Logits":
            return Block("pool_linear", source, target)
    _is_block(row)
    ratio, kernel, stride = (whole(c) for c in ("expand", "kernel", "stride"))
    return Block(
        "ds" if ratio == 1 else "mbconv", source, target, kernel, stride, source[0] * ratio, activation="relu6"
    )


FORMATS: dict[str, Callable[[Row, Whole], Block]] = {"ofa": _ofa, "proxylessnas": _proxylessnas}


def _is_block(row: Row) -> None:
    if not row["expand"]:
        raise ValueError(f"unknown operation {row['op'][:80]!r}")


def _shapes(whole: Whole) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    i, o = ([whole(f"{side}_{axis}") for axis in "chw"] for side in ("in", "out"))
    return (i[0], i[1], i[2]), (o[0], o[1], o[2])


def import_table(paths: Path | Sequence[Path], form: str) -> tuple[BlockTime, ...]:
    """The rows of a published table as measured blocks (fp32; means, for the tables give no medians).

    A table may be in several files (Once-for-All has one a resolution), YAML or JSON as published, or CSV. A block that
    is listed for several resolutions is given the mean of its rows, weighted by their runs.
    Raises UserError for an unknown format, a missing column, a value that is not a positive number, or an operation
    that the format does not have, naming the line; so also for one key twice within a resolution.
    """
    if form not in FORMATS:
        raise unknown("table format", form, FORMATS)
    times: dict[str, list[tuple[float, int]]] = {}
    for path in [paths] if isinstance(paths, Path) else paths:
        seen: dict[tuple[str, str], int] = {}
        rows = read_key_rows(path) if path.suffix.lower() in SUFFIXES else read_rows(path, COLUMNS, MOST_BYTES)
        for line, row in rows:
            block = _block(form, row, path, line)
            once = (row.get("resolution", ""), block.key)
            if once in seen:
                raise UserError(
                    f"{path}: a block must be listed once; lines {seen[once]} and {line} are both {block.key}"
                )
            seen[once] = line
            ms = cost(row, "mean_ms", path, line)
            runs = size(row, "count", path, line, most=10**9)
            times.setdefault(block.key, []).append((ms, runs))
    return tuple(BlockTime(key, "fp32", *_pooled(rows)) for key, rows in times.items())


def _block(form: str, row: Row, path: Path, line: int) -> Block:
    try:
        return FORMATS[form](row, lambda column: size(row, column, path, line))
    except (ValueError, KeyError) as error:
        raise UserError(f"{path}: line {line} is not a row of the {form} format: {str(error)[:200]}") from None


def _pooled(rows: list[tuple[float, int]]) -> tuple[float, None, int, None]:
    runs = sum(n for _, n in rows)
    return sum(ms * n for ms, n in rows) / runs, None, runs, None
