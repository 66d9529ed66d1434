"""Settings by commands: those of the desk, and with its name those of a store or a shop."""

import pytest
from flask import Flask

from tests.cli.conftest import Command
from webapp.channels.models import Store
from webapp.db import db
from webapp.hooks import hookimpl, hooks
from webapp.orders.archiving import AFTER_DAYS
from webapp.settings.declared import STORE, Setting, SettingsGroup

LABELS = Setting(name="labels_of_a_parcel", label="Labels of a parcel", default=1, minimum=1)
KEY = Setting(name="printer_key", label="Key of the printer", secret=True)


class Printing:
    """A plugin with settings of each store, one of them a secret."""

    @hookimpl
    def register_settings(self) -> list[SettingsGroup]:
        return [SettingsGroup("printing", "Printing", [LABELS, KEY], scope=STORE)]


@pytest.fixture(autouse=True)
def _printing(app: Flask) -> None:
    hooks.manager.register(Printing())


def test_settings_of_the_desk(cli: Command) -> None:
    changed = cli("settings", "set", "archive", "--set", "archive_after_days=45")
    assert (changed.code, changed.out.strip()) == (0, "Saved.")
    [row] = [row for row in cli("--json", "settings", "list").document if row["group"] == "archive"]
    assert (row["name"], row["value"], row["stored"]) == ("archive_after_days", 45, True)
    db.session.rollback()
    assert AFTER_DAYS.of() == 45
    wrong = cli("settings", "set", "archive", "--set", "archive_after_days=soon")
    assert (wrong.code, "must be a whole number" in wrong.err) == (1, True)


def test_settings_of_a_store(cli: Command, store: Store) -> None:
    given = ("--set", "labels_of_a_parcel=3", "--set", "printer_key=p-secret-7")
    assert cli("settings", "set", "printing", "--store", store.name, *given).code == 0
    listed = cli("--json", "settings", "list", "--store", store.id)
    assert [(row["name"], row["value"], row["stored"]) for row in listed.document] == [
        ("labels_of_a_parcel", 3, True),
        ("printer_key", None, True),
    ]
    db.session.rollback()
    assert LABELS.of(store) == 3
    assert KEY.of(store) == "p-secret-7"


def test_what_is_not_there_is_named(cli: Command, store: Store) -> None:
    assert cli("settings", "set", "printing").code == 3  # it is no group of the desk
    assert cli("settings", "list", "--store", "Nowhere").code == 3
    assert cli("settings", "list", "--shop", "99").code == 3
    both = cli("settings", "list", "--store", store.name, "--shop", store.shop_id)
    assert (both.code, "not both" in both.err) == (2, True)


def test_settings_of_shops_are_none_unless_a_plugin_declares_some(cli: Command, store: Store) -> None:
    assert cli("settings", "list", "--shop", store.shop_id).out.strip() == "Nothing can be set here."


def test_a_right_is_needed(cli: Command, store: Store, mia: object) -> None:
    for arguments in (["list", "--store", store.name], ["set", "printing", "--store", store.name]):
        assert cli("--as", "mia@desk.test", "settings", *arguments).code == 1
