"""How a page is measured: requested many times, with its queries, times, bytes and CPU, beside a bare Flask page.

There are two bare pages. One draws fifty orders with the names of their stores and shops as a plain table: no page can
cost less. The other, with which lists are compared, also does what any page of a desk must do: it identifies the user
by the session, reads the orders' lines, and counts.
"""

import gc
import re
import statistics
import time
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

from flask import Flask, session
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session, joinedload, selectinload
from werkzeug.test import TestResponse

from webapp.accounts.models import User
from webapp.db import db
from webapp.orders.models import Order

PAGE = 50
COUNTED = 10_000  # the limit of counts in lists
TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
_SILENT = ("BEGIN", "COMMIT", "ROLLBACK", "PRAGMA", "SAVEPOINT", "RELEASE", "SET LOCAL")
_BARE = """<!doctype html><title>Orders</title><table>
{% for order in orders %}<tr><td>{{ order.number }}</td><td>{{ order.channel_order_number }}</td>
<td>{{ order.state }}</td><td>{{ order.channel_status }}</td><td>{{ order.items }}</td><td>{{ order.total_minor }}</td>
<td>{{ order.currency }}</td><td>{{ order.ship_by }}</td><td>{{ order.placed_at }}</td><td>{{ order.country }}</td>
<td>{{ order.store.name }}</td><td>{{ order.shop.name }}</td>
{%- if person %}<td>{% for line in order.lines %}{{ line.ordered }} × {{ line.sku }} {% endfor %}</td>{% endif %}</tr>
{% endfor %}</table>{{ person }} {{ count }}"""


@dataclass
class Case:
    """Something that is measured: a path, or a function that makes the requests; `budget` in milliseconds."""

    group: str
    name: str
    ask: "str | Callable[[Browser], TestResponse]"
    budget: float
    rounds: int = 0
    is_list: bool = False  # with fifty orders, so that the bare page can be compared


@dataclass
class Measured:
    """The cost of a case; times in milliseconds."""

    case: Case
    queries: int
    times: list[float]
    cpu: float
    size: int
    slowest: tuple[float, str] = (0.0, "")

    @property
    def p50(self) -> float:
        return statistics.median(self.times)

    @property
    def p95(self) -> float:
        return sorted(self.times)[min(len(self.times) - 1, round(0.95 * (len(self.times) - 1)))]


@dataclass
class Browser:
    """Calls the desk's application as a signed-in person; every request in a context of its own."""

    app: Flask
    token: str = ""
    statements: list[tuple[float, str]] = field(default_factory=list)
    most: int = 0  # statements of one request

    def __post_init__(self) -> None:
        self.client = self.app.test_client()
        self._begun = 0.0
        event.listen(db.engine, "before_cursor_execute", self._before)
        event.listen(db.engine, "after_cursor_execute", self._after)

    def enter(self, token: str) -> None:
        """Use the session of this person."""
        self.client.set_cookie(self.app.config["WAYBILL_COOKIE"], token)
        found = TOKEN.search(self.get("/orders/").text)
        self.token = found[1] if found else ""

    def get(self, path: str) -> TestResponse:
        return self._counted(self.client.get, path)

    def post(self, path: str, **data: str) -> TestResponse:
        """Post a form and follow the redirect."""
        answer = self._counted(self.client.post, path, data={"csrf_token": self.token} | data)
        return self.get(answer.location) if answer.location else answer

    def _counted(self, ask: Callable[..., TestResponse], path: str, **more: Any) -> TestResponse:
        before = len(self.statements)
        answer: TestResponse = Context().run(ask, path, **more)
        self.most = max(self.most, len(self.statements) - before)
        return answer

    def _before(self, connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        self._begun = time.perf_counter()

    def _after(self, connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith(_SILENT):
            self.statements.append(((time.perf_counter() - self._begun) * 1000, statement))


def bare_application(first: int) -> Flask:
    """A Flask application of two pages, `/rows` and `/`: fifty orders from this id on."""
    app = Flask("bare")
    app.secret_key = token_urlsafe()
    engine, page = db.engine, app.jinja_env.from_string(_BARE)
    rows = select(Order).options(joinedload(Order.store), joinedload(Order.shop)).where(Order.id >= first)
    rows = rows.order_by(Order.id).limit(PAGE)
    some = select(Order.id).where(Order.state == "processing", Order.archived_at.is_(None)).limit(COUNTED).subquery()

    @app.get("/rows")
    def only_rows() -> str:
        with Session(engine) as orm:
            return page.render(orders=list(orm.scalars(rows)))

    @app.get("/")
    def whole() -> str:
        with Session(engine) as orm:
            person = orm.get(User, session.setdefault("person", 1))
            count = orm.scalar(select(func.count()).select_from(some))
            orders = list(orm.scalars(rows.options(selectinload(Order.lines))))
            return page.render(orders=orders, person=person and person.email, count=count)

    return app


def measure(case: Case, browser: Browser, rounds: int) -> Measured:
    """Request a page a few times to warm up, then often enough for a reliable figure; raises if the answer is not a
    page.
    """
    ask = case.ask if callable(case.ask) else (lambda path: lambda browser: browser.get(path))(case.ask)
    rounds = case.rounds or rounds
    for _ in range(min(3, rounds)):
        begun = time.perf_counter()
        answer = ask(browser)
        if time.perf_counter() - begun > 2:  # too slow for many requests
            rounds = 3
            break
    if answer.status_code != 200:
        raise RuntimeError(f"{case.name}: {answer.status_code}")
    times, browser.statements, browser.most = [], [], 0
    cpu = time.process_time()
    for _ in range(rounds):
        begun = time.perf_counter()
        answer = ask(browser)
        times.append((time.perf_counter() - begun) * 1000)
    cpu = (time.process_time() - cpu) / rounds * 1000
    slowest = max(browser.statements, default=(0.0, ""))
    return Measured(case, browser.most, times, cpu, len(answer.data), slowest)


def measure_bare(app: Flask, rounds: int, path: str = "/") -> tuple[float, float]:
    """p50 and CPU of a bare page, in milliseconds."""
    client = app.test_client()
    for _ in range(5):
        client.get(path)
    times, cpu = [], time.process_time()
    for _ in range(rounds):
        begun = time.perf_counter()
        client.get(path)
        times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times), (time.process_time() - cpu) / rounds * 1000


def settle() -> None:
    """Exclude what is loaded from garbage collection, as in the desk's web processes."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


class PeakMemory:
    """The increase of this process's peak memory within the block; None if the system does not report it."""

    def __enter__(self) -> "PeakMemory":
        self.megabytes: float | None = None
        try:
            Path("/proc/self/clear_refs").write_text("5")
            self._before = self._peak()
        except OSError:
            self._before = None
        return self

    def __exit__(self, *error: object) -> None:
        after = self._peak()
        if self._before is not None and after is not None:
            self.megabytes = (after - self._before) / 1024

    @staticmethod
    def _peak() -> float | None:
        try:
            status = Path("/proc/self/status").read_text()
        except OSError:
            return None
        found = re.search(r"VmHWM:\s+(\d+)", status)
        return float(found[1]) if found else None
