"""TOML files that are checked key by key: search spaces and device profiles."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from nas.errors import UserError
from nas.files.plain import MB, has_tricks, read_text

MOST_BYTES = MB // 4
LONGEST = 10_000  # characters of a text
DOTS = 200  # in one line: tomllib takes minutes over a key of ten thousand parts
SHOWN = 80  # characters of a wrong value that its error shows


class Table(BaseModel):
    """A table of a TOML file: unknown keys are errors, types are not converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


T = TypeVar("T", bound=Table)


def read_toml(path: Path, table: type[T]) -> T:
    """Reads and checks a TOML file. Raises UserError naming the file and the key."""
    return parse_toml(read_text(path, MOST_BYTES, "TOML"), path, table)


def parse_toml(text: str, path: Path, table: type[T]) -> T:
    """`read_toml` of a text that was read already; `path` names it in errors."""
    if any(line.count(".") > DOTS for line in text.splitlines()):
        raise UserError(f"{path}: not a readable TOML file: a line must have at most {DOTS} dots")
    try:
        found = tomllib.loads(text)
        check_texts(found, path)
    except RecursionError:
        raise UserError(f"{path}: not a readable TOML file: tables or lists too deep in each other") from None
    except ValueError as error:  # TOMLDecodeError is one; so is a whole number of more than 4,300 digits
        raise UserError(f"{path}: not a readable TOML file: {str(error)[:200]}") from None
    try:
        return table.model_validate(found)
    except ValidationError as error:
        raise UserError(f"{path}: {first_problem(error)}") from None


def check_texts(value: object, path: Path) -> None:
    """Raises UserError for a key or text that is too long, or that a terminal would act on: TOML can write any."""
    if isinstance(value, dict):
        for key, inner in value.items():
            check_texts(key, path)
            check_texts(inner, path)
    elif isinstance(value, list):
        for inner in value:
            check_texts(inner, path)
    elif isinstance(value, str) and (len(value) > LONGEST or has_tricks(value)):
        raise UserError(
            f"{path}: a text must have no control characters and at most {LONGEST:,} characters; "
            f"got {len(value):,}: {value[:SHOWN]!r}"
        )


def first_problem(error: ValidationError) -> str:
    """The first problem that pydantic found, as 'key: what must hold; got value', in one line."""
    problems = error.errors(include_url=False)
    problem = max(problems, key=lambda p: (sum(isinstance(x, int) for x in p["loc"]), p["type"] == "too_short"))
    key = ".".join(str(part) for part in problem["loc"] if not _is_union_branch(part))[:SHOWN] or "the file"
    more = len({p["loc"][:2] for p in problems}) - 1
    got = "" if problem["type"] in ("missing", "extra_forbidden", "value_error") else f"; got {problem['input']!r}"
    got = got if len(got) <= SHOWN else got[:SHOWN] + "..."
    message = problem["msg"].removeprefix("Value error, ").replace("Extra inputs are not permitted", "unknown key")
    return f"{key}: {message}{got}" + (f" (and {more} more)" if more else "")


def _is_union_branch(part: str | int) -> bool:
    """Pydantic names the branch of a union, such as 'list[int]', 'int' or 'constrained-int', as if it were a key."""
    marks = ("[", "constrained", "function-", "Span")
    return isinstance(part, str) and (part in ("int", "float") or any(mark in part for mark in marks))
