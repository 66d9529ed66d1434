"""Invoices that a store's orders get by themselves: which, when, and what is on them.

A store says when: as units ship, or on import, once the payment is verified; by default invoices are issued by hand
alone. What is due follows from the order as it stands, never from what was told about it: shipped units that are not
invoiced yet, or everything. An invoice takes the share of the amounts by its units, the one over the last units
everything that is left; what somebody kept off the invoices before all was shipped follows then. Other amounts without
a unit, and what costs nothing, such as a replacement, are left to people.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from webapp.audit.actor import Actor
from webapp.billing.models import Invoice
from webapp.billing.queries import invoices_of
from webapp.billing.remaining import Part, Remaining, read_amounts
from webapp.billing.services import invoice_refusal, issue
from webapp.billing.taxes import taxed
from webapp.channels.incoming import INVOICE_BY_CHANNEL, FulfilledBy
from webapp.channels.services import channel_name
from webapp.errors import Invalid, Refusal
from webapp.i18n import lazy_gettext as _l
from webapp.orders.holds import OnHold
from webapp.orders.models import Order
from webapp.settings.declared import STORE, Setting, SettingsGroup


class When(StrEnum):
    BY_HAND = "by_hand"
    SHIPPED = "when_shipped"
    IMPORTED = "on_import"


WHEN = Setting(
    name="invoices",
    label=_l("Issue invoices"),
    default=When.BY_HAND.value,
    choices={
        When.BY_HAND: _l("by hand"),
        When.SHIPPED: _l("when shipped"),
        When.IMPORTED: _l("on import"),
    },
    help=_l(
        "When shipped: an invoice for the shipped units. On import: an invoice for the whole order after its "
        "payment is verified."
    ),
)
SINCE = Setting(
    name="invoice_from",
    label=_l("Invoice from"),
    day=True,
    help=_l(
        "Orders placed before this day are invoiced by hand only. Enter a day unless all invoices are issued by hand."
    ),
)
OF_CHANNEL = Setting(
    name="invoice_channel_fulfilled",
    label=_l("Include orders that the channel ships"),
    default=False,
    help=_l("If this is off, these orders are invoiced by hand."),
)


def _check(store: Any, had: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse invoices by themselves without the day from which on."""
    values = {**had, **given}
    if WHEN.parse(values[WHEN.name]) != When.BY_HAND and not str(values[SINCE.name] or "").strip():
        raise Invalid(
            field=SINCE.name, problem=_l("Enter a day. Orders placed before this day are not invoiced automatically.")
        )


AUTOMATIC = SettingsGroup("invoices", _l("Invoices"), (WHEN, SINCE, OF_CHANNEL), scope=STORE, check=_check)
WATCHED = frozenset(
    {"state", "on_hold", "canceling", "buyer_wants_cancel", "total_minor", "number", "flags"}
)  # columns


class ByHandAlone(Refusal):
    code = "invoices_by_hand"
    sentence = _l("This store's invoices are issued by hand.")


class ShippedBefore(Refusal):
    """The order had left when the desk saw it first."""

    code = "shipped_before"
    sentence = _l("This order had already shipped when it was imported, so it is invoiced by hand only.")


class InvoicedByChannel(Refusal):
    code = "invoiced_by_channel"
    sentence = _l("%(channel)s itself invoices this order.")


class PlacedBefore(Refusal):
    code = "placed_before"
    sentence = _l("This order was placed before the day on which automatic invoicing starts for this store.")


class ShippedByChannelByHand(Refusal):
    code = "channel_fulfilled_by_hand"
    sentence = _l("%(channel)s ships this order. The store's settings say that such orders are invoiced by hand.")


class NothingDue(Refusal):
    code = "nothing_due"
    sentence = _l("This order has nothing to invoice automatically now.")


class UnknownTax(Refusal):
    """Rates are declared for the country of delivery, and the channel's tax fits none of them."""

    code = "tax_rate_unknown"
    sentence = _l("None of the tax rates declared for this country matches the tax of this order.")


def automatic_refusal(order: Order, actor: Actor) -> Refusal | None:
    """Why the order is not invoiced by itself, as it and its store's settings stand; what is due is not asked."""
    store = order.store
    if WHEN.of(store) == When.BY_HAND:
        return ByHandAlone()
    if refusal := invoice_refusal(order, actor):
        return refusal
    channel = channel_name(store.channel)
    checks: tuple[tuple[bool, Refusal], ...] = (
        (order.arrived_complete, ShippedBefore()),
        (INVOICE_BY_CHANNEL in order.flags, InvoicedByChannel(channel=channel)),
        (order.placed_at < first_moment(order), PlacedBefore()),
        (
            order.fulfilled_by == FulfilledBy.CHANNEL and not OF_CHANNEL.of(store),
            ShippedByChannelByHand(channel=channel),
        ),
        (order.on_hold, OnHold()),
    )
    return next((refusal for applies, refusal in checks if applies), None)


def first_moment(order: Order) -> datetime:
    """The beginning of the day from which the order's store is invoiced by itself, in the shop's time zone."""
    day = date.fromisoformat(SINCE.of(order.store))
    return datetime.combine(day, time(), ZoneInfo(order.shop.zone))


def due_parts(order: Order, actor: Actor) -> list[Part]:
    """What of the order is to be invoiced by itself now. Raises the refusal why nothing is."""
    if refusal := automatic_refusal(order, actor):
        raise refusal
    remaining = Remaining(order)
    chosen = remaining.units
    if WHEN.of(order.store) == When.SHIPPED or order.buyer_wants_cancel:  # who asks to cancel is not charged before
        left = {line.id: min(remaining.units.get(line.id, 0), line.shipped - line.invoiced) for line in order.lines}
        chosen = {line_id: units for line_id, units in left.items() if units > 0}
    left_out = {} if chosen else _left_out(order, remaining)
    if not chosen and not left_out:
        raise NothingDue
    parts = remaining.parts(chosen, left_out)
    if sum(part.amount.net for part in parts) <= 0:
        raise NothingDue
    if taxed(order, parts).unknown:
        raise UnknownTax
    return parts


def _left_out(order: Order, remaining: Remaining) -> Mapping[str, bool]:
    """The components that somebody kept off an invoice of the order before all had shipped and of which something is
    left, once all units are invoiced and have left.
    """
    if remaining.units or not remaining.amounts or any(line.open for line in order.lines):
        return {}
    return {
        component: True
        for invoice in invoices_of(order)
        for component in invoice.terms.get("left_out", ())
        if component in remaining.components
    }


def issue_due(orders: Sequence[Order], *, actor: Actor) -> list[Invoice]:
    """Issue what is due of each of these orders; the caller holds their locks. Raises the refusal of the first of
    which nothing is due; then nothing is issued.
    """
    read_amounts(orders)
    return issue([(order, due_parts(order, actor)) for order in orders], actor=actor)
