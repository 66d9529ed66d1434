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
from webapp.errors import DeskError, Invalid, InvalidInput, NotFound, Refusal, Stale
from webapp.hooks.fence import PluginFailed, ask, failed, label_of
from webapp.hooks.registered import by_code
from webapp.i18n import lazy_gettext as _l
from webapp.jobs.runs import passes
from webapp.orders.contract import ActionInput, OrderAction, Place
from webapp.orders.events import record
from webapp.orders.inputs import ODD, PROBLEMS
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


def actions() -> dict[str, OrderAction]:
    """What can be done to orders, by code, in the order of the buttons."""
    return by_code("register_order_actions", OrderAction)  # type: ignore[type-abstract]


def find_action(code: str) -> OrderAction:
    known = actions()
    if code not in known:
        raise NotFound(name=code)
    return known[code]


def action_at(place: Place, actor: Actor) -> OrderAction | None:
    """The first action whose form stands in this place of the order's page and that the actor has the right to."""
    return next((action for action in actions().values() if action.place is place and actor.may(action.right)), None)


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
    """The action's input from JSON or a form; raises `InvalidInput` that names every field in question."""
    problems = [
        Invalid(field=name, problem=_l("holds a character that can't be kept."))
        for name, value in given.items()
        if "\\u0000" in json.dumps([name, value], default=str)  # PostgreSQL keeps no such text
    ]
    try:
        data = action.Input.model_validate(given)
    except ValidationError as error:
        for one in error.errors(include_url=False, include_input=False):
            field = ".".join(str(part) for part in one["loc"]) or action.code
            problems.append(Invalid(field=field, problem=PROBLEMS.get(one["type"], ODD)))
    if problems:
        raise InvalidInput(problems)
    return data


@dataclass(frozen=True, slots=True)
class Wanted:
    """One order that is to be acted on, with the input for it. `version` is the one that the person saw."""

    order: Order
    data: ActionInput
    key: str | None = None
    version: int | None = None


def act(
    action: OrderAction,
    order: Order,
    data: ActionInput,
    actor: Actor,
    *,
    key: str | None = None,
    version: int | None = None,
) -> Done:
    """Act on one order, the set of one, whose failure is raised: see `act_many`."""
    actor.needs(action.right)
    wanted = Wanted(order, data, key, version)
    known = _submissions([wanted], actor)
    outcome = _before(action, wanted, actor, known)
    if isinstance(outcome, DeskError):
        raise outcome
    return outcome or _perform(action, [wanted], actor)[0]


def act_many(action: OrderAction, wanted: Sequence[Wanted], actor: Actor) -> list[Done | Exception]:
    """Act on orders, for every door: right, repeated keys, versions and refusals, then the action itself. The caller
    has locked the orders. What became of each is in its place: `Done`, or why it was not.

    The same key answers with the first result; another version is `Stale`. Orders with the same input are one act; only
    where that fails, each is tried by itself under a savepoint. Trouble of database, queue or disk is raised.
    """
    actor.needs(action.right)
    known = _submissions(wanted, actor)
    outcomes: list[Done | Exception | None] = [_before(action, one, actor, known) for one in wanted]
    waiting = [place for place, outcome in enumerate(outcomes) if outcome is None]
    while waiting:
        same = [place for place in waiting if wanted[place].data == wanted[waiting[0]].data]
        waiting = [place for place in waiting if place not in same]
        for place, outcome in zip(same, _together(action, [wanted[place] for place in same], actor), strict=True):
            outcomes[place] = outcome
    return [outcome for outcome in outcomes if outcome is not None]


def _together(action: OrderAction, wanted: Sequence[Wanted], actor: Actor) -> Sequence[Done | Exception]:
    """Act on orders with the same input at once, or where that fails, on each by itself."""
    if len(wanted) == 1:
        return [_alone(action, wanted[0], actor)]
    try:
        with db.session.begin_nested():
            return _perform(action, wanted, actor, raises=Exception)
    except Exception as error:
        if passes(error):
            raise
        outcomes = [_alone(action, one, actor) for one in wanted]
        if not isinstance(error, DeskError) and not any(isinstance(outcome, PluginFailed) for outcome in outcomes):
            failed(action, "action", error)  # what fails for many alone is noted for none of them
        return outcomes


def _alone(action: OrderAction, wanted: Wanted, actor: Actor) -> Done | Exception:
    try:
        with db.session.begin_nested():
            return _perform(action, [wanted], actor)[0]
    except Exception as error:
        if passes(error):
            raise
        return error


def _before(
    action: OrderAction, wanted: Wanted, actor: Actor, known: Mapping[str, Submission]
) -> Done | DeskError | None:
    """What the answer is before anything is done: an earlier one, or a refusal; None where it can be done."""
    order = wanted.order
    if earlier := known.get(wanted.key or ""):
        same = (earlier.order_id, earlier.action) == (order.id, action.code)
        return Done(**earlier.result) if same else KeyReused()
    if wanted.version is not None and wanted.version != order.version:
        return Stale()
    return refusal_of(action, order, actor)


def _perform(
    action: OrderAction, wanted: Sequence[Wanted], actor: Actor, *, raises: type[Exception] = DeskError
) -> list[Done]:
    before = [one.order.version for one in wanted]
    orders = [one.order for one in wanted]
    ask(action, "action", action.perform_many, orders, wanted[0].data, actor, raises=raises)
    done = [Done(order.id, since, order.version) for order, since in zip(orders, before, strict=True)]
    for one, result in zip(wanted, done, strict=True):
        if one.key:
            db.session.add(
                Submission(
                    actor_kind=actor.kind,
                    actor_id=actor.id or 0,
                    key=one.key,
                    order_id=result.order_id,
                    action=action.code,
                    at=now(),
                    result={"order_id": result.order_id, "since": result.since, "version": result.version},
                )
            )
    db.session.flush()
    return done


def _submissions(wanted: Sequence[Wanted], actor: Actor) -> dict[str, Submission]:
    """What the actor sent with these keys before."""
    keys = [one.key for one in wanted if one.key]
    if not keys:
        return {}
    query = select(Submission).where(
        Submission.actor_kind == actor.kind, Submission.actor_id == (actor.id or 0), Submission.key.in_(keys)
    )
    return {row.key: row for row in db.session.scalars(query)}


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
