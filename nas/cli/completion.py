"""What the shell completes an option with; NAME[TAB] has to answer at once, so nothing is read but names."""

from __future__ import annotations

from nas.catalog import names


def devices(incomplete: str) -> list[str]:
    """The device profiles whose names begin so."""
    return [name for name in names("device_profiles") if name.startswith(incomplete)]


def targets(incomplete: str) -> list[str]:
    """The accelerators whose names begin so."""
    return [name for name in names("device/support", ".toml") if name.startswith(incomplete)]


def spaces(incomplete: str) -> list[str]:
    """The search spaces whose names begin so."""
    return [name for name in names("search_spaces", ".toml") if name.startswith(incomplete)]
