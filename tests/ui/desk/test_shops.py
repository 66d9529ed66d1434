"""Shops in the browser."""

from collections.abc import Callable

import pytest

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.channels.shops import get_shop, shops
from webapp.db import db

PARIS = {
    "name": "Paris",
    "zone": "Europe/Paris",
    "prefix": "P-",
    "padding": "5",
}


def test_a_shop_is_added_and_changed(browser: Browser, store: Store) -> None:
    assert "Add a shop" in browser.get("/settings/shops/").text
    where = browser.post("/settings/shops/add", PARIS).location
    assert browser.post(f"{where}/groups/legal", {"language": "fr", "address": "1 Rue X"}).location == where
    listed = browser.get("/settings/shops/").text
    assert len(browser.queries) <= 8
    assert "P-00001" in listed
    assert "Français" in listed
    db.session.rollback()
    [paris] = [shop for shop in shops() if shop.name == "Paris"]
    assert where == f"/settings/shops/{paris.id}"
    page = browser.get(where).text
    assert "1 Rue X" in page
    assert '<option selected value="Europe/Paris">' in page

    assert browser.post(f"/settings/shops/{paris.id}", PARIS | {"name": "Lyon"}).status_code == 302

    db.session.rollback()
    assert get_shop(paris.id).name == "Lyon"
    assert browser.get("/settings/shops/99").status_code == 404


@pytest.mark.parametrize(
    ("told", "why"),
    [({"name": ""}, "is needed."), ({"prefix": "P /"}, "takes up to 12"), ({"padding": "x"}, "between 1 and 12")],
)
def test_a_mistake_comes_back_beside_its_field(browser: Browser, store: Store, told: dict[str, str], why: str) -> None:
    answer = browser.post("/settings/shops/add", PARIS | told)
    assert answer.status_code == 422
    assert why in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert 'value="5"' in answer.text or "padding" in told


def test_times_on_pages_follow_the_shops_zone(browser: Browser, store: Store) -> None:
    browser.post(f"/settings/shops/{store.shop_id}", PARIS | {"prefix": "", "zone": "Asia/Tokyo"})
    assert "Times in Asia/Tokyo" in browser.get("/dashboard/").text


def test_shops_are_for_who_may_change_settings(
    make_browser: Callable[..., Browser], make_user: Callable[..., Actor], store: Store
) -> None:
    clerk = make_browser(make_user("clerk", "Cleo"))
    assert clerk.get("/settings/shops/").status_code == 403
