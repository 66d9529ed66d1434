"""What can still be invoiced of an order, by line and component: what is paid in the mirror, less what is invoiced.

Partial amounts are in proportion to units, and the invoice of the last units takes everything that is left of the
mirror then, so that the invoices of an order always add up to it. Of a component beside the goods, an invoice may have
all that is left instead, or nothing: then it stays open for a later one, also after the last units. Forms, services
and JSON all ask here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import inspect, select
from sqlalchemy.orm.attributes import set_committed_value

from webapp.channels.incoming import Component
from webapp.db import among, db
from webapp.money import Money
from webapp.orders.amounts import NOTHING, OWN, Place
from webapp.orders.contract import Amount
from webapp.orders.models import Order, OrderAmount, OrderLine
from webapp.orders.queries import loaded_with

_PLACES = {component.value: place for place, component in enumerate(Component)}


@dataclass(frozen=True, slots=True)
class Part:
    """One line of an invoice: a component of an order line, or of the order itself (no line). Units are counted on the
    component `item` alone.
    """

    line: OrderLine | None
    component: str
    units: int
    amount: Amount

    @property
    def place(self) -> Place:
        return (self.line.id if self.line else OWN), self.component


class Remaining:
    """What can still be invoiced of one order: units by line id, and amounts by place."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self.units = {line.id: units for line in order.lines if (units := units_left(line))}
        rows = {(row.line_id or OWN, row.component): left_of(row) for row in amounts_of(order)}
        self.amounts = {place: left for place, left in rows.items() if any(left)}

    def __bool__(self) -> bool:
        return bool(self.units or self.amounts)

    @property
    def net(self) -> int:
        """What is left in minor units."""
        return sum(left.net for left in self.amounts.values())

    @property
    def components(self) -> dict[str, Amount]:
        """What is left of each component beside the goods, over all lines. One that takes from the price goes with the
        units alone, and is not here.
        """
        found: dict[str, Amount] = {}
        for (_line_id, component), left in self.amounts.items():
            if component != Component.ITEM:
                found[component] = found.get(component, NOTHING).plus(left)
        return {component: found[component] for component in sorted(found, key=_place_of) if found[component].net >= 0}

    def parts(
        self, chosen: Mapping[int, int] | None = None, components: Mapping[str, bool] | None = None
    ) -> list[Part]:
        """The lines of an invoice over these units by line id, none of them more than is left; by default over
        everything. All that is left of one of `components` is on it (True) or nothing of it (False), else its share.
        """
        units = self.units if chosen is None else {line_id: some for line_id, some in chosen.items() if some}
        last = chosen is None or (bool(units) and units == self.units)
        known = self.components
        choices = {component: all_ for component, all_ in (components or {}).items() if component in known}
        amounts: dict[Place, Amount] = {}
        for place, left in self.amounts.items():
            choice = choices.get(place[1])
            if choice is not None:
                amounts[place] = left if choice else NOTHING
            else:
                amounts[place] = left if last else self._share(place, left, units)
        return list(self._parts(units, amounts))

    def _share(self, place: Place, left: Amount, units: Mapping[int, int]) -> Amount:
        """What goes with these units of an amount, of which nothing goes with none."""
        line_id, _component = place
        if line_id == OWN:
            return share(left, sum(units.values()), sum(self.units.values())) if units else NOTHING
        return share(left, units[line_id], self.units[line_id]) if line_id in units else NOTHING

    def _parts(self, units: Mapping[int, int], amounts: Mapping[Place, Amount]) -> Iterator[Part]:
        lines: list[OrderLine | None] = [*self._order.lines, None]
        components: dict[int, set[str]] = {}
        for (line_id, component), amount in amounts.items():
            if any(amount):
                components.setdefault(line_id, set()).add(component)
        for line in lines:
            line_id = line.id if line else OWN
            item = {Component.ITEM.value} if units.get(line_id) else set()  # also if the goods were free
            for component in sorted(components.get(line_id, set()) | item, key=_place_of):
                count = units.get(line_id, 0) if component == Component.ITEM else 0
                yield Part(line, component, count, amounts.get((line_id, component), NOTHING))


def units_left(line: OrderLine) -> int:
    """The units of a line that can still be invoiced."""
    return max(0, line.ordered - line.canceled - line.withdrawn - line.invoiced)


def left_of(row: OrderAmount) -> Amount:
    """What can still be invoiced of one amount: nothing if the mirror fell below what is invoiced, since an invoice
    takes nothing back.
    """
    left = row.figures.minus(row.invoiced)
    return NOTHING if is_overdrawn(row) else left


def is_overdrawn(row: OrderAmount) -> bool:
    """Whether more is invoiced of an amount than is paid."""
    return row.net - row.invoiced.net < min(row.net, 0)


def amounts_of(order: Order) -> Sequence[OrderAmount]:
    """The order's amounts. Those of all loaded orders are read at once."""
    if "amounts" in inspect(order).unloaded:
        read_amounts([row for row in loaded_with(order) if "amounts" in inspect(row).unloaded])
    return order.amounts


def read_amounts(orders: Sequence[Order]) -> None:
    """Read the amounts of these orders as they are now, in one query."""
    found: dict[int, list[OrderAmount]] = {order.id: [] for order in orders}
    query: Any = select(OrderAmount).where(among(OrderAmount.order_id, list(found))).order_by(OrderAmount.id)
    for row in db.session.scalars(query.execution_options(populate_existing=True)):
        found[row.order_id].append(row)
    for order in orders:
        set_committed_value(order, "amounts", found[order.id])


def share(left: Amount, units: int, whole: int) -> Amount:
    """The share of some of the units that are left. Since each figure is rounded by itself, a share could come to more
    than is left, or to less than nothing: the price gives way.
    """
    charged, tax, discount = (Money(figure, "XXX").split([units, whole - units])[0].minor for figure in left)
    share = Amount(charged, tax, discount)
    net = max(min(0, left.net), min(share.net, max(0, left.net)))
    return share._replace(charged=charged + net - share.net)


def _place_of(component: str) -> tuple[int, str]:
    return _PLACES.get(component, len(_PLACES)), component
