"""nas federate on folders: sites are read, a version is written, and no more is claimed than holds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nas.deploy import measure
from nas.deploy.card import read_card
from nas.deploy.folder import version_folder, versions_in
from nas.errors import UserError
from nas.models.trained import load_trained
from nas.monitor.federate import client_of, federate_folder, privacy_of
from nas.train.federated import Federated, Federation
from tests.data.pictures import write_folder
from tests.deploy.deployments import FEW

CLASSES = ("blue", "green", "red")


def sites(folder: Path, *names: str) -> list[Path]:
    for name in names:
        write_folder(folder / name, 6)
    return [folder / name for name in names]


def test_a_site_holds_every_third_image_of_each_class_back(tmp_path: Path) -> None:
    (path,) = sites(tmp_path, "gate")
    client = client_of(path, ("owl", *CLASSES))
    assert client.name == "gate" and len(client.train) == 12 and len(client.held) == 6
    assert sorted(set(client.held.labels.tolist())) == [1, 2, 3], "labels are the network's"
    shutil.copytree(path, tmp_path / "split/train")
    shutil.copytree(path, tmp_path / "split/test")
    whole = client_of(tmp_path / "split", CLASSES)
    assert len(whole.train) == len(whole.held) == 18


def test_a_version_is_written_with_every_sites_batch_norms(
    made: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "SETTINGS", FEW)
    asked = Federation(rounds=1, batch_size=4, learning_rate=1e-4)
    done = federate_folder(out, sites(tmp_path, "gate", "yard"), asked, model=made / "run/models/0")
    assert done.version == 2 and versions_in(out) == [1, 2] and (out / "current").read_text() == "1\n"
    assert set(done.found.accuracy) == {"gate", "yard"}
    card = read_card(version_folder(out, 2))
    assert card.steps[-1] == "federated fine-tuning at 2 sites, 1 rounds, after version 1"
    gate, yard = (load_trained(out / ".models/2-sites" / name) for name in ("gate", "yard"))
    assert gate.lineage.steps[-1].endswith("batch norms of gate")
    assert gate.weights["conv_stem.weight"].equal(yard.weights["conv_stem.weight"])
    with pytest.raises(UserError, match=r"no version is written: .* points are lost"):
        federate_folder(out, sites(tmp_path, "n", "s"), Federation(rounds=2, batch_size=2, learning_rate=0.9),
                        model=made / "run/models/0", max_loss=0.0)  # fmt: skip
    assert versions_in(out) == [1, 2]


def test_what_cannot_be_a_federation_is_one_line(made: Path, out: Path, tmp_path: Path) -> None:
    one, two = sites(tmp_path, "gate", "other/gate")
    for paths, message in (
        ([one, two], "two are called 'gate'"),
        ([one], "at least two sites; got 1"),
        ([one, tmp_path / "nowhere"], "nowhere: no such folder"),
    ):
        with pytest.raises(UserError, match=message):
            federate_folder(out, paths, Federation(), model=made / "run/models/0")
    write_folder(tmp_path / "strange", 4)
    (tmp_path / "strange/red").rename(tmp_path / "strange/wolf")
    with pytest.raises(UserError, match=r"its class 'wolf' is not one of the network's \(blue, green, red\)"):
        client_of(tmp_path / "strange", CLASSES)
    write_folder(tmp_path / "few", 1)
    with pytest.raises(UserError, match="class 'blue' has 1 image; a site needs at least 2"):
        client_of(tmp_path / "few", CLASSES)


def test_no_more_is_claimed_than_holds(made: Path) -> None:
    found = Federated(load_trained(made / "run/models/0"), {}, {}, 0.2)
    plain, clipped, noised = (
        privacy_of(asked, found) for asked in (Federation(), Federation(clip=1), Federation(clip=1, noise=2))
    )
    assert all(text.startswith("Only weights leave a site: 0.20 MB a round, no images") for text in (plain, clipped))
    assert "may still tell something" in plain and "hides nothing by itself" in clipped
    assert "no epsilon was computed, so no differential privacy is claimed" in noised
