"""How old credentials are: counted by themselves, to be corrected, with warnings ahead."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import select

from tests.cli.conftest import Command
from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.channels.ages import AGES, ages_of, warnings_of
from webapp.channels.connecting import Call, CallOutcome, Connection, Disconnected, StoreAccess
from webapp.channels.models import Store
from webapp.channels.services import CONNECTION, add_store, change_store
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import Invalid
from webapp.settings.declared import Setting
from webapp.settings.services import change
from webapp.settings.stored import write_values
from webapp.sync.models import ChannelCall
from webapp.testing import FakeChannel

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _lasting(channel: FakeChannel, monkeypatch: pytest.MonkeyPatch) -> None:
    key = Setting(name="key", label="Key", secret=True, default=None, lasts_days=180, compact=True)
    token = Setting(name="token", label="Token", secret=True, lasts_days=365)
    monkeypatch.setattr(FakeChannel, "settings", (key, token, Setting(name="place", label="Place")))


@pytest.fixture
def mine(channel: FakeChannel, olga: Actor) -> Store:
    with unit_of_work():
        return add_store("fake", "Mine", {"key": "k1", "token": "t1"}, actor=olga)


def left(store: Store) -> dict[str, int | None]:
    return {age.name: age.days_left for age in ages_of(store)}


def shift(days: float) -> Any:
    return time_machine.travel(datetime.now(UTC) + days * DAY, tick=False)


def test_an_age_counts_from_the_day_of_entering_each(mine: Store, olga: Actor) -> None:
    assert left(mine) == {"key": 180, "token": 365}
    with shift(100):
        with unit_of_work():
            change_store(mine, {"key": "k2", "place": "here"}, actor=olga)
        assert left(mine) == {"key": 180, "token": 265}
        with unit_of_work():
            change_store(mine, {"key": "", "place": "there"}, actor=olga)  # kept
    with shift(101):
        assert left(mine) == {"key": 179, "token": 264}


def test_the_day_of_issue_can_be_corrected_and_is_no_future_day(mine: Store, olga: Actor) -> None:
    issued = now().date() - 150 * DAY
    with unit_of_work():
        change(AGES, {"key": issued.isoformat()}, mine, actor=olga)
    assert left(mine) == {"key": 30, "token": 365}
    for wrong in ("2026-13-01", "yesterday", (now().date() + 9 * DAY).isoformat()):
        with pytest.raises(Invalid), unit_of_work():
            change(AGES, {"key": wrong}, mine, actor=olga)
    assert left(mine) == {"key": 30, "token": 365}


def test_credentials_from_before_are_of_an_unknown_day_and_never_said_to_have_expired(
    mine: Store, olga: Actor, browser: Browser, cli: Command
) -> None:
    """As after an upgrade: the store is old, its credentials are newer, and no day is stored."""
    with unit_of_work():
        db.session.get_one(Store, mine.id).created_at = now() - 400 * DAY
        write_values(AGES.scope, mine.id, AGES.code, {}, ["key", "token"])
    assert [(age.since, age.days_left, age.tone) for age in ages_of(mine)] == [(None, None, "info")] * 2
    unknown = "Key: the day of issue is not known. Enter the day."
    for path in ("/dashboard/", f"/stores/{mine.id}", f"/stores/{mine.id}/settings"):
        page = browser.get(path).text
        assert (unknown in page, "xpired" in page, "Counted from" in page) == (True, False, False)
    [row] = cli("store", "list", "--json").document
    assert [(one["issued"], one["expires"], one["days_left"]) for one in row["credentials"]] == [(None, None, None)] * 2
    day = db.session.get_one(Store, mine.id).created_at.date().isoformat()
    with unit_of_work():
        change(AGES, {"key": day}, mine, actor=olga)  # the very day on which the store was added
    assert left(mine) == {"key": 180 - 400, "token": None}


def test_a_credential_that_was_never_entered_has_no_age(channel: FakeChannel, olga: Actor) -> None:
    with unit_of_work():
        bare = add_store("fake", "Bare", {"key": "k"}, actor=olga)
    assert left(bare) == {"key": 180}


@pytest.mark.parametrize(("language", "words"), [("en", "the day of issue is not known"), ("fr", "est inconnue")])
def test_an_emptied_day_is_unknown(mine: Store, browser: Browser, language: str, words: str) -> None:
    path = f"/stores/{mine.id}/settings"
    given = {"key": "", "token": now().date().isoformat()}
    browser.client.set_cookie("lang", language)
    assert browser.post(f"{path}/groups/ages", given).status_code == 302
    page = browser.get(path).text
    assert (words in page, "isoformat" in page) == (True, False)
    assert left(db.session.get_one(Store, mine.id)) == {"key": None, "token": 365}


def test_practice_and_archived_stores_have_none(mine: Store, olga: Actor) -> None:
    with unit_of_work():
        practice = add_store("fake", "Practice", {"key": "k"}, actor=olga, practice=True)
        assert ages_of(practice) == []
        mine.archived_at = now()
        assert ages_of(mine) == []


@pytest.mark.parametrize(
    ("passed", "tone", "words"),
    [
        (149, "", ""),
        (150, "info", "Key expires in 30 days."),
        (166, "warn", "Key expires in 14 days."),
        (177, "bad", "Key expires in 3 days."),
        (179, "bad", "Key expires in 1 day."),
        (180, "bad", "Key expires today."),
        (181, "bad", "Key has expired"),
    ],
)
def test_the_warning_gets_louder(passed: int, tone: str, words: str, mine: Store) -> None:
    with shift(passed):
        found = warnings_of(mine)
        assert [age.tone for age in found] == ([tone] if tone else [])
        assert not words or found[0].warning.startswith(words)


def test_the_warning_is_on_the_dashboard_the_store_and_the_command_line(
    mine: Store, browser: Browser, cli: Command
) -> None:
    pages = ("/dashboard/", f"/stores/{mine.id}", f"/stores/{mine.id}/settings")
    assert not any("expires in" in browser.get(path).text for path in pages)
    with unit_of_work():
        change(AGES, {"key": (now().date() - 170 * DAY).isoformat()}, mine, actor=Actor.operator())
    for path in pages:
        page = browser.get(path)
        assert "Key expires in 10 days." in page.text
        assert len(browser.queries) <= 8, "\n".join(browser.queries)
    [row] = cli("store", "list", "--json").document
    key = next(one for one in row["credentials"] if one["name"] == "key")
    assert (key["days_left"], key["warning"].startswith("Key expires in 10 days.")) == (10, True)
    assert "Mine: Key expires in 10 days. Get a new one and enter it." in cli("check", "--json").document["warnings"]


def test_the_form_corrects_a_day_and_shows_a_mistake(mine: Store, browser: Browser) -> None:
    path = f"/stores/{mine.id}/settings"
    page = browser.get(path).text
    assert 'type="date"' in page
    assert "180 days left" in page
    wrong = browser.post(f"{path}/groups/ages", {"key": "soon", "token": now().date().isoformat()})
    assert (wrong.status_code, "Enter a day" in wrong.text) == (422, True)
    given = {"key": (now().date() - 60 * DAY).isoformat(), "token": now().date().isoformat()}
    assert browser.post(f"{path}/groups/ages", given).status_code == 302
    assert "120 days left" in browser.get(path).text


def test_new_credentials_are_tried_before_they_replace_the_old_ones(
    mine: Store, browser: Browser, monkeypatch: pytest.MonkeyPatch, channel: FakeChannel
) -> None:
    seen: list[StoreAccess] = []

    def test(self: FakeChannel, store: StoreAccess) -> Connection:
        seen.append(store)
        assert not db.session().in_transaction()
        if store.settings["key"] == "k2":
            return Connection(channel.marketplaces)
        return Connection(problem=Disconnected(channel="Fake", problem="unknown key"))

    monkeypatch.setattr(FakeChannel, "test", test, raising=False)
    path = f"/stores/{mine.id}/settings/test"
    for htmx in (True, False):
        good = browser.post(path, {"name": "Mine", "key": " k2\n", "place": "new"}, htmx=htmx)
        assert "The connection works" in good.text
        assert "Nothing was saved" in good.text
        bad = browser.post(path, {"name": "Mine", "key": "wrong-key"}, htmx=htmx)
        assert "refuses Waybill&#39;s credentials: unknown key" in bad.text
        assert "wrong-key" not in bad.text
    assert [(one.settings["key"], one.settings["token"]) for one in seen] == [("k2", "t1"), ("wrong-key", "t1")] * 2
    db.session.rollback()
    assert CONNECTION.read(db.session.get_one(Store, mine.id)) == {"key": "k1", "token": "t1", "place": ""}
    assert db.session.get_one(Store, mine.id).problem is None


def test_a_rehearsal_leaves_its_trace_without_values(
    mine: Store, browser: Browser, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def test(self: FakeChannel, store: StoreAccess) -> Connection:
        store.report(Call(operation="orders", at=now(), seconds=0.1, outcome=CallOutcome.OK))
        return Connection(channel.marketplaces)

    monkeypatch.setattr(FakeChannel, "test", test, raising=False)
    typed = {"name": "Mine", "key": "k-new-7", "place": "there"}
    assert browser.post(f"/stores/{mine.id}/settings/test", typed).status_code == 200
    [entry] = db.session.scalars(select(AuditEntry).where(AuditEntry.code == "connection_rehearsed"))
    assert entry.data == {"store": mine.id, "settings": ["key", "place"]}
    assert [call.operation for call in db.session.scalars(select(ChannelCall))] == ["orders"]


@pytest.mark.parametrize("moved", ["endpoint", "token_endpoint"])
def test_a_stored_secret_is_tried_at_no_other_endpoint(
    moved: str, mine: Store, browser: Browser, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[StoreAccess] = []

    def test(self: FakeChannel, store: StoreAccess) -> Connection:
        seen.append(store)
        return Connection(channel.marketplaces)

    monkeypatch.setattr(FakeChannel, "test", test, raising=False)
    places = tuple(Setting(name=name, label=name) for name in ("endpoint", "token_endpoint"))
    monkeypatch.setattr(FakeChannel, "settings", (*FakeChannel.settings, *places))
    path = f"/stores/{mine.id}/settings/test"
    for secrets in ({}, {"key": "k2"}, {"token": "t2"}):
        refused = browser.post(path, {"name": "Mine", moved: "https://elsewhere.example"} | secrets)
        assert (refused.status_code, seen) == (422, [])
        assert "The endpoint is another one, so enter the secrets again." in refused.text
    for whole in ({"token": "t2"}, {"token-forget": "y"}):
        given = {"name": "Mine", moved: "https://elsewhere.example", "key": "k2"} | whole
        assert browser.post(path, given).status_code == 200
    assert [(one.settings["key"], one.settings["token"]) for one in seen] == [("k2", "t2"), ("k2", "")]


def test_a_rehearsal_tells_that_another_store_has_the_account(
    mine: Store, store: Store, browser: Browser, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with unit_of_work():
        db.session.get_one(Store, store.id).account = "a1"

    def test(self: FakeChannel, store: StoreAccess) -> Connection:
        return Connection(channel.marketplaces, account="a1")

    monkeypatch.setattr(FakeChannel, "test", test, raising=False)
    page = browser.post(f"/stores/{mine.id}/settings/test", {"name": "Mine", "key": "k2"}).text
    assert ("is already connected to this account" in page, "The connection works" in page) == (True, False)
    db.session.rollback()
    assert db.session.get_one(Store, mine.id).problem is None


def test_who_may_not_edit_stores_may_not_try_credentials(
    mine: Store, make_browser: Callable[..., Browser], make_user: Callable[..., Actor]
) -> None:
    packer = make_browser(make_user("packer", "Paul"))
    assert packer.post(f"/stores/{mine.id}/settings/test", {"key": "k"}).status_code == 403


def test_a_day_is_plain() -> None:
    day = Setting(name="day", label="Day", day=True)
    assert day.parse("2026-02-28") == "2026-02-28"
    assert day.parse("") == ""
    for wrong in ("20260228", "2026-2-8", "2026-02-30"):
        with pytest.raises(Invalid):
            day.parse(wrong)
