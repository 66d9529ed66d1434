"""A conversation with an IMAP server about one folder. It only reads: the folder is opened by EXAMINE and mails are
fetched by PEEK, so that no mail is marked, moved or deleted.
"""

import imaplib
import ssl
from collections.abc import Iterator, Sequence
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

_PATIENCE = SocketTimeout(connect=15, read=30)  # seconds


class NoSuchFolder(Refusal):
    """The server knows the user, and has no such folder."""

    code = "mail_folder_unknown"
    sentence = _l("The mail server %(host)s does not open the folder %(folder)s: %(answer)s")


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
    """A mail as the server gave it: of one that is too large, its headers alone; `raw` is None if the server can't give
    it.
    """

    listed: Listed
    raw: bytes | None
    headers_only: bool


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

    def listed(self, uids: Sequence[int]) -> list[Listed]:
        """Size and time of arrival of these mails; a mail that is gone is left out."""
        if not uids:
            return []
        answer = self._client.fetch(uids, ["RFC822.SIZE", "INTERNALDATE"])
        return [
            Listed(uid, int(found.get(b"RFC822.SIZE") or 0), _instant(found.get(b"INTERNALDATE")))
            for uid, found in sorted(answer.items())
            if uid in set(uids)
        ]

    def fetch(self, listed: Listed) -> Fetched | None:
        """A mail; None if it is gone."""
        headers_only = listed.size > LARGEST_MAIL
        part = "BODY.PEEK[HEADER]" if headers_only else "BODY.PEEK[]"
        try:
            found = self._client.fetch([listed.uid], [part]).get(listed.uid)
        except imaplib.IMAP4.abort:
            raise
        except IMAPClientError:  # the server can't read it itself; the conversation goes on
            return Fetched(listed, None, headers_only)
        if found is None:
            return None
        content = found.get(b"BODY[HEADER]" if headers_only else b"BODY[]")
        return Fetched(listed, content if isinstance(content, bytes) else None, headers_only)


@contextmanager
def opened(account: ImapAccount) -> Iterator[Folder]:
    """An account's folder, opened for reading. Raises `ServerUnreachable`, `SignInRefused`, `NoSuchFolder` or
    `OddAnswer`, also for what goes wrong while it is open.
    """
    host = account.host
    client: IMAPClient | None = None
    try:
        context = ssl.create_default_context()
        is_tls = account.security == TLS
        client = IMAPClient(host, account.port, ssl=is_tls, ssl_context=context if is_tls else None, timeout=_PATIENCE)
        client.normalise_times = False
        if account.security == STARTTLS:
            client.starttls(ssl_context=context)
        try:
            client.login(account.user, account.password)
        except LoginError as error:
            raise SignInRefused(host=host, answer=answer_of(str(error))) from None
        try:
            answer = client.select_folder(account.folder, readonly=True)
        except imaplib.IMAP4.abort:
            raise
        except IMAPClientError as error:
            raise NoSuchFolder(host=host, folder=account.folder, answer=answer_of(str(error))) from None
        yield Folder(client, host, answer)
    except (imaplib.IMAP4.abort, OSError, EOFError) as error:
        raise ServerUnreachable(host=host, problem=answer_of(reason_of(error))) from None
    except (IMAPClientError, ValueError) as error:
        raise OddAnswer(host=host, answer=answer_of(reason_of(error))) from None
    finally:
        if client is not None:
            with suppress(OSError, EOFError, IMAPClientError):
                client.logout()
            with suppress(OSError, AttributeError):
                client.shutdown()


def _instant(given: object) -> datetime:
    """When a mail arrived; a time to come, or none, is the present."""
    if not isinstance(given, datetime):
        return now()
    try:
        return min(now(), (given if given.tzinfo else given.replace(tzinfo=UTC)).astimezone(UTC))
    except (OverflowError, ValueError):
        return now()
