"""The YAML tables of Once-for-All and ProxylessNAS: the blocks of their CSV forms, and nothing but plain text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nas.device.formats.ofa import import_table
from nas.errors import UserError
from tests.cli.bench import OFA
from tests.shared_data import shared_data

PROXYLESS = """\
Conv-input:224x224x3-output:112x112x32:
  count: 949
  mean: 4.397
  var: 0.156
expanded_conv-input:56x56x24-output:56x56x24-expand:6-kernel:7-stride:1-idskip:1:
  count: 403
  mean: 18.5406
  var: 0.7505
Logits-input:7x7x1280-output:1000:
  mean: 0.9348
  count: 949
"""
OFA_KEYS = """\
expanded_conv-input:10x10x136-output:10x10x136-expand:408-kernel:3-stride:1-idskip:1-se:1-hs:1: {mean: 2.0, count: 30}
AvgPool2D-input:5x5x1152-output:1x1x1152: {mean: 0.01, count: 30}
"""


def written(folder: Path, text: str, name: str = "table.yaml") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_the_keys_of_proxylessnas_name_its_blocks(tmp_path: Path) -> None:
    times = import_table(written(tmp_path, PROXYLESS), "proxylessnas")
    assert {(t.block, t.median_ms, t.runs) for t in times} == {
        ("conv-3x224x224-32x112x112-k3-s2-relu6", 4.397, 949),
        ("mbconv-24x56x56-24x56x56-k7-s1-m144-relu6", 18.5406, 403),
        ("pool_linear-1280x7x7-1000x1x1", 0.9348, 949),
    }


def test_the_keys_of_once_for_all_name_its_blocks_over_several_files(tmp_path: Path) -> None:
    """One file a resolution; a block that two of them have is averaged by runs: (2 x 30 + 5 x 60) / 90 = 4 ms."""
    again = OFA_KEYS.splitlines()[0].replace("mean: 2.0, count: 30", "mean: 5.0, count: 60")
    files = [written(tmp_path, OFA_KEYS, "160.yaml"), written(tmp_path, again, "164.yml")]
    times = {t.block: (t.median_ms, t.runs) for t in import_table(files, "ofa")}
    assert times == {
        "mbconv-136x10x10-136x10x10-k3-s1-m408-se104-hswish": (pytest.approx(4.0), 90),
        "pool-1152x5x5-1152x1x1": (0.01, 30),
    }


@pytest.mark.parametrize(
    ("table", "form"),
    [("luts/proxylessnas_pixel1_lut.csv", "proxylessnas"), ("luts/ofa_mbv3_note10_lut.csv", "ofa")],
)
def test_the_published_keys_give_the_blocks_of_the_csv_form(table: str, form: str, tmp_path: Path) -> None:
    import csv

    files: dict[str, list[str]] = {}
    with shared_data(table).open() as file:
        for row in csv.DictReader(file):
            entry = f"{row['key']}:\n  count: {row['count']}\n  mean: {row['mean_ms']}\n"
            files.setdefault(row.get("resolution", ""), []).append(entry)
    paths = [written(tmp_path, "".join(entries), f"t{name}.yaml") for name, entries in files.items()]
    from_yaml = {t.block: t.median_ms for t in import_table(paths, form)}
    assert from_yaml == pytest.approx({t.block: t.median_ms for t in import_table(shared_data(table), form)})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x {mean: 1, count: 1}\nb: *x\n", "line 1: aliases, anchors and tags are not read"),
        ("a: !!python/object:os.system {mean: 1, count: 1}\n", "line 1: aliases, anchors and tags"),
        ("a:\n  - 1\n", "line 2 must be a block's key .* got a sequencestart"),
        ("a:\n  mean: {x: 1}\n", "line 2 must be a block's key .* got a mappingstart"),
        ("a: 1\n", "line 1 must be a block's key .* got a scalar"),
        ("Conv-input:1x1x3-output:1x1x3:\n  mean: 1\n", "line 1: .* missing count"),
        ("Conv-output:1x1x3: {mean: 1, count: 1}\n", "line 1: .* must give its input"),
        (
            "Conv-input:axbxc-output:1x1x3: {mean: 1, count: 1}\n",
            "in_c must be a whole number of 1 or more; line 1 has 'c'",
        ),
        ("Dense-input:1x1x3-output:1x1x3: {mean: 1, count: 1}\n", "line 1 is not a row of the ofa format"),
        ("Conv-input:2x2x3-output:1x1x3: {mean: -1, count: 1}\n", "mean_ms must be a finite number above 0; line 1"),
        ("a: {mean: 1\n", "not a readable YAML file"),
        ("? [a, b]\n: {mean: 1, count: 1}\n", "line 1 must be a block's key"),
        (OFA_KEYS + OFA_KEYS, "a block must be listed once; lines 1 and 3"),
    ],
)
def test_anything_but_such_a_table_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        import_table(written(tmp_path, text), "ofa")


def test_a_csv_file_is_read_by_its_columns(tmp_path: Path) -> None:
    """By its ending, in either case; the same text under the name of a YAML file is not a table of keys."""
    for name in ("ofa.csv", "OFA.CSV"):
        assert {(t.block, t.median_ms, t.runs) for t in import_table(written(tmp_path, OFA, name), "ofa")} == {
            ("conv-3x160x160-24x80x80-k3-s2-hswish", 0.5, 498),
            ("pool-1152x5x5-1152x1x1", 0.25, 491),
        }
    with pytest.raises(UserError, match=r"ofa\.yaml: "):
        import_table(written(tmp_path, OFA, "ofa.yaml"), "ofa")


def as_json(yaml: str, **layout: object) -> str:
    import yaml as reader

    return json.dumps(reader.safe_load(yaml), **layout)  # type: ignore[arg-type]


@pytest.mark.parametrize("layout", [{}, {"indent": 1}, {"indent": "\t"}, {"separators": (",", ":")}])
@pytest.mark.parametrize(("text", "form"), [(PROXYLESS, "proxylessnas"), (OFA_KEYS, "ofa")])
def test_json_is_read_as_its_yaml_twin(text: str, form: str, layout: dict[str, object], tmp_path: Path) -> None:
    twin = import_table(written(tmp_path, as_json(text, **layout), "table.json"), form)
    assert twin == import_table(written(tmp_path, text), form)


def test_a_shared_table_in_json_has_its_seven_blocks() -> None:
    times = {
        t.block: (t.median_ms, t.runs) for t in import_table(shared_data("../cases/block-tables/table.json"), "ofa")
    }
    assert len(times) == 7
    assert times["mbconv-136x10x10-136x10x10-k3-s1-m408-se104-hswish"] == (8.3, 9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "must be an object of blocks"),
        ("{", "not a readable JSON file"),
        ('{"a": 1}', "line 1: 'a' must have count and mean; got 1"),
        ('{\n"Conv-input:1x1x3-output:1x1x3": {"mean": 1}}', "line 2: .* missing count"),
        ('{"a": {}, "a": {}}', "'a' is given twice"),
        ('{"Conv-input:2x2x3-output:1x1x3": {"mean": true, "count": 1}}', "mean_ms must be a finite number above 0"),
        (
            '{"Conv-input:2x2x3-output:1x1x3": {"mean": 1e308, "count": 1}}',
            "mean_ms must be a finite number of at most",
        ),
        ('{"Conv-input:2x2x3-output:1x1x3": {"mean": 1, "count": 0.5}}', "count must be a whole number of 1 or more"),
        ("[" * 100_000, "not a readable JSON file"),
    ],
)
def test_json_that_is_not_such_a_table_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        import_table(written(tmp_path, text, "table.json"), "ofa")
