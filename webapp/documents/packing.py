"""Packing slips: what goes into the parcel of an order, with both its numbers and no price.

Whether an order may leave is asked again when its slip is printed, of the predicate that guards shipping: what is being
canceled, waits or is held gets no slip but the reason. How a slip looks is the page's work.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from webapp.audit.actor import Actor
from webapp.channels.services import channels
from webapp.db import db
from webapp.errors import Refusal
from webapp.fulfillment.services import CodesRequired, LabelRequired, NothingOpen, shipping_refusal
from webapp.i18n import LANGUAGES
from webapp.orders import addresses
from webapp.orders.listing import NEWEST, Asked, first_orders
from webapp.orders.models import Order, OrderLine
from webapp.orders.queries import AROUND, visible
from webapp.vault import services as vault

MOST = 200  # slips on one page
LETTER_COUNTRIES = frozenset({"US", "CA", "MX"})
_PRINTED_ALL_THE_SAME = (LabelRequired, CodesRequired)  # they say how it leaves, not that it must not


@dataclass(frozen=True, slots=True)
class SlipLine:
    """One product in the parcel; the texts are personal."""

    sku: str
    title: str
    quantity: int
    gift: bool
    gift_text: str = ""
    customization: str = ""


@dataclass(frozen=True, slots=True)
class Slip:
    """What one slip says; `address` is empty for who may not see buyers, and where the channel withholds it."""

    order: Order
    language: str
    paper: str
    lines: Sequence[SlipLine]
    again: bool  # it left already: the slip tells what was in the parcels
    address: Mapping[str, Any] = field(default_factory=dict)
    instructions: str = ""


@dataclass(frozen=True, slots=True)
class Slips:
    """The slips of a choice, and the orders that get none, each with its reason."""

    slips: Sequence[Slip]
    refused: Sequence[tuple[Order, Refusal]]
    more: bool  # of the choice than one page takes


def slips_for(
    actor: Actor, *, ids: Sequence[int] | None = None, compiled: Asked | None = None, sort: str = NEWEST
) -> Slips:
    """Slips of these orders, or of everything that a query finds, up to `MOST`. Buyers by right, on the record once."""
    query = first_orders(actor, compiled, sort, MOST + 1)
    if ids is not None:
        query = visible(actor).where(Order.id.in_(ids)).order_by(Order.ship_by, Order.id)
    orders = list(db.session.scalars(query.options(*AROUND).limit(MOST + 1)))
    refused = [(order, why) for order in orders[:MOST] if (why := slip_refusal(order, actor)) is not None]
    left_out = {order.id for order, _why in refused}
    printed = [order for order in orders[:MOST] if order.id not in left_out]
    return Slips(_slips(printed, actor), refused, more=len(orders) > MOST)


def slip_refusal(order: Order, actor: Actor) -> Refusal | None:
    """Why no slip of the order is printed now; what left already may be printed again."""
    refusal = shipping_refusal(order, actor)
    if isinstance(refusal, NothingOpen) and any(line.shipped for line in order.lines):
        return None
    return None if isinstance(refusal, _PRINTED_ALL_THE_SAME) else refusal


def _slips(orders: Sequence[Order], actor: Actor) -> list[Slip]:
    told: Mapping[int, Mapping[str, Any]] = {}
    shown: dict[int, Mapping[str, Any]] = {}
    if orders and actor.may("buyers.see"):
        ids = [order.id for order in orders]
        keys = vault.reveal_kinds(actor, ids, purpose="packing_slip", kinds=addresses.KINDS)
        told = keys.opened(vault.BUYER)
        shown = {order_id: addresses.of_keys(keys, order_id).address for order_id in ids}
    known = channels()
    return [_slip(order, told.get(order.id, {}), shown.get(order.id, {}), known) for order in orders]


def _slip(order: Order, buyer: Mapping[str, Any], address: Mapping[str, Any], known: Mapping[str, Any]) -> Slip:
    channel = known.get(order.store.channel)
    marketplace = channel.marketplace(order.marketplace) if channel else None
    language = marketplace.language if marketplace and marketplace.language in LANGUAGES else order.shop.language
    country = marketplace.country if marketplace else order.country
    again = not any(line.open for line in order.lines)
    gifts, wishes = buyer.get("gift_messages") or {}, buyer.get("customizations") or {}
    lines = [
        SlipLine(line.sku, line.title, quantity, line.gift, _text(gifts, line), _text(wishes, line))
        for line in order.lines
        if (quantity := line.shipped if again else line.open)
    ]
    return Slip(
        order,
        language,
        "letter" if country in LETTER_COUNTRIES else "a4",
        lines,
        again,
        address,
        str(buyer.get("instructions") or ""),
    )


def _text(texts: Mapping[str, Any], line: OrderLine) -> str:
    return str(texts.get(line.channel_line_number) or "")
