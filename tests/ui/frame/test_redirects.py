"""Where pages lead, and which headers they send: whatever is asked for, an address of this desk and one line."""

from collections.abc import Callable

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings, strategies as st
from werkzeug.wrappers import Response

from tests.conftest import PASSWORD
from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.ui.frame import redirects
from webapp.ui.frame.header_values import LONGEST, attach, put
from webapp.ui.frame.redirects import local

ELSEWHERE = (
    "", "orders", "https://evil.test/", "//evil.test", "/\\evil.test", "/\n/evil.test", "/\t/evil.test", "/\r\nX: y",
    "/\nX", "\\/evil.test", " /orders", "javascript:alert(1)", "/\x00", "/\x85X", "/x\\y", "/\ud800",
    "/" + "x" * redirects.LONGEST, "/" + "é" * 1_400, "/?q=" + " " * 2_700,
)  # fmt: skip
HERE = (
    "/",
    "/orders/?q=state%3Aopen&sort=-placed",
    "/orders/a b",
    "/ordres/été",
    "/orders/W-1#order-comments",
    "/?q=" + "%20" * 2_600,
)


@pytest.mark.parametrize("target", ELSEWHERE)
def test_what_is_no_address_of_this_desk_leads_to_its_first_page(target: str) -> None:
    assert local(target) == "/"


@pytest.mark.parametrize("target", HERE)
def test_an_address_of_this_desk_stays_as_it_is(target: str) -> None:
    assert local(target) == target


@pytest.fixture
def owner(make_user: Callable[..., Actor]) -> Actor:
    return make_user("owner")


def test_every_next_is_answered(app: Flask, owner: Actor) -> None:
    browser = Browser(app)
    for target in (told.encode(errors="replace").decode() for told in ELSEWHERE + HERE):
        answers = [
            browser.post("/language", {"language": "fr", "next": target}),
            browser.post("/theme", {"theme": "dark", "next": target}),
            browser.post("/sign-in", {"email": "mia@desk.test", "password": PASSWORD, "next": target}),
            browser.get("/sign-in", {"next": target}),  # signed in by now
        ]
        assert [answer.status_code for answer in answers] == [302] * 4
        assert not [answer for answer in answers if not answer.location.startswith("/")]
        assert not [answer for answer in answers if answer.location.startswith(("//", "/\\"))]


def test_a_line_break_in_the_page_that_asked_for_signing_in_is_no_fault(app: Flask, owner: Actor) -> None:
    browser = Browser(app)
    asked = browser.get("/orders/%0aX")
    assert asked.status_code == 302
    assert browser.get(asked.location).status_code == 200
    entered = browser.post("/sign-in", {"email": "mia@desk.test", "password": PASSWORD, "next": "/orders/\nX"})
    assert (entered.status_code, entered.location) == (302, "/")


def test_a_missing_slash_leads_on_within_the_desk_whatever_host_was_named(app: Flask, mia: Actor) -> None:
    browser = Browser(app).enter(mia)
    answer = browser.get("/orders", Host="evil.test")
    assert (answer.status_code, answer.location) == (308, "/orders/")


@settings(max_examples=200)
@given(st.text() | st.text(alphabet="/\\\n\r\t:@. \x00\x85évil").map(lambda told: f"/{told}"))
def test_any_target_is_one_line_that_stays_here(target: str) -> None:
    answer = redirects.redirect(target)
    location = dict(answer.get_wsgi_headers({"wsgi.url_scheme": "http", "HTTP_HOST": "desk.test"}))["Location"]
    assert location.startswith("/")
    assert not location.startswith(("//", "/\\"))
    assert location.isascii()
    assert location.isprintable()


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(st.text() | st.integers(1, 100_000).map("x".__mul__))
def test_any_value_makes_one_header(value: str) -> None:
    response = Response()
    put(response, "X-Told", value)
    attach(response, value)
    headers = dict(response.get_wsgi_headers({}))
    for name in ("X-Told", "Content-Disposition"):
        assert headers[name].isascii()
        assert headers[name].isprintable() or not headers[name]
        assert len(headers[name]) <= LONGEST
    assert headers["Content-Disposition"].startswith('attachment; filename="')


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("orders.csv", 'attachment; filename="orders.csv"'),
        ('a"b\r\nSet-Cookie: x.csv', 'attachment; filename="a-b-Set-Cookie- x.csv"'),
        ("../../etc/passwd", 'attachment; filename="etc-passwd"'),
        ("été.csv", "attachment; filename=\"-t-.csv\"; filename*=UTF-8''%C3%A9t%C3%A9.csv"),
        ("\n", 'attachment; filename="file"'),
    ],
)
def test_file_names_are_safe_everywhere(name: str, header: str) -> None:
    response = Response()
    attach(response, name)
    assert response.headers["Content-Disposition"] == header
