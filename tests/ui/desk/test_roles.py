"""The pages of roles, and the shops of a person: what is ticked is what holds."""

import re
from collections.abc import Callable

import pytest

from tests.ui.conftest import Browser
from webapp.accounts.roles import get_role
from webapp.accounts.services import get_user
from webapp.audit.actor import Actor
from webapp.audit.rights import rights_of_built_in
from webapp.channels.models import Store
from webapp.channels.shops import create_shop
from webapp.db import db, unit_of_work

MakeBrowser = Callable[..., Browser]
MakeUser = Callable[..., Actor]
ROLES = "/settings/people/roles/"


def ticked(page: str) -> set[str]:
    return {found[1] for found in re.finditer(r'<input (?=[^>]*checked)[^>]*name="rights"[^>]*value="([^"]+)"', page)}


def version(page: str) -> str:
    found = re.search(r'name="version"[^>]*value="([^"]+)"', page)
    assert found
    return found[1]


def test_boxes_show_what_a_role_may_and_change_it(
    browser: Browser, make_browser: MakeBrowser, make_user: MakeUser
) -> None:
    clerk = make_browser(make_user("clerk", "Cleo"))
    usual = rights_of_built_in("clerk")
    page = browser.get(f"{ROLES}clerk").text
    assert ticked(page) == usual
    assert "Reset the rights" not in page
    assert clerk.get("/stores/").status_code == 200
    assert browser.post(f"{ROLES}clerk", {"rights": sorted(usual - {"stores.view"})}).status_code == 302
    assert clerk.get("/stores/").status_code == 403  # from the next click on
    assert "Changed" in browser.get(ROLES).text
    assert "Reset the rights" in browser.get(f"{ROLES}clerk").text
    assert browser.post(f"{ROLES}clerk/reset").status_code == 302
    assert clerk.get("/stores/").status_code == 200


def test_two_owners_do_not_overwrite_each_other(
    browser: Browser, make_browser: MakeBrowser, make_user: MakeUser
) -> None:
    other, usual = make_browser(make_user("owner", "Otto")), rights_of_built_in("clerk")
    seen = version(browser.get(f"{ROLES}clerk").text)
    mine, theirs = {"rights": sorted(usual | {"orders.export"})}, {"rights": sorted(usual - {"stores.view"})}
    assert other.post(f"{ROLES}clerk", theirs | {"version": seen}).status_code == 302
    again = browser.post(f"{ROLES}clerk", mine | {"version": seen})
    assert (again.status_code, "Somebody changed this role" in again.text) == (409, True)
    assert get_role("clerk").rights == usual - {"stores.view"}
    assert ticked(again.text) == usual | {"orders.export"}  # what was chosen is kept
    assert browser.post(f"{ROLES}clerk", mine | {"version": version(again.text)}).status_code == 302
    db.session.rollback()
    assert get_role("clerk").rights == usual | {"orders.export"}


def test_a_role_that_is_called_like_a_page_has_a_page_of_its_own(browser: Browser) -> None:
    page = browser.post(f"{ROLES}add", {"name": "Add", "like": "packer"}).location
    assert ticked(browser.get(page).text) == rights_of_built_in("packer")


def test_a_role_is_added_used_and_deleted(browser: Browser, make_user: MakeUser) -> None:
    wrong = browser.post(f"{ROLES}add", {"name": "", "like": "packer"})
    assert (wrong.status_code, "Enter a value." in wrong.text) == (422, True)
    wrong = browser.post(f"{ROLES}add", {"name": "Night", "like": ""})
    assert (wrong.status_code, 'value="Night"' in wrong.text, "Choose one." in wrong.text) == (422, True, True)
    assert browser.post(f"{ROLES}add", {"name": "Night", "like": "packer"}).location.endswith("/roles/night")
    mia = make_user()
    assert browser.post(f"/settings/people/{mia.id}/role", {"role": "night"}).status_code == 302
    assert "Night" in browser.get("/settings/people/").text
    refused = browser.post(f"{ROLES}night/delete")
    assert (refused.status_code, "Give these people another role first" in refused.text) == (409, True)
    assert browser.post(f"{ROLES}night", {"name": "Nuit", "rights": ["orders.view"]}).status_code == 302
    assert "Nuit" in browser.get(f"/settings/people/{mia.id}").text
    browser.post(f"/settings/people/{mia.id}/role", {"role": "clerk"})
    assert browser.post(f"{ROLES}night/delete").status_code == 302
    assert browser.get(f"{ROLES}night").status_code == 404


def test_managers_read_what_roles_may_and_change_nothing(make_browser: MakeBrowser, make_user: MakeUser) -> None:
    manager = make_browser(make_user("manager", "Max"))
    page = manager.get(f"{ROLES}clerk").text
    assert "ship orders" in page
    assert 'name="rights"' not in page
    assert manager.post(f"{ROLES}clerk", {"rights": ["orders.view"]}).status_code == 403
    assert manager.get(f"{ROLES}add").status_code == 403
    assert get_role("clerk").rights == rights_of_built_in("clerk")


def test_the_owners_role_stays(browser: Browser) -> None:
    assert "this role can't be changed" in browser.get(f"{ROLES}owner").text
    assert browser.post(f"{ROLES}owner", {"rights": ["orders.view"]}).status_code == 409


def test_what_is_no_right_or_role_is_answered(browser: Browser) -> None:
    refused = browser.post(f"{ROLES}clerk", {"rights": ["orders.fly"]})
    assert (refused.status_code, "orders.fly" in refused.text) == (422, True)
    for code in ("nobody", "%00", "é" * 300):
        assert browser.get(f"{ROLES}{code}").status_code == 404


@pytest.fixture
def second(store: Store) -> int:
    with unit_of_work():
        return create_shop("Second shop", prefix="B-", actor=Actor.operator()).id


def test_somebody_is_invited_for_one_shop(browser: Browser, second: int) -> None:
    given = {"email": "ada@desk.test", "name": "Ada", "role": "clerk"}
    none = browser.post("/settings/people/add", given)
    assert (none.status_code, "Choose at least one." in none.text) == (422, True)
    both = browser.post("/settings/people/add", given | {"shops": [str(second)], "all_shops": "y"})
    assert (both.status_code, "not both." in both.text) == (422, True)  # all are ticked before anybody chooses
    assert browser.post("/settings/people/add", given | {"shops": [str(second), str(9**20)]}).status_code == 200
    ada = get_user("ada@desk.test")
    assert ada.shops == [second]
    assert "Second shop" in browser.get("/settings/people/").text
    assert browser.post(f"/settings/people/{ada.id}/shops", {}).status_code == 422
    assert browser.post(f"/settings/people/{ada.id}/shops", {"all_shops": "y"}).status_code == 302
    db.session.expire_all()
    assert get_user("ada@desk.test").shops is None


def test_with_one_shop_nobody_is_asked_for_shops(browser: Browser, store: Store, make_user: MakeUser) -> None:
    mia = make_user()
    assert 'name="shops"' not in browser.get("/settings/people/add").text
    assert 'name="shops"' not in browser.get(f"/settings/people/{mia.id}").text


def test_who_is_limited_gives_no_more(
    browser: Browser, make_browser: MakeBrowser, make_user: MakeUser, second: int
) -> None:
    max_ = make_user("manager", "Max")
    browser.post(f"/settings/people/{max_.id}/shops", {"shops": [str(second)]})
    his = make_browser(get_user("max@desk.test").as_actor())
    page = his.get("/settings/people/add").text
    assert 'name="all_shops"' not in page
    assert "Fake store" not in page
    mia = make_user()
    assert "so you can't change the account" in his.get(f"/settings/people/{mia.id}").text
    browser.post(f"/settings/people/{mia.id}/shops", {"shops": ["1"]})
    assert "Fake store" not in his.get("/settings/people/").text + his.get(f"/settings/people/{mia.id}").text
    assert "Second shop" in his.get("/account").text
    given = {"email": "ada@desk.test", "role": "clerk", "shops": [str(second)]}
    assert his.post("/settings/people/add", given).status_code == 200
    assert his.post("/settings/people/add", given | {"email": "b@desk.test", "all_shops": "y"}).status_code == 200
    assert get_user("b@desk.test").shops == [second]  # what is not offered is not taken


def test_the_limit_of_refunds_is_set_shown_and_explained(
    browser: Browser, make_browser: MakeBrowser, make_user: MakeUser
) -> None:
    clerk = make_browser(make_user("clerk", "Cleo"))
    page = browser.get(f"{ROLES}clerk").text
    assert "Refunds without approval up to" in page
    usual = {"rights": sorted(rights_of_built_in("clerk")), "version": version(page)}
    wrong = browser.post(f"{ROLES}clerk", usual | {"refund_limits": "fifty euro"})
    assert wrong.status_code == 422
    assert 'value="fifty euro"' in wrong.text
    assert "not an amount with a currency" in wrong.text
    assert browser.post(f"{ROLES}clerk", usual | {"refund_limits": "50 eur, 60 USD"}).status_code == 302
    assert get_role("clerk").limits == {"EUR": 5000, "USD": 6000}
    assert 'value="50.00 EUR, 60.00 USD"' in browser.get(f"{ROLES}clerk").text
    assert "50.00 EUR, 60.00 USD" in browser.get(ROLES).text
    stale = browser.post(f"{ROLES}clerk", usual | {"refund_limits": ""})
    assert stale.status_code == 409
    assert get_role("clerk").limits == {"EUR": 5000, "USD": 6000}
    assert clerk.get(f"{ROLES}clerk").status_code == 403
    assert browser.post(f"{ROLES}clerk/reset").status_code == 302
    assert get_role("clerk").limits == {}
