"""nas switch: another version of a deployment put into use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.output import print_json, print_table
from nas.errors import UserError
from nas.files.plain import printable


def switch(
    folder: Annotated[Path, typer.Argument(help="The deployment folder.")],
    to: Annotated[int | None, typer.Option(min=1, help="Put this version into use.")] = None,
    back: Annotated[bool, typer.Option("--back", help="Go back to the version that was in use before.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Put another version of a deployment into use, or go back; without an option, list the versions.

    The version is checked first, and the file `current` is replaced at once. A serve.pyz that runs takes the version
    up between two frames; one that cannot be loaded is not served, and the one before goes on. On a board without
    nas: python3 FOLDER/serve.pyz FOLDER --use 3, or --back.

    Example: nas switch flowers --to 3
    """
    from nas.monitor import switch as switching

    if back and to is not None:
        raise UserError("--to names a version, --back the one before: give one of them")
    if back or to is not None:
        before = switching.use(folder, to) if to is not None else None
        now = to if to is not None else switching.back(folder)
        if as_json:
            print_json({"in_use": now})
        elif before == now:
            print(f"version {now} is in use already")
        else:
            print(
                printable(f"version {now} is in use; `nas switch {folder} --back` puts the one before into use again")
            )
        return
    found = switching.versions_in(folder)
    if as_json:
        print_json([{"version": one.number, "in_use": one.in_use, "wrong": one.wrong} for one in found])
        return
    rows = [(one.number, "in use" if one.in_use else "", one.wrong or "whole") for one in found]
    print_table(["version", "", "files"], rows)
