"""The control API of mail under /practice: read what was caught, answer as the buyer, and break things."""

from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response, abort, jsonify

from plugins.amazon.practice import answering
from plugins.amazon.practice.api import the_practice
from plugins.amazon.practice.buyer_mails import BadAnswer, Original
from plugins.amazon.practice.control import BadRequest, catch_up, only_from_here, posted_json, refused
from plugins.amazon.practice.mail_faults import BadMailFault
from plugins.amazon.practice.mail_reading import read
from plugins.amazon.practice.mail_servers import HOST
from plugins.amazon.practice.marketplaces import MAILBOX, MAILBOX_PASSWORD

bp = Blueprint("mail_control", __name__, url_prefix="/practice")
bp.before_request(only_from_here)
bp.before_request(catch_up)
for _error in (BadRequest, BadAnswer, BadMailFault):
    bp.register_error_handler(_error, refused)


def servers() -> dict[str, dict[str, Any]]:
    """Where the mail server and the mailbox are."""
    practice = the_practice()
    return {
        "smtp": {"host": HOST, "port": practice.smtp_port},
        "imap": {"host": HOST, "port": practice.imap_port, "user": MAILBOX, "password": MAILBOX_PASSWORD},
    }


@bp.get("/mail/servers")
def mail_servers() -> Response:
    """Where the mail server and the mailbox are."""
    return jsonify(servers())


@bp.get("/mails")
def mails() -> Response:
    """The caught mails, newest first, without their texts."""
    return jsonify(mails=[asdict(mail) for mail in the_practice().mail.caught()])


@bp.get("/mails/<int:mail_id>")
def show(mail_id: int) -> Response:
    """A caught mail: what it says, and as it was received."""
    found = the_practice().mail.mail(mail_id)
    if found is None:
        abort(404)
    mail, raw = found
    return jsonify(asdict(mail) | asdict(read(raw)) | {"raw": raw.decode("latin-1")})


@bp.get("/mailbox")
def mailbox() -> Response:
    """What is in the mailbox."""
    box = the_practice().mail
    return jsonify(mails=[asdict(mail) for mail in box.mailbox()], uid_validity=box.uid_validity)


@bp.post("/answers")
def answer() -> tuple[Response, int]:
    """The buyer answers a caught mail (`mail_id`), or a message about an order (`order_id`): `how` is one of
    `buyer_mails.HOWS`; what is answered is quoted below `text`.
    """
    asked, practice = posted_json(), the_practice()
    mail_id, order_id = asked.get("mail_id"), str(asked.get("order_id") or "")
    original: Original | None
    if type(mail_id) is int:
        original = answering.of_mail(practice, mail_id, order_id)
    elif order_id:
        original = answering.of_order(practice, order_id)
    else:
        raise BadRequest("An answer has mail_id or order_id, and how, subject and text.")
    if original is None:
        abort(404)
    text = f"{asked.get('text', '')}\n\n{original.quote}".rstrip() + "\n"
    how, subject = str(asked.get("how", "plain")), str(asked.get("subject") or "")
    return jsonify(uid=answering.answer(practice, original, how, subject, text)), 201


@bp.get("/mail/faults")
def faults() -> Response:
    """The current faults of mail."""
    return jsonify(faults=the_practice().mail_faults.all())


@bp.post("/mail/faults")
def break_something() -> tuple[Response, int]:
    """Queue a fault of mail: kind, times, seconds."""
    asked = posted_json()
    kind, times, seconds = asked.get("kind"), asked.get("times", 1), asked.get("seconds", 0)
    if not isinstance(kind, str) or not isinstance(times, int) or not isinstance(seconds, int | float):
        raise BadRequest("A fault of mail has kind, times and seconds.")
    fault = the_practice().mail_faults.add(kind, times=times, seconds=seconds)
    return jsonify(asdict(fault)), 201


@bp.delete("/mail/faults")
def mend() -> tuple[str, int]:
    """Remove all faults of mail."""
    the_practice().mail_faults.clear()
    return "", 204
