"""Reading updates: those of orders that an actor may see, and what of an order is under way."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.orm import aliased, joinedload

from webapp.audit.actor import Actor
from webapp.channels.contract import Denied
from webapp.channels.described import kind_label
from webapp.channels.models import Store
from webapp.channels.registered import channels
from webapp.channels.services import account_of, stores_of_account
from webapp.clock import now
from webapp.db import among, db, once_a_transaction
from webapp.errors import DeskError, NotFound, Refusal, class_of, sentence_of
from webapp.hooks.fence import PluginFailed
from webapp.i18n import lazy_gettext as _l
from webapp.orders.models import Order
from webapp.orders.queries import visible
from webapp.updates.kinds import carried, kinds
from webapp.updates.models import OPEN, UNSETTLED, WAITING, ChannelUpdate, UpdateState

_UNSEEN_AFTER = timedelta(hours=24)  # for kinds that no channel carries any more


class NotShown(DeskError):
    """Stored by its code; an earlier version kept it after a day, whatever the kind."""

    code = "not_shown"
    sentence = _l("The channel took it long ago and does not show it yet. Look at the order there.")


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
    query = select(ChannelUpdate).join(Store).options(joinedload(ChannelUpdate.store))
    query = query.where(among(ChannelUpdate.order_id, order_ids), *askable(), ChannelUpdate.state.in_(UNSETTLED))
    found = db.session.scalars(query)
    return {row.order_id: UpdatesUnsettled() for row in found if not (denied(row) or unseen(row) or undecided(row))}


def askable() -> tuple[ColumnElement[bool], ...]:
    """Of stores that can be asked."""
    return Store.active.is_(True), Store.problem.is_(None), Store.channel.in_(channels())


def newer_revision() -> ColumnElement[bool]:
    """Whether there is a later revision, whatever became of it."""
    return _later().exists()


def corrected() -> ColumnElement[bool]:
    """Whether a later revision took its place. One that was taken back, or no longer stood, took none: it never left,
    since what it corrects ends when it leaves.
    """
    return _later().where(_LATER.state != UpdateState.WITHDRAWN).exists()


_LATER = aliased(ChannelUpdate)


def _later() -> Select[int]:
    return select(_LATER.id).where(
        _LATER.order_id == ChannelUpdate.order_id,
        _LATER.kind == ChannelUpdate.kind,
        _LATER.reference == ChannelUpdate.reference,
        _LATER.revision > ChannelUpdate.revision,
    )


def denied(update: ChannelUpdate) -> bool:
    """Whether it waits because the channel denies the account this."""
    kind = class_of(update.problem)
    return kind is not None and issubclass(kind, Denied)


def unseen(update: ChannelUpdate) -> bool:
    """Whether the channel took it so long ago that it should show it by now."""
    if update.state not in (UpdateState.SENT, UpdateState.ACCEPTED) or update.sent_at is None:
        return False
    return now() - update.sent_at >= unseen_after(update)


def unseen_after(update: ChannelUpdate) -> timedelta:
    """How long an update of this kind may go unseen at its channel before somebody should look."""
    carriage = carried(update.store).get(update.kind)
    return timedelta(seconds=carriage.unseen_after) if carriage else _UNSEEN_AFTER


def provable(update: ChannelUpdate) -> bool:
    """Whether it can be looked up what became of it: by its effect, or by the channel's handle."""
    kind = kinds().get(update.kind)
    return update.handle is not None or kind is None or kind.provable


def undecided(update: ChannelUpdate) -> bool:
    """Whether nobody can find out what became of it: a person decides."""
    return update.state == UpdateState.UNKNOWN and not provable(update)


class StorePaused(DeskError):
    code = "store_paused"
    sentence = _l("It waits until its store is activated.")


class LaneBusy(DeskError):
    code = "lane_busy"
    sentence = _l("It waits for “%(kind)s” of this account, which is under way.")


def why_it_waits(update: ChannelUpdate) -> str | None:
    """Why it is not sent just now, in the reader's language; None where it can be sent."""
    if update.state not in WAITING:
        return None
    store = update.store
    if not store.active:
        return str(StorePaused())
    return sentence_of(store.problem or store.read_only) or _behind(update)


def keeping_the_lane(store: Store, lane: str) -> Select[str]:
    """The kinds of what is under way in a lane of the store's account, or may be: what a worker has, or had when it
    died, and what is unknown without a handle. An exclusive lane lets nothing else go meanwhile.
    """
    leased = and_(ChannelUpdate.state.in_(WAITING), ChannelUpdate.lease_owner.is_not(None))
    unsure = and_(ChannelUpdate.state == UpdateState.UNKNOWN, ChannelUpdate.handle.is_(None))
    mine = (ChannelUpdate.store_id.in_(stores_of_account(store)), ChannelUpdate.lane == lane)
    return select(ChannelUpdate.kind).where(*mine, or_(leased, unsure)).limit(1)


def _behind(update: ChannelUpdate) -> str | None:
    """That it waits for its lane, where it does; asked once for a page, and never of what goes beside others."""
    if update.state != UpdateState.OWED or update.lease_owner is not None or update.due_at > now():
        return None
    store, lane = update.store, update.lane
    try:
        carriage = carried(store).get(update.kind)
    except PluginFailed:
        return None
    if carriage is None or not carriage.exclusive:
        return None
    name = f"lane {account_of(store)} {store.channel} {lane}"
    kind = once_a_transaction(name, lambda: db.session.scalar(keeping_the_lane(store, lane)))
    return str(LaneBusy(kind=kind_label(store.channel, kind))) if kind is not None else None


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
