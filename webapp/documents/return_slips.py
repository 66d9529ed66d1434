"""Return slips: what a buyer puts into the parcel when goods come back, with both order numbers and reasons to tick.

A slip names products and units, no price and no buyer, so it may be put into a gift. It is in the language of the
marketplace on which the buyer ordered. That of a return request says what comes back, and why. Receiving what comes
back is not done here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from webapp.audit.actor import Actor
from webapp.channels.described import marketplace_of
from webapp.channels.legal_face import face_of, return_address_of
from webapp.channels.returns import REASON_LABELS, ReturnReason
from webapp.channels.services import channel_name
from webapp.db import among, db
from webapp.documents import formats
from webapp.documents.composed import PAPERS, Column, Document, Fact, Party, Rows, Style, Table, Text, labeled
from webapp.errors import Refusal
from webapp.i18n import gettext as _, lazy_gettext as _l, spoken
from webapp.orders.models import Order, OrderLine
from webapp.orders.queries import AROUND, visible
from webapp.returns.models import Return

_BOX, _TICKED = "☐", "☒"


@dataclass(frozen=True, slots=True)
class Announced:
    """A return request as its slip shows it: its number, and by order line how many units come back, and why."""

    number: str
    lines: Mapping[int, tuple[int, ReturnReason]]


class NothingToReturn(Refusal):
    """All units of the order are canceled."""

    code = "nothing_to_return"
    sentence = _l("Everything in this order is canceled, so nothing can be returned.")


class NothingAnnounced(Refusal):
    """The return was denied."""

    code = "nothing_announced"
    sentence = _l("This return was denied, so it has no return slip.")


def announced(row: Return) -> Announced:
    """A return as its slip shows it: what was asked for or, once it was decided about, what was authorized. Raises
    `NothingAnnounced`.
    """
    units = {line: line.authorized if row.decided_at else line.asked for line in row.lines}
    lines = {line.line_id: (count, ReturnReason(line.reason)) for line, count in units.items() if count}
    if not lines:
        raise NothingAnnounced
    return Announced(row.number, lines)


def orders_with_slips(actor: Actor, ids: Sequence[int]) -> list[Order]:
    """Those of these orders that the actor may see, in this order, with all that their slips read."""
    query = visible(actor).where(among(Order.id, ids)).options(*AROUND)
    found = {order.id: order for order in db.session.scalars(query)}
    return [found[id_] for id_ in ids if id_ in found]


def return_refusal(order: Order) -> Refusal | None:
    """Why the order gets no return slip."""
    return None if any(map(_units, order.lines)) else NothingToReturn()


def composed_slip(order: Order, paper: str = "", announced: Announced | None = None) -> Document:
    """The return slip of an order, or of one of its return requests, for this paper or, without one, for the usual
    paper of its country.
    """
    marketplace = marketplace_of(order.store.channel, order.marketplace)
    country = marketplace.country if marketplace else order.country
    paper = paper or formats.paper_for(country)
    language = formats.language_of(formats.locale_for(marketplace, order.shop))
    face, small = face_of(order.shop, country), PAPERS[paper].is_small
    address = return_address_of(order.shop)
    numbers = dict.fromkeys((order.number or "", order.channel_order_number, announced.number if announced else ""))
    with spoken(language):
        write = _("For each product, write how many units you send back and tick the number of a reason.")
        return Document(
            title=_("Return slip"),
            language=language,
            paper=paper,
            face=face,
            vat_number="",
            codes=tuple(filter(None, numbers)),
            parties=(Party(_("Return to"), address, "" if address else _("This shop has no return address yet.")),),
            facts=tuple(_facts(order, announced)),
            columns=tuple(_columns(small)),
            rows=tuple(_rows(order, announced, small)),
            banner=_("PRACTICE – not a real order") if order.store.practice else "",
            notes=() if announced else (Text(write),),
            tables=(_reasons(),),
            closing=(Text(_("Put this slip into the parcel."), Style.NOTE),),
        )


def _units(line: OrderLine) -> int:
    """The units that can come back at most."""
    return line.ordered - line.canceled - line.withdrawn


def _facts(order: Order, announced: Announced | None) -> Iterator[Fact]:
    if announced:
        yield Fact(_("Return"), announced.number, Style.STRONG)
    if order.number:
        yield Fact(_("Order"), order.number, Style.STRONG)
    if order.number != order.channel_order_number:
        channel = channel_name(order.store.channel)
        yield Fact(_("%(channel)s order number", channel=channel), order.channel_order_number)


def _columns(small: bool) -> Iterator[Column]:
    yield Column(_("Quantity"), 16, is_number=True)
    if not small:
        yield Column(_("SKU"), 20)
    yield Column(_("Product"), 50 if small else 32)
    yield Column(_("Sent back"), 34 if small else 32)


def _rows(order: Order, announced: Announced | None, small: bool) -> Iterator[tuple[tuple[Text, ...], ...]]:
    for line in order.lines:
        if announced is None and (units := _units(line)):
            yield _row(line, units, small, "____", None)
        elif announced is not None and line.id in announced.lines:
            coming, reason = announced.lines[line.id]
            yield _row(line, _units(line), small, str(coming), reason)


def _row(
    line: OrderLine, units: int, small: bool, coming: str, ticked: ReturnReason | None
) -> tuple[tuple[Text, ...], ...]:
    product = (Text(line.title), Text(line.sku, Style.NOTE)) if small else (Text(line.title),)
    sku = () if small else ((Text(line.sku),),)
    boxes = "  ".join(
        f"{_TICKED if reason == ticked else _BOX}\xa0{number}" for number, reason in enumerate(REASON_LABELS, start=1)
    )
    return (Text(str(units), Style.STRONG),), *sku, product, (labeled(_("Units"), coming), Text(boxes))


def _reasons() -> Table:
    labels = enumerate(REASON_LABELS.values(), start=1)
    rows: Rows = tuple(((Text(str(number)),), (Text(str(label)),)) for number, label in labels)
    return Table((Column(_("Number"), 16, is_number=True), Column(_("Reason for the return"), 84)), rows)
