"""What a new board may charge before it is measured, and what measured networks make of it: Gaussians over tables."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from nas.device.adapt.known_devices import Library
from nas.device.counts import total_counts
from nas.errors import UserError

# Standard deviations as shares of a network's cost, in the order: known devices, work, layers of each kind, single
# blocks. Coarse and wide: measurements weigh them anew for each board. Their form was chosen on HELP's FBNet table, as
# experiments/new-board says.
SPREADS = ((0.05, 0.2, 0.6), (0.03, 0.15, 0.7), (0.03, 0.15, 0.7), (0.02, 0.12))
NOISES = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16)


@dataclass(frozen=True, eq=False)
class Prior:
    """What a board may charge, as tables (blocks + 1,) scaled so that a network of the pool costs 1 on average."""

    names: tuple[str, ...]
    anchors: np.ndarray  # (d + 2, blocks + 1): the known devices, their mean, only the layers; (1, ...) of no device
    devices: np.ndarray  # (d, blocks + 1)
    work: np.ndarray  # (w, blocks + 1): counts, MACs
    layers: np.ndarray  # (k, blocks + 1): layers by kind, and what is paid once

    @classmethod
    def of(cls, library: Library, uses: np.ndarray) -> Prior:
        """`uses` (n, blocks + 1) of the pool. Raises UserError where all its networks are alike."""

        def scaled(tables: np.ndarray) -> np.ndarray:
            """Without those that are the same for every network, which what is paid once stands for."""
            networks = uses @ tables.T
            varied = np.ptp(networks, axis=0) > 1e-9 * np.abs(networks).max(axis=0)
            return np.asarray(tables[varied] / networks[:, varied].mean(axis=0)[:, None])

        layers = [block.layers for block in library.blocks]
        kinds = sorted({layer.kind for of_block in layers for layer in of_block})
        counts = np.array([total_counts(of_block, library.precision) for of_block in layers]).T
        macs = np.array([[sum(layer.macs for layer in of_block) for of_block in layers]])
        kind_counts = np.array(
            [[sum(layer.kind == kind for layer in of_block) for of_block in layers] for kind in kinds]
        )
        once = np.eye(1, uses.shape[1], uses.shape[1] - 1)
        work = scaled(np.pad(np.vstack([counts, macs]), ((0, 0), (0, 1))))
        by_kind = np.vstack([scaled(np.pad(kind_counts, ((0, 0), (0, 1)))), once])
        devices = library.tables / (uses @ library.tables.T).mean(axis=0)[:, None]
        if not len(work):
            raise UserError(f"the networks of a pool must differ in work; these {len(uses)} are alike")
        bare = (work.mean(axis=0) + by_kind.mean(axis=0))[None] / 2
        if not len(devices):
            return cls(("layers",), bare, devices, work, by_kind)
        anchors = np.vstack([devices, devices.mean(axis=0), bare])
        return cls((*library.names, "mean of all", "layers"), anchors, devices, work, by_kind)

    @property
    def centre(self) -> np.ndarray:
        """The known devices' mean, or only the layers."""
        return np.asarray(self.anchors[max(0, len(self.anchors) - 2)])

    def ways(self, anchor: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """How a board may differ from the anchor: tables in three groups, each a direction of unit variance.

        A fourth is block by block: each block's own cost is such a direction.
        """
        others = (self.devices - anchor) / np.sqrt(max(1, len(self.devices)))
        return others, self.work / np.sqrt(len(self.work)), self.layers / np.sqrt(len(self.layers))

    def kernels(self, anchor: np.ndarray, networks: np.ndarray) -> np.ndarray:
        """Covariances of n networks (n, blocks + 1) in each of the four ways, (4, n, n)."""
        seen = [*(networks @ way.T for way in self.ways(anchor)), networks * anchor]
        return np.array([x @ x.T for x in seen])


@dataclass(frozen=True, eq=False)
class Answers:
    """Around one anchor: the answers of g combinations of SPREADS and t NOISES to n networks that should cost 1."""

    prior: Prior
    anchor: np.ndarray
    relative: np.ndarray  # (n, blocks + 1)
    pull: np.ndarray  # (g, t, n): inverse covariance times what the anchor leaves unexplained
    evidence: np.ndarray  # (g, t): log marginal likelihood
    evidence_without: np.ndarray  # (g, t, n): the same without one network
    left_out: np.ndarray  # (g, t, n): what that network is then predicted to cost
    surprise: np.ndarray  # (g, t, n): that error squared, over its variance were the network as noisy as most

    @classmethod
    def of(cls, prior: Prior, anchor: np.ndarray, relative: np.ndarray, slack: np.ndarray) -> Answers:
        relative = relative / slack[:, None]
        along = relative @ anchor  # its scale is as good as free: standard deviation 1
        covariance = np.tensordot(_variances(), prior.kernels(anchor, relative), 1) + np.outer(along, along)
        values, vectors = np.linalg.eigh(covariance)
        inverse = 1 / (np.maximum(values, 0)[:, None] + np.square(NOISES)[:, None])  # (g, t, n)
        turned = np.einsum("gij,i->gj", vectors, 1 / slack - along)
        pull = np.einsum("gij,gtj,gj->gti", vectors, inverse, turned)
        evidence = 0.5 * (np.log(inverse) - inverse * turned[:, None] ** 2).sum(axis=2)
        precision = np.einsum("gij,gtj->gti", vectors**2, inverse)  # of one network, given the others (Rasmussen &
        own = 0.5 * (np.log(precision) - pull**2 / precision)  # Williams, Gaussian Processes for ML, 2006, 5.4.2)
        noise = np.square(NOISES)[:, None]
        surprise = (pull / precision) ** 2 / (1 / precision - noise + noise / slack**2)
        left_out = 1 - slack * pull / precision
        return cls(prior, anchor, relative, pull, evidence, evidence[..., None] - own, left_out, surprise)

    def table(self, shares: np.ndarray) -> np.ndarray:
        """The share-weighted sum of the tables, (blocks + 1,); `shares` (g, t)."""
        pull = (shares[..., None] * self.pull).sum(axis=1)
        by_network = _variances().T @ pull @ self.relative  # (4, blocks + 1)
        scale = shares.sum() + float(self.relative @ self.anchor @ pull.sum(axis=0))
        found = scale * self.anchor + self.anchor**2 * by_network[3]
        for way, weight in zip(self.prior.ways(self.anchor), by_network[:3], strict=True):
            found = found + way.T @ (way @ weight)
        return np.asarray(found)


def _variances() -> np.ndarray:
    """All combinations of SPREADS, squared: (g, 4)."""
    return np.square(list(product(*SPREADS)))
