"""Labels: chosen by a design, trained once, kept, gone on with; or from a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nas.errors import UserError
from nas.estimate.labels import COLUMNS, TrainedLabels, as_accuracy, as_target, table_labels
from nas.estimate.structure import Structure
from nas.space.search_space import load_space
from tests.estimate.trained import Trained, reached

MACRO = load_space("nas-bench-macro")
STRUCTURE = Structure(MACRO)


def test_labels_are_trained_once_and_kept(tmp_path: Path) -> None:
    training, said = Trained(), list[tuple[int, int]]()
    file = tmp_path / "there" / "labels.csv"
    labels = TrainedLabels(STRUCTURE, training, file, 6)(lambda *x: said.append(x))
    assert len(labels) == len({label.network.blocks for label in labels}) == len(training.calls) == 6
    assert [label.accuracy for label in labels] == [pytest.approx(reached(x.network), abs=1e-5) for x in labels]
    assert all(len(label.curve) == training.epochs for label in labels)
    assert said == [(i, 6, "labels") for i in range(7)]
    again = Trained()
    assert TrainedLabels(STRUCTURE, again, file, 6)() == labels and not again.calls
    more = TrainedLabels(STRUCTURE, again, file, 8)()
    assert more[:6] == labels and len(again.calls) == 2


def test_a_process_that_was_killed_is_gone_on_with(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    whole = TrainedLabels(STRUCTURE, Trained(), file, 5)()
    text = file.read_text()
    file.write_text(text[: text.rindex('"[[')])  # in the middle of the last row
    again = Trained()
    assert TrainedLabels(STRUCTURE, again, file, 5)() == whole and len(again.calls) == 1
    assert file.read_text().partition("\n")[0] == ",".join(COLUMNS) and len(file.read_text()) == len(text)


def test_a_training_that_fails_is_replaced_and_not_tried_again(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    assert len(TrainedLabels(STRUCTURE, Trained(fails=2), file, 4)()) == 4
    again = Trained()
    assert len(TrainedLabels(STRUCTURE, again, file, 4)()) == 4 and not again.calls
    with pytest.raises(UserError, match="only 0 of 12 trainings gave a label of the 4 wanted; the last failed: the lo"):
        TrainedLabels(STRUCTURE, Trained(fails=99), tmp_path / "other" / "labels.csv", 4)()


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="is not a file of labels"):
        TrainedLabels(STRUCTURE, Trained(), file, 4)()
    candidate = MACRO.sample(np.random.default_rng(0)).json().replace('"', '""')
    file.write_text(f'{",".join(COLUMNS)}\n"{candidate}",1,0.5,1,[[1]]\n')
    with pytest.raises(UserError, match="curve must be a list of losses and accuracies; line 2"):
        TrainedLabels(STRUCTURE, Trained(), file, 4)()


def test_a_table_tells_trainings_of_other_epochs_and_hyperparameters_apart(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("arch,accuracy,epochs\n00000000,40,2\n00000000,42,2\n00000000,60,20\n22222222,70,20\n")
    labels = table_labels(path, MACRO)
    assert [(label.accuracy, label.epochs) for label in labels] == [
        (pytest.approx(0.41), 2), (pytest.approx(0.6), 20), (pytest.approx(0.7), 20),
    ]  # fmt: skip
    tiny = load_space("tiny")
    candidate = tiny.sample(np.random.default_rng(0)).as_dict()
    texts = [
        ";".join(f"{k}={v}" for k, v in {**candidate, "learning_rate": rate}.items()) for rate in (0.05, 0.05, 0.1)
    ]
    path.write_text("candidate,accuracy\n" + "".join(f"{t},{a}\n" for t, a in zip(texts, (0.5, 0.7, 0.8), strict=True)))
    found = table_labels(path, tiny, classes=7)
    assert [(x.accuracy, x.values["learning_rate"], x.network.classes) for x in found] == [
        (pytest.approx(0.6), 0.05, 7), (pytest.approx(0.8), 0.1, 7),
    ]  # fmt: skip


def test_of_a_run_only_what_was_trained_is_a_label(tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    path.write_text("trial,state,accuracy,arch\n0,trained,0.5,00000000\n1,failed,,11111111\n2,stopped,,22222222\n")
    assert [label.accuracy for label in table_labels(path, MACRO)] == [0.5]
    path.write_text("trial,state,accuracy,arch\n1,failed,,11111111\n")
    with pytest.raises(UserError, match="has no row of a network that was trained"):
        table_labels(path, MACRO)


def test_targets_and_accuracies_are_each_others_inverse() -> None:
    for accuracy in (0.0, 0.3, 0.95):
        target = float(as_target(np.array([accuracy]))[0])
        assert as_accuracy(target, 0.1) == (pytest.approx(accuracy), pytest.approx(0.1 * (1 - accuracy)))
    assert np.isfinite(as_target(np.array([1.0]))).all()
    assert as_accuracy(-0.5, 0.1) == (0.0, 0.1)  # below every accuracy
