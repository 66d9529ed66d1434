"""Events: the record of everything that happened to an order, from which its plain columns can be rebuilt.

Acts write events by `record` and `record_all` alone; the import writes the same rows, a page at a time. `data` holds
the new value of every changed plain column, and the old value too if a person changed it; of changed amounts it holds
both. Personal values are in `sealed`. The first event of a row leaves out columns without content (none, no, zero,
empty): most columns have none, and one such event is kept for every order.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import inspect, select
from sqlalchemy.event import listens_for
from sqlalchemy.orm import Session, SessionTransaction, joinedload

from webapp import live
from webapp.audit.actor import Actor, ActorKind
from webapp.clock import iso, now
from webapp.db import db, table_of
from webapp.errors import sentence_of as why
from webapp.hooks.registered import by_code
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.jobs.telling import tell
from webapp.orders.amounts import Amounts, unpack_amounts
from webapp.orders.contract import OrdersChange, Origin
from webapp.orders.models import Order, OrderEvent, OrderLine
from webapp.orders.moves import moves_of
from webapp.vault import services as vault

# Columns that events don't carry: identity, and columns that follow from the event itself.
_NOT_RECORDED = {"id", "order_id", "version", "updated_at"}
NAMED_BEFORE = {"asin": "product_code"}  # columns of lines, by the names that earlier versions stored
ORDER_COLUMNS = tuple(c.key for c in inspect(Order).column_attrs if c.key not in _NOT_RECORDED)
LINE_COLUMNS = tuple(c.key for c in inspect(OrderLine).column_attrs if c.key not in _NOT_RECORDED)


def _nothing(model: type[Order] | type[OrderLine], columns: Iterable[str]) -> dict[str, Any]:
    """The value of each column that has no content."""
    of_type: dict[type, Any] = {bool: False, int: 0, str: "", object: []}  # the last is JSON, which holds lists here
    table = table_of(model)
    return {name: None if (c := table.c[name]).nullable else of_type.get(c.type.python_type) for name in columns}


_NO_ORDER = _nothing(Order, set(ORDER_COLUMNS) - {"country"})  # which was filled for older orders without an event
_NO_LINE = _nothing(OrderLine, LINE_COLUMNS)


@dataclass(frozen=True, slots=True)
class EventGroup:
    """A subject of events, by which the timeline can be filtered. Groups with the same code are one group, with the
    label that was registered first. The filter shows groups with a lower `place` first.
    """

    code: str
    label: LazyString
    place: int = 100


OTHER = EventGroup("other", _l("Everything else"), 1000)


@dataclass(frozen=True, slots=True)
class EventWords:
    """The sentence for an event's code in the timeline; it may use values of the event's `data["values"]`.

    `makes` is the kind of what was made with the event, such as an invoice, for scripts: its `id`, and its `number` if
    it has one by then, are among the values.
    """

    code: str
    sentence: LazyString
    group: EventGroup = OTHER
    makes: str = ""


HOLDS = EventGroup("holds", _l("Holds"), 40)
ADDRESSES = EventGroup("addresses", _l("Addresses and buyers"), 50)
COMMENTS = EventGroup("comments", _l("Comments"), 60)
ORGANIZING = EventGroup("organizing", _l("Status, tags, assignee, due date, archive"), 70)
WORDS = (
    EventWords("commented", _l("Comment added"), COMMENTS),
    EventWords("pinned", _l("Comment pinned"), COMMENTS),
    EventWords("unpinned", _l("Comment unpinned"), COMMENTS),
    EventWords("held", _l("Put on hold"), HOLDS),
    EventWords("held_until", _l("Put on hold until %(until)s"), HOLDS),
    EventWords("released", _l("Hold released"), HOLDS),
    EventWords("hold_ended", _l("Hold released because the order has nothing left to ship"), HOLDS),
    EventWords("assigned", _l("Assigned to %(name)s"), ORGANIZING),
    EventWords("unassigned", _l("Unassigned"), ORGANIZING),
    EventWords("due_set", _l("Due date set: %(due)s"), ORGANIZING),
    EventWords("due_cleared", _l("Due date removed"), ORGANIZING),
    EventWords("tagged", _l("Tags added: %(added)s"), ORGANIZING),
    EventWords("untagged", _l("Tags removed: %(removed)s"), ORGANIZING),
    EventWords("retagged", _l("Tags added: %(added)s; tags removed: %(removed)s"), ORGANIZING),
    EventWords("status_set", _l("Status: %(status)s"), ORGANIZING),
    EventWords("status_cleared", _l("Status removed"), ORGANIZING),
    EventWords("archived", _l("Archived"), ORGANIZING),
    EventWords("restored", _l("Unarchived"), ORGANIZING),
    EventWords("readdressed", _l("Delivery address changed"), ADDRESSES),
    EventWords("buyer_erased", _l("Buyer data erased"), ADDRESSES),
)


def plain(value: Any) -> Any:
    """A column's value in the form in which JSON keeps it."""
    return iso(value) if isinstance(value, datetime) else value


def order_begun(row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a new order that its event keeps."""
    return _telling(row, ORDER_COLUMNS, _NO_ORDER)


def line_begun(row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a line that the event of a new order keeps."""
    return _telling(row, LINE_COLUMNS, _NO_LINE)


def _telling(row: Mapping[str, Any], columns: Sequence[str], nothing: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain(row[name]) for name in columns if name not in nothing or row[name] != nothing[name]}


def after_of(event: OrderEvent) -> dict[str, dict[str, Any]]:
    """The values that the event gave to columns, by line; the order itself is under the empty name. For a row that
    began with the event, these are all columns.
    """
    after = event.data.get("after") or {}
    parts = {"": after["order"]} if after.get("order") else {}
    for line_id, values in (after.get("lines") or {}).items():
        parts[line_id] = {NAMED_BEFORE.get(name, name): value for name, value in values.items()}
    begun = (("channel_order_id", _NO_ORDER), ("channel_line_id", _NO_LINE))  # neither is ever changed
    return {
        part: next((nothing | values for key, nothing in begun if key in values), values)
        for part, values in parts.items()
    }


def amounts_of(event: OrderEvent) -> tuple[Amounts, Amounts]:
    """The amounts that the event changed, with their values before and after it."""
    before, after = ((event.data.get(when) or {}).get("amounts") or {} for when in ("before", "after"))
    return unpack_amounts(before), unpack_amounts(after)


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
    """Write the event for the changes just made to the order and its lines. The order's version rises with every
    change, and with every act of a person.

    The caller holds the order's lock. `values` are for the event's sentence; `sealed` is personal and is sealed under
    the order's key.
    """
    packed = vault.seal(order.id, "event", sealed) if sealed is not None else None
    [event] = record_all([order], code, actor=actor, cause=cause, at=at, values=values, sealed=packed)
    return event


def record_all(
    orders: Sequence[Order],
    code: str,
    *,
    actor: Actor,
    cause: str = "",
    at: datetime | None = None,
    values: Mapping[str, Any] | None = None,
    each: Sequence[Mapping[str, Any]] = (),
    sealed: bytes | None = None,
    news: bool = True,
) -> list[OrderEvent]:
    """Record one change of many orders, each of which is locked: one event for each order, announced once for all. The
    events have the same `values`, or `each` its own. A change that is not `news` leaves `updated_at` as it is.
    """
    db.session.flush()
    seen_at = now()
    events, changes, moves = [], [], []
    origin = Origin.ELSEWHERE if actor.kind is ActorKind.CHANNEL else Origin.DESK
    for place, order in enumerate(orders):
        noted = db.session.info.get("order_changes", {}).pop(order.id, None) or _Noted()
        if noted.after or actor.kind not in (ActorKind.CHANNEL, ActorKind.JOB):  # else no form is outdated
            order.version += 1
        if news:
            order.updated_at = seen_at
        data: dict[str, Any] = {"after": noted.after}
        if actor.kind in (ActorKind.PERSON, ActorKind.OPERATOR):
            data["before"] = noted.before
        if own := (each[place] if each else values):
            data["values"] = dict(own)
        event = OrderEvent(
            order_id=order.id,
            at=at or seen_at,
            seen_at=seen_at,
            actor_kind=actor.kind,
            actor_id=actor.id,
            cause=cause if actor.kind is ActorKind.PERSON else cause or actor.name,
            code=code,
            version=order.version,
            data=data,
            sealed=sealed,
        )
        events.append(event)
        changes.append(OrdersChange(order.id, code, noted.after.get("order", {}), noted.before.get("order", {})))
        had = noted.before.get("lines", {})
        for line_id, has in noted.after.get("lines", {}).items():
            moves += moves_of(order.id, int(line_id), had[line_id], has, origin)
    db.session.add_all(events)
    db.session.flush()
    if events:
        live.publish("orders", [order.id for order in orders])
        tell("orders_changed", changes)
        tell("units_moved", moves)
    return events


def _note_changes(session: Session, flush_context: Any, instances: Any) -> None:
    """Before each flush, note its changes of orders and lines, so that `record` also knows changes that were flushed
    early.
    """
    noted: dict[int, _Noted] = session.info.setdefault("order_changes", {})
    for row in session.dirty:
        if isinstance(row, Order):
            noted.setdefault(row.id, _Noted()).add("order", "", *_changed(row, ORDER_COLUMNS))
        elif isinstance(row, OrderLine):
            noted.setdefault(row.order_id, _Noted()).add("lines", str(row.id), *_changed(row, LINE_COLUMNS))


def _load_previous_value(row: Any, value: Any, old: Any, initiator: Any) -> None:
    """Does nothing itself: because it listens, SQLAlchemy loads the old value if it was not loaded yet."""


def _refuse_unrecorded(session: Session) -> None:
    """Refuse a commit in which a change of an order has no event: such a change is a bug, and not to be lost in
    silence.
    """
    if not session.info.get("writing") or session.in_nested_transaction():
        return
    session.flush()
    forgotten = [order_id for order_id, noted in session.info.get("order_changes", {}).items() if noted.after]
    if forgotten:
        raise RuntimeError(f"orders {forgotten} changed without an event")


def _keep_for_savepoint(session: Session, transaction: SessionTransaction) -> None:
    """Keep the changes noted before a savepoint when only the savepoint is rolled back."""
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


for _model, _columns in ((Order, ORDER_COLUMNS), (OrderLine, LINE_COLUMNS)):
    for _column in _columns:
        listens_for(getattr(_model, _column), "set", active_history=True)(_load_previous_value)
listens_for(db.session, "before_flush")(_note_changes)
listens_for(db.session, "before_commit")(_refuse_unrecorded)
listens_for(db.session, "after_transaction_create")(_keep_for_savepoint)
listens_for(db.session, "after_transaction_end")(_forget_with_the_whole)
listens_for(db.session, "after_soft_rollback")(_back_to_savepoint)


class _Noted:
    """Changes of one order for which no event was written yet."""

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
    """The order's events with the people behind them, newest first."""
    query = select(OrderEvent).where(OrderEvent.order_id == order.id).order_by(OrderEvent.id.desc())
    query = query.options(joinedload(OrderEvent.person))
    return list(db.session.scalars(query.limit(limit) if limit else query))


def event_words() -> dict[str, EventWords]:
    """The words of every registered event, by the event's code."""
    return by_code("register_event_words", EventWords)


def event_groups(known: Mapping[str, EventWords]) -> dict[str, EventGroup]:
    """The groups of these events by their codes, in the order of the filter; the group of all other events is the
    last.
    """
    groups: dict[str, EventGroup] = {}
    for words in known.values():
        groups.setdefault(words.group.code, words.group)
    groups.setdefault(OTHER.code, OTHER)
    return dict(sorted(groups.items(), key=lambda item: item[1].place))


def sentence_of(
    event: OrderEvent, said: Mapping[str, Callable[[Any], str]], known: Mapping[str, EventWords] | None = None
) -> str:
    """What happened, in the reader's language. `said` turns codes and times among the values into words, by the value's
    name; a `problem` is a stored `DeskError`.

    For an unknown event, the sentence is its code.
    """
    entry = (event_words() if known is None else known).get(event.code)
    if entry is None:
        return event.code
    values = dict(event.data.get("values") or {})
    for name in values.keys() & said.keys():
        with suppress(TypeError, ValueError):  # a plugin may keep something else under this name: it is shown as it is
            values[name] = said[name](values[name])
    if isinstance(values.get("problem"), dict) and "code" in values["problem"]:
        values["problem"] = why(values["problem"])
    try:
        return str(entry.sentence) % values if values else str(entry.sentence)
    except (KeyError, TypeError, ValueError):  # recorded by another version, whose sentence had other values
        return event.code


class Made(NamedTuple):
    """What an act made. It has no number while it waits for something."""

    kind: str
    id: int
    number: str | None


def made_by(events: Iterable[OrderEvent], known: Mapping[str, EventWords]) -> list[Made]:
    """What was made with these events (oldest first), each once."""
    found: dict[tuple[str, int], Made] = {}
    for event in events:
        words, values = known.get(event.code), event.data.get("values") or {}
        if words is not None and words.makes and "id" in values:
            found[words.makes, values["id"]] = Made(words.makes, values["id"], values.get("number"))
    return list(found.values())


class Rebuilt(NamedTuple):
    """The plain columns of an order, of its lines by their ids, and its amounts by their place. The amounts are None
    if the order's first event has none, since it is older than amounts in events.
    """

    order: dict[str, Any]
    lines: dict[str, dict[str, Any]]
    amounts: Amounts | None


def rebuild(events: Iterable[OrderEvent]) -> Rebuilt:
    """An order with its lines and amounts as they were after these events (oldest first)."""
    order: dict[str, Any] = {}
    lines: dict[str, dict[str, Any]] = {}
    amounts: Amounts | None = None
    for event in events:
        for part, values in after_of(event).items():
            (lines.setdefault(part, {}) if part else order).update(values)
        after = event.data.get("after") or {}
        if "amounts" in after and "channel_order_id" in after.get("order", {}):
            amounts = {}  # the order begins here
        if amounts is not None:
            amounts |= unpack_amounts(after.get("amounts") or {})
    return Rebuilt(order, lines, amounts)
