"""Numbers as a person reads them: rounded to so many digits, whatever the rounding carries."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.numbers import count, figure, percent

SCALES = {"k": 1e3, "M": 1e6, "G": 1e9}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (9.999, "10.0"), (0.09999, "0.100"), (0.9996, "1.00"), (99.95, "100"), (99.94, "99.9"), (999.6, "1,000"),
        (-9.999, "-10.0"), (12.34, "12.3"), (0.001234, "0.00123"), (123456.0, "123,456"), (0.0, "0"), (-0.0, "0"),
        (None, "-"), (math.nan, "-"), (math.inf, "-"),
    ],
)  # fmt: skip
def test_a_figure_has_three_digits(value: float | None, text: str) -> None:
    assert figure(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (999, "999"), (1000, "1.00 k"), (1234, "1.23 k"), (9_999, "10.0 k"), (999_499, "999 k"),
        (999_500, "1.00 M"), (999_999, "1.00 M"), (12_300_000, "12.3 M"), (999_999_999, "1.00 G"), (999.7, "1.00 k"),
        (math.nan, "-"),
    ],
)  # fmt: skip
def test_a_count_has_three_digits_and_a_unit(value: float, text: str) -> None:
    assert count(value) == text


@given(value=st.floats(1e-9, 1e9), digits=st.integers(1, 6))
def test_a_figure_is_the_number_rounded_to_its_digits(value: float, digits: int) -> None:
    text = figure(value, digits)
    shown = text.replace(",", "").lstrip("0.").replace(".", "")
    assert len(shown) == digits or float(text.replace(",", "")) >= 10**digits
    wanted = float(f"{value:.{digits - 1}e}") if value < 10**digits else round(value)
    assert float(text.replace(",", "")) == pytest.approx(wanted, rel=1e-12)


@given(st.integers(0, 10**12))
def test_a_count_never_shows_a_thousand_of_a_unit(value: int) -> None:
    number, _, unit = count(value).partition(" ")
    assert float(number.replace(",", "")) < 1000 or unit == "G"
    assert float(number.replace(",", "")) * SCALES.get(unit, 1) == pytest.approx(value, rel=0.0051)


@given(a=st.floats(1e-6, 1e9), b=st.floats(1e-6, 1e9))
def test_the_larger_number_never_reads_as_the_smaller(a: float, b: float) -> None:
    low, high = (float(figure(x).replace(",", "")) for x in sorted((a, b)))
    assert low <= high


@pytest.mark.parametrize(
    ("value", "deviation", "text"),
    [
        (0.961, 0.008, "96.1 ±0.8%"), (0.961, None, "96.1%"), (0.961, math.nan, "96.1%"), (None, 0.008, "-"),
        (math.nan, None, "-"), (1.0, 0.0949, "100.0 ±9.5%"), (0.961, 0.0004, "96.1 ±<0.1%"), (0.5, 0.0, "50.0 ±<0.1%"),
        (0.5, 0.0005001, "50.0 ±0.1%"), (0.0, 0.25, "0.0 ±25.0%"),
    ],
)  # fmt: skip
def test_a_percentage_has_its_deviation_where_it_is_known(
    value: float | None, deviation: float | None, text: str
) -> None:
    assert percent(value, deviation=deviation) == text


def test_a_deviation_has_the_places_of_its_percentage() -> None:
    assert percent(0.961, 0, deviation=0.008) == "96 ±1%" and percent(0.961, 2, deviation=0.008) == "96.10 ±0.80%"
    assert percent(0.961, 0, deviation=0.004) == "96 ±<1%"
