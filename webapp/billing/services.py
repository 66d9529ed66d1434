"""Issuing invoices over a whole order or a part of it: by hand, or by themselves (`automatic`).

An invoice counts units of lines and amounts as invoiced and never changes afterwards. Its number is drawn last
(`numbering`); what can still be invoiced is in `remaining`.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from webapp.audit.actor import Actor
from webapp.billing.contract import DocumentIssued, DocumentKind
from webapp.billing.kept_buyers import SNAPSHOT, keep
from webapp.billing.models import Invoice, InvoiceLine
from webapp.billing.numbering import draw_numbers, hold_sequences
from webapp.billing.remaining import Part, Remaining, read_amounts, units_left
from webapp.billing.tax_schemes import told_of
from webapp.billing.taxes import WHOLE, TaxedPart, taxed
from webapp.billing.terms import Terms, departures, terms_of
from webapp.channels.described import marketplace_of
from webapp.channels.incoming import ChannelStage
from webapp.channels.legal_face import face_of
from webapp.channels.services import channel_name
from webapp.db import db
from webapp.errors import Invalid, Refusal
from webapp.i18n import lazy_gettext as _l
from webapp.jobs.telling import tell
from webapp.money import Money
from webapp.orders.addresses import KINDS, of_keys
from webapp.orders.amounts import OWN
from webapp.orders.contract import DraftRow
from webapp.orders.events import EventGroup, EventWords, record
from webapp.orders.models import Order
from webapp.orders.services import ManagedAtChannel, settle_attention
from webapp.orders.states import OrderState
from webapp.vault.services import BUYER, DataKeys, pack

ON_PAPER = ("name", "company", "purchase_order", "vat_number")  # of the buyer, beside the address
MONEY = EventGroup("money", _l("Invoices"), 35)
UNTAXED = "tax_rate_unknown"  # the kind of attention of orders that are not invoiced by themselves for that
INVOICED = EventWords(
    "invoiced", _l("Invoice %(number)s issued: %(total)s (units: %(units)s)"), MONEY, DocumentKind.INVOICE
)


class CanceledNotInvoiced(Refusal):
    code = "canceled_not_invoiced"
    sentence = _l("This order is canceled: there is nothing to invoice.")


class CancelingNotInvoiced(Refusal):
    code = "canceling_not_invoiced"
    sentence = _l("This order is being canceled. Invoice the remaining units after the cancellation has ended.")


class NotPaid(Refusal):
    """The channel has not verified the payment."""

    code = "not_paid"
    sentence = _l("The payment is not verified yet. The order can be invoiced after the channel has released it.")


class TotalWithheld(Refusal):
    """The channel has not told what the buyer pays."""

    code = "total_withheld"
    sentence = _l("%(channel)s does not provide the total of this order, so the order can't be invoiced.")


class NothingToInvoice(Refusal):
    code = "nothing_to_invoice"
    sentence = _l("This order is completely invoiced.")


class NothingOnInvoice(Refusal):
    """Neither units nor amounts are chosen."""

    code = "invoice_of_nothing"
    field = "lines"
    sentence = _l("The invoice would be empty. Choose units or an amount, such as shipping.")


class TooFewToInvoice(Refusal):
    """Of a line, fewer units are left than an invoice asks for."""

    code = "too_few_to_invoice"
    field = "lines"
    sentence = _l("The quantity is too high. Units of %(sku)s left to invoice: %(left)s.")


def invoice_refusal(order: Order, actor: Actor) -> Refusal | None:
    """Why the order can't be invoiced now; asked by the button and by `issue_invoices`."""
    stage = order.channel_order.stage
    if order.managed_at_channel:
        return ManagedAtChannel()
    if order.state == OrderState.CANCELED or stage == ChannelStage.CANCELED:
        return CanceledNotInvoiced()
    if order.state == OrderState.PENDING or stage == ChannelStage.AWAITING_PAYMENT:
        return NotPaid()
    if order.canceling:
        return CancelingNotInvoiced()
    if order.total_minor is None or order.currency is None:
        return TotalWithheld(channel=channel_name(order.store.channel))
    if any(map(units_left, order.lines)):
        return None  # most often: no amount has to be read
    return None if Remaining(order) else NothingToInvoice()


def issue_invoice(
    order: Order,
    lines: Mapping[int, int] | None = None,
    components: Mapping[str, bool] | None = None,
    *,
    actor: Actor,
) -> Invoice:
    """Issue an invoice of one order: see `issue_invoices`."""
    return issue_invoices([order], lines, components, actor=actor)[0]


def issue_invoices(
    orders: Sequence[Order],
    lines: Mapping[int, int] | None = None,
    components: Mapping[str, bool] | None = None,
    *,
    actor: Actor,
) -> list[Invoice]:
    """Issue an invoice of each of these orders over these units by line id, which may be none, or over everything that
    is left; the caller holds the orders' locks. Components beside the goods are on it in proportion to the units; with
    True in `components` by all that is left of them, with False not at all.

    Raises the refusal of `invoice_refusal`, or an error of what is chosen; then nothing is issued.
    """
    read_amounts(orders)
    plans = [(order, planned(order, lines, components, actor)) for order in orders]
    left_out = {order.id: _left_out(order, components or {}) for order in orders}
    return issue(plans, actor=actor, left_out=left_out)


def _left_out(order: Order, components: Mapping[str, bool]) -> list[str]:
    """Those components that were chosen not to be on an invoice, and of which the order has something: they follow by
    themselves once all has shipped. Where it has, people invoice them, since nothing is to come that could.
    """
    kept_off = [component for component, all_ in components.items() if not all_]
    if not kept_off or not any(line.open for line in order.lines):
        return []
    return [component for component in Remaining(order).components if component in kept_off]


def planned_rows(
    order: Order, lines: Mapping[int, int] | None, components: Mapping[str, bool], *, actor: Actor
) -> list[DraftRow]:
    """The lines that such an invoice would have. Raises what `issue_invoices` does."""
    parts = planned(order, lines, components, actor)
    return [
        DraftRow(
            title=one.part.line.title if one.part.line else "",
            sku=one.part.line.sku if one.part.line else "",
            component=one.part.component,
            units=one.part.units,
            net=Money(one.figures.net - one.figures.tax, order.currency or ""),
            tax=Money(one.figures.tax, order.currency or ""),
            tax_rate=None if one.rate is None else Decimal(one.rate) / WHOLE,
        )
        for one in taxed(order, parts).lines
    ]


def issue(
    plans: Sequence[tuple[Order, Sequence[Part]]], *, actor: Actor, left_out: Mapping[int, Sequence[str]] | None = None
) -> list[Invoice]:
    """Issue an invoice of these parts of each order, as `Remaining.parts` gave them; the caller holds the orders'
    locks, and has asked what refuses it. `left_out` are the components that somebody kept off, for later, by order.
    """
    orders = [order for order, _parts in plans]
    with_tax = [taxed(order, parts) for order, parts in plans]
    for order, parts in plans:
        _count(order, parts)
    db.session.flush()
    sealed, left = snapshots_of(orders), departures([parts for _order, parts in plans])
    told = told_of([parts for _order, parts in plans])
    shop_ids = [order.shop_id for order in orders]
    issued_at = hold_sequences(DocumentKind.INVOICE, shop_ids)  # under their locks: later numbers are not older
    numbers = draw_numbers(DocumentKind.INVOICE, shop_ids, issued_at)
    issued = [
        Invoice(
            order_id=order.id,
            shop_id=order.shop_id,
            number=number,
            issued_at=issued_at,
            currency=order.currency,
            total_minor=sum(one.figures.net for one in lines.lines),
            seller=seller_of(order),
            terms=terms_of(order, lines, issued_at, left) | {"tax": tax} | _kept_off(left_out, order),
            actor_kind=actor.kind,
            actor_id=actor.id,
            sealed=sealed.get(order.id),
            lines=[_line(position, one) for position, one in enumerate(lines.lines, start=1)],
        )
        for order, number, lines, tax in zip(orders, numbers, with_tax, told, strict=True)
    ]
    db.session.add_all(issued)
    db.session.flush()
    keep(issued)
    for order, invoice in zip(orders, issued, strict=True):
        total = f"{Money(invoice.total_minor, invoice.currency)} {invoice.currency}"
        units = sum(line.units for line in invoice.lines)
        if any(trouble["kind"] == UNTAXED for trouble in order.attention):
            settle_attention(order, UNTAXED)
        values = {"id": invoice.id, "number": invoice.number, "total": total, "units": units}
        record(order, INVOICED.code, actor=actor, values=values)
    tell(
        "documents_issued",
        [DocumentIssued(one.id, one.order_id, DocumentKind.INVOICE, one.number) for one in issued],
    )
    return issued


def _kept_off(left_out: Mapping[int, Sequence[str]] | None, order: Order) -> Terms:
    found = (left_out or {}).get(order.id)
    return {"left_out": list(found)} if found else {}


def planned(
    order: Order, lines: Mapping[int, int] | None, components: Mapping[str, bool] | None, actor: Actor
) -> list[Part]:
    """What an invoice over these units would contain; raises what `issue_invoices` does."""
    if refusal := invoice_refusal(order, actor):
        raise refusal
    remaining = Remaining(order)
    by_id = {line.id: line for line in order.lines}
    for line_id, units in (lines or {}).items():
        if line_id not in by_id:
            raise Invalid(field="lines", problem=_l("Line %(line)s is not on this order.", line=line_id))
        if units < 1:
            raise Invalid(field="lines", problem=_l("Enter at least 1 unit for each line."))
        if units > (left := remaining.units.get(line_id, 0)):
            line = by_id[line_id]
            raise TooFewToInvoice(left=left, sku=line.sku or line.title)
    unknown = [component for component in components or {} if component not in remaining.components]
    for component in unknown:
        if any(place[1] == component for place in remaining.amounts):
            raise Invalid(
                field=component, problem=_l("This amount is a discount on the price, so it is invoiced with the units.")
            )
    if parts := remaining.parts(lines, components):
        return parts
    for component in unknown:
        if components and components[component]:
            raise Invalid(field=component, problem=_l("This amount is completely invoiced."))
    raise NothingOnInvoice


def _count(order: Order, parts: Sequence[Part]) -> None:
    rows = {(row.line_id or OWN, row.component): row for row in order.amounts}
    for part in parts:
        if part.line is not None:
            part.line.invoiced += part.units
        if any(part.amount):
            row = rows[part.place]
            row.invoiced = row.invoiced.plus(part.amount)


def _line(position: int, one: TaxedPart) -> InvoiceLine:
    line = one.part.line
    return InvoiceLine(
        position=position,
        line_id=line.id if line else None,
        component=one.part.component,
        sku=line.sku if line else "",
        title=line.title if line else "",
        units=one.part.units,
        **one.figures._asdict(),
        tax_rate=one.rate,
    )


def seller_of(order: Order) -> dict[str, str]:
    """What a document says of the order's shop, as `Invoice.seller` keeps it."""
    sold_in = marketplace_of(order.store.channel, order.marketplace)
    face = face_of(order.shop, sold_in.country if sold_in else "")
    return {
        "name": face.name,
        "legal_name": face.legal_name,
        "address": face.address,
        "vat_number": face.vat_number,
        "country": face.country,
    }


def snapshots_of(orders: Sequence[Order]) -> dict[int, bytes]:
    """What documents say of the buyers, sealed by order: copied from seal to seal, shown to nobody. Orders whose buyers
    were erased or are withheld have none.
    """
    keys = DataKeys([order.id for order in orders], KINDS)
    found = {}
    for order in orders:
        buyer = keys.opened(BUYER).get(order.id) or {}
        body = {name: buyer[name] for name in ON_PAPER if buyer.get(name)}
        if address := of_keys(keys, order.id).address:
            body["address"] = dict(address)
        if body:
            found[order.id] = keys.seal(order.id, SNAPSHOT, pack(SNAPSHOT, body))
    return found
