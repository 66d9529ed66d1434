"""Settings are typed as declared, refused by a sentence that names them, and stored only where they differ."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from hypothesis import given, strategies as st
from sqlalchemy import func, select

from webapp.channels.models import Store
from webapp.db import db, unit_of_work
from webapp.errors import Invalid
from webapp.hooks import hookimpl, hooks
from webapp.jobs.models import MissedFact
from webapp.jobs.telling import tell_again
from webapp.settings.declared import STORE, Setting, SettingsChange, SettingsGroup, parse_all
from webapp.settings.models import StoredSetting
from webapp.settings.services import store_all
from webapp.vault.key_file import KeyProblem, open_secret, seal_secret


def _even(number: int) -> None:
    if number % 2:
        raise ValueError("must be even.")


DAYS = Setting(name="days", label="Days", default=30, minimum=2, maximum=90, check=_even)
DECLARED: Sequence[Setting[Any]] = (
    Setting(name="key", label="Key", default=None, secret=True),
    Setting(name="note", label="Note", default="", secret=True),
    Setting(name="region", label="Region", default="eu", choices={"eu": "Europe", "na": "America"}),
    DAYS,
    Setting(name="reserve", label="Reserve", default=True),
)


GROUP = SettingsGroup("sample", "Sample", DECLARED, scope=STORE)


@dataclass
class Subject:
    """A store, with what settings need of it."""

    id: int = 1


def rows() -> dict[str, Any]:
    return {row.name: row.value for row in db.session.scalars(select(StoredSetting))}


def keep(values: dict[str, Any]) -> dict[str, Any]:
    with unit_of_work():
        store_all(GROUP, values, Subject())
    return GROUP.read(Subject())


def test_what_was_stored_is_read_in_its_type(app: Flask) -> None:
    values = keep({"key": "k-secret", "region": "na", "days": "10", "reserve": "no"})
    assert values == {"key": "k-secret", "note": "", "region": "na", "days": 10, "reserve": False}
    assert GROUP.read(Subject(2)) == {"key": None, "note": "", "region": "eu", "days": 30, "reserve": True}
    assert [setting.of(Subject()) for setting in DECLARED] == list(values.values())
    assert DAYS.of(Subject(2)) == 30


def test_a_default_is_not_stored(app: Flask) -> None:
    keep({"key": "k", "region": "eu", "days": 30})
    assert set(rows()) == {"key"}
    keep({"days": 4})
    assert set(rows()) == {"key", "days"}
    keep({"days": 30})
    assert set(rows()) == {"key"}


def test_a_secret_is_sealed_in_the_table_and_known_to_a_page_by_name_only(app: Flask) -> None:
    keep({"key": "k-secret-1"})
    assert "k-secret-1" not in str(rows())
    assert open_secret(rows()["key"]) == "k-secret-1"
    assert GROUP.stored(Subject()) == {"key"}


@pytest.mark.parametrize("empty", ["", "   ", None])
def test_an_empty_secret_keeps_the_one_it_had(app: Flask, empty: str | None) -> None:
    keep({"key": "k-secret-1", "note": "n-secret"})
    before = rows()
    assert keep({"key": empty, "note": empty, "days": 4})["key"] == "k-secret-1"
    assert {name: rows()[name] for name in ("key", "note")} == before


def test_sealing_twice_looks_different_every_time(app: Flask) -> None:
    assert seal_secret("same") != seal_secret("same")


def test_a_secret_that_does_not_open_says_so(app: Flask) -> None:
    for sealed in ("", "####", "c2hvcnQ=", "A" * 80):
        with pytest.raises(KeyProblem, match="WAYBILL_SECRET"):
            open_secret(sealed)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "Key: Enter a value."),
    ({"key": "  "}, "Key: Enter a value."),
    ({"key": None}, "Key: Enter a value."),
    ({"key": "k", "region": "mars"}, "Region: Choose one of these values: eu, na."),
    ({"key": "k", "days": "soon"}, "Days: Enter a whole number."),
    ({"key": "k", "days": "4.5"}, "Days: Enter a whole number."),
    ({"key": "k", "days": ""}, "Days: Enter a whole number."),
    ({"key": "k", "days": 1}, "Days: Enter 2 or more."),
    ({"key": "k", "days": 91}, "Days: Enter 90 or less."),
    ({"key": "k", "days": 5}, "Days: must be even."),
    ({"key": "k", "reserve": "perhaps"}, "Reserve: Enter yes or no."),
    (
        {"key": "k", "color": "red"},
        "color: There is no setting with this name. The settings are: key, note, region, days, reserve.",
    ),
]


def test_what_cannot_be_is_refused_by_name_and_nothing_is_stored(app: Flask) -> None:
    for values, sentence in REFUSED:
        with pytest.raises(Invalid) as refused:
            keep(values)
        assert str(refused.value) == sentence
        assert rows() == {}


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@given(st.fixed_dictionaries({"key": SCALARS, "region": SCALARS, "days": SCALARS, "reserve": SCALARS}))
def test_whatever_is_given_becomes_its_type_or_a_sentence(values: dict[str, Any]) -> None:
    try:
        parsed = parse_all(DECLARED, values)
    except Invalid:
        return
    assert isinstance(parsed["key"], str)
    assert parsed["key"]
    assert parsed["region"] in ("eu", "na")
    assert type(parsed["days"]) is int
    assert 2 <= int(parsed["days"]) <= 90
    assert type(parsed["reserve"]) is bool


@given(st.integers(2, 90).filter(lambda number: number % 2 == 0), st.booleans(), st.sampled_from(["eu", "na"]))
def test_what_was_parsed_parses_to_itself(days: int, reserve: bool, region: str) -> None:
    values = {"key": "k", "note": "", "region": region, "days": days, "reserve": reserve}
    assert parse_all(DECLARED, parse_all(DECLARED, values)) == values


def test_two_groups_may_use_one_name(app: Flask) -> None:
    ours, theirs = Setting(name="note", label="Note", default="a"), Setting(name="note", label="Note", default="b")
    groups = SettingsGroup("ours", "Ours", [ours]), SettingsGroup("theirs", "Theirs", [theirs])
    with unit_of_work():
        store_all(groups[0], {"note": "written"})
    assert (ours.of(), theirs.of()) == ("written", "b")


def test_a_setting_belongs_to_one_group() -> None:
    alone = Setting(name="alone", label="Alone", default=1)
    with pytest.raises(TypeError, match="belongs to no group"):
        alone.of()
    SettingsGroup("first", "First", [alone])
    with pytest.raises(ValueError, match="belongs to the group first"):
        SettingsGroup("second", "Second", [alone])
    with pytest.raises(ValueError, match="belongs to the group first"):
        SettingsGroup("first", "First", [alone], scope=STORE)
    with pytest.raises(ValueError, match="no scope"):
        SettingsGroup("third", "Third", [], scope="planet")


# --- What is told -----------------------------------------------------------------------------------------------------


class Listener:
    """A plugin that listens to settings, and fails while it is told to."""

    def __init__(self) -> None:
        self.heard: list[SettingsChange] = []
        self.deaf = False

    @hookimpl
    def settings_changed(self, changes: list[SettingsChange]) -> None:
        if self.deaf:
            raise RuntimeError("deaf")
        self.heard += changes


@pytest.fixture
def listener(app: Flask) -> Listener:
    made = Listener()
    hooks.manager.register(made, name="listener")
    return made


def test_what_is_stored_is_told_by_name_and_never_by_value(listener: Listener) -> None:
    keep({"key": "k-secret-1", "note": "", "days": 10})
    keep({"key": "", "days": 10})
    keep({"key": "k-secret-2", "days": 30})
    told = [(change.scope, change.id, change.group, tuple(change.names)) for change in listener.heard]
    assert told == [("store", 1, "sample", names) for names in (("key", "days"), (), ("key", "days"))]
    assert "k-secret" not in repr(listener.heard)
    assert all(change.concerns(GROUP) for change in listener.heard)
    assert not listener.heard[0].concerns(SettingsGroup("sample", "Of the desk", ()))


def test_a_store_that_is_being_added_says_so(listener: Listener, store: Store) -> None:
    assert listener.heard == [SettingsChange(STORE, store.id, "connection", ("key",), added=True)]


def test_what_is_refused_is_not_told(listener: Listener) -> None:
    with pytest.raises(Invalid):
        keep({"key": "k", "days": 5})
    assert listener.heard == []


def test_a_plugin_that_failed_to_hear_is_told_again_without_a_value(
    listener: Listener, plugin_failures: list[Any]
) -> None:
    listener.deaf = True
    assert keep({"key": "k-secret-1", "days": 10})["days"] == 10
    plugin_failures.clear()
    [missed] = db.session.scalars(select(MissedFact))
    assert missed.facts == [{"scope": "store", "id": 1, "group": "sample", "names": ["key", "days"], "added": False}]
    with unit_of_work():
        db.session.get_one(MissedFact, missed.id).next_at = missed.at
    listener.deaf = False
    tell_again()
    assert [tuple(change.names) for change in listener.heard] == [("key", "days")]


def test_two_who_save_the_same_at_once_leave_one_value(app: Flask) -> None:
    """Neither is refused because of a row that the other stored or deleted a moment before."""
    together = Barrier(2)

    def save(days: int) -> None:
        with app.app_context():
            for turn in range(10):
                together.wait(60)
                with unit_of_work():
                    store_all(GROUP, {"key": f"k{days}", "days": 30 if turn % 2 else days}, Subject())

    with ThreadPoolExecutor(2) as pool:
        for task in [pool.submit(save, days) for days in (4, 6)]:
            task.result(60)
    assert GROUP.read(Subject())["days"] == 30
    query = select(func.count()).select_from(StoredSetting).where(StoredSetting.name == "key")
    assert db.session.scalar(query) == 1
