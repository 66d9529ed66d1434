"""Proposed refunds, which wait for somebody else's approval."""

from sqlalchemy import and_, text
from sqlalchemy.orm import joinedload

from webapp.audit.actor import Actor
from webapp.billing.models import CreditMemo, MemoState
from webapp.db import db
from webapp.orders.queries import AROUND_FEW, visible_of

# Few memos are proposed. Their state is text, for the partial index of them.
_PROPOSED = and_(text(f"credit_memos.state = '{MemoState.PROPOSED.value}'"), CreditMemo.id.is_not(None))


def oldest_proposals(actor: Actor, most: int) -> list[CreditMemo]:
    """The proposals that wait longest, in one statement with what acts ask of their orders."""
    query = visible_of(CreditMemo, actor).where(_PROPOSED).order_by(CreditMemo.id).limit(most)
    query = query.options(joinedload(CreditMemo.order).options(*AROUND_FEW), joinedload(CreditMemo.person))
    return list(db.session.scalars(query).unique())
