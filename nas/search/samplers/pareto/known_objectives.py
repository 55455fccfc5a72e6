"""What is known of candidates before any trial: the caller's exact objectives, checked and remembered."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np

from nas.errors import UserError
from nas.pareto import Array
from nas.search.samplers.pareto.history import Mask
from nas.search.samplers.pareto.space import Decisions, Params, keys

Known = Callable[[Params], Sequence[float | None]]
KnownMany = Callable[[list[Params]], Sequence[Sequence[float | None]]]
Row = TypeVar("Row")
REMEMBERED = 200_000  # candidates whose objectives are kept


class Coded(Protocol):
    """What is known of candidates, by their codes: a column a parameter, in the order of the sampler's `space`.

    A code is Optuna's internal value: the index of a category, else the number itself.
    """

    def known(self, codes: Array) -> tuple[Array, Mask]:
        """Objectives (n, m) in the study's units, NaN where they must be learned, and which are feasible (n,)."""
        ...

    def canonical(self, codes: Array) -> Array:
        """The codes (n, d) of the candidates that stand for all that are the same."""
        ...


class Caller(Protocol):
    """What the sampler asks of whoever made it."""

    def known(self, codes: Array, decisions: Decisions, objectives: int, inferred: bool) -> tuple[Array, Mask]: ...

    def canonical(self, codes: Array, decisions: Decisions, inferred: bool) -> Array: ...

    def unpriced(self, codes: Array) -> Mask:
        """Which candidates (n,) could not be priced when they were asked for, for they have parameters that no trial
        had yet."""
        ...

    def check(self, params: Params) -> None:
        """Raises what the caller's functions raise for a candidate that was tried as it is."""
        ...

    def forget(self, *, parameters: bool) -> None:
        """Forgets what belongs to another space, or only what rests on which `parameters` a candidate has."""
        ...


class ByCode:
    """A caller that takes codes as they are."""

    def __init__(self, coded: Coded) -> None:
        self._coded = coded

    def known(self, codes: Array, decisions: Decisions, objectives: int, inferred: bool) -> tuple[Array, Mask]:
        values, feasible = self._coded.known(codes)
        if values.shape != (len(codes), objectives):
            raise UserError(f"known must return {objectives} objectives for each candidate; got {values.shape}")
        return values, feasible

    def canonical(self, codes: Array, decisions: Decisions, inferred: bool) -> Array:
        return self._coded.canonical(codes)

    def unpriced(self, codes: Array) -> Mask:
        return np.zeros(len(codes), dtype=bool)

    def check(self, params: Params) -> None:
        pass

    def forget(self, *, parameters: bool) -> None:
        pass


class ByParams:
    """A caller with functions of one candidate's parameters, each asked once. NaN stands for what must be learned."""

    def __init__(
        self, known: Known | None, many: KnownMany | None, feasible: Callable[[Params], bool] | None,
        canonical: Callable[[Params], Params] | None,
    ) -> None:  # fmt: skip
        self._known, self._many, self._feasible, self._canonical = known, many, feasible, canonical
        self._kept: dict[bytes, tuple[tuple[float, ...], bool | None]] = {}
        self._same: dict[bytes, Array] = {}
        self._pattern: list[bool] | None = None  # which objectives are learned

    def canonical(self, codes: Array, decisions: Decisions, inferred: bool) -> Array:
        if self._canonical is None:
            return codes
        names = keys(codes)
        new = {name: i for i, name in enumerate(names) if name not in self._same}
        for name, params in zip(new, decisions.params(codes[list(new.values())]), strict=True):
            try:
                self._same[name] = decisions.code(self._canonical(params))
            except KeyError:  # of a parameter that was only inferred
                if not inferred:
                    raise
                self._same[name] = codes[new[name]]
        return np.array([self._same[name] for name in names])

    def unpriced(self, codes: Array) -> Mask:
        return np.array([key in self._kept and self._kept[key][1] is None for key in keys(codes)], dtype=bool)

    def check(self, params: Params) -> None:
        if self._many is not None:
            self._many([dict(params)])
        elif self._known is not None:
            self._known(dict(params))
        if self._feasible is not None:
            self._feasible(dict(params))

    def forget(self, *, parameters: bool) -> None:
        self._same.clear()
        if not parameters:
            self._kept.clear()
            self._pattern = None

    def known(self, codes: Array, decisions: Decisions, objectives: int, inferred: bool) -> tuple[Array, Mask]:
        """Objectives (n, m), and which candidates are feasible (n,).

        With `inferred`, which parameters a candidate has was inferred; one that the caller's functions do not know how
        to judge (KeyError) is then taken as infeasible. Raises UserError for a wrong number of objectives, one that
        is not a finite number, and objectives that are known for some candidates only.
        """
        if len(self._kept) > REMEMBERED:
            self._kept.clear()
        names = keys(codes)
        new = [i for i, key in enumerate(names) if key not in self._kept]
        asked = decisions.params(codes[new])
        for i, given, values in zip(new, asked, self._ask(asked, objectives, inferred), strict=True):
            known = (math.nan,) * objectives if values is None else self._checked(given, values, objectives)
            self._kept[names[i]] = known, None if values is None else self._judge(given, inferred)
        found = [self._kept[key] for key in names]
        rows = np.array([f[0] for f in found], dtype=float).reshape(-1, objectives)
        return rows, np.array([f[1] is True for f in found], dtype=bool)

    def _judge(self, params: Params, inferred: bool) -> bool | None:
        """Whether a candidate is feasible; None: the caller's function cannot tell yet."""
        try:
            return self._feasible is None or bool(self._feasible(params))
        except KeyError:
            if not inferred:
                raise
            return None

    def _ask(self, asked: list[Params], objectives: int, inferred: bool) -> list[Sequence[float | None] | None]:
        if self._many is None and self._known is None:
            return [(None,) * objectives] * len(asked)
        return ask(self._known, self._many, asked, inferred, "known_many")

    def _checked(self, params: Params, values: Sequence[float | None], objectives: int) -> tuple[float, ...]:
        try:
            row = [math.nan if v is None else float(v) for v in values]
        except (TypeError, ValueError):
            raise UserError(
                f"known must return one number or None per objective; got {values!r} for {params}"
            ) from None
        if len(row) != objectives:
            raise UserError(f"known must return {objectives} entries, one per objective; got {len(row)} for {params}")
        learned = [v is None for v in values]
        if bad := [v for v, open_ in zip(row, learned, strict=True) if not open_ and not math.isfinite(v)]:
            raise UserError(f"known must return finite numbers, or None; got {bad[0]} for {params}")
        if self._pattern is None:
            self._pattern = learned
        if learned != self._pattern:
            raise UserError(f"known must return None for the same objectives always; got {list(values)} for {params}")
        return tuple(row)


def ask(
    one: Callable[[Params], Row] | None, many: Callable[[list[Params]], Sequence[Row]] | None, asked: list[Params],
    inferred: bool, name: str,
) -> list[Row | None]:  # fmt: skip
    """What the caller's functions say of each candidate: `many` of all at once where there is one, else `one`.

    With `inferred`, None for a candidate that they do not know how to judge (KeyError). Raises UserError, with the
    name of `many`, where it does not return a row for each candidate.
    """
    found: list[Row | None] = []
    if many is not None and asked:
        try:
            answers = list(many([dict(p) for p in asked]))
        except KeyError:
            if not inferred:
                raise
            if len(asked) == 1:
                return [None]
            return [row for params in asked for row in ask(one, many, [params], inferred, name)]
        if len(answers) != len(asked):
            raise UserError(f"{name} must return one row for each of {len(asked)} candidates; got {len(answers)}")
        found.extend(answers)
        return found
    for params in asked:
        try:
            found.append(one(dict(params)) if one else None)
        except KeyError:
            if not inferred:
                raise
            found.append(None)
    return found
