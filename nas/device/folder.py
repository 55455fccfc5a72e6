"""A device profile's folder as it is written: whole, and only where it spoils nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from nas.device.info import About, about_toml
from nas.device.profile import FILES, read_profile
from nas.device.tables.blocks import BlockTime, lookup_table_csv
from nas.device.tables.validation import HeldOutError, Validation, errors_csv, validation_csv
from nas.errors import UserError
from nas.files.atomic import atomic_folder, recover_folder

if TYPE_CHECKING:
    from nas.device.tables.rates import Rates

WORKING_FILES = frozenset({"measurements.csv", "measurements.jsonl", "results.json", "bundle", "bundle.zip"})
LEFT_BEHIND = ".bundle-"  # by a process that was killed while it wrote models


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
