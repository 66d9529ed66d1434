"""The one unit of work: all or nothing, one writer after another, and sentences where the database is busy or gone."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.exc import DataError, IntegrityError, StatementError

from webapp import create_app, schema
from webapp.audit.actor import Actor, ActorKind
from webapp.audit.models import AuditEntry
from webapp.audit.services import audit
from webapp.channels.models import NumberSequence, Shop
from webapp.channels.services import create_shop
from webapp.clock import now
from webapp.config import configuration
from webapp.db import (
    after_commit,
    check_time,
    db,
    limit_session,
    once_a_transaction,
    time_limit,
    unit_of_work,
    write_rows,
)
from webapp.errors import DatabaseBusy, TooSlow, Unavailable


@pytest.fixture
def shop(app: Flask) -> int:
    with unit_of_work():
        return create_shop("Harbor", prefix="H-").id


def name_of(shop: int) -> str | None:
    db.session.rollback()
    return db.session.scalar(select(Shop.name).where(Shop.id == shop))


def test_what_is_done_inside_becomes_real_together(shop: int) -> None:
    with unit_of_work():
        db.session.get_one(Shop, shop).name = "Quay"
        db.session.add(Shop(name="Second", created_at=now()))
    assert name_of(shop) == "Quay"
    assert db.session.query(Shop).count() == 2


def test_or_not_at_all(shop: int) -> None:
    with pytest.raises(ValueError, match="stop"), unit_of_work():  # noqa: PT012
        db.session.get_one(Shop, shop).name = "Quay"
        db.session.flush()
        raise ValueError("stop")
    assert name_of(shop) == "Harbor"


def test_a_unit_of_work_within_another_is_refused(shop: int) -> None:
    with unit_of_work():
        with pytest.raises(RuntimeError, match="open already"), unit_of_work():
            pass
        db.session.get_one(Shop, shop).name = "Quay"
    assert name_of(shop) == "Quay"


def test_the_time_that_writing_takes_is_no_readers(shop: int) -> None:
    """What was committed is never answered as too slow."""
    limit_session(0.2)
    with unit_of_work():
        db.session.get_one(Shop, shop).name = "Quay"
        time.sleep(0.3)
    check_time()
    assert name_of(shop) == "Quay"
    time.sleep(0.3)
    with pytest.raises(TooSlow):
        check_time()


def test_no_limit_is_set_within_a_unit_of_work(shop: int) -> None:
    with unit_of_work():
        with pytest.raises(RuntimeError, match="never cut short"), time_limit(60):
            pass
        db.session.get_one(Shop, shop).name = "Quay"
    assert name_of(shop) == "Quay"


def test_what_waits_for_the_commit_runs_after_it(app: Flask, shop: int) -> None:
    seen: list[str | None] = []

    def look() -> None:
        with app.app_context():  # a session of its own sees only what is committed
            seen.append(db.session.scalar(select(Shop.name).where(Shop.id == shop)))

    with unit_of_work():
        db.session.get_one(Shop, shop).name = "Quay"
        db.session.flush()
        after_commit(look)
        assert seen == []
    assert seen == ["Quay"]


def test_what_waits_for_the_commit_is_forgotten_with_a_rollback(shop: int) -> None:
    seen: list[int] = []
    with pytest.raises(ValueError, match="stop"), unit_of_work():  # noqa: PT012
        after_commit(lambda: seen.append(1))
        raise ValueError("stop")
    with unit_of_work():
        pass
    assert seen == []
    after_commit(lambda: seen.append(2))  # nothing is open: at once
    assert seen == [2]


def test_what_is_taken_back_to_a_savepoint_leaves_nothing_behind(shop: int) -> None:
    seen: list[str] = []

    def name() -> str | None:
        return once_a_transaction("name", lambda: db.session.scalar(select(Shop.name).where(Shop.id == shop)))

    with unit_of_work():
        after_commit(lambda: seen.append("before"))
        with pytest.raises(ValueError, match="back"), db.session.begin_nested():  # noqa: PT012
            db.session.get_one(Shop, shop).name = "Quay"
            db.session.flush()
            assert name() == "Quay"
            after_commit(lambda: seen.append("within"))
            raise ValueError("back")
        assert name() == "Harbor"
        with db.session.begin_nested():
            after_commit(lambda: seen.append("kept"))
    assert seen == ["before", "kept"]


def test_what_was_read_before_is_read_anew(app: Flask, shop: int) -> None:
    row = db.session.get_one(Shop, shop)
    assert row.name == "Harbor"

    def rename() -> None:
        with app.app_context(), unit_of_work():
            db.session.get_one(Shop, shop).name = "Quay"

    with ThreadPoolExecutor(1) as pool:
        pool.submit(rename).result(60)
    with unit_of_work():
        assert row.name == "Quay"


def test_many_writers_at_once_take_turns(app: Flask, shop: int) -> None:
    together = threading.Barrier(6)

    def count() -> None:
        together.wait(60)
        for _ in range(5):
            with app.app_context(), unit_of_work():
                sequence = db.session.scalars(
                    select(NumberSequence).where(NumberSequence.shop_id == shop).with_for_update()
                ).one()
                sequence.next += 1

    with ThreadPoolExecutor(6) as pool:
        for task in [pool.submit(count) for _ in range(6)]:
            task.result(60)
    assert db.session.scalar(select(NumberSequence.next)) == 31


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, app: Flask) -> None:
    """Writers wait 0.3 s for one another."""
    monkeypatch.setattr("webapp.db.BUSY_AFTER", 0.3)
    db.session.remove()
    db.engine.dispose()


@pytest.fixture
def hold(app: Flask) -> Callable[[int], Callable[[], None]]:
    """Hold a shop's row in another thread until told to let go."""

    def take(shop: int) -> Callable[[], None]:
        held, let_go = threading.Event(), threading.Event()

        def writer() -> None:
            with app.app_context(), unit_of_work():
                db.session.get_one(Shop, shop, with_for_update=True)
                held.set()
                let_go.wait(60)

        thread = threading.Thread(target=writer)
        thread.start()
        assert held.wait(60)

        def release() -> None:
            let_go.set()
            thread.join(60)

        return release

    return take


def test_a_writer_held_too_long_ends_in_a_sentence_with_nothing_changed(
    shop: int, impatient: None, hold: Callable[[int], Callable[[], None]]
) -> None:
    release = hold(shop)
    began = time.monotonic()
    try:
        with pytest.raises(DatabaseBusy) as busy, unit_of_work():  # noqa: PT012
            db.session.add(Shop(name="Half", created_at=now()))
            db.session.get_one(Shop, shop, with_for_update=True).name = "Quay"
    finally:
        release()
    assert 0.2 < time.monotonic() - began < 5
    assert "busy" in str(busy.value)
    assert busy.value.status == 503
    assert name_of(shop) == "Harbor"
    assert db.session.query(Shop).count() == 1
    with unit_of_work():  # and the next one is as good as ever
        db.session.get_one(Shop, shop).name = "Quay"
    assert name_of(shop) == "Quay"


def test_readers_never_wait_for_a_writer(shop: int, impatient: None, hold: Callable[[int], Callable[[], None]]) -> None:
    release = hold(shop)
    try:
        assert name_of(shop) == "Harbor"
    finally:
        release()


@pytest.mark.parametrize("address", ["postgresql://desk@127.0.0.1:1/desk", "sqlite:////nowhere/at/all/desk.db"])
def test_a_database_that_cannot_be_reached_is_said_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str
) -> None:
    monkeypatch.setenv("WAYBILL_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", address)
    configuration.cache_clear()
    with create_app().app_context():
        with pytest.raises(Unavailable) as gone, unit_of_work():
            db.session.add(Shop(name="Nowhere", created_at=now()))
        assert "database" in str(gone.value)
        with pytest.raises(Unavailable):
            schema.check()
        db.session.remove()
        db.engine.dispose()
    configuration.cache_clear()


def test_instants_come_back_in_utc_and_a_naive_one_is_refused(app: Flask) -> None:
    at = datetime(2026, 11, 20, 10, 0, 0, 123456, tzinfo=UTC)
    with unit_of_work():
        audit("tried", actor=Actor.operator(), at=at)
    [entry] = db.session.scalars(select(AuditEntry))
    assert (entry.at, entry.at.utcoffset()) == (at, at.utcoffset())
    with pytest.raises(StatementError, match="naive"), unit_of_work():
        audit("tried", actor=Actor.operator(), at=datetime(2026, 11, 20, 10))  # noqa: DTZ001


def test_values_stay_out_of_error_messages(app: Flask) -> None:
    with pytest.raises(Exception, match="no_such_table") as failed, unit_of_work():
        db.session.execute(text("DELETE FROM no_such_table WHERE name = :name"), {"name": "Jane Quixelworth"})
    assert "Quixelworth" not in str(failed.value)


def entry_of(id_: int, code: str) -> dict[str, object]:
    data = {"list": [1, None, True], "said": 'a "b" \\N \\. c'}
    return {
        "id": id_,
        "at": datetime(2026, 11, 20, 10, 0, 0, 123456, tzinfo=UTC),
        "actor_kind": ActorKind.JOB,
        "actor_id": None,
        "code": code,
        "data": data,
    }


def test_rows_written_together_come_back_as_they_were(app: Flask) -> None:
    codes = ["plain", "", "\\N", "tab\tand\nline\r", "織物 “café” 🧵", "\\."]
    with unit_of_work():
        write_rows(AuditEntry, [entry_of(number, code) for number, code in enumerate(codes, 1)])
        write_rows(AuditEntry, [])
    kept = db.session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    names = ("id", "at", "actor_kind", "actor_id", "code", "data")
    assert [{name: getattr(row, name) for name in names} for row in kept] == [
        entry_of(number, code) for number, code in enumerate(codes, 1)
    ]


def test_rows_that_are_refused_leave_the_transaction_usable_and_are_not_quoted(app: Flask) -> None:
    with unit_of_work():
        with pytest.raises(IntegrityError) as failed, db.session.begin_nested():
            write_rows(AuditEntry, [entry_of(1, "Quixelworth"), entry_of(1, "Quixelworth")])
        write_rows(AuditEntry, [entry_of(1, "kept")])
    assert [entry.code for entry in db.session.scalars(select(AuditEntry))] == ["kept"]
    assert "Quixelworth" not in str(failed.value)
    assert failed.value.__suppress_context__ or db.engine.dialect.name == "sqlite"
    if db.engine.dialect.name == "postgresql":
        with pytest.raises(DataError), unit_of_work():
            write_rows(AuditEntry, [entry_of(2, "no\0thing")])


def test_rows_that_leave_a_default_out_are_refused(app: Flask) -> None:
    row = entry_of(1, "short")
    del row["data"]
    with pytest.raises(ValueError, match="data"), unit_of_work():
        write_rows(AuditEntry, [row])
