"""TOML files that are checked key by key: search spaces and device profiles."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from nas.errors import UserError


class Table(BaseModel):
    """A table of a TOML file: unknown keys are errors, types are not converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


T = TypeVar("T", bound=Table)


def read_toml(path: Path, table: type[T]) -> T:
    """Reads and checks a TOML file. Raises UserError naming the file and the key."""
    try:
        return table.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path}: not a readable TOML file: {error}") from None
    except ValidationError as error:
        raise UserError(f"{path}: {_first_problem(error)}") from None


def _first_problem(error: ValidationError) -> str:
    """The first problem that pydantic found, as 'key: what must hold, came value', in one line."""
    problems = error.errors(include_url=False)
    problem = max(problems, key=lambda p: (sum(isinstance(x, int) for x in p["loc"]), p["type"] == "too_short"))
    key = ".".join(str(part) for part in problem["loc"] if not _is_union_branch(part)) or "the file"
    more = len({p["loc"][:2] for p in problems}) - 1
    came = "" if problem["type"] in ("missing", "extra_forbidden", "value_error") else f", came {problem['input']!r}"
    message = problem["msg"].removeprefix("Value error, ").replace("Extra inputs are not permitted", "unknown key")
    return f"{key}: {message}{came}" + (f" (and {more} more)" if more else "")


def _is_union_branch(part: str | int) -> bool:
    """Pydantic names the branch of a union, such as 'list[int]', 'int' or 'constrained-int', as if it were a key."""
    marks = ("[", "constrained", "function-", "Span")
    return isinstance(part, str) and (part in ("int", "float") or any(mark in part for mark in marks))
