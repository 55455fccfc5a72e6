"""HELP's tables: rows become the networks that they name."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.device.formats.help import read_fbnet, read_ofa
from nas.device.formats.network_table import NetworkTable
from nas.errors import UserError
from tests.shared_data import shared_data

FBNET = ",".join(["arch_idx", *(f"op{i:02}" for i in range(1, 23)), "lat_ms_titanx_1", "lat_ms_titanx_32"])
OFA = ",".join(
    ["arch_idx", *(f"ks{i}" for i in range(20)), *(f"e{i}" for i in range(20)), *(f"d{i}" for i in range(5)),
     "resolution", "lat_ms_v100_1"]
)  # fmt: skip


def fbnet(folder: Path, *rows: tuple[list[int], object]) -> Path:
    lines = [",".join(map(str, [n, *ops, ms, 3])) for n, (ops, ms) in enumerate(rows)]
    (folder / "fbnet.csv").write_text("\n".join([FBNET, *lines]))
    return folder / "fbnet.csv"


def ofa(folder: Path, kernel: list[int], expand: list[int], depth: list[int], resolution: int) -> Path:
    (folder / "ofa.csv").write_text(OFA + "\n" + ",".join(map(str, [0, *kernel, *expand, *depth, resolution, 5.0])))
    return folder / "ofa.csv"


def keys(table: NetworkTable, network: int) -> list[str]:
    return [table.blocks.blocks[position[network]].key for position in table.blocks.index if position[network] >= 0]


def test_operations_are_numbered_as_help_numbers_them(tmp_path: Path) -> None:
    skips, sixes = [8] * 22, [5] + [7] * 21
    table = read_fbnet(fbnet(tmp_path, (skips, 1.5), (sixes, 2.5)), "titanx_1")
    assert table.latency_ms.tolist() == [1.5, 2.5]
    assert table.names[0] == "fbnet-" + "8" * 22
    assert len(keys(table, 0)) == 3 + 6  # stem, head, classifier; six skips change the shape
    assert keys(table, 1)[1:3] == [
        "shuffle-16x32x32-16x32x32-k5-s1-m16-g2-relu", "mbconv-16x32x32-24x32x32-k5-s1-m96-relu",
    ]  # fmt: skip
    assert table.uses.sum(axis=1).tolist() == [9, 25]


def test_the_number_of_macs_is_that_of_the_network(tmp_path: Path) -> None:
    """All skips: stem 442,368; six 1x1 convolutions; head 352 x 1504 x 16; classifier 1504 x 100."""
    skips = 16 * 24 * 1024 + 24 * 32 * 256 + 32 * 64 * 64 + 64 * 112 * 64 + 112 * 184 * 16 + 184 * 352 * 16
    table = read_fbnet(fbnet(tmp_path, ([8] * 22, 1.0)), "titanx_1")
    assert table.macs[0] == pytest.approx((442_368 + skips + 352 * 1504 * 16 + 150_400) / 1e6)


def test_a_batch_is_read_from_the_platforms_name(tmp_path: Path) -> None:
    path = fbnet(tmp_path, ([8] * 22, 1.0))
    assert (read_fbnet(path, "titanx_1").batch, read_fbnet(path, "titanx_32").batch) == (1, 32)


def test_once_for_all_blocks_beyond_the_depth_are_not_read(tmp_path: Path) -> None:
    kernel, expand = [3, 5, 0, 0] * 5, [3, 6, 0, 0] * 5
    table = read_ofa(ofa(tmp_path, kernel, expand, [2] * 5, 160), "v100_1")
    found = keys(table, 0)
    assert len(found) == 2 + 5 * 2 + 4 and table.names == ("ofa-0@160",)
    assert found[2:4] == [
        "mbconv-24x80x80-32x40x40-k3-s2-m72-relu", "mbconv-32x40x40-32x40x40-k5-s1-m192-relu",
    ]  # fmt: skip


def test_every_published_row_is_a_network_of_its_space() -> None:
    assert len(read_ofa(shared_data("ofa_help/ofa_mbv3_latency_ms.csv"), "v100_1").names) == 5000
    assert len(read_fbnet(shared_data("fbnet_help/fbnet_latency_ms.csv"), "titanx_1").names) == 4000


@pytest.mark.parametrize(
    ("ops", "ms", "platform", "message"),
    [
        ([9] + [0] * 21, 1.0, "titanx_1", "line 2 is not a network of fbnet-cifar: operations must be 0 to 8; got 9"),
        ([-1] + [0] * 21, 1.0, "titanx_1", "op01 must be a whole number of 0 or more; line 2"),
        ([0] * 22, 0, "titanx_1", "lat_ms_titanx_1 must be a finite number above 0; line 2"),
        ([0] * 22, 1.0, "titan", "unknown platform 'titan'; did you mean 'titanx_1'"),
        ([0] * 22, 1.0, "raspi4", "raspi4 holds sums of a table of blocks"),
    ],
)
def test_rows_that_are_no_networks_are_refused(
    ops: list[int], ms: float, platform: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        read_fbnet(fbnet(tmp_path, (ops, ms)), platform)


@pytest.mark.parametrize(
    ("kernel", "depth", "resolution", "message"),
    [(4, 2, 160, "must be one of .3, 5, 7.; got 4"), (3, 5, 160, "got 5"), (3, 2, 161, "got 161")],
)
def test_a_choice_that_the_space_has_not_is_refused(
    kernel: int, depth: int, resolution: int, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=f"line 2 is not a network of mobilenet-v3: .*{message}"):
        read_ofa(ofa(tmp_path, [kernel] * 20, [3] * 20, [depth] * 5, resolution), "v100_1")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must hold at least one network"):
        read_fbnet(fbnet(tmp_path), "titanx_1")
