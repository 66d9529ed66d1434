"""Connecting in a real browser: to the channel's consent page and back, and credentials tried before they count."""

import re
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.journeys.browser.conftest import Desk

STORE = "Practice Amazon EU"


def settings_url(desk: Desk) -> str:
    desk.wait_for_orders(1)
    [store] = desk.read("SELECT id FROM stores WHERE name = ?", STORE)
    return f"{desk.url}/stores/{store['id']}/settings"


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_a_store_is_authorized_at_amazon_without_copying(
    desk: Desk, open_page: Callable[..., Page], scripts: bool
) -> None:
    """The browser itself lets nobody be led elsewhere by a form; the console stays silent."""
    page = open_page(java_script_enabled=scripts)
    page.goto(settings_url(desk))
    page.get_by_role("button", name="Authorize at Amazon").click()
    page.get_by_role("link", name="Continue at Amazon").click()
    expect(page).to_have_url(re.compile(re.escape(desk.practice_url)))
    page.get_by_role("link", name="Confirm as A2PRACTICEEU").click()
    expect(page.get_by_role("heading", name=STORE, level=1)).to_be_visible()
    expect(page.get_by_text("Amazon gave the authorization.")).to_be_visible()
    assert "?" not in page.url

    page.goto(settings_url(desk))
    page.get_by_role("button", name="Authorize at Amazon").click()
    page.get_by_role("link", name="Continue at Amazon").click()
    page.get_by_role("link", name="Do not authorize the application").click()
    expect(page.get_by_text("the consent was refused at Amazon")).to_be_visible()
    assert page.url == settings_url(desk)


def test_a_new_secret_is_tried_and_what_was_typed_stays(desk: Desk, open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto(settings_url(desk))
    page.get_by_label("Client secret").fill("amzn1.oa2-cs.v1.other")
    page.get_by_role("button", name="Test without saving").click()
    expect(page.get_by_text("Amazon does not accept the client ID and secret")).to_be_visible()
    expect(page.get_by_text("Nothing was saved")).to_be_visible()
    assert page.get_by_label("Client secret").input_value() == "amzn1.oa2-cs.v1.other"
    page.get_by_label("Client secret").fill("")
    page.get_by_role("button", name="Test without saving").click()
    expect(page.get_by_text("The connection works.")).to_be_visible()


def test_axe_finds_nothing_while_connecting(desk: Desk, open_page: Callable[..., Page]) -> None:
    page = open_page(color_scheme="dark")
    for path in (settings_url(desk), f"{desk.url}/stores/add/amazon"):
        page.goto(path)
        expect(page.locator("[aria-busy=true]")).to_have_count(0)
        assert Axe().run(page).response["violations"] == []
    page.goto(settings_url(desk))
    page.get_by_role("button", name="Test without saving").click()
    expect(page.get_by_text("The connection works.")).to_be_visible()
    assert Axe().run(page).response["violations"] == []
    page.get_by_role("button", name="Authorize at Amazon").click()
    expect(page.get_by_role("link", name="Continue at Amazon")).to_be_visible()
    assert Axe().run(page).response["violations"] == []
