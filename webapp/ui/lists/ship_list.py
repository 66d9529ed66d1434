"""Shipping many orders from a list: paste or upload it, or begin with chosen orders; check its rows, then ship."""

import secrets
from collections.abc import Sequence
from typing import Any

from flask import Blueprint, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from webapp.billing.automatic import automatic_refusal
from webapp.billing.services import invoice_refusal
from webapp.db import unit_of_work
from webapp.errors import DeskError
from webapp.fulfillment import ship_list
from webapp.fulfillment.services import shipping_refusal
from webapp.fulfillment.ship_list import Checked
from webapp.fulfillment.ship_rows import read_rows, write_rows
from webapp.lists.uploaded import text_of
from webapp.orders import bulk
from webapp.orders.models import Order
from webapp.ui.frame.access import current_actor, needs
from webapp.ui.frame.failures import shown_again
from webapp.ui.frame.pages import page
from webapp.ui.frame.redirects import redirect
from webapp.ui.lists.attention import attention_of
from webapp.ui.lists.chosen import Chosen
from webapp.ui.orders import shown

bp = Blueprint("ship_list", __name__)
_LONGEST = 20.0  # seconds for reading and looking up a list, so that it comes back before the request times out
SHOWN = 300  # rows on the page of the check; rows with a problem come first


@bp.get("/orders/ship-list")
@needs("orders.ship")
def give() -> str:
    """The form for the list; for chosen orders, it has a row for each order that can be shipped."""
    actor, chosen = current_actor(), Chosen.read()
    if not (chosen.everything or chosen.ids):
        return _list_form("")
    orders = bulk.orders_to_look_at(actor, **chosen.where(actor))
    refused = [(order, refusal) for order in orders if (refusal := shipping_refusal(order, actor)) is not None]
    left_out = {order.id for order, _refusal in refused}
    return page(
        "lists/bulk/ship_list.html",
        text="\n".join(f"{order.number}; ; " for order in orders if order.id not in left_out),
        problem="",
        back=chosen.back_url,
        refused=[(shown.ShownOrder(order), refusal) for order, refusal in refused],
        attention=attention_of([order for order in orders if order.id not in left_out]),
        first=len(orders) if len(orders) == bulk.LOOKED_AT else None,
    )


def _list_form(text: str, problem: str = "") -> str:
    """The form with a typed list and its problem."""
    around: dict[str, Any] = {"back": url_for("orders.index"), "refused": [], "attention": [], "first": None}
    return page("lists/bulk/ship_list.html", text=text, problem=problem, **around)


@bp.post("/orders/ship-list")
@needs("orders.ship")
def look() -> str | tuple[str, int]:
    """Check the rows of the list and show the result, before anything is shipped. With `mend`, show the form again."""
    if "mend" in request.form:
        return _list_form(request.form["mend"])
    text = request.form.get("list", "")
    try:
        with ship_list.limited(_LONGEST):
            text = _sent_file() or text
            checked = ship_list.check(read_rows(text), current_actor())
    except DeskError as error:
        return _list_form(text, str(error)), error.status
    return _checked(text, checked)


def _checked(text: str, checked: Sequence[ship_list.Checked]) -> str:
    """Every row of a list with its order or its problem, and the button that ships those without a problem."""
    fitting = [one for one in checked if one.problem is None]
    rest = [one for one in checked if one.problem is not None]
    asking = [one for one in rest if one.asks_to_cancel]
    return page(
        "lists/bulk/ship_list_checked.html",
        fitting=len(fitting),
        ships=_count_orders(fitting),
        asking=_count_orders(asking),
        attention=attention_of([one.order for one in checked if one.order is not None]),
        anyway=write_rows([one.found for one in asking]),
        rest=len(rest),
        rows=[
            {
                "row": one.row,
                "order": one.order and shown.ShownOrder(one.order),
                "problem": one.problem,
                "unlisted": one.unlisted,
            }
            for one in (rest + fitting)[:SHOWN]
        ],
        hidden=max(len(checked) - SHOWN, 0),
        text=text,
        list=write_rows([one.found for one in fitting]),
        can_invoice=any(_may_invoice(one.order) for one in fitting if one.order is not None),
        key=secrets.token_urlsafe(16),
    )


def _count_orders(rows: Sequence[Checked]) -> int:
    """The number of orders that the rows ship."""
    return len({row.order.id for row in rows if row.order is not None})


def _may_invoice(order: Order) -> bool:
    """Whether the order can be invoiced with its shipment, and is not by itself."""
    actor = current_actor()
    if not actor.may("orders.invoice") or invoice_refusal(order, actor) is not None:
        return False
    return automatic_refusal(order, actor) is not None


@bp.post("/orders/ship-list/start")
@needs("orders.ship")
@shown_again
def start() -> AnyResponse | tuple[str, int]:
    """Start a run that ships the rows without a problem, and if that is ticked, those whose buyers asked to cancel."""
    text, asking = request.form.get("list", ""), request.form.get("anyway", "")
    ticked = "ship_anyway" in request.form
    try:
        rows = read_rows(text, written=True) if text.strip() or not asking.strip() else []
        anyway = read_rows(asking, written=True) if ticked and asking.strip() else []
        with unit_of_work():
            key = request.form.get("submission_key", "")
            invoice = "invoice" in request.form
            run_id = ship_list.start(rows, actor=current_actor(), key=key, anyway=anyway, invoice=invoice).id
    except ship_list.NothingFits as nothing:  # any more: every row has its reason
        checked = ship_list.check([*rows, *anyway], current_actor(), frozenset(anyway))
        return _checked(text + asking, checked), nothing.status
    except DeskError as error:
        return _list_form(text + asking, str(error)), error.status
    return redirect(url_for("orders.index", run=run_id))  # the list shows the run's progress


def _sent_file() -> str:
    """The text of the uploaded file; empty if none was sent. Raises what `text_of` raises."""
    file = request.files.get("file")
    return text_of(file.read()) if file is not None and file.filename else ""
