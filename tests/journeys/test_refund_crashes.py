"""Refunds with everything real: workers killed within them; Amazon refunds once, and the memo is issued once."""

from pathlib import Path

import pytest

from plugins.amazon.feeds.messages import ADJUSTMENT
from plugins.amazon.practice import PracticeServer
from tests.journeys.conftest import StartProcess, until
from webapp.audit.actor import Actor
from webapp.billing.holding import REFUND_HOLD, SETTINGS
from webapp.billing.memos import record_refund
from webapp.billing.models import CreditMemo, MemoState
from webapp.billing.refundable import LineWish, Wish
from webapp.channels.models import Store
from webapp.db import db, unit_of_work
from webapp.orders.queries import find_order
from webapp.settings.services import store_all
from webapp.sync import jobs
from webapp.updates.deciding import send_now
from webapp.updates.models import ChannelUpdate

pytestmark = [pytest.mark.slow, pytest.mark.own_desk]

ME = Actor.operator()
UNDECIDED = ("webapp.sync.leases.HeldUpdates.attempt", "after")  # whether its feed left is known half an hour later
STEPS = [
    ("sqlite", "plugins.amazon.channel.AmazonChannel.deliver", "after"),
    ("postgres", "webapp.billing.refund_updates.issue_memos", "after"),
    *(
        pytest.param(database, step, when, marks=pytest.mark.soak)
        for database in ("sqlite", "postgres")
        for step in (
            "webapp.sync.jobs.claim_due",
            "webapp.sync.leases.HeldUpdates.attempt",
            "plugins.amazon.channel.AmazonChannel.deliver",
            "webapp.sync.settling._settle_one",
            "webapp.sync.jobs.claim_to_look_up",
            "webapp.billing.refund_updates.issue_memos",
        )
        for when in ("before", "after")
        if (step, when) != UNDECIDED
    ),
]


@pytest.mark.parametrize(("database", "step", "when"), STEPS, indirect=["database"])
def test_a_worker_killed_within_a_refund_refunds_once(
    practice: PracticeServer,
    amazon_store: Store,
    start_worker: StartProcess,
    start_process: StartProcess,
    tmp_path: Path,
    step: str,
    when: str,
) -> None:
    with unit_of_work():
        store_all(SETTINGS, {REFUND_HOLD.name: 0}, db.session.get_one(Store, amazon_store.id))
    number = practice.client.place(marketplace="DE", status="UNSHIPPED")["order_id"]
    practice.client.ship_elsewhere(number, carrier="DHL", tracking="JD1")
    jobs.fetch_order(amazon_store.id, number)
    with unit_of_work():
        order = find_order(number, ME, lock=True)
        wish = Wish({line.id: LineWish(line.shipped) for line in order.lines})
        memo_id = record_refund(order, wish, "CustomerReturn", actor=ME).id
    with unit_of_work():  # else it waits for others of its feed type, as Amazon asks for
        send_now(db.session.query(ChannelUpdate).filter_by(kind="refund").one(), actor=ME)
    start_worker(step, when)
    start_process("webapp", "scheduler")

    def memo() -> CreditMemo:
        db.session.expire_all()
        return db.session.get_one(CreditMemo, memo_id)

    until((tmp_path / "died").exists, "the worker's death")
    until(lambda: memo().state == MemoState.ISSUED, "the credit memo")
    assert memo().number == "CM-000001"
    assert db.session.query(ChannelUpdate).filter_by(kind="refund").one().state in ("accepted", "effective")
    assert len(practice.client.refunds(number)) == 1
    assert sum(feed["messages"] or 0 for feed in practice.client.feeds() if feed["feedType"] == ADJUSTMENT) == 1
    order = find_order(number, ME)
    assert (order.refunding_minor, order.refunded_minor) == (0, memo().total_minor)
