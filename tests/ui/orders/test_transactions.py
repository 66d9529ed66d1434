"""The transactions of a channel on the order's page, and what opening the form of a refund does."""

import re
from collections.abc import Callable

from tests.billing.test_matching import arrive, item, told
from tests.sync.conftest import shipped
from tests.ui.conftest import Browser
from webapp.channels.transactions import TransactionKind
from webapp.orders.models import Order
from webapp.testing import FakeChannel

__all__ = ["shipped"]


def test_the_orders_page_shows_its_transactions_and_a_claim_can_be_recorded(
    channel: FakeChannel, make_order: Callable[..., Order], browser: Browser
) -> None:
    channel.has_transactions = True
    order = make_order()
    kinds = {"kind": TransactionKind.CLAIM, "word": "Guarantee claim"}
    arrive(order, told(order, item("MUG", 200), **kinds), told(order, item("MUG", 100), number="T2"))
    page = browser.get(f"/orders/{order.number}?tab=refunds").text
    section = page[page.index("Transactions at Fake channel") :]
    assert [text in section for text in ("Guarantee claim", "CM-000001", "1.50", "0.50")] == [True] * 4
    [form] = re.findall(r"<form[^>]*adopt_transaction.*?</form>", section, re.DOTALL)
    fields = dict(re.findall(r'name="(transaction|key|version)" value="([^"]*)"', form))
    browser.post(f"/orders/{order.number}/actions/adopt_transaction", fields)
    page = browser.get(f"/orders/{order.number}?tab=refunds").text
    assert "CM-000002" in page
    assert "adopt_transaction" not in page


def test_opening_the_form_of_a_refund_reads_the_transactions_once_in_a_while(
    channel: FakeChannel, shipped: Order, browser: Browser, work: Callable[[], int]
) -> None:
    channel.has_transactions = True
    work()
    for _ in range(2):
        assert browser.get(f"/orders/{shipped.number}/actions/refund").status_code == 200
    work()
    assert [window.order_number for window in channel.transactions_asked] == [shipped.channel_order_number]


def test_the_list_of_transactions_shows_those_of_all_orders(
    channel: FakeChannel, make_order: Callable[..., Order], browser: Browser
) -> None:
    order = make_order()
    arrive(order, told(order, item("MUG", 100)), told(order, item("MUG", 200), number="T2", kind=TransactionKind.CLAIM))
    page = browser.get("/transactions/").text
    assert [text in page for text in ("Claim", "CM-000001", f">{order.number}<")] == [True] * 3
    assert "2 transactions" in browser.get("/transactions/count", htmx=True).text
