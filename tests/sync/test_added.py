"""A marketplace that is added later brings its older orders, too, and so does one that was denied."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.channels.connecting import Denial, Denied, DeniedThing, StoreAccess, Throttled
from webapp.channels.incoming import ChannelStage, IncomingOrder, OrdersPage, OrdersWindow
from webapp.channels.models import Store
from webapp.channels.services import add_store, change_store, remember_marketplaces
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.orders.models import Order
from webapp.sync import activity, denials, jobs, order_windows, runs
from webapp.sync.models import OrdersProof, StoreDenial, StoreSync
from webapp.testing import GERMANY, JAPAN, FakeChannel, incoming_order

Work = Callable[[], int]
SHIPPED = {"stage": ChannelStage.SHIPPED, "status": "SHIPPED"}
pytestmark = pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)


class MarketDenied(Denied):
    code = "test_market_denied_later"
    thing = DeniedThing.MARKETPLACE


@pytest.fixture
def told(channel: FakeChannel, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The marketplaces whose orders the channel lists; it denies those in `denied_ones`."""
    listed, within = {GERMANY.id}, channel._within
    monkeypatch.setattr(channel, "_within", lambda order, window: order.marketplace in listed and within(order, window))
    return listed


@pytest.fixture
def denied_ones(channel: FakeChannel, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The marketplaces that the channel denies, and names."""
    fetch, closed = channel.fetch_orders, set[str]()

    def fetch_without(access: StoreAccess, window: OrdersWindow) -> OrdersPage:
        if window.only in closed:
            raise MarketDenied(channel="Fake", problem="no role", name=window.only)
        if found := closed - set(window.without) if not window.only else None:
            return OrdersPage([], next_page="0", denied=[Denial(DeniedThing.MARKETPLACE, one) for one in found])
        return fetch(access, window)

    monkeypatch.setattr(channel, "fetch_orders", fetch_without)
    return closed


@pytest.fixture
def german(channel: FakeChannel) -> Store:
    """A store that sells only in Germany."""
    channel.marketplaces = (GERMANY,)
    with unit_of_work():
        made = add_store("fake", "Fake store", {"key": "k"}, actor=Actor.operator())
        remember_marketplaces(made, channel.connect(StoreAccess(made.id, {})))
    return made


def offer(channel: FakeChannel, marketplace: str, *, days: float = 0, **more: object) -> str:
    """An order placed so many days ago."""
    at = now() - timedelta(days=days)
    currency = {"currency": JAPAN.currency} if marketplace == JAPAN.id else {}
    order: IncomingOrder = incoming_order(marketplace=marketplace, created_at=at, **currency, **more)
    channel.offer(order)
    return order.number


def start(store: Store) -> None:
    with unit_of_work():
        runs.start(db.session.get_one(Store, store.id), actor=Actor.operator())
        jobs.import_orders.enqueue(store.id)


def go_on(work: Work, hours: float = 0.0) -> None:
    """Run what is due after so many hours, in two rounds: a trial, then the proof."""
    with time_machine.travel(now() + timedelta(hours=hours), tick=True):
        for _ in range(4):
            jobs.find_due()
            work()
    db.session.expire_all()


def numbers() -> set[str]:
    return set(db.session.scalars(select(Order.channel_order_number)))


@pytest.mark.parametrize("how", ["told by the channel", "chosen in the settings"])
def test_a_marketplace_that_is_added_brings_its_older_orders(
    how: str, german: Store, channel: FakeChannel, told: set[str], work: Work
) -> None:
    """Its open orders with the next page, the rest with the proof, however long ago its windows ended."""
    here = offer(channel, GERMANY.id, days=9, **SHIPPED)
    still_open, gone = offer(channel, JAPAN.id, days=9), offer(channel, JAPAN.id, days=8, **SHIPPED)
    start(german)
    work()
    go_on(work)
    assert numbers() == {here}
    assert db.session.get_one(OrdersProof, german.id).proven_at is not None

    told.add(JAPAN.id)
    if how == "told by the channel":
        channel.marketplaces = (GERMANY, JAPAN)
    else:
        with unit_of_work():
            change_store(db.session.get_one(Store, german.id), {"key": "other"}, actor=Actor.operator())
    jobs.connect(german.id)
    work()
    assert numbers() == {here, still_open}
    go_on(work)
    assert numbers() == {here, still_open, gone}
    assert db.session.get_one(OrdersProof, german.id).proven_at is not None


def test_settings_that_stay_as_they_were_begin_nothing_again(
    german: Store, channel: FakeChannel, told: set[str], work: Work
) -> None:
    start(german)
    work()
    go_on(work)
    with unit_of_work():
        change_store(db.session.get_one(Store, german.id), {"key": "k"}, actor=Actor.operator(), name="Renamed")
    jobs.connect(german.id)
    assert db.session.get_one(OrdersProof, german.id).proven_at is not None
    assert not [asked for asked in channel.asked[2:] if asked.open_only]


def test_a_page_that_is_read_while_a_marketplace_is_added_is_asked_for_again(
    german: Store, channel: FakeChannel, told: set[str], work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page was requested without the new marketplace: written, it would end the reading of open orders."""
    fetch = channel.fetch_orders

    def add_meanwhile(access: StoreAccess, window: OrdersWindow) -> OrdersPage:
        page = fetch(access, window)
        if window.open_only and JAPAN.id not in told:
            told.add(JAPAN.id)
            channel.marketplaces = (GERMANY, JAPAN)
            with unit_of_work():
                store = db.session.get_one(Store, german.id)
                activity.connected(store, channel.connect(access))
        return page

    there = offer(channel, JAPAN.id, days=9)
    monkeypatch.setattr(channel, "fetch_orders", add_meanwhile)
    start(german)
    work()
    jobs.import_orders(german.id)
    assert numbers() == {there}
    assert [asked.open_only for asked in channel.asked[:2]] == [True, True]


@pytest.mark.parametrize("hours", [7, 60], ids=["shorter than the wide window", "longer"])
def test_what_was_placed_or_shipped_while_a_marketplace_was_denied_comes_in(
    hours: int, german: Store, channel: FakeChannel, told: set[str], denied_ones: set[str], work: Work
) -> None:
    """The windows went on without the marketplace, including the daily long one."""
    told.add(JAPAN.id)
    start(german)
    work()
    go_on(work, 1)
    denied_ones.add(JAPAN.id)
    missed = set[str]()
    for hour in range(2, hours, 3):
        with time_machine.travel(now() + timedelta(hours=hour), tick=True):
            missed |= {offer(channel, JAPAN.id), offer(channel, JAPAN.id, **SHIPPED)}
        go_on(work, hour + 0.5)
    assert not missed & numbers()
    assert db.session.scalars(select(StoreDenial.name)).all() == [JAPAN.id]

    denied_ones.clear()
    for later in (7, 7.1, 7.2):
        go_on(work, hours + later)
    assert missed <= numbers()
    assert db.session.get_one(OrdersProof, german.id).proven_at is not None


def test_a_marketplace_denied_again_before_the_proof_was_done_misses_nothing(
    german: Store, channel: FakeChannel, told: set[str], denied_ones: set[str], work: Work
) -> None:
    """The proof goes on without the marketplace and ends; what it misses from the first denial is read after the
    second.
    """
    told.add(JAPAN.id)
    denied_ones.add(JAPAN.id)
    start(german)
    work()
    missed = offer(channel, JAPAN.id, days=3, **SHIPPED)
    with unit_of_work():  # lifted, its open orders read, and denied again by the next window
        denials.lift(db.session.scalars(select(StoreDenial)).one())
        denials.note(german.id, denials.ORDERS, Denial(DeniedThing.MARKETPLACE, JAPAN.id), low=now())
    go_on(work)
    assert db.session.get_one(OrdersProof, german.id).proven_at is not None

    denied_ones.clear()
    for later in (7, 7.1, 7.2):
        go_on(work, later)
    assert missed in numbers()


def test_what_begins_to_be_proven_is_owed_by_what_is_denied_too(german: Store, denied_ones: set[str]) -> None:
    with unit_of_work():
        runs.sync_of(german.id)
        denials.note(german.id, denials.ORDERS, Denial(DeniedThing.MARKETPLACE, JAPAN.id), low=now())
        order_windows.read_first_again(german.id)
    low = db.session.get_one(OrdersProof, german.id).low
    db.session.expire_all()
    assert db.session.scalars(select(StoreDenial.low)).one() == low < now() - timedelta(days=29)


def test_the_proof_waits_for_a_window_that_was_begun_without_a_marketplace(
    german: Store, channel: FakeChannel, told: set[str], work: Work
) -> None:
    """Changes after the cursor are left to the window; this window lacks the marketplace, so it must end first."""
    start(german)
    work()
    channel.page_size = 1
    offer(channel, GERMANY.id, **SHIPPED)
    offer(channel, GERMANY.id, **SHIPPED)
    with time_machine.travel(now() + timedelta(minutes=5), tick=True):
        jobs.import_orders(german.id)
        channel.failures.append(Throttled(channel="Fake", seconds=300))
        jobs.import_orders(german.id)
        assert db.session.get_one(StoreSync, (german.id, "orders")).next_at > now() + timedelta(minutes=4)
        assert order_windows.due_for_more() == []
        asked = len(channel.asked)
        jobs.read_more(german.id)
        assert len(channel.asked) == asked
