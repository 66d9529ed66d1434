"""The web server as a process: it serves from several processes and ends soon, whoever listens."""

import http.client
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from flask import Flask

from tests.ports import unused_port
from tests.ui.serving import Served
from webapp.accounts.models import User
from webapp.accounts.services import open_session
from webapp.audit.actor import Actor
from webapp.config import ROOT, configuration
from webapp.db import db, unit_of_work
from webapp.ui.web_server.server import options
from webapp.vault.key_file import key_file

pytestmark = [pytest.mark.own_desk, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]
DOORS = {
    "web": ["-m", "webapp", "web", "--port"],
    "gunicorn": ["-m", "gunicorn", "wsgi:app", "-b"],
    "flask": ["-m", "flask", "run", "--port"],
}


@pytest.fixture
def server(app: Flask, request: pytest.FixtureRequest) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A server of this desk at a free port, started in one of the ways above."""
    key_file().create()
    port = unused_port()
    words = DOORS[request.param]
    address = f"127.0.0.1:{port}" if words[-1] == "-b" else str(port)
    variables = {**os.environ, "WAYBILL_URL": "https://desk.example.com"}
    process = subprocess.Popen([sys.executable, *words, address], cwd=ROOT, env=variables, start_new_session=True)
    try:
        Served(process, port).wait_until_it_answers()
        yield process, port
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its workers, too
        process.wait()


def _ask(port: int, path: str, cookie: str = "", **headers: str) -> http.client.HTTPResponse:
    """The answer; the connection ends with it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path, headers={"Cookie": cookie, "Connection": "close", **headers})
    return connection.getresponse()


@pytest.mark.parametrize("server", ["web", "gunicorn"], indirect=True)
def test_it_serves_and_ends_soon_although_pages_listen(
    server: tuple[subprocess.Popen[bytes], int], app: Flask, olga: Actor
) -> None:
    process, port = server
    with unit_of_work():
        token = open_session(db.session.get_one(User, olga.id), how="test")
    cookie = f"waybill_session={token}"  # its name where there is a public address
    streams = [_ask(port, "/live", cookie) for _ in range(5)]
    pages = [_ask(port, "/orders/", cookie) for _ in range(5)]

    assert [answer.status for answer in streams + pages] == [200] * 10
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert time.monotonic() - began < 30  # half of what requests get to end
    for answer in streams + pages:
        answer.close()


@pytest.mark.parametrize("server", list(DOORS), indirect=True)
def test_every_door_serves_the_same_desk_behind_its_proxy(
    server: tuple[subprocess.Popen[bytes], int], app: Flask, olga: Actor
) -> None:
    proxied = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "desk.example.com", "X-Forwarded-For": "203.0.113.9"}
    with _ask(server[1], "/orders", **proxied) as answer:
        assert (answer.status, answer.headers["Location"]) == (308, "/orders/")
        assert b"https://desk.example.com/orders/" in answer.read()
        assert "max-age" in answer.headers["Strict-Transport-Security"]


def test_every_door_reads_the_same_options(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("WAYBILL_PORT", "18123")
        configuration.cache_clear()
        read = runpy.run_path(str(ROOT / "gunicorn.conf.py"))
        expected = options("127.0.0.1", 18123)
    configuration.cache_clear()
    assert {name: read[name] for name in expected} == expected
