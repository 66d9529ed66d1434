"""Whatever is typed into the search box is answered by few queries, whichever kind of word or number it is."""

from collections.abc import Callable

import pytest

from plugins.amazon.channel import AmazonChannel
from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.channels.incoming import ChannelStage, IncomingPackage
from webapp.db import unit_of_work
from webapp.orders.models import Order
from webapp.orders.queries import find_order, reference
from webapp.orders.services import comment
from webapp.testing import FakeChannel, incoming_line, incoming_order

Take = Callable[..., list[Order]]
NUMBER = "222-1234567-76543"
BUYER = {
    "name": "Jane Quixelworth",
    "email": "jane.quix@mail.test",
    "address": {
        "name": "Jane Quixelworth",
        "line1": "1 Pike St",
        "city": "Seattle",
        "postal_code": "98101",
        "country": "US",
        "phone": "+1 206 555 0142",
    },
}


TEXTS = (
    "7654312",
    "222-1234567-7654312",
    "000003",
    "3",
    "222-1234567",
    "number:222-1234*",
    "number:222-1234567-7654321",
    "quixelworth",
    "jane quixelworth",
    '"jane quixelworth"',
    "jane -quixelworth",
    "jane.quix@mail.test",
    "+1 206 555 0142",
    "555 0142",
    "98101",
    "jane quixelworth 98101",
    "jane quixelworth 98101 stoneware mug 222-1234567 zanzibar",
    "buyer:jane postcode:98101",
    "MUG-RED-01",
    "sku:MUG-RED-01",
    "sku:MUG*",
    "B00MUGRED1",
    "asin:B00MUGRED1",
    "title:stoneware",
    "stoneware mug",
    "stoneware quixelworth",
    "JD014600003",
    "tracking:JD014600003",
    "zanzibar",
    "qzxjkvw",
    "state:open quixelworth",
    "archived:any quixelworth",
)


def assert_few_queries(browser: Browser, text: str) -> None:
    asked = [statement for statement in browser.queries if not statement.startswith("SET LOCAL")]
    assert len(asked) <= 8, f"{text}\n" + "\n".join(asked)


def test_a_search_costs_few_queries(
    take: Take, browser: Browser, mia: Actor, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "product_code", AmazonChannel.product_code)
    line = incoming_line("MUG-RED-01", 2, product_code="B00MUGRED1", title="Stoneware mug, red", fulfilled=2)
    parcel = IncomingPackage("1", {line.number: 2}, "DHL", tracking_number="JD014600003")
    shipped = incoming_order(
        [line], stage=ChannelStage.SHIPPED, status="SHIPPED", buyer=BUYER, packages=(parcel,), number=f"{NUMBER}00"
    )
    lines = [incoming_line("MUG-RED-01", 2, product_code="B00MUGRED1", title="Stoneware mug, red") for _ in range(20)]
    several = (incoming_order([one], buyer=BUYER, number=f"{NUMBER}{n}") for n, one in enumerate(lines, start=10))
    order = take(shipped, *several)[0]
    with unit_of_work():
        comment(find_order(reference(order), mia, lock=True), "zanzibar parcel", actor=mia)
    browser.get("/orders/")
    for text in TEXTS:
        for sort in ("-placed", "ship_by"):
            answer = browser.post("/orders/search", {"text": text, "sort": sort})
            assert answer.status_code in (302, 303), f"{text}: {answer.text}"
            assert_few_queries(browser, text)
            if answer.status_code == 302:  # the number of one order, whose page is no list
                continue
            page = browser.get(answer.location)
            assert page.status_code == 200, text
            found = page.text.count('<tr id="order-')
            assert found or "qzx" in text or "-quix" in text, text
            assert_few_queries(browser, text)
