"""The kinds of block, one file each: every file here that has a subclass of `Kind` adds it, under the file's name."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from nas.space.block import KINDS, Kind

for found in sorted(iter_modules(__path__), key=lambda module: module.name):
    for value in vars(import_module(f"{__name__}.{found.name}")).values():
        if isinstance(value, type) and issubclass(value, Kind) and value.__module__ == f"{__name__}.{found.name}":
            KINDS[found.name] = value()
