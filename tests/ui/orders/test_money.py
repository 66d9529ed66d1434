"""The order's money on its page: charged, invoiced, refunded, about to be, and what is left."""

import re
from collections.abc import Callable

import pytest

from tests.refunds import only_recorded, refund, shipped_line, shipped_order
from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.billing.refundable import LineWish, Wish
from webapp.channels.incoming import ChannelStage, Component, IncomingAmount
from webapp.orders.models import Order
from webapp.testing import incoming_order

Take = Callable[..., list[Order]]


def money_of(order: Order, browser: Browser) -> str:
    """The text of the panel."""
    page = browser.get(f"/orders/{order.number}").text
    panel = page[page.index('id="order-totals"') : page.index("</section>", page.index('id="order-totals"'))]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", panel)).replace("\xa0", " ")


def test_every_figure_is_there_and_none_twice(
    take: Take, mia: Actor, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    amounts = (IncomingAmount(Component.ITEM, 3000, 600, 300), IncomingAmount(Component.SHIPPING, 500, 100))
    [order] = take(shipped_order([shipped_line("MUG", 3, amounts=amounts, total=3900)]))
    before = money_of(order, browser)
    assert "Items €30.00 €6.00 €3.00 €33.00" in before
    assert "Total in Waybill €35.00 €7.00 €3.00 €39.00 Total at Fake channel €39.00" in before
    assert "Still to be paid" not in before
    assert "Invoiced €0.00 Refunded €0.00 Can still be refunded €39.00" in before
    refund(order, Wish({order.lines[0].id: LineWish(1)}), actor=mia)
    assert "Refunded €0.00 Being refunded €11.00 Can still be refunded €28.00" in money_of(order, browser)
    only_recorded(monkeypatch)
    refund(order, Wish(all_shipping=True), actor=mia)
    assert "Refunded €6.00 Being refunded €11.00 Can still be refunded €22.00" in money_of(order, browser)


def test_what_is_not_paid_can_not_be_refunded(take: Take, browser: Browser) -> None:
    [order] = take(incoming_order(stage=ChannelStage.AWAITING_PAYMENT, status="PENDING"))
    found = money_of(order, browser)
    assert "Still to be paid €12.00" in found
    assert "Can still be refunded" not in found
