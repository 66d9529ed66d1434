"""Orders of the desk: one for every order that a channel lists, with its lines, amounts, comments, holds and events.

The order row repeats what lists sort and filter by. Quantities move in counters on the line; CHECK constraints limit
the counters, so that no code can ship or refund more than there is.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.accounts.models import User
from webapp.catalog.models import Listing  # noqa: F401
from webapp.channels.models import ChannelOrder, Shop, Store
from webapp.db import Minor, Model
from webapp.errors import DeskError
from webapp.i18n import lazy_gettext as _l
from webapp.money import money
from webapp.orders.contract import Amount
from webapp.orders.states import open_units
from webapp.settings.models import StoredSetting
from webapp.vault.models import PeriodName


class TooMany(DeskError):
    """More units were chosen than are still open."""

    code, status = "too_many", 422
    sentence = _l("The quantity is too high. Units of %(sku)s left to ship: %(open)s.")


class NotPositive(DeskError):
    """A quantity is below one."""

    code, status = "not_positive", 422
    sentence = _l("The quantity of %(sku)s must be at least 1.")


OPEN = "state IN ('pending', 'processing')"  # the condition of indexes: queries must use exactly this text
ON_HOLD, ATTENTION, WANTS_CANCEL = "on_hold", "needs_attention", "buyer_wants_cancel"  # in conditions of indexes, too
UNREAD = "unread > 0"
SHOWN, ARCHIVED = "archived_at IS NULL", "archived_at IS NOT NULL"  # every order fulfills one of the two
SORTED = {"placed": "placed_at", "ship_by": "ship_by", "updated": "updated_at", "total": "total_minor"}


def _partial(name: str, *columns: str, where: str) -> Index:
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


def _person(table: str) -> Any:
    """The person who wrote a row; None if none did."""
    join = f"and_(foreign({table}.actor_id) == User.id, {table}.actor_kind == 'person')"
    return relationship(User, primaryjoin=join, viewonly=True)


class Order(Model):
    """One order, with the desk's number and the channel's, the desk's state and the channel's status side by side."""

    __tablename__ = "orders"
    __table_args__ = (
        *(
            index
            for name, column in SORTED.items()
            for index in (
                _partial(f"ix_orders_{name}", column, "id", where=SHOWN),
                _partial(f"ix_orders_store_{name}", "store_id", column, "id", where=SHOWN),
                _partial(f"ix_orders_state_{name}", "state", column, "id", where=SHOWN),
                _partial(f"ix_orders_open_{name}", column, "id", where=OPEN),
                _partial(f"ix_orders_archived_{name}", column, "id", where=ARCHIVED),
                _partial(f"ix_orders_archived_store_{name}", "store_id", column, "id", where=ARCHIVED),
                _partial(f"ix_orders_archived_state_{name}", "state", column, "id", where=ARCHIVED),
            )
        ),
        Index("ix_orders_channel_number", "channel_order_number"),
        Index("ix_orders_store_deliver_by", "store_id", "deliver_by", "id"),
        _partial("ix_orders_on_hold", "placed_at", "id", where=ON_HOLD),
        _partial("ix_orders_attention", "placed_at", "id", where=ATTENTION),
        _partial("ix_orders_unread", "placed_at", "id", where=UNREAD),
        _partial("ix_orders_buyer_wants_cancel", "placed_at", "id", where=WANTS_CANCEL),
        _partial("ix_orders_open_buyer_wants_cancel", "placed_at", "id", where=f"{OPEN} AND {WANTS_CANCEL}"),
        _partial("ix_orders_unnumbered", "store_id", "placed_at", "id", where="number IS NULL"),
        _partial("ix_orders_assignee", "assignee_id", "placed_at", "id", where="assignee_id IS NOT NULL"),
        _partial("ix_orders_due", "due_at", "id", where="due_at IS NOT NULL"),
        _partial("ix_orders_status", "status", "placed_at", "id", where="status IS NOT NULL"),
        CheckConstraint("refunding_minor >= 0 AND refunded_minor >= 0", name="refunds_never_negative"),
        CheckConstraint("refunded_minor + refunding_minor <= refund_ceiling_minor", name="never_refund_more"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str | None] = mapped_column(unique=True)
    channel_order_id: Mapped[int] = mapped_column(ForeignKey("channel_orders.id"), unique=True)
    shop_id: Mapped[int] = mapped_column(ForeignKey("shops.id"))
    store_id: Mapped[int] = mapped_column(ForeignKey("stores.id"))
    version: Mapped[int] = mapped_column(default=1)
    state: Mapped[str]
    on_hold: Mapped[bool] = mapped_column(default=False)
    canceling: Mapped[bool] = mapped_column(default=False)

    # Written by the import alone:
    channel_order_number: Mapped[str]
    channel_status: Mapped[str]
    marketplace: Mapped[str]
    fulfilled_by: Mapped[str]
    flags: Mapped[list[str]]
    buyer_wants_cancel: Mapped[bool] = mapped_column(default=False)
    arrived_complete: Mapped[bool] = mapped_column(default=False)
    address_state: Mapped[str]  # ok, partial, missing
    placed_at: Mapped[datetime]
    ship_from: Mapped[datetime | None]
    ship_by: Mapped[datetime | None]
    deliver_from: Mapped[datetime | None]
    deliver_by: Mapped[datetime | None]
    service_level: Mapped[str]
    currency: Mapped[str | None]
    total_minor: Mapped[int | None] = mapped_column(Minor)
    residual_minor: Mapped[int | None] = mapped_column(Minor)

    # Written by credit memos alone, adjustments included; the ceiling is the most that the buyer ever had to pay:
    refunded_minor: Mapped[int] = mapped_column(Minor, server_default="0")
    refunding_minor: Mapped[int] = mapped_column(Minor, server_default="0")  # of memos that are not issued yet
    refund_ceiling_minor: Mapped[int] = mapped_column(Minor, server_default="0")

    items: Mapped[int]  # units ordered
    unshipped: Mapped[int]  # units open
    country: Mapped[str] = mapped_column(default="")  # the country of delivery, ISO 3166; empty while withheld

    # Written by people, and by the merchant's own rules:
    status: Mapped[str | None]  # code of an `OrderStatus`
    assignee_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    due_at: Mapped[datetime | None]
    tags: Mapped[list[Any]] = mapped_column(default=list)  # ids; `order_tags` is for finding orders by tag
    comments: Mapped[int] = mapped_column(default=0)
    unread: Mapped[int] = mapped_column(default=0, server_default="0")  # answers of the buyer that are not done
    archived_at: Mapped[datetime | None]

    attention: Mapped[list[Any]]  # [{"kind", "values"}], those of the lines included
    needs_attention: Mapped[bool] = mapped_column(default=False)
    updated_at: Mapped[datetime]

    total = money("total_minor")
    residual = money("residual_minor")
    shop: Mapped[Shop] = relationship()
    store: Mapped[Store] = relationship()
    channel_order: Mapped[ChannelOrder] = relationship()
    lines: Mapped[list["OrderLine"]] = relationship(back_populates="order", order_by="OrderLine.position")
    amounts: Mapped[list["OrderAmount"]] = relationship(back_populates="order", order_by="OrderAmount.id")
    own_amounts: Mapped[list["OrderAmount"]] = relationship(  # amounts that belong to no line
        primaryjoin="and_(OrderAmount.order_id == Order.id, OrderAmount.line_id.is_(None))", viewonly=True
    )
    assignee: Mapped[User | None] = relationship(viewonly=True)
    drafts: Mapped[list["OrderDraft"]] = relationship(viewonly=True, lazy="raise")  # loaded by `webapp.orders.drafts`
    running_hold: Mapped["OrderHold | None"] = relationship(
        primaryjoin="and_(OrderHold.order_id == Order.id, OrderHold.released_at.is_(None))", viewonly=True
    )
    other_orders_setting: Mapped[StoredSetting | None] = relationship(  # of its store: `order_settings.OTHER_ORDERS`
        primaryjoin="and_(foreign(StoredSetting.scope_id) == Order.store_id, StoredSetting.scope == 'store', "
        "StoredSetting.group == 'orders', StoredSetting.name == 'other_orders')",
        viewonly=True,
        uselist=False,
    )

    @property
    def managed_at_channel(self) -> bool:
        """Whether import was off when the order arrived: then it has no number and can't be worked on here."""
        return self.number is None

    @property
    def shown_state(self) -> str:
        """The state that lists and commands show: a hold or a running cancellation while there is one, else the
        state.
        """
        return "canceling" if self.canceling else "on_hold" if self.on_hold else self.state

    def __repr__(self) -> str:
        return f"<Order {self.id}>"


class OrderLine(Model):
    """One product of an order: how many units were ordered, shipped, canceled and so on."""

    __tablename__ = "order_lines"
    __table_args__ = (
        UniqueConstraint("order_id", "position"),
        CheckConstraint("ordered >= 0", name="ordered"),
        CheckConstraint("canceled >= 0 AND withdrawn >= 0 AND shipped >= 0", name="never_below_zero"),
        CheckConstraint("ordered - canceled - withdrawn - shipped >= 0", name="never_ship_more"),
        CheckConstraint("invoiced BETWEEN 0 AND ordered", name="never_invoice_more"),
        CheckConstraint("refunded BETWEEN 0 AND ordered", name="never_refund_more"),
        CheckConstraint("refunding >= 0 AND refunded + refunding <= ordered", name="never_refund_twice"),
        CheckConstraint("returned BETWEEN 0 AND shipped", name="never_return_more"),
        CheckConstraint("to_return >= 0 AND returned + to_return <= shipped", name="never_return_twice"),
        Index("ix_order_lines_sku", "sku"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"))
    channel_line_id: Mapped[int] = mapped_column(ForeignKey("channel_lines.id"), unique=True)
    channel_line_number: Mapped[str]
    position: Mapped[int]
    sku: Mapped[str]
    product_code: Mapped[str]
    title: Mapped[str]
    needs_codes: Mapped[bool] = mapped_column(default=False)
    gift: Mapped[bool] = mapped_column(default=False)
    ordered: Mapped[int]
    canceled: Mapped[int] = mapped_column(default=0)
    withdrawn: Mapped[int] = mapped_column(default=0)
    shipped: Mapped[int] = mapped_column(default=0)
    invoiced: Mapped[int] = mapped_column(default=0)
    refunded: Mapped[int] = mapped_column(default=0)
    refunding: Mapped[int] = mapped_column(server_default="0")  # of credit memos that are not issued yet
    returned: Mapped[int] = mapped_column(default=0)
    to_return: Mapped[int] = mapped_column(server_default="0")  # of returns: asked or authorized, and not here yet
    currency: Mapped[str | None]
    unit_price_minor: Mapped[int | None] = mapped_column(Minor)
    total_minor: Mapped[int | None] = mapped_column(Minor)
    problems: Mapped[list[Any]]  # [{"kind", "values"}]
    order: Mapped[Order] = relationship(back_populates="lines")
    amounts: Mapped[list["OrderAmount"]] = relationship(  # by the order too, since the order begins their key
        viewonly=True,
        primaryjoin="and_(OrderLine.id == foreign(OrderAmount.line_id), OrderLine.order_id == OrderAmount.order_id)",
    )

    unit_price = money("unit_price_minor")
    total = money("total_minor")

    @property
    def open(self) -> int:
        """Units that still have to leave."""
        return open_units(self)

    def ship(self, quantity: int) -> None:
        """Count open units as shipped; raises `TooMany`."""
        if quantity < 1:
            raise NotPositive(sku=self.sku or self.title)
        if quantity > self.open:
            raise TooMany(open=self.open, sku=self.sku or self.title)
        self.shipped += quantity


class OrderAmount(Model):
    """The amount of one component of a line, or of the order itself, in minor units as the channel sent it last.

    A row is never deleted: an amount that the channel no longer sends becomes zero. `ceiling` is the most that the
    buyer ever had to pay for the component; it only rises. The import writes all of this; what is invoiced and refunded
    of the amount is written by documents alone, and `pending` is what credit memos refund that are not issued yet.
    """

    __tablename__ = "order_amounts"
    __table_args__ = (
        UniqueConstraint("order_id", "line_id", "component"),
        Index(  # for the order's own amounts, since the constraint above compares no NULL line
            "uq_order_amounts_order_id_component",
            "order_id",
            "component",
            unique=True,
            sqlite_where=text("line_id IS NULL"),
            postgresql_where=text("line_id IS NULL"),
        ),
        CheckConstraint("tax >= 0 AND discount >= 0", name="never_negative"),
        CheckConstraint("ceiling >= 0 AND ceiling >= charged + tax - discount", name="never_above_ceiling"),
        CheckConstraint(
            "invoiced_charged + invoiced_tax - invoiced_discount <= ceiling",
            name="never_invoice_more",
        ),
        CheckConstraint(
            "refunded_charged + refunded_tax - refunded_discount + pending_charged + pending_tax - pending_discount"
            " <= ceiling",
            name="never_refund_more",
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"))
    line_id: Mapped[int | None] = mapped_column(ForeignKey("order_lines.id", ondelete="CASCADE"))
    component: Mapped[str]
    charged: Mapped[int] = mapped_column(Minor, default=0)
    tax: Mapped[int] = mapped_column(Minor, default=0)
    discount: Mapped[int] = mapped_column(Minor, default=0)
    ceiling: Mapped[int] = mapped_column(Minor)
    invoiced_charged: Mapped[int] = mapped_column(Minor, server_default="0")
    invoiced_tax: Mapped[int] = mapped_column(Minor, server_default="0")
    invoiced_discount: Mapped[int] = mapped_column(Minor, server_default="0")
    refunded_charged: Mapped[int] = mapped_column(Minor, server_default="0")
    refunded_tax: Mapped[int] = mapped_column(Minor, server_default="0")
    refunded_discount: Mapped[int] = mapped_column(Minor, server_default="0")
    pending_charged: Mapped[int] = mapped_column(Minor, server_default="0")
    pending_tax: Mapped[int] = mapped_column(Minor, server_default="0")
    pending_discount: Mapped[int] = mapped_column(Minor, server_default="0")
    order: Mapped[Order] = relationship(back_populates="amounts")

    @property
    def figures(self) -> Amount:
        return Amount(self.charged, self.tax, self.discount)

    @property
    def invoiced(self) -> Amount:
        """What of it is invoiced."""
        return Amount(self.invoiced_charged, self.invoiced_tax, self.invoiced_discount)

    @invoiced.setter
    def invoiced(self, amount: Amount) -> None:
        self.invoiced_charged, self.invoiced_tax, self.invoiced_discount = amount

    @property
    def refunded(self) -> Amount:
        """What of it is refunded by issued credit memos."""
        return Amount(self.refunded_charged, self.refunded_tax, self.refunded_discount)

    @refunded.setter
    def refunded(self, amount: Amount) -> None:
        self.refunded_charged, self.refunded_tax, self.refunded_discount = amount

    @property
    def pending(self) -> Amount:
        """What of it is to be refunded by credit memos that are not issued yet."""
        return Amount(self.pending_charged, self.pending_tax, self.pending_discount)

    @pending.setter
    def pending(self, amount: Amount) -> None:
        self.pending_charged, self.pending_tax, self.pending_discount = amount

    @property
    def net(self) -> int:
        """What the buyer pays for the component: charged + tax − discount."""
        return self.charged + self.tax - self.discount


class OrderEvent(Model):
    """Something that happened to an order; a trigger makes the table append-only, except for erasing `sealed`."""

    __tablename__ = "order_events"
    __table_args__ = (Index("ix_order_events_order", "order_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"))
    at: Mapped[datetime]  # when it happened
    seen_at: Mapped[datetime]  # when the desk learned of it
    actor_kind: Mapped[str]
    actor_id: Mapped[int | None]
    cause: Mapped[str]
    code: Mapped[str]
    version: Mapped[int]  # the order's version after the event
    data: Mapped[dict[str, Any]]
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    person: Mapped[User | None] = _person("OrderEvent")


class OrderComment(Model):
    """An internal comment on an order; sealed under the order's key, since comments name buyers too."""

    __tablename__ = "order_comments"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), index=True)
    at: Mapped[datetime]
    actor_kind: Mapped[str]
    actor_id: Mapped[int | None]
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[str | None]  # the status that was set together with the comment
    pinned_at: Mapped[datetime | None]
    person: Mapped[User | None] = _person("OrderComment")


class OrderHold(Model):
    """A hold on an order: its reason, its author and its end; the hold is active while `released_at` is empty."""

    __tablename__ = "order_holds"
    __table_args__ = (_partial("ix_order_holds_due", "until", where="released_at IS NULL"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), index=True)
    at: Mapped[datetime]
    until: Mapped[datetime | None]
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)  # the reason, under the order's key
    actor_kind: Mapped[str]
    actor_id: Mapped[int | None]
    released_at: Mapped[datetime | None]
    person: Mapped[User | None] = _person("OrderHold")


class Submission(Model):
    """An act that was submitted under a key; a repetition with the same key gets the first result."""

    __tablename__ = "submissions"
    __table_args__ = (UniqueConstraint("actor_kind", "actor_id", "key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    actor_kind: Mapped[str]
    actor_id: Mapped[int] = mapped_column(default=0)
    key: Mapped[str]
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"))
    action: Mapped[str]
    at: Mapped[datetime]
    result: Mapped[dict[str, Any]]


class OrderDraft(Model):
    """What a person typed into the form of an act on an order and has not done yet; only that person reads it. `sealed`
    is under the order's key: it is erased with the buyer.
    """

    __tablename__ = "order_drafts"
    __table_args__ = (UniqueConstraint("order_id", "user_id", "action"), Index("ix_order_drafts_saved_at", "saved_at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    action: Mapped[str]
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    saved_at: Mapped[datetime]


class OrderStatus(Model):
    """The merchant's own label within a state. A status is retired and never deleted, so that old orders keep their
    label.
    """

    __tablename__ = "order_statuses"

    code: Mapped[str] = mapped_column(primary_key=True)  # a letter, then letters, digits and underscores
    state: Mapped[str]
    names: Mapped[dict[str, Any]]  # language -> name; English is always included
    tone: Mapped[str] = mapped_column(default="calm")
    position: Mapped[int] = mapped_column(default=0)
    rule: Mapped[str] = mapped_column(default="")  # a query: orders that come to match it get the status automatically
    retired_at: Mapped[datetime | None]


class Tag(Model):
    """The merchant's own label for any orders. Before a tag is deleted or merged, it is removed from its orders."""

    __tablename__ = "tags"
    __table_args__ = (Index("uq_tags_name_folded", text("lower(name)"), unique=True),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    tone: Mapped[str] = mapped_column(default="calm")
    leaving: Mapped[bool] = mapped_column(default=False)
    heir_id: Mapped[int | None] = mapped_column(ForeignKey("tags.id", ondelete="SET NULL"))  # the tag it is merged into


class OrderTag(Model):
    """Which orders carry a tag."""

    __tablename__ = "order_tags"
    __table_args__ = (Index("ix_order_tags_order", "order_id"),)

    tag_id: Mapped[int] = mapped_column(ForeignKey("tags.id", ondelete="CASCADE"), primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True)


class BulkAct(Model):
    """What a bulk run does to its orders; the orders and how each one ended are in the run's results."""

    __tablename__ = "bulk_acts"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)  # of the submission, so that two submissions with one key are one run
    action: Mapped[str]
    period: Mapped[str] = mapped_column(PeriodName)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)  # the action's input: comments may name buyers
