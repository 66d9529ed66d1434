"""Buyers are erased by date: what is due, what waits, and in chunks."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import event, select, update
from structlog.testing import capture_logs

from tests.orders.conftest import Take, Work, days_later, erase_all, names_of, shipped
from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.channels.incoming import ChannelStage, IncomingOrder
from webapp.channels.keeping import BUYERS, NAME, days_of, setting_of
from webapp.channels.models import Store
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import DatabaseBusy, Invalid
from webapp.hooks import hookimpl, hooks
from webapp.hooks.failures import Failure
from webapp.jobs import runs
from webapp.jobs.models import Run
from webapp.orders import erasing
from webapp.orders.erasing import count_due, erase_by_date, erase_chunk, preview, start
from webapp.orders.holds import hold, release
from webapp.orders.models import Order, OrderEvent
from webapp.orders.queries import find_order, locked
from webapp.orders.services import comment
from webapp.settings.services import change
from webapp.sync.models import QuarantinedOrder
from webapp.sync.taking_in.quarantine import quarantine
from webapp.testing import FakeChannel, again, incoming_order
from webapp.updates.models import ChannelUpdate, UpdateState
from webapp.vault import services as vault
from webapp.vault.services import erased, open_sealed

DAY = timedelta(days=1)


def of_parcel(order: IncomingOrder, **more: Any) -> IncomingOrder:
    [parcel] = order.packages
    return again(order, packages=(replace(parcel, **more),))


def due_of(store: Store) -> int:
    db.session.rollback()
    return preview(store, Actor.operator()).due


# --- What is due ------------------------------------------------------------------------------------------------------


def test_a_buyer_is_erased_thirty_days_after_the_promised_day_if_nobody_tells_of_delivery(
    take: Take, store: Store, work: Work
) -> None:
    told = incoming_order()  # promised for six days from now
    [order] = take(told)
    take(shipped(told))
    other = take(incoming_order(raw={"order": "open"}))[0].id
    ids = [order.id, other]
    with days_later(35.5):
        erase_all(work)
        assert names_of(ids) == set(ids)
    with days_later(36.5):
        erase_all(work)
        assert names_of(ids) == {other}
        assert preview(store, Actor.operator()).open == 1
    [run] = db.session.scalars(select(Run).where(Run.kind == erasing.KIND))
    assert (run.state, run.done, run.total, run.subject_id) == ("done", 1, 1, store.id)
    assert "buyer_erased" in db.session.scalars(select(OrderEvent.code).where(OrderEvent.order_id == ids[0])).all()
    [entry] = db.session.scalars(select(AuditEntry).where(AuditEntry.code == "buyers_erased"))
    assert entry.data == {"store": store.id, "run": run.id, "erased": 1}


def test_delivery_counts_where_it_is_told_from_when_it_was_told_first(take: Take, store: Store) -> None:
    told = incoming_order()
    take(told)
    told = shipped(told)
    take(told)
    arrived = of_parcel(told, status="DELIVERED", delivered=True)
    take(arrived)  # five minutes later each
    take(again(arrived, minutes=10_000, service_level="STANDARD"))
    with days_later(29.9):
        assert due_of(store) == 0
    with days_later(30.1):
        assert due_of(store) == 1  # days before what was promised


def test_a_parcel_that_left_or_arrived_late_is_waited_for(take: Take, store: Store) -> None:
    at = now() - 40 * DAY
    told = incoming_order(created_at=at)  # to be delivered 34 days ago
    take(told)
    left = shipped(told)
    [parcel] = left.packages
    late = replace(left, updated_at=now() - DAY, packages=(replace(parcel, shipped_at=now() - DAY),))
    take(late)
    assert due_of(store) == 0
    with days_later(30.1):
        assert due_of(store) == 1
        take(replace(of_parcel(late, delivered=True, status="DELIVERED"), updated_at=now() - DAY))
        assert due_of(store) == 0


def test_without_any_day_of_delivery_two_weeks_are_allowed_for_the_way(take: Take, store: Store) -> None:
    told = incoming_order(deliver_by=None)
    take(told)
    take(shipped(told))
    with days_later(45):
        assert due_of(store) == 0
    with days_later(46.1):  # to be shipped after two days
        assert due_of(store) == 1


def test_a_canceled_order_counts_from_its_cancellation(take: Take, store: Store) -> None:
    told = incoming_order()
    take(told)
    canceled = again(told, stage=ChannelStage.CANCELED, status="CANCELLED", minutes=3 * 24 * 60)
    take(canceled)
    with days_later(32):
        assert due_of(store) == 0
    with days_later(33.1):
        assert due_of(store) == 1


def test_later_news_of_a_canceled_order_puts_its_date_off_no_further(take: Take, store: Store, work: Work) -> None:
    told = incoming_order()
    take(told)
    canceled = again(told, stage=ChannelStage.CANCELED, status="CANCELLED")
    [order] = take(canceled)
    with days_later(28):
        take(again(canceled, minutes=28 * 24 * 60, service_level="STANDARD"))
    with days_later(29.9):
        assert due_of(store) == 0
    with days_later(30.1):
        assert due_of(store) == 1
        erase_all(work)
        assert names_of([order.id]) == set()


def test_an_order_that_arrived_as_canceled_counts_from_its_arrival_at_the_latest(take: Take, store: Store) -> None:
    told = incoming_order(created_at=now() - 50 * DAY, stage=ChannelStage.CANCELED, status="CANCELLED")
    late = replace(told, updated_at=now() - 3 * DAY)  # ordered long ago and canceled now
    take(late)
    with days_later(26.9):
        assert due_of(store) == 0
        take(again(late, minutes=20 * 24 * 60, service_level="STANDARD"))
    with days_later(29.9):
        assert due_of(store) == 0
    with days_later(30.1):
        assert due_of(store) == 1


def test_a_hold_and_a_running_update_are_waited_for(
    take: Take, store: Store, mia: Actor, work: Work, channel: FakeChannel
) -> None:
    told = [incoming_order(), incoming_order(), incoming_order()]
    held = take(*told)[0].id
    owed, plain = [order.id for order in take(*(shipped(one) for one in told[1:]))]
    with unit_of_work():
        hold(locked(db.session.get_one(Order, held)), "asks for a refund", actor=mia)
        db.session.add(
            ChannelUpdate(
                store_id=store.id, order_id=owed, kind="shipment", order_version=1, reference="1", payload={},
                state=UpdateState.SENT, due_at=now(), created_at=now(), look_again_at=now() + 400 * DAY,
            )
        )  # fmt: skip
    with days_later(50):
        seen = preview(store, Actor.operator())
        assert (seen.due, seen.on_hold, seen.under_way, seen.waiting) == (1, 1, 1, 2)
        erase_all(work)
        assert names_of([held, owed, plain]) == {held, owed}
        with unit_of_work():
            release(locked(db.session.get_one(Order, held)), actor=mia)
            db.session.query(ChannelUpdate).one().state = UpdateState.REFUSED
    with days_later(51):
        erase_all(work)
        assert names_of([held, owed, plain]) == {held}
        take(shipped(told[0]))
    with days_later(52):
        erase_all(work)
        assert names_of([held, owed, plain]) == set()


def test_what_is_written_of_an_erased_order_is_kept_as_long_again(take: Take, mia: Actor, work: Work) -> None:
    told = incoming_order()
    take(told)
    [order] = take(shipped(told))
    order_id = order.id
    with days_later(40):
        erase_all(work)
        with unit_of_work():
            row = comment(find_order(f"@{order_id}", mia, lock=True), "She rang again", actor=mia)
            sealed = row.sealed
        erase_all(work)
        assert open_sealed([(order_id, "comment", sealed)]) == ["She rang again"]
    with days_later(69):
        erase_all(work)
        assert open_sealed([(order_id, "comment", sealed)]) == ["She rang again"]
    with days_later(78):
        erase_all(work)
        assert open_sealed([(order_id, "comment", sealed)]) == [None]
    assert erased([order_id]) == {order_id}


def test_what_could_not_be_read_as_an_order_is_erased_by_its_own_date(take: Take, store: Store, work: Work) -> None:
    with unit_of_work():
        quarantine(store.id, [("302-1", "total", "missing", {"buyer": "Jane Quixelworth"})])
    with days_later(29):
        assert preview(store, Actor.operator()).total == 0
    with days_later(31):
        assert preview(store, Actor.operator()).unplaced == 1
        erase_all(work)
        [order] = db.session.scalars(select(QuarantinedOrder))
        assert (order.number, order.problem, order.period, order.payload) == ("302-1", "missing", "", b"")
        assert preview(store, Actor.operator()).total == 0
    [run] = db.session.scalars(select(Run).where(Run.kind == erasing.KIND))
    assert (run.state, run.done, run.total) == ("done", 1, 1)


# --- When -------------------------------------------------------------------------------------------------------------


def look(work: Work, *, hours: float) -> bool:
    """Run the hourly check so many hours from now; returns whether it found something to do."""
    with time_machine.travel(now() + timedelta(hours=hours), tick=True):
        if found := erasing.any_to_erase():
            erase_by_date.send()
            work()
    db.session.expire_all()
    return found


def runs_of_clock() -> list[int]:
    query = select(Run.done).where(Run.kind == erasing.KIND, Run.actor_kind == "job").order_by(Run.id)
    return list(db.session.scalars(query))


def test_one_run_a_day_takes_what_falls_due_until_the_next(take: Take, store: Store, work: Work) -> None:
    """Checked every hour, each buyer is erased by the hour of its date, and at most a day before."""
    falls_due = dict[int, int]()
    for hour in (3, 4, 20, 26, 40, 75):
        told = incoming_order(created_at=now() - timedelta(days=36) + timedelta(hours=hour))  # promised 6 days later
        take(told)
        [order] = take(shipped(told))
        falls_due[order.id] = hour
    gone: dict[int, int] = {}
    for hour in range(80):
        if look(work, hours=hour):
            left = names_of(list(falls_due))
            gone |= {due: hour for order, due in falls_due.items() if order not in left and due not in gone}
    assert gone == {3: 1, 4: 1, 20: 1, 26: 24, 40: 24, 75: 73}
    assert runs_of_clock() == [3, 2, 1]


def test_without_a_worker_the_first_look_afterwards_erases(take: Take, store: Store, work: Work) -> None:
    told = incoming_order(created_at=now() - timedelta(days=50))
    take(told)
    [order] = take(shipped(told))
    assert look(work, hours=0)
    assert names_of([order.id]) == set()


def test_where_buyers_are_kept_for_no_day_nothing_is_foreseen(take: Take, store: Store, work: Work) -> None:
    with unit_of_work():
        change(BUYERS, {NAME: "0"}, store, actor=Actor.operator())
    ids = []
    for hour in (3.5, 5.5):
        told = incoming_order(created_at=now() - timedelta(days=6) + timedelta(hours=hour))
        take(told)
        ids.append(take(shipped(told))[0].id)
    for hour, left in ((3, 2), (4, 1), (5, 1), (6, 0)):
        look(work, hours=hour)
        assert len(names_of(ids)) == left
    assert runs_of_clock() == [1, 1]


def test_a_run_that_somebody_pauses_rests_until_the_next_day(due: list[int], store: Store, work: Work) -> None:
    erasing.begin_erasing(store.id)
    [run_id] = db.session.scalars(select(Run.id))
    with unit_of_work():
        runs.pause(runs.find_run(run_id, lock=True))
    work()
    for hour in (1, 12):
        assert not look(work, hours=hour)
    assert names_of(due) == set(due)
    assert look(work, hours=23)
    assert names_of(due) == set()


def test_a_look_that_takes_long_is_left_to_a_worker(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasing, "_LOOK", 0)
    assert erasing.any_to_erase()


# --- The setting ------------------------------------------------------------------------------------------------------


def test_a_channel_bounds_the_days(take: Take, store: Store, monkeypatch: pytest.MonkeyPatch, operator: Actor) -> None:
    assert days_of(store) == 30
    with unit_of_work():
        change(BUYERS, {NAME: "400"}, store, actor=operator)
    assert days_of(store) == 400
    monkeypatch.setattr(FakeChannel, "buyers_kept_at_most", 20)
    assert (days_of(store), setting_of(store).default) == (20, 20)
    for refused in ("21", "-1", "", "many"):
        with pytest.raises(Invalid), unit_of_work():
            change(BUYERS, {NAME: refused}, store, actor=operator)
    with unit_of_work():
        change(BUYERS, {NAME: "0"}, store, actor=operator)
    told = incoming_order()
    take(told)
    take(shipped(told))
    with days_later(6.1):
        assert due_of(store) == 1
    assert NAME in {setting_of(store).name}


# --- As a run ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def due(take: Take, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Five orders that are due, erased in chunks of two."""
    monkeypatch.setattr(erasing, "CHUNK", 2)
    told = [incoming_order(created_at=now() - 60 * DAY) for _ in range(5)]
    take(*told)
    return [order.id for order in take(*(shipped(one) for one in told))]


def begin(store: Store, operator: Actor) -> int:
    total = count_due(store)
    with unit_of_work():
        run = start(store, actor=operator, total=total)
        assert run is not None
        return run.id


def test_a_preview_changes_nothing_and_a_run_is_joined(due: list[int], store: Store, operator: Actor) -> None:
    assert due_of(store) == 5
    assert names_of(due) == set(due)
    assert begin(store, operator) == begin(store, operator)


@pytest.mark.parametrize("who", ["operator", "max"])
def test_whoever_erases_is_on_the_record(
    due: list[int], store: Store, make_user: Callable[..., Actor], operator: Actor, work: Work, who: str
) -> None:
    actor = operator if who == "operator" else make_user("manager", "Max")
    run_id = begin(store, actor)
    begin(store, actor)  # joins it
    work()
    told = select(AuditEntry).where(AuditEntry.code.in_(["erasing_started", "buyers_erased"])).order_by(AuditEntry.id)
    started, *erased_by = db.session.scalars(told)
    assert (started.actor_kind, started.actor_id) == (actor.kind, actor.id)
    assert started.data == {"store": store.id, "run": run_id, "total": 5}
    assert {entry.actor_kind for entry in erased_by} == {"job"}


@pytest.mark.parametrize("cap", [4, 5])
def test_a_preview_looks_at_so_many_orders_and_says_where_there_are_more(
    due: list[int], store: Store, monkeypatch: pytest.MonkeyPatch, cap: int
) -> None:
    monkeypatch.setattr(erasing, "CAP", cap)
    seen, more = preview(store, Actor.operator()), cap < len(due)
    assert (seen.due, seen.capped, seen.more_may_wait) == (cap, more, more)
    with unit_of_work():
        db.session.execute(update(Order).where(Order.id == due[0]).values(canceling=True))
    seen = preview(store, Actor.operator())
    assert (seen.due, seen.capped, seen.more_may_wait) == (4, False, more)
    told: list[str] = []

    def note(*words: Any) -> None:
        told.append(words[2])

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        preview(store, Actor.operator())
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    assert all("LIMIT" in words for words in told if "JOIN vault_keys" in words)


def test_a_run_stops_between_two_chunks_and_another_goes_on(
    due: list[int], store: Store, operator: Actor, work: Work
) -> None:
    run_id = begin(store, operator)
    erase_chunk(run_id, 0)
    with unit_of_work():
        runs.stop(runs.find_run(run_id, lock=True))
    work()
    db.session.expire_all()
    assert (runs.find_run(run_id).state, runs.find_run(run_id).done) == ("stopped", 2)
    assert names_of(due) == set(due[2:])
    begin(store, operator)
    work()
    assert names_of(due) == set()
    with unit_of_work():
        assert start(store, actor=operator, total=count_due(store)) is None


def test_every_chunk_is_on_the_record_however_its_run_ends(due: list[int], store: Store, operator: Actor) -> None:
    run_id = begin(store, operator)
    erase_chunk(run_id, 0)
    with unit_of_work():
        runs.stop(runs.find_run(run_id, lock=True))
    erase_chunk(run_id, 1)
    assert runs.find_run(run_id).state == "stopped"
    [entry] = db.session.scalars(select(AuditEntry).where(AuditEntry.code == "buyers_erased"))
    assert entry.data == {"store": store.id, "run": run_id, "erased": 2}


def test_an_order_that_cannot_be_erased_keeps_back_no_other(
    due: list[int], store: Store, operator: Actor, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, destroy = due[1], vault.erase

    def erase(ids: list[int]) -> None:
        destroy(ids)
        if broken in ids:
            raise ZeroDivisionError("Jane Quixelworth")

    monkeypatch.setattr(vault, "erase", erase)
    run_id = begin(store, operator)
    with capture_logs() as said:
        work()
    run = runs.find_run(run_id)
    assert (run.state, run.done, run.failed) == ("done", 5, 1)
    assert names_of(due) == {broken}
    told = [(line["orders"], line["kind"]) for line in said if line["event"] == "buyers_not_erased"]
    assert told == [(due[:2], "ZeroDivisionError"), ([broken], "ZeroDivisionError")]
    assert "Quixelworth" not in str(said)
    audited = db.session.scalars(select(AuditEntry).where(AuditEntry.code == "buyers_erased"))
    assert sum(entry.data["erased"] for entry in audited) == 4


def test_what_belongs_to_no_order_keeps_back_none_either(
    due: list[int], store: Store, operator: Actor, work: Work, plugin_failures: list[Failure]
) -> None:
    run_id = begin(store, operator)
    hooks.manager.register(Failing("erase_unplaced_buyers"), name="failing")
    work()
    run = runs.find_run(run_id)
    assert (run.state, run.failed, names_of(due)) == ("done", 1, set())
    assert [(one.plugin, one.code) for one in plugin_failures] == [("failing", "erase_unplaced_buyers")]
    plugin_failures.clear()


class Failing:
    """A plugin that fails in one of the hooks that are asked before buyers are erased."""

    def __init__(self, hook: str) -> None:
        self.hook = hook

    def fail(self, hook: str) -> None:
        if hook == self.hook:
            raise ZeroDivisionError

    @hookimpl
    def keep_buyers(self, orders: list[int]) -> None:
        self.fail("keep_buyers")

    @hookimpl
    def buyers_erasing(self, orders: list[int]) -> None:
        self.fail("buyers_erasing")

    @hookimpl
    def erase_unplaced_buyers(self, store: int) -> None:
        self.fail("erase_unplaced_buyers")


@pytest.mark.parametrize("hook", ["keep_buyers", "buyers_erasing"])
def test_who_fails_to_say_whether_a_buyer_may_go_keeps_it_and_the_run_says_so(
    due: list[int], store: Store, operator: Actor, work: Work, hook: str, plugin_failures: list[Failure]
) -> None:
    hooks.manager.register(Failing(hook), name="failing")
    run_id = begin(store, operator)
    work()
    run = runs.find_run(run_id)
    assert (run.state, run.failed, names_of(due)) == ("done", len(due), set(due))
    assert preview(store, operator).under_way == (len(due) if hook == "keep_buyers" else 0)  # its page still works
    assert {(one.plugin, one.code) for one in plugin_failures} == {("failing", hook)}
    plugin_failures.clear()


def test_what_passes_by_itself_leaves_the_chunk_to_another_try(
    due: list[int], store: Store, operator: Actor, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = begin(store, operator)
    with monkeypatch.context() as patch:
        patch.setattr(vault, "erase", lambda ids: (_ for _ in ()).throw(DatabaseBusy()))
        with pytest.raises(DatabaseBusy):
            erase_chunk(run_id, 0)
    work()
    assert (runs.find_run(run_id).failed, names_of(due)) == (0, set())


def test_a_run_that_rests_goes_on_with_the_next_day(due: list[int], store: Store, operator: Actor, work: Work) -> None:
    run_id = begin(store, operator)
    with unit_of_work():
        runs.pause(runs.find_run(run_id, lock=True))
    work()
    assert (runs.find_run(run_id).state, names_of(due)) == ("paused", set(due))
    erase_all(work)
    assert (runs.find_run(run_id).state, names_of(due)) == ("done", set())


def test_a_worker_that_dies_in_a_chunk_leaves_all_of_it_undone(
    due: list[int], store: Store, operator: Actor, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = begin(store, operator)
    with monkeypatch.context() as patch:
        patch.setattr(runs, "go_on", lambda run: (_ for _ in ()).throw(SystemExit("killed")))
        with pytest.raises(SystemExit):
            erase_chunk(run_id, 0)
    assert names_of(due) == set(due)
    erase_chunk(run_id, 0)
    erase_chunk(run_id, 0)  # a job that comes twice
    work()
    db.session.expire_all()
    assert (runs.find_run(run_id).done, names_of(due)) == (5, set())


def test_two_workers_of_a_chunk_erase_it_once(
    due: list[int], store: Store, operator: Actor, app: Flask, work: Work
) -> None:
    run_id = begin(store, operator)

    def erase() -> None:
        with app.app_context():
            erase_chunk(run_id, 0)

    both = [threading.Thread(target=erase) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    work()
    db.session.expire_all()
    assert (runs.find_run(run_id).done, runs.find_run(run_id).state) == (5, "done")


def test_an_order_that_is_taken_up_meanwhile_is_left(
    due: list[int], store: Store, operator: Actor, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = begin(store, operator)
    find, held = erasing._next, list[int]()

    def hold_one(run: Run) -> list[int]:
        found = find(run)
        if not held:
            held.append(found[0])
            with unit_of_work():
                db.session.execute(update(Order).where(Order.id == found[0]).values(canceling=True))
        return found

    monkeypatch.setattr(erasing, "_next", hold_one)
    erase_chunk(run_id, 0)
    work()
    assert names_of(due) == set(held)
