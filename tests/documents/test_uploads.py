"""Uploads of invoices and credit memos: which documents are owed one, when it goes, and what becomes of it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask

from tests.conftest import run_by_the_clock, run_jobs
from tests.refunds import refund, reverse, shipped_order
from tests.uploads import switch, take_documents
from webapp.audit.actor import Actor
from webapp.billing.invoice_list import INVOICE_LIST, INVOICES
from webapp.billing.memo_list import CREDIT_MEMOS, MEMO_LIST
from webapp.billing.models import CreditMemo, Invoice
from webapp.billing.services import issue_invoice
from webapp.channels.incoming import INVOICE_BY_CHANNEL, ChannelStage, IncomingOrder
from webapp.channels.models import Store
from webapp.channels.outgoing import Effective, NotCarriedOut, Refused, Sent
from webapp.channels.services import add_store
from webapp.channels.uploads import UploadedDocument
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.documents import upload_dues
from webapp.documents.upload_dues import remember
from webapp.documents.upload_settings import SINCE, UPLOAD, UPLOADS, uploads_since
from webapp.documents.uploads import BuyerErased, CanceledThere, uploads_of
from webapp.errors import Invalid, sentence_of
from webapp.lists.contract import Subject
from webapp.lists.rows import read_rows, values_of
from webapp.orders.events import events_of
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.search.contract import Label
from webapp.search.registered import list_columns
from webapp.settings.services import change, store_all
from webapp.testing import JAPAN, FakeChannel, again, incoming_line, incoming_order, line_again
from webapp.updates import deciding
from webapp.updates.models import ChannelUpdate
from webapp.vault.services import erase

Take = Callable[..., list[Order]]


@pytest.fixture
def taking(channel: FakeChannel, monkeypatch: pytest.MonkeyPatch) -> FakeChannel:
    take_documents(monkeypatch)
    return channel


def issue(order: Order, actor: Actor) -> Invoice:
    with unit_of_work():
        return issue_invoice(locked(order), actor=actor)


def upload_of(document: Invoice | CreditMemo) -> ChannelUpdate | None:
    db.session.expire_all()
    return uploads_of([document]).get(document.id)


def state_of(document: Invoice | CreditMemo) -> str:
    upload = upload_of(document)
    return upload.state if upload else ""


def later(minutes: float) -> None:
    """Let the desk's workers do what is due then."""
    with time_machine.travel(now() + timedelta(minutes=minutes), tick=True):
        run_by_the_clock()


def shown_shipped(incoming: IncomingOrder) -> IncomingOrder:
    lines = line_again(incoming, 0, fulfilled=incoming.lines[0].ordered, unfulfilled=0)
    return again(incoming, stage=ChannelStage.SHIPPED, status="SHIPPED", lines=lines)


def uploaded(channel: FakeChannel) -> list[UploadedDocument]:
    return [one.private["document"] for one in channel.delivered if "document" in one.private]


def column(code: str, subject: Subject, row_id: int, actor: Actor) -> Any:
    """What a list says of the upload of one of its rows."""
    shown = list_columns(code)["upload"]
    return values_of(shown, read_rows(subject, actor, [row_id], [shown]), actor)[row_id]


def test_an_invoice_goes_once_the_order_is_shipped_and_its_credit_memo_after_it(
    taking: FakeChannel, store: Store, take: Take, mia: Actor
) -> None:
    switch(store)
    incoming = incoming_order([incoming_line("MUG", 2)])
    [order] = take(incoming)
    invoice = issue(order, mia)
    run_by_the_clock()
    waiting = upload_of(invoice)
    assert waiting is not None
    assert (waiting.state, waiting.reference) == ("owed", invoice.number)
    assert "whole order as shipped" in (sentence_of(waiting.problem) or "")
    assert not uploaded(taking)

    take(shown_shipped(incoming))
    memo = refund(order, actor=mia)
    later(20)
    [document] = uploaded(taking)
    assert (document.number, document.total, document.tax) == (invoice.number, invoice.total_minor, 400)
    db.session.rollback()
    assert "pdf" not in vars(document)  # it is drawn once it is read, without the database
    assert document.pdf.startswith(b"%PDF-")
    assert not db.session().in_transaction()
    assert "Jane" not in f"{taking.delivered} {waiting.payload}"
    assert (state_of(invoice), state_of(memo)) == ("sent", "owed")
    assert column(CREDIT_MEMOS, MEMO_LIST, memo.id, mia) == [Label("Upload waiting", "waits")]

    taking.found = [Effective()]
    later(40)
    assert state_of(invoice) == "effective"
    later(60)
    assert column(INVOICES, INVOICE_LIST, invoice.id, mia) == [Label("Uploaded", "good")]
    assert [(one.number, one.is_credit_memo) for one in uploaded(taking)][1:] == [(memo.number, True)]
    assert "document_uploaded" in [event.code for event in events_of(order)]


def test_only_what_the_store_wants_uploaded_is_owed_and_the_rest_once_it_does(
    taking: FakeChannel, store: Store, take: Take, mia: Actor
) -> None:
    wanted, flagged, other = take(
        shipped_order(),
        shipped_order(flags=frozenset({INVOICE_BY_CHANNEL})),
        shipped_order(marketplace=JAPAN.id),
    )
    invoices = [issue(order, mia) for order in (wanted, flagged, other)]
    run_jobs()
    switch(store, days_ago=-2)  # from the day after tomorrow on
    assert [state_of(one) for one in invoices] == ["", "", ""]

    switch(store)
    assert [state_of(one) for one in invoices] == ["sent", "", ""]
    memo = refund(wanted, actor=mia)
    opposite = reverse(memo, actor=mia)
    run_jobs()
    assert (state_of(memo), state_of(opposite)) == ("owed", "")

    switch(store, None)
    later(20)
    assert state_of(memo) == "withdrawn"
    switch(store)
    assert state_of(memo) == "owed"
    with unit_of_work():
        deciding.undo(upload_of(memo), actor=mia)
        remember([wanted.id])
    later(1)
    assert state_of(memo) == "withdrawn"  # a person said so


def test_a_store_that_is_switched_on_while_the_job_looks_is_looked_at_again(
    app: Flask, taking: FakeChannel, store: Store, take: Take, mia: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    [order] = take(shipped_order())
    invoice, store_id, look = issue(order, mia), store.id, upload_dues._owe

    def switch_on() -> None:
        with app.app_context():
            values = {UPLOAD.name: True, SINCE.name: now().date().isoformat()}
            with unit_of_work():
                store_all(UPLOADS, values, db.session.get_one(Store, store_id))
            db.session.remove()

    with ThreadPoolExecutor(1) as pool, monkeypatch.context() as patch:

        def meanwhile(one: Order) -> None:
            look(one)
            wait([pool.submit(switch_on)], timeout=0.5)  # it waits for the job

        patch.setattr(upload_dues, "_owe", meanwhile)
        run_jobs()
    run_jobs()
    assert state_of(invoice) == "sent"


def test_what_the_channel_does_not_take_is_shown_and_tried_again(
    taking: FakeChannel, store: Store, take: Take, mia: Actor
) -> None:
    switch(store)
    [order] = take(shipped_order())
    taking.outcomes = [Sent("f1"), Sent("f2")]
    taking.found = [NotCarriedOut(seconds=3600, problem="Too early."), Refused("The total is wrong.")]
    invoice = issue(order, mia)
    run_jobs()
    later(5)
    early = upload_of(invoice)
    assert early is not None
    assert (early.state, sentence_of(early.problem)) == ("owed", "Too early.")
    assert early.due_at > now() + timedelta(minutes=60)

    later(70)
    later(75)
    assert state_of(invoice) == "refused"
    db.session.refresh(order)
    assert [trouble["kind"] for trouble in order.attention] == ["document_not_uploaded"]
    taking.found = [Effective()]
    with unit_of_work():
        deciding.retry(upload_of(invoice), actor=mia)
    later(80)
    later(90)
    assert state_of(invoice) == "effective"
    db.session.refresh(order)
    assert not order.attention


def test_a_document_of_an_erased_buyer_stays_here(taking: FakeChannel, store: Store, take: Take, mia: Actor) -> None:
    switch(store)
    incoming = incoming_order()
    [order] = take(incoming)
    invoice = issue(order, mia)
    run_jobs()
    with unit_of_work():
        erase([order.id])
    take(shown_shipped(incoming))
    later(20)
    upload = upload_of(invoice)
    assert upload is not None
    assert (upload.state, (upload.problem or {})["code"]) == ("withdrawn", BuyerErased.code)


def test_a_canceled_order_holds_nothing_up(taking: FakeChannel, store: Store, take: Take, mia: Actor) -> None:
    switch(store)
    incoming = incoming_order()
    [order] = take(incoming)
    invoice = issue(order, mia)
    run_jobs()
    take(again(incoming, stage=ChannelStage.CANCELED, status="CANCELLED"))
    later(20)
    upload = upload_of(invoice)
    assert upload is not None
    assert (upload.state, (upload.problem or {})["code"]) == ("withdrawn", CanceledThere.code)
    assert uploaded(taking) == []


def test_uploads_need_a_day_and_practice_stores_have_them_on(
    taking: FakeChannel, store: Store, operator: Actor
) -> None:
    with pytest.raises(Invalid), unit_of_work():
        change(UPLOADS, {UPLOAD.name: True}, store, actor=operator)
    assert uploads_since(store) is None
    with unit_of_work():
        practice = add_store("fake", "Practice", {"key": "k"}, actor=operator, practice=True)
    assert uploads_since(practice) is not None


def test_a_channel_without_uploads_is_left_alone(channel: FakeChannel, store: Store, take: Take, mia: Actor) -> None:
    [order] = take(shipped_order())
    invoice = issue(order, mia)
    run_by_the_clock()
    assert state_of(invoice) == ""
    assert not UPLOADS.declared(store)
