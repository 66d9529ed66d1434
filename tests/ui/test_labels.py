"""Statuses and tags under Settings: made, changed, moved, retired, merged; a mistake keeps what was typed."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from flask import Flask

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.db import db, unit_of_work
from webapp.orders.models import Order
from webapp.orders.organizing import set_status, set_tags
from webapp.orders.queries import locked
from webapp.orders.statuses import all_statuses, find_status, make_status
from webapp.orders.tags import all_tags, make_tag

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
        ({"code": "1"}, "must be a letter, then letters"),
        ({"name_en": ""}, "is needed"),
        ({"rule": "colour:red"}, "colour"),
        ({"rule": "jane doe"}, "takes keys only"),
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
    assert "Offer it again" in browser.get("/settings/statuses/two").text
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
    assert "1 order carries it" in browser.get(f"/settings/tags/{all_tags()[1].id}").text


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
    assert (again.status_code, "is taken" in again.text, 'value="URGENT"' in again.text) == (422, True, True)
    assert browser.post(f"/settings/tags/{fragile.id}", {"name": "Breaks", "tone": "warn"}).status_code == 302
    assert browser.post(f"/settings/tags/{gift.id}/delete", {"heir": str(urgent.id)}).status_code == 302
    assert "becomes Urgent" in browser.get("/settings/tags/").text
    assert "becomes Urgent" in browser.get(f"/settings/tags/{gift.id}").text
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
