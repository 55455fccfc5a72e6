"""run.py of a deployment: Python, NumPy, Pillow and ONNX Runtime alone; its pixels, its answers, what it refuses."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import vermin
from PIL import Image

from nas.data.catalog import load_dataset
from nas.deploy.card import read_card
from nas.deploy.folder import programs
from nas.runtimes.board.network import Network
from nas.runtimes.board.run import KEPT, Deployment
from nas.train.loop import normalize

# runs a program where only these can be imported; nothing is found in the folder that it is started from
ALONE = """
import runpy, sys
class Only:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        own = ("boxes", "network", "pixels")
        if top not in sys.stdlib_module_names and top not in ("numpy", "PIL", "onnxruntime", *own):
            raise ImportError(f"No module named {name!r}")
sys.meta_path.insert(0, Only())
sys.argv = sys.argv[1:]
sys.path[0] = ""
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def start(program: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-B", "-c", ALONE, str(program), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=program.parent,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )  # fmt: skip


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_accuracy_that_the_program_reaches_is_that_of_the_card(made: Path, out: Path, precision: str) -> None:
    files = [path for folder in sorted((made / "data/test").iterdir()) for path in sorted(folder.iterdir())]
    done = start(out / "run.py", "--json", "--precision", precision, *files)
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["image"] for one in said] == [str(path) for path in files]
    right = [one["classes"][0]["class"] == path.parent.name for one, path in zip(said, files, strict=True)]
    card = read_card(out / "versions/1")
    test = next(m.test for p, m in card.models.items() if p == precision)
    assert test is not None and test.images == len(files) == 40
    assert sum(right) / len(files) == pytest.approx(test.value, abs=1e-9)
    assert 0.4 < test.value < 1, "it must be neither chance nor perfect, or the comparison says little"
    assert all(0 < one["ms"] < 10_000 and 1 / 3 <= one["classes"][0]["probability"] <= 1 for one in said)


def test_its_logits_are_those_of_the_pixels_that_training_saw(made: Path, out: Path) -> None:
    """The arrays are equal, so the answers are too: those of the images of the dataset, taken as training does."""
    test = load_dataset(f"folder:{made / 'data'}").test_split()
    session = onnxruntime.InferenceSession(out / "versions/1/model-fp32.onnx", providers=["CPUExecutionProvider"])
    seen = normalize(test.images.take(torch.arange(len(test)), 24)).contiguous().numpy()
    answers = [int(session.run(None, {"image": image[None]})[0].argmax()) for image in seen]
    files = [path for folder in sorted((made / "data/test").iterdir()) for path in sorted(folder.iterdir())]
    said = [json.loads(line) for line in start(out / "run.py", "--json", *files).stdout.splitlines()]
    assert [one["classes"][0]["class"] for one in said] == [("blue", "green", "red")[a] for a in answers]


def test_a_line_says_class_probability_and_milliseconds(made: Path, out: Path) -> None:
    picture = made / "data/test/green/000.png"
    done = start(out / "run.py", picture)
    assert done.returncode == 0 and done.stderr == ""
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"{picture}: ") and line.endswith(" ms") and "%, " in line
    top = start(out / "run.py", "--top", "2", "--threads", "1", "--precision", "fp32", picture)
    assert top.stdout.count("%") == 2
    every = json.loads(start(out / "run.py", "--top", "9", "--json", picture).stdout)
    assert sum(one["probability"] for one in every["classes"]) == pytest.approx(1)
    assert sorted(one["class"] for one in every["classes"]) == ["blue", "green", "red"]


def test_what_is_no_picture_is_named_and_the_others_go_on(made: Path, out: Path, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    Image.fromarray(np.zeros((9, 9), np.float32)).save(tmp_path / "float.tiff")
    (tmp_path / "cut.png").write_bytes((made / "data/test/red/000.png").read_bytes()[:60])
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "odd\x1b[31m.jpg").write_bytes(b"")
    wrong = ["text.jpg", "float.tiff", "cut.png", "pipe.png", "none.jpg", "odd\x1b[31m.jpg", "."]
    done = start(out / "run.py", *(tmp_path / name for name in wrong), made / "data/test/red/000.png")
    assert done.returncode == 2 and len(done.stdout.splitlines()) == 1
    lines = done.stderr.splitlines()
    assert len(lines) == len(wrong) and "\x1b" not in done.stderr
    for line, name in zip(lines, wrong, strict=True):
        assert line.startswith("run.py: ") and "not a readable image" in line, name
    assert lines[4].endswith("No such file or directory")


@pytest.mark.parametrize("name", ["model-fp32.onnx", "preprocess.json"])
@pytest.mark.parametrize("how", ["changed", "gone"])
def test_a_file_that_is_not_the_one_that_was_made_is_refused(made: Path, out: Path, name: str, how: str) -> None:
    path = out / "versions/1" / name
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b"\n")
    done = start(out / "run.py", made / "data/test/red/000.png")
    assert done.returncode == 2 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    message = "cannot be read: No such file" if how == "gone" else "is not the file that SHA256SUMS names; copy the"
    assert line.startswith("run.py: ") and name in line and message in line


def test_wrong_options_are_one_line(made: Path, out: Path) -> None:
    picture = made / "data/test/red/000.png"
    for arguments, message in (
        (["--precision", "fp16", picture], "--precision must be fp32 or int8; got fp16"),
        (["--top", "0", picture], "--top must be 1 or more; got 0"),
        (["--threads", "0", picture], "--threads must be 1 to 1024; got 0"),
    ):
        done = start(out / "run.py", *arguments)
        assert done.returncode == 2 and done.stderr == f"run.py: {message}\n"
    for text in ("7", "one", "../../etc", ""):
        (out / "current").write_text(text)
        done = start(out / "run.py", picture)
        assert done.returncode == 2 and "must name a version" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_missing_package_is_named(made: Path, out: Path) -> None:
    for gone, message in (("numpy", "numpy"), ("PIL", "PIL"), ("onnxruntime", "onnxruntime")):
        script = ALONE.replace(f'"{gone}"', '"nothing"')
        command = [sys.executable, "-B", "-c", script, str(out / "run.py"), str(made / "data/test/red/000.png")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=out)
        assert done.returncode == 3 and len(done.stderr.splitlines()) == 1
        assert message in done.stderr and "pip install -r" in done.stderr


def test_the_program_is_python_38_and_imports_nothing_of_nas(out: Path) -> None:
    for path in (
        out / "run.py",
        out / "versions/1/run.py",
        out / "versions/1/network.py",
        out / "versions/1/pixels.py",
    ):
        least = vermin.detect(path.read_text("utf-8"))[1]
        assert least is not None and least <= (3, 8), path.name
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not [name for name in names if name.split(".")[0] in ("nas", "torch")], path.name
    assert "nas.data" not in "".join(programs().values()).replace("`nas.data", "")


def kept(out: Path) -> list[Path]:
    return sorted((out / "versions/1/.start").glob("*"))


def network_of(out: Path, precision: str = "int8", threads: int = 1) -> Network:
    place = out / "versions/1"
    found = Deployment(place, place / KEPT).network(precision, threads)
    assert isinstance(found, Network)
    return found


def test_the_next_start_takes_the_graph_that_was_optimized_here(made: Path, out: Path) -> None:
    picture = made / "data/test/green/000.png"
    first, again = (start(out / "run.py", "--json", "--precision", "int8", picture) for _ in range(2))
    assert len(kept(out)) == 1 and not first.stderr and not again.stderr
    assert json.loads(first.stdout)["classes"] == json.loads(again.stdout)["classes"]
    plain, fast = Deployment(out / "versions/1").network("int8", 1), network_of(out)
    assert fast.from_kept and not plain.from_kept
    image = np.random.default_rng(0).standard_normal((1, 3, 24, 24)).astype(np.float32)
    np.testing.assert_array_equal(fast.scores(image), plain.scores(image))
    sums = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=out / "versions/1", capture_output=True, check=False)
    assert sums.returncode == 0


def test_a_kept_graph_is_for_one_file_one_runtime_and_one_processor(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not network_of(out).from_kept and network_of(out).from_kept
    assert not network_of(out, "fp32").from_kept and not network_of(out, "fp32").from_kept and len(kept(out)) == 1
    other = Network((out / "versions/1/model-fp32.onnx").read_bytes(), 1, out / "versions/1/.start")
    assert not other.from_kept and network_of(out).from_kept and len(kept(out)) == 2
    monkeypatch.setattr("onnxruntime.__version__", "1.99.0")
    assert not network_of(out).from_kept
    monkeypatch.undo()
    assert not network_of(out).from_kept, "the older one left when the newer was kept"
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert not network_of(out).from_kept and len(kept(out)) == 2


@pytest.mark.parametrize("how", ["cut", "empty", "changed", "foreign", "folder"])
def test_a_kept_graph_that_is_not_what_was_written_is_made_again(out: Path, how: str) -> None:
    network_of(out)
    (path,) = kept(out)
    content = path.read_bytes()
    if how == "folder":
        path.unlink()
        path.mkdir()
    elif how == "foreign":  # whole, and no model
        path.write_bytes(hashlib.sha256(b"model").digest() + b"model")
    else:
        changed = content[:-9] + b"?" + content[-8:]
        path.write_bytes({"cut": content[:-9], "empty": b"", "changed": changed}[how])
    image = np.random.default_rng(0).standard_normal((1, 3, 24, 24)).astype(np.float32)
    wanted = Deployment(out / "versions/1").network("int8", 1).scores(image)
    again = network_of(out)
    assert not again.from_kept
    np.testing.assert_array_equal(again.scores(image), wanted)
    assert network_of(out).from_kept == (how != "folder")
    assert [p.name for p in (out / "versions/1/.start").iterdir()] == [path.name]


def test_where_nothing_can_be_written_nothing_is_kept(out: Path) -> None:
    (out / "versions/1/.start").write_text("a file")  # a folder cannot be made there, whoever runs it
    assert not network_of(out).from_kept and not network_of(out).from_kept
    assert (out / "versions/1/.start").read_text() == "a file"
