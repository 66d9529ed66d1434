"""Channel updates in the browser: sending one again, or closing it. What they are stands on their order's page."""

from flask import Blueprint, flash
from werkzeug.wrappers import Response

from webapp.audit.actor import Actor
from webapp.db import unit_of_work
from webapp.i18n import gettext as _
from webapp.orders.models import Order
from webapp.sync import jobs
from webapp.sync.models import UpdateState
from webapp.sync.updates import close as close_update, find_update, retry as send_again
from webapp.ui.frame import htmx
from webapp.ui.frame.access import current_actor, needs
from webapp.ui.frame.pages import parts
from webapp.ui.frame.redirects import redirect
from webapp.ui.orders.order_page import ASIDE, current_tab, facts, live_parts, url_of

bp = Blueprint("updates", __name__)


@bp.post("/updates/<int:update_id>/retry")
@needs("updates.retry")
def retry(update_id: int) -> Response:
    """Send a refused update again; of one whose fate is unknown, find that out first."""
    actor = current_actor()
    with unit_of_work():
        update = find_update(update_id, actor)
        order: Order = update.order
        send_again(update, actor=actor)
        work = jobs.deliver if update.state == UpdateState.OWED else jobs.look_up
        work.enqueue(update.store_id, update.kind)
    flash(_("It is being sent again."), "good")
    return _changed(order, actor)


@bp.post("/updates/<int:update_id>/close")
@needs("updates.retry")
def close(update_id: int) -> Response:
    """Leave a refused update, or one that was never confirmed, at that."""
    actor = current_actor()
    with unit_of_work():
        update = find_update(update_id, actor)
        order: Order = update.order
        close_update(update, actor=actor)
    flash(_("It is closed: nothing more is sent of it."), "good")
    return _changed(order, actor)


def _changed(order: Order, actor: Actor) -> Response:
    """The updates, and what else of the page tells of them."""
    if not htmx.is_htmx():
        return redirect(url_of(order))
    tab = current_tab()
    beside = [part for part in live_parts(tab) if part != ASIDE]
    return parts("orders/_updates.html", *beside, **facts(order, actor, tab=tab))
