"""The process of the web server: gunicorn's threads, behind a loop that waits for slow clients without a thread.

gunicorn's own loop hands a connection to a thread with its first byte, and blocks for up to two seconds when it closes
one; 64 half-sent headers stop such a process. Here a thread gets a request once header and body are complete, answers
are sent as their clients take them, and each of these steps has its deadline. No address except a proxy's may have so
many connections that others wait; its live streams are not counted.

When told to stop, the process first accepts the connections that wait, then closes its listening socket, and ends once
every request is answered.
"""

import errno
import re
import selectors
import socket
import sys
import threading
import time
from concurrent.futures import Future
from functools import partial
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from webapp.addresses import source_of
from webapp.config import configuration
from webapp.ui.web_server.client_socket import TAKEN_WITHIN, ClientSocket

HEADER_WITHIN = 10.0  # seconds
BODY_WITHIN = 20.0  # seconds, and more for a body that keeps arriving:
SLOWEST_BODY = 16 * 2**10  # bytes in a second
LONGEST_HEADER = 64 * 2**10
ARRIVED_AT_MOST = 64 * 2**20  # bytes of requests that a process holds before threads have them
CLOSED_WITHIN = 2.0  # seconds in which a client notices that its connection ends
KEPT_WHEN_STOPPING = 2.0  # seconds for a request that a client may be sending at this moment
_LOOK_EVERY = 0.25  # seconds between two looks at the deadlines
_LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*(\d+)[ \t]*\r\n", re.IGNORECASE)
_CODED = re.compile(rb"\r\ntransfer-encoding[ \t]*:", re.IGNORECASE)
_EXPECTS = re.compile(rb"\r\nexpect[ \t]*:[ \t]*100-continue", re.IGNORECASE)
_REFUSALS = {
    408: "Request Timeout",
    411: "Length Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
}


class Connection(TConn):
    """One client's connection: how far its request has arrived, and the deadline of its present state."""

    sock: ClientSocket

    def __init__(self, cfg: Any, sock: ClientSocket, client: Any, server: Any) -> None:
        super().__init__(cfg, sock, client, server)
        self.data_ready = True  # a thread gets it with a whole request
        self.address = client[0] if isinstance(client, tuple) else ""
        self.source = source_of(self.address)
        self.awaited = 0  # the selector events that the loop waits for; 0 while a thread has the connection
        self.closing = self.last = False  # it is being closed, or will be after its answer
        self.kept = False  # it has been answered before
        self.counted = 0  # bytes of it that the worker counts as held
        self.await_request(HEADER_WITHIN)

    def await_request(self, seconds: float) -> None:
        """Begin with the next request, whose header must arrive within these seconds."""
        self.began = time.monotonic()
        self.deadline = self.began + seconds
        self.looked_at = self.header = self.whole = 0  # how far the buffer was searched; where header and request end
        self.oversized = False

    @property
    def idle(self) -> bool:
        """Whether nothing of the next request has arrived."""
        return not self.closing and not self.sock.arrived and not self.sock.unsent

    @property
    def complete(self) -> bool:
        return 0 < self.whole <= len(self.sock.arrived)

    def look(self, longest_body: int) -> int:
        """Determine how far the request has arrived and set its deadline; returns 0, or the status by which it is
        refused.
        """
        if not self.header and (status := self._look_for_header(longest_body)):
            return status
        if self.header:
            self.deadline = self.began + BODY_WITHIN + (len(self.sock.arrived) - self.header) / SLOWEST_BODY
        return 0

    def _look_for_header(self, longest_body: int) -> int:
        arrived = self.sock.arrived
        if self.looked_at == 0 and self.kept:  # the first request's runs since the connection was accepted
            self.deadline = time.monotonic() + HEADER_WITHIN
        end = arrived.find(b"\r\n\r\n", max(0, self.looked_at - 3))
        self.looked_at = len(arrived)
        if end < 0:
            return 431 if len(arrived) > LONGEST_HEADER else 0
        header = bytes(arrived[: end + 4])
        if _CODED.search(header):
            return 411
        length = _LENGTH.search(header)
        size = 0
        if length:
            size = int(length[1]) if len(length[1]) < 16 else longest_body + 1  # gunicorn reads any number of digits
        self.oversized = size > longest_body  # the desk answers without reading it
        self.header, self.began = len(header), time.monotonic()
        self.whole = self.header if self.oversized else self.header + size
        if not self.complete and _EXPECTS.search(header):
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        return 0


class WebWorker(ThreadWorker):
    """gunicorn's threads behind a loop of our own; what a thread does with a request stays gunicorn's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.open: dict[Connection, None] = {}  # in the order of their arrival
        self.held = 0  # bytes of all requests that wait for their rest, or for a thread
        self._counting = threading.Lock()
        self.cap = max(8, self.cfg.threads * 3 // 4)  # connections of one source
        self._looked = 0.0

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Refuse settings that this worker does not support."""
        if cfg.is_ssl:
            sys.exit("The desk speaks plain HTTP: let a proxy speak TLS, and leave certfile and keyfile out.")

    def run(self) -> None:
        """Serve until told to stop, then finish."""
        self.longest_body = self.wsgi.config["MAX_CONTENT_LENGTH"]
        self.poller.register(self.method_queue.fileno(), selectors.EVENT_READ, self.method_queue.run_callbacks)
        self.set_accept_enabled(True)
        while self.alive and self.is_parent_alive():
            self._turn(1.0)
        self._finish()

    def _turn(self, seconds: float) -> None:
        self.notify()
        self.wait_for_and_dispatch_events(timeout=seconds)
        if time.monotonic() - self._looked >= _LOOK_EVERY:
            self._looked = time.monotonic()
            for conn in [conn for conn in self.open if conn.awaited and conn.deadline < self._looked]:
                self._too_late(conn)

    def _finish(self) -> None:
        """Accept the connections that wait, close the listening socket, and answer everybody within the grace."""
        self.alive = False  # also for live pages and kept connections, if the parent ended first
        for listener in self.sockets:
            listener.setblocking(False)
            while self._take(listener):
                pass
            self.poller.unregister(listener)
            listener.close()
        now = time.monotonic()
        for conn in self.open:
            if conn.awaited and conn.idle:
                conn.deadline = min(conn.deadline, now + KEPT_WHEN_STOPPING)
        end = now + self.cfg.graceful_timeout
        while self.open and time.monotonic() < end:
            self._turn(_LOOK_EVERY)
        for conn in list(self.open):
            self._forget(conn)
        self.tpool.shutdown(wait=False)
        self.poller.close()
        self.method_queue.close()

    # Connections come

    def accept(self, listener: socket.socket) -> None:
        """Take a connection that waits."""
        self._take(listener)

    def _take(self, listener: socket.socket) -> bool:
        """Accept a connection, if one waits; connections without a complete request make room for it."""
        try:
            accepted, client = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                return self._drop_one()
            if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED):
                return error.errno == errno.ECONNABORTED  # that client has gone, the next may wait
            raise
        if len(self.open) >= self.worker_connections:
            self._drop_one()
        conn = Connection(self.cfg, ClientSocket(accepted), client, listener.getsockname())
        crowded = self._is_crowded(conn.address, conn.source)
        self.open[conn] = None
        self._await(conn, selectors.EVENT_READ)
        if crowded:
            self._refuse(conn, 429)
        else:
            self._ready(conn)  # most requests have arrived already
        return True

    def _is_crowded(self, address: str, source: str) -> bool:
        """Whether an address (with IPv6: a network) has its maximum of connections, each with a request in work."""
        if not address or configuration().believes(address):  # none: a socket in the file system
            return False
        own = [conn for conn in self.open if conn.source == source and not conn.sock.live and not conn.closing]
        if len(own) < self.cap:
            return False
        unfinished = (conn for conn in own if conn.awaited and not conn.last and not conn.sock.unsent)
        waiting = sorted(unfinished, key=lambda conn: not conn.kept)
        if not waiting:
            return True
        if waiting[0].kept and waiting[0].idle:
            self._forget(waiting[0])
        else:
            self._refuse(waiting[0], 429)
        return False

    def _drop_one(self) -> bool:
        """Close the oldest connection that can be spared: one that is closing, an idle one, an unfinished request or
        answer.
        """
        waiting = [conn for conn in self.open if conn.awaited]
        spared = min(waiting, key=lambda c: (not c.closing, not c.idle, bool(c.sock.unsent)), default=None)
        if spared:
            self._forget(spared)
        return spared is not None

    def _drop_largest(self) -> bool:
        """Close the connection with the largest incomplete request."""
        waiting = (conn for conn in self.open if conn.awaited and conn.counted)
        largest = max(waiting, key=lambda conn: conn.counted, default=None)
        if largest:
            self._forget(largest)
        return largest is not None

    def _count(self, conn: Connection, size: int) -> None:
        """Update the number of bytes that a connection holds, which a thread may change too."""
        with self._counting:
            self.held += size - conn.counted
            conn.counted = size

    # Requests arrive, and answers leave

    def _await(self, conn: Connection, event: int) -> None:
        """Let the loop wait until a client sends (or reads); with 0 no longer."""
        if conn.awaited == event:
            return
        if not event:
            self.poller.unregister(conn.sock)
        elif conn.awaited:
            self.poller.modify(conn.sock, event, partial(self._ready, conn))
        else:
            self.poller.register(conn.sock, event, partial(self._ready, conn))
        conn.awaited = event

    def _ready(self, conn: Connection, _sock: Any = None) -> None:
        """The client has sent something, reads again, or has gone."""
        if conn not in self.open:
            return  # closed by another event of this round
        try:
            if conn.awaited == selectors.EVENT_WRITE:
                self._send(conn)
            else:
                self._receive(conn)
        except BlockingIOError:
            return
        except OSError:
            self._forget(conn)

    def _receive(self, conn: Connection) -> None:
        data = conn.sock.receive()
        if not data:
            self._forget(conn)
        elif not conn.closing:
            conn.sock.arrived += data
            self._count(conn, len(conn.sock.arrived))
            self._go_on(conn)
            while self.held > ARRIVED_AT_MOST and self._drop_largest():
                pass

    def _go_on(self, conn: Connection) -> None:
        """Give the request to a thread if it is complete, else wait for more of it."""
        status = conn.look(self.longest_body)
        if status:
            self._refuse(conn, status)
        elif conn.complete:
            self._await(conn, 0)
            self.enqueue_req(conn)
        else:
            self._await(conn, selectors.EVENT_READ)

    def handle(self, conn: Connection) -> Any:
        """Answer a request, in a thread, which reads what has arrived."""
        self._count(conn, 0)
        return super().handle(conn)

    def handle_request(self, req: Any, conn: Connection) -> bool:
        """Answer without `100 Continue`: the loop has requested the body, or it is too large to be requested."""
        req._expected_100_continue = False
        return bool(super().handle_request(req, conn))

    def finish_request(self, conn: Connection, fs: "Future[bool]") -> None:
        """A thread has answered: send what the client has not taken yet, then continue with the connection or close
        it.
        """
        try:
            conn.last = fs.cancelled() or not fs.result()
            conn.sock.live = False
            conn.deadline = time.monotonic() + TAKEN_WITHIN
            self._send(conn)
        except Exception:
            self._forget(conn)

    def _send(self, conn: Connection) -> None:
        if not conn.sock.flush():
            self._await(conn, selectors.EVENT_WRITE)
        elif conn.last:
            self._close(conn)
        else:
            self._keep(conn)

    def _keep(self, conn: Connection) -> None:
        """Wait for the connection's next request, of which some may have arrived already."""
        conn.kept = True
        conn.sock.arrived[:0] = conn.parser.unreader.take_buffered()
        self._count(conn, len(conn.sock.arrived))
        conn.await_request(self.cfg.keepalive if self.alive else KEPT_WHEN_STOPPING)
        if conn.sock.arrived:
            self._go_on(conn)
        else:
            self._await(conn, selectors.EVENT_READ)

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:
        """Whether the connection continues after its answer.

        The unread rest of a body ends it. So does a thread that read beyond what the loop took for the request: the
        next bytes could be the rest of a body, and must not be read as a request.
        """
        goes_on = not conn.oversized and bool(super()._keepalive_after(conn, keepalive))
        return goes_on and not conn.sock.short

    # Connections go

    def _too_late(self, conn: Connection) -> None:
        if conn.closing or conn.idle or conn.sock.unsent:
            self._forget(conn)
        else:
            self._refuse(conn, 408)

    def _refuse(self, conn: Connection, status: int) -> None:
        """Answer in the server's own words, since no thread may be spent on it."""
        reason = _REFUSALS[status]
        head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain\r\nContent-Length: {len(reason) + 2}\r\n"
        retry = "Retry-After: 2\r\n" if status == 429 else ""
        conn.last = True
        conn.deadline = time.monotonic() + CLOSED_WITHIN
        try:
            conn.sock.sendall(f"{head}{retry}Connection: close\r\n\r\n{reason}.\n".encode())
            self._send(conn)
        except OSError:
            self._forget(conn)

    def _close(self, conn: Connection) -> None:
        """Close the sending side and wait for the client to close: an abrupt end would lose the answer."""
        conn.closing = conn.last = True
        conn.deadline = time.monotonic() + CLOSED_WITHIN
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._forget(conn)
        else:
            self._await(conn, selectors.EVENT_READ)

    def _forget(self, conn: Connection) -> None:
        if conn.awaited:
            self._await(conn, 0)
        self.open.pop(conn, None)
        self._count(conn, 0)
        conn.sock.close()
