"""Return requests with their lines, and the credit memos that refund them. Nothing here is about the buyer."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.accounts.models import User
from webapp.billing.models import CreditMemo
from webapp.db import Model
from webapp.orders.models import Order, OrderLine

PREFIX = "R-"


def number_of(return_id: int) -> str:
    """What people call a return by, such as R-000012."""
    return f"{PREFIX}{return_id:06d}"


class Return(Model):
    """A return request of an order. `state` is computed from the lines and the two times (see `states`)."""

    __tablename__ = "returns"
    __table_args__ = (
        CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", name="closed"),
        CheckConstraint("state <> 'requested' OR decided_at IS NULL", name="requested"),
        Index("ix_returns_order", "order_id", "id"),
        Index("ix_returns_requested_at", "requested_at", "id"),
        Index("ix_returns_state", "state", "id"),
        {"sqlite_autoincrement": True},  # the number is made of the id: ids are never reused
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"))
    state: Mapped[str]
    requested_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]  # when it was authorized or denied
    closed_at: Mapped[datetime | None]
    actor_kind: Mapped[str]
    actor_id: Mapped[int | None]

    order: Mapped[Order] = relationship()
    lines: Mapped[list["ReturnLine"]] = relationship(
        back_populates="of_return", order_by="ReturnLine.line_id", passive_deletes=True
    )
    memos: Mapped[list[CreditMemo]] = relationship(secondary="return_memos", order_by=CreditMemo.id)
    person: Mapped[User | None] = relationship(
        primaryjoin="and_(foreign(Return.actor_id) == User.id, Return.actor_kind == 'person')", viewonly=True
    )

    @property
    def number(self) -> str:
        return number_of(self.id)


class ReturnLine(Model):
    """The units of one order line in a return: asked for, and of them authorized, received, accepted or rejected."""

    __tablename__ = "return_lines"
    __table_args__ = (
        CheckConstraint("asked > 0 AND authorized BETWEEN 0 AND asked", name="authorized"),
        CheckConstraint("received BETWEEN 0 AND authorized", name="received"),
        CheckConstraint("accepted >= 0 AND rejected >= 0 AND accepted + rejected <= received", name="inspected"),
    )

    return_id: Mapped[int] = mapped_column(ForeignKey("returns.id", ondelete="CASCADE"), primary_key=True)
    line_id: Mapped[int] = mapped_column(ForeignKey("order_lines.id", ondelete="CASCADE"), primary_key=True, index=True)
    asked: Mapped[int]
    authorized: Mapped[int] = mapped_column(default=0)
    received: Mapped[int] = mapped_column(default=0)
    accepted: Mapped[int] = mapped_column(default=0)
    rejected: Mapped[int] = mapped_column(default=0)
    reason: Mapped[str]  # a ReturnReason
    condition: Mapped[str]  # a ReturnCondition
    resolution: Mapped[str]  # a ReturnResolution
    of_return: Mapped[Return] = relationship(back_populates="lines")
    line: Mapped[OrderLine] = relationship(viewonly=True)


class ReturnMemo(Model):
    """A credit memo that refunds what came back with a return."""

    __tablename__ = "return_memos"

    memo_id: Mapped[int] = mapped_column(ForeignKey("credit_memos.id"), primary_key=True)
    return_id: Mapped[int] = mapped_column(ForeignKey("returns.id", ondelete="CASCADE"), index=True)
