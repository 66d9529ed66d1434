"""The state of each store's traffic: when it was last read, when it is read next, and which updates wait."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, literal, select, text, union_all

from webapp.channels.models import Store
from webapp.channels.services import ChannelLeftOut
from webapp.clock import now
from webapp.db import db
from webapp.errors import sentence_of
from webapp.jobs.models import Run
from webapp.sync.models import ORDERS_LANE, OrdersProof, QuarantinedOrder, StoreDenial, StoreSync
from webapp.sync.runs import lanes_of
from webapp.sync.streams import find
from webapp.updates.models import OPEN_UPDATES, ChannelUpdate, UpdateState

LAGGING = timedelta(minutes=15)  # an older update makes a store that is read every minute worth a look
_TROUBLED = (UpdateState.REFUSED, UpdateState.UNKNOWN)


@dataclass(slots=True)
class Health:
    """A store's traffic in numbers."""

    sync: StoreSync | None = None  # the lane of orders, which all numbers are about
    lanes: Sequence[StoreSync] = ()  # the other lanes
    backlog: int = 0  # updates that the channel does not show yet
    troubled: int = 0  # updates that were refused, or whose result is unknown
    quarantined: int = 0

    @classmethod
    def of_lanes(cls, lanes: Sequence[StoreSync]) -> "Health":
        """A store's health without its waiting updates, from the rows of all its lanes; lanes of missing plugins are
        paused.
        """
        of_orders = next((lane for lane in lanes if lane.lane == ORDERS_LANE), None)
        return cls(of_orders, [lane for lane in lanes if lane is not of_orders and find(lane.lane) is not None])

    @property
    def last_success_at(self) -> datetime | None:
        return self.sync.last_success_at if self.sync else None

    @property
    def lag(self) -> timedelta | None:
        return now() - self.last_success_at if self.last_success_at else None

    @property
    def next_at(self) -> datetime | None:
        return self.sync.next_at if self.sync else None

    @property
    def run(self) -> Run | None:
        return self.sync.run if self.sync else None

    @property
    def running(self) -> bool:
        return self.run is not None and self.run.is_open and self.run.state != "paused"

    def of(self, store: Store, *, left_out: bool) -> str:
        """One word for the state: archived, failing, paused, new or connected."""
        if store.archived_at is not None:
            return "archived"
        if not store.active:
            return "paused"
        if left_out or store.problem or (self.sync and self.sync.failures):
            return "failing"
        return "connected" if self.sync and self.sync.begun else "new"

    def problem_of(self, store: Store, *, left_out: bool) -> str | None:
        """Why the store fails, in the reader's language."""
        if left_out:
            return str(ChannelLeftOut(channel=store.channel))
        return self.disconnected(store) or self.last_failure

    @staticmethod
    def disconnected(store: Store) -> str | None:
        """Why nothing is read or sent until somebody gives new credentials."""
        return sentence_of(store.problem)

    @property
    def last_failure(self) -> str | None:
        """Why the last reading failed; None once a page has been read since."""
        return sentence_of(self.sync.last_failure) if self.sync else None

    @property
    def denials(self) -> list[StoreDenial]:
        """What the channel denies while all else goes on, the longest first."""
        return self.sync.denials if self.sync else []

    @property
    def unproven(self) -> OrdersProof | None:
        """How far the proof is that all orders are here; None once it is complete, and before the first reading
        ended.
        """
        proof = self.sync.proof if self.sync else None
        return proof if proof is not None and proof.proven_at is None else None


def of_stores(store_ids: Sequence[int]) -> dict[int, Health]:
    """The health of each of these stores, in two queries."""
    found = {store_id: Health.of_lanes(lanes) for store_id, lanes in lanes_of(store_ids).items()}
    for store_id in store_ids:
        found.setdefault(store_id, Health())
    updates = (
        select(ChannelUpdate.store_id, ChannelUpdate.state, func.count())
        .where(ChannelUpdate.store_id.in_(store_ids), text(OPEN_UPDATES))
        .group_by(ChannelUpdate.store_id, ChannelUpdate.state)
    )
    quarantined = (
        select(QuarantinedOrder.store_id, literal("quarantined"), func.count())
        .where(QuarantinedOrder.store_id.in_(store_ids))
        .group_by(QuarantinedOrder.store_id)
    )
    for store_id, state, number in db.session.execute(union_all(updates, quarantined)):
        health = found[store_id]
        if state == "quarantined":
            health.quarantined += number
        elif state in _TROUBLED:
            health.troubled += number
        else:
            health.backlog += number
    return found
