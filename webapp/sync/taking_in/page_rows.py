"""The rows that new and known orders of a page share: a store, a moment, and what is collected from all of them to
be written at once.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from webapp.audit.actor import ActorKind
from webapp.channels.incoming import IncomingOrder
from webapp.channels.models import ChannelPackage, Store
from webapp.clock import now
from webapp.db import write_rows
from webapp.orders.models import OrderEvent
from webapp.orders.order_settings import treatment_of
from webapp.sync.taking_in.rows import channel_package_rows
from webapp.sync.taking_in.search_terms import PageTerms
from webapp.sync.taking_in.shipped_elsewhere import ElsewhereShipments


class PageRows:
    """The rows of one page that are written last, or in the same way for all of its orders."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.at = now()
        self.treatment = treatment_of(store)
        self.elsewhere = ElsewhereShipments(store.id)
        self.terms = PageTerms(store.id)
        self._events: list[dict[str, Any]] = []

    def event(self, order_id: int, code: str, at: datetime, version: int, data: dict[str, Any]) -> None:
        self._events.append(
            {
                "order_id": order_id,
                "at": at,
                "seen_at": self.at,
                "actor_kind": ActorKind.CHANNEL,
                "actor_id": self.store.id,
                "cause": "import",
                "code": code,
                "version": version,
                "data": data,
                "sealed": None,
            }
        )

    def write_channel_packages(
        self, orders: Iterable[tuple[int, IncomingOrder]], arrived: Mapping[int, Mapping[str, datetime]] | None = None
    ) -> None:
        rows = [
            row
            for channel_id, order in orders
            for row in channel_package_rows(channel_id, order, (arrived or {}).get(channel_id, {}))
        ]
        write_rows(ChannelPackage, rows)

    def write(self) -> None:
        """Write what was collected."""
        self.elsewhere.write()
        self.terms.write()
        write_rows(OrderEvent, self._events)
