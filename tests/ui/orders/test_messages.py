"""Writing to the buyer in the browser: the form offers what the channel allows, and the tab shows the thread."""

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape

import pytest
import time_machine

from tests.mail_server import mail_server
from tests.ui.conftest import Browser
from tests.ui.orders.test_open_forms import OpenForm
from tests.ui.orders.test_order_acts import undo_of
from webapp.audit.actor import Actor
from webapp.billing.corrections import correct_invoice
from webapp.channels.connecting import Throttled
from webapp.channels.messages import MailRoute, MessageKind
from webapp.channels.models import Store
from webapp.channels.outgoing import Effective
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.mail.jobs import send_mail
from webapp.messaging.message_settings import BUYER_MAIL
from webapp.messaging.queries import list_messages
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.settings.services import store_all
from webapp.sync.allowed_messages import ask_allowed
from webapp.testing import FakeChannel, sync_now
from webapp.ui.orders import order as order_pages

TEXT = "Your mug is late.\nWe are sorry."


def test_a_message_is_written_shown_and_undone(
    browser: Browser, make_order: Callable[..., Order], channel: FakeChannel, work: Callable[[], int]
) -> None:
    order = make_order()
    url = f"/orders/{order.number}"
    assert "There are no messages yet" in browser.get(f"{url}?tab=messages").text
    assert "Waybill is checking which messages" in browser.get(f"{url}/actions/message").text
    work()
    form = browser.get(f"{url}/actions/message").text
    assert "Unexpected problem" in form
    assert "Question about the order" in form
    typed = {"kind": "problem", "text": TEXT}
    shown = browser.post(f"{url}/actions/message/preview", typed).text
    assert re.search(r'<blockquote class="message">Your mug is late.\s+We are sorry.</blockquote>', shown)
    assert "You can undo it until then" in shown
    wrong = browser.post(f"{url}/actions/message", typed | {"text": "See https://shop.example"})
    assert wrong.status_code == 422
    assert "This text has a link, which is not allowed. Remove the link: https://shop.example" in wrong.text
    assert browser.post(f"{url}/actions/message", typed).status_code == 302
    thread = browser.get(f"{url}?tab=messages").text
    assert "Your mug is late.\nWe are sorry." in thread.replace("\r", "")
    assert "Scheduled for" in thread
    undone = browser.post(f"{url}/actions/undo_message", {})
    assert (undone.status_code, undone.location) == (302, f"{url}?tab=messages")
    again = browser.post(f"{url}/actions/undo_message", {})
    assert again.status_code == 409
    assert "messages-heading" in again.text  # the refusal stands on the same tab
    sync_now(order.store)
    assert "Withdrawn" in browser.get(f"{url}?tab=messages").text
    assert channel.told("message") == []


def test_a_channel_that_allows_nothing_says_so(
    browser: Browser, make_order: Callable[..., Order], channel: FakeChannel, work: Callable[[], int]
) -> None:
    channel.messages = []
    order = make_order()
    browser.get(f"/orders/{order.number}/actions/message")
    work()
    page = browser.get(f"/orders/{order.number}/actions/message").text
    assert "Fake channel allows no message to the buyer of this order at the moment." in page


def test_the_undo_of_a_message_undoes_that_message(
    browser: Browser, make_order: Callable[..., Order], channel: FakeChannel, operator: Actor
) -> None:
    order = make_order()
    ask_allowed(order.id)
    url = f"/orders/{order.number}/actions/message"
    first = browser.post(url, {"kind": "problem", "text": "First."}, htmx=True).text
    assert browser.post(url, {"kind": "problem", "text": "Second."}, htmx=True).status_code == 200
    assert browser.post(*undo_of(first), htmx=True).status_code == 200
    states = {one.message.id: one.state for one in list_messages(operator, order=order)}
    assert [states[id_] for id_ in sorted(states)] == ["withdrawn", "held"]


def test_an_open_form_learns_why_nothing_can_be_chosen(
    browser: Browser, make_order: Callable[..., Order], channel: FakeChannel
) -> None:
    order = make_order()
    form = OpenForm(browser, order, "message")
    channel.failures = [Throttled(seconds=5.0)]
    ask_allowed(order.id)
    assert form.renew(text="Typed")
    assert "Waybill is checking" not in form.page
    assert "Typed" in form.page
    channel.messages = []
    ask_allowed(order.id)
    assert form.renew(text="Typed")
    assert "allows no message to the buyer of this order at the moment" in form.page
    assert not form.renew(text="Typed")


def test_a_form_that_stood_open_for_an_hour_asks_again(
    browser: Browser, make_order: Callable[..., Order], work: Callable[[], int], channel: FakeChannel
) -> None:
    order = make_order()
    ask_allowed(order.id)
    form, typed = OpenForm(browser, order, "message"), {"kind": "problem", "text": "Hello"}
    with time_machine.travel(now() + timedelta(minutes=61)):
        assert "does not know which messages" in form.send(**typed)
        work()
        assert "does not know which messages" not in form.send(**typed)
    assert [one.state for one in list_messages(Actor.operator(), order=order)] == ["held"]


def test_the_tab_offers_writing_as_the_order_does(
    browser: Browser, make_order: Callable[..., Order], channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = make_order()
    link = f'href="/orders/{order.number}/actions/message"'

    def no_panels(*_given: object) -> None:
        raise AssertionError("the tab has no panels")

    monkeypatch.setattr(order_pages, "panels_of", no_panels)
    assert link in browser.get(f"/orders/{order.number}?tab=messages", htmx=True, HX_Target="order-tab").text
    monkeypatch.setattr("webapp.messaging.services.carried", lambda store: set())
    tab = browser.get(f"/orders/{order.number}?tab=messages").text
    tab = tab[tab.index("messages-heading") :]
    assert link not in tab
    assert "does not accept messages to buyers from Waybill" in tab


def test_an_invoice_goes_to_the_buyer_from_its_place_on_the_tab(
    browser: Browser, make_order: Callable[..., Order], channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoices = MessageKind("invoice", "Invoice", 0, documents=frozenset({"invoice"}))
    monkeypatch.setattr(FakeChannel, "message_kinds", (*FakeChannel.message_kinds, invoices))
    channel.messages = ["problem", "invoice"]
    order = make_order()
    ask_allowed(order.id)
    url, tab = f"/orders/{order.number}/actions/message", f"/orders/{order.number}?tab=invoices"
    browser.post(f"/orders/{order.number}/actions/invoice", {})
    shown = browser.get(tab).text
    assert "Not sent to the buyer yet" in shown
    [link] = re.findall(r'href="([^"]*)#order-actions"[^>]*>.*?Send to the buyer', shown)
    assert unescape(link) == f"{url}?kind=invoice&attach=invoice:INV-000001"
    form = browser.get(unescape(link), htmx=True).text
    assert '<option selected value="invoice">Invoice</option>' in form
    assert re.search(r'<input checked[^>]*value="invoice:INV-000001">', form)
    assert "Documents are attached as PDF files. They can be sent with: Invoice" in form
    typed = {"kind": "invoice", "attach": "invoice:INV-000001", "text": ""}
    assert "Attached files: Invoice INV-000001" in browser.post(f"{url}/preview", typed, htmx=True).text
    wrong = browser.post(url, typed | {"text": "Hello"})
    assert (wrong.status_code, "This kind of message has no text. Leave this field empty" in wrong.text) == (422, True)
    needed = browser.post(url, {"kind": "invoice", "text": ""})
    assert "This kind of message has no text. Choose a document to send with it." in needed.text
    assert browser.post(url, typed).status_code == 302
    assert "Being sent to the buyer" in browser.get(tab).text
    thread = browser.get(f"/orders/{order.number}?tab=messages").text
    assert "Attached files: Invoice INV-000001" in thread
    assert "blockquote" not in thread
    channel.outcomes = [Effective()]
    with time_machine.travel(now() + timedelta(minutes=2)):
        sync_now(order.store)
    assert re.search(r"Sent to the buyer <time", browser.get(tab).text)


def test_the_tab_of_shipments_says_how_far_the_mail_about_one_is(
    browser: Browser, make_order: Callable[..., Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    order = make_order()
    url = f"/orders/{order.number}"
    with mail_server():
        with unit_of_work():
            switched_on = {"by_mail": True, "mail_shipments": True}
            store_all(BUYER_MAIL, switched_on, db.session.get_one(Store, order.store_id))
        browser.post(f"{url}/actions/ship", {"carrier": "DHL", "tracking_number": "JD14"})
        assert f'hx-get="{url}/shipment-mails"' in browser.get(f"{url}?tab=shipments").text
        assert (
            "E-mail about package 1 is being sent to the buyer" in browser.get(f"{url}/shipment-mails", htmx=True).text
        )
        with time_machine.travel(now() + timedelta(hours=1)):
            send_mail()
    assert re.search(
        "E-mail about package 1 sent to the buyer <time", browser.get(f"{url}/shipment-mails", htmx=True).text
    )
    assert browser.get(f"{url}/shipment-mails").status_code == 302
    monkeypatch.setattr(FakeChannel, "mail", MailRoute(documents=("invoice",)))
    assert "shipment-mails" not in browser.get(f"{url}?tab=shipments").text


def test_a_credit_memo_is_sent_by_e_mail_from_its_place_on_the_tab(
    browser: Browser, make_order: Callable[..., Order], operator: Actor
) -> None:
    order = make_order()
    url, tab = f"/orders/{order.number}/actions", f"/orders/{order.number}?tab=refunds"
    browser.post(f"{url}/invoice", {})
    with unit_of_work():
        correct_invoice(locked(order), 1, actor=operator)
    assert "Send by e-mail" not in browser.get(tab).text
    with mail_server() as postbox:
        with unit_of_work():
            store_all(BUYER_MAIL, {"by_mail": True}, db.session.get_one(Store, order.store_id))
        shown = browser.get(tab).text
        [link] = re.findall(r'href="([^"]*)#order-actions"[^>]*>.*?Send by e-mail', shown)
        form = browser.get(unescape(link), htmx=True).text
        assert '<option selected value="mail">E-mail</option>' in form
        [name] = re.findall(r'<input checked[^>]*value="(credit_memo:[^"]*)">', form)
        postbox.refused["RCPT"] = "550 5.1.1 no such mailbox"
        assert browser.post(f"{url}/message", {"kind": "mail", "text": "Hello", "attach": name}).status_code == 302
        with time_machine.travel(now() + timedelta(minutes=2)):
            send_mail()
    assert "Not sent to the buyer: " in browser.get(tab).text
