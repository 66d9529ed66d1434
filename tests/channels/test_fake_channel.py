"""The fake channel refunds and tells transactions as its docstring says, since tests of others rely on it."""

from datetime import timedelta
from typing import Any

import pytest

from webapp.channels.connecting import StoreAccess
from webapp.channels.incoming import Component
from webapp.channels.refunds import Adjustment, RefundAmount, RefundPart, RefundRequest
from webapp.channels.transactions import IncomingTransaction, TransactionKind, TransactionsWindow
from webapp.clock import now
from webapp.testing import GERMANY, JAPAN, FakeChannel, TipStays

ACCESS = StoreAccess(1, {})


def memo(*amounts: RefundAmount, marketplace: str = GERMANY.id) -> RefundRequest:
    lines = {"L1": 300, "L2": 100}
    return RefundRequest(
        order_number="1", marketplace=marketplace, currency="EUR", reason="", amounts=amounts, lines=lines
    )


def test_a_refund_goes_by_component_and_what_has_no_line_is_spread() -> None:
    amounts = (RefundAmount("L1", Component.ITEM, 100, 20, 10), RefundAmount("", Adjustment.FEE, -8))
    plan = FakeChannel().refund_plan(memo(*amounts))
    assert plan.parts == (
        RefundPart("L1", "item", 110),
        RefundPart("L1", "adjustment_fee", -6),
        RefundPart("L2", "adjustment_fee", -2),
    )
    assert (plan.added, plan.total) == (0, 102)
    abroad = FakeChannel().refund_plan(memo(amounts[0], marketplace=JAPAN.id))
    assert (abroad.parts[0].amount, abroad.added, abroad.total) == (90, 20, 110)
    with pytest.raises(TipStays):
        FakeChannel().refund_plan(memo(RefundAmount("", Component.TIP, 1)))


def posted(number: str, **more: Any) -> IncomingTransaction:
    values: dict[str, Any] = {"kind": TransactionKind.REFUND, "word": "Refund", "status": "", "posted_at": now()}
    return IncomingTransaction(number=number, currency="EUR", total=-1, **values | more)


def test_transactions_are_told_by_time_in_pages_or_by_order() -> None:
    channel = FakeChannel(page_size=2)
    old = posted("0", posted_at=now() - timedelta(days=9), order_number="B")
    channel.transactions = [old, *(posted(str(number), order_number="A") for number in range(1, 4))]
    window = TransactionsWindow(now() - timedelta(days=1))
    first = channel.fetch_transactions(ACCESS, window)
    second = channel.fetch_transactions(ACCESS, TransactionsWindow(window.low, first.next_page))
    assert [one.number for page in (first, second) for one in page.transactions] == ["1", "2", "3"]
    assert second.next_page is None
    of_order = channel.fetch_transactions(ACCESS, TransactionsWindow(now(), order_number="B"))
    assert list(of_order.transactions) == [old]
    assert [window.order_number for window in channel.transactions_asked] == ["", "", "B"]
