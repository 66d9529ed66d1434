"""Invoice an order, or units of its lines; take an invoice back. The rules are the desk's own (`invoice_refusal`,
`correct_invoice`).
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field

from webapp.api import (
    HIDDEN,
    ActionInput,
    Actor,
    FormField,
    Kind,
    Offered,
    Order,
    OrderAction,
    Place,
    Preview,
    Refusal,
    Remaining,
    UnitsOfLine,
    correct_invoice,
    invoice_refusal,
    issue_due,
    issue_invoices,
    lazy_gettext as _l,
    ngettext,
    planned_rows,
)


class InvoiceInput(ActionInput):
    """Without `lines`, everything that is left is invoiced; with `due`, what the store's settings would invoice by
    themselves, and nothing of other orders.
    """

    lines: Annotated[dict[int, int], FormField(_l("What to invoice"), Kind.QUANTITIES)] = Field(default_factory=dict)
    shipping: Annotated[
        bool,
        FormField(
            _l("All shipping now"),
            Kind.TICK,
            help=_l("Otherwise each invoice has its share of the shipping, by units."),
        ),
    ] = False
    due: bool = False


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
            issue_invoices(orders, data.lines, shipping=data.shipping, actor=actor)

    def dry_run(self, order: Order, data: InvoiceInput, actor: Actor) -> Preview:
        return Preview(rows=planned_rows(order, data.lines, shipping=data.shipping, actor=actor))

    def offered(self, order: Order | None, actor: Actor) -> Mapping[str, Offered]:
        if order is None:
            return {"lines": HIDDEN, "shipping": HIDDEN}
        remaining = Remaining(order)
        left = [
            UnitsOfLine(line.id, line.title, line.sku, remaining.units[line.id])
            for line in order.lines
            if line.id in remaining.units
        ]
        some = sum(line.most for line in left) > 1
        return {
            "lines": Offered(lines=left) if some else HIDDEN,
            "shipping": Offered() if some and remaining.shipping else HIDDEN,
        }


class CorrectInput(ActionInput):
    """The invoice that was issued by mistake, by its id."""

    invoice: Annotated[int, FormField(_l("Invoice"), Kind.FIXED)]


class CorrectInvoice(OrderAction):
    """Take back an invoice that was issued by mistake, by an opposite credit memo: its amounts are free again."""

    code, label, right, icon = "correct_invoice", _l("Correct invoice"), "orders.invoice", "replace"
    place = Place.DOCUMENTS
    Input = CorrectInput

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return None

    def perform(self, order: Order, data: CorrectInput, actor: Actor) -> None:
        correct_invoice(order, data.invoice, actor=actor)
