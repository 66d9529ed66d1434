"""Packing slips: what goes into a parcel of an order, with both its numbers and no price.

While something is open, the slip of an order is that of its next parcel; once all has left, each parcel has its own.

Whether an order may leave is asked again when its slip is printed, of the predicate that guards shipping: what is being
canceled, waits or is held gets no slip but the reason. How a slip looks is the page's work.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from webapp.audit.actor import Actor
from webapp.channels.described import marketplace_of
from webapp.channels.legal_face import LANGUAGE, Face, face_of
from webapp.db import db
from webapp.errors import Refusal
from webapp.fulfillment.models import Package
from webapp.fulfillment.services import CodesRequired, LabelRequired, NothingOpen, shipping_refusal
from webapp.i18n import LANGUAGES
from webapp.lists.listing import first_rows
from webapp.orders import addresses
from webapp.orders.listing import NEWEST, ORDER_LIST
from webapp.orders.models import Order, OrderLine
from webapp.orders.queries import AROUND, visible
from webapp.search.compiling import Compiled
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
    again: bool  # it left already: the slip tells what was in the parcel
    face: Face
    address: Mapping[str, Any] = field(default_factory=dict)
    instructions: str = ""
    place: int = 0  # of a parcel that left, among all of the order
    parcels: int = 0


@dataclass(frozen=True, slots=True)
class _Parcel:
    """What lies in a parcel, by line; `place` counts those of the order that left, from 1."""

    order: Order
    units: Mapping[int, int]
    place: int = 0
    parcels: int = 0


@dataclass(frozen=True, slots=True)
class Slips:
    """The slips of a choice, and the orders that get none, each with its reason."""

    slips: Sequence[Slip]
    refused: Sequence[tuple[Order, Refusal]]
    more: bool  # of the choice than one page takes


def slips_for(
    actor: Actor,
    *,
    ids: Sequence[int] | None = None,
    compiled: Compiled | None = None,
    sort: str = NEWEST,
    package: int | None = None,
) -> Slips:
    """Slips of these orders, or of everything that a query finds, up to `MOST` orders; where a `package` is named, of
    the one of that number alone. Buyers by right, on the record once.
    """
    query = first_rows(ORDER_LIST, actor, compiled, sort, MOST + 1)
    if ids is not None:
        query = visible(actor).where(Order.id.in_(ids)).order_by(Order.ship_by, Order.id)
    orders = list(db.session.scalars(query.options(*AROUND).limit(MOST + 1)))
    refused = [(order, why) for order in orders[:MOST] if (why := slip_refusal(order, actor)) is not None]
    left_out = {order.id for order, _why in refused}
    printed = [order for order in orders[:MOST] if order.id not in left_out]
    return Slips(_slips(_parcels(printed, package), actor), refused, more=len(orders) > MOST)


def slip_refusal(order: Order, actor: Actor) -> Refusal | None:
    """Why no slip of the order is printed now; what left already may be printed again."""
    refusal = shipping_refusal(order, actor)
    if isinstance(refusal, NothingOpen) and any(line.shipped for line in order.lines):
        return None
    return None if isinstance(refusal, _PRINTED_ALL_THE_SAME) else refusal


def _parcels(orders: Sequence[Order], package: int | None) -> list[_Parcel]:
    """The next parcel of each order, or all of one that left; or the parcel of that number, where it is named."""
    left = [order.id for order in orders if package is not None or not any(line.open for line in order.lines)]
    query = select(Package).where(Package.order_id.in_(left)).order_by(Package.order_id, Package.number)
    known: dict[int, list[Package]] = {order_id: [] for order_id in left}
    if left:
        for row in db.session.scalars(query.options(selectinload(Package.lines))):
            known[row.order_id].append(row)
    found = []
    for order in orders:
        if order.id not in known:
            found.append(_Parcel(order, {line.id: line.open for line in order.lines if line.open}))
        for place, row in enumerate(known.get(order.id, []), start=1):
            if package in (None, row.number):
                units = {held.line_id: held.quantity for held in row.lines}
                found.append(_Parcel(order, units, place, len(known[order.id])))
    return found


def _slips(parcels: Sequence[_Parcel], actor: Actor) -> list[Slip]:
    orders = {parcel.order.id: parcel.order for parcel in parcels}
    buyers: Mapping[int, Mapping[str, Any]] = {}
    shown: dict[int, Mapping[str, Any]] = {}
    if orders and actor.may("buyers.see"):
        ids = list(orders)
        keys = vault.reveal_kinds(actor, ids, purpose="packing_slip", kinds=addresses.KINDS)
        buyers = keys.opened(vault.BUYER)
        shown = {order_id: addresses.of_keys(keys, order_id).address for order_id in ids}
    return [_slip(parcel, buyers.get(parcel.order.id, {}), shown.get(parcel.order.id, {})) for parcel in parcels]


def _slip(parcel: _Parcel, buyer: Mapping[str, Any], address: Mapping[str, Any]) -> Slip:
    order = parcel.order
    marketplace = marketplace_of(order.store.channel, order.marketplace)
    spoken = marketplace.language.partition("_")[0] if marketplace else ""
    language = spoken if spoken in LANGUAGES else LANGUAGE.of(order.shop)
    country = marketplace.country if marketplace else order.country
    gifts, wishes = buyer.get("gift_messages") or {}, buyer.get("customizations") or {}
    lines = [
        SlipLine(line.sku, line.title, quantity, line.gift, _text(gifts, line), _text(wishes, line))
        for line in order.lines
        if (quantity := parcel.units.get(line.id, 0))
    ]
    return Slip(
        order,
        language,
        "letter" if country in LETTER_COUNTRIES else "a4",
        lines,
        parcel.place > 0,
        face_of(order.shop, country),
        address,
        str(buyer.get("instructions") or ""),
        parcel.place,
        parcel.parcels,
    )


def _text(texts: Mapping[str, Any], line: OrderLine) -> str:
    return str(texts.get(line.channel_line_number) or "")
