"""Writing to the buyers of many orders by e-mail, from the list."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from tests.mail_server import Postbox, mail_server
from tests.ui.conftest import Browser
from webapp.channels.messages import MailRoute
from webapp.channels.models import Store
from webapp.db import db, unit_of_work
from webapp.mail.jobs import send_mail
from webapp.messaging.message_settings import BUYER_MAIL, MESSAGES
from webapp.orders.models import Order
from webapp.settings.services import store_all
from webapp.testing import FakeChannel


@pytest.fixture
def postbox(app: Flask) -> Iterator[Postbox]:
    with mail_server() as box:
        yield box


def test_each_buyer_gets_the_text_for_their_order_and_what_looks_forbidden_is_counted(
    browser: Browser,
    make_order: Callable[..., Order],
    work: Callable[[], int],
    postbox: Postbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(FakeChannel, "mail", MailRoute(relayed=True))
    orders = [make_order() for _ in range(3)]
    with unit_of_work():
        store = db.session.get_one(Store, orders[0].store_id)
        store_all(BUYER_MAIL, {"by_mail": True}, store)
        store_all(MESSAGES, {"message_hold": 0}, store)
    chosen = "&".join(f"order={order.id}" for order in orders)
    form = browser.get(f"/orders/bulk?{chosen}&action=message").text
    assert "Each buyer receives the text in their language" in form
    typed = {"kind": "mail", "text": "Your order {order_number} is late. Call 0171 2345678."}
    given = {"order": [str(order.id) for order in orders]} | typed
    shown = browser.post("/orders/bulk/message/preview", given, htmx=True).text
    assert "Possible for 3 orders." in shown
    assert "“0171 2345678” looks like a telephone number" in shown
    assert "(3)" in shown
    refused = browser.post("/orders/bulk/message/preview", given | {"text": "See https://shop.example"}, htmx=True).text
    assert "This text has a link, which is not allowed. Remove the link: https://shop.example (3)" in refused
    assert browser.post("/orders/bulk/message", given).status_code == 302
    work()
    send_mail()
    send_mail()
    said = [mail.get_content() for mail in postbox.mails]
    assert sorted(text.split()[2] for text in said) == sorted(order.channel_order_number for order in orders)
