"""Matching the refunds that a channel's accounts show with credit memos: each refund is used once.

What fits a credit memo that was sent proves it. What is less leaves it unproven, with attention. What goes beyond it,
and what fits none, was made elsewhere and is adopted (`adopting`), but not while another refund of the order waits for
approval or is on its way: it may be just that one, and its amounts are taken. A job runs this under the order's lock,
so two workers, or one that is called twice, match a refund once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import joinedload, selectinload

from webapp.audit.actor import Actor
from webapp.billing.adopting import adopt
from webapp.billing.models import CreditMemo, MemoState, Purpose, Transaction
from webapp.billing.proofs import Key, Piece, Verdict, paid_by, pieces_of, pieces_of_memo, weigh
from webapp.billing.refund_words import PARTLY, REFUND, words_of
from webapp.channels.transactions import TransactionKind
from webapp.clock import now
from webapp.db import among, any_row, db
from webapp.jobs.runs import passes
from webapp.money import Money
from webapp.orders.contract import Amount, Origin
from webapp.orders.events import record
from webapp.orders.models import Order
from webapp.orders.queries import AROUND, locked_all
from webapp.orders.services import raise_attention, settle_attention
from webapp.updates.ending import end
from webapp.updates.models import LEFT, ChannelUpdate, UpdateState

log = structlog.get_logger(__name__)
AGAIN = timedelta(minutes=10)  # while another refund of the order is under way
AFTER_FAILURE = timedelta(hours=1)


def any_to_match() -> bool:
    """Whether a refund is to be matched."""
    return any_row(Transaction, Transaction.next_at.is_not(None), Transaction.next_at <= now())


def match_some(limit: int) -> int:
    """Match the refunds of the next orders, in the open unit of work; returns how many orders were looked at."""
    due = select(Transaction.order_id).where(Transaction.next_at.is_not(None), Transaction.next_at <= now())
    due = due.group_by(Transaction.order_id).order_by(func.min(Transaction.next_at), Transaction.order_id)
    ids = [order_id for order_id in db.session.scalars(due.limit(limit)) if order_id is not None]
    if not ids:
        return 0
    orders = locked_all(ids, Actor.job("billing"), *AROUND)
    for order in orders:
        try:
            with db.session.begin_nested():
                again = _match(order)
                db.session.flush()
        except Exception as error:
            if passes(error):
                raise
            log.error("refunds_not_matched", order=order.id, kind=type(error).__name__)
            again = now() + AFTER_FAILURE
        _look(order.id, again)
    for missing in set(ids) - {order.id for order in orders}:
        _look(missing, None)
    return len(ids)


def _look(order_id: int, at: datetime | None) -> None:
    rows = select(Transaction).where(Transaction.order_id == order_id, Transaction.next_at.is_not(None))
    for row in db.session.scalars(rows):
        row.next_at = at if row.memo_id is None else None
    db.session.flush()


# --- One order --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Refund:
    """A refund by the desk, and what of it the accounts have shown."""

    memo: CreditMemo
    update: ChannelUpdate | None
    since: datetime | None  # what was posted before can't be this refund; None: any time
    shown: list[Transaction]
    paid: Mapping[Key, Amount]  # by the order's buyer, as the accounts show it

    def weigh(self, some: Sequence[Transaction]) -> Verdict:
        order = self.memo.order
        wanted = pieces_of_memo(self.memo, self.paid)
        return weigh(wanted, list(_pieces(self.shown, order)), list(_pieces(some, order)))

    def may_be(self, one: Transaction) -> bool:
        return self.since is None or one.posted_at >= self.since


def _match(order: Order) -> datetime | None:
    """Match the order's refunds; returns when the rest of them is to be looked at again, if it is."""
    query = select(Transaction).where(
        Transaction.order_id == order.id,
        Transaction.kind == TransactionKind.REFUND,
        Transaction.memo_id.is_(None),
        Transaction.next_at.is_not(None),
    )
    query = query.order_by(Transaction.posted_at, Transaction.id).execution_options(populate_existing=True)
    waiting = list(db.session.scalars(query))
    if not waiting or order.managed_at_channel:
        return None
    if order.store.read_only is not None or order.currency is None:
        return now() + AGAIN  # this database may be a copy; or nothing is known of the order's money yet
    waiting = [one for one in waiting if one.currency == order.currency]
    refunds = _sent(order)
    waiting = _whole(refunds, waiting)
    waiting = [one for one in waiting if not _in_part(order, refunds, one)]
    held = False
    for one in waiting:
        if _under_way(order):
            held = True
        else:
            _adopt(order, one, list(_pieces([one], order)))
    return now() + AGAIN if held else None


def _whole(refunds: list[_Refund], waiting: list[Transaction]) -> list[Transaction]:
    """Prove refunds by what fits them just so: one transaction, or all that may be of them together. Returns the
    others.
    """
    for one in list(waiting):
        for refund in refunds:
            if one in waiting and refund.may_be(one) and _is_it(refund, [one]):
                _prove(refund, [one])
                waiting.remove(one)
    for refund in refunds:
        some = [one for one in waiting if refund.may_be(one)]
        if len(some) > 1 and _is_it(refund, some):
            _prove(refund, some)
            waiting = [one for one in waiting if one not in some]
    return waiting


def _is_it(refund: _Refund, some: Sequence[Transaction]) -> bool:
    verdict = refund.weigh(some)
    return verdict.touch and verdict.proven and not verdict.rest


def _in_part(order: Order, refunds: list[_Refund], one: Transaction) -> bool:
    """Use a transaction for a refund of which it is a part, or which is a part of it."""
    for refund in refunds:
        if not refund.may_be(one):
            continue
        verdict = refund.weigh([one])
        recorded = refund.memo.state == MemoState.RECORDED
        if not verdict.touch or (recorded and not verdict.proven):
            continue
        if verdict.rest and _under_way(order, but=refund.memo):
            continue
        (_prove if verdict.proven else _note_part)(refund, [one])
        if verdict.rest:
            _adopt_rest(order, one, verdict.rest)
        return True
    return False


def _sent(order: Order) -> list[_Refund]:
    """The refunds by the desk of which the accounts have not shown everything, oldest first."""
    opposite = select(CreditMemo.corrects_id).where(
        CreditMemo.order_id == order.id, CreditMemo.corrects_id.is_not(None)
    )
    query = (
        select(CreditMemo, ChannelUpdate)
        .outerjoin(
            ChannelUpdate,
            (ChannelUpdate.source_id == CreditMemo.id)
            & (ChannelUpdate.kind == REFUND)
            & (ChannelUpdate.order_id == CreditMemo.order_id),
        )
        .options(selectinload(CreditMemo.lines), joinedload(ChannelUpdate.attempt))
        .where(CreditMemo.order_id == order.id, CreditMemo.origin == Origin.DESK, CreditMemo.purpose == Purpose.REFUND)
        .where(CreditMemo.state.in_((MemoState.ISSUED, MemoState.RECORDED)), CreditMemo.id.not_in(opposite))
        .order_by(CreditMemo.id)
        .execution_options(populate_existing=True)
    )
    rows: list[tuple[CreditMemo, ChannelUpdate | None]] = [(row[0], row[1]) for row in db.session.execute(query)]
    shown: dict[int, list[Transaction]] = {}
    used = select(Transaction).where(among(Transaction.memo_id, [memo.id for memo, _ in rows]))
    for one in db.session.scalars(used.order_by(Transaction.id)):
        shown.setdefault(one.memo_id or 0, []).append(one)
    payments = select(Transaction).where(
        Transaction.order_id == order.id,
        Transaction.kind == TransactionKind.PAYMENT,
        Transaction.currency == order.currency,
    )
    paid = paid_by(db.session.scalars(payments)) if rows else {}
    found = []
    for memo, update in rows:
        if update is None and not memo.record_only:
            continue
        if memo.state == MemoState.RECORDED and (update is None or update.state not in LEFT):
            continue
        if update is not None:
            db.session.refresh(update, with_for_update={"of": ChannelUpdate})
        refund = _Refund(memo, update, _since(update), shown.get(memo.id, []), paid)
        if not refund.shown or not refund.weigh([]).proven:
            found.append(refund)
    return found


def _since(update: ChannelUpdate | None) -> datetime | None:
    if update is None:
        return None
    if update.attempt is not None:
        return update.attempt.channel_at or update.attempt.at
    return update.sent_at or update.created_at


def _under_way(order: Order, but: CreditMemo | None = None) -> bool:
    """Whether a refund of the order waits for approval, or its result is not known."""
    query = select(CreditMemo.id).where(
        CreditMemo.order_id == order.id, CreditMemo.state.in_((MemoState.PROPOSED, MemoState.RECORDED))
    )
    return bool(set(db.session.scalars(query)) - ({but.id} if but else set()))


def _pieces(some: Sequence[Transaction], order: Order) -> Iterator[Piece]:
    for one in some:
        yield from pieces_of(one, order)


# --- What becomes of a transaction ------------------------------------------------------------------------------------


def _use(refund: _Refund, some: Sequence[Transaction]) -> int:
    """Note that transactions show a refund; returns what the buyer got by it so far, at most what it is of if more was
    shown.
    """
    verdict = refund.weigh(some)
    before = sum(piece.amount.net for piece in _pieces(refund.shown, refund.memo.order))
    got = sum(piece.amount.net for piece in _pieces(some, refund.memo.order))
    for one in some:
        one.memo_id, one.next_at = refund.memo.id, None
        refund.shown.append(one)
    return before + got - sum(piece.amount.net for piece in verdict.rest)


def _prove(refund: _Refund, some: Sequence[Transaction]) -> None:
    memo, update = refund.memo, refund.update
    minor = _use(refund, some)
    settle_attention(memo.order, PARTLY.code, of=memo.id)
    if update is not None and update.state in LEFT:
        end([update], UpdateState.EFFECTIVE, event="update_effective", cause="update")
        db.session.flush()
    memo.channel_minor = minor if minor != memo.total_minor else None
    if memo.effective_at is None:
        memo.effective_at = now()
        record(memo.order, "refund_effective", actor=Actor.channel(memo.order.store_id), values=words_of(memo))


def _note_part(refund: _Refund, some: Sequence[Transaction]) -> None:
    memo = refund.memo
    memo.channel_minor = _use(refund, some)
    refunded = f"{Money(memo.channel_minor, memo.currency)} {memo.currency}"
    values = {**words_of(memo), "refunded": refunded}
    raise_attention(memo.order, PARTLY.code, of=memo.id, refunded=refunded, number=memo.number, total=values["total"])
    record(memo.order, "refund_partly", actor=Actor.channel(memo.order.store_id), values=values)


def _adopt(order: Order, one: Transaction, pieces: Sequence[Piece]) -> None:
    memo = adopt(order, pieces, actor=Actor.channel(order.store_id))
    if memo is not None:
        one.memo_id, one.next_at = memo.id, None


def _adopt_rest(order: Order, one: Transaction, rest: Sequence[Piece]) -> None:
    memo = adopt(order, rest, actor=Actor.channel(order.store_id))
    if memo is not None:
        one.rest_id = memo.id
