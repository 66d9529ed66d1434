"""Acts on many orders in the browser: from the list's form to the action's own form, and from there to a run."""

import secrets
from collections import Counter
from dataclasses import replace
from typing import Any

from flask import Blueprint, flash, request
from werkzeug.wrappers import Response as AnyResponse

from webapp.audit.actor import Actor
from webapp.db import unit_of_work
from webapp.errors import DeskError
from webapp.lists.listing import count_rows
from webapp.orders import bulk
from webapp.orders.contract import OrderAction
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order
from webapp.orders.services import actions, find_action, read_input, refusal_of
from webapp.ui.forms.actions import ActionForm, action_form, again
from webapp.ui.frame import htmx
from webapp.ui.frame.access import current_actor, needs
from webapp.ui.frame.failures import shown_again
from webapp.ui.frame.pages import page
from webapp.ui.frame.redirects import redirect
from webapp.ui.lists.attention import attention_of
from webapp.ui.lists.chosen import Chosen
from webapp.ui.orders import shown

bp = Blueprint("bulk", __name__)


@bp.get("/orders/bulk")
@needs("orders.view")
def choose() -> str | AnyResponse:
    """The actions for the chosen orders; if the request names an action, the action's form."""
    actor, chosen = current_actor(), Chosen.read()
    if not (chosen.everything or chosen.ids):
        flash(str(bulk.NothingChosen()), "warn")
        return redirect(chosen.list_url())
    orders = bulk.orders_to_look_at(actor, **chosen.where(actor))
    if not orders:
        flash(str(bulk.NothingChosen()), "warn")
        return redirect(chosen.list_url())
    if code := request.args.get("action"):
        return _form_page(_bulk_action(code, actor), chosen, orders, actor)
    return page("lists/bulk/choose.html", offers=_offers(orders, actor), **_choice_context(chosen, orders, actor))


@bp.post("/orders/bulk/<code>")
@needs("orders.view")
@shown_again
def start(code: str) -> str | AnyResponse | tuple[str, int]:
    """Start the run and redirect to the list, which can be used meanwhile."""
    actor, chosen = current_actor(), Chosen.read()
    action = _bulk_action(code, actor)
    try:
        form = action_form(action, None, request.form, actor=actor)
        data = read_input(action, form.input)
        key = form.key or secrets.token_urlsafe(16)
        ids = bulk.chosen_ids(actor, **chosen.where(actor))
        with unit_of_work():
            run = bulk.start_bulk(code, data, actor=actor, ids=ids, key=key)
            run_id = run.id
    except DeskError as error:
        if error.status != 422 and not error.field:
            raise
        orders = bulk.orders_to_look_at(actor, **chosen.where(actor))
        if not orders:
            raise bulk.NothingChosen from error
        form = again(action, None, request.form, error, actor=actor)
        return _form_page(action, chosen, orders, actor, form), 422
    return redirect(chosen.list_url(run=run_id))  # the list shows the run's progress


@bp.post("/orders/bulk/<code>/preview")
@needs("orders.view")
def preview(code: str) -> str | AnyResponse:
    """What an action would do to the chosen orders with what is typed in its form. It is not done."""
    actor, chosen = current_actor(), Chosen.read()
    action = _bulk_action(code, actor)
    orders = bulk.orders_to_look_at(actor, **chosen.where(actor))
    found, problem = bulk.PreviewOfMany(), ""
    form = action_form(action, None, request.form, actor=actor)
    try:
        found = bulk.preview_many(action, orders, read_input(action, form.so_far), actor)
    except DeskError as error:
        problem = str(error)
    if htmx.is_htmx():
        return page("lists/bulk/_preview.html", previewed=found, problem=problem, warned=_warned(found))
    if not orders:
        raise bulk.NothingChosen
    return _form_page(action, chosen, orders, actor, form, previewed=found, problem=problem)


def _bulk_action(code: str, actor: Actor) -> OrderAction:
    action = find_action(code)
    actor.needs(action.right)
    if not action.bulk or action.listed:
        raise bulk.NotInBulk(action=action.label)
    return action


def _form_page(
    action: OrderAction,
    chosen: Chosen,
    orders: list[Order],
    actor: Actor,
    form: ActionForm | None = None,
    *,
    previewed: bulk.PreviewOfMany | None = None,
    problem: str = "",
) -> str:
    refusals = [refusal for order in orders if (refusal := refusal_of(action, order, actor)) is not None]
    reasons = Counter(refusal.counted() for refusal in refusals)
    form = form or action_form(action, None, actor=actor)
    sent = _to_confirm(chosen, orders, actor)
    around = _choice_context(sent, orders, actor)
    return page(
        "lists/bulk/form.html",
        action=action,
        form=form,
        fitting=len(orders) - reasons.total(),
        reasons=reasons.most_common(5),
        previewed=previewed,
        warned=_warned(previewed),
        problem=problem,
        attention=_attention(sent, orders, actor),
        **around | {"chosen": chosen, "sent": sent},
    )


def _warned(previewed: bulk.PreviewOfMany | None) -> list[tuple[str, int]]:
    """The sentences that speak against an act on many orders, each with the number of the orders."""
    return Counter(shown.sentences(previewed.warnings)).most_common(5) if previewed else []


def _to_confirm(chosen: Chosen, orders: list[Order], actor: Actor) -> Chosen:
    """The choice that the form sends: the orders that the form counts, since the query may find others later."""
    if not chosen.everything or chosen.counted:
        return chosen
    if len(orders) < bulk.LOOKED_AT:
        return replace(chosen, everything=False, ids=[order.id for order in orders])
    try:
        return replace(chosen, counted=bulk.chosen_ids(actor, **chosen.where(actor)))
    except bulk.TooManyForOneRun:  # which the form says; it can't be sent
        return chosen


def _attention(sent: Chosen, orders: list[Order], actor: Actor) -> list[tuple[str, int, str]]:
    """What should be looked at first, of all orders that the form sends; nothing if they are too many to be sent."""
    if len(orders) < bulk.LOOKED_AT:
        return attention_of(orders)
    return attention_of(bulk.to_look_at(actor, sent.counted or sent.ids))


def _offers(orders: list[Order], actor: Actor) -> list[dict[str, Any]]:
    return [{"action": action, "fitting": len(bulk.possible(action, orders, actor))} for action in bar_actions(actor)]


def _choice_context(chosen: Chosen, orders: list[Order], actor: Actor) -> dict[str, Any]:
    """The choice, the number of its orders, whether they are too many for one run, and how many were checked."""
    total, capped = len(orders), False
    if len(orders) == bulk.LOOKED_AT:
        total = len(chosen.counted or chosen.ids)
        if chosen.everything and not chosen.counted:
            total, capped = count_rows(ORDER_LIST, actor, chosen.asked(actor), bulk.CAP)
    return {
        "chosen": chosen,
        "total": total,
        "capped": capped,
        "looked_at": len(orders),
        "cap": bulk.CAP,
    }


def bar_actions(actor: Actor) -> list[OrderAction]:
    """The actions with a button below the list: those that can act on many orders at once."""
    return [action for action in bulk.bulk_actions(actor, actions()) if not action.listed]
