"""What is printed, as pages that a browser prints: packing slips of one order or of many."""

from typing import Any

from flask import Blueprint, flash, g, render_template, request
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from webapp.channels.described import service_label
from webapp.channels.services import channel_name
from webapp.documents import packing
from webapp.documents.packing import Slip, Slips
from webapp.errors import NotFound
from webapp.orders.bulk import NothingChosen
from webapp.orders.queries import find_order
from webapp.ui.frame.access import current_actor, needs
from webapp.ui.frame.languages import spoken
from webapp.ui.frame.pages import page
from webapp.ui.frame.redirects import redirect
from webapp.ui.lists.chosen import Chosen
from webapp.ui.orders import shown
from webapp.ui.orders.order_page import url_of

bp = Blueprint("documents", __name__)
PAPERS = {"a4": "A4", "letter": "Letter"}


@bp.get("/orders/<number>/packing-slip")
@needs("orders.view")
def packing_slip(number: str) -> str:
    """The packing slip of one order, or of one of its packages."""
    actor, package = current_actor(), request.args.get("package", type=int)
    order = find_order(number, actor)
    found = packing.slips_for(actor, ids=[order.id], package=package)
    if not (found.slips or found.refused):
        raise NotFound(name=package)
    return _page(found, url_of(order), Chosen(ids=[order.id]))


@bp.get("/orders/packing-slips")
@needs("orders.view")
def packing_slips() -> str | AnyResponse:
    """The packing slips of what was chosen in the list."""
    actor, chosen = current_actor(), Chosen.read()
    if not (chosen.everything or chosen.ids):
        flash(str(NothingChosen()), "warn")
        return redirect(chosen.list_url())
    return _page(packing.slips_for(actor, **chosen.where(actor)), chosen.back_url, chosen)


def _page(found: Slips, back: str, chosen: Chosen) -> str:
    wanted = request.args.get("paper", "")
    paper = wanted if wanted in PAPERS else ""
    return page(
        "lists/documents/packing_slips.html",
        slips=[_drawn(slip, paper or slip.paper) for slip in found.slips],
        refused=[(shown.ShownOrder(order), refusal) for order, refusal in found.refused],
        more=found.more,
        most=packing.MOST,
        back=back,
        chosen=chosen,
        papers=PAPERS,
        paper=paper or (found.slips[0].paper if found.slips else "a4"),
    )


def _drawn(slip: Slip, paper: str) -> Markup:
    """A slip in the language of the marketplace that its buyer bought on."""
    with spoken(slip.language):
        around: dict[str, Any] = {
            "slip": slip,
            "order": slip.order,
            "paper": paper,
            "channel_name": channel_name(slip.order.store.channel),
            "service": service_label(slip.order.store.channel, slip.order.service_level),
            "address": shown.address_of(slip.address),
        }
        g.zone = slip.order.shop.zone
        return Markup(render_template("lists/documents/_packing_slip.html", **around))  # noqa: S704 - drawn by a template
