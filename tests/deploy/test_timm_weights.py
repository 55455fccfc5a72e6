"""Networks of ours that are timm's begin with timm's weights, and see the same images as timm's own."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from nas.deploy.timm_weights import MODELS, pretrained, timm_name
from nas.errors import UserError
from nas.models.builder import build
from nas.models.trained import Lineage, Preprocessing, TrainedModel
from nas.space.reference import reference_network
from tests.train.lessons import small_network


def model_of(name: str, resolution: int = 64) -> TrainedModel:
    network = reference_network(name, resolution=resolution, classes=10)
    weights, classes = build(network, seed=4).state_dict(), tuple("0123456789")
    return TrainedModel(
        network, weights, "classification", classes, Preprocessing(resolution), lineage=Lineage("r", 7)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("ours", "name"),
    [
        ("mobilenet_v2", "mobilenetv2_100"),
        ("mobilenet_v3_small", "mobilenetv3_small_100"),
        ("efficientnet_lite0", "efficientnet_lite0"),
    ],
)
def test_reference_networks_are_found_by_their_names(ours: str, name: str) -> None:
    assert name in MODELS and timm_name(model_of(ours).module()) == name


def test_a_network_that_is_not_timms_has_no_pretrained_weights() -> None:
    network = small_network()
    model = replace(model_of("mobilenet_v2"), network=network, weights=build(network).state_dict())
    with pytest.raises(UserError, match=r"the network is not one of timm's .*mobilenetv2_100, .*no pretrained weights"):
        pretrained(model)
    module = model_of("mobilenet_v2").module()
    strided = next(m for m in module.modules() if isinstance(m, nn.Conv2d) and m.groups > 1 and m.stride == (2, 2))
    strided.stride = (1, 1)  # its weights are the same
    assert timm_name(module) is None


def test_pretrained_weights_compute_as_timms_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On grey images also at the border, which is padded there with what is the mean of ImageNet."""
    theirs = timm.create_model("mobilenetv2_100").eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in theirs.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: str(tmp_path / "model.safetensors"))
    model = model_of("mobilenet_v2")
    found = pretrained(model)
    assert found.lineage.steps == ("pretrained weights of timm:mobilenetv2_100",) and found.lineage.trial == 7
    assert torch.equal(found.weights["classifier.weight"], model.weights["classifier.weight"])
    images = torch.rand(2, 3, 64, 64, generator=generator) * 2 - 1  # as ours are
    about = theirs.default_cfg
    mean, std = (torch.tensor(about[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        wanted = theirs.bn1(theirs.conv_stem(((images + 1) / 2 - mean) / std))
        stem = found.module()
        got = stem.get_submodule("bn1")(stem.get_submodule("conv_stem")(images))
    torch.testing.assert_close(got[:, :, 1:, 1:], wanted[:, :, 1:, 1:], rtol=1e-4, atol=1e-4)
    for name, tensor in theirs.state_dict().items():
        if not name.startswith(("conv_stem", "bn1", "classifier")):
            assert torch.equal(found.weights[name], tensor), name


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), KeyError("of another library")])
def test_without_a_network_it_is_one_line(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(socket, "create_connection", fail)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr("nas.deploy.timm_weights.getproxies", dict)
    with pytest.raises(
        UserError, match=r"timm:mobilenetv2_100: its pretrained weights must be .*; leave --pretrained out"
    ):
        pretrained(model_of("mobilenet_v2"))
