"""Detecting that the database is older than what was sent: it was restored from a backup, or is a copy.

Then nothing is sent to any store until a person has looked and allows it; updates that must not be sent twice are
looked up from the time of the backup on; mails to buyers that wait are unknown; and new ids continue after those that
channels have seen.
"""

from datetime import datetime

import structlog
from sqlalchemy import cast, func, select, text, update as change
from sqlalchemy.dialects.postgresql import REGCLASS

from webapp import live
from webapp.audit.actor import Actor
from webapp.audit.services import audit
from webapp.channels.models import Store
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.mail import queue
from webapp.mail.models import Mail
from webapp.messaging.mail_route import BuyerMail
from webapp.orders.models import Order, OrderEvent
from webapp.sync.activity import OlderDatabase
from webapp.sync.delivering import lose
from webapp.updates import marks
from webapp.updates.ending import owe_again, settle_troubles
from webapp.updates.kinds import carried
from webapp.updates.models import OPEN, WAITING, ChannelUpdate, UpdateAttempt

log = structlog.get_logger(__name__)
TABLES = {"update": ChannelUpdate, "attempt": UpdateAttempt, "mail": Mail}


def recover() -> bool:
    """Put a desk in order whose database is older than what was sent; returns whether it was. Safe to run several
    times.
    """
    mark = marks.read()
    if not _is_older(mark):
        return False
    with unit_of_work():
        stores = list(db.session.scalars(select(Store).order_by(Store.id).with_for_update(of=Store, key_share=True)))
        if not _is_older(mark):  # another process has done it
            return False
        since = _known_until()
        for store in stores:
            store.read_only = OlderDatabase().stored()
            _doubt(store, since)
        audit("older_database", actor=Actor.job("recovery"), update=mark.update, attempt=mark.attempt)
        live.publish("stores", [store.id for store in stores])
    queue.doubt(BuyerMail.code, OlderDatabase())
    with unit_of_work():  # last: a sequence keeps its new value even if the transaction fails
        _move_past(mark)
    log.error("older_database", update=mark.update, attempt=mark.attempt)
    return True


def _is_older(mark: marks.Mark) -> bool:
    return any(getattr(mark, name) > _highest(table.__tablename__) for name, table in TABLES.items())


def _highest(table: str) -> int:
    """The highest id that the database has ever given to a row of this table."""
    if db.engine.dialect.name == "sqlite":
        found = db.session.execute(text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": table}).scalar()
        return int(found or 0)
    sequence = cast(func.pg_get_serial_sequence(table, "id"), REGCLASS)
    return db.session.scalar(select(func.pg_sequence_last_value(sequence))) or 0


def _move_past(mark: marks.Mark) -> None:
    for name, model in TABLES.items():
        table, value = model.__tablename__, getattr(mark, name)
        if value <= _highest(table):
            continue
        if db.engine.dialect.name == "postgresql":
            db.session.execute(select(func.setval(func.pg_get_serial_sequence(table, "id"), value)))
            continue
        moved = text("UPDATE sqlite_sequence SET seq = :value WHERE name = :name RETURNING seq")
        if db.session.execute(moved, {"value": value, "name": table}).first() is None:
            fresh = text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :value)")
            db.session.execute(fresh, {"value": value, "name": table})


def _known_until() -> datetime | None:
    """The latest moment recorded in the database."""
    return db.session.scalar(select(OrderEvent.seen_at).order_by(OrderEvent.id.desc()).limit(1))


def _doubt(store: Store, since: datetime | None) -> None:
    """Mark as unknown every update that must not be sent twice and has not ended for good: it may have been sent
    since the backup. This includes kinds that the store's channel no longer carries: nobody knows whether these may
    be repeated. Those that may be are sent again, and can't be undone any more.
    """
    repeatable = [code for code, carriage in carried(store).items() if carriage.repeatable]
    again = (ChannelUpdate.store_id == store.id, ChannelUpdate.kind.in_(repeatable), ChannelUpdate.state.in_(WAITING))
    db.session.execute(change(ChannelUpdate).where(*again).values(look_from=since or now()))
    mine = (ChannelUpdate.store_id == store.id, ChannelUpdate.kind.not_in(repeatable), ChannelUpdate.state.in_(OPEN))
    orders = select(Order).where(Order.id.in_(select(ChannelUpdate.order_id).where(*mine))).order_by(Order.id)
    kept = list(db.session.scalars(orders.with_for_update(of=Order)))  # referenced until their rows are written
    for row in db.session.scalars(select(ChannelUpdate).where(*mine).order_by(ChannelUpdate.id).with_for_update()):
        left = row.sent_at or (row.attempt.at if row.attempt else since) or row.created_at
        owe_again(row, now())  # its former handle belongs to an earlier try
        row.look_from = min(left, since or left)
        settle_troubles(row.order, row)
        lose(row, look_again_at=now())
    live.publish("orders", [order.id for order in kept])
