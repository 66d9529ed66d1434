"""What can still be invoiced of an order, by line and component: what is paid in the mirror, less what is invoiced.

Partial amounts are in proportion to units, and the last invoice of a line takes everything that is left of the mirror
then, so that the invoices of an order always add up to it. Forms, services and JSON all ask here.
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
    def shipping(self) -> bool:
        """Whether anything is left of shipping charges."""
        return any(component == Component.SHIPPING for _line_id, component in self.amounts)

    def parts(self, chosen: Mapping[int, int] | None = None, *, shipping: bool = False) -> list[Part]:
        """The lines of an invoice over these units by line id, none of them more than is left; by default over
        everything. With `shipping`, all shipping that is left is on this invoice, else its share.
        """
        chosen = {line_id: units for line_id, units in (chosen or self.units).items() if units}
        if chosen == self.units:
            return list(self._parts(self.units, self.amounts))
        units, whole = sum(chosen.values()), sum(self.units.values())
        amounts: dict[Place, Amount] = {}
        for place, left in self.amounts.items():
            line_id, component = place
            if shipping and component == Component.SHIPPING:
                amounts[place] = left
            elif line_id == OWN:
                amounts[place] = share(left, units, whole)
            elif line_id in chosen:
                amounts[place] = share(left, chosen[line_id], self.units[line_id])
        return list(self._parts(chosen, amounts))

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
