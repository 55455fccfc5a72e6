"""A profile's folder is data from a stranger: each trick that was thought of is planted, and refused in one line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.device.folder import require_ours, write_profile
from nas.device.profile import fingerprint, read_profile
from nas.device.tables.validation import HeldOutError, Validation
from nas.errors import UserError, unknown
from nas.files.plain import has_tricks
from tests.device.hand_made import TIMES, about, hand_made

Trick = Callable[[Path], object]


def put(name: str, old: str, new: str) -> Trick:
    def plant(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return plant


def link(name: str, target: str) -> Trick:
    def plant(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)

    return plant


def pipe(folder: Path) -> None:
    (folder / "rates.csv").unlink(missing_ok=True)
    os.mkfifo(folder / "rates.csv")


TRICKS: dict[str, tuple[Trick, str]] = {
    "name-escape": (put("profile.toml", '"hand"', '"\\u001b[31mhand"'), "no control characters"),
    "name-path": (put("profile.toml", '"hand"', '"../../etc"'), "name: must have 1 to 64 letters, digits"),
    "name-markup": (put("profile.toml", '"hand"', '"[red]hand[/]"'), "name: must have 1 to 64 letters"),
    "name-long": (put("profile.toml", '"hand"', f'"{"x" * 65}"'), "name: must have 1 to 64 letters"),
    "raw-escape": (put("profile.toml", "by hand", "by \x1b]0;hand"), "no control characters; line"),
    "source-long": (put("profile.toml", "the tests", "x" * 10_001), "at most 10,000 characters"),
    "about-large": (put("profile.toml", "name", "#" * 250_000 + "\nname"), r"at most 0\.25 MB"),
    "calibration-nan": (put("profile.toml", "slope = 1.5", "slope = nan"), "slope"),
    "calibration-inf": (put("profile.toml", "offset_ms = 0.5", "offset_ms = inf"), "offset_ms"),
    "idle-negative": (put("profile.toml", "idle_w = 2.5", "idle_w = -2.5"), "idle_w: .*got -2.5"),
    "batch-zero": (put("profile.toml", "batch = 8", "batch = 0"), "batch: .*got 0"),
    "time-inf": (put("blocks.csv", ",2,", ",inf,"), "median_ms must be a finite number above 0"),
    "time-nan": (put("blocks.csv", ",2,", ",nan,"), "median_ms must be a finite number above 0"),
    "block-escape": (put("blocks.csv", "conv-3", "conv\x1b[2J-3"), "no control characters; line"),
    "block-lines": (put("blocks.csv", "conv-3", '"conv\n-3"'), "a cell must be one line|not a readable CSV"),
    "network-turned": (put("validation.csv", "net,fp32", "n\u202eet,fp32"), "no control characters; line 2"),
    "cell-long": (put("validation.csv", "net,fp32", "n" * 10_001 + ",fp32"), "one line of at most 10,000 characters"),
    "error-nan": (put("errors.csv", "0.05,", "nan,"), "mean must be a finite number of 0 or more; line 2"),
    "error-negative": (put("errors.csv", "0.05,", "-0.05,"), "mean must be a finite number of 0 or more; line 2"),
    "error-quantity": (put("errors.csv", "latency", "beauty"), "quantity must be latency or energy"),
    "about-link": (link("profile.toml", "/etc/hostname"), "profile.toml: is a link that leads out of"),
    "blocks-link": (link("blocks.csv", "../../../../etc/passwd"), "blocks.csv: is a link that leads out of"),
    "rates-loop": (link("rates.csv", "rates.csv"), "rates.csv: is a link that leads out of"),
    "rates-pipe": (pipe, "rates.csv: not a readable CSV file: it is a folder, a pipe or a device"),
    "errors-device": (link("errors.csv", "/dev/zero"), "errors.csv: is a link that leads out of"),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    described = about(calibration={"fp32": {"slope": 1.5, "offset_ms": 0.5}}, idle_w=2.5, batch=8)
    write_profile(
        tmp_path / "p", described, lookup_table=TIMES, validation=(Validation("net", "fp32", "held-out", 9.0, 8.5),),
        errors=(HeldOutError("fp32", "latency", "held-out", 9, 0.05, 0.01, 0.9, 0.5, 0.2),),
    )  # fmt: skip
    return tmp_path / "p"


@pytest.mark.parametrize(("plant", "message"), TRICKS.values(), ids=TRICKS)
def test_a_trick_is_refused_in_a_short_plain_line(plant: Trick, message: str, folder: Path) -> None:
    read_profile(folder)
    plant(folder)
    with pytest.raises(UserError, match=message) as refused:
        read_profile(folder)
    assert len(str(refused.value)) < 600 and not has_tricks(str(refused.value))


def test_large_tables_are_refused_before_they_are_read(folder: Path) -> None:
    with (folder / "blocks.csv").open("ab") as file:
        file.truncate(3_000_001)  # a sparse file: it takes no room on the disk
    for read in (read_profile, fingerprint):
        with pytest.raises(UserError, match=r"blocks\.csv: must have at most 3 MB"):
            read(folder)


def test_a_spearman_of_networks_all_alike_is_none_and_no_fault(folder: Path) -> None:
    put("errors.csv", ",0.9,", ",nan,")(folder)
    assert read_profile(folder).errors[0].spearman != read_profile(folder).errors[0].spearman


@pytest.mark.parametrize(
    "inside", [(), ("results.json", "measurements.jsonl"), ("bundle/plan.json",), ("profile.toml", "x")]
)
def test_a_profile_is_written_into_a_folder_that_is_ours(inside: tuple[str, ...], tmp_path: Path) -> None:
    for name in inside:
        (tmp_path / "p" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "p" / name).write_text("x")
    hand_made(tmp_path / "p")
    assert all((tmp_path / "p" / name).exists() for name in inside)


def test_a_foreign_folder_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "errors.csv").write_text("mine\n")
    for attempt in (lambda: hand_made(tmp_path / "thesis"), lambda: require_ours(tmp_path / "thesis")):
        with pytest.raises(UserError, match=r"thesis is not a device profile and holds other files \('errors\.csv'\)"):
            attempt()
    with pytest.raises(UserError, match=r"cannot write .*errors\.csv: it is not a folder"):
        require_ours(tmp_path / "thesis" / "errors.csv")
    (tmp_path / "killed" / ".bundle-abc").mkdir(parents=True)  # what is left where a process died while it packed
    require_ours(tmp_path / "killed")
    assert [p.name for p in (tmp_path / "thesis").iterdir()] == ["errors.csv"]
    assert (tmp_path / "thesis" / "errors.csv").read_text() == "mine\n"


@pytest.mark.parametrize("key", ["slope", "offset_ms", "per_block_ms", "per_million_params_ms"])
@pytest.mark.parametrize("value", ["1e308", "-1e308"])
def test_a_calibration_beyond_all_networks_is_refused(key: str, value: str, folder: Path) -> None:
    line = {"slope": "1.0", "offset_ms": "0.0"} | {key: value}
    text = "".join(f"{name} = {figure}\n" for name, figure in line.items())
    file = folder / "profile.toml"
    assert "slope = 1.5\noffset_ms = 0.5\n" in file.read_text()
    file.write_text(file.read_text().replace("slope = 1.5\noffset_ms = 0.5\n", text))
    with pytest.raises(UserError, match=rf"calibration\.fp32\.{key}: Input should be"):
        read_profile(folder)


def test_an_unknown_name_among_thousands_is_a_short_line() -> None:
    message = str(unknown("platform", "n" * 9_000, (f"{'p' * 5_000}{i}" for i in range(20_000))))
    assert len(message) < 1_000
    assert len(str(unknown("platform", "n", (f"p{i}" for i in range(20_000))))) < 600
