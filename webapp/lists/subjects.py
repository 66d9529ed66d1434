"""The registered subjects of lists, and the time zone in which lists count days."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from sqlalchemy import Select, select

from webapp.audit.actor import Actor
from webapp.channels.models import Shop, Store
from webapp.channels.services import serving
from webapp.db import among, any_row, db, once_a_transaction
from webapp.errors import NotFound
from webapp.lists.contract import Subject
from webapp.search.contract import ORDERS
from webapp.search.registered import subjects as searched


def subjects() -> dict[str, Subject]:
    """The subjects that have lists, by code, the desk's own first."""
    return {code: subject for code, subject in searched().items() if isinstance(subject, Subject)}


def find_subject(code: str) -> Subject:
    """The subject of this code. Raises `NotFound`."""
    known = subjects().get(code)
    if known is None:
        raise NotFound(name=code)
    return known


def orders_of(subject: Subject, ids: Sequence[int]) -> list[int]:
    """The ids of the orders to which these rows belong."""
    query = select(subject.order_id).where(among(subject.model.id, ids)).distinct()
    return list(db.session.scalars(query))


def sees_all(order_ids: Select[int], actor: Actor) -> bool:
    """Whether the actor may see all of these orders."""
    orders = find_subject(ORDERS)
    seen = orders.visible(actor).with_only_columns(orders.model.id)
    return actor.shops is None or not any_row(
        orders.model, orders.model.id.in_(order_ids), orders.model.id.not_in(seen)
    )


def zone_of(actor: Actor) -> ZoneInfo | None:
    """The time zone in which all lists count days for this actor: that of the first store's shop."""
    actor.needs("orders.view")

    def read() -> ZoneInfo | None:
        query = select(Shop.zone).join(Store, Store.shop_id == Shop.id).order_by(Store.name).limit(1)
        zone = db.session.scalar(serving(query, actor))
        return ZoneInfo(zone) if zone else None

    return once_a_transaction(f"zone of {actor.shops}", read)
