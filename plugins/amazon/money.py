"""Amazon's amounts in the desk's form: minor units per component, reconciled with the totals.

Amazon sends the proceeds of a line or an order as `breakdowns` and a total. The sign of DISCOUNT is not documented, nor
is whether ITEM includes the tax, so the total decides which reading is right; if no reading adds up, the plain one is
used and the desk shows the difference. Fractions of a minor unit are rounded, so that they never block an order.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from webapp.api import Component, IncomingAmount, decimals

_COMPONENTS = {
    "ITEM": Component.ITEM,
    "SHIPPING": Component.SHIPPING,
    "GIFT_WRAP": Component.GIFT_WRAP,
    "COD_FEE": Component.COD,
    "DELIVERY_TIP": Component.TIP,
}
_Sums = dict[Component, int]
_Amounts = tuple[IncomingAmount, ...]
_MOST = Decimal(10) ** 15  # fits in a database column, with room for sums
_PLAIN = (False, False)
_READINGS = (_PLAIN, (True, False), (False, True), (True, True))


class BadMoney(ValueError):
    """An amount that is invalid, or in a second currency; its text names the kind of error and never the amount."""


class Purse:
    """Reads the amounts of one order and remembers the order's currency, which all of them must share."""

    __slots__ = ("_places", "currency")

    def __init__(self) -> None:
        self.currency: str | None = None
        self._places = 0

    def minor(self, money: Any) -> int | None:
        """The amount in minor units; None if Amazon sends none."""
        if money is None:
            return None
        try:
            amount, currency = money["amount"], money.get("currencyCode")
        except (AttributeError, KeyError, TypeError):
            raise BadMoney("not_money") from None
        if currency is None:
            return self._zero(amount)
        if currency != self.currency:
            self._settle(currency)
        try:
            minor = Decimal(amount).scaleb(self._places).to_integral_value(ROUND_HALF_UP)
            if not -_MOST < minor < _MOST:
                raise BadMoney("too_large")
            return int(minor)
        except BadMoney:
            raise
        except (ArithmeticError, ValueError, TypeError):
            raise BadMoney("not_a_number") from None

    def _zero(self, amount: Any) -> int:
        """Nothing, which is the same in every currency; any other amount needs one."""
        try:
            if Decimal(amount) == 0:
                return 0
        except (ArithmeticError, ValueError, TypeError):
            pass
        raise BadMoney("not_money")

    def _settle(self, currency: Any) -> None:
        if self.currency is not None:
            raise BadMoney("second_currency")
        if not (isinstance(currency, str) and len(currency) == 3 and currency.isascii() and currency.isalpha()):
            raise BadMoney("not_a_currency")
        self.currency, self._places = currency, decimals(currency)


class Proceeds:
    """The proceeds of a line or an order, before it is decided how to read them."""

    __slots__ = ("charged", "discount", "tax", "total")

    def __init__(self, breakdowns: Iterable[Mapping[str, Any]], total: int | None, purse: Purse) -> None:
        self.charged: _Sums = {}
        self.tax: _Sums = {}
        self.discount: _Sums = {}
        self.total = total
        for breakdown in breakdowns:
            subtotal = purse.minor(breakdown.get("subtotal")) or 0
            match breakdown.get("type"):
                case "TAX":
                    _add(self.tax, _shares(subtotal, breakdown, purse))
                case "DISCOUNT":
                    _add(self.discount, _shares(abs(subtotal), breakdown, purse))
                case other:
                    _add(self.charged, {_component(other): subtotal})

    def amounts(self, reading: tuple[bool, bool] | None = None) -> _Amounts:
        """The amount of each component with a value, read so that the amounts add up to the total."""
        includes_tax, is_net = self.reading() if reading is None else reading
        found = []
        for component in Component:
            charged = self.charged.get(component, 0)
            tax, discount = self.tax.get(component, 0), self.discount.get(component, 0)
            if not (charged or tax or discount):
                continue
            charged += (discount if is_net else 0) - (tax if includes_tax else 0)
            if tax < 0:  # a correction: the desk's taxes are never negative, and what the buyer pays must not change
                charged, tax = charged + tax, 0
            found.append(IncomingAmount(component, charged, tax, discount))
        return tuple(found)

    def reading(self) -> tuple[bool, bool]:
        """Whether `charged` includes the tax, and whether the discount is already subtracted from it."""
        if self.total is None or not (self.tax or self.discount):
            return _PLAIN
        charged, tax, discount = (sum(sums.values()) for sums in (self.charged, self.tax, self.discount))
        for includes_tax, is_net in _READINGS:
            if charged + (0 if includes_tax else tax) - (0 if is_net else discount) == self.total:
                return includes_tax, is_net
        return _PLAIN

    def less(self, lines: Sequence["Proceeds"]) -> "Proceeds":
        """An order's aggregated amounts minus those of its lines."""
        rest = Proceeds((), None, Purse())
        for name in ("charged", "tax", "discount"):
            sums: _Sums = dict(getattr(self, name))
            for line in lines:
                for component, minor in getattr(line, name).items():
                    sums[component] = sums.get(component, 0) - minor
            setattr(rest, name, {component: minor for component, minor in sums.items() if minor})
        return rest


def paid(amounts: Iterable[IncomingAmount]) -> int:
    """What the buyer pays for these amounts."""
    return sum(amount.charged + amount.tax - amount.discount for amount in amounts)


def divide(order: Proceeds, lines: Sequence[Proceeds]) -> tuple[list[_Amounts], _Amounts]:
    """The amounts of each line, and those of the order itself: tips, and amounts that its lines lack.

    The amounts that the lines lack are used only if they explain the grand total exactly.
    """
    reading = None
    if all(line.total is None for line in lines):
        together = Proceeds((), order.total, Purse())
        for line in lines:
            _add(together.charged, line.charged)
            _add(together.tax, line.tax)
            _add(together.discount, line.discount)
        reading = together.reading()
    of_lines = [line.amounts(reading) for line in lines]
    own: _Amounts = ()
    if order.charged or order.tax or order.discount:
        tip = order.charged.get(Component.TIP, 0)
        own = (IncomingAmount(Component.TIP, tip),) if tip else ()
        rest = order.less(lines)
        if order.total is not None and (gap := order.total - sum(map(paid, of_lines))) and gap != tip:
            rest.total = gap
            believed = rest.amounts()
            if paid(believed) == gap and all(amount.discount >= 0 for amount in believed):
                own = believed
    return of_lines, own


def _component(kind: Any) -> Component:
    return _COMPONENTS.get(kind, Component.OTHER)


def _add(sums: _Sums, more: Mapping[Component, int]) -> None:
    for component, minor in more.items():
        sums[component] = sums.get(component, 0) + minor


def _shares(subtotal: int, breakdown: Mapping[str, Any], purse: Purse) -> _Sums:
    """How a tax or discount is divided among components; any part that the details lack, or contradict, goes to the
    item.
    """
    shares: _Sums = {}
    for detail in breakdown.get("detailedBreakdowns") or ():
        component = _component(detail.get("subtype"))
        if component is not Component.ITEM and detail.get("subtype") != "DISCOUNT":
            value = abs(purse.minor(detail.get("value")) or 0)
            shares[component] = shares.get(component, 0) + value
    rest = subtotal - sum(shares.values())
    if rest < 0:
        return {Component.ITEM: subtotal}
    shares[Component.ITEM] = rest
    return shares
