"""Shops and stores, and the mirror of what a channel lists.

A channel order mirrors the channel's own values and is written by the import alone. The desk's own orders belong to a
floor above; the channel's quantities never overwrite the desk's.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, LargeBinary, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.db import Minor, Model


class Shop(Model):
    """A shop of the merchant: its name, time zone and number sequence. A desk has at least one. Everything else that
    documents and messages say about the shop is in its settings (`legal_face`).
    """

    __tablename__ = "shops"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    zone: Mapped[str] = mapped_column(default="UTC")
    created_at: Mapped[datetime]

    @property
    def shop_ids(self) -> set[int]:
        """The shop's own id, as a set, like `Store.shop_ids`."""
        return {self.id}


class ShopLogo(Model):
    """The logo of a shop for documents."""

    __tablename__ = "shop_logos"

    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"), primary_key=True, autoincrement=False)
    kind: Mapped[str]  # png or jpeg
    width: Mapped[int]
    height: Mapped[int]
    digest: Mapped[str]
    content: Mapped[bytes] = mapped_column(LargeBinary)
    at: Mapped[datetime]


class NumberSequence(Model):
    """A sequence from which a shop's numbers are drawn. Those of orders move in a short transaction of their own, so
    there may be gaps. A `yearly` sequence has the year in its numbers and counts within `year`.
    """

    __tablename__ = "number_sequences"
    __table_args__ = (UniqueConstraint("shop_id", "kind"), UniqueConstraint("kind", "prefix"))

    id: Mapped[int] = mapped_column(primary_key=True)
    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"))
    kind: Mapped[str]
    prefix: Mapped[str]
    padding: Mapped[int] = mapped_column(default=6)
    next: Mapped[int] = mapped_column(default=1)
    yearly: Mapped[bool] = mapped_column(default=False, server_default=false())
    year: Mapped[int | None]


class AccountState(StrEnum):
    """Whether the channel has named the account of a store."""

    UNASKED = "unasked"  # no test has succeeded with these settings: the store is tested before anything is read
    OLDER = "older"  # connected by a version that did not ask: its traffic continues, and it is asked later
    KNOWN = "known"  # `account` is the channel's answer, empty if it names none


class Store(Model):
    """A seller's account on a channel. Its settings are in the settings table, its windows in tables of the sync."""

    __tablename__ = "stores"

    id: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str]
    name: Mapped[str] = mapped_column(unique=True)
    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"))
    practice: Mapped[bool] = mapped_column(default=False)
    active: Mapped[bool] = mapped_column(default=True)
    problem: Mapped[dict[str, Any] | None]  # a stored DeskError: why the store is disconnected
    read_only: Mapped[dict[str, Any] | None]  # a stored DeskError: why nothing is sent, while orders are still read
    account: Mapped[str] = mapped_column(default="", server_default="")  # the channel's name for the account
    account_state: Mapped[str] = mapped_column(default="unasked", server_default="unasked")  # an `AccountState`
    created_at: Mapped[datetime]
    archived_at: Mapped[datetime | None]  # kept with all its orders, but hidden and without traffic
    shop: Mapped[Shop] = relationship(lazy="joined", innerjoin=True)
    marketplaces: Mapped[list["StoreMarketplace"]] = relationship(back_populates="store", lazy="selectin")

    @property
    def shop_ids(self) -> set[int]:
        """The ids of the shops to which orders of this store belong."""
        return {self.shop_id, *(row.shop_id for row in self.marketplaces if row.shop_id is not None)}

    def __repr__(self) -> str:
        return f"<Store {self.id}>"


class StoreMarketplace(Model):
    """A marketplace that a store serves, and the shop to which its orders belong (None: the store's own)."""

    __tablename__ = "store_marketplaces"

    store_id: Mapped[int] = mapped_column(ForeignKey("stores.id"), primary_key=True)
    marketplace: Mapped[str] = mapped_column(primary_key=True)
    country: Mapped[str]
    currency: Mapped[str]
    zone: Mapped[str] = mapped_column(default="UTC")
    shop_id: Mapped[int | None] = mapped_column(ForeignKey("shops.id"))
    store: Mapped[Store] = relationship(back_populates="marketplaces")


class ChannelOrder(Model):
    """What the channel reports about one order."""

    __tablename__ = "channel_orders"
    __table_args__ = (UniqueConstraint("store_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    store_id: Mapped[int] = mapped_column(ForeignKey("stores.id"))
    number: Mapped[str]
    marketplace: Mapped[str]
    stage: Mapped[str]
    status: Mapped[str]  # the channel's own status
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
    extra: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")  # facts that only this channel has
    lines: Mapped[list["ChannelLine"]] = relationship(order_by="ChannelLine.position", viewonly=True)
    packages: Mapped[list["ChannelPackage"]] = relationship(viewonly=True)


class ChannelLine(Model):
    """What the channel reports about one line. `first_ordered` never falls: canceled units are counted from it."""

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
    delivered_at: Mapped[datetime | None]  # the time of the first answer with this status: it was delivered by then
    status: Mapped[str]
    lines: Mapped[dict[str, Any]]  # channel line number -> units
