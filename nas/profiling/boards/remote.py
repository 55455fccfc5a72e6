"""A bundle measured on a board over ssh in one go: send it, run its agent there, fetch the results.

What stands in the way of doing harm: an ssh server hands the command to a shell, so the only command is
`PYTHON FOLDER/agent.pyz launch`, both of letters, digits and ._/- only; everything else that the user gave travels in
a file, arguments.json. What the board says is stripped of control characters before it reaches the terminal.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import asyncssh

from nas.errors import UserError
from nas.profiling.agent.machine import processor_named
from nas.profiling.boards.board_folder import MADE_THERE, BoardFolder, fetch, send
from nas.profiling.boards.screen import Screen
from nas.profiling.boards.ssh_connection import Client, Target, Unreachable, connect, parse_target
from nas.profiling.results.machine import Identity

PAUSES_S = (2, 5, 10, 20, 40, 60)  # before each new attempt once a connection was lost
MOST_SAID = 1 << 16  # characters of what a board says of itself
STOP_S = 25  # for the launcher to stop the agent: it waits 10 s, then kills
_PATH = re.compile(r"/?[A-Za-z0-9_.][A-Za-z0-9_.-]*(/[A-Za-z0-9_.][A-Za-z0-9_.-]*)*")  # no dash first, no empty part


@dataclass(frozen=True)
class Job:
    """One bundle for one board."""

    folder: BoardFolder
    files: dict[str, Path]  # of the bundle, by their path in it with slashes
    results: Path
    python: str
    arguments: Sequence[str]
    known_hosts: Path | None
    key: Path | None
    keep: bool
    screen: Screen


def check_board(
    target: str, *, python: str = "python3", known_hosts: Path | None = None, key: Path | None = None
) -> Identity | None:
    """What the board says that it is, None where it names neither itself nor its processor.

    Raises the UserErrors of `run_on_board` that need no bundle: what to find out before one is made.
    """

    async def check() -> Identity | None:
        connection, _ = await connect(board, known_hosts, key)
        async with connection:
            await _check_python(board, path_on_board("python", python), connection)
            said = await connection.run("cat /proc/device-tree/model /proc/cpuinfo", errors="replace")
        return _identity(str(said.stdout or ""))

    board = parse_target(target)
    return asyncio.run(check())


def _identity(said: str) -> Identity | None:
    """The identity from Linux's name of the board, which a NUL ends, and its list of processors."""
    name, ended, rest = said[:MOST_SAID].partition("\0")
    processor = processor_named(rest if ended else said[:MOST_SAID])
    found = Identity(processor or "unknown", name.strip() if ended else None, "Linux", "unknown")
    return found if found.known else None


def run_on_board(
    target: str,
    bundle: Path,
    results: Path,
    *,
    python: str = "python3",
    arguments: Sequence[str] = (),
    folder: str | None = None,
    known_hosts: Path | None = None,
    key: Path | None = None,
    keep: bool = False,
    output: TextIO,
) -> None:
    """Measures a bundle (a folder) on the board `target` and writes what it found to `results`.

    `target` is user@host:port (user and port may be left out) or a host of ~/.ssh/config. `python` and `folder` are
    paths on the board; a relative one lies below the user's home. `folder` is made, named by the plan's checksum
    unless given, and removed after success unless `keep`; after a failure it stays, and the next call goes on from
    there. `arguments` go to the agent (not --out). `output` shows the progress. A lost connection is taken up again;
    an interrupt (KeyboardInterrupt) stops the agent there.

    Raises UserError: a bad argument, an unknown or changed host key, a refused login, a board out of reach, without
    Python 3.8 or the agent's packages, with a full disk; an agent that failed, with its last line.
    """
    files = _bundle_files(bundle)
    if folder is None:
        folder = "nas-profile-" + hashlib.sha256(files["plan.json"].read_bytes()).hexdigest()[:16]
    if results.is_dir() or not results.absolute().parent.is_dir():
        raise UserError(f"{results}: the results must be a file in a folder that exists")
    place = BoardFolder(parse_target(target), path_on_board("folder", folder))
    job = Job(place, files, results, path_on_board("python", python), arguments, known_hosts, key, keep, Screen(output))
    asyncio.run(_run(job))


def path_on_board(name: str, path: str) -> str:
    """A path on the board that means the same to any shell; below the home folder where it is relative."""
    path = path.removeprefix("~/")
    if not _PATH.fullmatch(path) or ".." in path.split("/"):
        raise UserError(f"the {name} on the board must be a path of plain letters, digits and ._/-; got {path!r}")
    return path


def _bundle_files(bundle: Path) -> dict[str, Path]:
    if missing := [name for name in ("plan.json", "agent.pyz") if not (bundle / name).is_file()]:
        raise UserError(f"{bundle}: a bundle is a folder with plan.json and agent.pyz; it has no {missing[0]}")
    paths = sorted(bundle.rglob("*"))
    if odd := [path for path in paths if path.is_symlink() or not (path.is_dir() or path.is_file())]:
        raise UserError(f"{odd[0]}: a bundle must hold plain files only")
    files = {path.relative_to(bundle).as_posix(): path for path in paths if path.is_file()}
    return {name: path for name, path in files.items() if name not in MADE_THERE}


async def _run(job: Job) -> None:
    """The whole job, begun again on a new connection where one was lost: what is done already is not done again."""
    pauses = iter(PAUSES_S)
    connection, client = await connect(job.folder.target, job.known_hosts, job.key)
    while True:
        async with connection:
            try:
                return await _once(job, connection, client)
            except (asyncssh.Error, OSError) as error:
                if not client.lost:
                    if isinstance(error, asyncssh.Error):
                        said = f"{job.folder.path}: {error.reason or error}"
                        raise UserError(f"{job.folder.target}: the ssh server there refused {said}") from None
                    raise
        connection, client = await _again(job, pauses)


async def _again(job: Job, pauses: Iterator[int]) -> tuple[asyncssh.SSHClientConnection, Client]:
    for pause in pauses:
        job.screen.say(f"the connection was lost; trying again in {pause} s")
        await asyncio.sleep(pause)
        with suppress(Unreachable):
            return await connect(job.folder.target, job.known_hosts, job.key)
    raise job.folder.error("the connection was lost, and the board does not come back")


async def _once(job: Job, connection: asyncssh.SSHClientConnection, client: Client) -> None:
    await _check_python(job.folder.target, job.python, connection)
    try:
        sftp = await connection.start_sftp_client(path_errors="surrogateescape")
    except asyncssh.Error as error:
        if client.lost:
            raise
        raise UserError(
            f"{job.folder.target}: SFTP does not work there ({error.reason}); either it is not installed (on Debian: "
            f"openssh-sftp-server) or ~/.bashrc there prints something"
        ) from None
    async with sftp:
        await send(job.folder, sftp, job.files, job.arguments, job.screen)
        await _measure(job, connection)
        await fetch(job.folder, sftp, job.results)
        if not job.keep:
            try:
                await sftp.rmtree(job.folder.path)
            except asyncssh.SFTPError as error:
                job.screen.say(f"{job.folder.target}: {job.folder.path} could not be removed: {error.reason}")


async def _check_python(target: Target, python: str, connection: asyncssh.SSHClientConnection) -> None:
    done = await connection.run(f"{python} -V", stderr=asyncssh.STDOUT, errors="replace")  # Python 2: on stderr
    if done.exit_status is None:
        raise asyncssh.ConnectionLost("no exit status")
    found = re.search(r"^Python (\d+)\.(\d+)", str(done.stdout), re.MULTILINE)
    if not found or done.exit_status:
        raise UserError(f"{target}: {python} does not run there; the agent needs Python 3.8 or later")
    if (int(found[1]), int(found[2])) < (3, 8):
        raise UserError(f"{target}: {python} is {found[0]} there; the agent needs Python 3.8 or later")


async def _measure(job: Job, connection: asyncssh.SSHClientConnection) -> None:
    """Runs the agent to its end. Whatever ends this earlier ends the launcher's standard input, and so the agent."""
    command = f"{job.python} {job.folder.path}/agent.pyz launch"
    async with connection.create_process(command, stderr=asyncssh.STDOUT, encoding=None) as process:
        try:
            await _relay(job, process)
        except asyncio.CancelledError:
            job.screen.say("stopping the agent there")
            process.stdin.write_eof()
            with suppress(TimeoutError, asyncssh.Error):
                await asyncio.wait_for(_relay(job, process), STOP_S)
            raise
        done = await process.wait()
    job.screen.close()
    if done.exit_status is None:
        raise asyncssh.ConnectionLost("no exit status")
    last = (job.screen.lines or ["it said nothing"])[-1].removeprefix("agent: ")
    if done.exit_status == 3:
        raise UserError(f"{job.folder.target}: {last}")
    if done.exit_status:
        raise job.folder.error(f"the agent stopped with exit status {done.exit_status}: {last}")


async def _relay(job: Job, process: asyncssh.SSHClientProcess[bytes]) -> None:
    while data := await process.stdout.read(4096):
        job.screen.relay(data)
