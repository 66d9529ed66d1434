"""Doing anything by name: the ways through the desk that Ctrl K offers beside the acts of the page in sight.

A page's own acts are found on it by `palette.js`, which also filters; what is typed is sent nowhere. Without a script
the same ways stand on a page.
"""

import re
from dataclasses import asdict, dataclass

from flask import Blueprint, Response, jsonify, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from webapp.errors import Invalid
from webapp.i18n import gettext as _, lazy_gettext as _l
from webapp.orders.views import STANDING
from webapp.search.views import kept_for
from webapp.settings.services import groups
from webapp.ui.access import current_actor, may, needs
from webapp.ui.pages import page, shown_stores

bp = Blueprint("palette", __name__, url_prefix="/palette")
_NUMBER = re.compile(r"(?=\D*\d)[\w@-]{1,60}", re.ASCII)  # ours, a channel's, or @ and an id; no name of a buyer


@dataclass(frozen=True, slots=True)
class Way:
    """Somewhere to go, by its name; `about` says in which part of the desk it lies."""

    label: str
    url: str
    about: str = ""


class NoNumber(Invalid):
    """What was typed can't be the number of an order."""

    sentence = _l("That is no order number. Type ours or the channel's, or search for it.")


@bp.get("/")
@needs("orders.view")
def index() -> str | Response:
    """Every way, as a page or for the dialog."""
    ways = _ways()
    if request.accept_mimetypes.best_match(("text/html", "application/json")) == "application/json":
        return jsonify([asdict(way) for way in ways])
    return page("palette/index.html", ways=ways, error="")


@bp.post("/")
@needs("orders.view")
def open_order() -> AnyResponse | tuple[str, int]:
    """Go to the order of this number."""
    number = request.form.get("number", "").strip()
    if not _NUMBER.fullmatch(number):
        error = NoNumber()
        return page("palette/index.html", ways=_ways(), error=str(error), number=number), error.status
    return redirect(url_for("orders.show", number=number))


def _ways() -> list[Way]:
    return [*_main(), *_views(), *_stores(), *_settings()]


def _main() -> list[Way]:
    desk = _("Go to")
    ways = [Way(_("Dashboard"), url_for("dashboard.index"), desk), Way(_("Orders"), url_for("orders.index"), desk)]
    if may("stores.view"):
        ways += [Way(_("Stores"), url_for("stores.index"), desk), Way(_("Runs"), url_for("runs.index"), desk)]
    if may("orders.ship"):
        ways.append(Way(_("Ship from a list"), url_for("ship_list.give"), desk))
    if may("stores.edit"):
        ways.append(Way(_("Add a store"), url_for("stores.add"), desk))
    if may("plugins.view"):
        ways.append(Way(_("Plugins"), url_for("plugins.index"), desk))
    ways.append(Way(_("Orders report"), url_for("dashboard.report"), desk))
    ways.append(Way(_("Page language"), url_for("styleguide.index"), desk))
    return ways


def _views() -> list[Way]:
    views = [*STANDING, *kept_for(current_actor()).views]
    return [Way(str(view.name), url_for("orders.index", view=view.code), _("View")) for view in views]


def _stores() -> list[Way]:
    if not may("stores.view"):
        return []
    return [Way(store.name, url_for("stores.show", store_id=store.id), _("Store")) for store in shown_stores()]


def _settings() -> list[Way]:
    if not may("settings.edit"):
        return []
    here = url_for("settings.index")
    ways = [Way(_("Settings"), here, _("Go to"))]
    ways += [Way(_("Shops"), url_for("shops.index"), _("Settings"))]
    ways += [Way(_("Statuses"), url_for("labels.all_statuses"), _("Settings"))]
    ways += [Way(_("Tags"), url_for("labels.all_tags"), _("Settings"))]
    return ways + [Way(str(group.label), f"{here}#settings-{group.code}", _("Settings")) for group in groups()]
