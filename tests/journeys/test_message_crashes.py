"""Messages with everything real: workers killed around the sending call; the buyer never gets one twice."""

from pathlib import Path

import pytest
from sqlalchemy import update

from plugins.amazon.practice import PracticeServer
from tests.journeys.conftest import StartProcess, until
from tests.mail_server import mail_server
from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.mail.models import UNSENT_STATES, Mail
from webapp.messaging.message_settings import BUYER_MAIL, MESSAGE_HOLD, MESSAGES
from webapp.messaging.services import write_message
from webapp.orders.queries import find_order
from webapp.settings.services import store_all
from webapp.sync import jobs
from webapp.sync.allowed_messages import ask_allowed
from webapp.updates.models import ChannelUpdate

pytestmark = [pytest.mark.slow, pytest.mark.own_desk]

ME = Actor.operator()
DELIVER = "plugins.amazon.channel.AmazonChannel.deliver"


STEPS = [
    ("sqlite", DELIVER, "before", "effective"),
    ("postgres", DELIVER, "after", "unknown"),
    *(
        pytest.param(database, step, when, end, marks=pytest.mark.soak)
        for database in ("sqlite", "postgres")
        for step, when, end in (
            ("webapp.sync.jobs.claim_due", "before", "effective"),
            ("webapp.sync.jobs.claim_due", "after", "effective"),
            ("webapp.sync.leases.HeldUpdates.attempt", "before", "effective"),
            ("webapp.sync.leases.HeldUpdates.attempt", "after", "unknown"),
            (DELIVER, "before", "effective"),
            (DELIVER, "after", "unknown"),
            ("webapp.sync.settling._settle_one", "before", "unknown"),
        )
    ),
]


@pytest.mark.parametrize(("database", "step", "when", "end"), STEPS, indirect=["database"])
def test_a_message_whose_worker_was_killed_is_sent_once_or_is_unknown(
    practice: PracticeServer,
    amazon_store: Store,
    start_worker: StartProcess,
    start_process: StartProcess,
    tmp_path: Path,
    step: str,
    when: str,
    end: str,
) -> None:
    with unit_of_work():
        store_all(MESSAGES, {MESSAGE_HOLD.name: 0}, db.session.get_one(Store, amazon_store.id))
    number = practice.client.place(marketplace="DE", status="UNSHIPPED")["order_id"]
    jobs.fetch_order(amazon_store.id, number)
    ask_allowed(find_order(number, ME).id)
    start_worker(step, when)
    with unit_of_work():
        write_message(find_order(number, ME, lock=True), "unexpectedProblem", "Your mug is late.", actor=ME)
    start_process("webapp", "scheduler")

    def reached() -> str:
        db.session.expire_all()
        return db.session.query(ChannelUpdate).filter_by(kind="message").one().state

    until((tmp_path / "died").exists, "the worker's death")
    until(lambda: reached() == end, "the message's end")
    told = [one["body"]["text"] for one in practice.client.told(number) if one["effect"] == "messaged"]
    sent = not (step.endswith("attempt") and when == "after")  # nobody can know that it was not
    assert told == ["Your mug is late."] * sent


SEND = "webapp.mail.server.Conversation.send"
MAIL_STEPS = [
    ("postgres", SEND, "before", "sent"),
    ("sqlite", SEND, "after", "unknown"),
    *(
        pytest.param(database, step, when, end, marks=pytest.mark.soak)
        for database in ("sqlite", "postgres")
        for step, when, end in (
            ("webapp.mail.queue._claim", "before", "sent"),
            ("webapp.mail.queue._claim", "after", "sent"),
            (SEND, "before", "sent"),
            (SEND, "after", "unknown"),
            ("webapp.mail.queue._moved", "before", "sent"),
            ("webapp.mail.queue._moved", "after", "unknown"),
        )
    ),
]


@pytest.mark.parametrize(("database", "step", "when", "end"), MAIL_STEPS, indirect=["database"])
def test_a_mail_whose_worker_was_killed_is_sent_once_or_is_unknown(
    practice: PracticeServer,
    amazon_store: Store,
    start_worker: StartProcess,
    start_process: StartProcess,
    tmp_path: Path,
    step: str,
    when: str,
    end: str,
) -> None:
    with mail_server() as postbox:
        with unit_of_work():
            store = db.session.get_one(Store, amazon_store.id)
            store_all(MESSAGES, {MESSAGE_HOLD.name: 0}, store)
            store_all(BUYER_MAIL, {"by_mail": True}, store)
        number = practice.client.place(marketplace="DE", status="UNSHIPPED")["order_id"]
        jobs.fetch_order(amazon_store.id, number)
        with unit_of_work():  # buyers of a practice store get no mail from another server
            db.session.get_one(Store, amazon_store.id).practice = False
        start_worker(step, when)
        with unit_of_work():
            write_message(find_order(number, ME, lock=True), "mail", "Your mug is late.", actor=ME)
        start_process("webapp", "scheduler")
        until((tmp_path / "died").exists, "the worker's death")
        with unit_of_work():  # the minutes pass after which its claim is over
            db.session.execute(update(Mail).where(Mail.state.in_(UNSENT_STATES)).values(next_at=now()))

        def reached() -> str:
            db.session.expire_all()
            return db.session.query(Mail).one().state

        until(lambda: reached() == end, "the mail's end")
        sent = not (step.endswith("_moved") and when == "after")  # nobody can know that it was not
        assert [mail.get_content().strip() for mail in postbox.mails] == ["Your mug is late."] * sent
