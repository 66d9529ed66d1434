"""Workers killed with SIGKILL while a plugin's exclusive kind, which is not repeatable, goes out: paid once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from tests.journeys.conftest import StartProcess, until
from tests.updates import till as tills
from webapp.audit.actor import Actor
from webapp.channels.incoming import OrdersPage
from webapp.channels.models import Store
from webapp.channels.services import add_store
from webapp.db import db, unit_of_work
from webapp.hooks import hooks
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.sync import jobs
from webapp.sync.taking_in.pages import prepare, take_in
from webapp.testing import incoming_order
from webapp.updates.contract import Owing
from webapp.updates.models import ChannelUpdate
from webapp.updates.owing import owe

pytestmark = [pytest.mark.slow, pytest.mark.own_desk]

STEPS = [  # tests/updates tests the other steps, without processes
    ("webapp.sync.leases.HeldUpdates.attempt", "before"),
    ("webapp.sync.leases.HeldUpdates.attempt", "after"),
    ("tests.updates.till.TillChannel.send", "after"),
    ("webapp.sync.settling._settle_one", "after"),
]


@pytest.fixture
def till() -> Iterator[tills.TillServer]:
    server = tills.TillServer()
    yield server
    server.close()


@pytest.fixture
def order(app: Flask, till: tills.TillServer) -> Order:
    """An order of a store at the till."""
    hooks.manager.register(tills.plugin(), name="till")
    with unit_of_work():
        store = add_store("till", "Till", {"url": till.url, "secret": "right"}, actor=Actor.operator())
        store_id = store.id
    ready = prepare(db.session.get_one(Store, store_id), OrdersPage([incoming_order()]))
    with unit_of_work():
        take_in(db.session.get_one(Store, store_id), ready)
    return db.session.query(Order).one()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("step", "when"), STEPS)
def test_a_worker_killed_while_it_pays_pays_once(
    till: tills.TillServer,
    order: Order,
    start_worker: StartProcess,
    tmp_path: Path,
    step: str,
    when: str,
) -> None:
    with unit_of_work():
        [row] = owe("credit", [Owing(locked(order), tills.Credit(1, 100))])
        row.state, row.due_at = "owed", row.created_at
        update_id = row.id
    start_worker(step, when, plugin=tills.__name__)

    def state() -> str:
        jobs.find_due()  # as the clock would, which knows the plugin only here
        return db.session.get_one(ChannelUpdate, update_id).state

    until(lambda: state() and (tmp_path / "died").exists(), "the worker's death")
    until(lambda: state() in ("sent", "accepted"), "the payment")
    assert till.ledger.paid == ["C1"]
