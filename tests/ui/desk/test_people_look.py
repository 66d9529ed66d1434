"""The People page in a real browser: inviting, the link to copy, and the state of each page; by keyboard too."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.ui.frame.test_look import _flaws, desk, page  # noqa: F401 - the fixtures of a desk in a browser
from webapp.accounts.services import create_user, get_user
from webapp.audit.actor import Actor
from webapp.channels.shops import create_shop
from webapp.db import unit_of_work

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


def test_somebody_is_invited_by_keyboard_and_nothing_is_flawed(page: Any) -> None:  # noqa: F811
    page.goto("/settings/people/add")
    page.keyboard.type("ada@desk.test")  # the first field has the focus
    page.keyboard.press("Tab")
    page.keyboard.type("Ada")
    page.keyboard.press("Enter")
    expect(page.locator("[name=role][aria-invalid=true]")).to_be_focused()
    page.keyboard.type("Pack")
    with page.expect_navigation():
        page.click("main form button.main")
    assert "/sign-in/link/" in page.input_value("#new-link input")
    for width, scheme in ((1440, "light"), (390, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        assert _flaws(page) == []
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    link = page.input_value("#new-link input")
    page.set_viewport_size({"width": 300, "height": 900})
    page.goto("/settings/people/")  # the last of its tabs, which is scrolled to
    place = page.locator(".tabs [aria-current]").bounding_box()
    assert 0 <= place["x"] <= 300 - place["width"]
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto("/settings/people/")
    page.get_by_role("link", name="Ada", exact=True).click()
    with page.expect_navigation():  # and its scripts: a key that is pressed before has nobody to hear it
        page.get_by_role("button", name="Disable the account").click()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    page.keyboard.press("u")
    page.wait_for_selector("h1 .pill:has-text('Invited')")
    page.goto(link)
    page.get_by_role("heading", name="This link has been used or has expired").wait_for()  # disabling ended it
    assert _flaws(page) == []


def test_what_is_wrong_with_a_password_stands_beside_it(page: Any) -> None:  # noqa: F811
    page.goto("/account")
    page.locator("#own-password input[type=password]").first.fill("no")
    page.locator("#own-password input[type=password]").last.fill("weak")
    page.get_by_role("button", name="Change the password").click()
    expect(page.locator("[name=password-present][aria-invalid=true]")).to_be_focused()
    assert _flaws(page) == []


def test_what_a_role_may_is_changed_by_keyboard_and_nothing_is_flawed(page: Any) -> None:  # noqa: F811
    page.goto("/settings/people/roles/clerk")
    box = page.get_by_label("export orders")
    expect(box).not_to_be_checked()
    box.focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Save").focus()
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.get_by_label("export orders")).to_be_checked()
    with unit_of_work():
        for name in ("First shop", "Second shop"):
            create_shop(name, prefix=f"{name[0]}-", actor=Actor.operator())
        create_user(email="ada@desk.test", role="clerk", actor=Actor.operator())
    for address in ("roles/clerk", "roles/", "roles/add", "add", f"{get_user('ada@desk.test').id}"):
        page.goto(f"/settings/people/{address}")
        for width, scheme in ((1440, "light"), (390, "dark")):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            assert _flaws(page) == []
            assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
