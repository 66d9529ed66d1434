"""How an order of a store would look if it arrived now: the preview of a store's order settings, as they are typed.

Number, shop, state and status are decided by what the import asks, too: `Treatment`, the reading of lines, the rules of
statuses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import joinedload

from webapp.audit.actor import Actor
from webapp.channels.incoming import ChannelStage, IncomingLine
from webapp.channels.models import ChannelLine, ChannelOrder, Store
from webapp.channels.shops import next_numbers
from webapp.db import any_row, db
from webapp.orders.models import SHOWN, Order
from webapp.orders.order_settings import Treatment
from webapp.orders.queries import visible
from webapp.orders.states import OrderState, state_of
from webapp.orders.statuses import rule_for
from webapp.sync.taking_in.facts import IMPORT_KINDS, LineFacts, read_line

_OF_WORK_HERE = frozenset({"canceled_after_shipping", "conflict", "overcanceled"})  # no new order has them


@dataclass(frozen=True, slots=True)
class OrderPreview:
    """An order as it would be if it arrived now."""

    order: Order
    number: str | None  # None: it would be managed at the channel
    shop_id: int
    state: OrderState
    status: str | None
    by_rule: bool  # whether a rule gives the status
    once_paid: str | None  # the status that a pending order gets then, unless a rule gives another
    attention: Sequence[Mapping[str, Any]]


def newest_of(store: Store, actor: Actor) -> Order | None:
    """The newest order of the store outside the archive that the actor may see, with what a preview reads of it."""
    query = visible(actor).where(Order.store_id == store.id, text(f"orders.{SHOWN}"))
    query = query.order_by(Order.placed_at.desc(), Order.id.desc()).limit(1)
    query = query.options(joinedload(Order.shop), joinedload(Order.channel_order).joinedload(ChannelOrder.lines))
    return db.session.scalars(query).unique().one_or_none()


def preview(order: Order, treatment: Treatment) -> OrderPreview:
    """How the order would look under these settings."""
    there = order.channel_order
    state = state_of(
        stage := ChannelStage(there.stage), [read_line(LineFacts(), _incoming(line), stage) for line in there.lines]
    )
    shop_id = treatment.shop_for(order.marketplace)
    number = _number(order, shop_id, treatment)
    ruled = rule_for(order, state)
    status = ruled.code if ruled is not None else None
    given = treatment.given_status() if number is not None else None
    if status is None and state is OrderState.PROCESSING:
        status = given
    once_paid = given if state is OrderState.PENDING else None
    kept = [one for one in order.attention if one["kind"] in IMPORT_KINDS - _OF_WORK_HERE]
    return OrderPreview(order, number, shop_id, state, status, ruled is not None, once_paid, kept)


def _incoming(line: ChannelLine) -> IncomingLine:
    """The line as the channel lists it; only what its quantities say."""
    said = str(line.facts.get("canceled_by") or "")
    return IncomingLine(line.number, line.ordered, line.fulfilled, line.unfulfilled, canceled_by=said)


def _number(order: Order, shop_id: int, treatment: Treatment) -> str | None:
    if not treatment.imports(order.marketplace):
        return None
    theirs = order.channel_order_number
    if not treatment.own_numbers and not any_row(Order, Order.number == theirs, Order.id != order.id):
        return theirs
    return next_numbers()[shop_id]
