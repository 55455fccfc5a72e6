"""nas predict: what any network costs on a device, from its layers."""

from __future__ import annotations

from typing import Annotated

import typer

from nas.cli import completion
from nas.cli.output import print_json, print_table
from nas.files.plain import printable
from nas.numbers import count, figure


def predict(
    model: Annotated[str, typer.Argument(help="path.onnx, or timm:NAME[@RESOLUTION].")],
    device: Annotated[
        str, typer.Option(help="A device profile, by name or folder.", autocompletion=completion.devices)
    ],
    precision: Annotated[str, typer.Option(help="fp32, fp16 or int8.")] = "fp32",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Predict a network's latency, energy, memory and size on a device, and its costliest layers.

    What cannot be priced is named, and the exit status is then 1.

    Example: nas predict timm:mobilenetv2_100@224 --device raspberry-pi-4 --precision int8
    """
    from nas.device.cost import predict as price
    from nas.device.profile import load_device
    from nas.errors import UserError
    from nas.models.price import read_model
    from nas.space.layer import PRECISIONS

    chosen = next((p for p in PRECISIONS if p == precision), None)
    if chosen is None:
        raise UserError(f"--precision must be one of {', '.join(PRECISIONS)}; came {precision!r}")
    profile = load_device(device)
    profile.require(precision=chosen)
    reading = read_model(model)
    network = reading.network
    found = price(profile, network, chosen, reading.unread)
    both = None
    if found.latency_ms is not None and found.energy_mj is not None and not found.partial:
        both = profile.about.both_energies(found.energy_mj, found.latency_ms)
    costliest = sorted(found.parts, key=lambda p: -p.latency_ms)[:5]
    if as_json:
        print_json({
            "model": model, "device": profile.name, "precision": chosen,
            "latency_ms": found.latency_ms, "latency_interval_ms": found.latency_interval_ms,
            "latency_basis": found.latency_basis, "latency_partial": found.latency_partial,
            "energy_mj": found.energy_mj, "energy_interval_mj": found.energy_interval_mj,
            "energy_basis": found.energy_basis, "energy_partial": found.energy_partial,
            "energy_with_idle_mj": both and both[0], "energy_without_idle_mj": both and both[1],
            "peak_memory_mb": network.peak_memory_mb(chosen), "size_mb": network.size_mb(chosen),
            "params": network.params, "macs": network.macs, "unknown": found.unknown,
            "costliest": [{"layer": p.name, "latency_ms": p.latency_ms, "energy_mj": p.energy_mj} for p in costliest],
        })  # fmt: skip
        return int(bool(found.unknown))
    print(f"{model} on {profile.name}, {chosen}, batch 1")
    latency = found.latency_ms, "ms", found.latency_interval_ms, found.latency_basis, found.latency_partial
    print(f"  latency  {_amount(*latency)}")
    if found.energy_basis is not None:
        energy = found.energy_mj, "mJ", found.energy_interval_mj, found.energy_basis, found.energy_partial
        print(f"  energy   {_amount(*energy)}")
    if both:
        idle = figure(profile.about.idle_w)
        print(f"           {figure(both[0])} mJ with and {figure(both[1])} mJ without the {idle} W that it draws idle")
    print(f"  memory   {figure(network.peak_memory_mb(chosen))} MB peak activations")
    print(
        f"  size     {figure(network.size_mb(chosen))} MB, {count(network.params)} params, {count(network.macs)} MACs"
    )
    rows = [(p.name, figure(p.latency_ms), figure(p.energy_mj)) for p in costliest]
    if rows:
        print_table(("costliest layers", "ms", "mJ"), rows, right=("ms", "mJ"))
    if found.unknown:
        how = "left out" if found.partial else "charged as their nearest kin"
        print(f"{profile.name} has no figure for these, which are {how}:")
        print("\n".join(f"  {printable(name)}" for name in found.unknown))
    return int(bool(found.unknown))


def _amount(value: float | None, unit: str, interval: tuple[float, float] | None, basis: str, partial: bool) -> str:
    """A latency or energy as text, with its basis and how far off it may be, or why there is no prediction."""
    if value is None:
        return "-  (no prediction: the profile has a figure for no part of it)"
    if partial:
        return f"{figure(value)} {unit} for the parts that have a figure  (no prediction of the whole)"
    if interval is None:
        return f"{figure(value)} {unit}  ({basis}; no whole network was measured: error unknown)"
    low, high = map(figure, interval)
    return f"{figure(value)} {unit}  ({basis}; 90% of held-out networks fell within {low} to {high})"
