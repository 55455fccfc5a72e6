"""The local HTTP endpoint, off by default: /health, /metrics in Prometheus' text format, POST /classify or /detect.

Bounded: so many connections at once, seconds and bytes to a request, one picture at a time; a connection is
closed after its answer. No path names a file. A page in a browser is kept out by the Host and Origin that it sends.
"""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from typing import Any, Protocol

from .terminal import Refused

MOST_BODY = 1 << 24  # bytes of a picture
MOST_SECONDS = 10.0  # for a whole request
MOST_CONNECTIONS = 8
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Served(Protocol):
    """What the endpoint asks; each may be called from another thread.

    `asked` is the path that pictures are sent to; `answer` raises ValueError for no picture.
    """

    def health_answer(self) -> dict[str, Any]: ...

    def metrics(self) -> str: ...

    @property
    def asked(self) -> str: ...

    def answer(self, picture: bytes) -> dict[str, Any]: ...


class Endpoint(ThreadingMixIn, HTTPServer):
    """Serves on `host` and `port` (0: any) in a thread of its own until `close`. Raises Refused.

    `anywhere`: also on addresses that other machines reach.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, served: Served, host: str, port: int, *, anywhere: bool = False) -> None:
        if host not in LOOPBACK and not anywhere:
            raise Refused(f"--http on {host} lets other machines in: add --http-anywhere where that is meant")
        self.served, self.anywhere = served, anywhere
        self.room = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self.answering = threading.Lock()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), Handler)
        except (OSError, OverflowError) as error:
            raise Refused(f"--http {host}:{port}: {getattr(error, 'strerror', None) or error}") from None
        threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True, name="http").start()

    def server_bind(self) -> None:
        """Without HTTPServer's look-up of the host's name, which may take seconds."""
        super(HTTPServer, self).server_bind()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if self.room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or was too slow, is nothing to tell the user."""

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class _Timed(io.RawIOBase):
    """Reads a socket until a moment; whoever sends a byte now and then gets no longer."""

    def __init__(self, connection: socket.socket, until: float) -> None:
        self.connection, self.until = connection, until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.connection.settimeout(max(0.001, self.until - time.monotonic()))
        return self.connection.recv_into(buffer)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Endpoint
    timeout = MOST_SECONDS
    server_version, sys_version = "serve", ""

    def setup(self) -> None:
        super().setup()
        self.rfile = io.BufferedReader(_Timed(self.connection, time.monotonic() + MOST_SECONDS))

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: what a client sends must not come onto a terminal."""

    def do_GET(self) -> None:
        if not self._welcome():
            return
        if self.path == "/health":
            self._json(200, self.server.served.health_answer())
        elif self.path == "/metrics":
            self._answer(200, "text/plain; version=0.0.4; charset=utf-8", self.server.served.metrics().encode("utf-8"))
        elif self.path == self.server.served.asked:
            self._json(405, {"error": "send a picture by POST"})
        else:
            self._json(404, {"error": f"there are /health, /metrics and POST {self.server.served.asked}"})

    def do_POST(self) -> None:
        if not self._welcome():
            return
        if self.path != self.server.served.asked:
            self._json(404, {"error": f"there is POST {self.server.served.asked}"})
            return
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit() and len(length) < 12 and 0 < int(length) <= MOST_BODY):
            self._json(413 if length.isdigit() else 411, {"error": f"a picture must have 1 to {MOST_BODY} bytes"})
            return
        picture = self.rfile.read(int(length))
        if len(picture) < int(length):
            self._json(400, {"error": "the picture ends too early"})
            return
        if not self.server.answering.acquire(blocking=False):
            self._json(503, {"error": "another picture is under way"}, {"Retry-After": "1"})
            return
        try:
            self._json(200, self.server.served.answer(picture))
        except ValueError as error:
            self._json(400, {"error": str(error)[:300]})
        finally:
            self.server.answering.release()

    def _welcome(self) -> bool:
        """A page of another site, open in a browser on this machine, is not: its name leads here, or it says so."""
        host = self.headers.get("Host", "localhost")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if self.server.anywhere or (name.strip("[]") in LOOPBACK and "Origin" not in self.headers):
            return True
        self._json(403, {"error": "only programs on this machine are answered"})
        return False

    def _json(self, status: int, value: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self._answer(status, "application/json", (json.dumps(value) + "\n").encode("ascii"), headers)

    def _answer(self, status: int, kind: str, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.close_connection = True
        self.connection.settimeout(MOST_SECONDS)
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def address_of(text: str) -> tuple[str, int]:
    """The host and port of 8080, 127.0.0.1:8080 or [::1]:8080. Raises Refused."""
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and len(port) < 6 and int(port) < 65536):
        raise Refused(f"--http must be PORT or HOST:PORT, as 8080; got {text[:80]}")
    return host.strip("[]") or "127.0.0.1", int(port)


def metric(name: str, kind: str, words: str, rows: dict[str, float | int | None]) -> str:
    """One metric in Prometheus' text format: its values by their labels; those that are None are left out."""
    known = {labels: value for labels, value in rows.items() if value is not None}
    if not known:
        return ""
    lines = [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]
    return "\n".join([*lines, *(f"{name}{labels} {float(value):.10g}" for labels, value in known.items())]) + "\n"


def label(**values: str) -> str:
    """Labels of a metric, their values escaped."""
    pairs = []
    for name, value in values.items():
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        pairs.append(f'{name}="{escaped}"')
    return "{" + ",".join(pairs) + "}"
