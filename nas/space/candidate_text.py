"""A candidate as people and tables write it: a JSON object, or `stage2.depth=3;stage2.block1.kernel=5;...`."""

from __future__ import annotations

from contextlib import suppress

from nas.errors import UserError, unknown
from nas.space.candidate import Candidate, Value
from nas.space.choice import Choice
from nas.space.search_space import SearchSpace


def read_candidate(space: SearchSpace, text: str) -> Candidate:
    """The candidate of the space that the text names. What only training reads (and the precision) may be left out.

    Raises UserError for an unknown choice, a value that is none of its options, or a choice of the network that is
    missing, unless it belongs to a block beyond the stage's depth.
    """
    given = Candidate.from_json(text).as_dict() if text.lstrip().startswith("{") else _pairs(text)
    choices = {choice.name: choice for choice in space.choices}
    if odd := next((name for name in given if name not in choices), None):
        raise unknown(f"choice of {space.name}", odd, choices)
    values = {name: _option(choices[name], value) for name, value in given.items()}
    training = {*space.table.hyperparameters, "precision"}
    for name in choices:
        if name not in values and name not in training and not _beyond_depth(space, name, values):
            raise UserError(f"a candidate of {space.name} must name {name}; got {text[:80]!r}")
    return Candidate.of({name: values[name] for name in choices if name in values})


def _pairs(text: str) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not equals or name in found:
            raise UserError(
                f"a candidate must be a JSON object, or choice=value with ';' between, each once; got {part[:80]!r}"
            )
        found[name] = value
    return found


def _option(choice: Choice, value: Value) -> Value:
    """The choice's own option that the value names: text is compared as text, and as a number."""
    if isinstance(value, str) and value not in choice.options:
        with suppress(ValueError):
            value = float(value)
    return choice.value(choice.code(value))


def _beyond_depth(space: SearchSpace, name: str, values: dict[str, Value]) -> bool:
    """Whether the choice belongs to a block that the stage's depth leaves out."""
    for stage in space.stages:
        start = f"{stage.name}.block"
        if stage.per == "block" and name.startswith(start):
            number = int(name.removeprefix(start).partition(".")[0])
            return number > int(space.getter(values)(f"{stage.name}.depth"))
    return False
