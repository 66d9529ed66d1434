"""Cancellations with everything real: workers killed within them, answers lost, buyers who cancel meanwhile."""

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from plugins.amazon.feeds.messages import ACKNOWLEDGEMENT
from plugins.amazon.practice import PracticeServer
from tests.journeys.conftest import StartProcess, until
from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.db import db, unit_of_work
from webapp.errors import Refusal
from webapp.fulfillment.canceling import cancel_orders
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.holding import CANCEL_HOLD, SETTINGS
from webapp.fulfillment.services import ship_order
from webapp.orders.models import Order
from webapp.orders.queries import find_order
from webapp.settings.services import store_all
from webapp.sync import jobs
from webapp.updates.models import OPEN, ChannelUpdate

pytestmark = [pytest.mark.slow, pytest.mark.own_desk]

ME = Actor.operator()
STEPS = [
    ("sqlite", "webapp.sync.jobs.claim_due", "after"),
    ("postgres", "plugins.amazon.channel.AmazonChannel.deliver", "after"),
    ("sqlite", "webapp.sync.settling._settle_one", "after"),
]


@pytest.fixture(autouse=True)
def _goes_at_once(amazon_store: Store) -> None:
    with unit_of_work():
        store_all(SETTINGS, {CANCEL_HOLD.name: 0}, db.session.get_one(Store, amazon_store.id))


def placed(practice: PracticeServer, store: Store, count: int = 1, **wish: Any) -> list[str]:
    """Place orders there and read them; returns their numbers."""
    wish = {"marketplace": "DE", "status": "UNSHIPPED"} | wish
    numbers = [one["order_id"] for one in practice.client.place_many(count, **wish)]
    for number in numbers:
        jobs.fetch_order(store.id, number)
    return numbers


def cancel(numbers: Sequence[str]) -> None:
    with unit_of_work():
        orders = [find_order(number, ME, lock=True) for number in numbers]
        cancel_orders(orders, "NoInventory", actor=ME)


def states(kind: str = "cancel") -> list[str]:
    db.session.expire_all()
    query = select(ChannelUpdate.state).where(ChannelUpdate.kind == kind).order_by(ChannelUpdate.id)
    return list(db.session.scalars(query))


def read_open(store: Store) -> list[str]:
    """Read the orders with open updates, not waiting for the desk's own next look; returns their numbers."""
    db.session.expire_all()
    open_ones = select(Order.channel_order_number).join(ChannelUpdate, ChannelUpdate.order_id == Order.id)
    numbers = list(db.session.scalars(open_ones.where(ChannelUpdate.state.in_(set(OPEN) - {"refused"})).distinct()))
    for number in numbers:
        jobs.fetch_order(store.id, number)
    return numbers


@pytest.mark.parametrize(("database", "step", "when"), STEPS, indirect=["database"])
def test_a_worker_killed_within_a_cancellation_cancels_once(
    practice: PracticeServer,
    amazon_store: Store,
    start_worker: StartProcess,
    start_process: StartProcess,
    tmp_path: Path,
    step: str,
    when: str,
) -> None:
    numbers = placed(practice, amazon_store, 2)
    cancel(numbers)
    start_worker(step, when)
    start_process("webapp", "scheduler")
    until((tmp_path / "died").exists, "the worker's death")
    until(lambda: states() == ["effective"] * 2, "the cancellations")
    for number in numbers:
        assert practice.client.effects(number) == 1
        assert len(practice.client.told(number)) == 1
        order = find_order(number, ME)
        assert (order.state, order.canceling, order.channel_status) == ("canceled", False, "CANCELLED")
    assert len(practice.client.feeds()) == 1


@pytest.mark.parametrize(
    ("database", "seed", "lossy"),
    [
        ("sqlite", 0, False),
        ("postgres", 0, False),  # what is lost is looked for for minutes: that is soaked
        *(pytest.param("postgres", seed, True, marks=pytest.mark.soak) for seed in range(1, 11)),
        *(pytest.param("sqlite", seed, True, marks=pytest.mark.soak) for seed in range(11, 21)),
    ],
    indirect=["database"],
)
def test_whatever_happens_at_once_both_sides_agree_in_the_end(
    practice: PracticeServer,
    amazon_store: Store,
    start_worker: StartProcess,
    start_process: StartProcess,
    seed: int,
    lossy: bool,
) -> None:
    """Orders are canceled, shipped, canceled by buyers and shipped elsewhere; on a lossy line, answers get lost."""
    chance = random.Random(f"{seed} {db.engine.dialect.name}")
    print(f"seed {seed}")
    amazon, numbers = practice.client, placed(practice, amazon_store, 8)
    start_worker()
    start_process("webapp", "scheduler")
    for operation, fault in (("createFeed", "500"), ("confirmShipment", "drop"), ("getFeed", "500")):
        if lossy and (times := chance.randint(0, 2)):
            amazon.fault(operation, fault, when="after", times=times)
    shipped_here = set()
    for number in chance.sample(numbers, len(numbers)):
        for act in chance.sample(("cancel", "ship", "buyer", "elsewhere", "nothing"), 2):
            try:
                if act == "cancel":
                    cancel([number])
                elif act == "ship":
                    with unit_of_work():
                        ship_order(find_order(number, ME, lock=True), [PackageInput("DHL", f"JD{number}")], actor=ME)
                    shipped_here.add(number)
                elif act == "buyer":
                    amazon.cancel(number)
                elif act == "elsewhere":
                    amazon.ship_elsewhere(number, carrier="DHL", tracking=f"ELSE{number}")
            except Refusal:
                db.session.rollback()
    until(lambda: not read_open(amazon_store) or time.sleep(2), "the end of every update")  # getOrder has its allowance
    for number in numbers:
        jobs.fetch_order(amazon_store.id, number)
        there, order = amazon.order(number), find_order(number, ME)
        assert order.channel_status == there["status"]
        assert not order.canceling
        if there["status"] == "CANCELLED":
            assert order.state == ("complete" if number in shipped_here else "canceled")
            assert not there["packages"]
        elif there["status"] == "SHIPPED":
            assert order.state == "complete"
        ours = [told for told in amazon.told(number) if told["effect"] in ("new", "canceled")]
        assert len(ours) <= 1
        for line in order.lines:
            assert line.shipped + line.canceled <= line.ordered
    fed = [feed for feed in amazon.feeds() if feed["feedType"] == ACKNOWLEDGEMENT]
    assert sum(feed["messages"] or 0 for feed in fed) <= len(states())
    assert db.session.scalar(select(Order.id).where(Order.canceling)) is None
