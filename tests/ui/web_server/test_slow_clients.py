"""Clients that send or read slowly hold up nobody but themselves, and each comes to its end."""

import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.ui.serving import Served, read_until, serving
from webapp.ui.web_server import client_socket
from webapp.ui.web_server.client_socket import ClientSocket
from webapp.ui.web_server.web_worker import HEADER_WITHIN, Connection, WebWorker

HALF_A_HEADER = b"GET /healthz HTTP/1.1\r\nHost: desk\r\nX-Slow: "
HALF_A_BODY = b"POST /take HTTP/1.1\r\nHost: desk\r\nContent-Length: 1000\r\n\r\nhalf"
NOTHING_READ = b"GET /large/900000 HTTP/1.1\r\nHost: desk\r\n\r\n"
SMALL = {"WAYBILL_WEB_PROCESSES": "1", "WAYBILL_WEB_THREADS": "12"}  # so few slow clients would be too many for threads
CAP = 9
PROXY, PERSON, OTHER = "127.0.0.1", "127.0.1.1", "127.0.1.2"


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that waits as long as it really does, with a proxy at one address."""
    proxied = {"WAYBILL_URL": "https://desk.example", "WAYBILL_PROXIES": PROXY}
    with serving(tmp_path_factory.mktemp("patient"), **SMALL, **proxied) as served:
        yield served


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose deadlines come soon."""
    sooner = "web_worker.HEADER_WITHIN = web_worker.BODY_WITHIN = client_socket.TAKEN_WITHIN = 0.4"
    with serving(tmp_path_factory.mktemp("hurried"), sooner, **SMALL) as served:
        yield served


@pytest.fixture(scope="module")
def pressed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that holds no more than 100 kB of requests."""
    with serving(tmp_path_factory.mktemp("pressed"), "web_worker.ARRIVED_AT_MOST = 100_000", **SMALL) as served:
        yield served


def everything(client: socket.socket) -> bytes:
    """What a client is sent until the server closes."""
    read = b""
    while data := client.recv(65536):
        read += data
    return read


def keep_sending(client: socket.socket) -> None:
    for _ in range(50):
        client.sendall(b"x")
        time.sleep(0.1)


def needs_addresses() -> None:
    try:
        socket.create_server((PERSON, 0)).close()
    except OSError:
        pytest.skip("this machine has one loopback address only")


@pytest.mark.parametrize("sent", [b"", HALF_A_HEADER, HALF_A_BODY, NOTHING_READ], ids=["", "header", "body", "answer"])
@pytest.mark.parametrize("source", [PROXY, PERSON, "many"])
def test_two_hundred_slow_clients_keep_nobody_waiting(patient: Served, sent: bytes, source: str) -> None:
    needs_addresses()
    with ExitStack() as open_till_the_end:
        for number in range(200):
            address = f"127.0.2.{number + 1}" if source == "many" else source
            open_till_the_end.enter_context(patient.connect(address)).sendall(sent)
        took = [patient.seconds("/healthz", OTHER) for _ in range(5)]
    # One second is what a client may wait; a machine that does much else is given more by the median of five.
    assert sorted(took)[2] <= 1.0


@pytest.mark.parametrize("sent", [HALF_A_HEADER, HALF_A_BODY], ids=["header", "body"])
def test_a_request_that_does_not_come_to_its_end_is_ended(hurried: Served, sent: bytes) -> None:
    with hurried.connect() as client:
        client.sendall(sent)
        assert everything(client).startswith(b"HTTP/1.1 408 ")


def test_drops_do_not_prolong_a_header(hurried: Served) -> None:
    with hurried.connect() as client:
        client.sendall(HALF_A_HEADER)
        client.settimeout(0.05)
        began = time.monotonic()
        answer = b""
        while not answer:
            assert time.monotonic() - began < 10
            client.sendall(b"x")
            try:
                answer = client.recv(1024)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_the_first_byte_prolongs_only_the_header_of_a_later_request() -> None:
    ours, theirs = socket.socketpair()
    with ClientSocket(ours) as client, theirs:
        conn = Connection(None, client, ("203.0.113.5", 1), None)
        client.arrived += b"GET / HT"
        first = conn.deadline
        assert (conn.look(100), conn.deadline) == (0, first)
        conn.kept = True
        conn.await_request(0.0)  # of those seconds in which a connection may be idle
        assert conn.look(100) == 0
        assert conn.deadline - conn.began >= HEADER_WITHIN


def test_a_client_that_says_nothing_or_reads_nothing_is_let_go(hurried: Served) -> None:
    with hurried.connect() as silent, hurried.connect() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(b"GET /large/20000000 HTTP/1.1\r\nHost: desk\r\n\r\n")
        assert everything(silent) == b""
        time.sleep(1.5)
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            keep_sending(deaf)


def test_a_slow_reader_gets_it_all_in_the_end(patient: Served) -> None:
    with patient.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.sendall(b"GET /large/5000000 HTTP/1.1\r\nHost: desk\r\nConnection: close\r\n\r\n")
        time.sleep(0.5)
        head, _, content = everything(client).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert content == b"x" * 5_000_000


def test_a_reader_who_goes_on_reading_may_take_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_socket, "TAKEN_WITHIN", 0.3)
    monkeypatch.setattr(client_socket, "KEPT_AT_MOST", 2**16)
    ours, theirs = socket.socketpair()

    def read_slowly() -> int:
        read = 0
        while data := theirs.recv(2**18):
            read += len(data)
            time.sleep(0.05)
        return read

    with theirs, ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read_slowly)
        with ClientSocket(ours) as client:
            client.sendall(b"x" * 2**22)
            left = sum(map(len, client.unsent))
        assert left <= 2**16
        assert reader.result() == 2**22 - left


def test_an_address_has_so_many_requests_in_work_and_others_are_served(patient: Served) -> None:
    needs_addresses()
    with ThreadPoolExecutor(2 * CAP) as people:
        working = [people.submit(patient.ask, "/wait/1500", PERSON) for _ in range(2 * CAP)]
        assert patient.ask("/wait/0", OTHER)[0] == 200
        answers = [one.result() for one in working]
    assert Counter(status for status, _, _ in answers) == {200: CAP, 429: CAP}
    assert {headers["Retry-After"] for status, _, headers in answers if status == 429} == {"2"}


@pytest.mark.parametrize(
    ("first", "second", "crowded"),
    [
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:203.0.113.5", "203.0.113.5", True),
        ("::ffff:203.0.113.5", "::ffff:203.0.113.6", False),
    ],
)
def test_a_network_of_ipv6_and_an_address_of_ipv4_count_as_one(first: str, second: str, crowded: bool) -> None:
    worker = WebWorker.__new__(WebWorker)
    worker.open, worker.cap = {}, 1
    ours, theirs = socket.socketpair()
    with ClientSocket(ours) as client, theirs:
        working, asking = (Connection(None, client, (address, 1), None) for address in (first, second))
        worker.open[working] = None
        assert worker._is_crowded(asking.address, asking.source) is crowded


def test_a_proxy_may_ask_for_as_many_as_it_likes(patient: Served) -> None:
    with ThreadPoolExecutor(2 * CAP) as people:
        working = [people.submit(patient.ask, "/wait/300", PROXY) for _ in range(2 * CAP)]
        assert {one.result()[0] for one in working} == {200}


def test_live_streams_are_not_counted(patient: Served) -> None:
    needs_addresses()
    with ExitStack() as open_till_the_end:
        for _ in range(CAP + 1):
            stream = open_till_the_end.enter_context(patient.connect(PERSON))
            stream.sendall(b"GET /stream HTTP/1.1\r\nHost: desk\r\n\r\n")
            read_until(stream, b"HTTP/1.1 200")
        assert patient.ask("/healthz", PERSON)[0] == 200


def test_a_request_may_come_in_pieces_and_two_at_once(patient: Served) -> None:
    with patient.connect() as client:
        for piece in (b"POST /take HT", b"TP/1.1\r\nHost: desk\r\nContent-Length: 6\r\n\r", b"\nabc", b"def"):
            client.sendall(piece)
            time.sleep(0.05)
        read_until(client, b"\r\n\r\n6")
        two = b"POST /take HTTP/1.1\r\nHost: desk\r\nContent-Length: 3\r\n\r\nabcGET /wait/0 HTTP/1.1\r\nHost: desk\r\n"
        client.sendall(two + b"Connection: close\r\n\r\n")
        both = everything(client)
    assert both.count(b"HTTP/1.1 200 OK") == 2
    assert both.endswith(b"waited")


def test_where_memory_is_short_the_largest_request_goes(pressed: Served) -> None:
    for _ in range(5):  # what is answered counts no longer
        assert pressed.ask("/take", method="POST", body=b"x" * 60_000)[:2] == (200, b"60000")
    with pressed.connect() as small, pressed.connect() as large, pressed.connect() as larger:
        small.sendall(b"GET /healthz HTTP/1.1\r\nHost: desk\r\n")
        time.sleep(0.2)
        for client, size in ((large, 45_000), (larger, 60_000)):
            client.sendall(b"POST /take HTTP/1.1\r\nHost: desk\r\nContent-Length: 61000\r\n\r\n" + b"x" * size)
            time.sleep(0.2)
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            keep_sending(larger)
        large.sendall(b"x" * 16_000)
        read_until(large, b"\r\n\r\n61000")
        small.sendall(b"\r\n")
        read_until(small, b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("length", [b"%020d", b"%0400d", b"%d", b" \t%d \t"])
def test_a_body_is_never_answered_as_a_request(patient: Served, length: bytes) -> None:
    hidden = b"GET /healthz HTTP/1.1\r\nHost: desk\r\n\r\n"
    with patient.connect() as client:
        client.sendall(b"POST /take HTTP/1.1\r\nHost: desk\r\nContent-Length:" + length % len(hidden) + b"\r\n\r\n")
        time.sleep(0.2)  # the body comes by itself
        client.sendall(hidden)
        client.shutdown(socket.SHUT_WR)
        assert everything(client).count(b"HTTP/1.1 ") == 1


def test_a_connection_ends_whose_thread_asked_for_more_than_had_arrived() -> None:
    ours, theirs = socket.socketpair()
    with ClientSocket(ours) as client, theirs:
        client.arrived += b"ab"
        assert (client.recv(8), client.short) == (b"ab", False)
        assert (client.recv(8), client.short) == (b"", True)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"POST /take HTTP/1.1\r\nHost: desk\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"POST /take HTTP/1.1\r\nHost: desk\r\nContent-Length: 3000000\r\n\r\nx", 413),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000, 431),
        (b"nonsense\r\n\r\n", 400),
    ],
)
def test_what_can_not_be_taken_is_refused_at_once(patient: Served, sent: bytes, status: int) -> None:
    with patient.connect() as client:
        client.sendall(sent)
        assert everything(client).startswith(b"HTTP/1.1 %d " % status)


def test_a_large_body_is_taken_and_asked_for(patient: Served) -> None:
    assert patient.ask("/take", method="POST", body=b"x" * 2_000_000)[:2] == (200, b"2000000")
    with patient.connect() as client:
        wanted = b"Content-Length: 3\r\nConnection: close\r\nExpect: 100-continue\r\n\r\n"
        client.sendall(b"POST /take HTTP/1.1\r\nHost: desk\r\n" + wanted)
        asked = read_until(client, b"HTTP/1.1 100 Continue\r\n\r\n")
        client.sendall(b"abc")
        answer = asked + everything(client)
        assert (answer.count(b"100 Continue"), answer.count(b"HTTP/1.1 200 OK")) == (1, 1)


@pytest.mark.parametrize("length", [b"3000000", b"1" * 20])
def test_a_body_that_is_too_large_is_not_asked_for(patient: Served, length: bytes) -> None:
    with patient.connect() as client:
        head = b"POST /take HTTP/1.1\r\nHost: desk\r\nExpect: 100-continue\r\nContent-Length: " + length
        client.sendall(head + b"\r\n\r\n")
        assert everything(client).startswith(b"HTTP/1.1 413 ")
