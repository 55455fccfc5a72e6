"""Deployment folders with networks made by hand: the class is the color of the picture, or of a square in it."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from nas.deploy.folder import programs, use_version
from nas.runtimes.board.run import FACTS, SUMS

COLORS = {"red": (220, 30, 30), "green": (30, 220, 30), "blue": (30, 30, 220)}
SIDE = 8


def color_model(shift: int = 0, *, features: bool = False, work: int = 0) -> bytes:
    """Scores are the mean colors, moved on by `shift` classes; `work` layers that change nothing take time."""
    weights = np.roll(np.eye(3, dtype=np.float32), shift, axis=0)
    nodes, last = [], "image"
    for number in range(work):
        nodes.append(helper.make_node("Conv", [last, "same"], [f"same{number}"], kernel_shape=[1, 1]))
        last = f"same{number}"
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["features"]))
    nodes.append(helper.make_node("Gemm", ["features", "weights"], ["scores"], transB=1))
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 3])]
    if features:
        outputs.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, 3]))
    same = np.eye(3, dtype=np.float32)[:, :, None, None]
    graph = helper.make_graph(
        nodes, "colors", [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])], outputs,
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(same, "same")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def square_model(classes: int = 2) -> bytes:
    """A detector of red and blue: one box for each of 4 x 4 places of a picture of 32 pixels, by its mean color."""
    weights = np.zeros((classes + 4, 3, 1, 1), np.float32)
    weights[0, :, 0, 0], weights[1, :, 0, 0] = (8, -4, -4), (-4, -4, 8)
    bias = np.concatenate([np.full(classes, -4.0), np.full(4, np.log(0.5))]).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["image"], ["places"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Conv", ["places", "weights", "bias"], ["said"], kernel_shape=[1, 1]),
        helper.make_node("Transpose", ["said"], ["last"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["last", "shape"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes, "squares", [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 16, classes + 4])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias, "bias"),
         numpy_helper.from_array(np.array([1, 16, classes + 4], np.int64), "shape")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def make_detector(folder: Path, number: int, models: dict[str, bytes] | None = None, **facts: object) -> Path:
    """A whole version that finds red and blue squares, which is put into use."""
    about = {
        "task": "detection", "resolution": 32, "resize": "whole, bilinear", "classes": ["red", "blue"],
        "heads": {"kind": "anchor_free", "maps": [[4, 4]]}, **facts,
    }  # fmt: skip
    return make_version(folder, number, models or {"fp32": square_model()}, **about)


def squares(red: int, blue: int = 0, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    """uint8 (h, w, 3) of that width and height: grey, with so many squares of a place of `square_model` each."""
    width, height = size
    pixels, step = np.full((height, width, 3), 100, np.uint8), max(size) // 4
    places = [(x, y) for y in range(0, height - step + 1, step) for x in range(0, width - step + 1, step)]
    for n, (x, y) in enumerate(places[: red + blue]):
        pixels[y : y + step, x : x + step] = (255, 0, 0) if n < red else (0, 0, 255)
    return pixels


def make_version(folder: Path, number: int, models: dict[str, bytes] | None = None, **facts: object) -> Path:
    """A whole version, which is put into use."""
    place = folder / "versions" / str(number)
    place.mkdir(parents=True)
    models = models or {"fp32": color_model()}
    about = {
        "format": 1, "task": "classification", "resolution": SIDE, "side": 0, "resize": "center square, bilinear",
        "color": "RGB", "mean": [127.5] * 3, "std": [127.5] * 3, "threads": 1,
        "models": {precision: f"model-{precision}.onnx" for precision in models}, "classes": list(COLORS), **facts,
    }  # fmt: skip
    files = {f"model-{precision}.onnx": content for precision, content in models.items()}
    files |= {FACTS: json.dumps(about).encode(), **{name: text.encode() for name, text in programs().items()}}
    for name, content in files.items():
        (place / name).write_bytes(content)
    (place / SUMS).write_text("".join(f"{sha256(content).hexdigest()}  {name}\n" for name, content in files.items()))
    use_version(folder, number)
    return place


def picture(color: str, size: tuple[int, int] = (12, 10)) -> np.ndarray:
    """uint8 (h, w, 3)."""
    return np.full((*size, 3), COLORS[color], np.uint8)


def write_pictures(folder: Path, colors: list[str]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{n:03}-{color}.png" for n, color in enumerate(colors)]
    for path, color in zip(paths, colors, strict=True):
        Image.fromarray(picture(color)).save(path)
    return paths
