"""What pages show of an order: rows read by the domains, put into words. Nothing here changes anything.

Every buyer's name and address on a page comes through `vault.reveal` here, by right and on the record.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from babel import Locale
from flask import g
from sqlalchemy import select

from webapp.accounts.models import User
from webapp.audit.actor import Actor, ActorKind
from webapp.channels.contract import Channel
from webapp.channels.models import Store
from webapp.channels.services import channels
from webapp.db import db
from webapp.errors import Refusal
from webapp.i18n import get_locale, gettext as _
from webapp.money import Money
from webapp.orders.attention import Attention, in_words
from webapp.orders.models import Order, OrderAmount, OrderComment
from webapp.orders.queries import reference
from webapp.vault import services as vault


def channel_of(store: Store) -> Channel | None:
    """The store's channel; None where its plugin is gone."""
    if "channels" not in g:
        g.channels = channels()
    found: Channel | None = g.channels.get(store.channel)
    return found


def channel_name(store: Store) -> str:
    channel = channel_of(store)
    return str(channel.label) if channel else store.channel


def country_of(store: Store, marketplace: str) -> str:
    """The country of a marketplace as the store knows it; else the channel's id of it."""
    return next((row.country for row in store.marketplaces if row.marketplace == marketplace), marketplace)


class ShownOrder:
    """An order with the words around it; whatever is not here is the order's own."""

    def __init__(self, order: Order, buyer: Mapping[str, Any] | None = None) -> None:
        self.order = order
        self.reference = reference(order)
        self.channel_name = channel_name(order.store)
        self.store_name, self.shop_name = order.store.name, order.shop.name
        self.is_practice = order.store.practice
        self.marketplace = country_of(order.store, order.marketplace)
        self.buyer_name = str((buyer or {}).get("name") or "")
        self.next_step = self.next_tone = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.order, name)

    @property
    def attention(self) -> list[Attention]:
        return in_words(self.order.attention)

    @property
    def flags(self) -> list[str]:
        asked = ["cancel_requested"] if self.order.buyer_wants_cancel else []
        return [*asked, *(flag for flag in self.order.flags if flag not in asked)]

    @property
    def channel_status_label(self) -> str:
        channel = channel_of(self.order.store)
        return str(channel.status_label(self.order.channel_status) if channel else self.order.channel_status)


def listed(orders: Sequence[Order], actor: Actor) -> list[ShownOrder]:
    """Orders for a list: with their buyers' names where the actor may see them, and no more of the buyers."""
    buyers: Mapping[int, Mapping[str, Any]] = {}
    if actor.may("buyers.see"):
        buyers = vault.reveal(actor, [order.id for order in orders], purpose="list")
    return [ShownOrder(order, buyers.get(order.id)) for order in orders]


@dataclass(frozen=True, slots=True)
class Address:
    """A delivery address as it is written on a parcel."""

    lines: list[str]
    phone: str = ""


def address_of(buyer: Mapping[str, Any]) -> Address | None:
    """The buyer's address in the order of its country; None where none was told."""
    told: Mapping[str, Any] = buyer.get("address") or {}
    if not told:
        return None
    country = str(told.get("country") or "")
    place = [str(told.get(name) or "") for name in ("postal_code", "city", "region")]
    if country in ("US", "CA", "AU"):
        town = ", ".join(filter(None, (place[1], " ".join(filter(None, (place[2], place[0]))))))
        towns = [town]
    elif country == "GB":
        towns = [place[1], place[2], place[0]]
    else:
        towns = [" ".join(filter(None, place[:2])), place[2]]
    names = [str(told.get(name) or "") for name in ("name", "company", "line1", "line2", "line3", "district")]
    lines = [line for line in (*names, *towns, _territory(country)) if line]
    return Address(lines, str(told.get("phone") or ""))


def _territory(code: str) -> str:
    locale = get_locale() or Locale("en")
    return str(locale.territories.get(code, code))


@dataclass(slots=True)
class Totals:
    """What the buyer pays by component, our sum, the channel's, and what lies between."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    ours: Money | None = None
    channel: Money | None = None
    residual: Money | None = None


def totals_of(order: Order) -> Totals:
    if order.currency is None or not order.amounts:
        return Totals(channel=order.total)
    sums: dict[str, list[int]] = {}
    for amount in order.amounts:
        row = sums.setdefault(amount.component, [0, 0, 0])
        for place, minor in enumerate((amount.charged, amount.tax, amount.discount)):
            row[place] += minor
    rows = [
        {"component": component}
        | {name: Money(minor, order.currency) for name, minor in zip(("charged", "tax", "discount"), row, strict=True)}
        for component, row in sums.items()
    ]
    ours = Money(sum(amount.net for amount in order.amounts), order.currency)
    return Totals(rows, ours, order.total, order.residual)


def lines_of(order: Order) -> list[dict[str, Any]]:
    """The order's lines with the tax and discount of all their components."""
    by_line: dict[int, list[OrderAmount]] = {}
    for amount in order.amounts:
        if amount.line_id is not None:
            by_line.setdefault(amount.line_id, []).append(amount)
    shown = []
    for line in order.lines:
        amounts = by_line.get(line.id, [])
        row: dict[str, Any] = {
            name: getattr(line, name)
            for name in (
                "id", "sku", "asin", "title", "gift", "ordered", "shipped", "canceled", "invoiced", "refunded", "open",
                "unit_price", "total",
            )
        }  # fmt: skip
        for name in ("tax", "discount"):
            known = line.currency is not None and bool(amounts)
            row[name] = Money(sum(getattr(a, name) for a in amounts), line.currency or "") if known else None
        row["problems"] = in_words(line.problems)
        shown.append(row)
    return shown


def comments_shown(rows: Sequence[OrderComment], actor: Actor) -> list[dict[str, Any]] | None:
    """Comments opened, newest first; None for who may not see buyers, since comments name them too."""
    if not actor.may("buyers.see"):
        return None
    texts = vault.open_sealed([(row.order_id, "comment", row.sealed) for row in rows]) if rows else []
    return [
        {"id": row.id, "at": row.at, "actor_kind": row.actor_kind, "actor_id": row.actor_id, "text": text}
        for row, text in zip(rows, texts, strict=True)
    ]


class Names:
    """Who did something, for the rows of one page: people by name in one query, the rest by what they are."""

    def __init__(self, order: Order, rows: Iterable[tuple[str, int | None]]) -> None:
        self._channel = channel_name(order.store)
        ids = {id_ for kind, id_ in rows if kind == ActorKind.PERSON and id_ is not None}
        query = select(User.id, User.name, User.email).where(User.id.in_(ids))
        self._people = {id_: name or email for id_, name, email in db.session.execute(query)} if ids else {}

    def of(self, kind: str, id_: int | None) -> str:
        match kind:
            case ActorKind.PERSON:
                return str(self._people.get(id_ or 0, _("Somebody")))
            case ActorKind.CHANNEL:
                return self._channel
            case ActorKind.OPERATOR:
                return str(_("Operator"))
            case ActorKind.PLUGIN:
                return str(_("Plugin"))
        return "Waybill"


def next_step(order: Order, refusal: Refusal | None, refused_updates: bool) -> tuple[str, str]:
    """What to do with the order now, in one sentence, and its tone."""
    name = channel_name(order.store)
    if refused_updates:
        return _("%(channel)s refused an update: read why and send it again.", channel=name), "bad"
    if order.buyer_wants_cancel and order.unshipped:
        return _("The buyer asked to cancel: decide before anything leaves."), "warn"
    if order.unshipped and order.state == "processing":
        if refusal is not None:
            return str(refusal), "warn" if order.on_hold else ""
        return _("Pack it, then enter carrier and tracking number under Ship."), ""
    if order.state == "pending":
        return _("Wait: it can ship once %(channel)s has verified the payment.", channel=name), ""
    return "", ""
