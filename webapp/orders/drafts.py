"""Drafts: what a person has typed into the form of an act on an order, and has not done yet.

Only acts with `drafts` have them, one for each person and order. Nobody but the person reads it; it is sealed under the
order's key, so that it is erased with the buyer, and nothing is kept for an order whose buyer was erased. Doing the act
deletes it, and the schedule deletes old ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete
from sqlalchemy.orm import joinedload
from sqlalchemy.sql.base import ExecutableOption

from webapp.audit.actor import Actor, ActorKind
from webapp.clock import now
from webapp.db import any_row, db, delete_some, insert_into
from webapp.orders.models import Order, OrderDraft, Submission
from webapp.vault import services as vault

SEALED = "draft"  # the kind under which an input is sealed
_KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Draft:
    """What was typed, by field, and when it was saved."""

    typed: Mapping[str, Any]
    saved_at: datetime


def save_draft(order: Order, action: str, typed: Mapping[str, Any], *, key: str, actor: Actor) -> datetime | None:
    """Keep what a person has typed so far, in the place of an earlier draft; the caller holds the order's lock. Returns
    None if nothing was kept, since the buyer is erased or the form was sent meanwhile: `key` is its submission key.
    """
    if actor.kind is not ActorKind.PERSON or vault.erased([order.id]) or _was_sent(key, actor):
        return None
    at = now()
    found = {"sealed": vault.seal(order.id, SEALED, dict(typed)), "saved_at": at}
    insert = insert_into(OrderDraft).values(order_id=order.id, user_id=actor.id, action=action, **found)
    insert = insert.on_conflict_do_update(index_elements=["order_id", "user_id", "action"], set_=found)
    db.session.execute(insert)
    return at


def _was_sent(key: str, actor: Actor) -> bool:
    mine = Submission.actor_kind == actor.kind, Submission.actor_id == actor.id
    return bool(key) and any_row(Submission, *mine, Submission.key == key)


def with_draft(action: str, actor: Actor) -> ExecutableOption:
    """Reads the person's own draft of an act together with an order: its page has few statements."""
    mine = OrderDraft.action == action, OrderDraft.user_id == (actor.id if actor.kind is ActorKind.PERSON else None)
    return joinedload(Order.drafts.and_(*mine))


def draft_of(order: Order, keys: vault.DataKeys | None = None) -> Draft | None:
    """The draft of an order that was read by `with_draft`; None if there is none, or it was erased. `keys` that the
    caller already has save a statement.
    """
    for row in order.drafts:
        [typed] = vault.open_sealed([(order.id, SEALED, row.sealed)], keys)
        if isinstance(typed, dict):
            return Draft(typed, row.saved_at)
    return None


def discard_drafts(order_ids: Sequence[int], action: str, actor: Actor) -> None:
    """Delete the person's own drafts of an act on these orders."""
    if actor.kind is ActorKind.PERSON:
        db.session.execute(delete(OrderDraft).where(*_of(order_ids, action, actor)))


def _of(order_ids: Sequence[int], action: str, actor: Actor) -> tuple[ColumnElement[bool], ...]:
    return OrderDraft.order_id.in_(order_ids), OrderDraft.user_id == actor.id, OrderDraft.action == action


def any_old_draft() -> bool:
    """Whether there are drafts that are to be forgotten."""
    return any_row(OrderDraft, _is_old())


def forget_old_drafts() -> bool:
    """Delete some drafts that nobody has changed for long; returns whether more may be left."""
    return delete_some(OrderDraft, _is_old())


def _is_old() -> ColumnElement[bool]:
    return OrderDraft.saved_at < now() - _KEPT
