"""nas spaces: the search spaces and how large they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nas.catalog import names
from nas.cli import completion
from nas.cli.output import print_json, print_table

if TYPE_CHECKING:
    from nas.space.search_space import SearchSpace


def spaces(
    name: Annotated[
        str | None,
        typer.Argument(help="A space to show, by name or file.", autocompletion=completion.spaces),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the search spaces, or show one.

    Example: nas spaces mobilenet-v3
    """
    from nas.space.search_space import load_space

    if name is not None:
        _show(load_space(name), as_json)
        return
    every = [load_space(str(path)) for path in names("search_spaces", ".toml").values()]
    if as_json:
        print_json([{"name": s.name, "title": s.title, "networks": s.size, "source": s.source} for s in every])
        return
    print_table(("space", "networks", "what it is"), [(s.name, size(s), s.title) for s in every], right=("networks",))


def size(space: SearchSpace) -> str:
    """How many networks: exactly while that is readable."""
    return f"{space.size:,}" if space.size < 1_000_000 else f"{space.size:.1e}".replace("e+", "e")


def _show(space: SearchSpace, as_json: bool) -> None:
    choices = [
        (c.name, list(c.options) or f"{c.low:g} to {c.high:g}{' (log)' if c.log else ''}") for c in space.choices
    ]
    if as_json:
        print_json({
            "name": space.name, "title": space.title, "networks": space.size, "source": space.source,
            "sha256": space.fingerprint, "proxy": space.proxy.model_dump(), "choices": dict(choices),
        })  # fmt: skip
        return
    print(f"{space.name}: {space.title}\n{size(space)} networks, {len(space.choices)} choices. {space.source}")
    rows = [(n, o if isinstance(o, str) else ", ".join(map(str, o))) for n, o in choices]
    print_table(("choice", "options"), rows)
