"""Making a data directory ready to serve: schema, key file, what the plugins' processes need, the first owner's link.

`migrate` does the first half for a desk whose processes are started one by one; `up` has the web process do all of it.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import current_app, url_for
from sqlalchemy import func, select

from webapp import schema
from webapp.accounts.services import has_owner, make_link
from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.channels.services import access, add_store, get_channel, remember_marketplaces, stores
from webapp.cli.supervisor import free_port
from webapp.cli.up import PORT, PORTS_FILE, STEP, read_json, running_desk
from webapp.config import configuration
from webapp.db import db, unit_of_work
from webapp.hooks.processes import PracticeStore, Process
from webapp.hooks.registered import registered
from webapp.i18n import lazy_gettext as _l
from webapp.settings.services import STORE, read, store_all
from webapp.sync import runs
from webapp.sync.jobs import import_orders
from webapp.sync.models import Aside
from webapp.vault.keys import KeyProblem, key_file
from webapp.vault.models import VaultKey


def make_ready(step: Callable[[str], None] = lambda sentence: None) -> bool:
    """Migrate, and make the key file of a new desk; whether one was made. A lost one is named, never replaced.

    `step` is told what is about to happen.
    """
    if (at := schema.found()) != schema.needed():
        step("Bringing the database up to this version." if at else "Making the database.")
        schema.migrate()
    file = key_file()
    if file.path.exists():
        file.check()
        return False
    sealed = (db.session.scalar(select(func.count()).select_from(table)) for table in (VaultKey, Aside))
    if any(sealed):
        problem = _l("it is not there, and what it sealed is in the database. Put the copy of it back.")
        raise KeyProblem(path=file.path, problem=problem)
    step("Making the key file.")
    file.create()
    return True


def prepare(told: Path) -> None:
    """Make the desk ready and tell `up`, in this file, what to start beside it and what to print."""
    make_ready(_step)
    _step("Looking for what the plugins bring.")
    variables: dict[str, str] = {}
    processes = []
    wanted: list[PracticeStore] = []
    ports = _ports()
    for process in _wanted():
        port = free_port(ports.get(process.name, process.preferred_port), explicit=False, avoid=[ports["web"]])
        url = f"http://127.0.0.1:{port}"
        # without a note of it, stores were made for the port that is preferred
        if (had := ports.get(process.name, process.preferred_port)) != port:
            _follow_move(f"http://127.0.0.1:{had}", url)
        ports[process.name] = port
        variables |= process.variables(url)
        wanted += process.stores(url)
        argv = [sys.executable, *process.argv(configuration().data_dir, port)]
        processes.append({"name": process.name, "argv": argv, "ready": url + process.ready_path})
    (configuration().data_dir / PORTS_FILE).write_text(json.dumps(ports))
    os.environ |= variables
    configuration.cache_clear()
    told_now = {
        "variables": variables,
        "processes": processes,
        "first": bool(wanted) and not any(store.practice for store in stores()),
        "link": None if has_owner() else first_link(),
    }
    fresh = told.with_suffix(".new")
    with open(os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
        json.dump(told_now, file)
    fresh.replace(told)


def _step(sentence: str) -> None:
    print(f"{STEP}{sentence}", flush=True)


def _wanted() -> list[Process]:
    return [process for process in registered("register_processes", Process) if process.wanted()]


def _ports() -> dict[str, int]:
    """The ports of the last time, and this desk's own."""
    return read_json(configuration().data_dir / PORTS_FILE) | {"web": configuration().port or 0}


def _follow_move(old: str, new: str) -> None:
    """Let the practice stores find their marketplace, whose port another program has taken meanwhile."""
    with unit_of_work():
        for store in stores():
            declared = get_channel(store.channel).settings if store.practice else ()
            moved = {
                name: new + value.removeprefix(old)
                for name, value in read(STORE, store.id, declared).items()
                if isinstance(value, str) and (value == old or value.startswith(f"{old}/"))
            }
            if moved:
                store_all(STORE, store.id, declared, moved)


def connect_practice_stores() -> list[Store]:
    """Add the practice stores that are not here yet, with their marketplaces, and start their first sync."""
    added = []
    known = {store.name for store in stores()}
    for process in _wanted():
        for declared in process.stores(_url_of(process)):
            if declared.name not in known:
                added.append(_connect(declared))
    return added


def _url_of(process: Process) -> str:
    return f"http://127.0.0.1:{_ports().get(process.name, process.preferred_port)}"


def _connect(declared: PracticeStore) -> Store:
    actor = Actor.operator()
    with unit_of_work():
        store = add_store(declared.channel, declared.name, declared.settings, actor=actor, practice=True)
    reach, channel = access(store), get_channel(store.channel)
    db.session.commit()
    connection = channel.connect(reach)
    with unit_of_work():
        remember_marketplaces(store, connection)
        runs.start(store, actor=actor)
        import_orders.enqueue(store.id)
    return store


def first_link() -> str:
    """The full address by which the first owner sets the desk up; an earlier one ends."""
    with unit_of_work():
        token = make_link(None, actor=Actor.operator())
    return address("sign_in.set_up", token=token)


def address(endpoint: str, **values: Any) -> str:
    """The full address of a page, at the desk's own address."""
    config = configuration()
    running = running_desk(config.data_dir).get("url")
    base = config.url or running or f"http://{config.host}:{config.port or PORT}"
    with current_app.test_request_context(base_url=base):
        return str(url_for(endpoint, _external=True, **values))
