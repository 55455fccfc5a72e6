"""serve.pyz as a board runs it: Python, NumPy, Pillow and ONNX Runtime alone; its options, its input, how it ends."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import vermin
from PIL import Image

from nas.monitor import serve
from nas.monitor.log import Stop, read_log
from tests.monitor.serve.deployments import make_version, picture, write_pictures

# runs serve.pyz where only these can be imported; nothing is found in the folder that it is started from
ALONE = """
import runpy, sys
class Only:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        has = ("numpy", "PIL", "onnxruntime", "boxes", "network", "pixels", "serve", "__main__")
        if top not in sys.stdlib_module_names and top not in has:
            raise ImportError(f"No module named {name!r}")
sys.meta_path.insert(0, Only())
sys.argv = sys.argv[1:]
sys.path[0] = ""
runpy.run_path(sys.argv[0], run_name="__main__")
"""
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_version(tmp_path / "flowers", 1)
    return tmp_path / "flowers"


def command(folder: Path, *arguments: str | Path) -> list[str]:
    return [sys.executable, "-B", "-c", ALONE, str(folder / "serve.pyz"), str(folder), *map(str, arguments)]


def start(folder: Path, *arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command(folder, *arguments), input=stdin, capture_output=True, check=False, cwd=folder, env=ENVIRONMENT,
        timeout=120,
    )  # fmt: skip


def said(errors: bytes) -> list[str]:
    """The lines on standard error, but for the one that a version made without a reference has nothing to watch by."""
    return [line for line in errors.decode().splitlines() if "has no watch.npz" not in line]


def classes(output: bytes) -> list[str]:
    return [json.loads(line)["classes"][0]["class"] for line in output.splitlines()]


def encoded(color: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture(color, (40, 60))).save(file, "JPEG")
    return file.getvalue()


def prefixed(*pictures: bytes) -> bytes:
    return b"".join(len(one).to_bytes(4, "big") + one for one in pictures)


def test_pictures_of_a_folder(folder: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", ["red", "blue", "green"])
    done = start(folder, "--images", tmp_path / "pictures", "--json")
    assert (done.returncode, said(done.stderr)) == (0, [])
    assert classes(done.stdout) == ["red", "blue", "green"]
    assert not list(folder.rglob("__pycache__")), "a version is never changed"
    assert read_log(folder).of(Stop)[0].served == 3


def test_pictures_and_raw_frames_on_standard_input(folder: Path) -> None:
    done = start(folder, "--stdin", "--json", "--every-frame", stdin=prefixed(encoded("green"), encoded("red")))
    assert (done.returncode, said(done.stderr)) == (0, [])
    assert classes(done.stdout) == ["green", "red"]
    raw = picture("blue", (6, 9)).tobytes()
    done = start(folder, "--stdin", "--raw", "9x6", "--json", "--every-frame", stdin=3 * raw)
    assert (done.returncode, classes(done.stdout)) == (0, ["blue"] * 3)


def test_a_picture_that_is_none_is_named_and_the_others_go_on(folder: Path) -> None:
    stream = prefixed(b"\x1b[2Jnot a picture", encoded("red"))
    done = start(folder, "--stdin", "--json", "--every-frame", stdin=stream)
    assert done.returncode == 2 and classes(done.stdout) == ["red"]
    (line,) = said(done.stderr)
    assert line.startswith("serve: stdin#1: ") and "\x1b" not in line


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (b"\xff\xd8\xff\xe0 a jpeg without its length", "frame 1 must begin with its length, 1 to 67108864 bytes"),
        (b"\0\0\0\0", "must begin with its length"),
        (b"\0\0", "must begin with its length"),
        (b"\0\0\1\0too short", "frame 1 ends after 9 of 256 bytes"),
    ],
)
def test_a_stream_that_is_none_is_one_line(folder: Path, stream: bytes, message: str) -> None:
    done = start(folder, "--stdin", stdin=stream)
    assert done.returncode == 2 and done.stdout == b""
    (line,) = said(done.stderr)
    assert line.startswith("serve: stdin: ") and message in line


def test_wrong_options_are_one_line(folder: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", ["red"])
    (tmp_path / "empty").mkdir()
    images = ["--images", str(tmp_path / "pictures")]
    for arguments, message in (
        ([*images, "--fps", "0"], "--fps must be above 0; got 0.0"),
        ([*images, "--fps", "nan"], "--fps must be above 0; got nan"),
        ([*images, "--deadline-ms", "-1"], "--deadline-ms must be above 0; got -1.0"),
        ([*images, "--top", "0"], "--top must be 1 or more; got 0"),
        ([*images, "--threads", "0"], "--threads must be 1 to 1024; got 0"),
        ([*images, "--raw", "3x3"], "--raw goes with --stdin"),
        ([*images, "--precision", "int4"], "--precision must be fp32; got int4"),
        (["--stdin", "--raw", "3x"], "--raw must be WIDTHxHEIGHT of 1 to 16384 pixels, as 640x480; got 3x"),
        (["--images", str(tmp_path / "empty")], f"{tmp_path / 'empty'}: has no pictures"),
        (["--images", str(tmp_path / "none")], f"--images must be a folder; got {tmp_path / 'none'}"),
        (["--video", str(tmp_path / "none")], f"--video must be a file; got {tmp_path / 'none'}"),
    ):
        done = start(folder, *arguments)
        assert (done.returncode, done.stdout, done.stderr.decode()) == (2, b"", f"serve: {message}\n")


@pytest.mark.parametrize("arguments", [["--camera", "0"], ["--video", "serve.pyz"]], ids=["camera", "video"])
def test_what_is_missing_for_a_camera_or_a_video_is_named(folder: Path, arguments: list[str]) -> None:
    done = start(folder, *arguments)
    assert done.returncode == 3 and done.stdout == b""
    (line,) = said(done.stderr)
    assert line.startswith(f"serve: {arguments[0]} needs ") and "pip install" in line


def test_a_missing_package_is_named(folder: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", ["red"])
    for gone in ("numpy", "PIL", "onnxruntime"):
        words = command(folder, "--images", tmp_path / "pictures")
        words[3] = ALONE.replace(f'"{gone}"', '"nothing"')
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder, env=ENVIRONMENT)
        assert done.returncode == 3 and done.stdout == ""
        assert gone in done.stderr and "pip install" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("number", "status", "why"),
    [(signal.SIGTERM, 0, "ended by SIGTERM"), (signal.SIGINT, 130, "interrupted")],
    ids=["term", "int"],
)
@pytest.mark.parametrize("idle", [True, False], ids=["idle", "busy"])
def test_a_signal_ends_it_cleanly(folder: Path, number: int, status: int, why: str, idle: bool) -> None:
    """Also while it waits for a frame that never comes."""
    process = subprocess.Popen(
        command(folder, "--stdin", "--json", "--every-frame"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, cwd=folder, env=ENVIRONMENT,
    )  # fmt: skip
    with process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(prefixed(*[encoded("red")] * (1 if idle else 50)))
        process.stdin.flush()
        assert b"red" in process.stdout.readline()
        process.send_signal(number)
        assert process.wait(60) == status
        assert said(process.stderr.read()) == []
        for line in process.stdout.read().splitlines():
            json.loads(line)  # whole lines
    (stop,) = read_log(folder).of(Stop)
    assert stop.why == why and stop.served >= 1


def test_it_ends_where_nobody_reads_its_results(folder: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", ["red"] * 300)
    process = subprocess.Popen(
        command(folder, "--images", tmp_path / "pictures"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        cwd=folder, env=ENVIRONMENT,
    )  # fmt: skip
    with process:
        assert process.stdout and process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 0 and said(process.stderr.read()) == []
    assert read_log(folder).of(Stop)[0].why == "the output was closed"


def test_a_rate_paces_pictures_as_a_camera(folder: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", ["red"] * 5)
    before = time.monotonic()
    done = start(folder, "--images", tmp_path / "pictures", "--fps", "20", "--json")
    assert done.returncode == 0 and 1 <= len(done.stdout.splitlines()) <= 5
    assert time.monotonic() - before > 4 / 20


@pytest.mark.parametrize("source", sorted(Path(serve.__file__).parent.glob("*.py")), ids=lambda path: path.stem)
def test_what_runs_on_boards_needs_no_more_than_python_38(source: Path) -> None:
    assert vermin.detect(source.read_text(encoding="utf-8"))[1] <= (3, 8)
