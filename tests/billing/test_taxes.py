"""Tax rates: where one fits the channel's tax, taxes within prices, and what an invoice says beside its amounts."""

from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError

from webapp.audit.actor import Actor
from webapp.billing.models import Invoice
from webapp.billing.remaining import Remaining
from webapp.billing.services import issue_invoice
from webapp.billing.taxes import TAXES, taxes_of
from webapp.channels.incoming import Component, IncomingAmount
from webapp.channels.models import Shop
from webapp.channels.shops import change_shop
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.documents.invoices import check_amounts, tax_summary
from webapp.documents.issued import content_of
from webapp.errors import Invalid
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.money import Money
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.settings.services import store_all
from webapp.testing import incoming_line, incoming_order

Take = Callable[..., list[Order]]
Declare = Callable[..., None]


def issue(order: Order, lines: dict[int, int] | None = None, *, actor: Actor) -> Invoice:
    with unit_of_work():
        return issue_invoice(locked(order), lines, actor=actor)


@pytest.fixture
def declare(store: object) -> Declare:
    """Declare the taxes of the shop."""

    def declare(rates: str, *, included: bool = False) -> None:
        with unit_of_work():
            shop = db.session.scalars(select(Shop)).one()
            store_all(TAXES, {"tax_rates": rates, "prices_include_tax": included}, shop)

    return declare


def rates(invoice: Invoice) -> list[int | None]:
    return [line.tax_rate for line in invoice.lines]


def item(charged: int, tax: int, discount: int = 0, quantity: int = 1) -> object:
    amounts = (IncomingAmount(Component.ITEM, charged, tax, discount),)
    return incoming_line("MUG", quantity, amounts=amounts, total=charged + tax - discount)


# --- Rates ------------------------------------------------------------------------------------------------------------


def test_rates_are_read_by_country(declare: Declare) -> None:
    declare("DE 19, 7\nfr 20, 5.5 %\nCH 0\u00a0: Tax-free export.")
    shop = db.session.scalars(select(Shop)).one()
    assert taxes_of(shop, "DE").rates == (190_000, 70_000)
    assert taxes_of(shop, "FR").rates == (200_000, 55_000)
    assert (taxes_of(shop, "CH").rates, taxes_of(shop, "CH").note) == ((0,), "Tax-free export.")
    assert taxes_of(shop, "US").rates == ()


@pytest.mark.parametrize("text", ["DE", "19, 7", "DE 19; 7", "DE 119", "QQ 19", "DE 19\nDE 7", "DE 7,,5", "DE 5.12345"])
def test_what_can_not_be_read_is_refused(declare: Declare, text: str) -> None:
    with pytest.raises(Invalid):
        declare(text)


@pytest.mark.parametrize(
    ("charged", "tax", "discount", "quantity", "rate"),
    [
        (1000, 190, 0, 1, 190_000),
        (1000, 70, 0, 1, 70_000),
        (1000, 191, 0, 1, 190_000),  # within one minor unit
        (1000, 192, 0, 1, None),
        (3000, 573, 0, 3, 190_000),  # within one per unit
        (3000, 574, 0, 3, None),
        (1000, 152, 200, 1, 190_000),  # of what is paid without tax
        (1000, 0, 0, 1, None),
    ],
)
def test_a_rate_is_printed_where_it_fits_the_tax_of_the_channel(
    take: Take, mia: Actor, declare: Declare, charged: int, tax: int, discount: int, quantity: int, rate: int | None
) -> None:
    declare("DE 19, 7")
    [order] = take(incoming_order([item(charged, tax, discount, quantity)]))
    invoice = issue(order, actor=mia)
    assert rates(invoice) == [rate]
    assert tuple(invoice.lines[0].figures) == (charged, tax, discount)


def test_nothing_is_guessed(take: Take, mia: Actor, declare: Declare) -> None:
    [undeclared] = take(incoming_order([item(1000, 190)]))
    assert rates(issue(undeclared, actor=mia)) == [None]
    declare("FR 19")
    [elsewhere] = take(incoming_order([item(1000, 190)]))
    assert rates(issue(elsewhere, actor=mia)) == [None]
    declare("DE 10, 20")
    [between] = take(incoming_order([item(20, 3)]))  # 15 %: neither of both is nearer
    assert rates(issue(between, actor=mia)) == [None]


def test_the_paper_has_a_summary_by_rate_without_goods_that_cost_nothing(
    take: Take, mia: Actor, declare: Declare
) -> None:
    declare("DE 19, 7: Deliveries in Germany.")
    free = incoming_line("CARD", amounts=(), total=0)
    [order] = take(incoming_order([item(1000, 190), item(1000, 70), free]))
    content = content_of(issue(order, actor=mia), mia)
    assert [(str(one.rate), one.tax.minor) for one in tax_summary(content)] == [("0.19", 190), ("0.07", 70)]
    assert content.notes == ["Deliveries in Germany."]


# --- Taxes within prices ----------------------------------------------------------------------------------------------


def test_a_tax_of_which_the_channel_says_nothing_is_taken_out_of_the_price(
    take: Take, mia: Actor, declare: Declare
) -> None:
    declare("DE 19, 7", included=True)
    amounts = (IncomingAmount(Component.ITEM, 2380, 0, 238), IncomingAmount(Component.SHIPPING, 595))
    [order] = take(incoming_order([incoming_line("MUG", 2, amounts=amounts, total=2737)], total=2737))
    invoice = issue(order, actor=mia)
    assert [(tuple(line.figures), line.tax_rate) for line in invoice.lines] == [
        ((2038, 342, 238), 190_000),
        ((500, 95, 0), 190_000),
    ]
    assert invoice.total_minor == 2737
    content = content_of(invoice, mia)
    check_amounts(content)
    [row] = content.rows
    assert (row.unit_price, row.discount, row.total) == (Money(1190, "EUR"), Money(238, "EUR"), Money(2142, "EUR"))
    assert content.prices_include_tax
    assert content.extras[0].amount == Money(595, "EUR")


def test_a_tax_of_the_channel_is_never_replaced(take: Take, mia: Actor, declare: Declare) -> None:
    declare("DE 19", included=True)
    lines = [item(1000, 190), item(500, 0)]
    [order] = take(incoming_order(lines))
    invoice = issue(order, actor=mia)
    assert [tuple(line.figures) for line in invoice.lines] == [(1000, 190, 0), (500, 0, 0)]
    assert not content_of(invoice, mia).prices_include_tax


@given(
    price=st.integers(0, 99_999),
    discount=st.integers(0, 999),
    shipping=st.integers(0, 9_999),
    units=st.integers(1, 7),
    parts=st.lists(st.integers(1, 3), max_size=6),
    rate=st.sampled_from(["19", "7", "5.5", "0", "25"]),
)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_partial_invoices_with_taxes_within_prices_add_up(
    take: Take,
    mia: Actor,
    declare: Declare,
    price: int,
    discount: int,
    shipping: int,
    units: int,
    parts: Sequence[int],
    rate: str,
) -> None:
    declare(f"DE {rate}", included=True)
    discount = min(discount, price)
    amounts = (IncomingAmount(Component.ITEM, price, 0, discount), IncomingAmount(Component.SHIPPING, shipping))
    [order] = take(incoming_order([incoming_line("MUG", units, amounts=amounts, total=price + shipping - discount)]))
    [mug], invoices = order.lines, []
    for wanted in [*parts, units]:
        with unit_of_work():
            row = locked(order)
            if left := Remaining(row).units.get(mug.id):
                invoices.append(issue_invoice(row, {mug.id: min(wanted, left)}, actor=mia))
    for row in order.amounts:
        lines = [line for one in invoices for line in one.lines if line.component == row.component]
        assert row.invoiced == row.figures
        assert sum(line.figures.net for line in lines) == row.net
        tax = Money(row.net, "EUR").split([int(float(rate) * 10_000), 1_000_000])[0].minor
        assert sum(line.tax for line in lines) == tax  # as one invoice over everything would have it
    for one in invoices:
        check_amounts(content_of(one, mia))
    db.session.rollback()


# --- Terms ------------------------------------------------------------------------------------------------------------


def test_an_invoice_has_the_day_on_which_the_last_of_its_units_left(take: Take, mia: Actor) -> None:
    [order] = take(incoming_order([incoming_line("MUG", 3)], created_at=now() - timedelta(days=5)))
    mug = order.lines[0].id
    days = [now() - timedelta(days=4), now() - timedelta(days=2)]
    assert content_of(issue(order, {mug: 1}, actor=mia), mia).supplied_on is None  # it has not left yet
    with unit_of_work():
        ship_order(locked(order), [PackageInput("dhl", "JD0001", shipped_at=days[0], lines={mug: 2})], actor=mia)
    assert content_of(issue(order, {mug: 1}, actor=mia), mia).supplied_on == days[0].date()
    with unit_of_work():
        ship_order(locked(order), [PackageInput("dhl", "JD0002", shipped_at=days[1])], actor=mia)
    assert content_of(issue(order, actor=mia), mia).supplied_on == days[1].date()


def test_what_an_invoice_says_stays(take: Take, mia: Actor, operator: Actor, declare: Declare) -> None:
    declare("DE 20: Thank you.")
    [order] = take(incoming_order())
    invoice = issue(order, actor=mia)
    before = content_of(invoice, mia)
    declare("DE 19")
    with unit_of_work():
        change_shop(order.shop, name="Shop", prefix="", zone="Pacific/Auckland", padding=6, actor=operator)
    db.session.expire_all()
    after = content_of(invoice, mia)
    assert (after.notes, after.issued_on, after.rows) == (before.notes, before.issued_on, before.rows)
    assert after.notes == ["Thank you."]
    with pytest.raises(DBAPIError, match="append-only"), unit_of_work():
        db.session.execute(update(Invoice).values(terms={}))
