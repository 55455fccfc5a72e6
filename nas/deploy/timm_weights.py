"""Pretrained weights of timm's models: where they are kept, and networks of a run that can begin with them."""

from __future__ import annotations

import contextlib
import io
import logging
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies

from nas.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from nas.models.trained import TrainedModel

WEIGHTS = "model.safetensors"  # of a timm model; never a pickle
REACHED_S = 3.0  # seconds that a connection may take
CLASSIFIER = "classifier."  # it is drawn anew: the classes are others
FROM = "pretrained weights of timm:"  # and a name: a step in a model's lineage
MODELS = (
    "mobilenetv2_050", "mobilenetv2_100", "mobilenetv2_140", "mobilenetv3_small_050", "mobilenetv3_small_075",
    "mobilenetv3_small_100", "mobilenetv3_large_100", "efficientnet_lite0", "efficientnet_b0", "efficientnet_b1",
    "mnasnet_100", "semnasnet_100", "fbnetc_100", "spnasnet_100",
)  # fmt: skip


def downloaded(repository: str, what: str, instead: str) -> str:
    """The file of pretrained weights, from the user's cache where it is there.

    Raises UserError for `what` needs them, within seconds, where they cannot be had; `instead` is what else to do.
    """
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache

    kept = try_to_load_from_cache(repository, WEIGHTS)
    if isinstance(kept, str):
        return kept
    where = urlsplit(constants.ENDPOINT)
    try:
        if not getproxies():  # else a connection of our own says nothing
            socket.create_connection((where.hostname or "", where.port or 443), timeout=REACHED_S).close()
        with _quiet():
            return hf_hub_download(repository, WEIGHTS)
    except Exception as error:  # of the library, and of the one that it asks the network with
        raise UserError(
            f"{what}: its pretrained weights must be downloaded from {where.hostname}, which failed "
            f"({str(error)[:200]}); {instead}"
        ) from None


def pretrained(model: TrainedModel) -> TrainedModel:
    """`model`, whose network is one of timm's, with timm's pretrained weights and a classifier of its own.

    timm's images have the mean and deviation of ImageNet's, ours -1 to 1: the first convolution and the statistics of
    the batch norm behind it are changed so that they see the same, but for the border, which is padded with ImageNet's
    mean there and with grey here. Raises UserError where timm has no such network, or its weights cannot be had.
    """
    import timm
    import torch
    from safetensors.torch import load_file

    module = model.module()
    name = timm_name(module)
    if name is None:
        raise UserError(f"the network is not one of timm's ({', '.join(MODELS)}), so it has no pretrained weights")
    about = timm.models.get_pretrained_cfg(name)
    if about is None or not about.hf_hub_id:
        raise UserError(f"timm has no pretrained weights of {name}")
    file = downloaded(str(about.hf_hub_id), f"timm:{name}", "leave --pretrained out")
    theirs = {key: value for key, value in load_file(file).items() if not key.startswith(CLASSIFIER)}
    ours = dict(model.weights)
    if {key: v.shape for key, v in theirs.items()} != {
        key: v.shape for key, v in ours.items() if not key.startswith(CLASSIFIER)
    }:
        raise UserError(f"{file}: must hold the weights of {name}; its names or shapes are others")
    mean, std = torch.tensor(about.mean), torch.tensor(about.std)
    _as_ours(theirs, mean, std)
    lineage = replace(model.lineage, steps=(*model.lineage.steps, FROM + name))
    return replace(model, weights=ours | theirs, lineage=lineage)


def timm_name(module: nn.Module) -> str | None:
    """The name of the timm model that a module is, but for its classifier; None where it is none of `MODELS`."""
    import timm
    import torch

    ours = _signature(module)
    for name in MODELS:
        with torch.device("meta"):
            theirs = timm.create_model(name, pretrained=False)
        if _signature(theirs) == ours:
            return name
    return None


def _signature(module: nn.Module) -> list[tuple[object, ...]]:
    """Weights by name and shape, and what a convolution or an activation does, in order; without the classifier."""
    from torch import nn

    weights = [(name, tuple(w.shape)) for name, w in module.state_dict().items() if not name.startswith(CLASSIFIER)]
    convs = [(m.kernel_size, m.stride, m.groups, m.padding) for m in module.modules() if isinstance(m, nn.Conv2d)]
    kinds = (nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU, nn.Hardsigmoid, nn.Sigmoid)
    return [*weights, *convs, *((type(m).__name__,) for m in module.modules() if isinstance(m, kinds))]


def _as_ours(weights: dict[str, Tensor], mean: Tensor, std: Tensor) -> None:
    """Changes the stem in place, so that it takes images from -1 to 1 for those of (value from 0 to 1 - mean) / std."""
    stem = weights["conv_stem.weight"]
    offset = (stem * ((0.5 - mean) / std).view(1, 3, 1, 1)).sum((1, 2, 3))  # of grey, 0 of ours
    weights["conv_stem.weight"] = stem * (0.5 / std).view(1, 3, 1, 1)
    weights["bn1.running_mean"] = weights["bn1.running_mean"] - offset


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """A download that fails is said once, and not by the library too."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(level)
