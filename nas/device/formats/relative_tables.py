"""Lookup tables that hold only what a space searches; the rest of a network is one number, `rest_ms`.

HW-NAS-Bench's FBNet blocks, in milliseconds relative to a skip (Li et al., ICLR 2021), whose rest is the network of
only skips; and Single-Path NAS's MnasNet blocks (Stamoulis et al., ECML PKDD 2019), whose rest is all that is not
searched. The rest is divided among its blocks by their MACs. Every network of the space has these blocks, so any other
division gives the same sums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import mean

from nas.device.tables.blocks import BlockTime
from nas.device.tables.columns import LEAST_COST, MOST_BYTES, MOST_COST, cost, size
from nas.errors import UserError, unknown
from nas.files.csv import Row, number, read_rows
from nas.space.block import Block
from nas.space.candidate import Candidate, Value
from nas.space.search_space import SearchSpace, load_space

Place = tuple[int, int, int, int]  # input height, channels in and out, stride
SKIP = "skip"


def import_hwnasbench(path: Path, platform: str, rest_ms: float) -> tuple[BlockTime, ...]:
    """HW-NAS-Bench's FBNet table: `platform` is the head of a column `*_ms_rel_to_skip`.

    Raises UserError for a missing column, a block that is not one of fbnet-cifar, is listed twice or is lacking, or
    a time that is not above 0.
    """
    column = f"{platform}_ms_rel_to_skip"
    space = load_space("fbnet-cifar")
    blocks = {
        (_place(block), op): block
        for op in space.table.ops
        for block, stage in _uniform(space, {"op": op})
        if space.stages[stage].block == "ops"
    }
    rest = _shares(rest_ms, [block for block, _ in _uniform(space, {"op": SKIP})])
    times = dict(rest)
    seen: set[tuple[Place, str]] = set()
    for line, row in _rows(path, ["H_in", "Cin", "Cout", "stride", "op"], column):
        at, op = _whole(row, path, line, "H_in", "Cin", "Cout", "stride"), row["op"]
        place: Place = (at[0], at[1], at[2], at[3])
        if op == SKIP:
            continue
        if (place, op) not in blocks or (place, op) in seen:
            raise UserError(f"{path}: line {line} must be a block of fbnet-cifar, listed once; got {place} {op[:80]}")
        seen.add((place, op))
        skip = blocks.get((place, SKIP))
        times[blocks[place, op].key] = _above(rest[skip.key] if skip else 0.0, row, column, path, line)
    if lacking := {key for key in blocks if key[1] != SKIP} - seen:
        raise UserError(f"{path}: lacks {len(lacking)} blocks of fbnet-cifar, such as {min(lacking)}")
    return tuple(BlockTime(key, "fp32", ms, None, 1, None) for key, ms in times.items())


def import_singlepath(path: Path, platform: str, rest_ms: float) -> tuple[BlockTime, ...]:
    """Single-Path's MnasNet table of one phone (`platform` names nothing in it); layers that cost the same blocks are
    averaged. Rows that were not searched are part of the rest.

    Raises UserError for a missing column, a block that is not one of single-path, or a time that is not above 0.
    """
    space = load_space("single-path")
    networks = {(k, e): _uniform(space, {"kernel": k, "expand": e}) for k in (3, 5) for e in (3, 6)}
    fixed = [block for block, _ in networks[3, 3] if all(block in [b for b, _ in n] for n in networks.values())]
    blocks = {(_place(block), *choice): block for choice, net in networks.items() for block, _ in net}
    found: dict[str, list[float]] = {}
    for line, row in _rows(path, ["in_hw", "in_c", "out_c", "stride", "kernel", "expand", "searchable"], "mean_ms"):
        if row["searchable"] != "1":
            continue
        at = _whole(row, path, line, "in_hw", "in_c", "out_c", "stride", "kernel", "expand")
        block = blocks.get(((at[0], at[1], at[2], at[3]), at[4], at[5]))
        if block is None:
            raise UserError(f"{path}: line {line} must be a block of single-path; got {at}")
        found.setdefault(block.key, []).append(cost(row, "mean_ms", path, line))
    rest = [BlockTime(key, "fp32", ms, None, 1, None) for key, ms in _shares(rest_ms, fixed).items()]
    return tuple([BlockTime(key, "fp32", mean(ms), None, len(ms), None) for key, ms in found.items()] + rest)


RELATIVE_FORMATS: dict[str, Callable[[Path, str, float], tuple[BlockTime, ...]]] = {
    "hwnasbench-fbnet": import_hwnasbench, "singlepath": import_singlepath,
}  # fmt: skip


def _uniform(space: SearchSpace, fields: dict[str, Value]) -> list[tuple[Block, int]]:
    """The deepest network whose blocks all take the same options, each block with its stage."""
    values: dict[str, Value] = {}
    for choice in space.choices:
        field = choice.name.rpartition(".")[2]
        last = max(choice.options, key=float) if field == "depth" else choice.value(0 if choice.options else choice.low)
        values[choice.name] = fields.get(field, last)
    network = space.network(Candidate.of(values))
    return list(zip(network.blocks, network.stages, strict=True))


def _shares(rest_ms: float, blocks: Sequence[Block]) -> dict[str, float]:
    if not LEAST_COST <= rest_ms <= MOST_COST:
        raise UserError(f"the rest must be above 0 ms and at most {MOST_COST:g}; got {rest_ms:g}")
    macs = {block.key: sum(layer.macs for layer in block.layers) for block in blocks}
    return {key: rest_ms * n / sum(macs.values()) for key, n in macs.items()}


def _place(block: Block) -> Place:
    return block.in_shape[1], block.in_shape[0], block.out_shape[0], block.stride


def _rows(path: Path, columns: Sequence[str], column: str) -> Iterator[tuple[int, Row]]:
    for line, row in read_rows(path, columns, MOST_BYTES):
        if column not in row:
            known = [c.removesuffix("_ms_rel_to_skip") for c in row if c.endswith("_ms_rel_to_skip")]
            raise unknown("platform", column.removesuffix("_ms_rel_to_skip"), known)
        yield line, row


def _whole(row: Row, path: Path, line: int, *columns: str) -> list[int]:
    return [size(row, column, path, line) for column in columns]


def _above(base: float, row: Row, column: str, path: Path, line: int) -> float:
    """The cell's milliseconds over those of the base, above 0 in all. Raises UserError."""
    ms = base + number(row[column], path, line, column, least=-MOST_COST, most=MOST_COST)
    if ms < LEAST_COST:
        raise UserError(f"{path}: with the rest, {column} must be above 0 ms; line {line} has {row[column][:80]!r}")
    return ms
