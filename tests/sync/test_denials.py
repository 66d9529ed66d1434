"""One denial is left out by name, the rest goes on, and it is tried again; only a refused sign-in disconnects."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import delete, event, select, text
from sqlalchemy.exc import OperationalError

from webapp.audit.actor import Actor
from webapp.channels.connecting import ChannelError, Connection, Denial, Denied, DeniedThing, Disconnected, StoreAccess
from webapp.channels.incoming import ChannelStage, IncomingOrder, IncomingPackage, OrdersPage, OrdersWindow
from webapp.channels.models import Store
from webapp.channels.outgoing import NotYet, Sent
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.jobs import JobFailed, queue
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.sync import denials, health, jobs, order_windows, runs
from webapp.sync.models import OrdersProof, StoreDenial
from webapp.testing import GERMANY, JAPAN, FakeChannel, again, incoming_line, incoming_order, line_again
from webapp.updates import deciding
from webapp.updates.models import ChannelUpdate

Work = Callable[[], int]
pytestmark = pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)


class MarketDenied(Denied):
    code = "test_market_denied"
    thing = DeniedThing.MARKETPLACE


@pytest.fixture
def japan_denied(channel: FakeChannel, monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """The channel denies Japan, by name; `japan_denied["now"] = False` lifts the denial."""
    fetch, state = channel.fetch_orders, {"now": True}

    def fetch_without(access: StoreAccess, window: OrdersWindow) -> OrdersPage:
        if state["now"] and window.only == JAPAN.id:
            channel.asked.append(window)
            raise MarketDenied(channel="Fake", problem="no role", name=JAPAN.id)
        if state["now"] and JAPAN.id not in window.without:
            channel.asked.append(window)
            return OrdersPage([], next_page="0", denied=[Denial(DeniedThing.MARKETPLACE, JAPAN.id)])
        return fetch(access, window)

    monkeypatch.setattr(channel, "fetch_orders", fetch_without)
    return state


def start(store: Store) -> int:
    with unit_of_work():
        run = runs.start(db.session.get_one(Store, store.id), actor=Actor.operator())
        jobs.import_orders.enqueue(store.id)
        return run.id


def later(**much: float) -> time_machine.travel:
    return time_machine.travel(now() + timedelta(**much), tick=True)


def denied(store: Store) -> list[tuple[str, str]]:
    db.session.expire_all()
    return [(row.thing, row.name) for row in db.session.scalars(select(StoreDenial))]


def numbers() -> set[str]:
    return set(db.session.scalars(select(Order.channel_order_number)))


def offer(channel: FakeChannel, marketplace: str = GERMANY.id, **more: object) -> IncomingOrder:
    currency = {"currency": JAPAN.currency} if marketplace == JAPAN.id else {}
    order = incoming_order(marketplace=marketplace, **currency, **more)
    channel.offer(order)
    return order


def test_one_marketplace_denied_is_left_out_and_the_rest_goes_on(
    store: Store, channel: FakeChannel, work: Work, japan_denied: dict[str, bool]
) -> None:
    here, there = offer(channel), offer(channel, JAPAN.id)
    start(store)
    work()
    assert numbers() == {here.number}
    assert denied(store) == [("marketplace", JAPAN.id)]
    assert db.session.get_one(Store, store.id).problem is None
    state = health.of_stores([store.id])[store.id]
    assert state.of(store, left_out=False) == "connected"
    assert [row.name for row in state.denials] == [JAPAN.id]
    since = state.denials[0].since

    with later(hours=3):
        jobs.find_due()
        work()
        assert not [asked for asked in channel.asked if asked.only]  # it is tried every six hours
    with later(hours=6, minutes=1):
        jobs.find_due()
        work()
        assert [asked.only for asked in channel.asked if asked.only] == [JAPAN.id]
        assert denied(store) == [("marketplace", JAPAN.id)]
        assert db.session.scalars(select(StoreDenial.since)).one() == since

    japan_denied["now"] = False
    with later(hours=12, minutes=3):
        jobs.find_due()
        work()
        assert denied(store) == []
        assert numbers() == {here.number, there.number}


def test_what_changed_while_it_was_denied_is_found_by_the_proof(
    store: Store, channel: FakeChannel, work: Work, japan_denied: dict[str, bool]
) -> None:
    """Its open orders are read first; one that was shipped meanwhile is found by the pass from the denial on."""
    start(store)
    work()
    shipped = offer(channel, JAPAN.id, stage=ChannelStage.SHIPPED, status="SHIPPED")
    japan_denied["now"] = False
    for hours in (7.0, 7.1, 7.2):
        with later(hours=hours):
            jobs.find_due()
            work()
            jobs.find_due()
            work()
    assert denied(store) == []
    assert shipped.number in numbers()


def test_a_worker_that_dies_between_two_pages_of_a_trial_costs_nothing(
    store: Store, channel: FakeChannel, work: Work, japan_denied: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next worker continues after the page that was taken in."""
    start(store)
    work()
    channel.page_size = 1
    there = [offer(channel, JAPAN.id) for _ in range(3)]
    japan_denied["now"] = False
    with later(hours=7):
        jobs.read_more(store.id)
        assert denied(store) == [("marketplace", JAPAN.id)]
        with unit_of_work():
            assert order_windows.lease_for_more(store.id, "dies here") is not None
    with later(hours=7, seconds=30):
        jobs.find_due()
        work()
    assert denied(store) == []
    assert {order.number for order in there} <= numbers()


def test_data_that_is_denied_is_said_and_read_again_once_it_is_told(
    store: Store, channel: FakeChannel, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch, missing = channel.fetch_orders, [Denial(DeniedThing.DATA, "RECIPIENT")]

    def fetch_lacking(access: StoreAccess, window: OrdersWindow) -> OrdersPage:
        page = fetch(access, window)
        return OrdersPage(page.orders, next_page=page.next_page, bound=page.bound, denied=list(missing))

    monkeypatch.setattr(channel, "fetch_orders", fetch_lacking)
    offer(channel)
    start(store)
    work()
    assert denied(store) == [("data", "RECIPIENT")]
    again_at = db.session.scalars(select(StoreDenial.again_at)).one()
    with later(hours=3):
        start(store)
        work()
        db.session.expire_all()
        assert db.session.scalars(select(StoreDenial.again_at)).one() == again_at  # nothing was tried meanwhile
    with later(hours=6.1):
        start(store)
        work()
        db.session.expire_all()
        assert db.session.scalars(select(StoreDenial.again_at)).one() > again_at + timedelta(hours=5)
    with unit_of_work():
        db.session.get_one(OrdersProof, store.id).proven_at = now()
    missing.clear()
    start(store)
    work()
    assert denied(store) == []
    assert db.session.get_one(OrdersProof, store.id).proven_at is None  # what came meanwhile is read again


def test_reading_denied_altogether_fails_the_run_and_disconnects_nothing(
    store: Store, channel: FakeChannel, work: Work
) -> None:
    run_id = start(store)
    channel.failures.append(Denied(channel="Fake", problem="no role", name="search"))
    work()
    db.session.expire_all()
    assert runs.runs(Actor.operator(), store_id=store.id)[0].id == run_id
    assert (db.session.get_one(Store, store.id).problem, denied(store)) == (None, [("operation", "search")])
    sync = runs.sync_of(store.id)
    assert timedelta(hours=5.9) < sync.next_at - now() < timedelta(hours=6.1)
    assert "no role" in (health.of_stores([store.id])[store.id].last_failure or "")
    start(store)
    work()
    assert denied(store) == []
    assert health.of_stores([store.id])[store.id].last_failure is None


def test_only_a_refused_sign_in_disconnects(store: Store, channel: FakeChannel, work: Work) -> None:
    start(store)
    channel.failures.append(Disconnected(channel="Fake", problem="revoked"))
    work()
    db.session.expire_all()
    state = health.of_stores([store.id])[store.id]
    assert "revoked" in (state.disconnected(db.session.get_one(Store, store.id)) or "")


def ship(orders: Sequence[Order], mia: Actor) -> None:
    with unit_of_work():
        for order in orders:
            ship_order(locked(order), [PackageInput("DHL", f"JD{order.id}")], actor=mia)


def rows() -> list[ChannelUpdate]:
    db.session.expire_all()
    return list(db.session.scalars(select(ChannelUpdate).order_by(ChannelUpdate.id)))


def test_an_update_that_is_denied_waits_for_itself_alone(
    take: Callable[..., list[Order]], channel: FakeChannel, work: Work, mia: Actor
) -> None:
    first, second = take(incoming_order(), incoming_order())
    problem = Denied(channel="Fake", problem="not this one").stored()
    channel.outcomes += [
        NotYet(6 * 3600, cause=problem, denial=Denial(DeniedThing.ORDER, first.channel_order_number, problem)),
        Sent(),
    ]
    ship([first, second], mia)
    work()
    assert [row.state for row in rows()] == ["owed", "sent"]
    assert denied(first.store) == [("order", first.channel_order_number)]
    assert [trouble["kind"] for trouble in first.attention] == ["update_denied"]
    assert deciding.retriable(rows()[0])

    with later(hours=6, minutes=1):
        jobs.find_due()
        work()
    assert [row.state for row in rows()] == ["sent", "sent"]
    assert (denied(first.store), first.attention) == ([], [])


def test_somebody_sends_a_denied_update_again_or_closes_it(
    take: Callable[..., list[Order]], channel: FakeChannel, work: Work, mia: Actor
) -> None:
    orders = take(incoming_order(), incoming_order())
    problem = Denied(channel="Fake", problem="not this one").stored()
    channel.outcomes += [
        NotYet(6 * 3600, cause=problem, denial=Denial(DeniedThing.ORDER, order.channel_order_number, problem))
        for order in orders
    ]
    ship(orders, mia)
    work()
    with unit_of_work():
        deciding.retry(rows()[0], actor=mia)
        deciding.close(rows()[1], actor=mia)
    with later(seconds=1):
        jobs.find_due()
        work()
    assert [row.state for row in rows()] == ["sent", "withdrawn"]


def test_a_batch_that_is_denied_says_so_and_is_lifted_by_what_goes_out(
    take: Callable[..., list[Order]], store: Store, channel: FakeChannel, work: Work, mia: Actor
) -> None:
    [order] = take(incoming_order())
    ship([order], mia)
    channel.failures.append(Denied(channel="Fake", problem="no role", name="confirm"))
    work()
    assert denied(store) == [("operation", "confirm")]
    db.session.refresh(order)
    assert [trouble["kind"] for trouble in order.attention] == ["update_denied"]
    with later(hours=6, minutes=1):
        jobs.find_due()
        work()
    assert ([row.state for row in rows()], denied(store)) == (["sent"], [])


@pytest.mark.parametrize("how", ["shown", "closed"])
def test_a_denied_update_that_is_told_no_more_is_denied_no_more(
    how: str, take: Callable[..., list[Order]], store: Store, channel: FakeChannel, work: Work, mia: Actor
) -> None:
    """Without waiting updates neither order nor operation counts as denied: nothing else would ever try them."""
    told = [incoming_order([incoming_line()]), incoming_order([incoming_line()])]
    orders = take(*told)
    problem = Denied(channel="Fake", problem="no role").stored()
    refused = Denial(DeniedThing.OPERATION, "confirm", problem)
    channel.outcomes += [NotYet(6 * 3600, cause=problem, denial=refused)] * 2
    ship(orders, mia)
    work()
    with unit_of_work():
        denials.note(store.id, "shipment", Denial(DeniedThing.ORDER, orders[0].channel_order_number, problem))
    assert len(denied(store)) == 2

    left = [[("operation", "confirm")], []]
    for row, order, mine in zip(rows(), told, left, strict=True):
        if how == "closed":
            with unit_of_work():
                deciding.close(row, actor=mia)
        else:
            lines = line_again(order, fulfilled=1, unfulfilled=0)
            package = IncomingPackage("1", {lines[0].number: 1}, "DHL", "", row.payload["package"]["tracking_number"])
            take(again(order, packages=(package,), lines=lines))
        assert denied(store) == mine
    assert {row.state for row in rows()} == {"withdrawn" if how == "closed" else "effective"}


def test_new_credentials_are_tried_at_once(
    take: Callable[..., list[Order]], store: Store, channel: FakeChannel, work: Work, mia: Actor
) -> None:
    [order] = take(incoming_order())
    problem = Denied(channel="Fake", problem="no role").stored()
    channel.outcomes.append(NotYet(6 * 3600, cause=problem, denial=Denial(DeniedThing.OPERATION, "confirm", problem)))
    ship([order], mia)
    work()
    channel.failures.append(Denied(channel="Fake", problem="no role", name="search"))
    start(store)
    work()
    assert len(denied(store)) == 2

    jobs.connect(store.id)
    jobs.find_due()
    work()
    assert denied(store) == []
    assert [row.state for row in rows()] == ["sent"]


def test_a_test_that_is_denied_stops_nothing(
    store: Store, channel: FakeChannel, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = Denied(channel="Fake", problem="no role", name="participations")
    monkeypatch.setattr(channel, "connect", lambda access: Connection(problem=refused))
    offer(channel)
    jobs.connect(store.id)
    work()
    assert denied(store) == [("operation", "participations")]
    assert (db.session.get_one(Store, store.id).problem, len(numbers())) == (None, 1)


def test_an_order_that_is_denied_is_said_and_asked_for_again(
    store: Store, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = incoming_order()

    def refuse(access: StoreAccess, number: str) -> None:
        raise Denied(channel="Fake", problem="not yours")

    fetch = channel.fetch_order
    monkeypatch.setattr(channel, "fetch_order", refuse)
    jobs.fetch_order(store.id, told.number)
    assert denied(store) == [("order", told.number)]
    channel.offer(told)
    monkeypatch.setattr(channel, "fetch_order", fetch)
    jobs.fetch_order(store.id, told.number)
    assert (denied(store), numbers()) == ([], {told.number})

    with unit_of_work():
        denials.note(store.id, denials.ORDER, Denial(DeniedThing.ORDER, "unknown there"))
    jobs.fetch_order(store.id, "unknown there")
    assert denied(store) == []


def test_an_order_that_is_denied_is_asked_for_every_six_hours_by_its_row(
    store: Store, channel: FakeChannel, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often somebody requested it, and whatever the queue lost; a store that can't be asked waits."""
    asked: list[str] = []
    failures: list[ChannelError] = []

    def refuse(access: StoreAccess, number: str) -> None:
        asked.append(number)
        raise failures.pop() if failures else Denied(channel="Fake", problem="not yours")

    monkeypatch.setattr(channel, "fetch_order", refuse)
    for _ in range(3):
        jobs.fetch_order(store.id, "1")
    assert queue("asking").scheduled_job_registry.count == 0
    with unit_of_work():
        runs.sync_of(store.id).next_at = now() + timedelta(days=9)
    assert not jobs.anything_due()
    for hours, times in ((5, 3), (6.1, 4), (6.2, 4), (12.2, 5)):
        if hours == 12.2:  # whatever a try yields, the next follows after as long a time
            failures.append(ChannelError(channel="Fake", problem="HTTP 500"))
        with later(hours=hours):
            assert jobs.anything_due() is (times > len(asked))
            for _ in range(2):
                jobs.find_due()
                with suppress(JobFailed):
                    work()
                db.session.rollback()
        assert len(asked) == times
    with unit_of_work():
        db.session.get_one(Store, store.id).problem = Disconnected(channel="Fake", problem="revoked").stored()
    with later(hours=30):
        assert not jobs.anything_due()


def test_what_is_denied_by_operation_is_not_listed_order_by_order(store: Store, channel: FakeChannel) -> None:
    with unit_of_work():
        for number in ("1", "2"):
            denials.note(store.id, "shipment", Denial(DeniedThing.ORDER, number))
        denials.note(store.id, "shipment", Denial(DeniedThing.OPERATION, "confirm"))
    assert denied(store) == [("operation", "confirm")]
    with unit_of_work():  # but one that is asked for by itself is asked for again by its row
        denials.note(store.id, denials.ORDER, Denial(DeniedThing.ORDER, "1"))
        denials.note(store.id, denials.ORDER, Denial(DeniedThing.OPERATION, "get"))
    assert ("order", "1") in denied(store)


def test_a_denial_that_another_worker_lifts_just_then_takes_nothing_back(store: Store) -> None:
    """The denial is recorded with the outcomes of a sent batch, which must never be rolled back."""
    refused = Denial(DeniedThing.OPERATION, "confirm", Denied(channel="Fake", problem="no role").stored())
    with unit_of_work():
        denials.note(store.id, "shipment", refused)
    on_sqlite = db.engine.dialect.name == "sqlite"

    def lift() -> None:
        with suppress(OperationalError), db.engine.connect().execution_options(writes=True) as other, other.begin():
            if not on_sqlite:
                other.execute(text("SET LOCAL lock_timeout = '200ms'"))
            other.execute(delete(StoreDenial))

    def lift_after(conn: object, cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO store_denials"):
            lift()

    if on_sqlite:  # which lets one write at a time
        lift()
    else:
        event.listen(db.engine, "after_cursor_execute", lift_after)
    try:
        with unit_of_work():
            db.session.get_one(Store, store.id).name = "Settled"
            denials.note(store.id, "shipment", refused)
    finally:
        if not on_sqlite:
            event.remove(db.engine, "after_cursor_execute", lift_after)
    assert denied(store) == [("operation", "confirm")]
    assert db.session.get_one(Store, store.id).name == "Settled"


def test_a_denial_that_is_met_again_keeps_since_when_and_says_why_now(store: Store) -> None:
    def noted(thing: DeniedThing, **values: str) -> StoreDenial:
        with unit_of_work():
            denials.note(store.id, denials.ORDERS, Denial(thing, "it", values), low=now())
        db.session.expire_all()
        return db.session.scalars(select(StoreDenial).where(StoreDenial.thing == thing)).one()

    for thing, moves in ((DeniedThing.MARKETPLACE, True), (DeniedThing.DATA, False)):
        row = noted(thing, code="first")
        since, low, again_at = row.since, row.low, row.again_at
        with unit_of_work():
            row.page_token = "3"
        with later(hours=5):
            row = noted(thing, code="second")
        assert (row.since, row.low, row.page_token, row.problem) == (since, low, None, {"code": "second"})
        assert (row.again_at > again_at) is moves  # every page names data that were not requested
        with later(hours=7):
            assert noted(thing).again_at > again_at
