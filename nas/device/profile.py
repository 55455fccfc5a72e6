"""A device profile: what is known of one board, its runtime and what networks cost on it. A folder of plain data."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from nas.catalog import find
from nas.device.info import About, basis, read_about
from nas.device.tables.blocks import BlockTime, read_lookup_table
from nas.device.tables.columns import MOST_BYTES
from nas.device.tables.validation import HeldOutError, Validation, read_errors, read_validation
from nas.errors import UserError
from nas.files.plain import file_in, read_bytes
from nas.space.layer import Precision

if TYPE_CHECKING:
    from nas.device.tables.rates import Rates

FILES = ("profile.toml", "blocks.csv", "rates.csv", "validation.csv", "errors.csv")


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


def load_device(name: str) -> DeviceProfile:
    """A device profile by its name, or by the path of its folder. Raises UserError on anything wrong in it.

    nas.load_device("raspberry-pi-4").precisions
    """
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


def fingerprint(folder: Path) -> str:
    """sha256 over the names and bytes of a profile's files."""
    digest = hashlib.sha256()
    for name in FILES:
        if path := file_in(folder, name):
            digest.update(name.encode() + b"\0" + read_bytes(path, MOST_BYTES))
    return digest.hexdigest()
