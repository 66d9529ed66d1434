"""Pick lists: what has to be fetched from the shelves for many orders, by SKU, before each is packed.

It counts the open units of orders that may leave now, by the function that guards shipping, and names no buyer and no
price. Above the products, it says what should be looked at before the orders leave. People who work here read it, so it
is in the reader's language.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from webapp.audit.actor import Actor
from webapp.channels.described import marketplace_of
from webapp.channels.legal_face import Face
from webapp.db import among, db
from webapp.documents import formats
from webapp.documents.composed import Column, Document, Fact, Style, Text, labeled
from webapp.documents.packing import slip_refusal
from webapp.errors import Refusal
from webapp.fulfillment.services import NothingOpen
from webapp.i18n import gettext as _, ngettext, pgettext
from webapp.lists.listing import chosen_ids
from webapp.orders.bulk import attention_of
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order
from webapp.orders.queries import AROUND, reference, visible
from webapp.search.compiling import Compiled

MOST = 1_000  # orders of one list
NAMED = 12  # orders that a row or a note names; of more, the number is given


@dataclass(slots=True)
class Pick:
    """One product to fetch: its units, and the units of each order by its number."""

    sku: str
    title: str
    units: int = 0
    orders: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PickList:
    """What to fetch for a choice of orders, by SKU; and the orders left out, each with its reason."""

    picks: Sequence[Pick]
    orders: Sequence[Order]
    refused: Sequence[tuple[Order, Refusal]]
    more: bool  # whether the choice has more orders than a list

    @property
    def units(self) -> int:
        return sum(pick.units for pick in self.picks)


def orders_to_pick(
    actor: Actor, *, ids: Sequence[int] | None = None, compiled: Compiled | None = None, sort: str | None = None
) -> list[Order]:
    """The first orders of a choice with all that shipping asks, in the list's order; at most one more than `MOST`."""
    chosen = chosen_ids(ORDER_LIST, actor, ids=ids, compiled=compiled, sort=sort, limit=MOST + 1)
    query = visible(actor).where(among(Order.id, chosen)).options(*AROUND)
    found = {order.id: order for order in db.session.scalars(query)}
    return [found[id_] for id_ in chosen if id_ in found]


def pick_list_of(actor: Actor, orders: Sequence[Order]) -> PickList:
    """What to fetch for these orders, up to `MOST`. Orders of which nothing is open are left out without a word."""
    refused: list[tuple[Order, Refusal]] = []
    picked: list[Order] = []
    picks: dict[tuple[str, str], Pick] = {}
    for order in orders[:MOST]:
        why = slip_refusal(order, actor)
        if why is not None and not isinstance(why, NothingOpen):
            refused.append((order, why))
            continue
        open_lines = [line for line in order.lines if line.open]
        if open_lines and why is None:
            picked.append(order)
        for line in open_lines:
            key = (line.sku, "" if line.sku else line.title)
            pick = picks.setdefault(key, Pick(line.sku, line.title))
            pick.units += line.open
            name = reference(order)
            pick.orders[name] = pick.orders.get(name, 0) + line.open
    ordered = [picks[key] for key in sorted(picks)]
    return PickList(ordered, picked, refused, more=len(orders) > MOST)


def usual_paper(found: PickList) -> str:
    """The paper of the country of the first order."""
    order = found.orders[0]
    marketplace = marketplace_of(order.store.channel, order.marketplace)
    return formats.paper_for(marketplace.country if marketplace else order.country)


def composed_list(found: PickList, paper: str, at: datetime, language: str) -> Document:
    """The pick list as a document for this paper; `at` is the present time in the reader's zone, and `language` the
    reader's language, which is spoken.
    """
    locale = formats.formats_of(language)
    shops = {order.shop_id: order.shop.name for order in found.orders}
    name = next(iter(shops.values())) if len(shops) == 1 else _("Several shops") if shops else ""
    practice = any(order.store.practice for order in found.orders)
    title, made = _("Pick list"), f"{formats.day(at, locale)}, {at:%H:%M}"
    return Document(
        title=title,
        language=language,
        paper=paper,
        face=Face(name, "", "", ""),
        vat_number="",
        codes=(),
        parties=(),
        facts=(
            Fact(_("Created"), made),
            Fact(_("Orders"), formats.number(len(found.orders), locale)),
            Fact(pgettext("packing slip", "Units"), formats.number(found.units, locale), Style.STRONG),
        ),
        columns=(
            Column(pgettext("packing slip", "Units"), 11, is_number=True),
            Column(_("SKU"), 24),
            Column(_("Product"), 40),
            Column(_("Orders"), 25),
        ),
        rows=tuple(_row(pick) for pick in found.picks),
        notes=tuple(_to_look_at(found)),
        banner=_("PRACTICE – not a real order") if practice else "",
        foot=f"{title} {made}",
    )


def _to_look_at(found: PickList) -> Iterator[Text]:
    """What should be looked at before these orders leave, with the orders that it is about."""
    for label, orders in attention_of(found.orders).items():
        yield labeled(label, ", ".join(_first(reference(order) for order in orders)))


def _row(pick: Pick) -> tuple[tuple[Text, ...], ...]:
    return (
        (Text(str(pick.units), Style.STRONG),),
        (Text(pick.sku),),
        (Text(pick.title),),
        (Text(", ".join(_named(pick)), Style.NOTE),),
    )


def _named(pick: Pick) -> Iterator[str]:
    """The orders of a row, each with its units if there are several."""
    return _first(f"{number}\xa0×\xa0{units}" if units > 1 else number for number, units in pick.orders.items())


def _first(names: Iterable[str]) -> Iterator[str]:
    """The first of these names, and the number of the others."""
    rest = iter(names)
    yield from islice(rest, NAMED)
    if more := sum(1 for _name in rest):
        yield str(ngettext("%(num)s more", "%(num)s more", more))
