"""Review requests with everything real: workers killed around the requesting call; a review is requested once."""

from pathlib import Path

import pytest

from plugins.amazon.practice import PracticeServer
from tests.journeys.conftest import StartProcess, until
from webapp.channels.models import Store
from webapp.db import db, unit_of_work
from webapp.messaging.jobs import request_reviews
from webapp.messaging.message_settings import MESSAGE_HOLD, MESSAGES as SETTINGS
from webapp.messaging.review_settings import REQUEST, REVIEWS
from webapp.settings.services import store_all
from webapp.sync import jobs
from webapp.updates.models import ChannelUpdate

pytestmark = [pytest.mark.slow, pytest.mark.own_desk]

DELIVER = "plugins.amazon.channel.AmazonChannel.deliver"
STEPS = [
    ("sqlite", DELIVER, "after"),
    *(
        pytest.param(database, step, when, marks=pytest.mark.soak)
        for database in ("sqlite", "postgres")
        for step, when in (
            ("webapp.messaging.review_rule._consider", "before"),
            ("webapp.messaging.review_rule._consider", "after"),
            ("webapp.messaging.review_rule.work_off", "after"),
            ("webapp.sync.jobs.claim_due", "before"),
            ("webapp.sync.jobs.claim_due", "after"),
            ("webapp.sync.leases.HeldUpdates.attempt", "before"),
            ("webapp.sync.leases.HeldUpdates.attempt", "after"),
            (DELIVER, "before"),
            (DELIVER, "after"),
            ("webapp.sync.settling._settle_one", "before"),
            ("webapp.sync.jobs.claim_to_look_up", "after"),
        )
    ),
]


@pytest.mark.parametrize(("database", "step", "when"), STEPS, indirect=["database"])
def test_a_review_whose_worker_was_killed_is_requested_once(
    practice: PracticeServer,
    amazon_store: Store,
    start_worker: StartProcess,
    start_process: StartProcess,
    tmp_path: Path,
    step: str,
    when: str,
) -> None:
    number = practice.client.place(marketplace="DE", status="SHIPPED", placed_ago=20 * 86_400)["order_id"]
    jobs.fetch_order(amazon_store.id, number)
    if step.endswith("look_up"):  # which only a lost answer is
        practice.client.fault("createProductReviewAndSellerFeedbackSolicitation", "drop", when="after")
    start_worker(step, when)
    with unit_of_work():
        store = db.session.get_one(Store, amazon_store.id)
        store_all(SETTINGS, {MESSAGE_HOLD.name: 0}, store)
        store_all(REVIEWS, {REQUEST.name: True}, store)
        request_reviews.enqueue()
    start_process("webapp", "scheduler")

    def reached() -> str:
        db.session.expire_all()
        row = db.session.query(ChannelUpdate).filter_by(kind="review_request").one_or_none()
        return row.state if row else ""

    until((tmp_path / "died").exists, "the worker's death")
    until(lambda: reached() == "effective", "the request's end")
    assert [one["effect"] for one in practice.client.told(number)] == ["solicited"]
