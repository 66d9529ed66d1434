"""The rows of a list as its columns get them: plain values, read in one statement with whatever the columns ask for.

A column that says nothing of what it reads gets whole objects, which are read for all of them together.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import JSON, Select, Text, cast, inspect, select
from sqlalchemy.orm.util import identity_key
from sqlalchemy.sql.elements import Label

from webapp.audit.actor import Actor
from webapp.channels.models import ChannelOrder, Shop, Store
from webapp.db import among, db
from webapp.hooks.fence import PluginFailed, ask
from webapp.lists.contract import Subject
from webapp.search.contract import Column, Reads

T = TypeVar("T")
Named = TypeVar("Named", Store, Shop, ChannelOrder)
LIST, EXPORT = "list", "export"  # what rows are read for
_parsed = lru_cache(maxsize=4096)(json.loads)  # flags, tags and troubles repeat themselves


class Rows(list[Any]):
    """Some rows of a list for one person, in the list's order; what several columns need of them is read once."""

    def __init__(self, rows: Iterable[Any], subject: Subject, actor: Actor, purpose: str = LIST) -> None:
        super().__init__(rows)
        self.subject, self.actor, self.purpose = subject, actor, purpose
        self._once: dict[str, Any] = {}

    def once(self, what: str, read: Callable[[], T]) -> T:
        """What `read` gives, kept as long as the rows are."""
        if what not in self._once:
            self._once[what] = read()
        found: T = self._once[what]
        return found

    @property
    def whole(self) -> "Rows":
        """The objects of the subject's model; without those that the actor does not see any more."""
        return self.once("whole", lambda: load(self.subject, self.actor, [row.id for row in self], self.purpose))


def once(rows: Sequence[Any], what: str, read: Callable[[], T]) -> T:
    """What several columns of the same rows share."""
    return rows.once(what, read) if isinstance(rows, Rows) else read()


def values_of(column: Column, rows: Rows, actor: Actor) -> Mapping[int, Any]:
    """What a column says of these rows, by their ids. Raises `PluginFailed`."""
    return ask(column, "column", column.values, rows if column.reads is not None else rows.whole, actor, gives=Mapping)


def reads_of(columns: Iterable[Column]) -> Reads:
    """What these columns ask of each row."""
    found: dict[str, Any] = {}
    for column in columns:
        with suppress(PluginFailed):  # said where its values are asked for
            found |= ask(column, "column", _reads, column, gives=Mapping)
    return found


def _reads(column: Column) -> Reads:
    reads = column.reads or {}
    return reads() if callable(reads) else reads


class Reading:
    """What is read of each row of a subject, and how rows become what columns get."""

    def __init__(self, subject: Subject, reads: Reads) -> None:
        self._subject = subject
        wanted = {"id": subject.model.id, "order_id": subject.order_id} | dict(subject.row) | dict(reads)
        self._names = list(wanted)
        self._parsed = [name for name, column in wanted.items() if isinstance(column.type, JSON)]
        self._columns = [_plain(name, column) for name, column in wanted.items()]

    def execute(self, query: Select[Any]) -> list[Any]:
        """The rows that this query finds, as the database gives them."""
        return list(db.session.execute(query.with_only_columns(*self._columns, maintain_column_froms=True)))

    def plain(self, found: Sequence[Any]) -> list[Any]:
        """Rows as columns get them, of what the database gave."""
        values = [dict(zip(self._names, row, strict=True)) for row in found]
        for name in self._parsed:
            for one in values:
                one[name] = _parsed(one[name])
        stores = by_id(Store, {one["store_id"] for one in values})
        shops = by_id(Shop, {one["shop_id"] for one in values})
        plain = self._subject.walk.plain
        return [plain(one, stores[one["store_id"]], shops[one["shop_id"]]) for one in values]


def _plain(name: str, column: Any) -> Label[Any]:
    """JSON comes as text: the same few lists stand in thousands of rows."""
    return (cast(column, Text) if isinstance(column.type, JSON) else column).label(name)


def by_id(model: type[Named], ids: set[int]) -> dict[int, Named]:
    """These rows: those that the session still has as they were read, and the rest in one query."""
    held = (db.session.identity_map.get(identity_key(model, id_)) for id_ in ids)
    found: dict[int, Named] = {row.id: row for row in held if row is not None and not inspect(row).expired}
    if unknown := ids - found.keys():
        found |= {row.id: row for row in db.session.scalars(select(model).where(model.id.in_(unknown)))}
    return found


def read_rows(
    subject: Subject, actor: Actor, ids: Sequence[int], columns: Iterable[Column], purpose: str = LIST
) -> Rows:
    """Those of the rows that the actor sees, in the order of these ids, with what the columns ask of them."""
    reading = Reading(subject, reads_of(columns))
    found = reading.execute(subject.visible(actor).where(among(subject.model.id, ids)))
    rows = {row.id: row for row in reading.plain(found)}
    return Rows([rows[id_] for id_ in ids if id_ in rows], subject, actor, purpose)


def load(subject: Subject, actor: Actor, ids: Sequence[int], purpose: str = LIST) -> Rows:
    """Those of the rows that the actor sees as whole objects, in the order of these ids."""
    rows = {row.id: row for row in db.session.scalars(subject.visible(actor).where(among(subject.model.id, ids)))}
    found = [rows[id_] for id_ in ids if id_ in rows]
    subject.walk.complete(found)
    return Rows(found, subject, actor, purpose)
