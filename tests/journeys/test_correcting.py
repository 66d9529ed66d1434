"""A correction with everything real: a worker killed within it, or its answer lost, edits the practice Amazon's package
once; there is never a second one.
"""

import time
from pathlib import Path

import pytest

from plugins.amazon.practice import PracticeServer
from tests.journeys.conftest import StartProcess, until
from tests.journeys.test_canceling import ME, placed, read_open, states
from webapp.channels.models import Store
from webapp.db import db, unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.correcting import Correction, correct_shipment
from webapp.fulfillment.models import Package
from webapp.fulfillment.services import ship_order
from webapp.orders.queries import find_order

pytestmark = [pytest.mark.slow, pytest.mark.own_desk]

STEPS = [
    ("postgres", "webapp.sync.jobs.claim_due", "after"),
    ("sqlite", "plugins.amazon.channel.AmazonChannel.deliver", "after"),
]


@pytest.mark.parametrize(("database", "step", "when"), STEPS, indirect=["database"])
def test_a_worker_killed_within_a_correction_leaves_one_package_with_the_new_number(
    practice: PracticeServer,
    amazon_store: Store,
    start_worker: StartProcess,
    start_process: StartProcess,
    tmp_path: Path,
    step: str,
    when: str,
) -> None:
    [number] = placed(practice, amazon_store)
    with unit_of_work():
        ship_order(find_order(number, ME, lock=True), [PackageInput("DHL", "JD1")], actor=ME)
    practice.client.fault("confirmShipment", "drop", when="after")
    start_worker(step, when)
    start_process("webapp", "scheduler")
    until((tmp_path / "died").exists, "the worker's death")
    with unit_of_work():
        correct_shipment(find_order(number, ME, lock=True), 1, Correction(tracking_number="JD2"), actor=ME)
    until(lambda: not read_open(amazon_store) or time.sleep(2), "the correction")  # getOrder has its allowance
    assert states("shipment")[-1] == "effective"
    assert [package["tracking"] for package in practice.client.order(number)["packages"]] == ["JD2"]
    assert [package.tracking_number for package in db.session.query(Package)] == ["JD2"]
    assert find_order(number, ME).attention == []
