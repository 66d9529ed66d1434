"""Proposed refunds, which wait for somebody else's approval: the key that finds their orders, and the oldest ones."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, select, text
from sqlalchemy.orm import joinedload

from webapp.audit.actor import Actor
from webapp.billing.models import CreditMemo, MemoState
from webapp.billing.queries import visible
from webapp.billing.refund_words import STATE_LABELS
from webapp.db import db
from webapp.i18n import lazy_gettext as _l
from webapp.orders.models import Order
from webapp.orders.queries import AROUND_FEW
from webapp.search.contract import KeyKind, QueryKey

# Few memos are proposed. Their state is text, for the partial index of them.
_PROPOSED = and_(text(f"credit_memos.state = '{MemoState.PROPOSED.value}'"), CreditMemo.id.is_not(None))


def _orders_with(values: Sequence[str], actor: Actor) -> ColumnElement[bool]:
    return Order.id.in_(select(CreditMemo.order_id).where(_PROPOSED))


ORDER_KEYS = (
    QueryKey(
        code="refund",
        label=_l("Has a refund that is"),
        kind=KeyKind.CHOICE,
        condition=_orders_with,
        choices=lambda actor: {MemoState.PROPOSED.value: STATE_LABELS[MemoState.PROPOSED]},
    ),
)


def oldest_proposals(actor: Actor, most: int) -> list[CreditMemo]:
    """The proposals that wait longest, in one statement with what acts ask of their orders."""
    query = visible(actor, CreditMemo).where(_PROPOSED).order_by(CreditMemo.id).limit(most)
    query = query.options(joinedload(CreditMemo.order).options(*AROUND_FEW), joinedload(CreditMemo.person))
    return list(db.session.scalars(query).unique())
