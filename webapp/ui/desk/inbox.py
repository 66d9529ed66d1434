"""The inbox: mails that fit no order, to be put to one or dismissed."""

from typing import Any

from flask import Blueprint, flash, request, url_for
from werkzeug.wrappers import Response

from webapp.clock import iso, parse_instant
from webapp.db import unit_of_work
from webapp.errors import DeskError, NotFound, sentence_of
from webapp.i18n import gettext as _, lazy_gettext as _l
from webapp.messaging import inbox
from webapp.messaging.inbox import InboxMail
from webapp.messaging.models import UNREADABLE
from webapp.messaging.received_words import UnknownInboxMail
from webapp.messaging.services import SENDING
from webapp.orders.queries import reference
from webapp.ui.forms import Form, text
from webapp.ui.frame.access import current_actor, needs
from webapp.ui.frame.pages import page
from webapp.ui.frame.redirects import redirect
from webapp.ui.orders.received_messages import SORTS, file_response, sender_of, shown_files

bp = Blueprint("inbox", __name__, url_prefix="/inbox")
PREVIEW = 140  # characters


@bp.get("/")
@needs(SENDING)
def index() -> str:
    """The mails that wait, newest first, a page at a time."""
    found = inbox.list_inbox(current_actor(), before=_before(), limit=inbox.PAGE + 1)
    shown, more = found[: inbox.PAGE], len(found) > inbox.PAGE
    older = f"{iso(shown[-1].row.received_at)} {shown[-1].row.id}" if more else ""
    return page(
        "desk/inbox/index.html", mails=[_listed(mail) for mail in shown], older=older, begun=_before() is not None
    )


@bp.get("/<int(max=2147483647):mail_id>")
@needs(SENDING)
def show(mail_id: int) -> str:
    """One mail, and the form that puts it to an order."""
    return _show(inbox.find_mail(mail_id, current_actor()), _form())


@bp.post("/<int(max=2147483647):mail_id>/order")
@needs(SENDING)
def put_to_order(mail_id: int) -> Response | tuple[str, int]:
    """Put a mail to an order, and show it there."""
    form, actor = _form(request.form), current_actor()
    try:
        with unit_of_work():
            number = reference(inbox.put_to_order(mail_id, form.text_of("number"), actor=actor))
    except DeskError as error:
        if isinstance(error, UnknownInboxMail):
            raise
        form["number"].errors = [str(error)]
        return _show(inbox.find_mail(mail_id, actor), form), 422 if isinstance(error, NotFound) else error.status
    return redirect(url_for("orders.show", number=number, tab="messages"))


@bp.post("/<int(max=2147483647):mail_id>/dismiss")
@needs(SENDING)
def dismiss(mail_id: int) -> Response:
    """Take a mail out of the inbox."""
    with unit_of_work():
        inbox.dismiss(mail_id, actor=current_actor())
    flash(_("The mail was dismissed."), "good")
    return redirect(url_for(".index"))


@bp.get("/<int(max=2147483647):mail_id>/files/<int(max=99):position>")
@needs(SENDING)
def file(mail_id: int, position: int) -> Response:
    """A file that came with a mail, to be saved."""
    found = inbox.find_mail(mail_id, current_actor())
    return file_response(found.row, found.said, position)


def _form(given: Any = None) -> Form:
    help = _l("Your order number or the channel's.")
    return Form({"number": text(_l("Order number"), required=True, help=help, maxlength=60, autocomplete="off")}, given)


def _before() -> Any:
    at, _space, mail_id = request.args.get("before", "").partition(" ")
    if not mail_id.isdecimal() or len(mail_id) > 9:
        return None
    try:
        return parse_instant(at), int(mail_id)
    except (ValueError, OverflowError):
        return None


def _listed(mail: InboxMail) -> dict[str, Any]:
    said = mail.said
    unreadable = mail.row.sort == UNREADABLE
    return {
        "id": mail.row.id,
        "at": mail.row.received_at,
        "kind": SORTS.get(mail.row.sort, mail.row.sort),
        "sort": mail.row.sort,
        "from": sender_of(said),
        "subject": said["subject"] if said else "",
        "preview": "" if unreadable or not said else " ".join(said["text"][: PREVIEW * 2].split())[:PREVIEW],
        "problem": sentence_of(mail.row.problem) or "",
        "mailbox": mail.row.mailbox.name if mail.row.mailbox else "",
    }


def _show(mail: InboxMail, form: Form) -> str:
    said = mail.said
    shown = _listed(mail) | {
        "text": said["text"] if said else None,
        "quoted": said["quoted"] if said else "",
        "whole": said["whole"] if said else True,
        "files": shown_files(said, lambda at: url_for(".file", mail_id=mail.row.id, position=at)),
        "expires_at": mail.row.expires_at,
    }
    return page("desk/inbox/show.html", mail=shown, form=form)
