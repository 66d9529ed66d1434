"""The query keys about packages: of orders by their packages, and of the packages themselves."""

from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, func, or_, select, text

from webapp.audit.actor import Actor
from webapp.db import begins_with
from webapp.fulfillment.confirmations import SHIPMENT
from webapp.fulfillment.models import ELSEWHERE, Package, Shipment
from webapp.fulfillment.shipment_list import SHIPMENTS, SHIPPED, update_state
from webapp.i18n import LazyString, lazy_gettext as _l, lazy_pgettext
from webapp.orders.models import Order
from webapp.search.conditions import between, yes_no
from webapp.search.contract import Found, KeyKind, QueryKey, WordSource
from webapp.updates.models import OPEN, OPEN_UPDATES, STATE_LABELS, ChannelUpdate

_SHORTEST = 4  # characters of a tracking number's prefix


def _carried_by(values: Sequence[str], actor: Actor) -> ColumnElement[bool]:
    codes = [value.lower() for value in values]
    return or_(func.lower(Package.carrier).in_(codes), func.lower(Package.carrier_name).in_(codes))


def _by_carrier(values: Sequence[str], actor: Actor) -> ColumnElement[bool]:
    return Order.id.in_(select(Package.order_id).where(_carried_by(values, actor)))


def _by_tracking(values: Sequence[str]) -> dict[str, list[Found]]:
    return {value: [_found(number)] for value in values if (number := _bare(value))}


def _bare(value: str) -> str:
    """A tracking number or its beginning as packages have it: without the spaces that are printed on labels."""
    return "".join(value.rstrip("*").split())


def _found(number: str) -> Found:
    column = Package.tracking_number
    long = len(number) >= _SHORTEST
    spelled = {number, number.upper()}
    ways = [begins_with(column, one) if long else column == one for one in sorted(spelled)]
    return Found(ids=(select(Package.order_id).where(or_(*ways)),))


def _by_word(tokens: Sequence[str]) -> dict[str, Found]:
    numbers = {token: token.rstrip("*") for token in tokens}
    return {
        token: _found(number)
        for token, number in numbers.items()
        if len(number) >= _SHORTEST and number.isalnum() and any(char.isdecimal() for char in number)
    }


KEYS = (
    QueryKey(
        code="carrier",
        label=_l("Carrier"),
        kind=KeyKind.TEXT,
        condition=_by_carrier,
        help=_l("DHL, UPS, or a name."),
        name=lazy_pgettext("query key", "carrier"),
    ),
    QueryKey(
        code="tracking",
        label=_l("Tracking number"),
        kind=KeyKind.TEXT,
        find=_by_tracking,
        personal=True,
        filter=False,
        name=lazy_pgettext("query key", "tracking"),
    ),
)


# --- Of the packages themselves ---------------------------------------------------------------------------------------


def _tracked_by(values: Sequence[str], actor: Actor) -> ColumnElement[bool]:
    spelled = {spelling for value in values for spelling in (value, value.upper())}
    whole = [_bare(value) for value in spelled if not value.endswith("*")]
    begun = sorted(_bare(value) for value in spelled if value.endswith("*"))
    return or_(Package.tracking_number.in_(whole), *(begins_with(Package.tracking_number, one) for one in begun))


def _confirmed(values: Sequence[str], actor: Actor) -> ColumnElement[bool]:
    """By the state of the newest confirmation; what still has to be seen by those that are open, which are few."""
    if set(values) <= set(OPEN):
        owed = select(ChannelUpdate.source_id).where(text(OPEN_UPDATES), ChannelUpdate.kind == SHIPMENT)
        return Package.id.in_(owed.where(ChannelUpdate.state.in_(values)))
    states = [value for value in values if value != "none"]
    ways = [update_state.in_(states)] if states else []
    return or_(*ways, *([update_state.is_(None)] if "none" in values else []))


def _confirmations(actor: Actor) -> Mapping[str, LazyString]:
    return {**STATE_LABELS, "none": _l("Nothing to send")}


_ELSEWHERE = Package.shipment_id.in_(select(Shipment.id).where(Shipment.origin == ELSEWHERE))
PACKAGE_KEYS = (
    QueryKey(
        subject=SHIPMENTS, code="carrier", label=_l("Carrier"), kind=KeyKind.TEXT, condition=_carried_by,
        help=_l("DHL, UPS, or a name."),
        name=lazy_pgettext("query key", "carrier"),
    ),
    QueryKey(
        subject=SHIPMENTS, code="tracking", label=_l("Tracking number"), kind=KeyKind.TEXT, condition=_tracked_by,
        personal=True, filter=False,
        name=lazy_pgettext("query key", "tracking"),
    ),
    QueryKey(
        subject=SHIPMENTS, code=SHIPPED, label=_l("Shipped on"), kind=KeyKind.DATE,
        condition=between(Package.shipped_at),
        name=lazy_pgettext("query key", "shipped"),
    ),
    QueryKey(
        subject=SHIPMENTS, code="confirmation", label=_l("Confirmation"), kind=KeyKind.CHOICE, condition=_confirmed,
        choices=_confirmations, help=_l("The state of the shipment confirmation."),
        name=lazy_pgettext("query key", "confirmation"),
    ),
    QueryKey(
        subject=SHIPMENTS, code="elsewhere", label=_l("Shipped elsewhere"), kind=KeyKind.YES_NO,
        condition=yes_no(_ELSEWHERE),
        name=lazy_pgettext("query key", "elsewhere"),
    ),
)  # fmt: skip
SOURCES = (WordSource(code="tracking", label=_l("tracking numbers"), find=_by_word),)
