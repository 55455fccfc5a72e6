"""A profile's held-out errors, printed beside those of a constant and of a line through the MACs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nas.cli.output import print_table
from nas.numbers import percent

if TYPE_CHECKING:
    from nas.device.tables.validation import HeldOutError


def print_errors(errors: Sequence[HeldOutError]) -> None:
    """One row a quantity and way of holding networks out; says so where no whole network was measured."""
    if not errors:
        print("No whole network was measured, so its error is not known.")
        return
    heads = ("precision", "error of", "held out", "mean", "constant", "MACs", "Spearman")
    rows = [
        (e.precision, e.quantity, f"{e.split} ({e.networks})",
         percent(e.mean) + (f" ± {percent(e.spread)}" if e.spread else ""), percent(e.constant, 0), percent(e.macs, 0),
         f"{e.spearman:.3f}")
        for e in errors
    ]  # fmt: skip
    print_table(heads, rows, right=heads[3:])
    print("Mean absolute error. Held out: network, one or a fifth of them at a time;")
    print("family, all networks of one kind at once.")
