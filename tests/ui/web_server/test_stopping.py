"""An orderly stop of the web server: what was asked is answered, and nobody new is let in."""

import http.client
import signal
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.ui.serving import Served, read_until, serving


class Asker:
    """Asks again and again until the server is gone, and counts how that ended."""

    def __init__(self, served: Served, *, kept: bool) -> None:
        self.served, self.kept = served, kept
        self.found: Counter[str] = Counter()

    def run(self) -> None:
        connection = self._connect()
        while self.found["refused"] == 0:
            began = time.monotonic()
            try:
                connection.request("GET", "/wait/20")
                answer = connection.getresponse()
                whole = answer.read() == b"waited"
                self.found["answered" if whole else "cut"] += 1
                if not self.kept:
                    connection.close()
            except ConnectionRefusedError:
                self.found["refused"] += 1
            except (OSError, http.client.HTTPException):
                # Who knocked in the very moment in which the door closed has no answer, and nothing was begun for them.
                self.found["cut" if began < self.stopped_at else "refused"] += 1
        connection.close()

    stopped_at = float("inf")

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.served.port, timeout=60)


def test_a_stop_under_load_cuts_nobody_and_lets_nobody_in(tmp_path: Path) -> None:
    with serving(tmp_path) as served, ThreadPoolExecutor(8) as people:
        askers = [Asker(served, kept=number % 2 == 0) for number in range(12)]
        threads = [threading.Thread(target=asker.run) for asker in askers]
        for thread in threads:
            thread.start()
        long = [people.submit(served.ask, "/wait/2500") for _ in range(8)]
        half_sent = served.connect()
        half_sent.sendall(b"POST /take HTTP/1.1\r\nHost: desk\r\nContent-Length: 4\r\n\r\nab")
        time.sleep(1.0)
        for asker in askers:
            asker.stopped_at = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        half_sent.sendall(b"cd")
        read_until(half_sent, b"\r\n\r\n4")
        half_sent.close()
        assert [one.result()[:2] for one in long] == [(200, b"waited")] * 8
        assert served.process.wait(60) == 0
    found = sum((asker.found for asker in askers), Counter[str]())
    assert (found["cut"], found["refused"]) == (0, len(askers))
    assert found["answered"] > len(askers)


def test_a_stop_waits_for_nobody_who_says_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as served, served.connect() as kept, served.connect() as stream, served.connect():
        kept.sendall(b"GET /wait/0 HTTP/1.1\r\nHost: desk\r\n\r\n")
        read_until(kept, b"waited")
        served.process.send_signal(signal.SIGTERM)
        stream.settimeout(20)
        assert stream.recv(1) == b""
        assert served.process.wait(60) == 0
        with socket.socket() as late:
            assert late.connect_ex(("127.0.0.1", served.port)) != 0


def test_a_process_whose_parent_was_killed_ends_its_connections(tmp_path: Path) -> None:
    with serving(tmp_path, WAYBILL_WEB_PROCESSES="1") as served, served.connect() as kept:
        kept.settimeout(60)
        kept.sendall(b"GET /wait/0 HTTP/1.1\r\nHost: desk\r\n\r\n")
        assert b"keep-alive" in read_until(kept, b"waited").lower()
        kept.sendall(b"GET /wait/3000 HTTP/1.1\r\nHost: desk\r\n\r\n")
        served.process.kill()
        read_until(kept, b"waited")
        kept.sendall(b"GET /wait/0 HTTP/1.1\r\nHost: desk\r\n\r\n")
        assert b"connection: close" in read_until(kept, b"waited").lower()
        assert kept.recv(1) == b""


ONE_PROCESS_IS_LATE = """
from webapp.ui.web_server import server as web_server
after_fork = web_server._after_fork

def late(server, worker):
    if worker.age == 2:
        time.sleep(4)
    after_fork(server, worker)

web_server._after_fork = late
"""


def test_a_process_that_is_told_to_stop_while_it_starts_does_so(tmp_path: Path) -> None:
    with serving(tmp_path, ONE_PROCESS_IS_LATE, WAYBILL_WEB_PROCESSES="2") as served:
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(60) == 0
