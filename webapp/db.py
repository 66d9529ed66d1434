"""The database: one session, one way to write, and the column types that both databases share.

Reads run in their own short transaction; every write runs in the one `unit_of_work()` that a door opens. On SQLite a
unit of work begins IMMEDIATE, so that two writers queue instead of failing; a read never does, or reads would queue
too. What must happen only after the commit (jobs, live news) is passed to `after_commit`.
"""

import errno
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    DateTime,
    Dialect,
    Engine,
    FromClause,
    Integer,
    Join,
    MetaData,
    Select,
    Table,
    bindparam,
    cast as cast_to,
    delete,
    event,
    extract,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, TimeoutError as PoolEmpty
from sqlalchemy.orm import (
    DeclarativeBase,
    InstrumentedAttribute,
    ORMExecuteState,
    Session,
    SessionTransaction,
    registry,
)
from sqlalchemy.types import TypeDecorator

from webapp.errors import DatabaseBusy, DeskError, DiskFull, TooSlow, Unavailable

T = TypeVar("T")
BUSY_AFTER = 15.0  # seconds a writer waits for another
_POOL_EMPTY_AFTER = 10.0  # seconds that a request waits for a connection
_POOL_KEPT = 16  # connections that stay open once they were needed; more are closed after use, with what they cached
_LIMITED_AGAIN = 0.1  # seconds between two times that the database's own limit is set to the time left

_LOG_BUSY_AFTER = 0.2  # seconds for which emptying the log may keep writers waiting
_ENDING = ("commit", "rollback", "close")  # methods of a session that end its transaction
_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: aware in Python, UTC in the database; a naive datetime is refused, since it could mean any zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive time can't be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Minor = BigInteger().with_variant(Integer(), "sqlite")  # money; SQLite's integers have 64 bits under any name
Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class Base(DeclarativeBase):
    """The base of every table: constraints are named by convention, so that migrations can change them on both
    databases.
    """

    registry = registry(
        metadata=MetaData(naming_convention=_CONVENTION),
        type_annotation_map={datetime: UtcDateTime, dict[str, Any]: Json, list[Any]: Json, list[str]: Json},
    )


db = SQLAlchemy(model_class=Base)
if TYPE_CHECKING:
    Model = Base
else:
    Model = db.Model


def table_of(model: type[Base]) -> Table:
    """The table behind a model, for statements over many rows."""
    return cast(Table, model.__table__)


def insert_into(model: type[Base]) -> sqlite.Insert | postgresql.Insert:
    """An insert with `on conflict`, which each database has in its own dialect."""
    insert = sqlite.insert if db.engine.dialect.name == "sqlite" else postgresql.insert
    return insert(table_of(model))


def begins_with(column: InstrumentedAttribute[Any], text: str) -> ColumnElement[bool]:
    """Whether a column begins with a text, as a range of its index: for columns that migrations created with plain
    comparison, by code points, on both databases.
    """
    return column.between(text, text + "\U0010ffff")


def seconds_of(column: InstrumentedAttribute[datetime]) -> ColumnElement[int]:
    """An instant as whole seconds since 1970."""
    seconds = extract("epoch", column)
    return seconds if db.engine.dialect.name == "sqlite" else cast_to(func.floor(seconds), BigInteger)


def among(column: Any, ids: Sequence[int] | Sequence[str]) -> ColumnElement[bool]:
    """Whether a column contains one of many ids or numbers. They are written into the statement itself: a thousand
    parameters cost PostgreSQL's driver more than reading the rows.
    """
    return cast(ColumnElement[bool], column.in_(bindparam(None, list(ids), expanding=True, literal_execute=True)))


def sources_of(query: Select[Any]) -> set[FromClause]:
    """The tables, and whatever else rows come from, that a query joins."""
    sources = list(query.with_only_columns(literal_column("1"), maintain_column_froms=True).get_final_froms())
    found: set[FromClause] = set()
    while sources:
        source = sources.pop()
        if isinstance(source, Join):
            sources += [source.left, source.right]
        else:
            found.add(source)
    return found


def reserve_ids(model: type[Base], count: int) -> list[int]:
    """Reserve ids for rows that are about to be inserted, in the open unit of work: rows that refer to each other
    can be written without reading back their ids, which costs PostgreSQL's driver most of an import.
    """
    if count == 0:
        return []
    table = table_of(model)
    if db.engine.dialect.name == "sqlite":  # nobody else writes meanwhile
        highest = db.session.scalar(select(func.max(table.c.id))) or 0
        return list(range(highest + 1, highest + 1 + count))
    sequence = func.pg_get_serial_sequence(table.name, "id")
    return list(db.session.scalars(select(func.nextval(sequence)).select_from(func.generate_series(1, count))))


def write_rows(model: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all have the same columns, in the open unit of work. PostgreSQL gets them as one stream: a
    statement for each would take its driver most of an import.

    Model defaults are not applied: rows that lack a column are refused.
    """
    if not rows:
        return
    table, connection = table_of(model), db.session.connection()
    if lacking := {column.name for column in table.columns if column.default is not None} - rows[0].keys():
        raise ValueError(f"rows of {table.name} must name {sorted(lacking)}")
    dialect = connection.dialect
    if dialect.name == "sqlite":
        connection.execute(table.insert(), rows)
        return
    kept_as = {name: table.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in rows[0]}
    statement = f"COPY {table.name} ({', '.join(kept_as)}) FROM STDIN"
    driver = cast(Any, dialect.dbapi)
    try:
        with cast(Any, connection.connection.cursor()) as cursor, cursor.copy(statement) as stream:
            for row in rows:
                stream.write_row([keep(row[name]) if keep else row[name] for name, keep in kept_as.items()])
    except driver.Error as error:  # without the row that the server quotes, like every statement's
        bare = type(error)(error.diag.message_primary or str(error))
        raise DBAPIError.instance(statement, None, bare, driver.Error, hide_parameters=True) from None


def any_row(model: type[Base], *conditions: ColumnElement[bool]) -> bool:
    """Whether a table has a row that meets all conditions."""
    return db.session.scalar(select(1).select_from(model).where(*conditions).limit(1)) is not None


def delete_some(model: type[Base], *conditions: ColumnElement[bool], limit: int = 500) -> bool:
    """Delete a batch of the rows that meet all conditions, in the open unit of work; returns whether more may be
    left. The batch is small, so that other writers don't wait for long.
    """
    [column] = table_of(model).primary_key
    some = select(column).where(*conditions).limit(limit)
    statement = delete(model).where(column.in_(some)).returning(column)
    return len(db.session.execute(statement, execution_options={"synchronize_session": False}).all()) == limit


def init_app(app: Flask, url: str, *, connections: int) -> None:
    """Bind the app to its database, with this maximum of connections; nothing is connected yet."""
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    engine: dict[str, Any] = {
        "pool_pre_ping": True,
        "pool_timeout": _POOL_EMPTY_AFTER,
        "pool_size": min(connections, _POOL_KEPT),
        "max_overflow": max(connections - _POOL_KEPT, 0),
        "pool_use_lifo": True,  # the connection whose pages are cached
        "hide_parameters": True,  # values never reach a log
        "json_serializer": json.JSONEncoder(separators=(",", ":")).encode,
    }
    if url.startswith("sqlite"):
        engine |= {"connect_args": {"timeout": BUSY_AFTER}, "pool_recycle": 3600}  # old ones plan by old statistics
    else:
        engine |= {"connect_args": {"connect_timeout": 5}}
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine
    db.init_app(app)
    with app.app_context():
        (_tune_sqlite if db.engine.dialect.name == "sqlite" else _tune_postgres)(db.engine)


class _SqliteCompiler(SQLiteCompiler):
    """Writes index hints, which SQLAlchemy omits for SQLite: lists name the index of rare rows."""

    def get_from_hint_text(self, table: Any, text: str | None) -> str | None:
        return text


def _tune_sqlite(engine: Engine) -> None:
    engine.dialect.statement_compiler = _SqliteCompiler

    @event.listens_for(engine, "connect")
    def connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN is too late; ours is below
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=wal",
            "synchronous=normal",
            "foreign_keys=on",
            f"busy_timeout={int(BUSY_AFTER * 1000)}",
            "cache_size=-65536",
            "temp_store=memory",
            "secure_delete=on",  # erased data is overwritten, not only unlinked
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "checkin")
    def checkin(connection: Any, record: Any) -> None:
        if connection is not None:
            connection.set_progress_handler(None, 0)  # a time limit ends with its session

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _tune_postgres(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def connect(connection: Any, record: Any) -> None:
        connection.execute(f"SET lock_timeout = {int(BUSY_AFTER * 1000)}")
        connection.execute("SET jit = off")  # compiling took longer than the queries of a large desk themselves
        connection.commit()


def connect_for_loading() -> None:
    """Let this process's connections use more memory and wait less for the disk: for a process that writes very many
    rows and could write them again.
    """
    on_sqlite = db.engine.dialect.name == "sqlite"
    settings = (
        ("PRAGMA cache_size=-524288", "PRAGMA wal_autocheckpoint=25000")
        if on_sqlite
        else ("SET synchronous_commit = off",)
    )

    @event.listens_for(db.engine, "connect")
    def connect(connection: Any, record: Any) -> None:
        for setting in settings:
            connection.execute(setting)
        if not on_sqlite:
            connection.commit()

    db.engine.dispose()


@contextmanager
def unit_of_work() -> Iterator[None]:
    """All writes inside are committed together, or not at all; opened by doors only, never inside another.

    Objects read before are read again. Raises `DatabaseBusy` after 15 s of waiting for another writer.
    """
    session = db.session()
    if session.info.get("writing"):
        raise RuntimeError("a unit of work is open already; only doors open one")
    session.commit()  # ends the reading transaction, whose snapshot must not become a writer's
    session.info["writing"] = True
    until, began = session.info.pop("until", None), time.monotonic()  # a write is never cut short
    callbacks: list[Callable[[], None]] = []
    session.info["after_commit"] = callbacks
    try:
        with translated_failures():
            session.connection(execution_options={"writes": True})
            yield
            session.commit()
    except BaseException:
        session.rollback()
        raise
    finally:
        for name in ("writing", "after_commit", "savepoints"):
            session.info.pop(name, None)
        session.info["until"] = until and until + (time.monotonic() - began)  # nor is the reading that then shows it
    for callback in callbacks:
        callback()


@contextmanager
def guarded_savepoint() -> Iterator[None]:
    """A savepoint of the open unit of work for a plugin: an error rolls back what was written since.

    A plugin that ends the unit of work inside gets a `RuntimeError`, since half of the act would be committed.
    """
    session = vars(db.session())
    had = {name: session[name] for name in _ENDING if name in session}
    session.update(dict.fromkeys(_ENDING, _refuse_to_end))
    try:
        with db.session.begin_nested():
            yield
    finally:
        for name in _ENDING:
            del session[name]
        session.update(had)


def _refuse_to_end() -> None:
    raise RuntimeError("whoever opened the unit of work ends it")


def release_connection() -> None:
    """Return the connection to the pool before work that needs no database; inside a unit of work it is kept."""
    session = db.session()
    if not session.info.get("writing"):
        session.rollback()


def after_commit(callback: Callable[[], None]) -> None:
    """Call the function once the open unit of work has been committed; at once if none is open."""
    callbacks = db.session().info.get("after_commit")
    if callbacks is None:
        callback()
    else:
        callbacks.append(callback)


def once_a_transaction(name: str, read: Callable[[], T]) -> T:
    """The result of `read`, kept until the transaction ends: for small tables that a page asks for again and again."""
    kept = db.session().info.setdefault("kept", {})
    if name not in kept:
        kept[name] = read()
    found: T = kept[name]
    return found


def forget_read(name: str) -> None:
    """Forget the result that is kept under this name, since it was just changed."""
    db.session().info.get("kept", {}).pop(name, None)


@event.listens_for(db.session, "after_transaction_end")
def _forget_kept(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session.info.pop("kept", None)


@event.listens_for(db.session, "after_transaction_create")
def _mark_savepoint(session: Session, transaction: SessionTransaction) -> None:
    if transaction.nested:
        session.info.setdefault("savepoints", {})[id(transaction)] = len(session.info.get("after_commit") or ())


@event.listens_for(db.session, "after_soft_rollback")
def _undo_savepoint(session: Session, transaction: SessionTransaction) -> None:
    """Forget results and pending calls since a savepoint that is rolled back: they may be about rows that do not
    exist.
    """
    session.info.pop("kept", None)
    mark = session.info.get("savepoints", {}).pop(id(transaction), None)
    if mark is not None and session.info.get("after_commit"):
        del session.info["after_commit"][mark:]


def drop_after_commit() -> None:
    """Drop the pending calls of the open unit of work; the schedule finds whatever was due."""
    db.session().info["after_commit"].clear()


def analyze(table: str = "") -> None:
    """Update the planner's statistics of all tables or one of them: without them the planner reads whole tables on
    PostgreSQL, and on SQLite sorts all open orders instead of using the index for them.
    """
    statement = f"ANALYZE {table}".strip()
    if db.engine.dialect.name == "postgresql":
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(statement)
        return
    connection = cast(Any, db.engine.raw_connection())
    try:
        connection.execute("PRAGMA analysis_limit = 1000")  # rows of each index: quick, however large it is
        connection.execute(statement)
    finally:
        connection.close()


def empty_log() -> bool:
    """Write SQLite's log into the database and empty it: until then it contains pages from before an erasure.
    Returns False if a reader or writer is in the way: it does not wait, the next call empties the log.
    """
    if db.engine.dialect.name != "sqlite":
        return True
    connection = cast(Any, db.engine.raw_connection())
    try:
        connection.execute(f"PRAGMA busy_timeout = {int(_LOG_BUSY_AFTER * 1000)}")
        [(busy, _pages, _moved)] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return not busy
    except sqlite3.OperationalError:
        return False
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(BUSY_AFTER * 1000)}")
        connection.close()


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Stop a reading that takes longer: in the database, before each of its statements and by `check_time`.

    Inside another limit the earlier of the two applies. Raises `TooSlow`. A unit of work is never cut short, and no
    limit can be set within one.
    """
    session = db.session()
    if session.info.get("writing"):
        raise RuntimeError("a unit of work is open, which is never cut short")
    outer: float | None = session.info.get("until")
    until = time.monotonic() + seconds
    session.info["until"] = until if outer is None else min(until, outer)
    session.info.pop("limited_at", None)
    try:
        check_time()
        yield
    except (DBAPIError, TooSlow) as error:
        session.rollback()
        if isinstance(failure_of(error), TooSlow):
            raise TooSlow from error
        raise
    finally:
        session.info["until"] = outer
        if session.in_transaction():
            _limit_statements(session.connection(), outer)


def limit_session(seconds: float) -> None:
    """Limit all that the open session reads, as `time_limit` does, while the session lives."""
    db.session().info["until"] = time.monotonic() + seconds


def check_time() -> None:
    """Raise `TooSlow` if the time of a `time_limit` is over; called between two steps of a reading."""
    session = db.session()
    until: float | None = session.info.get("until")
    if until is None:
        return
    at = time.monotonic()
    if at > until:
        raise TooSlow
    if session.in_transaction() and at - session.info.get("limited_at", 0.0) > _LIMITED_AGAIN:
        session.info["limited_at"] = at
        _limit_statements(session.connection(), until)


@event.listens_for(db.session, "do_orm_execute")
def _check_before(state: ORMExecuteState) -> None:
    """A server's limit applies to each statement, so that many short ones could take any time."""
    check_time()


@event.listens_for(db.session, "after_begin")
def _limit_transaction(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    if (until := session.info.get("until")) is not None:
        session.info["limited_at"] = time.monotonic()
        _limit_statements(connection, until)


def _limit_statements(connection: Connection, until: float | None) -> None:
    """Let the database stop statements at that time of the clock `monotonic`; None lifts the limit."""
    if connection.dialect.name == "sqlite":
        raw = cast(Any, connection.connection.dbapi_connection)
        raw.set_progress_handler(None if until is None else lambda: int(time.monotonic() > until), 20_000)
        return
    left = 0 if until is None else max(int((until - time.monotonic()) * 1000), 1)
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = {left}")  # fails like any statement


def hold_name(name: str) -> None:
    """Lock a name until the unit of work ends; others who ask for it wait."""
    if db.engine.dialect.name == "postgresql":  # on SQLite only one unit of work writes at a time
        db.session.execute(select(func.pg_advisory_xact_lock(func.hashtext(name))))


@contextmanager
def translated_failures() -> Iterator[None]:
    """Translate errors of a database or a disk that is busy, full or gone into the desk's own."""
    try:
        yield
    except Exception as error:
        if known := failure_of(error):
            raise known from error
        raise


def failure_of(error: Exception) -> DeskError | None:
    """The desk's error for an error of a driver or of the system that is not a fault of ours; None for any other."""
    if isinstance(error, OSError):
        return DiskFull() if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
    if isinstance(error, PoolEmpty):
        return DatabaseBusy()
    if not isinstance(error, DBAPIError):
        return None
    for known, codes in _SQLSTATES.items():
        if str(getattr(error.orig, "sqlstate", None) or "").startswith(codes):
            return known()
    primary = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    for known, numbers in _SQLITE_CODES.items():
        if primary in numbers:
            return known()
    if error.connection_invalidated or isinstance(error, InterfaceError):
        return _gone()
    return _by_its_text(error) if isinstance(error, OperationalError) else None


def _by_its_text(error: DBAPIError) -> DeskError | None:
    """Errors that drivers raise without a code: psycopg for a server that it can't reach."""
    text = str(error.orig).lower()
    if "locked" in text or "busy" in text:
        return DatabaseBusy()
    return _gone() if "connect" in text or "unable to open" in text else None


def _gone() -> Unavailable:
    return Unavailable(what="database")


# The classes of PostgreSQL's SQLSTATE and the primary codes of SQLite with this meaning.
_SQLSTATES: dict[Callable[[], DeskError], tuple[str, ...]] = {
    DiskFull: ("53100",),
    DatabaseBusy: ("53", "55P03", "40001", "40P01"),  # no memory or connection left; locks and deadlocks
    TooSlow: ("57014",),
    _gone: ("08", "57P", "58", "25006"),  # disconnected, shutting down, its own files gone, read-only
}
_SQLITE_CODES: dict[Callable[[], DeskError], tuple[int, ...]] = {
    DiskFull: (sqlite3.SQLITE_FULL,),
    DatabaseBusy: (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOMEM),
    TooSlow: (sqlite3.SQLITE_INTERRUPT,),
    _gone: (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY),
}
