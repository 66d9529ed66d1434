"""Reading single orders again before they leave, if what is known of them is older than their store allows.

What is known of an order is as old as its last reading, or as the last complete reading of its store's changes, which
would have shown a change. Only orders that could leave now are read, and no store that is paused, disconnected or
archived is asked.
"""

import time
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import and_, case, or_, select

from webapp.audit.actor import Actor
from webapp.channels.connecting import DeniedThing
from webapp.channels.incoming import FulfilledBy
from webapp.channels.models import ChannelOrder, Store
from webapp.clock import now
from webapp.db import among, db, unit_of_work
from webapp.i18n import lazy_gettext as _l
from webapp.orders import freshness
from webapp.orders.freshness import OldOrder
from webapp.orders.models import Order
from webapp.orders.states import OrderState
from webapp.settings.declared import STORE, Setting, SettingsGroup
from webapp.sync import denials, runs
from webapp.sync.jobs import READ_SINGLY, fetch_order, import_orders
from webapp.sync.models import QuarantinedOrder, StoreDenial, SyncWindow, WindowKind

AGE = Setting(
    name="reread_after",
    label=_l("Minutes after which an order is reloaded before it ships"),
    default=10,
    minimum=0,
    maximum=1440,
    help=_l(
        "Before an order ships or its packing slip is printed, Waybill reloads the order if its store was "
        "not synced for so long, because the order may have been canceled. 0: each time."
    ),
)
SETTINGS = SettingsGroup("leaving", _l("Before an order ships"), (AGE,), scope=STORE)
_LOOK = 0.1  # seconds between two looks


def wait_for(order_ids: Collection[int]) -> bool:
    """Have the orders with too old facts read by workers, and wait a moment for the answers. Returns whether all came.
    Called by pages and commands outside any transaction.
    """
    asked_at, until = now(), time.monotonic() + freshness.PATIENCE.total_seconds()
    old = too_old(order_ids, asked_at)
    if not old:
        return True
    db.session.rollback()
    read(old)
    while time.monotonic() < until and (old := too_old(order_ids, asked_at)):
        db.session.rollback()
        time.sleep(_LOOK)
    db.session.rollback()
    return not old


def read(old: Sequence[OldOrder]) -> None:
    """Have these orders read by workers. Of very many of a store, the changes are read next instead, with one call for
    a hundred. Called outside any transaction.
    """
    counts = Counter(store_id for store_id, _number in old)
    for store_id, number in old:
        if counts[store_id] <= READ_SINGLY:
            fetch_order.enqueue(store_id, number)
    for store_id, count in sorted(counts.items()):
        if count > READ_SINGLY:
            with unit_of_work():
                runs.start(db.session.get_one(Store, store_id), actor=Actor.job("sync"))
                import_orders.enqueue(store_id)


def too_old(order_ids: Collection[int], at: datetime) -> Sequence[OldOrder]:
    """Those of the orders whose facts were too old at that time."""
    of_order = (StoreDenial.work == denials.ORDER, StoreDenial.name == ChannelOrder.number)
    of_marketplace = (
        StoreDenial.work == denials.ORDERS,
        StoreDenial.thing == DeniedThing.MARKETPLACE,
        StoreDenial.name == ChannelOrder.marketplace,
    )
    denied = select(StoreDenial.id).where(StoreDenial.store_id == Order.store_id)
    unreadable = select(QuarantinedOrder.id).where(
        QuarantinedOrder.store_id == Order.store_id, QuarantinedOrder.number == ChannelOrder.number
    )
    unseen = or_(denied.where(*of_marketplace).exists(), unreadable.exists())  # changes read don't show these orders
    changes = and_(SyncWindow.store_id == Order.store_id, SyncWindow.kind == WindowKind.CHANGES)
    known_at = case(
        (and_(SyncWindow.cursor > ChannelOrder.seen_at, ~unseen), SyncWindow.cursor), else_=ChannelOrder.seen_at
    )
    query = (
        select(Store.id, ChannelOrder.number, known_at.label("known_at"))
        .select_from(Order)
        .join(ChannelOrder, ChannelOrder.id == Order.channel_order_id)
        .join(Store, Store.id == Order.store_id)
        .outerjoin(SyncWindow, changes)
        .where(among(Order.id, list(order_ids)), Order.unshipped > 0, Order.state == OrderState.PROCESSING)
        .where(Order.fulfilled_by == FulfilledBy.MERCHANT, ~Order.on_hold, ~Order.canceling)
        .where(Store.active, Store.problem.is_(None), Store.archived_at.is_(None), ~denied.where(*of_order).exists())
        .order_by(Order.id)
    )
    found = db.session.execute(query).all() if order_ids else []
    return [OldOrder(row.id, row.number) for row in found if row.known_at < at - timedelta(minutes=AGE.of(row))]


class _Reader:
    too_old = staticmethod(too_old)
    read = staticmethod(read)


freshness.read_by(_Reader())
