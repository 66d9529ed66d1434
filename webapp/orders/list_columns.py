"""The desk's own columns of the order list and its exports. A column reads a whole page with one query at most.

What several columns need of a page is read once. How values look is decided by the page or the export.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from babel import Locale
from sqlalchemy import String, cast, func, or_, select

from webapp.accounts.models import User
from webapp.audit.actor import Actor
from webapp.channels.described import kind_label, marketplace_of, service_label, status_label
from webapp.channels.models import ChannelOrder
from webapp.channels.services import channel_name
from webapp.clock import parse_instant
from webapp.db import db
from webapp.i18n import get_locale, gettext as _, lazy_gettext as _l
from webapp.lists.rows import LIST, Rows, by_name, of_each, once
from webapp.money import Money
from webapp.orders import addresses
from webapp.orders.badges import Badges, badge_reads
from webapp.orders.cancel_requests import CANCEL_REASON, CANCEL_SINCE, CancelRequest, requests_of
from webapp.orders.events import event_words, sentence_of
from webapp.orders.fact_words import CHANGED_THERE, news_in_short
from webapp.orders.models import Order, OrderAmount, OrderEvent, OrderLine
from webapp.orders.postal import FIELDS
from webapp.orders.queries import reference
from webapp.orders.states import STATE_LABELS, STATE_TONES
from webapp.orders.statuses import all_statuses, name_in, status_name
from webapp.orders.tags import all_tags
from webapp.search.contract import Column, ColumnKind, Label, Link
from webapp.vault import services as vault
from webapp.vault.services import DataKeys

Orders = Sequence[Any]  # as the list has read them
ADDRESS = (  # columns of the delivery address: code, field, label
    ("recipient", "name", FIELDS["name"]),
    ("recipient_company", "company", _l("Recipient's company")),
    ("line1", "line1", FIELDS["line1"]),
    ("line2", "line2", FIELDS["line2"]),
    ("line3", "line3", FIELDS["line3"]),
    ("district", "district", FIELDS["district"]),
    ("postal_code", "postal_code", FIELDS["postal_code"]),
    ("city", "city", FIELDS["city"]),
    ("region", "region", FIELDS["region"]),
    ("country_code", "country", _l("Country code")),
    ("phone", "phone", FIELDS["phone"]),
)


def _ids(orders: Orders) -> list[int]:
    return [order.id for order in orders]


# --- What is read for a page ------------------------------------------------------------------------------------------


def _revealed(orders: Orders, actor: Actor) -> DataKeys:
    """Reveal the buyers of the page's orders, by right, in one query and with one access record; an export is
    recorded as one.
    """
    purpose = orders.purpose if isinstance(orders, Rows) else LIST
    read = partial(vault.reveal_kinds, actor, _ids(orders), purpose=purpose, kinds=addresses.KINDS)
    return once(orders, "buyers", read)


def _channel_orders(orders: Orders) -> dict[int, Mapping[str, Any]]:
    """What the channels say about the orders, beyond the columns of the order's own row."""
    query = select(ChannelOrder.id, ChannelOrder.facts).where(
        ChannelOrder.id.in_([order.channel_order_id for order in orders])
    )
    return once(orders, "facts", lambda: {row.id: row.facts for row in db.session.execute(query)})


_PART = "\x1f"  # between the parts of a first line


def _first_line_reads() -> dict[str, Any]:
    """The first line of an order as one text, and the number of its lines."""
    of_order = OrderLine.order_id == Order.id
    text = cast(OrderLine.ordered, String) + _PART + OrderLine.sku + _PART + OrderLine.title
    first = select(text).where(of_order).order_by(OrderLine.position).limit(1)
    lines = select(func.count(OrderLine.id)).where(of_order)
    return {
        "first_line": first.correlate(Order).scalar_subquery(),
        "line_count": lines.correlate(Order).scalar_subquery(),
    }


_FIRST_LINE = _first_line_reads()


def _first_line(order: Any) -> tuple[int, str, str]:
    """Units, SKU and title of the order's first line."""
    units, sku, title = (order.first_line or f"0{_PART}{_PART}").split(_PART, 2)
    return int(units), sku, title


def _amounts(orders: Orders) -> dict[tuple[int, str], int]:
    """Charged minor units by order and component, and the tax of all components."""

    def read() -> dict[tuple[int, str], int]:
        query = (
            select(
                OrderAmount.order_id, OrderAmount.component, func.sum(OrderAmount.charged), func.sum(OrderAmount.tax)
            )
            .where(OrderAmount.order_id.in_(_ids(orders)))
            .where(or_(OrderAmount.charged != 0, OrderAmount.tax != 0, OrderAmount.discount != 0))
            .group_by(OrderAmount.order_id, OrderAmount.component)
        )
        found: dict[tuple[int, str], int] = {}
        for order_id, component, charged, tax in db.session.execute(query):
            found[order_id, component] = int(charged)
            found[order_id, "tax"] = found.get((order_id, "tax"), 0) + int(tax)
        return found

    return once(orders, "amounts", read)


# --- Values of columns ------------------------------------------------------------------------------------------------


def _number(order: Order) -> Link:
    return Link(order.number or str(_("Managed at the channel")), f"/orders/{quote(reference(order), safe='@')}")


def _state(orders: Orders, actor: Actor) -> dict[int, list[Label]]:
    states = {code: Label(str(label), STATE_TONES[code]) for code, label in STATE_LABELS.items()}
    given = all_statuses() if any(order.status for order in orders) else []
    custom = {row.code: Label(name_in(row), row.tone) for row in given}
    return {
        order.id: [states[order.shown_state], *([custom[order.status]] if order.status in custom else [])]
        for order in orders
    }


def _channel_status(orders: Orders, actor: Actor) -> dict[int, str]:
    labels = {
        (code, status): status_label(code, status)
        for code, status in {(order.store.channel, order.channel_status) for order in orders}
    }
    return {order.id: labels[order.store.channel, order.channel_status] for order in orders}


def _service(orders: Orders, actor: Actor) -> dict[int, str]:
    levels = {(order.store.channel, order.service_level) for order in orders}
    labels = {(code, level): service_label(code, level) for code, level in levels}
    return {order.id: labels[order.store.channel, order.service_level] for order in orders}


def _channel_name(orders: Orders, actor: Actor) -> dict[int, str]:
    names = {code: channel_name(code) for code in {order.store.channel for order in orders}}
    return {order.id: names[order.store.channel] for order in orders}


def _badges(orders: Orders, actor: Actor) -> dict[int, list[Label]]:
    whole = partial(getattr, orders, "whole") if isinstance(orders, Rows) else None
    return Badges().of_all(orders, whole)


def _of_buyer(field: str) -> Callable[[Orders, Actor], Mapping[int, Any]]:
    def values(orders: Orders, actor: Actor) -> Mapping[int, Any]:
        buyers = _revealed(orders, actor).opened(vault.BUYER)
        return {order_id: str(buyer.get(field) or "") for order_id, buyer in buyers.items()}

    return values


def _address(orders: Orders, actor: Actor) -> dict[int, str]:
    """The delivery address: the corrected one, if somebody corrected it."""
    parts = ("name", "company", "line1", "line2", "line3", "postal_code", "city", "region", "country")
    keys = _revealed(orders, actor)
    found = {order_id: addresses.of_keys(keys, order_id).address for order_id in _ids(orders)}
    return {
        order_id: ", ".join(str(address[part]) for part in parts if address.get(part))
        for order_id, address in found.items()
        if address
    }


def _of_address(field: str) -> Callable[[Orders, Actor], Mapping[int, Any]]:
    """The values of a column for one field of the delivery address, the corrected one, if somebody corrected it."""

    def values(orders: Orders, actor: Actor) -> Mapping[int, Any]:
        keys = _revealed(orders, actor)
        found = {order_id: addresses.of_keys(keys, order_id).address for order_id in _ids(orders)}
        return {order_id: str(address.get(field) or "") for order_id, address in found.items() if address}

    return values


def _country(orders: Orders, actor: Actor) -> dict[int, str]:
    territories = (get_locale() or Locale("en")).territories
    return {order.id: str(territories.get(order.country, order.country)) for order in orders}


def _marketplace(orders: Orders, actor: Actor) -> dict[int, str]:
    names = {}
    for code, marketplace in {(order.store.channel, order.marketplace) for order in orders}:
        known = marketplace_of(code, marketplace)
        names[code, marketplace] = known.country if known else marketplace
    return {order.id: names[order.store.channel, order.marketplace] for order in orders}


def _assignee(orders: Orders, actor: Actor) -> dict[int, str]:
    ids = {order.assignee_id for order in orders if order.assignee_id}
    query = select(User.id, User.name, User.email).where(User.id.in_(ids))
    names = {id_: name or email for id_, name, email in db.session.execute(query)} if ids else {}
    return {order.id: names[order.assignee_id] for order in orders if order.assignee_id in names}


def _tagged(orders: Orders, actor: Actor) -> dict[int, list[Label]]:
    given = all_tags() if any(order.tags for order in orders) else []
    labels = {tag.id: Label(tag.name, tag.tone, "tag") for tag in given}
    return {order.id: [labels[tag] for tag in order.tags if tag in labels] for order in orders}


def _latest(orders: Orders, actor: Actor) -> dict[int, str]:
    """The sentence of the newest event: what happened to the order last; of news of the channel, with their facts."""
    newest = select(func.max(OrderEvent.id)).where(OrderEvent.order_id.in_(_ids(orders))).group_by(OrderEvent.order_id)
    events: list[Any] = list(
        db.session.execute(
            select(OrderEvent.order_id, OrderEvent.code, OrderEvent.data).where(OrderEvent.id.in_(newest))
        )
    )
    of = {order.id: order for order in orders}
    known = event_words()

    def said(event: Any) -> str:
        news = news_in_short(event) if event.code == CHANGED_THERE else ""
        return news or sentence_of(event, _said(of[event.order_id], orders), known)

    return {event.order_id: said(event) for event in events}


def _said(order: Order, orders: Orders) -> dict[str, Callable[[Any], str]]:
    """The functions that turn values of an event into words."""

    def moment(text: str) -> str:
        return f"{parse_instant(text).astimezone(ZoneInfo(order.shop.zone)):%Y-%m-%d %H:%M}"

    def kind(code: Any) -> str:
        return kind_label(order.store.channel, str(code))

    return {"kind": kind, "status": status_name, "until": moment, "due": moment}


def _requests(orders: Orders) -> dict[int, CancelRequest]:
    """The buyers' requests to cancel among the page's orders."""
    ids = [order.id for order in orders if order.buyer_wants_cancel]
    return once(orders, "cancel requests", lambda: requests_of(ids))


def _cancel_since(orders: Orders, actor: Actor) -> dict[int, datetime | None]:
    return {order_id: request.since for order_id, request in _requests(orders).items()}


def _cancel_reason(orders: Orders, actor: Actor) -> dict[int, str]:
    return {order_id: ", ".join(request.reasons) for order_id, request in _requests(orders).items()}


def _first_item(order: Any) -> str:
    """The title of the first line, with its units if they are several."""
    units, sku, title = _first_line(order)
    name = title or sku
    return f"{units} × {name}" if units > 1 and name else name


def _payment(orders: Orders, actor: Actor) -> dict[int, str]:
    facts = _channel_orders(orders)
    return {order.id: ", ".join(facts.get(order.channel_order_id, {}).get("payment_methods") or []) for order in orders}


def _amount(component: str) -> Callable[[Orders, Actor], Mapping[int, Any]]:
    def values(orders: Orders, actor: Actor) -> Mapping[int, Any]:
        amounts = _amounts(orders)
        return {
            order.id: Money(amounts[order.id, component], order.currency)
            for order in orders
            if order.currency and (order.id, component) in amounts
        }

    return values


def _fulfilled_by(orders: Orders, actor: Actor) -> dict[int, str]:
    names, you = _channel_name(orders, actor), str(_("You"))
    return {order.id: you if order.fulfilled_by == "merchant" else names[order.id] for order in orders}


_TEXT, _NUMBER, _MONEY = ColumnKind.TEXT, ColumnKind.NUMBER, ColumnKind.MONEY
COLUMNS = (
    Column(
        code="number",
        reads={},
        label=_l("Order"),
        kind=ColumnKind.LINK,
        values=of_each(_number),
        default=True,
        always=True,
        width=172,
        help=_l("Your order number, with the channel's order number below it."),
    ),
    Column(
        code="first_item",
        reads=_FIRST_LINE,
        label=_l("First item"),
        values=of_each(_first_item),
        default=True,
        width=180,
        help=_l("The first product with its SKU below it, and the number of other products: +2."),
    ),
    Column(
        code="first_sku",
        reads=_FIRST_LINE,
        label=_l("First SKU"),
        values=of_each(lambda order: _first_line(order)[1]),
        width=130,
    ),
    Column(
        code="lines",
        reads=_FIRST_LINE,
        label=_l("Products"),
        kind=_NUMBER,
        values=of_each(lambda order: order.line_count),
        width=90,
    ),
    Column(
        code="channel_number",
        reads={},
        label=_l("Channel order number"),
        values=of_each(lambda order: order.channel_order_number),
        width=180,
    ),
    Column(
        code="state",
        reads=by_name(Order.on_hold, Order.canceling, Order.status),
        label=_l("Status"),
        kind=ColumnKind.LABELS,
        values=_state,
        default=True,
        width=160,
        help=_l("The order's state and status in Waybill, with the channel's status below them."),
    ),
    Column(
        code="channel_status",
        reads=by_name(Order.channel_status),
        label=_l("Channel status"),
        values=_channel_status,
        width=140,
    ),
    Column(
        code="badges",
        reads=badge_reads,
        label=_l("Flags"),
        kind=ColumnKind.LABELS,
        values=_badges,
        default=True,
        width=130,
    ),
    Column(code="buyer", reads={}, label=_l("Buyer"), values=_of_buyer("name"), default=True, width=115, personal=True),
    Column(code="email", reads={}, label=_l("E-mail"), values=_of_buyer("email"), width=200, personal=True),
    Column(code="company", reads={}, label=_l("Company"), values=_of_buyer("company"), width=140, personal=True),
    Column(
        code="purchase_order",
        reads={},
        label=_l("Purchase order"),
        values=_of_buyer("purchase_order"),
        width=130,
        personal=True,
    ),
    Column(code="address", reads={}, label=_l("Ship to"), values=_address, width=240, personal=True),
    *(
        Column(code=code, reads={}, label=label, values=_of_address(field), width=140, personal=True)
        for code, field, label in ADDRESS
    ),
    Column(code="country", reads=by_name(Order.country), label=_l("Country"), values=_country, width=110),
    Column(
        code="units",
        reads=by_name(Order.items),
        label=_l("Items"),
        kind=_NUMBER,
        values=of_each(lambda order: order.items),
        width=95,
    ),
    Column(
        code="unshipped",
        reads={},
        label=_l("Units to ship"),
        kind=_NUMBER,
        values=of_each(lambda order: order.unshipped),
        width=90,
    ),
    Column(
        code="total",
        reads=by_name(Order.total_minor, Order.currency),
        label=_l("Total"),
        kind=_MONEY,
        values=of_each(lambda order: order.total),
        sort="total",
        default=True,
        width=115,
        help=_l(
            "Amounts are sorted by their smallest unit, so ¥900 is next to €9.00. “currency:EUR” shows one "
            "currency only."
        ),
    ),
    Column(
        code="subtotal",
        reads=by_name(Order.currency),
        label=_l("Subtotal"),
        kind=_MONEY,
        values=_amount("item"),
        width=100,
    ),
    Column(
        code="shipping",
        reads=by_name(Order.currency),
        label=_l("Shipping"),
        kind=_MONEY,
        values=_amount("shipping"),
        width=100,
    ),
    Column(code="tax", reads=by_name(Order.currency), label=_l("Tax"), kind=_MONEY, values=_amount("tax"), width=90),
    Column(
        code="ship_by",
        reads=by_name(Order.ship_by),
        label=_l("Ship by"),
        kind=ColumnKind.COUNTDOWN,
        values=of_each(lambda order: order.ship_by),
        sort="ship_by",
        default=True,
        width=120,
    ),
    Column(
        code="deliver_by",
        reads=by_name(Order.deliver_by),
        label=_l("Deliver by"),
        kind=ColumnKind.TIME,
        values=of_each(lambda order: order.deliver_by),
        width=110,
    ),
    Column(
        code="placed",
        reads=by_name(Order.placed_at),
        label=_l("Placed"),
        kind=ColumnKind.TIME,
        values=of_each(lambda order: order.placed_at),
        sort="placed",
        default=True,
        width=95,
    ),
    Column(
        code="updated",
        reads=by_name(Order.updated_at),
        label=_l("Updated"),
        kind=ColumnKind.TIME,
        values=of_each(lambda order: order.updated_at),
        sort="updated",
        width=110,
    ),
    Column(
        code="store",
        reads={},
        label=_l("Store"),
        values=of_each(lambda order: order.store.name),
        default=True,
        width=113,
    ),
    Column(code="shop", reads={}, label=_l("Shop"), values=of_each(lambda order: order.shop.name), width=130),
    Column(code="channel", reads={}, label=_l("Channel"), values=_channel_name, width=110),
    Column(code="marketplace", reads={}, label=_l("Marketplace"), values=_marketplace, width=100),
    Column(code="fulfilled_by", reads={}, label=_l("Fulfilled by"), values=_fulfilled_by, width=110),
    Column(code="service", reads=by_name(Order.service_level), label=_l("Service"), values=_service, width=110),
    Column(code="payment", reads=by_name(Order.channel_order_id), label=_l("Payment"), values=_payment, width=120),
    Column(
        code="latest",
        reads={},
        label=_l("Latest event"),
        values=_latest,
        width=240,
        help=_l("The last change to the order, on the channel or in Waybill."),
    ),
    Column(
        code=CANCEL_SINCE,
        reads=by_name(Order.buyer_wants_cancel),
        label=_l("Cancel requested since"),
        kind=ColumnKind.TIME,
        values=_cancel_since,
        width=170,
        help=_l("The time since Waybill received the buyer's request to cancel."),
    ),
    Column(
        code=CANCEL_REASON,
        reads=by_name(Order.buyer_wants_cancel),
        label=_l("Buyer's reason"),
        values=_cancel_reason,
        width=170,
        help=_l("The buyer's reason for the request to cancel, as the channel reports it."),
    ),
    Column(
        code="comments",
        reads=by_name(Order.comments),
        label=_l("Comments"),
        kind=_NUMBER,
        values=of_each(lambda order: order.comments),
        width=90,
    ),
    Column(code="assignee", reads=by_name(Order.assignee_id), label=_l("Assigned to"), values=_assignee, width=130),
    Column(code="tags", reads=by_name(Order.tags), label=_l("Tags"), kind=ColumnKind.LABELS, values=_tagged, width=140),
    Column(
        code="due",
        reads=by_name(Order.due_at),
        label=_l("Task due"),
        kind=ColumnKind.COUNTDOWN,
        values=of_each(lambda order: order.due_at),
        width=120,
    ),
)
