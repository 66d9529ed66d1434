"""Writing to the buyer by e-mail, against a real server."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select, update

from tests.mail_server import Postbox, mail_server
from tests.plans import statements_of
from webapp.audit.actor import Actor
from webapp.billing.models import Invoice
from webapp.billing.services import issue_invoice
from webapp.channels.legal_face import SENDER
from webapp.channels.messages import MailRoute, MessagesAnswer
from webapp.channels.models import Shop, Store
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import DeskError, Invalid
from webapp.fulfillment.models import Shipment
from webapp.fulfillment.taking_back import take_back
from webapp.i18n import spoken
from webapp.mail import mailboxes, queue, server
from webapp.mail.imap import Listed
from webapp.mail.jobs import send_mail
from webapp.mail.models import Mail, MailState
from webapp.mail.reading import read_mail
from webapp.messaging import document_mails, services
from webapp.messaging.allowed import note_allowed
from webapp.messaging.composing import fill_from_template
from webapp.messaging.documents import NoSuchDocument, ShipmentTakenBack
from webapp.messaging.mail_route import (
    BuyersAreInvented,
    MailSwitchedOff,
    NoBuyerAddress,
    NoMailToBuyers,
    StoreSendsNothing,
)
from webapp.messaging.message_settings import BUYER_MAIL, MESSAGES
from webapp.messaging.models import Message, MessageDocument, ReceivedMail
from webapp.messaging.previewing import documents_offered, messages_offered, preview_message
from webapp.messaging.queries import list_messages, thread_of
from webapp.messaging.receiving import Taken, take_in
from webapp.messaging.sealing import BuyerIsErased, said_in
from webapp.messaging.sent_documents import HowFar, sendings
from webapp.messaging.templates import add_template, template_of
from webapp.orders.events import events_of, sentence_of
from webapp.orders.models import Order, OrderEvent
from webapp.orders.queries import locked
from webapp.orders.services import act, find_action, read_input
from webapp.settings.services import store_all
from webapp.sync import recovery
from webapp.sync.activity import SendingStopped
from webapp.testing import FakeChannel
from webapp.updates import marks
from webapp.vault import services as vault

TEXT = "Dear buyer,\nyour mug is late. 遅れます。"


@pytest.fixture
def postbox(app: Flask) -> Iterator[Postbox]:
    with mail_server() as box:
        yield box


@pytest.fixture
def order(make_order: Callable[..., Order], postbox: Postbox) -> Order:
    order = make_order()
    switch(order)
    return order


def switch(order: Order, hold: int = 0, **values: Any) -> None:
    store = db.session.get_one(Store, order.store_id)
    with unit_of_work():
        store_all(BUYER_MAIL, {"by_mail": True} | values, store)
        store_all(MESSAGES, {"message_hold": hold}, store)


def write(order: Order, actor: Actor, text: str = TEXT, **given: Any) -> Message:
    with unit_of_work():
        return services.write_message(locked(order), "mail", text, actor=actor, **given)


def ship(order: Order, parcel: dict[str, Any]) -> None:
    action = find_action("ship")
    with unit_of_work():
        act(action, locked(order), read_input(action, {"packages": [parcel]}), Actor.operator())


def told(order: Order) -> list[str]:
    return [sentence_of(event, {}) for event in events_of(order)]


def state_of(message: Message) -> str:
    db.session.expire_all()
    return db.session.get_one(Mail, message.mail_id).state


def codes(order: Order) -> list[str]:
    query = select(OrderEvent.code).where(OrderEvent.order_id == order.id).order_by(OrderEvent.id)
    return [code for code in db.session.scalars(query) if code.startswith("message")]


def test_a_mail_leaves_once_from_the_shops_sender(order: Order, mia: Actor, postbox: Postbox) -> None:
    shop = {"sender_name": "Hafen & Söhne", "sender_address": "shop@hafen.example", "reply_to": "help@hafen.example"}
    with unit_of_work():
        store_all(SENDER, shop | {"copies": "boss@hafen.example, log@häfen.example"}, db.session.get_one(Shop, 1))
    message = write(order, mia, subject="Your\nmug")
    assert b"mug" not in message.sealed
    send_mail()
    send_mail()
    [sent] = postbox.mails
    assert sent["From"] == "Hafen & Söhne <shop@hafen.example>"
    assert (sent["Reply-To"], sent["Subject"]) == ("help@hafen.example", "Your mug")
    assert "@" in sent["To"]
    assert sent["Auto-Submitted"] is None  # a person wrote it
    assert sent.get_content().replace("\r\n", "\n") == TEXT + "\n"
    assert postbox.recipients == [[sent["To"], "boss@hafen.example", "log@xn--hfen-loa.example"]]
    assert state_of(message) == MailState.SENT
    [shown] = thread_of(order, mia) or []
    assert shown.said == {"subject": "Your mug", "text": TEXT}
    assert codes(order) == ["message_written", "message_sent"]
    assert [one.state for one in list_messages(mia, order=order)] == ["sent"]


def test_an_invoice_goes_with_it_drawn_as_it_leaves(order: Order, mia: Actor, postbox: Postbox) -> None:
    invoice = issue(order, mia)
    assert [name for name, _label in documents_offered(order)[0]] == [f"invoice:{invoice.number}"]
    with pytest.raises(NoSuchDocument):
        write(order, mia, attach=["invoice:7"])
    write(order, mia, attach=[f"invoice:{invoice.number}"])
    send_mail()
    [sent] = postbox.mails
    [file] = sent.iter_attachments()
    assert (file.get_filename(), file.get_content_type()) == (f"{invoice.number}.pdf", "application/pdf")
    assert file.get_content().startswith(b"%PDF")
    assert (
        sent["Subject"] == f"Ihre Bestellung {order.channel_order_number}"
        or order.channel_order_number in sent["Subject"]
    )


@pytest.mark.parametrize(
    ("said", "subject"), [("fr_BE", "Votre commande"), ("", "Your order"), ("it_IT", "Your order")]
)
def test_the_usual_subject_is_in_the_buyers_language(
    order: Order, mia: Actor, postbox: Postbox, said: str, subject: str
) -> None:
    with unit_of_work():
        note_allowed(order.id, MessagesAnswer(["problem"], said))
    write(order, mia)
    send_mail()
    [sent] = postbox.mails
    assert sent["Subject"] == f"{subject} {order.channel_order_number}"


def test_a_mail_is_undone_while_it_is_held(order: Order, mia: Actor, postbox: Postbox) -> None:
    switch(order, hold=60)
    message = write(order, mia)
    send_mail()
    with unit_of_work():
        services.undo_message(locked(order), message.id, actor=mia)
    with time_machine.travel(now() + timedelta(minutes=5)):
        send_mail()
    assert (postbox.mails, state_of(message)) == ([], MailState.UNDONE)
    with pytest.raises(services.NoMessageWaits), unit_of_work():
        services.undo_message(locked(order), message.id, actor=mia)


def test_undoing_by_versions_takes_back_that_mail_alone(order: Order, mia: Actor, postbox: Postbox) -> None:
    switch(order, hold=60)
    since = order.version
    first, second = write(order, mia), write(order, mia, "Another")
    with unit_of_work():
        services.undo_message(locked(order), since=since, until=since + 1, actor=mia)
    assert (state_of(first), state_of(second)) == (MailState.UNDONE, MailState.QUEUED)


def test_an_erased_buyer_gets_no_mail(order: Order, mia: Actor, postbox: Postbox) -> None:
    message = write(order, mia)
    with unit_of_work():
        vault.erase([order.id])
    send_mail()
    assert (postbox.mails, state_of(message)) == ([], MailState.REFUSED)
    with pytest.raises(BuyerIsErased):
        write(order, mia)
    [shown] = thread_of(order, mia) or []
    assert shown.said is None


@pytest.mark.parametrize("stopped", [{"active": False}, {"read_only": SendingStopped().stored()}])
def test_a_mail_waits_while_its_store_sends_nothing(
    order: Order, mia: Actor, postbox: Postbox, stopped: dict[str, Any]
) -> None:
    message, store = write(order, mia), db.session.get_one(Store, order.store_id)
    usual = {name: getattr(store, name) for name in stopped}
    _change(store, stopped)
    [said] = [sentence for sentence, _values in preview_message(order, "mail", TEXT, actor=mia).sentences][1:]
    assert str(said) == str(StoreSendsNothing())
    send_mail()
    assert (postbox.mails, state_of(message)) == ([], MailState.QUEUED)
    _change(store, usual)
    with time_machine.travel(now() + timedelta(minutes=5)):
        send_mail()
    assert (len(postbox.mails), state_of(message)) == (1, MailState.SENT)


def _change(store: Store, values: dict[str, Any]) -> None:
    with unit_of_work():
        for name, value in values.items():
            setattr(store, name, value)


def test_a_database_from_last_night_sends_no_mail_again(order: Order, mia: Actor, postbox: Postbox) -> None:
    marks._path().unlink(missing_ok=True)
    message = write(order, mia)
    send_mail()
    assert marks.read().mail == message.mail_id
    try:
        with unit_of_work():
            db.session.execute(update(Mail).values(state="queued", next_at=now(), sent_at=None))
            marks.note(mail=(message.mail_id or 0) + 1)  # the next one left after the backup, too
        assert recovery.recover()
        assert state_of(message) == MailState.UNKNOWN
        _change(db.session.get_one(Store, order.store_id), {"read_only": None})
        with time_machine.travel(now() + timedelta(minutes=30)):
            send_mail()
        assert len(postbox.mails) == 1
        assert services.mails_undecided(order) == {message.id: "unknown"}
        assert (write(order, mia).mail_id or 0) > (message.mail_id or 0) + 1
    finally:
        marks._path().unlink(missing_ok=True)


@pytest.mark.parametrize("state", ["refused", "unknown"])
def test_what_did_not_arrive_for_certain_is_decided_by_a_person(
    order: Order, mia: Actor, postbox: Postbox, state: str
) -> None:
    if state == "refused":
        postbox.refused["RCPT"] = "550 5.1.1 no such mailbox"
    else:
        postbox.dies = True
    message = write(order, mia)
    send_mail()
    send_mail()
    assert state_of(message) == state
    assert [mark["kind"] for mark in order.attention] == [
        "message_not_sent" if state == "refused" else "message_fate_unknown"
    ]
    assert services.mails_undecided(order) == {message.id: state}
    postbox.refused.clear()
    postbox.dies = False
    before = len(postbox.mails)
    with unit_of_work():
        services.send_mail_again(locked(order), message.id, actor=mia)
    send_mail()
    assert (len(postbox.mails), state_of(message)) == (before + 1, MailState.SENT)
    assert (order.attention, services.mails_undecided(order)) == ([], {})
    with pytest.raises(services.NothingUndecided), unit_of_work():
        services.mail_arrived(locked(order), message.id, actor=mia)


def test_a_mail_to_a_buyer_is_sent_again_from_its_order_alone(order: Order, mia: Actor, postbox: Postbox) -> None:
    postbox.dies = True
    message = write(order, mia)
    send_mail()
    with pytest.raises(queue.SentFromItsOrder), unit_of_work():
        queue.send_again(message.mail_id or 0, actor=Actor.operator())
    assert state_of(message) == MailState.UNKNOWN


def test_a_mail_of_which_nobody_knows_is_said_to_have_arrived(order: Order, mia: Actor, postbox: Postbox) -> None:
    postbox.dies = True
    message = write(order, mia)
    send_mail()
    with unit_of_work():
        services.mail_arrived(locked(order), message.id, actor=mia)
    assert (state_of(message), order.attention) == (MailState.SENT, [])
    assert codes(order) == ["message_written", "message_unknown", "message_arrived"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda order: switch(order, by_mail=False), MailSwitchedOff),
        (lambda order: _store_mail(to_buyers=False), NoMailToBuyers),
        (lambda order: _store_mail(host=""), server.MailNotSetUp),
        (lambda order: _change(db.session.get_one(Store, order.store_id), {"practice": True}), BuyersAreInvented),
    ],
)
def test_where_no_mail_goes_it_says_why(
    order: Order, mia: Actor, change: Callable[[Order], None], error: type[DeskError]
) -> None:
    message = write(order, mia)
    change(order)
    assert "mail" not in [kind.code for kind in messages_offered(order)[0]]
    with pytest.raises(error):
        write(order, mia)
    if error is not server.MailNotSetUp:
        send_mail()
        assert state_of(message) == MailState.REFUSED  # what was switched off meanwhile does not leave


def _store_mail(**values: Any) -> None:
    with unit_of_work():
        store_all(server.MAIL, server.MAIL.read() | values)


def test_a_relayed_mail_has_no_links_and_another_may(
    order: Order, mia: Actor, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert write(order, mia, "See https://shop.example/mug")
    monkeypatch.setattr(FakeChannel, "mail", MailRoute(relayed=True, documents=frozenset()))
    with pytest.raises(Invalid):
        write(order, mia, "See https://shop.example/mug")
    with pytest.raises(Invalid):
        write(order, mia, subject="See www.shop.example/mug")
    with pytest.raises(Invalid):
        write(order, mia, subject="About {order_number}")
    assert documents_offered(order)[0] == []


def test_an_order_without_an_address_says_so(order: Order, mia: Actor) -> None:
    with unit_of_work():
        vault.put(order.id, vault.BUYER, {"name": "Mia"})
    with pytest.raises(NoBuyerAddress):
        write(order, mia)


def test_a_document_was_sent_once_its_mail_left_and_did_not_come_back(
    order: Order, mia: Actor, postbox: Postbox
) -> None:
    def sending() -> tuple[HowFar, bool, str]:
        db.session.expire_all()
        found = sendings("invoice", [invoice.id])[invoice.id]
        return found.how_far, found.at is not None, str((found.problem or {}).get("code", ""))

    invoice = issue(order, mia)
    assert sendings("invoice", [invoice.id]) == {}
    postbox.refused["RCPT"] = "550 5.1.1 no such mailbox"
    first = write(order, mia, attach=[f"invoice:{invoice.number}"])
    assert sending() == (HowFar.UNDER_WAY, False, "")
    send_mail()
    assert sending()[:2] == (HowFar.NOT_SENT, False)
    assert sending()[2]
    postbox.refused.clear()
    second = write(order, mia, attach=[f"invoice:{invoice.number}"])
    assert sending()[0] is HowFar.UNDER_WAY
    send_mail()
    assert sending() == (HowFar.SENT, True, "")
    with unit_of_work():
        row = ReceivedMail(mailbox_id=None, fingerprint="f", reference="", sort="bounce", received_at=now())
        row.bounced_id, row.problem = second.id, {"code": "mail_came_back", "values": {}}
        db.session.add(row)
    assert sending() == (HowFar.NOT_SENT, False, "mail_came_back")
    with unit_of_work():
        services.send_mail_again(locked(order), first.id, actor=mia)
    send_mail()
    assert sending()[:2] == (HowFar.SENT, True)


def test_a_channel_message_has_no_subject(order: Order, mia: Actor) -> None:
    with pytest.raises(services.OnlyByMail), unit_of_work():
        services.write_message(locked(order), "problem", TEXT, subject="A subject", actor=mia)


def issue(order: Order, actor: Actor) -> Invoice:
    with unit_of_work():
        return issue_invoice(locked(order), actor=actor)


def test_a_template_about_documents_attaches_them_and_makes_it_a_mail(order: Order, mia: Actor) -> None:
    invoice = issue(order, mia)
    assert fill_from_template(order, "invoice", "", mia).values == {
        "started_from": "invoice-en",
        "kind": "mail",
        "attach": [f"invoice:{invoice.number}"],
    }
    assert "attach" not in fill_from_template(order, "delay", "", mia).values


def test_an_invoice_is_mailed_once_it_is_issued_where_the_store_wants_it(
    order: Order, mia: Actor, postbox: Postbox
) -> None:
    switch(order, mail_invoices=True)
    with spoken("fr"):  # of the clerk: the buyer reads English
        invoice = issue(order, mia)
    send_mail()
    send_mail()
    [sent] = postbox.mails
    assert sent["Subject"] == f"Invoice {invoice.number}: your order {order.channel_order_number}"
    assert sent["Auto-Submitted"] == "auto-generated"
    body = sent.get_body()
    assert body is not None
    assert str(invoice.number) in body.get_content()
    assert [part.get_filename() for part in sent.iter_attachments()] == [f"{invoice.number}.pdf"]
    [message] = db.session.scalars(select(Message))
    assert template_of(message) == "Invoice attached"
    assert sendings("invoice", [invoice.id])[invoice.id].message_id == message.id


def test_an_invoice_is_issued_also_if_it_can_not_be_mailed(
    make_order: Callable[..., Order], mia: Actor, postbox: Postbox
) -> None:
    order = make_order(quantity=2)
    switch(order, mail_invoices=True)
    with unit_of_work():
        vault.put(order.id, vault.BUYER, {"name": "Mia"})
    with unit_of_work():
        invoice = issue_invoice(locked(order), {order.lines[0].id: 1}, actor=mia)
    issue(order, mia)  # the rest, with the same cause
    send_mail()
    assert (postbox.mails, sendings("invoice", [invoice.id])) == ([], {})
    why = "Invoice not sent by e-mail: This order has no e-mail address for its buyer."
    assert [one for one in told(order) if "by e-mail" in one] == [why]


def test_why_many_mails_are_not_written_is_looked_up_at_once_and_recorded_once(
    make_order: Callable[..., Order], mia: Actor
) -> None:
    orders = [make_order() for _ in range(4)]
    with unit_of_work():
        for order in orders:
            vault.put(order.id, vault.BUYER, {"name": "Mia"})
        ids = [issue_invoice(locked(order), actor=mia).id for order in orders]
    switch(orders[0], mail_invoices=True)

    def mail() -> None:
        with unit_of_work():
            assert not document_mails.mail_documents("invoice", ids)

    for _ in range(2):
        read = [one for one in statements_of(mail) if one.startswith("SELECT") and "FROM order_events" in one]
        assert len(read) == 1
    assert all(sum("not sent by e-mail" in one for one in told(order)) == 1 for order in orders)


def test_the_timeline_says_for_what_the_mail_about_a_shipment_has_no_value(
    order: Order, mia: Actor, postbox: Postbox
) -> None:
    switch(order, mail_shipments=True)
    operator, text = Actor.operator(), "Shipped: {write_here}"
    with unit_of_work():
        add_template(situation="shipped", language="en", shop=None, text=text, actor=operator)
    ship(order, {"carrier": "DHL", "tracking_number": "JD14"})
    why = "The template uses variables for which this order has no value: {write_here}"
    assert f"E-mail about the shipment not sent: {why}" in told(order)
    assert list_messages(mia) == []


def test_the_timeline_does_not_quote_what_is_wrong_with_a_text(
    order: Order, mia: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch(order, mail_shipments=True)

    def refuse(*_: Any, **__: Any) -> None:
        raise Invalid(
            field="text",
            problem="This text has an e-mail address, which is not allowed. Remove the address: jane@buyer.test",
        )

    monkeypatch.setattr(document_mails, "write_mail", refuse)
    ship(order, {"carrier": "DHL", "tracking_number": "JD14"})
    [why] = [one for one in told(order) if one.startswith("E-mail about the shipment not sent")]
    assert "has content that the channel does not allow" in why
    assert "jane" not in str(db.session.scalars(select(OrderEvent.data)).all())


def test_a_mail_about_a_shipment_is_not_sent_once_it_was_taken_back(order: Order, mia: Actor, postbox: Postbox) -> None:
    switch(order, mail_shipments=True)
    ship(order, {"carrier": "DHL", "tracking_number": "JD14"})
    [shipment] = db.session.scalars(select(Shipment))
    send_mail()
    [sent] = postbox.mails
    assert "JD14" in sent.get_content()
    message = db.session.scalars(select(Message)).one()
    assert sendings("shipment", [shipment.id])[shipment.id].message_id == message.id
    postbox.mails.clear()
    with unit_of_work():
        db.session.execute(update(Mail).values(state="queued", next_at=now(), sent_at=None))
        db.session.execute(update(MessageDocument).values(document_id=shipment.id + 1000))
    send_mail()
    assert (postbox.mails, state_of(message)) == ([], MailState.REFUSED)


def test_taking_a_shipment_back_undoes_the_mail_about_it(order: Order, mia: Actor, postbox: Postbox) -> None:
    switch(order, mail_shipments=True, hold=60)
    other = write(order, mia)
    ship(order, {"carrier": "DHL", "tracking_number": "JD14"})
    about = db.session.scalars(select(Message).where(Message.id != other.id)).one()
    with unit_of_work():
        take_back(locked(order), actor=mia)
    assert (state_of(about), state_of(other)) == (MailState.UNDONE, MailState.QUEUED)
    with time_machine.travel(now() + timedelta(minutes=10)):
        send_mail()
    assert ([mail["Auto-Submitted"] for mail in postbox.mails], order.attention) == ([None], [])
    [shown] = [one for one in thread_of(order, mia) or [] if one.message.id == about.id]
    assert shown.mail is not None
    assert shown.mail.problem == ShipmentTakenBack().stored()
    assert codes(order)[2:] == ["message_undone", "message_sent"]


def test_a_reply_refers_to_the_mail_that_it_answers(order: Order, mia: Actor, postbox: Postbox) -> None:
    question = _asked(order, postbox, "Where?")
    write(order, mia, answers=question.id)
    write(order, mia, answers=question.id, subject="Soon")
    send_mail()
    assert [sent["Subject"] for sent in postbox.mails] == ["Re: Where?", "Soon"]
    for sent in postbox.mails:
        assert (sent["In-Reply-To"], sent["References"]) == ("<q1@buyer.example>", "<q1@buyer.example>")


@pytest.mark.parametrize(
    ("asked", "subject"),
    [
        ("RE: Re[2]: Where?", "Re: Where?"),
        ("AW: Where?", "Re: Where?"),
        ("Return: " + "x" * 200, "Re: Return: " + "x" * 138),
        ("", ""),
        ("About {tracking_number}", ""),
    ],
)
def test_a_reply_has_the_subject_of_the_answer(
    order: Order, mia: Actor, postbox: Postbox, asked: str, subject: str
) -> None:
    question = _asked(order, postbox, asked)
    usual = f"Your order {order.channel_order_number}"
    unseeing = replace(mia, rights=mia.rights - {"buyers.see"})
    for actor, expected in ((mia, subject or usual), (unseeing, usual)):
        preview = preview_message(order, "mail", TEXT, answers=question.id, actor=actor)
        assert preview.sentences[0][1] == {"subject": expected}
        message = write(order, actor, answers=question.id)
        said = said_in(message, mia)
        assert said is not None
        assert said["subject"] == expected


def _asked(order: Order, postbox: Postbox, subject: str) -> Message:
    headers = f"From: {postbox_address(order)}\r\nMessage-ID: <q1@buyer.example>\r\nSubject: {subject}"
    asked = f"{headers}\r\n\r\nWhere?\r\n"
    with unit_of_work():
        box = mailboxes.add(
            {
                "host": "127.0.0.1",
                "port": 9,
                "security": "none",
                "user": "u",
                "password": "p",
                "folder": "",
                "name": "",
            },
            actor=Actor.operator(),
        )
    assert take_in(box.id, read_mail(asked.encode()), Listed(1, len(asked), now())) is Taken.ORDER
    return db.session.scalars(select(Message)).one()


def test_a_reply_is_to_an_answer_of_this_order(
    order: Order, mia: Actor, make_order: Callable[..., Order], channel: FakeChannel
) -> None:
    mine = write(order, mia)
    for answers in (mine.id, 10**20):
        with pytest.raises(services.NothingToAnswer):
            write(order, mia, answers=answers)


def postbox_address(order: Order) -> str:
    buyer = vault.reveal(Actor.operator(), [order.id], purpose="test")[order.id]
    return str(buyer["email"])
