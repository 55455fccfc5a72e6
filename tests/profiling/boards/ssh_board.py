"""A board to profile over ssh: a real sshd on loopback, with a home folder of its own, and a cable that can be cut."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
SFTP_SERVERS = (
    "/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server",
    "/usr/libexec/sftp-server",
)  # fmt: skip


@dataclass
class Board:
    """Where it listens, and the files that ssh needs to get there. `home` is where commands and SFTP begin."""

    port: int
    home: Path
    files: Path
    server: subprocess.Popen[bytes]
    user: str = field(default_factory=lambda: pwd.getpwuid(os.getuid()).pw_name)

    @property
    def target(self) -> str:
        return f"{self.user}@127.0.0.1:{self.port}"

    @property
    def key(self) -> Path:
        return self.files / "user_key"

    @property
    def known_hosts(self) -> Path:
        return self.files / "known_hosts"

    def trust(self, port: int, key: str = "host_key") -> None:
        """Adds a host key to the known hosts, for this board behind any port."""
        public = (self.files / f"{key}.pub").read_text()
        with self.known_hosts.open("a") as file:
            file.write(f"[127.0.0.1]:{port} {public}")


class Cable:
    """A port that leads to the board's, and can be cut."""

    def __init__(self, port: int) -> None:
        self._to, self._ends = port, list[tuple[socket.socket, socket.socket]]()
        self._left: list[socket.socket] = []  # the board's ends that it does not know to be cut
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, *, noticed: bool = True) -> None:
        """Ends all connections; unless `noticed`, the board goes on as if nothing had happened."""
        while self._ends:
            near, far = self._ends.pop()
            self._left.append(far)
            for end in (near, far) if noticed else (near,):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # closing alone would not wake the thread that accepts
        self._listener.close()
        self.cut()
        for end in self._left:
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self._ends.append((near, far))
                for end in (near, far):  # small messages at once, as ssh itself sends them
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=ends, daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)


def make_key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", path], check=True)


@contextmanager
def running_board(folder: Path, *, sftp: bool = True, before: str = "true") -> Iterator[Board]:
    """An sshd without privileges, ended afterwards. `before` is a shell command run ahead of every command there."""
    server = next(filter(os.path.exists, SFTP_SERVERS), None)
    if SSHD is None or server is None or shutil.which("ssh-keygen") is None:
        pytest.skip("needs an ssh server to connect to: no sshd, sftp-server or ssh-keygen here (openssh-server)")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where it confines itself when root starts it
    home, files = folder / "home", folder / "ssh"
    (home / "bin").mkdir(parents=True)
    files.mkdir()
    python = home / "bin/python3"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    for name in ("host_key", "user_key"):
        make_key(files / name)
    shutil.copy(files / "user_key.pub", files / "authorized_keys")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    enter = f"cd {shlex.quote(str(home))}; PATH={shlex.quote(str(home / 'bin'))}:$PATH; {before}"
    (files / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {files}/host_key\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {files}/authorized_keys\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\n"
        "SetEnv SHLVL=2\n"  # bash reads ~/.bashrc of whoever runs the tests unless it is inside another shell
        f"ForceCommand {enter}; exec /bin/sh -c \"$SSH_ORIGINAL_COMMAND\"\n"
        + (f"Subsystem sftp {server}\n" if sftp else "")
    )  # fmt: skip
    with (files / "log").open("wb") as log:
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", files / "config"], stdin=subprocess.DEVNULL, stderr=log)
    try:
        board = Board(port, home, files, process)
        for _ in range(200):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.02)
        else:
            pytest.fail(f"sshd did not start: {(files / 'log').read_text()}")
        board.trust(port)
        yield board
    finally:
        process.terminate()
        process.wait(10)
