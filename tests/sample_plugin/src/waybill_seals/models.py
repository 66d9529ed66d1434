"""The table of seals."""

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from webapp.api import Model


class Seal(Model):
    """One seal on one order."""

    __tablename__ = "seals_put"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), index=True)
    number: Mapped[str]
    at: Mapped[datetime]


class Arrival(Model):
    """How many orders arrived together."""

    __tablename__ = "seals_arrivals"

    id: Mapped[int] = mapped_column(primary_key=True)
    orders: Mapped[int]
