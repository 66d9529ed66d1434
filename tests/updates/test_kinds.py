"""A kind of a plugin, exclusive and not repeatable: whatever dies or comes twice, it happens once or says why."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import select

from tests.updates import till as tills
from tests.updates.conftest import LANE, Credit, Killed, Work, go_on, later, run, update
from webapp.audit.actor import Actor
from webapp.channels.models import AccountState, Store
from webapp.channels.outgoing import Update
from webapp.channels.services import access, add_store, remember_marketplaces
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import sentence_of
from webapp.hooks import hookimpl, hooks
from webapp.hooks.failures import Failure
from webapp.jobs import telling
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.sync import delivering, jobs, leases, settling
from webapp.testing import again, incoming_order
from webapp.updates import deciding, marks
from webapp.updates.contract import OutwardKind, Owing
from webapp.updates.kinds import kinds
from webapp.updates.models import ChannelUpdate, UpdateAttempt
from webapp.updates.owing import OnItsWay, owe

# --- Killed at every step ---------------------------------------------------------------------------------------------

STEPS = {
    "claimed": (jobs, "claim_due", "after"),
    "handed": (jobs, "to_send", "after"),
    "marked": (marks, "note", "after"),
    "before the attempt": (leases.HeldUpdates, "attempt", "before"),
    "after the attempt": (leases.HeldUpdates, "attempt", "after"),
    "before the call": (tills.TillChannel, "send", "before"),
    "after the call": (tills.TillChannel, "send", "after"),
    "before settling": (jobs, "settle", "before"),
    "in settling": (settling, "_settle_one", "after"),
    "after settling": (jobs, "settle", "after"),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_worker_killed_at_any_step_pays_once(
    store: Store, till: tills.Ledger, credit: Credit, work: Work, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name, when = STEPS[step]
    whole = getattr(owner, name)

    def dies(*args: Any, **kwargs: Any) -> Any:
        if when == "after":
            whole(*args, **kwargs)
        raise Killed

    credit()
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, dies)
        with pytest.raises(Killed):
            run(store)
    db.session.rollback()
    go_on(store, work)
    assert till.paid == ["C1"]
    assert update().state == "accepted"


def test_an_answer_that_is_lost_is_found_and_not_paid_again(
    store: Store, till: tills.Ledger, credit: Credit, work: Work
) -> None:
    till.drop = 1
    credit()
    run(store)
    assert (update().state, sentence_of(update().problem)) == (
        "unknown",
        "The channel's answer was lost. Waybill is checking whether the update was carried out.",
    )
    go_on(store, work)
    assert (till.paid, update().state) == (["C1"], "accepted")


def test_what_certainly_did_not_happen_is_sent_again(
    store: Store, till: tills.Ledger, credit: Credit, work: Work
) -> None:
    till.fail = 2
    credit()
    run(store)
    assert update().state == "owed"
    go_on(store, work)
    assert (till.paid, update().state) == (["C1"], "accepted")


# --- Lanes and attempts -----------------------------------------------------------------------------------------------


def test_two_workers_claim_at_once_and_one_has_the_lane(store: Store, till: tills.Ledger, credit: Credit) -> None:
    credit(1)
    credit(2)
    with unit_of_work():
        first = delivering.claim_due(store.id, LANE, "first")
    assert first is not None
    credit(3)
    with unit_of_work():
        assert delivering.claim_due(store.id, LANE, "second") is None
    assert [row.reference for row in first[1]] == ["C1", "C2"]


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_claims_at_the_same_moment_wait_for_the_lane(
    store: Store, till: tills.Ledger, credit: Credit, app: Any
) -> None:
    for number in range(1, 9):
        credit(number)
    claimed: list[int] = []

    def claim(name: str) -> None:
        with app.app_context(), unit_of_work():
            found = delivering.claim_due(store.id, LANE, name)
            claimed.append(len(found[1]) if found else 0)

    threads = [threading.Thread(target=claim, args=(f"w{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(claimed) == [0, 0, 0, 4]


def test_a_lane_belongs_to_the_account_and_not_to_the_store(
    store: Store, till: tills.Ledger, channel: tills.TillChannel, credit: Credit
) -> None:
    with unit_of_work():  # of a desk that let two stores have one account
        other = add_store("till", "The same till", {"url": till.url, "secret": "right"}, actor=Actor.operator())
        other.account_state = AccountState.OLDER
        remember_marketplaces(other, channel.connect(access(other)))
    assert store.account == other.account != ""
    credit(1)
    with unit_of_work():
        row = update()
        twin = ChannelUpdate(
            store_id=other.id, order_id=row.order_id, kind="credit", order_version=1, reference="C2", lane=LANE,
            payload=row.payload, state="owed", attempts=0, due_at=row.due_at, created_at=row.created_at,
        )  # fmt: skip
        db.session.add(twin)
    with unit_of_work():
        assert delivering.claim_due(store.id, LANE, "first") is not None
    with unit_of_work():
        assert delivering.claim_due(other.id, LANE, "second") is None


def test_one_of_unknown_fate_keeps_the_lane_until_there_is_a_handle(
    store: Store, till: tills.Ledger, credit: Credit, work: Work
) -> None:
    till.drop = 1
    credit(1)
    run(store)
    credit(2)
    run(store)
    assert (update(1).state, update(2).state) == ("unknown", "owed")
    with later(3):
        jobs.look_up(store.id, LANE)
        assert update(1).handle == "batch-1-1"
        run(store)
    assert update(2).state == "sent"
    assert till.paid == ["C1", "C2"]


def test_a_worker_that_sleeps_past_its_lease_and_wakes_pays_nothing(
    store: Store, till: tills.Ledger, credit: Credit, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sleeps before it stores its attempt; another looks, finds nothing, and pays."""
    whole = leases.HeldUpdates.attempt

    def sleeps(held: Any, *args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(leases.HeldUpdates, "attempt", whole)
        with unit_of_work():  # its signs of life stop
            db.session.execute(ChannelUpdate.__table__.update().values(lease_until=now() - timedelta(seconds=1)))
        go_on(store, work)
        return whole(held, *args, **kwargs)

    credit()
    monkeypatch.setattr(leases.HeldUpdates, "attempt", sleeps)
    run(store)
    assert (till.paid, update().state) == (["C1"], "accepted")


@pytest.mark.parametrize("seconds", [31, 360, -360])
def test_a_worker_that_sleeps_between_its_attempt_and_its_call_pays_nothing(
    store: Store, till: tills.Ledger, credit: Credit, work: Work, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    """Also where the clock of its machine is set by 6 minutes meanwhile."""
    whole, sleeping = leases.HeldUpdates.attempt, list[time_machine.travel]()

    def sleeps(*args: Any, **kwargs: Any) -> Any:
        begun = whole(*args, **kwargs)
        if not sleeping:
            sleeping.append(later(seconds))
            sleeping[0].start()
        return begun

    credit()
    monkeypatch.setattr(leases.HeldUpdates, "attempt", sleeps)
    try:
        run(store)
    finally:
        for one in sleeping:
            one.stop()
    assert till.paid == []
    go_on(store, work)
    assert (till.paid, update().state) == (["C1"], "accepted")


def test_a_clock_that_is_six_minutes_fast_takes_nothing_that_can_still_leave(
    store: Store, till: tills.Ledger, credit: Credit, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker has stored its attempt; another, whose clock is fast, believes its lease ended and finds nothing there.
    It must not send before the first one can't any more.
    """
    whole = tills.TillChannel.send

    def meanwhile(self: Any, *args: Any) -> None:
        monkeypatch.setattr(tills.TillChannel, "send", whole)
        with later(360):
            for _ in range(4):
                jobs.find_due()
                work()
        assert till.paid == []
        whole(self, *args)

    credit()
    monkeypatch.setattr(tills.TillChannel, "send", meanwhile)
    run(store)
    go_on(store, work, times=10)
    assert (till.paid, update().state) == (["C1"], "accepted")


def test_an_attempt_is_stored_with_its_key_its_size_and_the_channels_time(
    store: Store, till: tills.Ledger, credit: Credit
) -> None:
    for number in (1, 2, 3):
        credit(number)
    run(store)
    attempt = db.session.scalars(select(UpdateAttempt)).one()
    assert (attempt.key, attempt.messages, attempt.lane) == ("batch-1-1", 3, LANE)
    assert attempt.channel_at is not None
    assert {update(number).attempt_id for number in (1, 2, 3)} == {attempt.id}


def test_a_look_never_mixes_two_attempts_and_takes_whole_ones(
    store: Store, till: tills.Ledger, credit: Credit, channel: tills.TillChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 4):
        credit(number)
    run(store)
    for number in range(4, 6):
        credit(number)
    run(store)
    seen: list[list[str]] = []
    look_up = channel.look_up

    def watched(access: Any, updates: Sequence[Update]) -> Any:
        seen.append([one.reference for one in updates])
        return look_up(access, updates)

    monkeypatch.setattr(channel, "look_up", watched)
    with later(2):
        jobs.look_up(store.id, LANE)
        jobs.look_up(store.id, LANE)
    assert seen == [["C1", "C2", "C3"], ["C4", "C5"]]


def test_what_was_not_carried_out_goes_in_ever_smaller_batches(
    store: Store, till: tills.Ledger, credit: Credit, work: Work
) -> None:
    till.leaves = {4, 2}
    for number in range(1, 5):
        credit(number)
    run(store)
    go_on(store, work, times=30)
    assert sorted(till.paid) == ["C1", "C2", "C3", "C4"]
    assert [len(one) for one in till.batches.values()] == [4, 2, 2, 1, 1, 1, 1]
    assert {update(number).together for number in range(1, 5)} == {1}


# --- Accepted, and what readings show ---------------------------------------------------------------------------------


def test_accepted_is_open_until_a_reading_shows_or_contradicts_it(
    store: Store, till: tills.Ledger, credit: Credit, work: Work, order: Order, take: Callable[..., list[Order]]
) -> None:
    credit(1)
    credit(2)
    run(store)
    go_on(store, work, times=2)
    assert {update(1).state, update(2).state} == {"accepted"}
    assert sentence_of(update().problem) == "rounded up"
    told = incoming_order(number=order.channel_order_number)
    take(again(told, flags=("credited:C1",)))
    assert (update(1).state, update(2).state) == ("effective", "accepted")
    take(again(told, minutes=9, flags=("credited:C1", "nothing_paid")))
    assert (update(1).state, update(2).state) == ("effective", "refused")
    assert [trouble["kind"] for trouble in db.session.get_one(Order, order.id).attention] == ["update_refused"]
    assert tills.CreditKind.ended == [("C1", "effective"), ("C2", "refused")]


def test_one_that_is_refused_in_the_report_says_why(
    store: Store, till: tills.Ledger, credit: Credit, work: Work
) -> None:
    till.refuses = {"C1"}
    credit()
    run(store)
    go_on(store, work, times=2)
    assert (update().state, sentence_of(update().problem)) == ("refused", "no such credit")
    assert till.paid == []


# --- A kind that fails ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["stands", "ready"])
def test_a_kind_that_raises_lets_its_updates_wait(
    store: Store,
    till: tills.Ledger,
    credit: Credit,
    work: Work,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    plugin_failures: list[Failure],
) -> None:
    credit()

    def breaks(*args: Any) -> None:
        raise KeyError("no")

    with monkeypatch.context() as patched:
        patched.setattr(tills.CreditKind, name, breaks)
        run(store)
        assert (update().state, till.paid) == ("owed", [])
        assert "failed" in (sentence_of(update().problem) or "")
    assert [(one.plugin, one.place, one.code) for one in plugin_failures] == [("till", "update", "credit")]
    plugin_failures.clear()
    go_on(store, work)
    assert till.paid == ["C1"]


@pytest.mark.parametrize("circle", [{"credit": ["credit"]}, {"credit": ["other"], "other": ["third", "credit"]}])
def test_kinds_that_wait_for_each_other_in_a_circle_are_refused(
    app: Any, circle: dict[str, list[str]], plugin_failures: list[Failure]
) -> None:
    def kind(name: str) -> tills.CreditKind:
        made: Any = type("Kind", (tills.CreditKind,), {"code": name, "waits_for": circle.get(name, [])})
        return made()  # type: ignore[no-any-return]

    class Circle:
        @hookimpl
        def register_outward_kinds(self) -> list[OutwardKind]:
            return [kind(name) for name in ("credit", "other", "third")]

    hooks.manager.register(Circle(), name="circle")
    assert set(kinds()) & set(circle) == set()
    assert "third" in kinds()
    assert [one.detail for one in plugin_failures] == [f"the kind {name} waits for itself" for name in sorted(circle)]
    plugin_failures.clear()


def test_what_gathers_goes_together_after_its_time(
    store: Store, till: tills.Ledger, order: Order, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipment, carriage = tills.TillChannel.kinds
    monkeypatch.setattr(tills.TillChannel, "kinds", (shipment, replace(carriage, gather=120.0)))
    monkeypatch.setattr(tills.CreditKind, "hold", None)
    for number, after in ((1, 0), (2, 100)):
        with later(after), unit_of_work():
            owe("credit", [Owing(locked(order), tills.Credit(number, 5))])
    with later(110):
        jobs.find_due()
        work()
        assert till.paid == []
    with later(121):
        jobs.find_due()
        work()
    assert [len(batch) for batch in till.batches.values()] == [2]


def test_what_is_private_is_read_just_before_it_leaves_and_kept_nowhere(
    store: Store, till: tills.Ledger, credit: Credit, channel: tills.TillChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(tills.CreditKind, "private", lambda self, row: {"text": f"Dear Jane, {row.reference}"})
    monkeypatch.setattr(channel, "send", lambda store, key, credits: None)
    deliver = channel.deliver
    monkeypatch.setattr(channel, "deliver", lambda store, held: (seen.extend(held), deliver(store, held))[1])
    credit()
    run(store)
    assert [dict(one.private) for one in seen] == [{"text": "Dear Jane, C1"}]
    assert "Jane" not in repr(seen)
    assert "Jane" not in str(update().payload)


def test_what_a_channel_does_wrong_is_known_for_what_it_is(
    store: Store, till: tills.Ledger, credit: Credit, work: Work, channel: Any, plugin_failures: list[Failure]
) -> None:
    """It raises before anything was called: nothing happened. It raises afterwards: nobody knows."""
    whole, credits = channel.deliver, [1, 2]
    for number in credits:
        credit(number)

    def breaks(access: Any, held: Any) -> None:
        if held[0].reference == "C2":
            whole(access, held)
        raise KeyError("no")

    channel.deliver = breaks
    with unit_of_work():
        update(2).due_at = now() + timedelta(seconds=10)
    run(store)
    assert (update(1).state, till.paid) == ("owed", [])
    with later(11):
        run(store)
    assert (update(2).state, till.paid) == ("unknown", ["C2"])
    assert {(one.plugin, one.place, one.code) for one in plugin_failures} == {("till", "update", "till")}
    plugin_failures.clear()
    channel.deliver = whole
    go_on(store, work)
    assert sorted(till.paid) == ["C1", "C2"]


def test_a_kind_that_fails_at_its_end_is_told_again(
    store: Store, till: tills.Ledger, credit: Credit, work: Work, monkeypatch: pytest.MonkeyPatch, order: Order,
    take: Callable[..., list[Order]], plugin_failures: list[Failure],
) -> None:  # fmt: skip
    credit()
    run(store)

    def breaks(self: Any, row: Any) -> None:
        raise KeyError("no")

    told = incoming_order(number=order.channel_order_number)
    with monkeypatch.context() as patched:
        patched.setattr(tills.CreditKind, "settled", breaks)
        take(again(told, flags=("credited:C1",)))
    assert update().state == "effective"
    assert tills.CreditKind.ended == []
    assert plugin_failures
    plugin_failures.clear()
    with later(90):
        telling.tell_again()
    assert tills.CreditKind.ended == [("C1", "effective")]


STEPS_OF_LIFE = st.lists(
    st.sampled_from(["run", "drop", "fail", "die", "look", "undo", "wait", "again", "owe"]), max_size=10
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS_OF_LIFE)
def test_whatever_happens_in_whatever_order_each_credit_is_paid_once_or_says_why(
    store: Store, till: tills.Ledger, order: Order, work: Work, mia: Actor, steps: list[str]
) -> None:
    """Answers lost, workers dying after they paid, undone and sent again, in any order: never twice."""
    with unit_of_work():
        db.session.execute(ChannelUpdate.__table__.delete())
    till.paid.clear()
    till.batches.clear()
    till.drop = till.fail = 0
    at, number, undone = now(), 0, set[str]()
    for step in ["owe", *steps, "owe"]:
        with time_machine.travel(at, tick=True):
            match step:
                case "owe":
                    number += 1
                    with unit_of_work():
                        owe("credit", [Owing(locked(order), tills.Credit(number, 1))])
                case "drop":
                    till.drop += 1
                case "fail":
                    till.fail += 1
                case "run":
                    jobs.deliver(store.id, LANE)
                case "look":
                    jobs.look_up(store.id, LANE)
                case "die":
                    with pytest.MonkeyPatch.context() as patched:
                        patched.setattr(jobs, "settle", _dies)
                        with suppress(Killed):
                            jobs.deliver(store.id, LANE)
                    db.session.rollback()
                case "undo":
                    for row in db.session.scalars(select(ChannelUpdate)).all():
                        with suppress(OnItsWay, deciding.AlreadyEnded), unit_of_work():
                            deciding.undo(row, actor=mia)
                            undone.add(row.reference)
                case "again":
                    for row in db.session.scalars(select(ChannelUpdate)).all():
                        with suppress(deciding.NotRetriable), unit_of_work():
                            deciding.retry(row, actor=mia)
                case "wait":
                    at += timedelta(minutes=3)
            assert len(till.paid) == len(set(till.paid))
    with time_machine.travel(at + timedelta(minutes=5), tick=True):
        go_on(store, work, times=12, every=200)
    rows = {row.reference: row.state for row in db.session.scalars(select(ChannelUpdate)).all()}
    assert set(rows) == {f"C{one}" for one in range(1, number + 1)}
    assert sorted(till.paid) == sorted(set(rows) - undone)
    assert {rows[one] for one in till.paid} <= {"accepted"}
    assert {rows[one] for one in undone} <= {"withdrawn"}


def _dies(*args: Any, **kwargs: Any) -> None:
    raise Killed
