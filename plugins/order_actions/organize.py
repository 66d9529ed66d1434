"""Organizing orders: who works on one, until when, and with which status and tags of the merchant."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from plugins.order_actions.moments import Moment, in_shop, typed
from webapp.api import (
    HIDDEN,
    ActionInput,
    Actor,
    ActorKind,
    FormField,
    Invalid,
    Kind,
    Offered,
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
    # "me", "nobody", an id or an e-mail address
    assignee: Annotated[str | None, Field(max_length=320), FormField(_l("Assignee"), Kind.CHOICE)]


class AssignOrder(OrderAction):
    """Assign the order to a person."""

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
            raise Invalid(
                field="assignee",
                problem=_l("“Me” works only for a signed-in user. Enter the user's id or e-mail address."),
            )
        user_id = None if assignee == NOBODY else actor.id if assignee == ME else find_person(assignee).id
        assign(order, user_id, actor=actor)

    def undo(self, order: Order, data: AssignInput) -> tuple[str, Mapping[str, Any]] | None:
        if order.assignee_id and order.assignee_id not in [user.id for user in people()]:
            return None  # a person who has left can't be assigned again
        return self.code, {"assignee": str(order.assignee_id or NOBODY)}

    def offered(self, order: Order | None, actor: Actor) -> Mapping[str, Offered]:
        named = [(str(user.id), user.name or user.email) for user in people()]
        choices = [(ME, _l("Me")), (NOBODY, _l("Nobody")), *named]
        now = str(order.assignee_id) if order else ME
        return {"assignee": Offered(choices=choices, default=now if now in dict(named) else ME)}


class DueInput(ActionInput):
    due: Annotated[
        Moment,
        FormField(
            _l("Due"),
            Kind.TIME,
            help=_l("The time is in the shop's time zone. If this is empty, the due date is removed."),
        ),
    ] = None


class SetDueDate(OrderAction):
    """Set the date until which the order must be worked."""

    code, label, right, bulk, icon = "due", _l("Due date"), "orders.organize", True, "calendar"
    Input = DueInput

    def doing(self, count: int) -> str:
        return str(
            ngettext(
                "The due date of %(num)s order is being set.", "The due dates of %(num)s orders are being set.", count
            )
        )

    def done(self, count: int) -> str:
        return str(ngettext("%(num)s due date set", "%(num)s due dates set", count))

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return None

    def perform(self, order: Order, data: DueInput, actor: Actor) -> None:
        if data.due is None and order.due_at is None:
            raise Invalid(field="due", problem=_l("Enter a due date. The order has no due date to remove."))
        set_due(order, in_shop(order, data.due), actor=actor)

    def undo(self, order: Order, data: DueInput) -> tuple[str, Mapping[str, Any]]:
        return self.code, {"due": order.due_at.isoformat() if order.due_at else ""}

    def offered(self, order: Order | None, actor: Actor) -> Mapping[str, Offered]:
        if order is None:
            return {}
        help = _l("The time is in %(zone)s. If this is empty, the due date is removed.", zone=order.shop.zone)
        return {"due": Offered(help=help, default=typed(order, order.due_at))}


def _listed(given: Any) -> Any:
    """Several names in one text, as they are typed."""
    return given.split(",") if isinstance(given, str) else given


Names = Annotated[list[str], BeforeValidator(_listed)]


class TagInput(ActionInput):
    add: Annotated[Names, FormField(_l("Add"), Kind.SEVERAL)] = Field(default_factory=list)
    remove: Annotated[Names, FormField(_l("Remove tags"), Kind.SEVERAL)] = Field(default_factory=list)
    new: Annotated[Names, FormField(_l("Add a new tag"), help=_l("Separate several tags with commas."))] = Field(
        default_factory=list
    )


class TagOrder(OrderAction):
    """Add tags and remove others."""

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
            raise Invalid(field="add", problem=_l("Choose at least one."))
        set_tags(order, data.add, data.remove, actor=actor, new=data.new)

    def undo(self, order: Order, data: TagInput) -> tuple[str, Mapping[str, Any]]:
        had = {tag.name.casefold() for tag in tags_of(order)}
        added = [name for name in (*data.add, *data.new) if name.strip() and name.strip().casefold() not in had]
        return self.code, {"add": [name for name in data.remove if name.casefold() in had], "remove": added}

    def offered(self, order: Order | None, actor: Actor) -> Mapping[str, Offered]:
        known = offered_tags()
        free = [tag.name for tag in known if order is None or tag.id not in order.tags]
        there = [tag.name for tag in (known if order is None else tags_of(order))]
        # While there are no tags, only people who may create one are offered the act; others see which right it needs.
        may = actor.may("settings.edit") or not (free or there)
        return {
            "add": _boxes(free),
            "remove": _boxes(there),
            "new": Offered(suggestions=free) if may else HIDDEN,
        }


def _boxes(names: Sequence[str]) -> Offered:
    return Offered(choices=[(word, word) for word in names]) if names else HIDDEN


class StatusInput(ActionInput):
    # a code, or "none"
    status: Annotated[str | None, Field(max_length=40), FormField(_l("Status"), Kind.CHOICE)]


class SetStatus(OrderAction):
    """Set one of the merchant's own statuses."""

    code, label, right, bulk, icon = "status", _l("Status"), "orders.organize", True, "flag"
    Input = StatusInput

    def doing(self, count: int) -> str:
        return str(
            ngettext(
                "The status of %(num)s order is being changed.", "The status of %(num)s orders is being changed.", count
            )
        )

    def done(self, count: int) -> str:
        return str(ngettext("%(num)s status changed", "%(num)s statuses changed", count))

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return status_refusal(order, actor)

    def perform(self, order: Order, data: StatusInput, actor: Actor) -> None:
        set_status(order, None if data.status in (None, "", NONE) else data.status, actor=actor)

    def undo(self, order: Order, data: StatusInput) -> tuple[str, Mapping[str, Any]]:
        return self.code, {"status": order.status or NONE}

    def offered(self, order: Order | None, actor: Actor) -> Mapping[str, Offered]:
        named = [(row.code, status_name(row.code)) for row in statuses_of(order.state if order else None)]
        now = order.status if order and order.status in dict(named) else None
        return {"status": Offered(choices=[*named, (NONE, _l("No status"))], default=now)}


class ArchiveOrder(OrderAction):
    """Remove the order from the daily lists; searches still find it."""

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
    """Return the order to the lists."""

    code, label, right, bulk, icon = "restore", _l("Unarchive"), "orders.organize", True, "archive-off"
    counterpart = "archive"

    def doing(self, count: int) -> str:
        return str(
            ngettext(
                "%(num)s order is being unarchived.",
                "%(num)s orders are being unarchived.",
                count,
            )
        )

    def done(self, count: int) -> str:
        return str(ngettext("%(num)s unarchived", "%(num)s unarchived", count))

    def refusal(self, order: Order, actor: Actor) -> Refusal | None:
        return restore_refusal(order, actor)

    def perform(self, order: Order, data: ActionInput, actor: Actor) -> None:
        restore(order, actor=actor)
