"""Whatever the desk refunds and a channel's accounts tell, in any order and twice: each transaction is used once, and
what buyers got by transactions is what credit memos say, to the last minor unit.
"""

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Any

import time_machine
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.billing.test_matching import adopted, an_hour_later, arrive, item, told
from tests.billing.test_refunding import hold, shipped
from webapp.audit.actor import Actor
from webapp.billing.memos import record_refund
from webapp.billing.models import CreditMemo, MemoState, Transaction
from webapp.billing.refundable import LineWish, Refundable, Wish
from webapp.channels.transactions import IncomingTransaction, TransactionPart
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import Refusal
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.testing import FakeChannel, incoming_line, incoming_order
from webapp.updates.ending import end, tell_kinds
from webapp.updates.models import UNSETTLED, ChannelUpdate, UpdateState

Take = Callable[..., list[Order]]
SKUS = ("MUG", "CUP", "HAT")  # the last is not on the order
_numbers = count(1)
ENDS = (UpdateState.ACCEPTED, UpdateState.UNKNOWN, UpdateState.REFUSED)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("refund"), st.integers(0, 1), st.integers(1, 2)),
        st.tuples(st.just("becomes"), st.sampled_from(ENDS)),
        st.tuples(st.just("shown"), st.sampled_from([-1, 0, 1]), st.integers(0, 2)),  # less, just so, more
        st.tuples(st.just("elsewhere"), st.sampled_from(SKUS), st.integers(1, 2500), st.booleans()),
        st.tuples(st.just("again"),),
        st.tuples(st.just("later"),),
    ),
    min_size=2,
    max_size=8,
)  # fmt: skip


class Story:
    """One order, what the desk refunds of it, and what its channel tells."""

    def __init__(self, order: Order, actor: Actor) -> None:
        self.order, self.actor = order, actor
        self.told: list[IncomingTransaction] = []

    def refund(self, place: int, units: int) -> None:
        line = self.order.lines[place]
        try:
            with unit_of_work():
                wish = Wish({line.id: LineWish(units)})
                record_refund(locked(self.order), wish, "CustomerReturn", actor=self.actor)
        except Refusal:
            db.session.rollback()

    def becomes(self, state: UpdateState) -> None:
        """What becomes of the oldest refund that is under way."""
        with unit_of_work():
            locked(self.order)
            open_ones = db.session.query(ChannelUpdate).filter_by(order_id=self.order.id, kind="refund")
            waiting = [one for one in open_ones.order_by(ChannelUpdate.id) if one.state in UNSETTLED]
            waiting = [one for one in waiting if one.state != UpdateState.ACCEPTED]
            if not waiting:
                return
            row = waiting[0]
            row.attempts, row.sent_at = 1, row.sent_at or row.created_at
            if state == UpdateState.REFUSED:
                end([row], state, event="update_refused")
            else:
                row.state = state
                db.session.flush()
                tell_kinds([row])

    def tell(self, *parts: TransactionPart) -> None:
        self.told.append(told(self.order, *parts, number=f"T{next(_numbers)}"))
        arrive(self.order, self.told[-1])

    def shown(self, differs: int, place: int) -> None:
        """The channel shows one of the desk's refunds, or less or more than that."""
        memos = self.memos("desk")
        if memos:
            line = memos[place % len(memos)].lines[0]
            net = line.figures.net + differs * max(7, line.figures.net // 3)
            self.tell(item(line.sku, net, units=line.units))

    def elsewhere(self, sku: str, minor: int, whole: bool) -> None:
        self.tell(item("" if whole else sku, minor, units=1))

    def again(self) -> None:
        assert arrive(self.order, *self.told) == 0

    def later(self) -> None:
        an_hour_later()

    def memos(self, origin: str) -> list[CreditMemo]:
        return list(db.session.query(CreditMemo).filter_by(order_id=self.order.id, origin=origin))

    def check(self) -> None:
        db.session.expire_all()
        issued = [memo for memo in (*self.memos("desk"), *adopted(self.order)) if memo.state == MemoState.ISSUED]
        assert self.order.refunded_minor == sum(memo.total_minor for memo in issued)
        assert all(line.refunded + line.refunding <= line.ordered for line in self.order.lines)
        for row in self.order.amounts:
            assert row.refunded.net + row.pending.net <= row.ceiling
        assert Refundable(self.order).total >= 0
        rows = db.session.query(Transaction).filter_by(order_id=self.order.id).all()
        assert len(rows) == len(self.told)
        of_adopted = [row.memo_id for row in rows] + [row.rest_id for row in rows]
        assert all(of_adopted.count(memo.id) == 1 for memo in adopted(self.order))
        shown = {row.memo for row in rows if row.memo is not None and row.memo.origin == "desk"}
        got = sum(row.fees_minor - row.total_minor for row in rows if row.memo_id is not None)
        said = sum(memo.total_minor if memo.channel_minor is None else memo.channel_minor for memo in shown)
        assert got == said + sum(memo.total_minor for memo in adopted(self.order))


@given(steps=steps)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_transaction_is_used_once_and_nothing_is_lost(
    take: Take, mia: Actor, channel: FakeChannel, steps: list[tuple[Any, ...]]
) -> None:
    channel.has_transactions = True
    lines = [incoming_line("MUG", 3, price=1000), incoming_line("CUP", price=500)]
    number = f"302-0000000-{next(_numbers):07d}"
    order = shipped(take, incoming_order(lines, number=number, created_at=now()), mia)
    hold(order, 0)
    story = Story(order, mia)
    for name, *values in steps:
        getattr(story, name)(*values)
        story.check()
    while any(memo.state == MemoState.RECORDED for memo in story.memos("desk")):
        story.becomes(UpdateState.REFUSED)
        db.session.expire_all()
    with time_machine.travel(now() + timedelta(hours=1), tick=True):
        story.later()
    story.check()
    assert not db.session.query(Transaction).filter_by(order_id=order.id, memo_id=None).count()
