"""How fast this machine trains candidates of a search: a few steps are timed before it is planned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from nas.search.plan import Images, Speed

if TYPE_CHECKING:
    from nas.estimate.proxy import ProxyTraining
    from nas.search.problem.feasibility import Pool
    from nas.space.network import Network
    from nas.space.search_space import SearchSpace

PLACES = (0.5, 0.9, 0.1, 0.7, 0.3)  # in the range of the feasible candidates' MACs, in logarithms: those that are timed
EPOCHS = 3  # of STEPS each; the first warms up, of the others the faster counts
STEPS = 4
EVALUATION = 0.25  # of a step with its validation: a third of what forward and backward take


def timed_candidates(pool: Pool, space: SearchSpace, classes: int) -> Iterable[Network]:
    """Feasible candidates from small to large, the middle one first.

    Spread over the range of MACs, as those are that a search proposes: along a front there are many more large ones
    than among random candidates.
    """
    sizes = np.log(np.maximum(pool.columns["macs"], 1.0))
    for place in PLACES:
        code = pool.codes[np.abs(sizes - (sizes.min() + place * np.ptp(sizes))).argmin()]
        yield space.network(space.canonical(space.decode(code)), classes)


def typical(candidates: Sequence[Network]) -> Network:
    """The one of them whose MACs are nearest to their mean: it trains about as long as they do on average."""
    mean = fmean(network.macs for network in candidates)
    return min(candidates, key=lambda network: abs(network.macs - mean))


def measure_speed(
    proxy: ProxyTraining, networks: Iterable[Network], batch: int, most_s: float, *, threads: int | None = None
) -> Speed:
    """Times steps of `batch` images of these networks, of one at least, in about `most_s` seconds.

    Each network is timed at its own resolution and, where the fidelity has one, at the small resolution; where the
    seconds are over, that is taken to be as much faster as it has fewer pixels.
    """
    import torch

    end, before = perf_counter() + most_s, torch.get_num_threads()
    torch.set_num_threads(threads or before)
    found: list[tuple[float, float, float]] = []
    for network in networks:
        if found and perf_counter() > end:
            break
        resolution = network.input_shape[1]
        own, first = _step(proxy, network, resolution, batch, end)
        small = proxy.fidelity.small_resolution(network)
        less = own * (small / resolution) ** 2
        if small < resolution and perf_counter() < end:
            less, _ = _step(proxy, network, small, batch, end)
        found.append((own, less, first))
    torch.set_num_threads(before)
    own, less, first = (fmean(column) for column in zip(*found, strict=True))
    return Speed((1 - EVALUATION) * own, (1 - EVALUATION) * less, EVALUATION * own, first)


def measure_training(proxy: ProxyTraining, network: Network, *, threads: int | None = None) -> float:
    """Seconds of a whole training of a network. Raises what `ProxyTraining.estimate` raises."""
    import torch

    begun, before = perf_counter(), torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        proxy.estimate(network, {}, seed=0)
    finally:
        torch.set_num_threads(before)
    return perf_counter() - begun


def fastest_threads(proxy: ProxyTraining, network: Network, batch: int) -> int:
    """All of torch's threads, or one where that is faster: on a busy machine they wait long for each other."""
    import torch

    every = torch.get_num_threads()
    seconds = {}
    for threads in sorted({1, every}):
        torch.set_num_threads(threads)
        seconds[threads], _ = _step(proxy, network, network.input_shape[1], batch, 0.0)
    torch.set_num_threads(every)
    return min(seconds, key=lambda threads: seconds[threads])


def images_of(proxy: ProxyTraining, precisions: Iterable[str]) -> Images:
    """How many images a training of the fidelity sees; half of the candidates are quantized where some can be."""
    from nas.estimate.proxy import CALIBRATION_IMAGES
    from nas.train.rounding import CALIBRATION_IMAGES as RANGE_IMAGES

    train, validation = len(proxy.dataset.train), len(proxy.dataset.validation)
    named = list(precisions)
    rounded = sum(p != "fp32" for p in named) / max(1, len(named))
    others = min(train, CALIBRATION_IMAGES) + rounded * min(train, RANGE_IMAGES)
    return Images(train, validation, round(others), rounded, boxes=proxy.dataset.task == "detection")


def _step(proxy: ProxyTraining, network: Network, resolution: int, batch: int, end: float) -> tuple[float, float]:
    """Seconds of an image in a step, its validation included, and how much longer the first steps take.

    After the time `end` of `perf_counter` there are no steps but those that are needed.
    """
    from nas.models.builder import build
    from nas.tasks.by_name import task_of
    from nas.train.loop import fit, spread
    from nas.train.recipe import recipe

    begun = perf_counter()
    images = proxy.dataset.train.subset(spread(len(proxy.dataset.train), STEPS * batch))
    batch = max(2, min(batch, len(images)))
    chosen = recipe({"learning_rate": 1e-6}, epochs=EPOCHS, batch_size=batch, resolution=resolution)
    task = task_of(proxy.dataset.task, proxy.dataset.classes, network)
    curve = fit(
        build(network), task, images, images, chosen, seed=0, device=proxy.device,
        on_epoch=lambda number, epoch: number > 1 and perf_counter() > end,
    )  # fmt: skip
    whole = perf_counter() - begun
    epoch_s = min(epoch.seconds for epoch in curve[1:])
    return epoch_s / len(images), max(0.0, whole - len(curve) * epoch_s)
