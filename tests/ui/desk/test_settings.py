"""Settings of the desk: groups that plugins declare, each a form; secrets are never drawn."""

from collections.abc import Callable

import pytest
from flask import Flask

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.db import db
from webapp.hooks import hookimpl, hooks
from webapp.settings.declared import Setting
from webapp.settings.models import StoredSetting
from webapp.settings.services import SettingsGroup, desk_setting


class Parcels:
    """A plugin with settings."""

    @hookimpl
    def register_settings(self) -> list[SettingsGroup]:
        declared = [
            Setting(name="parcel_units", label="Units that fit", default=10, minimum=1),
            Setting(name="scale_key", label="Key of the scale", secret=True),
        ]
        return [SettingsGroup("parcels", "Parcels", declared)]


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
    assert desk_setting("parcel_units") == 12
    assert desk_setting("scale_key") == "s3cret-scale"
    assert "s3cret-scale" not in browser.get("/settings/").get_data(as_text=True)
    assert "s3cret-scale" not in str([row.value for row in db.session.query(StoredSetting)])
    assert db.session.query(AuditEntry).filter_by(code="settings_changed").count() == 1


@pytest.mark.usefixtures("parcels")
def test_a_mistake_is_a_sentence_and_keeps_what_was_typed(browser: Browser) -> None:
    answer = browser.post("/settings/parcels", {"parcel_units": "0"})
    assert answer.status_code == 422
    assert "at least 1" in answer.get_data(as_text=True)
    assert desk_setting("parcel_units") == 10


def test_the_desk_has_settings_of_its_own(browser: Browser) -> None:
    assert 'href="/settings/"' in browser.get("/orders/").get_data(as_text=True)
    assert "Archive orders by themselves" in browser.get("/settings/").get_data(as_text=True)
    assert browser.post("/settings/nothing").status_code == 404


@pytest.mark.usefixtures("parcels")
def test_only_who_may_changes_them(make_browser: Callable[..., Browser], make_user: Callable[..., Actor]) -> None:
    clerk = make_browser(make_user("clerk", "Clara"))
    assert clerk.get("/settings/").status_code == 403
