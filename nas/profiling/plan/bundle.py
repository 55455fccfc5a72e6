"""A bundle: everything that a board needs to measure a plan. The agent, the models, the plan with their checksums."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from nas import __version__
from nas.errors import UserError
from nas.files.atomic import parents_of
from nas.files.lock import locked
from nas.files.zipapp import packed
from nas.profiling import agent
from nas.profiling.agent.plan import FORMAT
from nas.profiling.plan.model_files import write_models
from nas.profiling.plan.plan import Plan
from nas.runtimes.by_name import runtime_of

SETTINGS = {
    "runs": 6,  # of a visit, at least
    "most_runs": 50,
    "visit_s": 0.02,  # runs of a short block go on for so long
    "least_rounds": 3,  # visits to each block, in another random order each time
    "rounds": 6,  # at most, for those whose median is not known yet
    "network_factor": 3,  # times as many visits to a whole network
    "within": 0.02,  # half the 95% confidence interval of a median, as a fraction of it
}
README = """Measures this board for a device profile. Nothing is installed, nothing leaves the board.
1. pip install numpy {packages}
2. python3 agent.pyz        (--help: threads, processors, energy meter)
3. Take results.json home: nas profile build results.json --name my-board
Stop it at any time; the same command goes on. Leave the board alone meanwhile.
"""
AGENT = "agent.pyz"

Progress = Callable[[int, int], None]  # models written, models in all


def write_bundle(plan: Plan, target: Path, progress: Progress | None = None) -> None:
    """Writes the bundle of a plan, as `written_bundle`."""
    written_bundle(target, lambda folder, scratch: _fill(plan, folder, scratch, progress))


def written_bundle(target: Path, fill: Callable[[Path, Path], None]) -> None:
    """Writes a new folder, or a file that ends in .zip, which `fill` fills; it appears only when it is whole.

    `fill` is given the folder, and another for its own work. What a killed process left of it is removed. Raises
    UserError when the target exists, cannot be written, or is being written by another process.
    """
    if target.exists():
        raise UserError(f"{target} exists; give another --out or remove it")
    place = target.with_name(f".{target.name}-making")
    try:
        with parents_of(target), locked(place, busy=f"another process is writing {target}; wait for it"):
            try:
                _clear(place)
                folder = place / "bundle"
                folder.mkdir()
                fill(folder, place)
                if target.suffix == ".zip":
                    _zip(folder, place / "bundle.zip")
                    (place / "bundle.zip").rename(target)
                else:
                    folder.rename(target)
            finally:
                shutil.rmtree(place, ignore_errors=True)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}") from None


def _clear(place: Path) -> None:
    """Removes what lies in the folder, but for the lock that is held on it."""
    for left in place.iterdir():
        if left.is_dir():
            shutil.rmtree(left)
        elif left.name != ".lock":
            left.unlink()


def _fill(plan: Plan, folder: Path, scratch: Path, progress: Progress | None) -> None:
    rows: list[dict[str, Any]] = []
    (folder / "models").mkdir()
    paths = [folder / "models" / f"{item.id}{runtime_of(plan.runtime).suffix}" for item in plan.items]
    with closing(write_models(plan.items, paths, plan.runtime, scratch)) as digests:
        for item, path, digest in zip(plan.items, paths, digests, strict=True):
            row: dict[str, Any] = {"id": item.id, "name": item.name, "precision": item.precision, "kind": item.kind}
            row |= {"file": f"models/{path.name}", "sha256": digest}
            if item.candidate is not None:
                row["candidate"] = item.candidate.as_dict()
            rows.append(row)
            if progress:
                progress(len(rows), len(plan.items))
    (folder / "plan.json").write_text(json.dumps(described(plan) | {"items": rows}, indent=1), encoding="utf-8")
    (folder / AGENT).write_bytes(packed_agent())
    (folder / "README.txt").write_text(README.format(packages=runtime_of(plan.runtime).packages), encoding="utf-8")


def described(plan: Plan) -> dict[str, Any]:
    """plan.json without its items."""
    space = {"name": plan.space.name, "sha256": plan.space.fingerprint, "resolution": plan.resolution}
    space |= {"toml": plan.space.text}  # the results may be read where the file is not
    return {
        "format": FORMAT, "tool": f"nas {__version__}", "space": space, "seed": plan.seed,
        "quick": plan.quick, "runtime": plan.runtime, "precisions": plan.precisions,
        "settings": SETTINGS | ({"rounds": plan.rounds} if plan.rounds else {}),
    }  # fmt: skip


def packed_agent() -> bytes:
    """The agent as one file that Python runs, a zipapp; the same bytes whenever its source is the same."""
    return packed(Path(agent.__file__).parent, "command")


def _zip(folder: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, path.relative_to(folder))
