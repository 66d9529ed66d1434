"""Events: the record of everything that happened to an order, from which its plain columns can be rebuilt.

`record` is the one function that writes them for acts; the import writes the same rows by the page. `data` holds the
values after of every plain column that changed, and before where a person changed them; personal values go into
`sealed`.
"""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import inspect, select
from sqlalchemy.event import listens_for
from sqlalchemy.orm import Session, SessionTransaction

from webapp import live
from webapp.audit.actor import Actor, ActorKind
from webapp.clock import iso, now
from webapp.db import db
from webapp.hooks import hooks
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.orders.contract import OrdersChange
from webapp.orders.models import Order, OrderEvent, OrderLine
from webapp.vault import services as vault

# Columns that events don't carry: identity, and what follows from the event itself.
_NOT_RECORDED = {"id", "order_id", "version", "updated_at"}
ORDER_COLUMNS = tuple(c.key for c in inspect(Order).column_attrs if c.key not in _NOT_RECORDED)
LINE_COLUMNS = tuple(c.key for c in inspect(OrderLine).column_attrs if c.key not in _NOT_RECORDED)


@dataclass(frozen=True, slots=True)
class EventWords:
    """The sentence of an event's code in the timeline; it may take values of the event's `data["values"]`."""

    code: str
    sentence: LazyString
    icon: str = "point"
    values: Mapping[str, LazyString] = field(default_factory=dict)


WORDS = (
    EventWords("placed", _l("The order arrived"), "inbox"),
    EventWords("changed_there", _l("News from the channel"), "refresh"),
    EventWords("shipped", _l("Shipped by %(carrier)s, %(tracking)s (units: %(units)s)"), "truck"),
    EventWords("commented", _l("Commented"), "message"),
    EventWords("held", _l("Put on hold"), "player-pause"),
    EventWords("released", _l("Hold released"), "player-play"),
    EventWords("update_sent", _l("The channel took the update: %(kind)s"), "send"),
    EventWords("update_effective", _l("The channel shows the update: %(kind)s"), "check"),
    EventWords("update_refused", _l("The channel refused the update: %(kind)s"), "alert-triangle"),
    EventWords("update_unseen", _l("The channel does not show the update: %(kind)s"), "alert-triangle"),
    EventWords("update_elsewhere", _l("It had been done elsewhere: %(kind)s"), "check"),
    EventWords("update_retried", _l("Sent again: %(kind)s"), "refresh"),
)


def plain(value: Any) -> Any:
    """A column's value as JSON keeps it."""
    return iso(value) if isinstance(value, datetime) else value


def record(
    order: Order,
    code: str,
    *,
    actor: Actor,
    cause: str = "",
    at: datetime | None = None,
    values: Mapping[str, Any] | None = None,
    sealed: Any = None,
) -> OrderEvent:
    """Write the event of the changes just made to the order and its lines; an act or a change bumps the version.

    The caller holds the order's lock. `values` are for the sentence; `sealed` is personal and goes under the order's
    key.
    """
    after, before = _take_changes(order)
    if after or actor.kind not in (ActorKind.CHANNEL, ActorKind.JOB):  # news that changes nothing makes no form stale
        order.version += 1
    order.updated_at = now()
    data: dict[str, Any] = {"after": after}
    if actor.kind is ActorKind.PERSON:
        data["before"] = before
    if values:
        data["values"] = dict(values)
    event = OrderEvent(
        order_id=order.id,
        at=at or order.updated_at,
        seen_at=order.updated_at,
        actor_kind=actor.kind,
        actor_id=actor.id,
        cause=cause or actor.name if actor.kind is not ActorKind.PERSON else cause,
        code=code,
        version=order.version,
        data=data,
        sealed=vault.seal(order.id, "event", sealed) if sealed is not None else None,
    )
    db.session.add(event)
    db.session.flush()
    live.publish("orders", [order.id])
    hooks.orders_changed(changes=[OrdersChange(order.id, code, after.get("order", {}))])
    return event


def _note_changes(session: Session, flush_context: Any, instances: Any) -> None:
    """Before each flush, note what it changes on orders and lines, so that `record` misses nothing flushed early."""
    noted: dict[int, _Noted] = session.info.setdefault("order_changes", {})
    for row in session.dirty:
        if isinstance(row, Order):
            noted.setdefault(row.id, _Noted()).add("order", "", *_changed(row, ORDER_COLUMNS))
        elif isinstance(row, OrderLine):
            noted.setdefault(row.order_id, _Noted()).add("lines", str(row.id), *_changed(row, LINE_COLUMNS))


def _refuse_unrecorded(session: Session) -> None:
    """At the commit every change of an order must have its event: one without is a bug, not a silent gap."""
    if not session.info.get("writing") or session.in_nested_transaction():
        return
    session.flush()
    forgotten = [order_id for order_id, noted in session.info.get("order_changes", {}).items() if noted.after]
    if forgotten:
        raise RuntimeError(f"orders {forgotten} changed without an event")


def _keep_for_savepoint(session: Session, transaction: SessionTransaction) -> None:
    """What was noted before a savepoint stays noted when only the savepoint is rolled back."""
    if transaction.nested:
        before = session.info.setdefault("order_changes_before", {})
        before[id(transaction)] = deepcopy(session.info.get("order_changes", {}))


def _back_to_savepoint(session: Session, transaction: SessionTransaction) -> None:
    if transaction.nested:
        session.info["order_changes"] = session.info["order_changes_before"].pop(id(transaction))


def _forget_with_the_whole(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session.info.pop("order_changes", None)
        session.info.pop("order_changes_before", None)


listens_for(db.session, "before_flush")(_note_changes)
listens_for(db.session, "before_commit")(_refuse_unrecorded)
listens_for(db.session, "after_transaction_create")(_keep_for_savepoint)
listens_for(db.session, "after_transaction_end")(_forget_with_the_whole)
listens_for(db.session, "after_soft_rollback")(_back_to_savepoint)


class _Noted:
    """Changes of one order that no event holds yet."""

    def __init__(self) -> None:
        self.after: dict[str, Any] = {}
        self.before: dict[str, Any] = {}

    def add(self, part: str, line: str, new: dict[str, Any], old: dict[str, Any]) -> None:
        if not new:
            return
        for kept, values, first_wins in ((self.after, new, False), (self.before, old, True)):
            target = kept.setdefault(part, {}).setdefault(line, {}) if line else kept.setdefault(part, {})
            for name, value in values.items():
                if not (first_wins and name in target):
                    target[name] = value


def _take_changes(order: Order) -> tuple[dict[str, Any], dict[str, Any]]:
    db.session.flush()
    noted = db.session.info.get("order_changes", {}).pop(order.id, None) or _Noted()
    return noted.after, noted.before


def _changed(row: Any, columns: Iterable[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    new, old = {}, {}
    state = inspect(row)
    for name in columns:
        history = state.attrs[name].history
        if history.has_changes():
            new[name] = plain(history.added[0] if history.added else None)
            old[name] = plain(history.deleted[0]) if history.deleted else None
    return new, old


def events_of(order: Order, *, limit: int | None = None) -> list[OrderEvent]:
    """The order's events, newest first."""
    query = select(OrderEvent).where(OrderEvent.order_id == order.id).order_by(OrderEvent.id.desc())
    return list(db.session.scalars(query.limit(limit) if limit else query))


def words() -> dict[str, EventWords]:
    return {entry.code: entry for group in hooks.register_event_words() for entry in group}


def rebuild(events: Iterable[OrderEvent]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The plain columns of an order and its lines as they stood after these events (oldest first)."""
    order: dict[str, Any] = {}
    lines: dict[str, dict[str, Any]] = {}
    for event in events:
        after = event.data.get("after", {})
        order.update(after.get("order", {}))
        for line_id, changes in after.get("lines", {}).items():
            lines.setdefault(line_id, {}).update(changes)
    return order, lines
