"""Shops and stores, and the mirror of what a channel lists.

A channel order mirrors the channel in its own words and is written by the import alone. The desk's own orders stand a
floor above; what the channel says of quantities never overwrites what the desk did.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.db import Minor, Model


class Shop(Model):
    """The merchant's own face: name, time zone and number sequence. A desk has at least one. What documents and
    messages say of it besides stands among its settings (`legal_face`).
    """

    __tablename__ = "shops"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    zone: Mapped[str] = mapped_column(default="UTC")
    created_at: Mapped[datetime]

    @property
    def shop_ids(self) -> set[int]:
        """The shop itself, as `Store.shop_ids` names those of a store."""
        return {self.id}


class ShopLogo(Model):
    """The picture that stands for a shop on documents."""

    __tablename__ = "shop_logos"

    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"), primary_key=True, autoincrement=False)
    kind: Mapped[str]  # png or jpeg
    width: Mapped[int]
    height: Mapped[int]
    digest: Mapped[str]
    content: Mapped[bytes] = mapped_column(LargeBinary)
    at: Mapped[datetime]


class NumberSequence(Model):
    """Numbers that a shop gives out; `next` moves in a short transaction of its own, so there may be gaps."""

    __tablename__ = "number_sequences"
    __table_args__ = (UniqueConstraint("shop_id", "kind"), UniqueConstraint("kind", "prefix"))

    id: Mapped[int] = mapped_column(primary_key=True)
    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"))
    kind: Mapped[str]
    prefix: Mapped[str]
    padding: Mapped[int] = mapped_column(default=6)
    next: Mapped[int] = mapped_column(default=1)


class AccountState(StrEnum):
    """Whether the channel was asked whose account a store is."""

    UNASKED = "unasked"  # with these settings no test has succeeded: it is tested before anything is read
    OLDER = "older"  # connected by a desk that did not ask yet: it goes on, and is asked by itself
    KNOWN = "known"  # `account` is what the channel said, empty where it names none


class Store(Model):
    """A seller's account on a channel. Its settings stand in the settings table, its windows in the sync's."""

    __tablename__ = "stores"

    id: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str]
    name: Mapped[str] = mapped_column(unique=True)
    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"))
    practice: Mapped[bool] = mapped_column(default=False)
    active: Mapped[bool] = mapped_column(default=True)
    problem: Mapped[dict[str, Any] | None]  # a stored DeskError: why it is disconnected
    read_only: Mapped[dict[str, Any] | None]  # a stored DeskError: why nothing is sent to it, while it is read
    account: Mapped[str] = mapped_column(default="", server_default="")  # as the channel named it
    account_state: Mapped[str] = mapped_column(default="unasked", server_default="unasked")  # an `AccountState`
    created_at: Mapped[datetime]
    archived_at: Mapped[datetime | None]  # kept with all its orders, out of the way and out of traffic
    shop: Mapped[Shop] = relationship(lazy="joined", innerjoin=True)
    marketplaces: Mapped[list["StoreMarketplace"]] = relationship(back_populates="store", lazy="selectin")

    @property
    def shop_ids(self) -> set[int]:
        """The shops to which orders of this store belong."""
        return {self.shop_id, *(row.shop_id for row in self.marketplaces if row.shop_id is not None)}

    def __repr__(self) -> str:
        return f"<Store {self.id}>"


class StoreMarketplace(Model):
    """A marketplace that a store serves, and the shop that its orders belong to (none: the store's own)."""

    __tablename__ = "store_marketplaces"

    store_id: Mapped[int] = mapped_column(ForeignKey("stores.id"), primary_key=True)
    marketplace: Mapped[str] = mapped_column(primary_key=True)
    country: Mapped[str]
    currency: Mapped[str]
    zone: Mapped[str] = mapped_column(default="UTC")
    shop_id: Mapped[int | None] = mapped_column(ForeignKey("shops.id"))
    store: Mapped[Store] = relationship(back_populates="marketplaces")


class ChannelOrder(Model):
    """What the channel says of one order."""

    __tablename__ = "channel_orders"
    __table_args__ = (UniqueConstraint("store_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    store_id: Mapped[int] = mapped_column(ForeignKey("stores.id"))
    number: Mapped[str]
    marketplace: Mapped[str]
    stage: Mapped[str]
    status: Mapped[str]  # the channel's own word
    fulfilled_by: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    content_hash: Mapped[bytes] = mapped_column(LargeBinary)
    currency: Mapped[str | None]
    total_minor: Mapped[int | None] = mapped_column(Minor)
    is_sale: Mapped[bool]
    service_level: Mapped[str]
    facts: Mapped[dict[str, Any]]  # programs, payment methods, replaced order, missing parts
    extra: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")  # what its channel alone knows
    lines: Mapped[list["ChannelLine"]] = relationship(order_by="ChannelLine.position", viewonly=True)
    packages: Mapped[list["ChannelPackage"]] = relationship(viewonly=True)


class ChannelLine(Model):
    """What the channel says of one line. `first_ordered` never shrinks: canceled units are counted from it."""

    __tablename__ = "channel_lines"
    __table_args__ = (UniqueConstraint("channel_order_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    channel_order_id: Mapped[int] = mapped_column(ForeignKey("channel_orders.id", ondelete="CASCADE"))
    number: Mapped[str]
    position: Mapped[int]
    first_ordered: Mapped[int]
    ordered: Mapped[int]
    fulfilled: Mapped[int]
    unfulfilled: Mapped[int | None]
    facts: Mapped[dict[str, Any]]  # condition, programs, promotions, cancel request and execution


class ChannelPackage(Model):
    """A parcel that the channel lists, whoever confirmed it."""

    __tablename__ = "channel_packages"
    __table_args__ = (UniqueConstraint("channel_order_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    channel_order_id: Mapped[int] = mapped_column(ForeignKey("channel_orders.id", ondelete="CASCADE"))
    number: Mapped[str]
    carrier: Mapped[str]
    service: Mapped[str]
    tracking_number: Mapped[str]
    shipped_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]  # by when at the latest: the first answer that called it delivered
    status: Mapped[str]
    lines: Mapped[dict[str, Any]]  # channel line number -> units
