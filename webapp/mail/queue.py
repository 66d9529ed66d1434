"""The queue of outgoing mail: putting mails into it, sending them, and what becomes of them.

No act waits for a mail server: it writes a row, and a job sends it. A worker claims a mail, and marks it as leaving
just before the server is given its text. One that dies before gives the mail back to the queue; one that dies after
leaves a mail of which nobody can know whether it left: it is sent again only if a person says so.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Update, literal_column, select, update

from webapp.audit.actor import Actor
from webapp.audit.services import audit
from webapp.clock import now
from webapp.db import any_row, db, delete_some, unit_of_work
from webapp.errors import DeskError, NotFound, Refusal
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.mail.composing import Letter, compose
from webapp.mail.models import UNSENT, UNSENT_STATES, Mail, MailState
from webapp.mail.server import (
    Conversation,
    LeftUnanswered,
    MailPutOff,
    MailRefused,
    NoSuchAddress,
    ascii_address,
    conversation,
)

SIGN_IN_LINK, TEST = "sign_in_link", "test"
KINDS: dict[str, LazyString] = {SIGN_IN_LINK: _l("Sign-in link"), TEST: _l("Test")}
LIFE = timedelta(days=2)  # how long a mail is tried
_CLAIMED = timedelta(minutes=10)  # longer than any conversation about one mail
_WAITS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))  # after each failure
_KEPT = timedelta(days=30)
_DUE: ColumnElement[bool] = literal_column(f"({UNSENT})")


class MailTooOld(Refusal):
    """It was tried for as long as it makes sense."""

    code = "mail_too_old"
    sentence = _l("It was not sent in time. The last problem: %(problem)s")


class NothingToSendAgain(Refusal):
    code = "mail_not_to_send_again"
    sentence = _l("Only a mail that was refused, or may not have arrived, can be sent again.")


class LinkEnded(Refusal):
    """What the mail says no longer holds."""

    code = "mail_of_ended_link"
    sentence = _l("The link in this mail no longer works: make a new one.")


class MailExpired(Refusal):
    """Nothing tried to send it for as long as it makes sense."""

    code = "mail_expired"
    sentence = _l("It was not sent in time: no worker was there to send it.")


class MailFailed(DeskError):
    """Sending it failed with a bug, which is in the log."""

    code = "mail_failed"
    sentence = _l("Sending it failed. The log has the reason.")


class UnknownMail(NotFound):
    """No mail has this id."""

    code = "unknown_mail"
    sentence = _l("No mail here goes by “%(name)s”.")


def put(kind: str, letter: Letter, *, life: timedelta = LIFE) -> Mail:
    """Put a mail into the queue, in the open unit of work; it is tried for this long."""
    at = now()
    mail = Mail(kind=kind, sealed=letter.sealed(), created_at=at, next_at=at, ends_at=at + life)
    db.session.add(mail)
    db.session.flush()
    return mail


def send_again(mail_id: int, *, actor: Actor) -> None:
    """Queue a mail that was refused, or of which nobody knows whether it arrived."""
    actor.needs("settings.edit")
    actor.needs_all_shops()
    mail = get(mail_id)
    db.session.refresh(mail, with_for_update=True)
    if mail.state not in (MailState.REFUSED, MailState.UNKNOWN):
        raise NothingToSendAgain
    if mail.kind == SIGN_IN_LINK and mail.ends_at <= now():
        raise LinkEnded
    mail.state, mail.claim, mail.problem, mail.tries, mail.next_at = MailState.QUEUED, None, None, 0, now()
    if mail.kind != SIGN_IN_LINK:
        mail.ends_at = now() + LIFE
    audit("mail_sent_again", actor=actor, mail=mail.id)


def get(mail_id: int) -> Mail:
    """The mail with this id; raises `UnknownMail`."""
    if (mail := db.session.get(Mail, mail_id)) is None:
        raise UnknownMail(name=mail_id)
    return mail


def latest(limit: int = 50) -> Sequence[Mail]:
    """The latest mails, newest first."""
    return db.session.scalars(select(Mail).order_by(Mail.created_at.desc(), Mail.id.desc()).limit(limit)).all()


def any_due() -> bool:
    """Whether a mail is to be tried now, or its worker is dead."""
    return any_row(Mail, _DUE, Mail.next_at <= now())


def any_old() -> bool:
    """Whether there are mails that are to be forgotten."""
    return any_row(Mail, *_old())


def forget_old() -> bool:
    """Delete some mails that have long ended; returns whether more may be left."""
    return delete_some(Mail, *_old())


def _old() -> tuple[ColumnElement[bool], ...]:
    return Mail.created_at < now() - _KEPT, Mail.state.not_in(UNSENT_STATES)


# --- In the worker ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Claimed:
    """A mail that this worker has claimed."""

    id: int
    claim: str
    sealed: str
    created_at: datetime
    ends_at: datetime
    tries: int  # with this one


def send_due(most: int) -> int:
    """Send up to `most` mails that are due, over one conversation; opens a unit of work for each step. Returns how many
    were tried: none if the server can't be reached.
    """
    with unit_of_work():
        _end_lost()
    mail = _claim()
    if mail is None:
        return 0
    try:
        with conversation() as server:
            for tried in range(1, most + 1):
                _send(mail, server)
                following = _claim() if tried < most else None
                if following is None:
                    return tried
                mail = following
    except DeskError as problem:  # no mail can leave now
        _put_off(mail, problem)
    except Exception:
        _put_off(mail, MailFailed())
        raise
    return 0


def _send(mail: _Claimed, server: Conversation) -> None:
    letter = Letter.opened(mail.sealed)
    try:
        message, to = compose(letter, server.sender, mail.id, mail.created_at), ascii_address(letter.to)
        server.send(message, to, lambda: _moved(mail, MailState.QUEUED, state=MailState.LEAVING))
    except MailPutOff as problem:
        _put_off(mail, problem)
    except (MailRefused, NoSuchAddress) as problem:
        _moved(mail, state=MailState.REFUSED, problem=problem.stored(), claim=None)
    except LeftUnanswered as problem:
        _moved(mail, state=MailState.UNKNOWN, problem=problem.stored(), claim=None)
    else:
        _moved(mail, MailState.LEAVING, state=MailState.SENT, sent_at=now(), sealed=None, problem=None, claim=None)


def _claim() -> _Claimed | None:
    """The next mail that is due, now claimed."""
    while True:
        with unit_of_work():
            due = _DUE, Mail.state == MailState.QUEUED, Mail.next_at <= now()
            mail = db.session.scalar(select(Mail).where(*due).order_by(Mail.next_at, Mail.id).limit(1))
            if mail is None:
                return None
            claim = str(uuid.uuid4())
            taken = update(Mail).where(Mail.id == mail.id, *due).values(claim=claim, next_at=now() + _CLAIMED)
            if _rows(taken.values(tries=Mail.tries + 1)):
                return _Claimed(mail.id, claim, mail.sealed or "", mail.created_at, mail.ends_at, mail.tries + 1)


def _put_off(mail: _Claimed, problem: DeskError) -> None:
    """Queue a claimed mail for later, or give it up."""
    at = now() + _WAITS[min(mail.tries, len(_WAITS)) - 1]
    if at < mail.ends_at:
        _moved(mail, state=MailState.QUEUED, next_at=at, problem=problem.stored(), claim=None)
    else:
        _moved(mail, state=MailState.REFUSED, problem=MailTooOld(problem=problem).stored(), claim=None)


def _end_lost() -> None:
    """Mails whose worker died while the server was given their text, of which nobody can know whether they left; and
    those that nobody tried in time.
    """
    late = update(Mail).where(_DUE, Mail.state == MailState.QUEUED, Mail.next_at <= now(), Mail.ends_at <= now())
    _rows(late.values(state=MailState.REFUSED, claim=None, problem=MailExpired().stored()))
    lost = update(Mail).where(_DUE, Mail.state == MailState.LEAVING, Mail.next_at <= now())
    _rows(lost.values(state=MailState.UNKNOWN, claim=None, problem=LeftUnanswered().stored()))


def _moved(mail: _Claimed, *states: MailState, **values: object) -> bool:
    """Change a mail that this worker has claimed, and that is in one of these states; False if it lost the claim."""
    mine = update(Mail).where(Mail.id == mail.id, Mail.claim == mail.claim)
    if states:
        mine = mine.where(Mail.state.in_(states))
    with unit_of_work():
        return _rows(mine.values(**values)) == 1


def _rows(statement: Update) -> int:
    """Execute a change; returns how many rows it changed."""
    return len(db.session.execute(statement.returning(Mail.id), execution_options={"synchronize_session": False}).all())
