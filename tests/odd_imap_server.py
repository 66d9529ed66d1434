"""An IMAP server on this machine that fails as it is told: it stalls, hangs up in the middle, or claims any size."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tests.imap_server import PASSWORD, USER
from webapp.audit.actor import Actor
from webapp.db import unit_of_work
from webapp.mail import mailboxes
from webapp.mail.models import Mailbox
from webapp.mail.server import PLAIN

_FETCH = re.compile(rb"(\S+) UID FETCH (\d+) .*BODY\.PEEK\[\]<(\d+)\.(\d+)>")
Fault = Callable[[socket.socket, bytes, bytes, bytes], bool]  # whether the conversation goes on


def stalls(there: socket.socket, tag: bytes, head: bytes, piece: bytes) -> bool:
    """It is silent in the middle of the text."""
    there.sendall(head + b"{%d}\r\n" % len(piece) + piece[: len(piece) // 2])
    with suppress(OSError):
        there.recv(1)
    return False


def hangs_up(there: socket.socket, tag: bytes, head: bytes, piece: bytes) -> bool:
    """It hangs up in the middle of the text."""
    there.sendall(head + b"{%d}\r\n" % len(piece) + piece[: len(piece) // 2])
    return False


def trickles(there: socket.socket, tag: bytes, head: bytes, piece: bytes) -> bool:
    """It sends a byte from time to time."""
    there.sendall(head + b"{%d}\r\n" % len(piece))
    with suppress(OSError):
        for _ in range(600):
            there.sendall(b"x")
            time.sleep(0.05)
    return False


def claims_much(there: socket.socket, tag: bytes, head: bytes, piece: bytes) -> bool:
    """It says that the text is far longer than what was asked for, and goes on sending."""
    there.sendall(head + b"{2000000000}\r\n")
    with suppress(OSError):
        for _ in range(600):
            there.sendall(b"x" * 100_000)
    return False


def talks_nonsense(there: socket.socket, tag: bytes, head: bytes, piece: bytes) -> bool:
    """Its answer can't be understood."""
    there.sendall(b"* 1 FETCH (UID \xff\xfe)) {99 \x00 {nonsense\r\n" + tag + b" OK Done\r\n")
    return True


def refuses(there: socket.socket, tag: bytes, head: bytes, piece: bytes) -> bool:
    """It says no."""
    there.sendall(tag + b" NO [SERVERBUG] It can't be read\r\n")
    return True


class OddServer:
    """A server with one folder of mails by number; what happens instead of an answer is in `faults`, by number."""

    def __init__(self) -> None:
        self.mails: dict[int, bytes] = {}
        self.faults: dict[int, Fault] = {}
        self.fails_after = 0  # bytes of a mail that it gives before
        self.sizes: dict[int, int] = {}  # where it does not tell the truth
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]

    def connect(self, actor: Actor) -> Mailbox:
        where = {"host": "127.0.0.1", "port": self.port, "security": PLAIN, "folder": "INBOX", "name": "Odd"}
        with unit_of_work():
            return mailboxes.add({**where, "user": USER, "password": PASSWORD}, actor=actor)

    def serve(self) -> None:
        while True:
            try:
                there, _address = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._converse, args=(there,), daemon=True).start()

    def stop(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _converse(self, there: socket.socket) -> None:
        with there, there.makefile("rb") as lines, suppress(OSError):
            there.sendall(b"* OK [CAPABILITY IMAP4rev1] Odd\r\n")
            for line in lines:
                if not self._answer(there, line):
                    return

    def _answer(self, there: socket.socket, line: bytes) -> bool:
        tag, command = line.split(b" ", 1)
        command = command.upper()
        if found := _FETCH.match(line):
            return self._fetch(there, tag, *(int(one) for one in found.groups()[1:]))
        if command.startswith(b"CAPABILITY"):
            there.sendall(b"* CAPABILITY IMAP4rev1\r\n")
        elif command.startswith(b"EXAMINE"):
            there.sendall(b"* %d EXISTS\r\n* OK [UIDVALIDITY 7] Valid\r\n" % len(self.mails))
        elif command.startswith(b"UID SEARCH"):
            there.sendall(b"* SEARCH" + b"".join(b" %d" % uid for uid in self.mails) + b"\r\n")
        there.sendall(tag + b" OK Done\r\n")
        return not command.startswith(b"LOGOUT")

    def _fetch(self, there: socket.socket, tag: bytes, uid: int, start: int, count: int) -> bool:
        size = self.sizes.get(uid, len(self.mails[uid]))
        head = b'* 1 FETCH (UID %d RFC822.SIZE %d INTERNALDATE "%b" BODY[]<%d> ' % (uid, size, _today(), start)
        piece = self.mails[uid][start : start + count]
        if uid in self.faults and start >= self.fails_after:
            return self.faults[uid](there, tag, head, piece)
        there.sendall(head + b"{%d}\r\n" % len(piece) + piece + b")\r\n" + tag + b" OK Done\r\n")
        return True


def _today() -> bytes:
    return time.strftime("%d-%b-%Y %H:%M:%S +0000", time.gmtime()).encode()


@contextmanager
def odd_server() -> Iterator[OddServer]:
    server = OddServer()
    threading.Thread(target=server.serve, daemon=True).start()
    try:
        yield server
    finally:
        server.stop()
