"""Settings that plugins and the core declare, each group a form: the desk's here, others with their shop or store."""

from collections.abc import Callable, Collection
from typing import Any

from flask import Blueprint, flash, request, url_for
from werkzeug.wrappers import Response

from webapp.db import unit_of_work
from webapp.errors import DeskError
from webapp.hooks.fence import PluginFailed
from webapp.i18n import gettext as _
from webapp.mail.server import MAIL
from webapp.settings.declared import DESK, SettingsGroup
from webapp.settings.services import change as change_settings, find_group, groups
from webapp.ui.forms.settings import SettingsForm, group_form
from webapp.ui.frame.access import current_actor, needs
from webapp.ui.frame.pages import page
from webapp.ui.frame.redirects import redirect

bp = Blueprint("settings", __name__, url_prefix="/settings")


@bp.get("/")
@needs("settings.edit")
def index() -> str:
    """Every group of the desk with its values."""
    return _page()


@bp.post("/<code>")
@needs("settings.edit")
def change(code: str) -> Response | tuple[str, int]:
    """Store one group's values."""
    form, status = stored_form(DESK, code)
    if status != 200:
        return _page({code: form}), status
    flash(_("Saved."), "good")
    return redirect(url_for(".index"))


def _page(typed: dict[str, SettingsForm] | None = None) -> str:
    return page("desk/settings/index.html", groups=group_forms(DESK, _url_of, typed=typed, but=(MAIL,)))


def _url_of(code: str) -> str:
    return url_for("settings.change", code=code)


def group_forms(
    scope: str,
    url_of: Callable[[str], str],
    subject: Any = None,
    typed: dict[str, SettingsForm] | None = None,
    but: Collection[SettingsGroup] = (),
) -> list[dict[str, Any]]:
    """The groups of a scope as a page draws them: each with its form, or the one that was typed, and its address;
    without those that the page draws with more around them, and those without a setting for this shop or store.
    """
    shown = [
        group_form_of(group, url_of(group.code), subject, (typed or {}).get(group.code))
        for group in groups(scope)
        if group not in but
    ]
    return [one for one in shown if one["form"] is None or one["form"].declared]


def group_form_of(
    group: SettingsGroup, url: str, subject: Any = None, typed: SettingsForm | None = None
) -> dict[str, Any]:
    """A group as a page draws it: with its form, or the one that was typed, and its address."""
    form, problem = typed, ""
    try:
        form = form or group_form(group, subject=subject)
    except PluginFailed as failed:
        problem = str(failed)
    return {"code": group.code, "label": group.label, "url": url, "form": form, "problem": problem}


def stored_form(scope: str, code: str, find: Callable[[], Any] = lambda: None) -> tuple[SettingsForm, int]:
    """The form of a group as it was sent, and whether it was stored. `find` returns its shop or store."""
    group = find_group(scope, code)
    form = group_form(group, request.form, find())
    try:
        with unit_of_work():
            change_settings(group, form.values, find(), unset=form.unset, actor=current_actor())
    except DeskError as error:
        form.complain(error)
        return form, error.status
    return form, 200
