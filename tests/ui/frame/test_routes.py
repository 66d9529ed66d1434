"""Every route says who may use it, and holds to it."""

from collections.abc import Callable

import pytest
from flask import Flask, url_for
from werkzeug.routing import Rule

from tests.desks import application
from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.audit.rights import all_rights
from webapp.ui.frame.access import SIGNED_IN, check_routes, right_of

_SOME = {"number": "000001", "code": "ship", "token": "none", "filename": "waybill.css", "act": "up"}


def _addresses(app: Flask) -> list[tuple[str, str, str, str]]:
    """(endpoint, method, address, right) of every route."""
    found = []
    with app.test_request_context():
        for rule in app.url_map.iter_rules():
            values = {name: _SOME.get(name, 1) for name in rule.arguments}
            right = right_of(app, rule.endpoint)
            assert right is not None
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                found.append((rule.endpoint, method, url_for(rule.endpoint, **values), right))
    return found


def _ask(browser: Browser, method: str, address: str, **more: bool) -> int:
    return int((browser.get if method == "GET" else browser.post)(address, **more).status_code)


def test_every_right_that_a_route_names_is_known(app: Flask) -> None:
    assert {right for *_, right in _addresses(app)} <= {"", SIGNED_IN, *all_rights()}


def test_addresses_are_compiled_once_and_only_as_they_are_asked_for(
    app: Flask, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[str] = []
    compile_now = Rule._compile_builder
    monkeypatch.setattr(
        Rule, "_compile_builder", lambda rule, *more: compiled.append(rule.endpoint) or compile_now(rule, *more)
    )

    with application(database) as made, made.test_request_context():
        assert set(compiled) <= {"static"}
        compiled.clear()
        rule, *_ = (one for one in made.url_map.iter_rules() if one.arguments and one.endpoint != "static")
        values = {name: _SOME.get(name, 1) for name in rule.arguments}
        addresses = {url_for(rule.endpoint, **values, q="a&b") for _ in range(3)}

    assert compiled == [rule.endpoint]
    with app.test_request_context():
        assert addresses == {url_for(rule.endpoint, **values, q="a&b")}


def test_a_route_that_names_no_right_stops_the_start(app: Flask) -> None:
    app.view_functions["silent"] = lambda: "hello"

    with pytest.raises(RuntimeError, match="silent"):
        check_routes(app)


def test_nobody_gets_beyond_the_door(app: Flask, stranger: Browser) -> None:
    for endpoint, method, address, right in _addresses(app):
        if not right:
            continue
        assert _ask(stranger, method, address, htmx=True) == 401, endpoint
        response = stranger.get(address) if method == "GET" else stranger.post(address)
        if method == "GET":
            assert response.status_code == 302, endpoint
            assert response.location.startswith("/sign-in?next="), endpoint
        else:
            assert response.status_code == 401, endpoint


def test_without_the_right_a_route_is_refused(
    app: Flask, make_browser: Callable[..., Browser], make_user: Callable[..., Actor]
) -> None:
    reader = make_user("read_only", "Rita")
    browser = make_browser(reader)
    refused = [address for address in _addresses(app) if address[3] in all_rights() and not reader.may(address[3])]

    assert {endpoint for endpoint, *_ in refused} >= {
        "stores.add",
        "stores.sync",
        "plugins.index",
    }
    for endpoint, method, address, _ in refused:
        assert _ask(browser, method, address) == 403, endpoint


def test_what_is_sent_without_the_pages_token_is_refused(app: Flask, browser: Browser) -> None:
    for endpoint, method, address, _ in _addresses(app):
        if method == "POST":
            assert browser.post(address, token=False).status_code == 400, endpoint


def test_without_an_owner_only_the_set_up_link_is_served(app: Flask, make_browser: Callable[..., Browser]) -> None:
    browser = make_browser()

    for endpoint, method, address, right in _addresses(app):
        if right:
            assert _ask(browser, method, address) == 403, endpoint
    page = browser.get("/sign-in")
    assert page.status_code == 403
    assert "user link" in page.text
