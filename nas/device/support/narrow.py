"""A search space without the choices that an accelerator cannot map."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

from nas.device.support.target import Target
from nas.errors import UserError
from nas.space.block import Block
from nas.space.candidate import Value
from nas.space.layer import Precision
from nas.space.search_space import SearchSpace
from nas.space.stage import PER_BLOCK, as_options

MOST = 200_000  # combinations of choices that are looked at for one block
WHOLE = ("resolution", "width")  # choices of the space; the others are a stage's

Fault = Callable[[Block], str]


@dataclass(frozen=True, slots=True)
class Narrowed:
    """The space that is searched, and a line for each choice that left it: the choice, the layer and the rule."""

    space: SearchSpace
    removed: tuple[str, ...]


def for_target(space: SearchSpace, precisions: tuple[Precision, ...], target: Target | None, classes: int) -> Narrowed:
    """The space at these precisions, without what `target` cannot map. Raises UserError where nothing can be.

    An option leaves where every block made with it is not mapped, whatever the other choices. What is left may still
    hold blocks that are not: they have no cost on the device, and a candidate with one is infeasible.
    """
    narrowed = space.only(precisions)
    if target is None:
        return Narrowed(narrowed, ())
    rules = target.rules
    gone = [
        f"{rules.name}: precision {p} leaves the space (it has {', '.join(rules.precisions)})"
        for p in space.table.precision
        if p not in rules.precisions
    ]
    removed: list[str] = []
    while found := _dead(narrowed, target.fault, classes, rules.name):
        for (i, name, option), why in found.items():
            place = name if i is None else f"{narrowed.stages[i].name}.{name}"
            removed.append(f"{rules.name}: {place} {option} leaves the space ({why})")
        narrowed = narrowed.without(found)
    return Narrowed(narrowed, (*gone, *removed))


Place = tuple[int | None, str, Value]  # the stage's number or None, the choice, the option


def _dead(space: SearchSpace, fault: Fault, classes: int, target: str) -> dict[Place, str]:
    """Options of which no mapped block can be made, and the fault of one. Raises UserError where that is all of one
    choice, or of a block without choices."""
    found: dict[Place, str] = {}
    for i, stage in enumerate(space.stages):
        firm = max(1, min(int(d) for d in as_options(stage.depth)))  # blocks that are always there
        here = [_made(space, i, j, classes) for j in range(min(2, stage.deepest))]
        if any(rows is None for rows in here):
            continue  # too many to look at
        sure = [_faults(rows or (), fault) for rows in here]
        own = [name for name in PER_BLOCK if len(as_options(getattr(stage, name))) > 1]
        for name in [*WHOLE, "channels", *own]:
            options = as_options(getattr(space.table if name in WHOLE else stage, name))
            for option in options if len(options) > 1 else ():
                verdicts = [_verdict(rows, name, option) for rows in sure]
                # what each block chooses for itself may serve another block of the stage
                shared = name in own and stage.per == "block"
                looked = verdicts if shared else verdicts[:firm]
                if all(looked) if shared else any(looked):
                    place: Place = (None if name in WHOLE else i, name, option)
                    found.setdefault(place, next(filter(None, looked)))
        for rows in sure[:firm]:
            if rows and all(why for _, why in rows):
                raise UserError(f"target {target} maps no network of {space.name}: stage {stage.name}: {rows[0][1]}")
    _refuse_empty(space, found, target)
    return found


def _refuse_empty(space: SearchSpace, found: Mapping[Place, str], target: str) -> None:
    """Raises UserError where all options of a choice would leave."""
    for (i, name, _), why in found.items():
        options = as_options(getattr(space.table if i is None else space.stages[i], name))
        if all((i, name, option) in found for option in options):
            raise UserError(f"target {target} maps no network of {space.name}: no {name} is left: {why}")


Row = tuple[Mapping[str, Value], Block | None]


def _made(space: SearchSpace, i: int, j: int, classes: int) -> list[Row] | None:
    """Each combination of the choices that block j of stage i depends on, by the last part of their names, and the
    block; None where they are too many."""
    names = space.depends_on(i, j)
    chosen = [choice for choice in space.choices if choice.name in names]
    if prod(len(choice.options) for choice in chosen) > MOST:
        return None
    rows: list[Row] = []
    for values in product(*(choice.options for choice in chosen)):
        given = {choice.name: value for choice, value in zip(chosen, values, strict=True)}
        own = {_own(name, space.stages[i].name): value for name, value in given.items()}
        rows.append((own, space.block(i, j, space.getter(given), classes)))
    return rows


def _own(name: str, stage: str) -> str:
    """A choice as the stage calls it; that of the stage before keeps its whole name."""
    return name.rpartition(".")[2] if name.startswith(f"{stage}.") else name


def _faults(rows: Sequence[Row], fault: Fault) -> list[tuple[Mapping[str, Value], str]]:
    return [(values, fault(block) if block is not None else "") for values, block in rows]


def _verdict(rows: Sequence[tuple[Mapping[str, Value], str]], name: str, option: Value) -> str:
    """The fault of all blocks with this option; empty where one is mapped, or none is made."""
    return _common(why for values, why in rows if values.get(name) == option)


def _common(faults: Iterator[str]) -> str:
    every = list(faults)
    return every[0] if every and all(every) else ""
