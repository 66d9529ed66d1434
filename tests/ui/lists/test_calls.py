"""The communication log in the browser: its page, its links, and trying again from a row."""

# ruff: noqa: F811 - fixtures are imported by their names

import re
from collections.abc import Callable
from html import unescape

import pytest

from tests.sync.conftest import shipped, update  # noqa: F401 - fixtures
from tests.sync.test_call_list import log  # noqa: F401 - fixtures
from tests.sync.test_call_log import call, calls, report
from tests.ui.conftest import Browser, tells_both
from webapp.audit.actor import Actor
from webapp.channels.connecting import CallOutcome
from webapp.channels.models import Store
from webapp.channels.outgoing import Refused
from webapp.db import db, unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.sync.models import ChannelCall
from webapp.testing import FakeChannel


def rows_of(page: str) -> list[str]:
    return re.findall(r'<tr id="call-\d+".*?</tr>', page, re.DOTALL)


def buttons_of(page: str) -> list[str]:
    return re.findall(r'formaction="/communication/again"[^>]*>([^<]+)<', page)


@pytest.mark.parametrize(
    "url", ["/communication/", "/communication/?q=store:1+state:processing", "/communication/?view=slow"]
)
def test_the_page_costs_few_queries(log: tuple[Order, Order], browser: Browser, url: str) -> None:
    browser.get("/communication/")
    page = browser.get(url)
    assert page.status_code == 200
    assert len(browser.queries) <= 8, "\n".join(browser.queries)
    assert rows_of(page.text)


def test_the_page_shows_every_call_and_its_order(log: tuple[Order, Order], browser: Browser) -> None:
    page = browser.get("/communication/").text
    assert len(rows_of(page)) == 8
    assert "8 calls" in browser.get("/communication/count").text
    assert all(tells_both(page, order) for order in log)
    assert "denies Waybill access: InvalidInput" in unescape(page)
    assert "5.4" in page
    assert browser.get("/communication/export?all=1").status_code == 200


def test_a_row_is_tried_again_and_the_list_is_shown_as_before(
    shipped: Order, channel: FakeChannel, work: Callable[[], int], store: Store, browser: Browser
) -> None:
    channel.outcomes.append(Refused("no"))
    work()
    report(store, call(operation="shipment", outcome=CallOutcome.REFUSED, updates=[update().id]))
    row, page = calls()[-1].id, browser.get("/communication/?q=outcome:refused").text
    assert buttons_of(page) == ["Try again"]
    assert f'href="/orders/{shipped.number}?tab=updates"' in page
    answer = browser.post("/communication/again", {"call": row, "q": "outcome:refused"})
    assert answer.status_code == 302
    assert unescape(answer.location).startswith("/communication/?q=outcome:refused")
    work()
    assert update().state == "sent"
    assert "The update is being sent again." in browser.get("/communication/").text
    assert browser.post("/communication/again", {}).status_code == 404
    assert browser.post("/communication/again", {"call": "99999"}).status_code == 404


def test_who_may_repeat_nothing_sees_no_buttons(
    log: tuple[Order, Order], make_user: Callable[..., Actor], make_browser: Callable[..., Browser]
) -> None:
    packer = make_browser(make_user("packer", "Pat"))
    page = packer.get("/communication/").text
    assert buttons_of(page) == []
    assert "Open order" in page
    assert packer.post("/communication/again", {"call": calls()[4].id}).status_code == 403


def test_the_pages_of_a_store_of_an_order_and_of_the_outbox_lead_there(
    log: tuple[Order, Order], store: Store, browser: Browser, work: Callable[[], int], mia: Actor
) -> None:
    assert f'href="/communication/?q=store:{store.id}"' in browser.get(f"/stores/{store.id}/traffic").text
    order, other = log
    with unit_of_work():
        ship_order(locked(order), [PackageInput("DHL", "JD0001")], actor=mia)
    assert "Calls</a>" not in browser.get("/outbox/").text
    work()
    assert f'href="/communication/?q=number:{order.channel_order_number}">Calls</a>' in browser.get("/outbox/").text
    with unit_of_work():
        db.session.query(ChannelCall).filter_by(operation="shipment", outcome="ok").delete()
    page = browser.get(f"/orders/{order.number}?tab=updates").text
    assert len(browser.queries) <= 8, "\n".join(browser.queries)
    assert "Communication with Fake channel" in page
    part = page[page.index('id="order-calls"') :]
    assert re.findall(r'class="pill" data-tone="(\w+)"', part) == ["bad", "good"]  # failed ones first
    assert f'href="/communication/?q=number:{order.channel_order_number}"' in part
    assert len(rows_of(browser.get(f"/communication/?q=number:{order.channel_order_number}").text)) == 2
    assert "Answer lost" in browser.get(f"/orders/{other.number}?tab=updates").text
