"""Reference networks: parameters and MACs are those of timm's networks and of the papers."""

import pytest

from nas.errors import UserError
from nas.space.reference import REFERENCES, reference_network

TIMM = [
    ("mobilenet_v1", 1.0, 224, "mobilenetv1_100"),
    ("mobilenet_v2", 0.35, 224, "mobilenetv2_035"),
    ("mobilenet_v2", 0.5, 160, "mobilenetv2_050"),
    ("mobilenet_v2", 0.75, 96, "mobilenetv2_075"),
    ("mobilenet_v2", 1.0, 224, "mobilenetv2_100"),
    ("mobilenet_v2", 1.4, 224, "mobilenetv2_140"),
    ("mobilenet_v3_large", 0.75, 224, "tf_mobilenetv3_large_075"),
    ("mobilenet_v3_large", 1.0, 224, "tf_mobilenetv3_large_100"),
    ("mobilenet_v3_small", 0.75, 224, "tf_mobilenetv3_small_075"),
    ("mobilenet_v3_small", 1.0, 224, "tf_mobilenetv3_small_100"),
    ("mobilenet_v3_large_minimalistic", 1.0, 224, "tf_mobilenetv3_large_minimal_100"),
    ("mobilenet_v3_small_minimalistic", 1.0, 224, "tf_mobilenetv3_small_minimal_100"),
    ("efficientnet_lite0", 1.0, 224, "tf_efficientnet_lite0"),
    ("efficientnet_lite1", 1.0, 240, "tf_efficientnet_lite1"),
    ("efficientnet_lite2", 1.0, 260, "tf_efficientnet_lite2"),
    ("efficientnet_lite3", 1.0, 280, "tf_efficientnet_lite3"),
    ("efficientnet_lite4", 1.0, 300, "tf_efficientnet_lite4"),
    ("efficientnet_b0", 1.0, 224, "efficientnet_b0"),
]


@pytest.mark.parametrize(("name", "width", "resolution", "timm_name"), TIMM)
def test_params_and_macs_are_those_of_a_counted_forward_pass(
    name: str, width: float, resolution: int, timm_name: str
) -> None:
    timm = pytest.importorskip("timm")
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    kwargs = {"pad_type": "same"} if timm_name in ("mobilenetv1_100", "efficientnet_b0") else {}
    with torch.device("meta"):  # shapes without numbers: nothing is computed
        model = timm.create_model(timm_name, **kwargs).eval()
        counter = FlopCounterMode(display=False)
        with counter:
            model(torch.zeros(1, 3, resolution, resolution))
    network = reference_network(name, resolution, width=width)
    assert network.params == sum(p.numel() for p in model.parameters())
    assert network.macs == counter.get_total_flops() // 2


@pytest.mark.parametrize(
    ("name", "width", "millions_of_params", "millions_of_macs"),
    [
        ("mobilenet_v1", 1.0, 4.2, 569),  # Howard et al. 2017, table 6
        ("mobilenet_v1", 0.75, 2.6, 325),
        ("mobilenet_v1", 0.5, 1.3, 149),
        ("mobilenet_v1", 0.25, 0.5, 41),
        ("mobilenet_v2", 1.0, 3.4, 300),  # Sandler et al. 2018, table 4; params without batch norm there
        ("mobilenet_v3_large", 1.0, 5.4, 219),  # Howard et al. 2019, table 3
        ("mobilenet_v3_small", 1.0, 2.5, 56),
    ],
)
def test_published_sizes(name: str, width: float, millions_of_params: float, millions_of_macs: float) -> None:
    network = reference_network(name, 224, width=width)
    assert network.params / 1e6 == pytest.approx(millions_of_params, abs=0.12)
    assert network.macs / 1e6 == pytest.approx(millions_of_macs, rel=0.015)


@pytest.mark.parametrize("name", REFERENCES)
def test_blocks_join_and_end_in_the_classes(name: str) -> None:
    network = reference_network(name, 96, classes=7)
    assert network.input_shape == (3, 96, 96)
    assert network.classes == 7
    assert len(network.stages) == len(network.blocks)
    assert all(a.out_shape == b.in_shape for a, b in zip(network.blocks, network.blocks[1:], strict=False))


def test_odd_resolutions_round_up_as_same_padding_does() -> None:
    sizes = [block.out_shape[1] for block in reference_network("efficientnet_lite2").blocks]
    assert sizes[:2] == [130, 130]
    assert 65 in sizes and 33 in sizes and 17 in sizes and 9 in sizes  # 260 halved five times, rounded up


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'mobilenet_v2'"):
        reference_network("mobilenetv2")


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("mobilenet_v2", {"resolution": 16}),
        ("mobilenet_v2", {"classes": 0}),
        ("mobilenet_v2", {"width": 0.0}),
        ("efficientnet_lite0", {"width": 0.5}),
    ],
)
def test_values_out_of_range_are_refused(name: str, keys: dict[str, float]) -> None:
    with pytest.raises(UserError, match=name):
        reference_network(name, **keys)
