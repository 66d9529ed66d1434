"""Attention for orders of which more is invoiced than is paid: the channel lowered an amount after its invoice."""

from collections.abc import Sequence

from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.billing.remaining import is_overdrawn
from webapp.billing.services import MONEY
from webapp.db import among, db
from webapp.i18n import lazy_gettext as _l
from webapp.orders.attention import AttentionKind
from webapp.orders.events import EventWords, record_all
from webapp.orders.models import Order, OrderAmount
from webapp.orders.services import raise_attention, settle_attention

OVERDRAWN = AttentionKind(
    "invoiced_above_paid",
    _l("More invoiced than paid"),
    _l("The channel lowered an amount of this order after it was invoiced."),
    _l(
        "A credit memo corrects the invoices automatically, unless part of the amount is refunded. In that "
        "case, compare the invoices and credit memos with the order's totals, and correct the rest in your "
        "accounting."
    ),
)
WORDS = (
    EventWords("invoiced_above_paid", _l("The channel lowered an amount below the invoiced amount"), MONEY),
    EventWords("invoiced_within_paid", _l("The invoiced amount no longer exceeds the paid amount"), MONEY),
)


def compare(order_ids: Sequence[int]) -> list[int]:
    """Mark those of the orders of which more is invoiced than is paid, and settle the mark of others; the caller holds
    the orders' locks. Returns the ids of the former.
    """
    rows = db.session.scalars(
        select(OrderAmount)
        .where(among(OrderAmount.order_id, order_ids))
        .where((OrderAmount.invoiced_charged != 0) | (OrderAmount.invoiced_tax != 0))
        .execution_options(populate_existing=True)
    )
    invoiced: dict[int, bool] = {}
    for row in rows:
        invoiced[row.order_id] = invoiced.get(row.order_id, False) or is_overdrawn(row)
    if not invoiced:
        return []
    query = select(Order).where(among(Order.id, list(invoiced))).order_by(Order.id)
    raised, settled = [], []
    for order in db.session.scalars(query.execution_options(populate_existing=True)):
        marked = _is_marked(order)
        if invoiced[order.id] and not marked:
            raise_attention(order, OVERDRAWN.code)
            raised.append(order)
        elif marked and not invoiced[order.id]:
            settle_attention(order, OVERDRAWN.code)
            settled.append(order)
    for orders, words in ((raised, WORDS[0]), (settled, WORDS[1])):
        if orders:
            record_all(orders, words.code, actor=Actor.job("billing"))
    return [order_id for order_id, too_much in invoiced.items() if too_much]


def settle_if_paid(orders: Sequence[Order]) -> None:
    """Settle the mark of those of these orders of which no more is invoiced than is paid, by the amounts that were
    read.
    """
    settled = [order for order in orders if _is_marked(order) and not any(map(is_overdrawn, order.amounts))]
    for order in settled:
        settle_attention(order, OVERDRAWN.code)
    if settled:
        record_all(settled, WORDS[1].code, actor=Actor.job("billing"))


def _is_marked(order: Order) -> bool:
    return any(trouble["kind"] == OVERDRAWN.code for trouble in order.attention)
