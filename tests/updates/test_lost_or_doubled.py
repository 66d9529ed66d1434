"""How an update of a plugin's kind could be lost, or leave twice, when several things go wrong at once."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, select

from tests.updates import till as tills
from tests.updates.conftest import LANE, Credit, Killed, Work, go_on, later, run, update
from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.channels.outgoing import Accepted, Unknown
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import sentence_of
from webapp.hooks.failures import Failure
from webapp.jobs import telling
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.sync import delivering, jobs, recovery, settling
from webapp.sync.activity import OlderDatabase
from webapp.testing import incoming_order
from webapp.updates import deciding, marks
from webapp.updates.contract import Owing
from webapp.updates.models import ChannelUpdate
from webapp.updates.owing import owe


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


def test_one_whose_worker_died_is_somebodys_business_when_its_kind_is_gone(
    store: Store, credit: Credit, mia: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    credit(1)
    dies_after_paying(store)
    monkeypatch.setattr(tills.TillChannel, "kinds", tills.TillChannel.kinds[:1])
    with later(30):
        run(store)
    assert update().state == "unknown"
    with unit_of_work():
        deciding.confirm(update(), actor=mia)
    assert update().state == "effective"


@pytest.mark.parametrize("why", ["problem", "read_only"])
def test_one_whose_worker_died_is_somebodys_business_while_nothing_may_be_sent(
    store: Store, till: tills.Ledger, credit: Credit, work: Work, mia: Actor, why: str
) -> None:
    """Nobody could find out its result, and it occupied the lane of another store of the account."""
    credit(1)
    credit(2)
    with unit_of_work():
        update(2).due_at = now() + timedelta(minutes=1)
    dies_after_paying(store)
    with unit_of_work():
        setattr(db.session.get_one(Store, store.id), why, OlderDatabase().stored())
    with later(90):
        jobs.find_due()
        work()
    assert till.paid == ["C1"]
    assert update(1).state == "unknown"
    with unit_of_work():
        deciding.confirm(update(1), actor=mia)
    assert (update(2).state, update(2).attempts) == ("owed", 0)


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
    """A channel that iterates over its updates once more after their lease has ended, as after a jump of the clock."""

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


# --- An older database ------------------------------------------------------------------------------------------------


def is_put_back() -> None:
    """The database is older than what was sent: its rows are as they are now, and more than they say may have been
    sent.
    """
    with unit_of_work():
        marks.note(update=10_000)
    assert recovery.recover()


@pytest.fixture
def unmarked() -> Iterator[None]:
    marks._path().unlink(missing_ok=True)
    yield
    marks._path().unlink(missing_ok=True)


@pytest.mark.usefixtures("unmarked")
def test_one_that_was_sent_before_the_backup_may_have_been_sent_again_since(
    store: Store, till: tills.Ledger, credit: Credit, work: Work
) -> None:
    """The backup contains a batch that was not carried out; what was sent after the backup only the till knows."""
    till.leaves = {1}
    credit()
    run(store)
    till.leaves = set()
    till.batches["later"] = till.batches.pop(update().handle or "")  # sent again under another key
    till.paid.append("C1")
    assert update().state == "sent"
    is_put_back()
    assert (update().state, update().handle) == ("unknown", None)
    with unit_of_work():
        db.session.get_one(Store, store.id).read_only = None
    go_on(store, work)
    assert (till.paid, update().state) == (["C1"], "accepted")


@pytest.mark.usefixtures("unmarked")
def test_one_that_the_channel_no_longer_carries_may_have_left_too(
    store: Store, credit: Credit, monkeypatch: pytest.MonkeyPatch
) -> None:
    credit()
    with monkeypatch.context() as patched:
        patched.setattr(tills.TillChannel, "kinds", tills.TillChannel.kinds[:1])
        is_put_back()
    assert update().state == "unknown"


@pytest.mark.usefixtures("unmarked")
def test_one_that_can_not_be_looked_up_is_said_on_its_order_and_can_not_be_disowned_early(
    store: Store, credit: Credit, order: Order, mia: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tills.CreditKind, "provable", False)
    monkeypatch.setattr(tills.CreditKind, "disowned_after", timedelta(hours=72))
    credit()
    with later(80 * 3600):
        is_put_back()
        assert (update().state, update().look_again_at) == ("unknown", None)
        assert [one["kind"] for one in db.session.get_one(Order, order.id).attention] == ["update_undecided"]
        with pytest.raises(deciding.TooSoonToDisown), unit_of_work():
            deciding.close(update(), actor=mia)


# --- Corrections ------------------------------------------------------------------------------------------------------


def test_one_whose_correction_is_undone_goes_itself(
    store: Store, till: tills.Ledger, credit: Credit, work: Work, mia: Actor
) -> None:
    till.fail = 1
    credit(1)
    run(store)
    credit(1, 200)
    assert revisions() == [(1, "owed"), (2, "owed")]
    with unit_of_work():
        deciding.undo(update(), actor=mia)
    go_on(store, work)
    assert revisions() == [(1, "accepted"), (2, "withdrawn")]
    assert till.paid == ["C1"]
    credit(1, 300)
    assert revisions()[2] == (3, "owed")


def test_a_correction_takes_the_place_of_the_earlier_one_only_when_it_goes(
    store: Store, till: tills.Ledger, credit: Credit, work: Work, mia: Actor
) -> None:
    till.fail = 1
    credit(1)
    run(store)
    credit(1, 200)
    tills.CreditKind.waiting.add("C1")
    jobs.find_due()
    work()
    assert revisions() == [(1, "owed"), (2, "owed")]
    tills.CreditKind.waiting.clear()
    with unit_of_work():
        deciding.undo(update(), actor=mia)
    go_on(store, work)
    assert till.paid == ["C1"]


# --- What is kept beside the database ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("unmarked")
@pytest.mark.parametrize("written", ["{", '{"update": "x"}', "[]", ""])
def test_nothing_is_sent_while_the_mark_can_not_be_kept(
    store: Store, till: tills.Ledger, credit: Credit, work: Work, written: str
) -> None:
    path = marks._path()
    path.write_text(written)
    credit()
    run(store)
    assert (update().state, update().lease_owner, till.paid) == ("owed", None, [])
    assert f"Waybill can't write its record of sent updates to “{path}”" in (sentence_of(update().problem) or "")
    path.unlink()
    go_on(store, work)
    assert till.paid == ["C1"]


@pytest.mark.usefixtures("unmarked")
@pytest.mark.parametrize("number", [1, 2])
def test_nothing_is_sent_while_the_disk_is_full(
    store: Store, till: tills.Ledger, credit: Credit, work: Work, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the channel is called, or when the attempt is stored."""
    whole, calls = marks._keep, itertools.count(1)

    def full(leaving: marks.Mark) -> None:
        if next(calls) == number:
            raise OSError(28, "No space left on device")
        whole(leaving)

    credit()
    with monkeypatch.context() as patched:
        patched.setattr(marks, "_keep", full)
        run(store)
    assert (update().state, update().lease_owner, till.paid) == ("owed", None, [])
    assert "No space left" in (sentence_of(update().problem) or "")
    go_on(store, work)
    assert till.paid == ["C1"]


# --- Told again -------------------------------------------------------------------------------------------------------


def test_a_kind_is_told_no_end_again_that_has_been_taken_back(
    store: Store, till: tills.Ledger, credit: Credit, work: Work, mia: Actor, monkeypatch: pytest.MonkeyPatch,
    plugin_failures: list[Failure],
) -> None:  # fmt: skip
    def breaks(self: Any, row: Any) -> None:
        raise KeyError("no")

    till.refuses = {"C1"}
    credit()
    with monkeypatch.context() as patched:
        patched.setattr(tills.CreditKind, "settled", breaks)
        run(store)
        with later(30):
            jobs.look_up(store.id, LANE)
    assert update().state == "refused"
    plugin_failures.clear()
    with unit_of_work():
        deciding.retry(update(), actor=mia)
    with later(120):
        telling.tell_again()
    assert tills.CreditKind.ended == []


# --- What is said of them ---------------------------------------------------------------------------------------------


def test_one_that_is_accepted_says_no_more_why_it_waited(
    store: Store, till: tills.Ledger, credit: Credit, work: Work, channel: Any
) -> None:
    tills.CreditKind.waiting.add("C1")
    credit()
    run(store)
    assert sentence_of(update().problem) == "Nobody wants this credit any more."
    tills.CreditKind.waiting.clear()
    whole = channel.deliver
    channel.deliver = lambda access, held: dict.fromkeys(whole(access, held), Accepted())
    with later(301):
        run(store)
    assert (update().state, update().problem) == ("accepted", None)


def test_one_that_goes_again_after_all_is_no_longer_missed(
    store: Store, till: tills.Ledger, credit: Credit, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipment, carriage = tills.TillChannel.kinds
    monkeypatch.setattr(tills.TillChannel, "kinds", (shipment, replace(carriage, unseen_after=60.0)))
    credit()
    run(store)
    with later(90):
        jobs.look_up(store.id, LANE)
    assert [one["kind"] for one in db.session.get_one(Order, order.id).attention] == ["update_unseen"]
    till.leaves = {1}
    with later(3700 * 2):
        jobs.look_up(store.id, LANE)
    db.session.expire_all()
    assert (update().state, update().problem) == ("owed", None)
    assert db.session.get_one(Order, order.id).attention == []


def test_one_whose_private_part_fails_can_still_be_undone(
    store: Store, credit: Credit, mia: Actor, monkeypatch: pytest.MonkeyPatch, plugin_failures: list[Failure]
) -> None:
    def breaks(self: Any, row: Any) -> None:
        raise KeyError("no")

    monkeypatch.setattr(tills.CreditKind, "private", breaks)
    credit()
    run(store)
    plugin_failures.clear()
    with unit_of_work():
        deciding.undo(update(), actor=mia)
    assert update().state == "withdrawn"


def test_the_same_twice_in_one_call_is_one(store: Store, order: Order) -> None:
    with unit_of_work():
        mine = locked(order)
        rows = owe("credit", [Owing(mine, tills.Credit(1, 100)), Owing(mine, tills.Credit(1, 200))])
    assert rows[0] is rows[1]
    assert (revisions(), update().payload["amount"]) == ([(1, "held")], 200)


def test_what_a_page_shows_costs_as_much_for_many_as_for_two(
    store: Store, till: tills.Ledger, credit: Credit, order: Order, take: Callable[..., list[Order]]
) -> None:
    def statements(numbers: range) -> int:
        for number in numbers:
            credit(number)
        run(store)
        asked: list[str] = []
        with unit_of_work():
            held = locked(order)
            reading = incoming_order(flags=tuple(f"credited:C{number}" for number in numbers))
            count: Callable[..., None] = lambda *args: asked.append(args[2])  # noqa: E731
            event.listen(db.engine, "before_cursor_execute", count)
            settling.settle_by_reading({held.id: reading})
            db.session.flush()
            event.remove(db.engine, "before_cursor_execute", count)
        assert {update(number).state for number in numbers} == {"effective"}
        return sum(one.startswith("SELECT") for one in asked)

    assert statements(range(1, 3)) == statements(range(3, 7))


# --- Recovery that dies, looks that learn nothing ---------------------------------------------------------------------


@pytest.mark.usefixtures("unmarked")
def test_a_recovery_that_dies_is_made_again(store: Store, credit: Credit, monkeypatch: pytest.MonkeyPatch) -> None:
    credit()
    marks.note(update=10_000)
    with monkeypatch.context() as patched:
        patched.setattr(recovery, "audit", dies)
        with pytest.raises(Killed):
            recovery.recover()
    db.session.rollback()
    assert update().state == "owed"
    assert recovery.recover()
    assert update().state == "unknown"
    assert not recovery.recover()


def test_looks_that_learn_nothing_become_rarer_and_do_not_count_as_leaving(
    store: Store, till: tills.Ledger, credit: Credit, channel: Any, mia: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tills.CreditKind, "disowned_after", timedelta(hours=1))
    till.drop = 1
    credit()
    run(store)
    channel.look_up = lambda access, held: {one.id: Unknown() for one in held}
    looks = 0
    for minutes in range(1, 70):
        with later(60 * minutes):
            before = update().look_again_at
            jobs.look_up(store.id, LANE)
            looks += update().look_again_at != before
    assert 3 <= looks <= 12
    with later(3700), pytest.raises(deciding.LookFirst), unit_of_work():
        deciding.close(update(), actor=mia)


def test_the_most_urgent_goes_first_and_what_has_no_deadline_last(store: Store, credit: Credit) -> None:
    for number in (1, 2, 3):
        credit(number)
    with unit_of_work():
        for row in db.session.scalars(select(ChannelUpdate).where(ChannelUpdate.reference != "C1")):
            row.deadline = now() + timedelta(days=1 if row.reference == "C3" else 2)
        db.session.flush()
        claimed = delivering.claim_due(store.id, LANE, "one")
    assert claimed is not None
    assert [row.reference for row in claimed[1]] == ["C3", "C2", "C1"]
