"""The list of invoices in the browser, and documents of chosen orders and invoices to print."""

import io
import re
from collections.abc import Callable

import pytest
from pypdf import PdfReader
from sqlalchemy import update

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.billing.kept_buyers import COUNTRIES, KEEPING
from webapp.billing.models import Invoice, InvoiceLine
from webapp.billing.services import issue_invoices
from webapp.billing.taxes import TAXES
from webapp.channels.legal_face import FACE
from webapp.db import db, unit_of_work
from webapp.documents import print_runs
from webapp.jobs.models import Run
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.settings.services import change, store_all
from webapp.testing import JANE, incoming_line, incoming_order
from webapp.ui.lists import print_pages
from webapp.vault import services as vault

Take = Callable[..., list[Order]]
Issue = Callable[..., list[Order]]
Work = Callable[[], int]


@pytest.fixture
def issue(take: Take, mia: Actor) -> Issue:
    """Take in so many orders, and issue two invoices of each."""

    def take_and_issue(count: int) -> list[Order]:
        buyers = [JANE | {"address": JANE["address"] | {"name": f"Buyer Number{place}"}} for place in range(count)]
        orders = take(*[incoming_order([incoming_line(f"SKU{n}", 2)], buyer=buyers[n]) for n in range(count)])
        with unit_of_work():
            for order in orders:
                row = locked(order)
                issue_invoices([row], {row.lines[0].id: 1}, actor=mia)
                issue_invoices([row], actor=mia)
        return orders

    return take_and_issue


def numbers_of(page: str) -> list[str]:
    return re.findall(r'class="number" href="/invoices/\d+">(INV-\d+)<', page)


def sheets(answer: bytes) -> list[str]:
    return [page.extract_text() for page in PdfReader(io.BytesIO(answer)).pages]


def test_the_page_of_invoices_costs_few_queries(issue: Issue, browser: Browser) -> None:
    issue(30)
    browser.get("/invoices/")
    columns = ["document", "issued", "number", "total", "tax", "net", "by", "units", "shop", "store", "marketplace"]
    browser.post("/invoices/columns", {"column": columns})
    for url in ("/invoices/", "/invoices/?q=store:1+currency:EUR&sort=total", "/invoices/?view=today"):
        page = browser.get(url)
        assert len(numbers_of(page.text)) == 50, url
        assert len(browser.queries) <= 8, "\n".join(browser.queries)
    assert page.text.count("Mia") >= 50
    assert 'aria-label="Invoices by date of issue"' in page.text
    assert 'formaction="/invoices/print"' in page.text
    assert "60 invoices" in browser.get("/invoices/count").text
    older = re.search(r'rel="next" href="([^"]+)"', browser.get("/invoices/").text)
    assert older is not None
    assert numbers_of(browser.get(older[1].replace("&amp;", "&")).text)[-1] == "INV-000001"


def test_a_number_opens_its_invoice_and_a_word_searches(issue: Issue, browser: Browser) -> None:
    issue(2)
    [invoice] = db.session.query(Invoice).filter_by(number="INV-000002")
    assert browser.post("/invoices/search", {"text": "INV-000002"}).location == f"/invoices/{invoice.id}"
    answer = browser.post("/invoices/search", {"text": "sku1"})
    assert numbers_of(browser.get(answer.location).text) == ["INV-000004", "INV-000003"]
    assert 'href="/invoices/"' in browser.get("/orders/").text
    assert "Invoices" in browser.get("/palette/").text


def test_views_filters_and_files_are_its_own(issue: Issue, browser: Browser) -> None:
    issue(1)
    page = browser.get("/invoices/filters").text
    assert 'name="f-issued' in page
    answer = browser.post("/invoices/filters", {"f-currency": "EUR"})
    assert len(numbers_of(browser.get(answer.location).text)) == 2
    saved = browser.post("/invoices/views/", {"name": "Mine", "q": "currency:EUR"})
    assert "Mine" in browser.get(saved.location).text
    assert "Mine" not in browser.get("/orders/views/").text
    started = browser.post("/invoices/export/start", {"all": "1", "format": "csv", "rows": "lines", "column": "total"})
    assert len(browser.get(started.location).text.splitlines()) == 3


# --- Printing ---------------------------------------------------------------------------------------------------------


def test_chosen_invoices_are_printed_in_the_lists_order(issue: Issue, browser: Browser, work: Work) -> None:
    orders = issue(3)
    for url in ("/invoices/print?all=1&sort=issued", "/invoices/print?all=1&sort=issued&q=currency:EUR"):
        page = browser.get(url)
        assert re.findall(r">(INV-\d+)</dd>", page.text) == [f"INV-00000{place}" for place in range(1, 7)]
        assert len(browser.queries) <= 12, "\n".join(browser.queries)
        assert page.text.count('class="slip"') == 6
    ids = [str(row.id) for row in db.session.query(Invoice).order_by(Invoice.id.desc()).limit(3)]
    started = browser.post("/invoices/print", {"invoice": ids, "paper": "4x6"})
    work()
    page = browser.get(started.location).text
    assert "Invoices" in page
    assert page.count(str(orders[2].number)) >= 2  # each invoice names its order
    found = sheets(browser.get(f"{started.location}/document").data)
    text = "".join(found)
    assert [text.index(f"INV-00000{place}") for place in (6, 5, 4)] == sorted(
        text.index(f"INV-00000{place}") for place in (6, 5, 4)
    )
    assert "INV-000003" not in text
    assert (
        browser.get(f"{started.location}/document")
        .headers["Content-Disposition"]
        .startswith('attachment; filename="invoices-')
    )


def test_a_file_of_invoices_goes_with_a_buyer(issue: Issue, browser: Browser, work: Work) -> None:
    [order] = issue(1)
    started = browser.post("/invoices/print", {"all": "1"})
    work()
    assert "Buyer Number0" in "".join(sheets(browser.get(f"{started.location}/document").data))
    with unit_of_work():
        vault.erase([order.id])
    assert browser.get(f"{started.location}/document").status_code == 404
    again = browser.post("/invoices/print", {"all": "1"})
    work()
    assert "Buyer Number0" not in "".join(sheets(browser.get(f"{again.location}/document").data))


def test_nothing_chosen_is_said_and_too_many_are_refused(
    issue: Issue, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    issue(2)
    assert "Choose at least one invoice first." in browser.get(browser.get("/invoices/print").location).text
    assert "Choose at least one order first." in browser.get(browser.get("/orders/invoices").location).text
    monkeypatch.setattr(print_runs, "MOST", 2)
    monkeypatch.setattr(print_pages, "SHOWN", 1)
    assert "up to 2 rows" in browser.post("/invoices/print", {"all": "1"}).text
    assert "than one file can have (2)" in browser.get("/invoices/print?all=1").text
    [one, two] = db.session.query(Invoice).limit(2)
    assert "1 more document is in the PDF" in browser.get(f"/invoices/print?invoice={one.id}&invoice={two.id}").text
    assert db.session.query(Run).filter_by(kind="print").count() == 0


def test_invoices_of_chosen_orders_are_printed_and_those_without_are_named(
    issue: Issue, take: Take, browser: Browser, work: Work
) -> None:
    first, second = issue(2)
    [bare] = take(incoming_order())
    url = f"/orders/invoices?order={second.id}&order={bare.id}&order={first.id}"
    page = browser.get(url)
    assert re.findall(r">(INV-\d+)</dd>", page.text) == ["INV-000003", "INV-000004", "INV-000001", "INV-000002"]
    assert len(browser.queries) <= 14, "\n".join(browser.queries)
    assert "1 order is left out:" in page.text
    assert str(bare.number) in page.text
    started = browser.post("/orders/invoices/pdf", {"order": [str(second.id), str(bare.id), str(first.id)]})
    work()
    text = "".join(sheets(browser.get(f"{started.location}/document").data))
    assert text.index("INV-000003") < text.index("INV-000001")
    none = browser.get(f"/orders/invoices?order={bare.id}").text
    assert "None of these orders has an invoice yet." in none
    tab = browser.get(f"/orders/{first.number}?tab=invoices").text
    assert f"/orders/invoices?order={first.id}" in tab


def test_an_invoice_that_does_not_add_up_is_named_and_the_others_are_printed(issue: Issue, browser: Browser) -> None:
    issue(2)
    wrong = db.session.query(Invoice).filter_by(number="INV-000003").one()
    with unit_of_work():
        one = {"invoice_id": wrong.id, "position": 9, "component": "tip", "sku": "", "title": "", "units": 0}
        db.session.execute(InvoiceLine.__table__.insert().values(**one, charged=1, tax=0, discount=0))
    page = browser.get("/invoices/print?all=1").text
    assert sorted(re.findall(r">(INV-\d+)</dd>", page)) == ["INV-000001", "INV-000002", "INV-000004"]
    assert "INV-000003 is not printed: its rows add up to" in page
    assert "3 invoices" in page


def test_a_pick_list_is_a_page_and_a_pdf(take: Take, browser: Browser) -> None:
    held, other = take(
        incoming_order([incoming_line("MUG", 2)]), incoming_order([incoming_line("MUG", 1), incoming_line("CUP", 4)])
    )
    url = f"/orders/pick-list?order={held.id}&order={other.id}"
    page = browser.get(url)
    assert re.findall(r'<td class="num strong">(\d+)</td>', page.text) == ["4", "3"]
    assert len(browser.queries) <= 8, "\n".join(browser.queries)
    as_pdf = re.search(r'href="(/orders/pick-list\.pdf[^"]*)"', page.text)
    assert as_pdf is not None
    [text] = sheets(browser.get(as_pdf[1].replace("&amp;", "&")).data)
    assert text.index("CUP") < text.index("MUG")
    assert "€" not in text
    with unit_of_work():
        db.session.execute(update(Order).where(Order.id == held.id).values(on_hold=True))
    assert "1 order is left out:" in browser.get("/orders/pick-list?all=1").text
    assert "Pick list" in browser.get("/orders/").text


def test_return_slips_of_one_and_of_many(take: Take, browser: Browser, work: Work) -> None:
    one, two = take(incoming_order(), incoming_order())
    page = browser.get(f"/orders/{one.number}/return-slip")
    assert "Reason for the return" in page.text
    assert "Quixelworth" not in page.text
    assert len(browser.queries) <= 8, "\n".join(browser.queries)
    assert f"/orders/{one.number}/return-slip" in browser.get(f"/orders/{one.number}").text
    [sheet] = sheets(browser.get(f"/orders/{one.number}/return-slip.pdf").data)
    assert one.channel_order_number in sheet
    assert browser.get(f"/orders/return-slips?order={one.id}&order={two.id}").text.count('class="slip"') == 2
    started = browser.post("/orders/return-slips/pdf", {"order": [str(two.id), str(one.id)]})
    work()
    first, second = sheets(browser.get(f"{started.location}/document").data)
    assert (two.channel_order_number in first, one.channel_order_number in second) == (True, True)
    with unit_of_work():
        db.session.execute(db.text("UPDATE order_lines SET canceled = ordered"))
    assert browser.get(f"/orders/{one.number}/return-slip").status_code == 409
    assert "so nothing can be returned" in browser.get(f"/orders/{one.number}").text


def test_who_sees_no_buyers_gets_paper_without_them(
    issue: Issue, make_browser: Callable[..., Browser], make_user: Callable[..., Actor], work: Work
) -> None:
    issue(1)
    rae = make_browser(make_user("read_only", "Rae"))
    assert "Buyer Number0" not in rae.get("/invoices/print?all=1").text
    started = rae.post("/invoices/print", {"all": "1"})
    work()
    assert "Buyer Number0" not in "".join(sheets(rae.get(f"{started.location}/document").data))


def test_an_invoice_is_had_as_factur_x_by_who_may_see_its_buyer(
    take: Take, browser: Browser, make_browser: Callable[..., Browser], make_user: Callable[..., Actor], operator: Actor
) -> None:
    pytest.importorskip("facturx")
    [order] = take(incoming_order([incoming_line("MUG", 2)]))
    with unit_of_work():
        [bare] = issue_invoices([locked(order)], {order.lines[0].id: 1}, actor=operator)
        store_all(FACE, {"vat_numbers": "DE123456789", "address": "Kai 1"}, order.shop)
        store_all(TAXES, {"tax_rates": "DE 20"}, order.shop)
        change(KEEPING, {COUNTRIES.name: "DE 8: § 14b UStG"}, order.shop, actor=operator)
        [whole] = issue_invoices([locked(order)], actor=operator)
    shown = browser.get(f"/invoices/{bare.id}").text
    assert 'aria-describedby="why-1"' in shown
    assert re.search(r'<p class="note small" id="why-1">\s*Factur-X needs the seller&#39;s VAT number', shown)
    assert browser.get(f"/invoices/{bare.id}/factur-x.pdf").status_code == 409

    url = f"/invoices/{whole.id}/factur-x.pdf"
    assert f'href="{url}"' in browser.get(f"/invoices/{whole.id}").text
    answer = browser.get(url)
    assert len(browser.queries) <= 9, "\n".join(browser.queries)
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="INV-000002-factur-x.pdf"')
    [xml] = PdfReader(io.BytesIO(answer.data)).attachments["factur-x.xml"]
    assert b"Quixelworth" in xml
    rae = make_browser(make_user("read_only", "Rae"))
    assert rae.get(url).status_code == 409
    with unit_of_work():
        vault.erase([order.id])
    assert browser.get(url).status_code == 409
    assert f'href="{url}"' not in browser.post(f"/invoices/{whole.id}/buyer", {"purpose": "Tax audit"}).text
    opened = browser.post(f"/invoices/{whole.id}/buyer/factur-x.pdf", {"purpose": "Tax audit"})
    assert list(PdfReader(io.BytesIO(opened.data)).attachments) == ["factur-x.xml"]
    assert rae.post(f"/invoices/{whole.id}/buyer/factur-x.pdf", {"purpose": "Curiosity"}).status_code == 403


def test_the_buyer_of_an_invoice_who_is_erased_is_shown_for_a_purpose(
    take: Take, browser: Browser, stranger: Browser, operator: Actor, make_user: Callable[..., Actor]
) -> None:
    [order] = take(incoming_order())
    with unit_of_work():
        change(KEEPING, {COUNTRIES.name: "DE 8: § 14b UStG"}, order.shop, actor=operator)
        invoice = issue_invoices([locked(order)], actor=operator)[0]
    url, kept = f"/invoices/{invoice.id}", "data until the end of"
    assert kept not in browser.get(url).text
    with unit_of_work():
        vault.erase([order.id])
    page = browser.get(url)
    assert (kept in page.text, "Quixelworth" in page.text) == (True, False)
    assert len(browser.queries) <= 9, "\n".join(browser.queries)
    assert browser.post(f"{url}/buyer", {"purpose": " "}).status_code == 422
    opened = browser.post(f"{url}/buyer", {"purpose": "Tax audit"})
    assert (opened.status_code, "Quixelworth" in opened.text) == (200, True)
    assert f'method="get" action="{url}"' in opened.text  # another paper: an address that was posted can't be asked for
    assert f'action="{url}/buyer?paper=letter"' in browser.get(f"{url}?paper=letter").text
    assert "Quixelworth" in sheets(browser.post(f"{url}/buyer.pdf", {"purpose": "Tax audit"}).data)[0]
    clerk = stranger.enter(make_user("clerk", "Cleo"))
    assert "You don't have the right to open it with the buyer's data." in clerk.get(url).text
    assert clerk.post(f"{url}/buyer", {"purpose": "Curiosity"}).status_code == 403
