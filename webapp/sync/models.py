"""Windows of orders to read, and quarantined orders."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.channels.incoming import ORDER_PROBLEMS
from webapp.channels.models import Store
from webapp.db import Model
from webapp.jobs.models import Run
from webapp.vault.models import PeriodName


class WindowKind(StrEnum):
    """What a window reads: open orders on the first connection, then changes."""

    OPEN = "open"
    CHANGES = "changes"


ORDERS_LANE = "orders"


class DeskPlace(Model):
    """Where this database was used last; one row."""

    __tablename__ = "desk_places"

    id: Mapped[int] = mapped_column(primary_key=True)
    url: Mapped[str]  # the configured address of the desk; empty if none was
    database: Mapped[str]
    at: Mapped[datetime]


class StoreSync(Model):
    """One lane of a store: who has its lease, in which run, and when it is due again. Each lane has one reader at a
    time, and fails and is paused by itself.
    """

    __tablename__ = "store_syncs"

    store_id: Mapped[int] = mapped_column(ForeignKey("stores.id", ondelete="CASCADE"), primary_key=True)
    lane: Mapped[str] = mapped_column(primary_key=True, default=ORDERS_LANE)  # a `Stream` reads it
    place: Mapped[str | None]  # where its next page begins, as its stream writes it; orders have windows instead
    run_id: Mapped[int | None] = mapped_column(ForeignKey("runs.id"))
    next_at: Mapped[datetime] = mapped_column(index=True)
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(default=0)  # failed runs since a page was last read
    last_failure: Mapped[dict[str, Any] | None]  # a stored DeskError: why the last run failed
    last_success_at: Mapped[datetime | None]
    store: Mapped[Store] = relationship(lazy="joined", innerjoin=True)
    run: Mapped[Run | None] = relationship()
    proof: Mapped["OrdersProof | None"] = relationship(
        primaryjoin="StoreSync.store_id == foreign(OrdersProof.store_id)", viewonly=True, uselist=False
    )
    denials: Mapped[list["StoreDenial"]] = relationship(
        primaryjoin="StoreSync.store_id == foreign(StoreDenial.store_id)", viewonly=True, order_by="StoreDenial.since"
    )

    @property
    def begun(self) -> bool:
        """Whether the lane was read, or is being read: it keeps its last run."""
        return self.run_id is not None


class SyncWindow(Model):
    """How far a store's orders have been read in one kind of window. A page and its progress here are one transaction.

    `cursor` moves to `high` only with the window's last page, since the order of results is not promised.
    """

    __tablename__ = "sync_windows"

    store_id: Mapped[int] = mapped_column(ForeignKey("stores.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)  # a WindowKind
    cursor: Mapped[datetime | None]
    low: Mapped[datetime | None]
    high: Mapped[datetime | None]
    page_token: Mapped[str | None]
    pages_done: Mapped[int] = mapped_column(default=0)
    restarts: Mapped[int] = mapped_column(default=0)  # page tokens refused within this window
    widened_at: Mapped[datetime | None]  # when a window last began a whole day before the cursor


class StoreDenial(Model):
    """One thing that a channel denies a store while all else goes on."""

    __tablename__ = "store_denials"
    __table_args__ = (UniqueConstraint("store_id", "work", "thing", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    store_id: Mapped[int] = mapped_column(ForeignKey("stores.id", ondelete="CASCADE"))
    work: Mapped[str]  # what the desk was doing: see `denials`, or the kind of an update
    thing: Mapped[str]  # a DeniedThing
    name: Mapped[str]
    problem: Mapped[dict[str, Any] | None]  # a stored DeskError
    since: Mapped[datetime]
    again_at: Mapped[datetime]  # when it is tried again
    low: Mapped[datetime | None]  # since when orders may have been missed because of it
    page_token: Mapped[str | None]  # of a marketplace that is no longer denied: how far its open orders were read


class OrdersProof(Model):
    """The proof that all of a store's orders are here: those of the first reading are read again until no new one
    appears.
    """

    __tablename__ = "order_proofs"

    store_id: Mapped[int] = mapped_column(ForeignKey("stores.id", ondelete="CASCADE"), primary_key=True)
    low: Mapped[datetime]
    page_token: Mapped[str | None]
    again_at: Mapped[datetime]  # when the next page may be requested
    seen: Mapped[int] = mapped_column(default=0)  # orders in the current pass
    found: Mapped[int] = mapped_column(default=0)  # those of them that every earlier reading had missed
    total: Mapped[int] = mapped_column(default=0)  # the approximate number of orders in a pass
    passes: Mapped[int] = mapped_column(default=0)  # completed passes
    found_before: Mapped[int] = mapped_column(default=0)  # in the passes before the current one
    proven_at: Mapped[datetime | None]


class QuarantinedOrder(Model):
    """An order that could not be imported: its cause in plain columns, the channel's answer sealed beside it."""

    __tablename__ = "quarantined_orders"
    __table_args__ = (UniqueConstraint("store_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    store_id: Mapped[int] = mapped_column(ForeignKey("stores.id", ondelete="CASCADE"))
    number: Mapped[str]
    field: Mapped[str]
    problem: Mapped[str]
    at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=1)
    period: Mapped[str] = mapped_column(PeriodName)  # there is no order and so no data key yet
    payload: Mapped[bytes] = mapped_column(LargeBinary)  # empty once erased; the cause stays

    @property
    def cause(self) -> str:
        """The problem in the reader's language."""
        return str(ORDER_PROBLEMS.get(self.problem, self.problem))


# The conditions of indexes: queries must repeat them literally.
FAILED_CALLS = "channel_calls.outcome <> 'ok'"
QUIET_CALLS = "channel_calls.outcome = 'ok' AND channel_calls.order_id IS NULL"
DATED_CALLS = (  # kept for longer than those, and no longer than a number of days
    "(channel_calls.outcome = 'ok' AND channel_calls.order_id IS NOT NULL"
    " OR channel_calls.outcome <> 'ok' AND channel_calls.order_id IS NULL)"
)


class ChannelCall(Model):
    """A call that a channel made to the seller's API; a call about several orders has a row for each of them.

    Nothing here is of a buyer, and nothing is a sentence of the channel.
    """

    __tablename__ = "channel_calls"
    __table_args__ = (
        Index("ix_channel_calls_at", "at", "id"),  # the sorting of the list
        Index("ix_channel_calls_store", "store_id", "at", "id"),
        Index(
            "ix_channel_calls_order",
            "order_id",
            "at",
            sqlite_where=text("order_id IS NOT NULL"),
            postgresql_where=text("order_id IS NOT NULL"),
        ),
        Index(
            "ix_channel_calls_failed",
            "at",
            "id",
            sqlite_where=text(FAILED_CALLS.replace("channel_calls.", "")),
            postgresql_where=text(FAILED_CALLS.replace("channel_calls.", "")),
        ),
        Index(
            "ix_channel_calls_quiet",
            "at",
            sqlite_where=text(QUIET_CALLS.replace("channel_calls.", "")),
            postgresql_where=text(QUIET_CALLS.replace("channel_calls.", "")),
        ),
        Index(
            "ix_channel_calls_dated",
            "at",
            sqlite_where=text(DATED_CALLS.replace("channel_calls.", "")),
            postgresql_where=text(DATED_CALLS.replace("channel_calls.", "")),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    store_id: Mapped[int] = mapped_column(ForeignKey("stores.id", ondelete="CASCADE"))
    order_id: Mapped[int | None] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"))  # None: about none alone
    update_id: Mapped[int | None]  # that it carried; no foreign key: it goes with its order, and ids are not used again
    operation: Mapped[str]  # a code of `Channel.operations`
    at: Mapped[datetime]
    took: Mapped[int]  # milliseconds
    status: Mapped[int | None]
    outcome: Mapped[str]  # a CallOutcome
    tries: Mapped[int]
    request_id: Mapped[str]
    problem: Mapped[str]  # the code of a DeskError
    detail: Mapped[str]  # the channel's own code
