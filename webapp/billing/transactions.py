"""Transactions of channels: writing them down, finding their orders, and which of them have to be matched.

A transaction is kept as the channel told it; told again, it only gets its new status. A refund of an order that is here
is matched by the job `match_refunds` (`webapp.billing.matching`), which finds it by the index `ix_transactions_next`.
Refunds that were posted before the store was connected are not matched by themselves: whoever kept the books then has
their credit memos. A person may adopt them, as well as claims and the like.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Select, and_, or_, select, update
from sqlalchemy.orm import joinedload

from webapp.billing.models import CreditMemo, Transaction
from webapp.billing.queries import memos_of
from webapp.channels.models import Store
from webapp.channels.registered import channels
from webapp.channels.transactions import IncomingTransaction, TransactionKind
from webapp.clock import now
from webapp.db import among, any_row, db, insert_into, once_a_transaction
from webapp.errors import NotFound, Refusal
from webapp.i18n import lazy_gettext as _l
from webapp.orders.models import Order
from webapp.orders.queries import loaded_with
from webapp.orders.services import ManagedAtChannel

# What a person may adopt as a credit memo, beside refunds: nobody knows whose money it was, or what it was for.
DECIDED_BY_PEOPLE: Final = (TransactionKind.CLAIM, TransactionKind.CHARGEBACK, TransactionKind.FUNDED)
ADOPTABLE: Final = (TransactionKind.REFUND, *DECIDED_BY_PEOPLE)


class UnknownTransaction(NotFound):
    """The order has no transaction with this id."""

    code = "unknown_transaction"
    sentence = _l("This order has no transaction “%(name)s”.")


class NotAdoptable(Refusal):
    code = "not_adoptable"
    sentence = _l("This transaction is not a refund to the buyer, so it can't be recorded as a credit memo.")


class NothingToAdopt(Refusal):
    """The channel's accounts have nothing of the order that a credit memo could record."""

    code = "nothing_to_adopt"
    sentence = _l("The channel's accounts show no refund or claim for this order.")


class AdoptedAlready(Refusal):
    code = "adopted_already"
    sentence = _l("A credit memo already records this transaction.")


class StillMatching(Refusal):
    """The desk compares it with the refunds of the order by itself."""

    code = "still_matching"
    sentence = _l(
        "Waybill is still comparing this transaction with the refunds of the order. Try again in a few minutes."
    )


class OtherCurrency(Refusal):
    code = "other_currency"
    sentence = _l("This transaction is in another currency than the order. Record it in your accounting.")


MOST: Final = 2**63 - 1


def take_in(store_id: int, told: Sequence[IncomingTransaction]) -> int:
    """Write down transactions of a store in the open unit of work; returns how many were new. Told twice, or by two
    workers, each is written once.
    """
    readable = [one for one in told if _fits(one)]
    if not readable:
        return 0
    rows = [_row(store_id, one) for one in readable]
    made = insert_into(Transaction).values(rows).on_conflict_do_nothing().returning(Transaction.number)
    new = set(db.session.scalars(made))
    known = {one.number: one.status for one in readable if one.number not in new}
    _restate(store_id, known)
    _place(
        Transaction.store_id == store_id,
        among(Transaction.order_number, sorted({one.order_number for one in readable})),
    )
    return len(new)


def place_orders(order_ids: Sequence[int]) -> bool:
    """Connect transactions with their orders, which have just arrived; returns whether there were any."""
    if not any_row(Transaction, Transaction.order_id.is_(None), Transaction.order_number != ""):
        return False
    return _place(among(Order.id, list(order_ids)))


def transactions_of(order: Order) -> Sequence[Transaction]:
    """The order's transactions, oldest first, with their credit memos."""
    query = select(Transaction).where(Transaction.order_id == order.id)
    query = query.options(joinedload(Transaction.memo), joinedload(Transaction.rest))
    return list(db.session.scalars(query.order_by(Transaction.posted_at, Transaction.id)))


def without_memo(order: Order) -> list[int]:
    """What refunds of the order come to that no credit memo records, in minor units of its currency. Those of all
    loaded orders are read at once.
    """
    kept: dict[int, list[int]] = once_a_transaction("refunds without a memo", dict)
    if order.id not in kept:
        ids = [row.id for row in loaded_with(order) if row.id not in kept]
        kept.update({order_id: [] for order_id in ids})
        for order_id, minor in db.session.execute(_without_memo(ids)):
            kept[order_id or 0].append(minor)
    return kept[order.id]


def _without_memo(order_ids: Sequence[int]) -> Select[int | None, int]:
    """As `_has_memo` says it, for many orders."""
    taken_back = select(CreditMemo.id).where(CreditMemo.corrects_id == Transaction.memo_id).exists()
    return (
        select(Transaction.order_id, Transaction.fees_minor - Transaction.total_minor)
        .join(Order, Order.id == Transaction.order_id)
        .where(among(Transaction.order_id, order_ids), Transaction.kind == TransactionKind.REFUND)
        .where(Transaction.currency == Order.currency, or_(Transaction.memo_id.is_(None), taken_back))
        .order_by(Transaction.posted_at, Transaction.id)
    )


def _has_memo(row: Transaction, order: Order) -> bool:
    """Whether a credit memo records the transaction that was not taken back."""
    return row.memo_id is not None and row.memo_id not in {memo.corrects_id for memo in memos_of(order)}


def adopt_refusal(row: Transaction, order: Order) -> Refusal | None:
    """Why a transaction can't be adopted as a credit memo by a person."""
    if row.kind not in ADOPTABLE:
        return NotAdoptable()
    if _has_memo(row, order):
        return AdoptedAlready()
    if row.next_at is not None:
        return StillMatching()
    if order.managed_at_channel:
        return ManagedAtChannel()
    return OtherCurrency() if row.currency != order.currency else None


def adoption_refusals(order: Order) -> dict[int, Refusal | None]:
    """By the id of each refund, claim and the like in the channel's accounts of the order, why a person can't adopt it,
    or None.
    """
    return {row.id: adopt_refusal(row, order) for row in transactions_of(order) if row.kind in ADOPTABLE}


def are_told(order: Order) -> bool:
    """Whether the order's channel tells transactions."""
    channel = channels().get(order.store.channel)
    return channel is not None and channel.has_transactions


def late_by(order: Order) -> timedelta:
    """By how much the channel's accounts show a transaction at the latest."""
    return timedelta(seconds=channels()[order.store.channel].transactions_late)


def _place(*of: Any) -> bool:
    """Connect transactions with orders that are here; refunds are to be matched from now on."""
    query = (
        select(
            Transaction.id,
            Transaction.kind,
            Transaction.parts,
            Transaction.posted_at,
            Order.id.label("order_id"),
            Store.created_at,
        )
        .join(
            Order, and_(Order.store_id == Transaction.store_id, Order.channel_order_number == Transaction.order_number)
        )
        .join(Store, Store.id == Transaction.store_id)
        .where(Transaction.order_id.is_(None), Transaction.order_number != "", *of)
    )
    found = db.session.execute(query).all()
    if found:
        at = now()
        rows = [
            {
                "id": row.id,
                "order_id": row.order_id,
                "next_at": at if _is_matched(row) else None,
            }
            for row in found
        ]
        db.session.execute(update(Transaction), rows)
    return bool(found)


def _is_matched(row: Any) -> bool:
    """Whether a transaction is matched by itself: a refund since the store was connected whose parts could be read."""
    return bool(row.kind == TransactionKind.REFUND and row.parts and row.posted_at >= row.created_at)


def _restate(store_id: int, statuses: Mapping[str, str]) -> None:
    """Write the new statuses of known transactions, by number."""
    if not statuses:
        return
    query = select(Transaction.id, Transaction.number, Transaction.status).where(
        Transaction.store_id == store_id, among(Transaction.number, list(statuses))
    )
    changed = [
        {"id": row.id, "status": statuses[row.number]}
        for row in db.session.execute(query).all()
        if row.status != statuses[row.number]
    ]
    if changed:
        db.session.execute(update(Transaction), changed)


def _row(store_id: int, one: IncomingTransaction) -> dict[str, Any]:
    return {
        "store_id": store_id,
        "number": one.number,
        "order_number": one.order_number,
        "kind": str(one.kind),
        "word": one.word,
        "status": one.status,
        "posted_at": one.posted_at,
        "marketplace": one.marketplace,
        "currency": one.currency,
        "total_minor": one.total,
        "fees_minor": one.fees,
        "parts": [
            [part.line, part.sku, str(part.component), part.units, part.charged, part.tax, part.discount]
            for part in one.parts
        ],
    }


def _fits(one: IncomingTransaction) -> bool:
    """Whether the database can keep it: a channel may tell anything."""
    words = [one.number, one.word, one.status, one.currency, one.order_number, one.marketplace]
    words += [word for part in one.parts for word in (part.line, part.sku, part.component)]
    figures = [
        one.total,
        one.fees,
        *(figure for part in one.parts for figure in (part.charged, part.tax, part.discount)),
    ]
    return bool(one.number) and all("\0" not in word for word in words) and all(abs(one) <= MOST for one in figures)
