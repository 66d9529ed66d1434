"""Refunding in the browser and by the command line: what can't be meant is one sentence, and nothing typed is lost."""

import json
import re
from collections.abc import Callable
from html import unescape

import pytest

from tests.ui.conftest import Browser
from tests.ui.orders.test_canceling import hidden
from webapp.audit.actor import Actor
from webapp.billing.models import CreditMemo
from webapp.channels.incoming import Component, IncomingAmount
from webapp.cli.main import main
from webapp.db import db, unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.testing import incoming_line, incoming_order

Take = Callable[..., list[Order]]
PARTS = (IncomingAmount(Component.ITEM, 500_000), IncomingAmount(Component.SHIPPING, 499))


@pytest.fixture
def order(take: Take, operator: Actor) -> Order:
    """A shipped order over 5,004.99 EUR, without taxes."""
    [order] = take(incoming_order([incoming_line("MUG", 2, amounts=PARTS, total=500_499)], total=500_499))
    with unit_of_work():
        ship_order(locked(order), [PackageInput("DHL", "JD1")], actor=operator)
    return order


def memos() -> list[CreditMemo]:
    db.session.expire_all()
    return db.session.query(CreditMemo).order_by(CreditMemo.id).all()


TOO_MUCH = "The amount is too high. Left to refund of Items, MUG: 5000.00 EUR."
NO_AMOUNT = "Enter an amount in EUR, such as 5.00."
BAD = [
    ("5000.01", TOO_MUCH),
    ("5000,01 EUR", TOO_MUCH),
    ("5.00 USD", "“5.00 USD” is not in EUR."),
    ("$5", NO_AMOUNT),
    ("-5", "Enter 0 or more."),
    ("0", "The refund would be empty. Choose units or amounts to refund."),
    ("five", NO_AMOUNT),
    ("1.2345", "“1.2345” has more decimals than EUR allows."),
    (
        "5.001",
        "“5.001” can be read in two ways. Leave out the thousands separator, or write all decimals.",
    ),
]


@pytest.mark.parametrize(("typed", "sentence"), BAD)
def test_a_form_says_what_is_wrong_and_keeps_what_was_typed(
    browser: Browser, order: Order, typed: str, sentence: str
) -> None:
    url, line = f"/orders/{order.number}/actions/refund", f"lines-{order.lines[0].id}-item"
    form = hidden(browser.get(url, htmx=True).text) | {"reason": "CustomerReturn", "comment": "He was kind."}
    answer = browser.post(url, form | {line: typed}, htmx=True)
    assert answer.status_code in (409, 422)
    page = unescape(answer.text)
    assert page.count(sentence) == 1
    assert f'value="{typed}"' in page
    assert "He was kind." in page
    assert memos() == []


@pytest.mark.parametrize(
    ("typed", "minor"),
    [("1,5", 150), ("1.234,50", 123_450), ("1,234.50 EUR", 123_450), ("€1.50", 150), ("5000", 500_000)],
)
def test_a_form_reads_amounts_as_people_type_them(browser: Browser, order: Order, typed: str, minor: int) -> None:
    url, line = f"/orders/{order.number}/actions/refund", f"lines-{order.lines[0].id}-item"
    form = hidden(browser.get(url, htmx=True).text) | {"reason": "CustomerReturn", line: typed}
    assert browser.post(url, form, htmx=True).status_code == 200
    assert browser.post(url, form, htmx=True).status_code == 200  # the same key twice: the first result again
    assert [memo.total_minor for memo in memos()] == [minor]


def act(capsys: pytest.CaptureFixture[str], order: Order, data: dict[str, object], *more: str) -> tuple[int, str]:
    capsys.readouterr()
    code = main(["orders", "act", str(order.number), "refund", "--data", json.dumps(data), *more])
    return int(code), capsys.readouterr().err


@pytest.mark.parametrize(("typed", "sentence"), BAD)
def test_a_command_says_what_is_wrong(
    capsys: pytest.CaptureFixture[str], order: Order, typed: str, sentence: str
) -> None:
    lines = {str(order.lines[0].id): {"amounts": {"item": typed}}}
    code, said = act(capsys, order, {"reason": "CustomerReturn", "lines": lines})
    assert (code, sentence in said, said.strip().count("\n")) == (1, True, 0)
    assert memos() == []


def test_a_command_refuses_what_belongs_elsewhere(
    capsys: pytest.CaptureFixture[str], take: Take, order: Order, operator: Actor
) -> None:
    [other] = take(incoming_order())
    [withheld] = take(incoming_order([incoming_line(total=None, amounts=(), unit_price=None)], total=None))
    with unit_of_work():
        ship_order(locked(withheld), [PackageInput("DHL", "JD2")], actor=operator)
    whole = {"reason": "CustomerReturn", "whole": True}
    strange = {"reason": "CustomerReturn", "lines": {str(other.lines[0].id): {"units": 1}}}
    for what, data, sentence in (
        (order, strange, "is not on this order"),
        (order, whole | {"reason": "Because"}, "Choose a reason that"),
        (order, whole | {"extra": 1}, "extra"),
        (withheld, whole, "does not provide the total"),
        (other, whole, "This order has not shipped. Cancel it instead"),
    ):
        code, said = act(capsys, what, data)
        assert (code, sentence in said, said.strip().count("\n")) == (1, True, 0), said
    assert memos() == []
    for _ in range(2):
        assert act(capsys, order, whole, "--key", "once")[0] == 0
    assert [memo.total_minor for memo in memos()] == [500_499]


def test_the_preview_follows_what_is_typed(browser: Browser, order: Order) -> None:
    url, line = f"/orders/{order.number}/actions/refund", order.lines[0].id
    form = hidden(browser.get(url, htmx=True).text) | {"reason": "CustomerReturn"}
    for typed, total in (({f"lines-{line}-units": "1"}, "€2,500.00"), ({f"lines-{line}-item": "1,5"}, "€1.50")):
        page = browser.post(f"{url}/preview", form | typed, htmx=True).text
        assert f"The buyer gets {total}." in page
    page = browser.post(f"{url}/preview", form | {f"lines-{line}-item": "5000.01"}, htmx=True).text
    assert TOO_MUCH in unescape(page)
    assert not re.search(r"The buyer gets €", page)
