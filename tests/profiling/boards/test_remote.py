"""A bundle measured over ssh, against a real sshd on loopback; the agent is a stand-in but for the last test."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import time
import venv
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from nas.errors import UserError
from nas.profiling.boards import remote
from nas.profiling.boards.remote import check_board, run_on_board
from nas.profiling.plan.bundle import packed_agent, write_bundle
from nas.profiling.plan.plan import make_plan
from nas.profiling.results.results import read_results
from nas.space.search_space import load_space
from tests.profiling.boards.ssh_board import Board, Cable, make_key, running_board

# Measures six items, goes on where it was stopped, and says what it was given and what lies beside it.
AGENT = """
import hashlib, json, os, sys, time
from pathlib import Path
journal = Path("measurements.jsonl")
done = len(journal.read_text().splitlines()) if journal.exists() else 0
try:
    for item in range(done, 6):
        start = time.time()
        time.sleep(0.01)
        with journal.open("a") as file:
            file.write(json.dumps([item, os.getpid(), start, time.time()]) + "\\n")
        print(f"timing {item + 1}/6", file=sys.stderr, flush=True)
except KeyboardInterrupt:
    print("agent: stopped; the same command goes on", file=sys.stderr)
    sys.exit(130)
files = {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in Path(".").rglob("*") if p.is_file()}
rows = [json.loads(line) for line in journal.read_text().splitlines()]
Path("results.json").write_text(json.dumps({"arguments": sys.argv[1:], "rows": rows, "files": files}))
"""
# The same, but one that begins anew never gets beyond the third item: whatever goes on after it is another.
STUCK = AGENT.replace("time.sleep(0.01)", "time.sleep(0.01 if item < 3 or done else 60)")
ODD_NAMES = (
    "models/b 1.onnx",
    "models/-rf.onnx",
    "models/$(touch x);`y`.onnx",
    "models/ü\n'\".onnx",
    "models/[a]*.onnx",
)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    with running_board(tmp_path_factory.mktemp("board")) as board:
        yield board


@pytest.fixture
def board(started: Board, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Board]:
    """The board with nothing of an earlier test on it, seen by a user without any ssh configuration."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setattr(remote, "PAUSES_S", (0.05, 0.1, 0.2))
    yield started
    for path in started.home.iterdir():
        if path.name != "bin":
            shutil.rmtree(path)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle", AGENT)


def make_bundle(folder: Path, agent: str) -> Path:
    (folder / "models").mkdir(parents=True)
    (folder / "plan.json").write_text('{"format": 1}')
    write_agent(folder, agent)
    for position, name in enumerate(ODD_NAMES):
        (folder / name).write_bytes(bytes([position]) * (100_000 + position))
    return folder


def write_agent(folder: Path, source: str) -> None:
    """agent.pyz with the launcher that bundles have, and another agent."""
    packed = io.BytesIO(packed_agent())
    with zipfile.ZipFile(packed) as file:
        launcher = {name: file.read(name) for name in ("agent/__init__.py", "agent/launcher.py")}
    start = "import sys\nif sys.argv[1:] == ['launch']:\n    from agent.launcher import main\n    sys.exit(main())\n"
    with zipfile.ZipFile(folder / "agent.pyz", "w") as file:
        file.writestr("__main__.py", start + source)
        for name, content in launcher.items():
            file.writestr(name, content)


def folder_on(board: Board) -> Path:
    """The folder that belongs to the bundle's plan, there."""
    return board.home / ("nas-profile-" + hashlib.sha256(b'{"format": 1}').hexdigest()[:16])


class Watched(io.StringIO):
    """What the user sees; calls `act` once when `sign` appears in it."""

    def __init__(self, sign: str, act: Callable[[], None]) -> None:
        super().__init__()
        self._sign, self._act = sign, act

    def write(self, text: str) -> int:
        written = super().write(text)
        if self._sign and self._sign in self.getvalue():
            self._sign = ""
            self._act()
        return written


def measured(board: Board, bundle: Path, *, port: int | None = None, output: io.StringIO | None = None, **more):
    """Runs the bundle on the board; gives the results and what the user saw."""
    output = output or io.StringIO()
    results = bundle.parent / "results.json"
    target = f"{board.user}@127.0.0.1:{port or board.port}"
    more = {"known_hosts": board.known_hosts, "key": board.key} | more
    run_on_board(target, bundle, results, output=output, **more)
    return json.loads(results.read_text()), output.getvalue()


def refusal(board: Board, bundle: Path, **more) -> str:
    """The one line with which a run is refused; no results are left behind."""
    with pytest.raises(UserError) as caught:
        measured(board, bundle, **more)
    assert not (bundle.parent / "results.json").exists()
    assert not list(bundle.parent.glob(".*part"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def is_gone(process: int) -> bool:
    """Whether a process ends within a minute."""
    for _ in range(3000):
        try:
            os.kill(process, 0)
            if Path(f"/proc/{process}/stat").read_text().split()[2] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False


def test_sends_measures_and_brings_home_what_the_agent_found(board, bundle):
    arguments = ["--threads", "2", "--cpus", "0,1; touch hacked", "$(touch hacked)", "'\"\n", "-x"]
    (bundle / "results.json").write_text("of another machine")
    (bundle / "measurements.jsonl").write_text("of another machine")
    found, seen = measured(board, bundle, arguments=arguments)
    assert found["arguments"] == arguments
    assert [row[0] for row in found["rows"]] == [0, 1, 2, 3, 4, 5]
    for name in ("plan.json", "agent.pyz", *ODD_NAMES):
        assert found["files"][name] == hashlib.sha256((bundle / name).read_bytes()).hexdigest()
    assert "sending 6 of 7 files, 0.5 MB" in seen
    assert "timing 1/6\n" in seen and "timing 6/6\n" in seen
    assert [path.name for path in board.home.iterdir()] == ["bin"]


def test_can_keep_its_folder_which_only_its_owner_may_read(board, bundle):
    measured(board, bundle, keep=True)
    assert (folder_on(board) / "results.json").is_file()
    assert folder_on(board).stat().st_mode & 0o777 == 0o700


def test_a_second_call_sends_only_what_is_not_there(board, bundle):
    write_agent(bundle, "raise SystemExit(1)")
    refusal(board, bundle)
    write_agent(bundle, AGENT)
    cut_off = folder_on(board) / ODD_NAMES[0]
    cut_off.write_bytes(cut_off.read_bytes()[:-1])
    found, seen = measured(board, bundle)
    assert "sending 2 of 7 files" in seen  # the agent, and the model that was cut off
    assert found["files"][ODD_NAMES[0]] == hashlib.sha256((bundle / ODD_NAMES[0]).read_bytes()).hexdigest()


def test_results_of_an_earlier_run_do_not_pass_for_those_of_this_one(board, bundle):
    measured(board, bundle, keep=True)
    (bundle.parent / "results.json").unlink()
    write_agent(bundle, "")
    assert "left no results.json" in refusal(board, bundle)


def test_an_alias_of_the_ssh_configuration_is_a_target(board, bundle, tmp_path):
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text(
        f"Host pi\n HostName 127.0.0.1\n Port {board.port}\n User {board.user}\n IdentityFile {board.key}\n"
        f" UserKnownHostsFile {board.known_hosts}\n RemoteCommand false\n RequestTTY force\n"
    )
    run_on_board("pi", bundle, tmp_path / "results.json", output=io.StringIO())
    assert len(json.loads((tmp_path / "results.json").read_text())["rows"]) == 6


def test_an_unknown_host_key_is_refused(board, bundle, tmp_path):
    (tmp_path / "none").touch()
    said = refusal(board, bundle, known_hosts=tmp_path / "none")
    fingerprint = _fingerprint(board.files / "host_key.pub")
    assert "its host key is not known" in said and fingerprint in said
    assert f"ssh -o UserKnownHostsFile={tmp_path}/none -p {board.port} {board.user}@127.0.0.1" in said
    assert refusal(board, bundle, known_hosts=None).count("is not known") == 1
    assert refusal(board, bundle, known_hosts=tmp_path / "absent").count("is not known") == 1
    assert [path.name for path in board.home.iterdir()] == ["bin"]


@pytest.mark.parametrize("files", ["none", "/dev/null"])
def test_no_ssh_configuration_makes_it_trust_any_host(board, bundle, tmp_path, files):
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text(
        f"Host *\n StrictHostKeyChecking no\n UserKnownHostsFile {files}\n IdentityFile {board.key}\n"
    )
    assert "its host key is not known" in refusal(board, bundle, known_hosts=None, key=None)


def test_a_changed_host_key_is_refused(board, bundle, tmp_path, monkeypatch):
    make_key(tmp_path / "other")
    public = (tmp_path / "other.pub").read_text()
    changed = tmp_path / "changed"
    changed.write_text(f"[127.0.0.1]:{board.port} {public}")
    said = refusal(board, bundle, known_hosts=changed)
    assert "HAS CHANGED" in said and f"ssh-keygen -f {changed} -R '[127.0.0.1]:{board.port}'" in said
    assert _fingerprint(board.files / "host_key.pub") in said


def test_a_revoked_host_key_is_refused(board, bundle, tmp_path):
    revoked = tmp_path / "revoked"
    revoked.write_text(f"{board.known_hosts.read_text()}@revoked * {(board.files / 'host_key.pub').read_text()}")
    assert "revoked" in refusal(board, bundle, known_hosts=revoked)


def test_a_wrong_or_missing_key_is_refused(board, bundle, tmp_path):
    make_key(tmp_path / "other")
    assert "no key was accepted" in refusal(board, bundle, key=tmp_path / "other")
    assert "no key was accepted" in refusal(board, bundle, key=None)
    assert "absent" in refusal(board, bundle, key=tmp_path / "absent")


def test_a_board_out_of_reach_is_said(board, bundle):
    closed = Cable(board.port)
    closed.close()
    assert "cannot be reached" in refusal(board, bundle, port=closed.port)


@pytest.mark.parametrize("noticed", [True, False], ids=["noticed there", "not noticed there"])
def test_a_lost_connection_is_taken_up_again(board, bundle, noticed):
    write_agent(bundle, STUCK)
    cable = Cable(board.port)
    board.trust(cable.port)
    output = Watched("timing 3/6", lambda: cable.cut(noticed=noticed))
    found, seen = measured(board, bundle, port=cable.port, output=output)
    rows = found["rows"]
    assert is_gone(rows[0][1]), "the second stopped the first"
    cable.close()
    assert [row[0] for row in rows] == [0, 1, 2, 3, 4, 5]
    assert len({row[1] for row in rows}) == 2, "a second agent went on"
    assert all(later[2] >= earlier[3] for earlier, later in pairwise(rows)), "never two at once"
    assert seen.count("the connection was lost") == 1
    assert seen.count("sending 6 of 7") == 1 and seen.count("sending 1 of 7") == 1


def test_a_connection_lost_while_sending_is_taken_up_again(board, bundle):
    (bundle / "models/large.onnx").write_bytes(bytes(3_000_000))
    cable = Cable(board.port)
    board.trust(cable.port)
    output = Watched("sending 7 of 8", lambda: cable.cut())
    found, seen = measured(board, bundle, port=cable.port, output=output)
    cable.close()
    assert "the connection was lost" in seen
    assert found["files"]["models/large.onnx"] == hashlib.sha256(bytes(3_000_000)).hexdigest()


def test_a_board_that_does_not_come_back_is_said(board, bundle):
    write_agent(bundle, STUCK)
    cable = Cable(board.port)
    board.trust(cable.port)
    output = Watched("timing 3/6", cable.close)
    assert "does not come back" in refusal(board, bundle, port=cable.port, output=output)
    assert output.getvalue().count("trying again") == 3
    first = json.loads((folder_on(board) / "measurements.jsonl").read_text().splitlines()[0])
    assert is_gone(first[1]), "nothing goes on measuring there"


def test_an_interrupt_stops_the_agent_and_the_next_call_goes_on(board, bundle):
    write_agent(bundle, STUCK)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background ignores it
    try:
        output = Watched("timing 3/6", lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            measured(board, bundle, output=output)
    finally:
        signal.signal(signal.SIGINT, before)
    rows = [json.loads(line) for line in (folder_on(board) / "measurements.jsonl").read_text().splitlines()]
    assert len(rows) == 3 and is_gone(rows[0][1])
    assert "agent: stopped" in output.getvalue()
    found, _ = measured(board, bundle)
    assert [row[0] for row in found["rows"]] == [0, 1, 2, 3, 4, 5] and found["rows"][:3] == rows


@pytest.mark.parametrize(
    "target",
    ["", "-oProxyCommand=touch x", "a@-oProxyCommand=x", "user@host; rm -rf /", "user@host name", "user@host\n",
     "host\x00", "us er@host", "user@", "@host", "a@b@host", "user@host:", "user@host:0", "user@host:65536",
     "user@host:²", "höst", "user@$(id)", "`id`@host", "host/x", "user@::1"],
)  # fmt: skip
def test_a_target_that_is_no_plain_name_is_refused(bundle, target):
    with pytest.raises(UserError, match="--ssh must be user@host"):
        run_on_board(target, bundle, bundle.parent / "r.json", output=io.StringIO())


@pytest.mark.parametrize(
    "path", ["", "-c", "a b", "a;b", "$HOME", "a\n", "../x", "a/../b", "a//b", "`id`", "a/-b", "a'"]
)
def test_a_path_on_the_board_that_a_shell_could_read_otherwise_is_refused(bundle, path):
    for name in ("folder", "python"):
        with pytest.raises(UserError, match=f"the {name} on the board"):
            run_on_board("host", bundle, bundle.parent / "r.json", output=io.StringIO(), **{name: path})


def test_a_folder_that_holds_something_else_is_left_alone(board, bundle):
    photos = board.home / "photos"
    photos.mkdir()
    (photos / "one.jpg").touch()
    assert "photos holds something else" in refusal(board, bundle, folder="photos")
    (photos / "plan.json").write_text('{"format": 2}')
    assert "photos holds something else" in refusal(board, bundle, folder=str(photos))
    assert len(list(photos.iterdir())) == 2


def test_a_bundle_that_is_none_is_refused(bundle):
    output = io.StringIO()
    (bundle / "models/link.onnx").symlink_to("/etc/passwd")
    with pytest.raises(UserError, match="plain files only"):
        run_on_board("host", bundle, bundle.parent / "r.json", output=output)
    (bundle / "plan.json").unlink()
    with pytest.raises(UserError, match=r"it has no plan\.json"):
        run_on_board("host", bundle, bundle.parent / "r.json", output=output)
    with pytest.raises(UserError, match="in a folder that exists"):
        run_on_board("host", make_bundle(bundle / "b", ""), bundle / "absent/r.json", output=output)


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        ("import sys; print('agent: pip install numpy onnxruntime', file=sys.stderr); sys.exit(3)",
         ": pip install numpy onnxruntime"),
        ("import sys; print('agent: plan.json: no plan', file=sys.stderr); sys.exit(2)",
         "exit status 2: plan.json: no plan; what is there is kept in nas-profile-"),
        ("print('hello'); 1 / 0", "exit status 1: ZeroDivisionError: division by zero"),
        ("import os; os.kill(os.getpid(), 9)", "exit status 137: ended by signal 9 (out of memory?)"),
        ("raise SystemExit(130)", "exit status 130: it said nothing"),
        ("", "left no results.json"),
        ("import os; os.symlink('/etc/passwd', 'results.json')", "results.json must be a file of 1 to 32000000 bytes"),
        ("import os; os.mkfifo('results.json')", "results.json must be a file"),
        ("open('results.json', 'w').truncate(32000001)", "32000000 bytes; it has 32000001"),
        ("open('results.json', 'w')", "it has 0"),
    ],
    ids=["package", "bad input", "crash", "killed", "stopped", "no file", "link", "pipe", "too large", "empty"],
)  # fmt: skip
def test_what_goes_wrong_there_is_said_here(board, bundle, agent, said):
    write_agent(bundle, agent)
    assert said in refusal(board, bundle)
    assert folder_on(board).is_dir(), "kept, so that the same command goes on"


def test_a_python_that_is_missing_or_too_old_is_said(board, bundle):
    old = board.home / "bin/python3.6"
    old.write_text("#!/bin/sh\necho Python 3.6.9\n")
    old.chmod(0o755)
    assert "python3.6 is Python 3.6 there; the agent needs Python 3.8" in refusal(
        board, bundle, python="~/bin/python3.6"
    )
    assert "venv/bin/python does not run there" in refusal(board, bundle, python="venv/bin/python")
    with pytest.raises(UserError, match="does not run there"):
        check_board(board.target, python="venv/bin/python", known_hosts=board.known_hosts, key=board.key)
    check_board(board.target, known_hosts=board.known_hosts, key=board.key)
    assert [path.name for path in board.home.iterdir()] == ["bin"]


def test_a_full_disk_is_said(board, bundle, tmp_path):
    # a limit on the size of files stands for the end of the disk: both end a write in the middle
    with running_board(tmp_path / "full", before="trap '' XFSZ; ulimit -f 50") as full:
        said = refusal(full, bundle)
    assert "a file could not be written: its disk is full" in said and "kept in nas-profile-" in said


def test_a_disk_without_room_is_said_before_anything_is_sent(board, bundle, monkeypatch):
    import asyncssh

    async def statvfs(self: object, path: str) -> asyncssh.SFTPVFSAttrs:
        return asyncssh.SFTPVFSAttrs(bavail=3, frsize=100_000)

    monkeypatch.setattr(asyncssh.SFTPClient, "statvfs", statvfs)
    assert "its disk has 0.3 MB free; the bundle needs 0.5 MB more" in refusal(board, bundle)


def test_a_server_without_sftp_is_said(board, bundle, tmp_path):
    with running_board(tmp_path / "bare", sftp=False) as bare:
        assert "SFTP does not work there" in refusal(bare, bundle)


@pytest.fixture(scope="module")
def real_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The agent itself, the reference and one block."""
    plan = make_plan(load_space("tiny"), ("fp32",))
    folder = tmp_path_factory.mktemp("real") / "bundle"
    write_bundle(replace(plan, items=plan.items[:2]), folder)
    return folder


def test_the_agent_itself_measures_over_ssh(board, real_bundle):
    found, seen = measured(board, real_bundle, arguments=["--threads", "1"])
    results = real_bundle.parent / "results.json"
    read_results(results)
    results.unlink()
    planned = json.loads((real_bundle / "plan.json").read_text())
    (visits,) = found["items"].values()
    assert found["plan"] == planned and list(found["items"]) == [planned["items"][1]["id"]]
    assert all(0 < visit["median_ms"] < 1000 for visit in visits)
    assert "the fp32 reference took" in seen


def test_the_agent_itself_says_which_packages_are_missing(board, real_bundle):
    venv.create(board.home / "bare", symlinks=True)
    said = refusal(board, real_bundle, python="~/bare/bin/python")
    assert said.startswith(f"{board.target}: this needs NumPy and ONNX Runtime: pip install numpy onnxruntime")


def _fingerprint(public: Path) -> str:
    return subprocess.run(["ssh-keygen", "-lf", public], capture_output=True, text=True, check=True).stdout.split()[1]
