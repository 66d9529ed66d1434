"""The sample plugin, built as a wheel and installed beside the desk: used completely, removed, and installed again."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from flask import Flask
from sqlalchemy import inspect, text

from tests.conftest import run_jobs
from tests.desks import application
from tests.own_plugins import state_of
from tests.ui.conftest import Browser
from tools.bootstrap import find_pip
from webapp import errors, jobs, live, schema
from webapp.accounts.models import User
from webapp.accounts.services import create_user, hashed
from webapp.audit.actor import Actor
from webapp.channels.services import add_store, get_channel
from webapp.config import configuration
from webapp.db import db, unit_of_work
from webapp.hooks import fence, hooks
from webapp.hooks.registered import faults_of
from webapp.hooks.tables import forget_tables
from webapp.jobs.schedule import registered
from webapp.orders.models import Order
from webapp.plugin_tables import PluginTablesBehind
from webapp.settings.services import groups, store_all
from webapp.testing import FakeChannel, FakeChannelPlugin, incoming_line, incoming_order, sync_now
from webapp.ui.frame import plugin_pages
from webapp.vault.key_file import key_file

pytestmark = [pytest.mark.own_desk, pytest.mark.xdist_group("sample")]
SAMPLE = Path(__file__).parents[1] / "sample_plugin"
FRENCH = {"Seals": "Scellés", "Put a seal": "Poser un scellé", "Sealed with %(number)s": "Scellé par %(number)s"}
FRENCH |= {"Longest number of a seal": "Longueur maximale du numéro de scellé", "Seal it": "À sceller"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed plugin; nothing was downloaded for it."""
    project = tmp_path_factory.mktemp("waybill-seals") / "project"
    shutil.copytree(SAMPLE, project)
    words = project / "src" / "waybill_seals" / "translations" / "fr" / "LC_MESSAGES" / "messages.mo"
    words.parent.mkdir(parents=True)
    catalog = Catalog(locale="fr")
    for english, french in FRENCH.items():
        catalog.add(english, french)
    with words.open("wb") as file:
        write_mo(file, catalog)
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"], project)
    [wheel] = (project / "dist").glob("*.whl")
    install = [*find_pip(Path(sys.executable)), "install", "--no-index", "--no-deps", "--disable-pip-version-check"]
    run([*install, "--target", str(project / "site"), str(wheel)], project)
    return project / "site"


def run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


Start = Callable[..., AbstractContextManager[Flask]]


@pytest.fixture
def start(
    site: Path, database: str, queue_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Start]:
    """Start a desk on the test's database, with the plugin or without it."""
    monkeypatch.setenv("WAYBILL_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("REDIS_URL", queue_server)
    monkeypatch.setattr(plugin_pages, "LONG", 60.0)  # however busy the machine is
    monkeypatch.setattr(fence, "LONG", 60.0)
    monkeypatch.setattr(jobs, "_jobs", dict(jobs._jobs))
    monkeypatch.setattr(errors, "_classes", dict(errors._classes))
    configuration.cache_clear()
    live.connection().flushdb()

    @contextmanager
    def begin(*, installed: bool) -> Iterator[Flask]:
        forget()
        with pytest.MonkeyPatch.context() as patch:
            if installed:
                patch.syspath_prepend(str(site))
            with application(database) as app, app.app_context():
                hooks.manager.register(FakeChannelPlugin(FakeChannel()))
                if not key_file().path.exists():
                    key_file().create()
                yield app
                db.session.remove()

    yield begin
    forget()
    configuration.cache_clear()


def forget() -> None:
    """Remove the plugin's modules and tables, which a new process does not have."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "waybill_seals"]:
        del sys.modules[name]
    forget_tables([table for table in db.metadata.tables.values() if table.info.get("plugin") == "seals"])


def person(role: str) -> Actor:
    email = f"{role}@desk.test"
    if known := db.session.query(User).filter_by(email=email).one_or_none():
        return known.as_actor()
    with unit_of_work():
        password_hash = hashed("Correct-Horse-7-Battery", email)
        made = create_user(email=email, role=role, actor=Actor.operator(), password_hash=password_hash, name=role)
    return made.as_actor()


def an_order() -> str:
    channel = get_channel("fake")
    assert isinstance(channel, FakeChannel)
    channel.offer(incoming_order([incoming_line(quantity=2)], extra={"seal": "required"}))
    with unit_of_work():
        store = add_store("fake", "Fake store", {"key": "k"}, actor=Actor.operator())
    sync_now(store)
    return str(db.session.query(Order.number).scalar())


def rows(statement: str) -> list[tuple[object, ...]]:
    found = [tuple(row) for row in db.session.execute(text(statement))]
    db.session.rollback()
    return found


def test_the_sample_plugin_is_used_taken_away_and_put_back(start: Start) -> None:
    with start(installed=True) as app:
        assert (state_of("seals").problem, faults_of("seals")) == (None, [])
        assert state_of("seals").source == "waybill-seals"
        with pytest.raises(PluginTablesBehind):
            schema.check()
        schema.migrate()
        schema.check()
        number = an_order()
        use(app, number)

    with start(installed=False) as app:
        schema.check()
        assert schema.migrate() == {}
        browser = Browser(app).enter(person("manager"))
        assert browser.get("/x/seals/").status_code == 404
        assert browser.get("/lists/seals/").status_code == 404
        listed = browser.get("/orders/")
        assert listed.status_code == 200
        assert "Scell" not in listed.text
        timeline = browser.get(f"/orders/{number}", {"tab": "timeline"})
        assert (timeline.status_code, "sealed" in timeline.text) == (200, True)  # an event without words shows its code
        assert {"seals_put", "seals_arrivals"} <= set(inspect(db.engine).get_table_names())

    with start(installed=True) as app:
        schema.check()
        browser = Browser(app).enter(person("manager"))
        assert f"<li>{number} S-17</li>" in browser.get("/x/seals/").text


def use_list(browser: Browser, number: str) -> None:
    """Use the list that the plugin brings a subject of."""
    listed = browser.get("/lists/seals/").text
    assert listed.index("S-17") < listed.index("S-1234567890")  # the last first
    assert 'href="/lists/seals/" aria-current="page">' in listed
    for query, there in (
        ("seal:S-17", True),
        ("-seal:S-17", False),
        (f"number:{number} sealed", True),
        ("hold", False),
    ):
        assert ('title="S-17"' in browser.get("/lists/seals/", {"q": query}).text) is there, query
    assert 'name="f-seal"' in browser.get("/lists/seals/filters").text
    browser.post("/lists/seals/views/", {"name": "Mine", "q": "seal:S-17"})
    assert "Mine" in browser.get("/lists/seals/").text
    wanted = {"all": "1", "format": "csv", "rows": "seals", "column": "put"}
    file = browser.get(browser.post("/lists/seals/export/start", wanted).location).text
    assert [line.split(",")[:2] for line in file.splitlines()[1:]] == [[number, "S-17"], [number, "S-1234567890"]]


def use(app: Flask, number: str) -> None:
    """Use everything that the plugin registers, as a manager who reads French and as a clerk who lacks the right."""
    browser = Browser(app).enter(person("manager"))
    browser.client.set_cookie("lang", "fr")
    page = browser.get("/x/seals/").text
    assert "<h1>Scellés</h1>" in page
    assert re.search(r'href="/x/seals/" aria-current="page">Scellés</a>', page)
    style = browser.get("/x/seals/static/seals.css")
    assert (style.status_code, style.text.strip()) == (200, ".seals { list-style: square; }")
    style.close()

    assert "Poser un scellé" in browser.get(f"/orders/{number}").text
    assert "À sceller" in browser.get("/orders/").text
    too_long = browser.post(f"/orders/{number}/actions/seal", {"number": "S-1234567890"})
    assert too_long.status_code == 409
    [group] = [one for one in groups("desk") if one.code == "seals"]
    with unit_of_work():
        store_all(group, {"seals_longest": 20})
    for seal in ("S-1234567890", "S-17"):
        assert browser.post(f"/orders/{number}/actions/seal", {"number": seal}).status_code == 302
    assert f"<li>{number} S-17</li>" in browser.get("/x/seals/").text
    assert "Scellé par S-17" in browser.get(f"/orders/{number}", {"tab": "timeline"}).text
    assert "S-1234567890, S-17" in browser.get(f"/orders/{number}/panels/seals").text
    assert "<strong>2</strong>" in browser.get("/dashboard/cards/seals", htmx=True).text
    for query, there in (("sealed", True), ("-sealed", False)):
        assert (number in browser.get("/orders/", {"q": query}).text) is there
    use_list(browser, number)
    assert "Longueur maximale du numéro de scellé" in browser.get("/settings/").text
    assert rows("SELECT orders FROM seals_arrivals") == [(1,)]
    [schedule] = [one for one in registered() if one.job.name.endswith("count_seals")]
    schedule.job.enqueue()
    run_jobs()
    assert live.connection().get(live.key("seals", "count")) == b"2"

    clerk = Browser(app).enter(person("clerk"))
    assert clerk.get("/x/seals/").status_code == 403
    assert clerk.post(f"/orders/{number}/actions/seal", {"number": "S-18"}).status_code == 403
    assert "/x/seals/" not in clerk.get("/orders/").text
