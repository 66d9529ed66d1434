"""Channel updates in the browser: undoing one, sending it now or again, closing it, or confirming that it happened.

They are shown on their order's page. Each update's kind names the right that is needed.
"""

from collections.abc import Callable

from flask import Blueprint, flash
from werkzeug.wrappers import Response

from webapp.audit.actor import Actor
from webapp.db import unit_of_work
from webapp.i18n import gettext as _
from webapp.orders.models import Order
from webapp.sync import jobs
from webapp.ui.frame import htmx
from webapp.ui.frame.access import current_actor, needs
from webapp.ui.frame.pages import parts
from webapp.ui.frame.redirects import redirect
from webapp.ui.orders.order_page import ASIDE, current_tab, facts, live_parts, url_of
from webapp.updates import deciding
from webapp.updates.models import ChannelUpdate
from webapp.updates.queries import find_update

bp = Blueprint("updates", __name__)


@bp.post("/updates/<int:update_id>/retry")
@needs("orders.view")
def retry(update_id: int) -> Response:
    """Send a refused update again; one whose result is unknown is looked up first."""
    return _decided(update_id, jobs.send_again, _("It is being sent again."))


@bp.post("/updates/<int:update_id>/close")
@needs("orders.view")
def close(update_id: int) -> Response:
    """Close an update that was refused or never confirmed: it did not happen."""
    return _decided(update_id, deciding.close, _("It is closed: nothing more is sent of it."))


@bp.post("/updates/<int:update_id>/confirm")
@needs("orders.view")
def confirm(update_id: int) -> Response:
    """Record that an update which was never confirmed did happen."""
    return _decided(update_id, deciding.confirm, _("It counts as done: nothing more is sent of it."))


@bp.post("/updates/<int:update_id>/undo")
@needs("orders.view")
def undo(update_id: int) -> Response:
    """Withdraw an update before it leaves."""
    return _decided(update_id, deciding.undo, _("It is undone: nothing was sent of it."))


@bp.post("/updates/<int:update_id>/send")
@needs("orders.view")
def send(update_id: int) -> Response:
    """Send a held update before its time."""
    return _decided(update_id, deciding.send_now, _("It is being sent."))


def _decided(update_id: int, decide: Callable[..., None], said: str) -> Response:
    actor = current_actor()
    with unit_of_work():
        update: ChannelUpdate = find_update(update_id, actor)
        order: Order = update.order
        decide(update, actor=actor)
    flash(said, "good")
    return _changed(order, actor)


def _changed(order: Order, actor: Actor) -> Response:
    """The updates, and the other parts of the page about them."""
    if not htmx.is_htmx():
        return redirect(url_of(order))
    tab = current_tab()
    beside = [part for part in live_parts(tab) if part != ASIDE]
    return parts("orders/_updates.html", *beside, **facts(order, actor, tab=tab))
