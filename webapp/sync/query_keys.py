"""The query keys about channels: orders by the states of their updates."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, select, text

from webapp.audit.actor import Actor
from webapp.i18n import LazyString, lazy_gettext as _l, lazy_pgettext
from webapp.orders.models import Order
from webapp.search.contract import KeyKind, QueryKey
from webapp.updates.models import OPEN, OPEN_UPDATES, STATE_LABELS, ChannelUpdate


def _with_updates(states: Sequence[Any], actor: Actor) -> ColumnElement[bool]:
    owed = select(ChannelUpdate.order_id).where(text(OPEN_UPDATES), ChannelUpdate.state.in_(states))
    return Order.id.in_(owed)


def _choices(actor: Actor) -> Mapping[str, LazyString]:
    return {state.value: STATE_LABELS[state] for state in OPEN}


KEYS = [
    QueryKey(
        code="update",
        label=_l("Channel update"),
        kind=KeyKind.CHOICE,
        condition=_with_updates,
        choices=_choices,
        help=_l("the status of the updates to the channel"),
        name=lazy_pgettext("query key", "update"),
    )
]
