"""The tests' own ground: what a test leaves is found, and every desk is put back as the migrations left it."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

from tests import desks as grounds, leftovers, postgres
from tests.desks import Desks, PostgresDesk
from webapp import errors, jobs
from webapp.audit.actor import Actor
from webapp.db import analyze, db, unit_of_work
from webapp.errors import DeskError
from webapp.hooks import hooks
from webapp.orders.models import Order


@contextmanager
def thread() -> Iterator[None]:
    stop = threading.Event()
    running = threading.Thread(target=stop.wait, name="forgotten")
    running.start()
    yield
    stop.set()
    running.join()


@contextmanager
def process() -> Iterator[None]:
    running = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield
    running.communicate(b"\n")


@contextmanager
def variable() -> Iterator[None]:
    os.environ["WAYBILL_FORGOTTEN"] = "1"
    yield
    del os.environ["WAYBILL_FORGOTTEN"]


@contextmanager
def folder() -> Iterator[None]:
    there = os.getcwd()
    os.chdir("/")
    yield
    os.chdir(there)


@contextmanager
def handler() -> Iterator[None]:
    before = signal.signal(signal.SIGHUP, lambda *_: None)
    yield
    signal.signal(signal.SIGHUP, before)


@contextmanager
def plugin() -> Iterator[None]:
    hooks.manager.register(leftovers, name="forgotten")
    yield
    hooks.manager.unregister(leftovers)


@contextmanager
def job() -> Iterator[None]:
    def forgotten() -> None: ...

    declared = jobs.job("now")(forgotten)
    yield
    del jobs._jobs[declared.name]


@contextmanager
def kind_of_error() -> Iterator[None]:
    class Forgotten(DeskError):
        code = "forgotten"

    yield
    del errors._classes[Forgotten.code]


@contextmanager
def file() -> Iterator[None]:
    made = Path(tempfile.mkdtemp(prefix="forgotten"))
    yield
    made.rmdir()


@pytest.mark.parametrize("leave", [thread, process, variable, folder, handler, plugin, job, kind_of_error, file])
def test_what_a_test_leaves_is_found(leave: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_PATIENCE", 0.1)
    before = leftovers.Before()

    with leave():  # type: ignore[attr-defined]
        [line] = before.left()

    assert before.left() == []
    if leave not in (folder, process, handler):
        assert "forgotten" in line.lower()


def test_a_connection_that_a_test_keeps_is_found(app: object, desks: Desks, database: str) -> None:
    desk = desks.at(database)
    assert desk is not None
    db.session.remove()
    with db.engine.connect():
        assert desk.connections_in_use() == 1
    assert desk.connections_in_use() == 0


def test_the_next_test_finds_nothing(
    app: object, make_order: Callable[..., Order], mia: Actor, desks: Desks, database: str
) -> None:
    desk = desks.at(database)
    assert desk is not None
    first = make_order().id
    db.session.remove()

    desk.put_back()

    for table in db.metadata.tables.values():
        assert db.session.execute(table.select().limit(1)).first() is None, table.name
    db.session.remove()
    assert first == 1


@pytest.mark.parametrize("change", ["the_schema", "the_plans"])
def test_a_database_that_became_another_is_made_anew(
    change: str, app: object, make_order: Callable[..., Order], desks: Desks, database: str
) -> None:
    desk = desks.at(database)
    assert desk is not None
    make_order()
    if change == "the_plans":
        analyze()
    else:
        with unit_of_work():
            db.session.execute(text("CREATE TABLE forgotten (id integer)"))
    db.session.remove()

    desk.put_back()

    with pytest.raises(DBAPIError):
        db.session.execute(text("SELECT * FROM forgotten"))
    db.session.remove()
    if database.startswith("postgresql"):
        assert db.session.scalar(text("SELECT count(*) FROM pg_stats WHERE schemaname = 'public'")) == 0
    db.session.remove()


def test_what_a_plugin_has_migrated_stays_while_its_rows_go(monkeypatch: pytest.MonkeyPatch) -> None:
    server, migrate = postgres.server_or_skip(), grounds.fill

    def with_a_plugin(url: str) -> None:
        migrate(url)
        with psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)) as there:
            there.execute("CREATE TABLE crates_alembic_version AS SELECT '0001' AS version_num")
            there.execute("CREATE TABLE crates_packed (id integer)")

    monkeypatch.setattr(grounds, "fill", with_a_plugin)
    desk = PostgresDesk(server)
    with desk.app.app_context():
        with unit_of_work():
            db.session.execute(text("INSERT INTO crates_packed VALUES (1)"))
        db.session.remove()
        desk.put_back()
        kept = [
            db.session.scalar(text(f"SELECT count(*) FROM crates_{name}")) for name in ("alembic_version", "packed")
        ]
        db.session.remove()
    desk.close()
    assert kept == [1, 0]
