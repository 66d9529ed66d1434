"""The whole ledger, whatever happens in whatever order: documents come to the counters, to the minor unit and by
component; nothing exceeds what was ever paid or what shipped; what is offered is not refused; numbers have no gap.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import func, select

from tests.refunds import offers
from webapp.audit.actor import Actor
from webapp.billing import dues, memos
from webapp.billing.corrections import correct_invoice, excess_of
from webapp.billing.models import CreditMemo, Invoice, MemoState, Purpose
from webapp.billing.refund_updates import RefundKind
from webapp.billing.refundable import LineWish, NothingChosen, Refundable, Wish
from webapp.billing.remaining import Remaining
from webapp.billing.services import issue_invoice
from webapp.channels.incoming import Component, IncomingAmount, IncomingLine, IncomingOrder
from webapp.channels.models import NumberSequence
from webapp.db import db, unit_of_work
from webapp.errors import DeskError
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.money import Money
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.testing import TipStays, again, incoming_line, incoming_order
from webapp.updates.models import UpdateState

Take = Callable[..., list[Order]]
minor = st.one_of(st.integers(0, 9), st.integers(0, 10**6))
figures = st.tuples(minor, minor, minor).map(lambda one: (one[0], one[1], min(one[2], one[0])))


def amounts(*components: Component) -> st.SearchStrategy[tuple[IncomingAmount, ...]]:
    rows = st.fixed_dictionaries({}, optional=dict.fromkeys(components, figures))
    return rows.map(lambda found: tuple(IncomingAmount(component, *row) for component, row in found.items()))


def line(quantity: int, parts: tuple[IncomingAmount, ...]) -> IncomingLine:
    return incoming_line(quantity=quantity, amounts=parts, total=None)


lines = st.lists(
    st.builds(line, st.integers(1, 4), amounts(Component.ITEM, Component.SHIPPING, Component.GIFT_WRAP)),
    min_size=1,
    max_size=2,
)
small = st.integers(0, 3)
share = st.integers(0, 4)  # quarters
STEPS = (
    "invoice",
    "ship",
    "cancel",
    "units",
    "amount",
    "offered",
    "all",
    "undo",
    "accept",
    "refuse",
    "reverse",
    "correct",
    "news",
    "look",
)
steps = st.lists(st.tuples(st.sampled_from(STEPS), small, small, share), min_size=1, max_size=10)
Step = tuple[str, int, int, int]


class Scene:
    """An order, what its channel says of it, and who acts on it. Each step does something, or is refused."""

    def __init__(self, take: Take, mia: Actor, told: IncomingOrder) -> None:
        self.take, self.mia, self.told = take, mia, told
        [self.order] = take(told)
        self.order_id = self.order.id

    def perform(self, step: Step) -> None:
        name, *wishes = step
        try:
            getattr(self, name)(*wishes)
        except DeskError:  # a refusal, which changes nothing
            db.session.rollback()

    def _row(self) -> Order:
        return locked(db.session.get_one(Order, self.order_id))

    @contextmanager
    def _writing(self) -> Iterator[Order]:
        with unit_of_work():
            yield self._row()

    def invoice(self, first: int, second: int, quarters: int) -> None:
        with self._writing() as row:
            left = Remaining(row)
            wanted = zip(row.lines, (first, second), strict=False)
            chosen = {one.id: units for one, want in wanted if (units := min(want, left.units.get(one.id, 0)))}
            shipping = (None, False, True, None, True)[quarters]
            components = {} if shipping is None else {"shipping": shipping}
            issue_invoice(row, chosen if chosen or shipping else None, components, actor=self.mia)

    def ship(self, first: int, second: int, quarters: int) -> None:
        with self._writing() as row:
            wanted = zip(row.lines, (first, second), strict=False)
            chosen = {one.id: units for one, want in wanted if (units := min(want, one.open))}
            ship_order(row, [PackageInput("DHL", "JD1", lines=chosen)], actor=self.mia)

    def cancel(self, first: int, second: int, quarters: int) -> None:
        """The channel cancels units that have not shipped, and takes a part of the amounts back."""
        row = db.session.get_one(Order, self.order_id)
        changed = list(self.told.lines)
        for place, (one, want) in enumerate(zip(row.lines, (first, second), strict=False)):
            there, units = changed[place], min(want, one.open)
            if units and there.ordered:
                left = there.ordered - units
                parts = (
                    tuple(_part(amount, left, there.ordered) for amount in there.amounts) if quarters else there.amounts
                )
                changed[place] = replace(
                    there, ordered=left, unfulfilled=there.unfulfilled - units, amounts=parts, canceled_by="buyer"
                )
        self._tell(tuple(changed))

    def news(self, first: int, second: int, quarters: int) -> None:
        """The channel raises or lowers the amounts of a line."""
        changed = list(self.told.lines)
        place = first % len(changed)
        parts = tuple(_part(amount, quarters, 2 + second) for amount in changed[place].amounts)
        changed[place] = replace(changed[place], amounts=parts)
        self._tell(tuple(changed))

    def _tell(self, changed: tuple[IncomingLine, ...]) -> None:
        self.told = again(self.told, lines=changed)
        self.take(self.told)

    def units(self, first: int, second: int, quarters: int) -> None:
        with self._writing() as row:
            wishes = {one.id: LineWish(units) for one, units in zip(row.lines, (first, second), strict=False) if units}
            memos.record_refund(
                row,
                Wish(wishes, all_shipping=quarters > 2, adjustment_fee=quarters % 2),
                "CustomerReturn",
                actor=self.mia,
            )

    def amount(self, first: int, second: int, quarters: int) -> None:
        with self._writing() as row:
            left = Refundable(row)
            one = row.lines[first % len(row.lines)]
            most = left.amounts.get((one.id, "item"))
            goods = (most.charged - most.discount) * quarters // 4 if most else 0
            wish = Wish(
                {one.id: LineWish(0, {"item": goods})},
                shipping=(left.shipping.charged - left.shipping.discount) * second // 3,
                adjustment_refund=first,
            )
            memos.record_refund(row, wish, "CustomerReturn", actor=self.mia)

    def offered(self, first: int, second: int, quarters: int) -> None:
        """A refund that the desk offers is never refused, and is of lines of which something has shipped."""
        with self._writing() as row:
            found, left = list(offers(row)), Refundable(row)
            if not found or sum(one.net for one in left.amounts.values()) > left.total:
                return  # adjustments took a part of it; then the refusal says how much is left
            wish = found[(first + 4 * second) % len(found)]
            try:
                memo = memos.record_refund(row, wish, "CustomerReturn", actor=self.mia)
            except (NothingChosen, TipStays):  # units that cost nothing, or what the channel never refunds
                return
            except DeskError as problem:
                raise AssertionError(str(problem)) from problem
            shipped = {one.channel_line_number for one in row.lines if one.shipped}
            assert {number for number, _code, _minor in memo.plan.get("parts", ())} <= shipped

    def all(self, first: int, second: int, quarters: int) -> None:
        with self._writing() as row:
            memos.record_refund(row, Wish(whole=True), "CustomerReturn", actor=self.mia)

    def undo(self, first: int, second: int, quarters: int) -> None:
        with self._writing() as row:
            memos.undo_refund(row, actor=self.mia)

    def accept(self, first: int, second: int, quarters: int) -> None:
        self._settle(UpdateState.EFFECTIVE)

    def refuse(self, first: int, second: int, quarters: int) -> None:
        self._settle(UpdateState.REFUSED)

    def _settle(self, state: UpdateState) -> None:
        """The channel answers all that is under way: as `webapp.sync.settling` does, without a delivery."""
        with self._writing() as row:
            for _memo, update in memos.under_way(row):
                update.state = state
                RefundKind().settled(update)

    def reverse(self, first: int, second: int, quarters: int) -> None:
        with self._writing() as row:
            found = list(db.session.scalars(select(CreditMemo.id).where(CreditMemo.order_id == row.id)))
            memos.reverse_memo(row, found[first % len(found)] if found else 0, actor=self.mia)

    def correct(self, first: int, second: int, quarters: int) -> None:
        with self._writing() as row:
            found = list(db.session.scalars(select(Invoice.id).where(Invoice.order_id == row.id)))
            correct_invoice(row, found[first % len(found)] if found else 0, actor=self.mia)

    def look(self, first: int, second: int, quarters: int) -> None:
        """The job of invoices and corrections."""
        with unit_of_work():
            dues.work_off(50)


def _part(amount: IncomingAmount, of: int, whole: int) -> IncomingAmount:
    charged, tax, discount = (
        Money(figure, "XXX").split([of, max(0, whole - of)])[0].minor if of < whole else figure * of // whole
        for figure in (amount.charged, amount.tax, amount.discount)
    )
    return IncomingAmount(amount.component, charged, tax, min(discount, charged))


def adds_up(order_id: int) -> None:
    """What the documents of an order say is what is counted, and no more than there ever was."""
    db.session.rollback()
    order = db.session.get_one(Order, order_id, populate_existing=True)
    sums: Counter[tuple[str, Any, str, str]] = Counter()
    units: Counter[tuple[str, Any]] = Counter()

    def add(what: str, document: Invoice | CreditMemo, sign: int) -> None:
        assert document.currency == order.currency
        assert document.total_minor == sum(part.figures.net for part in document.lines)
        for part in document.lines:
            if getattr(part, "counted", True):
                units[what, part.line_id] += sign * part.units
                for name, figure in part.figures._asdict().items():
                    sums[what, part.line_id, part.component, name] += sign * figure

    totals: Counter[str] = Counter()
    for invoice in db.session.scalars(select(Invoice).where(Invoice.order_id == order_id)):
        add("invoiced", invoice, 1)
    for memo in db.session.scalars(select(CreditMemo).where(CreditMemo.order_id == order_id)):
        if memo.purpose == Purpose.CORRECTION:
            add("invoiced", memo, -1)
        elif memo.state == MemoState.ISSUED:
            add("refunded", memo, 1)
            totals["refunded"] += memo.total_minor
        elif memo.state in (MemoState.RECORDED, MemoState.PROPOSED):
            add("pending", memo, 1)
            totals["pending"] += memo.total_minor
    places = {(row.line_id, row.component): row for row in order.own_amounts} | {
        (row.line_id, row.component): row for one in order.lines for row in one.amounts
    }
    for what in ("invoiced", "refunded", "pending"):
        counted = {(what, *place, name): figure for place, row in places.items()
                   for name, figure in getattr(row, what)._asdict().items() if figure}  # fmt: skip
        assert counted == {key: figure for key, figure in sums.items() if key[0] == what and figure}
    for row in places.values():
        assert row.invoiced.net <= row.ceiling
        assert row.refunded.net + row.pending.net <= row.ceiling
    for one in order.lines:
        assert (one.invoiced, one.refunded, one.refunding) == tuple(
            units[what, one.id] for what in ("invoiced", "refunded", "pending")
        )
        assert one.invoiced <= one.ordered
        assert one.refunded + one.refunding <= one.shipped
        assert one.shipped or not any(row.pending.net for row in one.amounts)
    assert (order.refunded_minor, order.refunding_minor) == (totals["refunded"], totals["pending"])
    assert order.refunded_minor + order.refunding_minor <= order.refund_ceiling_minor


def settled(scene: Scene) -> None:
    """With nothing under way nothing is pending, and no more is invoiced than is sold."""
    scene.look(0, 0, 0)
    scene.accept(0, 0, 0)
    adds_up(scene.order.id)
    order = db.session.get_one(Order, scene.order.id)
    assert order.refunding_minor == 0
    assert not any(any(row.pending) for one in order.lines for row in one.amounts)
    assert all(one.refunding == 0 for one in order.lines)
    assert not any(units for units, _amount in excess_of(order).values())


def numbers_have_no_gap() -> None:
    for document, kind, prefix in ((Invoice, "invoice", "INV"), (CreditMemo, "credit_memo", "CM")):
        found = db.session.scalars(select(document.number).where(document.number.is_not(None)))
        count = db.session.scalar(select(func.count()).where(document.number.is_not(None))) or 0
        assert sorted(map(str, found)) == [f"{prefix}-{number:06d}" for number in range(1, count + 1)]
        drawn = db.session.scalar(select(NumberSequence.next).where(NumberSequence.kind == kind))
        assert (drawn or 1) == count + 1


def walk(take: Take, mia: Actor, told: IncomingOrder, steps: Sequence[Step]) -> None:
    scene = Scene(take, mia, told)
    for step in steps:
        scene.perform(step)
        adds_up(scene.order.id)
    settled(scene)
    numbers_have_no_gap()
    db.session.rollback()


LEFT = [("invoice", 1, 1, 0), ("ship", 2, 1, 0)]  # most of what happens to money happens after something shipped
EVERY = {
    "currency": st.sampled_from(["JPY", "EUR", "KWD"]),
    "told": lines,
    "own": amounts(Component.SHIPPING, Component.COD, Component.TIP),
    "steps": steps,
    "record_only": st.booleans(),
    "left": st.sampled_from([True, True, False]),
}
FEW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MANY = settings(FEW, max_examples=600)


def _adds_up_whatever_happens(
    take: Take,
    mia: Actor,
    channel: Any,
    currency: str,
    told: Sequence[IncomingLine],
    own: tuple[IncomingAmount, ...],
    steps: Sequence[Step],
    record_only: bool,
    left: bool,
) -> None:
    kinds = type(channel).kinds
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(channel), "kinds", kinds[:2] if record_only else kinds)
        walk(
            take, mia, incoming_order(told, amounts=own, currency=currency, total=1), [*(LEFT if left else []), *steps]
        )


@given(**EVERY)
@FEW
def test_it_adds_up_whatever_happens(take: Take, mia: Actor, channel: Any, **drawn: Any) -> None:
    _adds_up_whatever_happens(take, mia, channel, **drawn)


@pytest.mark.soak
@given(**EVERY)
@MANY
def test_it_adds_up_whatever_happens_for_long(take: Take, mia: Actor, channel: Any, **drawn: Any) -> None:
    _adds_up_whatever_happens(take, mia, channel, **drawn)


TWO = [
    [("units", 1, 0, 0), ("correct", 0, 0, 0), ("accept", 0, 0, 0)],
    [("all", 0, 0, 0), ("invoice", 1, 0, 0), ("look", 0, 0, 0)],
]


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
@pytest.mark.parametrize("turns", range(3))
def test_it_adds_up_with_two_writers_at_once(app: Flask, take: Take, mia: Actor, channel: Any, turns: int) -> None:
    parts = (IncomingAmount(Component.ITEM, 1000, 191, 7), IncomingAmount(Component.SHIPPING, 499, 95))
    scene = Scene(take, mia, incoming_order([line(3, parts), line(1, parts)], total=1))
    for step in (("invoice", 1, 1, 0), ("ship", 3, 1, 0), ("cancel", 0, 0, 0)):
        scene.perform(step)
    start = Barrier(2)
    db.session.rollback()

    def write(place: int) -> None:
        mine = TWO[place][turns:] + TWO[place][:turns]
        with app.app_context():
            start.wait()
            for step in mine:
                scene.perform(step)
            db.session.remove()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, range(2)))
    settled(scene)
    numbers_have_no_gap()
