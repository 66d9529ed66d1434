"""What a channel denies a store whose credentials are good: stored with its date, left out, and tried again.

A denied marketplace is left out of the windows. Every six hours it is tried by itself, its open orders first, since
these must be shipped. Other orders that changed there meanwhile are found by the proof (`proving`), which begins again
at the start of the denial. A denied data set is missing on its orders until the channel gives it again. Denied
operations and orders wait with their update or run. Only `Disconnected` stops a store.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, case, delete, select, update

from webapp import live
from webapp.channels.connecting import DENIED_FOR, Connection, Denial, Denied, DeniedThing
from webapp.channels.incoming import OrdersPage
from webapp.channels.models import Store
from webapp.channels.outgoing import NothingLearned, NotYet, Outcome, Unknown, Update
from webapp.channels.registered import channels
from webapp.clock import now
from webapp.db import any_row, db, insert_into
from webapp.orders.models import Order
from webapp.sync import proving
from webapp.sync.models import StoreDenial
from webapp.updates.contract import UpdateSettled
from webapp.updates.models import ChannelUpdate, UpdateState

ORDERS, ORDER, CONNECTING = "orders", "order", "connecting"  # the work in which something was denied, except updates


def note(store_id: int, work: str, denial: Denial, *, low: datetime | None = None) -> None:
    """Record a denial; the start of one that is recorded already stays. `low` is the time since which orders may be
    missed.
    """
    at = now()
    key = {"store_id": store_id, "work": work, "thing": denial.thing, "name": denial.name}
    again_at = at + timedelta(seconds=DENIED_FOR)
    news: dict[str, Any] = {"problem": dict(denial.problem) or None, "again_at": again_at, "page_token": None}
    low = low and proving.since(store_id, low)
    new = insert_into(StoreDenial).values(**key, **news, since=at, low=low)
    if denial.thing == DeniedThing.DATA:  # every page names data that were not requested
        news["again_at"] = case((StoreDenial.again_at > at, StoreDenial.again_at), else_=again_at)
    # One statement, which also locks the row: two workers may meet a denial at once, and a third may lift it.
    kept = new.on_conflict_do_update(index_elements=list(key), set_=news).returning(StoreDenial)
    db.session.scalars(select(StoreDenial).from_statement(kept).execution_options(populate_existing=True)).one()
    live.publish("stores", [store_id])
    if denial.thing == DeniedThing.OPERATION and work != ORDER:  # it, not its orders, is denied
        _lift(store_id, work, DeniedThing.ORDER)
    db.session.flush()


def worked(store_id: int, work: str, *, orders: Sequence[str] = ()) -> None:
    """Record that this work succeeded: neither its operation nor these orders are denied."""
    _lift(store_id, work, DeniedThing.OPERATION)
    if orders:
        _lift(store_id, work, DeniedThing.ORDER, orders)


def no_longer_owed(updates: Sequence[UpdateSettled]) -> None:
    """Updates are no longer owed: without any that waits, nothing would find out whether the denial still holds."""
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
    """Record what a page had to do without; data that the channel gives again was missed since its denial began."""
    known = {row.name for row in db.session.scalars(_rows(store_id, ORDERS, DeniedThing.MARKETPLACE))}
    for denial in page.denied:
        if denial.thing != DeniedThing.MARKETPLACE or denial.name not in known:
            note(store_id, ORDERS, denial, low=low)
    if page.bound is None:  # nothing was read: the page only tells how to continue the window
        return
    worked(store_id, ORDERS)
    missing = {denial.name for denial in page.denied if denial.thing == DeniedThing.DATA}
    readable_again = _rows(store_id, ORDERS, DeniedThing.DATA).where(StoreDenial.name.not_in(missing))
    for row in db.session.scalars(readable_again).all():
        lift(row)


def delivered(store_id: int, work: str, updates: Sequence[Update], outcomes: Mapping[int, Outcome]) -> None:
    """Record what was denied while these updates were delivered or looked up, and that the others were not."""
    done = []
    for one in updates:
        match outcomes.get(one.id):
            case NotYet(denial=Denial() as denial) | NothingLearned(denial=Denial() as denial):
                note(store_id, work, denial)
            case None | NotYet() | NothingLearned() | Unknown():  # this outcome does not show what is denied
                pass
            case _:
                done.append(one.order_number)
    if done:
        worked(store_id, work, orders=done)


def lift(row: StoreDenial) -> None:
    """Lift a denial; the orders that it made the desk miss are read again."""
    if row.low is not None:
        proving.begin(row.store_id, row.low)
    live.publish("stores", [row.store_id])
    db.session.delete(row)
    db.session.flush()


def denial_of(row: StoreDenial) -> Denial:
    """A stored denial in the form that channels use."""
    return Denial(DeniedThing(row.thing), row.name, row.problem or {})


def left_out(store_id: int) -> tuple[str, ...]:
    """The marketplaces that are denied."""
    return tuple(row.name for row in db.session.scalars(_rows(store_id, ORDERS, DeniedThing.MARKETPLACE)))


def due_marketplace(store_id: int) -> StoreDenial | None:
    """A denied marketplace that is to be tried again now."""
    due = _rows(store_id, ORDERS, DeniedThing.MARKETPLACE).where(StoreDenial.again_at <= now())
    return db.session.scalar(due.order_by(StoreDenial.again_at).limit(1))


def due_orders() -> list[tuple[int, str]]:
    """Stores and orders that were denied and are to be requested again now. Stores that can't be asked wait."""
    query = select(StoreDenial.store_id, StoreDenial.name).join(Store, Store.id == StoreDenial.store_id)
    query = query.where(Store.active, Store.problem.is_(None), Store.channel.in_(channels()))
    due = (StoreDenial.work == ORDER, StoreDenial.thing == DeniedThing.ORDER, StoreDenial.again_at <= now())
    return [(store_id, number) for store_id, number in db.session.execute(query.where(*due))]


def try_order(store_id: int, number: str) -> None:
    """Record that a denied order is requested now: the next try follows as late as after a denial, whatever this one
    yields.
    """
    tried = update(StoreDenial).where(StoreDenial.store_id == store_id, StoreDenial.work == ORDER)
    tried = tried.where(StoreDenial.thing == DeniedThing.ORDER, StoreDenial.name == number)
    db.session.execute(tried.values(again_at=now() + timedelta(seconds=DENIED_FOR)))


def marketplace(store_id: int, name: str) -> StoreDenial | None:
    """The denial of a marketplace; None if there is none any more."""
    return db.session.scalar(_rows(store_id, ORDERS, DeniedThing.MARKETPLACE).where(StoreDenial.name == name))


def connected(store_id: int, connection: Connection) -> None:
    """Somebody asked whether the credentials work: if they do, whatever is denied is tried at once."""
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
