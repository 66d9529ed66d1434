"""The list of invoices: every issued invoice, of all orders.

A row is an invoice. Invoices belong to orders: a query that finds an order finds its invoices, and the columns of the
order are shown for each of them. Number, time of issue, amounts and issuer are the invoice's own.
"""

from functools import partial
from typing import Any

from sqlalchemy import select

from webapp.billing import document_columns as of_documents
from webapp.billing.models import Invoice, InvoiceLine
from webapp.db import table_of
from webapp.i18n import lazy_gettext as _l, lazy_pgettext, ngettext
from webapp.lists.contract import ListWords, Subject
from webapp.lists.saved_views import EVERYTHING, View
from webapp.orders.models import Order
from webapp.orders.queries import visible_of
from webapp.search.conditions import yes_no
from webapp.search.contract import ORDERS, KeyKind, QueryKey

INVOICES = "invoices"
_NUMBER = _l("Invoice number")
_OF = InvoiceLine.invoice_id

_DEFAULT = ("number", "state", "placed", "tax", "buyer", "store")  # shown by default
COLUMNS = of_documents.columns(INVOICES, Invoice, InvoiceLine, _OF, _l("Invoice"), _l("Issued by"), _DEFAULT)
KEYS = of_documents.keys(INVOICES, Invoice, "invoice", _NUMBER, lazy_pgettext("query key", "invoice"))


# --- Of orders by their invoices --------------------------------------------------------------------------------------


_HAS_INVOICE = select(Invoice.id).where(Invoice.order_id == Order.id).correlate(Order).exists()
ORDER_KEYS = (
    QueryKey(
        code="invoice", label=_NUMBER, kind=KeyKind.TEXT, condition=of_documents.by_number(Invoice), filter=False,
        help=_l("“*” at the end matches any text."),
        name=lazy_pgettext("query key", "invoice"),
    ),
    QueryKey(
        code="invoiced", label=_l("Has invoices"), kind=KeyKind.YES_NO, condition=yes_no(_HAS_INVOICE), bare=True,
        name=lazy_pgettext("query key", "invoiced"),
    ),
)  # fmt: skip


# --- The subject ------------------------------------------------------------------------------------------------------

WORDS = ListWords(
    every=_l("All invoices"),
    region=_l("Invoice list"),
    select=_l("Select all invoices of this page"),
    older=_l("No older invoices"),
    none=_l("No invoices match"),
    empty=_l("No invoice yet"),
    empty_text=_l(
        "All issued invoices appear here. You issue invoices from an order, or for many orders from the order list."
    ),
    show=_l("Show the invoices"),
    search=_l("Search invoices"),
    placeholder=_l("Search invoices: order number, buyer, SKU, invoice:INV-000001, or issued:today"),
    filter=_l("Filter the invoices"),
    choose=_l("Choose at least one invoice first."),
    chosen=_l("For the selected invoices"),
    save=_l("Filter or search the invoices, then save the list under a name from its Views menu."),
    back=_l("Back to the invoices"),
    where=_l("Invoices by date of issue"),
    counted=lambda count: ngettext("%(num)s invoice", "%(num)s invoices", count),
    counted_more=_l("%(count)s+ invoices"),
    newer=lambda count: ngettext("%(num)s new invoice", "%(num)s new invoices", count),
    in_background=_l(
        "Excel workbooks and exports of more than %(count)s invoices are prepared in the background. You can "
        "then download the file from the run's page."
    ),
)
VIEWS = (
    View(EVERYTHING, _l("Everything"), ""),
    View("today", _l("Issued today"), "issued:today", tone="good"),
    View("week", _l("In the last 7 days"), "issued:>=-7d", tone="info"),
    View("month", _l("In the last 30 days"), "issued:>=-30d", tone="info"),
)


def name_of(row: Any) -> str:
    """The invoice's number."""
    return str(row.document)


INVOICE_LIST = Subject(
    code=INVOICES,
    label=_l("Invoices"),
    order_id=table_of(Invoice).c.order_id,
    within=ORDERS,
    filters=of_documents.FILTERS,
    model=Invoice,
    visible=partial(visible_of, Invoice),
    sorts=of_documents.sorts_of(Invoice),
    usual=f"-{of_documents.ISSUED}",
    row=of_documents.row_of(Invoice),
    always=(of_documents.DOCUMENT_COLUMN, "number", "channel_number", "state", "channel_status", "store"),
    each=_l("One row per invoice"),
    expansions=[of_documents.lines(Invoice, InvoiceLine, _OF)],
    reference=name_of,
    words=WORDS,
    path="/invoices",
    one="invoice",
    recent=f"{of_documents.ISSUED}:>=-90d",
    views=VIEWS,
    walk=of_documents.DocumentWalk(),
)
