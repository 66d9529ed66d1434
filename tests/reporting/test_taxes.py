"""Reports of issued documents equal the documents, whatever was issued, when, in which currency and zone."""

import csv
import io
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import insert, select, update

from tests.refunds import only_recorded, refund, reverse, shipped_line, shipped_order
from webapp.audit.actor import Actor
from webapp.billing.models import CreditMemo, Invoice, InvoiceLine
from webapp.billing.refundable import LineWish, Wish
from webapp.billing.services import issue_invoices
from webapp.channels.incoming import Component, IncomingAmount
from webapp.channels.models import Shop
from webapp.channels.shops import create_shop
from webapp.db import db, unit_of_work
from webapp.errors import Forbidden
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.reporting.figures import Interval, Scope
from webapp.reporting.tax_files import report_csv, report_workbook
from webapp.reporting.taxes import invoice_report, refund_report, tax_report
from webapp.testing import JAPAN

Take = Callable[..., list[Order]]
SINCE, UNTIL = date(2026, 1, 1), date(2026, 12, 31)


def issue(order: Order, at: datetime, lines: dict[int, int] | None = None, *, actor: Actor) -> Invoice:
    with time_machine.travel(at, tick=False), unit_of_work():
        return issue_invoices([locked(order)], lines, actor=actor)[0]


def one(take: Take, charged: int = 1000, tax: int = 200, *, yen: bool = False, units: int = 1) -> Order:
    amounts = (IncomingAmount(Component.ITEM, charged, tax), IncomingAmount(Component.SHIPPING, 300, 60, 30))
    total = charged + tax + 330
    where = {"currency": "JPY", "marketplace": JAPAN.id} if yen else {}
    [order] = take(shipped_order([shipped_line("MUG", units, amounts=amounts, total=total)], total=total, **where))
    return order


def at(*moment: int) -> datetime:
    return datetime(*moment, tzinfo=UTC)  # type: ignore[arg-type,misc]


issued = st.tuples(
    st.integers(0, 99_999),
    st.integers(0, 20_000),
    st.booleans(),
    st.integers(1, 5),
    st.datetimes(datetime(2025, 12, 30), datetime(2027, 1, 2), timezones=st.just(UTC)),  # noqa: DTZ001
    st.sampled_from(["kept", "refunded", "refunded and taken back"]),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    told=st.lists(issued, min_size=1, max_size=4),
    zone=st.sampled_from(["UTC", "Asia/Tokyo", "America/New_York", "Pacific/Apia"]),
    by=st.sampled_from(list(Interval)),
)
def test_the_sums_are_those_of_the_documents(
    take: Take,
    mia: Actor,
    monkeypatch: pytest.MonkeyPatch,
    told: Sequence[tuple[int, int, bool, int, datetime, str]],
    zone: str,
    by: Interval,
) -> None:
    only_recorded(monkeypatch)
    with unit_of_work():
        db.session.execute(update(Shop).values(zone=zone))
    for charged, tax, yen, units, moment, fate in sorted(told, key=lambda each: each[-2]):
        order = one(take, charged, tax, yen=yen, units=units)
        if units > 1:
            issue(order, moment, {order.lines[0].id: 1}, actor=mia)
        issue(order, moment, actor=mia)
        with time_machine.travel(moment, tick=False):
            memo = refund(order, actor=mia) if fate != "kept" else None
            if memo is not None and fate == "refunded and taken back":
                reverse(memo, actor=mia)
    wanted: Counter[tuple[str, str]] = Counter()
    by_day: Counter[tuple[date, str]] = Counter()
    documents = [(1, one) for one in db.session.scalars(select(Invoice))]
    documents += [(-1, one) for one in db.session.scalars(select(CreditMemo))]
    for sign, document in documents:
        day = document.issued_at.astimezone(ZoneInfo(zone)).date()
        if SINCE <= day <= UNTIL:
            wanted["documents", document.currency] += 1
            wanted["gross", document.currency] += sign * document.total_minor
            wanted["tax", document.currency] += sign * sum(line.tax for line in document.lines)
            by_day[by.start(day), document.currency] += sign * document.total_minor
    taxes = tax_report(mia, SINCE, UNTIL, by=by)
    whole = invoice_report(mia, SINCE, UNTIL, by=by)
    assert taxes.totals == whole.totals
    for rows in ([row.sums for row in taxes.rows], [row.sums for row in whole.rows], whole.totals):
        found: Counter[tuple[str, str]] = Counter()
        for sums in rows:
            found["documents", sums.currency] += sums.documents
            found["gross", sums.currency] += sums.gross.minor
            found["tax", sums.currency] += sums.tax.minor
        assert found == wanted  # all lines have one rate, so that rows of rates count each document once
    assert {(by.start(row.span.start), row.sums.currency): row.sums.gross.minor for row in whole.rows} == dict(by_day)
    db.session.rollback()


def test_a_memo_counts_below_zero_once_it_has_a_number(take: Take, mia: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    order, other = one(take), one(take)
    moment = at(2026, 5, 2, 12)
    issue(order, moment, actor=mia)
    with time_machine.travel(moment, tick=False):
        refund(other, actor=mia)  # its channel is asked first
        only_recorded(monkeypatch)
        refund(order, Wish({order.lines[0].id: LineWish(1)}), actor=mia)
    [total] = invoice_report(mia, SINCE, UNTIL).totals
    assert (total.documents, total.net.minor, total.tax.minor) == (2, 270, 60)  # the shipping is left
    [taxes] = tax_report(mia, SINCE, UNTIL).rows
    assert (taxes.country, taxes.sums) == ("DE", total)
    credited = refund_report(mia, SINCE, UNTIL)
    assert [(row.span.start, row.sums) for row in credited.rows] == [(moment.date(), credited.totals[0])]
    assert (credited.totals[0].documents, credited.totals[0].gross.minor) == (1, 1200)


def test_a_document_belongs_to_the_day_of_its_shops_zone(take: Take, mia: Actor) -> None:
    with unit_of_work():
        db.session.execute(update(Shop).values(zone="America/New_York"))
    issue(one(take), at(2026, 4, 1, 3, 59), actor=mia)  # the evening of 31 March there
    issue(one(take), at(2026, 4, 1, 4, 0), actor=mia)
    rows = tax_report(mia, date(2026, 3, 1), date(2026, 4, 30)).rows
    assert [(row.span.start, row.span.end, row.sums.documents) for row in rows] == [
        (date(2026, 3, 1), date(2026, 3, 31), 1),
        (date(2026, 4, 1), date(2026, 4, 30), 1),
    ]
    [row] = tax_report(mia, date(2026, 3, 31), date(2026, 3, 31)).rows
    assert (row.sums.net.minor, row.sums.tax.minor, row.sums.gross.minor) == (1270, 260, 1530)


def test_rates_and_countries_have_rows_of_their_own(take: Take, mia: Actor) -> None:
    order = one(take)
    invoice = issue(order, at(2026, 5, 2, 12), actor=mia)
    with unit_of_work():  # the ledger takes rates; no document of this version states one
        base = {"invoice_id": invoice.id, "line_id": None, "sku": "", "title": "", "units": 0, "discount": 0}
        for position, rate in ((8, 190_000), (9, 55_000)):
            row = {"position": position, "component": "tip", "charged": 100, "tax": rate // 10_000, "tax_rate": rate}
            db.session.execute(insert(InvoiceLine).values(base | row))
    rows = tax_report(mia, SINCE, UNTIL).rows
    assert [(row.rate, row.sums.tax.minor, row.country) for row in rows] == [
        (Decimal("0.19"), 19, "DE"), (Decimal("0.055"), 5, "DE"), (None, 260, "DE"),
    ]  # fmt: skip
    [total] = tax_report(mia, SINCE, UNTIL).totals
    assert (total.documents, total.tax.minor) == (1, 284)
    read = list(csv.DictReader(io.StringIO(report_csv(tax_report(mia, SINCE, UNTIL)))))
    assert [(row["Tax rate (%)"], row["Tax"], row["Gross"]) for row in read] == [
        ("19", "0.19", "1.19"), ("5.5", "0.05", "1.05"), ("", "2.60", "15.30"),
    ]  # fmt: skip


def test_who_works_for_no_shop_sees_nothing_and_filters_narrow(take: Take, mia: Actor) -> None:
    order = one(take)
    issue(order, at(2026, 5, 2, 12), actor=mia)
    assert tax_report(replace(mia, shops=frozenset()), SINCE, UNTIL).rows == []
    with pytest.raises(Forbidden):
        tax_report(Actor(mia.kind), SINCE, UNTIL)
    ours = Scope(order.store.channel, order.store_id, order.shop_id, order.marketplace)
    assert len(invoice_report(mia, SINCE, UNTIL, scope=ours).rows) == 1
    for other in (Scope(channel="x"), Scope(store_id=99), Scope(shop_id=99), Scope(marketplace="x")):
        assert invoice_report(mia, SINCE, UNTIL, scope=other).rows == []


def test_a_name_that_looks_like_a_formula_is_text_and_a_workbook_has_the_numbers(take: Take, mia: Actor) -> None:
    with unit_of_work():
        db.session.execute(update(Shop).values(name="=1+1"))
    issue(one(take, yen=True), at(2026, 5, 2, 12), actor=mia)
    found = tax_report(mia, SINCE, UNTIL)
    assert ",'=1+1," in report_csv(found)
    with zipfile.ZipFile(io.BytesIO(report_workbook(found))) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
    for part in ("<t>=1+1</t>", "<v>1530</v>", "<t>JPY</t>", "<t>2026-05-01</t>"):
        assert part in sheet


def test_two_zones_are_counted_each_by_its_own_midnight(take: Take, mia: Actor, operator: Actor) -> None:
    first, second = one(take), one(take)
    with unit_of_work():
        paris = create_shop("Paris", prefix="P-", zone="Europe/Paris", actor=operator)
        db.session.execute(update(Order).where(Order.id == second.id).values(shop_id=paris.id))
    for order in (first, second):
        issue(order, at(2026, 6, 30, 22, 30), actor=mia)  # half past midnight in Paris
    starts = {row.shop: row.span.start for row in tax_report(mia, SINCE, UNTIL).rows}
    assert starts == {"My shop": date(2026, 6, 1), "Paris": date(2026, 7, 1)}
    assert [row.sums.documents for row in tax_report(mia, SINCE, date(2026, 6, 30)).rows] == [1]
