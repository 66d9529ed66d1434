"""Settings of the desk: groups that plugins declare, each a form; secrets are never drawn."""

from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import select

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.channels.models import Store
from webapp.channels.services import add_store
from webapp.db import db, unit_of_work
from webapp.hooks import hookimpl, hooks
from webapp.settings.declared import SHOP, STORE, Setting, SettingsGroup
from webapp.settings.models import StoredSetting

MOST = Setting(name="parcel_units", label="Units that fit", default=10, minimum=1)
KEY = Setting(name="scale_key", label="Key of the scale", secret=True)


class Parcels:
    """A plugin with settings."""

    @hookimpl
    def register_settings(self) -> list[SettingsGroup]:
        return [SettingsGroup("parcels", "Parcels", [MOST, KEY])]


@pytest.fixture
def parcels(app: Flask) -> None:
    hooks.manager.register(Parcels())


@pytest.mark.usefixtures("parcels")
def test_a_group_is_a_form_and_what_is_saved_holds(browser: Browser) -> None:
    shown = browser.get("/settings/").get_data(as_text=True)
    assert "Parcels" in shown
    assert 'value="10"' in shown
    saved = browser.post("/settings/parcels", {"parcel_units": "12", "scale_key": "s3cret-scale"})
    assert saved.status_code == 302
    assert MOST.of() == 12
    assert KEY.of() == "s3cret-scale"
    assert "s3cret-scale" not in browser.get("/settings/").get_data(as_text=True)
    assert "s3cret-scale" not in str([row.value for row in db.session.query(StoredSetting)])
    assert db.session.query(AuditEntry).filter_by(code="settings_changed").count() == 1


@pytest.mark.usefixtures("parcels")
def test_a_mistake_is_a_sentence_and_keeps_what_was_typed(browser: Browser) -> None:
    answer = browser.post("/settings/parcels", {"parcel_units": "0"})
    assert answer.status_code == 422
    assert "1 or more" in answer.get_data(as_text=True)
    assert MOST.of() == 10


def test_the_desk_has_settings_of_its_own(browser: Browser) -> None:
    assert 'href="/settings/"' in browser.get("/orders/").get_data(as_text=True)
    assert "Archive orders automatically" in browser.get("/settings/").get_data(as_text=True)
    assert browser.post("/settings/nothing").status_code == 404


@pytest.mark.usefixtures("parcels")
def test_only_who_may_changes_them(make_browser: Callable[..., Browser], make_user: Callable[..., Actor]) -> None:
    clerk = make_browser(make_user("clerk", "Clara"))
    assert clerk.get("/settings/").status_code == 403


# --- Of a store, of a shop --------------------------------------------------------------------------------------------

GREETING = Setting(name="greeting", label="Greeting", default="Hello")
LABELS = Setting(name="labels_of_a_parcel", label="Labels of a parcel", default=1, minimum=1)


class Scoped:
    """A plugin with settings of each shop and of each store."""

    @hookimpl
    def register_settings(self) -> list[SettingsGroup]:
        return [
            SettingsGroup("greetings", "Greetings", [GREETING], scope=SHOP),
            SettingsGroup("parcel_labels", "Labels of parcels", [LABELS], scope=STORE),
        ]


@pytest.fixture
def scoped(app: Flask) -> None:
    hooks.manager.register(Scoped())


@pytest.mark.usefixtures("scoped")
def test_a_group_of_stores_is_on_the_page_of_each_and_holds_for_it_alone(
    browser: Browser, store: Store, operator: Actor
) -> None:
    with unit_of_work():
        other = add_store("fake", "Another", {"key": "k"}, actor=operator).id
    where = f"/stores/{store.id}/settings"
    assert "Labels of parcels" in browser.get(where).text
    assert "Labels of parcels" not in browser.get("/settings/").text

    assert browser.post(f"{where}/groups/parcel_labels", {"labels_of_a_parcel": "3"}).location == where

    db.session.rollback()
    assert LABELS.of(db.session.get_one(Store, store.id)) == 3
    assert LABELS.of(db.session.get_one(Store, other)) == 1
    wrong = browser.post(f"{where}/groups/parcel_labels", {"labels_of_a_parcel": "0"})
    assert (wrong.status_code, "1 or more" in wrong.text) == (422, True)
    for nowhere in (f"{where}/groups/nothing", "/stores/99/settings/groups/parcel_labels", "/settings/parcel_labels"):
        assert browser.post(nowhere).status_code == 404
    changed = db.session.scalars(select(AuditEntry).where(AuditEntry.code == "settings_changed")).one()
    assert changed.data["store"] == store.id


@pytest.mark.usefixtures("scoped")
def test_a_group_of_shops_is_on_the_page_of_each(browser: Browser, store: Store) -> None:
    where = f"/settings/shops/{store.shop_id}"
    assert "Greetings" in browser.get(where).text
    assert "Greetings" not in browser.get("/settings/shops/add").text

    assert browser.post(f"{where}/groups/greetings", {"greeting": "Bonjour"}).location == where

    db.session.rollback()
    assert GREETING.of(store.shop) == "Bonjour"
    assert 'value="Bonjour"' in browser.get(where).text


@pytest.mark.usefixtures("scoped")
def test_who_may_not_edit_stores_changes_no_setting_of_one(
    make_browser: Callable[..., Browser], mia: Actor, store: Store
) -> None:
    clerk = make_browser(mia)
    assert (
        clerk.post(f"/stores/{store.id}/settings/groups/parcel_labels", {"labels_of_a_parcel": "3"}).status_code == 403
    )
    assert clerk.post(f"/settings/shops/{store.shop_id}/groups/greetings", {"greeting": "Ha"}).status_code == 403


PRINTER_KEY = Setting(name="printer_key", label="Key of the printer", secret=True)
ACCOUNT = Setting(name="account", label="Account", default=None, secret=True)


@pytest.fixture
def printing(app: Flask) -> None:
    class Printing:
        """A plugin with two secrets of each shop, one of which must be given."""

        @hookimpl
        def register_settings(self) -> list[SettingsGroup]:
            return [SettingsGroup("printing", "Printing", [PRINTER_KEY, ACCOUNT], scope=SHOP)]

    hooks.manager.register(Printing())


@pytest.mark.usefixtures("printing")
def test_an_optional_secret_that_is_stored_can_be_forgotten(browser: Browser, store: Store) -> None:
    where = f"/settings/shops/{store.shop_id}"
    assert "Delete the stored value" not in browser.get(where).text
    browser.post(f"{where}/groups/printing", {"printer_key": "p-secret-1", "account": "a-secret-1"})
    page = browser.get(where).text
    assert 'aria-label="Delete the stored value: Key of the printer"' in page
    assert page.count('aria-label="Delete the stored value') == 1  # the other one is needed
    assert "secret-1" not in page

    both = browser.post(f"{where}/groups/printing", {"printer_key": "p-secret-2", "printer_key-forget": "y"})
    assert (both.status_code, "be removed and entered at the same time" in both.text) == (422, True)
    assert browser.post(f"{where}/groups/printing", {"printer_key": ""}).status_code == 302
    db.session.rollback()
    assert PRINTER_KEY.of(store.shop) == "p-secret-1"

    assert browser.post(f"{where}/groups/printing", {"printer_key": "", "printer_key-forget": "y"}).status_code == 302
    db.session.rollback()
    assert (PRINTER_KEY.of(store.shop), ACCOUNT.of(store.shop)) == ("", "a-secret-1")
    assert "Delete the stored value" not in browser.get(where).text
    needed = browser.post(f"{where}/groups/printing", {"account-forget": "y"})  # the form has no such tick
    assert needed.status_code == 302
    db.session.rollback()
    assert ACCOUNT.of(store.shop) == "a-secret-1"
