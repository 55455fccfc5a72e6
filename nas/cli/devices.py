"""nas devices: the device profiles, listed and shown."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli import completion, devices_check, devices_make
from nas.cli.held_out import print_errors
from nas.cli.output import print_json, print_table
from nas.errors import UserError
from nas.files.plain import printable
from nas.numbers import figure, percent

if TYPE_CHECKING:
    from nas.device.compare.slower_blocks import SlowerBlocks
    from nas.device.profile import DeviceProfile
    from nas.device.tables.validation import HeldOutError

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
WORST = 5  # blocks slower in int8 that are named
SOURCES = {
    "measured blocks": "blocks", "fitted blocks": "fitted", "fitted rates": "rates", "compiler estimate": "estimate",
    " networks)": "", "(": "",
}  # fmt: skip
HIDDEN = {  # keys of profile.toml that are said in words
    "calibration", "energy_calibration", "energy_without_idle", "idle_w", "adapted_from", "batch", "blocks",
    "reference", "reference_ms",
}  # fmt: skip

app = typer.Typer(
    help="List the device profiles, show, check or compare them, or make one.\n\n"
    "Example: nas devices show raspberry-pi-4",
    invoke_without_command=True,
)


@app.callback()
def devices(context: typer.Context, as_json: Json = False) -> int:
    from nas.catalog import names

    if context.invoked_subcommand:
        return 0
    from nas.device.profile import fingerprint

    found: list[dict[str, Any]] = []
    broken: list[str] = []
    for name, folder in names("device_profiles").items():
        try:
            found.append(_listed(name, folder) | ({"sha256": fingerprint(folder)} if as_json else {}))
        except UserError as error:
            broken.append(printable(str(error)))
    if as_json:
        print_json(found)
    else:
        _print_list(found)
    for line in broken:
        typer.echo(f"nas: {line}", err=True)
    return int(bool(broken))


@app.command(short_help="Show a profile's source, errors and limits.")
def show(
    name: Annotated[str, typer.Argument(help="A profile's name or folder.", autocompletion=completion.devices)],
    picture: Annotated[Path | None, typer.Option(help="Draw predicted against measured into this PNG.")] = None,
    as_json: Json = False,
) -> None:
    """Show where a profile's figures come from, how accurate they are, and what it must not be used for.

    Example: nas devices show raspberry-pi-4 --picture pi.png
    """
    from nas.device.compare.chart import draw_validation
    from nas.device.compare.slower_blocks import slower_blocks
    from nas.device.profile import load_device

    profile = load_device(name)
    slower = slower_blocks(profile)
    if picture:
        if not profile.validation:
            raise UserError(f"{profile.name} has no validation.csv: no whole network was measured, so none is drawn")
        draw_validation(profile.validation, f"{profile.name}: whole networks held out", picture)
    if as_json:
        about = profile.about.model_dump(exclude_none=True)
        print_json(about | _summary(profile) | {"slower_in_int8": slower and asdict(slower)})
        return
    _print_about(profile)
    print_errors(profile.errors)
    if slower:
        _print_slower(slower)
    if picture:
        print(f"picture: {picture}")


app.command("validate", short_help="Compare predictions with measured networks.")(devices_check.validate)
app.command("diff", short_help="Compare two profiles.")(devices_check.diff)
app.command("import", short_help="Make a profile from a published table.")(devices_make.import_)
app.command("fit", short_help="Fit a profile to measured whole networks.")(devices_make.fit)


def _listed(name: str, folder: Path) -> dict[str, Any]:
    """A profile's entry in the list, from only its description and errors: the tables may be long."""
    from nas.device.info import basis, read_about
    from nas.device.tables.validation import read_errors
    from nas.files.plain import file_in

    about, file = read_about(file_in(folder, "profile.toml") or folder / "profile.toml"), file_in(folder, "errors.csv")
    errors = read_errors(file) if file else ()
    has = [file_in(folder, table) is not None for table in ("blocks.csv", "rates.csv")]
    if not any(has):
        raise UserError(f"{folder}: a profile needs blocks.csv or rates.csv; it has neither")
    return {
        "name": name, "board": about.board, "runtime": about.runtime, "precisions": about.precisions,
        "energy": about.energy, "batch": about.batch, "basis": basis(about, *has),
        "latency_error": _worst(errors, "latency"), "energy_error": _worst(errors, "energy"),
        "errors": [asdict(e) for e in errors],
    }  # fmt: skip


def _worst(errors: tuple[HeldOutError, ...], quantity: str) -> float | None:
    """The mean error in the worst precision, on networks held out; None where it was not checked."""
    return max((e.mean for e in errors if e.quantity == quantity and e.split != "family"), default=None)


def _print_list(found: list[dict[str, Any]]) -> None:
    """One line a profile in 80 columns; board and runtime are shortened to what the terminal leaves them."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    def line(p: dict[str, Any]) -> tuple[str, ...]:
        source = p["basis"]
        for long, short in SOURCES.items():
            source = source.replace(long, short)
        board = p["board"] + (f", batch {p['batch']}" if p["batch"] > 1 else "")
        energy = _off(p["energy_error"]) if p["energy"] else "-"
        return p["name"], board, p["runtime"], " ".join(p["precisions"]), source, _off(p["latency_error"]), energy

    heads = ("device", "board", "runtime", "precision", "from", "latency\nerror", "energy\nerror")
    rows = [tuple(printable(cell) for cell in line(p)) for p in found]
    widths = [
        max(len(line) for cell in column for line in cell.split("\n")) for column in zip(heads, *rows, strict=True)
    ]
    console = Console()
    spare = console.width - sum(widths) + widths[1] + widths[2] - (len(heads) - 1)
    most = {2: max(7, min(widths[2], spare * 2 // 5))}
    most[1] = max(5, spare - most[2])
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for head in heads:
        table.add_column(head, justify="right" if head in heads[5:] else "left", no_wrap=True, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_short(cell, most.get(i, len(cell)))) for i, cell in enumerate(row)))
    console.print(table)
    print(
        "\nfrom: blocks measured one by one; blocks fitted or rates fitted to whole\n"
        "networks; adapted from so many networks and other devices; estimate: by the\n"
        "accelerator's compiler, nothing was run.\n"
        "error: mean over held-out networks, in the worst precision; ?: not checked;\n"
        "-: no energy. More: nas devices show NAME"
    )


def _off(error: float | None) -> str:
    return "?" if error is None else percent(error)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip(" ,(") + "…"


def _print_about(profile: DeviceProfile) -> None:
    """profile.toml in words, with what it must not be used for last."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    about = profile.about
    said = about.model_dump(exclude_none=True, exclude_defaults=True, exclude=HIDDEN)
    lines = {key: ", ".join(value) if isinstance(value, list) else str(value) for key, value in said.items()}
    limits = lines.pop("limits", "not said")
    lines["predicts from"] = profile.basis
    if about.adapted_from:
        lines["measured on it"] = ", ".join(about.adapted_from)
    if about.batch > 1:
        lines["batch"] = f"{about.batch} images: costs are those of the whole batch"
    if about.reference:
        took = [f"{figure(ms)} ms in {precision}" for precision, ms in about.reference_ms.items()]
        lines["measured beside"] = ", ".join([about.reference, *took])
    for precision, line in about.calibration.items():
        lines[f"{precision} network"] = str(line)
    for precision, energy in about.energy_calibration.items():
        lines[f"{precision} energy"] = str(energy)
    if about.energy and about.idle_w is not None:
        other = "add" if about.energy_without_idle else "take off"
        which = "without" if about.energy_without_idle else "with"
        lines["idle power"] = (
            f"{figure(about.idle_w)} W; energies are {which} it: {other} {figure(about.idle_w)} mJ a ms"
        )
    lines["limits"] = limits
    table = Table.grid(padding=(0, 2))
    for key, value in lines.items():
        table.add_row(key.replace("_", " "), Text(printable(value)))
    Console().print(table)


def _print_slower(slower: SlowerBlocks) -> None:
    n = len(slower.blocks)
    if not n:
        print(f"No block of {slower.compared} is slower in {slower.precision} than in {slower.than}.")
        return
    are = "is" if n == 1 else "are"
    print(f"\n{n} of {slower.compared} blocks {are} slower in {slower.precision} than in {slower.than}.")
    if trait := slower.trait:
        print(f"In common: {trait.words}, which {trait.slower} of them have, and {trait.every} blocks in all.")
    elif n > 2:
        print("No kind, kernel, stride, activation or squeeze-excite, nor two of them, tells them from the rest.")
    heads = ("block", slower.than, slower.precision, "times")
    rows = [(b.block, f"{figure(b.than_ms)} ms", f"{figure(b.ms)} ms", f"{b.ratio:.2f}") for b in slower.blocks[:WORST]]
    print_table(heads, rows, right=heads[1:])


def _summary(profile: DeviceProfile) -> dict[str, object]:
    return {
        "name": profile.name, "board": profile.about.board, "runtime": profile.about.runtime,
        "precisions": profile.precisions, "energy": profile.about.energy, "basis": profile.basis,
        "errors": [asdict(e) for e in profile.errors], "sha256": profile.fingerprint,
    }  # fmt: skip
