"""A candidate: one value for each choice of a search space."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from nas.errors import UserError
from nas.space.layer import PRECISIONS, Precision

Value = str | int | float


@dataclass(frozen=True, slots=True)
class Candidate:
    """One value for each choice of a search space, in the space's order."""

    values: tuple[tuple[str, Value], ...]

    @classmethod
    def of(cls, mapping: Mapping[str, Value]) -> Candidate:
        return cls(tuple(mapping.items()))

    @classmethod
    def from_json(cls, text: str) -> Candidate:
        """Raises UserError when `text` is not a JSON object of names and plain values."""
        try:
            mapping = json.loads(text)
        except (ValueError, RecursionError) as error:  # ValueError: also a number of more than 4,300 digits
            raise UserError(f"a candidate must be a JSON object of choices; {error}: {text[:60]!r}") from None
        if not isinstance(mapping, dict) or not all(isinstance(v, str | int | float) for v in mapping.values()):
            raise UserError(f"a candidate must be a JSON object of choices and plain values; got {text[:60]!r}")
        return cls.of(mapping)

    def json(self) -> str:
        return json.dumps(self.as_dict(), separators=(",", ":"))

    def as_dict(self) -> dict[str, Value]:
        return dict(self.values)

    def __getitem__(self, name: str) -> Value:
        return self.as_dict()[name]

    def get(self, name: str, default: Value) -> Value:
        return self.as_dict().get(name, default)

    @property
    def precision(self) -> Precision:
        """The precision it is deployed with; fp32 where the space has no such choice."""
        value = self.get("precision", "fp32")
        return next(p for p in PRECISIONS if p == value)

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that name this candidate, for seeds and file names."""
        return hashlib.sha256(self.json().encode()).hexdigest()[:12]
