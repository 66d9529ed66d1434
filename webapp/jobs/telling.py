"""Calling the listeners of a told hook with facts: what has happened, and is about to be committed.

Acts and the import report facts through the hooks that `specs` marks as told. The desk's own listeners are part of the
act: if one fails, the act is rolled back. A plugin's listener runs in a savepoint. If it fails, its writes are rolled
back, the fact is stored for it in the same transaction, and the clock calls it again until it succeeds or a month has
passed; the pages of the orders concerned say so meanwhile. A failing listener delays no other listener, no act and no
import. Facts that a listener itself causes are reported to the other listeners and never to itself, nor is anything
that the others write because of them: there is no endless loop. A repeated fact may arrive after later facts, without
the lock of its order, and more than once if a worker dies.
"""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import structlog
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import delete, func, select

from webapp import live
from webapp.clock import now
from webapp.db import any_row, db, guarded_savepoint, unit_of_work, write_rows
from webapp.hooks.fence import PluginFailed, ask
from webapp.hooks.registered import Listener, is_ours, listeners
from webapp.jobs import job
from webapp.jobs.models import MissedFact, MissedFactOrder

log = structlog.get_logger(__name__)
AGAIN = timedelta(minutes=1)  # until the second try; the delay doubles with each further try
RAREST = timedelta(hours=6)
KEPT = timedelta(days=30)
AT_ONCE = 20
_kinds: dict[str, tuple[Any, Callable[[Any], int | None]]] = {}
_being_told: ContextVar[frozenset[tuple[str, str]]] = ContextVar("being_told", default=frozenset())
_brought: dict[str, Callable[[], Sequence[Listener]]] = {}


def declare(
    hook: str,
    kind: Any,
    order_of: Callable[[Any], int | None] = lambda fact: getattr(fact, "order_id", None),
    *,
    brought: Callable[[], Sequence[Listener]] | None = None,
) -> None:
    """Declare the type of a hook's facts, so that they can be stored as JSON without anything about buyers, and the
    order of each fact, if it has one. If the listeners implement no hook, `brought` returns them, one for each
    plugin.
    """
    _kinds[hook] = kind, order_of
    if brought is not None:
        _brought[hook] = brought


@cache
def _adapter(hook: str) -> TypeAdapter[Any]:
    kind, _order_of = _kinds[hook]
    return TypeAdapter(kind)  # built once a listener fails, since building it takes time


def tell(hook: str, facts: Sequence[Any]) -> None:
    """Call the listeners of this hook in the open unit of work, except those of plugins whose own writes led to
    these facts.
    """
    for listener in _listeners(hook) if facts else ():
        if is_ours(listener.plugin):
            listener(list(facts))
        elif _name(listener) not in _being_told.get() and not _heard(listener, list(facts)):
            _keep(listener, facts)


def _name(listener: Listener) -> tuple[str, str]:
    return listener.plugin, listener.code


def _keep(listener: Listener, facts: Sequence[Any]) -> None:
    """Store the facts that a plugin's listener failed to handle, and mark the orders concerned."""
    body = _adapter(listener.code).dump_python(list(facts), mode="json")
    at = now()
    row = MissedFact(plugin=listener.plugin, hook=listener.code, facts=body, at=at, next_at=at + AGAIN, tries=1)
    db.session.add(row)
    db.session.flush()
    _kind, order_of = _kinds[listener.code]
    orders = sorted({order_id for order_id in map(order_of, facts) if order_id is not None})
    write_rows(MissedFactOrder, [{"order_id": order_id, "missed_fact_id": row.id} for order_id in orders])


def _listeners(hook: str) -> Sequence[Listener]:
    brought = _brought.get(hook)
    return brought() if brought else listeners(hook)


def _heard(listener: Listener, facts: list[Any]) -> bool:
    """Whether a plugin's listener handled the facts; the writes of one that failed are rolled back."""
    within = _being_told.set(_being_told.get() | {_name(listener)})
    try:
        with guarded_savepoint():
            ask(listener, "hook", listener, facts)
    except PluginFailed:
        return False
    finally:
        _being_told.reset(within)
    return True


# --- Again ------------------------------------------------------------------------------------------------------------


@job("clock")
def tell_again() -> None:
    """Call again the listeners of plugins that have failed."""
    due = select(MissedFact.id).where(MissedFact.next_at <= now()).order_by(MissedFact.next_at).limit(AT_ONCE)
    ids = list(db.session.scalars(due))
    db.session.rollback()
    for id_ in ids:
        with unit_of_work():
            row = db.session.scalar(select(MissedFact).where(MissedFact.id == id_).with_for_update(skip_locked=True))
            if row is not None and row.next_at <= now():
                _tell_one(row)
    with unit_of_work():
        dropped = db.session.execute(delete(MissedFact).where(MissedFact.at < now() - KEPT).returning(MissedFact.id))
        if count := len(dropped.all()):
            log.error("facts_never_heard", count=count)
    if len(ids) == AT_ONCE:
        tell_again.enqueue()


def any_to_tell() -> bool:
    """Whether a listener is due to be called again."""
    return any_row(MissedFact, MissedFact.next_at <= now())


def missed_of(order_id: int) -> dict[str, datetime]:
    """The plugins that have missed facts about an order, each with the time of its next try."""
    query = select(MissedFact.plugin, func.min(MissedFact.next_at)).join(MissedFactOrder)
    query = query.where(MissedFactOrder.order_id == order_id).group_by(MissedFact.plugin).order_by(MissedFact.plugin)
    return dict(db.session.execute(query).all())


def waiting() -> dict[str, int]:
    """The number of missed facts of each plugin."""
    query = select(MissedFact.plugin, func.count()).group_by(MissedFact.plugin)
    return dict(db.session.execute(query).all())


def _tell_one(row: MissedFact) -> None:
    row.next_at = now() + min(AGAIN * 2**row.tries, RAREST)  # also if its plugin is not loaded now
    known = _listeners(row.hook) if row.hook in _kinds else ()
    listener = next((one for one in known if one.plugin == row.plugin), None)
    if listener is None:
        return
    row.tries = min(row.tries + 1, 30)
    try:
        facts = _adapter(row.hook).validate_python(row.facts)
    except ValidationError:  # stored by another version; the facts of others must not wait for it
        log.warning("fact_not_understood", plugin=row.plugin, hook=row.hook)
        return
    if _heard(listener, facts):
        of_orders = select(MissedFactOrder.order_id).where(MissedFactOrder.missed_fact_id == row.id)
        live.publish("orders", list(db.session.scalars(of_orders)))  # the orders' pages no longer mention it
        db.session.delete(row)
