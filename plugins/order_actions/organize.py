"""Organizing orders: who works one, until when, and under which of the merchant's own words."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from plugins.order_actions.moments import Moment, in_shop, typed
from webapp.api import (
    ActionInput,
    Actor,
    ActorKind,
    Invalid,
    Order,
    OrderAction,
    Refusal,
    archive,
    archive_refusal,
    assign,
    find_person,
    lazy_gettext as _l,
    ngettext,
    offered_tags,
    people,
    restore,
    restore_refusal,
    set_due,
    set_status,
    set_tags,
    status_name,
    status_refusal,
    statuses_of,
    tag_refusal,
    tags_of,
)

ME, NOBODY, NONE = "me", "nobody", "none"


class AssignInput(ActionInput):
    assignee: str | None = Field(max_length=320)  # "me", "nobody", an id or an e-mail address


class AssignOrder(OrderAction):
    """Say who works it."""

    code, label, right, bulk, icon = "assign", _l("Assign"), "orders.organize", True, "user"
    Input = AssignInput

    def doing(self, count: int) -> str:
        return str(ngettext("%(num)s order is being assigned.", "%(num)s orders are being assigned.", count))

    def done(self, count: int) -> str:
        return str(ngettext("%(num)s assigned", "%(num)s assigned", count))

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return None

    def perform(self, order: Order, data: AssignInput, actor: Actor) -> None:
        assignee = data.assignee or NOBODY
        if assignee == ME and actor.kind is not ActorKind.PERSON:
            raise Invalid(field="assignee", problem=_l("means nobody here: name a person."))
        user_id = None if assignee == NOBODY else actor.id if assignee == ME else find_person(assignee).id
        assign(order, user_id, actor=actor)

    def undo(self, order: Order, data: AssignInput) -> tuple[str, Mapping[str, Any]] | None:
        if order.assignee_id and order.assignee_id not in [user.id for user in people()]:
            return None  # to somebody who left, it can't be given back
        return self.code, {"assignee": str(order.assignee_id or NOBODY)}

    def form_fields(self, order: Order) -> Mapping[str, Mapping[str, Any]]:
        named = [(str(user.id), user.name or user.email) for user in people()]
        choices = [(ME, _l("Me")), (NOBODY, _l("Nobody")), *named]
        return {"assignee": {"label": _l("Assignee"), "choices": choices, "default": ME}}

    def fields_for(self, order: Order, actor: Actor) -> Mapping[str, Mapping[str, Any]]:
        field = self.form_fields(order)["assignee"]
        offered = [value for value, _label in field["choices"]]
        now = str(order.assignee_id)
        return {"assignee": {**field, "default": now if now in offered else ME}}


class DueInput(ActionInput):
    due: Moment = None


class SetDueDate(OrderAction):
    """Say until when it is to be worked."""

    code, label, right, bulk, icon = "due", _l("Due date"), "orders.organize", True, "calendar"
    Input = DueInput

    def doing(self, count: int) -> str:
        return str(
            ngettext("%(num)s order is getting its due date.", "%(num)s orders are getting their due date.", count)
        )

    def done(self, count: int) -> str:
        return str(ngettext("%(num)s dated", "%(num)s dated", count))

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return None

    def perform(self, order: Order, data: DueInput, actor: Actor) -> None:
        if data.due is None and order.due_at is None:
            raise Invalid(field="due", problem=_l("is needed: there is no due date to take off."))
        set_due(order, in_shop(order, data.due), actor=actor)

    def undo(self, order: Order, data: DueInput) -> tuple[str, Mapping[str, Any]]:
        return self.code, {"due": order.due_at.isoformat() if order.due_at else ""}

    def form_fields(self, order: Order) -> Mapping[str, Mapping[str, Any]]:
        help = _l("In %(zone)s. Empty: no due date.", zone=order.shop.zone)
        return {"due": {"label": _l("Due"), "type": "datetime", "help": help}}

    def fields_for(self, order: Order, actor: Actor) -> Mapping[str, Mapping[str, Any]]:
        return {"due": {**self.form_fields(order)["due"], "default": typed(order, order.due_at)}}


def _listed(given: Any) -> Any:
    """Several names in one text, as they are typed."""
    return given.split(",") if isinstance(given, str) else given


Names = Annotated[list[str], BeforeValidator(_listed)]


class TagInput(ActionInput):
    add: Names = Field(default_factory=list)
    remove: Names = Field(default_factory=list)
    new: Names = Field(default_factory=list)


class TagOrder(OrderAction):
    """Put tags on and take others off."""

    code, label, right, bulk, icon = "tag", _l("Tag"), "orders.organize", True, "tag"
    Input = TagInput

    def doing(self, count: int) -> str:
        return str(ngettext("%(num)s order is being tagged.", "%(num)s orders are being tagged.", count))

    def done(self, count: int) -> str:
        return str(ngettext("%(num)s tagged", "%(num)s tagged", count))

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return tag_refusal(order, actor)

    def perform(self, order: Order, data: TagInput, actor: Actor) -> None:
        if not any(name.strip() for name in (*data.add, *data.new, *data.remove)):
            raise Invalid(field="add", problem=_l("choose at least one."))
        set_tags(order, data.add, data.remove, actor=actor, new=data.new)

    def undo(self, order: Order, data: TagInput) -> tuple[str, Mapping[str, Any]]:
        had = {tag.name.casefold() for tag in tags_of(order)}
        added = [name for name in (*data.add, *data.new) if name.strip() and name.strip().casefold() not in had]
        return self.code, {"add": [name for name in data.remove if name.casefold() in had], "remove": added}

    def form_fields(self, order: Order) -> Mapping[str, Mapping[str, Any]]:
        known = [tag.name for tag in offered_tags()]
        boxes = _boxes("add", _l("Add"), known) | _boxes("remove", _l("Take off"), known)
        return boxes or _typed([])  # while there is no tag, only who may make one is offered the act

    def fields_for(self, order: Order, actor: Actor) -> Mapping[str, Mapping[str, Any]]:
        free = [tag.name for tag in offered_tags() if tag.id not in order.tags]
        fields = _boxes("add", _l("Add"), free) | _boxes("remove", _l("Take off"), [tag.name for tag in tags_of(order)])
        if actor.may("settings.edit"):
            fields |= _typed(free)
        return fields

    def fields_for_many(self, sample: Order, actor: Actor) -> Mapping[str, Mapping[str, Any]]:
        known = [tag.name for tag in offered_tags()]
        fields = _boxes("add", _l("Add"), known) | _boxes("remove", _l("Take off"), known)
        return fields | _typed(known) if actor.may("settings.edit") else fields


def _boxes(name: str, label: Any, names: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    return {name: {"label": label, "type": "several", "choices": [(word, word) for word in names]}} if names else {}


def _typed(suggested: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    help = _l("Several are separated by commas.")
    return {"new": {"label": _l("Add a new tag"), "suggestions": suggested, "help": help}}


class StatusInput(ActionInput):
    status: str | None = Field(max_length=40)  # a code, or "none"


class SetStatus(OrderAction):
    """Give it one of the merchant's own statuses."""

    code, label, right, bulk, icon = "status", _l("Status"), "orders.organize", True, "flag"
    Input = StatusInput

    def doing(self, count: int) -> str:
        return str(ngettext("%(num)s order is getting its status.", "%(num)s orders are getting their status.", count))

    def done(self, count: int) -> str:
        return str(ngettext("%(num)s given the status", "%(num)s given the status", count))

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return status_refusal(order, actor)

    def perform(self, order: Order, data: StatusInput, actor: Actor) -> None:
        set_status(order, None if data.status in (None, "", NONE) else data.status, actor=actor)

    def undo(self, order: Order, data: StatusInput) -> tuple[str, Mapping[str, Any]]:
        return self.code, {"status": order.status or NONE}

    def form_fields(self, order: Order) -> Mapping[str, Mapping[str, Any]]:
        named = [(row.code, status_name(row.code)) for row in statuses_of(order.state)]
        return {"status": {"label": _l("Status"), "choices": [*named, (NONE, _l("No status"))]}}

    def fields_for(self, order: Order, actor: Actor) -> Mapping[str, Mapping[str, Any]]:
        field = self.form_fields(order)["status"]
        known = {code for code, _name in field["choices"]}
        return {"status": {**field, "default": order.status} if order.status in known else field}


class ArchiveOrder(OrderAction):
    """Put it out of the daily lists; it is still found."""

    code, label, right, bulk, icon = "archive", _l("Archive"), "orders.organize", True, "archive"
    counterpart = "restore"

    def doing(self, count: int) -> str:
        return str(ngettext("%(num)s order is being archived.", "%(num)s orders are being archived.", count))

    def done(self, count: int) -> str:
        return str(ngettext("%(num)s archived", "%(num)s archived", count))

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return archive_refusal(order, actor)

    def perform(self, order: Order, data: ActionInput, actor: Actor) -> None:
        archive(order, actor=actor)


class RestoreOrder(OrderAction):
    """Put it back among the others."""

    code, label, right, bulk, icon = "restore", _l("Take out of the archive"), "orders.organize", True, "archive-off"
    counterpart = "archive"

    def doing(self, count: int) -> str:
        return str(
            ngettext(
                "%(num)s order is being taken out of the archive.",
                "%(num)s orders are being taken out of the archive.",
                count,
            )
        )

    def done(self, count: int) -> str:
        return str(ngettext("%(num)s taken out of the archive", "%(num)s taken out of the archive", count))

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return restore_refusal(order, actor)

    def perform(self, order: Order, data: ActionInput, actor: Actor) -> None:
        restore(order, actor=actor)
