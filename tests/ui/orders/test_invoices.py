"""Invoicing an order from its page: the form with units, the tab, and the totals."""

import re
from collections.abc import Callable

from sqlalchemy import select

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.billing.models import Invoice
from webapp.billing.services import issue_invoice
from webapp.billing.taxes import TAXES
from webapp.channels.incoming import Component, IncomingAmount
from webapp.db import db, unit_of_work
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.settings.services import store_all
from webapp.testing import incoming_line, incoming_order

Take = Callable[..., list[Order]]


def hidden(page: str) -> dict[str, str]:
    form = page[page.index('class="chosen"') :]
    names = ("submission_key", "order_version")
    return {name: re.search(rf'name="{name}"[^>]*value="([^"]*)"', form)[1] for name in names}  # type: ignore[index]


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)).replace("\xa0", " ")


def test_an_order_is_invoiced_by_units_and_its_page_says_so(take: Take, browser: Browser) -> None:
    amounts = (IncomingAmount(Component.ITEM, 3000, 600), IncomingAmount(Component.SHIPPING, 500, 100))
    [order] = take(incoming_order([incoming_line("MUG", 3, amounts=amounts, total=4200)]))
    [mug], url = order.lines, f"/orders/{order.number}/actions/invoice"
    assert "There is no invoice yet." in browser.get(f"/orders/{order.number}?tab=invoices").text
    assert "Still to be invoiced" not in browser.get(f"/orders/{order.number}").text

    form = browser.get(url, htmx=True).text
    assert re.search(r"<details [^>]*><summary>Shipping and other amounts", form)
    summary = form.index("<summary>Shipping")
    assert "open" not in form[form.rindex("<details", 0, summary) : summary]
    assert "Gift wrap" not in form
    typed = {"lines": "some", "lines-line": str(mug.id), f"lines-{mug.id}": "4"}
    wrong = browser.post(url, typed | hidden(form), htmx=True)
    assert wrong.status_code == 409
    assert "Units of MUG left to invoice: 3." in words(wrong.text)

    done = browser.post(url, typed | {f"lines-{mug.id}": "1", "shipping": "true"} | hidden(wrong.text), htmx=True)
    assert done.status_code == 200
    assert "Invoice INV-000001 issued: 18.00 EUR (units: 1)" in words(done.text)

    overview = words(browser.get(f"/orders/{order.number}").text)
    assert "Invoiced €18.00" in overview
    assert "Still to be invoiced €24.00" in overview
    tab = words(browser.get(f"/orders/{order.number}?tab=invoices").text)
    assert "INV-000001" in tab
    assert "by Olga" in tab
    assert "A mug MUG Items 1 €10.00 €2.00 €0.00 €12.00" in tab
    assert "Shipping €5.00 €1.00 €0.00 €6.00" in tab

    browser.post(url, {"lines": "all"} | hidden(browser.get(url, htmx=True).text), htmx=True)
    refused = browser.get(f"/orders/{order.number}")
    assert "This order is completely invoiced." in refused.text
    db.session.expire_all()
    assert db.session.scalars(select(Invoice.total_minor).order_by(Invoice.id)).all() == [1800, 2400]


def test_pages_of_an_invoiced_order_take_few_statements(take: Take, browser: Browser) -> None:
    [order] = take(incoming_order([incoming_line("MUG", 2), incoming_line("CUP")]))
    url = f"/orders/{order.number}/actions/invoice"
    some = {"lines": "some", "lines-line": str(order.lines[0].id), f"lines-{order.lines[0].id}": "1"}
    for typed in (some, {"lines": "all"}):
        browser.post(url, typed | hidden(browser.get(url, htmx=True).text), htmx=True)
        for path in ("", "?tab=shipments", "?tab=invoices", "?tab=updates", "?tab=timeline", "?tab=channel"):
            assert browser.get(f"/orders/{order.number}{path}").status_code == 200
            assert len(browser.queries) <= 8, f"{path}\n" + "\n".join(browser.queries)


def test_a_single_unit_is_invoiced_without_choosing(take: Take, browser: Browser) -> None:
    [order] = take(incoming_order())
    url = f"/orders/{order.number}/actions/invoice"
    form = browser.get(url, htmx=True).text
    assert "What to invoice" not in form
    assert browser.post(url, hidden(form)).status_code == 302
    assert db.session.scalars(select(Invoice.number)).all() == ["INV-000001"]


def test_shipping_is_invoiced_alone_and_a_single_unit_without_it(take: Take, browser: Browser) -> None:
    amounts = (IncomingAmount(Component.ITEM, 1000), IncomingAmount(Component.SHIPPING, 500))
    first, second = take(*(incoming_order([incoming_line(amounts=amounts)], total=1500) for _ in range(2)))
    url = f"/orders/{first.number}/actions/invoice"
    form = browser.get(url, htmx=True).text
    assert form.index("<details") < form.index("What to invoice")  # folded away: the one unit is all or nothing
    assert "Only what is chosen here" not in form
    empty = browser.post(url, {"lines": "none", "shipping": ""} | hidden(form), htmx=True)
    assert empty.status_code == 409
    assert "The invoice would be empty" in words(empty.text)
    assert re.search(r'<details class="wide" open>', empty.text)
    done = browser.post(url, {"lines": "none", "shipping": "true"} | hidden(empty.text), htmx=True)
    assert "Invoice INV-000001 issued: 5.00 EUR (units: 0)" in words(done.text)
    paper = browser.get(f"/invoices/{db.session.scalars(select(Invoice.id)).one()}")
    assert "Shipping €5.00" in words(paper.text)

    url = f"/orders/{second.number}/actions/invoice"
    form = browser.get(url, htmx=True).text
    browser.post(url, {"lines": "all", "shipping": "false"} | hidden(form), htmx=True)
    left = browser.get(url, htmx=True).text
    assert "<details" not in left[left.index('class="chosen"') :]  # the shipping is all that is left
    browser.post(url, hidden(left), htmx=True)
    assert db.session.scalars(select(Invoice.total_minor).order_by(Invoice.id)).all() == [500, 1000, 500]


def test_without_units_only_the_amounts_that_are_left_are_chosen(take: Take, browser: Browser) -> None:
    amounts = (IncomingAmount(Component.ITEM, 1000), IncomingAmount(Component.SHIPPING, 500))
    tip = (IncomingAmount(Component.TIP, 300),)
    [order] = take(incoming_order([incoming_line(amounts=amounts)], amounts=tip, total=1800))
    with unit_of_work():
        issue_invoice(locked(order), components={"shipping": False, "tip": False}, actor=Actor.operator())
    url = f"/orders/{order.number}/actions/invoice"
    form = browser.get(url, htmx=True).text
    assert "What to invoice" not in form
    assert "<details" not in form[form.index("<form") :]
    for name in ("shipping", "tip"):
        choices = re.findall(r"<option ([^>]*)>", form[form.index(f'name="{name}"') :].split("</select>")[0])
        assert [re.search(r'value="(\w*)"', one)[1] for one in choices] == ["true", "false"]  # type: ignore[index]
        assert "selected" in choices[0]
    browser.post(url, {"shipping": "true", "tip": "false"} | hidden(form), htmx=True)
    browser.post(url, hidden(browser.get(url, htmx=True).text), htmx=True)
    assert db.session.scalars(select(Invoice.total_minor).order_by(Invoice.id)).all() == [1000, 500, 300]


def test_an_invoice_is_printed_from_its_tab_as_a_page_and_as_pdf(take: Take, browser: Browser) -> None:
    [order] = take(incoming_order([incoming_line("MUG", 2)]))
    with unit_of_work():
        invoice = issue_invoice(locked(order), actor=Actor.operator())
    tab = browser.get(f"/orders/{order.number}?tab=invoices").text
    url = f"/invoices/{invoice.id}"
    assert f'href="{url}"' in tab
    assert f'href="{url}.pdf"' in tab

    page = browser.get(url)
    assert len(browser.queries) <= 8, "\n".join(browser.queries)
    for part in ("INV-000001", order.number, order.channel_order_number, "7 Zanzibar Mews", "€24.00"):
        assert str(part) in words(page.text)
    assert 'aria-pressed="true">Label' in browser.get(f"{url}?paper=4x6").text

    file = browser.get(f"{url}.pdf")
    assert (file.status_code, file.headers["Content-Type"]) == (200, "application/pdf")
    assert "INV-000001" in file.headers["Content-Disposition"]
    assert file.data.startswith(b"%PDF")
    assert browser.get("/invoices/999").status_code == 404
    assert browser.get("/invoices/999.pdf").status_code == 404


def test_the_form_shows_what_would_be_on_the_invoice(take: Take, browser: Browser) -> None:
    amounts = (IncomingAmount(Component.ITEM, 3000, 570), IncomingAmount(Component.SHIPPING, 500, 95))
    [order] = take(incoming_order([incoming_line("MUG", 3, amounts=amounts, total=4165)]))
    with unit_of_work():
        store_all(TAXES, {"tax_rates": "DE 19"}, order.shop)
    mug, url = order.lines[0].id, f"/orders/{order.number}/actions/invoice"
    form = browser.get(url, htmx=True).text
    assert f'formaction="{url}/preview"' in form
    typed = {"lines": "some", "lines-line": str(mug), f"lines-{mug}": "1", "shipping": "true"}
    for htmx in (True, False):
        shown = browser.post(f"{url}/preview", typed | hidden(form), htmx=htmx)
        assert shown.status_code == 200
        text = words(shown.text)
        assert "A mug MUG Items 1 €10.00 19% €1.90 €11.90" in text
        assert "Shipping €5.00 19% €0.95 €5.95" in text
        assert "Total €15.00 €2.85 €17.85" in text
    assert re.search(rf'name="lines-{mug}"[^>]*value="1"', shown.text)  # without scripts, what was typed stays
    assert db.session.scalars(select(Invoice)).all() == []
    wrong = browser.post(f"{url}/preview", typed | {f"lines-{mug}": "4"} | hidden(form), htmx=True)
    assert "Units of MUG left to invoice: 3." in words(wrong.text)
    done = browser.post(url, typed | hidden(form), htmx=True)
    assert "Invoice INV-000001 issued: 17.85 EUR" in words(done.text)


def test_an_action_without_a_preview_has_none(take: Take, browser: Browser) -> None:
    [order] = take(incoming_order())
    assert "/preview" not in browser.get(f"/orders/{order.number}/actions/ship", htmx=True).text
