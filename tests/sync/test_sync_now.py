"""`webapp.testing.sync_now` does in a plugin's test what workers do for a store."""

import pytest
from sqlalchemy import func, select

from webapp.audit.actor import Actor
from webapp.channels.connecting import ChannelError, Connection, StoreAccess, Throttled
from webapp.channels.models import Store
from webapp.channels.services import AccountConnected, add_store
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.hooks import hookimpl, hooks
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.sync.streams import Stream, StreamPage
from webapp.testing import FakeChannel, NotSynced, incoming_order, sync_now
from webapp.updates.models import ChannelUpdate


def added(name: str = "New") -> Store:
    with unit_of_work():
        return add_store("fake", name, {"key": "k"}, actor=Actor.operator())


def test_it_tests_a_new_store_and_reads_every_page(channel: FakeChannel) -> None:
    channel.page_size = 2
    channel.offer(*(incoming_order() for _ in range(5)))
    store = added()
    sync_now(store)
    assert db.session.scalar(select(func.count()).select_from(Order)) == 5
    assert len(db.session.get_one(Store, store.id).marketplaces) == 2
    channel.offer(incoming_order(created_at=now()))
    sync_now(store)
    assert db.session.scalar(select(func.count()).select_from(Order)) == 6


def test_it_tells_what_is_owed_by_now(channel: FakeChannel, mia: Actor) -> None:
    channel.offer(*(incoming_order() for _ in range(25)))
    store = added()
    sync_now(store)
    for order in db.session.scalars(select(Order)).all():
        with unit_of_work():
            ship_order(locked(order), [PackageInput("DHL", "JD0001")], actor=mia)
    sync_now(store)
    assert len(channel.told("shipment")) == 25
    assert set(db.session.scalars(select(ChannelUpdate.state))) == {"sent"}


def test_it_reads_what_streams_read(channel: FakeChannel) -> None:
    taken: list[str] = []

    def fetch(store: StoreAccess, place: str | None) -> StreamPage:
        start = int(place or 0)
        return StreamPage([f"{store.id}-{start}"], place=str(start + 1), more=start < 2)

    class Letters:
        @hookimpl
        def register_streams(self) -> list[Stream]:
            def take(store: StoreAccess, page: StreamPage) -> int:
                taken.extend(page.items)
                return len(page.items)

            return [Stream("letters", lane="letters", label="Letters", fetch=fetch, take_in=take)]

    hooks.manager.register(Letters())
    store = added()
    sync_now(store)
    assert taken == [f"{store.id}-{number}" for number in range(3)]


def test_it_says_why_a_store_can_not_be_read(channel: FakeChannel, monkeypatch: pytest.MonkeyPatch) -> None:
    store = added()
    channel.failures.append(ChannelError(channel="Fake", problem="gone"))
    with pytest.raises(NotSynced, match="gone"):
        sync_now(store)
    channel.failures.append(Throttled(channel="Fake", seconds=60))
    with pytest.raises(NotSynced, match="no more calls"):
        sync_now(store)
    monkeypatch.setattr(channel, "connect", lambda _: Connection(channel.marketplaces, account="seller"))
    first, second = added("First"), added("Second")
    sync_now(first)
    with pytest.raises(NotSynced, match="First"):
        sync_now(second)
    with pytest.raises(AccountConnected):
        sync_now(second)
