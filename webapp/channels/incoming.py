"""What comes in from a channel: orders with their lines, amounts, packages and buyers, in pages of a window.

The channel builds these values from its answers and the desk reads them; writing them as rows is left to
`webapp.sync.taking_in`. A missing value is None or empty, never invented.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field as default, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from webapp.channels.connecting import CallOutcome, ChannelError, Denial
from webapp.i18n import lazy_gettext as _l


class ChannelStage(StrEnum):
    """The stage of an order on its channel, reduced to the few that the desk's logic needs; the channel's own status
    is kept too.
    """

    AWAITING_PAYMENT = "awaiting_payment"
    OPEN = "open"
    SHIPPED = "shipped"
    CANCELED = "canceled"
    UNKNOWN = "unknown"


class FulfilledBy(StrEnum):
    """Who ships an order: the merchant, or the channel from its own warehouse."""

    MERCHANT = "merchant"
    CHANNEL = "channel"


class Component(StrEnum):
    """The component of a price to which an amount belongs."""

    ITEM = "item"
    SHIPPING = "shipping"
    GIFT_WRAP = "gift_wrap"
    COD = "cod"
    TIP = "tip"
    OTHER = "other"


COMPONENT_LABELS = {
    Component.ITEM: _l("Items"),
    Component.SHIPPING: _l("Shipping"),
    Component.GIFT_WRAP: _l("Gift wrap"),
    Component.COD: _l("Cash on delivery"),
    Component.TIP: _l("Tip"),
    Component.OTHER: _l("Other"),
}


class TaxScheme(StrEnum):
    """The scheme under which the tax of a line is declared."""

    UNION = "union_oss"  # sales within the European Union to another of its countries
    IMPORT = "import_oss"  # goods of low value from outside it


INVOICE_BY_CHANNEL = "invoice_by_channel"  # the flag of orders that the channel itself invoices


@dataclass(frozen=True, slots=True)
class IncomingAmount:
    """Charged amount, tax and discount of one component, in minor units of the order's currency; only `charged` may be
    negative.

    The buyer pays charged + tax − discount for the component; if a channel's price includes tax, `charged` is the price
    without it.
    """

    component: Component
    charged: int = 0
    tax: int = 0
    discount: int = 0


@dataclass(frozen=True, slots=True)
class IncomingLine:
    """A line as the channel lists it. Its quantities are kept on the channel line and never overwrite the desk's."""

    number: str  # the channel's id of the line
    ordered: int
    fulfilled: int = 0
    unfulfilled: int | None = None  # None: not said
    sku: str = ""
    product_code: str = ""  # of the kind that `Channel.product_code` names
    title: str = ""
    condition: str = ""
    unit_price: int | None = None  # minor units; None: withheld
    total: int | None = None
    amounts: tuple[IncomingAmount, ...] = ()
    programs: tuple[str, ...] = ()
    promotions: tuple[str, ...] = ()
    needs_codes: bool = False  # authenticity codes must be given when it ships
    gift: bool = False
    cancel_requested: bool = False
    cancel_reason: str = ""
    canceled_by: str = ""
    tax_scheme: str = ""  # a TaxScheme; empty: not said
    ioss_number: str = ""  # the number under which it is imported
    tax_paid_by: str = ""  # who collects and pays the tax in place of the seller, as the channel names them


def units_canceled(line: IncomingLine, first_ordered: int) -> int:
    """The units of a line that are canceled there. Channels don't tell them: they show fewer units ordered, or fewer
    unfulfilled ones without more fulfilled.
    """
    unfulfilled = line.ordered - line.fulfilled if line.unfulfilled is None else line.unfulfilled
    return first_ordered - line.fulfilled - unfulfilled


@dataclass(frozen=True, slots=True)
class IncomingPackage:
    """A parcel that the channel lists, whoever confirmed it."""

    number: str  # the package's reference at the channel
    lines: Mapping[str, int]  # line number -> units
    carrier: str = ""
    service: str = ""
    tracking_number: str = ""
    shipped_at: datetime | None = None
    status: str = ""
    delivered: bool = default(default=False, repr=False)  # from the status: ignored in comparisons


@dataclass(frozen=True, slots=True)
class IncomingOrder:
    """One order as the channel reports it now, in the desk's types; a missing value is None or empty, never
    invented.
    """

    number: str
    created_at: datetime
    updated_at: datetime  # decides between answers: an older one never replaces a newer one
    marketplace: str  # the channel's id of the marketplace
    stage: ChannelStage
    status: str  # the channel's own status
    fulfilled_by: FulfilledBy
    currency: str | None
    total: int | None  # the channel's grand total in minor units; None: withheld
    lines: tuple[IncomingLine, ...]
    amounts: tuple[IncomingAmount, ...] = ()  # those of the order itself, besides its lines'
    packages: tuple[IncomingPackage, ...] = ()
    is_sale: bool = True  # False: mirrored only, in no list and no figure
    ship_from: datetime | None = None
    ship_by: datetime | None = None
    deliver_from: datetime | None = None
    deliver_by: datetime | None = None
    service_level: str = ""
    flags: tuple[
        str, ...
    ] = ()  # the desk's own (gift, replacement, label_required, INVOICE_BY_CHANNEL), `Channel.flags`
    programs: tuple[str, ...] = ()  # the channel's own codes behind the flags
    payment_methods: tuple[str, ...] = ()
    replaces: str | None = None  # channel number of the order that this one replaces
    missing: tuple[str, ...] = ()  # parts that the channel refused to send this time
    buyer: Mapping[str, Any] = default(default_factory=dict)  # personal: see BUYER_FIELDS; goes into the vault
    raw: Mapping[str, Any] = default(default_factory=dict, repr=False)  # the channel's answer; goes into the vault
    extra: Mapping[str, Any] = default(default_factory=dict, repr=False)  # the channel's own facts: see EXTRA_AT_MOST
    odd_extra: tuple[str, ...] = default(default=(), repr=False)  # filled by the desk: why it left `extra` out
    odd_times: tuple[str, ...] = default(default=(), repr=False)  # filled by the desk: times that it left out

    def without_raw(self) -> "IncomingOrder":
        """This order without the channel's answer, once the answer is packed: it is the largest part of what would
        travel between processes.
        """
        return replace(self, raw={})


EXTRA_AT_MOST = 8192  # bytes of `extra` as JSON: text, whole numbers, booleans, None, and lists of text, by name


BUYER_FIELDS = {
    "name": _l("Buyer"),
    "email": _l("E-mail"),
    "company": _l("Company"),
    "purchase_order": _l("Purchase order"),
    "vat_number": _l("VAT number"),
    "address": _l("Delivery address"),  # a mapping of ADDRESS_FIELDS
    "instructions": _l("Delivery instructions"),
    "gift_messages": _l("Gift messages"),  # line number -> text
    "customizations": _l("Customizations"),  # line number -> text or address
}


ADDRESS_FIELDS = (
    "name", "company", "line1", "line2", "line3", "city", "district", "region", "postal_code", "country", "phone",
    "kind", )  # fmt: skip


ORDER_PROBLEMS = {  # why an order could not be imported: codes are stored, the texts are for readers
    "missing": _l("The value is missing."),
    "odd_shape": _l("The value has a structure that Waybill does not know."),
    "not_a_list": _l("The value is not a list."),
    "not_text": _l("The value is not text."),
    "not_whole": _l("The value is not a whole number."),
    "not_a_number": _l("The value is not a number."),
    "not_a_time": _l("The value is not a date with a time."),
    "odd_time": _l("The date is not between 1970 and 2199."),
    "not_money": _l("The value is not an amount with a currency."),
    "not_a_currency": _l("The value is not a currency."),
    "no_currency": _l("There are amounts without a currency."),
    "second_currency": _l("The order has amounts in a second currency."),
    "negative": _l("The number is below zero."),
    "too_many": _l("The number is too large."),
    "too_large": _l("The amount is too large."),
    "line_twice": _l("The same order line appears twice."),
    "unkept_text": _l("The text is empty or has a character that can't be stored."),
    "too_long": _l("The text is too long."),
    "refused_by_database": _l("The database refused the order."),
    "plugin_failed": _l("The channel's plugin failed to read the order. The Plugins page shows the reason."),
    "not_written": _l("The order could not be saved. The log of the worker has the details."),
}


@dataclass(frozen=True, slots=True)
class UnreadableOrder:
    """An order of a page that could not be read: it is quarantined with its cause, and the page's other orders are
    imported.
    """

    number: str
    field: str
    problem: str  # a code of ORDER_PROBLEMS
    raw: Mapping[str, Any] = default(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class OrdersPage:
    """One page of changed orders."""

    orders: Sequence[IncomingOrder]
    unreadable: Sequence[UnreadableOrder] = ()
    next_page: str | None = None  # the token of the next page; None: this was the last
    bound: datetime | None = None  # the channel's results are complete until then: the next cursor
    calls: int = 1
    denied: Sequence["Denial"] = ()  # newly denied marketplaces, and every data set that is left out


@dataclass(frozen=True, slots=True)
class OrdersWindow:
    """The window to ask for: changes since `low`, or on the first connection open orders created since `low`.

    `without` may grow from page to page. A channel whose page tokens are bound to marketplaces keeps these in its
    tokens.
    """

    low: datetime
    page: str | None = None
    open_only: bool = False
    without: Sequence[str] = ()  # ids of marketplaces that are denied to the account, or switched off
    only: str = ""  # id of the one marketplace to ask for, to find out whether it is still denied
    spare: bool = False  # not urgent: uses at most a quarter of the allowance, and nothing that other calls need


class PageRefused(ChannelError):
    """The page token is no longer valid: the window starts again."""

    code = "channel_page_refused"
    outcome = CallOutcome.REFUSED
    sentence = _l(
        "%(channel)s no longer accepts the page that was asked for. Waybill reads the orders from the start again."
    )
