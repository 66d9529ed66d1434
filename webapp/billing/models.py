"""Invoices and their lines. A trigger keeps them as they were issued; only the sealed snapshot of the buyer can be
erased.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.accounts.models import User
from webapp.channels.models import Shop
from webapp.db import Minor, Model
from webapp.money import money
from webapp.orders.contract import Amount
from webapp.orders.models import Order


class Invoice(Model):
    """An issued invoice of an order. Its number comes from the gapless sequence of its shop.

    `seller` is what the paper says of the shop: name, legal_name, address, vat_number. `sealed` is what it says of the
    buyer: name, company, purchase_order and address, under the order's key; None for an order without buyer data.
    """

    __tablename__ = "invoices"
    __table_args__ = (UniqueConstraint("number"), Index("ix_invoices_order", "order_id", "id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"))
    number: Mapped[str]
    issued_at: Mapped[datetime]
    currency: Mapped[str]
    total_minor: Mapped[int] = mapped_column(Minor)
    seller: Mapped[dict[str, Any]]
    actor_kind: Mapped[str]
    actor_id: Mapped[int | None]
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)

    total = money("total_minor")
    order: Mapped[Order] = relationship()
    shop: Mapped[Shop] = relationship()
    lines: Mapped[list["InvoiceLine"]] = relationship(back_populates="invoice", order_by="InvoiceLine.position")
    person: Mapped[User | None] = relationship(
        primaryjoin="and_(foreign(Invoice.actor_id) == User.id, Invoice.actor_kind == 'person')", viewonly=True
    )


class InvoiceLine(Model):
    """One component of an order line, or of the order itself (no line), in minor units of the invoice's currency.

    Units are counted on the component `item` alone. `tax_rate` is in millionths (190000 is 19 %), None while unknown.
    """

    __tablename__ = "invoice_lines"
    __table_args__ = (
        CheckConstraint("units >= 0 AND (units = 0 OR component = 'item' AND line_id IS NOT NULL)", name="units"),
        CheckConstraint("tax_rate >= 0", name="tax_rate"),
    )

    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoices.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    line_id: Mapped[int | None] = mapped_column(ForeignKey("order_lines.id"), index=True)
    component: Mapped[str]
    sku: Mapped[str]
    title: Mapped[str]
    units: Mapped[int]
    charged: Mapped[int] = mapped_column(Minor)
    tax: Mapped[int] = mapped_column(Minor)
    discount: Mapped[int] = mapped_column(Minor)
    tax_rate: Mapped[int | None]
    invoice: Mapped[Invoice] = relationship(back_populates="lines")

    @property
    def figures(self) -> Amount:
        return Amount(self.charged, self.tax, self.discount)
