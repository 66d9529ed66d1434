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
from webapp.mail.contract import KINDS, MailKind, NotNow, mail_kind
from webapp.mail.models import ENDED_STATES, SEALED_ONES, UNSENT, UNSENT_STATES, Mail, MailState
from webapp.mail.server import (
    Conversation,
    LeftUnanswered,
    MailPutOff,
    MailRefused,
    conversation,
)

SIGN_IN_LINK, TEST = "sign_in_link", "test"
LIFE = timedelta(days=2)  # how long a mail is tried
_CLAIMED = timedelta(minutes=10)  # longer than any conversation about one mail
_WAITS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))  # after each failure
_KEPT = timedelta(days=30)
_AT_ONCE = 100  # of those that are ended since nobody sent them
_DUE: ColumnElement[bool] = literal_column(f"({UNSENT})")


class MailTooOld(Refusal):
    """It was tried for as long as it makes sense."""

    code = "mail_too_old"
    sentence = _l("This e-mail was not sent in time. The last problem was: %(problem)s")


class NothingToSendAgain(Refusal):
    code = "mail_not_to_send_again"
    sentence = _l("Only an e-mail that was refused, or whose result is unknown, can be sent again.")


class SentFromItsOrder(Refusal):
    """Whoever sends it again needs another right, and the order's history tells of it."""

    code = "mail_sent_from_its_order"
    sentence = _l("To send an e-mail to a buyer again, open its order, under Messages.")


class LinkEnded(Refusal):
    """What the mail says no longer holds."""

    code = "mail_of_ended_link"
    sentence = _l("The link in this e-mail no longer works. Create a new link.")


class MailExpired(Refusal):
    """Nothing tried to send it for as long as it makes sense."""

    code = "mail_expired"
    sentence = _l("This e-mail was not sent in time, because no worker was running.")


class MailFailed(DeskError):
    """Sending it failed with a bug, which is in the log."""

    code = "mail_failed"
    sentence = _l("Sending this e-mail failed. The log shows the reason.")


class UnknownMail(NotFound):
    """No mail has this id."""

    code = "unknown_mail"
    sentence = _l("There is no e-mail “%(name)s”.")


@mail_kind
class SignInLink(MailKind):
    """A link that lets somebody in, for a while."""

    code, label, over = SIGN_IN_LINK, _l("Sign-in link"), LinkEnded


@mail_kind
class Trial(MailKind):
    """What somebody sends to see whether mail works."""

    code, label = TEST, _l("Test")


def kind_name(code: str) -> LazyString | str:
    """The name of a kind of mail, or its code if nothing makes such mails any more."""
    return KINDS[code].label if code in KINDS else code


def put(kind: str, letter: Letter, *, life: timedelta = LIFE) -> Mail:
    """Put a mail into the queue, in the open unit of work; it is tried for this long."""
    return _put(Mail(kind=kind, sealed=letter.sealed()), now(), life)


def put_made(kind: str, source_id: int, at: datetime) -> Mail:
    """Put a mail into the queue that its kind makes of something when it leaves, at this moment at the earliest."""
    return _put(Mail(kind=kind, source_id=source_id), at, LIFE)


def _put(mail: Mail, at: datetime, life: timedelta) -> Mail:
    mail.created_at, mail.next_at, mail.ends_at = now(), at, at + life
    db.session.add(mail)
    db.session.flush()
    return mail


def take_back(mail_id: int, problem: DeskError | None = None) -> bool:
    """Take a mail back that waits, in the open unit of work, since nobody wants it or because of a problem; False if it
    has left, or is leaving.
    """
    waits = update(Mail).where(Mail.id == mail_id, Mail.state == MailState.QUEUED)
    why = problem.stored() if problem is not None else None
    return _rows(waits.values(state=MailState.UNDONE, claim=None, problem=why)) == 1


def arrived(mail_id: int) -> bool:
    """Note that a mail of which nobody knew whether it left has arrived; False if its state is another one."""
    unknown = update(Mail).where(Mail.id == mail_id, Mail.state == MailState.UNKNOWN)
    return _rows(unknown.values(state=MailState.SENT, sealed=None, problem=None)) == 1


def doubt(kind: str, problem: DeskError) -> None:
    """Say of all mails of a kind that wait that nobody knows whether they left; opens a unit of work for each, and the
    caller has stopped whoever could send them.
    """
    waits = Mail.kind == kind, _DUE
    with unit_of_work():
        ids = db.session.scalars(select(Mail.id).where(*waits).order_by(Mail.id)).all()
    for mail_id in ids:
        lost = update(Mail).where(Mail.id == mail_id, *waits)
        _change(mail_id, lost.values(state=MailState.UNKNOWN, claim=None, problem=problem.stored()), ends=True)


def send_again(mail_id: int, *, actor: Actor) -> None:
    """Queue a mail of the desk's own that was refused, or of which nobody knows whether it arrived."""
    actor.needs("settings.edit")
    actor.needs_all_shops()
    mail = get(mail_id)
    if mail.source_id is not None:
        raise SentFromItsOrder
    queue_again(mail, actor=actor)


def queue_again(mail: Mail, *, actor: Actor) -> None:
    """`send_again`, for one who may by another right."""
    db.session.refresh(mail, with_for_update=True)
    if mail.state not in (MailState.REFUSED, MailState.UNKNOWN):
        raise NothingToSendAgain
    over = KINDS[mail.kind].over
    if over is not None and mail.ends_at <= now():
        raise over
    mail.state, mail.claim, mail.problem, mail.tries, mail.next_at = MailState.QUEUED, None, None, 0, now()
    if over is None:
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
    """Ended mails that are not kept with what they were made of."""
    sealed: ColumnElement[bool] = literal_column(f"({SEALED_ONES})")
    return Mail.created_at < now() - _KEPT, Mail.state.not_in(UNSENT_STATES), sealed


# --- In the worker ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Claimed:
    """A mail that this worker has claimed."""

    id: int
    claim: str
    created_at: datetime
    ends_at: datetime
    tries: int  # with this one


def send_due(most: int) -> int:
    """Send up to `most` mails that are due; opens a unit of work for each step. Returns how many were tried before the
    server could not be reached.
    """
    _end_lost()
    tried, goes_on = 0, True
    while goes_on and tried < most and (mail := _claim()) is not None:
        tried_now, goes_on = _converse(mail, most - tried)
        tried += tried_now
    return tried


def _converse(mail: _Claimed, most: int) -> tuple[int, bool]:
    """Send a claimed mail, and up to `most` with others that are due, over one conversation. Returns how many were
    tried before it ended, and whether others can leave now.
    """
    tried = 0
    try:
        with conversation() as server:
            while True:
                goes_on = _send(mail, server)
                tried += 1
                following = _claim() if goes_on and tried < most else None
                if following is None:
                    return tried, True
                mail = following
    except DeskError as problem:  # no mail can leave now
        _put_off(mail, problem, MailState.QUEUED)
    except Exception:
        _put_off(mail, MailFailed(), MailState.QUEUED)
        raise
    return tried, False


def _send(mail: _Claimed, server: Conversation) -> bool:
    """Send a mail; returns whether the conversation goes on."""
    try:
        with unit_of_work():
            row = get(mail.id)
            kind = KINDS[row.kind]
            letter = kind.letter(row)
        message = compose(letter, server.sender, mail.id, mail.created_at)
    except NotNow as problem:
        _put_off(mail, problem, MailState.QUEUED)
        return True
    except DeskError as problem:  # it is about this mail
        _moved(mail, state=MailState.REFUSED, problem=problem.stored(), claim=None)
        return True

    def leaving() -> bool:
        kind.leaves(mail.id)
        return _moved(mail, MailState.QUEUED, state=MailState.LEAVING)

    try:
        server.send(message, letter.copies, leaving)
    except MailPutOff as problem:
        _put_off(mail, problem)
    except MailRefused as problem:
        _moved(mail, state=MailState.REFUSED, problem=problem.stored(), claim=None)
    except LeftUnanswered as problem:
        _moved(mail, state=MailState.UNKNOWN, problem=problem.stored(), claim=None)
        return False
    else:
        _moved(mail, MailState.LEAVING, state=MailState.SENT, sent_at=now(), sealed=None, problem=None, claim=None)
    return True


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
                return _Claimed(mail.id, claim, mail.created_at, mail.ends_at, mail.tries + 1)


def _put_off(mail: _Claimed, problem: DeskError, *states: MailState) -> None:
    """Queue a claimed mail for later, or give it up, if it is in one of these states."""
    at = now() + _WAITS[min(mail.tries, len(_WAITS)) - 1]
    if at < mail.ends_at:
        _moved(mail, *states, state=MailState.QUEUED, next_at=at, problem=problem.stored(), claim=None)
    else:
        _moved(mail, *states, state=MailState.REFUSED, problem=MailTooOld(problem=problem).stored(), claim=None)


def _end_lost() -> None:
    """End mails whose worker died while the server was given their text, of which nobody can know whether they left;
    and those that nobody tried in time.
    """
    over = _DUE, Mail.next_at <= now()
    late = (*over, Mail.state == MailState.QUEUED, Mail.ends_at <= now())
    lost = (*over, Mail.state == MailState.LEAVING)
    for which, state, problem in (
        (late, MailState.REFUSED, MailExpired()),
        (lost, MailState.UNKNOWN, LeftUnanswered()),
    ):
        with unit_of_work():
            ids = db.session.scalars(select(Mail.id).where(*which).order_by(Mail.id).limit(_AT_ONCE)).all()
        for mail_id in ids:
            end = update(Mail).where(Mail.id == mail_id, *which)
            _change(mail_id, end.values(state=state, claim=None, problem=problem.stored()), ends=True)


def _moved(mail: _Claimed, *states: MailState, **values: object) -> bool:
    """Change a mail that this worker has claimed, and that is in one of these states; False if it lost the claim."""
    mine = update(Mail).where(Mail.id == mail.id, Mail.claim == mail.claim)
    if states:
        mine = mine.where(Mail.state.in_(states))
    return _change(mail.id, mine.values(**values), ends=values.get("state") in ENDED_STATES)


def _change(mail_id: int, change: Update, *, ends: bool) -> bool:
    """Change a mail in a unit of work, and tell its kind if it has ended by that; False if it was not as expected."""
    with unit_of_work():
        mail = get(mail_id)
        if ends:
            KINDS[mail.kind].lock(mail)
        changed = _rows(change) == 1
        if changed and ends:
            db.session.refresh(mail)
            KINDS[mail.kind].ended(mail)
        return changed


def _rows(statement: Update) -> int:
    """Execute a change; returns how many rows it changed."""
    return len(db.session.execute(statement.returning(Mail.id), execution_options={"synchronize_session": False}).all())
