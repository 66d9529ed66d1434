"""The variables of message templates, such as `{order_number}`, and filling them for an order.

Dates, money and lists are written by the template's language, and by the buyer's country if the buyer reads it. A
variable without a value for the order stays in the text as it is: a text in which one is left is not sent.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from babel import Locale
from babel.lists import format_list

from webapp.audit.actor import Actor
from webapp.billing.queries import invoices_of, memos_of
from webapp.channels.described import carriers, marketplace_of
from webapp.channels.legal_face import SENDER_NAME
from webapp.documents import formats
from webapp.fulfillment.models import Package
from webapp.fulfillment.services import shipments_of
from webapp.hooks.fence import PluginFailed
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.messaging.text_rules import PLACEHOLDER
from webapp.orders.models import Order
from webapp.vault import services as vault

_MOST_ITEMS: Final = 8  # named in a text
_LONGEST_TITLE: Final = 70  # channels' titles of products are much longer


@dataclass(frozen=True, slots=True)
class _About:
    """What variables are filled from."""

    order: Order
    actor: Actor
    locale: Locale

    def day(self, at: datetime | None) -> str:
        if at is None:
            return ""
        marketplace = marketplace_of(self.order.store.channel, self.order.marketplace)
        zone = ZoneInfo(marketplace.zone if marketplace else self.order.shop.zone)
        return formats.day(at.astimezone(zone).date(), self.locale)

    @property
    def packages(self) -> list[Package]:
        return [package for shipment in shipments_of(self.order) for package in shipment.packages]


def _buyer_name(about: _About) -> str:
    if not about.actor.may("buyers.see"):
        return ""
    buyer = vault.reveal(about.actor, [about.order.id], purpose="message template").get(about.order.id) or {}
    return str(buyer.get("name") or "")


def _items(about: _About) -> str:
    kept = [(line.title or line.sku, line.ordered - line.canceled) for line in about.order.lines]
    named = [f"{units} × {_short(title)}" for title, units in kept if units > 0]
    listed = named if len(named) <= _MOST_ITEMS else [*named[:_MOST_ITEMS], "…"]
    return format_list(listed, locale=about.locale) if listed else ""


def _short(title: str) -> str:
    title = " ".join(title.split())
    return title if len(title) <= _LONGEST_TITLE else f"{title[: _LONGEST_TITLE - 1].rstrip(' ,;-')}…"


def _carrier(about: _About) -> str:
    known: dict[str, str] = {}
    with suppress(PluginFailed):
        of_marketplace = carriers(about.order.store.channel, about.order.marketplace)
        known = {carrier.code: str(carrier.label) for carrier in of_marketplace}
    names = [package.carrier_name or known.get(package.carrier, package.carrier) for package in about.packages]
    return _listed(names, about.locale)


def _listed(texts: list[str], locale: Locale) -> str:
    found = list(dict.fromkeys(text for text in texts if text))
    return format_list(found, locale=locale) if found else ""


def _total(about: _About) -> str:
    return formats.money(about.order.total, about.locale) if about.order.total is not None else ""


def _invoice_number(about: _About) -> str:
    return _listed([invoice.number for invoice in invoices_of(about.order)], about.locale)


def _memo_number(about: _About) -> str:
    return _listed([memo.number or "" for memo in memos_of(about.order)], about.locale)


WRITE_HERE: Final = "write_here"
VARIABLES: Mapping[str, tuple[LazyString, Callable[[_About], str]]] = {
    "order_number": (
        _l("The channel order number, which the buyer knows"),
        lambda about: about.order.channel_order_number,
    ),
    "buyer_name": (_l("The buyer's name"), _buyer_name),
    "shop_name": (
        _l("The shop's sender of messages, or else the shop's name"),
        lambda about: SENDER_NAME.of(about.order.shop) or about.order.shop.name,
    ),
    "items": (_l("The ordered products with their quantities"), _items),
    "total": (_l("The order's total"), _total),
    "ordered_on": (_l("The order date"), lambda about: about.day(about.order.placed_at)),
    "ships_by": (_l("The ship-by date"), lambda about: about.day(about.order.ship_by)),
    "delivers_by": (_l("The deliver-by date"), lambda about: about.day(about.order.deliver_by)),
    "carrier": (_l("The carrier of the shipped packages"), _carrier),
    "tracking_number": (
        _l("The tracking numbers of the shipped packages"),
        lambda about: _listed([package.tracking_number for package in about.packages], about.locale),
    ),
    "invoice_number": (_l("The invoice number"), _invoice_number),
    "credit_memo_number": (_l("The credit memo number"), _memo_number),
    WRITE_HERE: (_l("Text that the sender of the message writes"), lambda about: ""),
}


def variables_in(text: str) -> list[str]:
    """The names of all variables in a text, known or not, each once."""
    return list(dict.fromkeys(PLACEHOLDER.findall(text)))


def filled(text: str, language: str, locale: str, order: Order, actor: Actor) -> tuple[str, list[str]]:
    """A template's text for an order whose buyer reads by `locale`, and the names of the variables that have no value
    for it. Naming the buyer is recorded; for people who may not see buyers, the name has no value.
    """
    about = _About(order, actor, Locale.parse(locale if locale.partition("_")[0] == language else language))
    values = {name: VARIABLES[name][1](about) for name in variables_in(text) if name in VARIABLES}
    without = [name for name in variables_in(text) if not values.get(name)]
    return PLACEHOLDER.sub(lambda found: values.get(found[1]) or found[0], text), without
