"""Practice stores: those of plugins' processes, each connected at the port where its process listens."""

from collections.abc import Sequence
from contextlib import suppress

from webapp.audit.actor import Actor
from webapp.channels import calls
from webapp.channels.models import Store
from webapp.channels.services import (
    CONNECTION,
    access,
    add_store,
    get_channel,
    is_refused,
    remember_marketplaces,
    stores,
)
from webapp.cli.running_desk import PORTS_FILE, read_json
from webapp.config import configuration
from webapp.db import db, unit_of_work
from webapp.hooks.failures import WrongType
from webapp.hooks.fence import PluginFailed, ask
from webapp.hooks.processes import PracticeStore, Process
from webapp.hooks.registered import registered
from webapp.settings.services import change as change_settings
from webapp.sync import call_log, jobs, runs
from webapp.sync.jobs import import_orders


def processes() -> tuple[Process, ...]:
    """The processes that plugins can run beside the desk."""
    return registered("register_processes", Process, unique=lambda process: process.name)


def wanted_processes() -> list[Process]:
    """The processes that plugins want to run beside the desk as it is configured."""
    found = []
    for process in processes():
        with suppress(PluginFailed):
            if ask(process, "process", process.wanted):
                found.append(process)
    return found


def known_ports() -> dict[str, int]:
    """The ports of the last run, and this desk's own."""
    return read_json(configuration().data_dir / PORTS_FILE) | {"web": configuration().port or 0}


def connect_practice_stores() -> list[Store]:
    """Add the missing practice stores, with their marketplaces, and start their first sync. Those of an earlier version
    get the settings that have been added since.
    """
    added = []
    known = {store.name: store for store in stores()}
    for process in wanted_processes():
        for declared in stores_at(process, _url_of(process)):
            if declared.name not in known:
                added.append(_connect(declared))
            elif known[declared.name].practice:
                _complete(known[declared.name], declared)
    return added


def _complete(store: Store, declared: PracticeStore) -> None:
    stored = CONNECTION.stored(store)
    lacking = [one.name for one in CONNECTION.declared(store) if one.required and one.name not in stored]
    if values := {name: declared.settings[name] for name in lacking if name in declared.settings}:
        with unit_of_work():
            change_settings(CONNECTION, values, store, actor=Actor.operator())


def stores_at(process: Process, url: str) -> Sequence[PracticeStore]:
    """The stores that practice at a process; none if its plugin fails to name them."""
    try:
        return ask(process, "process", _stores_at, process, url)
    except PluginFailed:
        return ()


def _stores_at(process: Process, url: str) -> Sequence[PracticeStore]:
    found = list(process.stores(url))
    for one in found:
        if not isinstance(one, PracticeStore):
            raise WrongType(one, PracticeStore)
    return found


def _url_of(process: Process) -> str:
    return f"http://127.0.0.1:{known_ports().get(process.name, process.preferred_port)}"


def _connect(declared: PracticeStore) -> Store:
    actor = Actor.operator()
    with unit_of_work():
        store = add_store(declared.channel, declared.name, declared.settings, actor=actor, practice=True)
    credentials, channel = access(store), get_channel(store.channel)
    db.session.commit()
    with call_log.logged(credentials) as credentials:
        connection = calls.connect(channel, credentials)
    with unit_of_work():
        remember_marketplaces(store, connection)
        if not is_refused(store):
            runs.start(store, actor=actor)
            import_orders.enqueue(store.id)
        jobs.note_failing(store.id, connection)
    return store
