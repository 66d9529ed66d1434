"""Writing to the buyer in the browser: the form offers what the channel allows, and the tab shows the thread."""

import re
from collections.abc import Callable

from tests.ui.conftest import Browser
from webapp.orders.models import Order
from webapp.testing import FakeChannel, sync_now

TEXT = "Your mug is late.\nWe are sorry."


def test_a_message_is_written_shown_and_undone(
    browser: Browser, make_order: Callable[..., Order], channel: FakeChannel, work: Callable[[], int]
) -> None:
    order = make_order()
    url = f"/orders/{order.number}"
    assert "Nobody has written to this buyer" in browser.get(f"{url}?tab=messages").text
    assert "is being asked what it allows" in browser.get(f"{url}/actions/message").text
    work()
    form = browser.get(f"{url}/actions/message").text
    assert "Unexpected problem" in form
    assert "Question about the order" in form
    typed = {"kind": "problem", "text": TEXT}
    shown = browser.post(f"{url}/actions/message/preview", typed).text
    assert re.search(r'<blockquote class="message">Your mug is late.\s+We are sorry.</blockquote>', shown)
    assert "you can undo it until then" in shown
    wrong = browser.post(f"{url}/actions/message", typed | {"text": "See https://shop.example"})
    assert wrong.status_code == 422
    assert "has a link, which is not allowed: https://shop.example" in wrong.text
    assert browser.post(f"{url}/actions/message", typed).status_code == 302
    thread = browser.get(f"{url}?tab=messages").text
    assert "Your mug is late.\nWe are sorry." in thread.replace("\r", "")
    assert "Goes at" in thread
    assert browser.post(f"{url}/actions/undo_message", {}).status_code == 302
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
    assert "Fake channel allows no message to the buyer of this order now." in page
