"""Any sequence of partial invoices, by units and by component, by hand and by themselves as the order ships, in any
currency, adds up to the mirror by component, never exceeds it, and has numbers without a gap.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import func, select

from webapp.audit.actor import Actor
from webapp.billing.automatic import AUTOMATIC, NothingDue, When, issue_due
from webapp.billing.models import Invoice
from webapp.billing.queries import invoices_of
from webapp.billing.remaining import Remaining
from webapp.billing.services import NothingOnInvoice, NothingToInvoice, issue_invoice
from webapp.channels.incoming import Component, IncomingAmount, IncomingLine
from webapp.channels.models import NumberSequence, Store
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import Invalid
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.settings.services import store_all
from webapp.testing import incoming_line, incoming_order

Take = Callable[..., list[Order]]
minor = st.one_of(st.integers(0, 9), st.integers(0, 10**6))
figures = st.builds(
    lambda charged, tax, part: (charged, tax, min(part, charged + tax)),
    st.one_of(minor, st.integers(-9, 0)),
    minor,
    minor,
).filter(lambda one: one[2] >= 0)


def amounts(*components: Component) -> st.SearchStrategy[tuple[IncomingAmount, ...]]:
    rows = st.fixed_dictionaries({}, optional=dict.fromkeys(components, figures))
    return rows.map(lambda found: tuple(IncomingAmount(component, *row) for component, row in found.items()))


def line(quantity: int, parts: tuple[IncomingAmount, ...]) -> IncomingLine:
    return incoming_line(quantity=quantity, amounts=parts, total=None)


lines = st.lists(
    st.builds(line, st.integers(1, 7), amounts(Component.ITEM, Component.SHIPPING, Component.GIFT_WRAP)),
    min_size=1,
    max_size=3,
)
Invoiced = tuple[list[int] | None, dict[str, bool]]  # units by line, or everything; all or nothing of a component
Step = Invoiced | list[int] | None  # or units that ship; None: what is due is invoiced by itself
some = st.lists(st.integers(0, 3), min_size=3, max_size=3)
choices = st.dictionaries(st.sampled_from([str(one) for one in Component if one != "item"]), st.booleans())
steps = st.lists(st.one_of(st.tuples(st.none() | some, choices), some, st.none()), max_size=8)


def within(whole: int, part: int) -> bool:
    return min(0, whole) <= part <= max(0, whole)


def ship(order: Order, wanted: Sequence[int], *, actor: Actor) -> None:
    with unit_of_work():
        row = locked(order)
        pairs = zip(row.lines, wanted, strict=False)
        if units := {line.id: units for line, want in pairs if (units := min(want, line.open))}:
            ship_order(row, [PackageInput("dhl", "JD0001", lines=units)], actor=actor)


def is_invoiced_by_itself(order: Order, *, actor: Actor) -> bool:
    """Invoice what is due; an amount without units only if somebody kept it off an invoice, and then all of it."""
    with unit_of_work():
        row = locked(order)
        before, kept_off = Remaining(row), {one for old in invoices_of(row) for one in old.terms.get("left_out", ())}
        try:
            [invoice] = issue_due([row], actor=actor)
        except (NothingDue, NothingToInvoice):
            return False
        assert invoice.total_minor > 0
        if not any(part.units for part in invoice.lines):
            assert not before.units
            assert {part.component for part in invoice.lines} <= kept_off
            assert not {part.component for part in invoice.lines} & Remaining(row).components.keys()
    return True


@given(
    currency=st.sampled_from(["JPY", "EUR", "KWD"]),
    told=lines,
    own=amounts(Component.SHIPPING, Component.COD, Component.TIP),
    steps=steps,
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_partial_invoices_add_up(
    store: Store,
    take: Take,
    mia: Actor,
    currency: str,
    told: Sequence[IncomingLine],
    own: tuple[IncomingAmount, ...],
    steps: Sequence[Step],
) -> None:
    since = (now() - timedelta(days=3)).date().isoformat()
    with unit_of_work():
        its = db.session.get_one(Store, store.id)
        store_all(AUTOMATIC, {"invoices": When.SHIPPED, "invoice_from": since}, its)
    [order] = take(incoming_order(told, amounts=own, currency=currency, total=1))
    first = db.session.scalar(select(func.count()).select_from(Invoice)) or 0
    issued = 0
    for step in [*steps, (None, {})]:
        if isinstance(step, list):
            ship(order, step, actor=mia)
            continue
        if step is None:
            issued += is_invoiced_by_itself(order, actor=mia)
            continue
        wanted, components = step
        with unit_of_work():
            row = locked(order)
            left = Remaining(row)
            if not left:
                break
            pairs = zip(row.lines, wanted or (), strict=False)
            some = {line.id: units for line, want in pairs if (units := min(want, left.units.get(line.id, 0)))}
            chosen = None if wanted is None else some
            deductions = {component for _line, component in left.amounts} - left.components.keys()
            choices = {one: all_ for one, all_ in components.items() if one not in deductions}
            if not left.parts(chosen, choices):
                with pytest.raises((NothingOnInvoice, Invalid)):
                    issue_invoice(row, chosen, choices, actor=mia)
                continue
            invoice = issue_invoice(row, chosen, choices, actor=mia)
            issued += 1
            assert {line.component for line in invoice.lines}.isdisjoint(
                one for one, all_ in choices.items() if not all_ and one in left.components
            )
            assert Remaining(row).components.keys().isdisjoint(one for one, all_ in choices.items() if all_)
        paid = {(row.line_id, row.component): row for row in order.amounts}
        for row in paid.values():
            assert within(row.net, row.invoiced.net)
            assert row.invoiced.net <= row.ceiling
            assert row.invoiced.tax <= row.tax
            assert row.invoiced.discount <= row.discount
    sums: Counter[tuple[int | None, str, str]] = Counter()
    units: Counter[int | None] = Counter()
    for invoice in db.session.scalars(select(Invoice).where(Invoice.order_id == order.id)):
        assert invoice.currency == currency
        assert invoice.total_minor == sum(part.figures.net for part in invoice.lines)
        for part in invoice.lines:
            units[part.line_id] += part.units
            for name, figure in part.figures._asdict().items():
                sums[part.line_id, part.component, name] += figure
    for row in order.amounts:
        for name, figure in row.figures._asdict().items():
            assert sums[row.line_id, row.component, name] == figure
    assert all(units[one.id] == one.ordered == one.invoiced for one in order.lines)
    numbers = db.session.scalars(select(Invoice.number).order_by(Invoice.id)).all()
    assert numbers == [f"INV-{number:06d}" for number in range(1, first + issued + 1)]
    drawn = select(NumberSequence.next).where(NumberSequence.kind == "invoice")
    assert db.session.scalar(drawn) == first + issued + 1
    db.session.rollback()
