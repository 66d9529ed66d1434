"""The outbox: the list of all updates, what merchants decided and channels are to be told.

A row is an update. Updates belong to orders: a query that finds an order finds its updates, and columns of the order
are shown for each of them. `outbox_keys` has the keys of its own; acts on rows are in `deciding`.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from webapp.channels.described import kind_label
from webapp.channels.models import Shop, Store
from webapp.db import table_of
from webapp.errors import sentence_of
from webapp.i18n import gettext as _, lazy_gettext as _l, lazy_pgettext, ngettext
from webapp.lists.contract import ListWords, PlainRow, Subject, Walk
from webapp.lists.rows import by_name, of_each
from webapp.lists.saved_views import EVERYTHING, View
from webapp.orders.lent_columns import columns_of_orders, order_row
from webapp.orders.listing import ORDER_LIST
from webapp.orders.queries import reference, visible_of
from webapp.search.contract import ORDERS, Column, ColumnKind, Label
from webapp.updates.models import OPEN, STATE_LABELS, STATE_TONES, ChannelUpdate, UpdateState
from webapp.updates.queries import goes_at, why_it_waits

OUTBOX = "outbox"
QUEUED, DUE, DEADLINE = "queued", "due", "deadline"  # what the list can be sorted by
_ORDER_CODES = (  # columns of orders, by code
    "channel_number",
    "channel_status",
    "badges",
    "buyer",
    "country",
    "store",
    "shop",
    "channel",
    "marketplace",
    "fulfilled_by",
    "placed",
    "ship_by",
    "assignee",
    "tags",
)
_DEFAULT = ("number", "state")  # the columns of orders that are shown by default


class _OutboxWalk(Walk):
    def plain(self, values: Mapping[str, Any], store: Store, shop: Shop) -> PlainRow:
        return OutboxRow(values, store, shop)


class OutboxRow(PlainRow):
    """The values that the list has read for an update. `state` is that of the order, as in other lists."""

    @property
    def update(self) -> "PlainUpdate":
        """The update by itself."""
        return PlainUpdate(vars(self) | {"state": self.update_state}, self.store, self.shop)


class PlainUpdate(PlainRow):
    """The values that the list has read for an update, under the names of the model's attributes."""

    never_left = ChannelUpdate.never_left


# --- Columns ----------------------------------------------------------------------------------------------------------


def _state(row: OutboxRow) -> list[Label]:
    state = row.update_state
    return [Label(str(STATE_LABELS.get(state, state)), STATE_TONES.get(state, "info"))]


def _reason(row: OutboxRow) -> str | None:
    """The sentence of the channel or of the desk, or why it waits; no buyer data."""
    return sentence_of(row.problem) or why_it_waits(row.update)  # type: ignore[arg-type]


def _goes_at(row: OutboxRow) -> datetime | None:
    return goes_at(row.update)  # type: ignore[arg-type]


def _deadline(row: OutboxRow) -> datetime | None:
    """The deadline, as long as it can be missed."""
    return row.deadline if row.update_state in OPEN else None


COLUMNS = (
    *columns_of_orders(OUTBOX, ("number", "state"), _DEFAULT),
    Column(
        subject=OUTBOX,
        code="kind",
        label=_l("Update"),
        values=of_each(lambda row: kind_label(row.store.channel, row.kind)),
        reads={},
        default=True,
        width=150,
    ),
    Column(
        subject=OUTBOX,
        code="sending",
        label=_l("Sending status"),
        kind=ColumnKind.LABELS,
        values=of_each(_state),
        reads={},
        default=True,
        width=195,
        help=_l("The status of sending the update to the channel, and what you can do about it."),
    ),
    Column(
        subject=OUTBOX,
        code="reason",
        label=_l("Reason"),
        values=of_each(_reason),
        reads={},
        default=True,
        width=185,
        help=_l("Why the channel refused the update, or why the update waits."),
    ),
    Column(
        subject=OUTBOX,
        code=QUEUED,
        label=_l("Queued since"),
        kind=ColumnKind.TIME,
        values=of_each(lambda row: row.created_at),
        reads=by_name(ChannelUpdate.created_at),
        sort=QUEUED,
        default=True,
        width=110,
    ),
    Column(
        subject=OUTBOX,
        code="goes",
        label=_l("Scheduled for"),
        kind=ColumnKind.TIME,
        values=of_each(_goes_at),
        reads={},
        sort=DUE,
        default=True,
        width=110,
        help=_l(
            "The time of the next batch, if the channel gives one. Until then you can undo the update or send it now."
        ),
    ),
    Column(
        subject=OUTBOX,
        code=DEADLINE,
        label=_l("Deadline"),
        kind=ColumnKind.COUNTDOWN,
        values=of_each(_deadline),
        reads=by_name(ChannelUpdate.deadline),
        sort=DEADLINE,
        default=True,
        width=118,
    ),
    Column(
        subject=OUTBOX,
        code="attempts",
        label=_l("Attempts"),
        kind=ColumnKind.NUMBER,
        values=of_each(lambda row: row.attempts),
        reads={},
        width=80,
    ),
    Column(
        subject=OUTBOX,
        code="sent",
        label=_l("Sent"),
        kind=ColumnKind.TIME,
        values=of_each(lambda row: row.sent_at),
        reads={},
        width=120,
    ),
    Column(
        subject=OUTBOX,
        code="confirmed",
        label=_l("Confirmed"),
        kind=ColumnKind.TIME,
        values=of_each(lambda row: row.effective_at),
        reads=by_name(ChannelUpdate.effective_at),
        width=120,
    ),
    Column(
        subject=OUTBOX,
        code="reference",
        label=_l("Reference"),
        values=of_each(lambda row: row.reference),
        reads=by_name(ChannelUpdate.reference),
        width=100,
        help=_l("The reference under which the channel gets the update, such as the package's number."),
    ),
    *columns_of_orders(OUTBOX, _ORDER_CODES, _DEFAULT),
)


# --- The subject ------------------------------------------------------------------------------------------------------


def name_of(row: OutboxRow) -> str:
    """The order's number and what is sent."""
    what = kind_label(row.store.channel, row.kind)
    return str(_("%(name)s: %(text)s", name=reference(order_row(row)), text=what))


WORDS = ListWords(
    every=_l("All updates"),
    region=_l("List of updates"),
    select=_l("Select all updates of this page"),
    older=_l("No older updates"),
    none=_l("No updates match"),
    empty=_l("No updates yet"),
    empty_text=_l("Updates to the channels appear here: shipments, cancellations, refunds and others."),
    show=_l("Show the updates"),
    search=_l("Search the outbox"),
    placeholder=_l("Search the outbox: order number, SKU, sending:refused, or deadline:<4h"),
    filter=_l("Filter the outbox"),
    choose=_l("Choose at least one update first."),
    chosen=_l("For the selected updates"),
    save=_l("Filter or search the outbox, then save the list under a name from its Views menu."),
    back=_l("Back to the outbox"),
    where=_l("Updates by status"),
    counted=lambda count: ngettext("%(num)s update", "%(num)s updates", count),
    counted_more=_l("%(count)s+ updates"),
    newer=lambda count: ngettext("%(num)s new update", "%(num)s new updates", count),
    in_background=_l(
        "Excel workbooks and exports of more than %(count)s updates are prepared in the background. You can then "
        "download the file from the run's page."
    ),
)
NEEDS_DECISION = "decide:yes"
_WAITING = f"sending:{UpdateState.HELD},{UpdateState.OWED}"
_ON_THE_WAY = f"sending:{UpdateState.SENT},{UpdateState.ACCEPTED}"
_FAILED = f"sending:{UpdateState.REFUSED},{UpdateState.UNKNOWN}"
VIEWS = (
    View(EVERYTHING, _l("Everything"), ""),
    View("decide", _l("Needs a decision"), NEEDS_DECISION, tone="bad"),
    View("waiting", _l("Waiting"), _WAITING, DUE, tone="warn"),
    View("on_the_way", _l("Sent, not confirmed"), _ON_THE_WAY, tone="info"),
    View("failed", lazy_pgettext("updates", "Refused or unknown"), _FAILED, tone="bad"),
)
OUTBOX_LIST = Subject(
    code=OUTBOX,
    label=_l("Outbox"),
    order_id=table_of(ChannelUpdate).c.order_id,
    within=ORDERS,
    filters=("shop", "channel", "marketplace", "state", "tag"),
    model=ChannelUpdate,
    visible=partial(visible_of, ChannelUpdate),
    sorts={QUEUED: ChannelUpdate.created_at, DUE: ChannelUpdate.due_at, DEADLINE: ChannelUpdate.deadline},
    usual=f"-{QUEUED}",
    row={
        **ORDER_LIST.row,
        "update_state": ChannelUpdate.state,
        **by_name(
            ChannelUpdate.kind,
            ChannelUpdate.lane,
            ChannelUpdate.due_at,
            ChannelUpdate.urgent,
            ChannelUpdate.problem,
            ChannelUpdate.handle,
            ChannelUpdate.attempts,
            ChannelUpdate.lease_owner,
            ChannelUpdate.look_from,
            ChannelUpdate.revision,
            ChannelUpdate.sent_at,
        ),
    },
    always=("number", "channel_number", "state", "channel_status", "kind", "sending", "store"),
    each=_l("One row per update"),
    reference=name_of,
    words=WORDS,
    path="/outbox",
    one="update",
    recent=f"{QUEUED}:>=-90d",
    views=VIEWS,
    walk=_OutboxWalk(),
)
