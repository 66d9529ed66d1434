"""A browser without a screen: it keeps cookies, finds the CSRF token of the last page, and sends requests as htmx
does.
"""

import io
import re
import time
from collections.abc import Callable, Iterator
from contextvars import Context
from typing import Any

import pytest
import structlog
from flask import Flask
from sqlalchemy import event
from werkzeug.test import TestResponse

from webapp import live, log
from webapp.accounts.models import User
from webapp.accounts.services import open_session
from webapp.audit.actor import Actor
from webapp.config import configuration
from webapp.db import db, unit_of_work
from webapp.jobs.models import Run
from webapp.orders.models import Order
from webapp.testing import incoming_line, incoming_order
from webapp.ui.frame.formats import state_label

TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


class Browser:
    """Every request runs in a context of its own, as on a server."""

    def __init__(self, app: Flask) -> None:
        self.app, self.client, self.token = app, app.test_client(), ""
        self.queries: list[str] = []

    def enter(self, actor: Actor) -> "Browser":
        """Sign in as this person."""
        with unit_of_work():
            token = open_session(db.session.get_one(User, actor.id), how="test")
        self.client.set_cookie(self.app.config["WAYBILL_COOKIE"], token)
        return self

    def get(
        self, path: str, asked: dict[str, Any] | None = None, *, htmx: bool = False, **headers: str
    ) -> TestResponse:
        return self._ask(self.client.get, path, htmx, headers, **({"query_string": asked} if asked else {}))

    def post(
        self, path: str, data: dict[str, Any] | None = None, *, htmx: bool = False, token: bool = True, **headers: str
    ) -> TestResponse:
        for page in ("/sign-in", "/orders/"):  # one of them has a form, whoever asks
            if token and not self.token:
                self.get(page)
        given = {"csrf_token": self.token} if token else {}
        return self._ask(self.client.post, path, htmx, headers, data=given | (data or {}))

    def _ask(self, method: Callable[..., Any], path: str, htmx: bool, headers: dict[str, str], **more: Any) -> Any:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if htmx:
            sent["HX-Request"] = "true"
        db.session.rollback()
        self.queries.clear()
        event.listen(db.engine, "before_cursor_execute", self._note)
        try:
            response = Context().run(method, path, headers=sent, **more)
        finally:
            event.remove(db.engine, "before_cursor_execute", self._note)
        if response.mimetype == "text/html" and (found := TOKEN.search(response.text)):
            self.token = found[1]
        return response

    def _note(self, connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith(("BEGIN", "COMMIT", "ROLLBACK", "PRAGMA", "SET LOCAL")):
            self.queries.append(statement)


def tells_both(page: str, order: Order) -> bool:
    """Whether a page shows both numbers of an order and both its statuses."""
    words = (order.number, order.channel_order_number, state_label(order.shown_state), "Fake channel: ")
    return all(str(word) in page for word in words)


def ids(orders: list[Order]) -> list[str]:
    return [str(order.id) for order in orders]


def runs_of(kind: str = "bulk") -> list[Run]:
    """The runs of a kind, oldest first."""
    db.session.rollback()
    return list(db.session.query(Run).filter_by(kind=kind).order_by(Run.id))


def wait_for_subscription() -> None:
    """Wait until this process receives what is published to open pages."""
    for _ in range(3000):
        if live.connection().pubsub_numsub(live.key("live"))[0][1]:
            return
        time.sleep(0.02)
    pytest.fail("nobody subscribed within a minute")


@pytest.fixture
def logged(app: Flask) -> Iterator[Callable[[], str]]:
    """The entries that the desk logged since, from level info on."""
    lines = io.StringIO()
    level = structlog.make_filtering_bound_logger("info")
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=lines), wrapper_class=level)
    yield lines.getvalue
    log.configure(configuration())


@pytest.fixture
def make_browser(app: Flask) -> Callable[..., Browser]:
    """Create a browser; with an actor it is signed in."""
    app.testing = True

    def make(actor: Actor | None = None) -> Browser:
        browser = Browser(app)
        return browser.enter(actor) if actor else browser

    return make


@pytest.fixture
def olga(make_user: Callable[..., Actor]) -> Actor:
    """The owner."""
    return make_user("owner", "Olga")


@pytest.fixture
def browser(make_browser: Callable[..., Browser], olga: Actor) -> Browser:
    """The owner's browser."""
    return make_browser(olga)


@pytest.fixture
def stranger(make_browser: Callable[..., Browser], olga: Actor) -> Browser:
    """A browser in which nobody is signed in, at a desk that has an owner."""
    return make_browser()


@pytest.fixture
def orders(take: Callable[..., list[Order]]) -> list[Order]:
    """Three open orders."""
    return take(*(incoming_order([incoming_line()]) for _ in range(3)))
