"""Preparing a data directory for `up`: schema, key file, what the plugins' processes need, the first owner's link.

`migrate` does the first half for a desk whose processes are started one by one; `up` has the web process do all of it.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from supervisor.ports import free_port
from supervisor.up import STEP
from webapp.accounts.services import has_owner
from webapp.channels.services import CONNECTION, stores
from webapp.cli.practice_stores import known_ports, stores_at, wanted_processes
from webapp.cli.processes import make_ready
from webapp.cli.running_desk import PORTS_FILE
from webapp.cli.users import first_link
from webapp.config import configuration
from webapp.db import unit_of_work
from webapp.hooks.fence import PluginFailed, ask
from webapp.hooks.processes import PracticeStore, Process
from webapp.mail import mailboxes
from webapp.settings.services import store_all


def prepare(prepared: Path) -> None:
    """Prepare the desk, and write into this file what `up` starts beside it and what it prints."""
    make_ready(_step)
    _step("Looking for what the plugins bring.")
    variables: dict[str, str] = {}
    processes = []
    wanted: list[PracticeStore] = []
    ports = known_ports()
    for process in wanted_processes():
        chosen = _free_ports(process, ports)
        port, *further = chosen.values()
        url = f"http://127.0.0.1:{port}"
        try:
            argv = ask(process, "process", process.argv, configuration().data_dir, *chosen.values(), gives=Sequence)
            variables |= ask(process, "process", process.variables, url, *further, gives=Mapping)
        except PluginFailed as error:  # the desk starts without it
            _step(str(error))
            continue
        # without a record of the port, stores were created for the preferred one
        if (had := ports.get(process.name, process.preferred_port)) != port:
            _follow_move(f"http://127.0.0.1:{had}", url)
        ports |= chosen
        wanted += stores_at(process, url)
        processes.append({"name": process.name, "argv": [sys.executable, *argv], "ready": url + process.ready_path})
    (configuration().data_dir / PORTS_FILE).write_text(json.dumps(ports))
    os.environ |= variables
    configuration.cache_clear()
    with unit_of_work():
        mailboxes.follow_practice()
    found = {
        "variables": variables,
        "processes": processes,
        "first": bool(wanted) and not any(store.practice for store in stores()),
        "link": None if has_owner() else first_link(),
    }
    fresh = prepared.with_suffix(".new")
    with open(os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
        json.dump(found, file)
    fresh.replace(prepared)


def _free_ports(process: Process, ports: Mapping[str, int]) -> dict[str, int]:
    """The port of a process and its further ones, by the names under which they are remembered: those of the last run,
    or the next free ones.
    """
    chosen: dict[str, int] = {}
    for place, preferred in enumerate((process.preferred_port, *process.further_ports)):
        name = f"{process.name}/{place}" if place else process.name
        avoid = [ports["web"], *chosen.values()]
        chosen[name] = free_port(ports.get(name, preferred), explicit=False, avoid=avoid)
    return chosen


def _step(sentence: str) -> None:
    print(f"{STEP}{sentence}", flush=True)


def _follow_move(old: str, new: str) -> None:
    """Point the practice stores to their marketplace's new port, if another program has taken the former one."""
    with unit_of_work():
        for store in (store for store in stores() if store.practice):
            moved = {
                name: new + value.removeprefix(old)
                for name, value in CONNECTION.read(store).items()
                if isinstance(value, str) and (value == old or value.startswith(f"{old}/"))
            }
            if moved:
                store_all(CONNECTION, moved, store)
