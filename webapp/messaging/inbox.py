"""The inbox: received mails that fit no order. Somebody puts each to an order or dismisses it; after 30 days it goes.

Nobody knows whose they are, so they are for people who write to buyers, see buyers, and work for all shops.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from sqlalchemy import ScalarSelect, Select, func, select, text, tuple_

from webapp.audit.actor import Actor, ActorKind
from webapp.audit.services import audit
from webapp.clock import now
from webapp.db import db
from webapp.messaging.models import OPEN_MAILS, Matched, ReceivedMail, SaidByMail
from webapp.messaging.queries import PURPOSE
from webapp.messaging.received_words import UnknownInboxMail
from webapp.messaging.receiving import put
from webapp.messaging.sealing import SEALED
from webapp.messaging.services import SENDING
from webapp.orders.models import Order
from webapp.orders.queries import find_order
from webapp.vault import services as vault

PAGE = 50
CAP = 1_000  # mails that are counted


@dataclass(frozen=True, slots=True)
class InboxMail:
    """A mail of the inbox with what it says; None once its 30 days are over."""

    row: ReceivedMail
    said: SaidByMail | None


def may_see(actor: Actor) -> bool:
    """Whether the inbox is for this actor."""
    return actor.may(SENDING) and actor.may("buyers.see") and actor.shops is None


def inbox_count() -> ScalarSelect[int]:
    """An expression for how many mails wait in the inbox, up to `CAP`."""
    few = _waiting().with_only_columns(ReceivedMail.id).limit(CAP).subquery()
    return select(func.count()).select_from(few).scalar_subquery()


def list_inbox(actor: Actor, *, before: tuple[datetime, int] | None = None, limit: int = PAGE) -> list[InboxMail]:
    """Mails of the inbox, newest first; those after `before`, the time and id of a mail. Seeing them is recorded."""
    _needs(actor)
    query = _waiting().order_by(ReceivedMail.received_at.desc(), ReceivedMail.id.desc()).limit(limit)
    if before is not None:
        query = query.where(tuple_(ReceivedMail.received_at, ReceivedMail.id) < before)
    rows = db.session.scalars(query).all()
    return list(_opened(rows, actor))


def find_mail(mail_id: int, actor: Actor, *, lock: bool = False) -> InboxMail:
    """A mail of the inbox; raises `UnknownInboxMail`."""
    _needs(actor)
    query = _waiting().where(ReceivedMail.id == mail_id)
    if lock:
        query = query.with_for_update(of=ReceivedMail).execution_options(populate_existing=True)
    row = db.session.scalar(query)
    if row is None:
        raise UnknownInboxMail(name=mail_id)
    [found] = _opened([row], actor)
    return found


def put_to_order(mail_id: int, number: str, *, actor: Actor) -> Order:
    """Put a mail to the order with this number, where it is unread. Raises what `find_order` raises, and
    `UnknownInboxMail`.
    """
    order = find_order(number, actor, lock=True)
    found = find_mail(mail_id, actor, lock=True)
    if found.said is None:
        raise UnknownInboxMail(name=mail_id)
    put(found.row, order, found.said, Matched.PERSON, actor=actor)
    return order


def dismiss(mail_id: int, *, actor: Actor) -> None:
    """Take a mail out of the inbox; it belongs to no order."""
    row = find_mail(mail_id, actor, lock=True).row
    row.done_at, row.done_by = now(), actor.id if actor.kind is ActorKind.PERSON else None
    audit("inbox_mail_dismissed", actor=actor, mail=row.id)


def _waiting() -> Select[ReceivedMail]:
    return select(ReceivedMail).where(text(f"received_mails.{OPEN_MAILS}"), ReceivedMail.message_id.is_(None))


def _needs(actor: Actor) -> None:
    actor.needs(SENDING)
    actor.needs("buyers.see")
    actor.needs_all_shops()


def _opened(rows: Sequence[ReceivedMail], actor: Actor) -> Sequence[InboxMail]:
    sealed = [(SEALED, row.period, row.sealed or b"") for row in rows]
    said = vault.reveal_apart(actor, sealed, purpose=PURPOSE)
    return [InboxMail(row, cast(SaidByMail | None, says)) for row, says in zip(rows, said, strict=True)]
