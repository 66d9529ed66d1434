"""Reading all pages is not having all orders: they are read again until a whole pass finds no new one."""

import itertools
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.channels.connecting import ChannelError, StoreAccess, Throttled
from webapp.channels.incoming import ChannelStage, OrdersPage, OrdersWindow, PageRefused
from webapp.channels.models import Store
from webapp.channels.services import add_store
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.hooks.failures import Failure
from webapp.orders.models import Order
from webapp.sync import jobs, leases, order_windows, proving, runs, streams
from webapp.sync.models import OrdersProof, StoreSync
from webapp.testing import FakeChannel, again, incoming_order

Work = Callable[[], int]
PAGE = 3
_stores = itertools.count(1)


@pytest.fixture
def slipping(channel: FakeChannel, monkeypatch: pytest.MonkeyPatch) -> Callable[[set[int]], None]:
    """After these pages of changes an order that was already listed changes, so that another slips past the page
    border.
    """
    fetch, left = channel.fetch_orders, set[int]()
    channel.page_size = PAGE

    def shifting(access: StoreAccess, window: OrdersWindow) -> OrdersPage:
        page = fetch(access, window)
        if not window.open_only and page.next_page and (place := int(page.next_page) // PAGE) in left:
            left.discard(place)
            first = page.orders[0]
            channel.orders.pop(first.number)  # it leaves the window, since its new time is after the bound
            channel.offer(again(first, minutes=(now() - first.updated_at).total_seconds() / 60 - 1))
            later_ones.add(first.number)
        return page

    def within(order: object, window: OrdersWindow) -> bool:
        return inside(order, window) and not (window.page and getattr(order, "number", "") in later_ones)

    later_ones = set[str]()
    inside = channel._within
    monkeypatch.setattr(channel, "_within", within)
    monkeypatch.setattr(channel, "fetch_orders", shifting)

    def after(pages: set[int]) -> None:
        later_ones.clear()
        left.clear()
        left.update(pages)

    return after


def start(store: Store) -> None:
    with unit_of_work():
        runs.start(db.session.get_one(Store, store.id), actor=Actor.operator())
        jobs.import_orders.enqueue(store.id)


def proof(store: Store) -> OrdersProof:
    db.session.expire_all()
    return db.session.get_one(OrdersProof, store.id)


def numbers() -> set[str]:
    return set(db.session.scalars(select(Order.channel_order_number)))


def shipped_ones(channel: FakeChannel, count: int) -> set[str]:
    """Old orders that only the window of changes lists: none is open."""
    at = now() - timedelta(days=3)
    gone = {"stage": ChannelStage.SHIPPED, "status": "SHIPPED"}
    told = [incoming_order(created_at=at + timedelta(minutes=n), **gone) for n in range(count)]
    channel.offer(*told)
    return {order.number for order in told}


def read_through(store: Store, work: Work, passes: int = 40) -> None:
    for _ in range(passes):
        jobs.find_due()
        work()
        if proof(store).proven_at is not None:
            return


def test_an_order_that_slipped_over_a_page_border_is_found_again(
    store: Store, channel: FakeChannel, work: Work, slipping: Callable[[set[int]], None]
) -> None:
    there = shipped_ones(channel, 10)
    slipping({1, 2})
    start(store)
    work()
    assert len(there - numbers()) == 2
    assert (proof(store).proven_at, proof(store).total) == (None, 8)

    read_through(store, work)
    assert there <= numbers()
    done = proof(store)
    assert (done.passes, done.found_before) == (2, 2)
    assert done.proven_at is not None
    asked = len(channel.asked)
    jobs.find_due()
    work()
    assert len(channel.asked) == asked


def test_what_is_new_since_the_last_window_is_no_sign_of_a_gap(store: Store, channel: FakeChannel, work: Work) -> None:
    shipped_ones(channel, 2)
    start(store)
    work()
    fresh = incoming_order(created_at=now())
    channel.offer(fresh)
    jobs.read_more(store.id)
    assert proof(store).proven_at is not None
    assert fresh.number not in numbers()  # the next window brings it


def test_a_window_comes_before_the_proof(store: Store, channel: FakeChannel, work: Work) -> None:
    shipped_ones(channel, 4)
    start(store)
    work()
    with unit_of_work():
        db.session.get_one(StoreSync, (store.id, "orders")).next_at = now()
    assert (streams.due(), order_windows.due_for_more()) == ([(store.id, "orders")], [])
    asked = len(channel.asked)
    jobs.read_more(store.id)
    assert len(channel.asked) == asked
    with unit_of_work():
        db.session.get_one(StoreSync, (store.id, "orders")).next_at = now() + timedelta(minutes=1)
    jobs.read_more(store.id)
    assert channel.asked[-1].spare


def test_a_page_of_the_proof_holds_no_window_up(store: Store, channel: FakeChannel, work: Work) -> None:
    """The time of the next window stays, whatever error the proof meets."""
    shipped_ones(channel, 2)
    start(store)
    work()
    next_at = db.session.get_one(StoreSync, (store.id, "orders")).next_at
    for failure in (Throttled(channel="Fake", seconds=700), ChannelError(channel="Fake", problem="HTTP 500")):
        channel.failures.append(failure)
        jobs.read_more(store.id)
        db.session.expire_all()
        sync = db.session.get_one(StoreSync, (store.id, "orders"))
        assert (sync.next_at, sync.failures, sync.lease_owner) == (next_at, 0, None)
        assert proof(store).again_at > now() + timedelta(seconds=50)
        with unit_of_work():
            proof(store).again_at = now()


def test_a_refused_page_of_the_proof_begins_the_pass_again(store: Store, channel: FakeChannel, work: Work) -> None:
    channel.page_size = 2
    shipped_ones(channel, 4)
    start(store)
    work()
    jobs.read_more(store.id)
    assert (proof(store).seen, proof(store).page_token) == (2, "2")
    channel.failures.append(PageRefused(channel="Fake"))
    jobs.read_more(store.id)
    assert (proof(store).seen, proof(store).page_token) == (0, None)
    asked = len(channel.asked)
    read_through(store, work)
    assert len(channel.asked) == asked  # one that is refused again and again burns no allowance
    with time_machine.travel(now() + timedelta(seconds=61), tick=True):
        read_through(store, work)
    assert proof(store).proven_at is not None


@pytest.mark.parametrize("where", ["the channel's", "ours"])
def test_a_bug_met_by_the_proof_is_not_met_again_at_once(
    where: str,
    store: Store,
    channel: FakeChannel,
    work: Work,
    monkeypatch: pytest.MonkeyPatch,
    plugin_failures: list[Failure],
) -> None:
    """The channel's error is recorded and goes no further; ours ends the job."""
    shipped_ones(channel, 2)
    start(store)
    work()

    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(*((jobs, "take_in") if where == "ours" else (channel, "fetch_orders")), broken)
        with pytest.raises(RuntimeError, match="a bug") if where == "ours" else nullcontext():
            jobs.read_more(store.id)
    assert [(one.place, one.problem) for one in plugin_failures] == (
        [] if where == "ours" else [("stream", "RuntimeError")]
    )
    plugin_failures.clear()
    db.session.rollback()
    assert proof(store).again_at > now() + timedelta(seconds=50)
    assert runs.sync_of(store.id).lease_owner is None
    assert order_windows.due_for_more() == []
    with time_machine.travel(now() + timedelta(seconds=61), tick=True):
        read_through(store, work)
    assert proof(store).proven_at is not None


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    count=st.integers(0, 14),
    slips=st.sets(st.integers(1, 4), max_size=3),
    slips_again=st.sets(st.integers(1, 4), max_size=3),
    dies=st.lists(st.booleans(), max_size=4),
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_whatever_slips_and_whoever_dies_everything_is_there_once_it_is_proven(
    channel: FakeChannel,
    work: Work,
    slipping: Callable[[set[int]], None],
    count: int,
    slips: set[int],
    slips_again: set[int],
    dies: list[bool],
) -> None:
    """Pages shift in the first reading and in the first pass, workers die between pages; in the end no order is
    missing.
    """
    with unit_of_work():
        for had in db.session.scalars(select(Store)):
            had.active = False
        store = add_store("fake", f"Store {next(_stores)}", {"key": "k"}, actor=Actor.operator())
    channel.orders.clear()
    there = shipped_ones(channel, count)
    slipping(slips)
    start(store)
    work()
    slipping(slips_again)
    at, deaths = now(), list(dies)
    for _ in range(30):
        at += leases.LEASE + timedelta(seconds=1)
        with time_machine.travel(at, tick=True):
            if deaths and deaths.pop():
                with unit_of_work():
                    order_windows.lease_for_more(store.id, "dies here")
                continue
            jobs.find_due()
            work()
        if proof(store).proven_at is not None and not deaths:
            break
    done = proof(store)
    assert done.proven_at is not None
    assert done.passes >= 1
    assert there <= numbers()


def test_a_proof_begun_again_keeps_what_is_still_to_be_proven(store: Store, channel: FakeChannel, work: Work) -> None:
    start(store)
    work()
    low = proof(store).low
    with unit_of_work():
        proving.begin(store.id, now() - timedelta(hours=1))
    assert proof(store).low == low
    read_through(store, work)
    with unit_of_work():
        proving.begin(store.id, now() - timedelta(hours=1))
    assert proof(store).low > low
