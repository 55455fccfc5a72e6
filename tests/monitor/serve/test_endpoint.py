"""The local endpoint: its answers, its bounds, and who is not answered."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nas.monitor.serve import endpoint as module
from nas.monitor.serve.endpoint import Endpoint, address_of, label, metric
from nas.monitor.serve.frames import of_arrays
from nas.monitor.serve.loop import Serving
from nas.monitor.serve.metrics import Asked
from nas.monitor.serve.options import Options
from nas.monitor.serve.terminal import Refused
from tests.monitor.serve.deployments import make_version, picture


@pytest.fixture
def serving(tmp_path: Path) -> Serving:
    make_version(tmp_path, 1)
    serving = Serving(tmp_path, Options(every=True, quiet=True, window=2))
    serving.run(of_arrays([picture("red")] * 5))
    return serving


@pytest.fixture
def port(serving: Serving) -> Iterator[int]:
    endpoint = Endpoint(Asked(serving), "127.0.0.1", 0)
    yield endpoint.server_port
    endpoint.close()


def ask(port: int, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET" if body is None else "POST", path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def raw(port: int, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(sent)
        received = b""
        while part := connection.recv(4096):
            received += part
    return received


def encoded(color: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture(color)).save(file, "PNG")
    return file.getvalue()


def test_health_metrics_and_a_classification(port: int) -> None:
    status, text = ask(port, "/health")
    found = json.loads(text)
    assert (status, found["status"], found["version"], found["served"]) == (200, "ok", 1, 5)
    status, text = ask(port, "/metrics")
    assert status == 200 and text.endswith("\n")
    assert "# TYPE nas_frames_served_total counter\nnas_frames_served_total 5\n" in text
    assert 'nas_inference_milliseconds{quantile="0.9"} ' in text and "nas_inference_milliseconds_count 5\n" in text
    assert 'nas_version_info{version="1",precision="fp32"} 1\n' in text
    for line in text.splitlines():
        assert line.startswith("# ") or float(line.rpartition(" ")[2]) >= 0
    status, text = ask(port, "/classify", encoded("green"))
    assert status == 200 and json.loads(text)["classes"][0]["class"] == "green"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 404), ("/../current", 404), ("/health/../../etc/passwd", 404), ("/%2e%2e/current", 404),
        ("/health?x", 404), ("/classify", 405), ("/" + "a" * 70_000, 414),
    ],
)  # fmt: skip
def test_other_paths_are_not_found(port: int, path: str, status: int) -> None:
    assert ask(port, path)[0] == status


def test_input_is_bounded(port: int) -> None:
    assert ask(port, "/classify", b"not a picture")[0] == 400
    assert ask(port, "/classify", b"")[0] == 413
    head = b"POST /classify HTTP/1.1\r\nHost: localhost\r\n"
    for length in (b"99999999", b"9" * 5000, b"-1", b"\xb2", b"x"):
        answer = raw(port, head + b"Content-Length: " + length + b"\r\n\r\n")
        assert answer.split()[1] in (b"411", b"413"), length
    assert raw(port, head + b"\r\n").split()[1] == b"411"
    assert b"400" in raw(port, b"\x00\xff nonsense\r\n\r\n")
    assert raw(port, b"DELETE /health HTTP/1.1\r\n\r\n").split()[1] == b"501"
    assert ask(port, "/health")[0] == 200


def test_a_slow_client_is_dropped_and_others_are_answered_meanwhile(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SECONDS", 0.5)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as slow:
        slow.sendall(b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
        assert ask(port, "/health")[0] == 200
        begin = time.monotonic()
        closed = False
        while not closed and time.monotonic() - begin < 20:
            time.sleep(0.1)
            try:
                slow.sendall(b"x")  # a byte now and then gains no time
            except OSError:
                closed = True
        assert closed


def test_so_many_connections_and_one_classification_at_once(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = threading.Event(), threading.Event()

    def wait(picture: bytes) -> dict[str, Any]:
        begun.set()
        assert go.wait(30)
        return {}

    monkeypatch.setattr(Asked, "answer", lambda self, picture: wait(picture))
    first = threading.Thread(target=ask, args=(port, "/classify", b"x"))
    first.start()
    assert begun.wait(30)
    assert ask(port, "/classify", b"x")[0] == 503
    idle = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(module.MOST_CONNECTIONS + 4)]
    time.sleep(0.3)
    idle[-1].settimeout(30)
    assert idle[-1].recv(1) == b"", "there is no room for it"
    for one in idle:
        one.close()
    go.set()
    first.join(30)


def test_a_page_of_another_site_is_not_answered(port: int) -> None:
    assert ask(port, "/health", Host="evil.example")[0] == 403
    assert ask(port, "/health", Host="evil.example:8080")[0] == 403
    assert ask(port, "/classify", encoded("red"), Origin="https://evil.example")[0] == 403
    for host in ("localhost", "localhost:80", "127.0.0.1:8080", "[::1]:8080"):
        assert ask(port, "/health", Host=host)[0] == 200


def test_other_machines_are_let_in_only_where_that_is_said(serving: Serving) -> None:
    for host in ("0.0.0.0", "192.168.1.4", "::"):
        with pytest.raises(Refused, match="--http-anywhere"):
            Endpoint(Asked(serving), host, 0)
    endpoint = Endpoint(Asked(serving), "0.0.0.0", 0, anywhere=True)
    try:
        assert ask(endpoint.server_port, "/health", Host="board.local")[0] == 200
        with pytest.raises(Refused, match="in use"):
            Endpoint(Asked(serving), "0.0.0.0", endpoint.server_port, anywhere=True)
    finally:
        endpoint.close()


def test_addresses() -> None:
    assert address_of("8080") == ("127.0.0.1", 8080)
    assert address_of("0.0.0.0:80") == ("0.0.0.0", 80) and address_of("[::1]:80") == ("::1", 80)
    for text in ("", "x", "70000", "-1", "1.2.3.4", "localhost:", "٣"):
        with pytest.raises(Refused, match="--http must be PORT or HOST:PORT"):
            address_of(text)


def test_labels_are_escaped() -> None:
    assert label(a='x"y\\z\n') == '{a="x\\"y\\\\z\\n"}'
    assert metric("m", "gauge", "Words.", {"": None}) == ""
    assert metric("m", "gauge", "Words.", {"": 1.5}) == "# HELP m Words.\n# TYPE m gauge\nm 1.5\n"
