"""The windows in which a store's orders are read, and the stream that reads them.

The first connection reads what is open, then what has changed; each later run reads the changes since, starting a
little before the cursor. A page and its window's progress are one transaction. The cursor moves only with a window's
last page, since the order of results is not guaranteed. Outside the windows, but in the same lane, the desk reads a
marketplace that was denied, and the proof that no order is missing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import and_, or_, select, text

from webapp.audit.actor import Actor
from webapp.channels import calls
from webapp.channels.connecting import ChannelError, Denied, DeniedThing, StoreAccess
from webapp.channels.contract import Channel
from webapp.channels.incoming import OrdersPage, OrdersWindow
from webapp.channels.models import Store
from webapp.channels.services import access, get_channel
from webapp.clock import now
from webapp.db import after_commit, analyze, any_row, db
from webapp.hooks.fence import PluginFailed, ask, label_of
from webapp.i18n import lazy_gettext as _l
from webapp.jobs.models import Run
from webapp.orders.models import OPEN, Order
from webapp.orders.order_settings import switched_off
from webapp.orders.queries import visible
from webapp.sync import denials, proving, runs
from webapp.sync.models import ORDERS_LANE, OrdersProof, StoreDenial, StoreSync, SyncWindow, WindowKind
from webapp.sync.streams import Stream
from webapp.sync.taking_in.pages import PreparedPage, prepare, take_in
from webapp.sync.taking_in.writing import Taken

_WIDEN_EVERY = timedelta(hours=24)
_ANALYZED_PAGES = (2, 20)  # of a first window: a planner that believes that tables are empty scans them whole


class Broken(ChannelError):
    """The channel's plugin failed with an error that it does not handle."""

    code = "channel_broken"
    sentence = _l("The plugin for %(channel)s failed. The Plugins page shows the reason.")


# --- Windows ----------------------------------------------------------------------------------------------------------


def window_of(sync: StoreSync) -> SyncWindow:
    """The window that is read now, with its lower bound; the caller holds the lane's lock."""
    windows = {
        row.kind: row for row in db.session.scalars(select(SyncWindow).where(SyncWindow.store_id == sync.store_id))
    }
    window = windows[WindowKind.OPEN] if windows[WindowKind.OPEN].cursor is None else windows[WindowKind.CHANGES]
    if window.low is None:
        channel = get_channel(sync.store.channel)
        if window.cursor is not None:
            window.low = window.cursor - _overlap(window, timedelta(seconds=_overlap_of(channel)))
        else:
            window.low = first_low(sync, now())
    return window


def _overlap_of(channel: Channel) -> float:
    try:
        return float(ask(channel, "stream", lambda: channel.overlap, gives=(int, float)))
    except PluginFailed:  # as far back as most channels need
        return Channel.overlap


def first_low(sync: StoreSync, at: datetime) -> datetime:
    """The lower bound of a first connection that begins at this instant."""
    return at - timedelta(days=int(access(sync.store).settings.get("import_from", 30)))


def _overlap(window: SyncWindow, usual: timedelta) -> timedelta:
    """How far before the cursor a window begins: a whole day once a day, to find orders that slipped past a page
    border.
    """
    at = now()
    if window.widened_at is not None and at - window.widened_at < _WIDEN_EVERY:
        return usual
    first, window.widened_at = window.widened_at is None, at
    return usual if first else max(usual, _WIDEN_EVERY)


def low_of(window: SyncWindow) -> datetime:
    """The window's lower bound, which `window_of` has set."""
    if window.low is None:
        raise RuntimeError("a window without a lower bound")
    return window.low


def page_done(sync: StoreSync, window: SyncWindow, *, bound: datetime | None, next_page: str | None) -> bool:
    """Advance the window after a page was written, in its transaction; returns True if the whole run is done.

    The cursor moves only with the window's last page. After the first connection's open orders the changes are read.
    """
    runs.page_read(sync)
    window.high = window.high or bound
    window.page_token = next_page
    window.pages_done += 1
    if next_page is not None:
        return False
    if window.cursor is None and window.kind == WindowKind.CHANGES:
        proving.begin(sync.store_id, low_of(window))
    window.cursor = max(filter(None, (window.cursor, window.high)), default=window.low)
    window.low = window.high = None
    window.pages_done = window.restarts = 0
    return window.kind == WindowKind.CHANGES


def restart_window(window: SyncWindow) -> bool:
    """Read the current window again from its start, because its page token is no longer valid; False after too many
    tries.
    """
    window.page_token = window.high = None
    window.pages_done = 0
    window.restarts += 1
    return window.restarts <= 5


# --- What windows do not read -----------------------------------------------------------------------------------------


def left_out(store: Store) -> tuple[str, ...]:
    """The marketplaces that are not asked for: denied ones, and those that are switched off, once no order of them that
    is worked here is open.
    """
    denied, off = denials.left_out(store.id), switched_off(store)
    if not off:
        return denied
    worked = visible(Actor.job("sync")).with_only_columns(Order.marketplace).where(Order.store_id == store.id)
    worked = worked.where(Order.marketplace.in_(off), text(f"orders.{OPEN}"), Order.number.is_not(None))
    still = set(db.session.scalars(worked.distinct()))
    return tuple(sorted({*denied, *(off - still)}))


def due_for_more() -> list[int]:
    """Stores with pages to read outside the windows: a denied marketplace, or, while no window is due, the proof."""
    at = now()
    denied = select(StoreDenial.id).where(
        StoreDenial.store_id == StoreSync.store_id,
        StoreDenial.work == denials.ORDERS,
        StoreDenial.thing == DeniedThing.MARKETPLACE,
        StoreDenial.again_at <= at,
    )
    unproven = select(OrdersProof.store_id).where(
        OrdersProof.store_id == StoreSync.store_id, OrdersProof.proven_at.is_(None), OrdersProof.again_at <= at
    )
    unread = select(SyncWindow.store_id).where(SyncWindow.store_id == StoreSync.store_id, _UNREAD)
    due = or_(denied.exists(), and_(StoreSync.next_at > at, unproven.exists(), ~unread.exists()))
    return list(db.session.scalars(runs.readable(StoreSync.store_id).where(StoreSync.lane == ORDERS_LANE, due)))


def lease_for_more(store_id: int, owner: str) -> tuple[StoreSync, "Asked"] | None:
    """Lease the store for a page outside its windows; None if nothing is due, or another worker reads."""
    sync = runs.free(store_id)
    if sync is None or sync.store.problem is not None:
        return None
    denial = denials.due_marketplace(store_id)
    rests = sync.next_at > now() and not any_row(SyncWindow, SyncWindow.store_id == store_id, _UNREAD)
    proof = proving.due(store_id) if denial is None and rests else None
    if denial is not None:
        low = first_low(sync, denial.since)  # constant for every page of a trial, since a page token is bound to it
        asked = OrdersWindow(low, denial.page_token, open_only=True, only=denial.name)
    elif proof is not None:
        asked = OrdersWindow(proof.low, proof.page_token, without=left_out(sync.store), spare=True)
    else:
        return None
    runs.take(sync, owner)
    return sync, Asked(get_channel(sync.store.channel), asked)


# A window that is unfinished may have begun without a marketplace that is included again by now. The proof leaves what
# changed after the cursor to the next window, and would miss what this window lacks.
_UNREAD = SyncWindow.page_token.is_not(None)


def read_first_again(store_id: int) -> None:
    """Read again what a first connection would read, since the store may list other orders than before: the open
    orders with the next page, the rest with the proof. A store that was never read is left as it is.
    """
    if db.session.get(StoreSync, (store_id, ORDERS_LANE)) is None:
        return
    sync = runs.sync_of(store_id, lock=True)
    runs.give_back(sync)  # a page that is being read now was requested with the former settings
    window = db.session.get_one(SyncWindow, (store_id, WindowKind.OPEN))
    window.cursor = window.low = window.high = window.page_token = None
    window.pages_done = window.restarts = 0
    proving.begin(store_id, first_low(sync, now()))


# --- The stream -------------------------------------------------------------------------------------------------------


class Asked(NamedTuple):
    """A page of orders to request from a channel."""

    channel: Channel
    window: OrdersWindow


class Read(NamedTuple):
    """A page of orders as the channel returned it, prepared for writing."""

    page: OrdersPage
    ready: PreparedPage


def fetch(store: StoreAccess, asked: Asked) -> OrdersPage:
    """Request a page from the channel; raises `ChannelError`, also if its plugin fails."""
    try:
        return calls.fetch_orders(asked.channel, store, asked.window)
    except PluginFailed as error:
        raise Broken(channel=label_of(asked.channel)) from error


def write(store: StoreAccess, ready: PreparedPage) -> Taken:
    """Write a prepared page in the open unit of work."""
    return take_in(db.session.get_one(Store, store.id), ready)


@dataclass(frozen=True)
class OrdersStream(Stream):
    """The stream of orders: its position is a window, and denials are recorded."""

    def asked(self, sync: StoreSync) -> Asked:
        window = window_of(sync)
        open_only, without = window.kind == WindowKind.OPEN, left_out(sync.store)
        asked = OrdersWindow(low_of(window), window.page_token, open_only, without)
        return Asked(get_channel(sync.store.channel), asked)

    def read(self, store: StoreAccess, asked: Asked) -> Read:
        page = self.fetch(store, asked)
        return Read(page, prepare(db.session.get_one(Store, store.id), page))

    def written(self, sync: StoreSync, run: Run, store: StoreAccess, asked: Asked, page: Read) -> bool:
        window, told = window_of(sync), page.page
        taken = self.take_in(store, page.ready)
        denials.page_read(store.id, told, asked.window.low)
        runs.count(
            run,
            pages=1,
            calls=told.calls,
            seen=taken.seen,
            new=taken.new,
            changed=taken.changed,
            aside=taken.quarantined,
        )
        if window.cursor is None and window.pages_done in _ANALYZED_PAGES:
            after_commit(analyze)  # the planner should learn how the tables have grown
        return page_done(sync, window, bound=told.bound, next_page=told.next_page)

    def again(self, sync: StoreSync, run: Run) -> bool:
        return restart_window(window_of(sync))

    def missed(self, sync: StoreSync, asked: Asked, error: Exception) -> None:
        if isinstance(error, Denied):
            denials.note(sync.store_id, denials.ORDERS, error.denial, low=window_of(sync).low)

    def rests(self, store: Store) -> float:
        channel = get_channel(store.channel)
        try:
            return float(ask(channel, "stream", channel.poll_interval, access(store), gives=(int, float)))
        except PluginFailed:  # what was read is complete all the same
            return self.every


ORDERS = OrdersStream(ORDERS_LANE, lane=ORDERS_LANE, label=_l("Orders"), fetch=fetch, take_in=write, seconds=300)
