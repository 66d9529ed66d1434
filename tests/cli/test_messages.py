"""Messages to buyers from the command line: written by an act, listed and shown."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine

from tests.cli.conftest import Command
from webapp.audit.actor import Actor
from webapp.channels.messages import MessageKind
from webapp.channels.outgoing import Effective
from webapp.clock import now
from webapp.mail.imap import Listed
from webapp.mail.reading import read_mail
from webapp.messaging.receiving import take_in
from webapp.orders.models import Order
from webapp.sync.allowed_messages import ask_allowed
from webapp.testing import FakeChannel, sync_now


def test_a_message_is_written_listed_and_shown(
    cli: Command, make_order: Callable[..., Order], channel: FakeChannel
) -> None:
    order = make_order()
    wish = json.dumps({"kind": "problem", "text": "Your mug is late."})
    done = cli("orders", "act", order.number, "message", "--data", wish, "--json").document
    assert done["made"] == [{"kind": "message", "id": 1, "number": None}]
    [row] = cli("messages", "list", "--order", order.number, "--json").document
    assert (row["id"], row["kind"], row["state"]) == (1, "problem", "held")
    assert "mug" not in cli("messages", "list").out
    assert cli("messages", "show", "1", "--json").document == row | {"text": "Your mug is late."}
    assert cli("orders", "act", order.number, "undo_message").code == 0
    sync_now(order.store)
    assert cli("messages", "list", "--json").document[0]["state"] == "withdrawn"
    missing = cli("messages", "show", "9")
    assert (missing.code, "There is no message “9”." in missing.err) == (3, True)
    channel.messages = []
    ask_allowed(order.id)
    refused = cli("orders", "act", order.number, "message", "--data", wish)
    assert (refused.code, "allows no message" in refused.err) == (1, True)


def test_an_invoice_goes_to_the_buyer(
    cli: Command, make_order: Callable[..., Order], channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoices = MessageKind("invoice", "Invoice", 0, documents=frozenset({"invoice"}))
    monkeypatch.setattr(FakeChannel, "message_kinds", (*FakeChannel.message_kinds, invoices))
    channel.messages = ["invoice"]
    order = make_order()
    assert cli("orders", "act", order.number, "invoice").code == 0
    shown = cli("invoices", "show", "INV-000001", "--json").document
    assert shown["sent_to_buyer"] is None
    wish = {"kind": "invoice", "attach": ["invoice:INV-000001"]}
    assert cli("orders", "act", order.number, "message", "--data", json.dumps(wish)).code == 0
    refused = cli("orders", "act", order.number, "message", "--data", json.dumps({"kind": "invoice"}))
    assert (refused.code, "has no text. Choose a document" in refused.err) == (1, True)
    channel.outcomes = [Effective()]
    with time_machine.travel(now() + timedelta(minutes=2)):
        sync_now(order.store)
    sent = cli("invoices", "show", "INV-000001", "--json").document["sent_to_buyer"]
    assert sent.endswith("Z")
    assert cli("orders", "show", order.number, "--json").document["invoices"][0]["sent_to_buyer"] == sent
    assert sent in cli("invoices", "show", "INV-000001").out


def test_a_message_is_written_from_a_template(
    cli: Command, make_order: Callable[..., Order], channel: FakeChannel
) -> None:
    order = make_order()

    def write(**wish: str) -> Command:
        return cli("orders", "act", order.number, "message", "--data", json.dumps(wish))

    assert write(template="delay-en").code == 0  # the kind that is meant for delays
    assert f"your order {order.channel_order_number}" in cli("messages", "show", "1").out
    assert write(kind="details", template="Question", text="Which color?").code == 0
    assert "Which color?" in cli("messages", "show", "2").out
    assert write(kind="details", text="Which size?").code == 0
    assert [row["template"] for row in cli("messages", "list", "--json").document] == [None, "Question", "Delay"]
    assert cli("messages", "show", "2", "--json").document["template"] == "Question"
    unknown = write(kind="details", template="holiday")
    assert (unknown.code, "There is no template “holiday” for this order's shop." in unknown.err) == (1, True)
    left = write(kind="details", template="question-en")
    assert (left.code, "still has {write_here}" in left.err) == (1, True)


def test_an_answer_is_listed_shown_assigned_and_done(
    cli: Command, make_order: Callable[..., Order], make_user: Callable[..., Actor]
) -> None:
    make_user("clerk", "Mia")
    order = make_order(buyer={"email": "berta@relay.example"})
    raw = b"From: berta@relay.example\nSubject: Re: Mug\n\nWhere is it?\n\n> It has left us.\n"
    take_in(None, read_mail(raw), Listed(1, 1, now()))  # type: ignore[arg-type]
    [row] = cli("messages", "list", "--unread", "--json").document
    assert (row["direction"], row["route"], row["kind"], row["state"]) == ("in", "mail", "answer", "open")
    shown = cli("messages", "show", str(row["id"]), "--json").document
    assert (shown["text"], shown["quoted"], shown["from"]) == (
        "Where is it?",
        "> It has left us.",
        "berta@relay.example",
    )
    assert (shown["matched"], shown["from_buyer"], shown["done_at"]) == ("address", True, None)
    mine = json.dumps({"assignee": "mia@desk.test"})
    assert cli("orders", "act", order.number, "assign_message", "--data", mine).code == 0
    assert cli("messages", "show", str(row["id"]), "--json").document["assigned_to"] == "mia@desk.test"
    assert cli("orders", "act", order.number, "message_done").code == 0
    assert cli("messages", "list", "--unread", "--json").document == []
    assert cli("messages", "list", "--json").document[0]["state"] == "done"
    again = cli("orders", "act", order.number, "message_done")
    assert (again.code, "no open answer from its buyer" in again.err) == (1, True)
