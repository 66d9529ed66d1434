"""Comment: a private note among merchants. It never reaches the buyer."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from webapp.api import (
    HIDDEN,
    ActionInput,
    Actor,
    FormField,
    Kind,
    Offered,
    Order,
    OrderAction,
    Place,
    Refusal,
    comment,
    lazy_gettext as _l,
    ngettext,
    status_name,
    statuses_of,
)


class CommentInput(ActionInput):
    text: Annotated[str, Field(max_length=10_000), FormField(_l("Private comment"), Kind.LONG_TEXT)]
    status: Annotated[str | None, FormField(_l("New status"), Kind.CHOICE)] = None
    pin: Annotated[bool, FormField(_l("Pin this comment"), Kind.TICK)] = False


class CommentOnOrder(OrderAction):
    """Leave a note, perhaps with a new status; possible at any time."""

    code, label, right, bulk, icon = "comment", _l("Comment"), "orders.comment", True, "message"
    place = Place.COMMENTS
    Input = CommentInput

    def doing(self, count: int) -> str:
        return str(ngettext("%(num)s order is being commented on.", "%(num)s orders are being commented on.", count))

    def done(self, count: int) -> str:
        return str(ngettext("%(num)s commented on", "%(num)s commented on", count))

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return None

    def perform(self, order: Order, data: CommentInput, actor: Actor) -> None:
        comment(order, data.text, actor=actor, status=data.status or None, pin=data.pin)

    def offered(self, order: Order | None, actor: Actor) -> Mapping[str, Offered]:
        known = statuses_of(order.state if order else None)
        if not known or not actor.may("orders.organize"):
            return {"status": HIDDEN}
        named = [(row.code, status_name(row.code)) for row in known if order is None or row.code != order.status]
        return {"status": Offered(choices=[("", _l("Unchanged")), *named], default="")}

    def for_version(self, data: CommentInput) -> bool:
        return bool(data.status)  # a comment is valid whatever changed on the order
