"""Stored changes: the SQLite file of the world (mail has its own, `mail_store.py`).

It contains the world's parameters, orders placed by hand, acts on orders, refunds, feeds with their documents, files of
messages, and the record of calls and of what this Amazon was told. An act is committed before the answer is sent, so a
kill -9 loses nothing that was answered.
"""

import json
from collections import defaultdict
from collections.abc import Collection
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from plugins.amazon.practice.attachments import Attachment
from plugins.amazon.practice.composing import Wish
from plugins.amazon.practice.fates import Act
from plugins.amazon.practice.feed_life import Document, Feed
from plugins.amazon.practice.refunds import Refund
from plugins.amazon.practice.sqlite_file import SqliteFile
from plugins.amazon.practice.world import PLACED_FROM, Segment

CALLS_KEPT: Final = 20_000
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS segments (first INTEGER, start_ms INTEGER, step_ms REAL, count INTEGER);
CREATE TABLE IF NOT EXISTS filled (
    first INTEGER PRIMARY KEY, start_ms INTEGER, step_ms REAL, count INTEGER, until_ms INTEGER, regions TEXT);
CREATE TABLE IF NOT EXISTS placed (idx INTEGER PRIMARY KEY, created_ms INTEGER NOT NULL, wish TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS placed_created ON placed (created_ms);
CREATE TABLE IF NOT EXISTS acts (
    id INTEGER PRIMARY KEY, idx INTEGER NOT NULL, at_ms INTEGER NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS acts_idx ON acts (idx);
CREATE INDEX IF NOT EXISTS acts_at ON acts (at_ms);
CREATE TABLE IF NOT EXISTS told (
    id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, order_id TEXT NOT NULL, status INTEGER NOT NULL,
    effect TEXT NOT NULL, message TEXT NOT NULL, body TEXT NOT NULL,
    operation TEXT NOT NULL DEFAULT 'confirmShipment');
CREATE INDEX IF NOT EXISTS told_order ON told (order_id);
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, operation TEXT NOT NULL, seller TEXT, status INTEGER,
    fault TEXT, params TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS revoked (refresh_token TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS documents (
    id TEXT PRIMARY KEY, seller TEXT NOT NULL, content_type TEXT NOT NULL, created_ms INTEGER NOT NULL, body BLOB,
    compression TEXT, is_report INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS attachments (
    id TEXT PRIMARY KEY, seller TEXT NOT NULL, order_id TEXT NOT NULL, kind TEXT NOT NULL, digest TEXT NOT NULL,
    content_type TEXT NOT NULL, created_ms INTEGER NOT NULL, body BLOB);
CREATE TABLE IF NOT EXISTS feeds (
    number INTEGER PRIMARY KEY AUTOINCREMENT, seller TEXT NOT NULL, type TEXT NOT NULL, marketplaces TEXT NOT NULL,
    document TEXT, created_ms INTEGER NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL,
    "foreign" INTEGER NOT NULL, mark TEXT, seconds REAL NOT NULL, outcome TEXT, report TEXT,
    messages INTEGER NOT NULL, errors INTEGER NOT NULL, warnings INTEGER NOT NULL,
    options TEXT NOT NULL DEFAULT '{}');
CREATE INDEX IF NOT EXISTS feeds_due ON feeds (outcome, end_ms);
CREATE TABLE IF NOT EXISTS marks (
    id INTEGER PRIMARY KEY, type TEXT NOT NULL, mark TEXT NOT NULL, seconds REAL NOT NULL);
CREATE TABLE IF NOT EXISTS refunds (
    number INTEGER PRIMARY KEY AUTOINCREMENT, idx INTEGER NOT NULL, at_ms INTEGER NOT NULL, kind TEXT NOT NULL,
    amounts TEXT NOT NULL, taxes TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS refunds_idx ON refunds (idx);
CREATE INDEX IF NOT EXISTS refunds_at ON refunds (at_ms);
CREATE TABLE IF NOT EXISTS adjustments (
    seller TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (seller, id));
"""
TOLD_BEFORE_FEEDS: Final = "ALTER TABLE told ADD COLUMN operation TEXT NOT NULL DEFAULT 'confirmShipment'"
FEEDS_BEFORE_OPTIONS: Final = "ALTER TABLE feeds ADD COLUMN options TEXT NOT NULL DEFAULT '{}'"


class Store(SqliteFile):
    """The file and all its queries; safe to use from many threads."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, SCHEMA)
        if "operation" not in {row["name"] for row in self._all("PRAGMA table_info(told)")}:
            self._do(TOLD_BEFORE_FEEDS)
        if "options" not in {row["name"] for row in self._all("PRAGMA table_info(feeds)")}:
            self._do(FEEDS_BEFORE_OPTIONS)
        self.acted: set[int] = {row["idx"] for row in self._all("SELECT DISTINCT idx FROM acts")}

    def read(self, key: str) -> Any:
        """A stored value, or None."""
        rows = self._all("SELECT value FROM meta WHERE key = ?", key)
        return json.loads(rows[0]["value"]) if rows else None

    def keep(self, key: str, value: Any) -> None:
        """Store a value under a key."""
        sql = "INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
        self._do(sql, key, json.dumps(value))

    def segments(self) -> list[Segment]:
        """The stretches of time in which orders arrive, oldest first."""
        sql = "SELECT first, start_ms, step_ms, count FROM segments ORDER BY first"
        return [Segment(*row) for row in self._all(sql)]

    def filled(self) -> list[Segment]:
        """The stretches by which the past was filled, in the order of their indexes."""
        sql = "SELECT first, start_ms, step_ms, count, until_ms, regions FROM filled ORDER BY first"
        return [
            Segment(
                row["first"], row["start_ms"], row["step_ms"], row["count"], row["until_ms"], _split(row["regions"])
            )
            for row in self._all(sql)
        ]

    def fill(self, segments: list[Segment]) -> None:
        """Add stretches by which the past is filled."""
        sql = "INSERT INTO filled VALUES (?, ?, ?, ?, ?, ?)"
        with self.transaction():
            for s in segments:
                self._do(sql, s.first, s.start_ms, s.step_ms, s.count, s.until_ms, " ".join(s.regions))

    def keep_segments(self, segments: list[Segment]) -> None:
        """Replace the stretches by these."""
        with self.transaction():
            self._do("DELETE FROM segments")
            for s in segments:
                self._do("INSERT INTO segments VALUES (?, ?, ?, ?)", s.first, s.start_ms, s.step_ms, s.count)

    def place(self, created_ms: int, wish: Wish) -> int:
        """Store an order placed by hand and return its index."""
        with self.transaction():
            highest = self._all("SELECT max(idx) AS idx FROM placed")[0]["idx"]
            index = PLACED_FROM if highest is None else int(highest) + 1
            self._do("INSERT INTO placed VALUES (?, ?, ?)", index, created_ms, json.dumps(asdict(wish)))
            return index

    def placed(self, index: int) -> tuple[int, Wish] | None:
        """The time at which this order was placed by hand, and its wish."""
        rows = self._all("SELECT created_ms, wish FROM placed WHERE idx = ?", index)
        return (rows[0]["created_ms"], _wish(rows[0]["wish"])) if rows else None

    def placed_in(self, low: int, high: int) -> list[int]:
        """Indexes of the orders placed by hand in [low, high)."""
        sql = "SELECT idx FROM placed WHERE created_ms >= ? AND created_ms < ?"
        return [row["idx"] for row in self._all(sql, low, high)]

    def first_touch(self) -> int | None:
        """The earliest time of an order placed by hand or of an act; None: there is neither."""
        sql = "SELECT min(at) AS at FROM (SELECT min(created_ms) AS at FROM placed UNION SELECT min(at_ms) FROM acts)"
        first = self._all(sql)[0]["at"]
        return None if first is None else int(first)

    def act(self, index: int, at_ms: int, kind: str, data: dict[str, Any] | None = None) -> None:
        """Something happens to an order, now or later."""
        with self._lock:
            self._do(
                "INSERT INTO acts (idx, at_ms, kind, data) VALUES (?, ?, ?, ?)",
                index, at_ms, kind, json.dumps(data or {}, ensure_ascii=False),
            )  # fmt: skip
            self.acted.add(index)

    def acts(self, indexes: Collection[int]) -> dict[int, list[Act]]:
        """The acts of these orders, each in order of time."""
        found: dict[int, list[Act]] = defaultdict(list)
        which = "SELECT idx, at_ms, kind, data FROM acts WHERE idx IN (SELECT value FROM json_each(?))"
        for row in self._all(f"{which} ORDER BY at_ms, id", json.dumps(sorted(indexes))):
            found[row["idx"]].append(Act(row["at_ms"], row["kind"], json.loads(row["data"])))
        return found

    def acted_in(self, low: int, high: int) -> list[int]:
        """Indexes of the orders with an act in [low, high)."""
        sql = "SELECT DISTINCT idx FROM acts WHERE at_ms >= ? AND at_ms < ?"
        return [row["idx"] for row in self._all(sql, low, high)]

    def oldest_acted(self) -> int | None:
        """The lowest index of an order that was acted on."""
        lowest = self._all("SELECT min(idx) AS idx FROM acts")[0]["idx"]
        return None if lowest is None else int(lowest)

    def last_acted(self, until: int, limit: int) -> list[int]:
        """Indexes of the orders acted on last."""
        sql = "SELECT idx FROM acts WHERE at_ms <= ? GROUP BY idx ORDER BY max(at_ms) DESC LIMIT ?"
        return [row["idx"] for row in self._all(sql, until, limit)]

    def last_placed(self, until: int, limit: int) -> list[int]:
        """Indexes of the orders placed by hand last."""
        sql = "SELECT idx FROM placed WHERE created_ms <= ? ORDER BY created_ms DESC LIMIT ?"
        return [row["idx"] for row in self._all(sql, until, limit)]

    def tell(
        self,
        at_ms: int,
        order_id: str,
        operation: str,
        status: int,
        effect: str,
        message: str,
        body: dict[str, Any],
    ) -> None:
        """Record a confirmation, a feed's message, a message to the buyer or a review request as it was received,
        with its result."""
        self._do(
            "INSERT INTO told (at_ms, order_id, operation, status, effect, message, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
            at_ms, order_id, operation, status, effect, message, json.dumps(body, ensure_ascii=False),
        )  # fmt: skip

    def told(self, order_id: str | None = None, limit: int = 1000) -> list[dict[str, Any]]:
        """What was received for orders, oldest first: of one order, or the latest of all."""
        where, values = ("WHERE order_id = ?", (order_id,)) if order_id else ("", ())
        rows = self._all(f"SELECT * FROM told {where} ORDER BY id DESC LIMIT ?", *values, limit)  # noqa: S608
        return [dict(row) | {"body": json.loads(row["body"])} for row in reversed(rows)]

    def messages(self, order_id: str | None = None, limit: int = 1000) -> list[dict[str, Any]]:
        """The messages to buyers that were sent, newest first: of one order, or the latest of all."""
        which = "WHERE effect = 'messaged' AND order_id = coalesce(?, order_id) ORDER BY id DESC LIMIT ?"
        rows = self._all(f"SELECT at_ms, order_id, body FROM told {which}", order_id, limit)  # noqa: S608
        return [dict(row) | json.loads(row["body"]) for row in rows]

    def requested(self, order_id: str | None = None, limit: int = 1000) -> list[dict[str, Any]]:
        """The review requests that were made, newest first: of one order, or the latest of all."""
        which = "WHERE effect = 'solicited' AND order_id = coalesce(?, order_id) ORDER BY id DESC LIMIT ?"
        rows = self._all(f"SELECT at_ms, order_id FROM told {which}", order_id, limit)  # noqa: S608
        return [dict(row) for row in rows]

    def call(self, at_ms: int, operation: str, seller: str | None, params: dict[str, Any]) -> int:
        """Record a call as it arrives; `answered` adds its result."""
        number = self._do(
            "INSERT INTO calls (at_ms, operation, seller, params) VALUES (?, ?, ?, ?)",
            at_ms, operation, seller, json.dumps(params),
        )  # fmt: skip
        if number % 1000 == 0:
            self._do("DELETE FROM calls WHERE id <= ?", number - CALLS_KEPT)
        return number

    def answered(self, number: int, seller: str | None, status: int | None, fault: str | None) -> None:
        """Record the result of a call; no status: the connection was dropped."""
        self._do("UPDATE calls SET seller = ?, status = ?, fault = ? WHERE id = ?", seller, status, fault, number)

    def calls(self, operation: str | None = None, since: int = 0, limit: int = 1000) -> list[dict[str, Any]]:
        """The calls with ids above `since`, oldest first."""
        where, values = ("AND operation = ?", (operation,)) if operation else ("", ())
        rows = self._all(f"SELECT * FROM calls WHERE id > ? {where} ORDER BY id DESC LIMIT ?", since, *values, limit)  # noqa: S608
        return [dict(row) | {"params": json.loads(row["params"])} for row in reversed(rows)]

    def revoke(self, refresh_token: str) -> None:
        """The seller withdraws the authorization."""
        self._do("INSERT OR IGNORE INTO revoked VALUES (?)", refresh_token)

    def restore(self, refresh_token: str) -> None:
        """The seller authorizes again."""
        self._do("DELETE FROM revoked WHERE refresh_token = ?", refresh_token)

    def is_revoked(self, refresh_token: str) -> bool:
        """Whether the seller has withdrawn the authorization."""
        return bool(self._all("SELECT 1 FROM revoked WHERE refresh_token = ?", refresh_token))

    def keep_document(self, document: Document) -> None:
        """Store a document, or replace the one with its id."""
        self._do(
            "INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?, ?, ?, ?)",
            document.id, document.seller, document.content_type, document.created_ms, document.body,
            document.compression, document.is_report,
        )  # fmt: skip

    def upload(self, id: str, body: bytes) -> None:
        """Store the content of a document."""
        self._do("UPDATE documents SET body = ? WHERE id = ?", body, id)

    def document(self, id: str) -> Document | None:
        """A document by its id."""
        rows = self._all("SELECT * FROM documents WHERE id = ?", id)
        return Document(**dict(rows[0]) | {"is_report": bool(rows[0]["is_report"])}) if rows else None

    def keep_attachment(self, attachment: Attachment) -> None:
        """Store a place for a file of a message."""
        values = tuple(asdict(attachment).values())
        self._do(f"INSERT INTO attachments VALUES ({', '.join('?' * len(values))})", *values)  # noqa: S608

    def upload_attachment(self, id: str, body: bytes) -> None:
        """Store the content of a file of a message."""
        self._do("UPDATE attachments SET body = ? WHERE id = ?", body, id)

    def attachment(self, id: str) -> Attachment | None:
        """A file of a message by its id."""
        rows = self._all("SELECT * FROM attachments WHERE id = ?", id)
        return Attachment(**dict(rows[0])) if rows else None

    def document_was_submitted(self, id: str) -> bool:
        """Whether a feed was created of this document."""
        return bool(self._all("SELECT 1 FROM feeds WHERE document = ?", id))

    def add_feed(self, feed: Feed) -> Feed:
        """Store a new feed; returns it with its number."""
        held = {"marketplaces": json.dumps(feed.marketplaces), "options": json.dumps(feed.options)}
        values = asdict(feed) | {"number": None} | held
        number = self._do(f"INSERT INTO feeds VALUES ({', '.join('?' * len(values))})", *values.values())  # noqa: S608
        return replace(feed, number=number)

    def feed(self, number: int) -> Feed | None:
        """A feed by its number."""
        return next(iter(self._feeds("WHERE number = ?", number)), None)

    def feeds(self, seller: str | None = None, limit: int = -1) -> list[Feed]:
        """The feeds of a seller, or of all; newest first."""
        which = "WHERE seller = coalesce(?, seller) ORDER BY created_ms DESC, number DESC LIMIT ?"
        return self._feeds(which, seller, limit)

    def feed_of_report(self, document: str) -> Feed | None:
        """The feed that has this report."""
        return next(iter(self._feeds("WHERE report = ?", document)), None)

    def due_feed(self, now_ms: int) -> Feed | None:
        """The next feed to be processed, if it is due by now."""
        which = "WHERE outcome IS NULL AND end_ms <= ? ORDER BY end_ms, number LIMIT 1"
        return next(iter(self._feeds(which, now_ms)), None)

    def last_end(self, seller: str, feed_type: str) -> int:
        """The moment at which the last of a seller's feeds of a type ends; 0: there is none."""
        sql = "SELECT max(end_ms) AS at FROM feeds WHERE seller = ? AND type = ? AND outcome IS NOT 'CANCELLED'"
        return int(self._all(sql, seller, feed_type)[0]["at"] or 0)

    def finish_feed(
        self, feed: Feed, outcome: str, report: str | None, *, messages: int, errors: int = 0, warnings: int = 0
    ) -> None:
        """Record what became of a feed."""
        sql = "UPDATE feeds SET outcome = ?, report = ?, messages = ?, errors = ?, warnings = ? WHERE number = ?"
        self._do(sql, outcome, report, messages, errors, warnings, feed.number)

    def cancel_feed(self, feed: Feed, at_ms: int) -> None:
        """End a feed that is in the queue."""
        sql = "UPDATE feeds SET outcome = 'CANCELLED', start_ms = ?, end_ms = ? WHERE number = ?"
        self._do(sql, at_ms, at_ms, feed.number)

    def _feeds(self, which: str, *values: Any) -> list[Feed]:
        rows = self._all(f"SELECT * FROM feeds {which}", *values)  # noqa: S608
        read = (
            dict(row) | {"marketplaces": tuple(json.loads(row["marketplaces"])), "options": json.loads(row["options"])}
            for row in rows
        )
        return [Feed(**row | {"foreign": bool(row["foreign"])}) for row in read]

    def add_refund(self, refund: Refund) -> None:
        """Book a refund, now or later."""
        self._do(
            "INSERT INTO refunds (idx, at_ms, kind, amounts, taxes) VALUES (?, ?, ?, ?, ?)",
            refund.index, refund.at_ms, refund.kind, json.dumps(refund.amounts), json.dumps(refund.taxes),
        )  # fmt: skip

    def refunds(self, index: int) -> list[Refund]:
        """The refunds of an order, also those that are booked later; oldest first."""
        rows = self._all("SELECT * FROM refunds WHERE idx = ? ORDER BY at_ms, number", index)
        return [
            Refund(
                row["idx"], row["at_ms"], row["kind"], json.loads(row["amounts"]), json.loads(row["taxes"]),
                row["number"],
            )
            for row in rows
        ]  # fmt: skip

    def refunded_in(self, low: int, high: int) -> list[int]:
        """Indexes of the orders with a refund in [low, high)."""
        sql = "SELECT DISTINCT idx FROM refunds WHERE at_ms >= ? AND at_ms < ?"
        return [row["idx"] for row in self._all(sql, low, high)]

    def adjusted(self, seller: str, ids: Collection[str]) -> list[str]:
        """Those of a seller's adjustment ids that were used before."""
        sql = "SELECT id FROM adjustments WHERE seller = ? AND id IN (SELECT value FROM json_each(?))"
        return [row["id"] for row in self._all(sql, seller, json.dumps(sorted(ids)))]

    def adjust(self, seller: str, ids: Collection[str]) -> None:
        """Remember the adjustment ids of a refund."""
        for id in ids:
            self._do("INSERT OR IGNORE INTO adjustments VALUES (?, ?)", seller, id)

    def add_mark(self, feed_type: str, mark: str, seconds: float) -> None:
        """Mark the next feed of a type."""
        self._do("INSERT INTO marks (type, mark, seconds) VALUES (?, ?, ?)", feed_type, mark, seconds)

    def take_mark(self, feed_type: str) -> tuple[str, float] | None:
        """The mark that waits for a feed of this type; it waits no longer."""
        rows = self._all("SELECT id, mark, seconds FROM marks WHERE type = ? ORDER BY id LIMIT 1", feed_type)
        if not rows:
            return None
        self._do("DELETE FROM marks WHERE id = ?", rows[0]["id"])
        return rows[0]["mark"], rows[0]["seconds"]

    def marks(self) -> list[dict[str, Any]]:
        """The marks that wait for a feed."""
        return [dict(row) for row in self._all("SELECT type, mark, seconds FROM marks ORDER BY id")]

    def clear_marks(self) -> None:
        """Remove the marks that wait for a feed."""
        self._do("DELETE FROM marks")

    def clear(self) -> None:
        """Delete all changes and records; the world and its parameters stay."""
        with self.transaction():
            changed = ("placed", "acts", "refunds", "adjustments", "feeds", "marks", "documents", "attachments")
            for table in (*changed, "told", "calls", "revoked"):
                self._do(f"DELETE FROM {table}")  # noqa: S608
            self.acted.clear()


def _split(regions: str) -> tuple[str, ...]:
    return tuple(regions.split())


def _wish(text: str) -> Wish:
    values = json.loads(text)
    return Wish(**values | {"traits": tuple(values["traits"]), "programs": tuple(values["programs"])})
