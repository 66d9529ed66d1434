"""Windows and runs: the cursor moves with the last page only, whatever dies in between; one reader per store."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.channels.connecting import ChannelError, Connection, Disconnected, StoreAccess, Throttled
from webapp.channels.incoming import PageRefused
from webapp.channels.models import Store
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import sentence_of
from webapp.hooks.failures import Failure
from webapp.jobs import queue
from webapp.jobs.models import Run
from webapp.orders.models import Order
from webapp.sync import jobs, leases, order_windows, runs, streams
from webapp.sync.models import SyncWindow, WindowKind
from webapp.testing import FakeChannel, again, incoming_order

Work = Callable[[], int]


def start(store: Store) -> int:
    with unit_of_work():
        run = runs.start(db.session.get_one(Store, store.id), actor=Actor.operator())
        jobs.import_orders.enqueue(store.id)
        return run.id


def run_of(run_id: int) -> Run:
    db.session.expire_all()
    return db.session.get_one(Run, run_id)


def window(store: Store, kind: WindowKind = WindowKind.CHANGES) -> SyncWindow:
    return db.session.scalars(select(SyncWindow).where(SyncWindow.store_id == store.id, SyncWindow.kind == kind)).one()


def orders() -> int:
    return db.session.query(Order).count()


def test_the_first_run_reads_what_is_open_and_then_what_changed(store: Store, channel: FakeChannel, work: Work) -> None:
    channel.page_size = 4
    channel.offer(*[incoming_order() for _ in range(10)])
    run_id = start(store)
    work()
    run = run_of(run_id)
    assert (run.state, run.numbers["pages"], run.numbers["seen"], run.numbers["new"]) == ("done", 6, 20, 10)
    assert [asked.open_only for asked in channel.asked] == [True] * 3 + [False] * 3
    assert channel.asked[0].low < now() - timedelta(days=29)
    assert orders() == 10


@pytest.mark.parametrize("answer", [ZeroDivisionError(), "often"])
def test_a_channel_that_fails_to_say_how_often_it_is_read_is_read_all_the_same(
    answer: object,
    store: Store,
    channel: FakeChannel,
    work: Work,
    monkeypatch: pytest.MonkeyPatch,
    plugin_failures: list[Failure],
) -> None:
    def interval(_access: StoreAccess) -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(channel, "poll_interval", interval)
    channel.offer(incoming_order())
    run_id = start(store)
    work()
    assert (run_of(run_id).state, orders()) == ("done", 1)
    assert 290 < (runs.sync_of(store.id).next_at - now()).total_seconds() <= 300
    assert [one.place for one in plugin_failures] == ["stream"]
    plugin_failures.clear()


def test_the_next_run_begins_behind_the_cursor_by_the_overlap(store: Store, channel: FakeChannel, work: Work) -> None:
    channel.offer(incoming_order())
    start(store)
    work()
    cursor = window(store).cursor
    assert cursor is not None
    run_id = start(store)
    work()
    assert channel.asked[-1].low == cursor - timedelta(seconds=channel.overlap)
    assert run_of(run_id).numbers["new"] == 0


def test_once_a_day_a_window_reaches_a_day_behind(store: Store, channel: FakeChannel, work: Work) -> None:
    start(store)
    work()
    reaches = []
    for hours in (1, 25, 26):
        with time_machine.travel(now() + timedelta(hours=hours), tick=False):
            db.session.expire_all()
            cursor = window(store).cursor
            assert cursor is not None
            start(store)
            work()
            reaches.append(cursor - channel.asked[-1].low)
    usual = timedelta(seconds=channel.overlap)
    assert reaches == [usual, timedelta(hours=24), usual]


def test_the_cursor_stays_until_the_last_page(store: Store, channel: FakeChannel, work: Work) -> None:
    channel.page_size = 2
    channel.offer(*[incoming_order() for _ in range(4)])
    run_id = start(store)
    for _ in range(3):  # the open window's two pages, and one of the changes'
        jobs.import_orders(store.id)
    db.session.expire_all()
    assert window(store, WindowKind.OPEN).cursor is not None
    assert window(store).cursor is None
    assert window(store).page_token == "2"
    work()
    assert window(store).cursor is not None
    assert run_of(run_id).state == "done"


def test_a_crash_within_a_page_leaves_nothing_half_done(
    store: Store, channel: FakeChannel, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel.page_size = 3
    channel.offer(*[incoming_order() for _ in range(6)])
    run_id = start(store)
    whole = order_windows.page_done

    def crash(*args: object, **kwargs: object) -> bool:
        raise MemoryError

    monkeypatch.setattr(order_windows, "page_done", crash)
    with pytest.raises(MemoryError):
        jobs.import_orders(store.id)
    db.session.expire_all()
    assert orders() == 0
    monkeypatch.setattr(order_windows, "page_done", whole)
    with time_machine.travel(now() + leases.LEASE + timedelta(seconds=1), tick=True):
        jobs.find_due()
        work()
    assert run_of(run_id).state == "done"
    assert orders() == 6


def test_a_second_worker_sees_the_holder_and_leaves(store: Store, channel: FakeChannel) -> None:
    start(store)
    with unit_of_work():
        assert runs.lease_lane(store.id, "first") is not None
    with unit_of_work():
        assert runs.lease_lane(store.id, "second") is None
        assert runs.held_by(store.id, "second") is None
    with time_machine.travel(now() + leases.LEASE + timedelta(seconds=1)), unit_of_work():
        assert runs.lease_lane(store.id, "second") is not None
    with unit_of_work():
        assert runs.held_by(store.id, "first") is None


def test_a_refused_page_token_starts_the_same_window_again(store: Store, channel: FakeChannel, work: Work) -> None:
    channel.page_size = 2
    channel.offer(*[incoming_order() for _ in range(4)])
    run_id = start(store)
    jobs.import_orders(store.id)
    channel.failures.append(PageRefused(channel="Fake"))
    work()
    assert run_of(run_id).state == "done"
    assert [asked.page for asked in channel.asked] == [None, "2", None, "2", None, "2"]
    assert len({asked.low for asked in channel.asked[:4]}) == 1
    assert orders() == 4


def test_a_page_token_refused_without_end_fails_the_run(store: Store, channel: FakeChannel, work: Work) -> None:
    run_id = start(store)
    channel.failures += [PageRefused(channel="Fake") for _ in range(10)]
    work()
    assert run_of(run_id).state == "failed"


def test_throttling_is_no_failure(store: Store, channel: FakeChannel, work: Work) -> None:
    channel.offer(incoming_order())
    run_id = start(store)
    channel.failures.append(Throttled(channel="Fake", seconds=40))
    work()
    run = run_of(run_id)
    assert (run.state, run.numbers["throttled"]) == ("running", 1)
    jobs.find_due()
    work()
    assert run_of(run_id).state == "running"
    with time_machine.travel(now() + timedelta(seconds=41), tick=True):
        jobs.find_due()
        work()
    assert run_of(run_id).state == "done"


def test_a_failed_run_says_why_and_the_next_comes_by_itself(store: Store, channel: FakeChannel, work: Work) -> None:
    channel.offer(incoming_order())
    run_id = start(store)
    channel.failures.append(ChannelError(channel="Fake", problem="HTTP 500"))
    work()
    run = run_of(run_id)
    assert run.state == "failed"
    assert "HTTP 500" in (sentence_of(run.problem) or "")
    sync = runs.sync_of(store.id)
    assert sync.failures == 1
    with time_machine.travel(sync.next_at + timedelta(seconds=1), tick=True):
        jobs.find_due()
        work()
        assert orders() == 1
        assert runs.sync_of(store.id).failures == 0


def test_a_page_that_succeeds_ends_the_row_of_failures(store: Store, channel: FakeChannel) -> None:
    """In a long window with occasional failures, the pauses don't grow over the whole window."""
    channel.page_size = 1
    channel.offer(*[incoming_order() for _ in range(3)])
    start(store)
    at = now()
    for _ in range(2):
        channel.failures.append(ChannelError(channel="Fake", problem="HTTP 503"))
        with time_machine.travel(at, tick=False):
            jobs.import_orders(store.id)
            db.session.expire_all()
            assert runs.sync_of(store.id).failures == 1
            at = runs.sync_of(store.id).next_at + timedelta(seconds=1)
        with time_machine.travel(at, tick=False):
            jobs.import_orders(store.id)
        db.session.expire_all()
        assert (runs.sync_of(store.id).failures, window(store, WindowKind.OPEN).cursor) == (0, None)


def test_failures_wait_longer_and_never_stop_the_sync(store: Store, channel: FakeChannel, work: Work) -> None:
    at, pauses = now(), []
    start(store)
    for _ in range(12):
        channel.failures.append(ChannelError(channel="Fake", problem="HTTP 503"))
        with time_machine.travel(at, tick=False):
            jobs.find_due()
            work()
            db.session.expire_all()
            next_at = runs.sync_of(store.id).next_at
            pauses.append((next_at - at).total_seconds())
            at = next_at + timedelta(seconds=1)
    assert pauses == sorted(pauses)
    assert max(pauses) == 600


def test_withdrawn_permission_stops_the_store_until_it_is_connected_anew(
    store: Store, channel: FakeChannel, work: Work
) -> None:
    start(store)
    channel.failures.append(Disconnected(channel="Fake", problem="revoked"))
    work()
    db.session.expire_all()
    assert sentence_of(db.session.get_one(Store, store.id).problem)
    with time_machine.travel(now() + timedelta(days=1), tick=True):
        jobs.find_due()
        assert work() == 0


def test_a_test_that_meets_an_outage_stops_nothing(
    store: Store, channel: FakeChannel, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = ChannelError(channel="Fake", problem="asleep")
    monkeypatch.setattr(channel, "connect", lambda access: Connection(problem=away))
    channel.failures.append(away)
    jobs.connect.enqueue(store.id)
    work()
    [run] = db.session.scalars(select(Run))  # the sync has met it too, says so, and comes again by itself
    assert (run.state, db.session.get_one(Store, store.id).problem) == ("failed", None)
    with time_machine.travel(now() + timedelta(seconds=61), tick=True):
        assert streams.due() == [(store.id, "orders")]


def test_a_store_whose_plugin_was_left_out_is_not_due(store: Store, channel: FakeChannel) -> None:
    start(store)
    assert streams.due() == [(store.id, "orders")]
    with unit_of_work():
        db.session.get_one(Store, store.id).channel = "left_out"
    assert streams.due() == []


def test_an_order_that_is_asked_for_in_vain_is_asked_for_again(
    store: Store, channel: FakeChannel, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    def throttled(access: StoreAccess, number: str) -> None:
        raise Throttled(channel="Fake", seconds=30)

    monkeypatch.setattr(channel, "fetch_order", throttled)
    jobs.fetch_order(store.id, "302-0000000-0000001")
    assert queue("asking").scheduled_job_registry.count == 1


def test_starting_twice_joins_the_open_run(store: Store, channel: FakeChannel) -> None:
    assert start(store) == start(store)


def test_runs_that_found_nothing_are_forgotten_after_an_hour(store: Store, channel: FakeChannel, work: Work) -> None:
    channel.offer(incoming_order())
    first = start(store)
    work()
    for minutes in (2, 4, 6):
        with time_machine.travel(now() + timedelta(minutes=minutes), tick=True):
            jobs.find_due()
            work()
    assert db.session.query(Run).count() == 4
    assert [run.id for run in runs.runs(Actor.operator(), quiet=False)] == [first]
    with time_machine.travel(now() + timedelta(hours=2), tick=True):
        jobs.forget_quiet_runs()
    db.session.expire_all()
    assert [run.quiet for run in db.session.query(Run).order_by(Run.id)] == [False, True]  # the last one stands


def test_an_inactive_store_is_not_read(store: Store, channel: FakeChannel, work: Work) -> None:
    with unit_of_work():
        db.session.get_one(Store, store.id).active = False
    with pytest.raises(runs.StoreInactive):
        start(store)
    jobs.find_due()
    work()
    assert channel.asked == []


def test_orders_changing_while_paging_are_there_in_the_end(store: Store, channel: FakeChannel, work: Work) -> None:
    """Pages by offset over a list that shifts: an order that slips past a page border is read with the next window."""
    channel.page_size = 2
    told = [incoming_order(created_at=now() - timedelta(minutes=30 - n)) for n in range(6)]
    channel.offer(*told)
    start(store)
    jobs.import_orders(store.id)
    first = told[0]
    channel.orders = {first.number: channel.orders.pop(first.number), **channel.orders}
    channel.orders.pop(first.number)
    channel.offer(again(first, minutes=29, status="PARTIALLY_SHIPPED"))
    work()
    start(store)
    work()
    db.session.expire_all()
    assert orders() == 6
    assert (
        db.session.query(Order).filter_by(channel_order_number=first.number).one().channel_status == "PARTIALLY_SHIPPED"
    )
