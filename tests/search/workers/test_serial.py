"""One training at a time: what a training that diverges gives."""

from __future__ import annotations

import re

import numpy as np

from nas.data.catalog import load_dataset
from nas.estimate.fidelity import Fidelity
from nas.estimate.proxy import ProxyTraining
from nas.search.workers.workers import Job, Serial
from nas.space.search_space import load_space


def test_a_training_whose_loss_is_not_finite_fails_with_its_reason() -> None:
    tiny = load_space("tiny")
    network = tiny.network(tiny.sample(np.random.default_rng(0)), 10)
    workers = Serial(ProxyTraining(load_dataset("digits"), Fidelity(epochs=1, data_share=0.5, resolution_share=0.1)))
    workers.submit(Job(7, network, {"learning_rate": 1e30}, 0, (1.0,)))
    done = workers.wait()
    assert done.number == 7 and done.estimate is None and not done.stopped
    assert re.fullmatch(r"loss not finite at epoch 1", done.error)
