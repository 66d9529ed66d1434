"""Fixtures: a desk for every test, on SQLite and on PostgreSQL, with a real queue.

The desk is shared by the tests of a process (`tests.desks`) and reset before each test, so every test really commits.
Jobs go to a real Valkey and are run by `work`, in this process and in the order of the queue. A test that leaves
something behind fails (`tests.leftovers`).
"""

import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
import time_machine
from argon2 import PasswordHasher
from flask import Flask, before_render_template, current_app
from jinja2 import Template
from rq.job import Job as RqJob
from rq.serializers import JSONSerializer

from supervisor import valkey
from tests import leftovers, scratch, template_names
from tests.desks import SECRET, Desks
from tests.forks import Forks
from tests.own_plugins import OwnPlugins, own_plugins as own_folder
from webapp import live
from webapp.accounts.services import create_user, hashed
from webapp.audit.actor import Actor
from webapp.channels.incoming import IncomingOrder, OrdersPage
from webapp.channels.models import Store
from webapp.channels.services import access, add_store, remember_marketplaces
from webapp.clock import now
from webapp.config import ROOT, configuration
from webapp.db import db, unit_of_work
from webapp.hooks import failures, hooks
from webapp.hooks.failures import Failure
from webapp.jobs import QUEUES, perform, queue
from webapp.jobs.queues import queue_of_stream
from webapp.orders.models import Order
from webapp.sync import streams
from webapp.sync.jobs import find_due
from webapp.sync.taking_in.pages import prepare, take_in
from webapp.testing import FakeChannel, FakeChannelPlugin, incoming_line, incoming_order
from webapp.vault.key_file import key_file

os.environ.setdefault("WAYBILL_LOG_LEVEL", "error")
DATABASES = ("sqlite", "postgres")
FACES = ("cli", "documents", "plugins", "ui")
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")  # the first takes half the time
_QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--font-render-hinting=none",  # letters are equal in every kind of Chromium
    "--disable-lcd-text",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PASSWORD = "Correct-Horse-7-Battery"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Choose a database for each test of a face, and spread the tests that mostly wait for other processes over the
    others, so that no core is idle meanwhile.
    """
    _choose_databases(items)
    kinds = [[item for item in items if _waits(item) is waits] for waits in (True, False)]
    placed = [((place + 0.5) / len(kind), item) for kind in kinds for place, item in enumerate(kind)]
    items[:] = [item for _place, item in sorted(placed, key=lambda one: one[0])]


def _choose_databases(items: list[pytest.Item]) -> None:
    """Leave one of two databases to `make soak`, for every test of a face and for every case of a test with several.

    What depends on the database is tested below the faces: there each test runs on both, its cases taking turns.
    """
    tests: dict[str, dict[str, list[pytest.Item]]] = {}
    for item in items:
        if engine := item.callspec.params.get("database") if hasattr(item, "callspec") else None:
            test, _, case = item.nodeid.partition("[")
            tests.setdefault(test, {}).setdefault(case.replace(engine, ""), []).append(item)
    for test, cases in tests.items():
        is_face = test.split("/")[1] in FACES
        pairs = {case: pair for case, pair in cases.items() if len(pair) == len(DATABASES)}
        for turn, (case, pair) in enumerate(pairs.items()):
            if is_face:
                turn = crc32(f"{test}[{case}".encode())
            if is_face or len(pairs) > 1:
                pair[turn % len(DATABASES)].add_marker("soak")


def _waits(item: pytest.Item) -> bool:
    folders = item.path.relative_to(ROOT / "tests").parts
    return folders[0] in ("journeys", "jobs") and not item.get_closest_marker("xdist_group")


def pytest_collection_finish() -> None:
    """Exclude what is loaded from garbage collection: collecting it repeatedly takes a tenth of the suite's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def _temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Put the temporary files of this process into a folder that the guard checks.

    Pytest's own files stay where they are, and so do those of other processes: desks agree on ports by files there.
    """
    tmp_path_factory.getbasetemp()
    folder = scratch.folder() / "t"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        yield


@pytest.fixture(scope="session")
def queue_server() -> Iterator[str]:
    """A Valkey of this test process."""
    server = valkey.start(scratch.folder() / "queue")
    yield server.url
    server.stop()


@pytest.fixture(scope="session", autouse=True)
def _quick_hashes() -> Iterator[None]:
    """Hash passwords with little effort: tests need no real protection."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("webapp.accounts.services._hasher", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
        yield


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser of this test process."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        if os.environ.get("WAYBILL_REQUIRE_BROWSER") == "1":
            pytest.fail("no Chromium was found")
        pytest.skip("no Chromium was found: install chromium to run the tests in a browser")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=60_000)  # on a busy machine
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """A process with a loaded desk, from which tests fork processes."""
    with closing(Forks(scratch.folder())) as made:
        yield made


@pytest.fixture(scope="session")
def desks() -> Iterator[Desks]:
    """The desks of this process, one for each engine."""
    with closing(Desks(scratch.folder())) as made:
        yield made


@pytest.fixture(autouse=True)
def _nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves something behind, or that starts processes on the shared desk."""
    params = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    engine = params.get("database") or params.get("empty_desk")  # their server and plugins exist before the guard looks
    shared = request.getfixturevalue("desks").find(engine) if engine else None
    before = leftovers.Before()
    yield
    left = before.left()
    if shared and not request.node.get_closest_marker("own_desk"):
        if before.has_started_processes():
            left.append("it started processes: mark it own_desk")
        if shared.connections_in_use():
            left.append("connections to the database")
    if left:
        pytest.fail("this test leaves behind:\n  " + "\n  ".join(left), pytrace=False)


@pytest.fixture(autouse=True)
def plugin_failures(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Failure]]:
    """The failures that the fence recorded during a test. A test that makes plugins fail reads and clears them; any
    other fails.

    Slowness is not counted as a failure: the machine may be busy.
    """
    noted: list[Failure] = []
    remember = failures._remember

    def remember_too(plugin: str, place: str, code: str, problem: str, tell: Callable[[], Any]) -> None:
        noted.append(Failure(plugin, place, code, problem, *tell(), at=""))
        remember(plugin, place, code, problem, tell)

    monkeypatch.setattr(failures, "_remember", remember_too)
    yield noted
    failures._noted.clear()
    if broken := [one for one in noted if one.problem != "slow"]:
        told = [f"{one.plugin} {one.place} {one.code}: {one.problem} {one.detail} {one.where[-1:]}" for one in broken]
        pytest.fail("the fence noted:\n  " + "\n  ".join(told), pytrace=False)


@pytest.fixture(autouse=True)
def _names_given() -> Iterator[None]:
    """Fail a test in which a view leaves out a name that any branch of its templates uses."""
    missing: set[str] = set()

    def look(_app: Flask, template: Template, context: dict[str, Any], **_more: Any) -> None:
        name = template.name or ""
        names = template_names.left_out(template.environment, name, context) if name else ()
        missing.update(f"{name}: {missed}" for missed in names)

    with before_render_template.connected_to(look):
        yield
    assert not missing


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, desks: Desks, tmp_path: Path) -> Iterator[str]:
    """The address of a migrated database without rows."""
    desk = desks.find(request.param)
    if request.node.get_closest_marker("own_desk"):
        with desk.copy(tmp_path) as url:
            yield url
    else:
        desk.put_back()
        yield desk.url


@pytest.fixture
def app(
    database: str, desks: Desks, queue_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Flask]:
    """A desk with its context open."""
    monkeypatch.setenv("WAYBILL_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("REDIS_URL", queue_server)
    monkeypatch.setenv("WAYBILL_CUSTOM_ENDPOINTS", "1")
    configuration.cache_clear()
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "secret").chmod(0o600)
    live.connection().flushdb()
    with desks.application(database) as made, made.app_context():
        key_file().create()
        yield made
        db.session.remove()
    configuration.cache_clear()


@pytest.fixture
def own_plugins(
    database: str, queue_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OwnPlugins]:
    """Plugins that the test writes, instead of the bundled ones."""
    monkeypatch.setenv("REDIS_URL", queue_server)
    with own_folder(tmp_path, database, monkeypatch) as made:
        yield made


@pytest.fixture
def channel(app: Flask) -> FakeChannel:
    """A channel that records the updates that it gets."""
    fake = FakeChannel()
    hooks.manager.register(FakeChannelPlugin(fake))
    return fake


@pytest.fixture
def operator() -> Actor:
    return Actor.operator()


@pytest.fixture
def make_user(app: Flask) -> Callable[..., Actor]:
    """Create a person with a role; returns the actor."""

    def make(role: str = "clerk", name: str = "Mia") -> Actor:
        email = f"{name.lower()}@desk.test"
        password_hash = hashed(PASSWORD, email)
        with unit_of_work():
            user = create_user(email=email, role=role, actor=Actor.operator(), password_hash=password_hash, name=name)
        return user.as_actor()

    return make


@pytest.fixture
def mia(make_user: Callable[..., Actor]) -> Actor:
    """A clerk."""
    return make_user()


@pytest.fixture
def store(channel: FakeChannel) -> Store:
    """A store on the fake channel."""
    with unit_of_work():
        made = add_store("fake", "Fake store", {"key": "k-secret-9"}, actor=Actor.operator())
        remember_marketplaces(made, channel.connect(access(made)))
    return made


@pytest.fixture
def take(store: Store) -> Callable[..., list[Order]]:
    """Import orders as a page of the store; returns the desk's orders in this order."""

    def take_page(*orders: IncomingOrder) -> list[Order]:
        ready = prepare(store, OrdersPage(orders))
        with unit_of_work():
            take_in(store, ready)
        found = {order.channel_order_number: order for order in db.session.query(Order)}
        return [found[order.number] for order in orders if order.number in found]

    return take_page


@pytest.fixture
def make_order(take: Callable[..., list[Order]]) -> Callable[..., Order]:
    """Create one order of one line through the import."""

    def make(sku: str = "MUG", quantity: int = 1, **more: object) -> Order:
        [order] = take(incoming_order([incoming_line(sku, quantity)], **more))
        return order

    return make


@pytest.fixture
def work(app: Flask) -> Callable[[], int]:
    """Run waiting jobs until there are none; returns how many ran."""
    return run_jobs


def run_jobs() -> int:
    """Run the waiting jobs of the open desk until there are none; returns how many ran."""
    app, done = current_app._get_current_object(), 0  # type: ignore[attr-defined]
    names = (*QUEUES, *map(queue_of_stream, streams.lanes()))
    while ids := [job_id for name in names for job_id in queue(name).get_job_ids(0, 1)]:
        [job_id, *_] = ids
        job = RqJob.fetch(job_id, connection=live.connection(), serializer=JSONSerializer)
        queue(job.origin).remove(job_id)
        with app.app_context():  # a session of its own, as on a worker
            perform(*job.args)
        db.session.rollback()
        done += 1
    return done


def run_by_the_clock() -> None:
    """Run what the clock of the open desk finds to be due two minutes from now."""
    with time_machine.travel(now() + timedelta(minutes=2), tick=True):
        for _ in range(3):
            with unit_of_work():
                find_due.enqueue()
            run_jobs()
