"""Forms of accounts: adding people, and changing one's own account."""

from collections.abc import Sequence
from typing import Any

from webapp.accounts.refund_limits import FIELD, written
from webapp.accounts.roles import RoleRow, roles
from webapp.audit.actor import Actor
from webapp.audit.rights import OWNER, rights
from webapp.channels.models import Shop
from webapp.errors import Invalid
from webapp.i18n import lazy_gettext as _l
from webapp.ui import forms

VERSION = "version"  # the hidden field with the version of a role that the person saw
PASSWORD_RULE = _l("Use at least 12 characters of three kinds (a, A, 1, #), without your e-mail address.")


def invitation_form(actor: Actor, shops: Sequence[Shop], given: Any = None) -> forms.Form:
    """A new person: address, name, a role that the actor may give, and the shops to work for if there are several."""
    fields = {
        "email": forms.text(_l("E-mail"), kind="email", required=True, autocomplete="off", autofocus=True),
        "name": forms.text(_l("Name"), autocomplete="off", maxlength=100),
        "role": forms.choice(_l("Role"), offered_roles(actor)),
    }
    more = _shop_fields(actor, shops) if len(shops) > 1 or actor.shops is not None else {}
    return forms.Form(fields | more, given or None, data={"all_shops": actor.shops is None})


def role_form(actor: Actor, role: str, given: Any = None) -> forms.Form:
    """The role of an existing person."""
    return forms.Form({"role": forms.choice(_l("Role"), offered_roles(actor), default=role)}, given or None)


def offered_roles(actor: Actor) -> list[tuple[str, Any]]:
    """The roles with no more rights than the actor has."""
    limited = actor.shops is not None
    return [
        (code, role.label)
        for code, role in roles().items()
        if all(map(actor.may, role.rights)) and not (code == OWNER and limited)
    ]


def shops_form(actor: Actor, shops: Sequence[Shop], chosen: Sequence[int] | None, given: Any = None) -> forms.Form:
    """The shops for which a person works: all of them, or the ticked ones."""
    data = {"all_shops": chosen is None, "shops": [str(shop_id) for shop_id in chosen or ()]}
    return forms.Form(_shop_fields(actor, shops), given or None, data=data)


def chosen_shops(form: forms.Form) -> list[int] | None:
    """The input of such a form: ids, or None for all; raises `Invalid` if nothing is ticked, or both kinds are."""
    if "shops" not in form:
        return None
    offered = {str(choice.value) for choice in form["shops"].choices}
    chosen = [int(one) for one in form["shops"].data or () if one in offered]
    every = "all_shops" in form and form["all_shops"].data
    if every and chosen:
        raise Invalid(field="shops", problem=_l("Choose all shops or some of them, not both."))
    if not every and not chosen:
        raise Invalid(field="shops", problem=_l("Choose at least one."))
    return None if every else chosen


def _shop_fields(actor: Actor, shops: Sequence[Shop]) -> dict[str, Any]:
    every = {"all_shops": forms.tick(_l("All shops, including future ones"))} if actor.shops is None else {}
    named = [(str(shop.id), shop.name) for shop in shops]
    return every | {"shops": forms.choices(_l("Only these shops") if every else _l("Shops"), named)}


def new_role_form(given: Any = None) -> forms.Form:
    """A new role: its name, and the role whose rights it begins with."""
    known = [(code, role.label) for code, role in roles().items() if code != OWNER]
    fields = {
        "name": forms.text(_l("Name"), required=True, autocomplete="off", maxlength=100, autofocus=True),
        "like": forms.choice(_l("Copy the rights of"), known),
    }
    return forms.Form(fields, given or None)


def rights_form(role: RoleRow, given: Any = None) -> forms.Form:
    """A checkbox for each right, the limits of refunds, and the version that the person sees; a role that was added
    also has a name field.
    """
    offered = [(code, right.label) for code, right in rights().items()]
    name = {} if role.built_in else {"name": forms.text(_l("Name"), required=True, autocomplete="off", maxlength=100)}
    fields = name | {
        "rights": forms.choices(_l("Users with this role may"), offered),
        FIELD: forms.text(
            _l("Refunds without approval up to"),
            autocomplete="off",
            maxlength=200,
            help=_l(
                "The limit is for each refund, not for a whole order, such as “50 EUR, 60 USD”. Another user "
                "must approve refunds above the limit and refunds in other currencies. If this is empty, "
                "there is no limit."
            ),
        ),
        VERSION: forms.hidden(role.version),
    }
    data = {"name": str(role.label), "rights": sorted(role.rights), FIELD: written(role.limits)}
    return forms.Form(fields, given or None, data=data)


def name_form(name: str, given: Any = None) -> forms.Form:
    fields = {"name": forms.text(_l("Name"), autocomplete="name", maxlength=100)}
    return forms.Form(fields, given or None, data={"name": name})


def email_form(email: str, given: Any = None) -> forms.Form:
    fields = {
        "email": forms.text(_l("E-mail"), kind="email", required=True, autocomplete="username"),
        "present": forms.secret(_l("Current password"), required=True, autocomplete="current-password"),
    }
    return forms.Form(fields, given or None, data={"email": email}, prefix="email")


def password_form(given: Any = None) -> forms.Form:
    fields = {
        "present": forms.secret(_l("Current password"), required=True, autocomplete="current-password"),
        "password": forms.secret(_l("New password"), required=True, help=PASSWORD_RULE, autocomplete="new-password"),
    }
    return forms.Form(fields, given or None, prefix="password")
