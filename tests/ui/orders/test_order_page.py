"""The page of one order: its parts, its tabs, and who sees which of them."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest

from tests.ui.conftest import Browser, tells_both
from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.audit.services import write_readings
from webapp.channels.incoming import ChannelStage, Component, IncomingAmount, IncomingPackage
from webapp.channels.models import Store
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.orders.addresses import change_address
from webapp.orders.holds import hold
from webapp.orders.models import Order
from webapp.orders.order_settings import NEW_ORDERS
from webapp.orders.organizing import assign, set_due, set_status, set_tags
from webapp.orders.queries import comments_of, locked
from webapp.orders.services import actions, comment
from webapp.orders.statuses import make_status
from webapp.settings.services import change, store_all
from webapp.testing import GERMANY, FakeChannel, again, incoming_line, incoming_order
from webapp.ui.frame.formats import Reader
from webapp.vault.services import erase


def test_an_order_is_found_by_either_number_and_its_id(make_order: Callable[..., Order], browser: Browser) -> None:
    order = make_order()

    for number in (order.number, order.channel_order_number, f"@{order.id}"):
        page = browser.get(f"/orders/{number}")
        assert page.status_code == 200
        assert str(order.number) in page.text
        assert order.channel_order_number in page.text
    assert len(browser.queries) <= 8, "\n".join(browser.queries)
    assert browser.get("/orders/999999").status_code == 404
    for path in ("/orders/rows/", "/runs/"):  # beyond what a database counts
        assert {browser.get(path + digits).status_code for digits in ("9" * 12, "9" * 30)} == {404}


def test_a_number_of_several_orders_is_answered_with_the_choice(
    make_order: Callable[..., Order], browser: Browser, channel: FakeChannel, store: Any
) -> None:
    from webapp.channels.incoming import OrdersPage
    from webapp.channels.services import add_store
    from webapp.sync.taking_in.pages import prepare, take_in

    order = make_order(number="302-1111111-0000001")
    with unit_of_work():
        other = add_store("fake", "Second", {"key": "k2"}, actor=Actor.operator())
    ready = prepare(other, OrdersPage([incoming_order(number="302-1111111-0000001")]))
    with unit_of_work():
        take_in(other, ready)

    page = browser.get("/orders/302-1111111-0000001")

    assert page.status_code == 409
    assert f'href="/orders/{order.number}"' in page.text
    assert page.text.count("302-1111111-0000001") >= 3
    assert tells_both(page.text, order)


def test_names_and_addresses_are_only_for_who_may_see_buyers(
    make_order: Callable[..., Order],
    make_browser: Callable[..., Browser],
    make_user: Callable[..., Actor],
    browser: Browser,
    mia: Actor,
) -> None:
    order = make_order()
    with unit_of_work():
        comment(db.session.get_one(Order, order.id), "Jane called", actor=mia)
    reader = make_browser(make_user("read_only", "Rita"))

    assert "7 Zanzibar Mews" in browser.get(f"/orders/{order.number}").text
    assert "Jane called" in browser.get(f"/orders/{order.number}").text
    for path in ("/orders/", f"/orders/{order.number}", f"/orders/rows/{order.id}", f"/orders/{order.number}/parts"):
        page = reader.get(path)
        assert page.status_code == 200
        assert not re.search("Jane|Quixelworth|Zanzibar|Vrombaut|5550199", page.text), path


def test_an_order_without_amounts_or_address_has_a_page(take: Callable[..., list[Order]], browser: Browser) -> None:
    line = incoming_line(unit_price=None, total=None, amounts=())
    [order] = take(
        incoming_order(
            [line], stage=ChannelStage.AWAITING_PAYMENT, status="PENDING", total=None, currency=None, buyer={}
        )
    )
    page = browser.get(f"/orders/{order.number}")

    assert page.status_code == 200
    assert "Withheld by Fake channel" in page.text
    assert browser.get("/orders/").status_code == 200


def test_an_order_managed_at_the_channel_is_shown_and_offers_nothing(
    take: Callable[..., list[Order]], browser: Browser, store: Any
) -> None:
    with unit_of_work():
        store_all(NEW_ORDERS, {"import_orders": False}, store)
    [order] = take(incoming_order())
    page = browser.get(f"/orders/@{order.id}")

    assert page.status_code == 200
    assert "Managed at Fake channel" in page.text
    assert "importing is off" in page.text
    assert f"/orders/@{order.id}" in browser.get("/orders/").text


COST = {"message": 10, "undo_message": 9}  # settings of e-mail, what was typed before; and the mails beside the updates
ADDRESS = {
    "name": "Jane Roe", "line1": "2 New Road", "city": "Berlin", "postal_code": "10115", "country": "DE",
}  # fmt: skip


def _worked(order_id: int, mia: Actor, *, whole: bool = False) -> None:
    """Give an order whatever costs a query: a corrected address, a shipment, tags, a status, somebody, comments, and a
    hold where something of it is left.
    """
    olga = Actor.operator()
    with unit_of_work():
        make_status("packing", {"en": "Packing"}, state="complete" if whole else "processing", actor=olga)
    with unit_of_work():
        order = locked(db.session.get_one(Order, order_id))
        change_address(order, ADDRESS, actor=mia)
        lines = {line.id: line.open if whole else 1 for line in order.lines}
        ship_order(order, [PackageInput("DHL", "JD0001", lines=lines)], actor=mia)
        set_tags(order, ["fragile", "heavy"], [], actor=olga)
        set_status(order, "packing", actor=mia)
        assign(order, mia.id, actor=mia)
        comment(order, "Jane called", actor=mia)
        comment(order, "Jane called again", actor=mia, pin=True)
        if not whole:
            hold(order, "she is moving", actor=mia)


@pytest.mark.parametrize("whole", [False, True], ids=["held", "shipped"])
@pytest.mark.parametrize("lines", [2, 500])
def test_every_part_of_the_page_costs_few_queries(
    take: Callable[..., list[Order]], browser: Browser, mia: Actor, lines: int, whole: bool
) -> None:
    [order] = take(incoming_order([incoming_line(f"SKU{n}", 2) for n in range(lines)]))
    _worked(order.id, mia, whole=whole)
    url = f"/orders/{order.number}"

    page = browser.get(url)
    told = ("Packing", "fragile", "Jane called", "2 New Road", "Mia", *(() if whole else ("she is moving",)))
    assert all(word in page.text for word in told)
    for path in (url, *(f"{url}?tab={tab}" for tab in ("shipments", "updates", "timeline", "channel"))):
        assert browser.get(path).status_code == 200
        assert len(browser.queries) <= 8, f"{path}\n" + "\n".join(browser.queries)
    for path in (f"{url}/aside", f"{url}/parts", f"{url}/lines", f"{url}/shipment-mails"):
        assert browser.get(path, htmx=True).status_code == 200
        assert len(browser.queries) <= 8, f"{path}\n" + "\n".join(browser.queries)
    assert "Your draft" in browser.post(f"{url}/actions/message/draft", {"text": "Typed"}, htmx=True).text
    for code in actions():
        for htmx in (False, True):
            assert browser.get(f"{url}/actions/{code}", htmx=htmx).status_code in (200, 409)
            assert len(browser.queries) <= COST.get(code, 8), f"{code}\n" + "\n".join(browser.queries)


def test_the_money_of_a_line_adds_up_from_left_to_right(take: Callable[..., list[Order]], browser: Browser) -> None:
    goods, carriage = IncomingAmount(Component.ITEM, 2000, 400, 150), IncomingAmount(Component.SHIPPING, 500, 100)
    sold = incoming_line(quantity=2, total=2850, amounts=(goods, carriage))
    gift = incoming_line("GIFT", total=0, unit_price=0, amounts=())
    unknown = incoming_line("LATER", total=None, unit_price=None, amounts=())
    [order] = take(incoming_order([sold, gift, unknown]))

    page = browser.get(f"/orders/{order.number}").text

    rows = re.findall(r'data-label="(Subtotal|Tax|Discount|Total)">([^<]*)', page)
    assert [value for _, value in rows] == [
        *("€20.00", "€4.00", "€1.50", "€22.50"), *("€0.00",) * 4, *("—",) * 4
    ]  # fmt: skip
    for shipping in ("€5.00", "€1.00"):
        assert shipping in page


def test_a_long_order_shows_its_first_hundred_lines_and_finds_any(
    take: Callable[..., list[Order]], browser: Browser
) -> None:
    [order] = take(incoming_order([incoming_line(f"SKU-{n:03}", 1) for n in range(150)]))
    url = f"/orders/{order.number}"

    first, whole = browser.get(url).text, browser.get(f"{url}?lines=all").text
    assert first.count('<tr id="line-') == 100
    assert "Show all 150 lines" in first
    assert whole.count('<tr id="line-') == 150
    assert "Show all" not in whole
    for found in (browser.get(f"{url}?find=sku-14").text, browser.get(f"{url}/lines?find=sku-14", htmx=True).text):
        assert found.count('<tr id="line-') == 10
        assert "10 lines found" in found
    assert "No line matches" in browser.get(f"{url}?find=nothing").text


def test_a_tab_is_a_page_and_for_htmx_only_itself(make_order: Callable[..., Order], browser: Browser) -> None:
    url = f"/orders/{make_order().number}?tab=timeline"

    whole, swapped = browser.get(url).text, browser.get(url, htmx=True, HX_Target="order-tab").text

    assert "<html" in whole
    assert "<html" not in swapped
    for page in (whole, swapped):
        assert "The order arrived" in page
        assert re.search(r'href="[^"]*\?tab=timeline" aria-current="page"', page)
    assert browser.get(f"{url}x").status_code == 200  # an unknown tab is the first


def test_only_parts_that_stand_on_the_page_are_sent_to_it(make_order: Callable[..., Order], browser: Browser) -> None:
    order = make_order()
    url = f"http://localhost/orders/{order.number}"

    overview = browser.get(f"{url}/parts", htmx=True, HX_Current_URL=url).text
    elsewhere = browser.get(f"{url}/parts", htmx=True, HX_Current_URL=f"{url}?tab=timeline").text

    assert 'id="order-totals"' in overview
    assert 'id="order-aside"' not in overview  # it renews itself
    assert re.findall(r'id="(order-\w+)"', elsewhere) == ["order-summary"]
    posted = browser.post(
        f"/orders/{order.number}/actions/comment", {"text": "one"}, htmx=True, HX_Current_URL=f"{url}?tab=timeline"
    )
    assert 'id="order-aside"' not in posted.text


def _shown(page: str) -> dict[str, str]:
    """What the cards about the buyer say that they show, as the page sends it along."""
    return dict(re.findall(r'name="(buyer|addresses)" value="([^"]*)"', page))


def _revealed() -> int:
    db.session.rollback()
    write_readings()
    return db.session.query(AuditEntry).filter_by(code="buyers_seen").count()


def test_an_open_page_shows_a_corrected_address_and_reveals_no_buyer_for_other_news(
    make_order: Callable[..., Order], browser: Browser, mia: Actor
) -> None:
    order = make_order()
    url = f"http://localhost/orders/{order.number}"
    shown = _shown(browser.get(url).text)
    assert shown.keys() == {"buyer", "addresses"}
    seen = _revealed()
    with unit_of_work():
        comment(locked(db.session.get_one(Order, order.id)), "packed", actor=mia)

    quiet = browser.get(f"{url}/parts?{urlencode(shown)}", htmx=True, HX_Current_URL=url).text

    assert "packed" in quiet
    assert not {"order-buyer", "order-addresses"} & set(re.findall(r'id="([\w-]+)"', quiet))
    assert _revealed() == seen
    with unit_of_work():
        change_address(locked(db.session.get_one(Order, order.id)), ADDRESS, actor=mia)

    renewed = browser.get(f"{url}/parts?{urlencode(shown)}", htmx=True, HX_Current_URL=url).text

    assert "2 New Road" in renewed
    assert len(browser.queries) <= 8
    assert _revealed() == seen + 1
    assert _shown(renewed).keys() == {"buyer", "addresses"}
    assert "2 New Road" not in browser.get(f"{url}/parts?{urlencode(_shown(renewed))}", htmx=True).text
    form = browser.get(f"{url}/actions/address", htmx=True).text
    assert "addresses" not in _shown(form)  # nothing takes away what is being typed


def test_an_open_page_shows_a_buyer_whom_the_channel_withheld_at_first(
    take: Callable[..., list[Order]], browser: Browser
) -> None:
    told = incoming_order(buyer={})
    [order] = take(told)
    url = f"http://localhost/orders/{order.number}"
    page = browser.get(url).text
    assert "Zanzibar" not in page
    take(again(told, buyer=incoming_order().buyer))

    renewed = browser.get(f"{url}/parts?{urlencode(_shown(page))}", htmx=True, HX_Current_URL=url).text

    assert "7 Zanzibar Mews" in renewed


def test_the_channel_side_is_read_only_and_its_answer_is_opened_on_the_record(
    make_order: Callable[..., Order],
    browser: Browser,
    make_browser: Callable[..., Browser],
    mia: Actor,
    work: Callable[[], int],
) -> None:
    order = make_order(status="UNSHIPPED")
    url = f"/orders/{order.number}"
    clerk = make_browser(mia)

    side = browser.get(f"{url}?tab=channel").text
    assert "UNSHIPPED" in side
    assert "Vrombaut" in side
    assert "Open the raw answer" in side
    assert f'href="{url}/actions/address#order-addresses"' in side
    for heading in re.findall(r'href="#(there-[a-z-]+)"', side):
        assert f'id="{heading}"' in side
    assert "&#34;said&#34;" not in side
    for answer in (browser.post(f"{url}/raw"), browser.post(f"{url}/raw", htmx=True)):
        assert "&#34;said&#34;: &#34;so&#34;" in answer.text
    assert "Open the raw answer" not in clerk.get(f"{url}?tab=channel").text
    assert clerk.post(f"{url}/raw").status_code == 403
    write_readings()
    seen = [entry.data for entry in db.session.query(AuditEntry).filter_by(code="buyers_seen")]
    assert [data["orders"] for data in seen if data["purpose"] == "raw"] == [[order.id], [order.id]]


def test_all_that_the_channel_tells_of_lines_and_packages_is_shown(
    take: Callable[..., list[Order]], browser: Browser, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "package_status_label", {"IN_TRANSIT": "On its way"}.__getitem__)
    told = {"programs": ("SUBSCRIBE",), "promotions": ("MAY-10",), "condition": "used"}
    line = incoming_line(quantity=2, cancel_requested=True, cancel_reason="No longer needed", **told)
    package = IncomingPackage("P1", {line.number: 1}, "Postboy", "Swift", "JD0001", status="IN_TRANSIT")
    bare = IncomingPackage("P2", {})
    [order] = take(incoming_order([line], packages=(package, bare), replaces="302-0000009-0000001"))

    page = browser.get(f"/orders/{order.number}").text
    side = browser.get(f"/orders/{order.number}?tab=channel").text

    assert "302-0000009-0000001" in page
    words = ("SUBSCRIBE", "MAY-10", "used", "No longer needed", "P1", "Postboy", "Swift", "JD0001", "On its way", "P2")
    for word in words:
        assert word in side, word


def test_an_erased_order_says_so_everywhere(make_order: Callable[..., Order], browser: Browser, mia: Actor) -> None:
    order = make_order(quantity=2)
    _worked(order.id, mia)
    with unit_of_work():
        erase([order.id])
    url = f"/orders/{order.number}"

    for path in (url, f"{url}?tab=channel", f"{url}?tab=timeline"):
        page = browser.get(path)
        assert page.status_code == 200
        assert not re.search("Quixelworth|Vrombaut|Jane called|she is moving", page.text), path
    assert browser.get(url).text.count("have been erased") == 2
    assert "have been erased" in browser.post(f"{url}/raw", htmx=True).text


def test_an_order_without_lines_and_one_of_another_script_have_their_pages(
    take: Callable[..., list[Order]], browser: Browser
) -> None:
    line = incoming_line(price=1500, title="青い急須")
    address = {"name": "山田 太郎", "line1": "千代田 1-1", "city": "東京", "country": "JP"}
    buyer = {"name": "山田 太郎", "address": address}
    empty, far = take(
        incoming_order([], total=None), incoming_order([line], marketplace="JP", currency="JPY", buyer=buyer)
    )

    assert "This order has no lines." in browser.get(f"/orders/{empty.number}").text
    page = browser.get(f"/orders/{far.number}").text
    assert all(word in page for word in ("山田 太郎", "青い急須", "¥1,500", "¥300"))


def test_a_phone_with_an_extension_can_be_called(take: Callable[..., list[Order]], browser: Browser) -> None:
    address = {"name": "Pat", "line1": "1 Main St", "city": "Springfield", "region": "IL", "country": "US"}
    address |= {"postal_code": "62701", "phone": "+1 (217) 555-0142 ext. 54321"}
    [order] = take(incoming_order(buyer={"name": "Pat", "address": address}))
    assert 'href="tel:+12175550142;ext=54321"' in browser.get(f"/orders/{order.number}").text


def test_a_comment_is_pinned_above_the_others_and_let_go(make_order: Callable[..., Order], browser: Browser) -> None:
    order = make_order()
    url = f"/orders/{order.number}"
    for text in ("the first", "the second"):
        browser.post(f"{url}/actions/comment", {"text": text}, htmx=True)
    [second, first] = [row.id for row in comments_of(order)]

    pinned = browser.post(f"{url}/comments/{first}/pin", htmx=True).text
    assert pinned.index("the first") < pinned.index("the second")
    assert browser.post(f"{url}/comments/{first}/unpin").status_code == 302
    page = browser.get(url).text
    assert page.index("the second") < page.index("the first")
    assert browser.post(f"{url}/comments/{second + 99}/pin", htmx=True).status_code == 404


def test_the_ways_to_the_channel_always_stand_in_the_head(make_order: Callable[..., Order], browser: Browser) -> None:
    order = make_order()

    page = browser.get(f"/orders/{order.number}").text

    assert f'href="/orders/{order.number}?tab=channel"' in page
    assert f'href="/orders/?q=store:{order.store_id}"' in page
    assert "Fake channel has no page for single orders." in page


def test_a_packing_slip_is_offered_by_what_prints_it(
    make_order: Callable[..., Order], browser: Browser, mia: Actor
) -> None:
    order = make_order()
    slip = f'href="/orders/{order.number}/packing-slip"'
    assert slip in browser.get(f"/orders/{order.number}").text

    with unit_of_work():
        hold(locked(order), "Stock count", actor=mia)

    page = browser.get(f"/orders/{order.number}").text
    assert slip not in page
    assert 'aria-describedby="why-documents-packing_slip"' in page


def test_both_texts_of_a_countdown_are_escaped_alike() -> None:
    at = now()
    shown = Reader("en", ZoneInfo("UTC"), at).countdown(at + timedelta(hours=2), 'Ship & "go" in {time}')
    assert 'data-left="Ship &amp; &#34;go&#34; in {time}"' in shown
    assert ">Ship &amp; &#34;go&#34; in 2 h<" in shown


def test_only_an_order_that_can_still_leave_has_a_countdown(take: Callable[..., list[Order]], browser: Browser) -> None:
    told = incoming_order()
    gone = incoming_order(stage=ChannelStage.CANCELED, status="CANCELED")
    for order, counts in zip(take(told, gone), (True, False), strict=True):
        assert order.unshipped or not counts
        with unit_of_work():
            set_due(locked(db.session.get_one(Order, order.id)), told.ship_by, actor=Actor.operator())
        page = browser.get(f"/orders/{order.number}").text
        head = page[page.index('<header id="order-summary"') : page.index("</header>", page.index("order-summary"))]
        assert ("data-countdown" in head) is counts, head
        assert "Due" in head
        row = browser.get(f"/orders/rows/{order.id}").text
        assert ("data-countdown" in row) is counts, row


def test_the_service_is_told_in_the_channels_words(
    take: Callable[..., list[Order]], browser: Browser, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "service_label", lambda level: {"EXPEDITED": "Quite fast"}.get(level, level))
    [order] = take(incoming_order(service_level="EXPEDITED"))

    for tab in ("overview", "channel"):
        page = browser.get(f"/orders/{order.number}?tab={tab}").text
        assert "<dd>Quite fast</dd>" in page
        assert "EXPEDITED" not in page


def test_an_address_stands_as_its_country_writes_it_with_what_is_unusual(
    take: Callable[..., list[Order]], browser: Browser
) -> None:
    address = {"name": "Pat Sample", "line1": "1 Main St", "city": "Springfield", "region": "New York"}
    address |= {"postal_code": "62701", "country": "US", "phone": "+1 217-555-0142 ext. 54321"}
    [order] = take(incoming_order(buyer={"name": "Pat Sample", "address": address}))

    page = browser.get(f"/orders/{order.number}").text

    assert "Pat Sample\n1 Main St\nSPRINGFIELD, NY 62701\nUNITED STATES</address>" in page
    assert "“62701” is not a postal code of New York." in page
    assert '<a href="tel:+12175550142;ext=54321">' in page


@pytest.mark.parametrize(
    ("country", "optional"),
    [("DE", {"region"}), ("US", set()), ("HK", {"postal_code", "city", "region"}), ("IE", {"postal_code", "region"})],
)
def test_an_address_form_calls_optional_what_its_country_does_without(
    take: Callable[..., list[Order]], browser: Browser, country: str, optional: set[str]
) -> None:
    address = {"name": "Jane Roe", "line1": "2 New Road", "city": "Town", "country": country}
    [order] = take(incoming_order(buyer={"name": "Jane Roe", "address": address}))

    page = browser.get(f"/orders/{order.number}/actions/address").text

    for field in ("name", "line1", "city", "postal_code", "region"):
        [label] = re.findall(rf'<label for="address-{field}">(.*?)</label>', page)
        assert ("(optional)" in label) is (field in optional), (field, label)
    sent = address | {"country": "HK", "city": "", "line1": "1 Harbour Road"}
    token = re.findall(r'name="(key|version)" [^>]*value="([^"]+)"', page)
    answer = browser.post(f"/orders/{order.number}/actions/address", sent | dict(token))
    assert answer.status_code == 302, answer.text[:500]


def test_a_line_of_which_nothing_is_ordered_any_more_is_canceled(
    take: Callable[..., list[Order]], browser: Browser
) -> None:
    [order] = take(incoming_order([incoming_line("GONE", 0), incoming_line("MUG", 1)]))

    page = browser.get(f"/orders/{order.number}").text

    row = page[page.index('<tr id="line-') : page.index("GONE")]
    row += page[page.index("GONE") : page.index("</tr>", page.index("GONE"))]
    assert "Canceled" in row
    assert "Shipped<" not in row


@pytest.mark.parametrize(("told", "spoken"), [("fr", "fr"), ("fr_FR", "fr"), ("fr_BE", "fr"), ("ja_JP", "en")])
def test_a_packing_slip_speaks_the_language_of_the_marketplace(
    take: Callable[..., list[Order]], browser: Browser, channel: FakeChannel, told: str, spoken: str
) -> None:
    """Marketplaces name it with its country, too."""
    channel.marketplaces = (replace(GERMANY, language=told),)
    [order] = take(incoming_order())
    slip = browser.get(f"/orders/{order.number}/packing-slip").text
    assert re.findall(r'<article class="slip" lang="(\w+)"', slip) == [spoken]


def test_other_orders_of_the_buyer_load_below_the_buyer(take: Callable[..., list[Order]], browser: Browser) -> None:
    known = {"name": "Jane Quixelworth", "email": "k7x@marketplace.test", "address": {"country": "DE"}}
    order, other = take(incoming_order(buyer=known), incoming_order(buyer=known))
    url = f"/orders/{order.number}/of-buyer"
    assert f'hx-get="{url}"' in browser.get(f"/orders/{order.number}").text
    part = browser.get(url, htmx=True).text
    assert len(browser.queries) <= 8, "\n".join(browser.queries)
    assert "1 other order of this buyer" in part
    assert f'href="/orders/{other.number}"' in part
    assert "k7x" not in part
    page = browser.get(url).text  # without JavaScript
    assert "<h1>Other orders of this buyer</h1>" in page
    assert f'href="/orders/{other.number}"' in page
    with unit_of_work():
        erase([order.id])
    assert url not in browser.get(f"/orders/{order.number}").text
    assert "are not shown" in browser.get(url).text


def test_a_store_that_does_not_show_other_orders_offers_no_link(
    take: Callable[..., list[Order]], browser: Browser, store: Store
) -> None:
    known = {"name": "Jane Quixelworth", "email": "k7x@marketplace.test", "address": {"country": "DE"}}
    order, _other = take(incoming_order(buyer=known), incoming_order(buyer=known))
    url = f"/orders/{order.number}/of-buyer"
    assert url in browser.get(f"/orders/{order.number}").text
    with unit_of_work():
        change(NEW_ORDERS, {"other_orders": "no"}, db.session.get_one(Store, store.id), actor=Actor.operator())
    page = browser.get(f"/orders/{order.number}").text
    assert len(browser.queries) <= 8, "\n".join(browser.queries)
    assert "k7x@marketplace.test" in page
    assert url not in page


@pytest.mark.parametrize("total", [0, None])
def test_an_order_without_a_currency_has_its_pages(take: Any, browser: Browser, total: int | None) -> None:
    line = incoming_line(unit_price=total, total=total, amounts=())
    [order] = take(incoming_order([line], currency=None, total=total))
    for tab in ("overview", "timeline", "channel", "shipments", "invoices", "refunds"):
        assert browser.get(f"/orders/{order.number}?tab={tab}").status_code == 200, tab
    assert browser.get("/orders/").status_code == 200
    assert (f'id="order-{order.id}"' in browser.get("/orders/?q=total:0").text) == (total == 0)
