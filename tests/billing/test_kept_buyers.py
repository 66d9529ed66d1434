"""Documents outlive their buyers only where the law says so, as long as it says, and are opened for a purpose alone."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from threading import Event

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select

from tests.refunds import only_recorded, refund, shipped_order
from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.billing.invoice_list import INVOICE_LIST, INVOICES
from webapp.billing.jobs import end_keeping
from webapp.billing.kept_buyers import COUNTRIES, KEEPING, NotKept, kept_through, open_kept
from webapp.billing.models import CreditMemo, Invoice, KeptBuyer
from webapp.billing.services import issue_invoice
from webapp.channels.models import Shop
from webapp.db import db, unit_of_work
from webapp.documents.issued import archived_content_of, content_of
from webapp.errors import Forbidden, Invalid
from webapp.lists.listing import list_page
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.search.compiling import compile_query
from webapp.search.query import parse
from webapp.settings.services import change
from webapp.testing import JANE
from webapp.vault import periods
from webapp.vault.jobs import destroy_unused_keys
from webapp.vault.key_file import KeyProblem, key_file
from webapp.vault.models import VaultKey
from webapp.vault.services import erase

Take = Callable[..., list[Order]]
AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
MONTH = "documents-2026-11"


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(AT) as traveller:
        yield traveller


def declare(order: Order, actor: Actor, text: str) -> None:
    with unit_of_work():
        change(KEEPING, {COUNTRIES.name: text}, order.shop, actor=actor)


def issue(order: Order, actor: Actor) -> Invoice:
    with unit_of_work():
        return issue_invoice(locked(order), actor=actor)


def erase_buyers(*orders: Order) -> None:
    with unit_of_work():
        erase([order.id for order in orders])
    db.session.expire_all()


def name_on(document: Invoice | CreditMemo, actor: Actor) -> str:
    with unit_of_work():
        return archived_content_of(document, actor, "Tax audit").buyer.billing[0]


def test_without_a_legal_ground_a_document_loses_its_buyer(take: Take, operator: Actor) -> None:
    [order] = take(shipped_order())
    invoice = issue(order, operator)
    assert content_of(invoice, operator).buyer.billing
    erase_buyers(order)
    assert (invoice.sealed, kept_through(invoice), db.session.query(KeptBuyer).count()) == (None, None, 0)
    with pytest.raises(NotKept), unit_of_work():
        open_kept(invoice, operator, "Tax audit")


def test_it_is_kept_under_the_months_key_and_opened_for_a_purpose_on_the_record(
    take: Take, operator: Actor, mia: Actor
) -> None:
    early, late = take(shipped_order(), shipped_order(buyer={**JANE, "vat_number": "DE123456789"}))
    before = issue(early, operator)  # the law was declared later
    declare(early, operator, "DE 8: § 14b UStG")
    invoice = issue(late, operator)
    [row] = db.session.scalars(select(KeptBuyer))
    assert (row.document_id, row.month, row.kept_through) == (invoice.id, MONTH, 2034)
    weeks, whole = set(db.session.scalars(select(VaultKey.period))), content_of(invoice, operator).buyer
    with pytest.raises(NotKept), unit_of_work():  # the right to see buyers is another one
        open_kept(invoice, operator, "Tax audit")
    erase_buyers(early, late)
    for week in weeks:
        key_file().destroy(week)

    for document in (before, invoice):
        assert list(content_of(document, operator).buyer.billing) == []  # on no page
        assert name_on(document, operator) == "Jane Quixelworth"
    with unit_of_work():
        assert archived_content_of(invoice, operator, "Tax audit").buyer == whole
    named = compile_query(parse("Quixelworth", INVOICES), operator)
    assert list_page(INVOICE_LIST, operator, named).rows == []  # nor in any search
    opened = [row.data for row in db.session.scalars(select(AuditEntry).where(AuditEntry.code == "kept_buyer_opened"))]
    assert [(entry["document"], entry["purpose"]) for entry in opened] == [
        ("INV-000001", "Tax audit"),
        ("INV-000002", "Tax audit"),
        ("INV-000002", "Tax audit"),
    ]
    with pytest.raises(Forbidden), unit_of_work():
        open_kept(invoice, mia, "Curiosity")
    with pytest.raises(Invalid, match="purpose"), unit_of_work():
        open_kept(invoice, operator, "  ")


def test_an_older_copy_of_the_key_file_is_named(take: Take, operator: Actor) -> None:
    [order] = take(shipped_order())
    declare(order, operator, "DE 8: § 14b UStG")
    path = key_file().path
    older = path.read_bytes()
    invoice = issue(order, operator)
    erase_buyers(order)
    path.write_bytes(older)
    for problem in ("the key for", "it has another key for"):  # the second once this month made one
        with pytest.raises(KeyProblem, match=problem), unit_of_work():
            open_kept(invoice, operator, "Tax audit")
        key_file().current_month()


def test_it_ends_with_its_year_and_the_months_key_with_the_last_of_them(
    take: Take, operator: Actor, clock: time_machine.Traveller
) -> None:
    [order] = take(shipped_order())
    declare(order, operator, "DE 8: § 14b UStG\nFR 10: Art. L123-22")
    invoice = issue(order, operator)
    erase_buyers(order)
    declare(order, operator, "DE 2: § 14b UStG")  # the law was changed
    assert kept_through(invoice) == 2028
    declare(order, operator, "")  # what has outlived its buyer stays until its date
    clock.move_to(datetime(2029, 1, 1, 11, tzinfo=UTC))  # still 2028 in the last time zone
    end_keeping()
    destroy_unused_keys()
    assert name_on(invoice, operator) == "Jane Quixelworth"
    clock.move_to(datetime(2029, 1, 1, 13, tzinfo=UTC))
    end_keeping()
    assert periods.months_in_use() == set()
    destroy_unused_keys()
    assert key_file().is_destroyed(MONTH)
    db.session.expire_all()
    with pytest.raises(NotKept), unit_of_work():
        open_kept(invoice, operator, "Tax audit")


def test_a_country_that_is_no_longer_declared_keeps_no_buyer_who_is_erased_then(take: Take, operator: Actor) -> None:
    [order] = take(shipped_order())
    declare(order, operator, "DE 8: § 14b UStG")
    invoice = issue(order, operator)
    declare(order, operator, "FR 10: Art. L123-22")
    erase_buyers(order)
    assert kept_through(invoice) is None


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
@pytest.mark.parametrize("first", [True, False], ids=["the first document", "a later one"])
@pytest.mark.parametrize("issued_first", [True, False])
def test_what_is_issued_while_the_years_change_is_kept_for_the_new_ones(
    app: Flask, take: Take, operator: Actor, issued_first: bool, first: bool
) -> None:
    before, order = take(shipped_order(), shipped_order())
    declare(order, operator, "DE 8: § 14b UStG")
    if not first:
        issue(before, operator)
    order_id, shop_id = order.id, order.shop_id
    db.session.rollback()

    def invoice(row: Order) -> None:
        issue_invoice(locked(row), actor=operator)

    while_the_years_change(app, (order_id, shop_id), invoice, operator, first=issued_first)
    assert set(db.session.scalars(select(KeptBuyer.kept_through))) == {2036}


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
@pytest.mark.parametrize("erased_first", [True, False])
def test_what_is_erased_while_the_years_change_is_kept_for_the_new_ones(
    app: Flask, take: Take, operator: Actor, erased_first: bool
) -> None:
    [order] = take(shipped_order())
    issue(order, operator)
    declare(order, operator, "DE 8: § 14b UStG")  # after the issue, so that erasing keeps it
    ids = order.id, order.shop_id
    db.session.rollback()

    def erase_buyer(row: Order) -> None:
        erase([locked(row).id])

    while_the_years_change(app, ids, erase_buyer, operator, first=erased_first)
    assert list(db.session.scalars(select(KeptBuyer.kept_through))) == [2036]


def while_the_years_change(
    app: Flask, ids: tuple[int, int], act: Callable[[Order], None], actor: Actor, *, first: bool
) -> None:
    """Do something with an order, and declare more years for its shop meanwhile: whichever is first is not done yet
    when the other begins.
    """
    order_id, shop_id = ids
    begun = Event()

    def lengthen() -> None:
        shop = db.session.get_one(Shop, shop_id)
        change(KEEPING, {COUNTRIES.name: "DE 10: § 147 AO"}, shop, actor=actor)

    def do() -> None:
        row = db.session.get_one(Order, order_id)
        COUNTRIES.of(row.shop)
        begun.set()  # with the settings read
        act(row)

    def wait_and(other: Callable[[], None]) -> None:
        with app.app_context():
            with unit_of_work():
                other()
            db.session.remove()

    one, other = (do, lengthen) if first else (lengthen, do)
    with ThreadPoolExecutor(1) as pool:
        with unit_of_work():
            one()
            waiting = pool.submit(wait_and, other)
            if not first:
                begun.wait(60)
            with suppress(TimeoutError):
                waiting.result(0.5)  # it waits for this transaction, which is not done yet
        waiting.result(60)


def test_a_memo_on_an_erased_buyer_takes_what_its_invoice_keeps(
    take: Take, operator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_recorded(monkeypatch)
    invoiced, bare = take(shipped_order(), shipped_order())
    declare(invoiced, operator, "DE 8: § 14b UStG")
    issue(invoiced, operator)
    erase_buyers(invoiced, bare)
    memo, nameless = refund(invoiced, actor=operator), refund(bare, actor=operator)
    assert (memo.sealed, kept_through(memo), name_on(memo, operator)) == (None, 2034, "Jane Quixelworth")
    assert (nameless.number, kept_through(nameless)) == ("CM-000002", None)


@pytest.mark.parametrize("text", ["DE 8", "DE: law", "DE 31: law", "XX 8: law", "DE 8: law\nde 9: law"])
def test_a_country_needs_its_years_and_a_legal_ground(take: Take, operator: Actor, text: str) -> None:
    [order] = take(shipped_order())
    with pytest.raises(Invalid):
        declare(order, operator, text)
