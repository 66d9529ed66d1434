"""Refunding an order from its page: the form with its preview, the tab, approving and taking back."""

import re
from collections.abc import Callable

import pytest

from tests.ui.conftest import Browser
from tests.ui.orders.test_invoices import hidden, words
from tests.ui.orders.test_order_acts import undo_of
from webapp.accounts.models import Role
from webapp.audit.actor import Actor
from webapp.billing.models import CreditMemo, MemoState
from webapp.channels.incoming import Component, IncomingAmount
from webapp.channels.outgoing import Accepted
from webapp.db import db, unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.testing import FakeChannel, again, incoming_line, incoming_order
from webapp.updates.models import ChannelUpdate

Take = Callable[..., list[Order]]
MUG = (IncomingAmount(Component.ITEM, 3000, 570, 300), IncomingAmount(Component.SHIPPING, 500, 95))


@pytest.fixture
def order(take: Take, operator: Actor) -> Order:
    """Three mugs with shipping and a cup; all of them shipped, as the channel shows."""
    incoming = incoming_order([incoming_line("MUG", 3, amounts=MUG, total=3865), incoming_line("CUP", price=500)])
    [order] = take(incoming)
    with unit_of_work():
        ship_order(locked(order), [PackageInput("DHL", "JD1")], actor=operator)
    lines = tuple(incoming_line(line.sku, line.ordered, number=line.number, amounts=line.amounts, total=line.total,
                                fulfilled=line.ordered) for line in incoming.lines)  # fmt: skip
    take(again(incoming, lines=lines))
    return order


def memo() -> CreditMemo:
    db.session.expire_all()
    found: CreditMemo = db.session.query(CreditMemo).order_by(CreditMemo.id.desc()).first()  # type: ignore[assignment]
    return found


def test_the_form_says_what_the_buyer_gets_and_the_page_what_became_of_it(
    channel: FakeChannel, order: Order, browser: Browser, work: Callable[[], int]
) -> None:
    work()
    mug, url = order.lines[0].id, f"/orders/{order.number}/actions/refund"
    assert "There is no refund yet" in browser.get(f"/orders/{order.number}?tab=refunds").text
    form = browser.get(url, htmx=True).text
    typed = {f"lines-{mug}-units": "1", "shipping": "2,50", "adjustment_fee": "1"}

    shown = words(browser.post(f"{url}/preview", typed | hidden(form), htmx=True).text)
    assert "Items €9.00 Shipping €2.50 Adjustment fee -€1.00 Tax €2.38 The buyer gets €12.88" in shown
    assert "The refund is sent to Fake channel at" in shown
    assert "You can undo it until then" in shown
    assert db.session.query(CreditMemo).count() == 0

    wrong = browser.post(url, typed | hidden(form), htmx=True)
    assert (wrong.status_code, "aria-invalid" in wrong.text) == (422, True)
    assert re.search(rf'name="lines-{mug}-units" value="1"', wrong.text)  # what was typed stays
    done = browser.post(url, typed | {"reason": "CustomerReturn"} | hidden(wrong.text), htmx=True)
    assert done.status_code == 200
    assert "Refund of 12.88 EUR requested: The buyer returned it" in words(done.text)
    assert "Undo" in done.text

    tab = words(browser.get(f"/orders/{order.number}?tab=refunds").text)
    assert "Credit memo without a number Pending" in tab
    assert "A mug MUG Items 1 €10.00 €1.90 €1.00 €10.90" in tab
    assert "Being refunded €12.88" in words(browser.get(f"/orders/{order.number}").text)


def test_an_amount_in_another_currency_is_refused_and_nothing_typed_is_lost(order: Order, browser: Browser) -> None:
    mug, url = order.lines[0].id, f"/orders/{order.number}/actions/refund"
    form = browser.get(url, htmx=True).text
    typed = {f"lines-{mug}-item": "5.00 USD", "reason": "CustomerReturn", "comment": "He is kind."}
    for path in (f"{url}/preview", url):
        wrong = browser.post(path, typed | hidden(form), htmx=True)
        assert "is not in EUR" in words(wrong.text)
    assert 'value="5.00 USD"' in wrong.text
    assert "He is kind." in wrong.text
    assert "<details open>" in wrong.text


def test_a_refund_is_undone_from_its_message(order: Order, browser: Browser) -> None:
    url = f"/orders/{order.number}/actions/refund"
    typed = {"whole": "y", "reason": "CustomerReturn"}
    browser.post(url, typed | hidden(browser.get(url, htmx=True).text), htmx=True)
    assert memo().state == MemoState.RECORDED
    assert (
        "This order is completely refunded, or its refunds are in progress."
        not in browser.get(f"/orders/{order.number}").text
    )
    browser.post(f"/orders/{order.number}/actions/undo_refund", {"submission_key": "k", "order_version": ""}, htmx=True)
    assert memo().state == MemoState.WITHDRAWN


def test_somebody_else_approves_on_the_tab(
    channel: FakeChannel, order: Order, browser: Browser, make_user: Callable[..., Actor], work: Callable[[], int]
) -> None:
    with unit_of_work():
        db.session.add(Role(code="clerk", name="", base="clerk", given=[], taken=[], refund_limits={"EUR": 1000}))
    ben = make_user("clerk", "Ben")
    browser.enter(ben)
    url = f"/orders/{order.number}/actions/refund"
    typed = {"whole": "y", "reason": "CustomerReturn"}
    form = browser.get(url, htmx=True).text
    assert "nother user must approve it" in words(browser.post(f"{url}/preview", typed | hidden(form), htmx=True).text)
    browser.post(url, typed | hidden(form), htmx=True)
    tab = browser.get(f"/orders/{order.number}?tab=refunds").text
    assert "You proposed this refund. Another user must approve or decline it." in tab
    assert "Approve refund" not in words(tab)

    browser.enter(make_user("manager", "Ada"))
    tab = browser.get(f"/orders/{order.number}?tab=refunds").text
    found = re.search(r'action="([^"]*/actions/approve_refund)".*?</form>', tab, re.DOTALL)
    assert found is not None
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', found[0]))
    channel.outcomes = [Accepted(), Accepted()]
    done = browser.post(found[1], fields, htmx=True, HX_Current_URL=f"/orders/{order.number}?tab=refunds")
    assert done.status_code == 200
    assert memo().state == MemoState.RECORDED


def test_pages_of_a_refunded_order_take_few_statements(order: Order, browser: Browser) -> None:
    url = f"/orders/{order.number}/actions/refund"
    for _ in range(2):
        form = browser.get(url, htmx=True)
        assert len(browser.queries) <= 8, "\n".join(browser.queries)
        typed = {f"lines-{order.lines[0].id}-units": "1", "reason": "CustomerReturn"} | hidden(form.text)
        browser.post(f"{url}/preview", typed, htmx=True)
        assert len(browser.queries) <= 8, "\n".join(browser.queries)
        browser.post(url, typed, htmx=True)
        for path in ("", "?tab=shipments", "?tab=invoices", "?tab=refunds", "?tab=updates", "?tab=timeline"):
            assert browser.get(f"/orders/{order.number}{path}").status_code == 200
            assert len(browser.queries) <= 9, f"{path}\n" + "\n".join(browser.queries)


def test_the_undo_of_a_refund_undoes_that_refund(channel: FakeChannel, order: Order, browser: Browser) -> None:
    mug, url = order.lines[0].id, f"/orders/{order.number}/actions/refund"

    def refund(units: str) -> str:
        given = hidden(browser.get(url, htmx=True).text) | {f"lines-{mug}-units": units, "reason": "CustomerReturn"}
        answer = browser.post(url, given, htmx=True)
        assert answer.status_code == 200
        return answer.text

    first, _second = refund("1"), refund("2")
    assert browser.post(*undo_of(first), htmx=True).status_code == 200
    db.session.expire_all()
    states = {row.source_id: row.state for row in db.session.query(ChannelUpdate).filter_by(kind="refund")}
    assert [states[id_] for id_ in sorted(states)] == ["withdrawn", "held"]
