"""The communication log as a list: the calls that channels made, newest first, and trying again what failed.

A row is a call, or one order that the call was about: a query that finds an order finds its calls, and columns of the
order are shown for each of them. Calls about no single order belong to their store. `call_keys` has the keys.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import Select, func, or_, select, text

from webapp.audit.actor import Actor
from webapp.channels.connecting import CallOutcome
from webapp.channels.described import operations
from webapp.channels.models import Shop, Store
from webapp.channels.services import channel_name, serving
from webapp.clock import iso
from webapp.db import db, table_of
from webapp.errors import NotFound, Refusal, sentence_without_values
from webapp.i18n import LazyString, gettext as _, lazy_gettext as _l, lazy_pgettext, ngettext
from webapp.lists.contract import ListWords, PlainRow, Subject, Walk
from webapp.lists.listing import list_page
from webapp.lists.rows import by_name, of_each
from webapp.lists.saved_views import EVERYTHING, View
from webapp.orders.lent_columns import columns_of_orders, order_row
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order
from webapp.orders.queries import reference
from webapp.search.compiling import Compiled
from webapp.search.contract import ORDERS, Column, ColumnKind, Label
from webapp.sync import jobs, runs
from webapp.sync.call_log import OUTCOMES, TONES
from webapp.sync.models import FAILED_CALLS, ChannelCall
from webapp.updates import deciding
from webapp.updates.models import ChannelUpdate
from webapp.updates.queries import find_update, undecided

CALLS = "calls"
AT = "at"  # what the list is sorted by
SLOW = 5  # seconds
_ORDER_CODES = (  # columns of orders, by code
    "channel_number",
    "channel_status",
    "badges",
    "country",
    "shop",
    "marketplace",
    "fulfilled_by",
    "placed",
    "ship_by",
    "assignee",
    "tags",
)
_DEFAULT = ("number", "state")  # the columns of orders that are shown by default


class WentWell(Refusal):
    """Only a call that failed is tried again."""

    code = "call_went_well"
    sentence = _l("This call succeeded, so there is nothing to retry.")


def visible(actor: Actor) -> Select[ChannelCall]:
    """The calls about orders that the actor may see; with the right to see stores, also those about no single order.
    Raises `Forbidden` if the actor may see no orders.
    """
    actor.needs("orders.view")
    query = (
        select(ChannelCall)
        .outerjoin(Store, Store.id == ChannelCall.store_id)  # outer: the list is read along its own indexes
        .outerjoin(Order, Order.id == ChannelCall.order_id)
        .outerjoin(ChannelUpdate, ChannelUpdate.id == ChannelCall.update_id)
    )
    if actor.shops is not None:
        of_stores = ChannelCall.order_id.is_(None) & ChannelCall.store_id.in_(serving(select(Store.id), actor))
        query = query.where(or_(Order.shop_id.in_(actor.shops), of_stores))
    return query if actor.may("stores.view") else query.where(ChannelCall.order_id.is_not(None))


class CallRow(PlainRow):
    """The values that the list has read for a call."""

    order_id: int | None  # type: ignore[assignment]  # None: about no single order

    @property
    def update(self) -> "PlainRow | None":
        """The update that the call carried, under the names of the model's attributes."""
        if self.update_state is None:
            return None
        values = {
            name: getattr(self, f"update_{name}")
            for name in ("id", "state", "kind", "problem", "lease_owner", "handle")
        }
        return PlainRow(values, self.store, self.shop)


class _CallWalk(Walk):
    def plain(self, values: Mapping[str, Any], store: Store, shop: Shop) -> PlainRow:
        return CallRow(values, store, shop)


# --- Columns ----------------------------------------------------------------------------------------------------------


def operation_label(channel: str, operation: str) -> str:
    """What a call asked for, in words."""
    return str(operations(channel).get(operation, operation))


def seconds_of(took: int) -> Decimal:
    """Milliseconds as seconds with two decimals; a call that was made took some time."""
    return max(Decimal(took) / 1000, Decimal("0.01")).quantize(Decimal("0.01"))


def message(channel: str, call: Any, status: int | None) -> str | None:
    """Why a call failed, in the reader's words: the desk's sentence, with the channel's own code in it."""
    if not call.problem:
        return None
    detail = call.detail or (str(status) if status else "…")
    known = {"channel": channel_name(channel), "problem": detail, "status": detail}
    return sentence_without_values(call.problem, known | {"operation": operation_label(channel, call.operation)})


def _outcome(row: CallRow) -> list[Label]:
    return [Label(str(OUTCOMES.get(row.outcome, row.outcome)), TONES.get(row.outcome, "info"))]


COLUMNS = (
    Column(
        subject=CALLS,
        code=AT,
        label=_l("When"),
        kind=ColumnKind.TIME,
        values=of_each(lambda row: row.at),
        reads=by_name(ChannelCall.at),
        sort=AT,
        default=True,
        always=True,
        width=115,
    ),
    *columns_of_orders(CALLS, ("number",), _DEFAULT),
    Column(
        subject=CALLS,
        code="operation",
        label=_l("Request"),
        values=of_each(lambda row: operation_label(row.store.channel, row.operation)),
        reads={},
        default=True,
        width=150,
    ),
    Column(
        subject=CALLS,
        code="outcome",
        label=_l("Outcome"),
        kind=ColumnKind.LABELS,
        values=of_each(_outcome),
        reads={},
        default=True,
        width=205,
        help=_l("The result of the call. A failed call can be retried here."),
    ),
    Column(
        subject=CALLS,
        code="message",
        label=_l("Message"),
        values=of_each(lambda row: message(row.store.channel, row, row.http_status)),
        reads={},
        default=True,
        width=220,
        help=_l(
            "Why the call failed. The channel's own message is shown with the update, because it may name a buyer."
        ),
    ),
    Column(
        subject=CALLS,
        code="code",
        label=_l("Error code"),
        values=of_each(lambda row: row.detail or row.problem),
        reads={},
        width=125,
        help=_l("The error code of the channel, or else of Waybill."),
    ),
    Column(
        subject=CALLS,
        code="http",
        label=_l("HTTP"),
        values=of_each(lambda row: row.http_status and str(row.http_status)),
        reads={},
        width=65,
        help=_l("The HTTP status of the answer. The cell is empty if no answer came."),
    ),
    Column(
        subject=CALLS,
        code="took",
        label=_l("Seconds"),
        values=of_each(lambda row: seconds_of(row.took)),
        reads=by_name(ChannelCall.took),
        default=True,
        width=70,
        help=_l("The time until the answer arrived, all tries together."),
    ),
    Column(
        subject=CALLS,
        code="store",
        label=_l("Store"),
        values=of_each(lambda row: row.store.name),
        reads={},
        default=True,
        width=108,
    ),
    *columns_of_orders(CALLS, ("state",), _DEFAULT),
    Column(
        subject=CALLS,
        code="request_id",
        label=_l("Request ID"),
        values=of_each(lambda row: row.request_id),
        reads=by_name(ChannelCall.request_id),
        width=140,
        help=_l("The channel's own ID of the request. The channel's support asks for this ID."),
    ),
    Column(
        subject=CALLS,
        code="tries",
        label=_l("Tries"),
        kind=ColumnKind.NUMBER,
        values=of_each(lambda row: row.tries),
        reads=by_name(ChannelCall.tries),
        width=70,
    ),
    Column(
        subject=CALLS,
        code="channel",
        label=_l("Channel"),
        values=of_each(lambda row: channel_name(row.store.channel)),
        reads={},
        width=110,
    ),
    *columns_of_orders(CALLS, _ORDER_CODES, _DEFAULT),
)


# --- The subject ------------------------------------------------------------------------------------------------------


def name_of(row: CallRow) -> str:
    """What was asked for, of which order or store, and when."""
    about = row.store.name if row.order_id is None else reference(order_row(row))
    what = operation_label(row.store.channel, row.operation)
    return str(_("%(what)s, %(about)s, %(at)s", what=what, about=about, at=iso(row.at)))


WORDS = ListWords(
    every=_l("All calls"),
    region=_l("List of calls"),
    select=_l("Select all calls of this page"),
    older=_l("No older calls"),
    none=_l("No calls match"),
    empty=_l("No calls yet"),
    empty_text=_l("Each call to a channel appears here, with its time, order, result and duration."),
    show=_l("Show the calls"),
    search=_l("Search the communication"),
    placeholder=_l("Search calls: order number, outcome:failed, took:>=5, http:429"),
    filter=_l("Filter the communication"),
    choose=_l("Choose at least one call first."),
    chosen=_l("For the selected calls"),
    save=_l("Filter or search the communication, then save the list under a name from its Views menu."),
    back=_l("Back to the communication"),
    where=_l("Calls by result"),
    counted=lambda count: ngettext("%(num)s call", "%(num)s calls", count),
    counted_more=_l("%(count)s+ calls"),
    newer=lambda count: ngettext("%(num)s new call", "%(num)s new calls", count),
    in_background=_l(
        "Excel workbooks and exports of more than %(count)s calls are prepared in the background. You can then "
        "download the file from the run's page."
    ),
)
_TROUBLES = (CallOutcome.REFUSED, CallOutcome.FAILED, CallOutcome.LOST)
_FAILED = f"outcome:{','.join(_TROUBLES)}"
_THROTTLED = f"outcome:{CallOutcome.THROTTLED}"
_SLOW = f"took:>={SLOW}"
VIEWS = (
    View(EVERYTHING, _l("Everything"), ""),
    View("failed_today", _l("Failed today"), f"{_FAILED} at:today", tone="bad"),
    View("throttled_today", _l("Throttled today"), f"{_THROTTLED} at:today", tone="warn"),
    View("slow_today", _l("Slow today"), f"{_SLOW} at:today", tone="info"),
    View("failed", lazy_pgettext("views of calls", "Failed"), _FAILED),
    View("throttled", lazy_pgettext("views of calls", "Throttled"), _THROTTLED),
    View("slow", lazy_pgettext("views of calls", "Slow"), _SLOW),
)
SHOP_OF_CALL = func.coalesce(Order.shop_id, Store.shop_id)
CALL_LIST = Subject(
    code=CALLS,
    label=_l("Communication"),
    order_id=table_of(ChannelCall).c.order_id,
    within=ORDERS,
    filters=("marketplace", "state", "tag"),
    model=ChannelCall,
    visible=visible,
    sorts={AT: ChannelCall.at},
    usual=f"-{AT}",
    row={
        **ORDER_LIST.row,
        "shop_id": SHOP_OF_CALL,
        "store_id": ChannelCall.store_id,
        "http_status": ChannelCall.status,
        "update_id": ChannelCall.update_id,
        "update_state": ChannelUpdate.state,
        "update_kind": ChannelUpdate.kind,
        "update_problem": ChannelUpdate.problem,
        "update_lease_owner": ChannelUpdate.lease_owner,
        "update_handle": ChannelUpdate.handle,
        **by_name(ChannelCall.at, ChannelCall.operation, ChannelCall.outcome, ChannelCall.problem, ChannelCall.detail),
    },
    always=("at", "store", "operation", "number", "channel_number", "state", "channel_status", "outcome"),
    each=_l("One row per call"),
    reference=name_of,
    words=WORDS,
    path="/communication",
    one="call",
    recent=f"{AT}:>=-7d",
    views=VIEWS,
    walk=_CallWalk(),
)


MOST_OF_ORDER = 8


def calls_of_order(order_id: int) -> list[ChannelCall]:
    """The last calls about an order, for its page: those that failed first, then the newest. The caller has checked
    that the order may be seen.
    """
    query = select(ChannelCall).where(ChannelCall.order_id == order_id)
    went_well = ChannelCall.outcome == CallOutcome.OK
    return list(db.session.scalars(query.order_by(went_well, ChannelCall.at.desc()).limit(MOST_OF_ORDER)))


def list_calls(
    actor: Actor, *, order: Order | None = None, store_id: int | None = None, failed: bool = False, limit: int = 200
) -> list[CallRow]:
    """The last calls that the actor may see, newest first, with what all of the list's own columns read."""
    conditions: list[Any] = []
    if order is not None:
        conditions.append(ChannelCall.order_id == order.id)
    if store_id is not None:
        conditions.append(ChannelCall.store_id == store_id)
    if failed:
        conditions += [text(FAILED_CALLS), ChannelCall.outcome.in_(_TROUBLES)]
    own = [column for column in COLUMNS if column.code in ("took", "tries", "request_id")]
    return list(list_page(CALL_LIST, actor, Compiled(tuple(conditions)), limit=limit, columns=own).rows)


# --- Trying again -----------------------------------------------------------------------------------------------------

SEND, READ_ORDER, READ_STORE = _l("Try again"), _l("Reload the order"), _l("Sync the store")


def offered(row: CallRow, actor: Actor) -> LazyString | None:
    """What the actor can do about a call that failed, as the label of a button; None if there is nothing."""
    if row.outcome == CallOutcome.OK:
        return None
    if row.update is not None and _can_be_sent(row.update, actor):  # type: ignore[arg-type]
        return SEND
    if not actor.may("stores.sync") or not row.store.active:
        return None
    return READ_STORE if row.order_id is None else READ_ORDER


def _can_be_sent(update: ChannelUpdate, actor: Actor) -> bool:
    """Whether the update can be sent again without a person's word that it did not happen."""
    return not undecided(update) and deciding.may_retry(update, actor)


class UnknownCall(NotFound):
    """No call has this id, or none that this person may see."""

    code = "unknown_call"
    sentence = _l("There is no call “%(name)s”.")


def try_again(call_id: int, *, actor: Actor) -> LazyString:
    """Send the update of a failed call again, or read its order, or its store; returns the sentence that says so."""
    call_and_number = visible(actor).with_only_columns(
        ChannelCall, Order.channel_order_number, maintain_column_froms=True
    )
    found = db.session.execute(call_and_number.where(ChannelCall.id == call_id)).one_or_none()
    if found is None:
        raise UnknownCall(name=call_id)
    call, number = found
    if call.outcome == CallOutcome.OK:
        raise WentWell
    update = find_update(call.update_id, actor) if call.update_id is not None else None
    if update is not None and _can_be_sent(update, actor):
        jobs.send_again(update, actor=actor)
        return _l("The update is being sent again.")
    actor.needs("stores.sync")
    store = db.session.get_one(Store, call.store_id)
    if not store.active:
        raise runs.StoreInactive
    if call.order_id is None:
        runs.start(store, actor=actor)
        jobs.import_orders.enqueue(call.store_id)
        return _l("The sync of the store has started.")
    jobs.fetch_order.enqueue(call.store_id, number)
    return _l("The order is being reloaded.")
