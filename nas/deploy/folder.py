"""The deployment folder: a version for each network that was deployed, and the name of the one in use.

run.py       runs the version in use             versions/N/run.py, network.py, pixels.py   the program
current      the number of the version in use    versions/N/model-int8.onnx, ...   the models
previous     those in use before it, the last one last
serve.pyz    serves frames and watches           monitor/    what it noted
versions/N/preprocess.json  how a picture is read, and the classes: one object, for the program and for nas verify
versions/N/card.toml, README.md, requirements.txt, SHA256SUMS      what it is, what it needs, and that it is whole
verified.html, versions/N/verified.json    what nas verify found, later: a page of all versions, and as data
.models/N/   the model of a version that no other folder holds: of a quantization or a calibration; not for the board
.work/       what nas deploy has done so far

A version is written whole or not at all, and never changed: the next one has the next number.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import nas
from nas.data import boxes, pixels
from nas.deploy.card import CARD, Card, card_text, read_card
from nas.deploy.facts import MOST_MODEL, digest_of, facts_of, facts_text
from nas.deploy.model_card import model_card
from nas.errors import UserError
from nas.files.atomic import atomic_folder, write_atomic
from nas.files.plain import read_bytes, read_text
from nas.files.zipapp import packed
from nas.models.trained import TrainedModel
from nas.runtimes.board import network, start
from nas.runtimes.board import run as program
from nas.runtimes.board.run import FACTS, SUMS
from nas.runtimes.runtime import Form, RuntimeName, parts_of

VERSIONS, CURRENT, PREVIOUS, RUN, WORK = "versions", "current", "previous", "run.py", ".work"
PAGE, MODELS = "verified.html", ".models"
SERVE, MONITOR = "serve.pyz", "monitor"
OURS = frozenset({VERSIONS, CURRENT, PREVIOUS, RUN, WORK, SERVE, MONITOR, PAGE, ".lock"})
SERVING = Path(nas.__file__).parent / "monitor/serve"  # as data: a board's program, which nothing here imports
REQUIREMENTS = ("numpy>=1.24.4", "pillow>=10.4.0")  # the oldest that were tried, Python 3.8
RUNTIMES: dict[RuntimeName, tuple[str, ...]] = {
    "onnxruntime": ("onnxruntime>=1.19.2",),
    "litert": ("ai-edge-litert>=1.4.0; python_version >= '3.9'", "tflite-runtime>=2.13.0; python_version < '3.9'"),
}
_PROGRAM = {
    RUN: program.__file__,
    "network.py": network.__file__,
    "pixels.py": pixels.__file__,
    "boxes.py": boxes.__file__,
}
_IMPORT = re.compile(r"from nas\.[a-z.]*\.(boxes|network|pixels) import")


def check_folder(folder: Path) -> None:
    """Raises UserError for what is neither a deployment folder nor free to become one."""
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise UserError(f"{folder} exists and is not a folder; choose another --out")
    odd = sorted(entry.name for entry in folder.iterdir() if entry.name not in OURS and not entry.name.startswith("."))
    if odd or (folder / VERSIONS).is_symlink():
        raise UserError(
            f"{folder} is not a deployment folder: it holds {odd[0] if odd else VERSIONS}; choose another --out"
        )


def versions_in(folder: Path) -> list[int]:
    """The numbers of the versions, in order."""
    place = folder / VERSIONS
    names = [entry.name for entry in place.iterdir() if entry.is_dir()] if place.is_dir() else []
    return sorted(int(name) for name in names if name.isdecimal() and str(int(name)) == name)


def next_version(folder: Path) -> int:
    """The number of the next version."""
    return max(versions_in(folder), default=0) + 1


def version_folder(folder: Path, version: int | None = None) -> Path:
    """The folder of a version, of the one in use where none is named.

    Raises UserError for another folder, and where there is no such version.
    """
    if not (folder / VERSIONS).is_dir():
        raise UserError(f"{folder} is not a deployment folder: it has no {VERSIONS}")
    there = versions_in(folder)
    if version is None:
        text = read_text(folder / CURRENT, 100).strip()
        version = int(text) if text.isdecimal() else -1
        if version not in there:
            raise UserError(f"{folder / CURRENT}: must name a version of {folder / VERSIONS}; got {text[:40]!r}")
    if version not in there:
        raise UserError(
            f"{folder} has no version {version}; its versions are {', '.join(map(str, there)) or 'none yet'}"
        )
    return folder / VERSIONS / str(version)


def find_version(folder: Path, job: str) -> int | None:
    """The version that was made by the same command from the same things; None where there is none."""
    return next((n for n in reversed(versions_in(folder)) if read_card(folder / VERSIONS / str(n)).job == job), None)


def write_version(
    folder: Path, model: TrainedModel, card: Card, models: Mapping[Form, Path],
    beside: Mapping[str, bytes] | None = None, *, use: bool = True,
) -> Path:  # fmt: skip
    """Writes the next version and puts it into use, unless `use` is false.

    `models` are the files by their names, as in the card. `beside` are other files of it, by their names: what the
    board needs to adapt it. Returns its folder. Raises UserError where the disk refuses, or the version is there
    already.
    """
    place = folder / VERSIONS / str(card.version)
    if os.path.lexists(place):
        raise UserError(f"{place} exists, and a version is never changed; the next one gets another number")
    with atomic_folder(place) as part:
        for form, source in models.items():
            (part / card.models[form].file).write_bytes(read_bytes(source, MOST_MODEL, "model"))
        for name, content in (beside or {}).items():
            (part / name).write_bytes(content)
        _write(part, FACTS, facts_text(facts_of(model, card)))
        _write(part, CARD, card_text(card))
        _write(part, "README.md", model_card(card, model.classes))
        for runtime in {parts_of(form)[1] for form in card.models}:
            name = "requirements.txt" if runtime == card.runtime else f"requirements-{runtime}.txt"
            _write(part, name, "".join(f"{line}\n" for line in (*REQUIREMENTS, *RUNTIMES[runtime])))
        for name, text in programs().items():
            _write(part, name, text)
        sums = "".join(f"{digest_of(path)}  {path.name}\n" for path in sorted(part.iterdir()))
        _write(part, SUMS, sums)
    if use:
        use_version(folder, card.version)
    return place


def use_version(folder: Path, version: int) -> None:
    """Puts a version into use; `previous` then ends with the one before. Raises UserError where there is none."""
    version_folder(folder, version)
    write_atomic(folder / RUN, Path(start.__file__).read_bytes())
    write_atomic(folder / SERVE, packed(SERVING, "__main__"))
    if (folder / CURRENT).is_file():
        before = read_text(folder / CURRENT, 100).strip()
        if before.isdecimal() and before != str(version):
            past = read_text(folder / PREVIOUS, 10_000).split() if (folder / PREVIOUS).is_file() else []
            while past and past[-1] == before:
                past.pop()
            write_atomic(folder / PREVIOUS, "".join(f"{n}\n" for n in [*past[-99:], before]).encode("utf-8"))
    write_atomic(folder / CURRENT, f"{version}\n".encode())


def clear_parts(folder: Path) -> None:
    """Removes what a killed process had half written; for the process that holds the folder's lock."""
    for pattern in (
        *(f".{name}.*.part" for name in (CURRENT, PREVIOUS, RUN, SERVE)),
        f"{VERSIONS}/.*.part",
        f"{VERSIONS}/.*.old",
    ):
        for left in folder.glob(pattern):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def programs() -> dict[str, str]:
    """The program of a version, by the names of its files: it imports nothing of nas."""
    return {name: _IMPORT.sub(r"from \1 import", Path(path).read_text("utf-8")) for name, path in _PROGRAM.items()}


def _write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, "utf-8")
