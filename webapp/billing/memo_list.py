"""The list of credit memos: those that were issued, and those that are proposed, pending, withdrawn or refused.

A row is a credit memo. As invoices, credit memos belong to orders: a query that finds an order finds its credit memos.
What has no number yet is in the list too, and its state says so: the list is newest first by when memos were recorded.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, text

from webapp.audit.actor import Actor
from webapp.billing import document_columns as of_documents
from webapp.billing.models import CreditMemo, CreditMemoLine, MemoState, Purpose
from webapp.billing.refund_words import STATE_LABELS, STATE_TONES
from webapp.channels.described import refund_reason_label
from webapp.db import table_of
from webapp.i18n import LazyString, gettext as _, lazy_gettext as _l, lazy_pgettext, ngettext
from webapp.lists.contract import ListWords, PlainRow, Subject
from webapp.lists.rows import by_name, of_each
from webapp.lists.saved_views import EVERYTHING, View
from webapp.orders.models import Order
from webapp.orders.queries import visible_of
from webapp.search.conditions import between, spelled
from webapp.search.contract import ORDERS, Column, ColumnKind, KeyKind, Label, QueryKey

CREDIT_MEMOS = "credit_memos"
RECORDED = "recorded"  # what the list is sorted by, unless somebody chooses otherwise
REFUND = "refund"  # the column and the key of a memo's state
_NUMBER = _l("Credit memo number")
_OF = CreditMemoLine.memo_id

# --- Columns ----------------------------------------------------------------------------------------------------------


def _state(row: PlainRow) -> list[Label]:
    """The memo's state, and what else there is to know of it."""
    labels = [Label(str(STATE_LABELS[row.memo_state]), STATE_TONES[row.memo_state])]
    if row.purpose == Purpose.REVERSAL:
        labels.append(Label(str(_("Reverses another"))))
    elif row.purpose == Purpose.CORRECTION:
        labels.append(Label(str(_("Corrects an invoice"))))
    elif row.record_only:
        labels.append(Label(str(_("Only recorded here"))))
    elif row.effective_at is not None:
        labels.append(Label(str(_("In the channel's accounts")), "good"))
    return labels


def _reasons(rows: Sequence[Any], actor: Actor) -> Mapping[int, str]:
    """The reasons in the words of the channels."""
    places = {(row.store.channel, row.marketplace, row.reason) for row in rows if row.reason}
    words = {place: str(refund_reason_label(*place)) for place in places}
    return {row.id: words.get((row.store.channel, row.marketplace, row.reason), "") for row in rows}


_LENT = of_documents.columns(
    CREDIT_MEMOS,
    CreditMemo,
    CreditMemoLine,
    _OF,
    _l("Credit memo"),
    _l("Recorded by"),
    ("number", "state", "buyer", "store"),
)
COLUMNS = (
    _LENT[0],
    Column(
        subject=CREDIT_MEMOS,
        code=REFUND,
        label=_l("Refund"),
        kind=ColumnKind.LABELS,
        values=of_each(_state),
        reads={
            "memo_state": CreditMemo.state,
            **by_name(CreditMemo.purpose, CreditMemo.record_only, CreditMemo.effective_at),
        },
        default=True,
        width=165,
    ),
    Column(
        subject=CREDIT_MEMOS,
        code=RECORDED,
        label=_l("Recorded"),
        kind=ColumnKind.TIME,
        values=of_each(lambda row: row.recorded_at),
        reads={},
        sort=RECORDED,
        default=True,
        width=110,
    ),
    *_LENT[1:],
    Column(
        subject=CREDIT_MEMOS,
        code="reason",
        label=_l("Reason"),
        values=_reasons,
        reads=by_name(CreditMemo.reason),
        width=130,
    ),
    Column(
        subject=CREDIT_MEMOS,
        code="corrects",
        label=_l("Corrects"),
        values=of_each(lambda row: ", ".join((row.terms or {}).get("documents", ()))),
        reads=by_name(CreditMemo.terms),
        width=140,
        help=_l("The numbers of the order's invoices, or of the credit memo that this one reverses."),
    ),
)


# --- Keys -------------------------------------------------------------------------------------------------------------

_PENDING = "pending"
_EFFECTIVE = "effective"
_STATES: Mapping[str, LazyString] = {
    MemoState.PROPOSED.value: STATE_LABELS[MemoState.PROPOSED],
    _PENDING: STATE_LABELS[MemoState.RECORDED],
    MemoState.ISSUED.value: STATE_LABELS[MemoState.ISSUED],
    _EFFECTIVE: _l("In the channel's accounts"),
    MemoState.REFUSED.value: STATE_LABELS[MemoState.REFUSED],
    MemoState.WITHDRAWN.value: STATE_LABELS[MemoState.WITHDRAWN],
}
# Few memos are proposed or pending. Their state is text, for the partial index of them and for `DocumentWalk`.
_FEW = {MemoState.PROPOSED.value: "proposed", _PENDING: "recorded"}


def _in_state(values: Sequence[str], actor: Actor) -> ColumnElement[bool]:
    """The memos in one of these states; those in the channel's accounts are issued too."""
    found: list[ColumnElement[bool]] = []
    for value in values:
        if value in _FEW:
            found.append(and_(text(f"credit_memos.state = '{_FEW[value]}'"), CreditMemo.id.is_not(None)))
        else:
            found.append(CreditMemo.effective_at.is_not(None) if value == _EFFECTIVE else CreditMemo.state == value)
    return or_(*found)


def _orders_in_state(values: Sequence[str], actor: Actor) -> ColumnElement[bool]:
    return Order.id.in_(select(CreditMemo.order_id).where(_in_state(values, actor)))


KEYS = (
    *of_documents.keys(CREDIT_MEMOS, CreditMemo, "memo", _NUMBER, lazy_pgettext("query key", "memo")),
    QueryKey(
        subject=CREDIT_MEMOS, code=REFUND, label=_l("Refund"), kind=KeyKind.CHOICE, condition=_in_state,
        choices=lambda actor: _STATES,
        help=_l("The state of the refund. Refunds in the channel's accounts are also issued."),
        name=lazy_pgettext("query key", "refund"),
    ),
    QueryKey(
        subject=CREDIT_MEMOS, code=RECORDED, label=_l("Recorded"), kind=KeyKind.DATE,
        condition=between(CreditMemo.recorded_at),
        name=lazy_pgettext("query key", "recorded"),
    ),
    QueryKey(
        subject=CREDIT_MEMOS, code="reason", label=_l("Reason"), kind=KeyKind.TEXT,
        condition=spelled(func.lower(CreditMemo.reason), str.lower),
        help=_l("The channel's code, such as CustomerReturn. “*” at the end matches any text."),
        name=lazy_pgettext("query key", "reason"),
    ),
)  # fmt: skip
ORDER_KEYS = (
    QueryKey(
        code="memo", label=_NUMBER, kind=KeyKind.TEXT, condition=of_documents.by_number(CreditMemo), filter=False,
        help=_l("“*” at the end matches any text."),
        name=lazy_pgettext("query key", "memo"),
    ),
    QueryKey(
        code=REFUND, label=_l("Has a refund that is"), kind=KeyKind.CHOICE, condition=_orders_in_state,
        choices=lambda actor: _STATES,
        name=lazy_pgettext("query key", "refund"),
    ),
)  # fmt: skip


# --- The subject ------------------------------------------------------------------------------------------------------

WORDS = ListWords(
    every=_l("All credit memos"),
    region=_l("Credit memo list"),
    select=_l("Select all credit memos of this page"),
    older=_l("No older credit memos"),
    none=_l("No credit memos match"),
    empty=_l("No credit memo yet"),
    empty_text=_l(
        "All refunds appear here, including proposed ones. You refund a buyer from an order, or many buyers "
        "from the order list."
    ),
    show=_l("Show the credit memos"),
    search=_l("Search credit memos"),
    placeholder=_l("Search credit memos: order number, buyer, SKU, memo:CM-000001, or refund:proposed"),
    filter=_l("Filter the credit memos"),
    choose=_l("Choose at least one credit memo first."),
    chosen=_l("For the selected credit memos"),
    save=_l("Filter or search the credit memos, then save the list under a name from its Views menu."),
    back=_l("Back to the credit memos"),
    where=_l("Refunds by state"),
    counted=lambda count: ngettext("%(num)s credit memo", "%(num)s credit memos", count),
    counted_more=_l("%(count)s+ credit memos"),
    newer=lambda count: ngettext("%(num)s new credit memo", "%(num)s new credit memos", count),
    in_background=_l(
        "Excel workbooks and exports of more than %(count)s credit memos are prepared in the background. You "
        "can then download the file from the run's page."
    ),
)
VIEWS = (
    View(EVERYTHING, _l("Everything"), ""),
    View("proposed", _l("Waiting for approval"), f"{REFUND}:{MemoState.PROPOSED}", tone="warn"),
    View("pending", _l("Pending"), f"{REFUND}:{_PENDING}", tone="waits"),
    View("refused", _l("Refused in the last 30 days"), f"{REFUND}:{MemoState.REFUSED} {RECORDED}:>=-30d", tone="bad"),
    View("month", _l("Issued in the last 30 days"), f"{of_documents.ISSUED}:>=-30d", tone="info"),
)


def name_of(row: Any) -> str:
    """The memo's number; without one, that of its order."""
    return str(row.document or _("Credit memo of order %(order)s", order=row.number or row.channel_order_number))


MEMO_LIST = Subject(
    code=CREDIT_MEMOS,
    label=_l("Credit memos"),
    order_id=table_of(CreditMemo).c.order_id,
    within=ORDERS,
    filters=of_documents.FILTERS,
    model=CreditMemo,
    visible=partial(visible_of, CreditMemo),
    sorts={RECORDED: CreditMemo.recorded_at, **of_documents.sorts_of(CreditMemo)},
    usual=f"-{RECORDED}",
    row={**of_documents.row_of(CreditMemo), **by_name(CreditMemo.recorded_at)},
    always=(of_documents.DOCUMENT_COLUMN, REFUND, "number", "channel_number", "state", "channel_status", "store"),
    each=_l("One row per credit memo"),
    expansions=[of_documents.lines(CreditMemo, CreditMemoLine, _OF)],
    reference=name_of,
    words=WORDS,
    path="/credit-memos",
    one="memo",
    recent=f"{RECORDED}:>=-90d",
    views=VIEWS,
    walk=of_documents.DocumentWalk(),
)
