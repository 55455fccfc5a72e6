"""Reading ONNX files: graphs written by hand here, so that every expected layer can be counted on paper."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nas.errors import UserError
from nas.space.graph.graph import Reading
from nas.space.layer import Layer
from nas.space.onnx.file import read_onnx

Rows = list[tuple[str, list[str], list[str], dict[str, object]]]  # op, inputs, outputs, attributes


def write(path: Path, rows: Rows, weights: dict[str, np.ndarray], shape: tuple[object, ...] = (1, 3, 8, 8),
          opset: int = 17) -> Path:  # fmt: skip
    nodes = [
        helper.make_node(op, inputs, outputs, name=f"/{op}_{i}", **attributes)
        for i, (op, inputs, outputs, attributes) in enumerate(rows)
    ]
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    result = helper.make_tensor_value_info(rows[-1][2][0], TensorProto.FLOAT, None)
    initializers = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "g", [image], [result], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, path)
    return path


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, dtype=np.float32)


def number(value: float) -> np.ndarray:
    return np.array(value, dtype=np.float32)


def layers(reading: Reading) -> list[Layer]:
    assert reading.unread == ()
    return list(reading.network.layers)


CONV: Rows = [("Conv", ["x", "w"], ["c"], {"pads": [1, 1, 1, 1], "strides": [2, 2]})]
SIX = {"w": zeros(6, 3, 3, 3), "three": number(3), "sixth": number(1 / 6), "six": number(6), "zero": number(0)}


def test_a_convolution_with_batch_norm_is_one_layer(tmp_path: Path) -> None:
    norm = ("BatchNormalization", ["c", "a", "a", "a", "a"], ["y"], {})
    found = layers(read_onnx(write(tmp_path / "m.onnx", [*CONV, norm], {"w": zeros(6, 3, 3, 3), "a": zeros(6)})))
    assert found == [Layer("conv", (3, 8, 8), (6, 4, 4), (3, 3), stride=2, norm=True)]
    assert found[0].macs == 6 * 3 * 9 * 16 and found[0].params == 6 * 3 * 9 + 12


@pytest.mark.parametrize(
    ("rows", "function"),
    [
        ([("Relu", ["c"], ["y"], {})], "relu"),
        ([("Clip", ["c", "zero", "six"], ["y"], {})], "relu6"),
        ([("Relu", ["c"], ["r"], {}), ("Min", ["r", "six"], ["y"], {})], "relu,relu6"),
        ([("HardSwish", ["c"], ["y"], {})], "hswish"),
        ([("HardSigmoid", ["c"], ["s"], {"alpha": 1 / 6}), ("Mul", ["c", "s"], ["y"], {})], "hswish"),
        ([("Sigmoid", ["c"], ["s"], {}), ("Mul", ["s", "c"], ["y"], {})], "swish"),
        (
            [  # PyTorch before opset 14: x * relu6(x + 3) / 6
                ("Add", ["c", "three"], ["a"], {}),
                ("Clip", ["a", "zero", "six"], ["r"], {}),
                ("Mul", ["c", "r"], ["m"], {}),
                ("Div", ["m", "six"], ["y"], {}),
            ],
            "hswish",
        ),
        (
            [  # Keras: x * (relu6(x + 3) * 1/6)
                ("Add", ["c", "three"], ["a"], {}),
                ("Clip", ["a", "zero", "six"], ["r"], {}),
                ("Mul", ["r", "sixth"], ["s"], {}),
                ("Mul", ["c", "s"], ["y"], {}),
            ],
            "hswish",
        ),
        (
            [
                ("Add", ["c", "three"], ["a"], {}),
                ("Clip", ["a", "zero", "six"], ["r"], {}),
                ("Mul", ["r", "sixth"], ["y"], {}),
            ],
            "hsigmoid",
        ),
    ],
)
def test_activations_are_known_however_they_are_written(tmp_path: Path, rows: Rows, function: str) -> None:
    conv, *rest = layers(read_onnx(write(tmp_path / "m.onnx", [*CONV, *rows], SIX)))
    assert conv.op == "conv"
    assert [layer.op for layer in rest] == ["activation"] * len(rest)
    assert ",".join(layer.function for layer in rest) == function


def test_squeeze_excite_holds_what_it_scales(tmp_path: Path) -> None:
    rows: Rows = [
        ("Conv", ["x", "w"], ["c"], {}),  # 8 x 4 x 4 = 128 values
        ("ReduceMean", ["c"], ["p"], {"axes": [2, 3]}),
        ("Conv", ["p", "down"], ["d"], {}),
        ("Relu", ["d"], ["r"], {}),
        ("Conv", ["r", "up"], ["u"], {}),
        ("HardSigmoid", ["u"], ["s"], {}),
        ("Mul", ["s", "c"], ["m"], {}),
        ("Conv", ["m", "back"], ["b"], {}),
        ("Add", ["b", "x"], ["y"], {}),
    ]
    weights = {"w": zeros(8, 3, 1, 1), "down": zeros(2, 8, 1, 1), "up": zeros(8, 2, 1, 1), "back": zeros(3, 8, 1, 1)}
    found = layers(read_onnx(write(tmp_path / "m.onnx", rows, weights, (1, 3, 4, 4))))
    assert [layer.op for layer in found] == [
        "conv", "global_pool", "conv", "activation", "conv", "activation", "multiply", "conv", "add",
    ]  # fmt: skip
    image = 3 * 16  # added at the end, so held all the way; the first convolution reads it and the addition too
    assert [layer.held for layer in found] == [0, image, *[image + 128] * 4, image, image, 0]
    assert found[6].in_shape == found[6].out_shape == (8, 4, 4)


def test_a_channel_shuffle_is_one_layer(tmp_path: Path) -> None:
    rows: Rows = [
        ("Conv", ["x", "w"], ["c"], {"group": 2}),
        ("Reshape", ["c", "split"], ["r"], {}),
        ("Transpose", ["r"], ["t"], {"perm": [0, 2, 1, 3, 4]}),
        ("Reshape", ["t", "join"], ["s"], {}),
        ("Conv", ["s", "w"], ["y"], {"group": 2}),
    ]
    weights = {"w": zeros(4, 2, 1, 1), "split": np.array([1, 2, 2, 8, 8]), "join": np.array([1, 4, 8, 8])}
    found = layers(read_onnx(write(tmp_path / "m.onnx", rows, weights, (1, 4, 8, 8))))
    assert [layer.op for layer in found] == ["conv", "shuffle", "conv"]
    assert found[1] == Layer("shuffle", (4, 8, 8), (4, 8, 8), groups=2)
    assert found[0].kind == "grouped" and found[0].macs == 4 * 2 * 64


def test_tensorflow_style_channels_last_input_padding_and_reshapes(tmp_path: Path) -> None:
    rows: Rows = [
        ("Transpose", ["x"], ["n"], {"perm": [0, 3, 1, 2]}),
        ("Pad", ["n", "pads"], ["p"], {}),
        ("Conv", ["p", "w"], ["c"], {"strides": [2, 2]}),
        ("Add", ["c", "b"], ["cb"], {}),
        ("GlobalAveragePool", ["cb"], ["g"], {}),
        ("Squeeze", ["g", "axes"], ["q"], {}),
        ("MatMul", ["q", "fc"], ["m"], {}),
        ("Add", ["m", "fb"], ["f"], {}),
        ("Softmax", ["f"], ["y"], {}),
    ]
    weights = {
        "pads": np.array([0, 0, 0, 0, 0, 0, 1, 1]), "w": zeros(6, 3, 3, 3), "b": zeros(1, 6, 1, 1),
        "axes": np.array([2, 3]), "fc": zeros(6, 10), "fb": zeros(10),
    }  # fmt: skip
    found = layers(read_onnx(write(tmp_path / "m.onnx", rows, weights, ("N", 8, 8, 3))))
    assert found == [
        Layer("conv", (3, 8, 8), (6, 4, 4), (3, 3), stride=2, bias=True),
        Layer("global_pool", (6, 4, 4), (6, 1, 1), function="avg"),
        Layer("linear", (6, 1, 1), (10, 1, 1), bias=True),
        Layer("activation", (10, 1, 1), (10, 1, 1), function="softmax"),
    ]


def test_flattening_by_arithmetic_on_shapes_costs_nothing(tmp_path: Path) -> None:
    rows: Rows = [
        *CONV,
        ("GlobalAveragePool", ["c"], ["g"], {}),
        ("Shape", ["g"], ["s"], {}),
        ("Gather", ["s", "first"], ["batch"], {}),
        ("Unsqueeze", ["batch", "front"], ["bs"], {}),
        ("Concat", ["bs", "rest"], ["to"], {"axis": 0}),
        ("Reshape", ["g", "to"], ["flat"], {}),
        ("Gemm", ["flat", "fc", "fb"], ["y"], {"transB": 1}),
    ]
    weights = {
        "w": zeros(6, 3, 3, 3), "first": np.array(0), "front": np.array([0]), "rest": np.array([-1]),
        "fc": zeros(5, 6), "fb": zeros(5),
    }  # fmt: skip
    found = layers(read_onnx(write(tmp_path / "m.onnx", rows, weights, ("batch", 3, 8, 8))))
    assert [layer.op for layer in found] == ["conv", "global_pool", "linear"]
    assert found[2].macs == 30 and found[2].params == 35


def test_quantised_models_are_read_as_the_layers_between_the_conversions(tmp_path: Path) -> None:
    def qdq(name: str) -> Rows:
        return [
            ("QuantizeLinear", [name, "s", "z"], [f"{name}q"], {}),
            ("DequantizeLinear", [f"{name}q", "s", "z"], [f"{name}d"], {}),
        ]

    rows: Rows = [
        *qdq("x"),
        ("DequantizeLinear", ["w", "ws", "wz"], ["wd"], {"axis": 0}),
        ("Conv", ["xd", "wd"], ["c"], {"pads": [1, 1, 1, 1]}),
        ("Relu", ["c"], ["r"], {}),
        *qdq("r"),
        ("Add", ["rd", "xd"], ["y"], {}),
    ]
    weights = {
        "s": number(0.1), "z": np.array(0, dtype=np.uint8), "w": np.zeros((3, 3, 3, 3), dtype=np.int8),
        "ws": np.ones(3, dtype=np.float32), "wz": np.zeros(3, dtype=np.int8),
    }  # fmt: skip
    found = layers(read_onnx(write(tmp_path / "m.onnx", rows, weights)))
    assert [(layer.op, layer.function) for layer in found] == [("conv", ""), ("activation", "relu"), ("add", "")]
    assert found[0].macs == 3 * 3 * 9 * 64 and found[1].held == 3 * 64


def test_what_is_not_understood_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    rows: Rows = [*CONV, ("Erf", ["c"], ["e"], {}), ("Relu", ["e"], ["y"], {})]
    reading = read_onnx(write(tmp_path / "m.onnx", rows, SIX))
    assert reading.unread == ("Erf /Erf_1",)
    assert [layer.op for layer in reading.network.layers] == ["conv", "activation"]


def test_a_batch_norm_that_follows_no_convolution_stays_a_layer(tmp_path: Path) -> None:
    rows: Rows = [("BatchNormalization", ["x", *["a"] * 4], ["n"], {}), ("Conv", ["n", "w"], ["y"], {})]
    found = layers(read_onnx(write(tmp_path / "m.onnx", rows, {"a": zeros(3), "w": zeros(6, 3, 3, 3)})))
    assert [layer.op for layer in found] == ["multiply", "conv"]
    assert found[0].params == 6


def test_a_branch_waits_in_memory_until_it_is_joined(tmp_path: Path) -> None:
    rows: Rows = [
        ("Conv", ["x", "w"], ["a"], {}),  # 4 channels: 256 values
        ("Conv", ["a", "v"], ["b"], {}),  # 4 channels
        ("Conv", ["b", "v"], ["d"], {}),
        ("Concat", ["a", "b", "d"], ["y"], {"axis": 1}),
    ]
    reading = read_onnx(write(tmp_path / "m.onnx", rows, {"w": zeros(4, 3, 1, 1), "v": zeros(4, 4, 1, 1)}))
    assert [layer.held for layer in layers(reading)] == [0, 0, 256, 0]
    # at the end all three are read (768 values) and the concatenation is written (768): 1536 values of 4 bytes
    assert reading.network.peak_memory_mb("fp32") == pytest.approx(1536 * 4 / 1e6)


def external(path: Path, location: str) -> Path:
    write(path, CONV, SIX)
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    onnx.save(model, path)
    return path


def truncated(path: Path) -> Path:
    whole = write(path, CONV, SIX).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p, "no such file"),
        (lambda p: p.parent, "must be an ONNX file; got a folder"),
        (lambda p: written(p, b""), "not an ONNX file"),
        (lambda p: written(p, b"\x89PNG\r\n\x1a\n" + bytes(range(256))), "not an ONNX file"),
        (truncated, "not an ONNX file, or a truncated one"),
        (lambda p: external(p, "../secret.bin"), "outside"),
        (lambda p: external(p, "/etc/hostname"), "outside"),
        (lambda p: external(p, "gone.bin"), "not beside the file"),
        (lambda p: write(p, CONV, SIX, (1, 3, "height", "width")), "fixed image size"),
        (lambda p: write(p, CONV, SIX, (8, 3, 8, 8)), "batch of 8"),
        (lambda p: write(p, CONV, {"w": zeros(6, 77, 3, 3)}, (1, 77, 8, 8)), "is not an image"),
        (lambda p: write(p, [("Relu", ["x"], ["y"], {})], {}), "no convolution"),
        (lambda p: write(p, [("Gemm", ["x", "w"], ["y"], {})], {"w": zeros(3, 8)}, (1, 3)), "4 dimensions"),
        (lambda p: write(p, [("NoSuchOp", ["x"], ["n"], {}), ("Relu", ["n"], ["y"], {})], {}), "shape of 'n'"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path: Path, make: object, message: str) -> None:
    path = make(tmp_path / "m.onnx")  # type: ignore[operator]
    with pytest.raises(UserError, match=message) as caught:
        read_onnx(path)
    assert "\n" not in str(caught.value)
