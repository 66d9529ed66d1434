"""Pages of plugins in a real browser: the menu that leads there, and one that failed."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import expect

from tests.own_plugins import OwnPlugins
from tests.ui.frame.test_look import _flaws, desk, page  # noqa: F401 - the fixtures of a desk in a browser
from tests.ui.frame.test_plugin_pages import ENTRY, FILES, PLUGIN, any_time  # noqa: F401 - the fixture is used by itself
from webapp.hooks.failures import Failure
from webapp.vault.key_file import key_file

pytestmark = [
    pytest.mark.browser,
    pytest.mark.own_desk,
    pytest.mark.parametrize("database", ["sqlite"], indirect=True),
]


@pytest.fixture
def app(own_plugins: OwnPlugins) -> Iterator[Flask]:
    """A desk with a plugin that has two ways in the menu."""
    entries = f'{ENTRY}, MenuEntry("My points", "pages.own")'
    own_plugins.write("loyalty", FILES | {"plugin.py": PLUGIN.replace("{entries}", entries)})
    with own_plugins.start() as made:
        key_file().create()
        yield made


def test_several_ways_stand_under_more_by_mouse_and_keyboard(page: Any) -> None:  # noqa: F811
    page.goto("/x/loyalty/")
    more = page.get_by_text("More", exact=True)
    more.focus()
    page.keyboard.press("Enter")
    entry = page.get_by_role("link", name="My points")
    expect(entry).to_be_visible()
    expect(page.get_by_role("link", name="Loyalty points")).to_have_attribute("aria-current", "page")
    assert _flaws(page) == []
    page.keyboard.press("Escape")
    expect(entry).to_be_hidden()
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    page.get_by_role("button", name="Menu").click()
    more.click()
    expect(entry).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert _flaws(page) == []
    entry.click()
    expect(page).to_have_url("/x/loyalty/own")


def test_a_failed_page_says_so_within_the_frame(page: Any, app: Flask, plugin_failures: list[Failure]) -> None:  # noqa: F811
    app.testing = False
    tab = page.context.new_page()  # whose console may complain
    answer = tab.goto("/x/loyalty/fails/raises")
    assert answer is not None
    assert answer.status == 500
    expect(tab.get_by_role("heading", name="This page failed")).to_be_visible()
    expect(tab.get_by_role("navigation", name="Main")).to_be_visible()
    assert _flaws(tab) == []
    plugin_failures.clear()
