"""The desks of a test process: one application and one database for each engine, put back before every test.

SQLite's file is copied again. On PostgreSQL the rows of the tables that a test filled are deleted and their sequences
set back: 2 ms, where TRUNCATE takes 200 (it makes the files of all their indexes) and a copy of the whole database 50.
Triggers stay as they are; only the transaction that puts back is not bound by them. A database whose schema a test
changed, or whose planner learned something, is made again.

A test that is marked `own_desk` (it starts processes, or changes the schema) gets a database and an application that
nobody else uses.
"""

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from flask import Flask
from sqlalchemy.engine import make_url
from sqlalchemy.pool import QueuePool

from tests import postgres
from webapp import create_app, log, schema
from webapp.catalog import listings
from webapp.config import configuration
from webapp.db import db
from webapp.hooks import hooks


def fill(url: str) -> None:
    """Migrate an empty database."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAYBILL_DATA_DIR", folder)
        with application(url) as app, app.app_context():
            schema.migrate()
            db.session.remove()


@contextmanager
def application(url: str) -> Iterator[Flask]:
    """A desk on this database; what is registered in this process stays what it was, and no connection is left."""
    manager = hooks.manager
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", url)
        configuration.cache_clear()
        try:
            app = create_app()
            yield app
        finally:
            hooks.manager = manager
            configuration.cache_clear()
    with app.app_context():
        db.engine.dispose()


SECRET = "the tests' own secret, the same for every desk that one of them makes"


class SharedDesk(ABC):
    """A desk that one test after another uses."""

    def __init__(self, url: str) -> None:
        self.url = url
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DATABASE_URL", url)
            patch.setenv("WAYBILL_SECRET", SECRET)
            configuration.cache_clear()
            self.app = create_app()
        configuration.cache_clear()

    def close(self) -> None:
        self.close_connections()

    def close_connections(self) -> None:
        with self.app.app_context():
            db.engine.dispose()

    def connections_in_use(self) -> int:
        with self.app.app_context():
            return cast(QueuePool, db.engine.pool).checkedout()

    def put_back(self) -> None:
        """Make the database what the migrations left."""
        listings._by_heart.clear()  # ids that the next test's listings will not have

    @abstractmethod
    def copy(self, folder: Path) -> AbstractContextManager[str]:
        """A database of its own for a test, as the migrations left it; gone afterwards."""


class SqliteDesk(SharedDesk):
    """A file that is copied from the template."""

    def __init__(self, folder: Path) -> None:
        self.template, self.path = folder / "template.db", folder / "desk.db"
        fill(f"sqlite:///{self.template}")
        super().__init__(f"sqlite:///{self.path}")

    def put_back(self) -> None:
        super().put_back()
        self.close_connections()
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        shutil.copy(self.template, self.path)

    @contextmanager
    def copy(self, folder: Path) -> Iterator[str]:
        shutil.copy(self.template, folder / "desk.db")
        yield f"sqlite:///{folder / 'desk.db'}"


class PostgresDesk(SharedDesk):
    """A database whose filled tables are emptied, and which is made again where that is not enough."""

    _LASTS = 100  # times it is put back: what was deleted is never vacuumed

    def __init__(self, server: postgres.Server) -> None:
        self.server = server
        super().__init__(server.create_database(fill))
        self._connect()

    def put_back(self) -> None:
        super().put_back()
        schema_now, planner_learned = self._query(_STATE)[0]
        self._lasts -= 1
        if schema_now != self._schema or planner_learned or not self._lasts:
            self._make_anew()
            return
        filled = [name for (name,) in self._query(self._filled)]
        drawn = [name for (name,) in self._query(_DRAWN)]
        if filled and self._rules:
            deletions = "; ".join(f"DELETE FROM {name}" for name in filled)
            self._query(f"BEGIN; SET LOCAL session_replication_role = replica; {deletions}; COMMIT")
        elif filled:
            self._query(f"TRUNCATE {', '.join(filled)} CASCADE")
        if drawn:
            self._query("SELECT " + ", ".join(f"setval('{name}', 1, false)" for name in drawn))

    def close(self) -> None:
        super().close()
        self._connection.close()
        self.server.drop_database(self.url)

    @contextmanager
    def copy(self, folder: Path) -> Iterator[str]:
        url = self.server.create_database(fill)
        yield url
        self.server.drop_database(url)

    def _connect(self) -> None:
        plain = make_url(self.url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._connection = psycopg.connect(plain, autocommit=True, options="-c lock_timeout=10s")
        self._lasts = self._LASTS
        self._rules = self._query("SHOW is_superuser") == [("on",)]  # only such a one may pass triggers by
        tables = [name for (name,) in self._query(_TABLES)]
        self._filled = " UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})" for name in tables)
        if left := self._query(self._filled):
            raise RuntimeError(f"migrations leave rows in {left}, which nothing here would put back")
        self._schema, _ = self._query(_STATE)[0]

    def _query(self, statement: str) -> list[Any]:
        cursor = self._connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []

    def _make_anew(self) -> None:
        self.close()
        self.server.create_database(fill, name=make_url(self.url).database)
        self._connect()


_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE '%alembic_version'"
_DRAWN = "SELECT sequencename FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL"
_STATE = """
    SELECT (SELECT version_num FROM alembic_version)
           || (SELECT md5(string_agg(concat(c.oid, c.relname, t.tgname, t.tgenabled), ',' ORDER BY c.oid, t.oid))
              FROM pg_class c LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal
             WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'i', 'v', 'S')),
           EXISTS (SELECT FROM pg_statistic s JOIN pg_class c ON c.oid = s.starelid
                    WHERE c.relnamespace = 'public'::regnamespace)"""


class Desks:
    """The desks of a test process, each made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, SharedDesk] = {}

    def find(self, engine: str) -> SharedDesk:
        """The desk on `sqlite` or `postgres`; skips the test where there is no server."""
        if engine not in self._made:
            on_sqlite = engine == "sqlite"
            self._made[engine] = SqliteDesk(self._folder) if on_sqlite else PostgresDesk(postgres.server_or_skip())
        return self._made[engine]

    def close(self) -> None:
        for desk in self._made.values():
            desk.close()
        self._made.clear()

    def at(self, url: str) -> SharedDesk | None:
        """The shared desk with this database; none where the database is a test's own."""
        return next((desk for desk in self._made.values() if desk.url == url), None)

    @contextmanager
    def application(self, url: str) -> Iterator[Flask]:
        """The application on this database: the shared one, with the settings of the test, or a new one."""
        shared = self.at(url)
        if shared is None:
            with application(url) as made:
                yield made
            return
        config, extensions = dict(shared.app.config), dict(shared.app.extensions)
        plugins = hooks.manager.get_plugins()
        log.configure(configuration())  # to this test's standard error
        yield shared.app
        shared.app.config.update(config)
        shared.app.extensions.update(extensions)
        for plugin in hooks.manager.get_plugins() - plugins:
            hooks.manager.unregister(plugin)
