"""nas profile as a user meets it: here, by a bundle carried to a board, stopped and gone on with, and quick."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.device.cost import predict
from nas.device.profile import load_device
from nas.profiling.plan import bundle
from nas.profiling.results.results import candidate_of, read_results
from nas.profiling.results.timings import pooled
from nas.space.block_table import all_blocks
from nas.space.search_space import load_space
from tests.cli.command import Said, call
from tests.full_disk import small_files

RECORDED = Path(__file__).parents[1] / "profiling/recorded/results.json"
POWERTOP = Path(__file__).parents[1] / "profiling/energy/traces/powertop"
LITTLE = {"runs": 3, "most_runs": 5, "visit_s": 0.001, "least_rounds": 1, "rounds": 1, "network_factor": 1}
MACRO = ("--space", "nas-bench-macro", "--precision", "fp32")


class Command:
    """Runs `nas profile` with little to measure, in a folder and a home of its own."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        monkeypatch.chdir(folder)
        monkeypatch.setenv("NAS_HOME", str(folder / "home"))
        monkeypatch.setattr(bundle, "SETTINGS", bundle.SETTINGS | LITTLE)
        self.run = lambda *arguments: call(capsys, monkeypatch, *arguments)
        self.monkeypatch = monkeypatch

    def __call__(self, *arguments: str) -> Said:
        said = self.run("profile", *arguments)
        assert isinstance(said, Said)
        return said


@pytest.fixture
def profile(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    return Command(capsys, monkeypatch, tmp_path)


def test_a_bundle_goes_to_the_board_and_its_results_become_a_profile(profile: Command, tmp_path: Path) -> None:
    packed = profile("pack", *MACRO, "--out", "bundle.zip")
    assert packed.status == 0 and "python3 agent.pyz" in packed.err
    (tmp_path / "board").mkdir()
    unpack = [sys.executable, "-m", "zipfile", "-e", tmp_path / "bundle.zip", "bundle"]  # as README says
    subprocess.run(unpack, cwd=tmp_path / "board", check=True)
    board = subprocess.run(
        [sys.executable, "bundle/agent.pyz"], cwd=tmp_path / "board", capture_output=True, text=True, check=False
    )
    assert board.returncode == 0 and "board/results.json" in board.stderr
    built = profile("build", "board/results.json", "--name", "my-board", "--noisy")
    assert built.status == 0 and "mean error" in built.out and "--device my-board" in built.out
    slower = json.loads(Path("board/results.json").read_text())
    for visits in slower["items"].values():
        for visit in visits:
            visit.update({key: 1.1 * visit[key] for key in ("median_ms", "p90_ms", "p99_ms", "relative")})
    Path("slower.json").write_text(json.dumps(slower))
    for results, verdict in (("board/results.json", "agrees"), ("slower.json", "does NOT agree")):
        again = profile("build", results, "--name", "my-board", "--noisy")
        assert f"{verdict} within 3% with the measurement before it" in again.out
    priced = profile.run("predict", "timm:mobilenetv2_100@32", "--device", "my-board")
    assert priced.status == 1  # its blocks are others


def test_this_machine_is_measured_and_nothing_but_the_profile_and_its_results_stays(
    profile: Command, tmp_path: Path
) -> None:
    said = profile(*MACRO, "--noisy")
    assert said.status == 0 and "held out" in said.out and "--device this-machine" in said.out
    folder = tmp_path / "home/device_profiles/this-machine"
    assert {path.name for path in folder.iterdir()} == {
        "profile.toml", "blocks.csv", "validation.csv", "errors.csv", "results.json",
    }  # fmt: skip


def test_networks_alone_check_a_profile(profile: Command, tmp_path: Path) -> None:
    assert profile("build", str(RECORDED), "--name", "board", "--noisy").status == 0
    said = profile(*MACRO, "--networks", "4", "--seed", "5", "--out", "check")
    assert said.status == 0 and "--against check/results.json" in said.out
    assert [path.name for path in (tmp_path / "check").iterdir()] == ["results.json"]
    checked = profile.run("devices", "validate", "board", "--against", "check/results.json", "--as-measured", "--json")
    assert checked.status == 0
    (row,) = json.loads(checked.out)["agreement"]
    assert (row["precision"], row["quantity"], row["networks"]) == ("fp32", "latency", 4)
    results = read_results(tmp_path / "check/results.json")
    board, space, times = load_device("board"), results.space(), pooled(results)
    off = [
        predict(board, space.network(candidate_of(space, item)), "fp32").latency_ms / times[item.id].median_ms - 1
        for item in results.items_of("check")
    ]
    assert len(off) == 4 and row["mean"] == pytest.approx(float(np.mean(np.abs(off))), rel=1e-6)


def test_a_stopped_measurement_goes_on(profile: Command, tmp_path: Path) -> None:
    from nas.profiling.agent.journal import Journal

    kept = Journal.add

    def stop(self: Journal, entry: Any) -> None:
        kept(self, entry)
        if len(self.entries) == 7:
            raise KeyboardInterrupt

    profile.monkeypatch.setattr(Journal, "add", stop)
    stopped = profile(*MACRO, "--networks", "8", "--out", "check")
    assert stopped.status == 130 and "goes on" in stopped.err
    before = (tmp_path / "check/measurements.jsonl").read_text()
    assert before.count("\n") == 1 + 7
    other = profile("--space", "nas-bench-macro", "--precision", "int8", "--networks", "8", "--out", "check")
    assert other.status == 2 and "other settings" in other.err
    profile.monkeypatch.setattr(Journal, "add", kept)
    assert profile(*MACRO, "--networks", "8", "--out", "check").status == 0
    items = json.loads((tmp_path / "check/results.json").read_text())["items"]
    assert len(items) == 8 and sum(len(visits) for visits in items.values()) == 8
    assert {json.loads(line)["id"] for line in before.splitlines()[1:]} <= items.keys()


def test_a_quick_profile_has_every_block_and_says_what_it_was_adapted_from(profile: Command, tmp_path: Path) -> None:
    said = profile(*MACRO, "--quick", "--name", "quick", "--noisy")
    assert said.status == 0 and "10 networks" in said.out
    shown = profile.run("devices", "show", "quick", "--json")
    about = json.loads(shown.out)
    assert len(about["adapted_from"]) == 10
    rows = (tmp_path / "home/device_profiles/quick/blocks.csv").read_text().splitlines()
    assert len(rows) == 1 + 18  # all blocks of the space
    both = profile(*MACRO, "--quick", "--networks", "3")
    assert both.status == 2 and "--networks" in both.err


def test_fp16_is_left_out_where_the_runtime_computes_it_in_fp32(profile: Command) -> None:
    said = profile("--space", "nas-bench-macro", "--precision", "fp16", "--networks", "2", "--out", "check")
    assert said.status == 2 and "none of the plan's precisions" in said.err


def test_with_litert_the_profile_says_so(profile: Command) -> None:
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed: pip install -e '.[litert]'")
    said = profile(*MACRO, "--runtime", "litert", "--name", "phone", "--noisy")
    assert said.status == 0 and "mean error" in said.out
    about = Path("home/device_profiles/phone/profile.toml").read_text()
    assert 'runtime = "LiteRT ' in about and "--precision fp32 --runtime litert" in about


def test_without_litert_it_says_what_to_install(profile: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    said = profile("pack", *MACRO, "--runtime", "litert", "--out", "bundle.zip")
    assert said.status == 2 and "pip install 'ai-edge-litert" in said.err and not list(Path().iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("build", "absent.json"), "absent.json: not a readable results file"),
        (("build", str(RECORDED), "--name", "../up"), "--name must have"),
        (("build", str(RECORDED), "--out", "my folder"), "--out must have"),
        (("build", str(RECORDED), "--power", "meter.csv", "--noisy"), "--meter external"),
        (("pack", "--out", "taken"), "taken exists"),
        (("pack", *MACRO, "--runtime", "tvm", "--out", "b.zip"), "unknown runtime 'tvm' (known: litert, onnxruntime)"),
        (("pack", "--runtime", "litert", "--precision", "fp16", "--out", "b.zip"), "fp16 is not: leave it out"),
        (("--meter", "sundial", *MACRO, "--networks", "2"), "unknown meter 'sundial'"),
        (("--ssh", "-oProxyCommand=x", *MACRO), "-oProxyCommand"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(
    profile: Command, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "taken").mkdir()
    said = profile(*arguments)
    assert said.status == 2 and message in said.err
    assert not list(tmp_path.glob("home/device_profiles/*/profile.toml"))


def test_powertops_reports_give_a_laptops_energy(profile: Command, tmp_path: Path) -> None:
    """Results that an external meter ran beside, in UTC, and the reports of its battery: 8 to 12 W, then 0.9 W idle."""
    content = json.loads(RECORDED.read_text())
    networks = [item["id"] for item in content["plan"]["items"] if item["kind"] in ("calibrate", "check")]
    began, ms = 1772360100.0, {name: visits[0]["median_ms"] for name, visits in content["items"].items()}
    content["energy"] = {
        "meter": "external", "includes": "what the external meter feeds", "utc_offset_s": 0.0,
        "idle": [{"start": began + s, "end": began + s + 1} for s in (67.0, 68.0, 69.0)],
        "windows": [
            {"id": name, "start": began + 12, "end": began + 48, "runs": int(36_000 / ms[name])} for name in networks
        ],
    }  # fmt: skip
    (tmp_path / "results.json").write_text(json.dumps(content))
    said = profile("build", "results.json", "--power", str(POWERTOP), "--name", "laptop", "--noisy")
    assert said.status == 0, said.err
    about = load_device("laptop").about
    assert about.energy is not None and "idle power of" in about.energy and "whole networks" in about.energy
    row = next(row for row in load_device("laptop").validation if row.precision == "fp32")
    # 12 to 30 s: 8.2 to 12 W, straight; 30 to 48 s: 12 W: (18 x 10.2 + 18 x 12) / 36 = 11.1 W for as long as it runs
    item = next(i for i in content["plan"]["items"] if i["name"] == row.network and i["precision"] == "fp32")
    assert row.measured_mj == pytest.approx(11.1 * ms[item["id"]], rel=0.01)


def test_a_space_of_ones_own_is_profiled_and_its_file_is_needed_no_more(profile: Command, tmp_path: Path) -> None:
    text = load_space("nas-bench-macro").text.replace('name = "nas-bench-macro"', 'name = "mine"')
    (tmp_path / "mine.toml").write_text(text)
    own = ("--space", "./mine.toml", "--precision", "fp32")
    said = profile(*own, "--noisy", "--seed", "4", "--rounds", "1")
    assert said.status == 0, said.err
    device = load_device("this-machine")
    assert {t.block for t in device.lookup_table} == {b.key for b in all_blocks(load_space("nas-bench-macro"))}
    assert device.about.command == (
        "nas profile --space mine.toml --precision fp32 --threads 1 --rounds 1 --seed 4 --noisy"
    )
    assert profile("pack", *own, "--out", "bundle").status == 0
    (tmp_path / "mine.toml").unlink()
    results = tmp_path / "home/device_profiles/this-machine/results.json"
    assert profile("build", str(results), "--name", "later", "--noisy").status == 0


def test_options_that_cannot_be_are_refused_before_anything_is_written(profile: Command, tmp_path: Path) -> None:
    for arguments, message in (
        (("--resolution", "64"), "has one resolution, 32; got 64"),
        (("--seed", "-1"), "--seed"),
        (("--power-unit", "J"), "--power-unit must be W, mW or uW"),
        (("--power", "absent.csv"), "--meter external"),
        (("--meter", "sundial"), "unknown meter 'sundial'"),
        (("--cpus", "one"), "--cpus must be numbers of processors"),
    ):
        said = profile(*MACRO, *arguments)
        assert said.status == 2 and message in said.err, said
        assert not list(tmp_path.rglob("*.onnx")) and not list(tmp_path.rglob("profile.toml"))


def test_a_full_disk_keeps_the_profile_that_was_there(profile: Command, tmp_path: Path) -> None:
    """A limit on the size of files stands for the end of the disk; nothing of the new profile is left."""
    assert profile("build", str(RECORDED), "--name", "board", "--noisy").status == 0
    folder = tmp_path / "home/device_profiles"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with small_files(1024):
        said = profile("build", str(RECORDED), "--name", "board", "--noisy")
    assert said.status == 2 and said.err.splitlines()[-1].endswith("File too large"), said.err
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_an_ethos_u_is_estimated_without_a_board(profile: Command, tmp_path: Path) -> None:
    pytest.importorskip("ethosu.vela", reason="vela is not installed: pip install -e '.[vela]'")
    said = profile("vela", "--config", "ethos-u55-64", "--space", "nas-bench-macro", "--networks", "4")
    assert said.status == 0 and "networks compiled whole" in said.out
    assert "a compiler estimate; search with --device ethos-u55-64" in said.out
    assert "compiler estimate" in profile.run("devices", "show", "ethos-u55-64").out
    listed = profile.run("devices").out
    assert "estimate" in next(line for line in listed.splitlines() if line.startswith("ethos-u55-64"))
    said = profile("vela", "--config", "ethos-u99")
    assert said.status == 2 and "unknown configuration 'ethos-u99'" in said.err
    assert "Example: nas profile vela --config ethos-u55-128" in " ".join(profile("vela", "--help").out.split())
