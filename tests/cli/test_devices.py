"""nas devices: the list, show, validate and diff, as a user sees them."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from nas.catalog import names, shipped
from nas.device.folder import write_profile
from nas.device.tables.blocks import BlockTime
from nas.device.tables.validation import Validation
from nas.space.search_space import load_space
from tests.cli.bench import small_onnx
from tests.cli.command import Said, call
from tests.device.hand_made import NETWORK, TIMES, about

Nas = Callable[[str], Said]
CSV = "network,precision,latency_ms,energy_mj,space\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


@pytest.fixture
def nas(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Nas:
    def run(arguments: str) -> Said:
        return call(capsys, monkeypatch, *arguments.split())

    return run


def harmless(text: str) -> bool:
    return not any(unicodedata.category(c) in ("Cc", "Cf") for c in text.replace("\n", ""))


def own_profile(folder: Path, name: str = "mine", **changed: object) -> None:
    int8 = tuple(BlockTime(t.block, "int8", ms, None, 9, None) for t, ms in zip(TIMES, (1.0, 6.0, 0.75), strict=True))
    write_profile(
        folder / "home" / "device_profiles" / name, about(name=name, precisions=["fp32", "int8"], **changed),
        lookup_table=TIMES + int8, validation=(Validation("net", "fp32", "held-out", 9.0, 8.5, 60.0, 51.0),),
    )  # fmt: skip


def test_the_list_has_one_line_a_profile_within_80_columns(nas: Nas, folder: Path) -> None:
    own_profile(folder, "a-board-with-a-name-as-long", board="a board of many words " * 9, batch=8)
    said = nas("devices")
    assert (said.status, said.err) == (0, "")
    lines = said.out.split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in lines] == ["latency", "device", *names("device_profiles")]
    assert all(len(line.rstrip()) <= 80 for line in said.out.splitlines())
    row = {line.split()[0]: line.split() for line in lines}
    assert row["raspberry-pi-4"][-5:] == [
        "fp32",
        "int8",
        "rates",
        "4.4%",
        "2.6%",
    ]  # the worst of errors.csv, by network
    assert row["pixel-1"][-4:] == ["fp32", "blocks", "?", "-"]
    assert row["a-board-with-a-name-as-long"][-4:] == ["int8", "blocks", "?", "?"]


def test_a_broken_profile_is_named_beside_the_others(nas: Nas, folder: Path) -> None:
    own_profile(folder)
    bad = folder / "home" / "device_profiles" / "bad\x1b[31m"
    copytree(folder / "home" / "device_profiles" / "mine", bad)
    (bad / "profile.toml").write_text('name = "\\u001b[2J"')
    said = nas("devices")
    assert said.status == 1 and "mine" in said.out and "bad" not in said.out
    assert "bad\\x1b[31m/profile.toml: a text must have no control characters" in said.err
    assert harmless(said.out + said.err)
    assert "mine" in {entry["name"] for entry in json.loads(nas("devices --json").out)}


def test_show_says_what_energy_is_and_which_blocks_are_slower(nas: Nas, folder: Path) -> None:
    own_profile(folder, idle_w=2.5, energy_without_idle=True, batch=4, adapted_from=["x", "y"], limits="toys only")
    said = nas("devices show mine")
    words = " ".join(said.out.split())
    assert said.status == 0
    assert "energy at the wall" in words and "2.50 W; energies are without it: add 2.50 mJ a ms" in words
    assert "predicts from adapted (2 networks) measured on it x, y" in words
    assert "batch 4 images" in words and "limits toys only" in words
    assert "2 of 3 blocks are slower in int8 than in fp32" in words
    rows = [line.split() for line in said.out.splitlines() if line.startswith((" mbconv", " pool_linear"))]
    assert [row[-1] for row in rows] == ["2.00", "1.50"]
    found = json.loads(nas("devices show mine --json").out)
    assert [b["ms"] for b in found["slower_in_int8"]["blocks"]] == [6.0, 0.75]
    assert (found["idle_w"], found["basis"]) == (2.5, "adapted (2 networks)")


def test_show_draws_only_what_was_measured(nas: Nas, folder: Path) -> None:
    assert nas("devices show raspberry-pi-4 --picture pi.png").status == 0
    assert (folder / "pi.png").read_bytes().startswith(b"\x89PNG")
    said = nas("devices show pixel-1 --picture no.png")
    assert said.status == 2 and "no whole network was measured" in said.err and not (folder / "no.png").exists()


def test_markup_in_a_profile_is_printed_as_it_stands(nas: Nas, folder: Path) -> None:
    own_profile(folder, board="[red]board[/red]", source="see [link=http://x]here[/link] [/]")
    said = nas("devices show mine")
    assert said.status == 0 and "[red]board[/red]" in said.out and "[link=http://x]here[/link] [/]" in said.out


@pytest.mark.parametrize(
    ("without", "both"), [(False, (51.0, 51 - 2.5 * 8.5)), (True, (51 + 2.5 * 8.5, 51.0))], ids=["with", "without"]
)
def test_predict_tells_energy_with_and_without_idle(
    without: bool, both: tuple[float, float], nas: Nas, folder: Path
) -> None:
    """8.5 ms at 2.5 W idle are 21.25 mJ of the hand-made network's 51 mJ, or beside them."""
    from nas.device.profile import load_device

    own_profile(folder, idle_w=2.5, energy_without_idle=without)
    assert load_device("mine").about.both_energies(51.0, 8.5) == pytest.approx(both)
    own_profile(folder)
    assert load_device("mine").about.both_energies(51.0, 8.5) is None
    copytree(shipped("device_profiles") / "raspberry-pi-4", folder / "pi")
    toml = (folder / "pi" / "profile.toml").read_text()
    (folder / "pi" / "profile.toml").write_text(f"idle_w = 2.5\nenergy_without_idle = {str(without).lower()}\n{toml}")
    small_onnx(folder / "small.onnx")
    found = json.loads(nas("predict small.onnx --device ./pi --json").out)
    difference = found["energy_with_idle_mj"] - found["energy_without_idle_mj"]
    assert difference == pytest.approx(2.5 * found["latency_ms"])
    assert found["energy_mj"] == found["energy_without_idle_mj" if without else "energy_with_idle_mj"]
    assert "without the 2.50 W that it draws idle" in nas("predict small.onnx --device ./pi").out


def test_validate_compares_models_and_candidates(nas: Nas, folder: Path) -> None:
    small_onnx(folder / "small.onnx")
    stages = ";".join(f"stage{i}.depth=1;stage{i}.kernel=5;stage{i}.expand=4" for i in (2, 3, 4))
    price = json.loads(nas("predict small.onnx --device raspberry-pi-4 --json").out)
    (folder / "m.csv").write_text(
        f"{CSV}small.onnx,fp32,{price['latency_ms'] / 1.25!r},,\nsmall.onnx,int8,3,,\n"
        f'small.onnx,fp16,3,,\n"resolution=32;width=0.5;{stages}",fp32,3,40,tiny\n'
    )
    said = nas("devices validate raspberry-pi-4 --against m.csv --json --picture m.png")
    found = json.loads(said.out)
    assert said.status == 1 and (folder / "m.png").stat().st_size
    assert found["unpriced"] == [
        {"network": "small.onnx", "precision": "fp16", "lacking": "fp16 (the profile has fp32, int8)"}
    ]
    first = found["networks"][0]
    assert first["predicted_ms"] / first["measured_ms"] == pytest.approx(1.25)
    assert re.fullmatch(r"tiny-[0-9a-f]{12}", found["networks"][2]["network"])
    assert {(a["precision"], a["quantity"], a["networks"]) for a in found["agreement"]} == {
        ("fp32", "latency", 2), ("int8", "latency", 1), ("fp32", "energy", 1)
    }  # fmt: skip
    said = nas("devices validate raspberry-pi-4 --against m.csv --precision fp32")
    assert said.status == 0 and "small.onnx" in said.out and "+25.0%" in said.out
    assert all(len(line.rstrip()) <= 80 for line in said.out.splitlines())
    said = nas("devices validate raspberry-pi-4 --against m.csv")
    assert said.status == 1 and "raspberry-pi-4 has no cost for 1 of 4:" in said.out


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (None, "", r"m\.csv: not a readable CSV file: No such file"),
        ("network,precision\nx,fp32\n", "", "missing latency_ms"),
        (CSV, "", "has no rows"),
        (CSV + "small.onnx,fp32,-1,,\n", "", "latency_ms must be a finite number above 0; line 2 has '-1'"),
        (CSV + "small.onnx,fp32,1,0,\n", "", "energy_mj must be a finite number above 0; line 2"),
        (CSV + "small.onnx,fp32,1,,\n" * 2, "", "line 3 repeats the network and precision of line 2"),
        (CSV + "gone.onnx,fp32,1,,\n", "", r"line 2: gone\.onnx: no such file"),
        (CSV + "words,fp32,1,,\n", "", r"line 2: a model must be given as path\.onnx or timm:NAME"),
        (CSV + "a=1,fp32,1,,tinny\n", "", r"line 2: unknown search space 'tinny'; did you mean 'tiny'"),
        (CSV + "a=1,fp32,1,,tiny\n", "", "line 2: unknown choice of tiny 'a'"),
        (CSV + "small.onnx,fp32,1,,\n", "--precision int8", r"m\.csv: holds no network in int8"),
        (CSV + "small.onnx,fp32,1,,\n", "--platform rpi4", "needs the columns platform"),
        (CSV + "small.onnx,fp32,1,,\n", "--picture m.pdf", r"must end in \.png"),
        (CSV + "sm\x1b[2Jall.onnx,fp32,1,,\n", "", "no control characters; line 2"),
    ],
)
def test_validate_says_what_is_wrong_with_a_file(
    rows: str | None, options: str, message: str, nas: Nas, folder: Path
) -> None:
    small_onnx(folder / "small.onnx")
    if rows is not None:
        (folder / "m.csv").write_text(rows)
    said = nas(f"devices validate raspberry-pi-4 --against m.csv {options}")
    assert said.status == 2 and said.out == "" and re.search(message, said.err), said
    assert harmless(said.err) and not (folder / "m.pdf").exists()


def write_results(path: Path) -> None:
    """What the agent may have measured: three networks of tiny, the first of which calibrates, each visited twice.

    The reference takes 2 ms, so that a network that is 3 times as slow takes 6 ms. The second ran 100 times in 10 s
    for 30 J, of which 20 J are idle: 300 mJ with idle, and 100 mJ without.
    """
    space, rng = load_space("tiny"), np.random.default_rng(1)
    items = [{"id": "n0", "name": "reference", "precision": "fp32", "kind": "reference", "sha256": "0"}]
    for number, kind in enumerate(("calibrate", "check", "check"), start=1):
        candidate = space.sample(rng)
        items.append({"id": f"n{number}", "name": f"tiny-{candidate.digest}", "precision": "fp32", "kind": kind,
                      "sha256": "0", "candidate": candidate.as_dict()})  # fmt: skip
    visit = {
        "at": 1.0,
        "runs": 10,
        "median_ms": 7.0,
        "p90_ms": 8.0,
        "p99_ms": 9.0,
        "relative": 3.0,
        "reference_ms": 2.0,
    }
    idle = [{"start": 100.0 * i, "end": 100.0 * i + 10, "joules": 20.0} for i in range(3)]
    path.write_text(json.dumps({
        "format": 1,
        "plan": {"format": 1, "space": {"name": "tiny", "sha256": space.fingerprint, "resolution": None}, "seed": 0,
                 "precisions": ["fp32"], "settings": {}, "items": items},
        "machine": {"system": "s", "machine": "m", "processor": "p", "runtime": "r", "provider": "c", "threads": 1,
                    "clock": "wall", "before": {}, "after": {}},
        "items": {f"n{i}": [visit, visit] for i in range(4)},
        "energy": {"meter": "toy", "includes": "everything", "idle": idle,
                   "windows": [{"id": "n2", "start": 50.0, "end": 60.0, "runs": 100, "joules": 30.0}]},
    }))  # fmt: skip


@pytest.mark.parametrize(("without", "mj"), [(False, 300.0), (True, 100.0)], ids=["with-idle", "without-idle"])
def test_validate_reads_what_the_agent_measured(without: bool, mj: float, nas: Nas, folder: Path) -> None:
    write_results(folder / "results.json")
    copytree(shipped("device_profiles") / "raspberry-pi-4", folder / "pi")
    toml = (folder / "pi" / "profile.toml").read_text()
    (folder / "pi" / "profile.toml").write_text(f"energy_without_idle = {str(without).lower()}\n{toml}")
    found = json.loads(nas("devices validate ./pi --against results.json --json").out)
    second, third = (item["name"] for item in json.loads((folder / "results.json").read_text())["plan"]["items"][2:])
    assert [(n["network"], n["measured_ms"], n["measured_mj"]) for n in found["networks"]] == [
        (second, 6.0, pytest.approx(mj)), (third, 6.0, None)
    ]  # fmt: skip
    assert found["notes"][0].startswith("1 measurements of networks that calibrate a profile are left out")
    every = json.loads(nas("devices validate ./pi --against results.json --all --json").out)
    assert len(every["networks"]) == 3
    assert every["notes"] == ["measured with r, but raspberry-pi-4 with TFLite 2.7.1 CPU (ruy)"]


def test_validate_takes_times_to_the_speed_that_the_machine_had_before(nas: Nas, folder: Path) -> None:
    write_results(folder / "results.json")
    copytree(shipped("device_profiles") / "raspberry-pi-4", folder / "pi")
    toml = (folder / "pi" / "profile.toml").read_text()
    for key, ours in (("soc", "p"), ("runtime", "r")):  # the machine of the results
        toml, found = re.subn(rf'(?m)^{key} = ".*"$', f'{key} = "{ours}"', toml)
        assert found == 1

    def measured(extra: str, option: str = "") -> tuple[list[float], str]:
        (folder / "pi" / "profile.toml").write_text(f"{extra}\n{toml}")
        found = json.loads(nas(f"devices validate ./pi --against results.json --json {option}").out)
        return [n["measured_ms"] for n in found["networks"]], found["notes"][0]

    speed = 'reference = "reference"\nreference_ms = { fp32 = 1.0 }\nthreads = 1\nclock = "time that passed"'
    times, note = measured(speed)  # the reference takes 2 ms in the results
    assert times == [3.0, 3.0] and "took 1 ms when the profile was made, 2 ms here" in note and "by 2.000" in note
    times, note = measured(speed, "--as-measured")
    assert times == [6.0, 6.0] and "times are as measured" in note
    for another in (speed.replace('"reference"', '"another"'), speed.replace("threads = 1", "threads = 2")):
        assert measured(another)[0] == [6.0, 6.0]
    toml = toml.replace('soc = "p"', 'soc = "another board"')
    assert measured(speed)[0] == [6.0, 6.0]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"relative": 3.0', '"relative": -3.0', "relative"),
        ('"check"', '"calibrate"', "holds no measured whole network, but 3 measurements of networks that calibrate"),
        ('"tiny"', '"tinny"', "unknown search space 'tinny'"),
        (load_space("tiny").fingerprint, "0" * 64, "the space tiny has changed"),
        ('"format": 1', '"format": 9', "this nas reads format 1"),
    ],
)
def test_validate_refuses_results_that_are_not_whole(
    old: str, new: str, message: str, nas: Nas, folder: Path
) -> None:  # fmt: skip
    write_results(folder / "results.json")
    text = (folder / "results.json").read_text()
    assert old in text
    (folder / "results.json").write_text(text.replace(old, new))
    said = nas("devices validate raspberry-pi-4 --against results.json")
    assert said.status == 2 and re.search(message, said.err), said


def test_validate_says_when_a_profile_was_fitted_to_the_file(nas: Nas, folder: Path) -> None:
    head = "platform,model,family,width_mult,resolution,precision,latency_ms,energy_mj_per_inference\n"
    lines = (shipped("device_profiles") / "raspberry-pi-4" / "validation.csv").read_text().splitlines()
    row = next(line for line in lines if line.startswith("mobilenet_v2-1@224,fp32,network,")).split(",")
    (folder / "r.csv").write_text(f"{head}pi,m,mobilenet_v2,1.0,224,fp32,{row[3]},{row[5]}\n")
    said = nas("devices validate raspberry-pi-4 --against r.csv --platform pi")
    assert said.status == 0 and "1 of 1 measurements are of networks that raspberry-pi-4 was" in said.out
    assert "nas devices show raspberry-pi-4" in " ".join(said.out.split())


def test_diff_judges_two_measurements_of_one_machine(nas: Nas, folder: Path) -> None:
    own_profile(folder, "one")
    own_profile(folder, "two", threads=4)
    said = nas("devices diff one two")
    assert said.status == 0
    assert "agree within 3% on 1 measured whole networks: fp32 0.0% on average" in said.out
    assert re.search(r"threads +- +4", said.out)
    found = json.loads(nas("devices diff one raspberry-pi-4 --space tiny --networks 20 --json").out)
    assert (found["agree"], found["blocks"], found["networks"]) == (None, {}, {})
    assert found["predicted"]["fp32"] == {"ratios": None, "spearman": None, "unpriced": 400}


def test_diff_says_when_two_do_not_agree(nas: Nas) -> None:
    said = nas("devices diff raspberry-pi-4 khadas-vim4 --space tiny --networks 50 --within 10%")
    assert said.status == 0 and "No block in common." in said.out
    assert "do NOT agree within 10% on measured whole networks: fp32" in said.out
    assert "do NOT agree within 10% on predicted networks of tiny" in said.out
    again = nas("devices diff raspberry-pi-4 raspberry-pi-4 --space tiny --networks 50")
    assert "Both profiles have the same description" in again.out and "agree within 3% on 75 measured" in again.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("devices diff pixel1 pixel-1", "unknown device 'pixel1'; did you mean 'pixel-1'"),
        ("devices diff pixel-1 pixel-1 --within 0", "--within must be above 0%"),
        ("devices diff pixel-1 pixel-1 --space tinny", "unknown search space 'tinny'"),
        ("devices diff pixel-1 pixel-1 --networks 1", "--networks"),
        ("devices validate pixel-1", "--against"),
    ],
)
def test_what_cannot_be_compared_is_said(arguments: str, message: str, nas: Nas) -> None:
    said = nas(arguments)
    assert said.status == 2 and re.search(message, said.err), said


def test_the_network_of_the_hand_made_profile_is_priced_by_its_blocks(folder: Path) -> None:
    """An adapted profile's blocks were not measured one by one, so their sum is called fitted."""
    from nas.device.cost import predict
    from nas.device.profile import load_device

    own_profile(folder)
    assert predict(load_device("mine"), NETWORK, "fp32").latency_basis == "measured"
    own_profile(folder, adapted_from=["a", "b"])
    assert predict(load_device("mine"), NETWORK, "fp32").latency_basis == "fitted"
