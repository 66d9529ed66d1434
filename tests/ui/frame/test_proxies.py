"""What a proxy tells of its clients: believed where it makes sense, and never a reason to fail."""

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import select

from tests.conftest import PASSWORD
from tests.ui.conftest import Browser
from webapp.accounts.models import UserSession
from webapp.audit.actor import Actor
from webapp.config import configuration
from webapp.db import db
from webapp.ui.frame.limits import of_source


@pytest.fixture
def behind_a_proxy(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    with monkeypatch.context() as proxied:
        proxied.setenv("WAYBILL_URL", "https://desk.example.com")
        configuration.cache_clear()
        yield app
    configuration.cache_clear()


@pytest.mark.parametrize(
    ("told", "source"),
    [
        ("203.0.113.5:4711", "203.0.113.5"),
        ("198.51.100.7, [2001:db8::1]:99", "2001:db8::1"),
        ("a:b", "127.0.0.1"),
        ("unknown", "127.0.0.1"),
    ],
)
def test_people_sign_in_whatever_their_proxy_tells(behind_a_proxy: Flask, olga: Actor, told: str, source: str) -> None:
    browser, sent = Browser(behind_a_proxy), {"X_Forwarded_For": told}
    browser.get("/sign-in", **sent)
    wrong = browser.post("/sign-in", {"email": "olga@desk.test", "password": "wrong"}, **sent)
    right = browser.post("/sign-in", {"email": "olga@desk.test", "password": PASSWORD}, **sent)

    assert (wrong.status_code, right.status_code) == (422, 302)
    assert db.session.scalars(select(UserSession.source)).all() == [source]


def test_clients_of_ipv4_are_counted_one_by_one_where_the_desk_listens_on_both(app: Flask) -> None:
    def counted(address: str) -> str:
        with app.test_request_context(environ_base={"REMOTE_ADDR": address}):
            return of_source().whose

    assert counted("::ffff:203.0.113.5") == counted("203.0.113.5") != counted("::ffff:203.0.113.6")
    assert counted("2001:db8::1") == counted("2001:db8::2") != counted("2001:db8:0:1::1")
