"""How an update of a plugin's kind could be lost, or leave twice, when several things go wrong at once."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from tests.updates import till as tills
from tests.updates.conftest import Credit, update
from tests.updates.test_kinds import LANE, Killed, Work, go_on, later, run
from webapp.channels.models import Store
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.sync import delivering, jobs
from webapp.updates.models import ChannelUpdate


def dies(*args: Any, **kwargs: Any) -> None:
    raise Killed


def dies_after_paying(store: Store) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(jobs, "settle", dies)
        with suppress(Killed):
            run(store)
    db.session.rollback()


def revisions() -> list[tuple[int, str]]:
    db.session.expire_all()
    query = select(ChannelUpdate.revision, ChannelUpdate.state).order_by(ChannelUpdate.revision)
    return [(revision, state) for revision, state in db.session.execute(query)]


# --- Whose worker died ------------------------------------------------------------------------------------------------


def test_one_that_is_corrected_while_its_worker_dies_is_looked_up(
    store: Store, till: tills.Ledger, credit: Credit, work: Work
) -> None:
    credit(1)
    dies_after_paying(store)
    credit(1, 200)
    go_on(store, work)
    assert revisions() == [(1, "accepted"), (2, "owed")]
    assert till.paid == ["C1"]


def test_one_whose_worker_died_keeps_the_lane_however_urgent_the_others_are(
    store: Store, till: tills.Ledger, credit: Credit
) -> None:
    credit(1)
    dies_after_paying(store)
    for number in range(2, 7):  # more than a batch
        credit(number)
    with unit_of_work():
        for row in db.session.scalars(select(ChannelUpdate)):
            row.deadline = now() + timedelta(days=9 if row.reference == "C1" else 1)
    with later(30), unit_of_work():
        claimed = delivering.claim_due(store.id, LANE, "second")
    assert claimed is not None
    assert claimed[1] == []
    assert (update(1).state, till.paid) == ("unknown", ["C1"])


def test_many_that_have_to_wait_do_not_keep_the_others(
    store: Store, till: tills.Ledger, credit: Credit, work: Work
) -> None:
    for number in range(1, 11):
        credit(number)
    tills.CreditKind.waiting.update(f"C{number}" for number in range(1, 10))
    jobs.find_due()
    work()
    assert till.paid == ["C10"]


# --- Leases that end by time alone ------------------------------------------------------------------------------------


def loses_its_lease(whole: Callable[..., Any], before: bool) -> Callable[..., Any]:
    """A channel that goes through its updates once more after its lease has ended, as a clock that jumps makes it."""

    def asks(store: Any, held: Any) -> Any:
        if before:
            held._lease._gone = True
            return {one.id: whole(store, [one])[one.id] for one in held}
        outcomes = whole(store, held)
        held._lease._gone = True
        return {one.id: outcomes[one.id] for one in held}

    return asks


def test_one_that_was_called_is_unknown_when_its_lease_ends_afterwards(
    store: Store, till: tills.Ledger, credit: Credit, work: Work, channel: Any
) -> None:
    credit()
    whole = channel.deliver
    channel.deliver = loses_its_lease(whole, before=False)
    run(store)
    channel.deliver = whole
    assert update().state == "unknown"
    go_on(store, work)
    assert (till.paid, update().state) == (["C1"], "accepted")


def test_a_look_whose_lease_ends_says_nothing(
    store: Store, till: tills.Ledger, credit: Credit, work: Work, channel: Any
) -> None:
    credit()
    till.drop = 1
    run(store)
    whole = channel.look_up
    channel.look_up = loses_its_lease(whole, before=True)
    with later(5):
        jobs.look_up(store.id, LANE)
    channel.look_up = whole
    assert update().state == "unknown"
    go_on(store, work)
    assert (till.paid, update().state) == (["C1"], "accepted")
