"""watch.npz of deployed files: one part a precision, plain arrays, made by the files themselves."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.compress.quantize import calibration_images
from nas.monitor.estimates import _errors, accuracy_reference
from nas.monitor.ran import Ran
from nas.monitor.reference import FILE, basis_of, reference, watch_files
from nas.monitor.serve.accuracy import Estimator
from nas.monitor.serve.adapt import ARRAYS, GRAPH
from nas.monitor.serve.watch import Watch, read_reference
from nas.monitor.shifts import SEVERITIES, shifts
from nas.runtimes.onnxruntime import OnnxRuntime
from tests.compress.networks import digits, trained
from tests.monitor.watched import CLASSES, COST, FAMILIES, WIDTH, run


@pytest.mark.parametrize("name", sorted(shifts()))
def test_a_shift_keeps_shapes_grows_with_its_severity_and_has_equal_images_for_equal_seeds(name: str) -> None:
    rng = np.random.default_rng(0)
    soft = np.cumsum(rng.standard_normal((12, 32, 32, 3)), axis=1) + np.cumsum(rng.standard_normal((12, 32, 32, 3)), 2)
    pixels = np.clip(120 + 12 * soft, 0, 255).astype(np.uint8)
    made = [shifts()[name](pixels, severity, 3) for severity in SEVERITIES]
    assert all(m.dtype == np.uint8 and m.shape == pixels.shape for m in made)
    far = [np.abs(m.astype(float) - pixels).mean() for m in made]
    assert 0 < far[0] < far[-1]
    assert np.array_equal(shifts()[name](pixels, SEVERITIES[0], 3), made[0])


def test_the_basis_has_the_direction_that_a_shift_moves_features_in() -> None:
    labels = np.random.default_rng(0).integers(0, CLASSES, 2000)
    clean, moved = (run(labels, far, np.random.default_rng(1)) for far in (0.0, 1.0))
    basis = basis_of(clean, [moved])
    way = np.full(WIDTH, 1 / np.sqrt(WIDTH))  # `run` moves all features alike
    own = basis / np.linalg.norm(basis, axis=0)
    found = np.abs(own.T @ way)
    assert found[:8].max() < 0.7 and found[8:].max() > 0.8
    assert basis_of(clean, []).shape == (WIDTH, 8)


def test_each_precision_is_watched_by_its_own_file(tmp_path: Path) -> None:
    data, model, files = digits(), trained(), {}
    for precision in ("fp32", "int8"):
        path = tmp_path / f"model-{precision}.onnx"
        OnnxRuntime().export(replace(model, precision=precision), path, calibration=calibration_images(data))
        files[precision] = path
    families = {name: shifts()[name] for name in ("gaussian-noise", "contrast")}
    onnx = {precision: path.read_bytes() for precision, path in files.items()}
    adapted = OnnxRuntime().adaptable(model, onnx, calibration_images(data))
    beside = {GRAPH: adapted.graph, ARRAYS: adapted.arrays}
    made = watch_files(model, files, data.validation, lambda line: None, beside, families=families)
    assert list(made) == [FILE] and len(made[FILE]) < 1_000_000
    (tmp_path / FILE).write_bytes(made[FILE])
    with np.load(io.BytesIO(made[FILE]), allow_pickle=False) as file:
        assert {name.partition("/")[0] for name in file.files} == {"fp32", "int8"}
        assert all(np.isfinite(file[name]).all() for name in file.files)
    assert read_reference(tmp_path / FILE, "fp16") is None
    for precision, path in files.items():
        reference = read_reference(tmp_path / FILE, precision)
        watch, run_all = Watch(reference), OnnxRuntime().outputs(path.read_bytes())
        assert watch.off == () and watch.estimator.accuracy > 0.85 and "adapted" in watch.estimator.weights
        pixels = data.validation.images.take(torch.arange(32), 16).numpy()
        for image in pixels:
            outputs = run_all(((image.astype(np.float32) - 127.5) / 127.5).transpose(2, 0, 1)[None])
            watch.observe(image, outputs["logits"][0], outputs["features"][0], 1.0)
        assert watch.recent.count == 32


def test_the_error_of_large_losses_is_their_own() -> None:
    """Most estimates, near the usual accuracy, miss by three points, and ten far below it by ten; seven are too few."""
    near, far = [(0.03, 0.78)] * 100, [(0.1, 0.4)] * 10
    np.testing.assert_allclose(_errors(np.array(near + far), 0.8), [2.4 * np.sqrt((0.09 + 0.1) / 110), 0.24])
    np.testing.assert_allclose(_errors(np.array(near + far[:7]), 0.8), 2.4 * np.sqrt((0.09 + 0.07) / 107))
    np.testing.assert_allclose(_errors(np.array([(0.001, 0.78)] * 20), 0.8), 0.02)  # the least


def test_the_accuracy_of_an_adapted_network_that_is_too_sure_is_not_estimated_too_high() -> None:
    """Each frame's largest score is larger, and right as often: batch norms with a window's statistics make it so."""
    labels = np.random.default_rng(0).integers(0, CLASSES, 1500)
    drawn = np.random.default_rng(1)

    def ran(family: str, severity: int, surer: float) -> Ran:
        found = run(labels[:500], COST[family] * severity / 5, drawn)
        return Ran(
            found.scores + np.float32(surer) * np.eye(CLASSES, dtype=np.float32)[found.predicted], None, found.labels
        )

    shifted = [(f, s, ran(f, s, 0.0)) for f in FAMILIES for s in SEVERITIES]
    adapted = [(f, s, ran(f, s, 1.5)) for f in FAMILIES for s in SEVERITIES for _ in range(3)]
    clean = run(labels, 0.0, drawn)
    estimator = Estimator(accuracy_reference(clean, shifted, CLASSES, None, None, adapted=adapted))
    own, others = [], []
    for family in FAMILIES:
        found = ran(family, 4, 1.5)
        frames, true = estimator.frames(found.scores, None), float((found.predicted == found.labels).mean())
        estimate = estimator.estimate(frames, mixed=True, adapted=True)
        assert estimate.low < true < estimate.high
        own.append(estimate.accuracy - true)
        others.append(estimator.estimate(frames, mixed=True).accuracy - true)
    assert abs(np.mean(own)) < 0.03 < np.mean(others) - np.mean(own)


def test_with_too_few_validation_images_that_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    few = digits().validation.subset(torch.arange(40))
    assert watch_files(trained(), {}, few, said.append) == {}
    assert said == ["not watched: that needs 100 validation images, and there are 40"]


def test_large_images_are_shifted_a_few_at_a_time_and_fewer_of_them() -> None:
    at_once: list[int] = []

    def shift(pixels: np.ndarray, severity: int, seed: int) -> np.ndarray:
        at_once.append(len(pixels))
        return pixels

    labels = np.arange(400) % CLASSES
    pixels = np.random.default_rng(0).integers(0, 255, (400, 96, 96, 3), dtype=np.uint8)
    runs: list[int] = []

    def ran(given: np.ndarray, own: np.ndarray) -> Ran:
        runs.append(len(given))
        found = run(own, 0.0, np.random.default_rng(len(runs)))
        return Ran(found.scores, found.features, own)

    model = replace(trained(), classes=tuple("abcdef"))
    assert "accuracy/mixed/weights" in reference(model, ran, pixels, labels, {"none": shift, "too": shift})
    assert runs == [400, *[200] * 6]
    assert max(at_once) * 96 * 96 * 3 <= 4_000_000 and sum(at_once) == 1200
