"""Daily figures, and the changes that a job has yet to fold into them; a reading adds the two.

No row is ever updated in a merchant's transaction, so that two clerks never wait for each other's figures.
"""

from datetime import date

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from webapp.db import Model


class FigureChange(Model):
    """An addition of orders to a day's figures, or a subtraction from them."""

    __tablename__ = "figure_changes"

    id: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[date]  # the day of placing, in the shop's zone
    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"))
    store_id: Mapped[int] = mapped_column(ForeignKey("stores.id"))
    marketplace: Mapped[str]
    state: Mapped[str]
    currency: Mapped[str]  # empty while the channel withholds the total
    orders: Mapped[int]
    units: Mapped[int]
    total_minor: Mapped[int] = mapped_column(BigInteger)


class DailyFigure(Model):
    """The sums over the orders of a day."""

    __tablename__ = "daily_figures"
    __table_args__ = (Index("ix_daily_figures_store_day", "store_id", "day"),)

    day: Mapped[date] = mapped_column(primary_key=True)
    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"), primary_key=True)
    store_id: Mapped[int] = mapped_column(ForeignKey("stores.id"), primary_key=True)
    marketplace: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(primary_key=True)
    orders: Mapped[int]
    units: Mapped[int]
    total_minor: Mapped[int] = mapped_column(BigInteger)


class FigureZone(Model):
    """The zone in which a shop's days are counted: the shop's own, except until a job has counted again.

    A shop without a row has never been counted: its orders may be older than the figures.
    """

    __tablename__ = "figure_zones"

    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"), primary_key=True)
    zone: Mapped[str]
