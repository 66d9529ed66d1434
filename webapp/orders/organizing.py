"""Organizing orders: assignee, due date, tags and the merchant's own status.

Each change is one act with one event; an act that changes nothing records nothing. The lists of tags and statuses are
kept in `tags` and `statuses`.
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select

from webapp.accounts.models import User
from webapp.audit.actor import Actor
from webapp.clock import iso, now
from webapp.db import db, once_a_transaction
from webapp.errors import Invalid, Refusal
from webapp.i18n import lazy_gettext as _l
from webapp.orders.events import record
from webapp.orders.models import Order
from webapp.orders.states import STATE_LABELS
from webapp.orders.statuses import check_status, statuses_of
from webapp.orders.tags import clean_name, named, offered_tags, put_on, tags_of, take_off


class NoStatusHere(Refusal):
    """No status exists for the order's state."""

    code = "no_status_here"
    sentence = _l(
        "There is no status for orders in this state (%(state)s). A user who may change settings can add one."
    )

    def __str__(self) -> str:
        return str(self.sentence) % {"state": STATE_LABELS[self.values["state"]]}


class NoTagsHere(Refusal):
    """There is no tag to put on or to remove."""

    code = "no_tags_here"
    sentence = _l("There are no tags yet. A user who may change settings can add them.")


def people() -> list[User]:
    """The people to whom an order can be assigned, by name."""
    return [user for user in _everybody() if user.disabled_at is None]


def former_people() -> list[User]:
    """People whose account is disabled: they get no new orders, but their orders can be found and assigned to
    others.
    """
    return [user for user in _everybody() if user.disabled_at is not None]


def _everybody() -> list[User]:
    return once_a_transaction("people", _read_everybody)


def _read_everybody() -> list[User]:
    return sorted(db.session.scalars(select(User)), key=lambda user: (user.name or user.email).casefold())


def find_person(told: str) -> User:
    """The person with this id or e-mail address; raises `Invalid`."""
    for user in people():
        if told in (str(user.id), user.email) or told.lower() == user.email.lower():
            return user
    raise Invalid(field="assignee", problem=_l("There is no user with this id or e-mail address."))


def assign(order: Order, user_id: int | None, *, actor: Actor) -> None:
    """Assign the order to a person, or to nobody; the caller holds the order's lock."""
    if user_id == order.assignee_id:
        return
    if user_id is None:
        order.assignee_id = None
        record(order, "unassigned", actor=actor)
        return
    user = find_person(str(user_id))
    order.assignee_id = user.id
    record(order, "assigned", actor=actor, values={"name": user.name or user.email})


def set_due(order: Order, at: datetime | None, *, actor: Actor) -> None:
    """Set the order's due date, or remove it; the caller holds the order's lock."""
    if at == order.due_at:
        return
    if at is not None and at <= now():
        raise Invalid(field="due", problem=_l("Choose a date and time in the future."))
    order.due_at = at
    if at is None:
        record(order, "due_cleared", actor=actor)
    else:
        record(order, "due_set", actor=actor, values={"due": iso(at)})


def tag_refusal(order: Order, actor: Actor) -> Refusal | None:
    """Why no tag can be put on or removed now; the button and `set_tags` both ask it."""
    return None if order.tags or offered_tags() or actor.may("settings.edit") else NoTagsHere()


def set_tags(order: Order, add: Iterable[str], remove: Iterable[str], *, actor: Actor, new: Iterable[str] = ()) -> None:
    """Put tags on the order and remove others, by their names; the caller holds the order's lock.

    The tags in `new` are put on too: names typed beside the chosen ones, so that an error is shown at that field. Only
    a person who may change settings can create a tag this way. Raises the refusal of `tag_refusal`, `UnknownTag` or
    `Invalid`.
    """
    if refusal := tag_refusal(order, actor):
        raise refusal
    wanted = {tag.id: tag for tag in (*named(add, actor), *named(new, actor, "new"))}.values()
    unwanted = {clean_name(name, "remove").casefold() for name in remove if name.strip()}
    had = tags_of(order)
    added = [tag for tag in wanted if tag.id not in order.tags and tag.name.casefold() not in unwanted]
    removed = [tag for tag in had if tag.name.casefold() in unwanted]
    if not added and not removed:
        return
    gone = {tag.id for tag in removed}
    order.tags = [tag_id for tag_id in order.tags if tag_id not in gone] + [tag.id for tag in added]
    put_on(order.id, [tag.id for tag in added])
    take_off([order.id], gone)
    values = {"added": ", ".join(tag.name for tag in added), "removed": ", ".join(tag.name for tag in removed)}
    code = "retagged" if added and removed else "tagged" if added else "untagged"
    record(order, code, actor=actor, values={name: words for name, words in values.items() if words})


def status_refusal(order: Order, actor: Actor) -> Refusal | None:
    """Why no status can be set now; the button and `set_status` both ask it."""
    return None if order.status or statuses_of(order.state) else NoStatusHere(state=order.state)


def set_status(order: Order, code: str | None, *, actor: Actor) -> None:
    """Give the order a status of its state, or remove its status; the caller holds the order's lock.

    Raises the refusal of `status_refusal`, `StatusElsewhere` or `StatusRetired`.
    """
    if code == order.status:
        return
    if refusal := status_refusal(order, actor):
        raise refusal
    order.status = check_status(order, code).code if code else None
    if code:
        record(order, "status_set", actor=actor, values={"status": code})
    else:
        record(order, "status_cleared", actor=actor)
