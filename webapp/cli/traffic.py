"""Commands for updates, calls to channels, quarantined orders, and runs."""

import time
from collections.abc import Callable, Sequence

import click
from sqlalchemy import select

from webapp.channels.services import get_store, stores
from webapp.cli import presenting
from webapp.cli.door import Door, desk_command
from webapp.cli.main import Code, Failed
from webapp.cli.text import pairs, table
from webapp.clock import iso
from webapp.db import db, unit_of_work
from webapp.orders import indexing
from webapp.orders.queries import find_order
from webapp.sync import runs as sync_runs
from webapp.sync.call_list import list_calls, try_again
from webapp.sync.jobs import fetch_order, send_again
from webapp.sync.models import ORDERS_LANE, QuarantinedOrder, StoreSync
from webapp.sync.taking_in.quarantine import NotQuarantined, quarantined_orders
from webapp.updates import deciding
from webapp.updates.models import UpdateState
from webapp.updates.queries import find_update, list_updates

LOOK_EVERY = 0.2
STATES = [state.value for state in UpdateState]
ENDED = {UpdateState.EFFECTIVE, UpdateState.REFUSED, UpdateState.WITHDRAWN, UpdateState.DONE_ELSEWHERE}
REACHED = {  # waiting for one state ends with any state that follows it, too
    UpdateState.HELD: {*UpdateState},
    UpdateState.OWED: {*UpdateState} - {UpdateState.HELD},
    UpdateState.SENT: {UpdateState.SENT, UpdateState.ACCEPTED, UpdateState.EFFECTIVE, UpdateState.DONE_ELSEWHERE},
    UpdateState.ACCEPTED: {UpdateState.ACCEPTED, UpdateState.EFFECTIVE, UpdateState.DONE_ELSEWHERE},
    UpdateState.EFFECTIVE: {UpdateState.EFFECTIVE, UpdateState.DONE_ELSEWHERE},
}
STORE_OPTION = click.option("--store", "store_key", metavar="STORE", help="Only of this store (id or name).")


@click.group()
def updates() -> None:
    """Updates to channels, and their progress."""


@updates.command(name="list")
@click.option("--order", "number", metavar="NUMBER", help="Only of this order.")
@click.option("--state", type=click.Choice(STATES))
@click.option("--kind")
@STORE_OPTION
@click.option("--limit", type=click.IntRange(min=1), default=200, show_default=True)
@desk_command
def updates_list(
    door: Door, number: str | None, state: str | None, kind: str | None, store_key: str | None, limit: int
) -> None:
    """Updates, newest first."""
    order = find_order(number, door.actor) if number else None
    store_id = get_store(store_key).id if store_key else None
    found = list_updates(door.actor, order=order, state=state, kind=kind, store_id=store_id, limit=limit)
    rows = [presenting.update(row) for row in found]
    columns = ("id", "order", "kind", "state", "due_at", "effective_at", "attempts", "message")
    door.show(rows, table(rows, columns, empty="No update."))


@updates.command(name="show")
@click.argument("update_id", type=int, metavar="ID")
@desk_command
def updates_show(door: Door, update_id: int) -> None:
    """Show one update: its times, why it waits, and the possible decisions."""
    document = presenting.whole_update(find_update(update_id, door.actor), door.actor)
    door.show(document, pairs(document))


@updates.command()
@click.argument("update_id", type=int, metavar="ID")
@click.option("--until", type=click.Choice(STATES), default=UpdateState.EFFECTIVE.value, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=0), default=300.0, show_default=True, help="How long to wait.")
@desk_command
def wait(door: Door, update_id: int, until: str, seconds: float) -> None:
    """Wait until an update has reached a state."""
    wanted = REACHED.get(UpdateState(until), {UpdateState(until)})
    deadline = time.monotonic() + seconds
    while True:
        row = find_update(update_id, door.actor)
        state = UpdateState(row.state)
        if state in wanted or state in ENDED or time.monotonic() >= deadline:
            break
        db.session.rollback()  # ends the reading transaction: the next one sees the worker's writes
        time.sleep(LOOK_EVERY)
    document = presenting.update(row)
    door.show(document, pairs(document))
    if state in ENDED - wanted:
        raise Failed(f"The update is {state}: {document['message'] or 'it will not be ' + until}")
    if state not in wanted:
        raise Failed(f"The update was still {state} after {seconds:g} seconds.", Code.TIMED_OUT)


@updates.command()
@click.argument("update_ids", type=int, nargs=-1, required=True, metavar="ID…")
@desk_command
def retry(door: Door, update_ids: Sequence[int]) -> None:
    """Send refused or unknown updates again; the result of an unknown one is looked up first."""
    _decide(door, update_ids, send_again)


@updates.command()
@click.argument("update_ids", type=int, nargs=-1, required=True, metavar="ID…")
@click.option("--happened", is_flag=True, help="Record that they happened, although the channel does not show it.")
@click.option("--elsewhere", is_flag=True, help="Record that refused updates were done on the channel itself.")
@click.option("--did-not", is_flag=True, help="Record that they did not happen; this is the default.")
@desk_command
def close(door: Door, update_ids: Sequence[int], happened: bool, elsewhere: bool, did_not: bool) -> None:
    """Close updates that were refused or never confirmed, without sending them again."""
    if happened + elsewhere + did_not > 1:
        raise click.UsageError("Give one of --happened, --elsewhere and --did-not.", click.get_current_context())
    _decide(door, update_ids, deciding.confirm if happened else deciding.elsewhere if elsewhere else deciding.close)


@updates.command()
@click.argument("update_ids", type=int, nargs=-1, required=True, metavar="ID…")
@desk_command
def undo(door: Door, update_ids: Sequence[int]) -> None:
    """Undo updates that were not sent yet."""
    _decide(door, update_ids, deciding.undo)


@updates.command()
@click.argument("update_ids", type=int, nargs=-1, required=True, metavar="ID…")
@desk_command
def send(door: Door, update_ids: Sequence[int]) -> None:
    """Send held updates before their time."""
    _decide(door, update_ids, deciding.send_now)


def _decide(door: Door, update_ids: Sequence[int], decide: Callable[..., None]) -> None:
    with unit_of_work():
        rows = [find_update(update_id, door.actor) for update_id in update_ids]
        for row in rows:
            decide(row, actor=door.actor)
        documents = [presenting.update(row) for row in rows]
    door.show(documents, table(documents, ("id", "order", "kind", "state"), empty=""))


@click.group()
def calls() -> None:
    """The communication with channels, call by call."""


@calls.command(name="list")
@STORE_OPTION
@click.option("--order", "number", metavar="NUMBER", help="Only about this order.")
@click.option("--failed", is_flag=True, help="Only those that were refused, failed, or got no answer.")
@click.option("--limit", type=click.IntRange(min=1), default=200, show_default=True)
@desk_command
def calls_list(door: Door, store_key: str | None, number: str | None, failed: bool, limit: int) -> None:
    """Calls, newest first, with their subject, result and duration."""
    order = find_order(number, door.actor) if number else None
    store_id = get_store(store_key).id if store_key else None
    found = list_calls(door.actor, order=order, store_id=store_id, failed=failed, limit=limit)
    rows = [presenting.call(row) for row in found]
    columns = ("id", "at", "store", "order", "operation", "outcome", "status", "seconds", "code", "request_id")
    door.show(rows, table(rows, columns, empty="No call."))


@calls.command(name="retry")
@click.argument("call_ids", type=int, nargs=-1, required=True, metavar="ID…")
@desk_command
def calls_retry(door: Door, call_ids: Sequence[int]) -> None:
    """Retry a failed call: send its update, or read its order or its store."""
    with unit_of_work():
        said = [{"id": call_id, "message": str(try_again(call_id, actor=door.actor))} for call_id in call_ids]
    door.show(said, table(said, ("id", "message"), empty=""))


@click.group()
def quarantine() -> None:
    """Orders that couldn't be imported."""


@quarantine.command(name="list")
@STORE_OPTION
@desk_command
def quarantine_list(door: Door, store_key: str | None) -> None:
    """Orders that couldn't be imported, newest first, each with its cause."""
    store_id = get_store(store_key).id if store_key else None
    names = _store_names()
    rows = [
        presenting.quarantined_order(row, names[row.store_id])
        for row in quarantined_orders(door.actor, store_id=store_id)
    ]
    columns = ("id", "store", "number", "field", "problem", "at", "attempts")
    door.show(rows, table(rows, columns, empty="No order is quarantined."))


@quarantine.command(name="retry")
@click.argument("row_ids", type=int, nargs=-1, metavar="ID…")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@desk_command
def quarantine_retry(door: Door, row_ids: Sequence[int], everything: bool) -> None:
    """Read orders from their channel again and import them."""
    if bool(row_ids) == everything:
        raise click.UsageError("Give the IDs of the orders, or --all.", click.get_current_context())
    door.actor.needs("stores.sync")
    names = _store_names()
    query = select(QuarantinedOrder).order_by(QuarantinedOrder.id)
    with unit_of_work():
        wanted = [row_id for row_id in row_ids if 0 < row_id < 2**31]  # no database has a higher id
        rows = list(db.session.scalars(query if everything else query.where(QuarantinedOrder.id.in_(wanted))))
        if missing := set(row_ids) - {row.id for row in rows}:
            raise NotQuarantined(name=min(missing))
        for row in rows:
            fetch_order.enqueue(row.store_id, row.number)
        documents = [presenting.quarantined_order(row, names[row.store_id]) for row in rows]
    door.show(documents, table(documents, ("id", "store", "number"), empty="No order is quarantined."))


@click.group()
def runs() -> None:
    """Runs: long work in the background."""


@runs.command(name="list")
@STORE_OPTION
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@desk_command
def runs_list(door: Door, store_key: str | None, limit: int) -> None:
    """Runs with their numbers, newest first."""
    store_id = get_store(store_key).id if store_key else None
    names = _store_names()
    of_orders = select(StoreSync).where(StoreSync.lane == ORDERS_LANE)
    next_at = {row.store_id: iso(row.next_at) for row in db.session.scalars(of_orders)}
    rows = []
    for run in sync_runs.runs(door.actor, store_id=store_id, limit=limit):
        subject = run.subject_id if run.kind in (sync_runs.KIND, sync_runs.STREAM) else None
        comes = next_at.get(subject or 0) if run.kind == sync_runs.KIND else None
        rows.append(presenting.run_row(run, store=names.get(subject or 0), next_at=comes))
    columns = ("id", "kind", "store", "state", "started", "ended", *sync_runs.NUMBERS, "message")
    door.show(rows, table(rows, columns, empty="No run yet."))


@runs.command(name="index")
@desk_command
def runs_index(door: Door) -> None:
    """Rebuild the search index in the background; searches still work meanwhile."""
    door.actor.needs("settings.edit")
    with unit_of_work():
        document = presenting.run_row(indexing.start(actor=door.actor), store=None, next_at=None)
    door.show(document, [f"run {document['id']}: {document['state']}"])


def _store_names() -> dict[int, str]:
    return {store.id: store.name for store in stores()}
