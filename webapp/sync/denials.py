"""What a channel denies a store while its credentials are good: kept with its day, left out, and tried again.

A denied marketplace is left out of the windows; by itself it is tried every six hours, beginning with its open orders,
since they are the ones to ship. What else changed there meanwhile is found by the proof (`proving`), which begins again
where the denial did. A denied data set is missing on its orders until the channel tells it again. Denied operations and
orders wait with their update or run. Only `Disconnected` stops a store.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, case, delete, select, update

from webapp import live
from webapp.channels.contract import (
    DENIED_FOR,
    Connection,
    Denial,
    Denied,
    DeniedThing,
    NothingLearned,
    NotYet,
    OrdersPage,
    Outcome,
    Unknown,
    Update,
)
from webapp.channels.models import Store
from webapp.channels.registered import channels
from webapp.clock import now
from webapp.db import any_row, db, insert_into
from webapp.orders.models import Order
from webapp.sync import proving
from webapp.sync.models import StoreDenial
from webapp.updates.contract import UpdateSettled
from webapp.updates.models import ChannelUpdate, UpdateState

ORDERS, ORDER, CONNECTING = "orders", "order", "connecting"  # the work in which something was denied, beside updates


def note(store_id: int, work: str, denial: Denial, *, low: datetime | None = None) -> None:
    """Keep that something is denied; since when stays as it was, and `low` is since when orders may be missed."""
    at = now()
    key = {"store_id": store_id, "work": work, "thing": denial.thing, "name": denial.name}
    again_at = at + timedelta(seconds=DENIED_FOR)
    news: dict[str, Any] = {"problem": dict(denial.problem) or None, "again_at": again_at, "page_token": None}
    low = low and proving.since(store_id, low)
    new = insert_into(StoreDenial).values(**key, **news, since=at, low=low)
    if denial.thing == DeniedThing.DATA:  # every page tells of data that were not asked for
        news["again_at"] = case((StoreDenial.again_at > at, StoreDenial.again_at), else_=again_at)
    # One statement, which also locks the row: two workers may meet a denial at once, and a third may lift it.
    kept = new.on_conflict_do_update(index_elements=list(key), set_=news).returning(StoreDenial)
    db.session.scalars(select(StoreDenial).from_statement(kept).execution_options(populate_existing=True)).one()
    live.publish("stores", [store_id])
    if denial.thing == DeniedThing.OPERATION and work != ORDER:  # those in which it showed are not denied themselves
        _lift(store_id, work, DeniedThing.ORDER)
    db.session.flush()


def worked(store_id: int, work: str, *, orders: Sequence[str] = ()) -> None:
    """Something of this work was done: its operation is not denied, and neither are these orders."""
    _lift(store_id, work, DeniedThing.OPERATION)
    if orders:
        _lift(store_id, work, DeniedThing.ORDER, orders)


def no_longer_owed(updates: Sequence[UpdateSettled]) -> None:
    """Updates are no longer owed: after the last that waits, nobody would find out what is still denied."""
    stores = sorted({update.store_id for update in updates})
    denied = select(StoreDenial.store_id, StoreDenial.work).where(StoreDenial.store_id.in_(stores))
    found = {(store_id, work) for store_id, work in db.session.execute(denied.distinct())}
    for store_id, work in sorted(found & {(one.store_id, one.kind) for one in updates}):
        orders = [one.order_id for one in updates if (one.store_id, one.kind) == (store_id, work)]
        numbers = db.session.scalars(select(Order.channel_order_number).where(Order.id.in_(orders)))
        _lift(store_id, work, DeniedThing.ORDER, list(numbers))
        waiting = (ChannelUpdate.store_id == store_id, ChannelUpdate.kind == work)
        if not any_row(ChannelUpdate, *waiting, ChannelUpdate.state == UpdateState.OWED):
            _lift(store_id, work, DeniedThing.OPERATION)


def page_read(store_id: int, page: OrdersPage, low: datetime) -> None:
    """Keep what a page had to do without; data that the channel tells again was missed since its denial began."""
    known = {row.name for row in db.session.scalars(_rows(store_id, ORDERS, DeniedThing.MARKETPLACE))}
    for denial in page.denied:
        if denial.thing != DeniedThing.MARKETPLACE or denial.name not in known:
            note(store_id, ORDERS, denial, low=low)
    if page.bound is None:  # nothing was read: it only says how the window goes on
        return
    worked(store_id, ORDERS)
    missing = {denial.name for denial in page.denied if denial.thing == DeniedThing.DATA}
    readable_again = _rows(store_id, ORDERS, DeniedThing.DATA).where(StoreDenial.name.not_in(missing))
    for row in db.session.scalars(readable_again).all():
        lift(row)


def delivered(store_id: int, work: str, updates: Sequence[Update], outcomes: Mapping[int, Outcome]) -> None:
    """Keep what was denied while these updates were delivered or looked up, and that the others were not."""
    done = []
    for one in updates:
        match outcomes[one.id]:
            case NotYet(denial=Denial() as denial) | NothingLearned(denial=Denial() as denial):
                note(store_id, work, denial)
            case NotYet() | NothingLearned() | Unknown():  # it says nothing of what is denied
                pass
            case _:
                done.append(one.order_number)
    if done:
        worked(store_id, work, orders=done)


def lift(row: StoreDenial) -> None:
    """It is no longer denied; what it made the desk miss is read again."""
    if row.low is not None:
        proving.begin(row.store_id, row.low)
    live.publish("stores", [row.store_id])
    db.session.delete(row)
    db.session.flush()


def denial_of(row: StoreDenial) -> Denial:
    """A kept denial as channels tell of it."""
    return Denial(DeniedThing(row.thing), row.name, row.problem or {})


def left_out(store_id: int) -> tuple[str, ...]:
    """The marketplaces that windows do without."""
    return tuple(row.name for row in db.session.scalars(_rows(store_id, ORDERS, DeniedThing.MARKETPLACE)))


def due_marketplace(store_id: int) -> StoreDenial | None:
    """A denied marketplace that is to be tried again now."""
    due = _rows(store_id, ORDERS, DeniedThing.MARKETPLACE).where(StoreDenial.again_at <= now())
    return db.session.scalar(due.order_by(StoreDenial.again_at).limit(1))


def due_orders() -> list[tuple[int, str]]:
    """Stores and orders that were denied and are to be asked for again now. Stores that can't be asked wait."""
    query = select(StoreDenial.store_id, StoreDenial.name).join(Store, Store.id == StoreDenial.store_id)
    query = query.where(Store.active, Store.problem.is_(None), Store.channel.in_(channels()))
    due = (StoreDenial.work == ORDER, StoreDenial.thing == DeniedThing.ORDER, StoreDenial.again_at <= now())
    return [(store_id, number) for store_id, number in db.session.execute(query.where(*due))]


def try_order(store_id: int, number: str) -> None:
    """An order is asked for now: if it is denied, the next try comes as late as after a denial, whatever becomes of
    this one.
    """
    tried = update(StoreDenial).where(StoreDenial.store_id == store_id, StoreDenial.work == ORDER)
    tried = tried.where(StoreDenial.thing == DeniedThing.ORDER, StoreDenial.name == number)
    db.session.execute(tried.values(again_at=now() + timedelta(seconds=DENIED_FOR)))


def marketplace(store_id: int, name: str) -> StoreDenial | None:
    """The denial of a marketplace; None where it was lifted."""
    return db.session.scalar(_rows(store_id, ORDERS, DeniedThing.MARKETPLACE).where(StoreDenial.name == name))


def connected(store_id: int, connection: Connection) -> None:
    """Somebody asked whether the credentials work: if so, whatever is denied is tried at once."""
    if isinstance(connection.problem, Denied):
        note(store_id, CONNECTING, connection.problem.denial)
    elif connection.ok:
        worked(store_id, CONNECTING)
        try_now(store_id)


def try_now(store_id: int) -> None:
    """Try whatever is denied at once: the credentials are new, or somebody asked whether they work."""
    at = now()
    db.session.execute(update(StoreDenial).where(StoreDenial.store_id == store_id).values(again_at=at))
    waiting = update(ChannelUpdate).where(ChannelUpdate.store_id == store_id)
    db.session.execute(waiting.where(ChannelUpdate.state == UpdateState.OWED).values(due_at=at))
    unsure = waiting.where(ChannelUpdate.state == UpdateState.UNKNOWN)
    db.session.execute(unsure.values(look_again_at=at))


def _lift(store_id: int, work: str, thing: DeniedThing, names: Sequence[str] = ()) -> None:
    gone = delete(StoreDenial).where(
        StoreDenial.store_id == store_id, StoreDenial.work == work, StoreDenial.thing == thing
    )
    if names:
        gone = gone.where(StoreDenial.name.in_(names))
    if db.session.scalars(gone.returning(StoreDenial.id)).all():
        live.publish("stores", [store_id])


def _rows(store_id: int, work: str, thing: DeniedThing) -> Select[StoreDenial]:
    return select(StoreDenial).where(
        StoreDenial.store_id == store_id, StoreDenial.work == work, StoreDenial.thing == thing
    )
