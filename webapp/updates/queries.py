"""Reading updates: those of orders that an actor may see, and those of an order that are under way."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, or_, select, text
from sqlalchemy.orm import aliased, joinedload

from webapp.audit.actor import Actor
from webapp.channels.connecting import Denied
from webapp.channels.described import kind_label, seconds_until
from webapp.channels.models import Store
from webapp.channels.registered import channels
from webapp.channels.services import account_of, stores_of_account
from webapp.clock import now
from webapp.db import among, any_row, db, once_a_transaction
from webapp.errors import DeskError, NotFound, Refusal, class_of, sentence_of
from webapp.hooks.fence import PluginFailed
from webapp.i18n import lazy_gettext as _l
from webapp.orders.models import Order
from webapp.orders.queries import visible
from webapp.updates.kinds import carried, kinds
from webapp.updates.models import OPEN, OPEN_UPDATES, UNSETTLED, WAITING, ChannelUpdate, UpdateState

UNSEEN_AFTER = timedelta(hours=24)  # for kinds that no channel carries any more
AT_ONCE = timedelta(seconds=5)  # an earlier time is not worth showing


class NotShown(DeskError):
    """Stored by its code; an earlier version set it after a day, whatever the kind."""

    code = "not_shown"
    sentence = _l(
        "The channel accepted this update long ago and does not show it yet. Check the order on the channel's own page."
    )


class UpdatesUnsettled(Refusal):
    """The channel has yet to get the update, or to show its effect."""

    code = "updates_unsettled"
    sentence = _l("The channel has not confirmed every update of this order yet.")


class UpdateRefused(Refusal):
    """The channel has yet to get the update, and a person has to see to it."""

    code = "update_refused"
    sentence = _l("The channel refused an update of this order. First send the update again or close it.")


def unconfirmed(order_ids: Sequence[int]) -> dict[int, Refusal]:
    """Those of the orders with an update that the channel has not confirmed, each with the reason."""
    query = select(ChannelUpdate.order_id, ChannelUpdate.state).where(ChannelUpdate.order_id.in_(order_ids))
    found = db.session.execute(query.where(ChannelUpdate.state.in_(OPEN)).distinct()).all()
    refused = {order_id for order_id, state in found if state == UpdateState.REFUSED}
    return {order_id: UpdateRefused() if order_id in refused else UpdatesUnsettled() for order_id, _ in found}


def under_way(order_ids: Sequence[int]) -> dict[int, Refusal]:
    """Those of the orders with an update under way: one that will still be sent by itself, to a store that can be
    asked.

    An update that was refused, is denied, or was never shown waits for a person, who needs no buyer data.
    """
    query = select(ChannelUpdate).join(Store).options(joinedload(ChannelUpdate.store))
    query = query.where(among(ChannelUpdate.order_id, order_ids), *askable(), ChannelUpdate.state.in_(UNSETTLED))
    found = db.session.scalars(query)
    return {row.order_id: UpdatesUnsettled() for row in found if not (denied(row) or unseen(row) or undecided(row))}


def askable() -> tuple[ColumnElement[bool], ...]:
    """Of stores that can be asked."""
    return Store.active.is_(True), Store.problem.is_(None), Store.channel.in_(channels())


def newer_revision() -> ColumnElement[bool]:
    """Whether there is a later revision, in any state."""
    return _later().exists()


def corrected() -> ColumnElement[bool]:
    """Whether a later revision replaced the update. A withdrawn one did not: it never left, and the update that it
    corrects ends when the correction leaves.
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
    """Whether the update waits because the channel denies the account this operation."""
    kind = class_of(update.problem)
    return kind is not None and issubclass(kind, Denied)


def unseen(update: ChannelUpdate) -> bool:
    """Whether the channel took the update so long ago that its effect should be visible by now."""
    if update.state not in (UpdateState.SENT, UpdateState.ACCEPTED) or update.sent_at is None:
        return False
    return now() - update.sent_at >= unseen_after(update)


def unseen_after(update: ChannelUpdate) -> timedelta:
    """How long the effect of this kind may stay invisible at its channel before a person should look."""
    carriage = carried(update.store).get(update.kind)
    return timedelta(seconds=carriage.unseen_after) if carriage else UNSEEN_AFTER


def provable(update: ChannelUpdate) -> bool:
    """Whether the result can be looked up: by its effect, or by the channel's handle."""
    kind = kinds().get(update.kind)
    return update.handle is not None or kind is None or kind.provable


def any_waiting(kind: str, order_ids: Sequence[int]) -> bool:
    """Whether an update of this kind and of one of these orders certainly has not left; see `never_left`."""
    return any_row(
        ChannelUpdate,
        among(ChannelUpdate.order_id, order_ids),
        ChannelUpdate.kind == kind,
        ChannelUpdate.state.in_(WAITING),
        ChannelUpdate.attempts == 0,
        ChannelUpdate.lease_owner.is_(None),
        ChannelUpdate.look_from.is_(None),
    )


def undecided(update: ChannelUpdate) -> bool:
    """Whether nobody can find out the result: a person decides."""
    return update.state == UpdateState.UNKNOWN and not provable(update)


class StorePaused(DeskError):
    code = "store_paused"
    sentence = _l("This update waits until its store is activated.")


class LaneBusy(DeskError):
    code = "lane_busy"
    sentence = _l("This update waits until “%(kind)s” of this account has finished.")


def why_it_waits(update: ChannelUpdate) -> str | None:
    """Why the update is not sent now, in the reader's language; None if it can be sent."""
    if update.state not in WAITING:
        return None
    return why_nothing_goes(update.store) or _behind(update)


def why_nothing_goes(store: Store) -> str | None:
    """Why the store sends nothing until a person acts, in the reader's language: it is paused, disconnected, or
    read-only. None if it sends.
    """
    return sentence_of(store.problem or store.read_only) if store.active else str(StorePaused())


def goes_at(update: ChannelUpdate) -> datetime | None:
    """When a waiting update is sent, if not at once, as far as its channel knows. None while its store sends nothing:
    nobody knows when that ends.
    """
    if update.state in WAITING and why_nothing_goes(update.store) is not None:
        return None
    if update.state == UpdateState.HELD:
        return update.due_at
    if update.state != UpdateState.OWED or update.lease_owner is not None:
        return None
    store, lane, urgent = update.store, update.lane, update.urgent
    name = f"goes {store.id} {lane} {urgent}"
    at = once_a_transaction(name, lambda: now() + timedelta(seconds=seconds_until(store, lane, urgent=urgent)))
    soonest = max(at, update.due_at)
    return soonest if soonest - now() > AT_ONCE else None


def keeping_the_lane(store: Store, lane: str) -> Select[str]:
    """The kinds of the updates that are under way in a lane of the store's account, or may be: a worker has them, or
    had them when it died, or they are unknown without a handle. While there is one, an exclusive lane sends nothing
    else.
    """
    mine = (ChannelUpdate.store_id.in_(stores_of_account(store)), ChannelUpdate.lane == lane)
    return select(ChannelUpdate.kind).where(*mine, _keeps_its_lane()).limit(1)


def _keeps_its_lane() -> ColumnElement[bool]:
    leased = and_(ChannelUpdate.state.in_(WAITING), ChannelUpdate.lease_owner.is_not(None))
    unsure = and_(ChannelUpdate.state == UpdateState.UNKNOWN, ChannelUpdate.handle.is_(None))
    return or_(leased, unsure)


def _kept_lanes() -> dict[tuple[str, str, str], str]:
    """All lanes in which an update is under way, or may be, by channel, account and lane, with the kind of one."""
    keeping = select(ChannelUpdate.store_id, ChannelUpdate.lane, ChannelUpdate.kind)
    kept = keeping.where(text(OPEN_UPDATES), _keeps_its_lane()).distinct().subquery()
    found = db.session.execute(select(Store, kept.c.lane, kept.c.kind).join(kept, Store.id == kept.c.store_id))
    return {(store.channel, account_of(store), lane): kind for store, lane, kind in found}


def _behind(update: ChannelUpdate) -> str | None:
    """The sentence that the update waits for its lane, if it does; asked only for exclusive lanes, and once a page for
    all of them.
    """
    if update.state != UpdateState.OWED or update.lease_owner is not None or update.due_at > now():
        return None
    store = update.store
    try:
        carriage = carried(store).get(update.kind)
    except PluginFailed:
        return None
    if carriage is None or not carriage.exclusive:
        return None
    kind = once_a_transaction("kept lanes", _kept_lanes).get((store.channel, account_of(store), update.lane))
    return str(LaneBusy(kind=kind_label(store.channel, kind))) if kind is not None else None


class UnknownUpdate(NotFound):
    """No update has this id, or none that this person may see."""

    code = "unknown_update"
    sentence = _l("There is no update “%(name)s”.")


def find_update(update_id: int, actor: Actor) -> ChannelUpdate:
    """An update of an order that the actor may see."""
    row = db.session.get(ChannelUpdate, update_id) if 0 < update_id < 2**31 else None  # no database has a higher id
    if row is None or db.session.scalar(visible(actor).where(Order.id == row.order_id)) is None:
        raise UnknownUpdate(name=update_id)
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
