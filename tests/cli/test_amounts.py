"""Amounts, lists and shares as people type them, and what is none."""

from __future__ import annotations

import pytest

from nas.cli.amounts import amount, listed, named_values, precisions, share
from nas.errors import UserError


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("20ms", "ms", 20.0),
        ("20", "ms", 20.0),
        (" 0.02 s ", "ms", 20.0),
        ("1500us", "ms", 1.5),
        ("2e1ms", "ms", 20.0),
        (".5J", "mJ", 500.0),
        ("5.", "mJ", 5.0),
        ("4MB", "MB", 4.0),
        ("512kB", "MB", 0.512),
        ("2.5M", "", 2.5e6),
    ],
)
def test_an_amount_is_read_in_its_unit(text: str, unit: str, value: float) -> None:
    assert amount(text, unit, "--option") == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    [
        "", "ms", "few", "0", "0ms", "-3ms", "+3ms", "20parsecs", "20 mJ", "20%", "1_000ms", "1,5ms", "0x10", "nan",
        "inf", "1e400ms", "1e308s", "1e-330ms", "1.2.3ms", "\u0662\u0660ms", "20ms20ms", "9" * 5000,
        "20ms" + "s" * 5000,
    ],
)  # fmt: skip
def test_anything_else_is_refused_in_a_short_line(text: str) -> None:
    with pytest.raises(UserError, match=r"^--max-latency must be an amount above 0, e\.g\. 20ms .*; got '") as refused:
        amount(text, "ms", "--max-latency")
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize(
    ("text", "value"), [("95%", 0.95), ("0.95", 0.95), ("100 %", 1.0), ("1", 1.0), ("1e-3", 1e-3), ("0.1%", 1e-3)]
)
def test_a_share_is_a_percentage_or_a_fraction(text: str, value: float) -> None:
    assert share(text, "--option") == pytest.approx(value)


@pytest.mark.parametrize(
    "text", ["", "%", "0", "0%", "95", "100.1%", "-5%", "5%%", "%5", "1_0%", "nan%", "inf", "5ms", "9" * 5000]
)
def test_no_share_is_refused_in_a_short_line(text: str) -> None:
    with pytest.raises(UserError, match=r"^--least must be above 0% and at most 100%, .*; got '") as refused:
        share(text, "--least")
    assert len(str(refused.value)) < 250


def test_an_option_that_is_not_given_is_none() -> None:
    assert amount(None, "ms", "--option") is None and share(None, "--option") is None and precisions(None) is None
    assert listed(None) == []


def test_lists_have_commas_between_and_no_empty_parts() -> None:
    assert listed(" a, b ,,c") == ["a", "b", "c"]
    assert precisions("int8, fp32") == ["int8", "fp32"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("int9", "unknown precision 'int9'; did you mean 'int8'"), (" , ", "must name at least one of fp32, fp16, int8")],
)
def test_an_unknown_precision_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        precisions(text)


def test_named_values_are_numbers_where_they_look_like_one() -> None:
    given = ["path=a=b.csv", " pool = 64", "weight=0.5", "name=20ms"]
    assert named_values(given, "--set") == {"path": "a=b.csv", "pool": 64, "weight": 0.5, "name": "20ms"}
    assert named_values(None, "--set") == {}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["path"], "--set must be NAME=VALUE, e.g. path=networks.csv; got 'path'"),
        (["=a"], "got '=a'"),
        (["path="], "got 'path='"),
        (["a=1", "a=2"], "--set 'a' is given twice"),
        (["x" * 5000], "got 'x{80}'"),
    ],
)
def test_a_named_value_without_name_or_value_is_refused(texts: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        named_values(texts, "--set")
