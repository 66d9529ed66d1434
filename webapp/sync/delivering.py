"""Claiming updates: those that are due to be delivered, and those whose result is to be looked up.

A claim locks the lane, then the orders, then the updates, and asks under these locks whether each update is still
wanted and can be sent now. An update with an expired lease had a worker that died: it is unknown whether it was sent,
so it is looked up instead of claimed; one that certainly was not is claimed again. The rows are the truth, the queue
only carries jobs: whatever is due is found again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select, text, update
from sqlalchemy.orm import joinedload, selectinload
from sqlalchemy.orm.attributes import set_committed_value

from webapp import live
from webapp.audit.actor import Actor
from webapp.channels.described import seconds_until
from webapp.channels.models import Store
from webapp.channels.outgoing import Begun, Update, UpdateKind
from webapp.channels.services import account_of, stores_of_account
from webapp.clock import now
from webapp.db import db, insert_into
from webapp.errors import DeskError
from webapp.hooks.fence import PluginFailed, label_of
from webapp.i18n import lazy_gettext as _l
from webapp.orders.events import record
from webapp.orders.models import Order
from webapp.orders.services import raise_attention
from webapp.sync import leases
from webapp.updates.contract import Impossible, Waits
from webapp.updates.ending import IMPOSSIBLE, end
from webapp.updates.kinds import apart, carried, kinds, private_of, why_not, why_not_yet
from webapp.updates.models import (
    LEFT,
    OPEN,
    OPEN_UPDATES,
    WAITING,
    ChannelUpdate,
    UpdateAttempt,
    UpdateLane,
    UpdateState,
)
from webapp.updates.queries import askable, corrected, keeping_the_lane, provable, undecided

KNOWN_BEFORE = timedelta(days=1)  # how much older than an attempt the known handles of others may be
ASK_AGAIN = timedelta(minutes=5)  # until an update that has to wait is asked again, unless something wakes it earlier


class AnswerLost(DeskError):
    code = "answer_lost"
    sentence = _l("The channel's answer was lost. Waybill is checking whether the update was carried out.")


class NobodyKnows(DeskError):
    code = "nobody_knows"
    sentence = _l(
        "The channel's answer was lost, and the channel does not show whether the update was carried out. Check "
        "on the channel's own page, then decide here."
    )


class OtherUnderWay(DeskError):
    """Stored with the kind's code, shown with its label."""

    code = "other_under_way"
    sentence = _l("This update waits for the result of “%(kind)s” of this order.")

    def __str__(self) -> str:
        code = self.values["kind"]
        return str(self.sentence) % {"kind": label_of(kinds()[code]) if code in kinds() else code}


class EarlierUnsettled(DeskError):
    code = "earlier_unsettled"
    sentence = _l("This update waits for the result of the update that it corrects.")


class Superseded(DeskError):
    code = "superseded"
    sentence = _l("A correction replaced this update.")


def due_work() -> list[tuple[int, str, str]]:
    """Stores and lanes with due updates, to deliver or to look up: those with kinds that go first, then by the next
    deadline. Stores that can't be asked wait, and nothing is delivered to read-only stores.
    """
    at, asked = now(), select(Store.id).where(*askable())
    first = [code for code, kind in kinds().items() if kind.goes_first]
    lane = (ChannelUpdate.store_id, ChannelUpdate.lane)
    lanes = select(*lane).where(text(OPEN_UPDATES)).group_by(*lane)
    lanes = lanes.order_by(func.min(case((ChannelUpdate.kind.in_(first), 0), else_=1)))
    lanes = lanes.order_by(func.min(ChannelUpdate.deadline).nulls_last(), *lane)
    lanes = lanes.with_hint(ChannelUpdate, "INDEXED BY ix_channel_updates_open", dialect_name="sqlite")
    may_send = ChannelUpdate.store_id.in_(asked.where(Store.read_only.is_(None)))
    due = and_(may_send, *_due_to_deliver(at))
    deliver = lanes.where(or_(due, and_(*_without_a_worker(at))))  # these need not wait for others
    look_up = lanes.where(ChannelUpdate.store_id.in_(asked), *_due_to_look_up(at))
    found = [(store_id, lane, "deliver") for store_id, lane in db.session.execute(deliver)]
    return found + [(store_id, lane, "look_up") for store_id, lane in db.session.execute(look_up)]


def _free(at: datetime) -> ColumnElement[bool]:
    """Without a lease, or with an expired one."""
    return or_(ChannelUpdate.lease_until.is_(None), ChannelUpdate.lease_until < at)


def _due_to_deliver(at: datetime) -> tuple[ColumnElement[bool], ...]:
    due = (ChannelUpdate.state.in_(WAITING), ChannelUpdate.due_at <= at, ChannelUpdate.lease_owner.is_(None))
    return *due, ChannelUpdate.kind.in_(list(kinds()))  # updates of a missing plugin wait for it


def _without_a_worker(at: datetime) -> tuple[ColumnElement[bool], ...]:
    """Whose worker died while it had them, also if they were corrected or are due since."""
    return ChannelUpdate.state.in_(WAITING), ChannelUpdate.lease_until < at


def _due_to_look_up(at: datetime) -> tuple[ColumnElement[bool], ...]:
    return (ChannelUpdate.state.in_(LEFT), ChannelUpdate.look_again_at <= at, _free(at))


# --- To deliver -------------------------------------------------------------------------------------------------------


def claim_due(store_id: int, lane: str, owner: str) -> tuple[Store, list[ChannelUpdate]] | None:
    """Lease a batch of updates to deliver. The batch is empty if all updates found have to wait; None if nothing is
    due, if another worker has the update or its lane, or if nothing may be sent to the store.
    """
    store = db.session.get(Store, store_id)
    if store is None:
        return None
    may_send = store.active and store.problem is None and store.read_only is None
    known = carried(store) if may_send else {}
    here = _of_lane(store_id, lane)
    due = here.where(ChannelUpdate.kind.in_(list(known)), ~corrected(), *_due_to_deliver(now()))
    dead = here.where(*_without_a_worker(now()))  # also of a kind that the channel lost: it occupies the lane
    first = db.session.scalars(due.with_only_columns(ChannelUpdate.kind).limit(1)).first()
    orphans = list(db.session.scalars(dead.with_only_columns(ChannelUpdate.kind)))
    if first is None and not orphans:
        return None
    if exclusive := any(carriage.exclusive for code, carriage in known.items() if code in (first, *orphans)):
        _lock_lane(store, lane)
    lost = _locked(dead) if orphans else []
    for row in lost:
        soon = row.kind in known and known[row.kind].repeatable
        if not soon and _surely_here(row):
            row.lease_owner = row.lease_until = None
            row.attempts -= 1  # the worker did nothing with it
            continue
        lose(row, look_again_at=now() if soon else now() + 2 * leases.IN_TIME)  # it sends no more by then
    db.session.flush()
    if first is None or (exclusive and not _lane_is_free(store, lane)) or _lane_waits(store, lane, due):
        return (store, []) if lost else None
    due = due.where(ChannelUpdate.kind == first)
    most = _batch_of(known[first], due)
    rows = _locked(due.limit(most))
    chosen = _chosen(rows, known[first], most)
    for row in chosen:
        row.state, row.lease_owner, row.lease_until = UpdateState.OWED, owner, now() + leases.LEASE
        row.attempts, row.attempt_id = row.attempts + 1, None
    db.session.flush()
    return (store, chosen) if rows or lost else None


def _surely_here(row: ChannelUpdate) -> bool:
    """Whether a dead worker certainly did not send an update that nobody could look up: what must not be sent twice
    leaves in an attempt alone, and a worker that is not dead finds its lease gone before it begins one.
    """
    return row.attempt_id is None and row.look_from is None and not provable(row)


def _of_lane(store_id: int, lane: str) -> Select[ChannelUpdate]:
    """A store's updates of this lane, the most urgent first."""
    query = select(ChannelUpdate).where(ChannelUpdate.store_id == store_id, ChannelUpdate.lane == lane)
    return query.order_by(ChannelUpdate.deadline.nulls_last(), ChannelUpdate.id)


def _locked(query: Select[ChannelUpdate]) -> list[ChannelUpdate]:
    """These updates locked, after their orders, in the order in which a page is taken in; without those whose row or
    order another transaction has locked.
    """
    ids = list(db.session.execute(query.with_only_columns(ChannelUpdate.id, ChannelUpdate.order_id)))
    orders = select(Order).where(Order.id.in_({order_id for _, order_id in ids})).order_by(Order.id)
    orders = orders.options(selectinload(Order.lines), joinedload(Order.channel_order), joinedload(Order.store))
    orders = orders.with_for_update(skip_locked=True, of=Order).execution_options(populate_existing=True)
    mine = {order.id: order for order in db.session.scalars(orders)}
    query = query.where(ChannelUpdate.order_id.in_(mine)).with_for_update(skip_locked=True)
    rows = list(db.session.scalars(query.execution_options(populate_existing=True)))
    for row in rows:
        set_committed_value(row, "order", mine[row.order_id])  # which keeps the order and what was loaded with it
    return rows


def _lock_lane(store: Store, lane: str) -> None:
    key = {"channel": store.channel, "account": account_of(store), "lane": lane}
    db.session.execute(insert_into(UpdateLane).values(**key).on_conflict_do_nothing())
    db.session.execute(select(UpdateLane.lane).filter_by(**key).with_for_update())


def _lane_is_free(store: Store, lane: str) -> bool:
    """Whether no update of an account's exclusive lane is under way, or may be. The caller has locked the lane."""
    return db.session.scalar(keeping_the_lane(store, lane)) is None


def _lane_waits(store: Store, lane: str, due: Select[ChannelUpdate]) -> bool:
    """Whether the channel takes the next batch of this lane later: then what is due is put off until that time, and
    can be undone meanwhile. Updates that a person wants sent now go as soon as the channel allows.
    """
    seconds = seconds_until(store, lane)
    if seconds > 0 and db.session.scalar(due.with_only_columns(ChannelUpdate.id).where(ChannelUpdate.urgent).limit(1)):
        seconds = seconds_until(store, lane, urgent=True)
    if seconds <= 0:
        return False
    mine = due.with_only_columns(ChannelUpdate.id).order_by(None)
    put_off = update(ChannelUpdate).where(ChannelUpdate.id.in_(mine), ChannelUpdate.lease_owner.is_(None))
    db.session.execute(
        put_off.values(due_at=now() + timedelta(seconds=seconds)), execution_options={"synchronize_session": False}
    )
    return True


def _batch_of(carriage: UpdateKind, due: Select[ChannelUpdate]) -> int:
    """The number of updates that are sent together: more than usual if very many are due."""
    if carriage.many:
        there = due.with_only_columns(ChannelUpdate.id).order_by(None).limit(carriage.many).subquery()
        if db.session.scalar(select(func.count()).select_from(there)) == carriage.many:
            return carriage.many
    return carriage.batch


def _chosen(rows: Sequence[ChannelUpdate], carriage: UpdateKind, most: int) -> list[ChannelUpdate]:
    """The rows that are sent together now. An update that is no longer wanted is withdrawn, one that has to wait is
    put off.
    """
    chosen: list[ChannelUpdate] = []
    others = _others_under_way(rows)
    for row in rows:
        bound = min(most, row.together or most)
        if len(chosen) < bound and _may_go(row, carriage, others.get(row.order_id)):
            chosen.append(row)
            most = bound
    return chosen


def _may_go(row: ChannelUpdate, carriage: UpdateKind, other: str | None) -> bool:
    """Whether the row is sent now; `other` is the kind of an update of its order that it has to wait for."""
    order = row.order
    try:
        if refusal := why_not(row, order):
            row.problem = refusal.stored()
            end([row], UpdateState.WITHDRAWN, event="update_withdrawn", actor=Actor.job("sync"))
            return False
        earlier = _earlier(row)
        if cause := _earlier_in_the_way(earlier, carriage):
            return _put_off(row, cause, _until_free(earlier))
        if other:
            return _put_off(row, OtherUnderWay(kind=other), ASK_AGAIN)
        match why_not_yet(row, order):
            case Impossible(cause=cause):
                row.problem = cause.stored()
                end([row], UpdateState.REFUSED, event=IMPOSSIBLE, actor=Actor.job("sync"))
                return False
            case Waits(cause=cause, seconds=seconds):
                return _put_off(row, cause, timedelta(seconds=max(seconds, 1)))
    except PluginFailed as error:
        return _put_off(row, error, ASK_AGAIN)
    for one in earlier:
        one.problem = Superseded().stored()
    end(earlier, UpdateState.WITHDRAWN, event="update_superseded", actor=Actor.job("sync"))
    return True


def _put_off(row: ChannelUpdate, cause: DeskError, pause: timedelta) -> bool:
    row.state, row.problem, row.due_at = UpdateState.OWED, cause.stored(), now() + pause
    live.publish("orders", [row.order_id])
    return False


def _earlier(row: ChannelUpdate) -> Sequence[ChannelUpdate]:
    """The updates that a correction replaces once it is sent, locked."""
    if row.revision == 1:
        return []
    query = select(ChannelUpdate).where(
        ChannelUpdate.order_id == row.order_id,
        ChannelUpdate.kind == row.kind,
        ChannelUpdate.reference == row.reference,
        ChannelUpdate.revision < row.revision,
        ChannelUpdate.state.in_(OPEN),
    )
    return db.session.scalars(query.order_by(ChannelUpdate.id).with_for_update()).all()


def _earlier_in_the_way(earlier: Sequence[ChannelUpdate], carriage: UpdateKind) -> DeskError | None:
    """Why a correction has to wait for the update that it corrects."""
    for one in earlier:
        travels = one.attempt_id is not None and one.state in (UpdateState.SENT, UpdateState.UNKNOWN)  # with others
        if one.lease_owner is not None or travels or (one.state in LEFT and not carriage.repeatable):
            return EarlierUnsettled()
    return None


def _until_free(earlier: Sequence[ChannelUpdate]) -> timedelta:
    """How long a correction waits: until the lease of an earlier one ends, if its worker does not end it before."""
    leases = [one.lease_until for one in earlier if one.lease_until is not None]
    return max(max(leases) - now(), timedelta(seconds=1)) if leases else ASK_AGAIN


def _others_under_way(rows: Sequence[ChannelUpdate]) -> dict[int, str]:
    """By order, the kind of an update that is under way and beside which none of these rows may be."""
    codes = apart(rows[0].kind) if rows else []
    if not codes:
        return {}
    beside = select(ChannelUpdate.order_id, ChannelUpdate.kind).where(ChannelUpdate.kind.in_(codes))
    beside = beside.where(ChannelUpdate.order_id.in_({row.order_id for row in rows}))
    under_way = or_(ChannelUpdate.state.in_(LEFT), ChannelUpdate.lease_owner.is_not(None))
    return dict(db.session.execute(beside.where(under_way)).all())


def lose(row: ChannelUpdate, *, look_again_at: datetime) -> None:
    """Mark updates as unknown: the worker died, or the answer was lost. They are looked up, or a person decides."""
    if row.state != UpdateState.UNKNOWN:
        row.due_at = now()  # if it left at all, it left before
    row.state, row.look_again_at, row.problem = UpdateState.UNKNOWN, look_again_at, AnswerLost().stored()
    row.lease_owner = row.lease_until = None
    if undecided(row):
        row.look_again_at, row.problem = None, NobodyKnows().stored()
        raise_attention(row.order, "update_undecided", of=row.id)
        record(row.order, "update_undecided", actor=Actor.channel(row.store_id), values={"kind": row.kind})


def refuse(row: ChannelUpdate, problem: Mapping[str, Any]) -> None:
    """Mark an update as refused: the channel refuses it, or shows that it will not happen. A person has to see to
    it. `problem` is a stored DeskError.
    """
    row.problem = dict(problem)
    end([row], UpdateState.REFUSED, event="update_refused", cause="update")


# --- To look up -------------------------------------------------------------------------------------------------------


def claim_to_look_up(store_id: int, lane: str, owner: str) -> tuple[Store, list[ChannelUpdate]] | None:
    """Lease the updates of one attempt, or else a batch of updates without an attempt, whose result is to be looked
    up. As soon as one update of an attempt is due, all that are as far are leased, so that a report is read once.
    """
    store = db.session.get(Store, store_id)
    if store is None or not store.active or store.problem is not None:
        return None
    known = carried(store)
    here, at = _of_lane(store_id, lane), now()
    due = here.where(ChannelUpdate.kind.in_(list(known)), *_due_to_look_up(at))
    first = db.session.scalars(due.limit(1)).first()
    if first is None:
        return None
    due = due.where(ChannelUpdate.kind == first.kind)
    if first.attempt_id is None:
        due = due.where(ChannelUpdate.attempt_id.is_(None)).limit(known[first.kind].batch)
    else:
        due = here.where(
            ChannelUpdate.kind == first.kind,
            ChannelUpdate.attempt_id == first.attempt_id,
            ChannelUpdate.state == first.state,
            ChannelUpdate.look_again_at.is_not(None),
            _free(at),
        )
    rows = list(db.session.scalars(due.with_for_update(skip_locked=True).execution_options(populate_existing=True)))
    for row in rows:
        row.lease_owner, row.lease_until = owner, now() + leases.LEASE
    db.session.flush()
    return (store, rows) if rows else None


def to_send(rows: Sequence[ChannelUpdate]) -> list[Update]:
    """Claimed rows as the channel gets them, with their private part; an update whose kind fails to give it is put
    off.
    """
    found = []
    for row, one in zip(rows, as_updates(rows), strict=True):
        try:
            found.append(replace(one, private=private_of(row)))
        except PluginFailed as error:
            row.lease_owner = row.lease_until = None
            row.attempts -= 1  # no worker had the row
            _put_off(row, error, ASK_AGAIN)
    return found


def as_updates(rows: Sequence[ChannelUpdate]) -> list[Update]:
    """The rows in the form that the channel gets."""
    query = select(ChannelUpdate).where(ChannelUpdate.id.in_([row.id for row in rows]))
    db.session.scalars(query.options(joinedload(ChannelUpdate.order), joinedload(ChannelUpdate.attempt))).all()
    known, together = _known_handles(rows), _together(rows)
    return [
        Update(
            id=row.id,
            kind=row.kind,
            order_number=row.order.channel_order_number,
            marketplace=row.order.marketplace,
            reference=row.reference,
            payload=row.payload,
            handle=row.handle,
            attempts=row.attempts,
            revision=row.revision,
            begun=_begun(row, together),
            look_from=_may_have_left_since(row),
            known=known if row.handle is None else frozenset(),
            accepted=row.state == UpdateState.ACCEPTED,
        )
        for row in rows
    ]


def _known_handles(rows: Sequence[ChannelUpdate]) -> frozenset[str]:
    """The handles of the account's attempts since these rows may have left, and for a day before. What the channel made
    for an attempt whose answer was lost is none of them.
    """
    since = [at for row in rows if row.handle is None and (at := _may_have_left_since(row)) is not None]
    if not since:
        return frozenset()
    query = select(UpdateAttempt.handle).where(
        UpdateAttempt.store_id.in_(stores_of_account(rows[0].store)),
        UpdateAttempt.at >= min(since) - KNOWN_BEFORE,
        UpdateAttempt.handle.is_not(None),
    )
    return frozenset(handle for handle in db.session.scalars(query) if handle is not None)


def _together(rows: Sequence[ChannelUpdate]) -> dict[int, frozenset[int]]:
    """The ids of all updates of the rows' attempts, by attempt."""
    attempts = {row.attempt_id for row in rows if row.attempt_id is not None}
    found: dict[int, set[int]] = {}
    query = select(ChannelUpdate.attempt_id, ChannelUpdate.id).where(ChannelUpdate.attempt_id.in_(attempts))
    for attempt_id, update_id in db.session.execute(query) if attempts else ():
        if attempt_id is not None:
            found.setdefault(attempt_id, set()).add(update_id)
    return {attempt_id: frozenset(ids) for attempt_id, ids in found.items()}


def _begun(row: ChannelUpdate, together: Mapping[int, frozenset[int]]) -> Begun | None:
    one = row.attempt
    return Begun(one.id, one.key, one.messages, one.at, one.channel_at, together[one.id]) if one is not None else None


def _may_have_left_since(row: ChannelUpdate) -> datetime | None:
    return row.look_from or (row.attempt.at if row.attempt else None)
