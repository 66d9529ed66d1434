"""Stored mail: what the mail server caught, the one mailbox that the desk reads, and the answers that buyers still owe.

Both kinds of mail are kept in a file of their own, up to a number and a size: the oldest go first. A mail is stored
before the server says that it took it.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from plugins.amazon.practice.sqlite_file import SqliteFile

FILE: Final = "mail.sqlite3"
KEPT: Final = 500  # of the caught mails, and of those in the mailbox
KEPT_BYTES: Final = 50_000_000
LARGEST: Final = 10_000_000  # bytes of one mail
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS caught (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, sender TEXT NOT NULL, recipients TEXT NOT NULL,
    author TEXT NOT NULL, subject TEXT NOT NULL, size INTEGER NOT NULL, raw BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS mailbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, flags TEXT NOT NULL, size INTEGER NOT NULL,
    raw BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS owed (
    id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, mail_id INTEGER, order_id TEXT);
CREATE TABLE IF NOT EXISTS validity (uids INTEGER NOT NULL);
"""
TOO_MANY: Final = """
DELETE FROM {table} WHERE id IN (SELECT id FROM (
    SELECT id, row_number() OVER newest AS place, sum(size) OVER newest AS bytes FROM {table}
    WINDOW newest AS (ORDER BY id DESC ROWS UNBOUNDED PRECEDING)) WHERE place > ? OR bytes > ?)
"""


@dataclass(frozen=True)
class Caught:
    """A mail that the server took, without its text."""

    id: int
    at_ms: int
    sender: str  # of the envelope
    recipients: tuple[str, ...]
    author: str  # its From
    subject: str
    size: int


@dataclass(frozen=True)
class InBox:
    """A mail in the mailbox, without its text."""

    uid: int
    at_ms: int
    flags: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class Owed:
    """An answer that a buyer gives by itself: to a caught mail, or to a message about an order."""

    at_ms: int
    mail_id: int | None
    order_id: str | None


class MailStore(SqliteFile):
    """The file of all mail; safe to use from many threads."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, SCHEMA)
        with self.transaction():
            if not self._all("SELECT uids FROM validity"):
                self._do("INSERT INTO validity VALUES (1)")

    # caught mail

    def catch(self, at_ms: int, sender: str, recipients: Iterable[str], author: str, subject: str, raw: bytes) -> int:
        """Store a mail as it was received; returns its id."""
        with self.transaction():
            id = self._do(
                "INSERT INTO caught (at_ms, sender, recipients, author, subject, size, raw)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                at_ms, sender, json.dumps([*recipients]), author, subject, len(raw), raw,
            )  # fmt: skip
            self._do(TOO_MANY.format(table="caught"), KEPT, KEPT_BYTES)
        return id

    def caught(self, limit: int = KEPT) -> list[Caught]:
        """The latest caught mails, newest first."""
        columns = "id, at_ms, sender, recipients, author, subject, size"
        return [_caught(row) for row in self._all(f"SELECT {columns} FROM caught ORDER BY id DESC LIMIT ?", limit)]  # noqa: S608

    def count(self) -> int:
        """How many caught mails there are."""
        return int(self._all("SELECT count(*) AS number FROM caught")[0]["number"])

    def mail(self, id: int) -> tuple[Caught, bytes] | None:
        """A caught mail with its text; None: there is none with this id, or it has gone."""
        rows = self._all("SELECT * FROM caught WHERE id = ?", id)
        return (_caught(rows[0]), bytes(rows[0]["raw"])) if rows else None

    # the mailbox

    def put(self, at_ms: int, raw: bytes) -> int:
        """Put a mail into the mailbox; returns its UID."""
        with self.transaction():
            uid = self._do("INSERT INTO mailbox (at_ms, flags, size, raw) VALUES (?, '[]', ?, ?)", at_ms, len(raw), raw)
            self._do(TOO_MANY.format(table="mailbox"), KEPT, KEPT_BYTES)
        return uid

    def mailbox(self) -> list[InBox]:
        """What is in the mailbox, in the order of UIDs."""
        rows = self._all("SELECT id, at_ms, flags, size FROM mailbox ORDER BY id")
        return [InBox(row["id"], row["at_ms"], tuple(json.loads(row["flags"])), row["size"]) for row in rows]

    def text(self, uid: int) -> bytes | None:
        """The text of a mail in the mailbox; None: it has gone."""
        rows = self._all("SELECT raw FROM mailbox WHERE id = ?", uid)
        return bytes(rows[0]["raw"]) if rows else None

    def flag(self, uid: int, flags: Collection[str]) -> None:
        """Give a mail in the mailbox these flags, and no others."""
        self._do("UPDATE mailbox SET flags = ? WHERE id = ?", json.dumps(sorted(flags)), uid)

    def expunge(self, uids: Iterable[int]) -> None:
        """Delete mails from the mailbox."""
        self._do("DELETE FROM mailbox WHERE id IN (SELECT value FROM json_each(?))", json.dumps([*uids]))

    @property
    def uid_validity(self) -> int:
        """The mailbox's UIDVALIDITY."""
        return int(self._all("SELECT uids FROM validity")[0]["uids"])

    @property
    def next_uid(self) -> int:
        """The UID of the next mail in the mailbox."""
        rows = self._all("SELECT seq FROM sqlite_sequence WHERE name = 'mailbox'")
        return int(rows[0]["seq"]) + 1 if rows else 1

    def renumber(self) -> None:
        """Give the mailbox a new UIDVALIDITY, and its mails new UIDs, from 1."""
        with self.transaction():
            rows = self._all("SELECT at_ms, flags, size, raw FROM mailbox ORDER BY id")
            self._do("DELETE FROM mailbox")
            self._do("DELETE FROM sqlite_sequence WHERE name = 'mailbox'")
            for row in rows:
                self._do("INSERT INTO mailbox (at_ms, flags, size, raw) VALUES (?, ?, ?, ?)", *row)
            self._do("UPDATE validity SET uids = uids + 1")

    # answers by themselves

    def owe(self, at_ms: int, *, mail_id: int | None = None, order_id: str | None = None) -> None:
        """A buyer answers a caught mail, or a message about an order, at this time."""
        self._do("INSERT INTO owed (at_ms, mail_id, order_id) VALUES (?, ?, ?)", at_ms, mail_id, order_id)

    def any_due(self, now_ms: int) -> bool:
        """Whether an answer is due."""
        return bool(self._all("SELECT 1 FROM owed WHERE at_ms <= ? LIMIT 1", now_ms))

    def take_due(self, now_ms: int) -> list[Owed]:
        """The answers that are due; they are owed no longer."""
        with self.transaction():
            rows = self._all("SELECT at_ms, mail_id, order_id FROM owed WHERE at_ms <= ? ORDER BY at_ms, id", now_ms)
            self._do("DELETE FROM owed WHERE at_ms <= ?", now_ms)
        return [Owed(*row) for row in rows]

    def clear(self) -> None:
        """Delete all mail; UIDs are not used again."""
        with self.transaction():
            for table in ("caught", "mailbox", "owed"):
                self._do(f"DELETE FROM {table}")  # noqa: S608


def _caught(row: sqlite3.Row) -> Caught:
    return Caught(
        row["id"], row["at_ms"], row["sender"], tuple(json.loads(row["recipients"])), row["author"], row["subject"],
        row["size"],
    )  # fmt: skip
