"""Invoices and credit memos with their lines. Triggers keep what has a number as it was issued; only the sealed
snapshot of the buyer can be erased. Beside them, what the law has documents keep of erased buyers, and the orders at
which the job of automatic invoices looks.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.accounts.models import User
from webapp.channels.models import Shop
from webapp.db import Minor, Model
from webapp.money import money
from webapp.orders.contract import Amount, Origin
from webapp.orders.models import Order
from webapp.vault.models import MonthName


class Invoice(Model):
    """An issued invoice of an order. Its number comes from the gapless sequence of its shop.

    `seller` is what the paper says of the shop: name, legal_name, address, vat_number, and the country of its seat (not
    in those of earlier versions); `terms` is what else it says (see `webapp.billing.terms`; empty for invoices of
    earlier versions). `sealed` is what it says of the
    buyer: name, company, purchase_order and address, under the order's key; None for an order without buyer data.
    """

    __tablename__ = "invoices"
    __table_args__ = (
        UniqueConstraint("number"),
        Index("ix_invoices_order", "order_id", "id"),
        Index("ix_invoices_issued_at", "issued_at", "id"),
        Index("ix_invoices_total_minor", "total_minor", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"))
    number: Mapped[str]
    issued_at: Mapped[datetime]
    currency: Mapped[str]
    total_minor: Mapped[int] = mapped_column(Minor)
    seller: Mapped[dict[str, Any]]
    terms: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
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


class Purpose(StrEnum):
    """What a credit memo is for."""

    REFUND = "refund"  # the buyer gets money back
    CORRECTION = "correction"  # units that were invoiced and then canceled: nothing is paid back
    REVERSAL = "reversal"  # it takes an issued memo back: its amounts are below zero


class MemoState(StrEnum):
    """The state of a credit memo: proposed → recorded → issued; or it ends without ever having had a number."""

    PROPOSED = "proposed"  # it is above the limit of whoever composed it: somebody else decides
    RECORDED = "recorded"  # the channel is asked, or about to be
    ISSUED = "issued"
    WITHDRAWN = "withdrawn"  # undone, declined, or never sent
    REFUSED = "refused"  # by the channel


NEVER_ISSUED = (MemoState.WITHDRAWN, MemoState.REFUSED)  # they ended without a number


class CreditMemo(Model):
    """A credit memo of an order. It has no number until it is issued; its amounts are pending until then.

    `plan` is how the channel carries it: {"parts": [[line number, code, minor]], "added": minor}, empty for one that is
    only recorded. `seller` and `sealed` are set when it is issued, as in an invoice. `channel_minor` is what the
    channel refunded, if that differs.
    """

    __tablename__ = "credit_memos"
    __table_args__ = (
        UniqueConstraint("number"),
        UniqueConstraint("corrects_id"),
        CheckConstraint(
            "(number IS NOT NULL) = (state = 'issued') AND (number IS NULL OR issued_at IS NOT NULL)",
            name="number_once_issued",
        ),
        Index("ix_credit_memos_order", "order_id", "id"),
        Index("ix_credit_memos_recorded_at", "recorded_at", "id"),
        Index("ix_credit_memos_issued_at", "issued_at", "id"),
        Index("ix_credit_memos_total_minor", "total_minor", "id"),
        Index(
            "ix_credit_memos_proposed",
            "id",
            sqlite_where=text("state = 'proposed'"),
            postgresql_where=text("state = 'proposed'"),
        ),
        {"sqlite_autoincrement": True},  # channels know a memo by its id: ids are never reused
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"))
    purpose: Mapped[str] = mapped_column(default=Purpose.REFUND)
    state: Mapped[str] = mapped_column(default=MemoState.RECORDED)
    origin: Mapped[str] = mapped_column(default=Origin.DESK)
    record_only: Mapped[bool] = mapped_column(default=False)
    number: Mapped[str | None]
    invoice_id: Mapped[int | None] = mapped_column(ForeignKey("invoices.id"))  # whose units were canceled
    corrects_id: Mapped[int | None] = mapped_column(ForeignKey("credit_memos.id"))  # the memo that it takes back
    reason: Mapped[str]  # a code of the channel; empty: none
    plan: Mapped[dict[str, Any]] = mapped_column(default=dict)
    recorded_at: Mapped[datetime]
    issued_at: Mapped[datetime | None]
    effective_at: Mapped[datetime | None]  # when the channel's accounts showed it
    ended_at: Mapped[datetime | None]  # when it was withdrawn or refused
    currency: Mapped[str]
    total_minor: Mapped[int] = mapped_column(Minor)
    channel_minor: Mapped[int | None] = mapped_column(Minor)
    seller: Mapped[dict[str, Any] | None]
    terms: Mapped[dict[str, Any]] = mapped_column(default=dict)  # see `webapp.billing.terms`
    actor_kind: Mapped[str]
    actor_id: Mapped[int | None]
    decided_by_id: Mapped[int | None]  # the person who approved or declined it
    problem: Mapped[dict[str, Any] | None]  # why it was refused: a stored DeskError, or the channel's own sentence
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)

    total = money("total_minor")
    channel_total = money("channel_minor")
    order: Mapped[Order] = relationship()
    shop: Mapped[Shop] = relationship()
    invoice: Mapped[Invoice | None] = relationship()
    opposite: Mapped["CreditMemo | None"] = relationship(  # the memo that takes it back
        primaryjoin="CreditMemo.id == foreign(remote(CreditMemo.corrects_id))", uselist=False, viewonly=True
    )
    lines: Mapped[list["CreditMemoLine"]] = relationship(back_populates="memo", order_by="CreditMemoLine.position")
    person: Mapped[User | None] = relationship(
        primaryjoin="and_(foreign(CreditMemo.actor_id) == User.id, CreditMemo.actor_kind == 'person')", viewonly=True
    )


class CreditMemoLine(Model):
    """One component of an order line, or of the order itself, or an adjustment (no line), in minor units.

    Units are counted on the component `item` alone; `restock` of them go back to stock. What is not `counted` is
    outside the counters of lines and amounts: an adjustment, or what exceeds them in a refund made elsewhere.
    """

    __tablename__ = "credit_memo_lines"
    __table_args__ = (
        CheckConstraint("units = 0 OR component = 'item' AND line_id IS NOT NULL", name="units"),
        CheckConstraint("restock >= 0 AND restock <= abs(units)", name="restock"),
        CheckConstraint("tax_rate >= 0", name="tax_rate"),
    )

    memo_id: Mapped[int] = mapped_column(ForeignKey("credit_memos.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    line_id: Mapped[int | None] = mapped_column(ForeignKey("order_lines.id"), index=True)
    component: Mapped[str]
    sku: Mapped[str]
    title: Mapped[str]
    units: Mapped[int]
    restock: Mapped[int] = mapped_column(default=0)
    charged: Mapped[int] = mapped_column(Minor)
    tax: Mapped[int] = mapped_column(Minor)
    discount: Mapped[int] = mapped_column(Minor)
    tax_rate: Mapped[int | None]
    counted: Mapped[bool] = mapped_column(default=True)
    memo: Mapped[CreditMemo] = relationship(back_populates="lines")

    @property
    def figures(self) -> Amount:
        return Amount(self.charged, self.tax, self.discount)


NOT_PLACED = "order_id IS NULL AND order_number <> ''"  # condition of an index
TO_MATCH = "next_at IS NOT NULL"


class Transaction(Model):
    """What a channel's accounts say of an order: one posted transaction, kept as it was told. Only its status changes,
    and what it is matched with.

    `parts` are [line number, SKU, component, units, charged, tax, discount], as in
    `webapp.channels.transactions.TransactionPart`. A refund is matched once: it proves a credit memo or is recorded by
    one (`memo_id`); what exceeds a memo that it proves is recorded by a second one (`rest_id`).
    """

    __tablename__ = "transactions"
    __table_args__ = (
        UniqueConstraint("store_id", "number"),
        CheckConstraint("rest_id IS NULL OR memo_id IS NOT NULL", name="rest_after_memo"),
        Index("ix_transactions_order", "order_id", "posted_at"),
        Index("ix_transactions_posted_at", "posted_at", "id"),  # the sortings of the list
        Index("ix_transactions_total_minor", "total_minor", "id"),
        Index("ix_transactions_memo", "memo_id"),
        Index("ix_transactions_rest", "rest_id"),
        Index(
            "ix_transactions_not_placed",
            "store_id",
            "order_number",
            sqlite_where=text(NOT_PLACED),
            postgresql_where=text(NOT_PLACED),
        ),
        Index("ix_transactions_next", "next_at", sqlite_where=text(TO_MATCH), postgresql_where=text(TO_MATCH)),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    store_id: Mapped[int] = mapped_column(ForeignKey("stores.id", ondelete="CASCADE"))
    order_id: Mapped[int | None] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"))
    number: Mapped[str]  # the channel's
    order_number: Mapped[str]  # the channel's; empty: of no order
    kind: Mapped[str]  # a TransactionKind
    word: Mapped[str]  # the channel's name of the kind
    status: Mapped[str]  # the channel's
    posted_at: Mapped[datetime]
    marketplace: Mapped[str]
    currency: Mapped[str]
    total_minor: Mapped[int] = mapped_column(Minor)  # what the seller gets, or gives below zero, fees included
    fees_minor: Mapped[int] = mapped_column(Minor)
    parts: Mapped[list[Any]]
    memo_id: Mapped[int | None] = mapped_column(ForeignKey("credit_memos.id"))
    rest_id: Mapped[int | None] = mapped_column(ForeignKey("credit_memos.id"))
    next_at: Mapped[datetime | None]  # when the job that matches refunds looks at it; None: nothing is to be done

    total = money("total_minor")
    fees = money("fees_minor")
    memo: Mapped["CreditMemo | None"] = relationship(foreign_keys=[memo_id])
    rest: Mapped["CreditMemo | None"] = relationship(foreign_keys=[rest_id])


class InvoiceDue(Model):
    """An order at which the job of automatic invoices and corrections looks once `next_at` has come: a fact about it
    was told, or an attempt failed `tries` times. What is due is not in the row: the job finds it in the order.
    """

    __tablename__ = "invoice_dues"
    __table_args__ = (Index("ix_invoice_dues_next", "next_at", "order_id"),)

    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True)
    next_at: Mapped[datetime]
    tries: Mapped[int] = mapped_column(default=0)


class KeptBuyer(Model):
    """What a document says of its buyer, kept since the law of a country says so: beyond the erasing of the buyer,
    through the year `kept_through`. It is sealed under a data key of its own (`webapp.vault.document_keys`).
    """

    __tablename__ = "kept_buyers"
    __table_args__ = (Index("ix_kept_buyers_order", "order_id"), Index("ix_kept_buyers_due", "kept_through"))

    kind: Mapped[str] = mapped_column(primary_key=True)  # a DocumentKind
    document_id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"))
    country: Mapped[str]  # of delivery, as the shop's setting names it
    issued_year: Mapped[int]
    kept_through: Mapped[int]
    month: Mapped[str] = mapped_column(MonthName)
    wrapped: Mapped[bytes] = mapped_column(LargeBinary)
    body: Mapped[bytes] = mapped_column(LargeBinary)
