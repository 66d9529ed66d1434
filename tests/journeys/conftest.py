"""Whole flows, with everything real: processes, queue, database, HTTP against the practice Amazon."""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from plugins.amazon.plugin import practice_settings
from plugins.amazon.practice import PracticeServer
from tests.forks import Forks
from tests.journeys import worker_that_dies
from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.channels.services import access, add_store, get_channel, remember_marketplaces
from webapp.db import db, unit_of_work

PATIENCE = 300.0  # seconds, on a busy machine


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Wait for the condition's first true value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        db.session.rollback()
        if value := condition():
            return value
        time.sleep(0.1)
    pytest.fail(f"waited {seconds:.0f} s in vain for {what}")


@pytest.fixture
def practice(tmp_path: Path) -> Iterator[PracticeServer]:
    """A practice Amazon of 240 orders over all regions, without delays."""
    options = {"rates": 2000, "edge": 0}  # in a process of its own: a test that moves its clock must not move Amazon's
    with PracticeServer(tmp_path / "practice", orders=240, arrivals=0, process=True, settings=options) as server:
        yield server


@pytest.fixture
def amazon_store(app: Flask, practice: PracticeServer) -> Store:
    """A store of the European region of the practice Amazon."""
    with unit_of_work():
        settings = practice_settings(practice.url, region="eu")
        store = add_store("amazon", "Practice", settings, actor=Actor.operator(), practice=True)
        credentials = access(store)
    connection = get_channel("amazon").connect(credentials)
    assert connection.ok, str(connection.problem)
    with unit_of_work():
        remember_marketplaces(db.session.get_one(Store, store.id), connection)
    return db.session.get_one(Store, store.id)


StartProcess = Callable[..., None]


@pytest.fixture
def start_process(app: Flask, forks: Forks, tmp_path: Path) -> Iterator[StartProcess]:
    """Start a Python module as a process of this desk; it ends with the test, and so do its children."""

    def start(module: str, *argv: str) -> None:
        with (tmp_path / "processes.log").open("ab") as log, Path(os.devnull).open("rb") as nothing:
            forks.start(module, *argv, env=os.environ, stdin=nothing, stdout=log, stderr=log)

    yield start
    forks.end_all()


@pytest.fixture
def start_worker(start_process: StartProcess, tmp_path: Path) -> StartProcess:
    """Start a worker; with `step`, one that dies at this step, once."""

    def start(step: str = "", when: str = "after", whom: str = "horse", plugin: str = "") -> None:
        orders = {"step": step, "when": when, "whom": whom, "mark": str(tmp_path / "died"), "plugin": plugin}
        start_process(worker_that_dies.__name__, json.dumps(orders))

    return start
