"""One decision of a search space, and its code in a vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.errors import UserError
from nas.space.candidate import Value

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Choice:
    """One decision: a list of options, or a range from low to high."""

    name: str
    options: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    integer: bool = False

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """n codes: indices of options, or values in the range."""
        import numpy as np  # late: listing the spaces needs none

        if self.options:
            return rng.integers(len(self.options), size=n).astype(float)
        low, high = (np.log(self.low), np.log(self.high)) if self.log else (self.low, self.high)
        drawn = rng.uniform(low, high, size=n)
        values = np.clip(np.exp(drawn), self.low, self.high) if self.log else drawn
        return np.round(values) if self.integer else values

    def value(self, code: float) -> Value:
        if self.options:
            return self.options[int(code)]
        return int(code) if self.integer else float(code)

    def code(self, value: Value) -> float:
        """Raises UserError when the value is not one of this choice."""
        if self.options:
            if value not in self.options:
                raise UserError(f"choice {self.name} must be one of {list(self.options)}; got {value!r}")
            return float(self.options.index(value))
        if isinstance(value, str) or not self.low <= value <= self.high:
            raise UserError(f"choice {self.name} must be from {self.low} to {self.high}; got {value!r}")
        return float(value)
