"""Owing updates to channels, and withdrawing them: in the unit of work of the act, under the order's lock.

An update can be withdrawn only while no worker has ever claimed it: one that may have reached the channel never is.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from webapp.channels.models import Store
from webapp.channels.services import get_channel
from webapp.clock import now
from webapp.db import db
from webapp.errors import DeskError, Refusal
from webapp.hooks.fence import ask
from webapp.i18n import lazy_gettext as _l
from webapp.jobs.telling import tell
from webapp.orders.models import Order
from webapp.updates.contract import OutwardKind, Owing, UpdateOwed
from webapp.updates.ending import end
from webapp.updates.kinds import PLACE, carriage_of, carried, kinds, why_not, why_not_undone
from webapp.updates.models import OPEN, ChannelUpdate, UpdateState
from webapp.updates.queries import newer_revision


class OnItsWay(Refusal):
    """The update may have reached the channel: nobody can withdraw it."""

    code = "on_its_way"
    sentence = _l("This update is already being sent, so it can't be withdrawn.")


def owe(code: str, owing: Sequence[Owing]) -> list[ChannelUpdate]:
    """Owe updates of a kind for those orders whose channel carries it; raises the refusal of one that is not wanted.
    A correction overwrites an update that has not left, or else is sent after it.
    """
    kind = kinds()[code]
    able = [one for one in owing if code in carried(one.order.store)]
    earlier = _highest(kind, able)
    owed, fresh = [], []
    for one in able:
        payload = dict(ask(kind, PLACE, kind.payload, one.order, one.source))
        reference = ask(kind, PLACE, kind.reference, one.source, gives=str)
        before = earlier.get((one.order.id, reference))
        if before is not None and before.never_left:
            before.payload, before.source_id, before.order_version = payload, one.source.id, one.order.version
            row = before
        else:
            row = _row(kind, one, payload, reference, revision=before.revision + 1 if before is not None else 1)
            fresh.append(row)
            earlier[one.order.id, reference] = row
        if refusal := why_not(row, one.order):
            raise refusal
        owed.append(row)
    db.session.add_all(fresh)
    db.session.flush()
    tell_owed(owed)
    return owed


def tell_owed(rows: Sequence[ChannelUpdate]) -> None:
    """Report that these updates are to be sent as soon as they are due."""
    if rows:
        tell("updates_owed", [UpdateOwed(row.id, row.order_id, row.store_id, row.kind, row.lane) for row in rows])


def _highest(kind: OutwardKind, owing: Sequence[Owing]) -> dict[tuple[int, str], ChannelUpdate]:
    """The latest update of each order and reference that exists, locked."""
    query = select(ChannelUpdate).where(
        ChannelUpdate.kind == kind.code, ChannelUpdate.order_id.in_([one.order.id for one in owing]), ~newer_revision()
    )
    rows = db.session.scalars(query.order_by(ChannelUpdate.id).with_for_update()) if owing else ()
    return {(row.order_id, row.reference): row for row in rows}


def _row(kind: OutwardKind, one: Owing, payload: dict[str, Any], reference: str, *, revision: int) -> ChannelUpdate:
    store, at = one.order.store, now()
    carriage = carriage_of(store, kind.code)
    channel = get_channel(store.channel)
    lane = ask(channel, PLACE, channel.lane, kind.code, payload, gives=str)
    row = ChannelUpdate(
        store=store,
        order=one.order,
        kind=kind.code,
        source_id=one.source.id,
        order_version=one.order.version,
        reference=reference,
        revision=revision,
        lane=lane,
        payload=payload,
        state=UpdateState.OWED,
        attempts=0,
        deadline=one.deadline,
        created_at=at,
    )
    if kind.hold is not None and (held := kind.hold.of(store)) and why_not_undone(row) is None:
        row.state, row.due_at = UpdateState.HELD, at + timedelta(seconds=held)
    else:
        row.due_at = _gathered(store, lane, carriage.gather)
    return row


def _gathered(store: Store, lane: str, seconds: float) -> datetime:
    """When the update is sent: with those of its kind that already wait to be sent together, or so many seconds from
    now.
    """
    at = now()
    if not seconds:
        return at
    gathering = select(ChannelUpdate.due_at).where(
        ChannelUpdate.store_id == store.id,
        ChannelUpdate.lane == lane,
        ChannelUpdate.state == UpdateState.OWED,
        ChannelUpdate.attempts == 0,
        ChannelUpdate.due_at > at,
    )
    soonest = db.session.scalar(gathering.order_by(ChannelUpdate.due_at).limit(1))
    return min(soonest, at + timedelta(seconds=seconds)) if soonest else at + timedelta(seconds=seconds)


def withdraw(code: str, order: Order, references: Sequence[str], *, cause: DeskError | None = None) -> None:
    """Withdraw these updates of an order whose lock the caller has. Raises `OnItsWay` if one may have left. A
    refused update did not happen and is closed; one that has ended stays as it is.
    """
    query = select(ChannelUpdate).where(
        ChannelUpdate.order_id == order.id,
        ChannelUpdate.kind == code,
        ChannelUpdate.reference.in_(references),
        ChannelUpdate.state.in_(OPEN),
    )
    rows = list(db.session.scalars(query.order_by(ChannelUpdate.id).with_for_update()))
    if not all(row.never_left or row.state == UpdateState.REFUSED for row in rows):
        raise OnItsWay
    for row in rows:
        row.problem = cause.stored() if cause else row.problem
    end(rows, UpdateState.WITHDRAWN)
