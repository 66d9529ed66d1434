"""A database restored from last night sends nothing twice."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import select

from tests.updates import till as tills
from tests.updates.conftest import Credit, Work, go_on, later, run, update
from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.db import db, unit_of_work
from webapp.sync import jobs, recovery
from webapp.updates import marks
from webapp.updates.models import ChannelUpdate, UpdateAttempt


@pytest.fixture
def older(store: Store) -> Iterator[Callable[[], None]]:
    """Back up the present rows; calling the result restores them."""
    kept = [dict(row) for row in db.session.execute(select(ChannelUpdate.__table__)).mappings()]

    def put_back() -> None:
        with unit_of_work():
            db.session.execute(ChannelUpdate.__table__.update().values(attempt_id=None))
            db.session.execute(UpdateAttempt.__table__.delete())
            db.session.execute(ChannelUpdate.__table__.delete())
            for row in kept:
                db.session.execute(ChannelUpdate.__table__.insert().values(**row))
            _rewind("channel_updates", max((row["id"] for row in kept), default=0))
            _rewind("update_attempts", 0)

    yield put_back
    marks._path().unlink(missing_ok=True)


def _rewind(table: str, value: int) -> None:
    if db.engine.dialect.name == "sqlite":
        db.session.execute(
            db.text("UPDATE sqlite_sequence SET seq = :value WHERE name = :name"), {"value": value, "name": table}
        )
    else:
        db.session.execute(select(db.func.setval(db.func.pg_get_serial_sequence(table, "id"), value + 1, False)))


def test_a_database_from_last_night_sends_nothing_twice(
    store: Store, till: tills.Ledger, credit: Credit, work: Work, request: pytest.FixtureRequest, mia: Actor
) -> None:
    marks._path().unlink(missing_ok=True)
    credit(1)
    credit(2, held=True)
    put_back = request.getfixturevalue("older")
    run(store)
    credit(3)
    with later(tills.HOLD + 1):
        jobs.find_due()
        work()
    assert sorted(till.paid) == ["C1", "C2", "C3"]
    paid = list(till.paid)
    put_back()
    assert recovery.recover()
    assert not recovery.recover()
    db.session.expire_all()
    assert store.read_only is not None
    assert {update(1).state, update(2).state} == {"unknown"}
    go_on(store, work)
    assert till.paid == paid
    assert {update(1).state, update(2).state} == {"accepted"}
    with unit_of_work():
        db.session.get_one(Store, store.id).read_only = None
    credit(4)
    assert update(4).id > 3
    go_on(store, work)
    assert till.paid == [*paid, "C4"]


def test_a_database_that_knows_what_left_is_left_alone(
    store: Store, till: tills.Ledger, credit: Credit, work: Work
) -> None:
    marks._path().unlink(missing_ok=True)
    credit()
    run(store)
    assert marks.read() == (1, 1, 0)
    assert not recovery.recover()
    marks._path().unlink()
