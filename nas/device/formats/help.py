"""The latency tables of HELP (Lee et al., NeurIPS 2021): thousands of networks on GPUs, server CPUs and phones.

Two CSV forms, each with one column of milliseconds a device and batch (`lat_ms_titanx_1`): FBNet at 32x32 pixels
(operations 0 to 8 of 22 layers), and the Once-for-All MobileNetV3 (kernels, expansions, depths, resolution).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from nas.device.formats.network_table import NetworkTable
from nas.device.tables.columns import MOST_BYTES, MOST_NETWORKS, cost, size
from nas.errors import UserError, unknown
from nas.files.csv import Row, read_rows
from nas.space.block_table import block_table
from nas.space.candidate import Value
from nas.space.search_space import SearchSpace, load_space

PREFIX = "lat_ms_"
SUMS = ("raspi4", "pixel3", "fpga", "eyeriss")  # no measurements: HELP added up the tables of HW-NAS-Bench
BATCHES = ("1", "32", "64")

Whole = Callable[[str], int]  # the whole number in a column of the row
Choices = dict[str, Value]  # an option for each choice that the file gives


def read_fbnet(path: Path, platform: str) -> NetworkTable:
    """FBNet networks on one platform ("titanx_1"). Raises UserError naming file, line and column."""
    if platform in SUMS:
        raise UserError(f"{path}: {platform} holds sums of a table of blocks, not measured networks; import that table")
    space = load_space("fbnet-cifar")
    layers = {f"op{i:02}": c for i, c in enumerate((c for c in space.choices if c.name.endswith(".op")), start=1)}

    def read(row: Row, whole: Whole) -> tuple[str, Choices]:
        ops = {column: whole(column) for column in layers}
        if bad := [op for op in ops.values() if op > 8]:
            raise UserError(f"operations must be 0 to 8; got {bad[0]}")
        return "fbnet-" + "".join(map(str, ops.values())), {c.name: c.options[ops[o]] for o, c in layers.items()}

    return _read(path, platform, space, tuple(layers), read)


def read_ofa(path: Path, platform: str) -> NetworkTable:
    """Once-for-All networks on one platform ("v100_1"); kernels and expansions beyond a stage's depth are not read.

    Raises UserError naming file, line and column.
    """
    space = load_space("mobilenet-v3")
    stages = [stage for stage in space.stages if isinstance(stage.depth, list)]
    deepest = stages[0].deepest
    columns = [f"{name}{i}" for name in ("ks", "e") for i in range(len(stages) * deepest)]
    columns += ["arch_idx", "resolution", *(f"d{s}" for s in range(len(stages)))]

    def read(row: Row, whole: Whole) -> tuple[str, Choices]:
        chosen: Choices = {"resolution": whole("resolution")}
        for s, stage in enumerate(stages):
            chosen[f"{stage.name}.depth"] = depth = whole(f"d{s}")
            for j in range(min(depth, deepest)):
                chosen[f"{stage.name}.block{j + 1}.kernel"] = whole(f"ks{s * deepest + j}")
                chosen[f"{stage.name}.block{j + 1}.expand"] = whole(f"e{s * deepest + j}")
        return f"ofa-{whole('arch_idx')}@{chosen['resolution']}", chosen

    return _read(path, platform, space, columns, read)


NETWORK_FORMATS: dict[str, Callable[[Path, str], NetworkTable]] = {"help-fbnet": read_fbnet, "help-ofa": read_ofa}


def _whole(row: Row, path: Path, line: int, column: str) -> int:
    return size(row, column, path, line, least=0)


def _read(
    path: Path, platform: str, space: SearchSpace, columns: tuple[str, ...] | list[str],
    read: Callable[[Row, Whole], tuple[str, Choices]],
) -> NetworkTable:  # fmt: skip
    """The networks of a file whose rows `read` understands. Choices that it does not give change no cost."""
    at = {choice.name: (column, choice) for column, choice in enumerate(space.choices)}
    first = np.array([0.0 if choice.options else choice.low for choice in space.choices])
    names: list[str] = []
    codes: list[np.ndarray] = []
    latency: list[float] = []
    for line, row in read_rows(path, columns, MOST_BYTES):
        if PREFIX + platform not in row:
            raise unknown("platform", platform, (c.removeprefix(PREFIX) for c in row if c.startswith(PREFIX)))
        try:
            name, chosen = read(row, partial(_whole, row, path, line))
            code = first.copy()
            for choice_name, value in chosen.items():
                column, choice = at[choice_name]
                code[column] = choice.code(value)
        except UserError as error:
            raise UserError(f"{path}: line {line} is not a network of {space.name}: {str(error)[:300]}") from None
        if len(names) == MOST_NETWORKS:
            raise UserError(f"{path}: must have at most {MOST_NETWORKS:,} networks")
        names.append(name)
        codes.append(code)
        latency.append(cost(row, PREFIX + platform, path, line))
    if not names:
        raise UserError(f"{path}: must hold at least one network")
    batch = platform.rpartition("_")[2]
    blocks = block_table(space, np.array(codes))
    return NetworkTable(tuple(names), blocks, np.array(latency), batch=int(batch) if batch in BATCHES else 1)
