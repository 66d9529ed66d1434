"""Shipping takes open units off lines, completes orders, and owes the channel a confirmation."""

from collections.abc import Callable

from webapp.audit.actor import Actor
from webapp.db import unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.orders.models import Order
from webapp.orders.queries import find_order
from webapp.testing import FakeChannel


def test_shipping_the_last_item_completes_the_order_and_tells_the_channel(
    make_order: Callable[..., Order], channel: FakeChannel, mia: Actor, work: Callable[[], int]
) -> None:
    number = make_order(sku="MUG", quantity=2).number
    assert number is not None

    with unit_of_work():
        order = find_order(number, mia, lock=True)
        ship_order(order, [PackageInput("DHL", "JD0001")], actor=mia)

    assert find_order(number, mia).state == "complete"
    work()
    assert [told["package"]["tracking_number"] for told in channel.told("shipment")] == ["JD0001"]
