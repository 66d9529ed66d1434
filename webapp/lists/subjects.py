"""The subjects that are registered, and whose days their lists count."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.channels.models import Shop, Store
from webapp.channels.services import serving
from webapp.db import among, db, once_a_transaction
from webapp.errors import NotFound
from webapp.lists.contract import Subject
from webapp.search.registered import subjects as searched


def subjects() -> dict[str, Subject]:
    """What there are lists of, the desk's own first."""
    return {code: subject for code, subject in searched().items() if isinstance(subject, Subject)}


def find_subject(code: str) -> Subject:
    """The subject of this code. Raises `NotFound`."""
    known = subjects().get(code)
    if known is None:
        raise NotFound(name=code)
    return known


def orders_of(subject: Subject, ids: Sequence[int]) -> list[int]:
    """The orders that these rows belong to."""
    query = select(subject.order_id).where(among(subject.model.id, ids)).distinct()
    return list(db.session.scalars(query))


def zone_of(actor: Actor) -> ZoneInfo | None:
    """The zone in which lists count this actor's days, wherever they are asked for: of the first store's shop."""
    actor.needs("orders.view")

    def read() -> ZoneInfo | None:
        query = select(Shop.zone).join(Store, Store.shop_id == Shop.id).order_by(Store.name).limit(1)
        zone = db.session.scalar(serving(query, actor))
        return ZoneInfo(zone) if zone else None

    return once_a_transaction(f"zone of {actor.shops}", read)
