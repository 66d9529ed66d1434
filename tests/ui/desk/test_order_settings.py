"""The rules for a store's orders on its page: as one form, previewed before they are saved."""

import re
from collections.abc import Callable

import pytest

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.channels.shops import create_shop
from webapp.db import db, unit_of_work
from webapp.orders.models import Order
from webapp.orders.order_settings import NEW_ORDERS, treatment_of
from webapp.orders.statuses import find_status, make_status, retire_status
from webapp.testing import incoming_order

Take = Callable[..., list[Order]]


@pytest.fixture(autouse=True)
def _status(store: Store, operator: Actor) -> None:
    with unit_of_work():
        make_status("to_pick", {"en": "To pick"}, state="processing", actor=operator)


def typed(store: Store, **more: str) -> dict[str, str]:
    usual = {"import_orders": "y", "own_numbers": "own", "shop_id": str(store.shop_id), "other_orders": "y"}
    return usual | {"marketplace.DE": "y", "marketplace.JP": "y"} | more


def rows(text: str) -> dict[str, str]:
    """The facts of a preview."""
    found = re.findall(r"<dt>(.*?)</dt>\s*<dd>(.*?)</dd>", text, re.DOTALL)
    return {name: " ".join(re.sub(r"<[^>]+>", " ", value).split()) for name, value in found}


def test_a_preview_draws_what_is_typed_and_saves_nothing(browser: Browser, store: Store, take: Take) -> None:
    [order] = take(incoming_order())
    where = f"/stores/{store.id}/settings/orders/preview"
    saved = rows(browser.get(where).text)
    assert (saved["Number"], saved["Status"], saved["Attention"]) == ("000002", "—", "—")
    assert len(browser.queries) <= 8, "\n".join(browser.queries)

    shown = browser.post(where, typed(store, new_order_status="to_pick", own_numbers="channel"), htmx=True)
    assert rows(shown.text)["Number"] == order.channel_order_number
    assert rows(shown.text)["Status"] == "To pick"
    assert "<h1>" not in shown.text
    assert len(browser.queries) <= 8, "\n".join(browser.queries)
    whole = browser.post(where, typed(store, new_order_status="to_pick")).text  # without JavaScript
    assert "<h1>" in whole
    assert rows(whole)["Status"] == "To pick"
    assert '<option selected value="to_pick">' in whole
    off = browser.post(where, {"own_numbers": "own"}, htmx=True).text
    assert "Importing is off, so the order has no number" in rows(off)["Number"]
    japan = typed(store)
    del japan["marketplace.DE"]
    assert "Its marketplace is switched off" in browser.post(where, japan, htmx=True).text
    for shop in ("99", "abc", "²", "9" * 30):
        odd = browser.post(where, typed(store, shop_id=shop), htmx=True)
        assert (odd.status_code, rows(odd.text)["Shop"]) == (200, store.shop.name)
        assert browser.post(where.removesuffix("/preview"), typed(store, shop_id=shop)).status_code == 422
    assert treatment_of(store).status == ""


def test_without_an_order_it_says_how_to_get_one(browser: Browser, store: Store) -> None:
    text = browser.get(f"/stores/{store.id}/settings/orders/preview").text
    assert "add a practice store" in text
    assert "/stores/add" in text


def test_while_importing_is_off_the_rest_is_disabled_and_kept(browser: Browser, store: Store) -> None:
    where = f"/stores/{store.id}/settings"
    assert browser.post(f"{where}/orders", typed(store, new_order_status="to_pick")).status_code == 302
    assert '<fieldset data-needs="import_orders">' in browser.get(where).text
    assert browser.post(f"{where}/orders", {}).status_code == 302  # a browser sends no field that is disabled
    assert '<fieldset data-needs="import_orders" disabled>' in browser.get(where).text
    db.session.expire_all()
    kept = NEW_ORDERS.read(db.session.get_one(Store, store.id))
    assert kept == {
        "import_orders": False,
        "own_numbers": True,
        "new_order_status": "to_pick",
        "other_orders": True,
    }


def test_a_retired_status_is_said_to_be_skipped(browser: Browser, store: Store, operator: Actor) -> None:
    where = f"/stores/{store.id}/settings"
    assert browser.post(f"{where}/orders", typed(store, new_order_status="to_pick")).status_code == 302
    with unit_of_work():
        retire_status(find_status("to_pick"), actor=operator)
        make_status("later", {"en": "Later"}, state="processing", actor=operator)
        retire_status(find_status("later"), actor=operator)
    text = browser.get(where).text
    assert "To pick (retired)" in text
    assert "The chosen status is retired, so new orders get no status." in text
    assert "Later" not in text


def test_the_second_who_saves_is_told(browser: Browser, store: Store, operator: Actor) -> None:
    where = f"/stores/{store.id}/settings/orders"
    version = treatment_of(store).version
    mine = typed(store, version=version, new_order_status="to_pick")
    assert browser.post(where, typed(store, version=version, own_numbers="channel")).status_code == 302
    refused = browser.post(where, mine)
    assert (refused.status_code, "Somebody else saved these settings meanwhile" in refused.text) == (409, True)
    [seen] = re.findall(r'name="version" type="hidden" value="(\w+)"', refused.text)
    assert browser.post(where, mine | {"version": seen}).status_code == 302


def test_who_works_for_one_shop_previews_no_store_of_another(browser: Browser, store: Store, operator: Actor) -> None:
    with unit_of_work():
        create_shop("Tokyo", prefix="T-", actor=operator)
    assert browser.get("/stores/99/settings/orders/preview").status_code == 404
    assert browser.post("/stores/99/settings/orders/preview", {}).status_code == 404
