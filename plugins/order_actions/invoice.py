"""Invoice an order, or units of its lines; take an invoice back. The rules are the desk's own (`invoice_refusal`,
`correct_invoice`).
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

from webapp.api import (
    COMPONENT_LABELS,
    HIDDEN,
    ActionInput,
    Actor,
    Component,
    FormField,
    Kind,
    Money,
    NoInvoice,
    Offered,
    Order,
    OrderAction,
    PartAction,
    Place,
    Preview,
    Refusal,
    Remaining,
    UnitsOfLine,
    correct_invoice,
    correction_refusals,
    invoice_refusal,
    issue_due,
    issue_invoices,
    lazy_gettext as _l,
    ngettext,
    planned_rows,
)


def _choice(component: Component) -> FormField:
    return FormField(COMPONENT_LABELS[component], Kind.CHOICE)


class InvoiceInput(ActionInput):
    """Without `lines`, everything that is left is invoiced; with empty ones, no units. Of each component beside the
    goods, an invoice has its share by units, all that is left (true) or nothing (false). With `due`, what the store's
    settings would invoice by themselves, and nothing of other orders.
    """

    lines: Annotated[dict[int, int] | None, FormField(_l("What to invoice"), Kind.QUANTITIES)] = None
    shipping: Annotated[bool | None, _choice(Component.SHIPPING)] = None
    gift_wrap: Annotated[bool | None, _choice(Component.GIFT_WRAP)] = None
    cod: Annotated[bool | None, _choice(Component.COD)] = None
    tip: Annotated[bool | None, _choice(Component.TIP)] = None
    other: Annotated[bool | None, _choice(Component.OTHER)] = None
    due: bool = False

    @property
    def components(self) -> Mapping[str, bool]:
        """The components of which all, or nothing, is chosen."""
        chosen = {component: getattr(self, component) for component in CHOSEN}
        return {component: all_ for component, all_ in chosen.items() if all_ is not None}


FOLD = _l("Shipping and other amounts")
NO_UNITS = _l("No units, only amounts")
CHOSEN = tuple(component.value for component in Component if component is not Component.ITEM)


class InvoiceOrder(OrderAction):
    """Issue an invoice with the next number of the order's shop."""

    code, label, right, bulk, icon = "invoice", _l("Invoice order"), "orders.invoice", True, "receipt"
    previews = True
    Input = InvoiceInput

    def doing(self, count: int) -> str:
        return str(ngettext("%(num)s order is being invoiced.", "%(num)s orders are being invoiced.", count))

    def done(self, count: int) -> str:
        return str(ngettext("%(num)s invoiced", "%(num)s invoiced", count))

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return invoice_refusal(order, actor)

    def perform(self, order: Order, data: InvoiceInput, actor: Actor) -> None:
        self.perform_many([order], data, actor)

    def perform_many(self, orders: Sequence[Order], data: InvoiceInput, actor: Actor) -> None:
        if data.due:
            issue_due(orders, actor=actor)
        else:
            issue_invoices(orders, data.lines, data.components, actor=actor)

    def dry_run(self, order: Order, data: InvoiceInput, actor: Actor) -> Preview:
        return Preview(rows=planned_rows(order, data.lines, data.components, actor=actor))

    def offered(self, order: Order | None, actor: Actor) -> Mapping[str, Offered]:
        if order is None:
            return dict.fromkeys(("lines", *CHOSEN), HIDDEN)
        remaining = Remaining(order)
        left = [
            UnitsOfLine(line.id, line.title, line.sku, remaining.units[line.id])
            for line in order.lines
            if line.id in remaining.units
        ]
        units = sum(line.most for line in left)
        charged = {component: amount.net for component, amount in remaining.components.items() if amount.net}
        if not units and len(remaining.amounts) == 1:
            charged = {}  # nothing to choose: the one amount that is left
        none = NO_UNITS if charged else ""
        chooses = units > 1 or (units and charged)
        return {
            "lines": Offered(lines=left, none=none, fold=FOLD if units == 1 else "") if chooses else HIDDEN,
            **dict.fromkeys(CHOSEN, HIDDEN),
            **{component: _offered(order, net, units) for component, net in charged.items()},
        }


def _offered(order: Order, net: int, units: int) -> Offered:
    """The choices of a component of which so much is left: without units, it has no share by them."""
    money = Money(net, order.currency or "")
    everything = _l("All that is left: %(amount)s", amount=f"{money} {money.currency}")
    by_units = [("", _l("Share of the chosen units"))] if units else []
    choices = [*by_units, ("true", everything), ("false", _l("Not on this invoice"))]
    return Offered(choices=choices, default=choices[0][0], fold=FOLD if units else "")


class CorrectInput(ActionInput):
    """The invoice that was issued by mistake, by its id."""

    invoice: Annotated[int, FormField(_l("Invoice"), Kind.FIXED)]


class CorrectInvoice(PartAction):
    """Take back an invoice that was issued by mistake, by an opposite credit memo: its amounts are free again."""

    code, label, right, icon = "correct_invoice", _l("Correct invoice"), "orders.invoice", "replace"
    place, about, nothing = Place.DOCUMENTS, "invoice", NoInvoice
    Input = CorrectInput

    def refusals(self, order: Order, actor: Actor) -> Mapping[int, Refusal | None]:
        return correction_refusals(order)

    def perform(self, order: Order, data: CorrectInput, actor: Actor) -> None:
        correct_invoice(order, data.invoice, actor=actor)
