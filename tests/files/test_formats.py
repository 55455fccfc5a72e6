"""CSV and JSON as the project reads them: what is odd in them is named, never guessed at."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from nas.errors import UserError
from nas.files.csv import number, read_rows, whole_number
from nas.files.json import parse_json, read_json

HERE = Path("table.csv")


def rows_of(text: str, tmp_path: Path, columns: tuple[str, ...] = ("a", "b")) -> list[tuple[int, dict[str, str]]]:
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    return list(read_rows(tmp_path / "t.csv", columns))


def test_rows_come_with_their_lines_and_blank_lines_are_passed_over(tmp_path: Path) -> None:
    assert rows_of("a,b\n1,x\n\n2,\n", tmp_path) == [(2, {"a": "1", "b": "x"}), (4, {"a": "2", "b": ""})]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,c\n1,2\n", "needs the columns a, b; missing b"),
        ("a,b,a\n1,2,3\n", "a column must be given once; 'a' is given twice"),
        ("a,b\n1\n", "a row must have 2 cells; line 2 has 1"),
        ("a,b\n1,2,3\n", "a row must have 2 cells; line 2 has 3"),
        ('a,b\n1,"x\ny"\n', "a cell must be one line"),
        ('a,b\n1,"x\n', "not a readable CSV file"),
        ("a,b\n1," + "x" * 10_001 + "\n", "at most 10,000 characters"),
        ("", "missing a"),
    ],
)
def test_a_table_that_is_odd_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        rows_of(text, tmp_path)


@pytest.mark.parametrize("text", ["1", "1.5", ".5", "5.", "1e3", "1E-3", "+2", " 3 "])
def test_numbers_as_programs_write_them_are_read(text: str) -> None:
    assert number(text, HERE, 2, "ms") == float(text)


@pytest.mark.parametrize("text", ["", "1_000", "nan", "inf", "-1", "0", "1e999", "1,5", "0x10", "٣", "one"])
def test_what_is_no_number_above_0_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"table.csv: ms must be a finite number above 0; line 2 has"):
        number(text, HERE, 2, "ms")


def test_a_least_value_is_allowed() -> None:
    assert number("0", HERE, 2, "ms", least=0) == 0
    with pytest.raises(UserError, match="of 0 or more"):
        number("-1e-9", HERE, 2, "ms", least=0)


@pytest.mark.parametrize("text", ["0.5", "1_0", "1e3", "", "9" * 16, "-1"])
def test_a_whole_number_is_not_rounded_from_another(text: str) -> None:
    with pytest.raises(UserError, match="runs must be a whole number of 1 or more"):
        whole_number(text, HERE, 2, "runs", least=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": NaN}', "must be finite; got NaN"),
        ('{"a": 1e999}', "must be finite; got 1e999"),
        ('{"a": 1, "a": 2}', "'a' is given twice"),
        ("[" * 100_000, "too deep"),
        ("1" * 5_000, "not a readable JSON file"),
        ("{", "not a readable JSON file"),
    ],
)
def test_json_that_is_odd_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=f"plan.json: .*{message}"):
        parse_json(text, "plan.json")


def test_json_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": [1, 2.5, null, "é"]}', encoding="utf-8")
    assert read_json(tmp_path / "x.json", 1000) == {"a": [1, 2.5, None, "é"]}
    assert math.isfinite(read_json(tmp_path / "x.json", 1000)["a"][1])
    with pytest.raises(UserError, match="at most"):
        read_json(tmp_path / "x.json", 10)


def test_a_number_of_too_many_digits_is_named_in_plain_words() -> None:
    with pytest.raises(UserError, match=r"f\.json: not a readable JSON file: numbers must have at most [\d,]+ digits$"):
        parse_json("[" + "9" * 5000 + "]", "f.json")
