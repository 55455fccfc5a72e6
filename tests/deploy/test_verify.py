"""nas verify: accuracy and costs of deployed files, here and on a board over ssh, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas.deploy import measure
from nas.deploy.card import read_card
from nas.deploy.facts import read_facts
from nas.deploy.folder import PAGE
from nas.deploy.images import other_images, seen
from nas.deploy.measure import Part, measure_models
from nas.deploy.slower import why_slower
from nas.deploy.verified import VERIFIED, Verified, read_verified
from nas.deploy.verify import verify
from nas.errors import UserError
from nas.profiling.agent.deployed import energies_of
from nas.profiling.agent.deployed import main as agent
from nas.profiling.boards.local import Stopped, this_machine
from tests.cli.command import ROOT, call
from tests.cli.test_remeasure import board_of
from tests.deploy.deployments import FEW


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "SETTINGS", FEW)


def only(folder: Path, **options: Any) -> Verified:
    """What is found of the one version."""
    (found,) = verify(folder, **options).found.values()
    return found


def test_a_version_is_verified_here(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = call(capsys, monkeypatch, "verify", str(out))
    assert said.status == 0, said.err
    place = out / "versions/1"
    (found,) = read_verified(place)
    card, model = read_card(place), found.models["fp32"]
    assert model.accuracy == card.models["fp32"].test == model.of_card
    assert found.count == found.total == 40 and found.pictures == 8 and found.threads == card.threads == 1
    m = model.measured
    assert 0 < m.p50_ms <= m.p90_ms <= m.p99_ms and m.runs == 5 and m.load_ms > 0 and m.first_ms > 0
    assert m.memory_mb is None or 0 < m.memory_mb < 500
    assert not found.same_device and model.verdict == "not known"  # this machine is no Raspberry Pi 4
    assert "this machine is not raspberry-pi-4" in model.verdict_words and "size" in model.verdict_words
    int8 = found.models["int8"]
    assert (int8.less_fp32 is not None and int8.less_fp32.low <= 0 <= int8.less_fp32.high) or int8.less_fp32.value
    assert int8.less_fp32.value == pytest.approx(int8.accuracy.value - model.accuracy.value)
    assert int8.relative is not None and int8.relative[1] <= int8.relative[0] <= int8.relative[2]
    assert model.less_fp32 is None and model.relative is None and model.slower == []
    page = (out / PAGE).read_text()
    assert f">{100 * model.accuracy.value:.1f}% (" in page and "to the bit" in page and "://" not in page
    for words in ("int8, static", "Size and memory", "p50 ms", "predicted, raspberry-pi-4", "not known"):
        assert words in page
    assert "accuracy" in said.out and "p50 ms" in said.out and "raspberry-pi-4, which is not this machine" in said.err
    assert max(len(line) for line in said.out.splitlines() if "Written" not in line) <= 80
    again = only(out)  # the last one of a machine and a source of images is kept
    assert [v.at for v in read_verified(place)] == [again.at]
    assert read_facts(place).models == {
        "fp32": "model-fp32.onnx",
        "int8": "model-int8.onnx",
    }  # the version itself is as it was


def mine(folder: Path) -> Path:
    """A device profile that is this machine's: a Raspberry Pi 4's rates under the name of the processor here."""
    device = shutil.copytree(ROOT / "device_profiles/raspberry-pi-4", folder / "mine")
    text = (device / "profile.toml").read_text().replace('name = "raspberry-pi-4"', 'name = "mine"')
    text = text.replace("Raspberry Pi 4 Model B", "a board of the tests")
    (device / "profile.toml").write_text(text.replace("Broadcom BCM2711, 4x Arm Cortex-A72", this_machine().processor))
    return device


@pytest.mark.parametrize(("limit", "verdict"), [(1e6, "feasible"), (1e-6, "violates")])
def test_on_the_device_itself_budgets_are_judged(out: Path, tmp_path: Path, limit: float, verdict: str) -> None:
    """Predicted by the profile that is named, of the network in the file: as the run's own profile did."""
    place = out / "versions/1"
    text = (place / "card.toml").read_text().replace("max_latency_ms = 50.0", f"max_latency_ms = {limit}")
    (place / "card.toml").write_text(text)
    resum(place)
    found = only(out, device=str(mine(tmp_path)))
    model, card = found.models["fp32"], read_card(place).models["fp32"]
    assert found.same_device and model.verdict == verdict
    assert model.predicted is not None and card.predicted is not None and model.predicted.device == "mine"
    assert model.predicted.latency_ms == pytest.approx(card.predicted.latency_ms, rel=0.05)
    assert model.predicted.weights_mb == pytest.approx(card.predicted.weights_mb, rel=0.02)


def resum(place: Path) -> None:
    """SHA256SUMS of a version that a test has changed."""
    from nas.deploy.facts import digest_of

    names = [line.split()[1] for line in (place / "SHA256SUMS").read_text().splitlines()]
    (place / "SHA256SUMS").write_text("".join(f"{digest_of(place / name)}  {name}\n" for name in names))


def test_a_board_verifies_over_ssh_and_keeps_nothing(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with board_of(tmp_path, monkeypatch) as board:
        said = call(capsys, monkeypatch, "verify", str(out), "--ssh", board.target, "--json")
        assert said.status == 0, said.err
        left = [path.name for path in board.home.iterdir()]
    assert left == ["bin"]
    (found,) = json.loads(said.out)
    card = read_card(out / "versions/1")
    assert (
        found["board"] == board.target and found["models"]["fp32"]["accuracy"] == card.models["fp32"].test.model_dump()
    )
    assert (out / "versions/1" / VERIFIED).exists()


def test_a_board_without_ssh_verifies_by_a_bundle(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent runs there as the README in the bundle says; results of another bundle are refused."""
    zipped = tmp_path / "bundle.zip"
    said = call(capsys, monkeypatch, "verify", str(out), "--bundle", str(zipped))
    assert said.status == 0 and "python3 agent.pyz verify" in said.err, said.err
    board = tmp_path / "board"
    with zipfile.ZipFile(zipped) as packed:
        packed.extractall(board)
    assert "nas verify FOLDER --results results.json" in (board / "README.txt").read_text()
    subprocess.run([sys.executable, "-I", "agent.pyz", "verify"], cwd=board, check=True, capture_output=True)
    said = call(capsys, monkeypatch, "verify", str(out), "--results", str(board / "results.json"))
    assert said.status == 0, said.err
    (found,) = read_verified(out / "versions/1")
    assert found.board == "results.json" and found.models["fp32"].accuracy == found.models["fp32"].of_card
    with pytest.raises(UserError, match="the results are of another bundle"):
        verify(out, results=board / "results.json", threads=2)
    text = (board / "results.json").read_text()
    answers = json.loads(text)["versions"]["1"]["models"]["fp32"]["answers"]
    cut = text.replace(json.dumps(answers), json.dumps(answers[:-1]))
    (board / "results.json").write_text(cut if cut != text else "{}")
    with pytest.raises(UserError, match="results"):
        verify(out, results=board / "results.json")


def test_versions_are_compared_on_the_same_images(
    made: Path, out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of version 1 that was quantized otherwise: its files differ from fp32 of version 1, which itself has no
    difference; a version of other test images is refused unless images are named."""
    shutil.copytree(out / "versions/1", out / "versions/2")
    place = out / "versions/2"
    text = (place / "card.toml").read_text().replace("version = 1", "version = 2", 1)
    (place / "card.toml").write_text(re.sub(r"steps = \[\s*", 'steps = ["prune: <b>x</b>", ', text, count=1))
    resum(place)
    said = call(capsys, monkeypatch, "verify", str(out), "--version", "all")
    assert said.status == 0, said.err
    assert "versions 1, 2 on" in said.out and "2 fp32" in said.out and "version 2: fp32, pruned" in said.err
    first, second = (read_verified(out / "versions" / n)[0] for n in "12")
    assert first.together == second.together == [1, 2] and first.base == "fp32 of version 1"
    copy = second.models["fp32"]
    assert first.models["fp32"].less_fp32 is None and copy.less_fp32 is not None and copy.less_fp32.value == 0
    assert copy.relative is not None and copy.accuracy == first.models["fp32"].accuracy
    page = (out / PAGE).read_text()
    assert page.count("<section>") == 1 and "version 2: int8, static, pruned" in page and "<b>x" not in page
    (place / "card.toml").write_text((place / "card.toml").read_text().replace("dataset_seed = 0", "dataset_seed = 1"))
    resum(place)
    with pytest.raises(UserError, match="version 2 is of others than version 1: name images with --images"):
        verify(out, versions=[1, 2])


def test_other_images_are_read_as_the_board_reads_them(out: Path, tmp_path: Path) -> None:
    """Classes by name, a class fewer and another order; pictures of any size, each as it is in its file."""
    rng = np.random.default_rng(1)
    for name, color in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
        (tmp_path / "more" / name).mkdir(parents=True)
        for number in range(4):
            pixels = np.clip(rng.integers(-30, 30, (90 + number, 70, 3)) + color, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "more" / name / f"{number}.png")
    found = only(out, images=f"folder:{tmp_path / 'more'}")
    assert found.count == 8 and found.models["fp32"].of_card is None
    facts = read_facts(out / "versions/1")
    split = other_images(f"folder:{tmp_path / 'more'}", facts.classes)
    assert [facts.classes[label] for label in split.labels.tolist()] == ["blue"] * 4 + ["red"] * 4
    few = seen("few", split, facts, most=3)
    assert len(few.labels) == 3 and few.total == 8 and few.pixels.shape == (3, 24, 24, 3)


def test_pixels_that_differ_on_the_board_are_refused(out: Path) -> None:
    facts, place = read_facts(out / "versions/1"), out / "versions/1"
    split = other_images(read_card(place).dataset, facts.classes)
    images = seen("mine", split, facts)
    wrong = replace(images, pictures={name: (content, n ^ 1) for name, (content, n) in images.pictures.items()})
    with pytest.raises(UserError, match="8 of 8 pictures become other pixels there than in training"):
        measure_models({"1": Part(facts, {p: place / name for p, name in facts.models.items()}, wrong)}, threads=1)


def test_a_folder_that_cannot_be_verified_is_one_line(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "else").mkdir()
    (tmp_path / "unknown" / "yellow").mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(tmp_path / "unknown/yellow/0.png")
    for folder, options, message in (
        (tmp_path / "else", [], "is not a deployment folder: it has no versions"),
        (tmp_path / "none", [], "is not a deployment folder: it has no versions"),
        (out, ["--version", "7"], "has no version 7; its versions are 1"),
        (out, ["--version", "1,x"], "--version must be numbers, e.g. 1,2, or all; got '1,x'"),
        (out, ["--bundle", "b.zip", "--ssh", "pi@board"], "leave out --ssh"),
        (out, ["--results", "r.json", "--meter", "rapl"], "leave out --ssh and --meter"),
        (out, ["--results", str(tmp_path / "none.json")], "none.json"),
        (out, ["--device", "nothing-like-it"], "unknown device"),
        (out, ["--images", f"folder:{tmp_path / 'unknown'}"], "its class 'yellow' is not one of the deployment's"),
        (out, ["--images", "folder:"], "needs a path"),
        (out, ["--ssh", "a b"], "a b"),
    ):
        said = call(capsys, monkeypatch, "verify", str(folder), *options)
        assert said.status == 2 and message in said.err and len(said.err.splitlines()) == 1, said.err
    model = out / "versions/1/model-fp32.onnx"
    model.write_bytes(model.read_bytes()[:-1])
    said = call(capsys, monkeypatch, "verify", str(out))
    assert said.status == 2 and "is not the file that SHA256SUMS names" in said.err
    (out / "current").write_text("x\n")
    assert "must name a version" in call(capsys, monkeypatch, "verify", str(out)).err
    assert not (out / "versions/1" / VERIFIED).exists()


def test_a_model_that_reads_other_files_is_refused(out: Path) -> None:
    place = out / "versions/1"
    (place / "model-fp32.onnx").write_bytes((place / "model-fp32.onnx").read_bytes() + b"\x0a\x0c\x0a\x08location")
    resum(place)
    with pytest.raises(UserError, match="a model must hold its weights itself"):
        verify(out)


def test_a_dataset_that_changed_is_refused_before_anything_runs(made: Path, out: Path) -> None:
    place = out / "versions/1"
    text = (place / "card.toml").read_text()
    digest = read_card(place).dataset_sha256
    (place / "card.toml").write_text(text.replace(f'dataset_sha256 = "{digest}"', f'dataset_sha256 = "{"0" * 64}"'))
    resum(place)
    with pytest.raises(
        UserError, match="has changed since the search: which of its images are test images is not known"
    ):
        verify(out)


def test_results_that_no_agent_wrote_are_refused(tmp_path: Path) -> None:
    for text in ("{}", '{"format": 1, "machine": {}, "models": {}, "pictures": {}}', "[" * 4000, '{"models": NaN}'):
        (tmp_path / "results.json").write_text(text)
        with pytest.raises(UserError, match=r"results\.json"):
            measure.read_results(tmp_path / "results.json")


def test_the_agent_says_what_is_wrong_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert agent(["--bundle", str(tmp_path)]) == 2
    assert "plan.json: cannot be read" in capsys.readouterr().err
    sums, settings = '"sums": {}', json.dumps(measure.SETTINGS)
    for versions, message in (('["../../x"]', "names no versions"), ('["1"]', "has no run.py"), ("[]", "names no")):
        plan = f'{{"deployed": {{"versions": {versions}, "threads": 1, "settings": {settings}, {sums}}}}}'
        (tmp_path / "plan.json").write_text(plan)
        assert agent(["--bundle", str(tmp_path)]) == 2
        assert message in capsys.readouterr().err
    assert agent(["--bundle", str(tmp_path), "--threads", "0"]) == 2
    assert "--threads must be 1 to 1024; got 0" in capsys.readouterr().err


def test_why_int8_is_slower_is_said_from_the_file_and_the_processor(out: Path) -> None:
    """fp32's file in the place of int8's: nothing runs in integers; then int8's own, on a processor without dot
    products, and a network of a tenth of a millisecond."""
    place = out / "versions/1"
    facts = read_facts(place)
    images = seen("mine", other_images(read_card(place).dataset, facts.classes), facts)
    part = Part(facts, {p: place / name for p, name in facts.models.items()}, images)
    results = measure_models({"1": part}, threads=1)

    def reasons(file: str, fp32_ms: float, *instructions: str) -> list[str]:
        machine = results.machine.model_copy(update={"machine": "x86_64", "instructions": list(instructions)})
        return why_slower(place / file, "int8", machine, fp32_ms)

    (all_float,) = reasons("model-fp32.onnx", 5.0, "avx512_vnni")
    assert "not all of it runs in integers: 0 of" in all_float
    old = " ".join(reasons("model-int8.onnx", 5.0, "avx2"))
    assert "no dot product of 8-bit integers (avx512_vnni or" in old and "the network is small" not in old
    small = " ".join(reasons("model-int8.onnx", 0.1, "avx512_vnni"))
    assert "the network is small: fp32 takes 0.1 ms" in small and "dot product" not in small
    assert "fp32 before they compute" in why_slower(place / "model-fp32.onnx", "fp16", results.machine, 1.0)[0]


class _Steady:
    """A meter of a machine that takes 5 W whatever it does, and 3 W more while it computes."""

    name, includes, period_s = "steady", "all of it", None

    def __init__(self) -> None:
        self.used, self.since = 0.0, 0.0

    def start(self) -> None:
        self.used, self.since = time.process_time(), time.time()

    def stop(self) -> None: ...

    def joules(self) -> float:
        return 5 * (time.time() - self.since) + 3 * (time.process_time() - self.used)

    def reading(self) -> tuple[float, float]:
        now = time.time()
        return now, self.joules()


def test_energy_is_with_and_without_the_idle_power() -> None:
    """A model that computes for 4 ms takes 12 mJ more than idling, and 5 W of the time that passes with it."""

    class Network:
        def scores(self, image: object) -> None:
            until = time.process_time() + 0.004
            while time.process_time() < until:
                pass

    name = ("1", "fp32")
    found = energies_of({name: Network()}, {name: [None]}, _Steady(), {"window_s": 0.1, "windows": 2})[name]
    assert found["energy_net_mj"] == pytest.approx(12, rel=0.35)  # and what the loop around it computes
    assert found["energy_mj"] >= found["energy_net_mj"] + 5 * 4 * 0.9


def test_a_meter_that_is_not_there_is_one_line(out: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for meter, message in (("psychic", "unknown meter 'psychic'"), ("external", "the board's own meter")):
        with pytest.raises(Stopped) as stopped:
            verify(out, meter=meter)
        assert stopped.value.status == 2 and message in capfd.readouterr().err
