"""Orders in the browser: the list that changes in place, the page of one order, and acting on it."""

from typing import Any

from flask import Blueprint, Response, flash, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from webapp.audit.actor import Actor
from webapp.db import unit_of_work
from webapp.errors import DeskError, NotFound, SeveralFit, Stale
from webapp.i18n import gettext as _
from webapp.orders.contract import OrderAction
from webapp.orders.events import events_of
from webapp.orders.models import Order
from webapp.orders.queries import find_order, key_of, list_orders, newer_than, orders_by_id
from webapp.orders.services import act, find_action, read_input, refusal_of
from webapp.orders.states import STATE_LABELS
from webapp.ui import htmx, shown, timeline
from webapp.ui.access import current_actor, needs
from webapp.ui.forms.actions import action_form, again
from webapp.ui.order_page import COMMENT, READ_ONLY, facts, url_of
from webapp.ui.pages import page, parts, parts_aside, show_times_of, shown_stores

bp = Blueprint("orders", __name__)
_BEFORE_ALL = "1970-01-01T00:00:00Z~0"


# --- The list ---------------------------------------------------------------------------------------------------------


@bp.get("/")
@needs("orders.view")
def home() -> AnyResponse:
    """The desk opens with its orders."""
    return redirect(url_for(".index"))


@bp.get("/orders/")
@needs("orders.view")
def index() -> str:
    """The newest orders, or a page of older ones, of all or of a store or state."""
    return page("orders/index.html", part="orders/_rows.html", **_list_facts(current_actor()))


def _list_facts(actor: Actor) -> dict[str, Any]:
    args = request.args
    after, before, state = args.get("after"), args.get("before"), args.get("state")
    state = state if state in STATE_LABELS else None
    stores = shown_stores()
    store_id = next((store.id for store in stores if store.id == args.get("store", type=int)), None)
    show_times_of(stores)
    found = list_orders(actor, after=after, before=before, store_id=store_id, state=state)
    filters: dict[str, Any] = {"store": store_id, "state": state}
    since = key_of(found.orders[0]) if found.orders else _BEFORE_ALL
    return {
        "orders": shown.listed(found.orders, actor),
        "rows_url": url_for(".index", **filters, after=after, before=before),
        "newer_url": url_for(".index", **filters, before=found.newer) if found.newer else None,
        "older_url": url_for(".index", **filters, after=found.older) if found.older else None,
        "news_url": url_for(".news", since=since) if not (after or before or store_id or state) else None,
        "news": 0,
        "stores": stores,
        "has_stores": bool(stores),
        "states": STATE_LABELS,
        "chosen_state": state,
        "chosen_store": store_id,
    }


@bp.get("/orders/news")
@needs("orders.view")
def news() -> str:
    """How many orders came in since the page was drawn."""
    since = request.args.get("since", _BEFORE_ALL)
    found = newer_than(current_actor(), since)
    return page("orders/_news.html", news=found, news_url=url_for(".news", since=since))


@bp.get("/orders/rows/<int(max=2147483647):order_id>")
@needs("orders.view")
def row(order_id: int) -> str:
    """One row of the list as it is now."""
    actor = current_actor()
    show_times_of(shown_stores())
    found = shown.listed(orders_by_id([order_id], actor), actor)
    if not found:
        raise NotFound(name=f"@{order_id}")
    return render_template("orders/_row.html", order=found[0])


# --- One order --------------------------------------------------------------------------------------------------------


@bp.get("/orders/<number>")
@needs("orders.view")
def show(number: str) -> str | tuple[str, int]:
    """The page of an order, by our number or the channel's; where several fit, the choice."""
    actor = current_actor()
    try:
        order = find_order(number, actor)
    except SeveralFit as error:
        choices = [find_order(choice, actor) for choice in str(error.values["choices"]).split(", ")]
        found = [shown.ShownOrder(choice) for choice in choices]
        return page("orders/several.html", number=number, orders=found), error.status
    return page("orders/show.html", **facts(order, actor))


@bp.get("/orders/<number>/parts")
@needs("orders.view")
def renewed(number: str) -> Response:
    """The parts of an open page that only tell, as they are now; forms in work are left alone."""
    actor = current_actor()
    order = find_order(number, actor)
    return parts_aside(*READ_ONLY, **facts(order, actor, whole=False))


@bp.get("/orders/<number>/updates")
@needs("orders.view")
def updates(number: str) -> str:
    """What the channel was told, as it is now."""
    actor = current_actor()
    return page("orders/_updates.html", **facts(find_order(number, actor), actor, whole=False))


@bp.get("/orders/<number>/actions/")
@needs("orders.view")
def actions(number: str) -> str | AnyResponse:
    """What can be done to the order now."""
    actor = current_actor()
    order = find_order(number, actor)
    if not htmx.is_htmx():
        return redirect(url_of(order))
    return page("orders/_actions.html", **facts(order, actor, whole=False))


@bp.get("/orders/<number>/actions/<code>")
@needs("orders.view")
def choose(number: str, code: str) -> str:
    """The form of one action."""
    actor = current_actor()
    order, action = find_order(number, actor), find_action(code)
    actor.needs(action.right)
    if refusal := refusal_of(action, order, actor):
        raise refusal
    form, context = action_form(action, order), facts(order, actor, whole=not htmx.is_htmx())
    return page("orders/show.html", part="orders/_actions.html", action=action, form=form, **context)


@bp.post("/orders/<number>/actions/<code>")
@needs("orders.view")
def perform(number: str, code: str) -> AnyResponse:
    """Do one action and show what it changed; the action names the right that it needs."""
    actor, action = current_actor(), find_action(code)
    actor.needs(action.right)
    try:
        with unit_of_work():
            order = find_order(number, actor, lock=True)
            form = action_form(action, order, request.form)
            data = read_input(action, form.input)
            version = None if code == COMMENT else _version_seen(order, form.version, actor)
            done = act(action, order, data, actor, key=form.key or None, version=version)
    except DeskError as error:
        if isinstance(error, Stale) or error.status == 422 or error.field:
            return _form_again(action, find_order(number, actor), actor, error)
        raise
    order = find_order(number, actor)
    flash(_done_sentence(order, action, done.since), "good")
    if not htmx.is_htmx():
        return redirect(url_of(order))
    first = "orders/_comments.html" if code == COMMENT else "orders/_actions.html"
    return parts(first, *READ_ONLY, event="order-changed", **facts(order, actor, whole=False))


def _version_seen(order: Order, seen: int | None, actor: Actor) -> int | None:
    """The version that the person knows: what they commented beside an open form makes that form no older."""
    since = [event for event in events_of(order, limit=20) if seen is not None and event.version > seen]
    own = all((e.code, e.actor_kind, e.actor_id) == ("commented", actor.kind, actor.id) for e in since)
    return order.version if own and since else seen


def _form_again(action: OrderAction, order: Order, actor: Actor, error: DeskError) -> Response:
    """The form with what was typed and why it was not taken; where the order changed meanwhile, what changed."""
    form = again(action, order, request.form, error)
    context = facts(order, actor, whole=not htmx.is_htmx())
    if action.code == COMMENT:
        context["comment_form"], part = form, "orders/_comments.html"
    else:
        context |= {"action": action, "form": form}
        part = "orders/_actions.html"
    if not isinstance(error, Stale):
        return make_response(page("orders/show.html", part=part, **context), error.status)
    seen = action_form(action, order, request.form).version or 0
    changed = [event for event in events_of(order, limit=20) if event.version > seen]
    context["meanwhile"] = [timeline.sentence_of(order, event) for event in changed]
    if not htmx.is_htmx():
        return make_response(page("orders/show.html", **context), error.status)
    response = parts(part, *READ_ONLY, **context)
    response.status_code = error.status
    return htmx.retarget(response, "#order-actions")


def _done_sentence(order: Order, action: OrderAction, since: int) -> str:
    """What the act did, in the timeline's words."""
    event = next((event for event in reversed(events_of(order, limit=20)) if event.version > since), None)
    return timeline.sentence_of(order, event) if event else _("Done: %(action)s.", action=action.label)
