"""Roles in the browser, under Settings › People: the rights of each, and who has it."""

from typing import Any

from flask import Blueprint, flash, request, url_for
from werkzeug.wrappers import Response

from webapp.accounts import roles
from webapp.accounts.refund_limits import FIELD, written
from webapp.accounts.services import REFUNDING
from webapp.audit.rights import OWNER, rights_of_built_in
from webapp.db import unit_of_work
from webapp.errors import DeskError
from webapp.i18n import gettext as _
from webapp.ui.forms import Form
from webapp.ui.forms.people import VERSION, new_role_form, rights_form
from webapp.ui.frame.access import current_actor, needs
from webapp.ui.frame.pages import page
from webapp.ui.frame.redirects import redirect

bp = Blueprint("roles", __name__, url_prefix="/settings/people/roles")


@bp.get("/")
@needs("users.edit")
def index() -> str:
    """The roles, the rights of each, and the number of people with it."""
    found = roles.roles()
    context: dict[str, Any] = {
        "roles": found.values(),
        "people": roles.people_by_role(),
        "owner": OWNER,
        "editable": roles.may_change(current_actor()),
        "limits": {code: written(row.limits) for code, row in found.items() if REFUNDING in row.rights},
    }
    return page("desk/people/roles.html", **context)


@bp.get("/add")
@needs("roles.edit")
def add() -> str:
    """The form for a new role."""
    return page("desk/people/add_role.html", form=new_role_form())


@bp.post("/add")
@needs("roles.edit")
def create() -> Response | tuple[str, int]:
    """Add a role and redirect to its rights."""
    form = new_role_form(request.form)
    try:
        with unit_of_work():
            code = roles.add_role(form.text_of("name"), form.text_of("like"), actor=current_actor())
    except DeskError as error:
        form.complain(error)
        return page("desk/people/add_role.html", form=form), error.status
    flash(_("The role was added. Choose its rights."), "good")
    return redirect(url_for(".show", code=code))


@bp.get("/<code>")
@needs("users.edit")
def show(code: str) -> str:
    """The rights of a role."""
    return _show(code)


@bp.post("/<code>")
@needs("roles.edit")
def change(code: str) -> Response | tuple[str, int]:
    """Set the rights of a role to those that were ticked."""
    form = rights_form(roles.get_role(code), request.form)
    try:
        with unit_of_work():
            name = form.text_of("name") if "name" in form else None
            version = form.text_of(VERSION) or None
            chosen = form["rights"].data or []
            limits = form.text_of(FIELD) if FIELD in request.form else None
            roles.change_role_rights(code, chosen, actor=current_actor(), name=name, version=version, limits=limits)
    except DeskError as error:
        if isinstance(error, roles.RoleChanged):
            form[VERSION].data = roles.get_role(code).version
        form.complain(error)
        return _show(code, form), error.status
    flash(_("The role was changed and applies from now on."), "good")
    return redirect(url_for(".show", code=code))


@bp.post("/<code>/reset")
@needs("roles.edit")
def reset(code: str) -> Response:
    """Reset a built-in role to its original rights."""
    with unit_of_work():
        role = roles.get_role(code)
        roles.change_role_rights(code, rights_of_built_in(role.base), actor=current_actor(), limits="")
    flash(_("The rights of the role were reset."), "good")
    return redirect(url_for(".show", code=code))


@bp.post("/<code>/delete")
@needs("roles.edit")
def delete(code: str) -> Response | tuple[str, int]:
    """Delete a role that nobody has."""
    try:
        with unit_of_work():
            roles.delete_role(code, actor=current_actor())
    except roles.RoleInUse as error:
        form = rights_form(roles.get_role(code))
        form.complain(error)
        return _show(code, form), error.status
    flash(_("The role is deleted."), "good")
    return redirect(url_for(".index"))


def _show(code: str, form: Form | None = None) -> str:
    role = roles.get_role(code)
    context: dict[str, Any] = {
        "role": role,
        "base": roles.get_role(role.base),
        "owner": OWNER,
        "people": roles.people_by_role().get(code, 0),
        "editable": roles.may_change(current_actor()),
        "form": form or rights_form(role),
        "limits": written(role.limits),
    }
    return page("desk/people/role.html", **context)
