"""Every order arrives once: pages repeated, reordered, stale, hostile, and taken in by two workers at once."""

import random
import string
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, func, select
from sqlalchemy.exc import OperationalError

from webapp.audit.actor import Actor
from webapp.channels.incoming import ChannelStage, FulfilledBy, IncomingPackage, OrdersPage, UnreadableOrder
from webapp.channels.models import Shop, Store
from webapp.db import db, unit_of_work
from webapp.errors import DatabaseBusy, DiskFull, Unavailable
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.models import Package
from webapp.fulfillment.services import ship_order, shipments_of
from webapp.lists.listing import list_page
from webapp.orders.attention import in_words
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order, OrderEvent, OrderLine
from webapp.orders.order_settings import NEW_ORDERS
from webapp.orders.queries import find_order, locked
from webapp.reporting import changes
from webapp.settings.services import store_all
from webapp.sync.models import QuarantinedOrder
from webapp.sync.taking_in import facts, pages
from webapp.sync.taking_in.pages import Taken, prepare, take_in
from webapp.testing import again, incoming_line, incoming_order, line_again
from webapp.vault.services import RAW, reveal

Take = Callable[..., list[Order]]


def take_page(store: Store, page: OrdersPage) -> Taken:
    ready = prepare(store, page)
    with unit_of_work():
        return take_in(store, ready)


@contextmanager
def heard(statements: list[str]) -> Iterator[None]:
    """Record the statements of the block."""

    def note(connection: Any, cursor: Any, statement: str, *_: object) -> None:
        statements.append(" ".join(statement.split()))

    event.listen(db.engine, "before_cursor_execute", note)
    yield
    event.remove(db.engine, "before_cursor_execute", note)


def count(model: type) -> int:
    return db.session.scalar(select(func.count()).select_from(model)) or 0


def test_an_order_arrives_with_both_numbers_and_both_statuses(take: Take, operator: Actor) -> None:
    told = incoming_order([incoming_line("MUG", 2), incoming_line("CUP", 1)])
    [order] = take(told)

    assert order.number == "000001"
    assert order.channel_order_number == told.number
    assert (order.state, order.channel_status) == ("processing", "UNSHIPPED")
    assert (order.items, order.unshipped, order.total_minor, order.residual_minor) == (3, 3, told.total, 0)
    assert [(line.sku, line.ordered, line.open) for line in order.lines] == [("MUG", 2, 2), ("CUP", 1, 1)]
    assert reveal(operator, [order.id], purpose="test")[order.id]["name"] == "Jane Quixelworth"
    assert reveal(operator, [order.id], purpose="test", kind=RAW)[order.id] == {"said": "so"}


def test_the_same_page_again_touches_nothing(store: Store) -> None:
    page = OrdersPage([incoming_order(), incoming_order()])
    assert take_page(store, page) == Taken(seen=2, new=2)
    before = [(order.version, order.updated_at) for order in db.session.query(Order)]

    assert take_page(store, page) == Taken(seen=2)

    assert [(order.version, order.updated_at) for order in db.session.query(Order)] == before
    assert count(OrderEvent) == 2


def test_an_order_that_stands_twice_in_a_page_arrives_once_in_its_later_form(store: Store) -> None:
    told = incoming_order()
    later = again(told, status="PARTIALLY_SHIPPED")
    assert take_page(store, OrdersPage([later, told])).new == 1
    assert db.session.query(Order).one().channel_status == "PARTIALLY_SHIPPED"


def test_a_stale_answer_never_wins(store: Store, take: Take) -> None:
    told = incoming_order()
    take(again(told, status="PARTIALLY_SHIPPED"))
    assert take_page(store, OrdersPage([told])) == Taken(seen=1)
    assert db.session.query(Order).one().channel_status == "PARTIALLY_SHIPPED"


def test_news_changes_the_order_and_leaves_one_event(store: Store, take: Take) -> None:
    told = incoming_order(stage=ChannelStage.AWAITING_PAYMENT, status="PENDING", buyer={})
    [order] = take(told)
    assert order.state == "pending"

    paid = again(told, stage=ChannelStage.OPEN, status="UNSHIPPED")
    assert take_page(store, OrdersPage([paid])) == Taken(seen=1, changed=1)

    order = db.session.query(Order).one()
    assert (order.state, order.version) == ("processing", 2)
    assert [event.code for event in db.session.query(OrderEvent).order_by(OrderEvent.id)] == ["placed", "changed_there"]


def test_what_cannot_be_read_is_quarantined_and_blocks_nothing(store: Store, take: Take) -> None:
    broken = UnreadableOrder("302-0000000-0000099", "createdTime", "no time", {"orderId": "302-0000000-0000099"})
    greedy = incoming_order([incoming_line(price=2**62)], number="302-0000000-0000098", total=2**70)
    nul = incoming_order([incoming_line(title="a\0b")], number="302-0000000-0000097")
    good = incoming_order()

    assert take_page(store, OrdersPage([good, greedy, nul], [broken])) == Taken(seen=4, new=1, quarantined=3)

    fields = {order.number: order.field for order in db.session.query(QuarantinedOrder)}
    assert fields == {broken.number: "createdTime", greedy.number: "amounts", nul.number: "number"}


def test_no_text_stops_a_page(store: Store, operator: Actor) -> None:
    """Texts that end within a character, and numbers that no database accepts."""
    half = incoming_order(raw={"giftMessage": "for you \ud83d"})
    odd = [incoming_order([incoming_line(title="cut \ud83d")], number="302-1"), incoming_order(number="302\0\ud83d2")]
    unreadable = UnreadableOrder("302\0\ud83d3", "createdTime", "no time", {"orderId": "302\0\ud83d3"})

    assert take_page(store, OrdersPage([half, *odd], [unreadable])) == Taken(seen=4, new=1, quarantined=3)

    [order] = db.session.query(Order)
    assert reveal(operator, [order.id], purpose="test", kind=RAW)[order.id] == half.raw
    assert {order.number for order in db.session.query(QuarantinedOrder)} == {"302-1", "302?2", "302?3"}


@pytest.mark.parametrize("reference", ["9" * 12, "9" * 5000, "²", "PKG-1", ""])
def test_whatever_others_call_their_packages_ours_can_leave(take: Take, mia: Actor, reference: str) -> None:
    line = incoming_line("MUG", 2, fulfilled=1)
    [order] = take(incoming_order([line], packages=(IncomingPackage(reference, {line.number: 1}, "UPS", "", "1Z1"),)))
    with unit_of_work():
        ship_order(locked(order), [PackageInput("DHL", "JD7")], actor=mia)
    assert [package.number for shipment in shipments_of(order) for package in shipment.packages] == [1, 2]


def test_lines_that_come_later_stand_after_those_that_are_there(take: Take) -> None:
    first, second, third, fourth = lines = [incoming_line(f"SKU-{number}") for number in range(4)]
    told = incoming_order([first, second])
    take(told)
    take(again(told, lines=(first, second, third)))
    [order] = take(again(told, minutes=9, lines=(first, fourth, second, third)))
    assert [line.channel_line_number for line in order.lines] == [line.number for line in lines]


def test_an_quarantined_order_comes_in_once_it_can_be_read(store: Store) -> None:
    told = incoming_order(number="302-0000000-0000099")
    take_page(store, OrdersPage([], [UnreadableOrder(told.number, "createdTime", "no time")]))
    assert take_page(store, OrdersPage([told])) == Taken(seen=1, new=1)
    assert count(QuarantinedOrder) == 0


def test_an_order_that_the_database_refuses_stands_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks before the transaction miss this value; the page is then repeated order by order."""
    monkeypatch.setattr(facts, "problem_of", lambda order: None)
    line = incoming_line()
    bad = incoming_order([replace(line, amounts=(replace(line.amounts[0], tax=-1),))])

    taken = take_page(store, OrdersPage([incoming_order(), bad, incoming_order()]))
    assert taken == Taken(seen=3, new=2, quarantined=1)
    assert db.session.query(QuarantinedOrder).one().problem == "refused_by_database"


NEVER, NO_DATE = datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)
LONG = "".join(random.Random(7).choices(string.ascii_letters, k=9000))  # which no index makes shorter


@pytest.mark.parametrize(
    ("odd", "field", "problem"),
    [
        ({"created_at": NO_DATE}, "created_at", "odd_time"),
        ({"updated_at": NEVER}, "updated_at", "odd_time"),
        ({"number": LONG}, "number", "too_long"),
        ({"marketplace": LONG}, "marketplace", "too_long"),
        ({"lines": (incoming_line(LONG),)}, "lines.sku", "too_long"),
        ({"lines": (replace(incoming_line(), number=LONG),)}, "lines.number", "too_long"),
    ],
)
def test_an_order_that_cant_be_kept_is_quarantined_and_its_neighbors_come_in(
    store: Store, odd: dict[str, Any], field: str, problem: str
) -> None:
    with unit_of_work():
        db.session.get_one(Shop, store.shop_id).zone = "America/New_York"
    page = OrdersPage([incoming_order(), replace(incoming_order(), **odd)])
    for new in (1, 0):
        assert take_page(store, page) == Taken(seen=2, new=new, quarantined=1)
    [order] = db.session.query(QuarantinedOrder)
    assert (order.field, order.problem, order.attempts) == (field, problem, 2)


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_a_deadline_that_cant_be_is_left_out_and_marked(store: Store, take: Take, zone: str, operator: Actor) -> None:
    with unit_of_work():
        db.session.get_one(Shop, store.shop_id).zone = zone
    line = incoming_line("MUG", 2, fulfilled=1)
    package = IncomingPackage("1", {line.number: 1}, shipped_at=NO_DATE)
    told = incoming_order([line], ship_by=NEVER, deliver_from=NO_DATE, packages=(package,))
    [order] = take(told)
    assert (order.ship_by, order.deliver_from, order.deliver_by) == (None, None, told.deliver_by)
    assert order.attention == [{"kind": "odd_time", "values": {"times": ["ship_by", "deliver_from", "shipped_at"]}}]
    assert "Ship by, Deliver from, Shipped" in in_words(order.attention)[0].cause
    list_page(ORDER_LIST, operator)
    take(told)
    assert order.version == 1
    [order] = take(again(told, ship_by=told.deliver_by, deliver_from=None, packages=()))
    assert (order.ship_by, order.attention) == (told.deliver_by, [])


def test_an_order_that_breaks_what_listens_stands_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page never stops for a bug that concerns only one of its orders."""
    bad = incoming_order(currency="XXX")

    def place_of(order: Mapping[str, Any], zone: str) -> tuple[changes.Cell, changes.Counts]:
        if order["currency"] == "XXX":
            raise OverflowError
        return found(order, zone)

    found = changes.place_of
    monkeypatch.setattr(changes, "place_of", place_of)
    taken = take_page(store, OrdersPage([incoming_order(), bad, incoming_order()]))
    assert taken == Taken(seen=3, new=2, quarantined=1)
    assert (db.session.query(QuarantinedOrder).one().problem, count(Order)) == ("not_written", 2)


def test_what_no_index_holds_stands_alone_too(store: Store) -> None:
    """PostgreSQL raises for it the error that it also raises for its own troubles."""
    line = incoming_line("MUG", fulfilled=1)
    long = incoming_order([line], packages=(IncomingPackage(LONG, {line.number: 1}),))
    kept = db.engine.dialect.name == "sqlite"
    taken = take_page(store, OrdersPage([incoming_order(), long]))
    assert taken == Taken(seen=2, new=2 if kept else 1, quarantined=0 if kept else 1)


@pytest.mark.parametrize(
    "trouble",
    [
        DatabaseBusy(),
        Unavailable(what="database"),
        OperationalError("", {}, Exception("disk is full")),
        OSError(28, ""),
    ],
    ids=repr,
)
def test_trouble_that_passes_quarantines_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    def write_page(*_: object) -> Taken:
        raise trouble

    monkeypatch.setattr(pages, "write_page", write_page)
    with pytest.raises(DiskFull if isinstance(trouble, OSError) else type(trouble)):
        take_page(store, OrdersPage([incoming_order()]))
    assert count(QuarantinedOrder) == 0


def test_units_canceled_there_are_counted_from_the_first_quantity(take: Take) -> None:
    told = incoming_order([incoming_line("MUG", 3)])
    take(told)
    [order] = take(again(told, lines=line_again(told, ordered=2, unfulfilled=2, canceled_by="BUYER")))
    [line] = order.lines
    assert (line.ordered, line.canceled, line.open) == (3, 1, 2)


@pytest.mark.parametrize("change", [{"ordered": 2, "unfulfilled": 2}, {"unfulfilled": 2}, {"ordered": 2}])
def test_units_that_nobody_is_said_to_have_canceled_count_once_a_second_reading_agrees(
    take: Take, change: dict[str, int]
) -> None:
    told = incoming_order([incoming_line("MUG", 3, unfulfilled=None if "unfulfilled" not in change else 3)])
    take(told)
    fewer = again(told, lines=line_again(told, **change))
    [order] = take(fewer)
    assert (order.lines[0].canceled, order.unshipped) == (0, 3)
    [order] = take(fewer)  # the very answer again
    assert (order.lines[0].canceled, order.unshipped) == (1, 2)


def test_units_that_a_second_reading_shows_again_are_not_canceled(take: Take) -> None:
    told = incoming_order([incoming_line("MUG", 3)])
    take(told)
    take(again(told, lines=line_again(told, ordered=1, unfulfilled=1)))
    [order] = take(again(told, minutes=6, lines=line_again(told, ordered=2, unfulfilled=2)))
    assert order.lines[0].canceled == 1
    [order] = take(again(told, minutes=7))
    assert order.lines[0].canceled == 1  # a reading that lags behind takes nothing back


def test_units_canceled_there_that_have_left_here_are_a_conflict(take: Take, mia: Actor) -> None:
    told = incoming_order([incoming_line("MUG", 3)])
    [order] = take(told)
    with unit_of_work():
        ship_order(locked(order), [PackageInput("DHL", "JD1", lines={order.lines[0].id: 2})], actor=mia)
    [order] = take(again(told, lines=line_again(told, ordered=1, unfulfilled=1, canceled_by="BUYER")))
    assert (order.lines[0].shipped, order.lines[0].canceled) == (2, 1)
    [trouble] = in_words(order.attention)
    assert trouble.cause == "The channel canceled 2 units of MUG, but only 1 were still unshipped."


def test_an_order_canceled_there_is_canceled_here(take: Take) -> None:
    told = incoming_order([incoming_line("MUG", 2)])
    take(told)
    lines = line_again(told, ordered=0, unfulfilled=0, canceled_by="BUYER")
    [order] = take(again(told, stage=ChannelStage.CANCELED, status="CANCELLED", lines=lines))
    assert (order.state, order.unshipped) == ("canceled", 0)
    assert order.lines[0].canceled == 2


def test_a_cancellation_that_withholds_the_buyer_takes_nothing_away(take: Take, operator: Actor) -> None:
    told = incoming_order()
    take(told)
    withheld = {"stage": ChannelStage.CANCELED, "status": "CANCELLED", "total": None, "currency": None}
    withheld["buyer"] = {"gift_messages": {told.lines[0].number: "For you"}}
    lines = line_again(told, unfulfilled=0, amounts=(), unit_price=None, total=None)
    [order] = take(again(told, lines=lines, **withheld))
    assert (order.state, order.address_state, order.total_minor) == ("canceled", "ok", told.total)
    assert order.residual_minor == 0
    known = reveal(operator, [order.id], purpose="test")[order.id]
    assert (known["name"], known["address"]["city"]) == ("Jane Quixelworth", "Vrombaut")
    assert list(known["gift_messages"].values()) == ["For you"]


def test_a_refused_address_stays_while_the_rest_is_renewed(take: Take, operator: Actor) -> None:
    told = incoming_order()
    take(told)
    [order] = take(again(told, buyer={"name": "Jane Q."}, missing=("RECIPIENT",)))
    known = reveal(operator, [order.id], purpose="test")[order.id]
    assert (known["name"], known["address"]["city"]) == ("Jane Q.", "Vrombaut")


def test_canceled_there_after_we_shipped_raises_attention_and_stays_complete(take: Take, mia: Actor) -> None:
    told = incoming_order()
    [order] = take(told)
    with unit_of_work():
        ship_order(locked(order), [PackageInput("DHL", "JD1")], actor=mia)
    [order] = take(again(told, stage=ChannelStage.CANCELED, status="CANCELLED", lines=line_again(told, unfulfilled=0)))
    assert order.state == "complete"
    assert "canceled_after_shipping" in [trouble["kind"] for trouble in order.attention]


def test_units_shipped_elsewhere_become_a_shipment_of_that_origin(take: Take, mia: Actor) -> None:
    told = incoming_order([incoming_line("MUG", 3)])
    take(told)
    [line] = told.lines
    package = IncomingPackage("7", {line.number: 2}, "UPS", "Ground", "1Z99")
    shipped = line_again(told, fulfilled=2, unfulfilled=1)
    [order] = take(again(told, status="PARTIALLY_SHIPPED", lines=shipped, packages=(package,)))

    [shipment] = shipments_of(order)
    assert shipment.origin == "elsewhere"
    [parcel] = shipment.packages
    assert (parcel.number, parcel.carrier, parcel.tracking_number) == (7, "UPS", "1Z99")
    assert (order.lines[0].shipped, order.lines[0].open, order.state) == (2, 1, "processing")
    with unit_of_work():
        ours = ship_order(locked(order), [PackageInput("DHL", "JD2")], actor=mia)
        assert [package.number for package in ours.packages] == [8]


def test_our_own_package_read_back_is_not_shipped_twice(take: Take, mia: Actor) -> None:
    told = incoming_order([incoming_line("MUG", 2)])
    [order] = take(told)
    with unit_of_work():
        ship_order(locked(order), [PackageInput("DHL", "JD3")], actor=mia)
    package = IncomingPackage("1", {told.lines[0].number: 2}, "DHL", "", "JD3")
    lines = line_again(told, fulfilled=2, unfulfilled=0)
    [order] = take(again(told, stage=ChannelStage.SHIPPED, status="SHIPPED", lines=lines, packages=(package,)))
    assert order.lines[0].shipped == 2
    assert count(Package) == 1


def test_a_lagging_answer_takes_nothing_back(take: Take, mia: Actor) -> None:
    told = incoming_order([incoming_line("MUG", 2)])
    [order] = take(told)
    with unit_of_work():
        ship_order(locked(order), [PackageInput("DHL", "JD4")], actor=mia)
    [order] = take(again(told, buyer={**told.buyer, "company": "Zed"}))
    assert (order.lines[0].shipped, order.state) == (2, "complete")


def test_an_order_first_seen_complete_arrived_so(take: Take) -> None:
    line = incoming_line("MUG", 2, fulfilled=2)
    [order] = take(
        incoming_order([line], stage=ChannelStage.SHIPPED, status="SHIPPED", fulfilled_by=FulfilledBy.CHANNEL)
    )
    assert (order.state, order.arrived_complete, order.unshipped) == ("complete", True, 0)
    assert [shipment.origin for shipment in shipments_of(order)] == ["elsewhere"]


def test_an_unknown_status_is_kept_shown_and_marked(take: Take) -> None:
    [order] = take(incoming_order(stage=ChannelStage.UNKNOWN, status="ON_THE_MOON"))
    assert (order.state, order.channel_status) == ("processing", "ON_THE_MOON")
    assert [trouble["kind"] for trouble in order.attention] == ["unknown_status"]


def test_a_line_without_a_sku_is_marked_and_can_be_worked(take: Take, mia: Actor) -> None:
    [order] = take(incoming_order([incoming_line("")]))
    assert order.needs_attention
    assert [problem["kind"] for problem in order.lines[0].problems] == ["unmatched_sku"]
    assert [trouble["kind"] for trouble in order.attention] == ["unmatched_sku"]  # the list has no lines to show it by
    with unit_of_work():
        ship_order(locked(order), [PackageInput("DHL", "JD5")], actor=mia)


def test_with_import_off_an_order_has_no_number(store: Store, take: Take) -> None:
    with unit_of_work():
        store_all(NEW_ORDERS, {"import_orders": False}, store)
    [order] = take(incoming_order())
    assert order.managed_at_channel


def test_orders_that_are_no_sales_are_mirrored_only(store: Store) -> None:
    assert take_page(store, OrdersPage([incoming_order(is_sale=False)])) == Taken(seen=1)
    assert count(Order) == 0


def test_the_channels_number_can_be_the_orders(store: Store, take: Take) -> None:
    with unit_of_work():
        store_all(NEW_ORDERS, {"own_numbers": False}, store)
    told = incoming_order()
    [order] = take(told)
    assert order.number == told.number


def test_whether_the_channels_numbers_are_taken_is_asked_once_a_page(store: Store, take: Take) -> None:
    [elder] = take(incoming_order())
    with unit_of_work():
        store_all(NEW_ORDERS, {"own_numbers": False}, store)
    assert elder.number is not None
    statements: list[str] = []
    page = [incoming_order(number=elder.number), *(incoming_order() for _ in range(4))]
    with heard(statements):
        orders = take(*page)
    assert [order.number for order in orders] == ["000002", *(told.number for told in page[1:])]
    assert len([said for said in statements if "FROM orders" in said and "orders.number IN" in said]) == 1
    assert not [said for said in statements if "orders.number =" in said]


def test_parts_that_the_channel_refused_to_tell_stay_as_they_were(take: Take, operator: Actor) -> None:
    told = incoming_order()
    take(told)
    [order] = take(again(told, buyer={}, missing=("RECIPIENT", "buyer"), status="PARTIALLY_SHIPPED"))
    assert order.address_state == "ok"
    assert [trouble["kind"] for trouble in order.attention] == ["incomplete"]
    assert reveal(operator, [order.id], purpose="test")[order.id]["name"] == "Jane Quixelworth"


def test_an_order_of_500_lines_and_one_in_japanese_yen_arrive_whole(take: Take) -> None:
    long = incoming_order([incoming_line(f"SKU/%é #{n}", 1, price=n) for n in range(500)])
    yen = incoming_order([incoming_line("茶碗", 3, price=1500)], marketplace="JP", currency="JPY")
    orders = take(long, yen)
    assert [len(order.lines) for order in orders] == [500, 1]
    assert str(orders[1].total) == "5400"


def test_two_workers_on_one_page_make_every_order_once(app: Flask, store: Store) -> None:
    page = OrdersPage([incoming_order() for _ in range(40)])
    failures: list[BaseException] = []
    barrier = threading.Barrier(2)

    def worker() -> None:
        try:
            with app.app_context():
                mine = db.session.get_one(Store, store_id)
                ready = prepare(mine, page)
                db.session.commit()
                barrier.wait(60)
                with unit_of_work():
                    take_in(db.session.get_one(Store, store_id), ready)
        except BaseException as error:  # handed to the test, whatever it is
            failures.append(error)

    store_id = store.id
    db.session.commit()
    threads = [threading.Thread(target=worker) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert (count(Order), count(OrderLine), count(OrderEvent)) == (40, 40, 40)
    assert len(set(db.session.scalars(select(Order.number)))) == 40


def test_residual_shows_where_the_channels_total_differs_from_our_sum(take: Take) -> None:
    [order] = take(incoming_order([incoming_line("MUG", 1, price=1000)], total=1250))
    assert order.residual_minor == 50


def test_fingerprints_ignore_the_raw_answer_and_nothing_else() -> None:
    told = incoming_order()
    assert facts.fingerprint(told) == facts.fingerprint(replace(told, raw={"other": 1}))
    assert facts.fingerprint(told) != facts.fingerprint(replace(told, ship_by=told.ship_by + timedelta(seconds=1)))


def test_find_order_takes_either_number(take: Take, operator: Actor) -> None:
    told = incoming_order()
    [order] = take(told)
    assert find_order(order.number or "", operator).id == find_order(told.number, operator).id == order.id
