"""The communication log: the calls that channels report are collected, written after the act, and deleted by rule.

A job collects the calls in memory and writes them once the channel has answered and the results are settled, in a short
transaction of its own. So the log can neither lose nor double an act: a worker that dies loses at most the lines of its
job, and a failure to write is only noted. What is written is checked: codes, numbers and times, never a sentence.

Calls are kept for a number of days, those that went well and are about no single order for fewer, since a store that is
read every few minutes makes thousands of them. A failed call about an order is kept as long as the order.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

import structlog
from sqlalchemy import select, text

from webapp.channels.connecting import Call, CallOutcome, StoreAccess
from webapp.channels.models import ChannelOrder
from webapp.clock import now
from webapp.db import among, any_row, db, delete_some, unit_of_work, write_rows
from webapp.i18n import LazyString, lazy_gettext as _l, lazy_pgettext
from webapp.orders.models import Order
from webapp.settings.declared import Setting, SettingsGroup
from webapp.sync.models import DATED_CALLS, QUIET_CALLS, ChannelCall
from webapp.updates.models import ChannelUpdate

log = structlog.get_logger(__name__)
KEPT = Setting(
    name="calls_kept_days",
    label=_l("Days to keep calls"),
    default=90,
    minimum=1,
    maximum=3650,
    help=_l("A failed call about an order is kept as long as the order."),
)
QUIET_KEPT = Setting(
    name="quiet_calls_kept_days",
    label=_l("Days to keep successful calls that are about no single order"),
    default=7,
    minimum=1,
    maximum=3650,
    help=_l("A store that is synced every few minutes makes hundreds of these calls a day."),
)
SETTINGS = SettingsGroup("communication", _l("Communication with channels"), (KEPT, QUIET_KEPT))
OUTCOMES: Mapping[str, LazyString] = {
    CallOutcome.OK: lazy_pgettext("calls", "Done"),
    CallOutcome.REFUSED: lazy_pgettext("calls", "Refused"),
    CallOutcome.THROTTLED: lazy_pgettext("calls", "Throttled"),
    CallOutcome.FAILED: lazy_pgettext("calls", "Failed"),
    CallOutcome.LOST: lazy_pgettext("calls", "Answer lost"),
}
TONES: Mapping[str, str] = {
    CallOutcome.OK: "good",
    CallOutcome.REFUSED: "bad",
    CallOutcome.THROTTLED: "waits",
    CallOutcome.FAILED: "bad",
    CallOutcome.LOST: "warn",
}
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,59}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/+=-]{0,99}")
_LONGEST = 2**31 - 1


# --- Writing ----------------------------------------------------------------------------------------------------------


@contextmanager
def logged(store: StoreAccess) -> Iterator[StoreAccess]:
    """The store as a channel gets it, with calls collected; they are written when the block ends, however it ends.
    The block may open units of work, but must not be inside one.
    """
    reported: list[Call] = []
    try:
        yield replace(store, report=reported.append)
    finally:
        if reported:
            _write(store.id, reported)


def _write(store_id: int, reported: Sequence[Call]) -> None:
    """Write what was reported; a failure is noted, and never fails the job."""
    try:
        calls = [call for call in reported if _is_sound(call)]
        if len(calls) < len(reported):
            log.warning("calls_left_out", store=store_id, calls=len(reported) - len(calls))
        with unit_of_work():
            write_rows(ChannelCall, _rows(store_id, calls))
    except Exception as error:
        log.warning("calls_not_written", store=store_id, calls=len(reported), problem=type(error).__name__)


def _is_sound(call: object) -> bool:
    """Whether a channel reported a call in the types that it promises."""
    if not isinstance(call, Call):
        return False
    given: tuple[tuple[object, Any], ...] = (
        (call.outcome, CallOutcome),
        (call.at, datetime),
        (call.seconds, (int, float)),
    )
    typed = all(isinstance(value, kind) for value, kind in given)
    return typed and call.at.tzinfo is not None and _plain(call.operation, _CODE) != ""


def _rows(store_id: int, calls: Sequence[Call]) -> list[dict[str, Any]]:
    """A row for each order of each call, or one if it is about none that the desk knows."""
    of_updates, of_numbers = _orders_of(store_id, calls)
    rows = []
    for call in calls:
        about: set[tuple[int, int | None]] = {(of_updates[id_], id_) for id_ in call.updates if id_ in of_updates}
        told = {order_id for order_id, _ in about}
        about |= {(of_numbers[one], None) for one in call.orders if of_numbers.get(one) not in (None, *told)}
        facts = {
            "store_id": store_id,
            "operation": call.operation,
            "at": call.at,
            "took": _whole(call.seconds * 1000) or 0,
            "status": _whole(call.status),
            "outcome": call.outcome.value,
            "tries": _whole(call.tries) or 1,
            "request_id": _plain(call.request_id, _REQUEST_ID),
            "problem": _plain(call.problem, _CODE),
            "detail": _plain(call.detail, _CODE),
        }
        pairs: list[tuple[int | None, int | None]] = [*sorted(about, key=itemgetter(0))] or [(None, None)]
        rows += [facts | {"order_id": order_id, "update_id": update_id} for order_id, update_id in pairs]
    return rows


def _orders_of(store_id: int, calls: Sequence[Call]) -> tuple[dict[int, int], dict[str, int]]:
    """The ids of orders by the ids of their updates, and by the channel's numbers; only of this store."""
    ids = sorted({id_ for call in calls for id_ in call.updates})
    numbers = sorted({number for call in calls for number in call.orders})
    of_updates = select(ChannelUpdate.id, ChannelUpdate.order_id).where(
        ChannelUpdate.store_id == store_id, among(ChannelUpdate.id, ids)
    )
    of_numbers = (
        select(ChannelOrder.number, Order.id)
        .join(Order, Order.channel_order_id == ChannelOrder.id)
        .where(ChannelOrder.store_id == store_id, among(ChannelOrder.number, numbers))
    )
    return (
        dict(db.session.execute(of_updates).all()) if ids else {},
        dict(db.session.execute(of_numbers).all()) if numbers else {},
    )


def _plain(value: object, pattern: re.Pattern[str]) -> str:
    """The text if it is a plain code, or else nothing: a sentence could hold a buyer's name."""
    return value if isinstance(value, str) and pattern.fullmatch(value) else ""


def _whole(value: object) -> int | None:
    """A whole number that the database can keep; None for anything else."""
    return round(value) if isinstance(value, (int, float)) and 0 <= value <= _LONGEST else None


# --- Deleting ---------------------------------------------------------------------------------------------------------


def any_to_forget() -> bool:
    """Whether there are calls that no rule keeps any longer."""
    return any(any_row(ChannelCall, *conditions) for conditions in _forgettable())


def forget_some() -> bool:
    """Delete a batch of them in the open unit of work; returns whether more may be left."""
    return any(delete_some(ChannelCall, *conditions) for conditions in _forgettable())


def _forgettable() -> list[tuple[Any, ...]]:
    """Conditions of the calls that may go, each with an index of its own: what is kept is not read again each time."""
    kept, quiet = KEPT.of(), QUIET_KEPT.of()
    return [
        (text(QUIET_CALLS), ChannelCall.at < now() - timedelta(days=min(kept, quiet))),
        (text(DATED_CALLS), ChannelCall.at < now() - timedelta(days=kept)),
    ]
