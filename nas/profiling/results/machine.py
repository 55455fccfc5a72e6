"""Whether results come from the machine that a device profile is of."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nas.device.info import About
from nas.errors import UserError
from nas.profiling.results.results import CLOCKS, Results


@dataclass(frozen=True, slots=True)
class Identity:
    """What a machine says that it is. `board` is None where it has no name; `architecture` is x86_64, aarch64 ..."""

    processor: str
    board: str | None
    system: str
    architecture: str

    @property
    def name(self) -> str:
        """The board, as `board` of profile.toml has it."""
        return self.board or f"{self.system} {self.architecture}"

    @property
    def known(self) -> bool:
        """Whether it names its board or its processor; an architecture names neither."""
        return self.board is not None or self.processor not in ("", "unknown", self.architecture)

    def __str__(self) -> str:
        return f"{self.name}, {self.processor}"


def identity_of(results: Results) -> Identity:
    """What the machine that was measured says that it is."""
    m = results.machine
    return Identity(m.processor, m.board, m.system, m.machine)


def require_device(about: About, machine: Identity, where: str) -> None:
    """Raises UserError unless `machine`, which the user calls `where`, is of the same kind as the profile's device."""
    if not is_device(about, machine):
        device = ", ".join(filter(None, (about.board, about.soc)))
        raise UserError(
            f"{where} ({machine}) is not the device of {about.name} ({device}): measure on that device, with "
            f"--ssh USER@HOST, or search again with a profile of this one (nas profile)"
        )


def is_device(about: About, machine: Identity) -> bool:
    """Whether a profile's board or processor is this machine's.

    A profile that `nas profile` measured has both in the machine's own words. One that was typed by hand is the
    machine's where it names its board ("Raspberry Pi 4 Model B" for "Raspberry Pi 4 Model B Rev 1.4") or its model of
    processor ("Intel Xeon Gold 6240" for "Intel(R) Xeon(R) Gold 6240 CPU @ 2.60GHz").
    """
    soc = about.soc or ""
    if (about.board, soc) == (machine.name, machine.processor):
        return True
    named = machine.processor not in ("", "unknown", machine.architecture)
    if named and (soc == machine.processor or _same_model(soc, machine.processor)):
        return True
    return machine.board is not None and _same_model(about.board, machine.board)


def _same_model(typed: str, own: str) -> bool:
    """Whether one text begins with the words of the other, a number that tells models apart among them."""
    one, other = sorted((_model(typed), _model(own)), key=len)
    return one == other[: len(one)] and any(re.search(r"\d", word) for word in one) and len(one) > 1


def _model(text: str) -> list[str]:
    """The words that name a model: without what follows a comma, brackets, trademarks, the clock, and the revision."""
    plain = re.sub(r"\(.*?\)|\bcpu\b|\bprocessor\b|@.*|\brev\b.*", " ", text.split(",")[0].casefold())
    return re.findall(r"[a-z0-9]+", plain)


def same_machine(about: About, results: Results) -> bool:
    """Whether a profile was measured on the results' machine and in the same way: then only its speed differs."""
    m = results.machine
    there = (about.reference, about.soc, about.runtime, about.threads, about.clock)
    return about.reference is not None and there == (
        results.reference, m.processor, m.runtime, m.threads, CLOCKS[m.clock],
    )  # fmt: skip
