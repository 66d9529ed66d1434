"""Workers killed with SIGKILL at every step of a page, of a window and of a delivery: nothing lost, nothing twice."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from plugins.amazon.practice import PracticeServer
from tests.journeys.conftest import StartProcess, until
from webapp.audit.actor import Actor
from webapp.channels.incoming import IncomingOrder, OrdersWindow
from webapp.channels.models import Store
from webapp.channels.services import access, get_channel
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.jobs.models import Run
from webapp.orders.models import Order, OrderEvent
from webapp.orders.queries import find_order
from webapp.sync import jobs, runs
from webapp.updates.models import ChannelUpdate

pytestmark = [pytest.mark.slow, pytest.mark.own_desk]

PAGE_STEPS = [
    ("webapp.sync.runs.lease_lane", "after"),
    ("plugins.amazon.channel.AmazonChannel.fetch_orders", "after"),
    ("webapp.sync.order_windows.prepare", "after"),
    ("webapp.sync.taking_in.new_orders.NewOrders.write", "after"),
    ("webapp.sync.order_windows.page_done", "after"),
    ("webapp.sync.runs.finish", "after"),
    ("webapp.jobs.Job.enqueue_in", "before"),
]
ON_PAGES = [("sqlite", *step) for step in PAGE_STEPS] + [("postgres", *PAGE_STEPS[3]), ("postgres", *PAGE_STEPS[5])]
DELIVERY_STEPS = [
    ("webapp.sync.jobs.claim_due", "after"),
    ("webapp.sync.jobs.to_send", "after"),
    ("plugins.amazon.channel.AmazonChannel.deliver", "before"),
    ("plugins.amazon.channel.AmazonChannel.deliver", "after"),
    ("webapp.sync.settling._settle_one", "after"),
    ("webapp.sync.jobs.settle", "after"),
]


def sales_there(store: Store) -> dict[str, IncomingOrder]:
    """Every sale that the practice Amazon has now."""
    credentials, channel, token, found = access(store), get_channel("amazon"), None, {}
    low = now().replace(year=now().year - 1)
    while True:
        page = channel.fetch_orders(credentials, OrdersWindow(low, token))
        assert not page.unreadable
        found |= {order.number: order for order in page.orders if order.is_sale}
        token = page.next_page
        if token is None:
            return found


def check_equal(store: Store) -> None:
    """Check that the desk has exactly Amazon's orders, each once, with equal content."""
    there = sales_there(store)
    rows = list(db.session.scalars(select(Order).where(Order.store_id == store.id)))
    assert sorted(order.channel_order_number for order in rows) == sorted(there)
    for order in rows:
        told = there[order.channel_order_number]
        assert (order.channel_status, order.total_minor) == (told.status, told.total)
    numbers = [order.number for order in rows]
    assert len(set(numbers)) == len(numbers)
    placed = db.session.scalar(select(func.count()).select_from(OrderEvent).where(OrderEvent.code == "placed"))
    assert placed == len(rows)


def sync_through(store: Store) -> None:
    with unit_of_work():
        run_id = runs.start(db.session.get_one(Store, store.id), actor=Actor.operator()).id
        jobs.import_orders.enqueue(store.id)
    until(lambda: db.session.get_one(Run, run_id).state in ("done", "failed"), "the run's end")
    run = db.session.get_one(Run, run_id)
    assert run.state == "done", run.problem


@pytest.mark.parametrize(("database", "step", "when"), ON_PAGES, indirect=["database"])
def test_a_worker_killed_within_a_page_costs_nothing(
    amazon_store: Store,
    start_worker: StartProcess,
    start_process: StartProcess,
    tmp_path: Path,
    step: str,
    when: str,
) -> None:
    start_worker(step, when)
    start_process("webapp", "scheduler")
    sync_through(amazon_store)
    assert (tmp_path / "died").exists()
    check_equal(amazon_store)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_whole_worker_killed_within_a_window_is_replaced_by_another(
    amazon_store: Store, start_worker: StartProcess, start_process: StartProcess, tmp_path: Path
) -> None:
    start_worker("webapp.sync.order_windows.take_in", "after", "worker")
    start_process("webapp", "scheduler")
    with unit_of_work():
        runs.start(db.session.get_one(Store, amazon_store.id), actor=Actor.operator())
    until((tmp_path / "died").exists, "the worker's death")
    start_worker()
    sync_through(amazon_store)
    check_equal(amazon_store)


def ship(practice: PracticeServer, store: Store, number: str) -> int:
    """Place an order there, fetch it, ship it here; returns the update's id."""
    jobs.fetch_order(store.id, number)
    with unit_of_work():
        order = find_order(number, Actor.operator(), lock=True)
        ship_order(order, [PackageInput("DHL", "JD-CRASH-1")], actor=Actor.operator())
    return db.session.scalars(select(ChannelUpdate.id)).one()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("step", "when"), DELIVERY_STEPS)
def test_a_worker_killed_within_a_delivery_sends_once(
    practice: PracticeServer,
    amazon_store: Store,
    start_worker: StartProcess,
    start_process: StartProcess,
    tmp_path: Path,
    step: str,
    when: str,
) -> None:
    [placed] = practice.client.place_many(1, marketplace="DE", status="UNSHIPPED")
    number = placed["order_id"]
    update_id = ship(practice, amazon_store, number)
    start_worker(step, when)
    start_process("webapp", "scheduler")

    def state() -> str:
        return db.session.get_one(ChannelUpdate, update_id).state

    until((tmp_path / "died").exists, "the worker's death")
    until(lambda: state() in ("sent", "effective"), "the confirmation")
    assert practice.client.effects(number) == 1
    packages = [call["body"]["packageDetail"] for call in practice.client.told(number)]
    assert {(package["carrierCode"], package["trackingNumber"]) for package in packages} == {("DHL", "JD-CRASH-1")}
