"""JSON files that may come from strangers: bounded in size and depth, and numbers that are finite."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from nas.errors import UserError
from nas.files.plain import read_text
from nas.files.toml import Table, check_texts, first_problem

T = TypeVar("T", bound=Table)


def read_json(path: Path, most: int) -> Any:
    """The value in a JSON file of at most `most` bytes. Raises UserError as `read_text` and `parse_json` do."""
    return parse_json(read_text(path, most, "JSON"), str(path))


def read_json_table(path: Path, table: type[T], most: int) -> T:
    """A JSON file of at most `most` bytes, checked key by key as `nas.files.toml` does. Raises UserError."""
    text = read_text(path, most, "JSON")
    check_texts(parse_json(text, str(path)), path)
    try:
        return table.model_validate_json(text)
    except ValidationError as error:
        raise UserError(f"{path}: {first_problem(error)}") from None


def parse_json(text: str, where: str) -> Any:
    """The value of a JSON text; `where` names it in errors.

    Raises UserError for what is not JSON, for NaN, Infinity and numbers too large to be finite, for a key given twice
    in one object, and for objects or lists too deep in each other.
    """
    try:
        return json.loads(text, parse_constant=_not_finite, parse_float=_finite, object_pairs_hook=_once)
    except RecursionError:
        raise UserError(f"{where}: not a readable JSON file: objects or lists too deep in each other") from None
    except ValueError as error:  # JSONDecodeError is one; so is a whole number of more than 4,300 digits
        many = "integer string conversion" in str(error)
        reason = f"numbers must have at most {sys.get_int_max_str_digits():,} digits" if many else str(error)[:200]
        raise UserError(f"{where}: not a readable JSON file: {reason}") from None


def _not_finite(name: str) -> float:
    raise ValueError(f"numbers must be finite; got {name}")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"numbers must be finite; got {text[:40]}")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"a key must be given once; {twice[:80]!r} is given twice")
    return found
