"""nas devices validate and diff: a profile against measurements, and against another profile."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.amounts import precisions, share
from nas.cli.output import print_json, print_table
from nas.errors import UserError
from nas.files.plain import printable
from nas.numbers import figure, percent

if TYPE_CHECKING:
    from nas.device.compare.two_profiles import Ratios, SpaceRatios
    from nas.device.compare.with_measured import Check
    from nas.device.profile import DeviceProfile
    from nas.space.layer import Precision

WORST = 5  # networks that are named
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def validate(
    name: Annotated[str, typer.Argument(help="A profile's name or folder.")],
    against: Annotated[Path, typer.Option(help="results.json, or a CSV: network,precision,latency_ms[,energy_mj].")],
    platform: Annotated[
        str | None, typer.Option(help="The platform whose rows are read, if the file is MLPerf's table.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="Only these precisions, e.g. fp32,int8.")] = None,
    keep_all: Annotated[bool, typer.Option("--all", help="Also compare networks that calibrated a profile.")] = False,
    as_measured: Annotated[
        bool, typer.Option("--as-measured", help="Do not rescale times to the machine speed of the profile.")
    ] = False,
    picture: Annotated[Path | None, typer.Option(help="Draw predicted against measured into this PNG.")] = None,
    as_json: Json = False,
) -> int:
    """Compare a profile's predictions with measured whole networks.

    In a CSV, a network is named as for nas predict, or with a column space is a candidate of it: JSON, or
    choice=value;... Networks without a predicted cost are listed, and the exit status is then 1.

    Example: nas devices validate raspberry-pi-4 --against measured.csv --picture pi.png
    """
    from nas.device.compare.chart import draw_validation
    from nas.device.compare.with_measured import check
    from nas.device.profile import load_device
    from nas.profiling.results.measured import read_measured

    profile, chosen = load_device(name), precisions(precision)
    file = read_measured(against, platform, profile.about, all_networks=keep_all, scale=not as_measured)
    networks = [n for n in file.networks if chosen is None or n.precision in chosen]
    if not networks:
        raise UserError(f"{against}: holds no network in {precision}")
    found, notes = check(profile, networks), list(file.notes)
    if file.runtime not in (None, profile.about.runtime):
        notes.append(f"measured with {file.runtime}, but {profile.name} with {profile.about.runtime}")
    if picture and found.priced:
        title = f"{profile.name} against {against.name}: {len(found.priced)} measurements"
        draw_validation([p.row for p in found.priced], title, picture)
    if as_json:
        print_json({
            "device": profile.name, "against": str(against), "notes": notes, "in_fit": found.in_fit,
            "agreement": [{"precision": p, "quantity": q, **asdict(a)} for (p, q), a in found.agreement.items()],
            "networks": [
                asdict(p.row) | {"latency_basis": p.latency_basis, "energy_basis": p.energy_basis} for p in found.priced
            ],
            "unpriced": [asdict(u) for u in found.unpriced],
        })  # fmt: skip
    else:
        for note in notes:
            _say(note)
        _print_check(profile, found)
        if picture and found.priced:
            print(f"picture: {picture}")
    return int(bool(found.unpriced))


def _print_check(profile: DeviceProfile, found: Check) -> None:
    heads = ("", "n", "error", "<5%", "<10%", "rho", "tau", "ratio", "rest", "one", "MACs")
    rows: list[tuple[Any, ...]] = [
        (f"{p} {'mJ' if q == 'energy' else 'ms'}", a.networks, percent(a.mean, 1 if a.mean < 1 else 0),
         percent(a.within_5, 0), percent(a.within_10, 0),
         _plain(a.spearman, 2), _plain(a.kendall, 2), _plain(a.ratio, 2),
         percent(a.scaled, 1 if a.scaled < 1 else 0), percent(a.constant, 0), percent(a.macs, 0))
        for (p, q), a in found.agreement.items()
    ]  # fmt: skip
    if rows:
        print_table(heads, rows, right=heads[1:])
        _say(
            "error: mean absolute. rho: Spearman, tau: Kendall. ratio: median of measured / predicted; rest: the error "
            "without that factor. one, MACs: errors of two baselines, one figure for all networks and a line through "
            "their MACs, each network predicted from all the others."
        )
    if any(quantity == "energy" for _, quantity in found.agreement):
        _say(f"What was measured must mean the same energy: {profile.about.energy}")
    if found.in_fit:
        _say(
            f"{found.in_fit} of {len(found.priced)} measurements are of networks that {profile.name} was fitted to: "
            f"no held-out errors, which nas devices show {profile.name} has"
        )
    energies = sum(p.row.predicted_mj is not None and p.energy_basis == "extrapolated" for p in found.priced)
    latencies = sum(p.latency_basis == "extrapolated" for p in found.priced)
    if latencies or energies:
        each = f"{latencies} latencies" + (f" and {energies} energies" if energies else "")
        print(f"of {len(found.priced)} predictions, {each} are extrapolated")
    worst = sorted(found.priced, key=lambda p: -abs(p.row.predicted_ms / p.row.measured_ms - 1))[:WORST]
    rows = [
        (p.row.network, p.row.precision, f"{figure(p.row.measured_ms)} ms", f"{figure(p.row.predicted_ms)} ms",
         f"{100 * (p.row.predicted_ms / p.row.measured_ms - 1):+.1f}%")
        for p in worst
    ]  # fmt: skip
    if rows:
        print_table(("worst latency", "precision", "measured", "predicted", "error"), rows,
                    right=("measured", "predicted", "error"))  # fmt: skip
    if found.unpriced:
        print(f"{profile.name} has no cost for {len(found.unpriced)} of {len(found.priced) + len(found.unpriced)}:")
        print_table(("network", "precision", "lacking"), [(u.network, u.precision, u.lacking) for u in found.unpriced])


def diff(
    first: Annotated[str, typer.Argument(help="A profile's name or folder.")],
    second: Annotated[str, typer.Argument(help="Another one; ratios are second / first.")],
    within: Annotated[
        str, typer.Option(help="Largest mean difference over whole networks that counts as agreement.")
    ] = "3%",
    space: Annotated[str | None, typer.Option(help="Predict random networks of this search space on both.")] = None,
    networks: Annotated[int, typer.Option(min=4, max=100_000, help="How many random networks.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    as_json: Json = False,
) -> None:
    """Compare two profiles: their descriptions, blocks and measured whole networks.

    Example: nas devices diff this-machine this-machine-again --space tiny
    """
    from nas.device.compare.two_profiles import block_ratios, differences, network_ratios, slower, space_ratios, verdict
    from nas.device.profile import load_device
    from nas.space.search_space import load_space

    limit = share(within, "--within")
    assert limit is not None  # it has a default
    one, other = load_device(first), load_device(second)
    blocks, whole = block_ratios(one, other), network_ratios(one, other)
    predicted = space_ratios(one, other, load_space(space), networks, seed) if space else {}
    agree, line = verdict(whole, limit, "measured whole networks")
    priced = {p: s.ratios for p, s in predicted.items() if s.ratios}
    predictions_agree, second_line = verdict(priced, limit, f"predicted networks of {space}")
    speed = slower(one, other)
    even = space_ratios(one, other, load_space(space), networks, seed, speed) if space and speed else {}
    even = {p: ratios for p, ratios in even.items() if p in speed}
    even_agree, even_line = verdict({p: s.ratios for p, s in even.items() if s.ratios}, limit, "predicted networks")
    said = differences(one, other)
    if as_json:
        print_json({
            "first": one.name, "second": other.name, "agree": agree, "verdict": line,
            "predictions_agree": predictions_agree,
            "differences": [{"key": k, "first": x, "second": y} for k, x, y in said],
            "blocks": {p: asdict(r) for p, r in blocks.items()}, "networks": {p: asdict(r) for p, r in whole.items()},
            "predicted": {p: asdict(r) for p, r in predicted.items()}, "slower": speed,
            "predicted_at_one_speed": {p: asdict(r) for p, r in even.items()}, "agree_at_one_speed": even_agree,
        })  # fmt: skip
        return
    if said:
        print_table(("", one.name, other.name), said)
    else:
        print("Both profiles have the same description.")
    _print_ratios("block", blocks, f"{other.name} / {one.name}")
    _print_ratios("measured whole network", whole, f"{other.name} / {one.name}")
    if space:
        _print_predicted(predicted, space, f"{other.name} / {one.name}")
        _say(second_line)
    if even:
        factors = ", ".join(f"{p} {x:.3f}" for p, x in speed.items())
        _say(f"at one speed of the machine (of their reference network, second over first: {factors}): {even_line}")
    print(line)


def _print_ratios(what: str, found: Mapping[Precision, Ratios], ratio: str) -> None:
    if not found:
        print(f"No {what} in common.")
        return
    heads = (f"{what}s", "n", "median", "central 90%", "mean diff")
    print_table(heads, [_ratio_row(p, r) for p, r in found.items()], right=heads[1:])
    largest = [(f"{p} {name}", _plain(x)) for p, r in found.items() for name, x in r.largest[:3]]
    print_table((f"{what}s that differ most", ratio), largest, right=(ratio,))


def _print_predicted(found: Mapping[Precision, SpaceRatios], space: str, ratio: str) -> None:
    if not found:
        print("The two profiles have no precision in common.")
        return
    heads = ("predicted", "n", "median", "central 90%", "mean diff", "Spearman", "no cost")
    rows: list[tuple[Any, ...]] = [
        (*(_ratio_row(p, s.ratios) if s.ratios else (p, 0, "-", "-", "-")), _plain(s.spearman), s.unpriced)
        for p, s in found.items()
    ]
    print_table(heads, rows, right=heads[1:])
    print(f"Random networks of {space}, predicted on both, {ratio}; no cost: drawn, but left out.")


def _ratio_row(precision: Precision, r: Ratios) -> tuple[Any, ...]:
    return precision, r.n, _plain(r.median), f"{_plain(r.low)} to {_plain(r.high)}", percent(r.off)


def _say(text: str) -> None:
    print(textwrap.fill(printable(text), 80))


def _plain(value: float | None, places: int = 3) -> str:
    return "-" if value is None else f"{value:.{places}f}"
