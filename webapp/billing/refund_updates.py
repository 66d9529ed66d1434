"""The kind of outward act that tells a channel to refund a buyer.

The source is a `CreditMemo`. Nothing in a reading of the order shows a refund; the channel's accounts do, days later
(`proofs`). The memo is issued once the channel accepted it.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import select, update as change
from sqlalchemy.orm import joinedload, selectinload

from webapp.audit.actor import Actor
from webapp.billing.holding import REFUND_HOLD
from webapp.billing.memos import issue_memos, issue_opposite, release
from webapp.billing.models import CreditMemo, MemoState, Transaction
from webapp.billing.refund_words import NOT_SENT, REFUND, REFUSED, words_of
from webapp.channels.incoming import IncomingOrder
from webapp.clock import now
from webapp.db import among, any_row, db
from webapp.errors import DeskError, Refusal
from webapp.i18n import lazy_gettext as _l
from webapp.orders.events import record
from webapp.orders.models import Order
from webapp.orders.queries import AROUND
from webapp.updates.contract import Impossible, OutwardKind, Waits
from webapp.updates.models import UNSETTLED, ChannelUpdate, UpdateState

VERSION: Final = 1
SHIPMENT: Final = "shipment"  # the kind that it waits for


class RefundEnded(Refusal):
    code = "refund_ended"
    sentence = _l("This refund has ended, and its amounts can be refunded again. Create a new refund.")


class NotShippedThereYet(DeskError):
    code = "refund_waits_for_shipment"
    sentence = _l("The channel does not show the refunded units as shipped yet. The refund is sent as soon as it does.")


class NotShippedThere(DeskError):
    code = "refund_of_unshipped"
    sentence = _l(
        "The channel does not show the refunded units as shipped, and no shipment confirmation is waiting to "
        "be sent. Confirm the shipment first, then refund again."
    )


class RefundKind(OutwardKind):
    """A refund of an order, by the id of its credit memo."""

    code = REFUND
    label = _l("Refund")
    right = "orders.refund"
    hold = REFUND_HOLD
    waits_for = (SHIPMENT,)
    elsewhere = False  # the channel's accounts show a refund that was made there, and it is adopted with its amounts
    trouble, trouble_unsent = REFUSED.code, NOT_SENT.code
    disowned_after = timedelta(hours=72)

    def reference(self, source: CreditMemo) -> str:
        return str(source.id)

    def payload(self, order: Order, source: CreditMemo) -> Mapping[str, Any]:
        return {
            "version": VERSION,
            "reason": source.reason,
            "currency": source.currency,
            "memo": str(source.id),
            "parts": source.plan["parts"],
        }

    def stands(self, update: ChannelUpdate, order: Order) -> Refusal | None:
        memo = _memo(update)
        return None if memo is not None and memo.state == MemoState.RECORDED else RefundEnded()

    def ready(self, update: ChannelUpdate, order: Order) -> Waits | Impossible | None:
        memo = _memo(update)
        if memo is None or all(_fulfilled(order, line_id) for line_id in _lines(memo, order)):
            return None
        query = select(ChannelUpdate.state).where(ChannelUpdate.order_id == order.id, ChannelUpdate.kind == SHIPMENT)
        states = set(db.session.scalars(query))
        if states & {*UNSETTLED, UpdateState.EFFECTIVE, UpdateState.DONE_ELSEWHERE}:
            return Waits(NotShippedThereYet())
        return Impossible(NotShippedThere())

    def shown_by(self, update: ChannelUpdate, reading: IncomingOrder) -> None:
        return None

    def accepted(self, updates: Sequence[ChannelUpdate]) -> None:
        ids = [update.source_id for update in updates if update.source_id is not None]
        around = (selectinload(CreditMemo.lines), joinedload(CreditMemo.order).options(*AROUND))
        query = select(CreditMemo).where(among(CreditMemo.id, ids), CreditMemo.state == MemoState.RECORDED)
        memos = {memo.id: memo for memo in db.session.scalars(query.options(*around))}
        by_store: dict[int, list[CreditMemo]] = {}
        for update in updates:
            if (memo := memos.get(update.source_id or 0)) is not None:
                by_store.setdefault(update.store_id, []).append(memo)
        for store_id, some in by_store.items():
            issue_memos(some, actor=Actor.channel(store_id))

    def settled(self, update: ChannelUpdate) -> None:
        memo = _memo(update)
        if memo is None:
            return
        if update.state == UpdateState.EFFECTIVE:
            _issue(memo, update)
            if memo.effective_at is None:
                memo.effective_at = now()
                record(memo.order, "refund_effective", actor=Actor.channel(update.store_id), values=words_of(memo))
        elif memo.state == MemoState.RECORDED and update.problem == NotShippedThere().stored():
            release(memo, MemoState.WITHDRAWN, problem=update.problem)
            record(memo.order, "refund_not_sent", actor=Actor.job("updates"), values=words_of(memo))
        elif memo.state == MemoState.RECORDED and update.state == UpdateState.REFUSED:
            release(memo, MemoState.REFUSED, problem=update.problem)
            record(memo.order, "refund_refused", actor=Actor.channel(update.store_id), values=words_of(memo))
        elif memo.state == MemoState.ISSUED and update.state in (UpdateState.WITHDRAWN, UpdateState.REFUSED):
            _did_not_happen(memo)
        elif memo.state == MemoState.RECORDED and update.state == UpdateState.DONE_ELSEWHERE:
            _issue(memo, update)
        elif memo.state == MemoState.RECORDED:
            release(memo, MemoState.WITHDRAWN)
            record(memo.order, "refund_withdrawn", actor=Actor.job("updates"), values=words_of(memo))


def _did_not_happen(memo: CreditMemo) -> None:
    """Take an issued memo back, once: a person, or the channel, said that it was not carried out. What the accounts
    show of it is matched anew.
    """
    if any_row(CreditMemo, CreditMemo.corrects_id == memo.id):
        return
    shown = change(Transaction).where(Transaction.memo_id == memo.id, Transaction.rest_id.is_(None))
    db.session.execute(shown.values(memo_id=None, next_at=now()), execution_options={"synchronize_session": False})
    issue_opposite(memo, actor=Actor.job("updates"))


def _issue(memo: CreditMemo, update: ChannelUpdate) -> None:
    if memo.state == MemoState.RECORDED:
        issue_memos([memo], actor=Actor.channel(update.store_id))


def _memo(update: ChannelUpdate) -> CreditMemo | None:
    return db.session.get(CreditMemo, update.source_id) if update.source_id is not None else None


def _lines(memo: CreditMemo, order: Order) -> set[int]:
    """The order lines that the channel is told of; amounts without a line fall on any of them."""
    known = {line.channel_line_number: line.id for line in order.lines}
    return {known[number] for number, _code, _minor in memo.plan.get("parts", ()) if number in known}


def _fulfilled(order: Order, line_id: int) -> bool:
    """Whether the channel shows the units as shipped that are refunded, or about to be, of a line; one at least."""
    line = next(line for line in order.lines if line.id == line_id)
    channel_line = next(one for one in order.channel_order.lines if one.id == line.channel_line_id)
    return bool(channel_line.fulfilled >= max(1, line.refunded + line.refunding))
