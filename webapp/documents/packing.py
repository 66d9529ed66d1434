"""Packing slips: the content of an order's parcel, with both order numbers and no price.

While some units are open, an order's slip is that of its next parcel; once all have left, each parcel has its own slip.

Whether an order may leave is checked again when its slip is printed, by the function that guards shipping: for an order
that is being canceled, waits or is on hold, the reason is shown instead of a slip. An incomplete address is said on the
slip. `composed_slip` makes a document
from a slip, in the language of the marketplace on which the buyer ordered; drawing it is left to the modules that draw
documents.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Select, select
from sqlalchemy.orm import joinedload

from webapp.audit.actor import Actor
from webapp.channels.described import marketplace_of, service_label
from webapp.channels.legal_face import Face, face_of
from webapp.channels.services import channel_name
from webapp.db import among, db
from webapp.documents import formats
from webapp.documents.composed import Column, Document, Fact, Party, Style, Text, labeled
from webapp.errors import Refusal
from webapp.fulfillment.models import Package
from webapp.fulfillment.services import CodesRequired, LabelRequired, NothingOpen, shipping_refusal
from webapp.i18n import gettext as _, pgettext, spoken
from webapp.lists.listing import first_rows
from webapp.orders import addresses
from webapp.orders.listing import NEWEST, ORDER_LIST
from webapp.orders.models import Order, OrderLine
from webapp.orders.postal_lines import address_of, home_of
from webapp.orders.queries import AROUND, visible
from webapp.search.compiling import Compiled
from webapp.vault import services as vault

MOST = 200  # slips on one page
_NO_REASON_AGAINST_SLIP = (LabelRequired, CodesRequired)  # they limit how the order leaves, not whether


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
    """The content of one slip; `address` is empty if the actor may not see buyers, or if the channel withholds it."""

    order: Order
    language: str
    paper: str
    lines: Sequence[SlipLine]
    again: bool  # the parcel has left already: the slip says what was in it
    face: Face
    address: Mapping[str, Any] = field(default_factory=dict)
    instructions: str = ""
    place: int = 1  # of the parcel, among all parcels of the order
    parcels: int = 0  # the number of the order's parcels; 0 while more units have to leave
    tracking_number: str = ""
    hidden: bool = False  # whether the buyer is hidden from this actor


@dataclass(frozen=True, slots=True)
class _Parcel:
    """The content of a parcel, by line; the next parcel to leave has no package yet."""

    order: Order
    units: Mapping[int, int]
    place: int
    parcels: int = 0
    package: Package | None = None


@dataclass(frozen=True, slots=True)
class Slips:
    """The slips of a choice, and the orders without a slip, each with its reason."""

    slips: Sequence[Slip]
    refused: Sequence[tuple[Order, Refusal]]
    more: bool  # whether the choice has more orders than fit on a page

    @property
    def orders(self) -> list[Order]:
        """The orders that have a slip here, or a reason why not."""
        return [*(slip.order for slip in self.slips), *(order for order, _why in self.refused)]


def slips_for(
    actor: Actor, *, ids: Sequence[int] | None = None, compiled: Compiled | None = None, sort: str = NEWEST
) -> Slips:
    """The slips of these orders, or of all orders that a query finds: see `slips_of`."""
    return slips_of(actor, orders_to_print(actor, ids=ids, compiled=compiled, sort=sort))


def orders_to_print(
    actor: Actor, *, ids: Sequence[int] | None = None, compiled: Compiled | None = None, sort: str = NEWEST
) -> list[Order]:
    """The first orders of a choice with all that their slips read, in the order of their slips; at most one more than
    `MOST`.
    """
    return list(db.session.scalars(_chosen(actor, ids, compiled, sort, MOST).options(*AROUND)))


def slips_of(actor: Actor, orders: Sequence[Order], *, package: int | None = None) -> Slips:
    """The slips of these orders, up to `MOST` orders; with `package`, only the slip of the package with that number.
    Buyers are revealed by right, with one access record.
    """
    refused = [(order, why) for order in orders[:MOST] if (why := slip_refusal(order, actor)) is not None]
    left_out = {order.id for order, _why in refused}
    printed = [order for order in orders[:MOST] if order.id not in left_out]
    return Slips(_slips(_parcels(printed, package), actor), refused, more=len(orders) > MOST)


def chosen_ids(
    actor: Actor, *, ids: Sequence[int] | None = None, compiled: Compiled | None = None, sort: str = NEWEST, most: int
) -> list[int]:
    """The first orders of a choice, in the order in which their slips are printed; at most one more than `most`."""
    return list(db.session.scalars(_chosen(actor, ids, compiled, sort, most).with_only_columns(Order.id)))


def _chosen(actor: Actor, ids: Sequence[int] | None, compiled: Compiled | None, sort: str, most: int) -> Select[Order]:
    query = first_rows(ORDER_LIST, actor, compiled, sort, most + 1)
    if ids is not None:
        query = visible(actor).where(among(Order.id, ids)).order_by(Order.ship_by, Order.id)
    return query.limit(most + 1)


def refused_now(actor: Actor, ids: Sequence[int]) -> Iterator[tuple[Order, Refusal]]:
    """Those of the orders that must not leave now, each with the reason."""
    for start in range(0, len(ids), MOST):
        query = visible(actor).where(Order.id.in_(ids[start : start + MOST])).order_by(Order.id)
        for order in db.session.scalars(query.options(*AROUND)):
            if (why := slip_refusal(order, actor)) is not None:
                yield order, why


def slip_refusal(order: Order, actor: Actor) -> Refusal | None:
    """Why no slip of the order is printed now; the slip of an order that has left may be printed again."""
    refusal = shipping_refusal(order, actor)
    if isinstance(refusal, NothingOpen) and any(line.shipped for line in order.lines):
        return None
    return None if isinstance(refusal, _NO_REASON_AGAINST_SLIP) else refusal


def _parcels(orders: Sequence[Order], package: int | None) -> list[_Parcel]:
    """The next parcel of each order, or all parcels of an order that has left; with `package`, the parcel of that
    number.
    """
    known = _packages([order.id for order in orders if any(line.shipped for line in order.lines)])
    found = []
    for order in orders:
        units = {line.id: line.open for line in order.lines if line.open}
        packages = known.get(order.id, [])
        if units and package is None:
            found.append(_Parcel(order, units, len(packages) + 1))
            continue
        for place, row in enumerate(packages, start=1):
            if package in (None, row.number):
                held = {one.line_id: one.quantity for one in row.lines}
                found.append(_Parcel(order, held, place, 0 if units else len(packages), row))
    return found


def _packages(order_ids: Sequence[int]) -> Mapping[int, Sequence[Package]]:
    """The packages that have left, by order, in the order of the packages' numbers."""
    found: dict[int, list[Package]] = {order_id: [] for order_id in order_ids}
    if order_ids:
        query = select(Package).where(Package.order_id.in_(order_ids)).order_by(Package.order_id, Package.number)
        for row in db.session.scalars(query.options(joinedload(Package.lines))).unique():
            found[row.order_id].append(row)
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
    hidden = not actor.may("buyers.see")
    return [
        _slip(parcel, buyers.get(parcel.order.id, {}), shown.get(parcel.order.id, {}), hidden=hidden)
        for parcel in parcels
    ]


def _slip(parcel: _Parcel, buyer: Mapping[str, Any], address: Mapping[str, Any], *, hidden: bool) -> Slip:
    order = parcel.order
    marketplace = marketplace_of(order.store.channel, order.marketplace)
    language = formats.language_of(formats.locale_for(marketplace, order.shop))
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
        formats.paper_for(country),
        lines,
        parcel.package is not None,
        face_of(order.shop, country),
        address,
        str(buyer.get("instructions") or ""),
        parcel.place,
        parcel.parcels,
        parcel.package.tracking_number if parcel.package else "",
        hidden,
    )


def _text(texts: Mapping[str, Any], line: OrderLine) -> str:
    return str(texts.get(line.channel_line_number) or "")


# --- The document -----------------------------------------------------------------------------------------------------


def composed_slip(slip: Slip, paper: str = "") -> Document:
    """The slip as a document, for this paper or, without one, for the usual paper of its country."""
    with spoken(slip.language):
        return Document(
            title=_("Packing slip"),
            language=slip.language,
            paper=paper or slip.paper,
            face=slip.face,
            vat_number=_("VAT number %(number)s", number=slip.face.vat_number) if slip.face.vat_number else "",
            codes=(slip.order.number,) if slip.order.number else (),
            parties=(_addressee(slip),),
            facts=tuple(_facts(slip)),
            columns=(
                Column(_("Quantity"), 16, is_number=True),
                Column(_("SKU"), 25),
                Column(_("Product"), 59),
            ),
            rows=tuple(_row(line) for line in slip.lines),
            totals=_units(slip),
            banner=_("PRACTICE – not a real order") if slip.order.store.practice else "",
            notes=(labeled(_("Delivery instructions"), slip.instructions),) if slip.instructions else (),
            closing=(Text(_("Reprint: these units have already shipped."), Style.NOTE),) if slip.again else (),
        )


def _addressee(slip: Slip) -> Party:
    address = address_of(slip.address, home_of(slip.order))
    reason = _("The channel does not provide the address.")
    if slip.hidden:
        reason = _("The address is hidden: your role does not show buyer data.")
    return Party(_("Ship to"), tuple(address.lines) if address else (), "" if address else reason)


def _facts(slip: Slip) -> Iterator[Fact]:
    order = slip.order
    if order.number:
        yield Fact(_("Order"), order.number, Style.STRONG)
    if order.number != order.channel_order_number:
        channel = channel_name(order.store.channel)
        yield Fact(_("%(channel)s order number", channel=channel), order.channel_order_number)
    yield Fact(_("Placed"), _day_and_time(slip))
    if slip.parcels > 1:
        yield Fact(_("Parcel"), _("%(place)s of %(parcels)s", place=slip.place, parcels=slip.parcels))
    elif not slip.parcels and (slip.again or slip.place > 1):
        yield Fact(_("Parcel"), str(slip.place))
    if slip.tracking_number:
        yield Fact(_("Tracking number"), slip.tracking_number)
    if order.service_level:
        yield Fact(_("Service"), service_label(order.store.channel, order.service_level))


def _day_and_time(slip: Slip) -> str:
    """When the order was placed, in the shop's time zone."""
    placed = slip.order.placed_at.astimezone(ZoneInfo(slip.order.shop.zone))
    return f"{formats.day(placed, formats.formats_of(slip.language))}, {placed:%H:%M}"


def _row(line: SlipLine) -> tuple[tuple[Text, ...], ...]:
    product = [Text(line.title)]
    if line.customization:
        product.append(labeled(_("Customization"), line.customization))
    if line.gift_text:
        product.append(Text(line.gift_text, Style.QUOTE))
    elif line.gift:
        product.append(Text(_("Gift"), Style.NOTE))
    return (Text(str(line.quantity), Style.STRONG),), (Text(line.sku),), tuple(product)


def _units(slip: Slip) -> tuple[Fact, ...]:
    """The number of units, for the packer; none for a single line, which shows the number already."""
    if len(slip.lines) < 2:
        return ()
    return (Fact(pgettext("packing slip", "Units"), str(sum(line.quantity for line in slip.lines)), Style.STRONG),)
