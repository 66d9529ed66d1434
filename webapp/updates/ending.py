"""The end of updates: the row, the marks on its order, the updates that waited for it, and the listeners."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, or_, select, update as change

from webapp.audit.actor import Actor
from webapp.clock import now
from webapp.db import db
from webapp.hooks.fence import label_of
from webapp.hooks.registered import Listener, is_ours, owner_of
from webapp.jobs.telling import declare, tell
from webapp.orders.events import record
from webapp.orders.models import Order
from webapp.orders.services import raise_attention, settle_attention
from webapp.updates import words
from webapp.updates.contract import OutwardKind, UpdateOwed, UpdateSettled
from webapp.updates.kinds import apart, kinds
from webapp.updates.models import ChannelUpdate, UpdateState

TROUBLES = frozenset(kind.code for kind in words.KINDS)  # attention that updates set
IMPOSSIBLE = "update_impossible"  # the event of an update that can't be sent
_SETTLED = "settled_kinds"  # the name under which a plugin's kinds are called, also when they are called again


def end(
    rows: Sequence[ChannelUpdate], state: UpdateState, *, event: str = "", actor: Actor | None = None, cause: str = ""
) -> None:
    """Write the end of updates whose orders the caller has locked, with its event, unless the act records one. The
    event of a refused update is also the mark on its order.
    """
    at = now()
    for row in rows:
        row.state, row.look_again_at = state, None
        row.lease_owner = row.lease_until = None
        if state == UpdateState.REFUSED:
            row.refused_at = at
        elif state in (UpdateState.EFFECTIVE, UpdateState.DONE_ELSEWHERE):
            row.effective_at, row.problem = at, None
            row.sent_at = row.sent_at or at
        if state == UpdateState.REFUSED:
            raise_attention(row.order, _trouble_of(row, event) or event, of=row.id, problem=row.problem)
        else:
            settle_troubles(row.order, row)
        if event:
            who = actor or Actor.channel(row.store_id)
            record(row.order, event, actor=who, cause=cause, values={"kind": row.kind})
    if not rows:
        return
    db.session.flush()
    tell("updates_settled", tell_kinds(rows))
    _wake(rows)


def tell_kinds(rows: Sequence[ChannelUpdate]) -> list[UpdateSettled]:
    """Let the kinds react to what became of their updates: accepted, or ended. Returns the facts."""
    facts = [UpdateSettled(row.id, row.order_id, row.store_id, row.kind, row.state) for row in rows]
    tell(_SETTLED, facts)
    return facts


def settle_troubles(order: Order, update: ChannelUpdate) -> None:
    """Remove every mark that the update set on its order."""
    for trouble in {*TROUBLES, _trouble_of(update), _trouble_of(update, IMPOSSIBLE)}:
        settle_attention(order, trouble, of=update.id)


def _trouble_of(update: ChannelUpdate, event: str = "") -> str:
    """The kind of attention that a refusal of the update sets, with this event, if its kind names one."""
    kind = kinds().get(update.kind)
    if kind is None:
        return ""
    return (event == IMPOSSIBLE and kind.trouble_unsent) or kind.trouble


def owe_again(update: ChannelUpdate, due_at: datetime) -> None:
    """Reset an update that did not happen, so that it is sent again; nothing of the former attempt counts."""
    update.state, update.due_at, update.look_again_at = UpdateState.OWED, due_at, None
    update.sent_at = update.handle = update.attempt_id = update.looked_at = update.look_from = None


def _wake(rows: Sequence[ChannelUpdate]) -> None:
    """Make the updates due at once that waited for these: those of other kinds, and corrections of these."""
    ended = {row.kind for row in rows}
    waiting = {code for code, kind in kinds().items() if ended & {*kind.waits_for, *apart(code)}}
    corrected = [and_(ChannelUpdate.kind == row.kind, ChannelUpdate.reference == row.reference) for row in rows]
    orders = sorted({row.order_id for row in rows})
    asleep = change(ChannelUpdate).where(ChannelUpdate.order_id.in_(orders))
    asleep = asleep.where(or_(ChannelUpdate.kind.in_(sorted(waiting)), *corrected))
    asleep = asleep.where(ChannelUpdate.state == UpdateState.OWED, ChannelUpdate.lease_owner.is_(None))
    db.session.execute(asleep.where(ChannelUpdate.due_at > now()).values(due_at=now()))


# --- What a kind does about it -------------------------------------------------------------------------------------


class _KindsOf(Listener):
    """The kinds of one plugin, or of the desk, as a listener."""

    def __init__(self, plugin: str, own: Sequence[OutwardKind]) -> None:
        self.code, self.plugin = _SETTLED, plugin
        self.label = ", ".join(label_of(kind) for kind in own)
        self._own = {kind.code: kind for kind in own if _reacts(kind)}

    def __call__(self, *facts: Any) -> None:
        [told] = facts
        mine = {fact.update_id: fact for fact in told if fact.kind in self._own}
        if not mine:
            return
        _lock({fact.order_id for fact in mine.values()})
        rows = select(ChannelUpdate).join(Order, Order.id == ChannelUpdate.order_id).where(ChannelUpdate.id.in_(mine))
        rows = rows.order_by(Order.shop_id, ChannelUpdate.id)  # in which sequences of numbers are locked
        accepted: dict[str, list[ChannelUpdate]] = {}
        for row in db.session.scalars(rows).all():
            if row.state != mine[row.id].state:
                continue  # called again later, it may have been sent again
            if row.state == UpdateState.ACCEPTED:
                accepted.setdefault(row.kind, []).append(row)
            else:
                self._own[row.kind].settled(row)
        for code, some in accepted.items():
            self._own[code].accepted(some)


def _reacts(kind: OutwardKind) -> bool:
    own = type(kind)
    return own.settled is not OutwardKind.settled or own.accepted is not OutwardKind.accepted


def _listeners() -> list[Listener]:
    owned: dict[str, list[OutwardKind]] = {}
    for kind in kinds().values():
        owned.setdefault(owner_of(kind), []).append(kind)
    return [_KindsOf(owner, own) for owner, own in sorted(owned.items(), key=lambda one: not is_ours(one[0]))]


def _lock(orders: Collection[int]) -> None:
    """Lock orders; whoever ends their updates has these locks, a listener that is called again has not."""
    db.session.execute(select(Order.id).where(Order.id.in_(orders)).order_by(Order.id).with_for_update())


declare("updates_owed", list[UpdateOwed])
declare("updates_settled", list[UpdateSettled])
declare(_SETTLED, list[UpdateSettled], brought=_listeners)
