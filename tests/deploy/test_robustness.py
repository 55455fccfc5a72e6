"""The robustness on a card: what the deployed file itself gives on corrupted test images; and the data's licence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from nas.data.corruptions import corrupt
from nas.deploy.card import read_card
from nas.deploy.folder import version_folder
from nas.deploy.images import dataset_of
from nas.deploy.job import Job, job_of_run
from nas.deploy.model_card import model_card
from nas.deploy.robustness import LEAST_IMAGES, MOST_IMAGES, images_for, with_robustness
from nas.errors import UserError
from nas.models.trained import load_trial
from nas.run import load_run
from nas.space.search_space import load_space
from tests.cli.command import call
from tests.deploy.deployments import TRIAL


def test_it_is_the_files_own_accuracy_on_every_corruption(made: Path) -> None:
    place = version_folder(made / "out")
    card, settings = read_card(place), load_run(made / "run").settings
    found = card.robustness
    assert found is not None and card.no_robustness == "" and found.model == "fp32"
    test = dataset_of(settings.dataset, settings.dataset_sha256, settings.seed).test_split()
    pixels, labels = test.images.take(torch.arange(len(test)), 24).numpy(), test.labels.numpy()
    session = onnxruntime.InferenceSession(place / "model-fp32.onnx")

    def share(images: np.ndarray) -> float:
        inputs = (images.astype(np.float32).transpose(0, 3, 1, 2) - 127.5) / 127.5
        said = [session.run(None, {session.get_inputs()[0].name: image[None]})[0].argmax() for image in inputs]
        return float(np.mean(np.array(said) == labels))

    assert found.images == len(test) and found.clean == share(pixels)
    assert set(found.kinds) == {"gaussian-noise", "defocus-blur", "brightness", "contrast", "jpeg", "pixelate"}
    for kind, value in found.kinds.items():
        expected = [share(corrupt(pixels, kind, severity, seed=card.dataset_seed)) for severity in (1, 3, 5)]
        assert value == pytest.approx(np.mean(expected), abs=1e-12)
    assert found.value == pytest.approx(np.mean(list(found.kinds.values())))
    assert 0 <= found.low < found.value < found.high <= 1 or found.value in (0, 1)
    page = (place / "README.md").read_text()
    assert f"{100 * found.value:.1f}%" in page and "| gaussian-noise | " in page


def test_large_images_and_networks_are_run_on_fewer() -> None:
    assert images_for(32**2, 10**6) == MOST_IMAGES
    assert images_for(224**2, 3 * 10**8) == 2**22 // 224**2
    assert images_for(96**2, 10**9) == 40 and images_for(96**2, 10**12) == LEAST_IMAGES


def test_of_a_detector_the_card_says_why_it_is_not_measured(made: Path) -> None:
    card = read_card(version_folder(made / "out")).model_copy(update={"robustness": None})
    model = load_trial(made / "run", TRIAL)
    space = load_space("tiny-detector")
    network = space.network(space.sample(np.random.default_rng(0)), 3)
    detector = replace(model, network=network)
    said: list[str] = []
    done = with_robustness(card, detector, Path("none"), None, said.append)  # type: ignore[arg-type]
    assert done.robustness is None and not said
    assert "Robustness was not measured: corruptions are of a classifier's images." in model_card(done, model.classes)


def test_the_licence_is_on_the_card_where_it_is_given(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    card = read_card(version_folder(made / "out"))
    assert card.licence == "" and "licence: not known" in model_card(card, ("a",))
    given = card.model_copy(update={"licence": "CC BY 4.0 *or later*"})
    assert "licence: CC BY 4.0 \\*or later\\*" in model_card(given, ("a",))
    run = made / "run"
    one, other = (replace(job_of_run(run, TRIAL, training=None), licence=text) for text in ("MIT", "CC0"))
    assert one != other
    for text in ("a\nb", "\x1b[2J", "a" * 1000):
        with pytest.raises(UserError, match="a licence must have at most 200 printable characters"):
            Job(run, TRIAL, ("fp32",), None, licence=text)
    new = tmp_path / "new"
    arguments = ("deploy", str(run), "--pick", "0", "--no-train", "--out", str(new), "--data-licence", "a\x1bb")
    said = call(capsys, monkeypatch, *arguments)
    assert said.status == 2 and "a licence must have" in said.err and not new.exists()
