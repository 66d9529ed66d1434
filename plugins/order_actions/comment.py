"""Comment: a private note among those who work here. It never reaches the buyer."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from webapp.api import (
    ActionInput,
    Actor,
    Order,
    OrderAction,
    Refusal,
    comment,
    lazy_gettext as _l,
    ngettext,
    status_name,
    statuses_of,
)


class CommentInput(ActionInput):
    text: str = Field(max_length=10_000)
    status: str | None = None
    pin: bool = False


class CommentOnOrder(OrderAction):
    """Leave a note, perhaps with a new status; possible at any time."""

    code, label, right, bulk, icon = "comment", _l("Comment"), "orders.comment", True, "message"
    Input = CommentInput

    def doing(self, count: int) -> str:
        return str(ngettext("%(num)s order is being commented on.", "%(num)s orders are being commented on.", count))

    def done(self, count: int) -> str:
        return str(ngettext("%(num)s commented on", "%(num)s commented on", count))

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return None

    def perform(self, order: Order, data: CommentInput, actor: Actor) -> None:
        comment(order, data.text, actor=actor, status=data.status or None, pin=data.pin)

    def form_fields(self, order: Order) -> Mapping[str, Mapping[str, Any]]:
        fields: dict[str, Mapping[str, Any]] = {
            "text": {"label": _l("Private comment"), "type": "textarea", "required": True}
        }
        if known := statuses_of(order.state):
            named = [(row.code, status_name(row.code)) for row in known if row.code != order.status]
            fields["status"] = {"label": _l("New status"), "choices": [("", _l("As it is")), *named], "default": ""}
        fields["pin"] = {"label": _l("Keep it above the others"), "type": "checkbox"}
        return fields

    def fields_for(self, order: Order, actor: Actor) -> Mapping[str, Mapping[str, Any]]:
        fields = self.form_fields(order)
        return {name: field for name, field in fields.items() if name != "status" or actor.may("orders.organize")}

    def fields_for_many(self, sample: Order, actor: Actor) -> Mapping[str, Mapping[str, Any]]:
        return self.fields_for(sample, actor)
