"""The pages of mail: what was caught, one mail as text, and a form to answer it as the buyer.

A mail is shown as text only: HTML of a mail is shown as its source.
"""

from collections.abc import Callable
from typing import Any, Final

from flask import Blueprint, abort, flash, get_flashed_messages, redirect, render_template, request, url_for
from flask_babel import get_locale, gettext, lazy_gettext
from werkzeug import Response as BaseResponse

from plugins.amazon.practice import answering
from plugins.amazon.practice.api import the_practice
from plugins.amazon.practice.buyer_mails import HOWS, OF_MAILS, BadAnswer, Original
from plugins.amazon.practice.buyer_words import sentence
from plugins.amazon.practice.control import catch_up, only_from_here
from plugins.amazon.practice.mail_control import servers
from plugins.amazon.practice.mail_faults import KINDS, BadMailFault
from plugins.amazon.practice.mail_reading import read
from plugins.amazon.practice.mail_store import KEPT
from plugins.amazon.practice.pages import at, strict

bp = Blueprint("mail_pages", __name__)
bp.before_request(only_from_here)
bp.before_request(catch_up)
bp.after_request(strict)

SHOWN: Final = 100
WAYS: Final[dict[str, Any]] = {
    "plain": lazy_gettext("Plain text"),
    "html": lazy_gettext("HTML only, as Outlook writes it"),
    "japanese": lazy_gettext("Japanese (ISO-2022-JP)"),
    "auto_reply": lazy_gettext("Automatic reply"),
    "bounce": lazy_gettext("Undeliverable: a bounce"),
    "attachment": lazy_gettext("With an attachment"),
    "loop": lazy_gettext("The e-mail is returned"),
    "new": lazy_gettext("A new e-mail with only the order number"),
    "stray": lazy_gettext("A new e-mail without an order number"),
}
FAULTS: Final[dict[str, Any]] = {
    "sender_later": lazy_gettext("Sender refused for now (451)"),
    "sender_never": lazy_gettext("Sender refused (550)"),
    "recipient_later": lazy_gettext("Recipient refused for now (450)"),
    "recipient_never": lazy_gettext("Recipient refused (550)"),
    "data_later": lazy_gettext("E-mail refused for now (451)"),
    "data_never": lazy_gettext("E-mail refused (554)"),
    "data_drop": lazy_gettext("E-mail accepted without an answer"),
    "data_slow": lazy_gettext("E-mail accepted slowly"),
    "login_refused": lazy_gettext("Mailbox: wrong password"),
    "select_renumbered": lazy_gettext("Mailbox: new UIDVALIDITY"),
    "fetch_drop": lazy_gettext("Mailbox: closes in the middle of an e-mail"),
    "fetch_garbage": lazy_gettext("Mailbox: invalid data instead of e-mails"),
    "fetch_slow": lazy_gettext("Mailbox: e-mails arrive slowly"),
}
if set(WAYS) != set(HOWS) or set(FAULTS) != set(KINDS):
    raise AssertionError("Every way to answer and every fault needs its label.")


@bp.get("/practice/mail")
def mails() -> str:
    """The caught mails, where they arrive, and what goes wrong with them."""
    practice = the_practice()
    return _page(
        "practice/mails.html",
        mails=practice.mail.caught(SHOWN),
        count=practice.mail.count(),
        shown=SHOWN,
        kept=KEPT,
        waiting=len(practice.mail.mailbox()),
        servers=servers(),
        answers_after=practice.settings.answers_after,
        fault_labels=FAULTS,
        broken=practice.mail_faults.all(),
    )


@bp.get("/practice/mail/<int:mail_id>")
def mail(mail_id: int) -> str:
    """One mail, and the form to answer it."""
    found = the_practice().mail.mail(mail_id)
    if found is None:
        abort(404)
    try:
        original = answering.of_mail(the_practice(), mail_id)
    except BadAnswer:
        original = None
    return _page("practice/mail.html", mail=found[0], reading=read(found[1]), **_form(original, list(WAYS)))


@bp.get("/practice/mail/orders/<order_id>")
def answer_order(order_id: str) -> BaseResponse | str:
    """The form to answer the latest message about an order."""
    try:
        original = answering.of_order(the_practice(), order_id)
    except BadAnswer as error:
        flash(str(error))
        return redirect(url_for(".mails"), 303)
    if original is None:
        abort(404)
    ways = [how for how in WAYS if how not in OF_MAILS]
    return _page("practice/answer.html", order_id=order_id, **_form(original, ways))


@bp.post("/practice/form/mail/<int:mail_id>/answer")
def send_answer(mail_id: int) -> BaseResponse:
    """The buyer answers a mail."""
    order_id = request.form.get("order_id", "").strip()
    _answer(lambda: answering.of_mail(the_practice(), mail_id, order_id))
    return redirect(url_for(".mail", mail_id=mail_id), 303)


@bp.post("/practice/form/mail/orders/<order_id>/answer")
def send_answer_of_order(order_id: str) -> BaseResponse:
    """The buyer answers the latest message about an order."""
    _answer(lambda: answering.of_order(the_practice(), order_id))
    return redirect(url_for(".answer_order", order_id=order_id), 303)


@bp.post("/practice/form/mail/faults")
def break_something() -> BaseResponse:
    """Queue a fault of mail."""
    form = request.form
    times, seconds = form.get("times", 1, type=int), form.get("seconds", 0.0, type=float)
    try:
        the_practice().mail_faults.add(form.get("kind", ""), times=times, seconds=seconds)
    except BadMailFault as error:
        flash(str(error))
    else:
        flash(gettext("The failure was added."))
    return redirect(url_for(".mails"), 303)


@bp.post("/practice/form/mail/mend")
def mend() -> BaseResponse:
    """Remove all faults of mail."""
    the_practice().mail_faults.clear()
    flash(gettext("The failures were removed."))
    return redirect(url_for(".mails"), 303)


@bp.post("/practice/form/mail/answers")
def answers() -> BaseResponse:
    """Set after how many seconds buyers answer by themselves."""
    seconds = request.form.get("seconds", type=float)
    if seconds is None or not 0 <= seconds <= 86_400:
        flash(gettext("Seconds must be a number from 0 to 86400."))
    else:
        the_practice().set(answers_after=seconds)
        flash(
            gettext("Buyers answer after %(seconds)s seconds.", seconds=f"{seconds:g}")
            if seconds
            else gettext("Buyers do not answer automatically.")
        )
    return redirect(url_for(".mails"), 303)


def _answer(find: Callable[[], Original | None]) -> None:
    """Answer what is found, as the form says, and say what came of it."""
    form = request.form
    text, how = form.get("text", "").replace("\r\n", "\n"), form.get("how", "plain")
    try:
        if (original := find()) is None:
            abort(404)
        answering.answer(the_practice(), original, how, form.get("subject", ""), text)
    except BadAnswer as error:
        flash(str(error))
    else:
        flash(gettext("The answer is in the mailbox: %(how)s.", how=WAYS[how]))


def _form(original: Original | None, ways: list[str]) -> dict[str, Any]:
    """What the form to answer needs."""
    text = f"{sentence(original.language, original.at_ms)}\n\n{original.quote}" if original else ""
    return {"original": original, "text": text, "ways": {how: WAYS[how] for how in ways}}


def _page(template: str, **context: Any) -> str:
    now_ms = the_practice().now_ms()
    return render_template(
        template, lang=str(get_locale()), messages=get_flashed_messages(), at=at, now_ms=now_ms, **context
    )
