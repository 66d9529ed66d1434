"""Mail under Settings: the server, a test, the mailboxes that are read, and what became of the latest mails."""

from typing import Any

from flask import Blueprint, flash, url_for
from werkzeug.wrappers import Response

from webapp.db import unit_of_work
from webapp.errors import DeskError, sentence_of
from webapp.i18n import gettext as _
from webapp.mail import mailboxes, queue
from webapp.mail.composing import trial_letter
from webapp.mail.jobs import send_mail
from webapp.mail.models import STATE_LABELS, STATE_TONES, UNSENT_STATES, MailState
from webapp.mail.server import MAIL, MailNotSetUp, caught_by, is_set_up
from webapp.settings.declared import DESK
from webapp.ui.desk.settings import group_form_of, stored_form
from webapp.ui.forms.settings import SettingsForm
from webapp.ui.frame.access import current_actor, current_person, needs
from webapp.ui.frame.pages import page
from webapp.ui.frame.redirects import redirect

bp = Blueprint("mail", __name__, url_prefix="/settings/mail")
SHOWN = 50


@bp.get("/")
@needs("settings.edit")
def index() -> str:
    """The mail server of the desk, and the latest mails."""
    return _page()


@bp.post("/")
@needs("settings.edit")
def change() -> Response | tuple[str, int]:
    """Store how the desk sends mail."""
    form, status = stored_form(DESK, MAIL.code)
    if status != 200:
        return _page(form), status
    flash(_("Saved."), "good")
    return redirect(url_for(".index"))


@bp.post("/test")
@needs("settings.edit")
def test() -> Response:
    """Send a mail to the person who asks."""
    try:
        with unit_of_work():
            if not is_set_up():
                raise MailNotSetUp
            queue.put(queue.TEST, trial_letter(current_person().email))
            send_mail.enqueue()
    except DeskError as error:
        flash(str(error), "bad")
    return redirect(url_for(".index", _anchor="latest"))


@bp.post("/<int(max=2147483647):mail_id>/again")
@needs("settings.edit")
def again(mail_id: int) -> Response:
    """Send a mail once more that was refused, or may not have arrived."""
    try:
        with unit_of_work():
            queue.send_again(mail_id, actor=current_actor())
            send_mail.enqueue()
    except DeskError as error:
        if error.status == 404:
            raise
        flash(str(error), "bad")
    return redirect(url_for(".index", _anchor="latest"))


def _page(typed: SettingsForm | None = None) -> str:
    mails = queue.latest(SHOWN)
    context: dict[str, Any] = {
        "group": group_form_of(MAIL, url_for(".change"), typed=typed),
        "mailboxes": [
            {
                "row": row,
                "problem": sentence_of(row.problem) or "",
                "reading": row.claim is not None or (row.read_at is None and not row.problem),
            }
            for row in mailboxes.every()
        ]
        if mailboxes.may_see(current_actor())
        else None,
        "mails": [
            {
                "row": row,
                "kind": queue.kind_name(row.kind),
                "problem": sentence_of(row.problem) or "",
                "waits": row.state in UNSENT_STATES,
                "again": row.state in (MailState.REFUSED, MailState.UNKNOWN) and row.source_id is None,
            }
            for row in mails
        ],
        "shown": SHOWN,
        "caught": caught_by() is not None,
        "states": STATE_LABELS,
        "tones": STATE_TONES,
    }
    return page("desk/mail/index.html", **context)
