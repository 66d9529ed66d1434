"""A web server in a process of its own, with some pages that only tests need; it uses neither database nor queue."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.ports import unused_port

ROOT = Path(__file__).resolve().parents[2]
PAGES = """
import time
from flask import request
from webapp import create_app
from webapp.ui.web_server import client_socket, web_worker
from webapp.ui.frame.access import public
from webapp.ui.web_server.client_socket import mark_live
from webapp.ui.web_server.server import serve

app = create_app()

@app.get("/wait/<int:milliseconds>")
@public
def wait(milliseconds):
    time.sleep(milliseconds / 1000)
    return "waited"

@app.get("/large/<int:size>")
@public
def large(size):
    return b"x" * size

@app.get("/stream")
@public
def stream():
    mark_live(request.environ)
    def lines():
        while True:
            yield "data\\n"
            time.sleep(0.1)
    return app.response_class(lines(), mimetype="text/event-stream")

@app.post("/take")
@public
def take():
    return str(len(request.get_data()))

app.extensions["csrf"].exempt(take)
"""


@dataclass(frozen=True)
class Served:
    """A running server, and ways to send it requests."""

    process: subprocess.Popen[bytes]
    port: int

    def connect(self, source: str = "") -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 60, source_address=(source, 0) if source else None)

    def ask(
        self, path: str, source: str = "", method: str = "GET", body: bytes | None = None
    ) -> tuple[int, bytes, dict[str, str]]:
        """Status, content and headers of an answer; the connection ends with it."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=60, source_address=(source, 0) if source else None
        )
        try:
            connection.request(method, path, body=body, headers={"Connection": "close"})
            answer = connection.getresponse()
            return answer.status, answer.read(), dict(answer.headers)
        finally:
            connection.close()

    def wait_until_it_answers(self, why_not: Callable[[], str] = lambda: "") -> None:
        """Wait for the server; if it ends instead, fail with the text of `why_not`."""
        while True:
            assert self.process.poll() is None, why_not()
            try:
                self.seconds("/healthz")
                break
            except OSError:
                time.sleep(0.05)

    def seconds(self, path: str, source: str = "") -> float:
        """The duration of an answer in seconds."""
        began = time.monotonic()
        assert self.ask(path, source)[0] == 200
        return time.monotonic() - began


def read_until(client: socket.socket, text: bytes) -> bytes:
    """What a client receives until this text has arrived, in any number of pieces."""
    read = b""
    while text not in read:
        more = client.recv(65536)
        assert more, read
        read += more
    return read


@contextmanager
def serving(data_dir: Path, *settings: str, **variables: str) -> Iterator[Served]:
    """Serve with these statements run before, and these variables."""
    port = unused_port()
    code = "\n".join((PAGES, *settings, f"serve(app, '127.0.0.1', {port})"))
    own = {"WAYBILL_DATA_DIR": str(data_dir), "WAYBILL_LOG_LEVEL": "warning", **variables}
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **own}, start_new_session=True
    )
    served = Served(process, port)
    try:
        served.wait_until_it_answers()
        yield served
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its workers, too
        process.wait()
