"""Returns: request one, authorize or deny it, receive and inspect the goods, close it. The rules are the desk's own
(`return_refusal`, `lines_left`). The refund of what came back is the act `refund`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from plugins.order_actions.short_form import as_list
from webapp.api import (
    CONDITION_LABELS,
    HIDDEN,
    REASON_LABELS,
    RESOLUTION_LABELS,
    ActionInput,
    Actor,
    FormField,
    Kind,
    NoReturn,
    Offered,
    Order,
    OrderAction,
    PartAction,
    Place,
    Refusal,
    ReturnCondition,
    ReturnItem,
    ReturnReason,
    ReturnResolution,
    UnitsOfLine,
    accept_return,
    authorize_return,
    close_refusals,
    close_return,
    deny_return,
    lazy_gettext as _l,
    lines_left,
    receive_return,
    reject_return,
    request_return,
    return_refusal,
    returnable_units,
    step_refusals,
)

RIGHT = "orders.return"


class ItemFields(BaseModel):
    """Units that come back for the same reason; without `lines`, everything that has left and did not come back."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    lines: Annotated[dict[int, int], FormField(_l("Returned units"), Kind.QUANTITIES)] = Field(default_factory=dict)
    reason: Annotated[ReturnReason, FormField(_l("Reason"), Kind.CHOICE)]
    condition: Annotated[ReturnCondition, FormField(_l("Condition"), Kind.CHOICE)] = ReturnCondition.UNKNOWN
    resolution: Annotated[ReturnResolution, FormField(_l("Resolution"), Kind.CHOICE)] = ReturnResolution.REFUND

    def items(self, order: Order) -> list[ReturnItem]:
        left = {line.id: units for line in order.lines if (units := returnable_units(line))}
        return [
            ReturnItem(line_id, units, self.reason, self.condition, self.resolution)
            for line_id, units in (self.lines or left).items()
        ]


class ReturnInput(ActionInput):
    """Items, one for each reason; for a single one its fields directly."""

    items: Annotated[
        list[ItemFields],
        Field(min_length=1),
        FormField(
            _l("Returned units"),
            Kind.GROUPS,
            each=_l("Reason %(number)s"),
            add=_l("Add products with another reason"),
            remove=_l("Remove reason %(number)s"),
        ),
    ]
    comment: Annotated[
        str,
        Field(max_length=5000),
        FormField(_l("Private comment"), Kind.LONG_TEXT, help=_l("For your colleagues; the buyer never sees it.")),
    ] = ""

    @model_validator(mode="before")
    @classmethod
    def _one_item(cls, given: Any) -> Any:
        return as_list(given, "items", ItemFields)


class ReturnOrder(OrderAction):
    """Request a return of what has left."""

    code, label, right, icon = "return", _l("Return"), RIGHT, "replace"
    Input = ReturnInput

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return return_refusal(order)

    def perform(self, order: Order, data: ReturnInput, actor: Actor) -> None:
        items = [item for group in data.items for item in group.items(order)]
        request_return(order, items, comment=data.comment, actor=actor)

    def offered(self, order: Order | None, actor: Actor) -> Mapping[str, Offered]:
        if order is None:
            return {}
        left = [
            UnitsOfLine(line.id, line.title, line.sku, units)
            for line in order.lines
            if (units := returnable_units(line)) > 0
        ]
        fields = {
            "lines": _some(left),
            "reason": Offered(choices=list(REASON_LABELS.items())),
            "condition": Offered(choices=list(CONDITION_LABELS.items()), default=ReturnCondition.UNKNOWN.value),
            "resolution": Offered(choices=list(RESOLUTION_LABELS.items()), default=ReturnResolution.REFUND.value),
        }
        return {"items": Offered(fields=fields, most=max(1, len(left)))}


class OfReturn(ActionInput):
    """The return of an act, by its id."""

    return_id: Annotated[int, FormField(_l("Return"), Kind.FIXED)]


class UnitsOfReturn(OfReturn):
    """Units of a return by order line; without `lines`, all with which the act is possible."""

    lines: Annotated[dict[int, int], FormField(_l("Units"), Kind.QUANTITIES)] = Field(default_factory=dict)


class InspectedReturn(OfReturn):
    """The return whose goods were inspected, and their condition if it is not the one that was said before."""

    condition: Annotated[
        ReturnCondition | None, BeforeValidator(lambda given: given or None), FormField(_l("Condition"), Kind.CHOICE)
    ] = None


class InspectedUnits(InspectedReturn, UnitsOfReturn):
    """Units of a return that were inspected, and the condition of all its goods that were."""


class ReturnAct(PartAction):
    """An act on one return of the order."""

    right, place, about, nothing = RIGHT, Place.RETURNS, "return_id", NoReturn
    Input = OfReturn


class StepAct(ReturnAct):
    """A step of one return."""

    step: ClassVar[str]  # see `step_refusals`

    def refusals(self, order: Order, actor: Actor) -> Mapping[int, Refusal | None]:
        return step_refusals(order, self.step)


class UnitsAct(StepAct):
    """A step of units of one return."""

    Input = UnitsOfReturn

    def offered(self, order: Order | None, actor: Actor) -> Mapping[str, Offered]:
        return {"lines": HIDDEN}

    def offered_for(self, order: Order, number: int, actor: Actor) -> Mapping[str, Offered]:
        return {"lines": _some(lines_left(order, number, self.step))}


class AuthorizeReturn(UnitsAct):
    """Authorize a return, or some of its units; the others are denied."""

    code, label, icon, step = "authorize_return", _l("Authorize"), "check", "decide"

    def perform(self, order: Order, data: UnitsOfReturn, actor: Actor) -> None:
        authorize_return(order, data.return_id, data.lines, actor=actor)


class DenyReturn(StepAct):
    """Deny a return."""

    code, label, icon, step = "deny_return", _l("Deny"), "x", "decide"

    def perform(self, order: Order, data: OfReturn, actor: Actor) -> None:
        deny_return(order, data.return_id, actor=actor)


class ReceiveReturn(UnitsAct):
    """Record the units of a return that arrived."""

    code, label, icon, step = "receive_return", _l("Receive goods"), "package", "receive"

    def perform(self, order: Order, data: UnitsOfReturn, actor: Actor) -> None:
        receive_return(order, data.return_id, data.lines, actor=actor)


class AcceptReturn(UnitsAct):
    """Accept received units after inspecting them; the others that wait for it are rejected."""

    code, label, icon, step = "accept_return", _l("Accept goods"), "check", "inspect"
    Input = InspectedUnits

    def perform(self, order: Order, data: InspectedUnits, actor: Actor) -> None:
        accept_return(order, data.return_id, data.lines, condition=data.condition, actor=actor)

    def offered(self, order: Order | None, actor: Actor) -> Mapping[str, Offered]:
        return {**super().offered(order, actor), "condition": _found_condition()}

    def offered_for(self, order: Order, number: int, actor: Actor) -> Mapping[str, Offered]:
        return {**super().offered_for(order, number, actor), "condition": _found_condition()}


class RejectReturn(StepAct):
    """Reject all received units that wait to be inspected."""

    code, label, icon, step = "reject_return", _l("Reject goods"), "x", "inspect"
    Input = InspectedReturn

    def perform(self, order: Order, data: InspectedReturn, actor: Actor) -> None:
        reject_return(order, data.return_id, condition=data.condition, actor=actor)

    def offered(self, order: Order | None, actor: Actor) -> Mapping[str, Offered]:
        return {"condition": _found_condition()}


class CloseReturn(ReturnAct):
    """Close a return."""

    code, label, icon = "close_return", _l("Close return"), "archive"

    def refusals(self, order: Order, actor: Actor) -> Mapping[int, Refusal | None]:
        return close_refusals(order)

    def perform(self, order: Order, data: OfReturn, actor: Actor) -> None:
        close_return(order, data.return_id, actor=actor)


def _found_condition() -> Offered:
    return Offered(choices=[("", _l("As requested")), *CONDITION_LABELS.items()], default="")


def _some(left: list[UnitsOfLine]) -> Offered:
    """A choice of units, where there is one."""
    return Offered(lines=left) if sum(line.most for line in left) > 1 else HIDDEN
