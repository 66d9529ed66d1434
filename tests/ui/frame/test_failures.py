"""What goes wrong is told in one sentence, without a value, and nothing typed is lost."""

from collections.abc import Callable
from html import unescape

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from tests.ui.conftest import Browser
from webapp.errors import DatabaseBusy, Forbidden, Invalid
from webapp.ui.orders import order


def _raising(monkeypatch: pytest.MonkeyPatch, app: Flask, error: Exception) -> None:
    def view() -> str:
        raise error

    view.__dict__["right"] = "plugins.view"
    monkeypatch.setitem(app.view_functions, "plugins.index", view)


@pytest.mark.parametrize(
    ("error", "status"),
    [(DatabaseBusy(), 503), (Forbidden(right="x"), 403), (Invalid(field="a", problem="b"), 422)],
)
def test_a_refusal_has_its_page_and_its_place_in_an_open_one(
    app: Flask, browser: Browser, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    _raising(monkeypatch, app, error)

    page, part = browser.get("/plugins/"), browser.get("/plugins/", htmx=True)

    assert page.status_code == part.status_code == status
    assert "<html" in page.text
    assert str(error) in unescape(page.text)
    assert "<html" not in part.text
    assert (part.headers["HX-Retarget"], part.headers["HX-Reswap"]) == ("#messages", "beforeend")


def test_a_busy_database_is_told_as_such(app: Flask, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    _raising(monkeypatch, app, OperationalError("select 'Jane'", {}, Exception("database is locked")))

    page = browser.get("/plugins/")

    assert page.status_code == 503
    assert "busy" in page.text
    assert "Jane" not in page.text


def test_a_bug_shows_its_id_and_no_value(
    logged: Callable[[], str], app: Flask, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.testing = False
    _raising(monkeypatch, app, ValueError("Jane Quixelworth"))

    page = browser.get("/plugins/?q=Quixelworth")
    log = logged()

    assert page.status_code == 500
    assert page.headers["X-Request-Id"] in page.text
    assert page.headers["X-Request-Id"] in log
    assert "ValueError" in log
    assert "test_failures.py" in log
    assert "Quixelworth" not in page.text + log


def test_what_is_not_there_and_what_is_not_allowed(browser: Browser, stranger: Browser) -> None:
    assert browser.get("/nowhere").status_code == 404
    assert "You are signed out" in stranger.post("/stores/1/sync").text
    wrong = browser.client.delete("/orders/")
    assert wrong.status_code == 405
    assert "GET" in wrong.headers["Allow"]
    assert browser.get("/orders?state=x").status_code == 308


def test_every_answer_is_guarded(browser: Browser, stranger: Browser) -> None:
    for answer in (browser.get("/orders/"), stranger.get("/sign-in"), browser.get("/nowhere")):
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'self'")
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "HX-Request" in answer.headers["Vary"]
    assert "Strict-Transport-Security" not in answer.headers


def test_static_files_are_kept_by_their_hash(browser: Browser) -> None:
    page = browser.get("/orders/").text
    url = page.split('rel="stylesheet" href="')[1].split('"')[0]

    assert "?v=" in url
    with browser.client.get(url) as answer:
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    with browser.client.get("/static/waybill.css") as answer:
        assert "immutable" not in answer.headers["Cache-Control"]


def test_no_view_of_orders_waits_for_the_network() -> None:
    assert "connect" not in dir(order)
