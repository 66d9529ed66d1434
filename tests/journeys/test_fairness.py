"""What a person waits for never waits for a channel: few workers, a slow Amazon on three stores, and a bulk act."""

import time
from collections.abc import Callable

import pytest
from sqlalchemy import select

from plugins.amazon.plugin import practice_settings
from plugins.amazon.practice import PracticeServer
from tests.journeys.conftest import StartProcess, until
from tests.journeys.test_hostile_amazon import sync
from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.channels.services import access, add_store, get_channel, remember_marketplaces
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.jobs.backlog import workers
from webapp.jobs.models import Run
from webapp.orders import bulk
from webapp.orders.models import Order
from webapp.orders.queries import visible
from webapp.orders.services import find_action, read_input
from webapp.sync.models import StoreSync

SLOW = 25.0  # seconds that this Amazon takes to answer
FIRST_RESULT = 5.0  # seconds in which a bulk act shows its first result on a quiet machine

pytestmark = [pytest.mark.slow, pytest.mark.own_desk]


def hold(reason: str) -> float:
    """Hold orders in a bulk act as a person would; returns the seconds until its first result."""
    operator, action = Actor.operator(), find_action("hold")
    open_orders = visible(operator).where(Order.state == "processing", ~Order.on_hold).with_only_columns(Order.id)
    ids = list(db.session.scalars(open_orders.limit(5)))
    assert len(ids) == 5
    begun = time.monotonic()
    with unit_of_work():
        run_id = bulk.start_bulk("hold", read_input(action, {"reason": reason}), actor=operator, ids=ids).id
    until(lambda: db.session.get_one(Run, run_id).done > 0, "the first result")
    return time.monotonic() - begun


def test_a_bulk_act_does_not_wait_for_a_slow_amazon_and_an_endless_import(
    practice: PracticeServer,
    amazon_store: Store,
    work: Callable[[], int],
    start_process: StartProcess,
) -> None:
    sync(amazon_store, work)
    start_process("webapp", "worker")
    until(lambda: workers() == 3, "all workers")
    alone = hold("while nothing else is done")

    practice.client.fault("searchOrders", "slow", times=1000, seconds=SLOW)
    for region in ("na", "fe"):
        with unit_of_work():
            settings = practice_settings(practice.url, region=region)
            other = add_store("amazon", f"Practice {region}", settings, actor=Actor.operator(), practice=True)
            credentials = access(other)
        connection = get_channel("amazon").connect(credentials)
        with unit_of_work():
            remember_marketplaces(db.session.get_one(Store, other.id), connection)
    with unit_of_work():
        db.session.get_one(StoreSync, (amazon_store.id, "orders")).next_at = now()
    start_process("webapp", "scheduler")
    reading = select(StoreSync.store_id).where(StoreSync.lease_until.is_not(None))
    until(lambda: db.session.scalar(reading), "the slow answer's beginning")

    begun = time.monotonic()
    beside = hold("while Amazon takes its time")

    assert db.session.scalar(reading), "Amazon had answered: nothing was proven"
    assert time.monotonic() - begun < SLOW
    assert beside <= max(FIRST_RESULT, 3 * alone)
