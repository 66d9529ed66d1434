"""Forms of accounts: people who are added, and what everybody changes of their own account."""

from typing import Any

from webapp.audit.actor import ROLE_LABELS, ROLES, Actor
from webapp.i18n import lazy_gettext as _l
from webapp.ui import forms

PASSWORD_RULE = _l("At least 12 characters, of three kinds (a, A, 1, #), without your address in it.")


def invitation_form(actor: Actor, given: Any = None) -> forms.Form:
    """A new person: address, name, and a role that the actor may give."""
    fields = {
        "email": forms.text(_l("E-mail"), kind="email", required=True, autocomplete="off", autofocus=True),
        "name": forms.text(_l("Name"), autocomplete="off", maxlength=100),
        "role": forms.choice(_l("Role"), offered_roles(actor)),
    }
    return forms.Form(fields, given or None)


def role_form(actor: Actor, role: str, given: Any = None) -> forms.Form:
    """The role of somebody who is here."""
    return forms.Form({"role": forms.choice(_l("Role"), offered_roles(actor), default=role)}, given or None)


def offered_roles(actor: Actor) -> list[tuple[str, Any]]:
    """The roles that give no more rights than the actor has."""
    return [(code, label) for code, label in ROLE_LABELS.items() if ROLES[code] <= actor.rights]


def name_form(name: str, given: Any = None) -> forms.Form:
    fields = {"name": forms.text(_l("Name"), autocomplete="name", maxlength=100)}
    return forms.Form(fields, given or None, data={"name": name})


def email_form(email: str, given: Any = None) -> forms.Form:
    fields = {
        "email": forms.text(_l("E-mail"), kind="email", required=True, autocomplete="username"),
        "present": forms.secret(_l("Present password"), required=True, autocomplete="current-password"),
    }
    return forms.Form(fields, given or None, data={"email": email}, prefix="email")


def password_form(given: Any = None) -> forms.Form:
    fields = {
        "present": forms.secret(_l("Present password"), required=True, autocomplete="current-password"),
        "password": forms.secret(_l("New password"), required=True, help=PASSWORD_RULE, autocomplete="new-password"),
    }
    return forms.Form(fields, given or None, prefix="password")
