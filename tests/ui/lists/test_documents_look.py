"""Packing slips in a real browser: on the screen, in both themes, and on each paper as the browser prints it."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from PIL import Image
from playwright.sync_api import expect
from pypdf import PdfReader

from tests.documents.examples import document
from tests.documents.invoice_examples import EXAMPLES
from tests.documents.test_golden import same_picture
from tests.ui.frame.test_look import _flaws, desk, page  # noqa: F401 - the fixtures of a desk in a browser
from webapp.documents import invoices
from webapp.documents.composed import PAPERS
from webapp.orders.models import Order
from webapp.testing import JANE, incoming_line, incoming_order
from webapp.ui.lists.documents import drawn

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]
SHOTS = os.environ.get("WAYBILL_SHOTS")  # a folder, for who wants to look


@pytest.fixture
def order(take: Callable[..., list[Order]]) -> Order:
    lines = [
        incoming_line("MUG", 2, title="A mug “Café” 東京 한글 ★", gift=True),
        incoming_line("TEA", 1, title="Tea 🥳"),
    ]
    wishes = {"gift_messages": {lines[0].number: "Happy birthday!\nשלום"}, "customizations": {lines[1].number: "Loose"}}
    address = JANE["address"] | {"name": "山田太郎", "line2": "القاهرة"}
    [order] = take(incoming_order(lines, buyer=JANE | wishes | {"address": address, "instructions": "Ring twice"}))
    return order


def shot(page: Any, name: str) -> None:  # noqa: F811
    if SHOTS:
        (Path(SHOTS) / f"{name}.png").write_bytes(page.screenshot(full_page=True))


def test_a_slip_is_looked_at_and_printed(page: Any, order: Order) -> None:  # noqa: F811
    for paper, of in PAPERS.items():
        page.goto(f"/orders/{order.number}/packing-slip?paper={paper}")
        for width, scheme in ((1440, "light"), (390, "dark")):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            assert _flaws(page) == []
            assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
            shot(page, f"{paper}-{width}-{scheme}")
        page.evaluate("document.fonts.ready")
        loaded = page.evaluate("[...document.fonts].filter(font => font.status == 'loaded').map(font => font.family)")
        assert {"Paper", "Paper Korean", "Paper Hebrew", "Paper Arabic"} <= {name.strip('"') for name in loaded}
        paper_color = page.locator(".slip").evaluate("slip => getComputedStyle(slip).backgroundColor")
        assert paper_color == "rgb(255, 255, 255)"
        printed = page.pdf(prefer_css_page_size=True)
        if SHOTS:
            (Path(SHOTS) / f"{paper}-printed.pdf").write_bytes(printed)
        sheets = PdfReader(io.BytesIO(printed)).pages
        assert len(sheets) == 1
        size = [float(length) / 72 * 25.4 for length in (sheets[0].mediabox.width, sheets[0].mediabox.height)]
        assert size == pytest.approx([of.width, of.height], abs=0.5)
        text = sheets[0].extract_text()
        assert str(order.number) in text
        assert "No font" not in text  # that is for the screen


def test_the_bars_are_as_wide_as_scanners_need_them(page: Any, order: Order) -> None:  # noqa: F811
    page.goto(f"/orders/{order.number}/packing-slip")
    code = page.locator(".slip-code svg")
    expect(code).to_be_visible()
    modules = float(code.get_attribute("viewBox").split()[2])
    assert code.bounding_box()["width"] / 96 * 25.4 / modules >= 0.249


@pytest.mark.parametrize("paper", PAPERS)
def test_a_slip_on_the_page_is_the_one_that_was_found_good(
    page: Any,  # noqa: F811
    app: Flask,
    order: Order,
    paper: str,
) -> None:
    with app.test_request_context():
        html = str(drawn(document(paper)))
    page.goto(f"/orders/{order.number}/packing-slip")
    page.evaluate("html => { document.querySelector('.slips').innerHTML = html }", html)
    page.evaluate("document.fonts.ready")
    with Image.open(io.BytesIO(page.locator(".slip").screenshot())) as image:
        same_picture(image, f"page-{paper}")


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("name", ["two-rates", "long-names", "memo"])
def test_an_invoice_on_the_page_is_the_one_that_was_found_good(
    page: Any,  # noqa: F811
    app: Flask,
    order: Order,
    name: str,
    paper: str,
) -> None:
    with app.test_request_context():
        html = str(drawn(invoices.compose(EXAMPLES[name](), paper)))
    page.goto(f"/orders/{order.number}/packing-slip")
    page.evaluate("html => { document.querySelector('.slips').innerHTML = html }", html)
    page.evaluate("document.fonts.ready")
    assert _flaws(page) == []
    with Image.open(io.BytesIO(page.locator(".slip").screenshot())) as image:
        same_picture(image, f"page-invoice-{name}-{paper}")
    if paper == "a4":
        page.set_viewport_size({"width": 390, "height": 900})
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
        shot(page, f"invoice-{name}-390")


def test_a_run_of_slips_is_looked_at(page: Any, order: Order, work: Callable[[], int]) -> None:  # noqa: F811
    page.goto(f"/orders/packing-slips?order={order.id}")
    page.get_by_role("button", name="PDF").focus()
    with page.expect_navigation():
        page.keyboard.press("Enter")
    work()
    for width, scheme in ((1440, "light"), (390, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.reload()
        expect(page.get_by_role("link", name="Download the file")).to_be_visible()
        expect(page.get_by_text("the PDF shows their numbers instead")).to_be_visible()
        assert _flaws(page) == []
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
        shot(page, f"run-{width}-{scheme}")
    with page.expect_download() as coming:
        page.get_by_role("link", name="Download the file").click()
    assert coming.value.suggested_filename.startswith("packing-slips-")
