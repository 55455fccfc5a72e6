"""What is known of candidates before any trial: the caller's exact objectives, checked and remembered."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nas.errors import UserError
from nas.pareto import Array
from nas.search.samplers.pareto.history import Mask

Params = dict[str, Any]
Known = Callable[[Params], Sequence[float | None]]
KnownMany = Callable[[list[Params]], Sequence[Sequence[float | None]]]
REMEMBERED = 200_000  # candidates whose objectives are kept


class KnownCosts:
    """The caller's function, asked once for each candidate. NaN stands for an objective that must be learned."""

    def __init__(self, known: Known | None, many: KnownMany | None, feasible: Callable[[Params], bool] | None) -> None:
        self._known, self._many, self._feasible = known, many, feasible
        self._kept: dict[bytes, tuple[tuple[float, ...], bool | None]] = {}
        self._pattern: list[bool] | None = None  # which objectives are learned

    def unpriced(self, key: bytes) -> bool:
        """Whether the caller's function could not price a candidate, for it has parameters that no trial had yet."""
        return key in self._kept and self._kept[key][1] is None

    def check(self, params: Params) -> None:
        """Raises what the caller's functions raise for a candidate that was tried as it is."""
        if self._many is not None:
            self._many([dict(params)])
        elif self._known is not None:
            self._known(dict(params))
        if self._feasible is not None:
            self._feasible(dict(params))

    def forget(self) -> None:
        self._kept.clear()
        self._pattern = None

    def of(
        self, keys: Sequence[bytes], params: Callable[[list[int]], list[Params]], objectives: int, inferred: bool
    ) -> tuple[Array, Mask]:
        """Objectives (n, m), and which candidates are feasible (n,); `params(rows)` makes the parameters of some.

        With `inferred`, which parameters a candidate has was inferred; one that the caller's functions do not know how
        to judge (KeyError) is then taken as infeasible. Raises UserError for a wrong number of objectives, one that
        is not a finite number, and objectives that are known for some candidates only.
        """
        if len(self._kept) > REMEMBERED:
            self._kept.clear()
        new = [i for i, key in enumerate(keys) if key not in self._kept]
        asked = params(new)
        for i, given, values in zip(new, asked, self._ask(asked, objectives, inferred), strict=True):
            known = (math.nan,) * objectives if values is None else self._checked(given, values, objectives)
            self._kept[keys[i]] = known, None if values is None else self._judge(given, inferred)
        found = [self._kept[key] for key in keys]
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
        if self._many is not None and asked:
            try:
                answers = list(self._many([dict(p) for p in asked]))
            except KeyError:
                if not inferred:
                    raise
                if len(asked) == 1:
                    return [None]
                return [row for params in asked for row in self._ask([params], objectives, inferred)]
            if len(answers) != len(asked):
                raise UserError(
                    f"known_many must return one row for each of {len(asked)} candidates; came {len(answers)}"
                )
            return list(answers)
        if self._known is None:
            return [(None,) * objectives] * len(asked)
        found: list[Sequence[float | None] | None] = []
        for params in asked:
            try:
                found.append(self._known(dict(params)))
            except KeyError:
                if not inferred:
                    raise
                found.append(None)
        return found

    def _checked(self, params: Params, values: Sequence[float | None], objectives: int) -> tuple[float, ...]:
        try:
            row = [math.nan if v is None else float(v) for v in values]
        except (TypeError, ValueError):
            raise UserError(
                f"known must return one number or None per objective; came {values!r} for {params}"
            ) from None
        if len(row) != objectives:
            raise UserError(f"known must return {objectives} entries, one per objective; came {len(row)} for {params}")
        learned = [v is None for v in values]
        if bad := [v for v, open_ in zip(row, learned, strict=True) if not open_ and not math.isfinite(v)]:
            raise UserError(f"known must return finite numbers, or None; came {bad[0]} for {params}")
        if self._pattern is None:
            self._pattern = learned
        if learned != self._pattern:
            raise UserError(f"known must return None for the same objectives always; came {list(values)} for {params}")
        return tuple(row)
