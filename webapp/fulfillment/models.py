"""Shipments, packages and their contents, and cancellations. Carrier, service, tracking number and time belong to the
package.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.db import Model
from webapp.orders.contract import Origin
from webapp.orders.models import Order, OrderLine

DESK, ELSEWHERE = Origin
_PERSON = text("actor_kind = 'person'")


class Shipment(Model):
    """Goods that left together: from the desk, or elsewhere (on the channel's own page, by another tool)."""

    __tablename__ = "shipments"
    __table_args__ = (Index("ix_shipments_person", "actor_id", "id", postgresql_where=_PERSON, sqlite_where=_PERSON),)

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), index=True)
    origin: Mapped[str]
    provider: Mapped[str | None]
    at: Mapped[datetime]
    actor_kind: Mapped[str]
    actor_id: Mapped[int | None]
    order: Mapped[Order] = relationship()
    packages: Mapped[list["Package"]] = relationship(back_populates="shipment", order_by="Package.number")


class Package(Model):
    """A package. `number` is unique among the order's packages from anywhere; channels get it as the reference."""

    __tablename__ = "packages"
    __table_args__ = (
        UniqueConstraint("order_id", "number"),
        CheckConstraint("number > 0", name="number"),
        Index("ix_packages_tracking", "tracking_number"),
        Index("ix_packages_shipped_at", "shipped_at", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    shipment_id: Mapped[int] = mapped_column(ForeignKey("shipments.id", ondelete="CASCADE"), index=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"))
    number: Mapped[int]
    channel_reference: Mapped[str | None]  # the channel's own, if it differs from our number
    carrier: Mapped[str]
    carrier_name: Mapped[str] = mapped_column(default="")
    service: Mapped[str] = mapped_column(default="")
    tracking_number: Mapped[str]
    shipped_at: Mapped[datetime]
    shipment: Mapped[Shipment] = relationship(back_populates="packages")
    lines: Mapped[list["PackageLine"]] = relationship(back_populates="package", order_by="PackageLine.line_id")


class PackageLine(Model):
    """Units of an order line in a package."""

    __tablename__ = "package_lines"
    __table_args__ = (CheckConstraint("quantity > 0", name="quantity"),)

    package_id: Mapped[int] = mapped_column(ForeignKey("packages.id", ondelete="CASCADE"), primary_key=True)
    line_id: Mapped[int] = mapped_column(ForeignKey("order_lines.id"), primary_key=True)
    quantity: Mapped[int]
    package: Mapped[Package] = relationship(back_populates="lines")
    line: Mapped[OrderLine] = relationship()


class CancellationState(StrEnum):
    ASKED = "asked"
    EFFECTIVE = "effective"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"  # undone, no longer wanted, or done elsewhere before it left


class Cancellation(Model):
    """A whole order, or units of its lines, that the channel is asked to cancel.

    It plans; the counters of the lines follow the channel's readings alone. An order has at most one that is asked.
    """

    __tablename__ = "cancellations"
    __table_args__ = (
        Index("ix_cancellations_order", "order_id", "id"),
        Index(
            "uq_cancellations_asked",
            "order_id",
            unique=True,
            sqlite_where=text("state = 'asked'"),
            postgresql_where=text("state = 'asked'"),
        ),
        {"sqlite_autoincrement": True},  # channels know a cancellation by its id: ids are never reused
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"))
    whole: Mapped[bool]
    lines: Mapped[dict[str, Any]]  # order line id -> units to cancel
    canceled_before: Mapped[dict[str, Any]]  # order line id -> units that were canceled when it was asked
    reason: Mapped[str]  # a code of the channel
    state: Mapped[str] = mapped_column(default=CancellationState.ASKED)
    problem: Mapped[dict[str, Any] | None]  # why it was refused: a stored DeskError, or the channel's own sentence
    actor_kind: Mapped[str]
    actor_id: Mapped[int | None]
    asked_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    order: Mapped[Order] = relationship()
