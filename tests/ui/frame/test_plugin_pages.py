"""Pages of plugins below /x/: their rights, the fence around them, their templates and files, and the ways to them."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from tests.own_plugins import OwnPlugins
from tests.ui.conftest import Browser
from webapp.accounts.services import create_user, hashed
from webapp.audit.actor import Actor
from webapp.db import unit_of_work
from webapp.hooks import hooks
from webapp.hooks.failures import Failure
from webapp.hooks.registered import faults_of
from webapp.ui.frame import plugin_pages
from webapp.vault.key_file import key_file

pytestmark = pytest.mark.own_desk
PASSWORD = "Correct-Horse-7-Battery"
PLUGIN = """
import time

from flask import Blueprint, Response, abort, request
from webapp.api import MenuEntry, Refusal, Right, current_actor, hookimpl, needs, page, personal, unit_of_work

pages = Blueprint("pages", __name__)

class NotToday(Refusal):
    code, sentence = "not_today", "Not today."

@pages.get("/")
@needs("loyalty.see")
def index():
    return page("loyalty/index.html", points=5, more=request.args)

@pages.post("/")
@needs("loyalty.see")
def change():
    return f"changed by {current_actor().id}"

@pages.get("/own")
@personal
def own():
    return "<p>Yours</p>"

@pages.get("/fails/<how>")
@personal
def fails(how):
    if how == "raises":
        raise ValueError("Jane Quixelworth")
    if how == "template":
        return page("loyalty/nowhere.html", more={})
    if how == "leaves":
        raise SystemExit(1)
    if how == "nothing":
        return None
    if how == "gone":
        abort(404)
    if how == "refused":
        raise NotToday
    if how == "slow":
        time.sleep(0.1)
    response = Response("late")
    response.headers["Content-Security-Policy"] = "default-src *"
    return response

@pages.before_request
def look():
    if request.args.get("before"):
        raise KeyError("before")

@hookimpl
def register_rights():
    return [Right("loyalty.see", "see points", roles=("manager",))]

@hookimpl
def register_blueprints():
    return [pages]

@hookimpl
def register_menu_entries():
    return [{entries}]
"""
PAGE = """{% extends "base.html" %}
{% block title %}Points{% endblock title %}
{% block more_head %}
<link rel="stylesheet" href="{{ url_for('x.loyalty.static', filename='points.css') }}">
{% endblock more_head %}
{% block content %}
<h1>Points: {{ points }}</h1>
<a href="{{ url_for('.own') }}">Yours</a>
{% endblock content %}
"""
ENTRY = 'MenuEntry("Loyalty points", "pages.index")'
FILES = {
    "plugin.py": PLUGIN.replace("{entries}", ENTRY),
    "templates/index.html": PAGE,
    "templates/base.html": "never drawn",
    "static/points.css": "h1 { letter-spacing: 0 }",
}
# What can't be mounted, and the reason that is given.
FAULTY = {
    "@pages.get('/silent')\ndef silent(): return ''": "its view silent says nothing of who may use it",
    "@pages.get('/odd')\n@needs('loyalty.nothing')\ndef odd(): return ''": "names the unknown right loyalty.nothing",
    "@pages.before_app_request\ndef everywhere(): raise ValueError": "reaches beyond its own pages",
    "@pages.app_errorhandler(404)\ndef everywhere(error): return 'gone'": "reaches beyond its own pages",
    "@pages.app_context_processor\ndef everywhere(): return {'can': None}": "reaches beyond its own pages",
    "@pages.app_template_filter('money')\ndef everywhere(value): return ''": "adds names to every template",
    "pages.record(lambda state: state.app.add_url_rule('/orders/mine', 'mine', personal(lambda: '')))": (
        "reaches beyond its own pages"
    ),
    "pages.record(lambda state: 1 / 0)": "ZeroDivisionError",
}


@pytest.fixture(autouse=True)
def any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, no page of these takes too long by itself."""
    monkeypatch.setattr(plugin_pages, "LONG", 60.0)


@pytest.fixture
def start(own_plugins: OwnPlugins) -> Iterator[Callable[[dict[str, str]], Flask]]:
    """Start a desk with the plugin “loyalty” of these files."""
    running = []

    def run(files: dict[str, str]) -> Flask:
        own_plugins.write("loyalty", files)
        running.append(own_plugins.start())
        app = running[-1].__enter__()
        key_file().create()
        return app

    yield run
    for one in reversed(running):
        one.__exit__(None, None, None)


def enter(app: Flask, role: str = "manager") -> Browser:
    with unit_of_work():
        email = f"{role}@desk.test"
        password_hash = hashed(PASSWORD, email)
        user = create_user(email=email, role=role, actor=Actor.operator(), password_hash=password_hash, name=role)
        actor = user.as_actor()
    return Browser(app).enter(actor)


def test_a_page_stands_in_the_desks_frame_with_the_same_safety(start: Callable[[dict[str, str]], Flask]) -> None:
    app = start(FILES)
    browser = enter(app)
    answer = browser.get("/x/loyalty/")
    assert answer.status_code == 200
    assert "<h1>Points: 5</h1>" in answer.text
    assert 'href="/x/loyalty/own"' in answer.text
    assert '<a href="/x/loyalty/" aria-current="page">Loyalty points</a>' in answer.text
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    loose = browser.get("/x/loyalty/fails/not")
    assert loose.headers["Content-Security-Policy"] == answer.headers["Content-Security-Policy"]
    style = browser.get("/x/loyalty/static/points.css")
    assert (style.status_code, style.text, style.mimetype) == (200, "h1 { letter-spacing: 0 }", "text/css")
    style.close()
    assert browser.get("/x/loyalty/static/../plugin.py").status_code == 404
    assert browser.post("/x/loyalty/", token=False).status_code == 400
    assert browser.post("/x/loyalty/").text.startswith("changed by ")
    assert browser.get("/x/loyalty/nowhere").status_code == 404
    assert browser.get("/x/nobody/").status_code == 404


def test_who_lacks_the_right_sees_neither_page_nor_way(start: Callable[[dict[str, str]], Flask]) -> None:
    app = start(FILES)
    clerk = enter(app, "clerk")
    answer = clerk.get("/x/loyalty/")
    assert answer.status_code == 403
    assert "You don't have access" in answer.text
    assert clerk.get("/x/loyalty/own").text == "<p>Yours</p>"
    assert "Loyalty points" not in clerk.get("/orders/").text
    assert "Loyalty points" not in clerk.get("/palette/").text
    nobody = Browser(app)
    for path in ("/x/loyalty/", "/x/loyalty/own", "/x/loyalty/static/points.css"):
        assert nobody.get(path).status_code in (302, 403)


def test_the_ways_stand_in_the_menu_and_under_ctrl_k(start: Callable[[dict[str, str]], Flask]) -> None:
    app = start(FILES | {"plugin.py": PLUGIN.replace("{entries}", f'{ENTRY}, MenuEntry("My points", "pages.own")')})
    manager = enter(app)
    listed = manager.get("/orders/").text
    assert "<summary" in listed
    for label, path in (("Loyalty points", "/x/loyalty/"), ("My points", "/x/loyalty/own")):
        assert f'<a class="item" href="{path}">{label}</a>' in listed
        assert label in manager.get("/palette/").text
    assert [way["url"] for way in _ways(manager) if way["label"] == "My points"] == ["/x/loyalty/own"]


def _ways(browser: Browser) -> list[dict[str, str]]:
    ways: list[dict[str, str]] = browser.get("/palette/", Accept="application/json").get_json()["ways"]
    return ways


def test_a_page_that_fails_says_so_within_the_frame_and_on_the_plugins_page(
    start: Callable[[dict[str, str]], Flask], plugin_failures: list[Failure]
) -> None:
    browser = enter(start(FILES))
    for how in ("raises", "template", "leaves", "nothing", "before"):
        _check_failing(browser, how, plugin_failures)


def _check_failing(browser: Browser, how: str, plugin_failures: list[Failure]) -> None:
    path = "/x/loyalty/own?before=1" if how == "before" else f"/x/loyalty/fails/{how}"
    answer = browser.get(path)
    assert answer.status_code == 500
    assert "of the plugin “loyalty” failed. The Plugins page shows the reason." in answer.text
    assert '<nav id="ways"' in answer.text
    assert "Quixelworth" not in answer.text
    assert {(one.plugin, one.place) for one in plugin_failures} == {("loyalty", "page")}
    plugin_failures.clear()
    told = browser.get("/plugins/").text
    assert "pages.own" in told if how == "before" else "pages.fails" in told
    assert "Quixelworth" not in told
    part = browser.get(path, htmx=True)
    assert (part.status_code, part.headers["HX-Retarget"]) == (500, "#messages")
    plugin_failures.clear()


def test_what_a_page_refuses_or_does_not_have_reads_as_the_desks_own(
    start: Callable[[dict[str, str]], Flask], plugin_failures: list[Failure], monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = enter(start(FILES))
    assert browser.get("/x/loyalty/fails/gone").status_code == 404
    refused = browser.get("/x/loyalty/fails/refused")
    assert (refused.status_code, "Not today." in refused.text) == (409, True)
    monkeypatch.setattr(plugin_pages, "LONG", 0.05)
    assert browser.get("/x/loyalty/fails/slow").text == "late"
    assert [(one.place, one.problem) for one in plugin_failures] == [("page", "slow")]
    plugin_failures.clear()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("more", FAULTY)
def test_a_blueprint_that_can_not_be_mounted_is_left_out_by_name(
    more: str, start: Callable[[dict[str, str]], Flask], plugin_failures: list[Failure]
) -> None:
    app = start(FILES | {"plugin.py": f"{FILES['plugin.py']}\n{more}\n"})
    browser = enter(app)
    assert browser.get("/x/loyalty/").status_code == 404
    assert browser.get("/orders/").status_code == 200
    [blueprint, entry] = faults_of("loyalty")
    assert FAULTY[more] in blueprint
    assert entry == "register_menu_entries: pages.index is no page of the plugin"
    assert hooks.manager.has_plugin("loyalty")
    assert FAULTY[more] in browser.get("/plugins/").text.replace("&#39;", "'")
    plugin_failures.clear()


def test_pages_of_a_plugin_that_is_left_out_later_are_gone(start: Callable[[dict[str, str]], Flask]) -> None:
    app = start(FILES)
    browser = enter(app)
    hooks.manager.unregister(name="loyalty")
    for path in ("/x/loyalty/own", "/x/loyalty/static/points.css"):
        assert browser.get(path).status_code == 404
    assert "Loyalty points" not in browser.get("/orders/").text
