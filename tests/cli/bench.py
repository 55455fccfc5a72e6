"""A folder with one of everything that a user might get wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from nas.catalog import shipped
from tests.data.pictures import write_folder
from tests.runs import make_run

ABOUT = """
name = "board"
board = "A board"
soc = "a chip"
runtime = "a runtime"
precisions = ["fp32"]
statistic = "median"
protocol = "made by hand"
date = "2024"
source = "the tests"
"""
BLOCKS = """block,precision,median_ms,p90_ms,runs,energy_mj
pool-8x4x4-8x1x1,fp32,0.5,,10,
linear-8x1x1-10x1x1,fp32,0.25,,10,
"""
OFA = """resolution,op,in_h,in_w,in_c,out_h,out_w,out_c,expand,kernel,stride,idskip,se,hs,count,mean_ms
160,Conv,160,160,3,80,80,24,,,,,,,498,0.5
160,AvgPool2D,5,5,1152,1,1,1152,,,,,,,491,0.25
"""
RUNS = """platform,model,family,width_mult,resolution,precision,latency_ms,energy_mj_per_inference
board,mobilenet-v1-1.0-224,mobilenet_v1,1.0,224,fp32,100,500
board,mobilenet-v1-0.5-224,mobilenet_v1,0.5,224,fp32,50,250
"""
FAULTS = {  # of the three tables: what to replace, and by what
    "missing-column": {BLOCKS: ("median_ms", "median"), OFA: ("mean_ms", "mean"), RUNS: ("latency_ms", "latency")},
    "negative": {BLOCKS: (",0.5,", ",-0.5,"), OFA: (",0.5\n", ",-0.5\n"), RUNS: (",100,", ",-100,")},
    "no-time": {BLOCKS: (",0.5,", ",,"), OFA: (",0.5\n", ",\n"), RUNS: (",100,", ",,")},
    "twice": {
        BLOCKS: (BLOCKS.splitlines()[2], BLOCKS.splitlines()[1]),
        OFA: (OFA.splitlines()[2], OFA.splitlines()[1]),
        RUNS: (RUNS.splitlines()[2], RUNS.splitlines()[1]),
    },
}


def make_bench(root: Path) -> Path:
    """Fills `root` with spaces, profiles, tables, ONNX files, images and run folders, nearly all of them faulty."""
    _spaces(root / "spaces")
    _profiles(root / "profiles")
    _tables(root / "tables")
    _models(root / "models")
    _images(root / "images")
    make_run(root / "run")
    for name, old, new in (
        ("run-of-another-space", 'space = "tiny"', 'space = "tinny"'), ("half-a-run", "objectives", "#")
    ):  # fmt: skip
        shutil.copytree(root / "run", root / name)
        (root / name / "run.toml").write_text(faulty((root / "run/run.toml").read_text(), old, new))
    (root / "holiday").mkdir()
    (root / "holiday" / "beach.txt").write_text("sun\n")
    (root / "a-file").write_text("not a folder\n")
    return root


def faulty(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new, 1)


def _spaces(root: Path) -> None:
    root.mkdir()
    tiny = (shipped("search_spaces") / "tiny.toml").read_text()
    faults = {
        "unknown-key": ("classes = 10", "classes = 10\nclases = 10"),
        "wrong-type": ("classes = 10", 'classes = "ten"'),
        "empty-choice": ("expand = [2, 4, 6]", "expand = []"),
        "no-toml": ("classes = 10", "classes ="),
    }
    for name, (old, new) in faults.items():
        (root / f"{name}.toml").write_text(faulty(tiny, old, new))


def _profiles(root: Path) -> None:
    def profile(name: str, about: str = ABOUT, **tables: str) -> None:
        (root / name).mkdir(parents=True)
        (root / name / "profile.toml").write_text(about)
        for table, text in tables.items():
            (root / name / f"{table}.csv").write_text(text)

    for name, faults in FAULTS.items():
        profile(name, blocks=faulty(BLOCKS, *faults[BLOCKS]))
    rates = (shipped("device_profiles") / "raspberry-pi-4" / "rates.csv").read_text()
    layer = next(line for line in rates.splitlines() if line.startswith("fp32,latency,layer,"))
    figure = layer.split(",")[4]
    profile("rates-missing-column", rates=faulty(rates, ",low,", ",lowest,"))
    profile("rates-negative", rates=faulty(rates, layer, layer.replace(figure, f"-{figure}")))
    profile("rates-no-time", rates=faulty(rates, layer, layer.replace(figure, "")))
    profile("rates-twice", rates=faulty(rates, layer, f"{layer}\n{layer}"))
    checks = "network,precision,split,measured_ms,predicted_ms,measured_mj,predicted_mj\na,fp32,network,{},2,,\n"
    profile("validation-negative", blocks=BLOCKS, validation=checks.format("-1"))
    profile("errors-no-number", blocks=BLOCKS, errors=(
        "precision,quantity,split,networks,mean,spread,spearman,constant,macs\nfp32,latency,network,9,few,0,1,1,1\n"
    ))  # fmt: skip
    profile("no-toml", faulty(ABOUT, 'date = "2024"', "date ="), blocks=BLOCKS)
    profile("unknown-key", ABOUT + "bord = 1\n", blocks=BLOCKS)
    profile("wrong-type", faulty(ABOUT, '"2024"', "2024"), blocks=BLOCKS)
    profile("no-precision", faulty(ABOUT, '["fp32"]', "[]"), blocks=BLOCKS)
    profile("no-tables")
    (root / "nothing").mkdir()


def _tables(root: Path) -> None:
    root.mkdir()
    (root / "about.toml").write_text(ABOUT)
    (root / "about-unknown-key.toml").write_text(ABOUT + "bord = 1\n")
    (root / "ofa.csv").write_text(OFA)
    (root / "runs.csv").write_text(RUNS)
    (root / "binary.csv").write_bytes(b"\xff\xfe\x00op,\x80\n")
    for name, faults in FAULTS.items():
        (root / f"ofa-{name}.csv").write_text(faulty(OFA, *faults[OFA]))
        (root / f"runs-{name}.csv").write_text(faulty(RUNS, *faults[RUNS]))
    (root / "ofa-foreign.csv").write_text(faulty(OFA, "160,Conv,", "160,Convoluted,"))
    (root / "runs-foreign.csv").write_text(faulty(RUNS, ",mobilenet_v1,", ",mobilenet_v9,"))


def small_onnx(path: Path) -> Path:
    """A classifier of three layers: convolution 3x3 to 8 channels, global pool, linear to 10."""
    weights = [numpy_helper.from_array(np.ones(s, np.float32), n) for n, s in (("w", (8, 3, 3, 3)), ("f", (8, 10)))]
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["c"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["c"], ["p"]),
        helper.make_node("Flatten", ["p"], ["v"]),
        helper.make_node("MatMul", ["v", "f"], ["logits"]),
    ]
    return _write(path, nodes, [1, 3, 32, 32], [1, 10], weights)


def _write(
    path: Path, nodes: list[onnx.NodeProto], shape: list[int], out: list[int], weights: list[onnx.TensorProto]
) -> Path:
    image, logits = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, size)
        for name, size in ((nodes[0].input[0], shape), (nodes[-1].output[0], out))
    )
    graph = helper.make_graph(nodes, "graph", [image], [logits], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), str(path))
    return path


def _models(root: Path) -> None:
    root.mkdir()
    whole = small_onnx(root / "small.onnx").read_bytes()
    (root / "truncated.onnx").write_bytes(whole[: len(whole) // 2])
    (root / "broken.onnx").write_bytes(bytes(range(255, 0, -1)) * 4)
    (root / "empty.onnx").write_bytes(b"")
    (root / "words.txt").write_text("a network, in words\n")
    _write(root / "no-image.onnx", [helper.make_node("Relu", ["x"], ["y"])], [1, 8], [1, 8], [])
    _write(root / "no-layers.onnx", [helper.make_node("Relu", ["x"], ["y"])], [1, 3, 8, 8], [1, 3, 8, 8], [])


def _images(root: Path) -> None:
    write_folder(root / "one-class", 4, ("red",))
    write_folder(root / "too-few", 1)
    write_folder(root / "unreadable", 4)
    (root / "unreadable" / "red" / "000.png").write_bytes(b"\x89PNG, or so it says")
    write_folder(root / "truncated", 4)
    half = (root / "truncated" / "red" / "001.png").read_bytes()
    (root / "truncated" / "red" / "001.png").write_bytes(half[: len(half) // 2])
    write_folder(root / "empty-class", 4)
    (root / "empty-class" / "white").mkdir()
    (root / "empty").mkdir()
    np.savez(root / "floats.npz", x_train=np.zeros((8, 4, 4, 3)), y_train=np.arange(8) % 2)
    np.savez(root / "no-labels.npz", x_train=np.zeros((8, 4, 4, 3), np.uint8))
    (root / "broken.npz").write_bytes(b"PK, but no archive")
