"""Whole networks that were measured: a results file of the board agent, MLPerf's table, or a CSV of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import UserError

if TYPE_CHECKING:
    from nas.device.compare.with_measured import Measured
    from nas.device.info import About
    from nas.space.graph.graph import Reading
    from nas.space.network import Network

COLUMNS = ("network", "precision", "latency_ms")  # and, where there are any: energy_mj, space


@dataclass(frozen=True, slots=True)
class MeasuredFile:
    """The networks of a file, what of it was left out or must be said, in lines, and what ran them if it says so."""

    networks: tuple[Measured, ...]
    notes: tuple[str, ...] = ()
    runtime: str | None = None


def read_measured(path: Path, platform: str | None, about: About, *, all_networks: bool, scale: bool) -> MeasuredFile:
    """Reads the file, whichever of the three it is, to be compared with the profile that `about` describes.

    `all_networks` keeps those that calibrate a profile made from the same plan. Where both were measured on one machine
    in turn with the same reference network, `scale` takes latencies to its speed when the profile was made; another
    machine's are as measured. Raises UserError naming the file, the line and what is wrong.
    """
    from nas.device.compare.with_measured import Measured

    if platform is not None:
        from nas.device.formats.mlperf import read_mlperf

        return MeasuredFile(
            tuple(
                Measured(run.name, run.network, run.precision, run.latency_ms, run.energy_mj)
                for run in read_mlperf(path, platform)
            )
        )
    if path.suffix.lower() == ".json":
        return _results(path, about, all_networks, scale)
    return MeasuredFile(tuple(_table(path)))


def _results(path: Path, about: About, all_networks: bool, scale: bool) -> MeasuredFile:
    from nas.device.compare.with_measured import Measured
    from nas.profiling.energy.windows import measured_energy
    from nas.profiling.results.machine import same_machine
    from nas.profiling.results.results import candidate_of, read_results
    from nas.profiling.results.timings import pooled, speeds

    results = read_results(path)
    known = about.reference_ms if same_machine(about, results) else {}
    space, times = results.space(), pooled(results, known if scale else None)
    kinds = ("calibrate", "check") if all_networks else ("check",)
    notes = [
        f"{p}: the reference network took {known[p]:.3g} ms when the profile was made, {ms:.3g} ms here: "
        + (f"times are divided by {ms / known[p]:.3f}, --as-measured leaves them" if scale else "times are as measured")
        for p, ms in speeds(results).items()
        if p in known
    ]
    if not all_networks and (left_out := len(results.items_of("calibrate"))):
        notes.append(
            f"{left_out} measurements of networks that calibrate a profile are left out; --all keeps them "
            "(honest only if the profile was made from another plan)"
        )
    energies: dict[str, float] = {}
    if results.energy is not None:
        try:
            items = measured_energy(results.energy).items
            energies = {name: e.net_mj if about.energy_without_idle else e.mj for name, e in items.items()}
        except UserError as error:
            notes.append(f"no energy is compared: {error}")
    networks = [
        Measured(
            item.name, space.network(candidate_of(space, item)), item.precision, times[item.id].median_ms,
            energy if (energy := energies.get(item.id, 0.0)) > 0 else None,
        )
        for item in results.items_of(*kinds)
    ]  # fmt: skip
    if not networks:
        raise UserError(f"{path}: holds no measured whole network" + (f", but {notes[-1]}" if notes else ""))
    return MeasuredFile(tuple(networks), tuple(notes), results.machine.runtime)


def _table(path: Path) -> Iterator[Measured]:
    from nas.device.compare.with_measured import Measured
    from nas.device.tables.columns import MOST_BYTES, cost, maybe_cost, row_precision
    from nas.files.csv import read_rows

    models: dict[str, Reading] = {}
    seen: dict[tuple[str, str, str], int] = {}
    for line, row in read_rows(path, COLUMNS, MOST_BYTES):
        precision = row_precision(row, path, line)
        ms = cost(row, "latency_ms", path, line)
        mj = maybe_cost(row, "energy_mj", path, line)
        name, space = row["network"], row.get("space", "")
        if (first := seen.setdefault((name, space, precision), line)) != line:
            raise UserError(f"{path}: line {line} repeats the network and precision of line {first}")
        try:
            if space:
                title, network = _candidate(space, name)
                yield Measured(title, network, precision, ms, mj)
                continue
            if name not in models:
                models[name] = _model(name, path)
        except UserError as error:
            raise UserError(f"{path}: line {line}: {error}") from None
        yield Measured(name, models[name].network, precision, ms, mj, tuple(models[name].unread))
    if not seen:
        raise UserError(f"{path}: has no rows")


def _candidate(space: str, text: str) -> tuple[str, Network]:
    """A short name for the candidate, and its network."""
    from nas.space.candidate_text import read_candidate
    from nas.space.search_space import load_space

    found = load_space(space)
    candidate = read_candidate(found, text)
    return f"{found.name}-{candidate.digest}", found.network(candidate)


def _model(name: str, table: Path) -> Reading:
    """What nas predict takes; an ONNX file may lie beside the table."""
    from nas.models.price import read_model

    beside = table.parent / name
    return read_model(str(beside) if name.endswith(".onnx") and beside.is_file() else name)
