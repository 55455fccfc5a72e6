"""The modules of the kinds of block, one file each, named as the kind's file in `nas.space.blocks`.

Each file has `module(block)`: the module, from (n, c, h, w) of the block's input to that of its output ((n, classes)
from a classifier), with the names that timm gives its parts.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules

from torch import nn

from nas.errors import UserError
from nas.space.block import Block

MODULES: dict[str, Callable[[Block], nn.Module]] = {
    found.name: import_module(f"{__name__}.{found.name}").module
    for found in iter_modules(__path__)
    if found.name != "parts"  # what several kinds have in common
}


def module_of(block: Block) -> nn.Module:
    """The block as a module. Raises UserError for a kind that has none: layers that were read from a file."""
    if block.kind not in MODULES:
        raise UserError(
            f"only a network made of blocks can be built; this one was read from a file, layer by layer: {block.key}"
        )
    return MODULES[block.kind](block)
