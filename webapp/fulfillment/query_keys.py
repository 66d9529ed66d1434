"""The query keys about packages: carrier and tracking number, compared as they are stored."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, func, or_, select

from webapp.audit.actor import Actor
from webapp.db import begins_with
from webapp.fulfillment.models import Package
from webapp.i18n import lazy_gettext as _l
from webapp.orders.models import Order
from webapp.search.contract import Found, KeyKind, QueryKey, WordSource

_SHORTEST = 4  # characters of a tracking number's prefix


def _by_carrier(values: Sequence[str], actor: Actor) -> ColumnElement[bool]:
    codes = [value.lower() for value in values]
    named = or_(func.lower(Package.carrier).in_(codes), func.lower(Package.carrier_name).in_(codes))
    return Order.id.in_(select(Package.order_id).where(named))


def _by_tracking(values: Sequence[str]) -> dict[str, list[Found]]:
    return {value: [_found(number)] for value in values if (number := value.rstrip("*"))}


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
        code="carrier", label=_l("Carrier"), kind=KeyKind.TEXT, condition=_by_carrier, help=_l("DHL, UPS, or a name.")
    ),
    QueryKey(
        code="tracking", label=_l("Tracking number"), kind=KeyKind.TEXT, find=_by_tracking, personal=True, filter=False
    ),
)
SOURCES = (WordSource(code="tracking", label=_l("tracking numbers"), find=_by_word),)
