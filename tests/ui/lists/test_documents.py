"""Packing slips as pages: for one order and for many, by right, marked where they are practice."""

import io
import re
from collections.abc import Callable

import pytest
from pypdf import PdfReader

from tests.documents.code128 import read_back
from tests.pictures import png
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
    assert len(browser.queries) <= 8, "\n".join(browser.queries)
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
        assert len(browser.queries) <= 8, "\n".join(browser.queries)
        assert re.findall(r'<td class="num strong">(\d+)</td>', page) == units
        assert ("2 of 2" in page) is (query != "?package=1")
        assert ("PARCEL-A" in page, "PARCEL-B" in page) == ("4" in units, "6" in units)
        kept = re.findall(r'name="package" value="(\d)"', page)  # another paper is for the same parcel
        assert kept == re.findall(r"\d", query)
    assert browser.get(f"{url}?package=3").status_code == 404


def test_many_slips_stand_on_one_page_and_what_must_not_leave_apart(
    browser: Browser, order: Order, take: Callable[..., list[Order]]
) -> None:
    [other] = take(incoming_order())
    ids = [str(order.id), str(other.id)]
    with unit_of_work():
        db.session.execute(db.update(Order).where(Order.id == other.id).values(canceling=True))
    page = browser.get("/orders/packing-slips", {"order": ids}).text
    assert len(browser.queries) <= 8, "\n".join(browser.queries)
    assert page.count('class="slip"') == 1
    assert "This order is being canceled." in page
    assert tells_both(page.partition('class="slips"')[0], other)
    letter = browser.get("/orders/packing-slips", {"all": "1", "paper": "letter"}).text
    assert 'data-paper="letter"' in letter


def test_an_incomplete_address_is_said_above_the_slip_and_not_on_paper(browser: Browser, order: Order) -> None:
    url = f"/orders/{order.number}/packing-slip"
    assert "Address incomplete" not in browser.get(url).text
    with unit_of_work():
        marks = [{"kind": "odd_address", "values": {"missing": ["city"]}}]
        db.session.execute(db.update(Order).where(Order.id == order.id).values(attention=marks))
    above, _, paper = browser.get(url).text.partition('class="slips"')
    assert ("Address incomplete" in above, "ncomplete" in paper) == (True, False)


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
    from webapp.channels.connecting import Marketplace

    france = Marketplace("DE", "FR", "Fake France", "EUR", "fr", "Europe/Paris")
    monkeypatch.setattr(channel, "marketplace", lambda marketplace: france, raising=False)
    page = browser.get(f"/orders/{order.number}/packing-slip").text
    assert 'lang="fr"' in page
    assert "GERMANY" in page  # where it goes, for carriers, in the language of the shop
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
    from webapp.channels.connecting import Marketplace

    france = Marketplace("DE", "FR", "Fake France", "EUR", "fr", "Europe/Paris")
    monkeypatch.setattr(channel, "marketplace", lambda marketplace: france, raising=False)
    line = incoming_line("MUG")
    told = JANE | {"instructions": "Ring <twice>", "customizations": {line.number: "Blue"}}
    [order] = take(incoming_order([line], buyer=told))

    page = browser.get(f"/orders/{order.number}/packing-slip").text

    assert "</strong>\N{NO-BREAK SPACE}: Ring &lt;twice&gt;" in page
    assert "\N{NO-BREAK SPACE}: Blue" in page


def test_a_slip_has_its_order_number_as_bars(browser: Browser, order: Order) -> None:
    page = browser.get(f"/orders/{order.number}/packing-slip").text
    [svg] = re.findall(r"<svg role=\"img\".*?</svg>", page, re.DOTALL)
    rects = [(int(x), int(width)) for x, width in re.findall(r"M(\d+) 0h(\d+)v1h-\d+z", svg)]
    found = re.search(r'viewBox="0 0 (\d+) 1".*?width="([\d.]+)mm"', svg, re.DOTALL)
    assert found
    modules, millimeters = int(found[1]), float(found[2])
    widths = []
    for (x, width), following in zip(rects, [*rects[1:], (modules, 0)], strict=True):
        widths += [width, following[0] - x - width]
    assert rects[0][0] >= 10  # empty paper, without which no scanner finds the code
    assert widths.pop() >= 10
    assert read_back(widths) == order.number
    assert millimeters / modules >= 0.25


def test_a_number_that_bars_do_not_carry_is_printed_as_text(browser: Browser, order: Order) -> None:
    with unit_of_work():
        db.session.execute(db.update(Order).where(Order.id == order.id).values(number="Größe-1"))
    page = browser.get(f"/orders/@{order.id}/packing-slip").text
    assert "<figcaption>Größe-1</figcaption>" in page
    assert '<svg role="img"' not in page


def test_a_letter_that_no_font_has_is_named_on_the_slip_and_on_the_page(
    browser: Browser, take: Callable[..., list[Order]]
) -> None:
    plain, odd, hebrew = (
        take(incoming_order([incoming_line(title=title)]))[0] for title in ("Cup 東京 ★", "Cup 🥳", "Cup שלום")
    )
    page = browser.get("/orders/packing-slips", {"order": [str(plain.id), str(odd.id), str(hebrew.id)]}).text
    before, slips = page.split('class="slips"')
    assert "Cup 東京 ★" in slips
    assert "Cup [U+1F973]" in slips
    assert "Cup שלום" in slips
    assert "U+1F973 FACE WITH PARTY HORN AND PARTY HAT" in before
    assert "U+05E9 HEBREW LETTER SHIN" in before
    assert tells_both(before, odd)
    assert tells_both(before, hebrew)
    assert not tells_both(before, plain)


def test_the_fonts_of_slips_come_from_the_desk(browser: Browser) -> None:
    style = browser.get("/static/print.css").text
    named = re.findall(r'url\("(fonts/[^"]+)"\)', style)
    assert len(named) == 9
    for url in named:
        assert re.search(r"\?v=[0-9a-f]{12}$", url)
        font = browser.get(f"/static/{url}")
        assert font.status_code == 200
        assert font.content_type == "font/ttf"
        assert "immutable" in font.headers["Cache-Control"]
    assert browser.get("/static/fonts/../letters.py").status_code == 404
    assert browser.get("/static/fonts/none.ttf").status_code == 404


# --- PDF --------------------------------------------------------------------------------------------------------------


def pdf_of(browser: Browser, order: Order, query: str = "") -> list[str]:
    answer = browser.get(f"/orders/{order.number}/packing-slip.pdf{query}")
    assert answer.status_code == 200
    assert answer.content_type == "application/pdf"
    assert answer.headers["Content-Disposition"].startswith(f'attachment; filename="packing-slip-{order.number}')
    assert answer.headers["Cache-Control"] == "no-store"
    return [page.extract_text() for page in PdfReader(io.BytesIO(answer.data)).pages]


def test_a_slip_is_had_as_pdf(browser: Browser, order: Order) -> None:
    shown = browser.get(f"/orders/{order.number}/packing-slip").text
    assert f'href="/orders/{order.number}/packing-slip.pdf"' in shown
    [page] = pdf_of(browser, order)
    for word in (str(order.number), order.channel_order_number, "Zanzibar Mews", "Happy birthday!", "A mug", "MUG"):
        assert word in page


def test_each_of_two_parcels_has_a_slip_as_pdf(browser: Browser, take: Callable[..., list[Order]], mia: Actor) -> None:
    """Ten units that left as four and six: today's only slip said ten."""
    [order] = take(incoming_order([incoming_line("MUG", 10)]))
    for number, units in (("PARCEL-A", 4), ("PARCEL-B", 6)):
        with unit_of_work():
            row = locked(order)
            ship_order(row, [PackageInput("DHL", number, lines={row.lines[0].id: units})], actor=mia)
    assert "packing-slip.pdf?package=2" in browser.get(f"/orders/{order.number}?tab=shipments").text
    for package, units, parcel in ((1, "4", "PARCEL-A"), (2, "6", "PARCEL-B")):
        [page] = pdf_of(browser, order, f"?package={package}&paper=4x6")
        lines = page.splitlines()
        assert lines[lines.index("MUG") - 1] == units
        assert parcel in lines
        assert f"{package} of 2" in lines
    assert len(pdf_of(browser, order)) == 2
    assert browser.get(f"/orders/{order.number}/packing-slip.pdf?package=3").status_code == 404


def test_what_must_not_leave_has_no_pdf(browser: Browser, order: Order) -> None:
    number = order.number
    with unit_of_work():
        db.session.execute(db.update(Order).where(Order.id == order.id).values(canceling=True))
    answer = browser.get(f"/orders/{number}/packing-slip.pdf")
    assert answer.status_code == 409
    assert "This order is being canceled." in answer.text


def test_a_pdf_shows_no_buyer_to_who_may_not_see_them(
    order: Order, make_browser: Callable[..., Browser], make_user: Callable[..., Actor]
) -> None:
    rob = make_browser(make_user("read_only", "Rob"))
    [page] = pdf_of(rob, order)
    assert "your role does not show buyer data" in " ".join(page.split())
    assert "Quixelworth" not in page
    assert "Happy birthday" not in page


def test_a_pdf_has_the_logo_of_its_shop(browser: Browser, order: Order) -> None:
    where = f"/settings/shops/{order.shop_id}/logo"
    browser.post(where, {"logo": (io.BytesIO(png(400, 120)), "logo.png")})
    answer = browser.get(f"/orders/{order.number}/packing-slip.pdf")
    [page] = PdfReader(io.BytesIO(answer.data)).pages
    assert [image.image.size for image in page.images] == [(400, 120)]


def test_slips_of_a_choice_are_made_by_a_run_and_fetched_by_who_asked(
    browser: Browser,
    order: Order,
    take: Callable[..., list[Order]],
    work: Callable[[], int],
    make_browser: Callable[..., Browser],
    make_user: Callable[..., Actor],
) -> None:
    [held] = take(incoming_order())
    with unit_of_work():
        db.session.execute(db.update(Order).where(Order.id == held.id).values(on_hold=True))
    chosen = {"order": [str(order.id), str(held.id)]}
    page = browser.get("/orders/packing-slips", chosen).text
    assert 'action="/orders/packing-slips/pdf"' in page
    run = browser.post("/orders/packing-slips/pdf", chosen | {"paper": "letter"}).location
    assert "The file is being created" in browser.get(run).text
    work()
    page = browser.get(run).text
    assert tells_both(page, held)
    assert "on hold" in page
    [url] = re.findall(r'href="(/runs/\d+/document)"', page)
    answer = browser.get(url)
    assert answer.content_type == "application/pdf"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="packing-slips-')
    [sheet] = PdfReader(io.BytesIO(answer.data)).pages
    assert str(order.number) in sheet.extract_text()
    assert float(sheet.mediabox.width) == pytest.approx(612, abs=1)
    assert "Packing slips" in browser.get("/runs/").text

    cleo = make_browser(make_user("clerk", "Cleo"))
    for path in (run, url, f"{run}/progress", f"{run}/strip"):
        assert cleo.get(path).status_code == 404
    assert "Packing slips" not in cleo.get("/runs/").text.partition("<main")[2]

    with unit_of_work():
        db.session.execute(db.update(Order).where(Order.id == order.id).values(canceling=True))
    answer = browser.get(url)
    assert answer.status_code == 409
    assert "must no longer be shipped" in answer.text


def test_nothing_chosen_begins_no_run(browser: Browser, order: Order) -> None:
    assert browser.post("/orders/packing-slips/pdf").location.startswith("/orders/")
    assert browser.post("/orders/packing-slips/pdf", {"all": "1", "q": "state:canceled"}).location.startswith(
        "/orders/?"
    )


def test_a_run_of_slips_is_only_led_as_others_are(browser: Browser, order: Order, work: Callable[[], int]) -> None:
    run = browser.post("/orders/packing-slips/pdf", {"all": "1"}).location
    assert browser.post(f"{run}/pause").status_code == 302
    work()
    assert browser.post(f"{run}/resume").status_code == 302
    work()
    assert "/document" in browser.get(run).text
    assert browser.post(f"{run}/undo").status_code == 404
    assert browser.post(f"{run}/again").status_code == 404
