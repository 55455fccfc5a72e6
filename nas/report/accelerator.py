"""What a run's page says of the accelerator: which layers stay on the CPU, and which choices left the space."""

from __future__ import annotations

from nas.device.parts import layer_name
from nas.device.profile import load_device
from nas.device.support.narrow import for_target
from nas.device.support.target import target_of
from nas.errors import UserError
from nas.run import Run
from nas.space.layer import PRECISIONS
from nas.space.search_space import load_space

NAMED = 5  # layers of one network that stay on the CPU


def accelerator_notes(run: Run) -> list[str]:
    """A sentence each; none where the run had no target."""
    s = run.settings
    if not s.target:
        return []
    try:
        target = target_of(load_device(s.device), s.target)
        space = load_space(s.space)
        searched = for_target(space, tuple(p for p in PRECISIONS if p in s.precisions), target, s.classes)
    except UserError as error:
        return [f"The accelerator's layers cannot be shown: {error}."]
    if target is None or (target.sha256, space.fingerprint) != (s.target_sha256, s.space_sha256):
        return ["The accelerator's layers cannot be shown: its rules, or the space, have changed since this run."]
    rules = target.rules
    front = [(t.trial, space.network(t.candidate, s.classes)) for t in run.front_trials]
    split = {trial: found for trial, network in front if (found := target.on_cpu(network))}
    said = [
        f"Target: {rules.title} (rules of {rules.date}). "
        + (f"{len(split)} of {len(front)} networks on the front leave" if split else
           "Every network on the front runs on it as a whole: none leaves")
        + " layers on the CPU."
    ]  # fmt: skip
    for trial, found in split.items():
        layers = "; ".join(f"{layer_name(x.layer)} ({x.rule})" for x in found[:NAMED])
        more = f"; and {len(found) - NAMED} more" if len(found) > NAMED else ""
        said.append(f"Trial {trial}, on the CPU: {layers}{more}.")
    return said + [f"{line}." for line in searched.removed]
