"""What a device profile predicts for a deployed network, and whether this keeps a run's budgets."""

from __future__ import annotations

from nas.deploy.card import Predicted
from nas.device.cost import predict
from nas.device.profile import DeviceProfile, load_device
from nas.errors import UserError
from nas.space.layer import Precision
from nas.space.network import Network


def device_or_none(name: str) -> DeviceProfile | None:
    """The device profile of that name; None where it is not here, or cannot be read."""
    try:
        return load_device(name)
    except UserError:
        return None


def predicted_for(profile: DeviceProfile | None, network: Network, precision: Precision) -> Predicted | None:
    """The costs of a network in a precision; None without a profile, without latency where it lacks the precision."""
    if profile is None:
        return None
    weights, activations = network.size_mb(precision), network.peak_memory_mb(precision)
    bare = Predicted(device=profile.name, runtime=profile.about.runtime, weights_mb=weights, activations_mb=activations)
    if precision not in profile.precisions:
        return bare
    found = predict(profile, network, precision)
    if found.latency_partial or found.latency_ms is None:
        return bare
    low, high = found.latency_interval_ms or (None, None)
    return Predicted(
        device=profile.name, runtime=profile.about.runtime, latency_ms=found.latency_ms,
        latency_low_ms=low, latency_high_ms=high,
        latency_basis=found.latency_basis, energy_mj=None if found.energy_partial else found.energy_mj,
        weights_mb=weights, activations_mb=activations,
    )  # fmt: skip
