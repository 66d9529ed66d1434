"""Looking after saved views: what was typed is kept where it can't be taken, and what was deleted comes back."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.ui.conftest import Browser
from webapp.accounts.models import User
from webapp.audit.actor import Actor
from webapp.db import db, unit_of_work
from webapp.lists.models import SavedView
from webapp.lists.saved_views import save_view
from webapp.search.query import parse


def _field(page: str, name: str) -> str:
    return re.search(rf'<input[^>]*name="{name}"[^>]*>', page)[0]  # type: ignore[index]


def test_a_refused_name_comes_back_with_what_was_typed_and_the_list(browser: Browser, store: Any) -> None:
    browser.post("/orders/views/", {"name": "Mine", "q": ""})
    given = {"name": "mine", "columns": "1", "shared": "1", "q": "state:open", "sort": "ship_by", "view": "late"}

    refused = browser.post("/orders/views/", given)

    assert refused.status_code == 422
    assert 'id="name-error"' in refused.text
    assert "Another of your views has this name. Choose another name." in refused.text
    for name, value in given.items():
        drawn = _field(refused.text, name)
        assert " checked" in drawn if name in ("columns", "shared") else f'value="{value}"' in drawn, drawn
    assert 'aria-invalid="true"' in _field(refused.text, "name")
    browser.post("/orders/views/", given | {"name": "Other"})
    row = db.session.query(SavedView).filter_by(name="Other").one()
    assert (row.query, row.sort, row.shared, row.columns is not None) == ("state:open", "ship_by", True, True)
    assert "Enter a value." in browser.post("/orders/views/", given | {"name": ""}).text


def test_a_refused_renaming_shows_what_was_typed_at_its_field(browser: Browser, store: Any) -> None:
    for name in ("Mine", "Other"):
        browser.post("/orders/views/", {"name": name, "q": ""})
    code = db.session.query(SavedView).filter_by(name="Other").one().id

    refused = browser.post(f"/orders/views/{code}", {"act": "rename", "name": "mine", "shared": "1"})

    assert refused.status_code == 422
    drawn = re.search(rf'<input id="name-{code}"[^>]*>', refused.text)[0]  # type: ignore[index]
    assert 'value="mine"' in drawn
    assert f'aria-describedby="name-{code}-error"' in drawn
    assert f'id="name-{code}-error"' in refused.text
    assert refused.text.count("aria-invalid") == 1
    assert 'name="shared" value="1" checked' in refused.text


@pytest.mark.parametrize("name", ["late", " To ship  TODAY ", "everything", "Tout", "en retard"])
def test_no_view_is_called_as_one_that_every_desk_has(browser: Browser, store: Any, name: str) -> None:
    saved = browser.post("/orders/views/", {"name": name, "q": ""})
    browser.post("/orders/views/", {"name": "Mine", "q": ""})
    [view] = db.session.query(SavedView)
    renamed = browser.post(f"/orders/views/{view.id}", {"act": "rename", "name": name})

    assert (view.name, saved.status_code, renamed.status_code) == ("Mine", 422, 422)
    assert "A standard view has this name. Choose another name." in saved.text
    assert "A standard view has this name. Choose another name." in renamed.text


def test_a_view_of_old_keeps_its_name(browser: Browser, store: Any, olga: Actor) -> None:
    with unit_of_work():
        code = save_view("Late", parse(""), actor=olga).id
    assert browser.post(f"/orders/views/{code}", {"act": "rename", "name": "Late", "shared": "1"}).status_code == 302


def test_a_deleted_view_is_brought_back_by_the_message_that_tells_of_it(
    browser: Browser, make_browser: Callable[..., Browser], olga: Actor, mia: Actor, store: Any
) -> None:
    searched = urlsplit(browser.post("/orders/search", {"text": 'state:open "jane quixelworth"'}).location)
    [token] = parse_qs(searched.query)["w"]
    browser.post("/orders/views/", {"name": "Jane", "q": "state:open", "w": token, "shared": "1", "columns": "1"})
    clerk, view = make_browser(mia), db.session.query(SavedView).one()
    told = (view.name, view.shared, view.query, view.sealed, view.columns, view.position)
    clerk.post("/orders/views/start", {"code": str(view.id)})

    browser.post(f"/orders/views/{view.id}", {"act": "delete"})

    page = browser.get("/orders/views/").text
    assert "“Jane” was deleted." in page
    undo = re.search(r'action="/orders/views/restore">.*?name="token" value="([^"]+)"', page, re.DOTALL)[1]  # type: ignore[index]
    assert db.session.get_one(User, mia.id).start_view == ""
    assert clerk.post("/orders/views/restore", {"token": undo}).status_code == 404
    assert browser.post("/orders/views/restore", {"token": token}).status_code == 404
    assert browser.post("/orders/views/restore", {"token": undo}).location == "/orders/views/"
    assert "“Jane” was restored." in browser.get("/orders/views/").text
    db.session.rollback()
    back = db.session.query(SavedView).one()
    assert (back.name, back.shared, back.query, back.sealed, back.columns, back.position) == told
    assert db.session.get_one(User, mia.id).start_view == str(back.id)
    assert browser.post("/orders/views/restore", {"token": undo}).status_code == 404


def test_the_page_to_begin_with_is_kept_beside_other_lists(browser: Browser, olga: Actor) -> None:
    """Where another list is the page to begin with, this one's form names it, and saves nothing by itself."""
    browser.post("/orders/views/start", {"code": "late"})
    assert '<option value="" selected disabled>Orders</option>' in browser.get("/shipments/views/").text
    assert "selected disabled" not in browser.get("/orders/views/").text
    browser.post("/shipments/views/start")
    assert db.session.get_one(User, olga.id).start_view == "late"
    browser.post("/shipments/views/start", {"code": ""})
    assert db.session.get_one(User, olga.id).start_view == ""
    assert "selected disabled" not in browser.get("/shipments/views/").text


def test_a_french_reader_types_and_sees_french_where_english_is_kept(browser: Browser, store: Any, olga: Actor) -> None:
    with unit_of_work():
        db.session.get_one(User, olga.id).language = "fr"
    found = browser.post("/orders/search", {"text": "etat:ouverte -suspendue:oui expédier-avant:<=aujourd'hui"})
    assert parse_qs(urlsplit(found.location).query)["q"] == ["state:open -hold due:<=today"]
    browser.post("/orders/views/", {"name": "Mine", "q": "state:open -hold due:<=today"})

    said = "état:ouverte -suspendue:oui expédier-avant:&lt;=aujourd’hui"
    assert f'value="{said}"' in browser.get(found.location).text
    assert f"<code>{said}</code>" in browser.get("/orders/views/").text
    assert db.session.query(SavedView).one().query == "state:open -hold due:<=today"
