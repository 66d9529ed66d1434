"""What channels are owed: rows made in the transaction of the act, claimed by workers, settled by the channel's words.

A row's life: held (until due, to be undone) → owed → sent (the channel took it) → effective, refused or unknown; what
was refused, or was never confirmed, somebody may close: it is withdrawn. A row whose worker died is unknown until the
channel has been asked: a kind that is not repeatable is never sent again before that. The row is the promise, the queue
its messenger.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import joinedload

from webapp import live
from webapp.audit.actor import Actor
from webapp.audit.services import audit
from webapp.channels.contract import (
    Denied,
    Effective,
    IncomingOrder,
    NotYet,
    Outcome,
    Refused,
    Sent,
    Unknown,
    Update,
    UpdateKind,
)
from webapp.channels.models import Store
from webapp.channels.services import channels, get_channel
from webapp.clock import iso, now
from webapp.db import among, db
from webapp.errors import DeskError, NotFound, Refusal, class_of
from webapp.fulfillment.models import DESK, Package, Shipment
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.orders.events import record
from webapp.orders.models import Order
from webapp.orders.queries import visible
from webapp.orders.services import raise_attention, settle_attention
from webapp.sync import denials, leases
from webapp.sync.models import OPEN, UNSETTLED, ChannelUpdate, UpdateState

SHIPMENT = "shipment"
_LOOK_AGAIN = (300, 900, 3600)  # seconds between further looks for the effect of one that was sent
_UNSEEN_AFTER = timedelta(hours=24)  # the channel took it and does not show it: somebody should look
_RETRY = (5, 15, 60, 300, 900)  # seconds until one that surely did not happen is tried again; the first time at once

STATE_LABELS: dict[str, LazyString] = {
    UpdateState.HELD: _l("Held"),
    UpdateState.OWED: _l("Owed"),
    UpdateState.SENT: _l("Sent"),
    UpdateState.EFFECTIVE: _l("Effective"),
    UpdateState.REFUSED: _l("Refused"),
    UpdateState.UNKNOWN: _l("Unknown"),
    UpdateState.WITHDRAWN: _l("Withdrawn"),
    UpdateState.DONE_ELSEWHERE: _l("Done elsewhere"),
}


class ChannelSaid(DeskError):
    """A sentence of the channel's own, kept as it came."""

    code = "channel_said"
    sentence = _l("%(sentence)s")


class AnswerLost(DeskError):
    code = "answer_lost"
    sentence = _l("The channel's answer was lost: the desk looks whether it happened.")


class NotShown(DeskError):
    code = "not_shown"
    sentence = _l("The channel took it a day ago and does not show it yet. Look at the order there.")


class NotRetriable(Refusal):
    """Only what was refused, or whose fate is unknown, can be sent again."""

    code = "not_retriable"
    sentence = _l("This update is %(state)s: there is nothing to send again.")

    def __str__(self) -> str:
        return str(self.sentence) % {"state": STATE_LABELS[self.values["state"]]}


class NotClosable(NotRetriable):
    """Only what the channel refused, or never confirmed, can be closed."""

    code = "not_closable"
    sentence = _l("This update is %(state)s: there is nothing to close.")


class UpdatesUnsettled(Refusal):
    """The channel still has to get it, or still has to show it."""

    code = "updates_unsettled"
    sentence = _l("The channel has not confirmed every update of this order yet.")


class UpdateRefused(Refusal):
    """The channel still has to get it, and somebody has to see to it."""

    code = "update_refused"
    sentence = _l("The channel refused an update of this order: first send it again, or close it.")


def unconfirmed(order_ids: Sequence[int]) -> dict[int, Refusal]:
    """Those of the orders of which the channel has not confirmed every update, each with the reason."""
    query = select(ChannelUpdate.order_id, ChannelUpdate.state).where(ChannelUpdate.order_id.in_(order_ids))
    found = db.session.execute(query.where(ChannelUpdate.state.in_(OPEN)).distinct()).all()
    refused = {order_id for order_id, state in found if state == UpdateState.REFUSED}
    return {order_id: UpdateRefused() if order_id in refused else UpdatesUnsettled() for order_id, _ in found}


def under_way(order_ids: Sequence[int]) -> dict[int, Refusal]:
    """Those of the orders of which an update is under way: it still goes by itself, at a store that can be asked.

    What was refused, is denied, or was never shown waits for a person, who needs no buyer.
    """
    lately = ChannelUpdate.sent_at > now() - _UNSEEN_AFTER
    going = or_(ChannelUpdate.state != UpdateState.SENT, ChannelUpdate.sent_at.is_(None), lately)
    query = select(ChannelUpdate).join(Store).where(among(ChannelUpdate.order_id, order_ids), *_askable())
    found = db.session.scalars(query.where(ChannelUpdate.state.in_(UNSETTLED), going))
    return {row.order_id: UpdatesUnsettled() for row in found if not denied(row)}


def kind_of(store: Store, code: str) -> UpdateKind:
    """How the store's channel carries this kind; raises `NotFound` where it can't."""
    for kind in get_channel(store.channel).kinds:
        if kind.code == code:
            return kind
    raise NotFound(name=code)


def owe_confirmations(shipments: Sequence[Shipment]) -> list[ChannelUpdate]:
    """Owe the channel a confirmation for every package that left from the desk, in this very transaction."""
    owed = []
    for shipment in shipments:
        order = db.session.get_one(Order, shipment.order_id)
        if shipment.origin != DESK or not _carries(order.store, SHIPMENT):
            continue
        owed += [_confirmation(order, package) for package in shipment.packages]
    db.session.add_all(owed)
    db.session.flush()
    return owed


def _carries(store: Store, kind: str) -> bool:
    return any(known.code == kind for known in get_channel(store.channel).kinds)


def _confirmation(order: Order, package: Package) -> ChannelUpdate:
    numbers = {line.id: line.channel_line_number for line in order.lines}
    payload = {
        "version": 1,
        "package": {
            "number": package.number,
            "carrier": package.carrier,
            "carrier_name": package.carrier_name,
            "service": package.service,
            "tracking_number": package.tracking_number,
            "shipped_at": iso(package.shipped_at),
        },
        "lines": {numbers[line.line_id]: line.quantity for line in package.lines},
    }
    return ChannelUpdate(
        store_id=order.store_id,
        order_id=order.id,
        kind=SHIPMENT,
        source_id=package.id,
        order_version=order.version,
        reference=str(package.number),
        payload=payload,
        state=UpdateState.OWED,
        due_at=now(),
        deadline=order.ship_by,
        created_at=now(),
    )


def due_work() -> list[tuple[int, str, str]]:
    """Stores and kinds for which something is due: to deliver, or to look up. Stores that can't be asked wait."""
    at = now()
    kinds = select(ChannelUpdate.store_id, ChannelUpdate.kind).join(Store).distinct()
    kinds = kinds.where(*_askable())
    deliver, look_up = kinds.where(*_due_to_deliver(at)), kinds.where(*_due_to_look_up(at))
    found = [(store_id, kind, "deliver") for store_id, kind in db.session.execute(deliver)]
    return found + [(store_id, kind, "look_up") for store_id, kind in db.session.execute(look_up)]


def _askable() -> tuple[ColumnElement[bool], ...]:
    """Of stores that can be asked."""
    return Store.active.is_(True), Store.problem.is_(None), Store.channel.in_(channels())


def _free(at: datetime) -> ColumnElement[bool]:
    """Leased by nobody, or by somebody who gave no sign of life for too long."""
    return or_(ChannelUpdate.lease_until.is_(None), ChannelUpdate.lease_until < at)


def _due_to_deliver(at: datetime) -> tuple[ColumnElement[bool], ...]:
    return (ChannelUpdate.state.in_((UpdateState.HELD, UpdateState.OWED)), ChannelUpdate.due_at <= at, _free(at))


def _due_to_look_up(at: datetime) -> tuple[ColumnElement[bool], ...]:
    states = (UpdateState.SENT, UpdateState.UNKNOWN)
    return (ChannelUpdate.state.in_(states), ChannelUpdate.look_again_at <= at, _free(at))


def claim_due(store_id: int, kind: str, owner: str) -> tuple[Store, list[ChannelUpdate]] | None:
    """Lease a batch of what is to be delivered; None where nothing is due, another has it, or the store is paused.

    One that is found with an expired lease had a worker that died: whether it was sent is unknown, so it is looked up
    first instead of claimed.
    """
    claimed = _claim(store_id, kind, _due_to_deliver(now()))
    if claimed is None:
        return None
    store, rows = claimed
    fresh = []
    for row in rows:
        if row.lease_owner is not None:
            row.state, row.look_again_at = UpdateState.UNKNOWN, now()
            row.problem = AnswerLost().stored()
            row.lease_owner = row.lease_until = None
        else:
            row.state, row.lease_owner, row.lease_until = UpdateState.OWED, owner, now() + leases.LEASE
            row.attempts += 1
            fresh.append(row)
    db.session.flush()
    return store, fresh


def claim_to_look_up(store_id: int, kind: str, owner: str) -> tuple[Store, list[ChannelUpdate]] | None:
    """Lease a batch of those whose effect is to be looked up."""
    claimed = _claim(store_id, kind, _due_to_look_up(now()))
    if claimed is None:
        return None
    for row in claimed[1]:
        row.lease_owner, row.lease_until = owner, now() + leases.LEASE
    db.session.flush()
    return claimed


def _claim(
    store_id: int, kind: str, conditions: Sequence[ColumnElement[bool]]
) -> tuple[Store, list[ChannelUpdate]] | None:
    store = db.session.get(Store, store_id)
    if store is None or not store.active or store.problem is not None:
        return None
    query = (
        select(ChannelUpdate)
        .where(ChannelUpdate.store_id == store_id, ChannelUpdate.kind == kind, *conditions)
        .order_by(ChannelUpdate.deadline, ChannelUpdate.id)
        .limit(kind_of(store, kind).batch)
        .with_for_update(skip_locked=True)
    )
    rows = list(db.session.scalars(query))
    return (store, rows) if rows else None


def as_updates(rows: Sequence[ChannelUpdate]) -> list[Update]:
    """The rows as the channel gets them."""
    orders = {
        order.id: order for order in db.session.scalars(select(Order).where(Order.id.in_({r.order_id for r in rows})))
    }
    return [
        Update(
            id=row.id,
            kind=row.kind,
            order_number=orders[row.order_id].channel_order_number,
            marketplace=orders[row.order_id].marketplace,
            reference=row.reference,
            payload=row.payload,
            handle=row.handle,
            attempts=row.attempts,
        )
        for row in rows
    ]


def settle(outcomes: Mapping[int, Outcome], owner: str) -> int | None:
    """Write what became of claimed updates; returns their store, None where the lease of all was lost.

    Rows that somebody else settled or claimed meanwhile are left alone: under their locks, the lease must still be the
    `owner`'s. Orders are locked before their updates, as whoever takes in a page does.
    """
    concerned = select(ChannelUpdate.order_id).where(ChannelUpdate.id.in_(list(outcomes)))
    db.session.execute(select(Order.id).where(Order.id.in_(concerned)).order_by(Order.id).with_for_update())
    store_id = None
    query = select(ChannelUpdate).where(ChannelUpdate.id.in_(list(outcomes))).order_by(ChannelUpdate.id)
    for row in db.session.scalars(query.with_for_update().execution_options(populate_existing=True)):
        if row.lease_owner == owner:
            store_id = row.store_id
            _settle_one(row, outcomes[row.id])
    db.session.flush()
    return store_id


def _settle_one(row: ChannelUpdate, outcome: Outcome) -> None:
    at = now()
    row.lease_owner = row.lease_until = None
    match outcome:
        case Effective(done_elsewhere=elsewhere):
            _take_effect(row, UpdateState.DONE_ELSEWHERE if elsewhere else UpdateState.EFFECTIVE)
        case Sent(handle=handle):
            first = row.sent_at is None
            row.state, row.handle, row.sent_at = UpdateState.SENT, handle or row.handle, row.sent_at or at
            looks = 0 if first else 1 + sum(1 for step in _LOOK_AGAIN if (at - row.sent_at).total_seconds() >= step)
            pause = kind_of(row.store, row.kind).look_after if first else _LOOK_AGAIN[min(looks, len(_LOOK_AGAIN)) - 1]
            row.look_again_at = at + timedelta(seconds=pause)
            unseen = at - row.sent_at >= _UNSEEN_AFTER
            if first:
                _tell(row, "update_sent")
            elif unseen and row.problem != NotShown().stored():
                _tell(row, "update_unseen", trouble="update_unseen")
            row.problem = NotShown().stored() if unseen else None
        case Refused(sentence=sentence, cause=cause):
            row.state, row.refused_at, row.look_again_at = UpdateState.REFUSED, at, None
            row.problem = dict(cause) if cause else ChannelSaid(sentence=sentence).stored()
            _tell(row, "update_refused", trouble="update_refused")
        case Unknown():
            row.state, row.look_again_at = UpdateState.UNKNOWN, at + timedelta(seconds=2)
            row.problem = AnswerLost().stored()
        case NotYet(seconds=seconds, problem=problem, cause=cause, denial=denial):
            pause = seconds or _RETRY[min(row.attempts, len(_RETRY)) - 1]
            stored = dict(cause) if cause else ChannelSaid(sentence=problem).stored() if problem else None
            news = denial is not None and not denied(row)
            row.problem = stored or row.problem
            if (row.sent_at is not None and row.state == UpdateState.SENT) or (
                row.state == UpdateState.UNKNOWN and stored
            ):
                row.look_again_at = at + timedelta(seconds=pause)
            else:
                _owe_again(row, at + timedelta(seconds=pause if row.attempts > 1 else seconds))
                if news:
                    _tell(row, "update_denied", trouble="update_denied")
    live.publish("orders", [row.order_id])


def _owe_again(row: ChannelUpdate, due_at: datetime) -> None:
    """What did not happen is sent again: nothing counts from when it was taken before."""
    row.state, row.due_at, row.look_again_at = UpdateState.OWED, due_at, None
    row.sent_at = row.handle = None


def _take_effect(row: ChannelUpdate, state: UpdateState) -> None:
    row.state, row.effective_at, row.look_again_at, row.problem = state, now(), None, None
    row.sent_at = row.sent_at or row.effective_at
    row.lease_owner = row.lease_until = None
    _tell(row, "update_effective" if state is UpdateState.EFFECTIVE else "update_elsewhere")


def _tell(row: ChannelUpdate, code: str, *, trouble: str = "") -> None:
    order = db.session.scalars(select(Order).where(Order.id == row.order_id).with_for_update(of=Order)).one()
    if trouble:
        raise_attention(order, trouble, of=row.id, problem=row.problem)
    elif code == "update_sent":
        settle_attention(order, "update_denied", of=row.id)
    else:
        _settle_troubles(order, row)
    record(order, code, actor=Actor.channel(row.store_id), cause="update", values={"kind": row.kind})


def _settle_troubles(order: Order, row: ChannelUpdate) -> None:
    for trouble in ("update_refused", "update_unseen", "update_denied"):
        settle_attention(order, trouble, of=row.id)


def settle_by_reading(readings: Mapping[int, IncomingOrder]) -> None:
    """A shipment confirmation, even a refused one, is effective when a reading of the order shows its package."""
    shown = {order_id: order for order_id, order in readings.items() if order.packages}
    if not shown:
        return
    query = select(ChannelUpdate).where(
        ChannelUpdate.order_id.in_(list(shown)), ChannelUpdate.kind == SHIPMENT, ChannelUpdate.state.in_(OPEN)
    )
    for row in db.session.scalars(query.order_by(ChannelUpdate.id).with_for_update()):
        number = row.payload["package"]["tracking_number"]
        packages = {package.number: package.tracking_number for package in shown[row.order_id].packages}
        if packages.get(row.reference) == number:
            waited = row.state != UpdateState.SENT
            _take_effect(row, UpdateState.EFFECTIVE)
            if waited:
                _tell_no_more(row, row.order)


def retry(update: ChannelUpdate, *, actor: Actor) -> None:
    """Send a refused or unknown update again; an unknown one is looked up first."""
    order = _locked(update, actor)
    if not retriable(update):
        raise NotRetriable(state=update.state)
    if update.state != UpdateState.UNKNOWN:
        update.refused_at = None
        _owe_again(update, now())
    else:
        update.look_again_at = now()
    _settle_troubles(order, update)
    record(order, "update_retried", actor=actor, values={"kind": update.kind})


def close(update: ChannelUpdate, *, actor: Actor) -> None:
    """Leave it at that: the update is never sent again, and why the channel refused it stays."""
    order = _locked(update, actor)
    if not closable(update):
        raise NotClosable(state=update.state)
    if update.state == UpdateState.UNKNOWN:
        update.problem = None  # it says that the desk looks what happened
    update.state, update.look_again_at = UpdateState.WITHDRAWN, None
    update.lease_owner = update.lease_until = None
    _settle_troubles(order, update)
    record(order, "update_closed", actor=actor, values={"kind": update.kind})
    audit("update_closed", actor=actor, update=update.id, order=order.id)
    _tell_no_more(update, order)


def _tell_no_more(row: ChannelUpdate, order: Order) -> None:
    """Lift what was denied of an update that waits no longer."""
    db.session.flush()
    denials.no_longer_owed(row.store_id, row.kind, order.channel_order_number)


def retriable(update: ChannelUpdate) -> bool:
    """Whether it can be sent again: one that the channel denies would be, hours later."""
    waits = update.state == UpdateState.OWED and update.lease_owner is None and denied(update)
    return waits or update.state in (UpdateState.REFUSED, UpdateState.UNKNOWN)


def denied(update: ChannelUpdate) -> bool:
    """Whether it waits because the channel denies the account this."""
    kind = class_of(update.problem)
    return kind is not None and issubclass(kind, Denied)


def closable(update: ChannelUpdate) -> bool:
    """Whether it can be closed: one that can be sent again, or that the channel took and never showed."""
    unseen = update.state == UpdateState.SENT and update.problem == NotShown().stored()
    return unseen or retriable(update)


def _locked(update: ChannelUpdate, actor: Actor) -> Order:
    """The order, locked, then the update, as it is now: somebody may have acted on it at the same moment."""
    actor.needs("updates.retry")
    query = visible(actor).where(Order.id == update.order_id).with_for_update(of=Order)
    order = db.session.scalars(query.execution_options(populate_existing=True)).one()
    db.session.refresh(update, with_for_update={"of": ChannelUpdate})
    return order


def find_update(update_id: int, actor: Actor) -> ChannelUpdate:
    """An update of an order that the actor may see."""
    row = db.session.get(ChannelUpdate, update_id) if 0 < update_id < 2**31 else None  # no database counts further
    if row is None or db.session.scalar(visible(actor).where(Order.id == row.order_id)) is None:
        raise NotFound(name=update_id)
    return row


def list_updates(
    actor: Actor,
    *,
    order: Order | None = None,
    state: str | None = None,
    kind: str | None = None,
    store_id: int | None = None,
    since_version: int | None = None,
    limit: int = 200,
) -> list[ChannelUpdate]:
    """Updates of orders that the actor may see, newest first."""
    query = select(ChannelUpdate).options(joinedload(ChannelUpdate.order))
    query = query.where(ChannelUpdate.order_id.in_(visible(actor).with_only_columns(Order.id)))
    for column, value in (
        (ChannelUpdate.order_id, order.id if order else None),
        (ChannelUpdate.state, state),
        (ChannelUpdate.kind, kind),
        (ChannelUpdate.store_id, store_id),
    ):
        if value is not None:
            query = query.where(column == value)
    if since_version is not None:
        query = query.where(ChannelUpdate.order_version > since_version)
    return list(db.session.scalars(query.order_by(ChannelUpdate.id.desc()).limit(limit)))
