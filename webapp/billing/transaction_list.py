"""The list of transactions: what channels' accounts say of all orders that are here.

A row is a transaction. Transactions belong to orders: a query that finds an order finds its transactions, and the
columns of the order are shown for each of them. Time, kind, status and amounts are the transaction's own.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, or_, select

from webapp.audit.actor import Actor
from webapp.billing.document_columns import FILTERS, DocumentWalk
from webapp.billing.models import CreditMemo, Transaction
from webapp.channels.transactions import TRANSACTION_LABELS, TransactionKind
from webapp.db import table_of
from webapp.i18n import LazyString, lazy_gettext as _l, lazy_pgettext, ngettext
from webapp.lists.contract import ListWords, PlainRow, Subject
from webapp.lists.rows import by_name, of_each
from webapp.lists.saved_views import EVERYTHING, View
from webapp.money import Money
from webapp.orders.lent_columns import columns_of_orders
from webapp.orders.listing import ORDER_LIST
from webapp.orders.queries import visible_of
from webapp.orders.query_keys import total_between
from webapp.search.conditions import between, spelled, yes_no
from webapp.search.contract import ORDERS, Column, ColumnKind, KeyKind, QueryKey

TRANSACTIONS = "transactions"
POSTED, TOTAL, TRANSACTION = "posted", "total", "transaction"
_ORDER_CODES = ("channel_number", "channel_status", "badges", "store", "shop", "channel", "marketplace", "fulfilled_by")
_DEFAULT = ("number", "state", "store")  # the columns of orders that are shown by default
_memo = select(CreditMemo.number).where(CreditMemo.id == Transaction.memo_id).correlate(Transaction).scalar_subquery()


def _kind(row: PlainRow) -> str:
    return str(TRANSACTION_LABELS.get(row.transaction_kind, row.transaction_kind))


def _money(minor: str) -> Any:
    return of_each(lambda row: Money(getattr(row, minor), row.currency))


COLUMNS = (
    Column(
        subject=TRANSACTIONS,
        code=POSTED,
        label=_l("Posted on"),
        kind=ColumnKind.TIME,
        values=of_each(lambda row: row.posted_at),
        reads={},
        sort=POSTED,
        always=True,
        default=True,
        width=120,
    ),
    Column(
        subject=TRANSACTIONS,
        code="kind",
        label=_l("Kind"),
        values=of_each(_kind),
        reads={"transaction_kind": Transaction.kind},
        default=True,
        width=110,
    ),
    Column(
        subject=TRANSACTIONS,
        code="word",
        label=_l("Channel's description"),
        values=of_each(lambda row: row.word),
        reads=by_name(Transaction.word),
        width=130,
    ),
    Column(
        subject=TRANSACTIONS,
        code="transaction_status",
        label=_l("Status of the transaction"),
        values=of_each(lambda row: row.transaction_status),
        reads={"transaction_status": Transaction.status},
        default=True,
        width=155,
    ),
    *columns_of_orders(TRANSACTIONS, ("number", "placed", "state"), _DEFAULT),
    Column(
        subject=TRANSACTIONS,
        code=TOTAL,
        label=_l("Total"),
        kind=ColumnKind.MONEY,
        values=_money("total_minor"),
        reads=by_name(Transaction.total_minor, Transaction.currency),
        sort=TOTAL,
        default=True,
        width=125,
        help=_l("The amount that you receive or pay, fees included."),
    ),
    Column(
        subject=TRANSACTIONS,
        code="fees",
        label=_l("Fees"),
        kind=ColumnKind.MONEY,
        values=_money("fees_minor"),
        reads=by_name(Transaction.fees_minor, Transaction.currency),
        default=True,
        width=110,
    ),
    Column(
        subject=TRANSACTIONS,
        code="currency",
        label=_l("Currency"),
        values=of_each(lambda row: row.currency),
        reads=by_name(Transaction.currency),
        width=80,
    ),
    Column(
        subject=TRANSACTIONS,
        code="memo",
        label=_l("Credit memo"),
        values=of_each(lambda row: row.memo_number or ""),
        reads={"memo_number": _memo},
        default=True,
        width=130,
    ),
    Column(
        subject=TRANSACTIONS,
        code=TRANSACTION,
        label=_l("Number at the channel"),
        values=of_each(lambda row: row.transaction),
        reads={},
        width=160,
    ),
    *columns_of_orders(TRANSACTIONS, _ORDER_CODES, _DEFAULT),
)


def _kinds(actor: Actor) -> Mapping[str, LazyString]:
    return {str(code): label for code, label in TRANSACTION_LABELS.items()}


def _by_kind(values: Sequence[str], actor: Actor) -> ColumnElement[bool]:
    return Transaction.kind.in_(values)


def _by_memo(values: Sequence[str], actor: Actor) -> ColumnElement[bool]:
    found = select(CreditMemo.id).where(spelled(CreditMemo.number, str.upper)(values, actor))
    return or_(Transaction.memo_id.in_(found), Transaction.rest_id.in_(found))


KEYS = (
    QueryKey(
        subject=TRANSACTIONS, code="kind", label=_l("Kind"), kind=KeyKind.CHOICE, condition=_by_kind, choices=_kinds,
        name=lazy_pgettext("query key", "kind"),
    ),
    QueryKey(
        subject=TRANSACTIONS, code=POSTED, label=_l("Posted on"), kind=KeyKind.DATE,
        condition=between(Transaction.posted_at),
        name=lazy_pgettext("query key", "posted"),
    ),
    QueryKey(
        subject=TRANSACTIONS, code="transaction-status", label=_l("Status of the transaction"), kind=KeyKind.TEXT,
        condition=spelled(Transaction.status, str.upper), help=_l("The status as the channel writes it."),
        name=lazy_pgettext("query key", "transaction-status"),
    ),
    QueryKey(
        subject=TRANSACTIONS, code=TRANSACTION, label=_l("Number at the channel"), kind=KeyKind.TEXT,
        condition=spelled(Transaction.number, str), filter=False,
        name=lazy_pgettext("query key", "transaction"),
    ),
    QueryKey(
        subject=TRANSACTIONS, code="memo", label=_l("Credit memo"), kind=KeyKind.TEXT, condition=_by_memo, filter=False,
        name=lazy_pgettext("query key", "memo"),
    ),
    QueryKey(
        subject=TRANSACTIONS, code="has-memo", label=_l("Has a credit memo"), kind=KeyKind.YES_NO, bare=True,
        condition=yes_no(Transaction.memo_id.is_not(None)),
        name=lazy_pgettext("query key", "has-memo"),
    ),
    QueryKey(
        subject=TRANSACTIONS, code=TOTAL, label=_l("Total"), kind=KeyKind.MONEY,
        condition=total_between(Transaction.total_minor, Transaction.currency),
        help=_l("In each transaction's currency."),
        name=lazy_pgettext("query key", "total"),
    ),
    QueryKey(
        subject=TRANSACTIONS, code="currency", label=_l("Currency"), kind=KeyKind.TEXT,
        condition=spelled(Transaction.currency, str.upper),
        name=lazy_pgettext("query key", "currency"),
    ),
)  # fmt: skip

WORDS = ListWords(
    every=_l("All transactions"),
    region=_l("Transaction list"),
    select=_l("Select all transactions of this page"),
    older=_l("No older transactions"),
    none=_l("No transactions match"),
    empty=_l("No transaction yet"),
    empty_text=_l("Transactions from the channels' accounts appear here automatically, up to two days late."),
    show=_l("Show the transactions"),
    search=_l("Search transactions"),
    placeholder=_l("Search transactions: order number, buyer, SKU, kind:refund, or posted:today"),
    filter=_l("Filter the transactions"),
    choose=_l("Choose at least one transaction first."),
    chosen=_l("For the selected transactions"),
    save=_l("Filter or search the transactions, then save the list under a name from its Views menu."),
    back=_l("Back to the transactions"),
    where=_l("Transactions by kind"),
    counted=lambda count: ngettext("%(num)s transaction", "%(num)s transactions", count),
    counted_more=_l("%(count)s+ transactions"),
    newer=lambda count: ngettext("%(num)s new transaction", "%(num)s new transactions", count),
    in_background=_l(
        "Excel workbooks and exports of more than %(count)s transactions are prepared in the background. You "
        "can then download the file from the run's page."
    ),
)
VIEWS = (
    View(EVERYTHING, _l("Everything"), ""),
    View("refunds", _l("Refunds in the last 30 days"), f"kind:{TransactionKind.REFUND} posted:>=-30d", tone="info"),
    View("without_memo", _l("Refunds without a credit memo"), f"kind:{TransactionKind.REFUND} -has-memo", tone="warn"),
    View("claims", _l("Claims in the last 30 days"), f"kind:{TransactionKind.CLAIM} posted:>=-30d", tone="warn"),
)


def name_of(row: Any) -> str:
    """The transaction's number at the channel."""
    return str(row.transaction)


TRANSACTION_LIST = Subject(
    code=TRANSACTIONS,
    label=_l("Transactions"),
    order_id=table_of(Transaction).c.order_id,
    within=ORDERS,
    filters=FILTERS,
    model=Transaction,
    visible=partial(visible_of, Transaction),
    sorts={POSTED: Transaction.posted_at, TOTAL: Transaction.total_minor},
    usual=f"-{POSTED}",
    row={**ORDER_LIST.row, TRANSACTION: Transaction.number, **by_name(Transaction.posted_at)},
    always=(POSTED, "kind", "number", "channel_number", "store", TRANSACTION),
    each=_l("One row per transaction"),
    reference=name_of,
    words=WORDS,
    path="/transactions",
    one="transaction",
    recent=f"{POSTED}:>=-90d",
    views=VIEWS,
    walk=DocumentWalk(),
)
