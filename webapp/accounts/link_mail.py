"""Sign-in links by mail, where the desk can send mail."""

from contextlib import nullcontext

from webapp.accounts.models import User
from webapp.accounts.services import LINK_LIFE
from webapp.i18n import gettext as _, spoken
from webapp.mail import queue
from webapp.mail.composing import Letter
from webapp.mail.server import is_set_up


def mail_link(user: User, url: str) -> bool:
    """Queue a mail with a person's new link, in their language if they chose one; returns whether the desk can send
    mail.
    """
    if not is_set_up():
        return False
    with spoken(user.language) if user.language else nullcontext():
        letter = _letter(user, url)
    queue.put(queue.SIGN_IN_LINK, letter, life=LINK_LIFE)
    return True


def _letter(user: User, url: str) -> Letter:
    name = user.name or user.email
    invited = user.password_hash is None
    subject = _("Your account at Waybill") if invited else _("Your sign-in link for Waybill")
    why = (
        _("You are invited to an order desk with Waybill. Open this link to sign in and choose a password:")
        if invited
        else _("Open this link to sign in to Waybill and choose a new password:")
    )
    life = _(
        "The link works once, within %(hours)s hours. If you did not expect this e-mail, you can ignore it.",
        hours=int(LINK_LIFE.total_seconds() // 3600),
    )
    greeting = _("Hello %(name)s,", name=name)
    return Letter(user.email, subject, f"{greeting}\n\n{why}\n\n{url}\n\n{life}\n")
