"""Orders that were shipped elsewhere, and refunds of them; where no channel is asked, memos are issued at once. The
refunds that the desk offers of an order.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from webapp.audit.actor import Actor
from webapp.billing.memos import record_refund, reverse_memo
from webapp.billing.models import CreditMemo
from webapp.billing.refundable import LineWish, Refundable, Wish, goods
from webapp.channels.incoming import ChannelStage, Component, IncomingLine, IncomingOrder
from webapp.db import unit_of_work
from webapp.orders.amounts import OWN
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.testing import FakeChannel, incoming_line, incoming_order

WHOLE = Wish(whole=True)


def only_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the fake channel carry no refunds."""
    kinds = tuple(kind for kind in FakeChannel.kinds if kind.code != "refund")
    monkeypatch.setattr(FakeChannel, "kinds", kinds)


def shipped_line(sku: str = "MUG", quantity: int = 1, **more: Any) -> IncomingLine:
    """A line of which every unit has left."""
    return incoming_line(sku, quantity, fulfilled=quantity, **more)


def shipped_order(lines: list[IncomingLine] | None = None, **more: Any) -> IncomingOrder:
    """An order that the channel shows as shipped."""
    return incoming_order(lines or [shipped_line()], **{"stage": ChannelStage.SHIPPED, "status": "SHIPPED"} | more)


def refund(order: Order, wish: Wish = WHOLE, *, actor: Actor, reason: str = "CustomerReturn") -> CreditMemo:
    with unit_of_work():
        return record_refund(locked(order), wish, reason, actor=actor)


def offers(order: Order) -> Iterator[Wish]:
    """The refunds that the desk offers: each number and amount alone, as much as there is, and everything."""
    left = Refundable(order)
    if not left:
        return
    yield WHOLE
    yield Wish(adjustment_refund=left.total)
    if any(left.shipping):
        yield Wish(all_shipping=True)
    for line_id, units in left.units.items():
        yield Wish({line_id: LineWish(units)})
    for (line_id, component), amount in left.amounts.items():
        if line_id != OWN and component != Component.SHIPPING:
            yield Wish({line_id: LineWish(0, {component: goods(amount)})})


def reverse(memo: CreditMemo, *, actor: Actor) -> CreditMemo:
    with unit_of_work():
        return reverse_memo(locked(memo.order), memo.id, actor=actor)
