"""The command as a whole: how it is started, what the shell completes, and what --quiet leaves out."""

from __future__ import annotations

import errno
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import nas
from nas.cli import main
from nas.cli.output import hushed, note, set_quiet
from tests.cli.command import ROOT, call

SEARCH = (
    "search --device raspberry-pi-4 --trials 1 --epochs 1 --data-share 0.1 --max-latency 1ms --sampler random --no-test"
)
SLOW = {"torch", "timm", "optuna", "pandas", "scipy", "sklearn", "matplotlib", "onnx", "pydantic"}


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH on which `nas` is this package, as a user starts it."""
    program = tmp_path / "bin" / "nas"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m nas "$@"\n')
    program.chmod(0o755)
    return f"{program.parent}{os.pathsep}{os.environ['PATH']}"


def test_python_m_nas_is_the_command(path: str, tmp_path: Path) -> None:
    def said(*arguments: str) -> str:
        done = subprocess.run(["nas", *arguments], capture_output=True, text=True, check=True, cwd=tmp_path,
                              env=os.environ | {"PATH": path})  # fmt: skip
        return done.stdout

    assert said("--version") == f"nas {nas.__version__}\n"
    assert said("search", "--help").startswith("Usage: nas search [OPTIONS]\n")


def test_python_m_nas_is_recorded_as_nas(monkeypatch: pytest.MonkeyPatch) -> None:
    """run.toml keeps the command of a run, and a path into somebody's site-packages would not be one to repeat."""
    seen: list[list[str]] = []
    monkeypatch.setattr("nas.cli.main", lambda: seen.append([*sys.argv]))
    monkeypatch.setattr(sys, "argv", ["/somewhere/nas/__main__.py", "spaces"])
    runpy.run_module("nas", run_name="__main__", alter_sys=False)
    assert seen == [["nas", "spaces"]]


def test_the_version_is_there_without_loading_anything() -> None:
    code = "import sys; before = set(sys.modules); import nas; print(nas.__version__, *(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    version, *loaded = done.stdout.split()
    assert version[0].isdigit()
    assert not any(name.startswith("nas.") for name in loaded) and not SLOW & set(loaded)


@pytest.mark.parametrize("group", ["", "devices", "profile", "bench"])
def test_the_list_of_commands_says_in_whole_sentences_what_each_one_does(
    group: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = call(capsys, monkeypatch, *group.split(), "--help").out.split("Commands:\n")[1].splitlines()
    assert lines and all(line.endswith(".") and not line.endswith("...") for line in lines)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("nas pr", ["predict", "profile"]),
        ("nas devices sh", ["show"]),
        ("nas search --device raspberry-pi-4-f", ["raspberry-pi-4-fbnet"]),
        ("nas search --space mobilenet-v", ["mobilenet-v2", "mobilenet-v3"]),
        ("nas predict --device raspberry-pi-4-f", ["raspberry-pi-4-fbnet"]),
        ("nas profile pack --space nas-b", ["nas-bench-macro"]),
        ("nas devices show raspberry-pi-4-f", ["raspberry-pi-4-fbnet"]),
        ("nas spaces fbn", ["fbnet-cifar"]),
        ("nas search --early", ["--early-stopping"]),
    ],
)
def test_bash_completes(words: str, offered: list[str], path: str, tmp_path: Path) -> None:
    """With the script that `nas --install-completion` puts into a shell's start-up file."""
    script = (
        f'eval "$(_NAS_COMPLETE=source_bash nas)"; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); '
        'function=$(complete -p nas | sed "s/.* -F \\([^ ]*\\) .*/\\1/"); $function nas; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path,
        env=os.environ | {"PATH": path, "NAS_HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.split() == offered


@pytest.mark.parametrize("command", [SEARCH, f"{SEARCH} -q", f"-q {SEARCH}", f"{SEARCH} --quiet"])
def test_quiet_leaves_the_results(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = call(capsys, monkeypatch, *command.split())
    assert said.status == 0
    assert "Run folder: runs/tiny-raspberry-pi-4-1\n" in said.out
    if "-q" in command:
        assert said.err == "" and "Next:" not in said.out
    else:
        assert "trial 1 of 1: front 1" in said.err and "Next: nas pick runs/tiny-raspberry-pi-4-1 --knee" in said.err


def test_quiet_ends_with_its_command_and_keeps_no_error_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = call(capsys, monkeypatch, "-q", "pick", "nowhere")
    assert said.status == 2 and "nowhere" in said.err
    call(capsys, monkeypatch, "spaces", "tiny")
    note("heard")
    assert capsys.readouterr().err == "heard\n"


@pytest.mark.parametrize(
    "command",
    [
        "{}", "pick run --{}", "pick run --max-latency {}", "pick run --min-accuracy {}", "pick {}", "report {}",
        "spaces {}", "devices show {}", "search --device {}", "search --device pixel-1 --objectives {}",
    ],
)  # fmt: skip
def test_what_was_typed_is_not_repeated_without_end(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = call(capsys, monkeypatch, *command.format("x" * 6000).split())
    assert said.status == 2 and said.out == ""
    assert said.err.startswith("nas: ") and said.err.count("\n") == 1 and len(said.err) < 1500


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.EFBIG, "cannot write to x.csv: File too large"),
        (errno.ENOSPC, "cannot write to x.csv: No space"),
        (errno.EACCES, "cannot use x.csv: Permission denied"),
    ],
)
def test_what_the_system_refuses_is_one_line(
    number: int, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> None:
        raise OSError(number, os.strerror(number), "x.csv")

    monkeypatch.setattr("nas.space.search_space.load_space", refuse)
    said = call(capsys, monkeypatch, "spaces", "tiny")
    assert said.status == 2 and said.err.startswith(f"nas: {message}") and said.err.count("\n") == 1


def test_an_error_of_the_program_keeps_its_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    monkeypatch.setattr("nas.space.search_space.load_space", fail)
    monkeypatch.setattr(sys, "argv", ["nas", "spaces", "tiny"])
    with pytest.raises(OSError, match="Bad file descriptor"):
        main()


def test_what_failed_quietly_is_said_after_all(capsys: pytest.CaptureFixture[str]) -> None:
    def work(fail: bool) -> str:
        with hushed():
            print("item 1 of 2", file=sys.stderr)
            if fail:
                raise ValueError("the runtime stopped")
        return capsys.readouterr().err

    assert work(fail=False) == "item 1 of 2\n"
    set_quiet(True)
    try:
        assert work(fail=False) == ""
        with pytest.raises(ValueError, match="the runtime stopped"):
            work(fail=True)
        assert capsys.readouterr().err == "item 1 of 2\n"
    finally:
        set_quiet(False)
