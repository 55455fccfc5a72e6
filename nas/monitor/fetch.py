"""The state and the log of a folder that a board serves, fetched over ssh; frames that were kept only where asked."""

from __future__ import annotations

import asyncio
import re
import stat
from pathlib import Path
from typing import cast

import asyncssh

from nas.errors import UserError
from nas.files.atomic import write_atomic
from nas.files.plain import MB
from nas.monitor.log import FRAMES, MONITOR, MOST_LOG, MOST_STATE, STATE
from nas.monitor.serve.log import LOG, OLDER
from nas.profiling.boards.remote import path_on_board
from nas.profiling.boards.ssh_connection import connect, parse_target

NAMES = {STATE: MOST_STATE, LOG: MOST_LOG, **{f"log.{number}.jsonl": MOST_LOG for number in range(1, OLDER + 1)}}
FRAME = re.compile(r"[0-9]{1,20}-[0-9]{1,20}\.png")  # as serve.pyz calls them
MOST_FRAMES, MOST_FRAME = 10_000, MB


def fetch(
    target: str, folder: str, place: Path, *, frames: bool = False, known_hosts: Path | None = None,
    key: Path | None = None,
) -> None:  # fmt: skip
    """Writes FOLDER/monitor's state and log into place/monitor. `folder` is on the board, below the home or absolute.

    With `frames` those that --keep has kept there too, and nothing else.
    Raises UserError: a bad argument, a board that cannot be reached or trusted, a folder that was not served there,
    files that are too large.
    """
    board, path = parse_target(target), path_on_board("folder", folder)

    files: dict[str, bytes] = {}

    async def run() -> None:
        connection, _ = await connect(board, known_hosts, key)
        async with connection, connection.start_sftp_client(path_errors="surrogateescape") as sftp:
            for name, most in NAMES.items():
                files[name] = await _read(sftp, f"{path}/{MONITOR}/{name}", target, most)
            for name in await _frames(sftp, f"{path}/{MONITOR}/{FRAMES}") if frames else ():
                files[f"{FRAMES}/{name}"] = await _read(sftp, f"{path}/{MONITOR}/{FRAMES}/{name}", target, MOST_FRAME)

    try:
        asyncio.run(run())
    except (asyncssh.Error, OSError) as error:
        raise UserError(f"{target}: {path}/{MONITOR} cannot be read there: {error}") from None
    if not any(content for name, content in files.items() if name != STATE):
        raise UserError(f"{target}: {path} was not served there yet: it has no {MONITOR}/{LOG}")
    for name, content in files.items():
        if content:
            write_atomic(place / MONITOR / name, content)


async def _frames(sftp: asyncssh.SFTPClient, path: str) -> list[str]:
    """The names of kept frames, the last ones where there are too many."""
    try:
        names = [str(name) for name in await sftp.listdir(path)]
    except asyncssh.SFTPNoSuchFile:
        return []
    return sorted(name for name in names if FRAME.fullmatch(name))[-MOST_FRAMES:]


async def _read(sftp: asyncssh.SFTPClient, path: str, target: str, most: int) -> bytes:
    """A file's bytes, none where there is no such file."""
    try:
        about = await sftp.lstat(path)
    except asyncssh.SFTPNoSuchFile:
        return b""
    if not stat.S_ISREG(about.permissions or 0) or (about.size or 0) > most:
        raise UserError(f"{target}: {path} must be a file of at most {most:,} bytes")
    async with sftp.open(path, "rb") as file:
        return cast(bytes, await file.read(most + 1))  # bytes, as it was opened for; asyncssh's types say str
