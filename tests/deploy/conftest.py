"""One run and one deployment for the tests of a process."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nas.deploy import measure
from nas.deploy.job import deploy, job_of_run
from tests.deploy.deployments import FEW, TRIAL, make_trained_run


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data/, run/ and its deployment out/."""
    folder = tmp_path_factory.mktemp("deployed")
    run = make_trained_run(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "SETTINGS", FEW)
        deploy(job_of_run(run.path, TRIAL, ("fp32", "int8"), training=None), folder / "out")
    return folder


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    """A copy of the deployment, to change; moved elsewhere, as onto a board."""
    return shutil.copytree(made / "out", tmp_path / "moved")
