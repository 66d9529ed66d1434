"""Today's tasks: how many orders, returns or updates wait for whom, each as a query of the list that shows them.

Number and link use one query, so that a card never shows another number than its list. All tasks are counted in one
database query, each up to a maximum and by an index of what is open. Of buyers' requests to cancel, the oldest are
read too, since each hour counts.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from webapp.audit.actor import Actor
from webapp.db import db
from webapp.i18n import LazyString, lazy_gettext as _l, lazy_pgettext
from webapp.lists.contract import Subject
from webapp.lists.listing import count_expression, matching_ids
from webapp.mail.mailboxes import broken_count
from webapp.messaging.inbox import inbox_count
from webapp.orders.cancel_requests import TO_DECIDE, known_since
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order
from webapp.orders.predefined_views import REFUNDS_TO_APPROVE, TO_SHIP
from webapp.orders.queries import AROUND_FEW, visible
from webapp.returns.return_list import RETURN_LIST, TO_DECIDE as RETURNS_TO_DECIDE
from webapp.search.compiling import compile_query
from webapp.search.query import parse
from webapp.updates.outbox import NEEDS_DECISION, OUTBOX_LIST

CAP = 10_000
_COMPARED = 500  # requests to cancel among which the oldest are found


@dataclass(frozen=True, slots=True)
class Task:
    """A task that rows of a list wait for: the query that finds them, and its urgency."""

    code: str
    label: LazyString
    query: str
    tone: str = ""
    subject: Subject = ORDER_LIST


@dataclass(frozen=True, slots=True)
class Waiting:
    """A task with the number of rows that wait for it; `capped` if there are more."""

    task: Task
    count: int
    capped: bool


SHIPPING = (
    Task("late", _l("Late"), f"{TO_SHIP} due:late", "bad"),
    Task("today", _l("Due today"), f"{TO_SHIP} due:today -due:late", "warn"),
    Task("tomorrow", _l("Due tomorrow"), f"{TO_SHIP} due:tomorrow"),
    Task("later", _l("Due later"), f"{TO_SHIP} due:>tomorrow"),
)
DECIDING = (
    Task("cancel", _l("Buyer wants to cancel"), TO_DECIDE, "bad"),
    Task("refunds", _l("Refunds to approve"), REFUNDS_TO_APPROVE, "warn"),
    Task("returns", _l("Returns awaiting a decision"), RETURNS_TO_DECIDE, "warn", RETURN_LIST),
    Task("unread", _l("Unread answers"), "unread:yes", "warn"),
    Task("unread_mine", _l("Answers assigned to me"), "unread:me", "warn"),
    Task("attention", _l("Attention"), "attention:yes", "warn"),
    Task("hold", lazy_pgettext("orders", "On hold"), "hold:yes", "warn"),
    Task("updates", _l("Updates refused or uncertain"), NEEDS_DECISION, "bad", OUTBOX_LIST),
)


@dataclass(frozen=True, slots=True)
class Request:
    """An order whose buyer asked to cancel, and since when that is known."""

    order: Order
    since: datetime | None


def oldest_requests(actor: Actor, most: int) -> list[Request]:
    """The requests to cancel that wait longest, in one statement with what acts ask of their orders.

    They are the oldest among the orders that were placed first: their number is limited, so that the statement costs
    the same however many wait.
    """
    compiled = compile_query(parse(TO_DECIDE, ORDER_LIST.code), actor)
    placed_first = matching_ids(ORDER_LIST, actor, compiled, "placed", _COMPARED).subquery()
    since = known_since(Order.id)
    found = visible(actor).with_only_columns(Order.id, since.label("since"))
    found = found.where(Order.id.in_(select(placed_first.c.id)))
    oldest = found.order_by(func.coalesce(since, Order.placed_at), Order.id).limit(most).subquery()
    query = visible(actor).join(oldest, oldest.c.id == Order.id).add_columns(oldest.c.since)
    query = query.options(*AROUND_FEW).order_by(func.coalesce(oldest.c.since, Order.placed_at), Order.id)
    return [Request(order, at) for order, at in db.session.execute(query).unique()]


@dataclass(frozen=True, slots=True)
class Work:
    """Every task with its number, by code; the mails in the inbox, up to its cap, and the mailboxes that can't be
    read.
    """

    tasks: dict[str, Waiting]
    in_inbox: int
    broken_mailboxes: int


def waiting(actor: Actor) -> Work:
    """What waits for somebody, counted by one statement."""
    tasks = (*SHIPPING, *DECIDING)
    counts = [
        count_expression(task.subject, actor, compile_query(parse(task.query, task.subject.code), actor), CAP)
        for task in tasks
    ]
    *counted, in_inbox, broken = db.session.execute(select(*counts, inbox_count(), broken_count())).one()
    found = zip(tasks, counted, strict=True)
    return Work({task.code: Waiting(task, min(count, CAP), count > CAP) for task, count in found}, in_inbox, broken)
