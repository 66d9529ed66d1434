"""Uploads of invoices with everything real: workers killed within them; Amazon gets the document once."""

from pathlib import Path

import pytest

from plugins.amazon.practice import PracticeServer
from tests.journeys.conftest import StartProcess, until
from webapp.audit.actor import Actor
from webapp.billing.services import issue_invoice
from webapp.channels.models import Store
from webapp.channels.uploads import INVOICE_UPLOAD
from webapp.db import db, unit_of_work
from webapp.orders.queries import find_order
from webapp.sync import jobs
from webapp.updates.models import ChannelUpdate

pytestmark = [pytest.mark.slow, pytest.mark.own_desk]

ME = Actor.operator()
STEPS = [
    ("sqlite", "plugins.amazon.channel.AmazonChannel.deliver", "after"),
    *(
        pytest.param(database, step, when, marks=pytest.mark.soak)
        for database in ("sqlite", "postgres")
        for step, when in (
            ("webapp.documents.upload_dues._owe", "after"),
            ("webapp.sync.jobs.claim_due", "after"),
            ("webapp.sync.jobs.to_send", "after"),
            ("webapp.sync.leases.HeldUpdates.attempt", "after"),
            ("plugins.amazon.channel.AmazonChannel.deliver", "after"),
            ("webapp.sync.settling._settle_one", "after"),
            ("webapp.sync.jobs.claim_to_look_up", "after"),
            ("webapp.documents.uploads.DocumentUpload.settled", "before"),
        )
    ),
]


@pytest.mark.parametrize(("database", "step", "when"), STEPS, indirect=["database"])
def test_a_worker_killed_within_an_upload_uploads_once(
    practice: PracticeServer,
    amazon_store: Store,
    start_worker: StartProcess,
    start_process: StartProcess,
    tmp_path: Path,
    step: str,
    when: str,
) -> None:
    number = practice.client.place(marketplace="DE", status="SHIPPED")["order_id"]
    jobs.fetch_order(amazon_store.id, number)
    with unit_of_work():
        invoice = issue_invoice(find_order(number, ME, lock=True), actor=ME).number
    start_worker(step, when)
    start_process("webapp", "scheduler")

    def state() -> str:
        db.session.expire_all()
        row = db.session.query(ChannelUpdate).filter_by(kind=INVOICE_UPLOAD, reference=invoice).one_or_none()
        return row.state if row else ""

    until((tmp_path / "died").exists, "the worker's death")
    until(lambda: state() == "effective", "the upload")
    told = [one for one in practice.client.told(number) if one["effect"] != "same"]
    assert [one["body"]["invoicenumber"] for one in told] == [invoice]
