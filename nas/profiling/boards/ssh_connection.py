"""The ssh connection to a board, opened as OpenSSH does: ~/.ssh/config, its keys and agent, its known hosts."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import asyncssh

from nas.errors import UserError

CONNECT_S, LOGIN_S = 15, 60
KEEPALIVE_S, KEEPALIVES = 15, 4  # a connection that is silent for a minute is lost

_NAME = "[A-Za-z0-9_][A-Za-z0-9_.-]*"  # never begins with a dash, never means anything to a shell
_TARGET = re.compile(rf"(?:(?P<user>{_NAME})@)?(?P<host>{_NAME}|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{{1,5}}))?")


@dataclass(frozen=True, slots=True)
class Target:
    """Where the board is; what is None comes from ~/.ssh/config or is OpenSSH's default."""

    host: str  # a name, an address, or an alias in ~/.ssh/config
    user: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (f"{self.user}@" if self.user else "") + host + (f":{self.port}" if self.port else "")

    @property
    def command(self) -> str:
        """What the user types to get there with OpenSSH."""
        port = f"-p {self.port} " if self.port else ""
        return f"ssh {port}" + (f"{self.user}@" if self.user else "") + self.host


class Unreachable(UserError):
    """The board does not answer; it may later."""


def parse_target(text: str) -> Target:
    """user@host:port, where user and port may be left out. Raises UserError."""
    found = _TARGET.fullmatch(text)
    port = int(found["port"]) if found and found["port"] else None
    if found is None or (port is not None and not 0 < port < 65536):
        raise UserError(
            f"--ssh must be user@host, user@host:port or a host of ~/.ssh/config, of plain letters, digits and ._- "
            f"(an IPv6 address in brackets); got {text!r}"
        )
    return Target(found["host"].strip("[]"), found["user"], port)


class Client(asyncssh.SSHClient):
    """Knows afterwards whether the connection was lost, and which key of the host was refused. It accepts none."""

    def __init__(self) -> None:
        self.lost = False
        self.refused: tuple[str, str, int, asyncssh.SSHKey] | None = None  # host, address, port

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.refused = (host, addr, port, key)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True


async def connect(
    target: Target, known_hosts: Path | None = None, key: Path | None = None
) -> tuple[asyncssh.SSHClientConnection, Client]:
    """An authenticated connection. `known_hosts` and `key` (a private key) replace those that OpenSSH would use.

    Raises Unreachable where it may help to try again; UserError for an unknown or changed host key, a refused login,
    an unreadable key or configuration.
    """
    where: dict[str, Any] = {"host": target.host, "port": target.port or (), "username": target.user or ()}
    # Nothing of ~/.ssh/config that is made for a person at a terminal; a board that measures needs no agent of ours.
    where |= {"agent_forwarding": False, "x11_forwarding": False, "request_pty": False, "command": None}
    where |= {"client_keys": [str(key)] if key else ()}
    client = Client()
    try:
        options = asyncssh.SSHClientConnectionOptions(**where, config=())  # (): ~/.ssh/config
        known = asyncssh.read_known_hosts(_known_hosts(options, known_hosts))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{target}: ~/.ssh/config, a key or the known hosts cannot be used: {error} (a key with a "
            f"passphrase must be in the agent: ssh-add)"
        ) from None
    try:
        connection = await asyncssh.connect(
            **where, client_factory=lambda: client, known_hosts=known, connect_timeout=CONNECT_S,
            login_timeout=LOGIN_S, keepalive_interval=KEEPALIVE_S, keepalive_count_max=KEEPALIVES,
        )  # fmt: skip
    except asyncssh.HostKeyNotVerifiable as error:
        raise UserError(_untrusted(target, client, known, str(error.reason), given=known_hosts)) from None
    except asyncssh.PermissionDenied as error:
        raise UserError(
            f"{target}: no key was accepted ({error.reason}); set one up with ssh-copy-id, and add a key with a "
            f"passphrase to the agent with ssh-add; `{target.command}` must work without a password"
        ) from None
    except (asyncssh.ConnectionLost, OSError, TimeoutError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "no answer in time"
        raise Unreachable(f"{target}: cannot be reached: {reason}; does `{target.command}` work?") from None
    except (asyncssh.Error, ValueError) as error:
        raise UserError(f"{target}: no connection: {error}") from None
    return connection, client


def _known_hosts(options: asyncssh.SSHClientConnectionOptions, given: Path | None) -> list[str]:
    """The files that list known hosts. Never None, which asyncssh makes of `UserKnownHostsFile none` and would take
    as leave to trust any host; it does not read the system's file by itself either."""
    if given:
        names: Sequence[str] = [str(given)]
    else:
        names = list(cast(Sequence[str], options.known_hosts or ())) or [
            "~/.ssh/known_hosts",
            "/etc/ssh/ssh_known_hosts",
        ]
    return [name for name in map(os.path.expanduser, names) if os.access(name, os.R_OK)]


def _untrusted(target: Target, client: Client, known: asyncssh.SSHKnownHosts, reason: str, given: Path | None) -> str:
    if client.refused is None:  # a revoked key, a certificate
        return f"{target}: {reason}"
    host, address, port, key = client.refused
    shown = f"{key.get_algorithm()} {key.get_fingerprint()}"
    option = f"-o UserKnownHostsFile={given} " if given else ""
    once = f"run `{target.command.replace('ssh ', 'ssh ' + option, 1)}` once, compare the fingerprint, and say yes"
    if not known.match(host, address, port if port != 22 else None)[0]:
        return f"{target}: its host key is not known ({shown}); {once}"
    name = host if port == 22 else f"[{host}]:{port}"
    return (
        f"{target}: its host key HAS CHANGED, to {shown}: either the board was set up again or someone is in between. "
        f"If it was set up again: ssh-keygen {f'-f {given} ' if given else ''}-R '{name}', then {once}"
    )
