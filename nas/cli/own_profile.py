"""Where a profile that a command makes is written."""

from __future__ import annotations

from pathlib import Path


def own_folder(name: str, out: Path | None) -> Path:
    """The profile's folder, which must be ours to write, and can be a profile's name."""
    from nas.catalog import home
    from nas.device.folder import require_ours
    from nas.errors import UserError
    from nas.files.names import safe_name

    folder = out or home() / "device_profiles" / name
    try:
        safe_name(folder.name if out else name)
    except ValueError as error:
        raise UserError(f"{'--out' if out else '--name'} {error}") from None
    require_ours(folder)
    return folder
