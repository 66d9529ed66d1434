"""The rows of a list for its columns: plain values, read in one statement that includes what the columns read.

A column without `reads` gets whole objects; they are loaded once for all such columns.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from copy import copy
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import JSON, ColumnElement, FromClause, Select, Text, cast, inspect, null, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.orm.util import identity_key
from sqlalchemy.sql.elements import Label

from webapp.audit.actor import Actor
from webapp.channels.models import ChannelOrder, Shop, Store
from webapp.db import among, db, sources_of
from webapp.hooks.failures import NotTaken, WrongType, is_no_fault
from webapp.hooks.fence import PluginFailed, ask, failed
from webapp.hooks.registered import is_ours, owner_of
from webapp.lists.contract import Subject
from webapp.search.contract import Column, Reads
from webapp.search.joined import check_joined

T = TypeVar("T")
Named = TypeVar("Named", Store, Shop, ChannelOrder)
LIST, EXPORT = "list", "export"  # the purposes for which rows are read
_RESERVED = {"store", "shop", "zone"}  # attributes of rows that no column may read under these names
_parsed = lru_cache(maxsize=4096)(json.loads)  # many rows have the same flags, tags and problems


class Rows(list[Any]):
    """Rows of a list for one person, in the list's order. What several columns need is read once."""

    def __init__(
        self,
        rows: Iterable[Any],
        subject: Subject,
        actor: Actor,
        purpose: str = LIST,
        failed: Mapping[str, PluginFailed] | None = None,  # by the codes of columns that could not be read
    ) -> None:
        super().__init__(rows)
        self.subject, self.actor, self.purpose, self.failed = subject, actor, purpose, failed or {}
        self._once: dict[str, Any] = {}

    def once(self, what: str, read: Callable[[], T]) -> T:
        """The result of `read`, which is called once and kept as long as the rows."""
        if what not in self._once:
            self._once[what] = read()
        found: T = self._once[what]
        return found

    @property
    def whole(self) -> "Rows":
        """The rows as objects of the subject's model, without those that the actor may no longer see."""
        return self.once("whole", lambda: load(self.subject, self.actor, [row.id for row in self], self.purpose))


def once(rows: Sequence[Any], what: str, read: Callable[[], T]) -> T:
    """The result of `read`, which is called once for all columns of these rows."""
    return rows.once(what, read) if isinstance(rows, Rows) else read()


def of_each(value: Callable[[Any], Any]) -> Callable[[Sequence[Any], Actor], Mapping[int, Any]]:
    """The `values` of a column whose value depends on one row alone."""
    return lambda rows, actor: {row.id: value(row) for row in rows}


def by_name(*columns: InstrumentedAttribute[Any]) -> Reads:
    """The `reads` of columns that are read under their own names."""
    return {column.key: column for column in columns}


def values_of(column: Column, rows: Rows, actor: Actor) -> Mapping[int, Any]:
    """The values of a column for these rows, by row id. Raises `PluginFailed`."""
    if problem := rows.failed.get(column.code):
        raise problem
    return ask(column, "column", column.values, rows if column.reads is not None else rows.whole, actor, gives=Mapping)


class Reading:
    """The values read for each row of a subject, and how they become rows for columns.

    If what a column reads can't be read, or has a name that is taken, its failure is in `failed`, by the column's code,
    and the other columns are read without it.
    """

    def __init__(
        self, subject: Subject, actor: Actor, columns: Iterable[Column], more: Mapping[str, Any] | None = None
    ) -> None:
        self._subject = subject
        self.failed: dict[str, PluginFailed] = {}
        self._wanted: dict[str, Any] = {"id": subject.model.id, "order_id": subject.order_id, **subject.row}
        self._wanted |= more or {}
        desk, of_plugins = set(self._wanted), list[tuple[Column, Reads]]()
        joined: set[FromClause] | None = None
        if not is_ours(owner_of(subject)):
            joined = sources_of(subject.visible(actor))
            ask(subject, "list", _check_row, subject.row, joined)
        for column in sorted(columns, key=lambda one: not is_ours(owner_of(one))):  # the desk's names come first
            if joined is None and not is_ours(owner_of(column)):
                joined = sources_of(subject.visible(actor))
            try:
                reads = ask(column, "column", _reads, column, self._wanted, joined, gives=Mapping)
            except PluginFailed as problem:
                self.failed[column.code] = problem
                continue
            self._wanted |= reads
            if is_ours(owner_of(column)):
                desk |= reads.keys()
            elif reads:
                of_plugins.append((column, reads))
        self._of_plugins = [(column, reads.keys() - desk) for column, reads in of_plugins]  # names of plugins only
        self._parsed = [name for name, expression in self._wanted.items() if isinstance(expression.type, JSON)]
        self._columns = {name: _named(name, expression) for name, expression in self._wanted.items()}

    def execute(self, query: Select[Any]) -> list[Any]:
        """The rows that this query finds, as the database returns them."""
        try:
            return self._read(query)
        except DBAPIError as error:
            if is_no_fault(error) or not self._of_plugins or db.session().info.get("writing"):
                raise
        db.session.rollback()  # after a failed statement PostgreSQL accepts no other in the transaction
        for column, names in self._of_plugins:  # find those for which the statement fails
            try:
                self._read(query, {name for _column, theirs in self._of_plugins for name in theirs} - names)
            except DBAPIError as error:
                self.failed[column.code] = failed(column, "column", error)
        without = {name for column, names in self._of_plugins if column.code in self.failed for name in names}
        self._of_plugins = [(column, names) for column, names in self._of_plugins if column.code not in self.failed]
        self._columns |= {name: null().label(name) for name in without}
        return self._read(query)

    def _read(self, query: Select[Any], without: Collection[str] = ()) -> list[Any]:
        columns = [null().label(name) if name in without else column for name, column in self._columns.items()]
        return list(db.session.execute(query.with_only_columns(*columns, maintain_column_froms=True)))

    def plain(self, found: Sequence[Any]) -> list[Any]:
        """The rows for columns, made of the rows that `execute` returned."""
        values = [dict(zip(self._wanted, row, strict=True)) for row in found]
        for name in self._parsed:
            for one in values:
                one[name] = None if one[name] is None else copy(_parsed(one[name]))  # plugins may change the copy
        stores = by_id(Store, {one["store_id"] for one in values})
        shops = by_id(Shop, {one["shop_id"] for one in values})
        plain = self._subject.walk.plain
        return [plain(one, stores[one["store_id"]], shops[one["shop_id"]]) for one in values]


def _check_row(row: Reads, joined: Collection[FromClause]) -> None:
    """Raise `NotTaken` where a subject reads of every row what it does not join."""
    for expression in row.values():
        check_joined(expression, joined)


def _reads(column: Column, known: Reads, joined: Collection[FromClause] | None) -> Reads:
    """What a column reads of each row. Raises `NotTaken` if something else is read under one of its names, or if it
    reads a table that is not among `joined`.
    """
    reads = column.reads or {}
    reads = reads() if callable(reads) else reads
    for name, expression in reads.items():
        if not hasattr(expression, "type"):
            raise WrongType(expression, ColumnElement)
        if joined is not None:
            check_joined(expression, joined)
        other = known.get(name, expression)
        if name in _RESERVED or (other is not expression and not _named(name, other).compare(_named(name, expression))):
            raise NotTaken(f"something else is called {name}")
    return reads


def _named(name: str, column: Any) -> Label[Any]:
    """The column under this name; JSON as text, since thousands of rows have the same few values, parsed once."""
    return (cast(column, Text) if isinstance(column.type, JSON) else column).label(name)


def by_id(model: type[Named], ids: set[int]) -> dict[int, Named]:
    """The rows with these ids: from the session if it has them unexpired, the others in one query."""
    held = (db.session.identity_map.get(identity_key(model, id_)) for id_ in ids)
    found: dict[int, Named] = {row.id: row for row in held if row is not None and not inspect(row).expired}
    if unknown := ids - found.keys():
        found |= {row.id: row for row in db.session.scalars(select(model).where(model.id.in_(unknown)))}
    return found


def read_rows(
    subject: Subject, actor: Actor, ids: Sequence[int], columns: Iterable[Column], purpose: str = LIST
) -> Rows:
    """The rows of these ids that the actor may see, in this order, with what the columns read."""
    reading = Reading(subject, actor, columns)
    found = reading.execute(subject.visible(actor).where(among(subject.model.id, ids)))
    rows = {row.id: row for row in reading.plain(found)}
    return Rows([rows[id_] for id_ in ids if id_ in rows], subject, actor, purpose, reading.failed)


def load(subject: Subject, actor: Actor, ids: Sequence[int], purpose: str = LIST) -> Rows:
    """The rows of these ids that the actor may see, in this order, as whole objects."""
    rows = {row.id: row for row in db.session.scalars(subject.visible(actor).where(among(subject.model.id, ids)))}
    found = [rows[id_] for id_ in ids if id_ in rows]
    subject.walk.complete(found)
    return Rows(found, subject, actor, purpose)
