"""Pages of plugins: mounted below `/x/<plugin>/`, each view with its right and inside the fence.

A blueprint is first registered on a scratch application. If it has a view without a declared right, names an unknown
right, or would affect more than its own pages, it is left out by name; the desk and the rest of the plugin start.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from flask import Blueprint, Flask, Response, abort, current_app, request, send_from_directory, url_for
from jinja2 import BaseLoader, ChoiceLoader, FileSystemLoader, PrefixLoader
from werkzeug.exceptions import HTTPException

from webapp.audit.rights import rights
from webapp.errors import DeskError
from webapp.hooks import hooks
from webapp.hooks.discovery import PluginState
from webapp.hooks.failures import NotTaken
from webapp.hooks.fence import PluginFailed, ask, failed
from webapp.hooks.registered import OfPlugin, fault, is_ours, owner_of, registered
from webapp.lists.contract import Subject
from webapp.lists.subjects import subjects
from webapp.ui.frame.access import SIGNED_IN, may, personal, right_of
from webapp.ui.frame.menu import MenuEntry

LONG = 2.0  # seconds: a page that takes longer is recorded
BEGIN = "x."  # the prefix of plugins' endpoints: no blueprint of the desk can have a dot in its name
_PLAIN = re.compile(r"[a-z][a-z0-9_-]*")  # a name that can be part of an address and of an endpoint
View = TypeVar("View", bound=Callable[..., Any])
# What a blueprint may define for its own pages and not for the whole desk, by the names of Flask's application.
_OF_ALL = (
    "before_request_funcs",
    "after_request_funcs",
    "teardown_request_funcs",
    "url_value_preprocessors",
    "url_default_functions",
    "template_context_processors",
)


@dataclass(frozen=True, slots=True)
class Way:
    """An entry of the menu as a page shows it."""

    label: str
    url: str
    here: bool


def init_app(app: Flask) -> None:
    """Mount the pages, templates and static files of every loaded plugin."""
    plugins: list[PluginState] = app.extensions["waybill.plugins"]
    loaders: dict[str, BaseLoader] = {}
    for plugin in plugins:
        if folder := plugin.has("templates"):
            loaders[plugin.name] = FileSystemLoader(folder)
        if (folder := plugin.has("static")) and _PLAIN.fullmatch(plugin.name):
            _mount_static(app, plugin.name, folder)
    if app.jinja_loader and loaders:
        app.jinja_loader = ChoiceLoader([app.jinja_loader, PrefixLoader(loaders)])  # the desk's own come first
    for blueprint in blueprints():
        _mount(app, blueprint)
    app.context_processor(lambda: {"plugin_ways": plugin_ways})


def blueprints() -> tuple[Blueprint, ...]:
    """The blueprints of plugins, including those that can't be mounted."""
    return registered("register_blueprints", Blueprint)


def entries() -> tuple[MenuEntry, ...]:
    """The menu entries of plugins, without those that lead to no page of their plugin."""
    return registered("register_menu_entries", MenuEntry, fits=_leads_somewhere)


def _leads_somewhere(entry: MenuEntry, plugin: str) -> None:
    endpoint = f"{BEGIN}{plugin}.{entry.endpoint}"
    if endpoint not in current_app.view_functions:
        raise NotTaken(f"{entry.endpoint} is no page of the plugin")
    [rule, *_] = current_app.url_map.iter_rules(endpoint)
    if rule.arguments or "GET" not in (rule.methods or ()):
        raise NotTaken(f"{entry.endpoint} can't be reached by an address alone")


def plugin_ways() -> list[Way]:
    """The entries that the signed-in person may follow."""
    return list(_ways())


def _ways() -> Iterator[Way]:
    for entry in entries():
        endpoint = f"{BEGIN}{owner_of(entry)}.{entry.endpoint}"
        right = right_of(current_app, endpoint)
        if right and may(right):
            yield Way(str(entry.label), url_for(endpoint), request.endpoint == endpoint)
    for subject in plugin_subjects():
        endpoint = f"{subject.code}.index"
        if endpoint in current_app.view_functions and may(subject.right):
            yield Way(str(subject.label), url_for(endpoint), request.blueprint == subject.code)


def plugin_subjects() -> list[Subject]:
    """What plugins bring lists of."""
    return [subject for subject in subjects().values() if not is_ours(owner_of(subject))]


def is_of_plugin(endpoint: str | None) -> bool:
    """Whether a route is a plugin's."""
    return (endpoint or "").startswith(BEGIN)


def failure_of_page(error: Exception) -> PluginFailed:
    """The answer of a plugin's page to an error around its view, which is recorded. Raises errors that are not the
    plugin's fault.
    """
    _begin, plugin, place = (request.endpoint or "").split(".", 2)
    return failed(OfPlugin(plugin, place, place), "page", error)


def _mount(app: Flask, blueprint: Blueprint) -> None:
    plugin = owner_of(blueprint)
    within = (blueprint.url_prefix or "").strip("/")
    options: dict[str, Any] = {
        "name": f"{BEGIN}{plugin}.{blueprint.name}",
        "url_prefix": f"/x/{plugin}/{within}".rstrip("/"),
    }
    try:
        if not _PLAIN.fullmatch(plugin):
            raise NotTaken("pages need a plugin whose name is a plain word")
        _check(blueprint, options)
        app.register_blueprint(blueprint, **options)
    except Exception as error:  # whatever error it raises when it is registered
        fault(plugin, "register_blueprints", error)
    for endpoint, view in app.view_functions.items():
        if endpoint.startswith(f"{options['name']}."):
            app.view_functions[endpoint] = fenced(plugin, endpoint.removeprefix(f"{BEGIN}{plugin}."), view)


def _check(blueprint: Blueprint, options: dict[str, Any]) -> None:
    """Raise `NotTaken` for a blueprint that can't be mounted."""
    scratch = Flask("scratch", static_folder=None)
    had = {name: len(getattr(scratch, name)[None]) for name in _OF_ALL}
    filters = set(scratch.jinja_env.filters) | set(scratch.jinja_env.globals) | set(scratch.jinja_env.tests)
    scratch.register_blueprint(blueprint, **options)
    known = {SIGNED_IN, *rights()}
    for endpoint in sorted(scratch.view_functions):
        right = right_of(scratch, endpoint)
        if right not in known:
            says = "says nothing of who may use it" if not right else f"names the unknown right {right}"
            raise NotTaken(f"its view {endpoint.removeprefix(options['name'])[1:]} {says}")
    ours = all(endpoint.startswith(f"{options['name']}.") for endpoint in scratch.view_functions)
    if (
        not ours
        or any(len(getattr(scratch, name)[None]) > had[name] for name in _OF_ALL)
        or scratch.error_handler_spec[None]
    ):
        raise NotTaken(f"the blueprint {blueprint.name} reaches beyond its own pages")
    if {*scratch.jinja_env.filters, *scratch.jinja_env.globals, *scratch.jinja_env.tests} - filters:
        raise NotTaken(f"the blueprint {blueprint.name} adds names to every template")


def fenced(plugin: str, place: str, view: View) -> View:
    page = OfPlugin(plugin, place, place)

    @wraps(view)
    def run(**arguments: Any) -> Any:
        if not hooks.manager.has_plugin(plugin):  # left out after it was mounted: its tables are missing
            abort(404)
        return ask(page, "page", _answer, view, arguments, seconds=LONG, raises=(DeskError, HTTPException))

    return run  # type: ignore[return-value]


def _answer(view: Callable[..., Any], arguments: dict[str, Any]) -> Response:
    """The view's result as a response, so that an invalid result fails inside the fence."""
    return current_app.make_response(view(**arguments))


def _mount_static(app: Flask, plugin: str, folder: Path) -> None:
    @personal
    def static(filename: str) -> Any:
        if not hooks.manager.has_plugin(plugin):
            abort(404)
        return send_from_directory(folder, filename)

    app.add_url_rule(f"/x/{plugin}/static/<path:filename>", f"{BEGIN}{plugin}.static", static)
