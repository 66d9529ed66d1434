"""The keys of the query bar that read orders' own columns and the index of terms.

If an index covers only some orders (open, on hold, with attention), its condition is written with the exact text of the
index: databases use the index for no other text.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from sqlalchemy import (
    ColumnElement,
    String,
    and_,
    cast,
    func,
    not_,
    or_,
    select,
    text,
    true,
)

from webapp.audit.actor import Actor
from webapp.catalog import listings
from webapp.catalog.models import Listing
from webapp.channels.incoming import FulfilledBy
from webapp.channels.models import Shop, Store, StoreMarketplace
from webapp.channels.registered import channels
from webapp.channels.services import serving
from webapp.db import among, db, once_a_transaction
from webapp.i18n import LazyString, lazy_gettext as _l, lazy_pgettext
from webapp.money import decimals
from webapp.orders import attention, search_words
from webapp.orders.models import ATTENTION, ON_HOLD, OPEN, WANTS_CANCEL, Order, OrderTag
from webapp.orders.organizing import former_people, people
from webapp.orders.queries import state_condition, visible
from webapp.orders.states import STATE_LABELS
from webapp.orders.statuses import status_choices
from webapp.orders.tags import all_tags
from webapp.search.conditions import between, by_id, spelled, within, yes_no
from webapp.search.contract import Bound, Found, KeyKind, QueryKey
from webapp.search.gathering import STEP
from webapp.search.numbers import bare_number, spellings
from webapp.search.terms import index_key

Condition = ColumnElement[bool]
Find = Callable[[Sequence[str]], Mapping[str, Sequence[Found]]]
_USUAL_DECIMALS = 2
_LARGEST = 2**63 - 1  # minor units that fit in the column; databases compare with no larger numbers


# --- Conditions that an index, or JSON, asks for ---


def _said(words_: str) -> Condition:
    """A condition with the exact text of a partial index, which no compiler may change; other conditions name their
    table.
    """
    return and_(text(f"orders.{words_}"), Order.id.is_not(None))


def has_flag(*flags: str) -> Callable[[Sequence[bool], Actor], Condition]:
    """The condition of a key for orders on which the channel set one of these flags."""
    return yes_no(or_(*(_in_json(Order.flags, f'"{flag}"') for flag in flags)))


def _in_json(column: Any, part: str) -> Condition:
    return cast(column, String).contains(part, autoescape=True)


# --- Conditions of single keys ---


def _by_number(values: Sequence[str], actor: Actor) -> Condition:
    begun = [bare_number(value.rstrip("*")) for value in values if value.endswith("*")]
    spelled = {spelling for value in values if not value.endswith("*") for spelling in spellings(value)}
    gathered: list[Condition] = []
    compared: list[Condition] = []
    _prefixes, broad = search_words.beginnings(begun)
    for start in range(0, len(begun), STEP):
        conditions = [search_words.begun_with(number, broad) for number in begun[start : start + STEP]]
        compared += [condition for _, many in conditions for condition in many]
        if some := [condition for few, _ in conditions for condition in few]:  # apart: databases limit nesting
            gathered.append(Order.id.in_(visible(actor).with_only_columns(Order.id).where(or_(*some))))
    if spelled:
        prefixes = search_words.number_prefixes()
        full = {full for number in spelled for full in search_words.full_numbers(number, prefixes)}
        # In the statement itself: many numbers and shops exceed the limit of a statement's parameters.
        gathered += [among(Order.number, sorted(spelled | full)), Order.channel_order_number.in_(spelled)]
    found = Order.id.in_(visible(actor).with_only_columns(Order.id).where(or_(*gathered)))
    return or_(found, *compared) if gathered else or_(*compared)


def _by_state(values: Sequence[str], actor: Actor) -> Condition:
    return or_(*(_OPEN if value == "open" else state_condition(value) for value in values))


_OPEN = _said(OPEN)


def _states(actor: Actor) -> dict[str, LazyString]:
    return {"open": _l("Pending or processing"), **STATE_LABELS}


def _due(values: Sequence[Bound], actor: Actor) -> Condition:
    """Only orders with units that still have to leave: for others the deadline no longer counts."""
    return and_(_OPEN, Order.unshipped > 0, between(Order.ship_by)(values, actor))


def _by_channel(values: Sequence[str], actor: Actor) -> Condition:
    return Order.store_id.in_(select(Store.id).where(Store.channel.in_(values)))


def _channels(actor: Actor) -> dict[str, LazyString | str]:
    return {code: channel.label for code, channel in channels().items()}


def _stores(actor: Actor) -> dict[str, str]:
    query = serving(select(Store.id, Store.name).order_by(Store.name), actor)
    seen = "all" if actor.shops is None else ",".join(map(str, sorted(actor.shops)))  # a rule's query may come between
    rows = once_a_transaction(f"store_choices of {seen}", lambda: db.session.execute(query).all())
    return {str(id_): name for id_, name in rows}


def _shops(actor: Actor) -> dict[str, str]:
    rows = once_a_transaction(
        "shop_choices", lambda: db.session.execute(select(Shop.id, Shop.name).order_by(Shop.name)).all()
    )
    return {str(id_): name for id_, name in rows if actor.shops is None or id_ in actor.shops}


def _marketplaces(actor: Actor) -> dict[str, str]:
    return {marketplace: country for marketplace, country, _ in _served()}


def _served() -> Sequence[Any]:
    """The marketplaces of all stores: id, country, currency."""
    columns = (StoreMarketplace.marketplace, StoreMarketplace.country, StoreMarketplace.currency)
    query = select(*columns).distinct().order_by(StoreMarketplace.country)
    return once_a_transaction("served", lambda: db.session.execute(query).all())


def _fulfillers(actor: Actor) -> dict[str, LazyString]:
    return {FulfilledBy.MERCHANT: _l("the merchant"), FulfilledBy.CHANNEL: _l("the channel")}


def _by_status(values: Sequence[str], actor: Actor) -> Condition:
    codes = [value for value in values if value != "none"]
    ways = [Order.status == codes[0]] if len(codes) == 1 else [Order.status.in_(codes)] if codes else []
    return or_(*ways, *([Order.status.is_(None)] if "none" in values else []))


def _statuses(actor: Actor) -> dict[str, LazyString | str]:
    return status_choices()


def total_between(total: Any, currency: Any) -> Callable[[Sequence[Bound], Actor], Condition]:
    """The condition of a key for amounts, compared in minor units, whose number of decimals depends on the currency."""

    def condition(values: Sequence[Bound], actor: Actor) -> Condition:
        odd: dict[int, list[str]] = {}
        for code in {code for _, _, code in _served()}:
            if decimals(code) != _USUAL_DECIMALS:
                odd.setdefault(decimals(code), []).append(code)
        usual = _amount_within(total, values, _USUAL_DECIMALS)
        if not odd:
            return usual
        ways = [and_(currency.in_(codes), _amount_within(total, values, places)) for places, codes in odd.items()]
        others = [code for codes in odd.values() for code in codes]
        return or_(*ways, and_(or_(currency.not_in(others), currency.is_(None)), usual))  # zero needs no currency

    return condition


def _amount_within(total: Any, values: Sequence[Bound], places: int) -> Condition:
    def minor(amount: Decimal | None, rounding: str) -> int | None:
        if amount is None:
            return None
        return min(max(int(amount.scaleb(places).to_integral_value(rounding)), -_LARGEST), _LARGEST)

    ends = ((minor(value.low, ROUND_CEILING), minor(value.high, ROUND_FLOOR)) for value in values)
    return or_(*(within(total, low, high) for low, high in ends))


def _by_assignee(values: Sequence[str], actor: Actor) -> Condition:
    ids = [int(actor.id or 0) if value == "me" else int(value) for value in values if value != "none"]
    ways = [Order.assignee_id == ids[0]] if len(ids) == 1 else [Order.assignee_id.in_(ids)] if ids else []
    return or_(*ways, *([Order.assignee_id.is_(None)] if "none" in values else []))


def _people(actor: Actor) -> dict[str, LazyString | str]:
    named = {str(user.id): user.name or user.email for user in people()}
    left = {str(user.id): _l("%(name)s (disabled)", name=user.name or user.email) for user in former_people()}
    return {"me": _l("me"), "none": _l("nobody"), **named, **left}


def _by_tag(values: Sequence[str], actor: Actor) -> Condition:
    ids = [int(value) for value in values if value != "none"]
    ways = [Order.id.in_(select(OrderTag.order_id).where(OrderTag.tag_id.in_(ids)))] if ids else []
    return or_(*ways, *([Order.id.not_in(select(OrderTag.order_id))] if "none" in values else []))


def _tags(actor: Actor) -> dict[str, LazyString | str]:
    return {**{str(tag.id): tag.name for tag in all_tags()}, "none": _l("none")}


def _by_attention(values: Sequence[str], actor: Actor) -> Condition:
    some = _said(ATTENTION)
    known = {"yes": some, "no": not_(Order.needs_attention)}
    return or_(*(known[value] if value in known else and_(some, _of_kind(value)) for value in values))


def _of_kind(kind: str) -> Condition:
    """The condition that the stored list has this kind. One database writes JSON with a space behind the colon, the
    other without.
    """
    return or_(*(_in_json(Order.attention, f'"kind":{space}"{kind}"') for space in ("", " ")))


def _attention_kinds(actor: Actor) -> dict[str, LazyString | str]:
    kinds = {code: kind.label for code, kind in attention.kinds().items()}
    return {"yes": _l("yes"), "no": _l("no"), **kinds}


def _managed(values: Sequence[bool], actor: Actor) -> Condition:
    """Orders with a number are named by text: who wants any of them looks for no number, which would also find archived
    orders.
    """
    known = {True: Order.number.is_(None), False: _said("number IS NOT NULL")}
    return or_(*(known[value] for value in values))


def _by_archive(values: Sequence[str], actor: Actor) -> Condition:
    known = {"yes": Order.archived_at.is_not(None), "no": Order.archived_at.is_(None), "any": true()}
    return true() if {"yes", "no"} <= set(values) else or_(*(known[value] for value in values))


def _archive_choices(actor: Actor) -> dict[str, LazyString]:
    return {"yes": _l("yes"), "no": _l("no"), "any": _l("all orders")}


# --- Keys of the index of terms ---


def _words_of(kind: str) -> Find:
    return lambda values: {
        value: [Found(terms) for terms in search_words.all_of(kind, value, index_key())] for value in values
    }


def _whole(terms_of: Callable[[str, bytes], frozenset[int]]) -> Find:
    return lambda values: {
        value: [Found(terms)] for value in values if (terms := terms_of(value.rstrip("*"), index_key()))
    }


_UPPER = str.upper
KEYS = (
    QueryKey(
        code="state", label=_l("State"), kind=KeyKind.CHOICE, condition=_by_state, choices=_states,
        help=_l("“open” finds pending and processing orders, on hold or not."),
        name=lazy_pgettext("query key", "state"),
        words={"open": lazy_pgettext("query value", "open")},
    ),
    QueryKey(
        code="status", label=_l("Status"), kind=KeyKind.CHOICE, condition=_by_status, choices=_statuses,
        name=lazy_pgettext("query key", "status"),
    ),
    QueryKey(
        code="channel-status", label=_l("Channel status"), kind=KeyKind.TEXT,
        condition=spelled(func.upper(Order.channel_status), _UPPER), help=_l("The status as the channel writes it."),
        name=lazy_pgettext("query key", "channel-status"),
    ),
    QueryKey(
        code="due", label=_l("Ship by"), kind=KeyKind.DEADLINE, condition=_due,
        help=_l("Orders that must still ship: due:<4h, due:late, due:<=today."),
        name=lazy_pgettext("query key", "due"),
    ),
    QueryKey(
        code="ship-by", label=_l("Ship by, shipped or not"), kind=KeyKind.DATE, condition=between(Order.ship_by),
        filter=False,
        help=_l("The ship-by date, also of shipped orders. “due” finds only orders that must still ship."),
        name=lazy_pgettext("query key", "ship-by"),
    ),
    QueryKey(
        code="deliver-by", label=_l("Deliver by"), kind=KeyKind.DATE, condition=between(Order.deliver_by),
        name=lazy_pgettext("query key", "deliver-by"),
    ),
    QueryKey(
        code="placed", label=_l("Placed"), kind=KeyKind.DATE, condition=between(Order.placed_at),
        name=lazy_pgettext("query key", "placed"),
    ),
    QueryKey(
        code="updated", label=_l("Updated"), kind=KeyKind.DATE, condition=between(Order.updated_at),
        name=lazy_pgettext("query key", "updated"),
    ),
    QueryKey(
        code="buyer-cancel", label=_l("Buyer wants to cancel"), kind=KeyKind.YES_NO,
        condition=yes_no(_said(WANTS_CANCEL)),
        name=lazy_pgettext("query key", "buyer-cancel"),
    ),
    QueryKey(
        code="attention", label=_l("Attention"), kind=KeyKind.CHOICE, condition=_by_attention, choices=_attention_kinds,
        name=lazy_pgettext("query key", "attention"),
    ),
    QueryKey(
        code="hold", label=_l("On hold"), kind=KeyKind.YES_NO, condition=yes_no(_said(ON_HOLD)), bare=True,
        aliases=("on-hold",),
        name=lazy_pgettext("query key", "hold"),
    ),
    QueryKey(
        code="canceling", label=_l("Canceling"), kind=KeyKind.YES_NO, bare=True,
        condition=yes_no(Order.canceling.is_(True)),
        name=lazy_pgettext("query key", "canceling"),
    ),
    QueryKey(
        code="shop", label=_l("Shop"), kind=KeyKind.CHOICE, condition=by_id(Order.shop_id), choices=_shops,
        name=lazy_pgettext("query key", "shop"),
    ),
    QueryKey(
        code="store", label=_l("Store"), kind=KeyKind.CHOICE, condition=by_id(Order.store_id), choices=_stores,
        name=lazy_pgettext("query key", "store"),
    ),
    QueryKey(
        code="channel", label=_l("Channel"), kind=KeyKind.CHOICE, condition=_by_channel, choices=_channels,
        name=lazy_pgettext("query key", "channel"),
    ),
    QueryKey(
        code="marketplace", label=_l("Marketplace"), kind=KeyKind.CHOICE,
        condition=lambda values, actor: Order.marketplace.in_(values), choices=_marketplaces,
        name=lazy_pgettext("query key", "marketplace"),
    ),
    QueryKey(
        code="country", label=_l("Country"), kind=KeyKind.TEXT, condition=spelled(Order.country, _UPPER),
        help=_l("The country of delivery: DE, US."),
        name=lazy_pgettext("query key", "country"),
    ),
    QueryKey(
        code="fulfilled-by", label=_l("Fulfilled by"), kind=KeyKind.CHOICE,
        condition=lambda values, actor: Order.fulfilled_by.in_(values), choices=_fulfillers,
        name=lazy_pgettext("query key", "fulfilled-by"),
    ),
    QueryKey(
        code="total", label=_l("Total"), kind=KeyKind.MONEY,
        condition=total_between(Order.total_minor, Order.currency), help=_l("In each order's currency."),
        name=lazy_pgettext("query key", "total"),
    ),
    QueryKey(
        code="currency", label=_l("Currency"), kind=KeyKind.TEXT, condition=spelled(Order.currency, _UPPER),
        name=lazy_pgettext("query key", "currency"),
    ),
    QueryKey(
        code="units", label=_l("Units"), kind=KeyKind.NUMBER, condition=between(Order.items),
        name=lazy_pgettext("query key", "units"),
    ),
    QueryKey(
        code="unshipped", label=_l("Units unshipped"), kind=KeyKind.NUMBER, condition=between(Order.unshipped),
        name=lazy_pgettext("query key", "unshipped"),
    ),
    QueryKey(
        code="number", label=_l("Order number"), kind=KeyKind.TEXT, condition=_by_number, filter=False,
        help=_l("Your order number or the channel's. Your number is also found without its prefix and zeros."),
        name=lazy_pgettext("query key", "number"),
    ),
    QueryKey(
        code="sku", label=_l("SKU"), kind=KeyKind.TEXT, find=listings.by_code(Listing.sku),
        help=_l("“*” matches any text: AB*."),
        name=lazy_pgettext("query key", "sku"),
    ),
    QueryKey(
        code="title", label=_l("Title"), kind=KeyKind.TEXT, find=listings.by_title,
        name=lazy_pgettext("query key", "title"),
    ),
    QueryKey(
        code="assignee", label=_l("Assignee"), kind=KeyKind.CHOICE, condition=_by_assignee, choices=_people,
        name=lazy_pgettext("query key", "assignee"),
    ),
    QueryKey(
        code="tag", label=_l("Tag"), kind=KeyKind.CHOICE, condition=_by_tag, choices=_tags, by_name=True,
        name=lazy_pgettext("query key", "tag"),
    ),
    QueryKey(
        code="task", label=_l("Task due"), kind=KeyKind.DEADLINE, condition=between(Order.due_at),
        help=_l("The due date that a user set."),
        name=lazy_pgettext("query key", "task"),
    ),
    QueryKey(
        code="has-comment", label=_l("Has comments"), kind=KeyKind.YES_NO, condition=yes_no(Order.comments > 0),
        aliases=("commented",),
        name=lazy_pgettext("query key", "has-comment"),
    ),
    QueryKey(
        code="archived", label=_l("Archived"), kind=KeyKind.CHOICE, condition=_by_archive, choices=_archive_choices,
        bare=True,
        name=lazy_pgettext("query key", "archived"),
        words={"any": lazy_pgettext("query value", "any")},
    ),
    QueryKey(
        code="gift", label=_l("Gift"), kind=KeyKind.YES_NO, condition=has_flag("gift"),
        name=lazy_pgettext("query key", "gift"),
    ),
    QueryKey(
        code="replacement", label=_l("Replacement"), kind=KeyKind.YES_NO, condition=has_flag("replacement", "exchange"),
        name=lazy_pgettext("query key", "replacement"),
    ),
    QueryKey(
        code="flag", label=_l("Flag"), kind=KeyKind.TEXT, filter=False,
        condition=lambda values, actor: or_(*(_in_json(Order.flags, f'"{value.lower()}"') for value in values)),
        help=_l("A flag of the channel: gift, label_required."),
        name=lazy_pgettext("query key", "flag"),
    ),
    QueryKey(
        code="arrived-complete", label=_l("Arrived complete"), kind=KeyKind.YES_NO, filter=False,
        condition=yes_no(Order.arrived_complete.is_(True)),
        help=_l("The order had shipped or was canceled before it was imported."),
        name=lazy_pgettext("query key", "arrived-complete"),
    ),
    QueryKey(
        code="managed", label=_l("Managed at the channel"), kind=KeyKind.YES_NO, filter=False,
        condition=_managed, help=_l("The order came while importing was off, and has no number in Waybill."),
        name=lazy_pgettext("query key", "managed"),
    ),
    QueryKey(
        code="buyer", label=_l("Buyer"), kind=KeyKind.TEXT, find=_words_of(search_words.BUYER), personal=True,
        help=_l("Names and companies, of buyer and recipient."),
        name=lazy_pgettext("query key", "buyer"),
    ),
    QueryKey(
        code="email", label=_l("E-mail"), kind=KeyKind.TEXT, find=_whole(search_words.email_term), personal=True,
        name=lazy_pgettext("query key", "email"),
    ),
    QueryKey(
        code="phone", label=_l("Phone"), kind=KeyKind.TEXT, find=_whole(search_words.phone_ending), personal=True,
        help=_l("The last four digits or more."),
        name=lazy_pgettext("query key", "phone"),
    ),
    QueryKey(
        code="postcode", label=_l("Postcode"), kind=KeyKind.TEXT, find=_whole(search_words.postcode_beginning),
        personal=True, help=_l("The first three characters or more."),
        name=lazy_pgettext("query key", "postcode"),
    ),
    QueryKey(
        code="comment", label=_l("Comment"), kind=KeyKind.TEXT, find=_words_of(search_words.COMMENT), personal=True,
        name=lazy_pgettext("query key", "comment"),
    ),
)  # fmt: skip
