"""What an import writes and compares with: prepared orders, and the known rows."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from webapp.channels.incoming import IncomingOrder
from webapp.channels.models import ChannelOrder
from webapp.db import db


@dataclass(slots=True)
class PreparedOrder:
    """A prepared order: everything is computed that needs no transaction."""

    order: IncomingOrder
    fingerprint: bytes
    buyer: bytes
    raw: bytes
    terms: frozenset[int]


@dataclass(frozen=True, slots=True)
class KnownOrder:
    id: int
    updated_at: datetime
    content_hash: bytes


def known_orders(store_id: int, numbers: Iterable[str]) -> dict[str, KnownOrder]:
    rows = db.session.execute(
        select(ChannelOrder.number, ChannelOrder.id, ChannelOrder.updated_at, ChannelOrder.content_hash).where(
            ChannelOrder.store_id == store_id, ChannelOrder.number.in_(list(numbers))
        )
    )
    return {number: KnownOrder(id_, updated_at, content_hash) for number, id_, updated_at, content_hash in rows}


def same_or_stale(known: KnownOrder, order: IncomingOrder, fingerprint: bytes) -> bool:
    """Equal times with other content are accepted: a permission changed, or the channel corrected its answer."""
    return known.content_hash == fingerprint or order.updated_at < known.updated_at
