"""Shops in the browser."""

import re
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest

from tests.pictures import png
from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.channels.shops import get_shop, shops
from webapp.db import db
from webapp.testing import incoming_order

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
    [({"name": ""}, "Enter a value."), ({"prefix": "P /"}, "Use up to 12"), ({"padding": "x"}, "from 1 to 12")],
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


# --- The logo ---------------------------------------------------------------------------------------------------------


def test_a_logo_is_on_the_page_of_its_shop_and_on_its_slips(browser: Browser, store: Store, take: Any) -> None:
    [order] = take(incoming_order())
    where = f"/settings/shops/{store.shop_id}"
    slip = f"/orders/{order.number}/packing-slip"
    assert 'class="logo"' not in browser.get(where).text + browser.get(slip).text

    assert browser.post(f"{where}/logo", {"logo": (BytesIO(png()), "../../logo.svg")}).location == where

    for page in (where, slip):
        text = browser.get(page).text
        assert len(browser.queries) <= 8, "\n".join(browser.queries)
        [address] = re.findall(r'class="logo" src="([^"]+)"\s+width="32"\s+height="20"', text)
        assert address.startswith(f"{where}/logo?v=")
    sent = browser.get(address)
    assert sent.data == png()
    assert sent.headers["Content-Type"] == "image/png"
    assert sent.headers["X-Content-Type-Options"] == "nosniff"
    assert sent.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"

    assert browser.post(f"{where}/logo/remove").location == where
    assert 'class="logo"' not in browser.get(where).text + browser.get(slip).text
    assert browser.get(f"{where}/logo").status_code == 404


def test_what_is_no_picture_comes_back_with_a_sentence(browser: Browser, store: Store) -> None:
    where = f"/settings/shops/{store.shop_id}/logo"
    for sent in ({"logo": (BytesIO(b"<svg/>"), "logo.png")}, {"logo": (BytesIO(b""), "")}, {}):
        answer = browser.post(where, sent)
        assert answer.status_code == 422
        assert 'aria-invalid="true"' in answer.text
    assert browser.get(where).status_code == 404
    assert browser.post("/settings/shops/99/logo", {"logo": (BytesIO(png()), "a.png")}).status_code == 404


def test_a_logo_that_is_too_large_is_refused_with_a_sentence(
    browser: Browser, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request above the limit of all requests, such as a picture of 50 MB, is refused before its body is read."""
    where = f"/settings/shops/{store.shop_id}/logo"
    browser.post(where, {"logo": (BytesIO(png()), "logo.png")})
    large = browser.post(where, {"logo": (BytesIO(png() + bytes(501_000)), "logo.png")})
    assert (large.status_code, "The file is larger than 500 KB. Choose a smaller one." in large.text) == (422, True)
    monkeypatch.setitem(browser.app.config, "MAX_CONTENT_LENGTH", 100_000)
    huge = browser.post(where, {"logo": (BytesIO(png() + bytes(200_000)), "logo.png")})
    assert (huge.status_code, "too large" in huge.text) == (413, True)
    assert browser.get(where).data == png()


def test_who_is_not_signed_in_sees_no_logo_and_a_clerk_changes_none(
    browser: Browser,
    stranger: Browser,
    make_browser: Callable[..., Browser],
    make_user: Callable[..., Actor],
    store: Store,
) -> None:
    where = f"/settings/shops/{store.shop_id}/logo"
    browser.post(where, {"logo": (BytesIO(png()), "a.png")})
    clerk = make_browser(make_user("clerk", "Cleo"))
    assert clerk.get(where).status_code == 200
    for path in (where, f"{where}/remove"):
        assert clerk.post(path, {"logo": (BytesIO(png()), "a.png")}).status_code == 403
    assert stranger.get(where).status_code != 200
