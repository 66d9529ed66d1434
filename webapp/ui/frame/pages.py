"""Drawing pages: whole, or for htmx the parts that changed; and the context of every page's frame."""

from typing import Any

from flask import Flask, Response, flash, g, make_response, render_template, request
from markupsafe import Markup

from webapp.config import configuration
from webapp.orders.listing import ORDER_LIST
from webapp.orders.queries import stores_with_orders
from webapp.ui.frame import htmx, unscripted
from webapp.ui.frame.access import may, person
from webapp.ui.frame.formats import zone
from webapp.ui.frame.languages import language
from webapp.ui.frame.live import now_in_ms

THEMES = ("light", "dark")
THEME_COOKIE = "waybill_theme"
_OUT_OF_BAND = Markup(' hx-swap-oob="morph"')
_ADDED = Markup(' hx-swap-oob="beforeend"')


def init_app(app: Flask) -> None:
    app.context_processor(_frame)


def page(template: str, *, part: str = "", **context: Any) -> str:
    """A whole page; for htmx only its `part`, with the waiting messages."""
    if part and htmx.is_htmx():
        return render_template(part, **context) + _messages()
    return render_template(template, **context)


def parts(*partials: str, event: str | None = None, **context: Any) -> Response:
    """Partials for htmx: the first replaces the requesting element, the others are morphed into the page."""
    first, *others = partials
    drawn = [render_template(first, **context)]
    drawn += [render_template(partial, oob=_OUT_OF_BAND, **context) for partial in others]
    response = make_response("".join(drawn) + _messages())
    return htmx.announce(response, event) if event else response


def parts_aside(*partials: str, **context: Any) -> Response:
    """Partials that are all morphed into the page; the requesting element stays."""
    return make_response("".join(render_template(partial, oob=_OUT_OF_BAND, **context) for partial in partials))


def tell(sentence: str, tone: str, undo: dict[str, Any] | None = None) -> None:
    """Flash a message, which may offer to undo what it reports: `undo` has the `url` of a form and its `fields`."""
    flash({"text": sentence, "undo": undo}, tone)  # type: ignore[arg-type]  # kept as JSON, whatever it is


def _messages() -> str:
    return render_template("frame/_messages.html", oob=_ADDED)


def _frame() -> dict[str, Any]:
    """The context of base.html, and `oob` for partials within a page; values that need the database are read only by
    pages that show them.
    """
    theme = request.cookies.get(THEME_COOKIE, "")
    someone = person()
    return {
        "current_actor": someone.actor if someone else None,
        "email": someone.email if someone else "",
        "theme": theme if theme in THEMES else "",
        "locale": language(),
        "version": configuration().version,
        "zone": str(zone()),
        "live_url": f"/live?since={now_in_ms()}" if someone and may("orders.view") else "",
        "has_practice": _has_practice,
        "practice_url": configuration().practice_url,
        "whole_url": unscripted.whole_url,
        "order_reference": g.get("order_reference"),
        "searched": ORDER_LIST,
        "search_text": "",
        "search_mistaken": False,
        "oob": "",
    }


def _has_practice() -> bool:
    """Whether this page may show invented orders; the page of one order knows its store and need not ask."""
    known: bool | None = g.get("has_practice")
    return known if known is not None else any(store.practice for store in shown_stores())


def shown_stores() -> list[Any]:
    """The stores whose orders this person may see; read once a request."""
    someone = person()
    if someone is None or not may("orders.view"):
        return []
    if "stores" not in g:
        g.stores = stores_with_orders(someone.actor)
    return list(g.stores)


def show_times_of(stores: list[Any]) -> None:
    """Show this page's times in the zone of the first store's shop."""
    if stores:
        g.zone = stores[0].shop.zone
