"""Reading single orders again before they leave, if what is known of them is older than their store allows.

What is known of an order is as old as its last reading, or as the last complete reading of its store's changes, which
would have shown a change. A store that is paused, disconnected or archived is not asked.
"""

import time
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import and_, case, select

from webapp.audit.actor import Actor
from webapp.channels.contract import DeniedThing
from webapp.channels.models import ChannelOrder, Store
from webapp.clock import now
from webapp.db import among, db, unit_of_work
from webapp.i18n import lazy_gettext as _l
from webapp.orders import freshness
from webapp.orders.models import Order
from webapp.settings.declared import STORE, Setting, SettingsGroup
from webapp.sync import denials, runs
from webapp.sync.jobs import READ_SINGLY, fetch_order, import_orders
from webapp.sync.models import StoreDenial, SyncWindow, WindowKind

AGE = Setting(
    name="reread_after",
    label=_l("Minutes after which an order is read again before it leaves"),
    default=10,
    minimum=0,
    maximum=1440,
    help=_l(
        "An order that ships, or whose packing slip is printed, is read again first if nothing was read of its store "
        "for so long: it may be canceled meanwhile. 0: each time."
    ),
)
SETTINGS = SettingsGroup("leaving", _l("Before an order leaves"), (AGE,), scope=STORE)
WAIT = 3.0  # seconds that a page or a run waits for the answers
_LOOK = 0.1  # seconds between two looks


def wait_for(order_ids: Collection[int]) -> None:
    """Have the orders with too old facts read by workers, and wait a moment for the answers; called by pages and
    commands outside any transaction.
    """
    asked_at, until = now(), time.monotonic() + WAIT
    if not _old(order_ids, asked_at):
        return
    with unit_of_work():
        ask_for(order_ids)
    while time.monotonic() < until and _old(order_ids, asked_at):
        db.session.rollback()
        time.sleep(_LOOK)
    db.session.rollback()


def ask_for(order_ids: Collection[int]) -> float:
    """Have the orders with too old facts read by workers, in the open unit of work. Of very many of a store, the
    changes are read next instead, with one call for a hundred. Returns the seconds to wait for the answers.
    """
    old = _old(order_ids, now())
    counts = Counter(store_id for store_id, _number in old)
    for store_id, number in old:
        if counts[store_id] <= READ_SINGLY:
            fetch_order.enqueue(store_id, number)
    for store_id, count in counts.items():
        if count > READ_SINGLY:
            runs.start(db.session.get_one(Store, store_id), actor=Actor.job("sync"))
            import_orders.enqueue(store_id)
    return WAIT if old else 0.0


freshness.asked_by(ask_for)


def _old(order_ids: Collection[int], at: datetime) -> Sequence[tuple[int, str]]:
    """The stores and numbers of the orders whose facts were too old at that time."""
    changes = and_(SyncWindow.store_id == Order.store_id, SyncWindow.kind == WindowKind.CHANGES)
    denied = select(StoreDenial.id).where(
        StoreDenial.store_id == Order.store_id,
        StoreDenial.work == denials.ORDERS,
        StoreDenial.thing == DeniedThing.MARKETPLACE,
        StoreDenial.name == ChannelOrder.marketplace,
    )
    changes_show = and_(SyncWindow.cursor.is_not(None), ~denied.exists())
    known_at = case(
        (and_(changes_show, SyncWindow.cursor > ChannelOrder.seen_at), SyncWindow.cursor), else_=ChannelOrder.seen_at
    )
    query = (
        select(Store.id, ChannelOrder.number, known_at.label("known_at"))
        .select_from(Order)
        .join(ChannelOrder, ChannelOrder.id == Order.channel_order_id)
        .join(Store, Store.id == Order.store_id)
        .outerjoin(SyncWindow, changes)
        .where(among(Order.id, list(order_ids)), Order.unshipped > 0)
        .where(Store.active, Store.problem.is_(None), Store.archived_at.is_(None))
        .order_by(Order.id)
    )
    found = db.session.execute(query).all() if order_ids else []
    return [(row.id, row.number) for row in found if row.known_at < at - timedelta(minutes=AGE.of(row))]
