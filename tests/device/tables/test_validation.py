"""Errors on networks held out, by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.device.tables.validation import (
    HeldOutError,
    Validation,
    error,
    errors_csv,
    read_errors,
    read_validation,
    validation_csv,
)
from nas.errors import UserError

ROWS = (
    Validation("a", "fp32", "network", 10.0, 11.0, 40.0, 20.0),
    Validation("b", "fp32", "network", 10.0, 8.0),
    Validation("a", "fp32", "family", 10.0, 30.0),
    Validation("a", "int8", "network", 10.0, 10.0, 5.0, 6.0),
)


def test_mean_absolute_error_is_relative_to_what_was_measured() -> None:
    found = error(ROWS, "fp32", "network")
    assert found is not None
    assert (found.networks, found.mean) == (2, pytest.approx((0.1 + 0.2) / 2))


def test_the_interval_holds_the_central_ninety_per_cent() -> None:
    """Measured over predicted: 10/11 and 10/8; 5% and 95% of the way between them."""
    found = error(ROWS, "fp32", "network")
    assert found is not None
    assert found.low == pytest.approx(0.90909 + 0.05 * 0.34091, abs=1e-4)
    assert found.high == pytest.approx(0.90909 + 0.95 * 0.34091, abs=1e-4)


def test_the_interval_always_holds_the_prediction_itself() -> None:
    found = error(ROWS, "fp32", "family")
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(1 / 3), 1.0)


def test_energy_counts_only_where_it_was_measured() -> None:
    found = error(ROWS, "fp32", "network", energy=True)
    assert found is not None
    assert (found.networks, found.mean, found.high) == (1, pytest.approx(0.5), pytest.approx(2.0))


def test_there_is_no_error_without_networks() -> None:
    assert error(ROWS, "fp16", "network") is None
    assert error(ROWS, "int8", "family") is None
    assert error(ROWS, "fp32", "family", energy=True) is None
    assert error((), "fp32", "network") is None


def test_tables_are_read_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "validation.csv").write_text(validation_csv(ROWS))
    assert read_validation(tmp_path / "validation.csv") == ROWS
    errors = (HeldOutError("int8", "energy", "family", 12, 0.04, 0.0, 0.998, 0.8, 0.2),)
    (tmp_path / "errors.csv").write_text(errors_csv(errors))
    assert read_errors(tmp_path / "errors.csv") == errors


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("measured_ms", "measured", r"needs the columns .*; missing measured_ms"),
        (",10,11,", ",-10,11,", r"measured_ms must be a finite number above 0; line 2 has '-10'"),
        (",10,11,", ",10,,", r"predicted_ms must be .*; line 2 has ''"),
        (",10,11,", ",10,inf,", r"predicted_ms must be .*; line 2 has 'inf'"),
        (",40,20", ",0,20", r"measured_mj must be .*; line 2 has '0'"),
        ("a,fp32", "a,fp64", r"precision must be one of fp32, fp16, int8; line 2 has 'fp64'"),
    ],
)
def test_a_bad_row_is_named_with_its_line(old: str, new: str, message: str, tmp_path: Path) -> None:
    text = validation_csv(ROWS)
    assert old in text
    (tmp_path / "validation.csv").write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match=message):
        read_validation(tmp_path / "validation.csv")
