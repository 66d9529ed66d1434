"""Channel updates in the browser: undoing one, sending it now or again, closing it, or stating that it happened or was
done elsewhere.

They are shown on their order's page. Each update's kind names the right that is needed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from flask import Blueprint, flash
from werkzeug.wrappers import Response

from webapp.audit.actor import Actor
from webapp.db import unit_of_work
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.orders.models import Order
from webapp.sync import jobs
from webapp.ui.frame import htmx
from webapp.ui.frame.access import current_actor, needs
from webapp.ui.frame.pages import parts
from webapp.ui.frame.redirects import redirect
from webapp.ui.orders.order_page import ASIDE, INVOICES, REFUNDS, current_tab, facts, live_parts, url_of
from webapp.updates import deciding
from webapp.updates.models import ChannelUpdate
from webapp.updates.queries import find_update

bp = Blueprint("updates", __name__)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person can decide about updates: its name where many are chosen, and what is said once it is done."""

    code: str
    label: LazyString
    icon: str
    about: LazyString
    said: LazyString
    decide: Callable[..., None]


DECISIONS = {
    one.code: one
    for one in (
        Decision(
            "undo",
            _l("Undo"),
            "history",
            _l(
                "These updates are not sent, and their shipments are undone. Only updates that have not been "
                "sent can be undone."
            ),
            _l("The update is undone. Nothing was sent."),
            deciding.undo,
        ),
        Decision(
            "send",
            _l("Send now"),
            "rocket",
            _l("These updates are sent before their time, as soon as the channel accepts them."),
            _l("The update is being sent."),
            deciding.send_now,
        ),
        Decision(
            "retry",
            _l("Try again"),
            "refresh",
            _l("Refused updates are sent again. Updates with an unknown result are checked first."),
            _l("The update is being sent again."),
            jobs.send_again,
        ),
        Decision(
            "confirm",
            _l("Mark as done"),
            "check",
            _l(
                "You confirm that these updates took effect, although the channel does not show it. They are not "
                "sent again."
            ),
            _l("The update counts as done. It is not sent again."),
            deciding.confirm,
        ),
        Decision(
            "elsewhere",
            _l("Done elsewhere"),
            "external-link",
            _l("You confirm that these changes were made directly on the channel. The updates are not sent again."),
            _l("The update counts as done elsewhere. It is not sent again."),
            deciding.elsewhere,
        ),
        Decision(
            "close",
            _l("Close without sending again"),
            "x",
            _l("You confirm that these updates did not take effect. They are never sent again."),
            _l("The update is closed. It is not sent again."),
            deciding.close,
        ),
    )
}


@bp.post("/updates/<int:update_id>/retry")
@needs("orders.view")
def retry(update_id: int) -> Response:
    """Send a refused update again; one whose result is unknown is looked up first."""
    return _decided(update_id, DECISIONS["retry"])


@bp.post("/updates/<int:update_id>/close")
@needs("orders.view")
def close(update_id: int) -> Response:
    """Close an update that was refused or never confirmed: it did not happen."""
    return _decided(update_id, DECISIONS["close"])


@bp.post("/updates/<int:update_id>/confirm")
@needs("orders.view")
def confirm(update_id: int) -> Response:
    """Record that an update which was never confirmed did happen."""
    return _decided(update_id, DECISIONS["confirm"])


@bp.post("/updates/<int:update_id>/elsewhere")
@needs("orders.view")
def elsewhere(update_id: int) -> Response:
    """Record that what the channel refused was done at the channel itself."""
    return _decided(update_id, DECISIONS["elsewhere"])


@bp.post("/updates/<int:update_id>/undo")
@needs("orders.view")
def undo(update_id: int) -> Response:
    """Withdraw an update before it leaves."""
    return _decided(update_id, DECISIONS["undo"])


@bp.post("/updates/<int:update_id>/send")
@needs("orders.view")
def send(update_id: int) -> Response:
    """Send a held update before its time."""
    return _decided(update_id, DECISIONS["send"])


def _decided(update_id: int, decision: Decision) -> Response:
    actor = current_actor()
    with unit_of_work():
        update: ChannelUpdate = find_update(update_id, actor)
        order: Order = update.order
        decision.decide(update, actor=actor)
    flash(str(decision.said), "good")
    return _changed(order, actor)


def _changed(order: Order, actor: Actor) -> Response:
    """The updates, or the tab of the documents that they upload, and the other parts of the page about them."""
    if not htmx.is_htmx():
        return redirect(url_of(order))
    tab = current_tab()
    beside = [part for part in live_parts(tab) if part != ASIDE]
    shown = "orders/_tab.html" if tab in (INVOICES, REFUNDS) else "orders/_updates.html"
    return parts(shown, *beside, **facts(order, actor, tab=tab))
