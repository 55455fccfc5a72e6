"""A device profile: what is known of one board, its runtime and what networks cost on it. A folder of plain data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from nas.catalog import find
from nas.device.lookup_table import BlockTime, lookup_table_csv, read_lookup_table
from nas.device.validation import HeldOutError, Validation, errors_csv, read_errors, read_validation, validation_csv
from nas.errors import UserError
from nas.space.layer import Precision
from nas.space.toml_file import Table, read_toml

if TYPE_CHECKING:
    from nas.device.rates import Rates


class Line(Table):
    """A straight line from the sum of block times to the time of a whole network: slope x sum + offset_ms."""

    slope: Annotated[float, Field(gt=0)]
    offset_ms: float


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
    energy: str | None = None  # what it includes: board at the wall, core rail, idle in or out; None: no energy
    ram_mb: Annotated[int, Field(gt=0)] | None = None
    command: str | None = None  # what made this profile
    limits: str | None = None  # what it must not be used for
    calibration: dict[Precision, Line] = {}


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
        """How it predicts: from measured blocks, from fitted rates, or both."""
        return " + ".join(w for w, has in (("measured blocks", self.lookup_table), ("fitted rates", self.rates)) if has)

    @cached_property
    def times(self) -> dict[tuple[str, Precision], BlockTime]:
        return {(t.block, t.precision): t for t in self.lookup_table}

    def require(self, *, precision: Precision | None = None, energy: bool = False) -> None:
        """Raises UserError where the profile lacks this precision, or energy, and says what it has."""
        if precision is not None and precision not in self.precisions:
            raise UserError(f"device {self.name} has no {precision} (it has: {', '.join(self.precisions)})")
        if energy and not self.has_energy:
            raise UserError(f"device {self.name} has no energy, so energy can be neither objective nor budget on it")


FILES = ("profile.toml", "blocks.csv", "rates.csv", "validation.csv", "errors.csv")


def load_device(name: str) -> DeviceProfile:
    """A device profile by its name, or by the path of its folder. Raises UserError on anything wrong in it."""
    return read_profile(find("device", "device_profiles", name))


def read_profile(folder: Path) -> DeviceProfile:
    """Reads and checks a profile's folder. Raises UserError naming the file and what must hold."""
    from nas.device.rates import read_rates  # late: it needs numpy, and listing the devices does not

    about = read_about(folder / "profile.toml")
    blocks, rates, validation, errors = (folder / name for name in FILES[1:])
    profile = DeviceProfile(
        about,
        read_lookup_table(blocks) if blocks.exists() else (),
        read_rates(rates) if rates.exists() else None,
        read_validation(validation) if validation.exists() else (),
        read_errors(errors) if errors.exists() else (),
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
        if (folder / name).exists():
            digest.update(name.encode() + b"\0" + (folder / name).read_bytes())
    return digest.hexdigest()


def about_toml(about: About) -> str:
    """The text of profile.toml."""
    import tomli_w

    return tomli_w.dumps(about.model_dump(exclude_none=True, exclude_defaults=True))


def write_profile(
    folder: Path,
    about: About,
    *,
    lookup_table: Iterable[BlockTime] = (),
    rates: Rates | None = None,
    validation: Iterable[Validation] = (),
    errors: Iterable[HeldOutError] = (),
) -> None:
    """Writes a profile's folder; files that the new profile has not are removed.

    Raises UserError when it cannot be written or would not be a valid profile; the old one then stays.
    """
    from nas.device.rates import rates_csv

    texts = {
        "profile.toml": about_toml(about),
        "blocks.csv": lookup_table_csv(lookup_table) if (lookup_table := tuple(lookup_table)) else None,
        "rates.csv": rates_csv(rates) if rates else None,
        "validation.csv": validation_csv(validation) if (validation := tuple(validation)) else None,
        "errors.csv": errors_csv(errors) if (errors := tuple(errors)) else None,
    }
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as place:
            for name, text in texts.items():
                if text is not None:
                    (Path(place) / name).write_text(text, encoding="utf-8")
            read_profile(Path(place))
            folder.mkdir(exist_ok=True)
            for name, text in texts.items():
                if text is None:
                    (folder / name).unlink(missing_ok=True)
                else:
                    (Path(place) / name).replace(folder / name)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from None
