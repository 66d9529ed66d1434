"""Two people on one order see each other; without Redis nobody is shown and nothing fails."""

from collections.abc import Callable

import pytest
from redis import RedisError

from tests.ui.conftest import Browser
from webapp import live
from webapp.audit.actor import Actor
from webapp.orders.models import Order


@pytest.fixture
def ada(make_browser: Callable[..., Browser], make_user: Callable[..., Actor]) -> Browser:
    return make_browser(make_user("clerk", "Ada"))


def test_two_people_see_each_other_and_nobody_sees_themselves(
    make_order: Callable[..., Order], browser: Browser, ada: Browser
) -> None:
    url = f"/orders/{make_order().number}/presence"

    assert "is also viewing this order" not in browser.post(url, htmx=True).text
    assert "Olga is also viewing this order" in ada.post(url, htmx=True).text
    assert "Ada is also viewing this order" in browser.post(url, htmx=True).text
    assert "also on" not in browser.post("/orders/999/presence", htmx=True).text


def test_what_is_shown_already_is_not_told_again(
    make_order: Callable[..., Order], browser: Browser, ada: Browser
) -> None:
    url = f"/orders/{make_order().number}/presence"
    ada.post(url, htmx=True)
    told = browser.post(url, htmx=True).text
    shown = told.split('name="shown" value="')[1].split('"')[0]

    assert browser.post(url, {"shown": shown}, htmx=True).status_code == 204
    assert ada.post(url, {"leaves": "1"}, htmx=True).status_code == 204
    assert "also on" not in browser.post(url, {"shown": shown}, htmx=True).text


def test_who_sends_no_beat_has_left(
    make_order: Callable[..., Order], browser: Browser, ada: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"/orders/{make_order().number}/presence"
    ada.post(url, htmx=True)
    monkeypatch.setattr("webapp.ui.orders.presence.GONE", -1.0)

    assert "also on" not in browser.post(url, htmx=True).text


def test_a_beat_asks_no_table_of_orders(make_order: Callable[..., Order], browser: Browser) -> None:
    browser.post(f"/orders/{make_order().number}/presence", htmx=True)

    assert len(browser.queries) == 1, browser.queries  # the session's own


def test_without_redis_nobody_is_shown(
    make_order: Callable[..., Order], browser: Browser, ada: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"/orders/{make_order().number}/presence"
    ada.post(url, htmx=True)

    def gone() -> None:
        raise RedisError

    browser.get("/orders/")
    monkeypatch.setattr("webapp.ui.orders.presence.connection", gone)
    told = browser.post(url, htmx=True)
    assert (told.status_code, "also on" in told.text) == (200, False)
    assert browser.post(url, {"leaves": "1"}, htmx=True).status_code == 204
    assert live.connection().ping()


def test_it_needs_the_right_to_see_orders(make_order: Callable[..., Order], stranger: Browser) -> None:
    assert stranger.post(f"/orders/{make_order().number}/presence", htmx=True).status_code == 401
