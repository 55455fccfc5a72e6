"""The versions of a deployment folder: which one is in use, switching and going back, and loading their models.

`current` names the version in use; `previous` those that were in use before, one a line, the last one last. Each is
replaced at once; after a kill between the two, `previous` ends with the version in use, which `previous_of` drops.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable

import numpy as np

from .state import write_atomic
from .terminal import Refused

CURRENT, PREVIOUS, VERSIONS, SUMS = "current", "previous", "versions", "SHA256SUMS"
MOST_PREVIOUS = 100
POLL_S = 0.25
MOST_SUMS = 100_000  # bytes

_importing = threading.Lock()


def version_of(text: str) -> int | None:
    """The number in a text like `current`'s; None where it is none."""
    text = text.strip()
    return int(text) if text.isdigit() and text.isascii() and len(text) < 10 and int(text) > 0 else None


def current_of(folder: Path) -> int | None:
    """The version that `current` names; None where it names none."""
    return version_of(_small_text(folder / CURRENT))


def previous_of(folder: Path) -> list[int]:
    """The versions that were in use before the present one, the last one last."""
    found = [version_of(line) for line in _small_text(folder / PREVIOUS).splitlines()[-MOST_PREVIOUS:]]
    versions, current = [number for number in found if number is not None], current_of(folder)
    while versions and versions[-1] == current:
        versions.pop()
    return versions


def versions_of(folder: Path) -> list[int]:
    """The numbers of the versions that are there, in order."""
    with contextlib.suppress(OSError):
        return sorted(n for path in (folder / VERSIONS).iterdir() if path.is_dir() and (n := version_of(path.name)))
    return []


def use(folder: Path, version: int) -> int:
    """Puts a whole version into use, and gives it. Raises Refused where it is not whole, or the disk refuses."""
    check(folder, version)
    before = previous_of(folder)
    current = current_of(folder)
    if current != version:
        if current is not None:
            _write(folder / PREVIOUS, [*before, current][-MOST_PREVIOUS:])
        _write(folder / CURRENT, [version])
    return version


def back(folder: Path) -> int:
    """Puts the version into use that was before the present one, and gives it. Raises Refused where there is none."""
    before, current = previous_of(folder), current_of(folder)
    if not before:
        known = f"none was in use before {current}" if current is not None else f"{CURRENT} names no version either"
        raise Refused(f"{folder}: there is no version to go back to: {known}")
    check(folder, before[-1])
    _write(folder / CURRENT, [before[-1]])
    _write(folder / PREVIOUS, before[:-1])
    return before[-1]


def check(folder: Path, version: int) -> None:
    """Raises Refused unless every file of a version is the one that its SHA256SUMS names.

    Models may have been deleted, for want of room, as long as one is left.
    """
    place = place_of(folder, version)
    sums = sums_of(place)
    models = [name for name in sums if name.startswith("model-")]
    gone = [name for name in models if not (place / name).exists()]
    for name, digest in sums.items():
        if (name not in gone or len(gone) == len(models)) and digest_of(place / name) != digest:
            raise Refused(f"{place / name}: is not the file that {SUMS} names; copy the version again")


def place_of(folder: Path, version: int) -> Path:
    """The folder of a version. Raises Refused where there is none of that number."""
    place = folder / VERSIONS / str(version)
    if not place.is_dir():
        there = ", ".join(map(str, versions_of(folder))) or "none"
        raise Refused(f"{folder} has no version {version}; its versions are {there}")
    return place


def sums_of(place: Path) -> dict[str, str]:
    """The SHA-256 of each file of a version. Raises Refused."""
    try:
        if not (place / SUMS).is_file() or (place / SUMS).stat().st_size > MOST_SUMS:  # opening a pipe would wait
            raise ValueError("it is not a list of checksums")
        rows = [line.split(None, 1) for line in (place / SUMS).read_text("utf-8").splitlines()]
        sums = {name.strip(): digest for digest, name in rows}
    except (OSError, ValueError) as error:
        raise Refused(f"{place / SUMS}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not sums or any(name in (".", "..") or "/" in name or "\\" in name for name in sums):
        raise Refused(f"{place / SUMS}: must name the files of that folder")
    return sums


def digest_of(path: Path) -> str:
    """The SHA-256 of a file. Raises Refused."""
    digest = hashlib.sha256()
    try:
        if path.exists() and not path.is_file():
            raise Refused(f"{path}: must be a file; it is a folder, a pipe or a device")
        with path.open("rb") as file:
            for part in iter(lambda: file.read(1 << 20), b""):
                digest.update(part)
    except OSError as error:
        raise Refused(f"{path}: cannot be read: {error.strerror}") from None
    return digest.hexdigest()


class Model:
    """One model of one version, ready to run: its program's own preprocessing and session.

    `load` gives it. `ms` is a first figure of its latency, of a few runs on an empty picture.
    """

    def __init__(self, program: Any, deployment: Any, version: int, precision: str, threads: int | None) -> None:
        self.program, self.deployment = program, deployment
        self.version, self.precision = version, precision
        self.classes: list[str] = deployment.classes
        self.detects: bool = getattr(deployment, "detects", False)
        self.threads = threads
        self.network = self.deployed = deployment.load(precision, threads)  # the one that runs, and as it was made
        self.accuracy: float | None = deployment.facts.get("accuracy", {}).get(precision)
        self.lock = threading.Lock()  # not every runtime may be asked by two threads at once
        side = deployment.facts["resolution"]
        self.empty = deployment.input(np.zeros((side, side, 3), np.uint8))
        scores = self.run(self.empty)[0]  # the first is slower than all others
        wanted = (len(deployment.priors), len(self.classes) + 4) if self.detects else (len(self.classes),)
        if scores.shape != wanted or not np.isfinite(scores).all():
            raise Refused(
                f"version {version}, {precision}: gives {scores.shape} scores for {len(self.classes)} classes"
            )
        self.ms = sorted(self.run(self.empty)[2] for _ in range(5))[2]

    @property
    def name(self) -> str:
        return f"{self.version}:{self.precision}"

    @property
    def place(self) -> Path:
        """The version's folder."""
        found: Path = self.deployment.folder
        return found

    def run(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, float, float]:
        """Scores (classes,), of a detector (boxes, classes + 4); features (d,) or None; and the milliseconds of the
        network alone: by the clock, and of the processor in this thread, which takes part where there are several.
        """
        with self.lock:
            ready = self.network.ready(image)
            start, computing = time.perf_counter(), time.thread_time()
            scores, features = self.network.outputs(ready)
            computing_ms, ms = 1000 * (time.thread_time() - computing), 1000 * (time.perf_counter() - start)
        return scores, features, ms, computing_ms


def load(folder: Path, version: int, precision: str | None = None, threads: int | None = None) -> Model:
    """A version's model, its first precision where none is named. Raises Refused for whatever keeps it from running."""
    check(folder, version)
    place = place_of(folder, version)
    try:
        program = program_of(place)
        if not hasattr(program.Network, "ready"):
            raise Refused(f"version {version} was made by an older nas, and cannot be served: deploy it again")
        deployment = program.Deployment(place, place / program.KEPT)
        if getattr(deployment, "detects", False) and not hasattr(deployment, "priors"):
            raise Refused(f"version {version} was made by an older nas, and cannot be served: deploy it again")
        return Model(program, deployment, version, deployment.chosen(precision), threads)
    except Refused:
        raise
    except MemoryError:
        raise Refused(f"version {version}: there is too little memory for its model") from None
    except Exception as error:  # of its program, of a runtime
        raise Refused(str(error)[:500] or type(error).__name__, getattr(error, "status", 2)) from None


def program_of(place: Path) -> Any:
    """The program of a version that was checked, as a module of its own: two versions may carry different ones.

    Raises Refused.
    """
    path = place / "run.py"
    with _importing:
        sys.dont_write_bytecode = True  # a version is never changed
        sys.path.insert(0, str(place))
        try:
            _forget(place.parent)
            spec = importlib.util.spec_from_file_location(f"version_{place.name}", str(path))
            if spec is None or spec.loader is None or not path.is_file():
                raise Refused(f"{path}: there is no such program; copy the version again")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
        except SystemExit as stop:  # a package is missing; it has said which
            raise Refused(f"{path}: cannot be started", int(stop.code or 3)) from None
        finally:
            sys.path.remove(str(place))
            _forget(place.parent)


def _forget(versions: Path) -> None:
    """Modules that a version's program imported from its folder: another version has its own of that name."""
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(versions) + os.sep):
            del sys.modules[name]


Loader = Callable[[int], Any]


class Follower:
    """Follows `current`: loads what it names in a thread, while what is served goes on.

    `poll` is called between two frames.
    """

    def __init__(self, folder: Path, loader: Loader, serving: int) -> None:
        self.folder, self.loader = folder, loader
        self.seen = self.stamp()
        self.serving = serving
        self._next_poll = 0.0
        self._thread: threading.Thread | None = None
        self._outcome: tuple[int, Any] | None = None

    def stamp(self) -> tuple[int, int, int] | None:
        """What tells one content of `current` from the next."""
        try:
            about = (self.folder / CURRENT).stat()
        except OSError:
            return None
        return about.st_ino, about.st_mtime_ns, about.st_size

    def poll(self) -> tuple[int, Any] | None:
        """A version with what the loader gave for it, or with the Refused that it raised; None: nothing new."""
        if self._outcome is not None:
            outcome, self._outcome, self._thread = self._outcome, None, None
            return outcome
        now = time.monotonic()
        if now < self._next_poll or self._thread is not None:
            return None
        self._next_poll = now + POLL_S
        stamp = self.stamp()
        if stamp == self.seen:
            return None
        wanted = current_of(self.folder)
        self.seen = stamp
        if wanted is None or wanted == self.serving:  # a file that is just being written by hand is seen again
            return None
        self._thread = threading.Thread(target=self._load, args=(wanted,), daemon=True, name="loader")
        self._thread.start()
        return None

    def _load(self, version: int) -> None:
        try:
            self._outcome = version, self.loader(version)
        except Refused as refused:
            self._outcome = version, refused
        except Exception as error:
            self._outcome = version, Refused(f"{type(error).__name__}: {str(error)[:300]}")


def _write(path: Path, numbers: list[int]) -> None:
    try:
        write_atomic(path, "".join(f"{number}\n" for number in numbers).encode("ascii"))
    except OSError as error:
        raise Refused(f"cannot write {path}: {error.strerror or error}") from None


def _small_text(path: Path) -> str:
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return file.read(2000).decode("ascii", "replace")
    except OSError:
        return ""
