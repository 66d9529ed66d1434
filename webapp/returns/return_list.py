"""The list of returns: requests of buyers, goods on their way back, and what was decided about them.

A row is a return. As shipments, returns belong to orders: a query that finds an order finds its returns, and the
columns of the order are shown for each of them.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, and_, false, func, select, text

from webapp.accounts.models import User
from webapp.audit.actor import Actor, ActorKind
from webapp.billing.document_columns import FILTERS, DocumentWalk, issuer
from webapp.billing.models import CreditMemo
from webapp.channels.returns import REASON_LABELS
from webapp.db import among, db, table_of
from webapp.i18n import LazyString, gettext as _, lazy_gettext as _l, lazy_pgettext, ngettext
from webapp.lists.contract import Cell, Expansion, ListWords, PlainRow, Subject
from webapp.lists.rows import by_name, of_each
from webapp.lists.saved_views import EVERYTHING, View
from webapp.orders.lent_columns import columns_of_orders
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order, OrderLine
from webapp.orders.queries import visible_of
from webapp.returns.contract import CONDITION_LABELS, RESOLUTION_LABELS
from webapp.returns.models import Return, ReturnLine, ReturnMemo, number_of
from webapp.returns.queries import id_of
from webapp.returns.states import ENDED, STATE_LABELS, STATE_TONES, ReturnState
from webapp.search.conditions import between
from webapp.search.contract import ORDERS, Column, ColumnKind, KeyKind, Label, QueryKey

RETURNS = "returns"
NUMBER, STATE, REQUESTED = "rma", "return", "requested"  # columns and keys: the number, the state, the sorting
_ORDER_CODES = (
    "channel_number", "channel_status", "badges", "buyer", "country", "store", "shop", "channel", "marketplace",
    "assignee", "tags",
)  # fmt: skip
_DEFAULT = ("number", "state", "buyer", "store")  # the columns of orders that are shown by default
_line = table_of(ReturnLine)


# --- Columns ----------------------------------------------------------------------------------------------------------


def _sum(column: Any) -> Any:
    return select(func.sum(column)).where(_line.c.return_id == Return.id).correlate(Return).scalar_subquery()


_person = (
    select(func.coalesce(func.nullif(User.name, ""), User.email))
    .where(User.id == Return.actor_id, Return.actor_kind == ActorKind.PERSON.value)
    .correlate(Return)
    .scalar_subquery()
)


def _state(row: PlainRow) -> list[Label]:
    return [Label(str(STATE_LABELS[row.return_state]), STATE_TONES[row.return_state])]


def _reasons(rows: Sequence[Any], actor: Actor) -> Mapping[int, str]:
    """The reasons of each return, each once."""
    query = select(_line.c.return_id, _line.c.reason).where(among(_line.c.return_id, [row.id for row in rows]))
    found: dict[int, dict[str, None]] = {}
    for return_id, reason in db.session.execute(query.order_by(_line.c.return_id, _line.c.line_id)):
        found.setdefault(return_id, {})[str(REASON_LABELS[reason])] = None
    return {return_id: ", ".join(labels) for return_id, labels in found.items()}


def _memos(rows: Sequence[Any], actor: Actor) -> Mapping[int, str]:
    """The numbers of the credit memos of each return; one without a number says so."""
    query = select(ReturnMemo.return_id, CreditMemo.number).join(CreditMemo, CreditMemo.id == ReturnMemo.memo_id)
    query = query.where(among(ReturnMemo.return_id, [row.id for row in rows])).order_by(CreditMemo.id)
    found: dict[int, list[str]] = {}
    for return_id, number in db.session.execute(query):
        found.setdefault(return_id, []).append(number or str(_("without a number")))
    return {return_id: ", ".join(numbers) for return_id, numbers in found.items()}


def _units(code: str, label: LazyString, column: Any) -> Column:
    name = f"units_{code}"
    return Column(
        subject=RETURNS,
        code=code,
        label=label,
        kind=ColumnKind.NUMBER,
        values=of_each(lambda row: getattr(row, name) or 0),
        reads={name: _sum(column)},
        default=code == "asked",  # how far it has come since is in its state
        width=115,
    )


COLUMNS = (
    Column(
        subject=RETURNS,
        code=NUMBER,
        label=_l("Return"),
        values=of_each(lambda row: number_of(row.id)),
        reads={},
        always=True,
        default=True,
        width=100,
    ),
    Column(
        subject=RETURNS,
        code=STATE,
        label=_l("State of the return"),
        kind=ColumnKind.LABELS,
        values=of_each(_state),
        reads={"return_state": Return.state},
        default=True,
        width=150,
    ),
    Column(
        subject=RETURNS,
        code=REQUESTED,
        label=_l("Requested on"),
        kind=ColumnKind.TIME,
        values=of_each(lambda row: row.requested_at),
        reads={},
        sort=REQUESTED,
        default=True,
        width=110,
    ),
    *columns_of_orders(RETURNS, ("number", "placed", "state"), _DEFAULT),
    _units("asked", _l("Units requested"), _line.c.asked),
    _units("received", _l("Units received"), _line.c.received),
    _units("accepted", _l("Units accepted"), _line.c.accepted),
    Column(
        subject=RETURNS, code="reason", label=_l("Reason"), values=_reasons, reads={}, default=True, width=165
    ),
    Column(
        subject=RETURNS, code="memos", label=_l("Credit memos"), values=_memos, reads={}, width=130
    ),
    Column(
        subject=RETURNS,
        code="by",
        label=_l("Requested by"),
        values=of_each(issuer),
        reads={**by_name(Return.actor_kind), "person_name": _person},
        width=130,
        help=_l("The user who recorded the request in Waybill."),
    ),
    *columns_of_orders(RETURNS, _ORDER_CODES, _DEFAULT),
)  # fmt: skip


# --- Keys -------------------------------------------------------------------------------------------------------------


TO_DECIDE = f"{STATE}:{ReturnState.REQUESTED}"  # the query for those that wait for a decision


def _in_state(values: Sequence[str], actor: Actor) -> ColumnElement[bool]:
    """The returns in one of these states. Few are not over: their states are text, so that `DocumentWalk` leaves the
    index to the database.
    """
    if not ENDED.isdisjoint(values):
        return Return.state.in_(values)
    named = ", ".join(f"'{ReturnState(value)}'" for value in values)
    return and_(text(f"returns.state IN ({named})"), Return.id.is_not(None))


def _with_number(values: Sequence[str], actor: Actor) -> ColumnElement[bool]:
    ids = [id_ for value in values if (id_ := id_of(value))]
    return Return.id.in_(ids) if ids else false()


def _for_reason(values: Sequence[str], actor: Actor) -> ColumnElement[bool]:
    return Return.id.in_(select(_line.c.return_id).where(_line.c.reason.in_(values)))


def _orders_with(condition: Any) -> Any:
    return lambda values, actor: Order.id.in_(select(Return.order_id).where(condition(values, actor)))


KEYS = (
    QueryKey(
        subject=RETURNS, code=NUMBER, label=_l("Return number"), kind=KeyKind.TEXT, condition=_with_number,
        filter=False, help=_l("For example R-000012, or only 12."),
        name=lazy_pgettext("query key", "rma"),
    ),
    QueryKey(
        subject=RETURNS, code=STATE, label=_l("State of the return"), kind=KeyKind.CHOICE,
        condition=_in_state, choices=lambda actor: STATE_LABELS,
        name=lazy_pgettext("query key", "return"),
    ),
    QueryKey(
        subject=RETURNS, code=REQUESTED, label=_l("Requested on"), kind=KeyKind.DATE,
        condition=between(Return.requested_at),
        name=lazy_pgettext("query key", "requested"),
    ),
    QueryKey(
        subject=RETURNS, code="reason", label=_l("Reason"), kind=KeyKind.CHOICE, condition=_for_reason,
        choices=lambda actor: REASON_LABELS,
        name=lazy_pgettext("query key", "reason"),
    ),
)  # fmt: skip
ORDER_KEYS = (
    QueryKey(
        code=NUMBER, label=_l("Return number"), kind=KeyKind.TEXT, condition=_orders_with(_with_number), filter=False,
        help=_l("For example R-000012, or only 12."),
        name=lazy_pgettext("query key", "rma"),
    ),
    QueryKey(
        code=STATE, label=_l("Has a return that is"), kind=KeyKind.CHOICE, condition=_orders_with(_in_state),
        choices=lambda actor: STATE_LABELS,
        name=lazy_pgettext("query key", "return"),
    ),
)  # fmt: skip


# --- Files ------------------------------------------------------------------------------------------------------------

_LINE_LABELS = (
    _l("SKU"), _l("Title"), _l("Units requested"), _l("Units authorized"), _l("Units received"), _l("Units accepted"),
    _l("Units rejected"), _l("Reason"), _l("Condition"), _l("Resolution"),
)  # fmt: skip


def _lines(return_ids: Sequence[int]) -> dict[int, list[list[Cell]]]:
    query = (
        select(_line, OrderLine.sku, OrderLine.title)
        .join(OrderLine, OrderLine.id == _line.c.line_id)
        .where(among(_line.c.return_id, return_ids))
        .order_by(_line.c.return_id, OrderLine.position)
    )
    found: dict[int, list[list[Cell]]] = {}
    for row in db.session.execute(query):
        words = (
            REASON_LABELS[row.reason],
            CONDITION_LABELS[row.condition],
            RESOLUTION_LABELS[row.resolution],
        )
        counts = (row.asked, row.authorized, row.received, row.accepted, row.rejected)
        found.setdefault(row.return_id, []).append([row.sku, row.title, *counts, *map(str, words)])
    return found


LINES = Expansion(
    code="lines",
    label=_l("One row per product in a return"),
    help=_l("Exports with one row per product also contain SKU, title, units, reason, condition and resolution."),
    head=lambda: [str(label) for label in _LINE_LABELS],
    cells=_lines,
)


# --- The subject ------------------------------------------------------------------------------------------------------

WORDS = ListWords(
    every=_l("All returns"),
    region=_l("Return list"),
    select=_l("Select all returns of this page"),
    older=_l("No older returns"),
    none=_l("No returns match"),
    empty=_l("No return yet"),
    empty_text=_l("All requested returns appear here. To record a return, open its order and choose Return."),
    show=_l("Show the returns"),
    search=_l("Search returns"),
    placeholder=_l("Search returns: order number, buyer, SKU, rma:R-000001, or return:requested"),
    filter=_l("Filter the returns"),
    choose=_l("Choose at least one return first."),
    chosen=_l("For the selected returns"),
    save=_l("Filter or search the returns, then save the list under a name from its Views menu."),
    back=_l("Back to the returns"),
    where=_l("Returns by state"),
    counted=lambda count: ngettext("%(num)s return", "%(num)s returns", count),
    counted_more=_l("%(count)s+ returns"),
    newer=lambda count: ngettext("%(num)s new return", "%(num)s new returns", count),
    in_background=_l(
        "Excel workbooks and exports of more than %(count)s returns are prepared in the background. You can "
        "then download the file from the run's page."
    ),
)
_COMING = ",".join((ReturnState.AUTHORIZED, ReturnState.PARTLY_AUTHORIZED, ReturnState.PARTLY_RECEIVED))
_INSPECTED = ",".join((ReturnState.ACCEPTED, ReturnState.REJECTED))
VIEWS = (
    View(EVERYTHING, _l("Everything"), ""),
    View("requested", _l("Waiting for a decision"), TO_DECIDE, tone="warn"),
    View("coming", _l("On the way back"), f"{STATE}:{_COMING}", tone="waits"),
    View("received", _l("To inspect"), f"{STATE}:{ReturnState.RECEIVED}", tone="info"),
    View("inspected", _l("To refund or close"), f"{STATE}:{_INSPECTED}", tone="good"),
)


RETURN_LIST = Subject(
    code=RETURNS,
    label=_l("Returns"),
    order_id=table_of(Return).c.order_id,
    within=ORDERS,
    filters=FILTERS,
    model=Return,
    visible=partial(visible_of, Return),
    sorts={REQUESTED: Return.requested_at},
    usual=f"-{REQUESTED}",
    row={**ORDER_LIST.row, **by_name(Return.requested_at)},
    always=(NUMBER, STATE, "number", "channel_number", "state", "channel_status", "store"),
    each=_l("One row per return"),
    expansions=[LINES],
    reference=lambda row: number_of(row.id),
    words=WORDS,
    path="/returns",
    one="return",
    recent=f"{REQUESTED}:>=-90d",
    views=VIEWS,
    walk=DocumentWalk(),
)
