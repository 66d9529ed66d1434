"""Network calls to channels, with their answers checked: connections, pages of orders and of transactions, single
orders.

No function here may be called within a transaction. Updates are delivered and looked up by `webapp.sync.jobs`, which
knows what each failure means for an update.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from types import NoneType
from typing import Any

from webapp.channels.connecting import ChannelError, Check, Connection, Denial, Marketplace, StoreAccess
from webapp.channels.contract import Channel
from webapp.channels.incoming import IncomingOrder, OrdersPage, OrdersWindow, UnreadableOrder
from webapp.channels.messages import MessagesAnswer
from webapp.channels.transactions import (
    IncomingTransaction,
    TransactionPart,
    TransactionsPage,
    TransactionsWindow,
)
from webapp.errors import DeskError
from webapp.hooks.failures import NotTaken, WrongType
from webapp.hooks.fence import PluginFailed, ask
from webapp.i18n import lazy_gettext as _l


class NoAnswer(ChannelError):
    """The update was given up."""

    code = "channel_no_answer"
    sentence = _l("%(channel)s did not answer within %(seconds)s seconds. Waybill retries automatically.")


Found = IncomingOrder | UnreadableOrder | None


def connect(channel: Channel, store: StoreAccess) -> Connection:
    """Whether a store's credentials work. If the channel's plugin fails, the failure is returned as the connection's
    problem: it proves nothing about the credentials, so it disconnects no store.
    """
    return _tried(channel, channel.connect, store)


def test(channel: Channel, store: StoreAccess) -> Connection:
    """Like `connect`, for a person who waits for the answer, with all that the channel looked at in `checks`."""
    return _tried(channel, channel.test, store)


def _tried(channel: Channel, function: Callable[[StoreAccess], Connection], store: StoreAccess) -> Connection:
    try:
        return ask(channel, "connection", _connection, function, store, raises=ChannelError)
    except (ChannelError, PluginFailed) as error:
        return Connection(problem=error)


def fetch_orders(channel: Channel, store: StoreAccess, window: OrdersWindow) -> OrdersPage:
    """One page of orders. Raises `ChannelError` and `PluginFailed`."""
    return ask(channel, "stream", _page, channel, store, window, raises=ChannelError)


def fetch_order(channel: Channel, store: StoreAccess, number: str) -> Found:
    """One order by the channel's number. Raises `ChannelError` and `PluginFailed`."""
    return ask(channel, "order", _order, channel, store, number, raises=ChannelError)


def fetch_transactions(channel: Channel, store: StoreAccess, window: TransactionsWindow) -> TransactionsPage:
    """One page of transactions. Raises `ChannelError` and `PluginFailed`."""
    return ask(channel, "stream", _transactions, channel, store, window, raises=ChannelError)


def messages_allowed(channel: Channel, store: StoreAccess, number: str, marketplace: str) -> MessagesAnswer:
    """The known kinds of messages that may be sent about an order now, and the buyer's language. Raises `ChannelError`
    and `PluginFailed`.
    """
    return ask(channel, "order", _messages, channel, store, number, marketplace, raises=ChannelError)


def _messages(channel: Channel, store: StoreAccess, number: str, marketplace: str) -> MessagesAnswer:
    answer = channel.messages_allowed(store, number, marketplace)
    _check([answer], MessagesAnswer)
    _check([*answer.kinds, answer.language], str)
    known = {kind.code for kind in channel.message_kinds}
    return MessagesAnswer([code for code in answer.kinds if code in known], answer.language)


def _connection(function: Callable[[StoreAccess], Connection], store: StoreAccess) -> Connection:
    found = function(store)
    _check([found], Connection)
    _check(found.marketplaces, Marketplace)
    _check([found.problem], (DeskError, NoneType))
    _check([found.account], str)
    _check(found.checks, Check)
    return found


def _page(channel: Channel, store: StoreAccess, window: OrdersWindow) -> OrdersPage:
    page = channel.fetch_orders(store, window)
    _check([page], OrdersPage)
    _check(page.orders, IncomingOrder)
    _check((order.number for order in page.orders), str)
    _check((order.updated_at for order in page.orders), datetime)  # it decides which answer is the latest
    _check(page.unreadable, UnreadableOrder)
    _check(page.denied, Denial)
    _check([page.next_page], (str, NoneType))
    _check([page.bound], (datetime, NoneType))
    _check([page.calls], int)
    return page


def _order(channel: Channel, store: StoreAccess, number: str) -> Found:
    found = channel.fetch_order(store, number)
    _check([found], (IncomingOrder, UnreadableOrder, NoneType))
    return found


def _transactions(channel: Channel, store: StoreAccess, window: TransactionsWindow) -> TransactionsPage:
    page = channel.fetch_transactions(store, window)
    _check([page], TransactionsPage)
    _check(page.transactions, IncomingTransaction)
    for one in page.transactions:
        words = (one.number, one.kind, one.word, one.status, one.currency, one.order_number, one.marketplace)
        _check(words, str)
        _check([one.posted_at], datetime)
        _check([one.total, one.fees], int)
        _check(one.parts, TransactionPart)
        _check((word for part in one.parts for word in (part.line, part.sku, part.component)), str)
        _check((figure for part in one.parts for figure in (part.units, part.charged, part.tax, part.discount)), int)
    _check([page.next_page], (str, NoneType))
    _check([page.bound], (datetime, NoneType))
    _check([page.calls], int)
    if page.next_page is not None and page.next_page == window.page:
        raise NotTaken("more is there, and its page does not lead on")
    return page


def _check(given: Iterable[object], kind: Any) -> None:
    for one in given:
        if not isinstance(one, kind):
            raise WrongType(one, kind)
