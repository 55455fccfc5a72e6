"""A guide learned from scores of untrained networks of a small space."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau, rankdata

from nas.data.catalog import load_dataset
from nas.errors import UserError
from nas.estimate import guide
from nas.estimate.guide import FEWEST, ScoredNetworks, guide_scores, make_guide
from nas.estimate.structure import Structure
from nas.estimate.zero_cost import descriptors
from nas.estimate.zero_cost.estimator import ZeroCost
from nas.space.search_space import load_space


def scored(folder: Path, names: tuple[str, ...] = ("depth", "macs"), networks: int = 60) -> ScoredNetworks:
    space = load_space("tiny")
    codes = space.canonical_codes(space.sample_codes(networks, np.random.default_rng(0)))
    pool = dict.fromkeys(space.network(space.decode(code)) for code in codes)
    return ScoredNetworks(Structure(space, 10), load_dataset("digits", seed=0), tuple(pool), names, 0, folder)


def test_names_of_scores() -> None:
    assert guide_scores("zero-cost") == ("depth", "swap", "trainability")
    assert guide_scores("swap+supernet") == ("swap", "supernet")
    assert guide_scores("zero-cost+swap+supernet") == ("depth", "swap", "trainability", "supernet")
    for text in ("", "swap+", "sawp"):
        with pytest.raises(UserError, match="unknown score"):
            guide_scores(text)


def test_what_scores_say_is_predicted_of_all_other_candidates(tmp_path: Path) -> None:
    """Depth and MACs are known of every network: the guide, which saw 40, must rank others by both."""
    given = scored(tmp_path)
    made = make_guide(given, 40)
    assert made is not None and made.networks == 40
    space = given.structure.space
    codes = space.canonical_codes(space.sample_codes(300, np.random.default_rng(1)))
    networks = [space.network(space.decode(code)) for code in codes]
    depths = [descriptors.depth(n) for n in networks]
    true = np.log(rankdata(depths)) + np.log(rankdata([descriptors.macs(n) for n in networks]))
    told = made.of_codes(codes)
    assert kendalltau(told, true).statistic > 0.8 and (told > 0).all()
    assert kendalltau(told, true).statistic > kendalltau(depths, true).statistic


def test_hyperparameters_and_precision_have_no_part(tmp_path: Path) -> None:
    given = scored(tmp_path)
    made = make_guide(given, 40)
    space = given.structure.space
    code = space.sample_codes(1, np.random.default_rng(2))
    names = {*space.table.hyperparameters, "precision"}
    other = code.copy()
    for j, choice in enumerate(space.choices):
        if choice.name in names:
            other[:, j] = len(choice.options) - 1 - code[:, j] if choice.options else choice.high
    assert (other != code).any() and made is not None
    assert made.of_codes(code) == made.of_codes(other)


def test_scores_are_kept_and_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = scored(tmp_path, ("depth", "swap"))
    heard: list[tuple[int, int, str]] = []
    first = given.scores(3, np.inf, lambda *told: heard.append(told))
    assert first.shape == (3, 2) and np.isfinite(first).all() and [h[:2] for h in heard] == [(0, 3), (1, 3), (2, 3)]
    asked: list[int] = []
    scores = ZeroCost.scores
    monkeypatch.setattr(ZeroCost, "scores", lambda self, network, seed: asked.append(1) or scores(self, network, seed))
    again = given.scores(5, np.inf)
    assert (again[:3] == first).all() and len(asked) == 2
    text = given.file.read_text()
    given.file.write_text(text[:-5])  # killed while it wrote
    assert (given.scores(5, np.inf) == again).all()
    given.file.write_text(text.replace(text.splitlines()[1], "0,a,b"))
    with pytest.raises(UserError, match="scores must be numbers; line 2"):
        given.scores(5, np.inf)


def test_where_scores_take_too_long_few_are_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A score takes a second of a clock that is set here: 24 do not fit into 20 seconds, and 40 fit into 41."""
    clock = iter(range(10**6))
    monkeypatch.setattr(guide, "perf_counter", lambda: float(next(clock)))
    assert len(scored(tmp_path / "a").scores(60, seconds=20.0)) == 3
    assert 24 <= len(scored(tmp_path / "b").scores(60, seconds=41.0)) < 45


def test_too_few_scores_in_the_time_are_no_guide(tmp_path: Path) -> None:
    assert make_guide(scored(tmp_path), 100, seconds=-1) is None
    assert make_guide(scored(tmp_path, networks=FEWEST // 2), 100) is None
