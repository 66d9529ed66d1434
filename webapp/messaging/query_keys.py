"""The query key and the badge of orders with answers that are not done."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, not_, or_, select, text

from webapp.audit.actor import Actor
from webapp.i18n import LazyString, lazy_gettext as _l, lazy_pgettext
from webapp.messaging.models import OPEN_MAILS, Message, ReceivedMail
from webapp.orders.contract import Badge
from webapp.orders.models import UNREAD, Order
from webapp.search.contract import KeyKind, QueryKey

Condition = ColumnElement[bool]


def _by_unread(values: Sequence[str], actor: Actor) -> Condition:
    some = and_(text(f"orders.{UNREAD}"), Order.id.is_not(None))  # the exact text of the index
    ways: list[Condition] = []
    for value in values:
        if value == "me":
            mine = select(Message.order_id).join(ReceivedMail, ReceivedMail.message_id == Message.id)
            mine = mine.where(text(f"received_mails.{OPEN_MAILS}"), ReceivedMail.assigned_to == int(actor.id or 0))
            ways.append(and_(some, Order.id.in_(mine)))
        else:
            ways.append(some if value == "yes" else not_(Order.unread > 0))
    return or_(*ways)


def _choices(actor: Actor) -> dict[str, LazyString]:
    return {"yes": _l("yes"), "no": _l("no"), "me": _l("assigned to me")}


KEYS = (
    QueryKey(
        code="unread",
        label=_l("Unread answers"),
        kind=KeyKind.CHOICE,
        condition=_by_unread,
        choices=_choices,
        help=_l("The buyer has answered, and nobody has marked the answer as done."),
        name=lazy_pgettext("query key", "unread"),
        words={"me": lazy_pgettext("query value", "me")},
    ),
)
BADGES = (
    Badge(
        code="unread",
        reads=("unread",),
        label=_l("Answer"),
        shows=lambda order: order.unread > 0,
        tone="info",
        icon="message",
        help=_l("The buyer has answered, and nobody has marked the answer as done."),
    ),
)
