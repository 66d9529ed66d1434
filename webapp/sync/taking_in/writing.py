"""Writing a page of orders as sets, table by table, in the open unit of work.

New orders are inserted, changes are applied with one event per order, and orders that another worker wrote at the same
moment count as known. `pages` decides which orders are written; `facts` interprets a reading.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete

from webapp import live
from webapp.channels.models import Store
from webapp.db import db
from webapp.jobs.telling import tell
from webapp.orders.contract import OrdersChange
from webapp.orders.states import OrderState
from webapp.orders.statuses import give_to_new
from webapp.sync.models import QuarantinedOrder
from webapp.sync.settling import settle_by_reading
from webapp.sync.taking_in.known_orders import KnownOrders
from webapp.sync.taking_in.new_orders import NewOrders
from webapp.sync.taking_in.page_rows import PageRows
from webapp.sync.taking_in.prepared import PreparedOrder, known_orders, same_or_stale


@dataclass(slots=True)
class Taken:
    """The result of a page."""

    seen: int = 0
    new: int = 0
    changed: int = 0
    quarantined: int = 0

    def __iadd__(self, other: "Taken") -> "Taken":
        self.seen += other.seen
        self.new += other.new
        self.changed += other.changed
        self.quarantined += other.quarantined
        return self


def write_page(store: Store, numbers: dict[int, list[str]], entries: Sequence[PreparedOrder]) -> Taken:
    """Insert new orders, apply changes; orders that another worker wrote meanwhile count as known."""
    if not entries:
        return Taken()
    page = PageRows(store)
    new_orders, changed_orders = NewOrders(page, numbers), KnownOrders(page)
    by_number = {entry.order.number: entry for entry in entries}
    known = known_orders(store.id, by_number)
    fresh = [entry for number, entry in by_number.items() if number not in known]
    created = new_orders.claim(fresh)
    if len(created) < len(fresh):  # another worker took some of them in at the same moment
        known = known_orders(store.id, by_number)
    changed = [
        (known[number].id, entry)
        for number, entry in by_number.items()
        if number in known
        and number not in created
        and not same_or_stale(known[number], entry.order, entry.fingerprint)
    ]
    new = new_orders.write([entry for entry in fresh if entry.order.number in created], created)
    touched = changed_orders.write(changed)
    page.write()
    here = (QuarantinedOrder.store_id == store.id, QuarantinedOrder.number.in_(list(by_number)))
    db.session.execute(delete(QuarantinedOrder).where(*here))
    settle_by_reading(changed_orders.readings)
    _announce(page, new, touched, changed_orders)
    if status := page.treatment.given_status():
        _give_status(status, new, touched)
    return Taken(new=len(new), changed=len(touched))


def _give_status(status: str, new: list[int], touched: Sequence[OrdersChange]) -> None:
    """Give the store's status to orders that can be worked since this page; rules come first."""
    paid = (change.order_id for change in touched if change.before.get("state") == OrderState.PENDING)
    if ids := [*new, *paid]:
        give_to_new(ids, status)


def _announce(page: PageRows, new: list[int], touched: Sequence[OrdersChange], known: KnownOrders) -> None:
    """Report the facts, as acts do. What happened to an order before it was imported is not reported."""
    first_seen = set(new)
    tell("orders_placed", new)
    tell("orders_imported", new)
    tell("orders_changed", touched)
    tell("units_moved", known.moves)
    tell("amounts_changed", known.charged)
    tell("shipments_created", [one for one in page.elsewhere.made() if one.order_id not in first_seen])
    if new or touched:
        live.publish("orders", [*new, *(change.order_id for change in touched)])
