"""Updates owed to channels, the lanes in which they are sent, and the attempts that were begun."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.channels.models import Store
from webapp.db import Model
from webapp.i18n import LazyString, lazy_gettext as _l
from webapp.orders.models import Order


class UpdateState(StrEnum):
    """The state of an update.

    held → owed → sent (the channel took it) → accepted (processed without complaint, the effect is not visible yet) →
    effective | refused | unknown; withdrawn, done_elsewhere.
    """

    HELD = "held"
    OWED = "owed"
    SENT = "sent"
    ACCEPTED = "accepted"
    EFFECTIVE = "effective"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    WITHDRAWN = "withdrawn"
    DONE_ELSEWHERE = "done_elsewhere"


STATE_LABELS: dict[str, LazyString] = {
    UpdateState.HELD: _l("Held"),
    UpdateState.OWED: _l("Queued"),
    UpdateState.SENT: _l("Sent"),
    UpdateState.ACCEPTED: _l("Accepted"),
    UpdateState.EFFECTIVE: _l("Confirmed"),
    UpdateState.REFUSED: _l("Refused"),
    UpdateState.UNKNOWN: _l("Unknown"),
    UpdateState.WITHDRAWN: _l("Withdrawn"),
    UpdateState.DONE_ELSEWHERE: _l("Done elsewhere"),
}
STATE_TONES = {
    UpdateState.HELD: "waits",
    UpdateState.OWED: "waits",
    UpdateState.SENT: "info",
    UpdateState.ACCEPTED: "info",
    UpdateState.EFFECTIVE: "good",
    UpdateState.REFUSED: "bad",
    UpdateState.UNKNOWN: "warn",
    UpdateState.WITHDRAWN: "gone",
    UpdateState.DONE_ELSEWHERE: "good",
}
WAITING = (UpdateState.HELD, UpdateState.OWED)  # it has yet to leave
LEFT = (UpdateState.SENT, UpdateState.ACCEPTED, UpdateState.UNKNOWN)  # it may have reached the channel
ENDED = (UpdateState.EFFECTIVE, UpdateState.WITHDRAWN, UpdateState.DONE_ELSEWHERE)
UNSETTLED = (*WAITING, *LEFT)  # under way: nobody has to do anything
OPEN = (*WAITING, UpdateState.SENT, UpdateState.ACCEPTED, UpdateState.REFUSED, UpdateState.UNKNOWN)

# The condition of an index: queries must repeat it literally.
OPEN_UPDATES = "channel_updates.state IN ('held', 'owed', 'sent', 'accepted', 'refused', 'unknown')"


class ChannelUpdate(Model):
    """Something that a channel is owed: a stored promise with a state, and a time for every step."""

    __tablename__ = "channel_updates"
    __table_args__ = (
        UniqueConstraint("order_id", "kind", "reference", "revision"),
        Index("ix_channel_updates_due", "store_id", "lane", "state", "due_at"),
        Index("ix_channel_updates_order", "order_id", "id"),
        Index("ix_channel_updates_created_at", "created_at", "id"),  # these are the sortings of the outbox
        Index("ix_channel_updates_due_at", "due_at", "id"),
        Index("ix_channel_updates_deadline", "deadline", "id"),
        Index("ix_channel_updates_store_created_at", "store_id", "created_at", "id"),
        Index("ix_channel_updates_store_due_at", "store_id", "due_at", "id"),
        Index("ix_channel_updates_store_deadline", "store_id", "deadline", "id"),
        Index(
            "ix_channel_updates_open",
            "store_id",
            "state",
            "order_id",
            sqlite_where=text(OPEN_UPDATES.removeprefix("channel_updates.")),
            postgresql_where=text(OPEN_UPDATES.removeprefix("channel_updates.")),
        ),
        Index(
            "ix_channel_updates_attempt",
            "attempt_id",
            sqlite_where=text("attempt_id IS NOT NULL"),
            postgresql_where=text("attempt_id IS NOT NULL"),
        ),
        {"sqlite_autoincrement": True},  # a channel may know a row by its id: ids are never reused
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    store_id: Mapped[int] = mapped_column(ForeignKey("stores.id", ondelete="CASCADE"))
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"))
    kind: Mapped[str]
    source_id: Mapped[int | None]  # the document that it is about: the package of a shipment
    order_version: Mapped[int]
    reference: Mapped[str]  # the desk's name for the thing at the channel; repetitions and corrections keep it
    revision: Mapped[int] = mapped_column(default=1)  # only the highest revision of a reference is ever sent
    lane: Mapped[str] = mapped_column(default=lambda row: row.get_current_parameters()["kind"])  # named by its channel
    payload: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(default=UpdateState.OWED)
    due_at: Mapped[datetime]
    deadline: Mapped[datetime | None]
    look_again_at: Mapped[datetime | None]
    looked_at: Mapped[datetime | None]  # when the channel last did not show the effect
    look_from: Mapped[datetime | None]  # since when it may have left: set if an older database does not know
    handle: Mapped[str | None]
    urgent: Mapped[bool] = mapped_column(default=False)  # a person wants it sent as soon as the channel allows
    attempts: Mapped[int] = mapped_column(default=0)
    attempt_id: Mapped[int | None] = mapped_column(ForeignKey("update_attempts.id"))
    together: Mapped[int | None]  # the largest batch that it may be part of; None: no limit of its own
    problem: Mapped[dict[str, Any] | None]  # a stored DeskError, or a sentence of the channel itself
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    effective_at: Mapped[datetime | None]
    refused_at: Mapped[datetime | None]
    order: Mapped[Order] = relationship()
    store: Mapped[Store] = relationship()
    attempt: Mapped["UpdateAttempt | None"] = relationship()

    @property
    def never_left(self) -> bool:
        """Whether the update certainly has not left: no worker ever claimed it, as far as this database goes back."""
        return self.state in WAITING and self.attempts == 0 and self.lease_owner is None and self.look_from is None


class UpdateLane(Model):
    """A lane of an account, for all its stores, in which only one batch is under way at a time. Locked to claim."""

    __tablename__ = "update_lanes"

    channel: Mapped[str] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(primary_key=True)
    lane: Mapped[str] = mapped_column(primary_key=True)


class UpdateAttempt(Model):
    """One try to send updates together, stored before anything irreversible."""

    __tablename__ = "update_attempts"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    store_id: Mapped[int] = mapped_column(ForeignKey("stores.id", ondelete="CASCADE"))
    lane: Mapped[str]
    key: Mapped[str]  # the channel's id for it, if known beforehand
    messages: Mapped[int]
    at: Mapped[datetime]
    channel_at: Mapped[datetime | None]  # by the channel's own clock
    handle: Mapped[str | None]  # what the channel named it once it took the updates; kept when they are sent again
