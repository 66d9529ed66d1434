"""Invoices that are corrected: what is canceled or not paid any more is taken back, once, and nothing is paid back."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from flask import Flask
from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.billing import dues
from webapp.billing.adopting import adopt
from webapp.billing.corrections import NothingToCorrect, RefundedNotCorrected, correct_invoice
from webapp.billing.memos import CorrectionStays, record_refund, reverse_memo
from webapp.billing.models import CreditMemo, Invoice, MemoState, Purpose
from webapp.billing.proofs import Piece
from webapp.billing.refundable import LineWish, Wish
from webapp.billing.remaining import Remaining
from webapp.billing.services import issue_invoice
from webapp.billing.taxes import TAXES
from webapp.channels.incoming import ChannelStage, Component, IncomingAmount, IncomingOrder
from webapp.channels.models import Shop, Store
from webapp.db import db, unit_of_work
from webapp.errors import NotFound
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.orders.contract import Amount
from webapp.orders.events import events_of
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.settings.services import store_all
from webapp.testing import again, incoming_line, incoming_order, line_again

Take = Callable[..., list[Order]]
Work = Callable[[], int]


def amounts(units: int) -> tuple[IncomingAmount, ...]:
    return (
        IncomingAmount(Component.ITEM, 1000 * units, 190 * units, 100 * units),
        IncomingAmount(Component.SHIPPING, 499),
    )


@pytest.fixture
def incoming() -> IncomingOrder:
    """Three mugs with shipping, and a tip for the whole order."""
    return incoming_order(
        [incoming_line("MUG", 3, amounts=amounts(3), total=3769)],
        amounts=(IncomingAmount(Component.TIP, 101),),
        total=3870,
    )


@pytest.fixture
def order(take: Take, incoming: IncomingOrder) -> Order:
    [order] = take(incoming)
    return order


def invoice(order: Order, units: int = 0, *, actor: Actor) -> Invoice:
    with unit_of_work():
        row = locked(order)
        return issue_invoice(row, {row.lines[0].id: units} if units else None, actor=actor)


def cancel(take: Take, incoming: IncomingOrder, units: int, *, lowered: bool = True) -> None:
    """The channel cancels units; it takes their amounts back too, if they are `lowered`."""
    left = 3 - units
    lines = line_again(
        incoming,
        0,
        ordered=left,
        unfulfilled=left,
        amounts=amounts(left) if lowered else amounts(3),
        canceled_by="buyer",
    )
    take(again(incoming, minutes=10, lines=lines, total=1090 * (left if lowered else 3) + 600))


def corrections() -> list[CreditMemo]:
    db.session.expire_all()
    return list(db.session.scalars(select(CreditMemo).order_by(CreditMemo.id)))


def rows(memo: CreditMemo) -> list[tuple[str, int, tuple[int, ...]]]:
    return [(line.component, line.units, tuple(line.figures)) for line in memo.lines]


def kinds(order: Order) -> list[str]:
    return [trouble["kind"] for trouble in order.attention]


def ledger_holds(order: Order) -> None:
    """Invoices less corrections are what is counted as invoiced."""
    sums: Counter[tuple[int | None, str, str]] = Counter()
    units: Counter[int | None] = Counter()
    for document, sign in [(one, 1) for one in db.session.query(Invoice)] + [(one, -1) for one in corrections()]:
        if isinstance(document, Invoice) or (document.purpose, document.state) == ("correction", "issued"):
            for line in document.lines:
                units[line.line_id] += sign * line.units
                for name, figure in line.figures._asdict().items():
                    sums[line.line_id, line.component, name] += sign * figure
    for row in order.amounts:
        for name, figure in row.invoiced._asdict().items():
            assert sums[row.line_id, row.component, name] == figure
    assert [units[line.id] for line in order.lines] == [line.invoiced for line in order.lines]


# --- By itself --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lowered", [True, False])
def test_canceled_units_are_taken_back(
    take: Take, incoming: IncomingOrder, order: Order, mia: Actor, work: Work, *, lowered: bool
) -> None:
    paper = invoice(order, actor=mia)
    cancel(take, incoming, 1, lowered=lowered)
    assert corrections() == []  # nothing is issued inside an import
    work()

    [memo] = corrections()
    assert (memo.purpose, memo.record_only, memo.number, memo.invoice_id) == ("correction", True, "CM-000001", paper.id)
    assert memo.terms["documents"] == [paper.number]
    shipping = [] if lowered else [("shipping", 0, (166, 0, 0))]
    assert rows(memo) == [("item", 1, (1000, 190, 100)), *shipping]
    assert (order.lines[0].invoiced, order.refunded_minor) == (2, 0)
    assert kinds(order) == []
    ledger_holds(order)
    work()
    assert len(corrections()) == 1


def test_a_canceled_order_gives_back_all_that_was_invoiced(
    take: Take, incoming: IncomingOrder, order: Order, mia: Actor, work: Work
) -> None:
    first, second = invoice(order, 1, actor=mia), invoice(order, actor=mia)
    lines = line_again(incoming, 0, ordered=0, unfulfilled=0, amounts=(), canceled_by="buyer", total=None)
    take(
        again(
            incoming, minutes=10, lines=lines, amounts=(), stage=ChannelStage.CANCELED, status="CANCELLED", total=None
        )
    )
    work()

    assert [(memo.invoice_id, memo.total_minor) for memo in corrections()] == [
        (first.id, first.total_minor),
        (second.id, second.total_minor),
    ]
    assert order.lines[0].invoiced == 0
    assert not any(any(row.invoiced) for row in order.amounts)
    assert kinds(order) == []
    ledger_holds(order)


def test_the_newest_invoices_are_corrected_first(
    take: Take, incoming: IncomingOrder, order: Order, mia: Actor, work: Work
) -> None:
    papers = [invoice(order, 1, actor=mia) for _ in range(3)]
    cancel(take, incoming, 2)
    work()
    assert [memo.invoice_id for memo in corrections()] == [papers[1].id, papers[2].id]
    assert all(memo.lines[0].units == 1 for memo in corrections())
    ledger_holds(order)


def test_units_that_were_not_invoiced_need_no_correction(
    take: Take, incoming: IncomingOrder, order: Order, mia: Actor, work: Work
) -> None:
    invoice(order, 1, actor=mia)
    cancel(take, incoming, 2)
    work()
    assert corrections() == []


def test_a_lowered_amount_is_taken_back_and_its_attention_settled(
    take: Take, incoming: IncomingOrder, order: Order, mia: Actor, work: Work
) -> None:
    invoice(order, actor=mia)
    cheaper = (IncomingAmount(Component.ITEM, 2700, 513, 300), IncomingAmount(Component.SHIPPING, 499))
    take(again(incoming, minutes=10, lines=line_again(incoming, 0, amounts=cheaper, total=3412), total=3513))
    assert kinds(order) == ["invoiced_above_paid"]
    work()

    [memo] = corrections()
    assert rows(memo) == [("item", 0, (300, 57, 0))]
    assert kinds(order) == []
    assert [event.code for event in events_of(order)][:2] == ["invoiced_within_paid", "invoice_corrected"]
    ledger_holds(order)


def test_an_amount_of_which_something_is_refunded_is_left_to_people(
    take: Take, incoming: IncomingOrder, order: Order, mia: Actor, work: Work
) -> None:
    invoice(order, actor=mia)
    with unit_of_work():
        ship_order(locked(order), [PackageInput("DHL", "JD1")], actor=mia)
    with unit_of_work():
        record_refund(locked(order), Wish({order.lines[0].id: LineWish(1)}), "CustomerReturn", actor=mia)
    cheaper = (IncomingAmount(Component.ITEM, 2000, 380, 200), IncomingAmount(Component.SHIPPING, 499))
    take(again(incoming, minutes=10, lines=line_again(incoming, 0, amounts=cheaper, total=2679), total=2780))
    with unit_of_work():
        dues.work_off(10)
    assert [memo.purpose for memo in corrections()] == [Purpose.REFUND]
    assert kinds(order) == ["invoiced_above_paid"]


def test_what_is_refunded_is_not_corrected_once_more(
    take: Take, incoming: IncomingOrder, order: Order, mia: Actor, work: Work
) -> None:
    """The channel paid everything back, which the desk adopted, and then shows the order as canceled."""
    invoice(order, actor=mia)
    with unit_of_work():
        row = locked(order)
        adopt(row, [Piece("", "MUG", "item", 3, Amount(3000, 570, 300))], actor=mia)
    canceled = line_again(incoming, 0, ordered=0, unfulfilled=0, canceled_by="channel")
    take(again(incoming, minutes=10, lines=canceled, stage=ChannelStage.CANCELED))
    with unit_of_work():
        dues.work_off(10)
    taken = {line.component: line.figures.net for memo in corrections() for line in memo.lines}
    assert sum(memo.total_minor for memo in corrections()) <= 3870
    assert taken["item"] == 3270


def test_a_withheld_total_did_not_fall(
    take: Take, incoming: IncomingOrder, order: Order, mia: Actor, work: Work
) -> None:
    invoice(order, actor=mia)
    take(again(incoming, minutes=10, lines=line_again(incoming, 0, amounts=(), total=None), amounts=(), total=None))
    work()
    assert corrections() == []


def test_a_tax_that_was_taken_out_of_the_price_is_taken_back_with_it(
    take: Take, mia: Actor, work: Work, store: Store
) -> None:
    with unit_of_work():
        store_all(TAXES, {"tax_rates": "DE 19", "prices_include_tax": True}, db.session.query(Shop).one())
    told = incoming_order(
        [incoming_line("MUG", 3, amounts=(IncomingAmount(Component.ITEM, 1000),), total=1000)], total=1000
    )
    [order] = take(told)
    invoice(order, actor=mia)
    for left, minor in ((2, 667), (1, 333), (0, 0)):
        lines = line_again(told, 0, ordered=left, unfulfilled=left, amounts=(IncomingAmount(Component.ITEM, minor),),
                           total=minor, canceled_by="buyer")  # fmt: skip
        take(again(told, minutes=10 * (4 - left), lines=lines, total=minor))
        work()
    paper, memos = db.session.query(Invoice).one(), corrections()
    assert [memo.total_minor for memo in memos] == [333, 334, 333]
    assert sum(memo.lines[0].tax for memo in memos) == paper.lines[0].tax == 160
    assert sum(memo.lines[0].charged for memo in memos) == paper.lines[0].charged
    assert not any(order.amounts[0].invoiced)


def test_two_workers_correct_once(app: Flask, take: Take, incoming: IncomingOrder, order: Order, mia: Actor) -> None:
    invoice(order, actor=mia)
    cancel(take, incoming, 1)
    start = Barrier(2)

    def look(_place: int) -> None:
        with app.app_context():
            start.wait()
            with unit_of_work():
                dues.work_off(10)
            db.session.remove()

    db.session.rollback()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(look, range(2)))
    assert len(corrections()) == 1


def test_the_shipping_of_a_line_that_is_canceled_is_taken_back_though_none_of_its_units_was_invoiced(
    take: Take, mia: Actor, work: Work
) -> None:
    told = incoming_order([incoming_line("MUG", amounts=amounts(1)), incoming_line("CUP")], total=2789)
    [order] = take(told)
    with unit_of_work():
        issue_invoice(locked(order), {}, {"shipping": True}, actor=mia)
    lines = line_again(told, 0, ordered=0, unfulfilled=0, canceled_by="buyer")
    take(again(told, minutes=10, lines=lines, total=2789))
    work()
    [memo] = corrections()
    assert rows(memo) == [("shipping", 0, (499, 0, 0))]
    ledger_holds(order)


# --- By hand ----------------------------------------------------------------------------------------------------------


def test_an_invoice_issued_by_mistake_is_taken_back_and_its_amounts_can_be_invoiced_again(
    order: Order, mia: Actor
) -> None:
    paper = invoice(order, actor=mia)
    with unit_of_work():
        memo = correct_invoice(locked(order), paper.id, actor=mia)
    assert (memo.number, memo.total_minor, memo.state) == ("CM-000001", paper.total_minor, MemoState.ISSUED)
    assert (order.lines[0].invoiced, Remaining(order).net, order.refunded_minor) == (0, 3870, 0)
    with pytest.raises(NothingToCorrect), unit_of_work():
        correct_invoice(locked(order), paper.id, actor=mia)
    with pytest.raises(CorrectionStays), unit_of_work():
        reverse_memo(locked(order), memo.id, actor=mia)
    following = invoice(order, actor=mia)
    assert (following.number, following.total_minor) == ("INV-000002", 3870)
    ledger_holds(order)


def test_what_was_corrected_already_is_not_taken_back_twice(
    take: Take, incoming: IncomingOrder, order: Order, mia: Actor, work: Work
) -> None:
    paper = invoice(order, actor=mia)
    cancel(take, incoming, 1)
    work()
    with unit_of_work():
        memo = correct_invoice(locked(order), paper.id, actor=mia)
    assert memo.total_minor == paper.total_minor - 1090
    assert order.lines[0].invoiced == 0
    ledger_holds(order)


def test_what_is_refunded_is_not_taken_back_too(order: Order, mia: Actor, take: Take) -> None:
    paper = invoice(order, actor=mia)
    with unit_of_work():
        ship_order(locked(order), [PackageInput("DHL", "JD1")], actor=mia)
    with unit_of_work():
        record_refund(locked(order), Wish({order.lines[0].id: LineWish(1)}), "CustomerReturn", actor=mia)
    with pytest.raises(RefundedNotCorrected), unit_of_work():
        correct_invoice(locked(order), paper.id, actor=mia)
    [other] = take(incoming_order())
    with pytest.raises(NotFound), unit_of_work():
        correct_invoice(locked(other), paper.id, actor=mia)


def test_an_invoice_of_shipping_alone_is_taken_back_though_goods_are_refunded(order: Order, mia: Actor) -> None:
    with unit_of_work():
        goods = issue_invoice(locked(order), components={"shipping": False}, actor=mia)
    shipping = invoice(order, actor=mia)
    with unit_of_work():
        ship_order(locked(order), [PackageInput("DHL", "JD1")], actor=mia)
    with unit_of_work():
        record_refund(locked(order), Wish({order.lines[0].id: LineWish(1)}), "CustomerReturn", actor=mia)
    with pytest.raises(RefundedNotCorrected), unit_of_work():
        correct_invoice(locked(order), goods.id, actor=mia)
    with unit_of_work():
        memo = correct_invoice(locked(order), shipping.id, actor=mia)
    assert rows(memo) == [("shipping", 0, (499, 0, 0))]
    assert Remaining(order).net == 499
    ledger_holds(order)
