"""Detecting that the desk runs as a copy of another one, such as a staging desk made of a copied database.

The database keeps where it was used last: under which address, and in which database. At another place nothing is sent
to any store until a person allows it, since two desks of one database would both act on the same orders. Practice
stores are left alone.
"""

import structlog
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DBAPIError

from webapp import live
from webapp.audit.actor import Actor
from webapp.audit.services import audit
from webapp.channels.models import Store
from webapp.clock import now
from webapp.config import configuration
from webapp.db import db, unit_of_work
from webapp.sync.activity import AnotherPlace
from webapp.sync.models import DeskPlace

log = structlog.get_logger(__name__)


def check_place() -> bool:
    """Stop sending if this desk runs at another place than before; returns whether it does. Safe to run several
    times.
    """
    url, database = configuration().url, _database(db.engine)
    with unit_of_work():
        known = db.session.scalars(select(DeskPlace).order_by(DeskPlace.id).limit(1).with_for_update()).first()
        if known is None:
            db.session.add(DeskPlace(id=1, url=url, database=database, at=now()))
            return False
        moved = database != known.database or bool(url and known.url and url != known.url)
        if (url or known.url, database) != (known.url, known.database):
            known.url, known.database, known.at = url or known.url, database, now()
        if moved:
            _stop_sending()
    if moved:
        log.error("another_place")
    return moved


def _stop_sending() -> None:
    query = select(Store).where(Store.practice.is_(False)).order_by(Store.id)
    stores = list(db.session.scalars(query.with_for_update(of=Store, key_share=True)))
    for store in stores:
        store.read_only = store.read_only or AnotherPlace().stored()
    audit("another_place", actor=Actor.job("recovery"))
    live.publish("stores", [store.id for store in stores])


def _database(engine: Engine) -> str:
    """What tells a database from its copies: on PostgreSQL the server's own id and the database's, else the file."""
    if engine.dialect.name == "sqlite":
        return str(engine.url.database)
    with engine.connect() as connection:
        own = connection.scalar(text("SELECT oid FROM pg_database WHERE datname = current_database()"))
        try:
            server = connection.scalar(text("SELECT system_identifier FROM pg_control_system()"))
        except DBAPIError:  # this role may not ask
            server = engine.url.host or ""
    return f"{server}/{own}"
