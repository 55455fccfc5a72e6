"""Published tables of measured blocks: the ends of their spaces come out as published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nas.device.cost import predict
from nas.device.formats.ofa import import_table
from nas.device.profile import DeviceProfile, load_device
from nas.device.tables.blocks import BlockTime, lookup_table_csv, read_lookup_table
from nas.errors import UserError
from nas.space.block_table import all_blocks
from nas.space.candidate import Candidate
from nas.space.network import Network
from nas.space.search_space import load_space
from tests.cli.bench import OFA
from tests.device.hand_made import TIMES
from tests.shared_data import shared_data

ENDS = [(160, 2, 3, 3, 9.9), (224, 4, 7, 6, 92.4)]  # resolution, depth, kernel, expansion, ms on the Note10


def uniform(resolution: int, depth: int, kernel: int, expand: int) -> Network:
    """The Once-for-All network with these choices everywhere."""
    space = load_space("mobilenet-v3")
    given = {"resolution": resolution, "depth": depth, "kernel": kernel, "expand": expand, "precision": "fp32"}
    values = {c.name: given.get(c.name.rpartition(".")[2], c.options[0] if c.options else c.low) for c in space.choices}
    return space.network(space.canonical(Candidate.of(values)))


@pytest.mark.parametrize(("resolution", "depth", "kernel", "expand", "ms"), ENDS)
def test_the_once_for_all_space_spans_10_to_92_ms_on_the_note10(
    resolution: int, depth: int, kernel: int, expand: int, ms: float
) -> None:
    found = predict(load_device("samsung-note10"), uniform(resolution, depth, kernel, expand), "fp32")
    assert round(found.latency_ms, 1) == ms
    assert (found.latency_basis, found.unknown, found.energy_mj) == ("measured", (), None)


@pytest.mark.parametrize(("resolution", "depth", "kernel", "expand", "ms"), ENDS)
def test_so_does_its_table_imported_anew(resolution: int, depth: int, kernel: int, expand: int, ms: float) -> None:
    times = import_table(shared_data("luts/ofa_mbv3_note10_lut.csv"), "ofa")
    profile = DeviceProfile(load_device("samsung-note10").about, times, None, (), (), "")
    found = predict(profile, uniform(resolution, depth, kernel, expand), "fp32")
    assert round(found.latency_ms, 1) == ms and not found.unknown


@pytest.mark.parametrize(
    ("name", "table", "form"),
    [
        ("samsung-note10", "luts/ofa_mbv3_note10_lut.csv", "ofa"),
        ("pixel-1", "luts/proxylessnas_pixel1_lut.csv", "proxylessnas"),
    ],
)
def test_shipped_profiles_are_their_tables(name: str, table: str, form: str) -> None:
    shipped = load_device(name).times
    imported = {(t.block, t.precision): t for t in import_table(shared_data(table), form)}
    assert shipped.keys() == imported.keys()
    assert all(shipped[key].median_ms == pytest.approx(imported[key].median_ms, rel=1e-5) for key in shipped)


def test_the_pixel_1_has_every_block_of_its_space() -> None:
    """Stem, 3 depthwise kernels, 6 forms of a first and a later block in 5 stages, 6 of the last, head, classifier."""
    blocks = all_blocks(load_space("proxylessnas"), classes=1000)
    assert len(blocks) == 1 + 3 + 5 * (6 + 6) + 6 + 1 + 1
    known = load_device("pixel-1").times
    assert [b.key for b in blocks if (b.key, "fp32") not in known] == []


def test_a_block_of_several_resolutions_has_the_mean_by_runs(tmp_path: Path) -> None:
    """The pool reads 5x5 at 160 and at 156: 491 runs of 0.25 ms and 9 of 0.75 ms have the mean 0.259 ms."""
    again = OFA.splitlines()[2].replace("160,", "156,", 1).replace(",491,0.25", ",9,0.75")
    (tmp_path / "ofa.csv").write_text(f"{OFA}{again}\n")
    conv, pool = import_table(tmp_path / "ofa.csv", "ofa")
    assert conv == BlockTime("conv-3x160x160-24x80x80-k3-s2-hswish", "fp32", 0.5, None, 498, None)
    assert pool == BlockTime("pool-1152x5x5-1152x1x1", "fp32", pytest.approx(0.259), None, 500, None)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mean_ms", "mean", "needs the columns .*; missing mean_ms"),
        (",498,0.5", ",498,-0.5", r"mean_ms must be a finite number above 0; line 2 has '-0\.5'"),
        (",498,0.5", ",498,", r"mean_ms must be .*; line 2 has ''"),
        (",498,0.5", ",0,0.5", r"count must be .*; line 2 has '0'"),
        ("160,AvgPool2D,5", "160,AvgPool2D,five", "in_h must be a whole number of 1 or more; line 3 has .five."),
        ("160,AvgPool2D,", "160,MaxPool2D,", "line 3 is not a row of the ofa format"),
        (OFA.splitlines()[2], OFA.splitlines()[1], "listed once; lines 2 and 3 are both conv-3x160x160-24x80x80"),
    ],
)
def test_a_bad_row_of_a_published_table_is_named(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert old in OFA
    (tmp_path / "ofa.csv").write_text(OFA.replace(old, new, 1))
    with pytest.raises(UserError, match=message):
        import_table(tmp_path / "ofa.csv", "ofa")


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown table format 'offa'; did you mean 'ofa'"):
        import_table(tmp_path / "ofa.csv", "offa")


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    times = (*TIMES, replace(TIMES[0], precision="int8", energy_mj=None))
    (tmp_path / "blocks.csv").write_text(lookup_table_csv(times))
    assert set(read_lookup_table(tmp_path / "blocks.csv")) == set(times)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("median_ms", "median", "needs the columns .*; missing median_ms"),
        (",2,2.5,", ",-2,2.5,", "median_ms must be a finite number above 0; line 2 has '-2'"),
        (",2,2.5,", ",,2.5,", "median_ms must be .*; line 2 has ''"),
        (",2,2.5,", ",2,nan,", "p90_ms must be .*; line 2 has 'nan'"),
        (",30,10", ",30,0", "energy_mj must be .*; line 2 has '0'"),
        (",fp32,2,", ",fp64,2,", "line 2 .*fp64"),
    ],
)
def test_a_bad_row_is_named_with_its_line(old: str, new: str, message: str, tmp_path: Path) -> None:
    text = lookup_table_csv(TIMES[:1])
    assert old in text
    (tmp_path / "blocks.csv").write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match=message):
        read_lookup_table(tmp_path / "blocks.csv")


def test_a_block_listed_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "blocks.csv").write_text(lookup_table_csv((TIMES[0], TIMES[0])))
    with pytest.raises(UserError, match="is listed twice, lines 2 and 3"):
        read_lookup_table(tmp_path / "blocks.csv")


@pytest.mark.parametrize(
    "key",
    [
        "mbconv", "mbconv-8x16x16-8x16-k3-s1-m16-relu", "mbconv-8x16x16-8x16x16-k-s1-m16-relu",
        "mbconv-8x16x16-8x16x16-k3-s0-m16-relu", "mbconv-0x16x16-8x16x16-k3-s1", "conv-3x32x32-8x16x16-k3--relu",
        "conv-3x32x32-8x16x16-k3-s2-relu-relu-relu", "Conv-3x32x32-8x16x16-k3", "conv 3x32x32-8x16x16-k3", "",
        "linear-8x1x1-1000000000x1x1", "conv-3x32x32-8x16x16-k1_0", "conv-3x32x32-8x16x16-k٣-s2-relu",
    ],
)  # fmt: skip
def test_a_malformed_key_is_named_with_its_line(key: str, tmp_path: Path) -> None:
    (tmp_path / "blocks.csv").write_text(f"block,precision,median_ms,p90_ms,runs,energy_mj\n{key},fp32,1,,5,\n")
    with pytest.raises(UserError, match=r"blocks\.csv: block must be a block's key, as .*; line 2 has"):
        read_lookup_table(tmp_path / "blocks.csv")


def test_every_block_of_every_shipped_space_has_a_key_that_is_read(tmp_path: Path) -> None:
    blocks = {
        b.key for name in ("tiny", "fbnet-cifar", "mobilenet-v3", "efficientnet") for b in all_blocks(load_space(name))
    }
    (tmp_path / "blocks.csv").write_text(lookup_table_csv(BlockTime(key, "fp32", 1.0, None, 1, None) for key in blocks))
    assert {t.block for t in read_lookup_table(tmp_path / "blocks.csv")} == blocks


def test_a_block_of_a_newer_version_is_kept_and_prices_nothing(tmp_path: Path) -> None:
    newer = BlockTime("hyper_conv-8x16x16-8x16x16-k3-s1-xy4-newact", "fp32", 1.0, None, 5, None)
    (tmp_path / "blocks.csv").write_text(lookup_table_csv([*TIMES, newer]))
    assert newer in read_lookup_table(tmp_path / "blocks.csv")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1_000,,5,", "median_ms must be a finite number above 0; line 2 has '1_000'"),
        ("1e308,,5,", "median_ms must be a finite number of at most 1e.09; line 2 has '1e308'"),
        ("1e-320,,5,", "median_ms must be at least 1e-09; line 2 has '1e-320'"),
        ("1,,0.5,", "runs must be a whole number of 1 or more; line 2 has '0.5'"),
        ("1,,0,", "runs must be a whole number of 1 or more; line 2 has '0'"),
        ("1,,1_0,", "runs must be a whole number of 1 or more; line 2 has '1_0'"),
        ("1,,5,inf", "energy_mj must be a finite number above 0; line 2 has 'inf'"),
        ("1,٣,5,", "p90_ms must be a finite number above 0"),
    ],
)
def test_what_only_python_takes_for_a_number_is_refused(row: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "blocks.csv").write_text(
        f"block,precision,median_ms,p90_ms,runs,energy_mj\npool-8x4x4-8x1x1,fp32,{row}\n"
    )
    with pytest.raises(UserError, match=message):
        read_lookup_table(tmp_path / "blocks.csv")


def test_a_column_given_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "blocks.csv").write_text(
        "block,precision,median_ms,p90_ms,runs,energy_mj,median_ms\npool-8x4x4-8x1x1,fp32,1,,5,,2\n"
    )
    with pytest.raises(UserError, match="a column must be given once; 'median_ms' is given twice"):
        read_lookup_table(tmp_path / "blocks.csv")
