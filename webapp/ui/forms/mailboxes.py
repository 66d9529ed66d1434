"""The form of a mailbox."""

from typing import Any

from webapp.errors import Invalid
from webapp.i18n import lazy_gettext as _l
from webapp.mail.mailboxes import PORTS
from webapp.mail.models import Mailbox
from webapp.mail.server import PLAIN, STARTTLS, TLS
from webapp.ui import forms

_SECURITY = [(TLS, _l("TLS (993)")), (STARTTLS, _l("STARTTLS (143)")), (PLAIN, _l("None"))]


def mailbox_form(row: Mailbox | None = None, given: Any = None) -> forms.Form:
    """A new mailbox, or a known one, whose password is never drawn."""
    kept = _l("If this is empty, the stored password is used, as long as the server stays the same.") if row else ""
    fields = {
        "host": forms.text(_l("Mail server"), required=True, help=_l("IMAP, such as imap.example.com."), maxlength=250),
        "security": forms.choice(
            _l("Encryption"),
            _SECURITY,
            default=row.security if row else TLS,
            help=_l("Choose “None” only for a server on this computer or in the same network."),
        ),
        "port": forms.text(
            _l("Port"),
            help=_l("If this is empty, the usual port of the encryption is used."),
            inputmode="numeric",
            maxlength=5,
        ),
        "user": forms.text(_l("User name"), required=True, autocomplete="off", maxlength=250),
        "password": forms.secret(_l("Password"), required=row is None, help=kept, autocomplete="new-password"),
        "folder": forms.text(
            _l("Folder"), help=_l("If this is empty, INBOX is read."), autocomplete="off", maxlength=250
        ),
        "name": forms.text(
            _l("Name"),
            help=_l("The name of the mailbox in Waybill. If this is empty, the user name is used."),
            maxlength=100,
        ),
    }
    shown = ("host", "user", "folder", "name")
    data = {name: getattr(row, name) for name in shown} | {"port": str(row.port)} if row else {}
    return forms.Form(fields, given or None, data)


def mailbox_values(form: forms.Form) -> dict[str, Any]:
    """What was typed; raises `Invalid` for a port that is none."""
    values: dict[str, Any] = {name: form.text_of(name) for name in ("host", "user", "password", "folder", "name")}
    security = form.text_of("security")
    if security not in PORTS:
        raise Invalid(
            field="security", problem=_l("Choose one of these values: %(choices)s.", choices=", ".join(PORTS))
        )
    port = form.text_of("port").strip() or str(PORTS[security])
    if not port.isascii() or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise Invalid(field="port", problem=_l("Enter a port from 1 to 65535."))
    return values | {"security": security, "port": int(port)}
