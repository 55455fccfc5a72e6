"""nas devices: the device profiles; how one is fitted to measured networks or imported from a published table."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.output import percent, print_json, print_table

if TYPE_CHECKING:
    from nas.device.profile import DeviceProfile

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Out = Annotated[Path, typer.Option(help="The profile's folder; one that exists is made anew.")]
AboutFile = Annotated[
    Path | None,
    typer.Option(help="A TOML file with board, soc, runtime, source ... (default: the profile.toml in --out)."),
]

app = typer.Typer(
    help="List the device profiles, show one, or make one.\n\nExample: nas devices show raspberry-pi-4",
    invoke_without_command=True,
)


@app.callback()
def devices(context: typer.Context, as_json: Json = False) -> None:
    from nas.catalog import names
    from nas.device.profile import read_profile

    if context.invoked_subcommand:
        return
    folders = names("device_profiles").values()
    if as_json:
        print_json([_summary(read_profile(folder)) for folder in folders])
        return
    rows = [_row(folder) for folder in folders]
    heads = ("device", "runtime", "precision", "from", "ms error", "mJ error")
    print_table(heads, rows, right=heads[4:])
    print("Mean error on networks held out, in the worst precision; ?: not checked. More: nas devices show NAME")


@app.command()
def show(name: Annotated[str, typer.Argument(help="A profile's name or folder.")], as_json: Json = False) -> None:
    """Show where a profile's numbers come from and how far they were off on networks held out.

    Example: nas devices show raspberry-pi-4
    """
    from rich.console import Console
    from rich.table import Table

    from nas.device.profile import load_device

    profile = load_device(name)
    about = profile.about.model_dump(exclude_none=True, exclude={"calibration"})
    if as_json:
        print_json(about | _summary(profile))
        return
    table = Table.grid(padding=(0, 2))
    for key, value in about.items():
        table.add_row(key, ", ".join(value) if isinstance(value, list) else str(value))
    Console().print(table)
    _print_errors(profile)


@app.command("import")
def import_(
    table: Annotated[Path, typer.Argument(help="The CSV file of a published lookup table.")],
    form: Annotated[str, typer.Option("--format", help="ofa (Once-for-All) or proxylessnas.")],
    out: Out,
    about: AboutFile = None,
) -> None:
    """Make a profile from a published table of measured blocks.

    Example: nas devices import note10.csv --format ofa --about note10.toml --out device_profiles/samsung-note10
    """
    from nas.device.lookup_import import import_table
    from nas.device.profile import read_about, write_profile

    command = f"nas devices import {table.name} --format {form} --out {out}"
    description = read_about(about or out / "profile.toml").model_copy(update={"command": command})
    times = import_table(table, form)
    write_profile(out, description, lookup_table=times)
    print(f"{out}: {len(times)} measured blocks")


@app.command()
def fit(
    runs: Annotated[Path, typer.Argument(help="A CSV file of whole networks measured on the device.")],
    platform: Annotated[str, typer.Option(help="The rows to fit, by their platform column.")],
    out: Out,
    about: AboutFile = None,
) -> None:
    """Fit per-primitive rates to whole networks, and say how far off it is on networks and families held out.

    Example: nas devices fit runs.csv --platform rpi4-tflite-v2.7.1-ruy --out device_profiles/raspberry-pi-4
    """
    from nas.device.fit import fit_profile_data
    from nas.device.profile import read_about, read_profile, write_profile

    command = f"nas devices fit {runs.name} --platform {platform} --out {out}"
    description = read_about(about or out / "profile.toml").model_copy(update={"command": command})
    fitted = fit_profile_data(runs, platform)
    write_profile(out, description, rates=fitted.rates, validation=fitted.validation, errors=fitted.errors)
    print(f"{out}: rates fitted to {platform}")
    _print_errors(read_profile(out))


def _print_errors(profile: DeviceProfile) -> None:
    """Each quantity's error on networks held out, beside what a constant and the MACs alone would reach."""
    if not profile.errors:
        print("No whole network was measured, so its error is not known.")
        return
    heads = ("precision", "error of", "held out", "mean", "constant", "MACs", "Spearman")
    rows = [
        (e.precision, e.quantity, f"{e.split} ({e.networks})",
         percent(e.mean) + (f" ± {percent(e.spread)}" if e.spread else ""), percent(e.constant, 0), percent(e.macs, 0),
         f"{e.spearman:.3f}")
        for e in profile.errors
    ]  # fmt: skip
    print_table(heads, rows, right=heads[3:])
    print("Mean absolute error; held out: network, a fifth of them at a time; family, all of its kind at once.")


def _row(folder: Path) -> tuple[str, ...]:
    """A profile's row in the list, from its description and errors alone: the tables may be long."""
    from nas.device.profile import read_about
    from nas.device.validation import read_errors

    about, file = read_about(folder / "profile.toml"), folder / "errors.csv"
    errors = read_errors(file) if file.exists() else ()

    def worst(quantity: str) -> str:
        means = [e.mean for e in errors if e.quantity == quantity and e.split != "family"]
        return percent(max(means)) if means else "?"

    kinds = {"blocks.csv": "measured blocks", "rates.csv": "fitted rates"}
    basis = " + ".join(kind for name, kind in kinds.items() if (folder / name).exists())
    energy = worst("energy") if about.energy else "no energy"
    return about.name, about.runtime, " ".join(about.precisions), basis, worst("latency"), energy


def _summary(profile: DeviceProfile) -> dict[str, object]:
    return {
        "name": profile.name, "board": profile.about.board, "runtime": profile.about.runtime,
        "precisions": profile.precisions, "energy": profile.about.energy, "basis": profile.basis,
        "errors": [asdict(e) for e in profile.errors], "sha256": profile.fingerprint,
    }  # fmt: skip
