"""Facts told to whoever listens: what has happened, and is about to be committed.

Acts and the import tell of them by the hooks that `specs` marks as told. The desk's own listeners are part of what
happens: where one fails, nothing of it does. A plugin's listener has a savepoint of its own; where it fails, what it
wrote is undone, the fact is kept for it in the same transaction, and the clock tells it again until it is heard or a
month has passed; the pages of the orders that it is about say so meanwhile. It keeps no other listener, no act and no
import back. What it writes is told to the others, and never to itself: neither that nor what they write because of it
comes back to a listener of a plugin, so there is no round without end. Facts that are told again may come after later
ones, without the lock of their order, and more than once where a worker dies.
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
AGAIN = timedelta(minutes=1)  # until the second try; each next one waits twice as long
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
    """Say what kind of facts a hook carries, so that they can be kept: as JSON, without anything about buyers; and of
    which order each is, where it is of one. Where the listeners implement no hook, `brought` gives them, one for each
    plugin.
    """
    _kinds[hook] = kind, order_of
    if brought is not None:
        _brought[hook] = brought


@cache
def _adapter(hook: str) -> TypeAdapter[Any]:
    kind, _order_of = _kinds[hook]
    return TypeAdapter(kind)  # made once a listener fails, since it takes its time


def tell(hook: str, facts: Sequence[Any]) -> None:
    """Tell whoever listens to this hook, in the open unit of work, but for plugins' listeners that are being told of
    what led to these facts.
    """
    for listener in _listeners(hook) if facts else ():
        if is_ours(listener.plugin):
            listener(list(facts))
        elif _name(listener) not in _being_told.get() and not _heard(listener, list(facts)):
            _keep(listener, facts)


def _name(listener: Listener) -> tuple[str, str]:
    return listener.plugin, listener.code


def _keep(listener: Listener, facts: Sequence[Any]) -> None:
    """Keep what a plugin failed to hear, and mark the orders that it is about."""
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
    """Whether a plugin's listener took the facts; what one that failed has written is undone."""
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
    """Tell plugins what their listeners failed at."""
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
    """Whether a listener is to be told again now."""
    return any_row(MissedFact, MissedFact.next_at <= now())


def missed_of(order_id: int) -> dict[str, datetime]:
    """The plugins that have not heard all that happened to an order, with when each is told again."""
    query = select(MissedFact.plugin, func.min(MissedFact.next_at)).join(MissedFactOrder)
    query = query.where(MissedFactOrder.order_id == order_id).group_by(MissedFact.plugin).order_by(MissedFact.plugin)
    return dict(db.session.execute(query).all())


def waiting() -> dict[str, int]:
    """How many facts wait for each plugin."""
    query = select(MissedFact.plugin, func.count()).group_by(MissedFact.plugin)
    return dict(db.session.execute(query).all())


def _tell_one(row: MissedFact) -> None:
    row.next_at = now() + min(AGAIN * 2**row.tries, RAREST)  # also where its plugin is not there now
    known = _listeners(row.hook) if row.hook in _kinds else ()
    listener = next((one for one in known if one.plugin == row.plugin), None)
    if listener is None:
        return
    row.tries = min(row.tries + 1, 30)
    try:
        facts = _adapter(row.hook).validate_python(row.facts)
    except ValidationError:  # kept by another version; nobody else's facts wait for it
        log.warning("fact_not_understood", plugin=row.plugin, hook=row.hook)
        return
    if _heard(listener, facts):
        of_orders = select(MissedFactOrder.order_id).where(MissedFactOrder.missed_fact_id == row.id)
        live.publish("orders", list(db.session.scalars(of_orders)))  # their pages say so no more
        db.session.delete(row)
