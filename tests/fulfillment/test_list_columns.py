"""Lists and exports tell by whom an order's parcels went, and under which numbers."""

from collections.abc import Callable

from webapp.audit.actor import Actor
from webapp.db import unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.lists.exporting import optional_columns
from webapp.lists.saved_views import may_show
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order
from webapp.orders.queries import find_order
from webapp.search.registered import list_columns
from webapp.testing import FakeChannel, incoming_line, incoming_order


def test_several_parcels_are_told_in_their_order(
    take: Callable[..., list[Order]], channel: FakeChannel, mia: Actor
) -> None:
    orders = take(incoming_order([incoming_line("MUG", 3)]), incoming_order())
    packages = (("DHL", "JD0001", ""), ("other", "JD0003", "Cargo Bike"), ("DHL", "JD0002", ""))
    for carrier, number, name in packages:
        with unit_of_work():
            order = find_order(str(orders[0].number), mia, lock=True)
            units = {order.lines[0].id: 1}
            ship_order(order, [PackageInput(carrier, number, carrier_name=name, lines=units)], actor=mia)

    known = list_columns()
    assert known["tracking"].values(orders, mia) == {orders[0].id: "JD0001, JD0003, JD0002"}
    assert known["carrier"].values(orders, mia) == {orders[0].id: "DHL, Cargo Bike"}


def test_tracking_numbers_are_for_who_may_see_buyers(mia: Actor, make_user: Callable[..., Actor]) -> None:
    known, reader = list_columns(), make_user("read_only", "Rita")

    assert {"carrier", "tracking"} <= {column.code for column in optional_columns(ORDER_LIST, mia)}
    assert not known["tracking"].default
    assert not may_show(known["tracking"], reader)
    assert may_show(known["carrier"], reader)
