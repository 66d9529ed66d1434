"""Comment: a private note among those who work here. It never reaches the buyer."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from webapp.api import ActionInput, Actor, Order, OrderAction, Refusal, comment, lazy_gettext as _l


class CommentInput(ActionInput):
    text: str = Field(max_length=10_000)


class CommentOnOrder(OrderAction):
    """Leave a note; possible at any time."""

    code, label, right, bulk, icon = "comment", _l("Comment"), "orders.comment", True, "message"
    Input = CommentInput

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return None

    def perform(self, order: Order, data: CommentInput, actor: Actor) -> None:
        comment(order, data.text, actor=actor)

    def form_fields(self, order: Order) -> Mapping[str, Mapping[str, Any]]:
        return {"text": {"label": _l("Private comment"), "type": "textarea", "required": True}}
