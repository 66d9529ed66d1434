"""Statuses and tags under Settings: made, changed, moved, retired, merged; a mistake keeps what was typed."""

from collections.abc import Callable
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from sqlalchemy import select

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.db import db, unit_of_work
from webapp.i18n import force_locale
from webapp.lists.models import SavedView
from webapp.lists.saved_views import save_view
from webapp.orders.models import Order
from webapp.orders.organizing import set_status, set_tags
from webapp.orders.queries import locked
from webapp.orders.statuses import all_statuses, find_status, make_status
from webapp.orders.tags import all_tags, make_tag
from webapp.search.query import parse

PACKING = {"code": "packing", "state": "processing", "name_en": "Packing", "name_fr": "Emballage", "tone": "info"}


@pytest.fixture
def made(app: Flask, operator: Actor) -> None:
    with unit_of_work():
        for code in ("one", "two"):
            make_status(code, {"en": code.title()}, state="processing", actor=operator)
        for name in ("gift", "fragile"):
            make_tag(name, actor=operator)


def test_empty_lists_say_what_to_do(browser: Browser) -> None:
    assert "No statuses yet" in browser.get("/settings/statuses/").text
    assert "No tags yet" in browser.get("/settings/tags/").text
    assert 'href="/settings/statuses/"' in browser.get("/settings/").text


def test_a_status_is_made_and_changed(browser: Browser) -> None:
    assert browser.get("/settings/statuses/new").status_code == 200
    assert browser.post("/settings/statuses/new", PACKING | {"rule": "prime:yes"}).status_code == 302
    shown = browser.get("/settings/statuses/").text
    for text in ("Packing", "prime:yes", 'data-tone="info"'):
        assert text in shown
    assert 'value="Emballage"' in browser.get("/settings/statuses/packing").text
    changed = {"name_en": "Being packed", "name_fr": "", "tone": "warn", "rule": ""}
    assert browser.post("/settings/statuses/packing", changed).status_code == 302
    assert len(browser.queries) <= 8
    db.session.rollback()
    row = find_status("packing")
    assert (row.names, row.tone, row.rule) == ({"en": "Being packed"}, "warn", "")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"code": "1"}, "Use up to 40 letters, digits"),
        ({"name_en": ""}, "Enter a value"),
        ({"rule": "colour:red"}, "colour"),
        ({"rule": "jane doe"}, "Use search keys only"),
    ],
)
def test_a_mistake_is_said_at_its_field_and_nothing_is_lost(
    browser: Browser, change: dict[str, str], sentence: str
) -> None:
    answer = browser.post("/settings/statuses/new", PACKING | change)
    assert answer.status_code == 422
    assert sentence in answer.text
    assert 'value="Emballage"' in answer.text
    assert 'aria-invalid="true"' in answer.text
    db.session.rollback()
    assert all_statuses() == []


@pytest.mark.usefixtures("made")
def test_statuses_move_retire_and_come_back(browser: Browser) -> None:
    assert browser.post("/settings/statuses/two/up").status_code == 302
    db.session.rollback()
    assert [row.code for row in all_statuses()] == ["two", "one"]
    browser.post("/settings/statuses/two/retire")
    assert "retired" in browser.get("/settings/statuses/").text
    assert "Use again" in browser.get("/settings/statuses/two").text
    browser.post("/settings/statuses/two/revive")
    assert "retired" not in browser.get("/settings/statuses/").text.replace("a retired one", "")


@pytest.mark.usefixtures("made")
def test_it_says_how_many_orders_have_one(browser: Browser, make_order: Callable[..., Order], olga: Actor) -> None:
    order = make_order()
    with unit_of_work():
        row = locked(order)
        set_status(row, "one", actor=olga)
        set_tags(row, ["gift"], [], actor=olga)
    assert 'href="/orders/?q=status:one"' in browser.get("/settings/statuses/").text
    assert "1 order has this tag" in browser.get(f"/settings/tags/{all_tags()[1].id}").text


@pytest.mark.usefixtures("made")
def test_tags_are_made_renamed_and_merged(
    browser: Browser, make_order: Callable[..., Order], olga: Actor, work: Callable[[], int]
) -> None:
    order = make_order()
    with unit_of_work():
        set_tags(locked(order), ["gift"], [], actor=olga)
    assert browser.post("/settings/tags/", {"name": "Urgent", "tone": "bad"}).status_code == 302
    fragile, gift, urgent = (SimpleNamespace(id=tag.id) for tag in all_tags())
    again = browser.post("/settings/tags/", {"name": "URGENT", "tone": "calm"})
    assert (again.status_code, "Another tag has this name" in again.text, 'value="URGENT"' in again.text) == (
        422,
        True,
        True,
    )
    assert browser.post(f"/settings/tags/{fragile.id}", {"name": "Breaks", "tone": "warn"}).status_code == 302
    assert browser.post(f"/settings/tags/{gift.id}/delete", {"heir": str(urgent.id)}).status_code == 302
    assert "is being replaced by Urgent" in browser.get("/settings/tags/").text
    assert "is being replaced by Urgent" in browser.get(f"/settings/tags/{gift.id}").text
    work()
    db.session.rollback()
    assert [tag.name for tag in all_tags()] == ["Breaks", "Urgent"]
    assert db.session.get_one(Order, order.id).tags == [urgent.id]
    assert browser.get(f"/settings/tags/{gift.id}").status_code == 404


def test_they_are_for_who_may_change_settings(make_browser: Callable[..., Browser], mia: Actor) -> None:
    clerk = make_browser(mia)
    for path in ("/settings/statuses/", "/settings/statuses/new", "/settings/tags/"):
        assert clerk.get(path).status_code == 403
    assert clerk.post("/settings/statuses/one/retire").status_code == 403


def test_what_asks_for_a_tag_by_its_name_follows_when_it_is_renamed_or_merged(
    browser: Browser, olga: Actor, work: Callable[[], int]
) -> None:
    with unit_of_work():
        rush, gift = make_tag("Rush hour", actor=olga), make_tag("gift", actor=olga)
        make_tag("rushed", actor=olga)
        make_status("fast", {"en": "Fast"}, state="processing", actor=olga, rule='tag:"rush hour" prime:yes')
        rush_id, gift_id = rush.id, gift.id
    browser.post("/orders/views/", {"name": "Mine", "q": 'state:open -tag:"rush hour",gift sku:"tag: Rush hour"'})
    browser.post("/orders/views/", {"name": "Others", "q": "tag:rushed"})

    browser.post(f"/settings/tags/{rush_id}", {"name": "Very urgent", "tone": "calm"})

    assert queries() == ['state:open -tag:"Very urgent",gift sku:"tag: Rush hour"', "tag:rushed"]
    assert find_status("fast").rule == 'tag:"Very urgent" prime:yes'
    browser.post(f"/settings/tags/{gift_id}/delete", {"heir": str(rush_id)})
    work()
    assert queries()[0].startswith('state:open -tag:"Very urgent",')
    assert "gift" not in queries()[0]


def test_a_view_of_the_filters_follows_its_tag(browser: Browser, olga: Actor, work: Callable[[], int]) -> None:
    with unit_of_work():
        gift, rush = make_tag("gift", actor=olga).id, make_tag("Rush hour", actor=olga).id
        make_status("fast", {"en": "Fast"}, state="processing", actor=olga, rule=f"tag:{gift} prime:yes")

    filtered = browser.post("/orders/filters", {"q": f"tag:{rush}", "f-tag": [str(gift), "none"]}).location
    browser.post("/orders/views/", {"name": "New", "q": parse_qs(urlsplit(filtered).query)["q"][0]})
    browser.post("/orders/views/", {"name": "Older", "q": f"tag:{gift}"})
    assert queries() == ["tag:gift,none", f"tag:{gift}"]

    browser.post(f"/settings/tags/{gift}", {"name": "present", "tone": "calm"})
    assert queries() == ["tag:present,none", "tag:present"]
    assert find_status("fast").rule == "tag:present prime:yes"

    browser.post("/orders/views/", {"name": "By id again", "q": f"tag:{gift}"})
    browser.post(f"/settings/tags/{gift}/delete", {"heir": str(rush)})
    work()
    assert queries() == ['tag:"Rush hour",none', 'tag:"Rush hour"', 'tag:"Rush hour"']
    assert find_status("fast").rule == 'tag:"Rush hour" prime:yes'

    browser.post("/orders/views/", {"name": "What is deleted", "q": f"tag:{rush}"})
    browser.post(f"/settings/tags/{rush}/delete", {"heir": ""})
    work()
    assert queries()[-1] == 'tag:"Rush hour"'  # the next tag may get its id, and is not meant


def test_a_tag_called_as_anothers_id_is_not_mistaken_for_it(browser: Browser, olga: Actor) -> None:
    with unit_of_work():
        gift = make_tag("gift", actor=olga).id
        odd = make_tag(str(gift), actor=olga).id

    location = browser.post("/orders/filters", {"f-tag": [str(odd)]}).location
    assert parse_qs(urlsplit(location).query)["q"] == [f"tag:{odd}"]
    for name, tag_id in (("Gifts", gift), ("Odd", odd)):
        browser.post("/orders/views/", {"name": name, "q": f"tag:{tag_id}"})
    browser.post(f"/settings/tags/{odd}", {"name": "even", "tone": "calm"})
    assert queries() == [f"tag:{gift}", "tag:even"]


def test_a_view_that_says_a_status_by_its_name_keeps_it(browser: Browser, olga: Actor) -> None:
    with unit_of_work():
        make_status("packing", {"en": "Being packed", "fr": "En préparation"}, state="processing", actor=olga)
    browser.post("/orders/views/", {"name": "Mine", "q": 'status:"being packed"'})
    assert queries() == ["status:packing"]

    names = {"name_en": "In the box", "name_fr": "En préparation", "tone": "calm", "rule": ""}
    browser.post("/settings/statuses/packing", names)

    assert queries() == ["status:packing"]


def test_a_name_that_two_statuses_bear_is_kept_as_the_one_it_means(browser: Browser, olga: Actor) -> None:
    with unit_of_work():
        for code in ("first", "second"):
            make_status(code, {"en": "Waiting"}, state="processing", actor=olga)
        make_status("nothing", {"en": "None"}, state="processing", actor=olga)
    browser.post("/orders/views/", {"name": "Mine", "q": "status:waiting"})
    browser.post("/orders/views/", {"name": "Without", "q": "status:none"})
    assert queries() == ["status:second", "status:none"]


def test_views_and_rules_are_read_in_every_language(browser: Browser, store: Store, olga: Actor) -> None:
    in_french = f'state:"en cours" -status:sans store:"{store.name}"'
    with force_locale("fr"), unit_of_work():
        save_view("Mine", parse(in_french), actor=olga)
        make_status("packing", {"en": "Packing"}, state="processing", actor=olga, rule='state:"en cours"')

    assert queries() == [f"state:processing -status:none store:{store.id}"]
    assert find_status("packing").rule == "state:processing"
    [saved] = db.session.scalars(select(SavedView.id))
    assert browser.get(f"/orders/?view={saved}").status_code == 200


def test_a_link_is_read_in_every_language(browser: Browser, store: Store) -> None:
    text = f'state:"en cours" store:"{store.name}"'
    location = browser.post("/orders/search", {"text": text}, Accept_Language="fr").location
    assert parse_qs(urlsplit(location).query)["q"] == [f'state:processing store:"{store.name}"']
    assert browser.get(location).status_code == 200


def queries() -> list[str]:
    """What the saved views ask for now."""
    db.session.rollback()
    return list(db.session.scalars(select(SavedView.query).order_by(SavedView.id)))
