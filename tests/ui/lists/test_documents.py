"""Packing slips as pages: for one order and for many, by right, marked where they are practice."""

import re
from collections.abc import Callable

import pytest

from tests.ui.conftest import Browser, tells_both
from webapp.audit.actor import Actor
from webapp.db import db, unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.testing import JANE, FakeChannel, incoming_line, incoming_order


@pytest.fixture
def order(take: Callable[..., list[Order]]) -> Order:
    line = incoming_line("MUG", 2, gift=True)
    [order] = take(incoming_order([line], buyer=JANE | {"gift_messages": {line.number: "Happy birthday!"}}))
    return order


def test_a_slip_shows_both_numbers_the_address_and_the_gift_text(browser: Browser, order: Order) -> None:
    page = browser.get(f"/orders/{order.number}/packing-slip")
    for word in (str(order.number), order.channel_order_number, "Zanzibar Mews", "Happy birthday!", "A mug", "MUG"):
        assert word in page.text
    assert "PRACTICE" not in page.text
    assert len(browser.queries) <= 9
    assert page.text.count('class="slip"') == 1


def test_a_slip_shows_what_its_shop_sets_and_nothing_else(browser: Browser, order: Order) -> None:
    where = f"/orders/{order.number}/packing-slip"
    assert "VAT number" not in browser.get(where).text
    told = {"legal_name": "Harbor <GmbH>", "address": "1 Rue X", "vat_numbers": "DE123456789", "language": "en"}
    browser.post(f"/settings/shops/{order.shop_id}/groups/legal", told)
    page = browser.get(where).text
    for words in ("Harbor &lt;GmbH&gt;", "1 Rue X", "VAT number DE123456789"):
        assert page.count(words) == 1


def test_a_practice_slip_says_so(browser: Browser, order: Order) -> None:
    number = order.number
    with unit_of_work():
        order.store.practice = True
    assert "PRACTICE" in browser.get(f"/orders/{number}/packing-slip").text


def test_each_of_two_parcels_has_a_slip(browser: Browser, take: Callable[..., list[Order]], mia: Actor) -> None:
    [order] = take(incoming_order([incoming_line("MUG", 10)]))
    for number, units in (("PARCEL-A", 4), ("PARCEL-B", 6)):
        with unit_of_work():
            row = locked(order)
            ship_order(row, [PackageInput("DHL", number, lines={row.lines[0].id: units})], actor=mia)
    url = f"/orders/{order.number}/packing-slip"
    assert f"{url}?package=2" in browser.get(f"/orders/{order.number}?tab=shipments").text
    for query, units in (("", ["4", "6"]), ("?package=1", ["4"]), ("?package=2", ["6"])):
        page = browser.get(url + query).text
        assert re.findall(r'<td class="num strong">(\d+)</td>', page) == units
        assert ("2 of 2" in page) is (query != "?package=1")
    assert browser.get(f"{url}?package=3").status_code == 404


def test_many_slips_stand_on_one_page_and_what_must_not_leave_apart(
    browser: Browser, order: Order, take: Callable[..., list[Order]]
) -> None:
    [other] = take(incoming_order())
    ids = [str(order.id), str(other.id)]
    with unit_of_work():
        db.session.execute(db.update(Order).where(Order.id == other.id).values(canceling=True))
    page = browser.get("/orders/packing-slips", {"order": ids}).text
    assert page.count('class="slip"') == 1
    assert "This order is being canceled." in page
    assert tells_both(page.partition('class="slips"')[0], other)
    letter = browser.get("/orders/packing-slips", {"all": "1", "paper": "letter"}).text
    assert 'data-paper="letter"' in letter


def test_who_may_not_see_buyers_reads_why_the_address_is_missing(
    order: Order, make_browser: Callable[..., Browser], make_user: Callable[..., Actor]
) -> None:
    number = order.number
    page = make_browser(make_user("read_only", "Rob")).get(f"/orders/{number}/packing-slip").text
    assert "your role does not show buyer data" in page
    assert "Quixelworth" not in page
    assert "Happy birthday" not in page


def test_a_slip_speaks_the_language_of_its_marketplace(
    browser: Browser, order: Order, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from webapp.channels.contract import Marketplace

    france = Marketplace("DE", "FR", "Fake France", "EUR", "fr", "Europe/Paris")
    monkeypatch.setattr(channel, "marketplace", lambda marketplace: france, raising=False)
    page = browser.get(f"/orders/{order.number}/packing-slip").text
    assert 'lang="fr"' in page
    assert "Allemagne" in page  # where it goes
    assert '<html lang="en"' in page


def test_texts_of_buyers_are_no_html(browser: Browser, take: Callable[..., list[Order]]) -> None:
    line = incoming_line("MUG", title="<b>mug</b>")
    told = JANE | {"gift_messages": {line.number: "<script>alert(1)</script>"}}
    [order] = take(incoming_order([line], buyer=told))
    page = browser.get(f"/orders/{order.number}/packing-slip").text
    assert "<script>alert" not in page
    assert "<b>mug" not in page


def test_what_a_buyer_wishes_is_set_as_the_slips_language_does(
    browser: Browser, take: Callable[..., list[Order]], channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from webapp.channels.contract import Marketplace

    france = Marketplace("DE", "FR", "Fake France", "EUR", "fr", "Europe/Paris")
    monkeypatch.setattr(channel, "marketplace", lambda marketplace: france, raising=False)
    line = incoming_line("MUG")
    told = JANE | {"instructions": "Ring <twice>", "customizations": {line.number: "Blue"}}
    [order] = take(incoming_order([line], buyer=told))

    page = browser.get(f"/orders/{order.number}/packing-slip").text

    assert "</strong>\N{NO-BREAK SPACE}: Ring &lt;twice&gt;" in page
    assert "\N{NO-BREAK SPACE}: Blue" in page
