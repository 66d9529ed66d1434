"""Acting on orders: one place asks right, version, key and refusal for every door. Beside it, what acts share."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.channels.contract import ChannelStage
from webapp.clock import now
from webapp.db import db
from webapp.errors import DeskError, Invalid, NotFound, Refusal, Stale
from webapp.hooks.fence import PluginFailed, ask, label_of
from webapp.hooks.registered import by_code
from webapp.i18n import lazy_gettext as _l
from webapp.orders.contract import ActionInput, OrderAction
from webapp.orders.events import record
from webapp.orders.models import Order, OrderComment, Submission
from webapp.orders.search_words import add_comment
from webapp.orders.states import follows_from, open_units, state_of
from webapp.orders.statuses import check_status
from webapp.vault import services as vault


class ManagedAtChannel(Refusal):
    """Import was off when the order came."""

    code = "managed_at_channel"
    sentence = _l("This order is managed at the channel: importing orders is off for its store.")


class KeyReused(Refusal):
    """A submission key came once more, with another act."""

    code = "key_reused"
    sentence = _l("This key was used for another act already. Send a new one.")


@dataclass(frozen=True, slots=True)
class Offer:
    """An action as an order offers it: possible, or with one sentence why not."""

    action: OrderAction
    refusal: Refusal | None

    @property
    def code(self) -> str:
        return self.action.code

    @property
    def label(self) -> str:
        return label_of(self.action)


@dataclass(frozen=True, slots=True)
class Done:
    """What an act did: the order's versions before and after, by which its updates and events are found."""

    order_id: int
    since: int
    version: int


_PROBLEMS = {  # pydantic's kinds of errors, in the desk's words
    "missing": _l("is needed."),
    "too_short": _l("needs at least one."),
    "extra_forbidden": _l("is not known here."),
    "int_parsing": _l("must be a whole number."),
    "int_from_float": _l("must be a whole number."),
    "int_type": _l("must be a whole number."),
    "string_type": _l("must be text."),
    "string_too_short": _l("is needed."),
    "string_too_long": _l("is too long."),
    "datetime_parsing": _l("must be a date and time, such as 2026-11-20T10:00:00Z."),
    "odd_time": _l("must lie between 1970 and 2199."),
    "datetime_from_date_parsing": _l("must be a date and time, such as 2026-11-20T10:00:00Z."),
    "bool_parsing": _l("must be yes or no."),
    "model_type": _l("must be a set of fields."),
    "model_attributes_type": _l("must be a set of fields."),
    "list_type": _l("must be a list."),
    "dict_type": _l("must be a set of lines with quantities."),
}


def actions() -> dict[str, OrderAction]:
    """What can be done to orders, by code, in the order of the buttons."""
    return by_code("register_order_actions", OrderAction)  # type: ignore[type-abstract]


def find_action(code: str) -> OrderAction:
    known = actions()
    if code not in known:
        raise NotFound(name=code)
    return known[code]


def offers(order: Order, actor: Actor) -> list[Offer]:
    """Every action that the actor has the right to, with its refusal where it is not possible now."""
    return [Offer(action, refusal_of(action, order, actor)) for action in actions().values() if actor.may(action.right)]


def bar(offered: Sequence[Offer]) -> list[Offer]:
    """The offers as a bar of buttons shows them: of an act and its counterpart (hold, release) the one that is possible
    now, or else the one that stands first.
    """
    known = {offer.code: (place, offer) for place, offer in enumerate(offered)}
    shown = []
    for place, offer in enumerate(offered):
        there, other = known.get(offer.action.counterpart, (place, None))
        if other is None or (offer.refusal is None, place < there) > (other.refusal is None, there < place):
            shown.append(offer)
    return shown


def refusal_of(action: OrderAction, order: Order, actor: Actor) -> Refusal | None:
    """The one predicate behind button and guard. An action that can't say whether it is possible is not."""
    if order.managed_at_channel:
        return ManagedAtChannel()
    try:
        return ask(action, "refusal", action.refusal, order, actor, gives=(Refusal, NoneType))
    except PluginFailed as problem:
        return problem


def read_input(action: OrderAction, given: Mapping[str, Any]) -> ActionInput:
    """The action's input from JSON or a form; raises `Invalid` that names the first field in question."""
    for name, value in given.items():
        if "\\u0000" in json.dumps([name, value], default=str):  # PostgreSQL keeps no such text
            raise Invalid(field=name, problem=_l("holds a character that can't be kept."))
    try:
        return action.Input.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or action.code
        raise Invalid(field=field, problem=_PROBLEMS.get(first["type"], _l("is not what is expected here."))) from None


def act(
    action: OrderAction,
    order: Order,
    data: ActionInput,
    actor: Actor,
    *,
    key: str | None = None,
    version: int | None = None,
) -> Done:
    """Do it once, for every door: right, repeated key, version, refusal, then the action itself. The order is locked.

    The same key answers with the first result. `version` is the one that the person saw; another raises `Stale`.
    """
    actor.needs(action.right)
    if key and (earlier := _submission(actor, key)):
        if (earlier.order_id, earlier.action) != (order.id, action.code):
            raise KeyReused
        return Done(**earlier.result)
    if version is not None and version != order.version:
        raise Stale
    if refusal := refusal_of(action, order, actor):
        raise refusal
    since = order.version
    ask(action, "action", action.perform, order, data, actor, raises=DeskError)
    done = Done(order.id, since, order.version)
    if key:
        result = {"order_id": done.order_id, "since": done.since, "version": done.version}
        db.session.add(
            Submission(
                actor_kind=actor.kind,
                actor_id=actor.id or 0,
                key=key,
                order_id=order.id,
                action=action.code,
                at=now(),
                result=result,
            )
        )
    db.session.flush()
    return done


def _submission(actor: Actor, key: str) -> Submission | None:
    query = select(Submission).where(
        Submission.actor_kind == actor.kind, Submission.actor_id == (actor.id or 0), Submission.key == key
    )
    return db.session.scalar(query)


def settle_state(order: Order) -> None:
    """Recompute what follows from the lines' counters: the units still open, the state, and what a new state brings."""
    order.unshipped = sum(open_units(line) for line in order.lines)
    state = state_of(ChannelStage(order.channel_order.stage), order.lines)
    if state != order.state:
        order.state = state
        for name, value in follows_from(state).items():
            setattr(order, name, value)


def comment(order: Order, text: str, *, actor: Actor, status: str | None = None, pin: bool = False) -> OrderComment:
    """A private comment; what it says is sealed, since buyers are named in comments too.

    `status` sets a status of the order's state in the same act, which takes that right too; `pin` keeps the comment
    above the others.
    """
    text = text.strip()
    if not text:
        raise Invalid(field="text", problem=_l("is needed."))
    if status is not None:
        actor.needs("orders.organize")
        order.status = check_status(order, status).code
    sealed = vault.seal(order.id, "comment", text)
    row = OrderComment(
        order_id=order.id,
        at=now(),
        actor_kind=actor.kind,
        actor_id=actor.id,
        sealed=sealed,
        status=status,
        pinned_at=now() if pin else None,
    )
    db.session.add(row)
    order.comments += 1
    add_comment(order, text)
    record(order, "commented", actor=actor)
    return row


def pin(order: Order, comment_id: int, *, actor: Actor) -> None:
    """Keep a comment of the order above the others; the caller holds the order's lock."""
    _pin(order, comment_id, True, actor)


def unpin(order: Order, comment_id: int, *, actor: Actor) -> None:
    """Let a comment of the order stand among the others again; the caller holds the order's lock."""
    _pin(order, comment_id, False, actor)


def _pin(order: Order, comment_id: int, pinned: bool, actor: Actor) -> None:
    actor.needs("orders.comment")
    row = db.session.scalar(
        select(OrderComment).where(OrderComment.id == comment_id, OrderComment.order_id == order.id)
    )
    if row is None:
        raise NotFound(name=comment_id)
    if pinned == (row.pinned_at is not None):
        return
    row.pinned_at = now() if pinned else None
    record(order, "pinned" if pinned else "unpinned", actor=actor, values={"comment": row.id})


def raise_attention(order: Order, kind: str, *, of: int | None = None, **values: Any) -> None:
    """Mark the order; the same kind with other values replaces the old one. The caller records the event.

    Where several things of one order may have the same trouble, `of` is the id of this one: it has its own mark.
    """
    mark = {"kind": kind, "values": values} | ({} if of is None else {"of": of})
    order.attention = [*_without(order, kind, of), mark]
    order.needs_attention = True


def settle_attention(order: Order, kind: str, *, of: int | None = None) -> None:
    """Take the mark off again; with `of` only that one's. The caller records the event."""
    order.attention = _without(order, kind, of)
    order.needs_attention = bool(order.attention) or any(line.problems for line in order.lines)


def _without(order: Order, kind: str, of: int | None) -> list[dict[str, Any]]:
    """What else is the matter. A mark that does not say of what it is, is of whatever is asked for."""
    return [
        trouble
        for trouble in order.attention
        if trouble["kind"] != kind or (of is not None and trouble.get("of", of) != of)
    ]
