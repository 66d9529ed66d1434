"""A shop's page in a real browser: its legal face and its logo, which a packing slip draws."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.pictures import png
from tests.ui.frame.test_look import _flaws, desk, page  # noqa: F401 - the fixtures of a desk in a browser
from webapp.testing import incoming_order

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


def _looked_at(page: Any) -> None:  # noqa: F811
    for width, scheme in ((1440, "light"), (390, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        assert _flaws(page) == []
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")


def test_a_shops_face_is_set_and_printed(page: Any, take: Any) -> None:  # noqa: F811
    [order] = take(incoming_order())
    slip_of_it = f"/orders/{order.number}/packing-slip"
    page.goto("/settings/shops/")
    page.locator("tbody a").first.click()
    documents = page.get_by_role("region", name="On documents")
    documents.get_by_label("VAT numbers").fill("DE12")
    documents.get_by_role("button", name="Save").click()
    expect(page.locator("[name=vat_numbers][aria-invalid=true]")).to_be_focused()
    _looked_at(page)
    documents.get_by_label("VAT numbers").fill("DE 123 456 789")
    documents.get_by_role("textbox", name="Address (optional)", exact=True).fill("1 Rue X\nParis")
    with page.expect_navigation():
        documents.get_by_role("button", name="Save").click()

    logo = page.get_by_role("region", name="Logo")
    for name, content, flawed in (("logo.svg", b"<svg/>", True), ("logo.png", png(400, 120), False)):
        page.get_by_label("Picture").set_input_files({"name": name, "mimeType": "image/png", "buffer": content})
        with page.expect_navigation():
            logo.get_by_role("button", name="Save").click()
        assert bool(page.locator("[name=logo][aria-invalid=true]").count()) is flawed
    drawn = page.get_by_role("img", name="The logo of")
    assert drawn.evaluate("image => image.decode().then(() => [image.naturalWidth, image.naturalHeight])") == [400, 120]
    _looked_at(page)

    page.goto(slip_of_it)
    slip = page.locator(".slip").first
    expect(slip.get_by_text("VAT number DE123456789")).to_be_visible()
    box = slip.locator("img.logo").bounding_box()
    assert 0 < box["height"] <= 84  # 22 mm
    assert abs(box["width"] / box["height"] - 400 / 120) < 0.05
    _looked_at(page)
