"""Documents of orders that go by the channel's own messages."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.billing.models import Invoice
from webapp.billing.services import issue_invoice
from webapp.channels.messages import MessageKind
from webapp.channels.models import Store
from webapp.channels.outgoing import Effective, Outcome, Refused, Unknown
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import DeskError, Invalid
from webapp.messaging import services
from webapp.messaging.composing import fill_from_template
from webapp.messaging.documents import NoSuchDocument
from webapp.messaging.message_settings import MESSAGES
from webapp.messaging.models import Message, MessageDocument
from webapp.messaging.previewing import documents_offered, preview_message
from webapp.messaging.queries import thread_of
from webapp.messaging.sent_documents import HowFar, sending_kind, sendings
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.settings.services import store_all
from webapp.sync.allowed_messages import ask_allowed
from webapp.testing import FakeChannel, sync_now
from webapp.updates.models import ChannelUpdate
from webapp.vault import services as vault

INVOICES = MessageKind("invoice", "Invoice", 0, documents=frozenset({"invoice"}), most_documents=1)
KINDS = (*FakeChannel.message_kinds, INVOICES)


@pytest.fixture
def order(make_order: Callable[..., Order], channel: FakeChannel, mia: Actor, monkeypatch: pytest.MonkeyPatch) -> Order:
    monkeypatch.setattr(FakeChannel, "message_kinds", KINDS)
    channel.messages = [kind.code for kind in KINDS]
    order = make_order(quantity=2)
    with unit_of_work():
        store_all(MESSAGES, {"message_hold": 0}, db.session.get_one(Store, order.store_id))
    return order


@pytest.fixture
def invoice(order: Order, mia: Actor) -> Invoice:
    with unit_of_work():
        return issue_invoice(locked(order), {order.lines[0].id: 1}, actor=mia)


def write(order: Order, kind: str = "invoice", text: str = "", *names: str, subject: str = "", actor: Actor) -> Message:
    with unit_of_work():
        return services.write_message(locked(order), kind, text, subject, names, actor=actor)


def state_of(invoice: Invoice) -> HowFar | None:
    db.session.expire_all()
    found = sendings("invoice", [invoice.id]).get(invoice.id)
    assert found is None or (found.at is not None) == (found.how_far is HowFar.SENT)
    return found.how_far if found else None


def test_an_invoice_goes_out_as_a_file_that_is_drawn_as_it_leaves(
    order: Order, invoice: Invoice, mia: Actor, channel: FakeChannel
) -> None:
    ask_allowed(order.id)
    channel.outcomes = [Effective()]
    message = write(order, "invoice", "", f"invoice:{invoice.number}", actor=mia)
    assert state_of(invoice) is HowFar.UNDER_WAY
    update = db.session.scalars(select(ChannelUpdate).where(ChannelUpdate.source_id == message.id)).one()
    assert update.payload == {"version": 1, "message": "invoice"}
    sync_now(order.store)
    [sent] = [one for one in channel.delivered if one.kind == "message"]
    [file] = sent.private["files"]
    assert (sent.private["text"], file.name, file.media_type) == ("", f"{invoice.number}.pdf", "application/pdf")
    assert file.draw().startswith(b"%PDF")
    assert str(invoice.number) not in repr(sent)
    assert state_of(invoice) is HowFar.SENT
    [shown] = thread_of(order, mia) or []
    documents = [(one.kind, one.document_id) for one in shown.documents]
    assert (shown.said, documents) == ({"subject": "", "text": ""}, [("invoice", invoice.id)])


@pytest.mark.parametrize(
    ("kind", "text", "names", "subject", "error", "field"),
    [
        ("invoice", "Hello", ["invoice:INV-000001"], "", Invalid, "text"),
        ("invoice", "", [], "", services.DocumentNeeded, "attach"),
        ("invoice", "", ["invoice:7"], "", NoSuchDocument, "attach"),
        ("invoice", "", ["invoice:INV-000001", "invoice:INV-000002"], "", Invalid, "attach"),
        ("invoice", "", ["invoice:INV-000001"], "A subject", services.OnlyByMail, "kind"),
        ("problem", "Hello", ["invoice:INV-000001"], "", services.NoDocumentsWithIt, "attach"),
        ("problem", "", [], "", Invalid, "text"),
    ],
)
def test_what_does_not_go_together_is_refused(
    order: Order, invoice: Invoice, mia: Actor, kind: str, text: str, names: list[str], subject: str,
    error: type[DeskError], field: str,
) -> None:  # fmt: skip
    ask_allowed(order.id)
    with unit_of_work():
        issue_invoice(locked(order), actor=mia)
    for act in (
        lambda: write(order, kind, text, *names, subject=subject, actor=mia),
        lambda: preview_message(order, kind, text, subject, names, actor=mia),
    ):
        with pytest.raises(error) as refused:
            act()
        assert refused.value.values.get("field", getattr(refused.value, "field", None)) == field
    assert db.session.scalars(select(MessageDocument)).all() == []


def test_documents_are_offered_with_the_kinds_that_take_them(
    order: Order, invoice: Invoice, mia: Actor, channel: FakeChannel
) -> None:
    offered = [(f"invoice:{invoice.number}", f"Invoice {invoice.number}")]
    assert documents_offered(order) == (
        offered,
        "Documents are attached as PDF files. They can be sent with: Invoice",
    )  # while the channel is asked
    ask_allowed(order.id)
    assert documents_offered(order)[0] == offered
    preview = preview_message(order, "invoice", "", attach=[offered[0][0]], actor=mia)
    assert (preview.text, preview.sentences[0][1]) == ("", {"files": f"Invoice {invoice.number}"})
    assert sending_kind(order, "invoice") is INVOICES
    assert sending_kind(order, "credit_memo") is None
    channel.messages = ["problem"]
    with time_machine.travel(now() + timedelta(minutes=6)):
        ask_allowed(order.id)
        assert documents_offered(order)[0] == []
    with unit_of_work():
        vault.erase([order.id])
    assert documents_offered(order)[0] == []


@pytest.mark.parametrize(
    ("outcome", "how_far"), [(Refused("No."), HowFar.NOT_SENT), (Unknown("no answer"), HowFar.UNKNOWN)]
)
def test_how_far_a_document_has_come(
    order: Order, invoice: Invoice, mia: Actor, channel: FakeChannel, outcome: Outcome, how_far: HowFar
) -> None:
    ask_allowed(order.id)
    channel.outcomes = [outcome]
    name = f"invoice:{invoice.number}"
    write(order, "invoice", "", name, actor=mia)
    sync_now(order.store)
    assert state_of(invoice) is how_far
    assert sendings("invoice", [invoice.id])[invoice.id].problem
    channel.outcomes = [Effective()]
    write(order, "invoice", "", name, actor=mia)
    sync_now(order.store)
    assert state_of(invoice) is HowFar.SENT
    channel.outcomes = [outcome]
    write(order, "invoice", "", name, actor=mia)
    sync_now(order.store)
    assert state_of(invoice) is HowFar.SENT  # the buyer has it


def test_a_template_chooses_no_kind_without_a_text(
    order: Order, channel: FakeChannel, mia: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    meant = (replace(INVOICES, situations=("invoice",)), replace(KINDS[0], situations=("invoice",)))
    monkeypatch.setattr(FakeChannel, "message_kinds", meant)
    ask_allowed(order.id)
    assert fill_from_template(order, "invoice-en", "", mia).values["kind"] == "problem"


def test_an_undone_message_sent_nothing(order: Order, invoice: Invoice, mia: Actor, channel: FakeChannel) -> None:
    with unit_of_work():
        store_all(MESSAGES, {"message_hold": 60}, db.session.get_one(Store, order.store_id))
    ask_allowed(order.id)
    write(order, "invoice", "", f"invoice:{invoice.number}", actor=mia)
    with unit_of_work():
        services.undo_message(locked(order), actor=mia)
    assert (state_of(invoice), channel.told("message")) == (None, [])
