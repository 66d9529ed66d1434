"""Quarantined orders: orders that could not be imported, kept with their cause until they can be read again.

The channel's answer is sealed beside the cause and erased by date; number, cause and time stay. A quarantined order is
removed when it is taken in, by `pages` and `writing`.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import defer

from webapp.audit.actor import Actor
from webapp.channels.incoming import UnreadableOrder
from webapp.channels.models import Store
from webapp.channels.services import serving
from webapp.clock import now
from webapp.db import db
from webapp.errors import NotFound
from webapp.i18n import lazy_gettext as _l
from webapp.sync.models import QuarantinedOrder
from webapp.vault import services as vault

Entry = tuple[str, str, str, Mapping[str, Any]]  # number, field, problem, raw answer
_LONGEST_NUMBER = 100  # the order's own number may be the faulty value


class NotQuarantined(NotFound):
    """No quarantined order has this id."""

    code = "not_quarantined"
    sentence = _l("There is no order “%(name)s” among those that couldn't be imported.")


def entry_of(unreadable: UnreadableOrder) -> Entry:
    return unreadable.number, unreadable.field, unreadable.problem, unreadable.raw


def quarantine(store_id: int, entries: Iterable[Entry]) -> None:
    """Quarantine orders that can't be imported, with their cause; the answer is sealed."""
    for given, name, problem, raw in entries:
        number = given.replace("\0", "").encode(errors="replace").decode()  # no error here may stop the page
        if not number or len(number) > _LONGEST_NUMBER:  # it has no number, or one too long for an index
            whole = number or repr(raw)
            number = f"{number[:20]}?{hashlib.sha256(whole.encode(errors='replace')).hexdigest()[:12]}"
        period, payload = vault.seal_quarantined(dict(raw))
        values = {"field": name, "problem": problem, "at": now(), "period": period, "payload": payload}
        had = db.session.scalar(
            select(QuarantinedOrder).where(QuarantinedOrder.store_id == store_id, QuarantinedOrder.number == number)
        )
        if had is None:
            db.session.add(QuarantinedOrder(store_id=store_id, number=number, **values))
        else:
            had.attempts += 1
            for column, value in values.items():
                setattr(had, column, value)
        db.session.flush()


def not_read(store_id: int, number: str) -> None:
    """An order that a person wants to be read again could not be requested, since its channel's plugin fails: if the
    order is quarantined, it stays so, with this as its cause.
    """
    row = select(QuarantinedOrder).where(QuarantinedOrder.store_id == store_id, QuarantinedOrder.number == number)
    had = db.session.scalar(row.with_for_update())
    if had is not None:
        had.attempts, had.at, had.field, had.problem = had.attempts + 1, now(), "", "plugin_failed"


def quarantined_orders(
    actor: Actor, *, store_id: int | None = None, limit: int | None = None
) -> list[QuarantinedOrder]:
    """Quarantined orders, newest first, without their sealed answers."""
    actor.needs("stores.view")
    query = select(QuarantinedOrder).options(defer(QuarantinedOrder.payload))
    if actor.shops is not None:
        query = query.where(QuarantinedOrder.store_id.in_(serving(select(Store.id), actor)))
    query = query.order_by(QuarantinedOrder.at.desc(), QuarantinedOrder.id.desc()).limit(limit)
    return list(db.session.scalars(query if store_id is None else query.where(QuarantinedOrder.store_id == store_id)))


def count_payloads(store_id: int, before: datetime) -> int:
    """The number of sealed answers of quarantined orders that are older than `before`."""
    query = select(func.count()).select_from(QuarantinedOrder).where(*_with_payload(store_id, before))
    return db.session.scalar(query) or 0


def erase_payloads(store_id: int, before: datetime) -> int:
    """Erase these answers and return their number; number, cause and time stay, and the orders can be read again."""
    rows = update(QuarantinedOrder).where(*_with_payload(store_id, before)).values(period="", payload=b"")
    return len(db.session.scalars(rows.returning(QuarantinedOrder.id)).all())


def _with_payload(store_id: int, before: datetime) -> tuple[ColumnElement[bool], ...]:
    return QuarantinedOrder.store_id == store_id, QuarantinedOrder.at <= before, QuarantinedOrder.period != ""
