"""Blocks that are slower in a smaller precision than in a larger one, and what they have in common."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from nas.device.profile import DeviceProfile
from nas.space.layer import Precision


@dataclass(frozen=True, slots=True)
class SlowerBlock:
    """A block and its median times in the smaller and the larger precision, in ms."""

    block: str
    ms: float
    than_ms: float

    @property
    def ratio(self) -> float:
        """Above 1."""
        return self.ms / self.than_ms


@dataclass(frozen=True, slots=True)
class Trait:
    """What tells the slower blocks from the rest: `slower` of them have it, and `every` of all compared ones."""

    words: str
    slower: int
    every: int


@dataclass(frozen=True, slots=True)
class SlowerBlocks:
    """Of `compared` blocks, those slower in `precision` than in `than`, worst first; `trait` None: none stands out."""

    precision: Precision
    than: Precision
    compared: int
    blocks: tuple[SlowerBlock, ...]
    trait: Trait | None


def slower_blocks(
    profile: DeviceProfile, precision: Precision = "int8", than: Precision = "fp32"
) -> SlowerBlocks | None:
    """The blocks slower in `precision` than in `than`; None where no block was measured in both."""
    larger = {t.block: t.median_ms for t in profile.lookup_table if t.precision == than}
    both = [
        SlowerBlock(t.block, t.median_ms, larger[t.block])
        for t in profile.lookup_table
        if t.precision == precision and t.block in larger
    ]
    if not both:
        return None
    slower = tuple(sorted((b for b in both if b.ms > b.than_ms), key=lambda b: -b.ratio))
    trait = in_common([b.block for b in slower], [b.block for b in both])
    return SlowerBlocks(precision, than, len(both), slower, trait)


def in_common(chosen: Iterable[str], every: Iterable[str]) -> Trait | None:
    """The trait, or two together, that best tells `chosen` blocks (keys) from the rest of `every`.

    Best is the highest F1 score, the harmonic mean of how many of the chosen have it and how many of those that have
    it are chosen. None where fewer than 3 are chosen, or no trait tells more than taking every block would.
    """
    picked, all_traits = set(chosen), {key: traits(key) for key in every}
    if len(picked) < 3:
        return None
    candidates = {c for key in picked for size in (1, 2) for c in combinations(sorted(traits(key)), size)}
    best, best_score = None, 2 * len(picked) / (len(picked) + len(all_traits))
    for words in sorted(candidates, key=lambda c: (len(c), c)):
        having = [key for key, found in all_traits.items() if found.issuperset(words)]
        inside = sum(key in picked for key in having)
        score = 2 * inside / (len(picked) + len(having))
        if score > best_score + 1e-9:
            best, best_score = Trait(" with ".join(words), inside, len(having)), score
    return best


def traits(key: str) -> frozenset[str]:
    """What a block's key tells of it: its kind, kernel, stride, squeeze-excite, groups and activations."""
    kind, *parts = key.split("-")
    found = {kind} | {"squeeze-excite" for part in parts if re.fullmatch(r"se\d+", part)}
    for part in parts:
        if number := re.fullmatch(r"([ks])(\d+)", part):
            found.add(f"kernel {number[2]}" if number[1] == "k" else f"stride {number[2]}")
        elif re.fullmatch(r"g\d+", part):
            found.add("groups")
        elif re.fullmatch(r"[a-z][a-z0-9]*", part) and not re.fullmatch(r"(m|se)\d+", part):
            found.add(part)
    return frozenset(found)
