"""The status that a store's new orders get: once they can be worked, and only if no rule gave them one."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import event

from webapp.audit.actor import Actor
from webapp.channels.incoming import ChannelStage
from webapp.channels.models import Store
from webapp.db import db, unit_of_work
from webapp.errors import Invalid
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.orders.events import events_of, record
from webapp.orders.models import Order
from webapp.orders.order_settings import NEW_ORDERS
from webapp.orders.queries import find_order, locked
from webapp.orders.statuses import find_status, make_status, retire_status
from webapp.settings.services import change
from webapp.sync import numbering
from webapp.testing import again, incoming_order

Take = Callable[..., list[Order]]
PAID = {"stage": ChannelStage.OPEN, "status": "UNSHIPPED"}
UNPAID = {"stage": ChannelStage.AWAITING_PAYMENT, "status": "PENDING"}


@pytest.fixture(autouse=True)
def _statuses(store: Store, operator: Actor) -> None:
    with unit_of_work():
        make_status("to_pick", {"en": "To pick"}, state="processing", actor=operator)
        make_status("filed", {"en": "Filed"}, state="complete", actor=operator)


def set_orders(store: Store, actor: Actor, **settings: Any) -> None:
    with unit_of_work():
        change(NEW_ORDERS, settings, db.session.get_one(Store, store.id), actor=actor)


def status_of(order: Order) -> str | None:
    db.session.rollback()
    return find_order(f"@{order.id}", Actor.operator()).status


@pytest.fixture
def statements() -> Iterator[list[str]]:
    said: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: object) -> None:
        said.append(" ".join(statement.split()))

    event.listen(db.engine, "before_cursor_execute", note)
    yield said
    event.remove(db.engine, "before_cursor_execute", note)


def test_orders_that_can_be_worked_get_it_and_no_others(take: Take, store: Store, operator: Actor) -> None:
    set_orders(store, operator, new_order_status="to_pick")
    open_one, unpaid, shipped, canceled = take(
        incoming_order(),
        incoming_order(**UNPAID),
        incoming_order(stage=ChannelStage.SHIPPED, status="SHIPPED"),
        incoming_order(stage=ChannelStage.CANCELED, status="CANCELLED"),
    )
    assert [status_of(order) for order in (open_one, unpaid, shipped, canceled)] == ["to_pick", None, None, None]
    entry = events_of(open_one)[0]
    assert (entry.code, entry.cause, entry.data["values"]) == ("status_set", "store", {"status": "to_pick"})


def test_a_pending_order_gets_it_once_it_is_paid(take: Take, store: Store, operator: Actor) -> None:
    set_orders(store, operator, new_order_status="to_pick")
    told = incoming_order(**UNPAID)
    take(told)
    [order] = take(again(told, **PAID))
    assert status_of(order) == "to_pick"


def test_an_order_that_comes_back_or_was_here_before_does_not_get_it(
    take: Take, store: Store, operator: Actor, mia: Actor
) -> None:
    told, other = incoming_order(), incoming_order()
    [before] = take(told)
    set_orders(store, operator, new_order_status="to_pick")
    [order] = take(other)
    with unit_of_work():
        row = locked(order)
        row.status = None
        record(row, "status_cleared", actor=mia)
        ship_order(row, [PackageInput("DHL", "JD1", lines={row.lines[0].id: 1})], actor=mia)
    take(again(told, status="ELSE"), again(other, status="ELSE"))
    assert [status_of(one) for one in (before, order)] == [None, None]


def test_a_rule_comes_first(take: Take, store: Store, operator: Actor) -> None:
    with unit_of_work():
        make_status("japan", {"en": "Japan"}, state="processing", rule="marketplace:JP", actor=operator)
    set_orders(store, operator, new_order_status="to_pick")
    japan, germany = take(incoming_order(marketplace="JP", currency="JPY"), incoming_order())
    assert [status_of(order) for order in (japan, germany)] == ["japan", "to_pick"]


def test_a_retired_status_is_skipped_and_never_chosen_anew(take: Take, store: Store, operator: Actor) -> None:
    set_orders(store, operator, new_order_status="to_pick")
    with unit_of_work():
        retire_status(find_status("to_pick"), actor=operator)
    [order] = take(incoming_order())
    assert status_of(order) is None
    set_orders(store, operator, own_numbers=False)  # what is stored does not stand in the way
    set_orders(store, operator, new_order_status="")
    for code in ("to_pick", "filed", "never"):
        with pytest.raises(Invalid):
            set_orders(store, operator, new_order_status=code)


def test_orders_of_the_meantime_get_it_with_their_number(
    take: Take, store: Store, operator: Actor, work: Callable[[], int]
) -> None:
    set_orders(store, operator, import_orders=False, new_order_status="to_pick")
    order, shipped = take(incoming_order(), incoming_order(stage=ChannelStage.SHIPPED, status="SHIPPED"))
    assert status_of(order) is None
    set_orders(store, operator, import_orders=True)
    assert numbering.under_way(store.id) is not None
    work()
    assert [status_of(one) for one in (order, shipped)] == ["to_pick", None]
    assert events_of(order)[0].data["after"]["order"]["status"] == "to_pick"


def test_a_page_costs_as_much_for_many_orders_and_nothing_without_the_setting(
    take: Take, store: Store, operator: Actor, statements: list[str]
) -> None:
    def said(count: int) -> int:
        statements.clear()
        take(*(incoming_order() for _ in range(count)))
        events = "INSERT INTO order_events"  # one by one on SQLite, for all acts on many orders
        return len([text for text in statements if not text.startswith(events)])

    def asks_for_a_status() -> bool:
        return any("orders.status IS NULL" in text for text in statements)

    said(2)
    assert not asks_for_a_status()
    set_orders(store, operator, new_order_status="to_pick")
    with_two, with_thirty = said(2), said(30)
    assert with_thirty <= with_two
    assert asks_for_a_status()
    set_orders(store, operator, new_order_status="")
    said(2)
    assert not asks_for_a_status()
