"""Buyers' requests to cancel: which of them are decided at the desk, since when they are known, and why.

What answers a request is an order action that says so (`OrderAction.answers_cancel_request`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, ScalarSelect, Text, cast, func, inspect, select

from webapp.audit.actor import ActorKind
from webapp.channels.incoming import FulfilledBy
from webapp.channels.models import ChannelLine
from webapp.db import db
from webapp.lists.contract import PlainRow
from webapp.orders.models import WANTS_CANCEL, Order, OrderEvent

# The requests that somebody decides here. Those that `is_answered_elsewhere` names are not among them.
TO_DECIDE = "state:open buyer-cancel:yes unshipped:>0 canceling:no fulfilled-by:merchant managed:no"

CANCEL_SINCE, CANCEL_REASON = "cancel_since", "cancel_reason"  # columns of the list of orders


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """A buyer's request: when the desk learned of it, and the reasons in the channel's words, each once."""

    since: datetime | None
    reasons: Sequence[str]


def asks_to_cancel(order: Order | Row[Any]) -> bool:
    """Whether the buyer's request to cancel still waits for an answer: something may leave, and nothing is canceled."""
    return bool(order.buyer_wants_cancel and order.unshipped and not order.canceling)


def is_answered_elsewhere(order: Order | PlainRow) -> bool:
    """Whether a request can only be answered at the channel, which ships the order or where it is managed."""
    return bool(order.managed_at_channel) or order.fulfilled_by == FulfilledBy.CHANNEL


def known_since(order_id: Any) -> ScalarSelect[datetime]:
    """Since when the desk knows of an order's request, as a subquery for its id; only for orders that have one.

    Events have the columns that changed: the last event of the channel that names this one is the request.
    """
    return select(func.max(OrderEvent.seen_at)).where(OrderEvent.order_id == order_id, *_TOLD).scalar_subquery()


_TOLD = (
    OrderEvent.actor_kind == ActorKind.CHANNEL,
    cast(OrderEvent.data, Text).contains(f'"{WANTS_CANCEL}"', autoescape=True),
)


def requests_of(order_ids: Sequence[int]) -> dict[int, CancelRequest]:
    """The requests of these orders by their ids, in one statement; only for orders that have one."""
    told = select(OrderEvent.order_id, func.max(OrderEvent.seen_at).label("since"))
    told = told.where(OrderEvent.order_id.in_(order_ids), *_TOLD).group_by(OrderEvent.order_id)
    known = told.subquery()
    query = select(Order.id, known.c.since, ChannelLine.facts).where(Order.id.in_(order_ids))
    query = query.outerjoin(known, known.c.order_id == Order.id)
    query = query.outerjoin(ChannelLine, ChannelLine.channel_order_id == Order.channel_order_id)
    since: dict[int, datetime | None] = {}
    lines: dict[int, list[Mapping[str, Any]]] = {}
    for id_, at, facts in db.session.execute(query.order_by(ChannelLine.position)) if order_ids else ():
        since[id_] = at
        lines.setdefault(id_, []).append(facts or {})
    return {id_: CancelRequest(at, _reasons(lines[id_])) for id_, at in since.items()}


def request_of(order: Order) -> CancelRequest:
    """The request of an order that has one, in one statement; loaded lines are not read again."""
    there = order.channel_order
    if "lines" in inspect(there).unloaded:
        return requests_of([order.id])[order.id]
    return CancelRequest(db.session.scalar(select(known_since(order.id))), _reasons(line.facts for line in there.lines))


def _reasons(lines: Iterable[Mapping[str, Any]]) -> list[str]:
    asked = (facts.get("cancel_reason") for facts in lines if facts.get("cancel_requested"))
    return list(dict.fromkeys(reason for reason in asked if reason))
