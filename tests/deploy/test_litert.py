"""Deployments for LiteRT, alone and beside ONNX Runtime: files, card, program, measurements, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nas.deploy import measure
from nas.deploy.card import read_card
from nas.deploy.facts import read_facts
from nas.deploy.folder import PAGE, REQUIREMENTS, RUNTIMES
from nas.deploy.job import deploy, job_of_run
from nas.deploy.verify import verify
from nas.errors import UserError
from nas.profiling.agent.deployed import base_of, runnable
from nas.runtimes.board.network import LiteNetwork, Network
from nas.runtimes.board.network import Refused as NetworkRefused
from nas.runtimes.board.run import Deployment, is_lite, library
from nas.runtimes.tflite.blocks import write_network
from nas.runtimes.tflite.file import TfliteFile
from nas.runtimes.tflite.weights import ToTime
from nas.space.block import Block
from nas.space.network import Network as Blocks
from tests.cli.command import call
from tests.cli.test_remeasure import board_of
from tests.deploy.deployments import FEW, TRIAL
from tests.deploy.test_run import ALONE
from tests.deploy.test_verify import resum

why = "ai-edge-litert is not installed: pip install -e '.[litert]'"
pytest.importorskip("ai_edge_litert.schema_py_generated", reason=why)
LITERT = ALONE.replace('"onnxruntime"', '"ai_edge_litert", "flatbuffers"')


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "SETTINGS", FEW)


@pytest.fixture(scope="module")
def both(made: Path) -> Path:
    """A folder with the deployment of the run, in int8 and fp32 for both runtimes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "SETTINGS", FEW)
        job = job_of_run(made / "run", TRIAL, ("int8",), training=None, runtimes=("onnxruntime", "litert"))
        deploy(job, made / "both")
    return made / "both"


def start(program: Path, *arguments: str | Path, script: str = LITERT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-B", "-c", script, str(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=program.parent)


def test_a_version_has_files_for_both_runtimes(both: Path) -> None:
    place = both / "versions/1"
    card, facts = read_card(place), read_facts(place)
    assert facts.models == {
        "int8": "model-int8.onnx", "fp32": "model-fp32.onnx", "fp32-litert": "model-fp32.tflite",
        "int8-litert": "model-int8.tflite",
    }  # fmt: skip
    assert list(facts.models) == ["int8", "fp32", "int8-litert", "fp32-litert"] and card.first == "int8"
    for form, model in card.models.items():
        assert model.runtime == ("litert" if "litert" in form else "onnxruntime")
        assert model.test and model.validation and model.measured and model.predicted and model.agreement
    page = (place / "README.md").read_text()
    assert "| int8 | litert | model-int8.tflite |" in page and "| int8 | onnxruntime | model-int8.onnx |" in page
    lines = (place / "requirements-litert.txt").read_text().splitlines()
    assert lines == [*REQUIREMENTS, *RUNTIMES["litert"]]
    assert "onnxruntime" in (place / "requirements.txt").read_text()


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_with_litert_alone_the_accuracy_is_that_of_the_card(made: Path, both: Path, precision: str) -> None:
    """No other module can be imported: ONNX Runtime, whose file comes first, is not there."""
    files = [path for folder in sorted((made / "data/test").iterdir()) for path in sorted(folder.iterdir())]
    done = start(both / "run.py", "--json", "--precision", precision, *files)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    right = [one["classes"][0]["class"] == path.parent.name for one, path in zip(said, files, strict=True)]
    test = next(m.test for form, m in read_card(both / "versions/1").models.items() if form == f"{precision}-litert")
    assert test is not None and test.images == len(files)
    assert sum(right) / len(files) == pytest.approx(test.value, abs=1e-9)
    assert 0.4 < test.value < 1


def test_the_runtime_can_be_named_and_one_that_is_missing_is_said(made: Path, both: Path) -> None:
    picture = made / "data/test/green/000.png"
    everything = LITERT.replace('"numpy",', '"numpy", "onnxruntime",')
    for runtime in ("onnxruntime", "litert"):
        done = start(both / "run.py", "--runtime", runtime, picture, script=everything)
        assert done.returncode == 0 and "%" in done.stdout, done.stderr
    done = start(both / "run.py", "--runtime", "onnxruntime", picture)
    assert done.returncode == 3 and "onnxruntime" in done.stderr and len(done.stderr.splitlines()) == 1
    for options, named in (([], "requirements.txt"), (["--runtime", "litert"], "requirements-litert.txt")):
        done = start(both / "run.py", *options, picture, script=LITERT.replace('"ai_edge_litert"', '"nothing"'))
        assert done.returncode == 3 and done.stderr.endswith(f"pip install -r {named}\n"), done.stderr
        assert len(done.stderr.splitlines()) == 1
    for options, message in (
        (["--runtime", "tensorrt"], "--runtime must be onnxruntime or litert; got tensorrt"),
        (["--runtime", "litert", "--precision", "fp16"], "--precision must be int8 or fp32; got fp16"),
    ):
        done = start(both / "run.py", *options, picture)
        assert done.returncode == 2 and done.stderr == f"run.py: {message}\n"


def test_each_model_is_verified_against_fp32_of_its_runtime(
    both: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = shutil.copytree(both, tmp_path / "moved")
    said = call(capsys, monkeypatch, "verify", str(out))
    assert said.status == 0, said.err
    assert "int8 LiteRT" in said.out and "fp32 LiteRT" in said.out and "ONNX Runtime 1" in said.out
    assert " and LiteRT 2" in said.out.splitlines()[0]
    page = (out / PAGE).read_text()
    assert ">int8 LiteRT, static</th>" in page and ">fp32</th>" in page
    found = verify(out).found[1]
    assert found.models.keys() == read_card(out / "versions/1").models.keys()
    lite = found.models["int8-litert"]
    assert lite.less_fp32 and lite.less_fp32.value == pytest.approx(
        lite.accuracy.value - found.models["fp32-litert"].accuracy.value
    )
    assert found.models["fp32-litert"].relative is None and lite.relative is not None
    assert lite.of_card == lite.accuracy


def test_a_board_verifies_both_runtimes_over_ssh(both: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = shutil.copytree(both, tmp_path / "moved")
    with board_of(tmp_path, monkeypatch) as board:
        found = verify(out, ssh=board.target).found[1]
        left = [path.name for path in board.home.iterdir()]
    card = read_card(out / "versions/1")
    assert left == ["bin"] and {form: m.accuracy for form, m in found.models.items()} == {
        form: m.test for form, m in card.models.items()
    }


def test_a_file_that_litert_cannot_run_is_one_line(both: Path) -> None:
    content = (both / "versions/1/model-int8.tflite").read_bytes()
    for data in (b"", b"no model", content[: len(content) // 2]):
        with pytest.raises(NetworkRefused, match=r"LiteRT [0-9.]+ cannot run the model: ") as refused:
            LiteNetwork(data, 1)
        assert refused.value.status == 2 and "\n" not in str(refused.value)


def test_a_model_is_loaded_by_its_own_name_whichever_runtime_comes_first(both: Path, tmp_path: Path) -> None:
    """int8 is a precision for the user, and the name of ONNX Runtime's file for what measures."""
    place = shutil.copytree(both / "versions/1", tmp_path / "moved")
    facts = json.loads((place / "preprocess.json").read_text())
    for names in (list(facts["models"]), list(reversed(facts["models"]))):
        facts["models"] = {name: facts["models"][name] for name in names}
        (place / "preprocess.json").write_text(json.dumps(facts))
        resum(place)
        deployment = Deployment(place)
        for name in names:
            assert isinstance(deployment.load(name), LiteNetwork if is_lite(name) else Network)
        first = next(name for name in names if name.startswith("int8"))
        assert deployment.chosen("int8") == first and deployment.chosen() == names[0]
        assert deployment.chosen("int8", "litert") == deployment.chosen("int8-litert") == "int8-litert"
        assert deployment.chosen("int8", "onnxruntime") == "int8"


def test_a_folder_for_litert_alone_needs_nothing_of_onnx_runtime(made: Path, tmp_path: Path) -> None:
    """From the command line to the program; predicted by another profile it says that it cannot."""
    job = job_of_run(made / "run", TRIAL, ("fp16",), training=None, runtimes=("litert",))
    place = deploy(job, tmp_path / "new")
    card = read_card(place)
    assert card.first == "fp16-litert" and set(card.models) == {"fp16-litert", "fp32-litert"}
    assert (place / "requirements.txt").read_text().splitlines()[-2:] == list(RUNTIMES["litert"])
    assert not list(place.glob("*.onnx"))
    done = start(tmp_path / "new/run.py", made / "data/test/green/000.png")
    assert done.returncode == 0 and "%" in done.stdout
    found = verify(tmp_path / "new", device="khadas-vim4").found[1]
    assert "khadas-vim4 predicts from an ONNX file, and this version has none" in found.notes


def test_what_is_refused_before_anything_is_trained(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["deploy", str(made / "run"), "--pick", "0", "--out", str(tmp_path / "new"), "--runtime"]
    for named, message in (
        ("openvino", "unknown runtime of a deployment 'openvino'"), ("litert,onnx", "did you mean 'onnxruntime'"),
    ):  # fmt: skip
        said = call(capsys, monkeypatch, *arguments, named)
        assert said.status == 2 and message in said.err and len(said.err.splitlines()) == 1
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    said = call(capsys, monkeypatch, *arguments, "litert")
    assert said.status == 2 and 'LiteRT is not installed: pip install "edge-nas[litert]"' in said.err
    assert not (tmp_path / "new").exists()
    with pytest.raises(UserError, match="not installed"):
        job_of_run(made / "run", TRIAL, ("int8",), training=None, runtimes=("litert",))


class _Program:
    Refused = NetworkRefused

    @staticmethod
    def library(name: str) -> None:
        if is_lite(name):
            raise NetworkRefused("no LiteRT", 3)


def test_models_whose_runtime_a_board_lacks_are_left_out() -> None:
    int8, lite = ("1", "int8"), ("1", "int8-litert")
    assert runnable(_Program, [int8, lite]) == ([int8], {"1": {"int8-litert": "no LiteRT"}})
    with pytest.raises(NetworkRefused, match="no LiteRT"):
        runnable(_Program, [lite])
    both = [("1", "fp32"), ("1", "fp32-litert"), int8]
    assert [base_of(name, both) for name in (int8, lite)] == [("1", "fp32"), ("1", "fp32-litert")]
    assert base_of(lite, [("1", "fp32"), lite]) == ("1", "fp32")
    assert base_of(lite, [("1", "fp16-litert"), lite]) == ("1", "fp16-litert")


def test_a_runtime_by_its_older_name_serves_too(both: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ai_edge_litert import interpreter as real

    library("int8-litert")
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(NetworkRefused, match="ai_edge_litert"):
        library("int8-litert")

    class Old:
        __version__, interpreter, Interpreter, lite = "2.14.0", real, real.Interpreter, real

    monkeypatch.setitem(sys.modules, "tensorflow", Old)  # type: ignore[arg-type]
    found = Deployment(both / "versions/1").network("int8", runtime="litert")
    assert found.runtime == "TensorFlow Lite of TensorFlow 2.14.0"
    for name in ("tflite_runtime", "tflite_runtime.interpreter"):
        monkeypatch.setitem(sys.modules, name, Old)  # type: ignore[arg-type]
    assert Deployment(both / "versions/1").network("int8", runtime="litert").runtime == "TensorFlow Lite 2.14.0"


def test_a_file_of_int8_at_both_ends_gives_the_same_scores() -> None:
    """As other converters write them: what a board is given may come from them."""
    blocks = (Block("conv", (3, 8, 8), (8, 8, 8), 3, 1, activation="relu"), Block("pool_linear", (8, 8, 8), (4, 1, 1)))
    image = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)
    scores = []
    for float_io in (True, False):
        graph = TfliteFile(ToTime(0), "int8")
        written = write_network(graph, Blocks(blocks), ["a", "b"], float_io=float_io)
        network = LiteNetwork(graph.file(written.first, written.last), 1)
        scores.append(network.scores(network.ready(image)))
    assert scores[0].dtype == np.float32 and scores[0].shape == (4,) and np.ptp(scores[0]) > 0
    np.testing.assert_array_equal(scores[0], scores[1])
