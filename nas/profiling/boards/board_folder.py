"""The bundle's folder on a board: files sent into it and fetched from it by SFTP."""

from __future__ import annotations

import json
import math
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import cast

import asyncssh

from nas.errors import UserError
from nas.profiling.boards.screen import Screen
from nas.profiling.boards.ssh_connection import Target
from nas.profiling.results.results import LARGEST

# what is made there: the same names in the bundle are of a run on another machine, and are not sent
MADE_THERE = {"arguments.json", "agent.lock", "measurements.jsonl", "results.json"}


@dataclass(frozen=True, slots=True)
class BoardFolder:
    """A folder on a board: an absolute path, or one below the user's home."""

    target: Target
    path: str

    def error(self, message: str) -> UserError:
        """An error after which the same command goes on where it stopped."""
        return UserError(f"{self.target}: {message}; what is there is kept in {self.path}, the same command goes on")


async def send(
    folder: BoardFolder, sftp: asyncssh.SFTPClient, files: Mapping[str, Path], arguments: Sequence[str], screen: Screen
) -> None:
    """Sends what is not there yet. A model of the right size is there: each appears under its name only when it is
    whole, and the agent checks its checksum. The other files are small, and always sent."""
    there = await _sizes(folder, sftp, files)
    sizes = {name: path.stat().st_size for name, path in files.items()}
    checked = {name for name in files if name.startswith("models/") or name == "plan.json"}
    due = [name for name in files if name not in checked or there.get(name) != sizes[name]]
    total, sent = sum(sizes[name] for name in due), 0
    screen.say(f"sending {len(due)} of {len(files)} files, {total / 1e6:.1f} MB, to {folder.target}")
    free = await _free(folder, sftp)
    if free < total:
        raise folder.error(f"its disk has {free / 1e6:.1f} MB free; the bundle needs {total / 1e6:.1f} MB more")
    try:
        for name in due:
            place = f"{folder.path}/{name}"

            def show(_from: bytes, _to: bytes, done: int, _size: int, before: int = sent) -> None:
                screen.count(f"{(before + done) / 1e6:.1f} of {total / 1e6:.1f} MB")

            await sftp.put(str(files[name]), f"{place}.part", progress_handler=show)
            await sftp.posix_rename(f"{place}.part", place)
            sent += sizes[name]
        await _write(sftp, f"{folder.path}/arguments.json", json.dumps(list(arguments)).encode())
        with suppress(asyncssh.SFTPNoSuchFile):  # those of an earlier run must not pass for this run's
            await sftp.remove(f"{folder.path}/results.json")
    except (asyncssh.SFTPFailure, asyncssh.SFTPNoSpaceOnFilesystem, asyncssh.SFTPQuotaExceeded) as error:
        free = await _free(folder, sftp)
        full = f"its disk is full, or its quota used up ({free / 1e6:.1f} MB free)"
        raise folder.error(f"a file could not be written: {full}: {error.reason}") from None


async def _sizes(folder: BoardFolder, sftp: asyncssh.SFTPClient, files: Mapping[str, Path]) -> dict[str, int | None]:
    """The sizes of the bundle's files that lie in the board's folder; makes the folders that are missing.

    Raises UserError where the folder holds anything but this bundle: it will be removed in the end.
    """
    plan = files["plan.json"].read_bytes()
    await sftp.makedirs(folder.path, asyncssh.SFTPAttrs(permissions=0o700), exist_ok=True)
    names = set(await sftp.listdir(folder.path)) - {".", "..", "plan.json.part"}
    if not names:
        await _write(sftp, f"{folder.path}/plan.json", plan)  # before all else: it marks the folder as this bundle's
    elif "plan.json" not in names or await _read(sftp, f"{folder.path}/plan.json", len(plan) + 1) != plan:
        raise UserError(f"{folder.target}: {folder.path} holds something else; remove it there or give another folder")
    sizes: dict[str, int | None] = {}
    for below in sorted({PurePosixPath(name).parent for name in files}):
        await sftp.makedirs(f"{folder.path}/{below}", exist_ok=True)
        async for entry in sftp.scandir(f"{folder.path}/{below}"):
            sizes[str(below / str(entry.filename))] = entry.attrs.size
    return sizes


async def _free(folder: BoardFolder, sftp: asyncssh.SFTPClient) -> float:
    """Bytes free where the folder lies; infinite where the server does not tell."""
    try:
        room = await sftp.statvfs(folder.path)
    except asyncssh.SFTPError:
        return math.inf
    return room.bavail * room.frsize


async def _read(sftp: asyncssh.SFTPClient, path: str, most: int) -> bytes:
    """At most so many bytes of a file."""
    async with sftp.open(path, "rb") as file:
        return cast(bytes, await file.read(most))  # bytes, as it was opened for; asyncssh's types say str


async def _write(sftp: asyncssh.SFTPClient, path: str, content: bytes) -> None:
    async with sftp.open(f"{path}.part", "wb") as file:
        await file.write(content)
    await sftp.posix_rename(f"{path}.part", path)


async def fetch(folder: BoardFolder, sftp: asyncssh.SFTPClient, results: Path) -> None:
    """Writes results.json to its place here, whole or not at all."""
    path = f"{folder.path}/results.json"
    try:
        about = await sftp.lstat(path)
    except asyncssh.SFTPNoSuchFile:
        raise folder.error("the agent ended well, and left no results.json") from None
    if not stat.S_ISREG(about.permissions or 0) or not 0 < (about.size or 0) <= LARGEST:
        raise folder.error(f"results.json must be a file of 1 to {LARGEST} bytes; it has {about.size}")
    content = await _read(sftp, path, LARGEST)
    part = results.with_name(f".{results.name}.part")
    try:
        part.write_bytes(content)
        part.replace(results)
    finally:
        part.unlink(missing_ok=True)
