"""nas predict: what any network costs on a device, from its layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli import completion
from nas.cli.output import print_json, print_table
from nas.files.plain import printable
from nas.numbers import count, figure

if TYPE_CHECKING:
    from nas.device.support.mapping import OnCpu
    from nas.device.support.target import Target
    from nas.space.layer import Precision
    from nas.space.network import Network

MOST_LINES = 12  # of a list of what is unknown; --json has all


def predict(
    model: Annotated[str, typer.Argument(help="FILE.onnx, or timm:NAME[@RESOLUTION].")],
    device: Annotated[
        str, typer.Option(help="A device profile, by name or folder.", autocompletion=completion.devices)
    ],
    precision: Annotated[
        str | None, typer.Option(help="fp32, fp16 or int8.", show_default="an ONNX file's own, else fp32")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="Say which layers this accelerator leaves on the CPU (default: the device's, if it names one).",
            autocompletion=completion.targets,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Predict a network's latency, energy, memory and size on a device, and its costliest layers.

    An ONNX file is predicted at its own precision, unless --precision names another one. Layers that the profile has
    no figure for are listed, and the exit status is then 1.

    Example: nas predict timm:mobilenetv2_100@224 --device raspberry-pi-4 --precision int8
    """
    from nas.device.cost import predict as price
    from nas.device.parts import layer_name
    from nas.device.profile import load_device
    from nas.device.support.target import target_of
    from nas.errors import UserError
    from nas.models.price import chosen_precision, read_model
    from nas.space.layer import PRECISIONS

    asked = next((p for p in PRECISIONS if p == precision), None)
    if precision is not None and asked is None:
        raise UserError(f"--precision must be one of {', '.join(PRECISIONS)}; got {precision!r}")
    profile = load_device(device)
    accelerator = target_of(profile, target)
    profile.require(precision=asked)
    reading = read_model(model)
    chosen = chosen_precision(profile, reading, asked)
    if accelerator is not None:
        accelerator.precisions((chosen,), named=True)
    network = reading.network
    staying = accelerator.on_cpu(network) if accelerator else ()
    found = price(profile, network, chosen, reading.unread)
    both = None
    if found.latency_ms is not None and found.energy_mj is not None and not found.partial:
        both = profile.about.both_energies(found.energy_mj, found.latency_ms)
    costliest = sorted(found.parts, key=lambda p: -p.latency_ms)[:5]
    if as_json:
        print_json({
            "model": model, "device": profile.name, "precision": chosen, "model_precision": reading.precision,
            "latency_ms": found.latency_ms, "latency_interval_ms": found.latency_interval_ms,
            "latency_basis": found.latency_basis, "latency_partial": found.latency_partial,
            "energy_mj": found.energy_mj, "energy_interval_mj": found.energy_interval_mj,
            "energy_basis": found.energy_basis, "energy_partial": found.energy_partial,
            "energy_with_idle_mj": both and both[0], "energy_without_idle_mj": both and both[1],
            "peak_memory_mb": network.peak_memory_mb(chosen), "size_mb": network.size_mb(chosen),
            "params": network.params, "macs": network.macs, "unknown": found.unknown,
            "target": accelerator.rules.name if accelerator else None, "layers": sum(1 for _ in network.layers),
            "on_cpu": [{"place": x.place, "layer": layer_name(x.layer), "rule": x.rule} for x in staying],
            "costliest": [{"layer": p.name, "latency_ms": p.latency_ms, "energy_mj": p.energy_mj} for p in costliest],
        })  # fmt: skip
        return int(bool(found.unknown))
    at_least = "at least " if reading.unread else ""
    print(f"{model} on {profile.name}, {_precision(chosen, reading.precision, model)}, batch 1")
    latency = found.latency_ms, "ms", found.latency_interval_ms, found.latency_basis, found.latency_partial
    print(f"  latency  {_amount(*latency)}")
    if found.energy_basis is not None:
        energy = found.energy_mj, "mJ", found.energy_interval_mj, found.energy_basis, found.energy_partial
        print(f"  energy   {_amount(*energy)}")
    if both:
        idle = figure(profile.about.idle_w)
        print(f"           {figure(both[0])} mJ with and {figure(both[1])} mJ without the {idle} W that it draws idle")
    if found.latency_interval_ms or found.energy_interval_mj:
        print("           (90% of held-out networks fell within this range)")
    print(f"  memory   {at_least}{figure(network.peak_memory_mb(chosen))} MB peak activations")
    size, params, macs = figure(network.size_mb(chosen)), count(network.params), count(network.macs)
    print(f"  size     {at_least}{size} MB, {params} params, {macs} MACs")
    rows = [(p.name, figure(p.latency_ms), figure(p.energy_mj)) for p in costliest]
    if rows:
        print_table(("costliest layers", "ms", "mJ"), rows, right=("ms", "mJ"))
    if accelerator:
        _print_mapping(accelerator, network, staying, chosen)
    known = [name for name in found.unknown if name not in reading.unread]
    charged = profile.rates is not None and profile.rates.get(chosen, "latency") is not None
    how = "are charged as their nearest kin" if charged else "are left out"
    _list(f"{profile.name} has no figure for these, which {how}:", known)
    _list("These operations are not understood, and are left out:", reading.unread)
    return int(bool(found.unknown))


def _print_mapping(accelerator: Target, network: Network, staying: Sequence[OnCpu], precision: Precision) -> None:
    """Which layers stay on the CPU: those with a rule of their own one by one, those that follow them together."""
    from nas.device.parts import layer_name
    from nas.device.support.mapping import AFTER, SHORTER

    rules, layers = accelerator.rules, sum(1 for _ in network.layers)
    if not staying:
        print(f"{rules.name} maps all {layers} layers.")
    else:
        print(
            f"{rules.name} leaves {len(staying)} of {layers} layers on the CPU, layer {staying[0].place + 1} the first:"
        )
    own = Counter(f"{layer_name(x.layer)}: {x.rule}" for x in staying if x.rule not in (AFTER, SHORTER))
    for line, times in list(own.items())[:MOST_LINES]:
        print(f"  {line}{f' ({times} times)' if times > 1 else ''}")
    if len(own) > MOST_LINES:
        print(f"  and {len(own) - MOST_LINES} more")
    for rule in (AFTER, SHORTER):
        if n := sum(x.rule == rule for x in staying):
            print(f"  {n} more layers: {rule}")
    weights = network.size_mb(precision) * 1e6 / 1024
    if rules.on_chip_kib is not None and weights > rules.on_chip_kib:
        print(
            f"{figure(weights)} KiB of weights: {rules.on_chip_kib:,} fit on the chip, the rest streams in each time."
        )


def _precision(chosen: str, own: str, model: str) -> str:
    """The precision, and whether it is the file's."""
    if not model.endswith(".onnx") or chosen == own == "fp32":
        return chosen
    return f"{chosen} as the file is" if chosen == own else f"as if it were {chosen} (the file is {own})"


def _amount(value: float | None, unit: str, interval: tuple[float, float] | None, basis: str, partial: bool) -> str:
    """A latency or energy as text, with its basis and how far off it may be, or why there is no prediction."""
    if value is None:
        return "-  (no prediction: the profile has a figure for no part of it)"
    if partial:
        return f"{figure(value)} {unit} for the parts with a figure  (no prediction of the whole)"
    if interval is None:
        return f"{figure(value)} {unit}  ({basis}; error unknown: no whole network was measured)"
    low, high = map(figure, interval)
    return f"{figure(value)} {unit}  ({low} to {high}, {basis})"


def _list(title: str, names: Sequence[str]) -> None:
    """Names under a title, one line for all that begin with the same word; at most MOST_LINES of 80 columns."""
    kinds: dict[str, list[str]] = {}
    for name in names:
        kinds.setdefault(name.partition(" ")[0], []).append(name)
    if kinds:
        print(title)
    for of_kind in list(kinds.values())[:MOST_LINES]:
        more = f" and {len(of_kind) - 1} more" if len(of_kind) > 1 else ""
        name, room = printable(of_kind[0]), 78 - len(more)
        print(f"  {name if len(name) <= room else name[: room - 3] + '...'}{more}")
    if len(kinds) > MOST_LINES:
        print(f"  and {sum(map(len, list(kinds.values())[MOST_LINES:]))} more")
