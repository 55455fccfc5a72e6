"""Cheap numbers that may tell something of a learned objective: the caller's, checked and remembered."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from nas.errors import UserError
from nas.pareto import Array
from nas.search.samplers.pareto.known_objectives import REMEMBERED, ask
from nas.search.samplers.pareto.space import Decisions, Params, keys

Describe = Callable[[Params], Sequence[float]]
DescribeMany = Callable[[list[Params]], Sequence[Sequence[float]]]


@runtime_checkable
class Described(Protocol):
    """What a caller by code has besides `Coded` where it knows descriptors."""

    def described(self, codes: Array) -> Array:
        """Descriptors (n, p) of candidates by their codes (n, d): finite numbers, of which more promises better."""
        ...


class Describer(Protocol):
    """What the sampler asks of whoever gave the descriptors."""

    def described(self, codes: Array, decisions: Decisions, inferred: bool) -> Array: ...

    def forget(self) -> None:
        """Forgets what belongs to another space."""
        ...


class DescribedByCode:
    """Descriptors of a caller that takes codes as they are; none where it is not `Described`."""

    def __init__(self, coded: object) -> None:
        self._coded = coded

    def described(self, codes: Array, decisions: Decisions, inferred: bool) -> Array:
        if not isinstance(self._coded, Described):
            return np.zeros((len(codes), 0))
        found = np.asarray(self._coded.described(codes), dtype=float)
        if found.ndim != 2 or len(found) != len(codes) or not np.isfinite(found).all():
            raise UserError(
                f"described must return finite numbers, a row for each of {len(codes)} candidates; got shape "
                f"{found.shape}"
            )
        return found

    def forget(self) -> None:
        pass


class DescribedByParams:
    """Descriptors by functions of one candidate's parameters, or of many at once, each asked once."""

    def __init__(self, one: Describe | None, many: DescribeMany | None) -> None:
        self._one, self._many = one, many
        self._kept: dict[bytes, tuple[float, ...]] = {}
        self._length: int | None = None

    def forget(self) -> None:
        self._kept.clear()
        self._length = None

    def described(self, codes: Array, decisions: Decisions, inferred: bool) -> Array:
        """Descriptors (n, p).

        With `inferred`, which parameters a candidate has was inferred; one that the caller's function cannot describe
        yet (KeyError) gets the mean of the others. Raises UserError for a number that is not finite, and for another
        number of them than before.
        """
        if self._one is None and self._many is None:
            return np.zeros((len(codes), 0))
        if len(self._kept) > REMEMBERED:
            self._kept.clear()
        names = keys(codes)
        new = {name: i for i, name in enumerate(names) if name not in self._kept}
        asked = decisions.params(codes[list(new.values())])
        answers = ask(self._one, self._many, asked, inferred, "describe_many")
        lacking = set()
        for name, given, row in zip(new, asked, answers, strict=True):
            if row is None:
                lacking.add(name)
            else:
                self._kept[name] = self._checked(given, row)
        unknown = (math.nan,) * (self._length or 0)
        found = np.array([unknown if name in lacking else self._kept[name] for name in names], dtype=float)
        found = found.reshape(len(codes), self._length or 0)
        if lacking and len(lacking) < len(set(names)):
            found = np.where(np.isnan(found), np.nanmean(found, axis=0), found)
        return np.asarray(np.nan_to_num(found, nan=0.0))

    def _checked(self, params: Params, values: Sequence[float]) -> tuple[float, ...]:
        try:
            row = tuple(float(v) for v in values)
        except (TypeError, ValueError):
            raise UserError(f"describe must return a list of numbers; got {values!r} for {params}") from None
        if bad := [v for v in row if not math.isfinite(v)]:
            raise UserError(f"describe must return finite numbers; got {bad[0]} for {params}")
        if self._length is None:
            self._length = len(row)
        if len(row) != self._length:
            raise UserError(
                f"describe must return as many numbers for every candidate, here {self._length}; got {len(row)} for "
                f"{params}"
            )
        return row


def on_scale(values: Array, tried: Array, least: float) -> Array:
    """Values (n, p) as they are learned from: in logarithms where all that was tried (m, p) is positive.

    Values below `least` times the least that was tried count as this much.
    """
    floor = least * tried.min(axis=0, initial=math.inf)
    positive = (floor > 0) & np.isfinite(floor)
    return np.where(positive, np.log(np.maximum(values, np.where(positive, floor, 1.0))), values)
