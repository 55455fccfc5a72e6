"""How often does the accuracy of int8 change a front of mobilenet-v3? A row a network; see README.md.

    python rounding.py npz:cifar10.npz [--networks 16] [--out rounding.csv]

Random networks of the space are trained shortly with the default recipe; of the same weights the accuracy on the same
validation images is measured in fp32, and as fp16 and int8 round it. Appends to rounding.csv; networks that are there
already are left out. At the end the tables are printed, from the CSV alone.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import kendalltau

from nas.data.catalog import load_dataset
from nas.device.profile import DeviceProfile, load_device
from nas.estimate.chance import AtChance
from nas.estimate.fidelity import Fidelity
from nas.estimate.proxy import ProxyTraining
from nas.files.csv import append_rows, read_appended
from nas.models.trained import TrainedModel
from nas.pareto import Array, non_dominated
from nas.search.problem.costs import network_costs
from nas.space.candidate import Candidate
from nas.space.hyperparameters import HYPERPARAMETERS
from nas.space.layer import Precision
from nas.space.network import Network
from nas.space.search_space import SearchSpace, load_space
from nas.space.stage import as_options
from nas.train.loop import EVALUATION_PIXELS, normalize, spread
from nas.train.rounding import quantized

PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
COLUMNS = (
    "network", "resolution", "macs_m", "latency_fp32_ms", "latency_int8_ms", "images", "fp32", "fp16", "int8",
    "lost", "gained", "train_s", "measure_s",
)  # fmt: skip  # lost, gained: images that fp32 alone, and int8 alone, gets right; fp32 is empty for one at chance
WATCHED = 200  # validation images that the training itself looks at; the accuracies are of others
DRAWS = 10_000


def candidates(space: SearchSpace, seed: int) -> list[tuple[Candidate, Network]]:
    """Random distinct architectures, without hyperparameters: all are trained with the recipe's defaults."""
    rng, found = np.random.default_rng(seed), {}
    while len(found) < 64:
        values = space.canonical(space.sample(rng)).as_dict()
        plain = Candidate.of({n: v for n, v in values.items() if n not in (*HYPERPARAMETERS, "precision")})
        found.setdefault(plain.digest, (plain, space.network(space.canonical(Candidate.of(values)), 10)))
    return list(found.values())


@torch.no_grad()
def right(model: TrainedModel, precision: Precision, proxy: ProxyTraining, chosen: torch.Tensor) -> NDArray[np.bool_]:
    """Which of these validation images (n,) the network gets right in a precision."""
    resolution, split = model.preprocessing.resolution, proxy.dataset.validation.subset(chosen)
    module = model.module().to(memory_format=torch.channels_last).eval()
    deployed = quantized(module, precision, proxy.train, resolution)
    batches = torch.arange(len(split)).split(max(1, EVALUATION_PIXELS // resolution**2))
    answers = [deployed(normalize(split.images.take(batch, resolution))).argmax(1) for batch in batches]
    return (torch.cat(answers) == split.labels).numpy()


def measured(
    name: str, network: Network, device: DeviceProfile, proxy: ProxyTraining, images: torch.Tensor
) -> tuple[object, ...]:
    """The row of one network. Its seed is its number."""
    latency = [network_costs(device, network, p).latency_ms for p in ("fp32", "int8")]
    facts = (name, network.input_shape[1], f"{network.macs / 1e6:.1f}", *(f"{ms:.3f}" for ms in latency), len(images))
    few = replace(proxy, dataset=replace(proxy.dataset, validation=proxy.dataset.validation.subset(images[:WATCHED])))
    begun = perf_counter()
    try:
        model = few.estimate(network, {}, seed=int(name)).model
    except (AtChance, FloatingPointError) as error:
        print(name, error, flush=True)
        return (*facts, "", "", "", "", "", f"{perf_counter() - begun:.1f}", "")
    assert model is not None
    trained = perf_counter()
    fp32, fp16, int8 = (right(model, p, proxy, images) for p in PRECISIONS)
    return (
        *facts, *(f"{hit.mean():.4f}" for hit in (fp32, fp16, int8)), (fp32 & ~int8).sum(), (int8 & ~fp32).sum(),
        f"{trained - begun:.1f}", f"{perf_counter() - trained:.1f}",
    )  # fmt: skip


def fronts(rows: Array, accuracies: Array, offered: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of the candidates (n, 2: fp32 and int8 of each network) are on the front of those offered."""
    found = np.zeros(accuracies.size, dtype=bool)
    points = np.stack([1 - accuracies.ravel(), rows[:, :2].ravel()], axis=1)
    places = np.flatnonzero(offered.ravel())
    found[places] = non_dominated(points[places])
    return found.reshape(accuracies.shape)


def report(rows: Array, images: int, draws: int) -> None:
    """Prints what int8 loses, and how often a front changes; rows (n, 7): latencies, accuracies, lost, gained."""
    fp32, fp16, int8 = rows[:, 2:5].T
    loss, half = 100 * (fp32 - int8), 100 * np.abs(fp32 - fp16)
    flips, noise = rows[:, 5:].sum(1), 100 * np.sqrt(rows[:, 5:].sum(1) / images**2)
    tau = kendalltau(fp32, int8).statistic
    print(f"{len(rows)} networks, {images} images, fp32 from {100 * fp32.min():.1f} to {100 * fp32.max():.1f}%")
    print(f"fp16: {half.mean():.2f} points away on average, {half.max():.2f} at most")
    print(
        f"int8: loses {loss.mean():.2f} points on average (from {loss.min():.2f} to {loss.max():.2f}, standard "
        f"deviation {loss.std(ddof=1):.2f}; so few images alone give {np.sqrt((noise**2).mean()):.2f}); "
        f"{100 * (flips / images).mean():.1f}% of the images change sides; tau of fp32 and int8 {tau:.2f}"
    )
    true, assumed = np.stack([fp32, int8], axis=1), np.stack([fp32, fp32], axis=1)
    rng, n = np.random.default_rng(0), len(rows)
    print("\n| offered | trusted for the accuracies | front changes | members in it | wrong | missing |", end="")
    print(" promised and not there, mean and worst point |\n|---|---|---|---|---|---|---|")
    for offer in ("each network in one precision", "half of the networks in both"):
        for what in ("int8 as accurate as fp32", "another draw of as many images"):
            changed, size, wrong, missing, promised, worst = 0, 0, 0, 0, [], []
            for _ in range(draws):
                if offer.startswith("each"):
                    offered = np.eye(2, dtype=bool)[rng.integers(2, size=n)]
                else:
                    offered = np.zeros((n, 2), dtype=bool)
                    offered[rng.choice(n, n // 2, replace=False)] = True
                trusted = assumed if what.startswith("int8") else rng.binomial(images, true) / images
                believed, there = fronts(rows, trusted, offered), fronts(rows, true, offered)
                changed += bool((believed != there).any())
                size += believed.sum()
                wrong += (believed & ~there).sum()
                missing += (there & ~believed).sum()
                promised.append(100 * (trusted - true)[believed].mean())
                worst.append(100 * (trusted - true)[believed].max())
            shares = [f"{x / draws:.2f}" for x in (size, wrong, missing)]
            ends = f"{np.mean(promised):.2f}, {np.mean(worst):.2f}"
            print(f"| {offer} | {what} | {changed / draws:.0%} | {' | '.join(shares)} | {ends} |")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("dataset")
    parser.add_argument("--device", default="raspberry-pi-4")
    parser.add_argument("--space", default="mobilenet-v3")
    parser.add_argument("--largest", type=int, default=160, help="pixels: larger resolutions of the space are left out")
    parser.add_argument("--networks", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train-images", type=int, default=2400)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--images", type=int, default=1000, help="of the validation split")
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--out", type=Path, default=Path("rounding.csv"))
    given = parser.parse_args()
    space, device = load_space(given.space), load_device(given.device)
    kept_sizes = [r for r in as_options(space.table.resolution) if r <= given.largest]
    space = SearchSpace(space.table.model_copy(update={"resolution": kept_sizes}), space.fingerprint, space.text)
    data = load_dataset(given.dataset, seed=given.seed)
    fidelity = replace(
        Fidelity(**space.proxy.model_dump()), epochs=given.epochs, batch_size=given.batch_size,
        data_share=min(1.0, given.train_images / len(data.train)),
    )  # fmt: skip
    proxy = ProxyTraining(data, fidelity, seed=given.seed)
    images = spread(len(data.validation), given.images)
    there = {row["network"] for _, row in read_appended(given.out, COLUMNS, "rounding.py")}
    for number, (_, network) in enumerate(candidates(space, given.seed)[: given.networks]):
        if str(number) not in there:
            row = measured(str(number), network, device, proxy, images)
            append_rows(given.out, COLUMNS, [row])
            print(*row, flush=True)
    kept = [row for _, row in read_appended(given.out, COLUMNS, "rounding.py") if row["fp32"]]
    if len(kept) > 3:
        names = ("latency_fp32_ms", "latency_int8_ms", *PRECISIONS, "lost", "gained")
        report(np.array([[float(row[n]) for n in names] for row in kept]), int(kept[0]["images"]), given.draws)


if __name__ == "__main__":
    main()
