"""The check of numbers finds a gap, a repetition and an older date, and nothing in what the desk issued."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from tests.refunds import WHOLE, only_recorded, shipped_order
from webapp.audit.actor import Actor
from webapp.billing.contract import DocumentKind
from webapp.billing.memos import issue_memos, record_refund
from webapp.billing.models import CreditMemo, Invoice
from webapp.billing.number_check import Checked, Problem, _Reading, check_numbers
from webapp.billing.number_settings import NUMBERS, Form
from webapp.billing.services import issue_invoice
from webapp.channels.models import NumberSequence
from webapp.db import db, unit_of_work
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.settings.services import change
from webapp.testing import incoming_order

Take = Callable[..., list[Order]]
AT = datetime(2026, 11, 30, tzinfo=UTC)


def read(*numbers: str, prefix: str = "INV-", coming: str = "") -> list[tuple[str, str]]:
    reading = _Reading([Form(prefix, yearly=False)])
    for place, number in enumerate(numbers):
        reading.take(number, AT + timedelta(minutes=place))
    ahead = list(reading.ahead(coming)) if coming else []
    return [(flaw.problem.value, flaw.number) for flaw in (*reading.flaws, *ahead)]


@pytest.mark.parametrize(
    ("numbers", "prefix", "coming", "flaws"),
    [
        (["INV-000001", "INV-000002"], "INV-", "INV-000003", []),
        (["INV-000001", "INV-000003"], "INV-", "INV-000004", [("gap", "INV-000003")]),
        (["INV-000002"], "INV-", "INV-000003", [("gap", "INV-000002")]),
        (["INV-000001", "INV-000001"], "INV-", "INV-000002", [("again", "INV-000001")]),
        (["INV-000002", "INV-000001"], "INV-", "", [("gap", "INV-000002"), ("again", "INV-000001")]),
        (["INV-000001"], "INV-", "INV-000009", [("ahead", "INV-000009")]),
        (["INV-2026-1", "INV-2026-2", "INV-2027-1"], "INV-2027-", "INV-2027-2", []),  # a new year begins again
        (["INV-000001", "R-000001", "R-000002", "INV-000002"], "INV-", "INV-000003", []),  # an earlier prefix goes on
        (["INV-000001", "R-000001", "INV-000003"], "INV-", "INV-000004", [("gap", "INV-000003")]),
        (["INV-A1000001", "INV-A1000002"], "INV-A1", "INV-A1000003", []),  # a prefix that ends in a digit
        (["INV-999999", "INV-1000000"], "INV-", "INV-1000001", [("gap", "INV-999999")]),
    ],
)
def test_numbers_follow_each_other(numbers: list[str], prefix: str, coming: str, flaws: list[tuple[str, str]]) -> None:
    assert read(*numbers, prefix=prefix, coming=coming) == flaws


def test_a_document_older_than_the_one_before_is_found() -> None:
    reading = _Reading([Form("INV-", yearly=False)])
    reading.take("INV-1", AT)
    reading.take("INV-2", AT - timedelta(seconds=1))
    assert [flaw.problem for flaw in reading.flaws] == [Problem.OLDER]


def test_what_the_desk_issued_has_no_flaw(take: Take, mia: Actor) -> None:
    assert check_numbers(mia) == []
    for order in take(*[incoming_order() for _ in range(3)]):
        with unit_of_work():
            issue_invoice(locked(order), actor=mia)
    [found] = check_numbers(mia)
    assert found == Checked("My shop", found.kind, 3, "INV-000001", "INV-000003", [])
    assert db.session.scalars(select(Invoice.number).order_by(Invoice.id)).all()[-1] == found.last
    with unit_of_work():
        db.session.execute(update(NumberSequence).where(NumberSequence.kind == "invoice").values(next=9))
    [found] = check_numbers(mia)
    assert [flaw.problem for flaw in found.flaws] == [Problem.AHEAD]


def test_years_and_earlier_prefixes_have_no_flaw(take: Take, mia: Actor, operator: Actor) -> None:
    orders = take(*[incoming_order() for _ in range(5)])
    settings = (
        {},
        {"invoice_prefix": "R1", "invoice_yearly": True},
        {},
        {"invoice_prefix": "", "invoice_yearly": False},
    )
    for order, values in zip(orders, [*settings, settings[1]], strict=True):
        with unit_of_work():
            change(NUMBERS, values, order.shop, actor=operator)
            issue_invoice(locked(order), actor=mia)
    [found] = check_numbers(mia)
    assert (found.documents, found.flaws) == (5, [])


def test_memos_are_checked_in_the_order_of_their_numbers(
    take: Take, mia: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    early, *others = take(*[shipped_order() for _ in range(4)])
    with unit_of_work():
        first = record_refund(locked(early), WHOLE, "CustomerReturn", actor=mia)  # its channel is asked first
    only_recorded(monkeypatch)
    for order in others:
        with unit_of_work():
            record_refund(locked(order), WHOLE, "CustomerReturn", actor=mia)
    with unit_of_work():
        locked(early)
        issue_memos([first], actor=mia)
    [found] = check_numbers(mia)
    assert found == Checked("My shop", DocumentKind.CREDIT_MEMO, 4, "CM-000001", "CM-000004", [])
    assert first.number == "CM-000004"
    with unit_of_work():
        db.session.execute(update(NumberSequence).where(NumberSequence.kind == "credit_memo").values(next=4))
    [found] = check_numbers(mia)
    assert [flaw.problem for flaw in found.flaws] == [Problem.AHEAD]
    assert db.session.query(CreditMemo).count() == 4
