"""Asking a channel which messages to the buyer it allows for an order now, when somebody is about to write one."""

from redis import RedisError

from webapp import live
from webapp.channels import calls
from webapp.channels.connecting import ChannelError
from webapp.channels.messages import MESSAGE, MessagesAnswer
from webapp.channels.services import access, get_channel, is_refused
from webapp.db import db, unit_of_work
from webapp.hooks.fence import PluginFailed
from webapp.jobs import job
from webapp.live import connection, key
from webapp.messaging.allowed import allowed, is_erased, is_fresh, note_allowed, note_unanswered
from webapp.orders.models import Order
from webapp.sync import call_log
from webapp.updates.kinds import carried

_UNDER_WAY = 60  # seconds in which a question is not asked again; after a worker's death they pass


def ask_soon(order: Order, *, again: bool = True) -> None:
    """Have a worker ask the channel, unless it answered a moment ago; after a question that failed only if it is to be
    asked `again`. Called outside any transaction.
    """
    if not _is_due(order, again=again):
        return
    try:
        if connection().set(key("messages", str(order.id)), 1, nx=True, ex=_UNDER_WAY):
            ask_allowed.send((order.id,))
    except RedisError:  # no worker would ask either
        return


def ask_now(order: Order) -> None:
    """Ask the channel, and wait for the answer, unless it answered a moment ago. Called outside any transaction."""
    if _is_due(order, again=True):
        ask_allowed(order.id)


def _is_due(order: Order, *, again: bool) -> bool:
    store, answer = order.store, allowed(order)
    if MESSAGE not in carried(store) or order.managed_at_channel or not store.active or store.problem is not None:
        return False
    if answer is not None and (not again if answer.problem else is_fresh(answer)):
        return False
    return not is_erased(order)


@job("asking")
def ask_allowed(order_id: int) -> None:
    """Ask the order's channel, and keep what it answers; the order's open pages show it."""
    answered = False
    try:
        answered = _ask(order_id)
    finally:
        if not answered:
            _forget(order_id)


def _ask(order_id: int) -> bool:
    """Returns whether the channel answered."""
    with unit_of_work():
        order = db.session.get_one(Order, order_id)
        if is_refused(order.store):
            return False
        credentials, channel = access(order.store), get_channel(order.store.channel)
        number, marketplace = order.channel_order_number, order.marketplace
    problem: ChannelError | PluginFailed | None = None
    answer = MessagesAnswer()
    with call_log.logged(credentials) as credentials:
        try:
            answer = calls.messages_allowed(channel, credentials, number, marketplace)
        except (ChannelError, PluginFailed) as error:
            problem = error
    with unit_of_work():
        if problem is None:
            note_allowed(order_id, answer)
        else:
            note_unanswered(order_id, problem)
        live.publish("orders", [order_id])
    return problem is None


def _forget(order_id: int) -> None:
    try:
        connection().delete(key("messages", str(order_id)))  # opening the form asks again
    except RedisError:
        return
