"""Writing the results of updates: from the channel's outcomes, and from readings of their orders."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import joinedload, selectinload

from webapp import live
from webapp.audit.actor import Actor
from webapp.channels.incoming import IncomingOrder
from webapp.channels.outgoing import (
    Accepted,
    Effective,
    NotCarriedOut,
    NothingLearned,
    NotYet,
    Outcome,
    Refused,
    Sent,
    UpdateKind,
)
from webapp.clock import now
from webapp.db import among, db
from webapp.errors import DeskError
from webapp.i18n import lazy_gettext as _l
from webapp.orders.events import record
from webapp.orders.models import Order
from webapp.orders.services import raise_attention, settle_attention
from webapp.sync.delivering import lose, refuse
from webapp.updates.contract import Contradicted, DoneElsewhere, Shown
from webapp.updates.ending import end, owe_again, settle_troubles, tell_kinds
from webapp.updates.kinds import carriage_of, said_by
from webapp.updates.models import OPEN_UPDATES, ChannelUpdate, UpdateState
from webapp.updates.queries import NotShown, denied

RETRY = (5, 15, 60, 300, 900)  # seconds until an update that certainly did not happen is sent again, by its tries

SOON = timedelta(seconds=2)  # until an update whose answer was lost is looked up


class ChannelSaid(DeskError):
    """A sentence of the channel itself, stored as it was received."""

    code = "channel_said"
    sentence = _l("%(sentence)s")


# --- By outcomes ------------------------------------------------------------------------------------------------------


def settle(outcomes: Mapping[int, Outcome], owner: str) -> int | None:
    """Write the outcomes of claimed updates; returns their store, or None if the lease of all of them was lost.

    Rows that were settled or claimed meanwhile are left alone: under their locks, the lease must still be the
    `owner`'s. Orders are locked before their updates, as when a page is taken in.
    """
    concerned = select(ChannelUpdate.order_id).where(ChannelUpdate.id.in_(list(outcomes)))
    orders = select(Order).where(Order.id.in_(concerned)).order_by(Order.id).with_for_update(of=Order)
    orders = orders.options(selectinload(Order.lines))
    kept = list(db.session.scalars(orders.execution_options(populate_existing=True)))  # referenced until written
    store_id = None
    query = select(ChannelUpdate).where(ChannelUpdate.id.in_(list(outcomes))).order_by(ChannelUpdate.id)
    accepted = []
    for row in db.session.scalars(query.with_for_update().execution_options(populate_existing=True)):
        if row.lease_owner == owner:
            store_id, before = row.store_id, row.state
            _settle_one(row, outcomes[row.id])
            if row.state == UpdateState.ACCEPTED != before:
                accepted.append(row)
    if accepted:
        db.session.flush()
        tell_kinds(accepted)
    live.publish("orders", [order.id for order in kept])
    db.session.flush()
    return store_id


def _settle_one(row: ChannelUpdate, outcome: Outcome) -> None:
    at, carriage = now(), carriage_of(row.store, row.kind)
    row.lease_owner = row.lease_until = None
    match outcome:
        case Effective(done_elsewhere=elsewhere):
            _take_effect([row], UpdateState.DONE_ELSEWHERE if elsewhere else UpdateState.EFFECTIVE)
        case Sent(handle=handle):
            if row.attempt is not None and handle:
                row.attempt.handle = handle
            _left(row, UpdateState.SENT, carriage, at, handle=handle)
        case Accepted(sentence=sentence):
            _left(row, UpdateState.ACCEPTED, carriage, at, warning=sentence)
        case Refused(sentence=sentence, cause=cause):
            refuse(row, dict(cause) if cause else ChannelSaid(sentence=sentence).stored())
        case NotCarriedOut(together=together, seconds=seconds, problem=problem):
            row.together = max(1, min(together, row.together or together))
            owe_again(row, at + timedelta(seconds=max(seconds, _pause(row))))
            row.problem = _reason(problem, None)
            settle_troubles(row.order, row)
            _tell(row, "update_retried")
        case NothingLearned(seconds=seconds, problem=problem, cause=cause):
            row.problem = _reason(problem, cause) or row.problem
            row.look_again_at = at + timedelta(seconds=seconds or _pause(row))
        case NotYet(seconds=seconds, problem=problem, cause=cause, denial=denial):
            news = denial is not None and not denied(row)
            row.problem = _reason(problem, cause) or row.problem
            if row.sent_at is not None and row.state in _TAKEN:  # the channel had it: only the look-up can be repeated
                row.look_again_at = at + timedelta(seconds=seconds or _pause(row))
            else:
                owe_again(row, at + timedelta(seconds=(seconds or _pause(row)) if row.attempts > 1 else seconds))
                if news:
                    _tell(row, "update_denied", trouble="update_denied")
        case _:
            lost_for = at - row.due_at if row.state == UpdateState.UNKNOWN else timedelta(0)
            pause = min(max(lost_for, SOON), timedelta(seconds=carriage.look_steps[-1]))  # for the same time again
            lose(row, look_again_at=at + pause)


_TAKEN = (UpdateState.SENT, UpdateState.ACCEPTED)


def _reason(problem: str, cause: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """An outcome's reason as a stored DeskError, if it gives one."""
    return dict(cause) if cause else ChannelSaid(sentence=problem).stored() if problem else None


def _pause(row: ChannelUpdate) -> float:
    return RETRY[min(max(row.attempts, 1), len(RETRY)) - 1]


def _left(
    row: ChannelUpdate,
    state: UpdateState,
    carriage: UpdateKind,
    at: datetime,
    *,
    handle: str | None = None,
    warning: str = "",
) -> None:
    """The channel took the update and does not show its effect yet: when to look next, and whether it should be
    visible by now.
    """
    first = row.sent_at is None
    news = state != row.state and not (state == UpdateState.SENT and row.state == UpdateState.ACCEPTED)
    if news:
        row.state = state
    row.handle, row.sent_at = handle or row.handle, row.sent_at or at
    if not first:
        row.looked_at = at
    since = (at - row.sent_at).total_seconds()
    steps = carriage.look_steps
    looks = 1 + sum(1 for step in steps if since >= step)
    pause = carriage.look_after if first else steps[min(looks, len(steps)) - 1]
    row.look_again_at = at + timedelta(seconds=pause)
    unseen = since >= carriage.unseen_after
    if news and (first or state == UpdateState.ACCEPTED):
        _tell(row, "update_sent" if state == UpdateState.SENT else "update_accepted")
    if unseen and row.problem != NotShown().stored():
        _tell(row, "update_unseen", trouble="update_unseen")
    if unseen:
        row.problem = NotShown().stored()
    elif warning:
        row.problem = ChannelSaid(sentence=warning).stored()
    elif news or row.state == UpdateState.SENT:
        row.problem = None  # a warning stays while the update is accepted


def _take_effect(rows: Sequence[ChannelUpdate], state: UpdateState) -> None:
    event = "update_effective" if state is UpdateState.EFFECTIVE else "update_elsewhere"
    end(rows, state, event=event, cause="update")


def _tell(row: ChannelUpdate, code: str, *, trouble: str = "") -> None:
    if trouble:
        raise_attention(row.order, trouble, of=row.id, problem=row.problem)
    elif code in ("update_sent", "update_accepted"):
        settle_attention(row.order, "update_denied", of=row.id)
    record(row.order, code, actor=Actor.channel(row.store_id), cause="update", values={"kind": row.kind})


# --- By readings ------------------------------------------------------------------------------------------------------


def settle_by_reading(readings: Mapping[int, IncomingOrder]) -> None:
    """Settle updates, also refused ones, by what readings of their orders show. The caller has locked the orders."""
    if not readings:
        return
    query = select(ChannelUpdate).where(text(OPEN_UPDATES), among(ChannelUpdate.order_id, list(readings)))
    query = query.options(joinedload(ChannelUpdate.store)).order_by(ChannelUpdate.id)
    shown: dict[UpdateState, list[ChannelUpdate]] = {UpdateState.EFFECTIVE: [], UpdateState.DONE_ELSEWHERE: []}
    for row in db.session.scalars(query.with_for_update(of=ChannelUpdate)).all():
        match said_by(row, readings[row.order_id]):
            case Shown():
                shown[UpdateState.EFFECTIVE].append(row)
            case DoneElsewhere():
                shown[UpdateState.DONE_ELSEWHERE].append(row)
            case Contradicted(cause=cause) if row.state != UpdateState.REFUSED:
                refuse(row, cause.stored())
    for state, rows in shown.items():
        _take_effect(rows, state)
