"""Panels that plugins add to the order page: each loads by itself; if one fails, an error is shown in its place.

The page lists them and never waits for them. A panel has a budget of seconds: its database queries are stopped then,
and one that exceeds it in Python is listed on the page of plugins.
"""

from typing import Any

from flask import Blueprint, render_template
from werkzeug.wrappers import Response

from webapp.audit.actor import Actor
from webapp.db import db, time_limit
from webapp.errors import DeskError, NotFound, TooSlow
from webapp.hooks.fence import PluginFailed, ask
from webapp.hooks.registered import by_code
from webapp.orders.contract import Panel
from webapp.orders.models import Order
from webapp.orders.queries import find_order, reference
from webapp.ui.frame import htmx
from webapp.ui.frame.access import current_actor, needs
from webapp.ui.frame.pages import page
from webapp.ui.orders.order_page import facts

bp = Blueprint("panels", __name__)


def every() -> dict[str, Panel]:
    """All panels by code."""
    return by_code("register_panels", Panel)


def panels_of(order: Order, actor: Actor) -> list[Panel]:
    """The panels of an order that the actor may see; a panel whose check fails shows its error there."""
    return [panel for panel in every().values() if actor.may(panel.right) and _shows(panel, order)]


def _shows(panel: Panel, order: Order) -> bool:
    try:
        return ask(panel, "panel", _belongs, panel, order)
    except PluginFailed:
        return True  # it fails again where it is drawn


def _belongs(panel: Panel, order: Order) -> bool:
    return bool(panel.shows(order))


@bp.get("/orders/<number>/panels/<code>")
@needs("orders.view")
def show(number: str, code: str) -> str | Response:
    """One panel; a whole page if the request is not from a script."""
    actor = current_actor()
    order = find_order(number, actor)
    panel = every().get(code)
    if panel is None or not actor.may(panel.right):
        raise NotFound(name=code)
    named = {"panel": {"code": panel.code, "label": str(panel.label)}, "number": reference(order)}
    body, problem = _drawn(panel, order, actor)
    context: dict[str, Any] = {**named, "body": body, "problem": problem}
    if htmx.is_htmx():
        return render_template("orders/_panel.html", **context)
    order = find_order(number, actor)  # the failed panel may have ended the reading
    return page("orders/panel.html", **facts(order, actor), **context)


def _drawn(panel: Panel, order: Order, actor: Actor) -> tuple[str, str]:
    """The panel's HTML, or why there is none. Raises `NotFound` if the order has no such panel."""
    try:
        belongs = ask(panel, "panel", _belongs, panel, order)
    except PluginFailed as problem:
        return "", str(problem)
    if not belongs:
        raise NotFound(name=panel.code)
    try:
        with time_limit(panel.seconds):
            seconds, render = panel.seconds, panel.render
            return ask(panel, "panel", render, order, actor, gives=str, seconds=seconds, raises=DeskError), ""
    except TooSlow as error:
        return "", error.code
    except DeskError as error:
        db.session.rollback()
        return "", str(error)
