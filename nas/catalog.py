"""Where search spaces and device profiles are found: the shipped ones, and those the user made."""

from __future__ import annotations

import os
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

from nas.errors import UserError, require, unknown

SHOWN = 80  # characters of a path in an error


def home() -> Path:
    """The user's own folder, for profiles made here and downloaded datasets: NAS_HOME, or ~/.nas."""
    return Path(os.environ.get("NAS_HOME") or Path.home() / ".nas")


def shipped(folder: str) -> Path:
    """A folder of shipped data: inside the package when installed from a wheel, beside it in a checkout."""
    package = Path(str(files("nas")))
    inside = package / folder
    return inside if inside.is_dir() else package.parent / folder


def names(folder: str, ending: str = "") -> dict[str, Path]:
    """Every entry of `folder` by name, the user's own before the shipped one of the same name.

    `ending` is ".toml" for files; "" lists the folders that hold a profile.toml. A hidden entry is what a process that
    was killed left: ignored, but for a folder that was moved aside (`.NAME.old`) and whose new one is not there yet.
    """
    found: dict[str, Path] = {}
    for place in (shipped(folder), home() / folder):
        if not _is(place, folder=True):
            continue
        entries = place.glob(f"*{ending}") if ending else (p.parent for p in place.glob("*/profile.toml"))
        there = {entry.name.removesuffix(ending): entry for entry in entries}
        moved = {name[1:-4]: path for name, path in there.items() if name.startswith(".") and name.endswith(".old")}
        found |= moved | {name: path for name, path in there.items() if not name.startswith(".")}
    return dict(sorted(found.items()))


def _is(path: Path, *, folder: bool) -> bool:
    """Whether there is such a folder or file. Raises UserError where the system cannot say: a name that is too long."""
    try:
        return path.is_dir() if folder else path.is_file()
    except OSError as error:
        raise UserError(f"{str(path)[:SHOWN]}: not a readable path: {error.strerror or error}") from None


def find(what: str, folder: str, name: str, ending: str = "") -> Path:
    """The path of the entry called `name`; a name with a path separator or ending is taken as a path.

    Raises UserError when there is none, with the nearest name, and for a path that cannot be read.
    """
    require(what, name, str, "a name or a path, as text")
    path = Path(name)
    if _is_path(name, ending):
        moved = path.with_name(f".{path.name}.old") if path.name and not ending else path
        for place in (path, moved):
            if _is(place, folder=not ending):
                return place
        raise UserError(f"{what} {name[:SHOWN]}: there is no such {'file' if ending else 'folder'}")
    known = names(folder, ending)
    if name not in known:
        raise unknown(what, name, known)
    return known[name]


def lasting(name: str, ending: str = "") -> str:
    """The name, as of `find`, so that it means the same from any folder: a path is made absolute."""
    return str(Path(name).absolute()) if _is_path(name, ending) else name


def lasting_dataset(dataset: str) -> str:
    """The dataset, so that it means the same from any folder: the path in it is made absolute."""
    kind, colon, path = dataset.partition(":")
    if kind not in ("folder", "npz") or not path:
        return dataset
    with suppress(RuntimeError):  # of a user that this machine does not know
        path = str(Path(path).expanduser().absolute())
    return f"{kind}{colon}{path}"


def _is_path(name: str, ending: str) -> bool:
    return os.sep in name or bool(ending and name.endswith(ending))
