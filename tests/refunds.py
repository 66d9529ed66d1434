"""Orders that were shipped elsewhere, and refunds of them; where no channel is asked, memos are issued at once."""

from typing import Any

import pytest

from webapp.audit.actor import Actor
from webapp.billing.memos import record_refund, reverse_memo
from webapp.billing.models import CreditMemo
from webapp.billing.refundable import Wish
from webapp.channels.incoming import ChannelStage, IncomingLine, IncomingOrder
from webapp.db import unit_of_work
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


def reverse(memo: CreditMemo, *, actor: Actor) -> CreditMemo:
    with unit_of_work():
        return reverse_memo(locked(memo.order), memo.id, actor=actor)
