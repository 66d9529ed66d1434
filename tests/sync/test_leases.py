"""Leases: renewed during the work, ended 20 s after the last renewal, and never settled by a worker that lost them."""

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import select, update as change

from tests.sync.conftest import update
from webapp.audit.actor import Actor
from webapp.channels.connecting import StoreAccess
from webapp.channels.incoming import OrdersPage, OrdersWindow
from webapp.channels.models import Store
from webapp.channels.outgoing import NotYet, Outcome, Sent, Update, UpdateKind
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.i18n import lazy_gettext as _l
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.sync import delivering, jobs, leases, runs, settling
from webapp.sync.leases import Lease
from webapp.sync.models import StoreSync
from webapp.testing import FakeChannel, incoming_line, incoming_order
from webapp.updates.models import ChannelUpdate

Work = Callable[[], int]


def sync_of(store: Store) -> StoreSync:
    db.session.expire_all()
    return db.session.get_one(StoreSync, (store.id, "orders"))


def start(store: Store) -> None:
    with unit_of_work():
        runs.start(db.session.get_one(Store, store.id), actor=Actor.operator())


def later(seconds: float) -> time_machine.travel:
    return time_machine.travel(now() + timedelta(seconds=seconds), tick=True)


def test_a_lease_is_renewed_while_the_work_goes_on(
    store: Store, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fetch that takes three times as long as a lease keeps it from beginning to end, and its page is written."""
    monkeypatch.setattr(leases, "LEASE", timedelta(seconds=1.6))  # a busy machine renews late
    fetch, seen = channel.fetch_orders, []

    def slow(access: StoreAccess, window: OrdersWindow) -> OrdersPage:
        for _ in range(6):
            threading.Event().wait(0.8)
            with unit_of_work():
                seen.append(runs.lease_lane(store.id, "another"))
        return fetch(access, window)

    monkeypatch.setattr(channel, "fetch_orders", slow)
    channel.offer(incoming_order())
    start(store)
    jobs.import_orders(store.id)
    assert seen == [None] * 6
    assert sync_of(store).lease_owner is None
    assert db.session.query(Order).count() == 1


def test_a_lease_ends_20_seconds_after_the_last_sign_of_life(store: Store, channel: FakeChannel) -> None:
    start(store)
    with unit_of_work():
        assert runs.lease_lane(store.id, "dead") is not None
    with later(19), unit_of_work():
        assert runs.lease_lane(store.id, "next") is None
    with later(21), unit_of_work():
        assert runs.lease_lane(store.id, "next") is not None


def test_a_job_that_is_tried_again_is_not_the_worker_that_lost_its_lease(store: Store, channel: FakeChannel) -> None:
    """Both run under one job's id: a page of the first must not be written once the second reads."""
    start(store)
    first, second = Lease(StoreSync), Lease(StoreSync)
    with unit_of_work():
        assert runs.lease_lane(store.id, first.owner) is not None
    with later(21), unit_of_work():
        assert runs.lease_lane(store.id, second.owner) is not None
    with unit_of_work():
        assert runs.held_by(store.id, first.owner) is None
        assert runs.held_by(store.id, second.owner) is not None


def test_a_page_read_after_its_lease_was_lost_changes_nothing(
    store: Store, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = channel.fetch_orders

    def overtaken(access: StoreAccess, window: OrdersWindow) -> OrdersPage:
        with unit_of_work():
            db.session.execute(change(StoreSync).values(lease_owner="another"))
        return fetch(access, window)

    monkeypatch.setattr(channel, "fetch_orders", overtaken)
    channel.offer(incoming_order())
    start(store)
    jobs.import_orders(store.id)
    assert db.session.query(Order).count() == 0
    assert sync_of(store).lease_owner == "another"


def test_a_worker_that_wakes_up_after_its_lease_sends_nothing(
    shipped: Order, channel: FakeChannel, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It claimed and slept for a minute; another worker looked the update up and sent it: it must not be sent again."""
    to_send = jobs.to_send

    def asleep(rows: Sequence[ChannelUpdate]) -> list[Update]:
        told = to_send(rows)
        traveller = later(60)
        traveller.start()
        sleeping.append(traveller)
        return told

    sleeping: list[time_machine.travel] = []
    monkeypatch.setattr(jobs, "to_send", asleep)
    try:
        jobs.deliver(shipped.store_id, "shipment")
        assert channel.delivered == []
        assert update().state == "owed"  # leased still, and the lease has ended
        monkeypatch.setattr(jobs, "to_send", to_send)
        channel.found.append(NotYet(0))
        for _ in range(3):
            jobs.find_due()
            work()
    finally:
        for traveller in sleeping:
            traveller.stop()
    assert update().state == "sent"
    assert len(channel.delivered) == 1


@pytest.fixture
def batch(
    take: Callable[..., list[Order]], mia: Actor, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> list[ChannelUpdate]:
    """Fifty updates of a kind that is not repeatable, all due."""
    kind = UpdateKind("shipment", _l("Shipment"), repeatable=False, batch=50)
    monkeypatch.setattr(FakeChannel, "kinds", (kind,))
    orders = take(*(incoming_order([incoming_line("MUG", 1)]) for _ in range(50)))
    with unit_of_work():
        for order in orders:
            ship_order(locked(order), [PackageInput("DHL", f"JD{order.id}")], actor=mia)
    return rows()


def rows() -> list[ChannelUpdate]:
    db.session.expire_all()
    return list(db.session.scalars(select(ChannelUpdate).order_by(ChannelUpdate.id)))


def test_a_lease_lost_in_the_middle_of_a_batch_sends_none_of_the_rest(
    batch: list[ChannelUpdate], store: Store, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that sends one by one sleeps after the twentieth. Another looks up all fifty, settles those that it
    finds and sends the others; the first wakes up in its loop.
    """
    sent, sleeping = list[int](), list[time_machine.travel]()

    def one_by_one(access: StoreAccess, told: Sequence[Update]) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        for one in told:
            sent.append(one.id)
            outcomes[one.id] = Sent("first")
            if len(sent) == 20:
                sleeping.append(later(60))
                sleeping[0].start()
                with monkeypatch.context() as other:
                    other.setattr(channel, "deliver", lambda access, told: {one.id: again(one) for one in told})
                    jobs.deliver(store.id, "shipment")  # finds leases that have ended
                    with later(61):  # by then the first one sends nothing more
                        jobs.look_up(store.id, "shipment")
                        jobs.deliver(store.id, "shipment")
        return outcomes

    def again(one: Update) -> Outcome:
        sent.append(one.id)
        return Sent("second")

    def look_up(access: StoreAccess, told: Sequence[Update]) -> dict[int, Outcome]:
        return {one.id: Sent("seen") if one.id in sent else NotYet(0) for one in told}

    monkeypatch.setattr(channel, "deliver", one_by_one)
    monkeypatch.setattr(channel, "look_up", look_up)
    ids = [row.id for row in batch]
    try:
        jobs.deliver(store.id, "shipment")
    finally:
        for traveller in sleeping:
            traveller.stop()
    assert sorted(sent) == ids
    handles = [row.handle for row in rows()]
    assert (handles.count("seen"), handles.count("second")) == (20, 30)
    assert {row.state for row in rows()} == {"sent"}


def test_of_a_batch_those_are_held_that_nobody_took(
    batch: list[ChannelUpdate], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Renewing some rows does not renew others; an update that was left out was not sent."""
    monkeypatch.setattr(leases, "LEASE", timedelta(seconds=2))
    lease, ids = Lease(ChannelUpdate), [row.id for row in batch]
    with unit_of_work():
        claimed = delivering.claim_due(store.id, "shipment", lease.owner)
        assert claimed is not None
        told = leases.HeldUpdates(jobs.to_send(claimed[1]), lease)
    assert [one.id for one in told] == ids
    with unit_of_work():
        taken = change(ChannelUpdate).where(ChannelUpdate.id.in_(ids[:45]))
        db.session.execute(taken.values(lease_owner="another"))
    with lease.kept(ChannelUpdate.id.in_(ids)):
        for _ in range(100):
            if not lease.holds(ids[0]) and lease.holds(ids[49]):
                break
            threading.Event().wait(0.1)
        assert jobs._asked(lambda held: {one.id: Sent() for one in held}, told, ids, looking=False) == {
            **dict.fromkeys(ids[:45], NotYet(1)),
            **dict.fromkeys(ids[45:], Sent()),
        }
    with unit_of_work():
        settling.settle(dict.fromkeys(ids, Sent()), lease.owner)
    assert [row.state for row in rows()] == ["owed"] * 45 + ["sent"] * 5
    assert {row.lease_owner for row in rows()[:45]} == {"another"}


def test_no_lease_is_renewed_while_its_updates_are_settled(
    shipped: Order, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A renewal and the settling lock these rows: PostgreSQL would end one of them as a deadlock."""
    settle, keepers = jobs.settle, list[str]()

    def watched(outcomes: Mapping[int, Outcome], owner: str) -> int | None:
        keepers.extend(thread.name for thread in threading.enumerate() if thread.name == "lease")
        return settle(outcomes, owner)

    monkeypatch.setattr(jobs, "settle", watched)
    work()
    assert update().state == "sent"
    assert keepers == []


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_leases_are_renewed_in_the_order_in_which_everybody_locks(
    take: Callable[..., list[Order]], mia: Actor, channel: FakeChannel
) -> None:
    for order in take(incoming_order(), incoming_order()):
        with unit_of_work():
            ship_order(locked(order), [PackageInput("DHL", "JD0001")], actor=mia)
    lease = Lease(ChannelUpdate)
    with unit_of_work():
        db.session.execute(change(ChannelUpdate).values(lease_owner=lease.owner, lease_until=now()))
    first, second = sorted(db.session.scalars(select(ChannelUpdate.id)))
    with unit_of_work():  # it stands behind the second one now, where a search without an order comes last
        db.session.execute(change(ChannelUpdate).where(ChannelUpdate.id == first).values(attempts=1))
    engine, one = db.engine, select(ChannelUpdate.id)
    mine = ChannelUpdate.id.in_([first, second])
    renewing = threading.Thread(target=lease._renew, args=(engine, mine))
    with engine.connect() as other, other.begin():
        other.execute(one.where(ChannelUpdate.id == first).with_for_update())
        renewing.start()
        renewing.join(0.5)
        assert renewing.is_alive()
        other.execute(one.where(ChannelUpdate.id == second).with_for_update(nowait=True))
    renewing.join(60)
    assert not lease.lost


STEPS = st.lists(st.sampled_from(["claim", "die", "send", "settle", "look", "wait"]), max_size=14)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_what_is_not_repeatable_is_looked_up_before_it_is_sent_again(
    shipped: Order, channel: FakeChannel, steps: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers claim, die, wake and settle in any order: the update is sent a second time only after a look-up."""
    monkeypatch.setattr(FakeChannel, "kinds", (UpdateKind("shipment", _l("Shipment"), repeatable=False),))
    with unit_of_work():
        db.session.execute(
            change(ChannelUpdate).values(
                state="owed", due_at=now(), sent_at=None, look_again_at=None, lease_owner=None, lease_until=None
            )
        )
    at, name, may_send = now(), 0, True
    holders: dict[str, bool] = {}  # worker -> whether it has sent
    for step in [*steps, "wait", "look", "claim", "send"]:
        with time_machine.travel(at, tick=False):
            match step:
                case "claim":
                    name += 1
                    with unit_of_work():
                        if (claimed := delivering.claim_due(shipped.store_id, "shipment", f"w{name}")) and claimed[1]:
                            holders[f"w{name}"] = False
                case "send":
                    if name and holders.get(f"w{name}") is False:
                        assert may_send, "sent a second time without a look"
                        may_send, holders[f"w{name}"] = False, True
                case "settle":
                    for worker, sent in list(holders.items()):
                        before = (update().state, update().lease_owner)
                        with unit_of_work():
                            settling.settle({update().id: Sent() if sent else NotYet(0)}, worker)
                        if before[1] != worker:
                            assert (update().state, update().lease_owner) == before
                        holders.pop(worker)
                case "look":
                    with unit_of_work():
                        claimed = delivering.claim_to_look_up(shipped.store_id, "shipment", "looker")
                        if claimed:
                            outcome: Mapping[int, Outcome] = {claimed[1][0].id: NotYet(0)}
                            settling.settle(outcome, "looker")
                            may_send = update().state == "owed"
                case "die":
                    at += leases.LEASE + timedelta(seconds=1)
                case "wait":
                    at += timedelta(minutes=30)
