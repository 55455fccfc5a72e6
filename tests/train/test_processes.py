"""A training shared by processes, here two on the CPU: the same weights as in one, whatever ends one of them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.errors import UserError
from nas.models.trained import TrainedModel
from nas.train import processes
from nas.train.crew import ALONE, Crew
from nas.train.full import train_full
from nas.train.full_folder import read_result
from nas.train.full_recipe import FullRecipe
from nas.train.pilot import TrainingPlan
from nas.train.processes import processes_for
from nas.train.resumption import FullProgress
from tests.cli.command import ROOT
from tests.train.lessons import CPU, few_digits, short_recipe, small_network

DIGITS = few_digits()


def unchanged() -> FullRecipe:
    """A recipe with which two halves of a batch have the gradient of the whole: statistics are kept."""
    drawn = {"optimizer": "sgd", "learning_rate": 0.02, "augmentation": "none"}
    return replace(short_recipe(hyperparameters=drawn), norms="kept", calibration_images=0)


def train(folder: Path, recipe: FullRecipe, **given: Any) -> TrainedModel:
    return train_full(small_network(), DIGITS, recipe, folder, device=CPU, **given)


def gap(one: TrainedModel, other: TrainedModel) -> float:
    return max(float((one.weights[name] - tensor).abs().max()) for name, tensor in other.weights.items())


def test_two_processes_learn_what_one_does_and_go_on_where_they_were_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = train(tmp_path / "alone", unchanged())
    seen, plans = list[FullProgress](), list[TrainingPlan]()
    whole = train(tmp_path / "whole", unchanged(), processes=2, on_progress=seen.append, on_plan=plans.append)
    assert gap(whole, train(tmp_path / "other", unchanged(), seed=1)) > 0 and gap(whole, alone) < 1e-5
    assert [p.step for p in seen] == [1, 2, 3, 4, 5, 6] and plans[0].epochs == 2
    assert read_result(tmp_path / "whole").steps == 6
    part = tmp_path / "part"

    def kill(now: FullProgress) -> None:
        multiprocessing.active_children()[-1].kill()

    real, looked = processes._ended, list[int]()

    def ended(*given: Any) -> bool:
        looked.append(1)
        if len(looked) == 1:  # the processes have not begun: they stop after their next step. A second one ends at once
            os.kill(os.getpid(), signal.SIGINT)
        return real(*given)

    with pytest.raises(UserError, match=r"^process \d of the training was ended by SIGKILL; the same command goes on$"):
        train(part, unchanged(), processes=2, on_progress=kill, save_seconds=0)
    assert gap(train(part, unchanged(), processes=2), whole) == 0
    monkeypatch.setattr(processes, "_ended", ended)
    stopped = tmp_path / "stopped"  # from the start: where the kill came late, one step would be left
    with pytest.raises(KeyboardInterrupt, match=r"stopped in epoch \d of 2; the same command goes on"):
        train(stopped, unchanged(), processes=2)
    assert multiprocessing.active_children() == []
    assert gap(train(stopped, unchanged(), processes=2), whole) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["alone", "other", "part", "stopped", "whole"]


def test_numbers_that_are_not_finite_end_all_with_one_line(tmp_path: Path) -> None:
    recipe = short_recipe(hyperparameters={"optimizer": "sgd", "learning_rate": 1e30})
    with pytest.raises(UserError, match=r"not finite at epoch 1; train anew with a smaller learning rate"):
        train(tmp_path / "new", recipe, processes=2)
    assert multiprocessing.active_children() == [] and list(tmp_path.iterdir()) == []


def test_processes_end_with_the_one_that_began_them(tmp_path: Path) -> None:
    script = (
        "import multiprocessing, os, signal\nfrom pathlib import Path\nfrom tests.train.test_processes import *\n"
        "def die(now):\n    print(*[p.pid for p in multiprocessing.active_children()], flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "if __name__ == '__main__':\n"
        f"    train(Path({str(tmp_path / 'new')!r}), short_recipe(epochs=300), processes=2, on_progress=die)\n"
    )
    (tmp_path / "killed.py").write_text(script)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "killed.py")], stdout=subprocess.PIPE, text=True, check=False, timeout=600,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    left = {int(pid) for pid in done.stdout.split()}
    assert len(left) == 2
    deadline = time.monotonic() + 300
    while left := {pid for pid in left if Path(f"/proc/{pid}").exists() and _alive(pid)}:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_parts_of_a_batch_are_equal_and_drawn_for_apart() -> None:
    batch = torch.arange(33)
    crews = [Crew(rank, 4) for rank in range(4)]
    assert [crew.part(batch).tolist() for crew in crews] == [list(range(8 * n, 8 * n + 8)) for n in range(4)]
    assert len({crew.number(step) for crew in crews for step in range(5)}) == 20
    assert torch.equal(ALONE.part(batch), batch) and [ALONE.number(step) for step in (0, 7)] == [0, 7]
    assert [processes_for(gpus, 64) for gpus in (1, 2, 4, 8)] == [1, 2, 4, 4] and processes_for(8, 8) == 1


def test_a_teacher_is_for_one_process(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="with a teacher a training runs in one process"):
        train(tmp_path / "new", short_recipe(), processes=2, teacher=object())
    assert list(tmp_path.iterdir()) == []
