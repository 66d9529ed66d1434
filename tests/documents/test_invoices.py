"""Invoices and credit memos on paper: amounts that add up, in the formats of the locale, with both numbers."""

import io
import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from babel.numbers import parse_decimal
from flask import Flask
from hypothesis import given, settings, strategies as st
from pypdf import PdfReader

from tests.documents.code128 import read_back
from tests.documents.invoice_examples import EXAMPLES, content, extra, free, many_rows, memo, net_prices, row, two_rates
from tests.documents.test_golden import same_sheets
from tests.documents.test_pdf import drawn, letters, of_page, pieces_of, read, said, wide
from tests.pictures import png
from webapp.channels.incoming import Component
from webapp.channels.legal_face import Face
from webapp.channels.logos import Logo
from webapp.documents import bars
from webapp.documents.composed import PAPERS, Document, Style, texts
from webapp.documents.invoices import (
    Buyer,
    DoesNotAddUp,
    Extra,
    InvoiceContent,
    Kind,
    Row,
    RowDoesNotAddUp,
    TaxDoesNotAddUp,
    compose,
    tax_summary,
)
from webapp.documents.laying_out import laid_out
from webapp.documents.letters import Drawing
from webapp.errors import sentence_of
from webapp.money import CurrenciesDiffer, Money

Example = Callable[..., InvoiceContent]
pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
CASES = [(name, paper) for name in EXAMPLES if name != "many-rows" for paper in PAPERS]


@pytest.fixture(autouse=True)
def _in_a_request(app: Flask) -> Any:
    with app.test_request_context():
        yield


def facts(document: Document) -> dict[str, str]:
    return {fact.label: fact.text for fact in document.facts}


def sums(document: Document) -> list[str]:
    return [fact.text for fact in document.sums]


def cells(rows: Any) -> list[list[list[str]]]:
    return [[[text.text for text in cell] for cell in row] for row in rows]


def taxes(document: Document) -> list[list[str]]:
    [table] = document.tables
    return [[cell[0].text for cell in row] for row in table.rows]


@pytest.mark.parametrize(("name", "paper"), CASES)
def test_the_sheets_are_those_that_were_found_good(name: str, paper: str) -> None:
    same_sheets(compose(EXAMPLES[name](), paper), f"invoice-{name}-{paper}")


@pytest.mark.parametrize(("name", "paper"), CASES)
def test_both_drawings_say_all_of_the_document_in_its_order(app: Flask, name: str, paper: str) -> None:
    found = compose(EXAMPLES[name](), paper)
    assert letters("".join(without_heads_and_feet(found))) == said(found)
    assert of_page(app, found) == said(found, Drawing.PAGE)


def test_five_hundred_rows_are_on_numbered_sheets_each_below_the_head_of_the_table() -> None:
    found = compose(many_rows())
    pages = read(drawn(found))
    assert len(pages) == 23
    for number, page in enumerate(pages, start=1):
        assert page.strip().endswith(f"Invoice R-2026-000017 · {number} / 23")
        assert letters("ProductQuantityUnit priceTax rateTaxTotal") in letters(page)
    assert letters("".join(without_heads_and_feet(found))) == said(found)
    assert sums(found) == ["€500.00", "€95.00", "€595.00"]


def without_heads_and_feet(found: Document) -> list[str]:
    """The texts of a document's sheets in the PDF, without what is repeated on each of several sheets."""
    pages = [letters(page) for page in read(drawn(found))]
    heads = {
        letters("".join(column.label for column in columns)) for columns in (found.columns, found.tables[0].columns)
    }
    seen: set[str] = set()
    for number, page in enumerate(pages, start=1):
        if len(pages) > 1:
            page = page.removesuffix(letters(f"{found.foot} · {number} / {len(pages)}"))
        head = next((head for head in heads if page.startswith(head) and head in seen), "")
        page = page.removeprefix(head)
        seen |= {head for head in heads if head in page}
        pages[number - 1] = page
    return pages


@pytest.mark.parametrize(("name", "paper"), CASES)
def test_nothing_leaves_its_sheet(name: str, paper: str) -> None:
    layout = laid_out(compose(EXAMPLES[name](), paper), ())
    for page in layout.pages:
        for placed in page:
            assert placed.top - placed.block.height >= layout.margin - 0.01
            for piece in pieces_of(placed):
                assert layout.margin - 0.01 <= piece.x
                assert piece.x + wide(piece) <= layout.width - layout.margin + 0.01


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("name", ["two-rates", "yen", "net-prices", "memo"])
def test_no_amount_is_broken_between_lines(name: str, paper: str) -> None:
    document = compose(EXAMPLES[name](), paper)
    whole = {piece.text for page in laid_out(document, ()).pages for placed in page for piece in pieces_of(placed)}
    amounts = {text for row in document.rows for text in (row[-1][0].text, *(cell[0].text for cell in row[1:]))}
    assert {amount for amount in amounts if amount} | set(sums(document)) <= whole


def test_an_invoice_says_who_sells_what_to_whom_for_how_much() -> None:
    found = compose(two_rates(locale="en_GB"))
    assert (found.title, found.language, found.paper) == ("Invoice", "en", "a4")
    assert found.vat_number == "VAT number FR12345678901"
    assert facts(found) == {
        "Invoice number": "R-2026-000017",
        "Date of issue": "29 Nov 2026",
        "Date of supply": "28 Nov 2026",
        "Order": "WB-100000012",
        "Fake channel order number": "302-0000003-0000001",
        "Marketplace": "fake.example",
    }
    billed, shipped = found.parties
    assert (billed.label, billed.lines[0], billed.lines[-1]) == (
        "Bill to",
        "Studio Ångström SARL",
        "VAT number FR98765432109",
    )
    assert (shipped.label, shipped.lines[0]) == ("Ship to", "Zoë Ångström")
    assert cells(found.rows)[1] == [
        ["Un livre sur le thé", "BOOK-1"],
        *([text] for text in ("1", "€10.55", "-€1.05", "5.5%", "€0.50", "€9.50")),
    ]
    assert cells(found.rows)[3] == [["Shipping"], *([text] for text in ("", "€4.90", "", "20%", "€0.82", "€4.90"))]
    assert [text.text for text in found.closing] == [
        "Prices include tax.",
        "Paid through Fake channel.",
        "Harbor GmbH · RCS Paris 123 456 789 · Capital 25 000 €",
    ]


def test_both_order_numbers_are_bars_and_text() -> None:
    found = compose(two_rates())
    assert found.codes == ("WB-100000012", "302-0000003-0000001")
    for paper in PAPERS.values():
        assert all(bars.thinnest(code, paper.room_for_bars) for code in found.codes)
    assert [read_back(list(bars.widths(code))) for code in found.codes] == list(found.codes)
    same = compose(two_rates(channel_order_number="WB-100000012"))
    assert (same.codes, "Fake channel order number" in facts(same)) == (("WB-100000012",), False)
    assert compose(EXAMPLES["unknown-rate"]()).codes == ("302-0000003-0000001",)


@pytest.mark.parametrize(
    ("locale", "language", "money", "rate", "day"),
    [
        ("fr_FR", "fr", "1\u202f234\u202f567,89\u00a0€", "8,875\u00a0%", "29 nov. 2026"),
        ("fr_CA", "fr", "1\u00a0234\u00a0567,89\u00a0€", "8,875\u00a0%", "29 nov. 2026"),
        ("en_US", "en", "€1,234,567.89", "8.875%", "Nov 29, 2026"),
        ("en_GB", "en", "€1,234,567.89", "8.875%", "29 Nov 2026"),
        ("de_DE", "en", "€1,234,567.89", "8.875%", "Nov 29, 2026"),
        ("", "en", "€1,234,567.89", "8.875%", "Nov 29, 2026"),
        ("fr_XX", "fr", "1\u202f234\u202f567,89\u00a0€", "8,875\u00a0%", "29 nov. 2026"),
    ],
)
def test_amounts_rates_and_dates_are_written_as_the_locale_does(
    locale: str, language: str, money: str, rate: str, day: str
) -> None:
    found = compose(content([row("1234567.89", "100624.09", rate="0.08875")], locale=locale))
    assert found.language == language
    assert sums(found)[-1] == money
    assert taxes(found)[0][0] == rate
    assert day in facts(found).values()


def test_yen_have_no_decimals() -> None:
    found = compose(EXAMPLES["yen"]())
    assert sums(found) == ["¥4,500", "¥430", "¥4,930"]
    assert taxes(found) == [["10%", "¥3,500", "¥350", "¥3,850"], ["8%", "¥1,000", "¥80", "¥1,080"]]


def test_prices_without_tax_say_so() -> None:
    found = compose(net_prices())
    assert [text.text for text in found.closing] == ["Prices do not include tax."]
    assert cells(found.rows)[0][1:] == [[text] for text in ("3", "$6.67", "8.875%", "$1.78", "$21.78")]
    assert sums(found) == ["$26.00", "$2.22", "$28.22"]


def test_an_unknown_rate_is_not_guessed() -> None:
    found = compose(EXAMPLES["unknown-rate"]())
    assert [cell[3] for cell in cells(found.rows)] == [["—"], ["0%"]]
    assert taxes(found) == [["0%", "€5.00", "€0.00", "€5.00"], ["Rate not stated", "€10.00", "€1.90", "€11.90"]]
    assert found.banner == "PRACTICE – not a real order"


def test_a_free_order_has_an_invoice_of_nothing() -> None:
    found = compose(free())
    assert sums(found) == ["€0.00", "€0.00", "€0.00"]
    assert taxes(found) == [["19%", "€0.00", "€0.00", "€0.00"]]
    assert "Date of supply" not in facts(found)
    assert sums(compose(content([]))) == ["0,00\u00a0€"]


@pytest.mark.parametrize("paper", ["a4", "4x6"])
def test_where_no_tax_is_known_nothing_is_said_of_taxes(paper: str) -> None:
    nothing = Money(0, "EUR")
    row = Row(sku="MUG", title="Mug", units=2, unit_price=Money(500, "EUR"), tax=nothing, total=Money(1000, "EUR"))
    found = compose(content([row], locale="en_GB"), paper)
    assert (sums(found), found.tables) == (["€10.00"], ())
    assert "tax" not in " ".join(texts(found)).casefold()


def test_a_memo_names_its_invoice_and_what_is_taken_back() -> None:
    found = compose(memo(locale="en_GB"))
    assert found.title == "Credit memo"
    assert found.foot == "Credit memo A-2026-000003"
    assert (facts(found)["Credit memo number"], facts(found)["For invoice"]) == ("A-2026-000003", "R-2026-000017")
    assert "Invoice number" not in facts(found)
    assert [(fact.label, fact.text) for fact in found.sums][-1] == ("Total credited", "€13.90")
    assert cells(found.rows)[1] == [["Un bol", "BOWL-1"], [""], [""], ["20%"], ["€0.50"], ["€3.00"]]
    assert [cell[0] for cell in cells(found.rows)[2:]] == [["Frais de remise en stock"], ["Adjustment"]]
    assert [(text.text, text.style) for text in found.closing][1:] == [
        ("Autoliquidation : TVA due par le preneur.", Style.PLAIN),
        ("Retour du 27 novembre.", Style.PLAIN),
    ]


def test_a_buyer_who_is_not_shown_is_explained() -> None:
    [party] = compose(free()).parties
    assert (party.lines, party.reason) == ((), "The buyer's address is not available.")
    [party] = compose(free(buyer=Buyer(hidden=True, vat_number="FR1"))).parties
    assert party.reason == "The address is hidden: your role does not show buyer data."
    assert party.lines == ()


def test_a_label_has_a_rows_figures_below_its_title() -> None:
    found = compose(two_rates(locale="en_GB"), "4x6")
    assert [column.label for column in found.columns] == ["Product", "Quantity", "Total"]
    told = ["Un livre sur le thé", "BOOK-1", "Unit price: €10.55", "Discount: -€1.05", "Tax 5.5%: €0.50"]
    assert cells(found.rows)[1] == [told, ["1"], ["€9.50"]]
    unknown = compose(EXAMPLES["unknown-rate"](), "4x6")
    assert cells(unknown.rows)[0][0][-1] == "Tax: €1.90"


@pytest.mark.parametrize(
    ("wrong", "error", "why"),
    [
        ({"total": Money(2, "EUR")}, DoesNotAddUp, "its rows add up to 11.90 EUR, but its total is 0.02 EUR."),
        ({"tax": Money(191, "EUR")}, TaxDoesNotAddUp, "taxes of its rows add up to 1.90 EUR, but its tax is 1.91 EUR."),
        (
            {"rows": (row("11.90", "1.90", price="11.91"),)},
            RowDoesNotAddUp,
            "in row 1, price, discount and tax result in 11.91 EUR, but the row's total is 11.90 EUR.",
        ),
        (
            {"rows": (row("11.90", "1.90", units=2, price="5.96"),)},
            RowDoesNotAddUp,
            "in row 1, price, discount and tax result in 11.92 EUR, but the row's total is 11.90 EUR.",
        ),
        (
            {"extras": (extra(Component.SHIPPING, "4.90", "0.00", amount="4.80"),)},
            RowDoesNotAddUp,
            "in row 2, price, discount and tax result in 4.80 EUR, but the row's total is 4.90 EUR.",
        ),
        (
            {"prices_include_tax": False},
            RowDoesNotAddUp,
            "in row 1, price, discount and tax result in 13.80 EUR, but the row's total is 11.90 EUR.",
        ),
    ],
)
def test_a_paper_that_does_not_add_up_is_not_printed(
    wrong: dict[str, Any], error: type[DoesNotAddUp], why: str
) -> None:
    good = content([row("11.90", "1.90")])
    compose(good)
    with pytest.raises(error) as raised:
        compose(replace(good, **wrong))
    assert str(raised.value) == f"R-2026-000017 is not printed: {'the ' * (error is TaxDoesNotAddUp)}{why}"
    assert sentence_of(raised.value.stored()) == str(raised.value)


def test_a_price_that_does_not_divide_is_printed_to_the_nearest_cent() -> None:
    """Three for 10.00 are 3.33 each: a cent that the price of a unit can't say is no contradiction."""
    compose(content([row("10.00", "1.60", units=3, price="3.33"), row("10.00", "1.60", units=6, price="1.67")]))


def test_currencies_never_mix() -> None:
    with pytest.raises(CurrenciesDiffer):
        compose(replace(content([row("1.00", "0.00")]), rows=(row("1.00", "0.00", currency="USD"),)))


def test_many_are_merged_in_their_order_and_numbered_each_by_itself() -> None:
    several = [compose(many_rows(number="R-1")), compose(two_rates(number="R-2")), compose(memo(number="A-1"), "4x6")]
    pages = read(drawn(*several))
    assert len(pages) == 23 + 1 + 2
    feet = [re.findall(r"(\S+ · \d+ / \d+)\s*$", page) for page in pages]
    assert feet[0] == ["R-1 · 1 / 23"]
    assert feet[22:] == [["R-1 · 23 / 23"], [], ["A-1 · 1 / 2"], ["A-1 · 2 / 2"]]
    assert "R-2" in pages[23]


def test_the_sellers_logo_is_drawn() -> None:
    face = Face("Harbor", "", "", "", Logo(1, "png", 400, 120, "abc"))
    file = drawn(compose(free(face=face)), pictures=lambda logo: png(400, 120))
    assert len(PdfReader(io.BytesIO(file)).pages[0].images) == 1


RATES = st.sampled_from([None, *map(Decimal, ("0", "0.055", "0.08875", "0.19", "0.2"))])
CENTS = st.integers(0, 10**9)


@st.composite
def contents(draw: st.DrawFn) -> InvoiceContent:
    """Contents as a ledger gives them: prices, discounts and taxes that result in the totals of their rows."""
    currency = draw(st.sampled_from(["EUR", "JPY", "KWD"]))
    includes, locale = draw(st.booleans()), draw(st.sampled_from(["fr_FR", "en_US", "de_DE"]))

    def money(minor: int) -> Money:
        return Money(minor, currency)

    def figures(amount: int) -> dict[str, Any]:
        discount, tax = draw(st.integers(0, abs(amount))), draw(st.integers(0, abs(amount)))
        total = amount - discount + (0 if includes else tax)
        return {"discount": money(discount), "tax_rate": draw(RATES), "tax": money(tax), "total": money(total)}

    rows, extras = [], []
    for place in range(draw(st.integers(0, 12))):
        units, price = draw(st.integers(1, 99)), draw(CENTS)
        beyond = draw(st.integers(-(units // 2), units // 2)) if price else 0
        of_row = figures(max(0, price * units + beyond))
        rows.append(Row(sku=f"S{place}", title="A", units=units, unit_price=money(price), **of_row))
    for _place in range(draw(st.integers(0, 4))):
        amount = draw(st.integers(-(10**6), 10**6))
        component = draw(st.sampled_from([None, *Component]))
        extras.append(Extra(component=component, amount=money(amount), **figures(amount)))
    found = content(rows, extras, currency=currency, prices_include_tax=includes, locale=locale)
    return replace(found, kind=draw(st.sampled_from(Kind)), paper=draw(st.sampled_from(list(PAPERS))))


@given(contents())
@settings(max_examples=150, deadline=None)
def test_whatever_is_issued_adds_up_as_it_is_printed(given_content: InvoiceContent) -> None:
    """Reads the printed amounts back: rows, rates and sums result in each other, to the last cent."""
    found = compose(given_content)
    locale = "fr_FR" if given_content.locale == "fr_FR" else "en"

    def printed(text: str) -> Decimal:
        return parse_decimal("".join(re.findall(r"[-\d.,]", text)), locale=locale)

    if not given_content.tax and not any(row.tax or row.tax_rate is not None for row in given_content.lines):
        assert (len(sums(found)), printed(sums(found)[0])) == (1, given_content.total.decimal)
        return
    net, tax, total = (printed(text) for text in sums(found))
    lines = [[printed(text) for text in line[1:]] for line in taxes(found)]
    assert all(of_net + of_tax == of_both for of_net, of_tax, of_both in lines)
    assert [sum(line[place] for line in lines) for place in range(3)] == [net, tax, total]
    assert sum(printed(line[-1][0]) for line in cells(found.rows)) == total == given_content.total.decimal
    assert net + tax == total
    rates = [one.rate for one in tax_summary(given_content)]
    assert len(rates) == len(set(rates))


@given(contents(), st.sampled_from([-1, 1]), st.sampled_from(["total", "tax", "row"]))
@settings(max_examples=100, deadline=None)
def test_a_single_cent_that_is_wrong_is_found(given_content: InvoiceContent, cent: int, field: str) -> None:
    change = Money(cent, given_content.total.currency)
    if field == "row" and given_content.rows:
        first, *others = given_content.rows
        wrong = replace(given_content, rows=[replace(first, total=first.total + change), *others])
    else:
        name = "tax" if field == "tax" else "total"
        wrong = replace(given_content, **{name: getattr(given_content, name) + change})
    with pytest.raises(DoesNotAddUp):
        compose(wrong)
