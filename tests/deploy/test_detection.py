"""A detector's deployment: its files, its program on pictures, and mAP that is that of the card."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nas.compress.drop import BoxDrop
from nas.compress.ladder import Ladder
from nas.compress.low_rank import LowRank
from nas.compress.prune import Prune
from nas.compress.qat import Qat
from nas.compress.quantize import Quantize
from nas.compress.share import Share
from nas.compress.step import Given, Step
from nas.data.boxes import Detections, detections, overlaps, priors
from nas.data.catalog import load_dataset
from nas.data.dataset import Dataset
from nas.deploy import measure
from nas.deploy.card import read_card
from nas.deploy.detected import drawn
from nas.deploy.job import Job, deploy
from nas.deploy.judgment import joined, judged, judged_less
from nas.deploy.model_card import model_card
from nas.deploy.verified import Verified, VerifiedModel, keep, read_verified
from nas.deploy.verified_page import verified_page
from nas.device.profile import load_device
from nas.errors import UserError
from nas.models.builder import build
from nas.models.int8 import Int8
from nas.models.trained import Preprocessing, TrainedModel, load_trained
from nas.monitor import detections as detections_of_monitor
from nas.monitor.calibrate import Calibration, calibrate
from nas.monitor.log import Window, read_log
from nas.monitor.serve.answers import answer_of
from nas.monitor.serve.options import Options
from nas.monitor.serve.versions import load
from nas.monitor.serve.watch_detections import DetectionWatch
from nas.monitor.watched import watch_version
from nas.run.pictures import Picture, lines_of
from nas.runtimes.images import network_inputs
from nas.runtimes.litert import LiteRT
from nas.runtimes.onnxruntime import OnnxRuntime
from nas.runtimes.parity import snr
from nas.runtimes.runtime import RuntimeName
from nas.space.layer import Precision
from nas.space.search_space import parse_space
from nas.tasks.detection import Detection, heads_of
from nas.train.full import train_full
from nas.train.full_recipe import full_recipe
from nas.train.loop import evaluate, fit
from nas.train.recipe import recipe
from nas.train.rounding import quantized
from tests.cli.command import Said, call
from tests.deploy.deployments import FEW
from tests.search.test_detection import SPACE, squares

LITERT = find_spec("ai_edge_litert") is not None


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataset, TrainedModel]:
    """A folder with squares/, a trained detector model/ and its deployment out/."""
    folder = tmp_path_factory.mktemp("detector")
    data = load_dataset(f"coco:{squares(folder / 'squares')}")
    space = parse_space(SPACE, Path("d.toml"))
    network = space.network(space.sample(np.random.default_rng(0)), 2)
    recipe = full_recipe(
        {"optimizer": "adamw", "learning_rate": 0.01}, images=len(data.train), resolution=64, batch_size=8, epochs=25,
        mixup=0.0,
    )  # fmt: skip
    train_full(network, data, recipe, folder / "model", recorded={"dataset": data.name, "dataset_seed": 0})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "SETTINGS", FEW)
        runtimes: tuple[RuntimeName, ...] = ("onnxruntime", "litert") if LITERT else ("onnxruntime",)
        job = Job(folder / "model", None, ("int8", "fp32"), training=None, device="raspberry-pi-4", runtimes=runtimes)
        deploy(job, folder / "out")
    return folder, data, load_trained(folder / "model")


@pytest.fixture(scope="module")
def anchored(made: tuple[Path, Dataset, TrainedModel]) -> TrainedModel:
    """A wider detector with SSDLite's heads and two equal blocks, trained for some steps."""
    _, data, _ = made
    text = SPACE.replace('block = "anchor_free", depth = [1, 2]', 'block = "ssdlite", depth = 2')
    text = text.replace('{ block = "mbconv", kernel', '{ block = "mbconv", depth = 3, kernel', 1)
    text = (
        text.replace("channels = 16", "channels = 32").replace("[0.5, 1.0]", "1.0").replace("expand = 2", "expand = 3")
    )
    space = parse_space(text, Path("d.toml"))
    network = space.network(space.sample(np.random.default_rng(0)), 2)
    module, task = build(network), Detection(data.classes, network)
    given: dict[str, str | int | float] = {"optimizer": "adamw", "learning_rate": 0.01}
    chosen = recipe(given, epochs=12, batch_size=8, resolution=64)
    fit(module, task, data.train, data.validation, chosen, seed=0, device=torch.device("cpu"))
    preprocessing = Preprocessing(64, data.train.images.side, task.resize)
    weights = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
    return TrainedModel(
        network, weights, "detection", data.classes, preprocessing, recipe=given | {"batch_size": 8}
    )  # fmt: skip


def test_the_card_has_the_map_of_the_files(made: tuple[Path, Dataset, TrainedModel]) -> None:
    folder, data, model = made
    card, task = read_card(folder / "out/versions/1"), Detection(data.classes, model.network)
    wanted = evaluate(model.module(), task, data.test_split(), 64)
    found = card.models["fp32"].test
    assert found is not None and found.value == pytest.approx(wanted, abs=0.005)
    assert found.low < found.value < found.high and wanted > 0.05
    for form in card.models:
        one, apart = card.models[form], card.models[form].measured
        assert one.test is not None and one.test_at_50 is not None and apart is not None
        assert abs(one.test.value - wanted) < 0.1 and one.test.value < one.test_at_50.value <= 1
        assert apart.boxes_ms is not None and apart.boxes_ms > 0
    facts = json.loads((folder / "out/versions/1/preprocess.json").read_text())
    assert facts["heads"]["kind"] == "anchor_free" and facts["resize"] == "whole, bilinear"
    words = (folder / "out/versions/1/README.md").read_text()
    assert words.startswith("# Object detector, version 1") and "mAP" in words and "classifies" not in words
    assert words.count(", AP50 ") == 2 * len(card.models) and " ms more |" in words


def test_the_card_tells_sizes_and_classes_apart_and_shows_boxes(made: tuple[Path, Dataset, TrainedModel]) -> None:
    folder, data, model = made
    version = folder / "out/versions/1"
    card, task = read_card(version), Detection(data.classes, model.network)
    evaluate(model.module(), task, data.test_split(), 64)
    wanted, found = task.details(), card.models["fp32"].detected
    assert found is not None and found.ap75 == pytest.approx(wanted.at_75, abs=0.02)
    assert found.classes == pytest.approx(wanted.of_classes, abs=0.01) and len(found.classes_ap50) == 2
    assert found.small == pytest.approx(wanted.small, abs=0.01) and (found.medium, found.large) == (None, None)
    assert card.models["int8"].detected is not None
    words = (version / "README.md").read_text()
    assert "| mAP, small | mAP, medium | mAP, large |" in words and "| red | " in words and "| none | none |" in words
    assert "](found.jpg)" in words
    with Image.open(version / "found.jpg") as picture:
        assert picture.format == "JPEG" and picture.size == (2 * 64 + 6, 2 * 64 + 6)
    assert "found.jpg" in (version / "SHA256SUMS").read_text()


def verified(
    made: tuple[Path, Dataset, TrainedModel], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Said]:
    """The folder around the deployment, and what nas verify says of that."""
    monkeypatch.setattr(measure, "SETTINGS", FEW)
    return made[0], call(capsys, monkeypatch, "verify", str(made[0] / "out"))


def test_verify_says_what_the_boxes_of_each_file_are_worth(
    made: tuple[Path, Dataset, TrainedModel], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, said = verified(made, capsys, monkeypatch)
    assert not said.status and "AP50" in said.out and "small" in said.out and "none" in said.out
    assert "mAP / AP50 of red " in said.err
    assert all(len(line) <= 80 for line in said.out.splitlines() if not line.startswith(("Written", "version")))
    (one,) = read_verified(folder / "out/versions/1")
    card = read_card(folder / "out/versions/1")
    for form, model in one.models.items():
        assert model.detected is not None and card.models[form].detected == model.detected  # the same test images
        assert len(model.boxes) == len(one.samples) == 4
    page = (folder / "out/verified.html").read_text()
    assert page.count('class="boxes"') == 4 * len(one.models) and page.count("data:image/jpeg;base64,") == 4
    assert "Average precision by class" in page and "<td" in page and ">none</td>" in page
    keep(folder / "out/versions/1", one.model_copy(update={"where": "elsewhere"}))
    before, last = read_verified(folder / "out/versions/1")
    assert not before.samples and len(last.samples) == 4 and not before.models["fp32"].boxes
    html = verified_page("out", [({1: card}, {1: last}), ({1: card}, {1: before})])
    assert html.count('class="boxes"') == 4 * len(one.models)


def test_names_of_classes_are_text_on_cards_and_pages(made: tuple[Path, Dataset, TrainedModel]) -> None:
    folder, _, _ = made
    card, name = read_card(folder / "out/versions/1"), '<img src=x onerror="a">|`*'
    words = model_card(card, (name, "blue"))
    assert "<img" not in words.replace("\\<", "") and "\\<img src=x" in words
    picture = Picture(width=64, height=64, jpeg=[], objects=[(name, 0.0, 0.0, 0.5, 0.5, False)])
    models = {
        form: VerifiedModel(
            file=one.file, megabytes=1.0, accuracy=one.test, of_card=None, less_fp32=None, detected=one.detected,
            measured=one.measured, relative=None, predicted=None, verdict="no budgets", verdict_words="", slower=[],
            boxes=[[(name, 0.9, 0.0, 0.0, 0.5, 0.5)]],
        )
        for form, one in card.models.items()
    }  # fmt: skip
    found = Verified(
        at="2026-01-01", where="here", board="", images="x", count=1, total=1, threads=1, same_device=False, pictures=0,
        notes=[], models=models, classes=[name, "blue"], samples=[picture],
    )  # fmt: skip
    page = verified_page("out", [({1: card}, {1: found})])
    assert "<img" not in page and "&lt;img src=x" in page
    assert drawn([picture.model_copy(update={"jpeg": lines_of(_jpeg())})], [[(name, 0.9, 0, 0, 0.5, 0.5)]], [name])


def _jpeg() -> bytes:
    packed = BytesIO()
    Image.new("RGB", (64, 64)).save(packed, "JPEG")
    return packed.getvalue()


def test_the_program_names_and_draws_objects_in_the_pictures_own_pixels(
    made: tuple[Path, Dataset, TrainedModel], tmp_path: Path
) -> None:
    """A picture of twice the size, with room beside it: its boxes are where the objects are in that picture."""
    folder, data, _ = made
    test = data.test_split()
    small = test.images.take(torch.arange(len(test)), 64).numpy()
    paths = []
    for number, pixels in enumerate(small):
        wide = Image.new("RGB", (256, 128), (114, 114, 114))
        wide.paste(Image.fromarray(pixels).resize((128, 128), Image.Resampling.NEAREST), (0, 0))
        wide.save(tmp_path / f"{number}.png")
        paths.append(str(tmp_path / f"{number}.png"))
    run = [sys.executable, str(folder / "out/run.py"), "--json", "--least", "0.3", "--draw", str(tmp_path / "drawn")]
    lines = subprocess.run([*run, *paths], capture_output=True, text=True, check=True, timeout=120).stdout.splitlines()
    assert len(lines) == len(small)
    objects = [thing for line in lines for thing in json.loads(line)["objects"]]
    assert objects and {thing["class"] for thing in objects} <= {"red", "blue"}
    assert all(0 <= x1 < x2 <= 256 and 0 <= y1 < y2 <= 128 for x1, y1, x2, y2 in (thing["box"] for thing in objects))
    assert np.median([thing["box"][2] for thing in objects]) < 150  # the objects are in the left half
    with Image.open(tmp_path / "drawn/0.png") as drawn:
        assert drawn.size == (256, 128)
    words = subprocess.run(
        [sys.executable, str(folder / "out/run.py"), paths[0]], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    assert words.startswith(paths[0]) and (" at " in words or "nothing found" in words)
    refused = subprocess.run(
        [*run[:2], "--least", "2", paths[0]], capture_output=True, text=True, check=False, timeout=60
    )
    assert refused.returncode == 2 and "--least must be between 0 and 1" in refused.stderr


def test_answers_are_judged_by_what_is_there() -> None:
    """One picture with two objects, one with none: finding both is 1, finding one of the two classes half."""
    labels = np.full((2, 2, 8), 0, np.float32)
    labels[0, :, 0], labels[0, 0, 1:5], labels[0, 1, 1:5] = (0, 1), (0.1, 0.1, 0.4, 0.4), (0.5, 0.5, 0.9, 0.9)
    labels[1, :, 0] = -1
    labels[:, :, 6] = 100
    both = [[[0, 0.9, 0.1, 0.1, 0.4, 0.4], [1, 0.8, 0.5, 0.5, 0.9, 0.9]], []]
    one = [both[0][:1], []]
    labels[0, :, 7] = (900, 1600)  # a is small, b medium
    every, half = judged(both, labels, ("a", "b", "c")), judged(one, labels, ("a", "b", "c"))
    assert every.at_50 is not None and half.at_50 is not None
    assert every.accuracy.value == pytest.approx(1) and half.accuracy.value == pytest.approx(0.5)
    assert every.at_50.value == pytest.approx(1) and half.at_50.value == pytest.approx(0.5)
    assert every.detected is not None and half.detected is not None
    assert every.detected.classes == [1.0, 1.0, "none"] and every.detected.large is None
    assert (half.detected.small, half.detected.medium, half.detected.large) == (1.0, 0.0, None)
    assert half.detected.classes_ap50 == [1.0, 0.0, "none"]
    less, less_50, _ = judged_less(one, both, labels, ("a", "b"))
    assert less.value == pytest.approx(-0.5) and less.low <= less.value <= less.high
    assert less_50 is not None and less_50.value == pytest.approx(-0.5)
    more = joined(labels, np.concatenate([labels, labels[:, :1]], axis=1))
    assert more.shape == (4, 3, 8) and more[0, 2, 0] == -1
    accuracy, *nothing = judged([3, 1, 2], np.array([3, 1, 1]), tuple("abcd"))
    assert accuracy.value == pytest.approx(2 / 3) and nothing == [None, None]


def boxes_of(run: Callable[[np.ndarray], np.ndarray], model: TrainedModel, data: Dataset) -> list[Detections]:
    """What a session finds in the test pictures, of a probability of at least 0.2."""
    kind, maps = heads_of(model.network)
    inputs = network_inputs(model.preprocessing, data.test_split())
    return [detections(run(image)[0], priors(kind, maps), kind, least=0.2) for image in inputs]


@pytest.mark.parametrize("kind", ["anchor_free", "ssdlite"])
def test_boxes_are_the_same_before_and_after_the_export(
    made: tuple[Path, Dataset, TrainedModel], anchored: TrainedModel, kind: str, tmp_path: Path
) -> None:
    """Of trained weights, in the precisions of each runtime; those of int8 would be counted for the same by AP50."""
    folder, data, model = made
    model = anchored if kind == "ssdlite" else model
    module = model.module()
    with torch.inference_mode():
        wanted = boxes_of(lambda image: module(torch.from_numpy(image)).numpy(), model, data)
    assert sum(len(found.scores) for found in wanted) > 10
    some = data.train.subset(torch.arange(12))
    precisions: tuple[Precision, ...] = ("fp32", "int8")
    for runtime in (OnnxRuntime(), *[LiteRT()] * LITERT):
        for precision in (*precisions, "fp16") if kind == "anchor_free" and runtime.name == "litert" else precisions:
            path = folder / f"out/versions/1/model-{precision}{runtime.suffix}"
            if kind == "ssdlite" or not path.exists():
                path = tmp_path / path.name
                written = runtime.export(replace(model, precision=precision), path, calibration=some)
                assert written.agreement > 0.9 and ("boxes" in written.agreed or precision != "int8")
            found = boxes_of(runtime.session(path.read_bytes()), model, data)
            for before, after in zip(wanted, found, strict=True):
                if precision == "fp32":
                    np.testing.assert_array_equal(before.labels, after.labels)
                    np.testing.assert_allclose(before.boxes, after.boxes, atol=1e-4)
                    np.testing.assert_allclose(before.scores, after.scores, atol=1e-4)
                sure = before.scores > 0.4
                best = overlaps(before.boxes[sure], after.boxes) if len(after.boxes) else np.zeros((sum(sure), 1))
                assert (best.max(1) > (0.5 if precision == "int8" else 0.9)).all()


@pytest.mark.skipif(not LITERT, reason="LiteRT is not installed")
def test_the_program_runs_either_runtime(made: tuple[Path, Dataset, TrainedModel]) -> None:
    folder, _, _ = made
    command = [sys.executable, str(folder / "out/run.py"), "--json", "--least", "0.3", "--precision", "fp32"]
    pictures = [str(path) for path in sorted((folder / "squares/images").iterdir())[:8]]
    found = []
    for runtime in ("onnxruntime", "litert"):
        done = subprocess.run(
            [*command, "--runtime", runtime, *pictures], capture_output=True, text=True, check=True, timeout=120
        )
        objects = [thing for line in done.stdout.splitlines() for thing in json.loads(line)["objects"]]
        found.append([(thing["class"], thing["box"]) for thing in objects])
    assert len(found[0]) > 3 and found[0] == found[1]


def test_verify_tells_ap50_and_what_the_boxes_take(
    made: tuple[Path, Dataset, TrainedModel], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, said = verified(made, capsys, monkeypatch)
    assert said.status == 0 and " AP50 " in said.out and "boxes, ms" in said.out and " mAP " in said.out
    page = (folder / "out/verified.html").read_text()
    assert "decoding and suppression ms" in page and "is measured apart" in page


def test_a_largest_drop_of_a_detector_is_one_of_ap50(
    made: tuple[Path, Dataset, TrainedModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where every form loses too much, blocks stay in float, then the whole network is fp16, and fp32 in the end."""
    _, data, model = made
    lines: list[str] = []
    given = Given(data, 0, tmp_path, on_progress=lines.append)
    kept = Quantize("int8", 0.5).apply(model, given)
    assert kept.precision == "int8" and any(line.startswith("fp32: AP50 ") for line in lines)
    assert "points of AP50" in kept.lineage.steps[-1]
    monkeypatch.setattr("nas.compress.ladder.FLOAT_SHARE", 0.3)
    variants = OnnxRuntime().variants(model, data.train)
    ladder = Ladder(variants, data.validation, lines.append)
    monkeypatch.setattr(ladder.judge, "drop", lambda before, after: BoxDrop(10, 0.02, 0.001))
    chosen = ladder.descend(ladder.measure("int8", Int8()), 0.01)
    assert chosen.precision == "fp32" and any("in float " in line for line in lines) and "fp16 loses" in lines[-2]
    simulated, image = quantized(model.module(), "int8", data.train, 64), variants.images[0]
    file = variants.runtime.session(variants.file("int8"))(image)
    with torch.inference_mode():
        said = simulated(torch.from_numpy(image)).numpy()
    assert len(np.unique(said)) <= 256 >= len(np.unique(file))  # all heads' boxes have one scale
    assert snr([file], [said]) > 20


@pytest.mark.parametrize("step", [Prune(0.04, 2), LowRank(0.1, 2, anyway=True), Share(2), Quantize("int8", qat=Qat(1))])
def test_a_detector_is_compressed_by_steps_that_train(
    made: tuple[Path, Dataset, TrainedModel], anchored: TrainedModel, tmp_path: Path, step: Step
) -> None:
    """It stays a detector that is built as it is priced, exported with the same boxes, and finds objects."""
    _, data, _ = made
    model, lines = anchored, list[str]()
    profile = load_device("raspberry-pi-4")
    changed = step.apply(model, Given(data, 0, tmp_path, profile, lines.append))
    network = changed.network
    assert network.detects and network.taps == model.network.taps and changed.lineage.steps
    if step.name == "share":
        assert network.params < model.network.params and network.macs == model.network.macs
    elif step.name != "quantize":
        assert network.macs < model.network.macs and any("mAP" in line and " before, " in line for line in lines)
    reached = evaluate(changed.module(), Detection(data.classes, network), data.validation, 64)
    assert reached > 0.01
    some = data.train.subset(torch.arange(8))
    for runtime in (*[OnnxRuntime()] * (step.name == "share"), *[LiteRT()] * LITERT):
        path = tmp_path / f"net{runtime.suffix}"
        assert runtime.export(replace(changed, precision="fp32"), path, calibration=some).difference < 1e-3


def test_a_detector_is_not_taught(anchored: TrainedModel, made: tuple[Path, Dataset, TrainedModel]) -> None:
    with pytest.raises(UserError, match="a detector learns from boxes alone"):
        Qat(1, taught=True).train(anchored, Given(made[1], 0, Path()))


def test_a_detector_is_served_and_not_calibrated(made: tuple[Path, Dataset, TrainedModel], tmp_path: Path) -> None:
    """Its boxes are those of run.py, which are those of the evaluation."""
    folder, _, _ = made
    out, pictures = folder / "out", folder / "squares/images"
    shown = tmp_path / "pictures"
    shown.mkdir()
    for path in sorted(pictures.iterdir())[:6]:
        shutil.copy(path, shown)
    once = [sys.executable, str(out / "run.py"), "--json", *map(str, sorted(shown.iterdir()))]
    served = [sys.executable, str(out / "serve.pyz"), str(out), "--json", "--images", str(shown)]
    lines = [
        [json.loads(line) for line in subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
         .stdout.splitlines()]
        for command in (once, served)
    ]  # fmt: skip
    assert [line["objects"] for line in lines[0]] == [line["objects"] for line in lines[1]]
    assert sum(len(line["objects"]) for line in lines[1]) > 3
    (window,) = read_log(out).of(Window)
    assert window.objects is not None and window.objects.mean > 0 and set(window.objects_of) == {"red", "blue"}
    with pytest.raises(UserError, match="only classifiers learn again"):
        calibrate(Calibration(folder / "out"))


def test_what_watches_a_detector_is_made_of_its_file(
    made: tuple[Path, Dataset, TrainedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, data, model = made
    monkeypatch.setattr(detections_of_monitor, "LEAST_CLEAN", 10)
    monkeypatch.setattr(detections_of_monitor, "SHIFTED", (4, 4))
    place, said = folder / "out/versions/1", list[str]()
    assert set(watch_version(model, {"fp32": place / "model-fp32.onnx"}, data.validation, said.append)) == {"watch.npz"}
    made_of = watch_version(model, {"fp32": place / "model-fp32.onnx"}, data.validation)["watch.npz"]
    with np.load(io.BytesIO(made_of)) as file:
        found = {name.partition("/")[2]: file[name] for name in file.files if name.startswith("fp32/")}
    watch, rng = DetectionWatch(found), np.random.default_rng(0)
    served = load(folder / "out", 1, "fp32")
    for _ in range(16):
        frame = rng.integers(0, 256, (48, 64, 3), np.uint8)
        answer, ms, _ = answer_of(served, frame, Options(least=0.4))
        watch.observe(answer.pixels, answer.scores, None, ms)
    assert watch.charts["detections"].z.any() and said == []
