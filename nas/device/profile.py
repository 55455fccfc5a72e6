"""A device profile: what is known of one board, its runtime and what networks cost on it. A folder of plain data."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from nas.catalog import find
from nas.device.tables.blocks import BlockTime, lookup_table_csv, read_lookup_table
from nas.device.tables.columns import LEAST_COST, MOST_BYTES, MOST_COST
from nas.device.tables.validation import (
    HeldOutError,
    Validation,
    errors_csv,
    read_errors,
    read_validation,
    validation_csv,
)
from nas.errors import UserError
from nas.files.atomic import atomic_folder, recover_folder
from nas.files.names import safe_name
from nas.files.plain import file_in, read_bytes
from nas.files.toml import Table, read_toml
from nas.space.layer import Precision

if TYPE_CHECKING:
    import numpy as np

    from nas.device.tables.rates import Rates


Slope = Annotated[float, Field(gt=0, le=1e6)]
Term = Annotated[float, Field(ge=-MOST_COST, le=MOST_COST)]


class Line(Table):
    """From the sum of block times to the time of a whole network.

    slope x sum + per_block_ms x blocks + per_million_params_ms x params / 10^6 + offset_ms. Timed on its own, each
    block also pays for the start of a run, which the term per block takes back; and it finds its weights in the caches,
    which inside a network the other blocks' weights have driven out.
    """

    slope: Slope
    offset_ms: Term
    per_block_ms: Term = 0.0
    per_million_params_ms: Term = 0.0

    def of(self, total: np.ndarray, blocks: np.ndarray, params: np.ndarray) -> np.ndarray:
        """Whole networks' ms (n,) from their sums of block times, numbers of blocks, and parameters, (n,) each."""
        rest = self.per_block_ms * blocks + self.per_million_params_ms * params / 1e6 + self.offset_ms
        return self.slope * total + rest

    def __str__(self) -> str:
        return _line(self.slope, self.per_block_ms, self.per_million_params_ms, self.offset_ms, "ms")


class EnergyLine(Table):
    """The same of energy."""

    slope: Slope
    offset_mj: Term
    per_block_mj: Term = 0.0
    per_million_params_mj: Term = 0.0

    def of(self, total: np.ndarray, blocks: np.ndarray, params: np.ndarray) -> np.ndarray:
        rest = self.per_block_mj * blocks + self.per_million_params_mj * params / 1e6 + self.offset_mj
        return self.slope * total + rest

    def __str__(self) -> str:
        return _line(self.slope, self.per_block_mj, self.per_million_params_mj, self.offset_mj, "mJ")


def _line(slope: float, per_block: float, per_million_params: float, offset: float, unit: str) -> str:
    """A calibration in words; terms of 0 are left out."""
    each = ((per_block, " a block"), (per_million_params, " a million params"), (offset, ""))
    return " ".join([f"{slope:.4g} x sum of blocks", *(f"{value:+.3g} {unit}{of}" for value, of in each if value)])


class About(Table):
    """profile.toml: where the numbers come from and what they mean."""

    name: str
    board: str
    soc: str
    runtime: str
    threads: Annotated[int, Field(gt=0)] | None = None
    precisions: Annotated[list[Precision], Field(min_length=1)]
    statistic: str  # of the latency: median, mean, 90th percentile ...
    protocol: str
    date: str
    source: str
    licence: str | None = None  # of the data that it was made from
    energy: str | None = None  # what it includes: board at the wall, core rail, idle in or out; None: no energy
    energy_without_idle: bool = False  # which of the two the energies are; with `idle_w`, `both_energies` tells both
    idle_w: Annotated[float, Field(ge=0, le=1e6)] | None = None  # idle power in watts; None: not measured
    ram_mb: Annotated[int, Field(gt=0)] | None = None
    batch: Annotated[int, Field(gt=0)] = 1  # images an inference; costs are those of the whole batch
    clock: str | None = None  # what time was taken with
    noise: str | None = None  # how much the machine's speed varied, in words
    reference: str | None = None  # the network that every run was taken in turn with
    reference_ms: dict[
        Precision, Annotated[float, Field(ge=LEAST_COST, le=MOST_COST)]
    ] = {}  # what it takes at the speed that is meant
    repeatability: str | None = None  # how far a second measurement agreed, in words
    blocks: Literal["measured", "fitted"] = "measured"  # blocks.csv: timed one by one, or fitted to whole networks
    adapted_from: list[str] = []  # the few networks measured on the board, where the rest comes from other devices
    command: str | None = None  # what made this profile
    limits: str | None = None  # what it must not be used for
    calibration: dict[Precision, Line] = {}
    energy_calibration: dict[Precision, EnergyLine] = {}

    @field_validator("name")
    @classmethod
    def _safe(cls, name: str) -> str:
        return safe_name(name)

    def both_energies(self, energy_mj: float, latency_ms: float) -> tuple[float, float] | None:
        """An inference's energy (with, without) the idle power, in mJ.

        None where the idle power is not known, and where it would be all of the energy and more.
        """
        if self.idle_w is None:
            return None
        idle_mj = self.idle_w * latency_ms  # W x ms = mJ
        if self.energy_without_idle:
            return energy_mj + idle_mj, energy_mj
        return (energy_mj, energy_mj - idle_mj) if energy_mj > idle_mj else None


@dataclass(frozen=True, eq=False)
class DeviceProfile:
    """Everything in a profile's folder. Made by `load_device`."""

    about: About
    lookup_table: tuple[BlockTime, ...]
    rates: Rates | None
    validation: tuple[Validation, ...]
    errors: tuple[HeldOutError, ...]
    fingerprint: str  # sha256 over the folder's files

    @property
    def name(self) -> str:
        return self.about.name

    @property
    def precisions(self) -> tuple[Precision, ...]:
        return tuple(self.about.precisions)

    @property
    def has_energy(self) -> bool:
        return self.about.energy is not None

    @property
    def basis(self) -> str:
        """How it predicts, in words."""
        return basis(self.about, bool(self.lookup_table), self.rates is not None)

    @cached_property
    def times(self) -> dict[tuple[str, Precision], BlockTime]:
        return {(t.block, t.precision): t for t in self.lookup_table}

    @cached_property
    def energy_precisions(self) -> frozenset[Precision]:
        """The precisions in which it predicts energy, of whole networks or of parts."""
        rates = self.rates.rates if self.rates else ()
        timed = {t.precision for t in self.lookup_table if t.energy_mj is not None}
        return (
            frozenset(timed | {r.precision for r in rates if r.quantity == "energy"})
            if self.has_energy
            else frozenset()
        )

    def require(self, *, precision: Precision | None = None, energy: bool = False) -> None:
        """Raises UserError where the profile lacks this precision, or energy, and says what it has."""
        if precision is not None and precision not in self.precisions:
            raise UserError(f"device {self.name} has no {precision} (it has: {', '.join(self.precisions)})")
        if energy and not self.has_energy:
            raise UserError(f"device {self.name} has no energy, so energy can be neither objective nor budget on it")


def basis(about: About, blocks: bool, rates: bool) -> str:
    """How a profile predicts: from blocks, measured or fitted, from fitted rates, or both; or adapted from devices."""
    if about.adapted_from:
        return f"adapted ({len(about.adapted_from)} networks)"
    return " + ".join(w for w, has in ((f"{about.blocks} blocks", blocks), ("fitted rates", rates)) if has)


FILES = ("profile.toml", "blocks.csv", "rates.csv", "validation.csv", "errors.csv")
WORKING_FILES = frozenset({"measurements.csv", "measurements.jsonl", "results.json", "bundle", "bundle.zip"})
LEFT_BEHIND = ".bundle-"  # by a process that was killed while it wrote models


def load_device(name: str) -> DeviceProfile:
    """A device profile by its name, or by the path of its folder. Raises UserError on anything wrong in it."""
    return read_profile(find("device", "device_profiles", name))


def read_profile(folder: Path) -> DeviceProfile:
    """Reads and checks a profile's folder. Raises UserError naming the file and what must hold."""
    from nas.device.tables.rates import read_rates  # late: it needs numpy, and listing the devices does not

    about = read_about(file_in(folder, "profile.toml") or folder / "profile.toml")
    blocks, rates, validation, errors = (file_in(folder, name) for name in FILES[1:])
    profile = DeviceProfile(
        about,
        read_lookup_table(blocks) if blocks else (),
        read_rates(rates) if rates else None,
        read_validation(validation) if validation else (),
        read_errors(errors) if errors else (),
        fingerprint(folder),
    )
    if not profile.lookup_table and profile.rates is None:
        raise UserError(f"{folder}: a profile needs blocks.csv or rates.csv; it has neither")
    if odd := {t.precision for t in profile.lookup_table} - set(profile.precisions):
        raise UserError(f"{blocks}: precision {min(odd)} is not among those of profile.toml: {profile.precisions}")
    return profile


def read_about(path: Path) -> About:
    """Reads profile.toml. Raises UserError naming the key."""
    return read_toml(path, About)


def fingerprint(folder: Path) -> str:
    """sha256 over the names and bytes of a profile's files."""
    digest = hashlib.sha256()
    for name in FILES:
        if path := file_in(folder, name):
            digest.update(name.encode() + b"\0" + read_bytes(path, MOST_BYTES))
    return digest.hexdigest()


def about_toml(about: About) -> str:
    """The text of profile.toml."""
    import tomli_w

    return tomli_w.dumps(about.model_dump(exclude_none=True, exclude_defaults=True))


def require_ours(folder: Path) -> None:
    """Raises UserError unless a profile may be written into the folder.

    It must be absent, empty, a profile's, or hold nothing but what measuring one leaves. So a mistyped --out spoils
    nothing; call it before measuring.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise UserError(f"cannot write {folder}: it is not a folder")
        if not folder.exists() or (folder / "profile.toml").exists():
            return
        names = {entry.name for entry in folder.iterdir() if not entry.name.startswith(LEFT_BEHIND)}
    except OSError as error:
        raise UserError(f"cannot write {str(folder)[:200]}: {error.strerror}") from None
    if foreign := sorted(names - WORKING_FILES):
        raise UserError(
            f"{folder} is not a device profile and holds other files ({foreign[0][:80]!r}); "
            "give a new or empty folder, or one with a profile.toml"
        )


def write_profile(
    folder: Path,
    about: About,
    *,
    lookup_table: Iterable[BlockTime] = (),
    rates: Rates | None = None,
    validation: Iterable[Validation] = (),
    errors: Iterable[HeldOutError] = (),
) -> None:
    """Writes a profile's folder, the whole of it at once; files that the new profile has not are removed.

    A kill at any moment leaves the old profile or the new one (`catalog.find` knows where). What measuring left in the
    folder stays. Raises UserError when the folder is not ours, cannot be written, or would not be a valid profile; the
    old one then stays.
    """
    from nas.device.tables.rates import rates_csv

    require_ours(folder)
    texts = {
        "profile.toml": about_toml(about),
        "blocks.csv": lookup_table_csv(lookup_table) if (lookup_table := tuple(lookup_table)) else None,
        "rates.csv": rates_csv(rates) if rates else None,
        "validation.csv": validation_csv(validation) if (validation := tuple(validation)) else None,
        "errors.csv": errors_csv(errors) if (errors := tuple(errors)) else None,
    }
    folder = folder.resolve()  # of a link: the folder that it leads to is replaced, not the link
    with suppress(OSError):
        recover_folder(folder)
    with atomic_folder(folder) as part:
        for name, text in texts.items():
            if text is not None:
                (part / name).write_text(text, encoding="utf-8")
        try:
            read_profile(part)
        except UserError as error:
            raise UserError(str(error).replace(str(part), str(folder))) from None
        for entry in os.scandir(folder) if folder.is_dir() else ():
            if entry.name not in FILES:
                _keep(Path(entry), part / entry.name)


def _keep(entry: Path, place: Path) -> None:
    """Puts an entry of the old folder into the new one: files as links to the same bytes, where the disk has such."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.copytree(entry, place, symlinks=True, copy_function=_link)
    else:
        _link(entry, place)


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
