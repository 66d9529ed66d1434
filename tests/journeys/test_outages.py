"""The queue killed and restarted, the database busy: work goes on by itself, and nothing is half done."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.valkey import ValkeyServer, start
from tests.journeys.conftest import StartProcess, until
from tests.journeys.test_crashes import check_equal
from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.config import configuration
from webapp.db import db, unit_of_work
from webapp.errors import DatabaseBusy
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.jobs import queue
from webapp.jobs.models import Run
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.sync import jobs, runs
from webapp.testing import FakeChannel
from webapp.updates.models import ChannelUpdate

pytestmark = pytest.mark.own_desk


@pytest.fixture
def own_queue(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> ValkeyServer:
    """A Valkey that this test may kill."""
    folder = Path("/tmp") / f"wbq-{os.getpid()}-{time.monotonic_ns()}"
    folder.mkdir()
    server = start(folder)
    monkeypatch.setenv("REDIS_URL", server.url)
    configuration.cache_clear()
    return server


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_an_act_while_the_queue_is_gone_is_done_and_told_later(
    app: object,
    make_order: Callable[..., Order],
    channel: FakeChannel,
    mia: Actor,
    own_queue: ValkeyServer,
    work: Callable[[], int],
) -> None:
    order = make_order()
    own_queue.stop()
    with unit_of_work():
        ship_order(locked(order), [PackageInput("DHL", "JD0001")], actor=mia)
    assert db.session.query(ChannelUpdate).one().state == "owed"

    folder = Path(own_queue.url.removeprefix("unix://")).parent
    again = start(folder)
    try:
        jobs.find_due()
        work()
        assert [told["package"]["tracking_number"] for told in channel.told("shipment")] == ["JD0001"]
    finally:
        again.stop()


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_workers_outlive_a_killed_queue(
    app: object,
    own_queue: ValkeyServer,
    amazon_store: Store,
    start_worker: StartProcess,
    start_process: StartProcess,
) -> None:
    """kill -9 of Valkey in the middle of a sync; it opens its file again and the run ends by itself."""
    start_worker()
    start_process("webapp", "scheduler")
    with unit_of_work():
        run_id = runs.start(db.session.get_one(Store, amazon_store.id), actor=Actor.operator()).id
    until(lambda: db.session.query(Order).count() > 0, "the first page")
    assert own_queue.process is not None
    own_queue.process.kill()
    own_queue.process.wait()
    again = start(Path(own_queue.url.removeprefix("unix://")).parent)
    try:
        until(lambda: db.session.get_one(Run, run_id).state == "done", "the run's end")
        check_equal(amazon_store)
    finally:
        again.stop()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_busy_database_is_a_sentence_and_changes_nothing(
    app: object, make_order: Callable[..., Order], mia: Actor, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = make_order()
    path = database.removeprefix("sqlite:///")
    db.session.rollback()
    with db.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=200")
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        held.set()
        release.wait(60)
        other.execute("ROLLBACK")
        other.close()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(60)
    try:
        with pytest.raises(DatabaseBusy), unit_of_work():
            ship_order(locked(order), [PackageInput("DHL", "JD0001")], actor=mia)
    finally:
        release.set()
        holder.join()
    assert db.session.query(ChannelUpdate).count() == 0
    assert queue("delivering").count == 0
