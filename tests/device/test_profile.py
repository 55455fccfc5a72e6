"""Profiles: what is written is read again, what ships is sound, and nothing half-written replaces a good one."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nas.catalog import names, shipped
from nas.device.folder import write_profile
from nas.device.profile import fingerprint, load_device, read_profile
from nas.device.tables.validation import HeldOutError, Validation
from nas.errors import UserError
from tests.device.hand_made import NETWORK, STEM, TIMES, about, hand_made

SHIPPED = (
    "firefly-rk3588s", "jetson-agx-orin", "jetson-agx-xavier", "khadas-vim4", "pixel-1", "raspberry-pi-4",
    "samsung-note10",
)  # fmt: skip
CHECKS = (Validation("a", "fp32", "held-out", 9.0, 8.5), Validation("b", "fp32", "network", 1.0, 2.0, 3.0, 4.0))
ERRORS = (HeldOutError("fp32", "latency", "network", 2, 0.05, 0.01, 0.99, 0.8, 0.2),)


def test_a_profile_is_read_as_it_was_written(tmp_path: Path) -> None:
    described = about(threads=4, ram_mb=4096, calibration={"fp32": {"slope": 0.9, "offset_ms": -0.25}})
    rates = load_device("raspberry-pi-4").rates
    assert rates is not None
    rates = replace(rates, rates=tuple(r for r in rates.rates if r.precision == "fp32"))
    write_profile(tmp_path / "new" / "p", described, lookup_table=TIMES, rates=rates, validation=CHECKS, errors=ERRORS)
    read = load_device(str(tmp_path / "new" / "p"))
    assert read.about == described
    assert sorted(read.lookup_table, key=lambda t: t.block) == sorted(TIMES, key=lambda t: t.block)
    assert (read.validation, read.errors) == (CHECKS, ERRORS)
    assert read.rates is not None
    for mine, theirs in zip(read.rates.rates, rates.rates, strict=True):
        assert (mine.precision, mine.quantity) == (theirs.precision, theirs.quantity)
        assert mine.rate == pytest.approx(theirs.rate, rel=1e-5)
        assert mine.high == pytest.approx(theirs.high, rel=1e-5)
    assert read.basis == "measured blocks + fitted rates"
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["p"]  # no temporary folder is left


def test_files_that_a_new_profile_lacks_are_removed(tmp_path: Path) -> None:
    write_profile(tmp_path / "p", about(), lookup_table=TIMES, validation=CHECKS)
    write_profile(tmp_path / "p", about(), lookup_table=TIMES[:1])
    read = read_profile(tmp_path / "p")
    assert (read.lookup_table, read.validation) == (TIMES[:1], ())


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_profiles_are_sound(name: str) -> None:
    profile = load_device(name)
    assert profile.name == name
    table = name in ("pixel-1", "samsung-note10")
    assert profile.basis == ("measured blocks" if table else "fitted rates")
    assert profile.precisions == (("fp32",) if table else ("fp32", "int8"))
    assert profile.has_energy != table
    assert all(getattr(profile.about, word) for word in ("board", "soc", "runtime", "statistic", "source", "command"))
    splits = {(e.precision, e.quantity, e.split) for e in profile.errors}
    assert table or splits == {(p, q, s) for p in ("fp32", "int8") for q in ("latency", "energy")
                               for s in ("network", "family")}  # fmt: skip


def test_the_list_above_ships() -> None:
    ours = shipped("device_profiles")
    assert {n for n, path in names("device_profiles").items() if path.is_relative_to(ours)} >= set(SHIPPED)


def test_the_fingerprint_is_that_of_the_content(tmp_path: Path) -> None:
    first, second = hand_made(tmp_path / "a").fingerprint, hand_made(tmp_path / "b").fingerprint
    assert first == second
    (tmp_path / "b" / "notes.txt").write_text("not part of the profile")
    assert fingerprint(tmp_path / "b") == first
    dearer = (replace(TIMES[0], median_ms=2.1), *TIMES[1:])
    assert hand_made(tmp_path / "b", dearer).fingerprint != first
    assert hand_made(tmp_path / "c", date="2024-02").fingerprint != first


INVALID = pytest.mark.parametrize(
    ("times", "message"),
    [
        ((), r"needs blocks\.csv or rates\.csv"),
        ((TIMES[0], TIMES[0]), "listed twice"),
        ((replace(TIMES[0], median_ms=-1.0),), "median_ms must be a finite number above 0"),
        ((replace(TIMES[0], precision="int8"),), "int8 is not among those of profile.toml"),
    ],
)


@INVALID
def test_an_invalid_profile_leaves_the_old_one(times: tuple, message: str, tmp_path: Path) -> None:
    old = hand_made(tmp_path / "p").fingerprint
    with pytest.raises(UserError, match=message):
        write_profile(tmp_path / "p", about(name="new"), lookup_table=times)
    assert read_profile(tmp_path / "p").fingerprint == old
    assert [p.name for p in tmp_path.iterdir()] == ["p"]


@INVALID
def test_an_invalid_profile_leaves_no_new_folder(times: tuple, message: str, tmp_path: Path) -> None:
    """Neither the profile's, nor those above it, nor the place in which it was tried."""
    with pytest.raises(UserError, match=message):
        write_profile(tmp_path / "home" / "device_profiles" / "p", about(), lookup_table=times)
    assert list(tmp_path.rglob("*")) == []


def test_energy_and_precisions_that_are_lacking_are_refused(tmp_path: Path) -> None:
    profile = hand_made(tmp_path / "p", energy=None)
    profile.require(precision="fp32")
    with pytest.raises(UserError, match="hand has no energy"):
        profile.require(energy=True)
    with pytest.raises(UserError, match=r"hand has no fp16 \(it has: fp32\)"):
        profile.require(precision="fp16")


def test_a_block_is_found_by_key_and_precision(tmp_path: Path) -> None:
    found = hand_made(tmp_path / "p").times
    assert found[STEM.key, "fp32"] == TIMES[0]
    assert set(found) == {(b.key, "fp32") for b in NETWORK.blocks}


OPERATIONS = ("open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.link", "os.scandir")


def killed_at(operation: int, folder: Path) -> bool:
    """Writes a new profile in a process that dies before so many file operations; whether it died."""
    child = os.fork()
    if child == 0:
        seen = 0

        def die(event: str, details: tuple[object, ...]) -> None:
            nonlocal seen
            if event in OPERATIONS and str(folder.parent) in str(details[0]):
                seen += 1
                if seen == operation:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(die)
        write_profile(folder, about(board="new"), lookup_table=TIMES[:1])
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0


def test_a_kill_at_any_moment_leaves_the_old_profile_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read by path, by name and in the list; and the same command goes through afterwards."""
    folder = tmp_path / "device_profiles" / "hand"
    monkeypatch.setenv("NAS_HOME", str(tmp_path))
    seen = set()
    for operation in range(1, 100):
        shutil.rmtree(folder.parent, ignore_errors=True)
        write_profile(folder, about(board="old"), lookup_table=TIMES, validation=CHECKS)
        (folder / "results.json").write_text("measured")
        died = killed_at(operation, folder)
        read = load_device(str(folder))
        assert (read.about.board, len(read.lookup_table), len(read.validation)) in (("old", 3, 2), ("new", 1, 0))
        assert load_device("hand").about == read.about
        assert [name for name in names("device_profiles") if name not in names_shipped()] == ["hand"]
        seen.add(read.about.board)
        write_profile(folder, about(board="newer"), lookup_table=TIMES)
        assert [p.name for p in folder.parent.iterdir()] == ["hand"]
        assert load_device("hand").about.board == "newer" and (folder / "results.json").read_text() == "measured"
        if not died:
            break
    assert not died and operation > 10 and seen == {"old", "new"}


def names_shipped() -> set[str]:
    return {path.parent.name for path in shipped("device_profiles").glob("*/profile.toml")}


def test_what_a_link_leads_to_is_replaced_and_not_the_link(tmp_path: Path) -> None:
    hand_made(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_profile(tmp_path / "link", about(board="new"), lookup_table=TIMES[:1])
    assert (tmp_path / "link").is_symlink() and read_profile(tmp_path / "real").about.board == "new"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "real"]


def test_an_error_names_the_profile_and_not_where_it_was_tried(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^{tmp_path}/p: a profile needs blocks.csv or rates.csv"):
        write_profile(tmp_path / "p", about())


def test_a_name_that_is_too_long_is_an_error_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot write .*: File name too long"):
        write_profile(tmp_path / ("x" * 300), about(), lookup_table=TIMES)
    with pytest.raises(UserError, match="cannot write"):
        write_profile(tmp_path / ("x" * 253), about(), lookup_table=TIMES)
    assert list(tmp_path.iterdir()) == []
