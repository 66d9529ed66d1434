"""The parcels of one order that the rows of a list make, one row after the other.

A row without item and units takes everything that the rows before it left. Rows with the same carrier, tracking number,
service and day are one parcel.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from webapp.channels.described import carriers
from webapp.clock import now
from webapp.errors import DeskError
from webapp.fulfillment.services import (
    CarrierNameNeeded,
    CodesRequired,
    OddShipTime,
    UnknownCarrier,
    checked_carrier,
    checked_ship_time,
    checked_tracking_number,
    damaged,
)
from webapp.fulfillment.ship_rows import Row, days_meant
from webapp.i18n import lazy_gettext as _l
from webapp.orders.models import Order, OrderLine, TooMany

_UNITS = re.compile(r"\d{1,6}", re.ASCII)
_DAY = re.compile(r"(\d{4})[-/.](\d\d?)[-/.](\d\d?)", re.ASCII)
_DAY_FIRST = re.compile(r"(\d\d?)\.(\d\d?)\.(\d{4})", re.ASCII)  # with slashes, some write the month first


class TwiceInList(DeskError):
    code, status = "twice_in_list", 422
    sentence = _l(
        "Row %(row)s already ships this order. For several parcels of one order, enter an item and its units "
        "in each row."
    )


class ShippedAlready(DeskError):
    """The list was shipped before, whatever became of the answer."""

    code, status = "shipped_already", 422
    sentence = _l("A package of this order has the tracking number %(number)s already.")


class CarrierUnnamed(DeskError):
    code, status = "carrier_unnamed", 422
    sentence = _l("Enter the name of the carrier in the fifth cell of the row, or in a column “Carrier's name”.")


class NoSuchItem(DeskError):
    code, status = "no_such_item", 422
    sentence = _l("This order has no item “%(item)s”. Enter the item's SKU, or the channel's item number.")


class ItemNeeded(DeskError):
    code, status = "item_needed", 422
    sentence = _l("This order has several items. Enter the item to which these units belong.")


class BadUnits(DeskError):
    code, status = "bad_units", 422
    sentence = _l("“%(units)s” is not a number of units. Enter a whole number.")


class BadShipDate(DeskError):
    code, status = "bad_ship_date", 422
    sentence = _l("“%(text)s” is not a clear date. Enter the year first, such as 2026-03-12.")


class AmbiguousShipDate(DeskError):
    """Either the day or the month may come first, and the other rows of the list don't say which."""

    code, status = "ambiguous_ship_date", 422
    sentence = _l("“%(text)s” can be %(day_first)s or %(month_first)s. Write it with the year first.")


@dataclass(slots=True)
class _Parcel:
    """A parcel as the ship action reads it; `units` by line, `whole` if it is everything that is open."""

    fields: Mapping[str, str]
    units: Counter[int] = field(default_factory=Counter)
    whole: bool = False

    @property
    def input(self) -> dict[str, Any]:
        return {**self.fields, "lines": {} if self.whole else dict(self.units)}


class Parcels:
    """What the rows of the order have made of it so far."""

    incomplete = False  # a row of it can't be shipped as it is

    def __init__(self, order: Order, shipped: Collection[str] = ()) -> None:
        self.order = order
        self._shipped = shipped  # tracking numbers of its packages
        self._left = Counter({line.id: line.open for line in order.lines if line.open})
        self._row = 0  # the last one that took units
        self._parcels: dict[tuple[str, ...], _Parcel] = {}

    def add(self, row: Row) -> str:
        """Put what the row names into its parcel. Returns the label of the carrier under which a carrier goes that the
        marketplace does not list; empty for the others. Raises a `DeskError` if the row can't be shipped.
        """
        if not self._left and not row.item:
            raise TwiceInList(row=self._row)
        whole = not (row.item or row.units or self._row)
        tracking_number = checked_tracking_number(row.tracking_number)
        if tracking_number in self._shipped:
            raise ShippedAlready(number=tracking_number)
        carrier, name, unlisted = _carrier(self.order, row)
        values = {
            "carrier": carrier,
            "carrier_name": name,
            "service": row.service,
            "tracking_number": tracking_number,
            "ship_date": _ship_date(self.order, row.ship_date),
        }
        units = self._take(row)
        parcel = self._parcels.setdefault(tuple(values.values()), _Parcel(values, whole=whole))
        parcel.units += units
        return unlisted

    @property
    def input(self) -> dict[str, Any]:
        """The input of the ship action."""
        return {"packages": [parcel.input for parcel in self._parcels.values()]}

    def _take(self, row: Row) -> Counter[int]:
        """The units that the row names, by line, which later rows can't take any more."""
        lines = _lines(self.order, row.item) if row.item else [one for one in self.order.lines if self._left[one.id]]
        if row.units and len({line.sku for line in lines}) > 1:
            raise ItemNeeded
        open_units = sum(self._left[line.id] for line in lines)
        wanted = _count(row.units) if row.units else open_units
        if not 0 < wanted <= open_units:
            raise TooMany(open=open_units, sku=lines[0].sku or lines[0].title)
        taken: Counter[int] = Counter()
        for line in lines:
            if units := min(self._left[line.id], wanted - taken.total()):
                if line.needs_codes:
                    raise CodesRequired(sku=line.sku or line.title)
                taken[line.id] = units
        self._left -= taken
        self._row = row.line
        return taken


def _lines(order: Order, item: str) -> Sequence[OrderLine]:
    """The lines that an item names: by the channel's number or the SKU, also without the zeros in front."""
    wanted = item.casefold()
    named = [(line, {line.channel_line_number.casefold(), line.sku.casefold()}) for line in order.lines]
    found = [line for line, names in named if wanted in names]
    bare = wanted.lstrip("0")
    found = found or [line for line, names in named if bare in {name.lstrip("0") for name in names if name}]
    if not found:
        raise damaged(item) or NoSuchItem(item=item)
    return found


def _count(text: str) -> int:
    if not _UNITS.fullmatch(text) or not int(text):
        raise BadUnits(units=text)
    return int(text)


def _carrier(order: Order, row: Row) -> tuple[str, str, str]:
    """The carrier's code and name. A carrier that the marketplace does not list goes by its name, under the carrier
    that takes names, whose label comes third.
    """
    carrier, name = (row.carrier, row.carrier_name) if row.carrier else (row.carrier_name, "")
    try:
        return *checked_carrier(order, carrier, name), ""
    except CarrierNameNeeded:
        raise CarrierUnnamed from None
    except UnknownCarrier:
        naming = [one for one in carriers(order.store.channel, order.marketplace) if one.needs_name]
        if not (carrier and naming):
            raise
        return naming[0].code, name or carrier, str(naming[0].label)


def _ship_date(order: Order, text: str) -> str:
    """The day or time of a row as ISO 8601; raises if the parcel can't have left then. A day is one of the shop's."""
    if not text:
        return ""
    zone = ZoneInfo(order.shop.zone)
    moment = _moment(text)
    if isinstance(moment, datetime):
        checked_ship_time(order, moment if moment.tzinfo else moment.replace(tzinfo=zone))
    elif not order.placed_at.astimezone(zone).date() <= moment <= now().astimezone(zone).date():
        raise OddShipTime
    return moment.isoformat()


def _moment(text: str) -> datetime | date:
    try:
        if year_first := _DAY.fullmatch(text):
            return date(*map(int, year_first.groups()))
        if day_first := _DAY_FIRST.fullmatch(text):
            return date(*map(int, reversed(day_first.groups())))
        if _DAY.match(text):
            return datetime.fromisoformat(text)
    except ValueError:
        pass
    if len(days := days_meant(text)) > 1:
        raise AmbiguousShipDate(text=text, day_first=days[0].isoformat(), month_first=days[1].isoformat())
    raise BadShipDate(text=text)
