"""Two device profiles side by side: what differs in them, block by block, and on whole networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from nas.device.compare.agreement import rank_correlation
from nas.device.cost import price
from nas.device.profile import DeviceProfile
from nas.space.block_table import block_table
from nas.space.layer import Precision
from nas.space.search_space import SearchSpace

DRAWS = 20
LARGEST = 5  # differences that are named
PLAIN = frozenset({"name", "command", "source", "date"})  # differ between any two profiles, and say nothing of cost


@dataclass(frozen=True, slots=True)
class Ratios:
    """The second profile's times over the first's, of n things that both have.

    `low` and `high` bound the central 90%, `off` is the mean of |ratio - 1| and `most` the largest; `largest` names
    the ratios farthest from 1, worst first, halves as far as doubles.
    """

    n: int
    median: float
    low: float
    high: float
    off: float
    most: float
    largest: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class SpaceRatios:
    """Predicted times of random networks of a space. `unpriced`: those passed over as one of the two has no price."""

    ratios: Ratios | None
    spearman: float | None
    unpriced: int


def compare(first: Mapping[str, float], second: Mapping[str, float]) -> Ratios | None:
    """Ratios of what both have, by name; None where they have nothing in common. Values are above 0."""
    both = {name: second[name] / value for name, value in first.items() if name in second}
    if not both:
        return None
    ratio = np.array(list(both.values()))
    low, high = np.quantile(ratio, [0.05, 0.95])
    worst = sorted(both.items(), key=lambda item: -abs(np.log(item[1])))[:LARGEST]
    off = np.abs(ratio - 1)
    return Ratios(
        len(both), float(np.median(ratio)), float(low), float(high), float(off.mean()), float(off.max()), tuple(worst)
    )


def common_precisions(first: DeviceProfile, second: DeviceProfile) -> tuple[Precision, ...]:
    return tuple(p for p in first.precisions if p in second.precisions)


def block_ratios(first: DeviceProfile, second: DeviceProfile) -> dict[Precision, Ratios]:
    """By precision, of the blocks measured on both."""

    def times(profile: DeviceProfile, precision: Precision) -> dict[str, float]:
        return {t.block: t.median_ms for t in profile.lookup_table if t.precision == precision}

    found = {p: compare(times(first, p), times(second, p)) for p in common_precisions(first, second)}
    return {p: ratios for p, ratios in found.items() if ratios}


def network_ratios(first: DeviceProfile, second: DeviceProfile) -> dict[Precision, Ratios]:
    """By precision, of the measured times of whole networks that both profiles were checked on."""

    def times(profile: DeviceProfile, precision: Precision) -> dict[str, float]:
        return {row.network: row.measured_ms for row in profile.validation if row.precision == precision}

    found = {p: compare(times(first, p), times(second, p)) for p in common_precisions(first, second)}
    return {p: ratios for p, ratios in found.items() if ratios}


def slower(first: DeviceProfile, second: DeviceProfile) -> dict[Precision, float]:
    """By what factor the machine was slower for the second profile, by precision; none without a shared reference.

    Also none where the two are not of one processor with as many threads: their times then differ by
    more than the machine's speed.
    """
    one, other = first.about, second.about
    if not one.reference or (one.reference, one.soc, one.threads) != (other.reference, other.soc, other.threads):
        return {}
    return {p: ms / one.reference_ms[p] for p, ms in other.reference_ms.items() if p in one.reference_ms}


def space_ratios(
    first: DeviceProfile, second: DeviceProfile, space: SearchSpace, networks: int, seed: int,
    speed: Mapping[Precision, float] = MappingProxyType({}),
) -> dict[Precision, SpaceRatios]:  # fmt: skip
    """By precision that both have, of predicted times of random networks of the space.

    Each choice is drawn on its own, with the seed. The first `networks` that both can price are taken, out of DRAWS
    times as many: a profile of one resolution prices few networks of a space with many. The second profile's times are
    divided by `speed`: with `slower`, both are at one speed of the machine.
    """
    codes = space.sample_codes(DRAWS * networks, np.random.default_rng(seed))
    table = block_table(space, codes)
    found: dict[Precision, SpaceRatios] = {}
    for precision in common_precisions(first, second):
        ours, theirs = (price(profile, table, precision).latency_ms for profile in (first, second))
        priced = np.flatnonzero(np.isfinite(ours) & np.isfinite(theirs))[:networks]
        drawn = int(priced[-1]) + 1 if len(priced) == networks else len(codes)
        theirs = theirs / speed.get(precision, 1.0)
        one, other = ({f"draw {i}": float(ms[i]) for i in priced} for ms in (ours, theirs))
        spearman = rank_correlation(list(one.values()), list(other.values()))
        found[precision] = SpaceRatios(compare(one, other), spearman, drawn - len(priced))
    return found


def differences(first: DeviceProfile, second: DeviceProfile) -> list[tuple[str, str, str]]:
    """(key, first's, second's) of what the two profile.toml say differently of cost; '-' where one is silent."""

    def said(profile: DeviceProfile) -> dict[str, str]:
        about = profile.about.model_dump(exclude_none=True, exclude=set(PLAIN) | {"calibration"})
        lines = {f"calibration {p}": str(line) for p, line in profile.about.calibration.items()}
        plain = {k: ", ".join(v) if isinstance(v, list) else str(v) for k, v in about.items()}
        return plain | {"predicts from": profile.basis} | lines

    ours, theirs = said(first), said(second)
    keys = dict.fromkeys([*ours, *theirs])
    return [(k, ours.get(k) or "-", theirs.get(k) or "-") for k in keys if ours.get(k) != theirs.get(k)]


def verdict(found: Mapping[Precision, Ratios], within: float, what: str) -> tuple[bool | None, str]:
    """Whether times agree within a fraction, on average in every precision, and the line that says so.

    None where nothing is in common. `what` names the things compared, such as "whole networks".
    """
    if not found:
        return None, f"no {what} in common: whether they agree is not known"
    bound = f"within {100 * within:g}%"
    apart = {p: r for p, r in found.items() if r.off > within}
    if not apart:
        most = max(r.most for r in found.values())
        each = ", ".join(f"{p} {100 * r.off:.1f}%" for p, r in found.items())
        total = sum(r.n for r in found.values())
        return True, f"agree {bound} on {total} {what}: {each} on average, at most {100 * most:.1f}%"
    said = (
        f"{p} {100 * r.off:.1f}% on average over {r.n}, worst {100 * (r.largest[0][1] - 1):+.1f}% ({r.largest[0][0]})"
        for p, r in apart.items()
    )
    return False, f"do NOT agree {bound} on {what}: {'; '.join(said)}"
