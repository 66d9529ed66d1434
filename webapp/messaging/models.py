"""Messages to and from buyers, what a channel allows of them for an order, templates, and review requests."""

from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, TypedDict

from sqlalchemy import ForeignKey, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp.accounts.models import User
from webapp.channels.models import Shop
from webapp.db import Model
from webapp.mail.models import Mailbox
from webapp.orders.models import Order
from webapp.vault.models import PeriodName

OPEN_MAILS = "done_at IS NULL"  # the condition of an index: queries must repeat it literally


class Said(TypedDict):
    """What a message says."""

    subject: str  # empty by routes that have none
    text: str


class SaidFile(TypedDict):
    """A file that came with a mail. Those that are kept are sealed files of the mail, in the same order."""

    name: str
    type: str
    size: int
    kept: bool


class SaidByMail(Said):
    """What a received mail says."""

    quoted: str  # what it quotes, behind its own text
    sender: str
    sender_name: str
    message_id: str
    whole: bool  # False: the rest was not kept, since it is too long
    files: list[SaidFile]


class StartedFrom(NamedTuple):
    """The template from which a message was started, as it was then."""

    situation: str
    name: str  # of a custom one; the others have that of their situation


class Direction(StrEnum):
    OUT = "out"  # to the buyer
    IN = "in"  # from the buyer, or from a mail server about one of ours


class Route(StrEnum):
    """The way of a message."""

    CHANNEL = "channel"  # the channel's own messages: an update carries it
    MAIL = "mail"


def _unique_template(name: str, where: str, *columns: str) -> Index:
    unique = (*columns, "language", "situation", "name")
    return Index(name, *unique, unique=True, sqlite_where=text(where), postgresql_where=text(where))


class Message(Model):
    """A message to or from the buyer of an order. `sealed` is what it says, a `Said`, under the order's key: it is
    erased with the buyer. How far it has come is the state of its update, or of its mail.
    """

    __tablename__ = "messages"
    __table_args__ = (
        Index("ix_messages_order", "order_id", "id"),
        Index("uq_messages_mail_id", "mail_id", unique=True),
        {"sqlite_autoincrement": True},  # updates name a message by its id: ids are never reused
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"))
    direction: Mapped[str] = mapped_column(default=Direction.OUT)
    route: Mapped[str] = mapped_column(default=Route.CHANNEL)
    kind: Mapped[str]  # by the channel's route its code
    mail_id: Mapped[int | None]  # of one that goes by mail: its mail in the queue, which is kept
    answers_id: Mapped[int | None]  # the received message that it replies to
    template_situation: Mapped[str | None]  # of the template from which it was started
    template_name: Mapped[str] = mapped_column(server_default="", default="")  # of a custom one, as it was then
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    written_at: Mapped[datetime]
    actor_kind: Mapped[str]
    actor_id: Mapped[int | None]

    order: Mapped[Order] = relationship()
    documents: Mapped[list["MessageDocument"]] = relationship(viewonly=True)
    person: Mapped[User | None] = relationship(
        primaryjoin="and_(foreign(Message.actor_id) == User.id, Message.actor_kind == 'person')", viewonly=True
    )


class MessageDocument(Model):
    """A document of an order that goes with a message."""

    __tablename__ = "message_documents"
    __table_args__ = (Index("ix_message_documents_document", "kind", "document_id"),)

    message_id: Mapped[int] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)  # see `webapp.messaging.documents`
    document_id: Mapped[int] = mapped_column(primary_key=True)


class Matched(StrEnum):
    """How it was found to which order a received mail belongs."""

    REFERENCE = "reference"  # it answers a mail of the order
    ADDRESS = "address"  # it is from the buyer's address
    NUMBER = "number"  # it names the order
    PERSON = "person"  # somebody put it there


UNREADABLE = "unreadable"  # beside the sorts of mails: one that could not be read


class ReceivedMail(Model):
    """A mail that was read from a mailbox: the other half of a received message, or a mail of the inbox while
    `message_id` is None. What it says is in its message, under the order's key; in the inbox, and where the order's
    buyer was erased, it is here, under the week's key, and goes at `expires_at`.
    """

    __tablename__ = "received_mails"
    __table_args__ = (
        Index(
            "ix_received_mails_open",
            "received_at",
            "id",
            sqlite_where=text(OPEN_MAILS),
            postgresql_where=text(OPEN_MAILS),
        ),
        Index("ix_received_mails_reference", "reference"),
        Index("ix_received_mails_expires", "expires_at"),
        {"sqlite_autoincrement": True},  # sealed files name a mail by its id: ids are never reused
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    mailbox_id: Mapped[int | None]  # no reference: a mailbox is removed at once, however many mails it had
    fingerprint: Mapped[str] = mapped_column(unique=True)  # the same for each copy of it
    reference: Mapped[str]  # its Message-ID, hashed; empty if it has none
    sort: Mapped[str]  # a `webapp.mail.reading.MailSort`, or UNREADABLE
    received_at: Mapped[datetime]
    message_id: Mapped[int | None] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), unique=True)
    matched: Mapped[str | None]
    from_buyer: Mapped[bool] = mapped_column(default=False)  # it came from the address of the order's buyer
    bounced_id: Mapped[int | None] = mapped_column(ForeignKey("messages.id", ondelete="SET NULL"), index=True)
    problem: Mapped[dict[str, Any] | None]  # what a server said of a mail of ours, or why it could not be read
    period: Mapped[str] = mapped_column(PeriodName, default="")
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    expires_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    done_by: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    assigned_to: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))

    message: Mapped[Message | None] = relationship(foreign_keys=[message_id])
    mailbox: Mapped[Mailbox | None] = relationship(
        primaryjoin="foreign(ReceivedMail.mailbox_id) == Mailbox.id", viewonly=True
    )
    assignee: Mapped[User | None] = relationship(foreign_keys=[assigned_to])
    finisher: Mapped[User | None] = relationship(foreign_keys=[done_by])


class MessagesAllowed(Model):
    """The answer of an order's channel to the question which messages it allows now."""

    __tablename__ = "messages_allowed"

    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True)
    language: Mapped[str] = mapped_column(server_default="")  # the buyer's, such as "fr_FR"; empty: not said
    kinds: Mapped[list[str]]  # codes; of the latest answer, also while `problem` says why a later question failed
    asked_at: Mapped[datetime]  # of the latest answer, or of the first question while there is none
    problem: Mapped[dict[str, Any] | None]  # a stored DeskError


class MessageTemplate(Model):
    """A text that a merchant wrote for messages to buyers, for one shop or, without one, for every shop. With a
    situation other than `custom` it takes the place of the standard text; `name` is only for custom ones.
    """

    __tablename__ = "message_templates"
    __table_args__ = (
        _unique_template("ix_message_templates_of_all", "shop_id IS NULL"),
        _unique_template("ix_message_templates_of_shop", "shop_id IS NOT NULL", "shop_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    shop_id: Mapped[int | None] = mapped_column(ForeignKey("shops.id"))
    language: Mapped[str]  # such as "fr"
    situation: Mapped[str]
    name: Mapped[str] = mapped_column(default="")
    text: Mapped[str]
    changed_at: Mapped[datetime]

    shop: Mapped[Shop | None] = relationship(lazy="joined")


class ReviewState(StrEnum):
    """Whether the review of an order is to be requested, or was."""

    REQUESTED = "requested"
    SKIPPED = "skipped"


class ReviewRequest(Model):
    """What was decided about a review request of an order: at most one row for each order, so that nobody is asked
    twice. A `skipped` one was left out by the rule of its store, stopped or withdrawn, as `problem` says; a person may
    request the review after all. How far a `requested` one has come is the state of its update.
    """

    __tablename__ = "review_requests"
    __table_args__ = ({"sqlite_autoincrement": True},)  # updates name a request by its id: ids are never reused

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), unique=True)
    state: Mapped[str]  # a ReviewState
    at: Mapped[datetime]
    problem: Mapped[dict[str, Any] | None]  # a stored DeskError
    actor_kind: Mapped[str]
    actor_id: Mapped[int | None]

    person: Mapped[User | None] = relationship(
        primaryjoin="and_(foreign(ReviewRequest.actor_id) == User.id, ReviewRequest.actor_kind == 'person')",
        viewonly=True,
    )


class ReviewWalk(Model):
    """How far the rule of a store has come through its orders, by their latest promised day of delivery."""

    __tablename__ = "review_walks"

    store_id: Mapped[int] = mapped_column(ForeignKey("stores.id", ondelete="CASCADE"), primary_key=True)
    days: Mapped[int]  # of the rule with which it began
    began_at: Mapped[datetime]
    deliver_by: Mapped[datetime]  # of the order that was considered last, and its id
    order_id: Mapped[int]
