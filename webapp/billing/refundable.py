"""What can still be refunded of an order, by line and component: what is paid in the mirror for what has shipped, less
what is refunded and what is about to be. Forms, services, bulk acts and JSON all ask here. What has not shipped is
canceled instead: until its first unit leaves, nothing of a line is refunded, its shipping charge neither.

A person names units, or amounts of goods: what is charged less the discount, before tax. The tax follows in proportion
unless it is given. Whoever takes all that is left of a component gets it to the last minor unit.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from webapp.billing.remaining import amounts_of, share
from webapp.channels.incoming import COMPONENT_LABELS, Component
from webapp.channels.refunds import Adjustment
from webapp.errors import Invalid, Refusal
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.money import Money
from webapp.orders.amounts import NOTHING, OWN, Place
from webapp.orders.contract import Amount
from webapp.orders.models import Order, OrderAmount, OrderLine

WITH_UNITS = (Component.ITEM, Component.GIFT_WRAP)  # what is refunded of a line in proportion to its units


class TooManyToRefund(Refusal):
    """Of a line, fewer units can be refunded than asked for."""

    code = "too_many_to_refund"
    field = "lines"
    sentence = _l("The quantity is too high. Units of %(sku)s left to refund: %(left)s.")


class TooMuchToRefund(Refusal):
    """Of a component, or of the whole order, less is left than asked for."""

    code = "too_much_to_refund"
    field = "lines"
    sentence = _l("The amount is too high. Left to refund of %(what)s: %(left)s.")


class CancelUnshipped(Refusal):
    """More is asked for than has shipped."""

    code = "cancel_unshipped"
    field = "lines"
    sentence = _l(
        "The amount is too high. Left to refund of %(what)s: %(left)s. Cancel units that have not shipped: "
        "the buyer is not charged for them."
    )


class NothingChosen(Refusal):
    """The memo would come to nothing, or to less than nothing."""

    code = "refund_of_nothing"
    field = "lines"
    sentence = _l("The refund would be empty. Choose units or amounts to refund.")


class FeeTakesAll(Refusal):
    """The fee is as high as what the buyer would get, or higher."""

    code = "fee_takes_all"
    field = "adjustment_fee"
    sentence = _l("The adjustment fee is as high as the refund or higher. Enter a lower fee.")


@dataclass(frozen=True, slots=True)
class LineWish:
    """What a person wants refunded of one line: units, and amounts in minor units by component that replace those in
    proportion to the units. `taxes` by component replace the tax in proportion to the amount.
    """

    units: int = 0
    amounts: Mapping[str, int] = field(default_factory=dict)
    taxes: Mapping[str, int] = field(default_factory=dict)
    restock: int = 0


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person wants refunded of an order, in minor units. `whole` is everything that is left; `all_shipping` all
    shipping that is left, in place of an amount.
    """

    lines: Mapping[int, LineWish] = field(default_factory=dict)
    shipping: int = 0
    shipping_tax: int | None = None
    all_shipping: bool = False
    adjustment_refund: int = 0
    adjustment_fee: int = 0
    whole: bool = False


@dataclass(frozen=True, slots=True)
class MemoPart:
    """One line of a credit memo before it is recorded."""

    line: OrderLine | None
    component: str
    units: int
    restock: int
    amount: Amount

    @property
    def place(self) -> Place:
        return (self.line.id if self.line else OWN), self.component

    @property
    def counted(self) -> bool:
        """Whether it is in the counters of lines and amounts; an adjustment is in those of the order alone."""
        return self.component not in tuple(Adjustment)


def goods(amount: Amount) -> int:
    """What is charged less the discount, before tax."""
    return amount.charged - amount.discount


def refundable_units(line: OrderLine) -> int:
    """The units of a line that can be refunded: those that left and are neither refunded nor about to be."""
    return max(0, line.shipped - line.refunded - line.refunding)


def _of_shipped(row: OrderAmount, line: OrderLine | None) -> Amount:
    """What of an amount is for units that have shipped; shipping is for the line, however many of them have."""
    if line is None:
        return row.figures
    if not line.shipped:
        return NOTHING
    if not line.open or row.component not in WITH_UNITS:
        return row.figures
    return share(row.figures, line.shipped, line.shipped + line.open)


def _left_of(row: OrderAmount, shipped: Amount) -> Amount:
    left = shipped.minus(row.refunded).minus(row.pending)
    return left if left.net > 0 and left.tax >= 0 and goods(left) >= 0 else NOTHING


class Refundable:
    """What can still be refunded of one order: units by line id, amounts by place, and the total, which adjustments
    can't exceed either.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        by_id = {line.id: line for line in order.lines}
        self.units = {line.id: units for line in order.lines if (units := refundable_units(line))}
        self.amounts: dict[Place, Amount] = {}
        self.total = -order.refunded_minor - order.refunding_minor
        self._unshipped: set[Place] = set()  # of which a part is for units that have not shipped
        for row in amounts_of(order) if any(line.shipped for line in order.lines) else ():
            line, place = by_id.get(row.line_id or OWN), (row.line_id or OWN, row.component)
            shipped = _of_shipped(row, line)
            if any(left := _left_of(row, shipped)):
                self.amounts[place] = left
            if line is not None and line.open and shipped != row.figures:
                self._unshipped.add(place)
            self.total += shipped.net
        self.total = max(0, self.total)

    def __bool__(self) -> bool:
        return bool(self.total and (self.amounts or self.units))

    @property
    def shipping(self) -> Amount:
        """What is left of shipping, over all lines."""
        return _sum(left for (_, component), left in self.amounts.items() if component == Component.SHIPPING)

    def so_far(self, line: OrderLine) -> list[tuple[LazyString, int]]:
        """What was paid for the units of a line, what of it is refunded, and what is about to be, in minor units."""
        row = next(
            (row for row in self._order.amounts if (row.line_id, row.component) == (line.id, Component.ITEM)), None
        )
        if row is None:
            return []
        return [(_l("Paid"), row.net), (_l("Refunded"), row.refunded.net), (_l("Pending"), row.pending.net)]

    def of_units(self, line: OrderLine, component: str, units: int) -> Amount:
        """What so many units of a line come to, of one component."""
        left, most = self.amounts.get((line.id, component), NOTHING), self.units.get(line.id, 0)
        return left if units >= most else share(left, units, most)

    def parts(self, wish: Wish) -> list[MemoPart]:
        """The lines of a credit memo. Raises `TooManyToRefund`, `TooMuchToRefund`, `CancelUnshipped`, `NothingChosen`,
        `FeeTakesAll`, or `Invalid` for a line that is not on the order.
        """
        parts = list(self._whole() if wish.whole else self._chosen(wish))
        for component, minor in (
            (Adjustment.REFUND, wish.adjustment_refund),
            (Adjustment.FEE, -wish.adjustment_fee),
        ):
            if minor:
                parts.append(MemoPart(None, component, 0, 0, Amount(minor)))
        total = sum(part.amount.net for part in parts)
        if total <= 0:
            raise FeeTakesAll if total + wish.adjustment_fee > 0 else NothingChosen
        if total > self.total:
            raise self._too_much(_l("this order"), self.total, unshipped=bool(self._unshipped))
        return parts

    def _whole(self) -> Iterator[MemoPart]:
        for line in [*self._order.lines, None]:
            line_id = line.id if line else OWN
            units = self.units.get(line_id, 0)
            for component in Component:
                left = self.amounts.get((line_id, component), NOTHING)
                count = units if component is Component.ITEM else 0
                if any(left) or count:
                    yield MemoPart(line, component, count, 0, left)

    def _chosen(self, wish: Wish) -> Iterator[MemoPart]:
        by_id = {line.id: line for line in self._order.lines}
        if strange := sorted(wish.lines.keys() - by_id.keys()):
            raise Invalid(field="lines", problem=_l("Line %(line)s is not on this order.", line=strange[0]))
        shipping = dict(self._shipping(wish))
        for line in self._order.lines:
            mine = wish.lines.get(line.id, LineWish())
            taken = dict(self._of_line(line, mine))
            if line.id in shipping:
                taken[Component.SHIPPING] = shipping[line.id]
            for component in Component:
                count = mine.units if component is Component.ITEM else 0
                amount = taken.get(component, NOTHING)
                if any(amount) or count:
                    yield MemoPart(line, component, count, mine.restock if count else 0, amount)
        if OWN in shipping:
            yield MemoPart(None, Component.SHIPPING, 0, 0, shipping[OWN])

    def _of_line(self, line: OrderLine, wish: LineWish) -> Iterator[tuple[Component, Amount]]:
        if wish.units < 0 or wish.restock < 0:
            raise Invalid(field="lines", problem=_l("Enter 0 or more."))
        if wish.units > (left := self.units.get(line.id, 0)):
            sku = line.sku or line.title
            raise CancelUnshipped(what=sku, left=left) if line.open else TooManyToRefund(left=left, sku=sku)
        if wish.restock > wish.units:
            raise Invalid(
                field="lines", problem=_l("More units return to stock than are refunded. Enter fewer units for stock.")
            )
        known = tuple(Component)
        if strange := sorted({*wish.amounts, *wish.taxes} - set(known)):
            raise Invalid(field="lines", problem=_l("There is no component “%(name)s”.", name=strange[0]))
        for component in known:
            if component in wish.amounts or component in wish.taxes:
                amount = wish.amounts.get(component)
                if amount is None:
                    amount = goods(self.of_units(line, component, wish.units)) if wish.units else 0
                yield component, self._amount((line.id, component), amount, wish.taxes.get(component))
            elif wish.units and component in WITH_UNITS:
                yield component, self.of_units(line, component, wish.units)

    def _amount(self, place: Place, minor: int, tax: int | None) -> Amount:
        """So much of the goods of a component, with its discount and tax in proportion, or with this tax."""
        left = self.amounts.get(place, NOTHING)
        most = goods(left)
        if minor < 0 or (tax or 0) < 0:
            raise Invalid(field="lines", problem=_l("Enter 0 or more."))
        if minor > most or (tax is not None and tax > left.tax):
            exceeded = most if minor > most else left.tax
            raise self._too_much(self._name(place, of_tax=minor <= most), exceeded, unshipped=place in self._unshipped)
        if minor == most and tax is None:
            return left
        discount = self._part(left.discount, minor, most)
        return Amount(minor + discount, self._part(left.tax, minor, most) if tax is None else tax, discount)

    def _shipping(self, wish: Wish) -> Iterator[tuple[int, Amount]]:
        """What is refunded of shipping by line id, spread over all that is left."""
        places = [place for place in self.amounts if place[1] == Component.SHIPPING]
        if wish.all_shipping:
            yield from ((place[0], self.amounts[place]) for place in places)
            return
        if wish.shipping < 0 or (wish.shipping_tax or 0) < 0:
            raise Invalid(field="shipping", problem=_l("Enter 0 or more."))
        if not wish.shipping and not wish.shipping_tax:
            return
        left = self.shipping
        if wish.shipping > goods(left) or (wish.shipping_tax or 0) > left.tax:
            exceeded = goods(left) if wish.shipping > goods(left) else left.tax
            unshipped = any(component == Component.SHIPPING for _line_id, component in self._unshipped)
            raise self._too_much(COMPONENT_LABELS[Component.SHIPPING], exceeded, unshipped=unshipped)
        shares = self._split(wish.shipping, [goods(self.amounts[place]) for place in places])
        taxes: list[int] | list[None] = [None] * len(places)
        if wish.shipping_tax is not None:
            taxes = self._split(wish.shipping_tax, [self.amounts[place].tax for place in places])
        for place, minor, tax in zip(places, shares, taxes, strict=True):
            yield place[0], self._amount(place, minor, tax)

    def _too_much(self, what: LazyString | str, left: int, *, unshipped: bool) -> Refusal:
        problem = CancelUnshipped if unshipped else TooMuchToRefund
        return problem(what=what, left=self._money(left))

    def _split(self, minor: int, weights: list[int]) -> list[int]:
        return [one.minor for one in Money(minor, "XXX").split(weights)]

    def _part(self, minor: int, of: int, whole: int) -> int:
        return self._split(minor, [of, whole - of])[0] if of else 0

    def _name(self, place: Place, *, of_tax: bool) -> str:
        line_id, component = place
        line = next((line for line in self._order.lines if line.id == line_id), None)
        words = [str(COMPONENT_LABELS[Component(component)])]
        words += [str(_l("tax"))] if of_tax else []
        words += [line.sku or line.title] if line else []
        return ", ".join(words)

    def _money(self, minor: int) -> str:
        currency = self._order.currency or ""
        return f"{Money(minor, currency)} {currency}"


def _sum(amounts: Iterator[Amount]) -> Amount:
    found = list(amounts)
    return Amount(*(sum(figures) for figures in zip(*found, strict=True))) if found else NOTHING
