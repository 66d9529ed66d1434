"""A client's socket as the web server's threads use it: no thread ever waits for a client that sends or reads slowly.

The server's loop (`web_worker`) receives, so a thread reads what has arrived. Data that the client does not take at
once is kept here, and the loop sends it; only a far longer answer makes its thread wait, for a limited time.
"""

import errno
import select
import socket
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

KEPT_AT_MOST = 2**20  # bytes of an answer that wait for their client while its thread continues
TAKEN_WITHIN = 60.0  # seconds in which a client takes enough of what waits for it, and more while it takes
SLOWEST_READER = 16 * 2**10  # bytes in a second
_PIECE = 2**16


class ClientSocket(socket.socket):
    """The socket of one connection, never blocking."""

    live = False  # it carries a live stream, which does not count as a connection of its address
    short = False  # a thread read beyond what had arrived: it takes the request to be longer than the loop did

    def __init__(self, accepted: socket.socket) -> None:
        super().__init__(fileno=accepted.detach())
        super().setblocking(False)
        self.arrived = bytearray()
        self.unsent: deque[memoryview] = deque()

    def setblocking(self, flag: bool, /) -> None:
        """Do nothing: gunicorn asks for a blocking socket in its threads, and this one must not block."""

    def settimeout(self, value: float | None, /) -> None:
        """Do nothing, as in `setblocking`."""

    def receive(self) -> bytes:
        """What the network has now, for the loop; empty if the client has closed. Raises `BlockingIOError`."""
        return super().recv(_PIECE)

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """What has arrived, for a thread: a request is handed over whole, so there is never more to wait for."""
        if not self.arrived:
            self.short = True
        taken = bytes(self.arrived[:bufsize])
        del self.arrived[:bufsize]
        return taken

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send what the client takes now and keep the rest for the loop.

        Raises `ConnectionResetError` for a client that takes too little for too long.
        """
        self.unsent.append(memoryview(data))
        if self.flush() or self._kept() <= KEPT_AT_MOST:
            return
        end = time.monotonic() + TAKEN_WITHIN
        writable = select.poll()
        writable.register(self, select.POLLOUT)
        while self._kept() > KEPT_AT_MOST:
            if not writable.poll(max(0.0, end - time.monotonic()) * 1000):
                self.unsent.clear()
                raise ConnectionResetError(errno.ECONNRESET, "the client reads too slowly")
            before = self._kept()
            self.flush()
            end += (before - self._kept()) / SLOWEST_READER

    def flush(self) -> bool:
        """Send what is kept as far as the client takes it; returns whether nothing is left."""
        while self.unsent:
            try:
                sent = self.send(self.unsent[0])
            except BlockingIOError:
                return False
            if sent == len(self.unsent[0]):
                self.unsent.popleft()
            else:
                self.unsent[0] = self.unsent[0][sent:]
        return True

    def _kept(self) -> int:
        return sum(map(len, self.unsent))


def mark_live(environ: Mapping[str, Any]) -> None:
    """Tell the server that this request's answer is a live stream; does nothing in servers other than ours."""
    client = environ.get("gunicorn.socket")
    if isinstance(client, ClientSocket):
        client.live = True
