"""Mailboxes under Settings › Mail: where the desk reads what buyers answer."""

from flask import Blueprint, flash, request, url_for
from werkzeug.wrappers import Response

from webapp.db import unit_of_work
from webapp.errors import DeskError, sentence_of
from webapp.i18n import gettext as _
from webapp.mail import mailboxes
from webapp.messaging.jobs import read_mailboxes
from webapp.ui.forms import Form
from webapp.ui.forms.mailboxes import mailbox_form, mailbox_values
from webapp.ui.frame.access import current_actor, needs
from webapp.ui.frame.pages import page
from webapp.ui.frame.redirects import redirect

bp = Blueprint("mailboxes", __name__, url_prefix="/settings/mail/mailboxes")


@bp.get("/add")
@needs("settings.edit")
def add() -> str:
    """The form for a new mailbox."""
    mailboxes.check_right(current_actor())
    return page("desk/mail/mailbox.html", form=mailbox_form(), mailbox=None)


@bp.post("/add")
@needs("settings.edit")
def create() -> Response | tuple[str, int]:
    """Connect a mailbox, and read it at once."""
    form = mailbox_form(given=request.form)
    try:
        with unit_of_work():
            mailboxes.add(mailbox_values(form), actor=current_actor())
            read_mailboxes.enqueue()
    except DeskError as error:
        return _again(form, error)
    flash(_("The mailbox is connected; it is being read for the first time."), "good")
    return _back()


@bp.get("/<int(max=2147483647):mailbox_id>")
@needs("settings.edit")
def edit(mailbox_id: int) -> str:
    """The form to change a mailbox, and why it could not be read last time."""
    mailboxes.check_right(current_actor())
    row = mailboxes.get(mailbox_id)
    return page("desk/mail/mailbox.html", form=mailbox_form(row), mailbox=row, problem=sentence_of(row.problem))


@bp.post("/<int(max=2147483647):mailbox_id>")
@needs("settings.edit")
def change(mailbox_id: int) -> Response | tuple[str, int]:
    """Change a mailbox, and read it at once."""
    form = mailbox_form(mailboxes.get(mailbox_id), request.form)
    try:
        with unit_of_work():
            mailboxes.change(mailboxes.get(mailbox_id), mailbox_values(form), actor=current_actor())
            read_mailboxes.enqueue()
    except DeskError as error:
        return _again(form, error, mailbox_id)
    flash(_("Saved."), "good")
    return _back()


@bp.post("/<int(max=2147483647):mailbox_id>/test")
@needs("settings.edit")
def test(mailbox_id: int) -> Response:
    """Read a mailbox now; what came of it is shown beside it."""
    with unit_of_work():
        mailboxes.read_soon(mailboxes.get(mailbox_id), actor=current_actor())
        read_mailboxes.enqueue()
    return _back()


@bp.post("/<int(max=2147483647):mailbox_id>/remove")
@needs("settings.edit")
def remove(mailbox_id: int) -> Response:
    """Read a mailbox no more."""
    with unit_of_work():
        mailboxes.remove(mailboxes.get(mailbox_id), actor=current_actor())
    flash(_("The mailbox was removed. Mails that were read before are kept."), "good")
    return _back()


def _again(form: Form, error: DeskError, mailbox_id: int | None = None) -> tuple[str, int]:
    form.complain(error)
    row = mailboxes.get(mailbox_id) if mailbox_id is not None else None
    return page("desk/mail/mailbox.html", form=form, mailbox=row, problem=None), error.status


def _back() -> Response:
    return redirect(url_for("mail.index", _anchor="mailboxes"))
