"""The settings of the desk that plugins and the core declare, each group a form of its own."""

from flask import Blueprint, flash, request, url_for
from werkzeug.wrappers import Response

from webapp.db import unit_of_work
from webapp.errors import DeskError, NotFound
from webapp.i18n import gettext as _
from webapp.settings.services import SettingsGroup, change_desk, groups
from webapp.ui.forms.settings import group_form
from webapp.ui.frame.access import current_actor, needs
from webapp.ui.frame.pages import page
from webapp.ui.frame.redirects import redirect

bp = Blueprint("settings", __name__, url_prefix="/settings")


@bp.get("/")
@needs("settings.edit")
def index() -> str:
    """Every group with its values."""
    return page(
        "desk/settings/index.html", forms={group.code: group_form(group) for group in groups()}, groups=groups()
    )


@bp.post("/<code>")
@needs("settings.edit")
def change(code: str) -> Response | tuple[str, int]:
    """Store one group's values."""
    group = _found(code)
    form = group_form(group, request.form)
    try:
        with unit_of_work():
            change_desk(group, form.values, actor=current_actor())
    except DeskError as error:
        form.complain(error)
        forms = {other.code: form if other.code == code else group_form(other) for other in groups()}
        return page("desk/settings/index.html", forms=forms, groups=groups()), error.status
    flash(_("Saved."), "good")
    return redirect(url_for(".index"))


def _found(code: str) -> SettingsGroup:
    for group in groups():
        if group.code == code:
            return group
    raise NotFound(name=code)
