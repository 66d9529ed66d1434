"""The plugins of this desk: those that were loaded, why others were left out, and their failures of the last week."""

from dataclasses import asdict
from typing import Any

from flask import Blueprint, current_app
from redis import RedisError

from webapp.hooks import failures
from webapp.hooks.discovery import PluginState
from webapp.hooks.registered import faults_of, is_ours
from webapp.i18n import LazyString, gettext as _, lazy_gettext as _l
from webapp.jobs.telling import waiting
from webapp.ui.frame.access import needs
from webapp.ui.frame.formats import number
from webapp.ui.frame.pages import page

bp = Blueprint("plugins", __name__, url_prefix="/plugins")


@bp.get("/")
@needs("plugins.view")
def index() -> str:
    """Every plugin that was found, with its failures."""
    try:
        failed, unknown = [_shown(failure) for failure in failures.recent()], False
    except RedisError:
        failed, unknown = [], True
    plugins = current_app.extensions["waybill.plugins"]
    faults = {plugin.name: faults_of(plugin.name) for plugin in plugins if not plugin.problem}
    return page(
        "desk/plugins/index.html", plugins=plugins, faults=faults, failures=failed, unknown=unknown, missed=waiting()
    )


def _shown(failure: failures.Failure) -> dict[str, Any]:
    """A failure in words."""
    slow = failure.problem == "slow"
    took, _space, limit = failure.detail.partition(" ")
    return {
        **asdict(failure),
        "plugin": _("Waybill itself") if is_ours(failure.plugin) else _label_of(failure.plugin),
        "place": PLACES.get(failure.place, failure.place),
        "at": failure.last_at,
        "slow": slow,
        "detail": _too_slow(took, limit) if slow else failure.detail,
    }


def _label_of(name: str) -> str:
    """A plugin's name for people; of one that is no longer found, its own."""
    plugins: list[PluginState] = current_app.extensions["waybill.plugins"]
    return next((plugin.label for plugin in plugins if plugin.name == name), name)


def _too_slow(took: str, limit: str) -> str:
    said: str = _("%(seconds)s s (limit: %(limit)s s)", seconds=number(float(took)), limit=number(float(limit)))
    return said


PLACES: dict[str, LazyString] = {
    "action": _l("Action"),
    "badge": _l("Badge"),
    "card": _l("Card"),
    "carriers": _l("Carriers"),
    "column": _l("Column"),
    "command": _l("Command"),
    "connection": _l("Connection"),
    "form": _l("Form"),
    "hook": _l("Hook"),
    "job": _l("Job"),
    "key": _l("Query key"),
    "label": _l("Label"),
    "link": _l("Link to the channel"),
    "marketplace": _l("Marketplace"),
    "migration": _l("Migration"),
    "order": _l("Order"),
    "page": _l("Page"),
    "panel": _l("Panel"),
    "process": _l("Process"),
    "provider": _l("Fulfillment provider"),
    "refusal": _l("Whether an action is possible"),
    "registration": _l("Registration"),
    "schedule": _l("Schedule"),
    "setting": _l("Setting"),
    "stream": _l("What is read"),
    "update": _l("What is sent"),
    "words": _l("Word source"),
}
