"""Transactions of a channel: kept once, matched with credit memos, or adopted as refunds made elsewhere."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import pytest
import time_machine
from flask import Flask

from tests.billing.test_refunding import Take, codes, hold, incoming, order, refund, rows, shipped, the_update, units
from tests.plans import statements_of
from tests.refunds import WHOLE, shipped_order
from webapp.audit.actor import Actor
from webapp.billing import matching
from webapp.billing.adopting import adopt_transaction
from webapp.billing.jobs import match_refunds
from webapp.billing.matching import any_to_match
from webapp.billing.memos import reverse_memo, undo_refund
from webapp.billing.models import CreditMemo, MemoState, Transaction
from webapp.billing.previewing import preview_refund
from webapp.billing.refund_words import BEYOND, PARTLY
from webapp.billing.refundable import LineWish, Refundable, Wish
from webapp.billing.transactions import AdoptedAlready, take_in, transactions_of
from webapp.channels.incoming import Component, IncomingAmount
from webapp.channels.models import Store
from webapp.channels.outgoing import Accepted, Outcome, Sent, Unknown
from webapp.channels.refunds import Adjustment
from webapp.channels.transactions import IncomingTransaction, TransactionKind, TransactionPart
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import NotFound, Refusal
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.testing import FakeChannel, incoming_line, incoming_order
from webapp.updates.deciding import confirm
from webapp.updates.models import UpdateState

__all__ = ["incoming", "order"]


def told(order: Order, *parts: TransactionPart, number: str = "T1", **more: object) -> IncomingTransaction:
    """A refund in a channel's accounts; amounts of its parts are what the buyer got."""
    total = -sum(part.charged + part.tax - part.discount for part in parts)
    values: dict[str, object] = {
        "kind": TransactionKind.REFUND,
        "word": "Refund",
        "status": "RELEASED",
        "posted_at": now(),
        "currency": "EUR",
        "total": total + 50,
        "fees": 50,
        "order_number": order.channel_order_number,
        "parts": tuple(
            TransactionPart(one.line, one.sku, one.component, one.units, -one.charged, -one.tax, -one.discount)
            for one in parts
        ),
    }
    return IncomingTransaction(number=number, **values | more)  # type: ignore[arg-type]


def item(sku: str, charged: int, tax: int = 0, discount: int = 0, *, units: int = 0) -> TransactionPart:
    return TransactionPart("", sku, "item", units, charged, tax, discount)


def arrive(order: Order, *transactions: IncomingTransaction) -> int:
    """Take transactions in and match them; returns how many were new."""
    with unit_of_work():
        new = take_in(order.store_id, transactions)
    match_refunds()
    db.session.expire_all()
    return new


def sent(channel: FakeChannel, memo: CreditMemo, work: Callable[[], int], outcome: Outcome | None = None) -> CreditMemo:
    """The memo once the channel accepted it, or with another outcome."""
    update = the_update(memo)
    channel.deliver = lambda store, updates: {  # type: ignore[method-assign]
        one.id: (outcome or Accepted()) if one.id == update.id else Sent() for one in updates[:]
    }
    work()
    db.session.expire_all()
    assert memo.state == (MemoState.ISSUED if outcome is None else MemoState.RECORDED)
    return memo


def an_hour_later() -> None:
    with time_machine.travel(now() + timedelta(hours=1), tick=True):
        match_refunds()
    db.session.expire_all()


def adopted(order: Order) -> list[CreditMemo]:
    return list(db.session.query(CreditMemo).filter_by(order_id=order.id, origin="elsewhere").order_by(CreditMemo.id))


def marks(order: Order) -> list[str]:
    return [mark["kind"] for mark in order.attention]


@pytest.fixture(autouse=True)
def _accounts(channel: FakeChannel) -> None:
    channel.has_transactions = True


# --- Proofs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "differs"),
    [
        (item("MUG", 1000, 190, 100), None),
        (item("MUG", 1090), None),  # the tax is told within the price
        (item("MUG", 1001, 190, 100), 1091),
        (item("MUG", 1000, 150, 100), 1050),  # another tax
    ],
)
def test_what_the_accounts_show_proves_a_refund(
    order: Order, channel: FakeChannel, mia: Actor, work: Callable[[], int], part: TransactionPart, differs: int | None
) -> None:
    memo = sent(channel, refund(order, units(order, mug=1), actor=mia), work)
    arrive(order, told(order, part))

    assert (the_update(memo).state, memo.channel_minor) == (UpdateState.EFFECTIVE, differs)
    assert memo.effective_at is not None
    assert db.session.query(Transaction).one().memo is memo
    assert adopted(order) == []
    assert codes(order)[-2:] == ["update_effective", "refund_effective"]


def test_another_tax_within_the_price_is_no_other_refund(
    take: Take, channel: FakeChannel, mia: Actor, work: Callable[[], int]
) -> None:
    line = incoming_line("MUG", 2, amounts=(IncomingAmount(Component.ITEM, 2380),), total=2380)
    order = shipped(take, incoming_order([line], total=2380), mia)
    memo = sent(channel, refund(order, units(order, mug=1), actor=mia), work)
    payment = told(order, item("MUG", -2000, -380), number="T0", kind=TransactionKind.PAYMENT)
    arrive(order, payment, told(order, item("MUG", 1000, 200)))

    assert (the_update(memo).state, memo.total_minor, memo.channel_minor) == (UpdateState.EFFECTIVE, 1190, 1200)
    assert adopted(order) == []


def test_a_lost_answer_is_settled_by_the_accounts(
    order: Order, channel: FakeChannel, mia: Actor, work: Callable[[], int]
) -> None:
    memo = sent(channel, refund(order, units(order, mug=1), actor=mia), work, Unknown())
    assert the_update(memo).state == UpdateState.UNKNOWN
    arrive(order, told(order, item("MUG", 500), number="T0"))
    assert (memo.state, adopted(order)) == (MemoState.RECORDED, [])  # it may be a part of it, or not

    arrive(order, told(order, item("MUG", 1000, 190, 100)))
    assert (the_update(memo).state, memo.number) == (UpdateState.EFFECTIVE, "CM-000001")
    an_hour_later()
    assert [row.total_minor for row in adopted(order)] == [500]


def test_what_was_posted_before_a_refund_left_is_another_one(
    order: Order, channel: FakeChannel, mia: Actor, work: Callable[[], int]
) -> None:
    memo = sent(channel, refund(order, units(order, mug=1), actor=mia), work)
    earlier = told(order, item("MUG", 1000, 190, 100, units=1), posted_at=now() - timedelta(seconds=20))
    with unit_of_work():
        order.store.created_at = now() - timedelta(days=1)
    arrive(order, earlier)
    assert the_update(memo).state == UpdateState.ACCEPTED
    assert [(row.total_minor, row.effective_at is not None) for row in adopted(order)] == [(1090, True)]


def test_less_leaves_it_accepted_with_attention_until_the_rest_shows(
    order: Order, channel: FakeChannel, mia: Actor, work: Callable[[], int]
) -> None:
    memo = sent(channel, refund(order, units(order, mug=1), actor=mia), work)
    arrive(order, told(order, item("MUG", 500, 95, 50)))
    assert (the_update(memo).state, memo.effective_at, memo.channel_minor) == (UpdateState.ACCEPTED, None, 545)
    assert marks(order) == [PARTLY.code]

    arrive(order, told(order, item("MUG", 500, 95, 50), number="T2"))
    assert (the_update(memo).state, memo.channel_minor, marks(order)) == (UpdateState.EFFECTIVE, None, [])
    assert adopted(order) == []


def test_more_proves_it_and_the_rest_is_adopted(
    order: Order, channel: FakeChannel, mia: Actor, work: Callable[[], int]
) -> None:
    memo = sent(channel, refund(order, units(order, mug=1), actor=mia), work)
    arrive(order, told(order, item("MUG", 2000, 380, 200, units=2), item("CUP", 500)))

    assert (the_update(memo).state, memo.channel_minor) == (UpdateState.EFFECTIVE, None)
    [rest] = adopted(order)
    assert rows(rest) == [("item", 1, (1000, 190, 100)), ("item", 0, (417, 83, 0))]  # as the order has its tax
    assert (rest.number, rest.record_only, memo.total_minor) == ("CM-000002", True, 1090)
    [row] = db.session.query(Transaction)
    assert (row.memo_id, row.rest_id) == (memo.id, rest.id)
    assert order.refunded_minor == 1090 + 1590


def test_a_fee_and_amounts_of_the_order_are_compared_over_all_skus(
    order: Order, channel: FakeChannel, mia: Actor, work: Callable[[], int]
) -> None:
    mug, cup = order.lines
    wish = Wish({mug.id: LineWish(1), cup.id: LineWish(1)}, adjustment_refund=300, adjustment_fee=200)
    memo = sent(channel, refund(order, wish, actor=mia), work)
    parts = [item("MUG", 1000, 190, 100), item("CUP", 500, 100)]
    parts += [TransactionPart("", sku, Adjustment.REFUND, charged=150) for sku in ("MUG", "CUP")]
    arrive(order, told(order, *parts, TransactionPart("", "MUG", Adjustment.FEE, charged=-200)))
    assert (the_update(memo).state, memo.channel_minor, adopted(order)) == (UpdateState.EFFECTIVE, None, [])


def test_each_of_two_refunds_is_proven_by_its_own_transaction(
    order: Order, channel: FakeChannel, mia: Actor, work: Callable[[], int]
) -> None:
    one, two = (sent(channel, refund(order, units(order, mug=count), actor=mia), work) for count in (1, 2))
    arrive(order, told(order, item("MUG", 2000, 380, 200), number="T2"))
    assert [the_update(memo).state for memo in (one, two)] == [UpdateState.ACCEPTED, UpdateState.EFFECTIVE]
    arrive(order, told(order, item("MUG", 1000, 190, 100)), told(order, item("MUG", 2000, 380, 200), number="T2"))
    assert the_update(one).state == UpdateState.EFFECTIVE
    assert [row.memo_id for row in db.session.query(Transaction).order_by(Transaction.id)] == [two.id, one.id]


def test_what_a_person_said_of_a_refund_is_not_adopted_again(
    order: Order, channel: FakeChannel, mia: Actor, work: Callable[[], int]
) -> None:
    memo = sent(channel, refund(order, units(order, mug=1), actor=mia), work, Unknown())
    with unit_of_work():
        confirm(the_update(memo), actor=Actor.operator())
    arrive(order, told(order, item("MUG", 1000, 190, 100)))
    assert (adopted(order), db.session.query(Transaction).one().memo_id) == ([], memo.id)


# --- Refunds made elsewhere -------------------------------------------------------------------------------------------


def test_a_refund_made_elsewhere_becomes_a_credit_memo(order: Order) -> None:
    mug, _cup = order.lines
    part = item("MUG", 1000, 190, 100, units=1)
    assert arrive(order, told(order, part, TransactionPart("", "MUG", "shipping", charged=499, tax=95))) == 1
    [memo] = adopted(order)
    assert rows(memo) == [("item", 1, (1000, 190, 100)), ("shipping", 0, (499, 95, 0))]
    assert (memo.number, memo.state, memo.record_only) == ("CM-000001", MemoState.ISSUED, True)
    assert (mug.refunded, order.refunded_minor, order.refunding_minor) == (1, 1684, 0)
    assert Refundable(order).units[mug.id] == 2
    assert codes(order)[-2:] == ["memo_issued", "refund_adopted"]
    assert marks(order) == []

    assert arrive(order, told(order, part, status="DEFERRED_RELEASED")) == 0
    assert db.session.query(Transaction).one().status == "DEFERRED_RELEASED"
    assert len(adopted(order)) == 1


def test_what_exceeds_a_component_or_fits_no_line_is_marked_and_counts_for_the_order_alone(order: Order) -> None:
    _mug, cup = order.lines
    arrive(order, told(order, item("CUP", 900, 100, units=3), item("HAT", 77)))
    [memo] = adopted(order)
    assert [(line.line_id, line.sku, line.units, line.figures.net, line.counted) for line in memo.lines] == [
        (cup.id, "CUP", 1, 600, True),
        (None, "CUP", 0, 400, False),
        (None, "HAT", 0, 77, False),
    ]
    assert (cup.refunded, order.refunded_minor, marks(order)) == (1, 1077, [BEYOND.code])
    with unit_of_work():
        reverse_memo(locked(order), memo.id, actor=Actor.operator())
    assert (cup.refunded, order.refunded_minor, marks(order)) == (0, 0, [])


def test_more_than_the_whole_order_can_be_refunded_elsewhere(order: Order) -> None:
    arrive(order, told(order, item("MUG", 900_000, units=3)))
    assert (order.refunded_minor, bool(Refundable(order))) == (900_000, False)


def test_of_several_lines_of_a_sku_the_one_that_has_the_amount_left_is_refunded(take: Take, mia: Actor) -> None:
    lines = [incoming_line("MUG", price=price) for price in (700, 500)]
    order = shipped(take, incoming_order(lines), mia)
    arrive(order, told(order, item("MUG", 600, units=1)))
    first, second = order.lines
    [memo] = adopted(order)
    assert [line.line_id for line in memo.lines] == [second.id]
    line = TransactionPart(first.channel_line_number, "other", "item", 1, 100)
    arrive(order, told(order, line, number="T2"))
    assert [line.line_id for line in adopted(order)[1].lines] == [first.id]


def test_adoption_waits_while_a_refund_of_the_order_is_under_way(
    order: Order, channel: FakeChannel, mia: Actor, work: Callable[[], int]
) -> None:
    work()
    hold(order, 600)
    memo = refund(order, units(order, mug=3), actor=mia)
    arrive(order, told(order, item("MUG", 3000, 570, 300, units=3)))
    assert adopted(order) == []
    with unit_of_work():
        undo_refund(locked(order), actor=mia)
    an_hour_later()
    [found] = adopted(order)
    assert (memo.state, found.total_minor, order.lines[0].refunded) == (MemoState.WITHDRAWN, 3270, 3)


def test_a_refund_that_people_recorded_here_is_not_adopted_again(
    order: Order, channel: FakeChannel, mia: Actor
) -> None:
    channel.kinds = tuple(kind for kind in FakeChannel.kinds if kind.code != "refund")
    memo = refund(order, units(order, mug=1), actor=mia)
    arrive(order, told(order, item("MUG", 1000, 190, 100)))
    assert (adopted(order), memo.effective_at is not None) == ([], True)


@pytest.mark.parametrize(
    "more",
    [
        {"kind": TransactionKind.CLAIM},
        {"kind": TransactionKind.FUNDED},
        {"kind": TransactionKind.OTHER},
        {"currency": "USD"},
        {"posted_at": now() - timedelta(days=400)},  # before the store was connected
    ],
)
def test_what_is_not_adopted_by_itself(order: Order, more: dict[str, object]) -> None:
    assert arrive(order, told(order, item("CUP", 100), **more)) == 1
    assert adopted(order) == []
    assert order.refunded_minor == 0
    assert not any_to_match()


def test_transactions_wait_for_their_order(take: Take, store: Store, mia: Actor, work: Callable[[], int]) -> None:
    late = incoming_order([incoming_line("CUP", price=500)], number="302-5555555-0000001")
    one = IncomingTransaction(
        number="T1", kind=TransactionKind.REFUND, word="Refund", status="", posted_at=now(), currency="EUR",
        total=-120, order_number=late.number, parts=(TransactionPart("", "CUP", "item", 0, -120),),
    )  # fmt: skip
    with unit_of_work():
        assert take_in(store.id, [one, replace(one, number="T2", order_number="")]) == 2
    [order] = take(late)
    work()
    assert [row.total_minor for row in adopted(order)] == [120]
    assert [row.order_id for row in db.session.query(Transaction).order_by(Transaction.id)] == [order.id, None]


def test_what_no_database_can_keep_is_left_out(order: Order) -> None:
    good, bad = told(order, item("CUP", 100)), told(order, item("CUP\0", 100), number="T2")
    assert arrive(order, good, bad, told(order, item("CUP", 2**63), number="T3")) == 1


def test_two_workers_adopt_a_refund_once(app: Flask, order: Order) -> None:
    with unit_of_work():
        take_in(order.store_id, [told(order, item("CUP", 100))])
    db.session.rollback()
    together = Barrier(2)

    def work_off() -> None:
        with app.app_context():
            together.wait()
            match_refunds()
            db.session.remove()

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(work_off) for _ in range(2)]:
            done.result()
    db.session.expire_all()
    assert [row.total_minor for row in adopted(order)] == [100]


def test_a_failure_leaves_the_orders_refunds_for_later(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(matching, "_match", lambda order: 1 / 0)
        arrive(order, told(order, item("CUP", 100)))
    assert adopted(order) == []
    with time_machine.travel(now() + timedelta(hours=2), tick=True):
        match_refunds()
    assert len(adopted(order)) == 1


# --- What people see and say ------------------------------------------------------------------------------------------


def test_a_person_may_adopt_a_claim_and_a_refund_of_the_time_before(order: Order) -> None:
    before = told(order, item("CUP", 100), number="T2", posted_at=now() - timedelta(days=400))
    arrive(order, told(order, item("CUP", 200), kind=TransactionKind.CLAIM), before)
    claim, early = transactions_of(order)[::-1]
    for row in (claim, early):
        with unit_of_work():
            adopt_transaction(locked(order), row.id, actor=Actor.operator())
        with pytest.raises(AdoptedAlready), unit_of_work():
            adopt_transaction(locked(order), row.id, actor=Actor.operator())
    assert [(memo.total_minor, memo.actor_kind) for memo in adopted(order)] == [(200, "operator"), (100, "operator")]


@pytest.mark.parametrize("more", [{"kind": TransactionKind.PAYMENT}, {"currency": "USD"}])
def test_what_nobody_can_adopt(order: Order, more: dict[str, object]) -> None:
    arrive(order, told(order, item("CUP", 200), **more))
    [row] = transactions_of(order)
    with pytest.raises(Refusal), unit_of_work():
        adopt_transaction(locked(order), row.id, actor=Actor.operator())
    with pytest.raises(NotFound), unit_of_work():
        adopt_transaction(locked(order), row.id + 1, actor=Actor.operator())


def test_the_form_of_a_refund_says_what_may_not_show_yet(order: Order, channel: FakeChannel, mia: Actor) -> None:
    arrive(order, told(order, item("CUP", 200), posted_at=now() - timedelta(days=400)))
    sentences = [str(words) % values for words, values in preview_refund(
        order, units(order, mug=1), "CustomerReturn", actor=mia).sentences]  # fmt: skip
    assert sentences[-2:] == [
        "The accounts on Fake channel show refunds of 2.00 without a credit memo. See the Refunds tab.",
        "Refunds made elsewhere in the last 48 hours may not be shown here yet.",
    ]
    channel.has_transactions = False
    assert len(preview_refund(order, units(order, mug=1), "CustomerReturn", actor=mia).sentences) == 2


def test_transactions_of_many_orders_are_read_at_once(take: Take, channel: FakeChannel, mia: Actor) -> None:
    orders = [locked(one) for one in take(shipped_order(), shipped_order(), shipped_order())]
    made = statements_of(
        lambda: [preview_refund(one, WHOLE, "CustomerReturn", actor=mia) for one in orders]  # as a bulk act does
    )
    assert sum("FROM transactions" in statement for statement in made) == 1
