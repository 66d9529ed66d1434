"""Stores and their sync."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import click

from webapp.channels import calls
from webapp.channels.connecting import Connection
from webapp.channels.models import Store
from webapp.channels.services import (
    access,
    add_store,
    get_channel,
    get_store,
    stores,
)
from webapp.cli.door import Door, desk_command
from webapp.cli.main import Code, Failed
from webapp.cli.practice_stores import connect_practice_stores
from webapp.cli.presenting import option_row, run_row, store_rows
from webapp.cli.text import pairs, table
from webapp.clock import iso
from webapp.db import db, unit_of_work
from webapp.jobs.models import Run, RunState
from webapp.live import connection
from webapp.orders import erasing
from webapp.orders.store_options import options_of, set_options
from webapp.sync import activity, call_log, jobs, runs
from webapp.sync.jobs import import_orders
from webapp.sync.models import ORDERS_LANE, StoreSync

LOOK_EVERY = 0.2
_MARKS = {True: "ok ", False: "NO ", None: "-  "}  # of what a test looked at
values_option = click.option(
    "--set", "given", multiple=True, metavar="NAME=VALUE", help="A setting; repeat the option for several."
)
stdin_option = click.option(
    "--set-stdin",
    is_flag=True,
    help="Also read settings from standard input, one NAME=VALUE per line, so that nobody else sees them.",
)


unset_option = click.option(
    "--unset", multiple=True, metavar="NAME", help="Remove a setting or a secret; repeat the option for several."
)


@click.group()
def store() -> None:
    """Add, change and test stores."""


@store.command()
@click.argument("channel")
@click.option("--name", required=True)
@values_option
@stdin_option
@desk_command
def add(door: Door, channel: str, name: str, given: Sequence[str], set_stdin: bool) -> None:
    """Connect a seller's account on a CHANNEL, by the code that its plugin gives it."""
    values = read_settings(given, set_stdin)
    with unit_of_work():
        added = add_store(channel, name, values, actor=door.actor)
        store_id = added.id
        activity.added(added)
        jobs.connect.enqueue(store_id)  # a worker tests it and reads its orders, as after adding one in the browser
    text = f"Store {store_id} was added. Its orders are read automatically; see: python -m webapp store list"
    door.show({"id": store_id}, [text])


@store.command(name="set")
@click.argument("store_key", metavar="STORE")
@click.option("--name", help="A new name.")
@values_option
@stdin_option
@unset_option
@desk_command
def set_(
    door: Door, store_key: str, name: str | None, given: Sequence[str], set_stdin: bool, unset: Sequence[str]
) -> None:
    """Change a store's name and settings, of whatever group; a shop by its id or name. A store that was disconnected is
    tried again, also by this command without anything to change.
    """
    values = read_settings(given, set_stdin)
    with unit_of_work():
        changed = get_store(store_key)
        set_options(changed, values, unset=unset, actor=door.actor, name=name)
        [document] = store_rows([changed])
    door.show(document, pairs(document))


@store.command(name="settings")
@click.argument("store_key", metavar="STORE")
@desk_command
def settings_(door: Door, store_key: str) -> None:
    """List every setting of a store by its name for `store set`; secrets are not shown."""
    chosen = get_store(store_key)
    door.actor.needs("stores.edit")
    door.actor.needs_shops(chosen.shop_ids)
    options, problems = options_of(chosen, door.actor)
    rows = [option_row(option) for option in options]
    columns = ("name", "label", "value", "default", "stored", "group")
    door.show(rows, table(rows, columns, empty="There are no settings here."))
    if problems:
        raise Failed(" ".join(f"{code}: {problem}" for code, problem in problems.items()))


@store.command(name="list")
@desk_command
def list_(door: Door) -> None:
    """List all stores with the state of their traffic."""
    door.actor.needs("stores.view")
    rows = store_rows(stores(door.actor))
    facts = ("id", "name", "channel", "marketplaces", "running", "last_success_at", "next_at")
    columns = (*facts, "disconnected", "last_failure")
    door.show(rows, table(rows, columns, empty="No store yet: python -m webapp store add --help"))


@store.command()
@click.argument("store_key", metavar="STORE")
@desk_command
def test(door: Door, store_key: str) -> None:
    """Ask the channel whether the store's credentials work, and which marketplaces they open."""
    door.actor.needs("stores.sync")
    connection = _tested(get_store(store_key))
    found = [marketplace.country for marketplace in connection.marketplaces]
    problem = str(connection.problem) if connection.problem else None
    checks = [{"name": one.name, "ok": one.ok, "sentence": str(one.sentence)} for one in connection.checks]
    text = [] if problem else [f"The connection works. Marketplaces: {', '.join(found)}."]
    text += [f"{_MARKS[one.ok]} {one.label}: {one.sentence}" for one in connection.checks]
    door.show({"ok": connection.ok, "marketplaces": found, "problem": problem, "checks": checks}, text)
    if problem:
        raise Failed(problem)


def _tested(one: Store) -> Connection:
    """Ask the store's channel, outside any transaction, and store its answer."""
    credentials, channel = access(one), get_channel(one.channel)
    db.session.commit()
    with call_log.logged(credentials) as credentials:
        connection = calls.test(channel, credentials)
    with unit_of_work():
        return activity.connected(one, connection)


@store.command()
@click.argument("store_key", metavar="STORE")
@desk_command
def activate(door: Door, store_key: str) -> None:
    """Read from the store and send to it again; its connection is tested first."""
    with unit_of_work():
        chosen = get_store(store_key)
        activity.activate(chosen, actor=door.actor)
        jobs.connect.enqueue(chosen.id)
    _show(door, chosen)


@store.command()
@click.argument("store_key", metavar="STORE")
@desk_command
def send(door: Door, store_key: str) -> None:
    """Send to a store again after sending was stopped, by a person or by a restored backup."""
    with unit_of_work():
        activity.let_send(chosen := get_store(store_key), actor=door.actor)
    _show(door, chosen)


@store.command("stop-sending")
@click.argument("store_key", metavar="STORE")
@desk_command
def stop_sending(door: Door, store_key: str) -> None:
    """Send nothing to the store: its orders are still read, and its updates wait."""
    with unit_of_work():
        activity.stop_sending(chosen := get_store(store_key), actor=door.actor)
    _show(door, chosen)


@store.command()
@click.argument("store_key", metavar="STORE")
@desk_command
def deactivate(door: Door, store_key: str) -> None:
    """Pause the store: nothing is read from it or sent to it, and its updates wait."""
    with unit_of_work():
        activity.deactivate(chosen := get_store(store_key), actor=door.actor)
    _show(door, chosen)


@store.command()
@click.argument("store_key", metavar="STORE")
@desk_command
def archive(door: Door, store_key: str) -> None:
    """Archive the store with all its orders."""
    with unit_of_work():
        activity.archive(chosen := get_store(store_key), actor=door.actor)
    _show(door, chosen)


@store.command()
@click.argument("store_key", metavar="STORE")
@desk_command
def restore(door: Door, store_key: str) -> None:
    """Restore an archived store; it stays paused."""
    with unit_of_work():
        activity.restore(chosen := get_store(store_key), actor=door.actor)
    _show(door, chosen)


def _show(door: Door, chosen: Store) -> None:
    [document] = store_rows([chosen])
    door.show(document, pairs(document))


@store.command()
@click.argument("store_key", metavar="STORE")
@click.option("--preview", is_flag=True, help="Show what would be erased, without erasing it.")
@desk_command
def erase(door: Door, store_key: str, preview: bool) -> None:
    """Erase the buyer data of a store that are past their date, as the clock does once a day; a run under way is
    joined.
    """
    chosen = get_store(store_key)
    door.actor.needs("stores.view" if preview else "stores.edit")
    found = erasing.preview(chosen, door.actor)
    document = {
        "store": chosen.name,
        "days": found.days,
        "due": found.due,
        "more": found.capped,
        "unplaced": found.unplaced,
        "waiting": {
            "open": found.open,
            "on_hold": found.on_hold,
            "canceling": found.canceling,
            "under_way": found.under_way,
            "more": found.more_may_wait,
        },
        "run": None,
    }
    if not preview:
        connection().ping()  # without a worker to run it, the run would wait unnoticed
        total = erasing.count_due(chosen)
        with unit_of_work():
            run = erasing.start(get_store(store_key), actor=door.actor, total=total)
            document["run"] = run.id if run else None
    door.show(document, pairs(document | {"waiting": found.waiting}))


@store.command()
@desk_command
def practice(door: Door) -> None:
    """Connect the practice stores that are missing; for a desk with a practice marketplace."""
    door.actor.needs("stores.edit")
    added = connect_practice_stores()
    rows = store_rows(added)
    door.show(rows, table(rows, ("id", "name", "marketplaces", "disconnected"), empty="Nothing to add."))


def read_settings(given: Sequence[str], from_stdin: bool) -> Mapping[str, str]:
    lines = [*given, *(line.rstrip("\r\n") for line in sys.stdin if line.strip())] if from_stdin else list(given)
    values = {}
    for line in lines:
        name, sign, value = line.partition("=")
        if not sign or not name.strip():
            raise click.UsageError("Give a setting as NAME=VALUE.", click.get_current_context())
        values[name.strip()] = value
    return values


@click.command()
@click.argument("store_key", metavar="STORE")
@click.option("--wait", is_flag=True, help="Wait until the run has ended.")
@click.option("--seconds", type=click.FloatRange(min=0), default=300.0, show_default=True, help="How long to wait.")
@desk_command
def sync(door: Door, store_key: str, wait: bool, seconds: float) -> None:
    """Read a store's orders now (by id or name); a run that is under way is joined."""
    get_store(store_key)
    connection().ping()  # without a worker to run it, the run would wait unnoticed
    with unit_of_work():
        chosen = get_store(store_key)
        run_id = runs.start(chosen, actor=door.actor).id
        import_orders.enqueue(chosen.id)
    store_id = chosen.id
    document = _watched(store_id, run_id, seconds if wait else 0.0)
    state = document["state"]
    done = {name: document[name] for name in ("id", "state", *runs.NUMBERS, "next_at")}
    door.show(document, pairs(done))
    if state == RunState.FAILED:
        raise Failed(document["message"] or "The sync failed.")
    if wait and document["ended"] is None:
        raise Failed(f"The sync was still {state} after {seconds:g} seconds; is a worker running?", Code.TIMED_OUT)


def _watched(store_id: int, run_id: int, seconds: float) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while True:
        db.session.rollback()  # ends the reading transaction: the next one sees the worker's writes
        run, chosen = db.session.get_one(Run, run_id), db.session.get_one(Store, store_id)
        if not run.is_open or time.monotonic() >= deadline:
            sync = db.session.get(StoreSync, (store_id, ORDERS_LANE))
            return run_row(run, store=chosen.name, next_at=iso(sync.next_at) if sync else None)
        time.sleep(LOOK_EVERY)
