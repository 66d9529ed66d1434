"""Attempts are forgotten once every update of theirs ended long ago; what they were for stays as it is."""

from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select

from tests.updates import till as tills
from tests.updates.conftest import LANE, Credit, Work, run, update
from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.jobs.schedule import enqueue_due
from webapp.sync import delivering, jobs, recovery
from webapp.sync.hookimpls import register_schedules
from webapp.updates import attempts, deciding, marks
from webapp.updates.models import UpdateAttempt

LONG = attempts.KEPT + timedelta(days=1)


def kept() -> list[int]:
    db.session.rollback()
    return list(db.session.scalars(select(UpdateAttempt.id).order_by(UpdateAttempt.id)))


def test_one_is_kept_until_all_its_updates_ended_long_ago(
    store: Store, till: tills.Ledger, credit: Credit, work: Work
) -> None:
    credit(1)
    credit(2)
    run(store)
    [attempt] = kept()
    with unit_of_work():
        update(1).state = "effective"
    with time_machine.travel(now() + LONG):
        assert not attempts.any_to_forget()
        jobs.forget_attempts()
        assert kept() == [attempt]
        assert update(2).attempt_id == attempt  # it is still to be looked up
        with unit_of_work():
            update(2).state = "withdrawn"
        [due] = [one for one in register_schedules() if one.job is jobs.forget_attempts]
        assert enqueue_due([due]) == [jobs.forget_attempts.name]
        work()
        assert kept() == []
    for number, state in ((1, "effective"), (2, "withdrawn")):
        row = update(number)
        assert (row.state, row.attempt_id, row.handle, row.attempts) == (state, None, "batch-1-1", 1)


@pytest.mark.parametrize("state", ["unknown", "refused", "sent", "accepted"])
def test_what_is_open_keeps_its_attempt(store: Store, till: tills.Ledger, credit: Credit, state: str) -> None:
    credit()
    run(store)
    with unit_of_work():
        update().state = state
    with time_machine.travel(now() + LONG):
        jobs.forget_attempts()
    assert len(kept()) == 1


def test_a_young_one_is_kept(store: Store, till: tills.Ledger, credit: Credit, operator: Actor) -> None:
    credit()
    run(store)
    with unit_of_work():
        update().state = "effective"
    with time_machine.travel(now() + attempts.KEPT - timedelta(hours=1)):
        jobs.forget_attempts()
    assert len(kept()) == 1


def test_one_whose_updates_were_sent_again_in_another_goes_and_that_stays(
    store: Store, till: tills.Ledger, credit: Credit, work: Work, operator: Actor
) -> None:
    credit()
    run(store)
    with unit_of_work():
        update().state = "refused"
    with unit_of_work():
        deciding.retry(update(), actor=operator)
    with time_machine.travel(now() + LONG):
        run(store)
        _first, second = kept()
        jobs.forget_attempts()
        assert kept() == [second]
        assert update().attempt_id == second


def test_many_go_in_parts_and_ids_are_never_given_again(
    store: Store, till: tills.Ledger, credit: Credit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that forgot its attempts is not taken for one from a backup."""
    monkeypatch.setattr(attempts, "_AT_ONCE", 3)
    with unit_of_work():
        for _ in range(10):
            db.session.add(UpdateAttempt(store_id=store.id, lane=LANE, key="", messages=1, at=now() - LONG))
    marks.note(update=0, attempt=kept()[-1])
    with unit_of_work():
        assert attempts.forget_some()
    assert len(kept()) == 7
    jobs.forget_attempts()
    assert kept() == []
    assert not recovery.recover()
    credit()
    run(store)
    assert kept() == [11]


def test_an_attempt_is_looked_up_as_a_whole_as_soon_as_one_update_is_due(
    store: Store, till: tills.Ledger, credit: Credit
) -> None:
    """Its updates were written at different moments; reading its report for a few of them reads it several times."""
    for number in (1, 2, 3):
        credit(number)
    run(store)
    for number, seconds, state in ((1, -1, "sent"), (2, 60, "sent"), (3, 60, "accepted")):
        with unit_of_work():
            row = update(number)
            row.look_again_at, row.state = now() + timedelta(seconds=seconds), state
    with unit_of_work():
        claimed = delivering.claim_to_look_up(store.id, LANE, "worker")
        assert claimed is not None
        assert [row.reference for row in claimed[1]] == ["C1", "C2"]
