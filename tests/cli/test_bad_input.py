"""What a user may get wrong: each is one line on stderr, exit status 2, no traceback, and nothing half-written."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from shutil import copytree

import pytest

from nas.catalog import shipped
from nas.run import load_run
from tests.cli.bench import make_bench
from tests.cli.command import Said, call, start
from tests.data.pictures import write_folder
from tests.full_disk import small_files
from tests.runs import make_run

PI = "search --device raspberry-pi-4 --out new"
NOTE10 = "search --device samsung-note10 --space mobilenet-v3 --out new"
IMPORT = "devices import --format ofa --about tables/about.toml --out new"
FIT = "devices fit --platform board --about tables/about.toml --out new"
PRICE = "predict models/small.onnx --device"
CASES = {
    # names: the nearest one is suggested
    "device": ("search --device rasberry-pi4", r"unknown device 'rasberry-pi4'; did you mean 'raspberry-pi-4'"),
    "device-of-predict": (f"{PRICE} pixel1", r"unknown device 'pixel1'; did you mean 'pixel-1'"),
    "device-to-show": ("devices show samsung-note1", r"unknown device 'samsung-note1'; did you mean 'samsung-note10'"),
    "space": (f"{PI} --space mobilenetv3", r"unknown search space 'mobilenetv3'; did you mean 'mobilenet-v3'"),
    "space-to-show": ("spaces tinny", r"unknown search space 'tinny'; did you mean 'tiny'"),
    "dataset": (f"{PI} --dataset cifar", r"unknown dataset 'cifar'; did you mean 'cifar10'"),
    "sampler": (f"{PI} --sampler nsga", r"unknown sampler 'nsga'; did you mean 'nsga2'"),
    "objective": (f"{PI} --objectives accuracy,latancy", r"unknown objective 'latancy'; did you mean 'latency'"),
    "precision": (f"{PI} --precision int9", r"unknown precision 'int9'; did you mean 'int8'"),
    "verb": ("serch", r"'serch'.*[Dd]id you mean '?search"),
    "option": (f"{PI} --trails 3", r"--trails.*--trials"),
    "platform": (f"{FIT} tables/runs.csv --platform bord", r"unknown platform 'bord'; did you mean 'board'"),
    "format": (f"{IMPORT} tables/ofa.csv --format offa", r"unknown table format 'offa'; did you mean 'ofa'"),
    "timm-name": (
        "predict timm:mobilenetv2_10 --device raspberry-pi-4",
        r"unknown timm model 'mobilenetv2_10'; did you mean 'mobilenetv2_1",
    ),
    # values of options
    "no-device": ("search", "give --device, or --resume"),
    "no-value": ("search --device", "--device.*requires an argument"),
    "zero-trials": (f"{PI} --trials 0", "at least 1 trial; got 0"),
    "trials-in-words": (f"{PI} --trials ten", "--trials"),
    "negative-seed": (f"{PI} --seed -1", "seed must be 0 or more; got -1"),
    "unit": (f"{PI} --max-latency 20parsecs", r"--max-latency must be an amount above 0, .*got '20parsecs'"),
    "negative-budget": (f"{PI} --max-energy -3mJ", r"--max-energy must be an amount above 0, .*got '-3mJ'"),
    "zero-budget": (f"{PI} --max-size 0MB", r"--max-size must be an amount above 0, .*got '0MB'"),
    "budget-in-words": (f"{PI} --max-macs few", r"--max-macs must be an amount above 0, .*got 'few'"),
    "time": (f"{PI} --time soon", r"time must be a length of time above 0, e\.g\. 90s, 30m or 2h; got 'soon'"),
    "time-zero": (f"{PI} --time 0m", "time must be a length of time above 0, .*got '0m'"),
    "rank-only": (f"{PI} --estimator zero-cost", "estimator zero-cost only ranks networks"),
    "table-without-path": (f"{PI} --estimator table", "needs the search space and the path of a CSV"),
    "table-not-there": (
        f"{PI} --estimator table --estimator-setting path=gone.csv",
        r"gone\.csv: not a readable CSV file",
    ),
    "setting-without-value": (f"{PI} --estimator-setting path", "--estimator-setting must be NAME=VALUE, .*got 'path'"),
    "objective-twice": (f"{PI} --objectives accuracy,accuracy", "objective 'accuracy' is given twice"),
    "no-objective": (f"{PI} --objectives ,", "needs an objective"),
    "no-precision": (f"{PI} --precision ,", "--precision must name at least one of fp32, fp16, int8"),
    "zero-epochs": (f"{PI} --epochs 0", "epochs must be at least 1"),
    "too-much-data": (f"{PI} --data-share 2", "data_share.*at most"),
    "zero-resolution": (f"{PI} --resolution-share 0", "resolution_share.*above 0"),
    "zero-batch": (f"{PI} --batch-size 0", "batch_size at least 2"),
    # what the device or the space has not
    "no-energy-objective": (f"{NOTE10} --objectives accuracy,energy", "samsung-note10 has no energy"),
    "no-energy-budget": (f"{NOTE10} --max-energy 60mJ", "samsung-note10 has no energy"),
    "no-int8": (f"{NOTE10} --precision int8", r"samsung-note10 has no int8 \(it has: fp32\)"),
    "no-fp16": (f"{PRICE} raspberry-pi-4 --precision fp16", "raspberry-pi-4 has no fp16"),
    "no-such-precision": (f"{PRICE} raspberry-pi-4 --precision fp23", "precision must be one of fp32, fp16, int8"),
    "no-blocks-of-the-space": (
        "search --device samsung-note10 --out new",
        "cannot price space tiny: no figure for conv-3x24x24",
    ),
    "unreachable": (f"{PI} --max-latency 1us", r"smallest values reachable are latency 0\.\d+ ms \(budget 0\.001 ms\)"),
    "unreachable-two": (
        f"{PI} --max-latency 1us --max-size 10B",
        r"reachable are latency [\d.]+ ms .*, size [\d.]+ MB \(budget 1e-05 MB\)",
    ),
    # search spaces by path
    "space-unknown-key": (f"{PI} --space spaces/unknown-key.toml", r"unknown-key\.toml: clases: unknown key"),
    "space-wrong-type": (f"{PI} --space spaces/wrong-type.toml", r"wrong-type\.toml: classes: .*got 'ten'"),
    "space-empty-choice": (
        f"{PI} --space spaces/empty-choice.toml",
        r"empty-choice\.toml: stage\.2\.expand: .*got \[\]",
    ),
    "space-no-toml": ("spaces spaces/no-toml.toml", r"no-toml\.toml: not a readable TOML file: .*line 4"),
    "space-no-file": (f"{PI} --space spaces/gone.toml", r"spaces/gone\.toml: there is no such file"),
    # device profiles by path
    "blocks-missing-column": (
        f"{PRICE} profiles/missing-column",
        r"blocks\.csv: needs the columns .*missing median_ms",
    ),
    "blocks-negative": (f"{PRICE} profiles/negative", r"blocks\.csv: median_ms .*above 0; line 2 has '-0\.5'"),
    "blocks-no-time": (f"{PRICE} profiles/no-time", r"blocks\.csv: median_ms .*line 2 has ''"),
    "blocks-twice": (f"{PRICE} profiles/twice", r"blocks\.csv: pool-8x4x4-8x1x1 fp32 is listed twice, lines 2 and 3"),
    "rates-missing-column": (f"{PRICE} profiles/rates-missing-column", r"rates\.csv: needs the columns .*missing low"),
    "rates-negative": (f"{PRICE} profiles/rates-negative", r"rates\.csv: rate must be .*line 4 has '-0"),
    "rates-no-time": (f"{PRICE} profiles/rates-no-time", r"rates\.csv: rate must be .*line 4 has ''"),
    "rates-twice": (f"{PRICE} profiles/rates-twice", r"rates\.csv: line \d+ repeats 'layer'"),
    "validation-negative": (f"{PRICE} profiles/validation-negative", r"validation\.csv: measured_ms .*line 2 has '-1'"),
    "errors-no-number": (f"{PRICE} profiles/errors-no-number", r"errors\.csv: mean must be .*line 2 has 'few'"),
    "profile-no-toml": ("devices show profiles/no-toml", r"profile\.toml: not a readable TOML file"),
    "profile-unknown-key": ("devices show profiles/unknown-key", r"profile\.toml: bord: unknown key"),
    "profile-wrong-type": ("devices show profiles/wrong-type", r"profile\.toml: date: .*got 2024"),
    "profile-no-precision": ("devices show profiles/no-precision", r"profile\.toml: precisions: .*got \[\]"),
    "profile-no-tables": ("devices show profiles/no-tables", r"needs blocks\.csv or rates\.csv"),
    "profile-nothing": ("devices show profiles/nothing", r"profile\.toml: not a readable TOML file"),
    "profile-no-folder": (f"{PRICE} profiles/gone", "profiles/gone: there is no such folder"),
    # a profile of this machine
    "profile-space": ("profile --space tinny --out new", r"unknown search space 'tinny'; did you mean 'tiny'"),
    "profile-precision": ("profile --precision fp64 --out new", "fp64"),
    "profile-no-precision-named": ("profile --precision , --out new", "--precision must name at least one of"),
    "profile-resolution": ("profile --resolution 33 --out new", "tiny has the resolutions .*; got 33"),
    "profile-threads": ("profile --threads 0 --out new", "--threads"),
    "profile-onto-file": ("profile --resolution 32 --out a-file", "a-file"),
    # published tables
    "import-missing-column": (f"{IMPORT} tables/ofa-missing-column.csv", r"needs the columns .*missing mean_ms"),
    "import-negative": (f"{IMPORT} tables/ofa-negative.csv", r"mean_ms must be .*above 0; line 2 has '-0\.5'"),
    "import-no-time": (f"{IMPORT} tables/ofa-no-time.csv", r"mean_ms must be .*line 2 has ''"),
    "import-twice": (f"{IMPORT} tables/ofa-twice.csv", r"listed once; lines 2 and 3 are both conv-3x160x160"),
    "import-foreign": (f"{IMPORT} tables/ofa-foreign.csv", r"line 2 is not a row of the ofa format"),
    "import-binary": (f"{IMPORT} tables/binary.csv", r"binary\.csv: not a readable CSV file"),
    "import-no-file": (f"{IMPORT} tables/gone.csv", r"gone\.csv: not a readable CSV file: .*No such file"),
    "import-about": (f"{IMPORT} tables/ofa.csv --about tables/about-unknown-key.toml", "bord: unknown key"),
    "import-no-about": (
        "devices import tables/ofa.csv --format ofa --out new",
        r"new/profile\.toml: not a readable TOML",
    ),
    "import-onto-file": (f"{IMPORT} tables/ofa.csv --out a-file", "cannot write a-file"),
    "fit-missing-column": (f"{FIT} tables/runs-missing-column.csv", r"needs the columns .*missing latency_ms"),
    "fit-negative": (f"{FIT} tables/runs-negative.csv", r"latency_ms must be .*above 0; line 2 has '-100'"),
    "fit-no-time": (f"{FIT} tables/runs-no-time.csv", r"latency_ms must be .*line 2 has ''"),
    "fit-twice": (f"{FIT} tables/runs-twice.csv", r"line 3 repeats mobilenet_v1-1@224 fp32"),
    "fit-foreign": (f"{FIT} tables/runs-foreign.csv", r"line 2: .*'mobilenet_v9'; did you mean 'mobilenet_v"),
    "fit-too-few": (f"{FIT} tables/runs.csv", r"at least 10"),
    # models
    "onnx-broken": ("predict models/broken.onnx --device raspberry-pi-4", r"broken\.onnx: not an ONNX file"),
    "onnx-truncated": (
        "predict models/truncated.onnx --device raspberry-pi-4",
        r"truncated\.onnx: not an ONNX file, or",
    ),
    "onnx-empty": ("predict models/empty.onnx --device raspberry-pi-4", r"empty\.onnx: not an ONNX file"),
    "onnx-no-image": ("predict models/no-image.onnx --device raspberry-pi-4", "must have exactly one input, an image"),
    "onnx-no-layers": ("predict models/no-layers.onnx --device raspberry-pi-4", "has no convolution or linear"),
    "onnx-gone": ("predict models/gone.onnx --device raspberry-pi-4", r"gone\.onnx: no such file"),
    "txt": ("predict models/words.txt --device raspberry-pi-4", r"path\.onnx or timm:NAME.*got 'models/words\.txt'"),
    "timm-resolution": ("predict timm:mobilenetv2_100@big --device raspberry-pi-4", "resolution after @"),
    # datasets
    "images-unreadable": (f"{PI} --dataset folder:images/unreadable", r"red/000\.png: not a readable image"),
    "images-truncated": (f"{PI} --dataset folder:images/truncated", r"red/001\.png: not a readable image"),
    "images-one-class": (f"{PI} --dataset folder:images/one-class", "at least two classes; found only red"),
    "images-too-few": (f"{PI} --dataset folder:images/too-few", "class 'blue' has 1 images; a split needs at least 3"),
    "images-empty": (f"{PI} --dataset folder:images/empty", "images/empty: no images"),
    "images-empty-class": (f"{PI} --dataset folder:images/empty-class", "white: .*has no images"),
    "images-gone": (f"{PI} --dataset folder:images/gone", "images/gone: no such folder"),
    "images-no-path": (f"{PI} --dataset folder:", "needs a path: folder:PATH"),
    "npz-broken": (f"{PI} --dataset npz:images/broken.npz", r"broken\.npz: not a readable"),
    "npz-floats": (f"{PI} --dataset npz:images/floats.npz", "x_train must be uint8"),
    "npz-no-labels": (f"{PI} --dataset npz:images/no-labels.npz", "the array y_train is missing"),
    "npz-gone": (f"{PI} --dataset npz:images/gone.npz", r"gone\.npz: no such file"),
    # run folders
    "out-is-no-run": (f"{PI} --out holiday", "holiday exists and is not a run folder"),
    "out-is-a-run": (f"{PI} --out run", "run holds a run already; .*--resume"),
    "out-is-a-file": (f"{PI} --out a-file", "a-file exists and is not a run folder"),
    "resume-no-run": ("search --resume holiday", r"holiday is not a run folder: it has no run\.toml"),
    "resume-nothing": ("search --resume gone", "gone is not a run folder"),
    "resume-changed": ("search --resume run", "space tiny has changed since run was begun"),
    "resume-another": ("search --resume run-of-another-space", "unknown search space 'tinny'; did you mean 'tiny'"),
    "resume-half": ("search --resume half-a-run", r"run\.toml"),
    "resume-and-device": ("search --resume run --device raspberry-pi-4", "give --device, or --resume"),
    "resume-zero-trials": ("search --resume run --trials 0", "at least 1 trial; got 0"),
    "report-no-run": ("report holiday", "holiday is not a run folder"),
    "pick-no-run": ("pick gone", "gone is not a run folder"),
    "pick-nothing": ("pick run --max-latency 1us", r"within 0\.00100 ms; the smallest latency is 5\.00 ms \(trial 2"),
    "pick-accuracy": ("pick run --min-accuracy 99%", r"reaches 99%; the most accurate is trial 6, 96\.0%"),
    "pick-share": ("pick run --min-accuracy 950%", r"--min-accuracy must be .*got '950%'"),
    "pick-unknown": ("pick run --trial 99", "no trial 99; its trials are 0 to 6"),
    "pick-failed": ("pick run --trial 4", "trial 4 of run failed to train"),
    "build-onto-file": ("build run --pick knee --onnx models/small.onnx", r"small\.onnx already exists; .*--force"),
    "build-no-weights": ("build run --pick 3 --onnx new.onnx", "run has no weights: .*models is not there"),
    "train-no-run": ("train gone --pick 0", "gone is not a run folder"),
    "train-which": ("train run --pick best", r"--pick must be .*got 'best'"),
    "train-unknown": ("train run --pick 99", "no trial 99; its trials are 0 to 6"),
    "train-failed": ("train run --pick 4", "trial 4 of run failed to train"),
    "train-no-network": ("train run --pick 3", "space tiny has changed since run was searched"),
    "train-time": ("train run --pick 3 --time soon", "time must be a length of time above 0, .*got 'soon'"),
    "compress-epochs": ("compress run --pick 3 --quantize int8 --qat --epochs 0 --out new", "--epochs"),
    "train-epochs": ("train run --pick 3 --epochs 0", "--epochs"),
    "train-augmentation": ("train run --pick 3 --augmentation cropflip", "augmentation 'cropflip'; did you mean"),
    "train-own-teacher": ("train run --pick 3 --teacher 3", "trial 3 cannot be its own teacher"),
    "train-nothing-to-resume": ("train run --pick 3 --resume", "no training that could be resumed was begun there"),
    "train-resume-and-epochs": ("train run --pick 3 --resume --epochs 9", "--resume keeps .*leave out epochs"),
    "build-which": ("build run --pick best --onnx new.onnx", r"--pick must be .*got 'best'"),
}  # fmt: skip


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bench(tmp_path_factory.mktemp("bench"))


def contents(root: Path) -> dict[str, str]:
    """Every path below `root`, hidden ones too, with a digest of what it holds."""
    return {
        str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else ""
        for p in root.rglob("*")
    }


def assert_refused(said: Said, message: str) -> None:
    assert said.status == 2, said
    assert said.err.startswith("nas: ") and said.err.count("\n") == 1 and said.err.endswith("\n"), said.err
    assert re.search(message, said.err), said.err
    assert said.out == ""


@pytest.mark.parametrize(("arguments", "message"), CASES.values(), ids=CASES)
def test_bad_input_is_one_line_and_status_2_and_leaves_nothing(
    arguments: str, message: str, bench: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bench)
    monkeypatch.setenv("NAS_HOME", str(bench / "home"))
    before = contents(bench)
    assert_refused(call(capsys, monkeypatch, *arguments.split()), message)
    assert contents(bench) == before


def test_a_process_of_its_own_ends_with_status_2_and_no_traceback(bench: Path) -> None:
    said = start(bench, "predict", "models/broken.onnx", "--device", "raspberry-pi-4")
    assert_refused(said, r"broken\.onnx: not an ONNX file")


QUICK = (
    "--device",
    "raspberry-pi-4",
    "--max-latency",
    "1ms",
    "--trials",
    "2",
    "--epochs",
    "1",
    "--data-share",
    "0.1",
    "--no-test",
)


@pytest.mark.parametrize("most", [100, 3000], ids=["run.toml", "journal"])
def test_a_full_disk_stops_a_search_that_can_go_on_afterwards(
    most: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with small_files(most):
        said = call(capsys, monkeypatch, "-q", "search", "--out", "run", *QUICK)
    assert_refused(said, r"cannot write run/.*File too large")
    assert not list(tmp_path.glob("run/.*.part"))
    assert (tmp_path / "run/journal.log").exists() == (most > 100)
    again = ("--resume", "run", "--no-test") if most > 100 else ("--out", "run", *QUICK)
    assert call(capsys, monkeypatch, "search", *again).status == 0
    assert [t.state for t in load_run(tmp_path / "run").trials] == ["trained", "trained"]


@pytest.mark.parametrize(
    "arguments",
    [
        "report run",
        "devices import tables/ofa.csv --format ofa --about tables/about.toml --out new",
        "devices import tables/ofa.csv --format ofa --out profile",
    ],
)
def test_a_full_disk_leaves_what_was_there(
    arguments: str, bench: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(tmp_path / "run")
    (tmp_path / "tables").symlink_to(bench / "tables")
    copytree(shipped("device_profiles") / "samsung-note10", tmp_path / "profile")
    before = contents(tmp_path)
    monkeypatch.chdir(tmp_path)
    with small_files(100):
        said = call(capsys, monkeypatch, *arguments.split())
    assert_refused(said, r"cannot write .*File too large")
    assert contents(tmp_path) == before


def test_images_of_mixed_sizes_are_accepted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "pictures", 6)
    monkeypatch.chdir(tmp_path)
    arguments = (
        "search --device raspberry-pi-4 --dataset folder:pictures --out run --max-latency 1ms --trials 1 --epochs 1"
    )
    assert call(capsys, monkeypatch, *arguments.split(), "--batch-size", "4").status == 0
    assert load_run(tmp_path / "run").trials[0].state == "trained"
