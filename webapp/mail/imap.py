"""A conversation with an IMAP server about one folder. It only reads: the folder is opened by EXAMINE and mails are
fetched by PEEK, so that no mail is marked, moved or deleted.

A server may be slow, or claim any size: mails are fetched in pieces, each mail has its time, and so has the whole
conversation.
"""

import imaplib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from imapclient import IMAPClient, SocketTimeout
from imapclient.exceptions import IMAPClientError, LoginError

from webapp.clock import now
from webapp.errors import Refusal
from webapp.i18n import lazy_gettext as _l
from webapp.mail.reading import LARGEST_MAIL
from webapp.mail.server import STARTTLS, TLS, ServerUnreachable, SignInRefused, answer_of, reason_of

BEGINNING = 1_000_000  # bytes; of a mail that is larger than `LARGEST_MAIL`, only these are read
_PATIENCE = SocketTimeout(connect=15, read=30)  # seconds
_LONGEST_CONVERSATION = 240.0  # seconds; less than the job that reads a mailbox may take
_LONGEST_MAIL = 120.0  # seconds, after which the rest of a mail is left out
_PIECE = 128_000  # bytes that are asked for at once
_LARGEST_ANSWER = 1_000_000  # bytes that are taken at once


class NoSuchFolder(Refusal):
    """The server knows the user, and has no such folder."""

    code = "mail_folder_unknown"
    sentence = _l("The mail server %(host)s can't open the folder %(folder)s: %(answer)s")


class OddAnswer(Refusal):
    """The server refused a question, or gave an answer that nobody understands."""

    code = "mail_server_odd"
    sentence = _l("The mail server %(host)s did not answer as expected: %(answer)s")


@dataclass(frozen=True, slots=True)
class ImapAccount:
    """Where a mailbox is, and as whom it is read."""

    host: str
    port: int
    security: str
    user: str
    password: str = field(repr=False)
    folder: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A mail as the server lists it."""

    uid: int
    size: int
    arrived_at: datetime


@dataclass(frozen=True, slots=True)
class Fetched:
    """A mail as the server gave it, or the beginning of one (`is_cut`)."""

    listed: Listed
    raw: bytes
    is_cut: bool = False


class _Client(IMAPClient):  # type: ignore[misc]
    """A client that takes no more at once than it asks for, whatever size the server claims."""

    def _create_IMAP4(self) -> imaplib.IMAP4:
        imap: imaplib.IMAP4 = super()._create_IMAP4()
        read = imap.read

        def read_bounded(size: int) -> bytes:
            if size > _LARGEST_ANSWER:
                raise imaplib.IMAP4.abort(f"{size} bytes at once")
            return read(size)

        imap.read = read_bounded  # type: ignore[method-assign]
        return imap


class Folder:
    """A folder that is open for reading."""

    def __init__(self, client: IMAPClient, host: str, answer: dict[bytes, Any]) -> None:
        self._client, self._host = client, host
        self.uid_validity = int(answer.get(b"UIDVALIDITY", 0))
        self.count = int(answer.get(b"EXISTS", 0))

    def new_uids(self, after: int, since: datetime) -> list[int]:
        """The numbers of the mails beyond this one that arrived since then, to the day; the oldest first."""
        day = (since - timedelta(days=1)).date()  # servers compare in a zone of their own
        found = self._client.search(["UID", f"{after + 1}:*", "SINCE", day])
        return sorted(uid for uid in found if uid > after)  # the last mail is always in such a range

    def fetch(self, uid: int, *, beginning: bool = False) -> Fetched | None:
        """A mail; None if it is gone. Of one that is too large, or takes too long, only what has come until then.
        `beginning`: at most `BEGINNING`, or what came before the server failed. Raises what `opened` raises.
        """
        with _in_words(self._host):
            return self._fetch(uid, beginning)

    def _fetch(self, uid: int, beginning: bool) -> Fetched | None:
        until = time.monotonic() + _LONGEST_MAIL
        raw, listed, most = b"", Listed(uid, 0, now()), BEGINNING if beginning else LARGEST_MAIL
        while len(raw) < most and (not raw or time.monotonic() < until):
            asked = min(_PIECE, most - len(raw))
            about = [] if raw else ["RFC822.SIZE", "INTERNALDATE"]
            try:
                found = self._client.fetch([uid], [*about, f"BODY.PEEK[]<{len(raw)}.{asked}>"]).get(uid)
            except (IMAPClientError, OSError, EOFError, ValueError):
                if raw and beginning:
                    break
                raise
            if found is None:
                return None
            if not raw:
                listed = Listed(uid, int(found.get(b"RFC822.SIZE") or 0), _instant(found.get(b"INTERNALDATE")))
                most = most if listed.size <= LARGEST_MAIL else min(most, BEGINNING)
            piece = found.get(f"BODY[]<{len(raw)}>".encode()) or b""
            if not (raw or piece) and listed.size:
                raise ValueError("no text")
            raw += piece
            if len(piece) != asked or len(raw) == listed.size:  # a size may be wrong: what ends a mail is its text
                return Fetched(listed, raw)
        return Fetched(listed, raw, is_cut=True)


@contextmanager
def opened(account: ImapAccount) -> Iterator[Folder]:
    """An account's folder, opened for reading. Raises `ServerUnreachable`, `SignInRefused`, `NoSuchFolder` or
    `OddAnswer`, also for what goes wrong while it is open.
    """
    with _in_words(account.host), _connected(account) as client:
        try:
            client.login(account.user, account.password)
        except LoginError as error:
            raise SignInRefused(host=account.host, answer=answer_of(str(error))) from None
        try:
            answer = client.select_folder(account.folder, readonly=True)
        except imaplib.IMAP4.abort:
            raise
        except IMAPClientError as error:
            raise NoSuchFolder(host=account.host, folder=account.folder, answer=answer_of(str(error))) from None
        yield Folder(client, account.host, answer)


@contextmanager
def _connected(account: ImapAccount) -> Iterator[IMAPClient]:
    """A connection to the server, encrypted where it is to be, which ends at the latest when its time is over."""
    context = ssl.create_default_context()
    is_tls = account.security == TLS
    client = _Client(account.host, account.port, ssl=is_tls, ssl_context=context if is_tls else None, timeout=_PATIENCE)
    client.normalise_times = False
    watch = threading.Timer(_LONGEST_CONVERSATION, _hang_up, [client])  # a server may send a byte from time to time
    watch.daemon = True
    watch.start()
    try:
        if account.security == STARTTLS:
            client.starttls(ssl_context=context)
        yield client
    finally:
        with suppress(OSError, EOFError, IMAPClientError):
            client.logout()
        watch.cancel()
        with suppress(OSError, AttributeError):
            client.shutdown()


def _hang_up(client: IMAPClient) -> None:
    with suppress(OSError, AttributeError):
        client.socket().shutdown(socket.SHUT_RDWR)


@contextmanager
def _in_words(host: str) -> Iterator[None]:
    """Raise `ServerUnreachable` or `OddAnswer` for what the library raises."""
    try:
        yield
    except (imaplib.IMAP4.abort, OSError, EOFError) as error:
        raise ServerUnreachable(host=host, problem=answer_of(reason_of(error))) from None
    except (IMAPClientError, ValueError) as error:
        raise OddAnswer(host=host, answer=answer_of(reason_of(error))) from None


def _instant(given: object) -> datetime:
    """When a mail arrived; a time to come, or none, is the present."""
    if not isinstance(given, datetime):
        return now()
    try:
        return min(now(), (given if given.tzinfo else given.replace(tzinfo=UTC)).astimezone(UTC))
    except (OverflowError, ValueError):
        return now()
