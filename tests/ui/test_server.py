"""The web server as a process: it serves from several processes and ends soon, whoever listens."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from webapp.accounts.models import User
from webapp.accounts.services import open_session
from webapp.audit.actor import Actor
from webapp.db import db, unit_of_work

pytestmark = [pytest.mark.own_desk, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]
SERVE = "from webapp import create_app\nfrom webapp.ui.server import serve\nserve(create_app(), '127.0.0.1', {port})"


@pytest.fixture
def server(app: Flask) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A server of this desk at a free port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen([sys.executable, "-c", SERVE.format(port=port)], cwd=root, env=dict(os.environ))
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            with _ask(port, "/healthz"):
                break
        except OSError:
            time.sleep(0.05)
    yield process, port
    process.kill()
    process.wait()


def _ask(port: int, path: str, cookie: str = "") -> http.client.HTTPResponse:
    """The answer; the connection ends with it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"Cookie": cookie, "Connection": "close"})
    return connection.getresponse()


def test_it_serves_and_ends_soon_although_pages_listen(
    server: tuple[subprocess.Popen[bytes], int], app: Flask, olga: Actor
) -> None:
    process, port = server
    with unit_of_work():
        token = open_session(db.session.get_one(User, olga.id), how="test")
    cookie = f"{app.config['WAYBILL_COOKIE']}={token}"
    streams = [_ask(port, "/live", cookie) for _ in range(5)]
    pages = [_ask(port, "/orders/", cookie) for _ in range(5)]

    assert [answer.status for answer in streams + pages] == [200] * 10
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert time.monotonic() - began < 6
    for answer in streams + pages:
        answer.close()
