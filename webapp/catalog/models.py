"""Listings: a product as a store sells it. The import stores each listing once; searches for products begin here."""

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from webapp.db import Model


class Listing(Model):
    """A SKU and product code in a store under one title; `words` is the text that searches compare: codes and title,
    normalized.
    """

    __tablename__ = "listings"
    __table_args__ = (
        UniqueConstraint("store_id", "sku", "product_code", "title"),
        Index("ix_listings_product_code", "product_code"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    store_id: Mapped[int] = mapped_column(ForeignKey("stores.id"))
    sku: Mapped[str]
    product_code: Mapped[str]
    title: Mapped[str]
    words: Mapped[str]
