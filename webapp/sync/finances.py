"""The stream of transactions: what channels' accounts say of orders, for channels that have them.

The first reading goes as far back as that of the orders; each later one begins a little before the time until which
the last was complete. Accounts show a transaction late: a few times a day a window therefore begins so much earlier.
The transactions of a single order are read when somebody is about to refund it.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog
from redis import RedisError

from webapp.billing.jobs import match_refunds
from webapp.billing.transactions import are_told, take_in
from webapp.channels import calls
from webapp.channels.connecting import ChannelError, StoreAccess
from webapp.channels.contract import Channel
from webapp.channels.models import Store
from webapp.channels.registered import channels
from webapp.channels.services import access, get_channel, is_refused
from webapp.channels.transactions import TransactionsWindow
from webapp.clock import now, parse_instant
from webapp.db import db, unit_of_work
from webapp.hooks.fence import PluginFailed, label_of
from webapp.i18n import lazy_gettext as _l
from webapp.jobs import job
from webapp.jobs.models import Run
from webapp.live import connection, key
from webapp.orders.models import Order
from webapp.sync import call_log
from webapp.sync.models import StoreSync
from webapp.sync.order_windows import Broken, first_low
from webapp.sync.streams import Stream, StreamPage

log = structlog.get_logger(__name__)
LANE = "finances"
OVERLAP = timedelta(minutes=10)
WIDE_EVERY = timedelta(hours=6)  # between two windows that begin as early as transactions may be late
ORDER_EVERY = timedelta(minutes=10)  # between two readings of one order's transactions
PAGES_OF_ORDER = 10  # at most; an order has few transactions


class Asked(NamedTuple):
    """A page of transactions to request: the window, and what is known of its place."""

    channel: Channel
    window: TransactionsWindow
    place: dict[str, str]


@dataclass(frozen=True)
class FinancesStream(Stream):
    """Transactions in windows. The place is JSON: `cursor`, until when everything was read; `wide`, when a window last
    began as early as transactions may be late; and of a window that is being read `low`, `page` and `high`.
    """

    def reads(self, channel: str) -> bool:
        found = channels().get(channel)
        return found is not None and found.has_transactions

    def asked(self, sync: StoreSync) -> Asked:
        place = _unpacked(sync.place)
        channel = get_channel(sync.store.channel)
        if "page" in place:
            return Asked(channel, TransactionsWindow(parse_instant(place["low"]), place["page"]), place)
        at = now()
        if "cursor" not in place:
            low, place = first_low(sync, at), {"wide": at.isoformat()}
        elif at - parse_instant(place["wide"]) >= WIDE_EVERY:
            late = timedelta(seconds=channel.transactions_late)
            low, place = parse_instant(place["cursor"]) - max(late, OVERLAP), {**place, "wide": at.isoformat()}
        else:
            low = parse_instant(place["cursor"]) - OVERLAP
        return Asked(channel, TransactionsWindow(low), {**place, "low": low.isoformat()})

    def again(self, sync: StoreSync, run: Run) -> bool:
        """The page is no longer there: read its window from the start, at once if it is the first time in a run."""
        place = _unpacked(sync.place)
        may = "page" in place and "restarted" not in run.numbers
        sync.place = json.dumps({name: place[name] for name in ("cursor", "wide") if name in place})
        run.numbers = run.numbers | {"restarted": 1}
        return may


def _unpacked(place: str | None) -> dict[str, str]:
    return dict(json.loads(place)) if place else {}


def fetch(store: StoreAccess, asked: Asked) -> StreamPage:
    """Request a page from the channel, and say where the next one begins; raises `ChannelError`, also if its plugin
    fails.
    """
    place = asked.place
    try:
        page = calls.fetch_transactions(asked.channel, store, asked.window)
    except PluginFailed as error:
        raise Broken(channel=label_of(asked.channel)) from error
    high = place.get("high") or (page.bound.isoformat() if page.bound else "")
    if page.next_page is not None:
        place = {**place, "page": page.next_page, "high": high}
        return StreamPage(page.transactions, json.dumps(place), more=True, calls=page.calls)
    ends = max(filter(None, (place.get("cursor"), high, place["low"])), key=parse_instant)
    behind = bool(high) and _is_old(high) and parse_instant(ends) > parse_instant(place["low"])
    done = {"cursor": ends, "wide": place["wide"]}
    return StreamPage(page.transactions, json.dumps(done), more=behind, calls=page.calls)


def _is_old(bound: str) -> bool:
    """Whether the channel ended the window early, since it allows only windows of some length."""
    return parse_instant(bound) < now() - timedelta(hours=1)


def write(store: StoreAccess, page: StreamPage) -> int:
    """Write a page in the open unit of work."""
    new = take_in(store.id, page.items)
    if new:
        match_refunds.enqueue()
    return new


FINANCES = FinancesStream(
    LANE, lane=LANE, label=_l("Transactions"), fetch=fetch, take_in=write, every=1800, seconds=120
)


# --- Of one order -----------------------------------------------------------------------------------------------------


def read_soon(order: Order) -> None:
    """Have the transactions of an order read by a worker, unless that was done a moment ago. Called outside any
    transaction.
    """
    store = order.store
    if not are_told(order) or not store.active or store.problem is not None:
        return
    try:
        first = connection().set(key("transactions", str(order.id)), 1, nx=True, ex=int(ORDER_EVERY.total_seconds()))
    except RedisError:  # no worker would read them either
        return
    if first:
        with unit_of_work():
            read_transactions.enqueue(store.id, order.channel_order_number)


@job("asking")
def read_transactions(store_id: int, number: str) -> None:
    """Read the transactions of one order; if that fails, the stream brings them."""
    with unit_of_work():
        store = db.session.get_one(Store, store_id)
        if is_refused(store):
            return
        credentials, channel = access(store), get_channel(store.channel)
    page: str | None = None
    with call_log.logged(credentials) as credentials:
        for _ in range(PAGES_OF_ORDER):
            window = TransactionsWindow(_EARLIEST, page, number)
            try:
                found = calls.fetch_transactions(channel, credentials, window)
            except (ChannelError, PluginFailed) as error:
                log.info("transactions_not_read", store=store_id, problem=error.code)
                return
            with unit_of_work():
                if take_in(store_id, found.transactions):
                    match_refunds.enqueue()
            page = found.next_page
            if page is None:
                return


_EARLIEST = datetime.fromisoformat("2000-01-01T00:00:00+00:00")  # an order has all its transactions
