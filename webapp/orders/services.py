"""Acting on orders: one place checks right, version, key and refusal for every caller; and what the acts share."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import NoneType
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.channels.incoming import ChannelStage
from webapp.clock import now
from webapp.db import db
from webapp.errors import DeskError, Invalid, InvalidInput, NotFound, Refusal, Stale
from webapp.hooks.failures import NotTaken, WrongType
from webapp.hooks.fence import PluginFailed, ask, failed, label_of
from webapp.hooks.registered import by_code
from webapp.i18n import lazy_gettext as _l
from webapp.jobs.runs import passes
from webapp.orders import drafts
from webapp.orders.contract import ActionInput, OrderAction, PackageAction, PartAction, Place
from webapp.orders.events import record
from webapp.orders.input_errors import invalid_of
from webapp.orders.inputs import Kind, check_input, shown_of
from webapp.orders.models import Order, OrderComment, Submission
from webapp.orders.search_words import add_comment
from webapp.orders.states import follows_from, open_units, state_of
from webapp.orders.statuses import check_status
from webapp.vault import services as vault


class ManagedAtChannel(Refusal):
    """Import was off when the order arrived."""

    code = "managed_at_channel"
    sentence = _l("This order is managed at the channel: importing is off for its store or marketplace.")


class KeyReused(Refusal):
    """A submission key was used again, for another act."""

    code = "key_reused"
    sentence = _l("This key was already used for another action. Send a new key.")


class UnknownAction(NotFound):
    """No action has this code."""

    code = "unknown_action"
    sentence = _l("There is no action “%(name)s”.")


@dataclass(frozen=True, slots=True)
class Offer:
    """An action as an order offers it: possible, or with one sentence why it is not."""

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
    """The result of an act: the order's versions before and after, by which its updates and events are found."""

    order_id: int
    since: int
    version: int


def actions() -> dict[str, OrderAction]:
    """The actions on orders by code, in the order of their buttons."""
    return by_code("register_order_actions", OrderAction, fits=_check)  # type: ignore[type-abstract]


def _check(action: OrderAction, plugin: str) -> None:
    """Raise for an action that pages could not draw."""
    check_input(action.Input)
    if not isinstance(action.place, Place):
        raise WrongType(action.place, Place)
    if isinstance(action, PackageAction) != (action.place is Place.PACKAGES):
        raise NotTaken("only an action on one package has its form with the packages")
    if action.about and action.about not in action.Input.model_fields:
        raise NotTaken(f"its Input has no field {action.about}")
    fields = [shown for info in action.Input.model_fields.values() if (shown := shown_of(info)) is not None]
    if any(one.kind is Kind.FILLING for one in fields) and type(action).filling is OrderAction.filling:
        raise NotTaken("a field of its Input fills others, and its filling does not say how")


def find_action(code: str) -> OrderAction:
    known = actions()
    if code not in known:
        raise UnknownAction(name=code)
    return known[code]


def action_at(place: Place, actor: Actor) -> OrderAction | None:
    """The first action whose form belongs in this place of the order's page and to which the actor has the right."""
    return next((action for action in actions().values() if action.place is place and actor.may(action.right)), None)


def offers(order: Order, actor: Actor, *, of_parts: bool = True) -> list[Offer]:
    """Every action to which the actor has the right, with its refusal if it is not possible now. Pages offer those
    `of_parts` beside each part, such as a package or a return.
    """
    able = [one for one in actions().values() if actor.may(one.right)]
    able = [one for one in able if of_parts or not isinstance(one, PartAction)]
    return [Offer(action, refusal_of(action, order, actor)) for action in able]


def answers_to_request(order: Order, actor: Actor) -> list[Offer]:
    """The actions that answer a buyer's request to cancel, as far as the actor has the right to them and they are
    possible now.
    """
    answers = [one for one in actions().values() if one.answers_cancel_request and actor.may(one.right)]
    return [Offer(one, None) for one in answers if refusal_of(one, order, actor) is None]


def package_offers(order: Order, actor: Actor) -> dict[int, list[Offer]]:
    """By package number, every action on one package to which the actor has the right."""
    found: dict[int, list[Offer]] = {}
    for action in actions().values():
        if isinstance(action, PackageAction) and actor.may(action.right):
            with suppress(PluginFailed):  # it is offered for no package, and the Plugins page says why
                refusals = ask(action, "refusal", action.refusals, order, actor, gives=Mapping)
                for number, refusal in refusals.items():
                    found.setdefault(number, []).append(Offer(action, refusal))
    return found


def bar(offered: Sequence[Offer]) -> list[Offer]:
    """The offers for a bar of buttons: of an action and its counterpart (hold, release), the one that is possible
    now, or else the first of the two.
    """
    known = {offer.code: (place, offer) for place, offer in enumerate(offered)}
    shown = []
    for place, offer in enumerate(offered):
        there, other = known.get(offer.action.counterpart, (place, None))
        if other is None or (offer.refusal is None, place < there) > (other.refusal is None, there < place):
            shown.append(offer)
    return shown


def refusal_of(action: OrderAction, order: Order, actor: Actor, part: int | None = None) -> Refusal | None:
    """Why the action is not possible, with this part of the order if it is about one; the button and the act both ask
    it. An action whose refusal fails is not possible.
    """
    if order.managed_at_channel:
        return ManagedAtChannel()
    try:
        if part is not None and isinstance(action, PartAction):
            return ask(action, "refusal", action.refusal_of, order, part, actor, gives=(Refusal, NoneType))
        return ask(action, "refusal", action.refusal, order, actor, gives=(Refusal, NoneType))
    except PluginFailed as problem:
        return problem


def read_input(action: OrderAction, given: Mapping[str, Any]) -> ActionInput:
    """The action's input from JSON or a form. Raises `InvalidInput` naming every field with an error, and
    `PluginFailed` if the input's own check fails.
    """
    problems = [
        Invalid(field=name, problem=_l("This text has a character that can't be saved. Remove the character."))
        for name, value in given.items()
        if _has_null((name, value))
    ]
    try:
        data = ask(action, "form", action.Input.model_validate, given, raises=ValidationError)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        told = {str(problem): problem for problem in (invalid_of(one, given, action.code) for one in found)}
        problems += told.values()
    if problems:
        raise InvalidInput(problems)
    return data


def _has_null(value: object) -> bool:
    """Whether any text of a value holds the character that PostgreSQL can't store."""
    if isinstance(value, Mapping):
        return any(map(_has_null, value.items()))
    if isinstance(value, (list, tuple)):
        return any(map(_has_null, value))
    return isinstance(value, str) and "\0" in value


@dataclass(frozen=True, slots=True)
class Wanted:
    """One order to act on, with its input. `version` is the version that the person saw."""

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
    """Act on one order, as a set of one, and raise its failure: see `act_many`."""
    actor.needs(action.right)
    wanted = Wanted(order, data, key, version)
    known = _submissions([wanted], actor)
    outcome = _before(action, wanted, actor, known)
    if isinstance(outcome, DeskError):
        raise outcome
    return outcome or _perform(action, [wanted], actor)[0]


def act_many(action: OrderAction, wanted: Sequence[Wanted], actor: Actor) -> list[Done | Exception]:
    """Act on orders, for every caller: check right, repeated keys, versions and refusals, then perform the action. The
    caller has locked the orders. Returns for each order, in its place, `Done` or the reason why nothing was done.

    A repeated key gets the first result; an outdated version is `Stale` where the act is still possible. Orders with
    the same input are one act; only if that fails, each order is tried alone under a savepoint. Errors of the database,
    the queue or the disk are raised.
    """
    actor.needs(action.right)
    known = _submissions(wanted, actor)
    outcomes: list[Done | Exception | None] = [*_before_each(action, wanted, actor, known)]
    waiting = [place for place, outcome in enumerate(outcomes) if outcome is None]
    while waiting:
        same = [place for place in waiting if wanted[place].data == wanted[waiting[0]].data]
        waiting = [place for place in waiting if place not in same]
        for place, outcome in zip(same, _together(action, [wanted[place] for place in same], actor), strict=True):
            outcomes[place] = outcome
    return [outcome for outcome in outcomes if outcome is not None]


def _together(action: OrderAction, wanted: Sequence[Wanted], actor: Actor) -> Sequence[Done | Exception]:
    """Act on orders with the same input at once or, if that fails, on each order alone."""
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
            failed(action, "action", error)  # a plugin that fails for many orders but for none alone is recorded here
        return outcomes


def _alone(action: OrderAction, wanted: Wanted, actor: Actor) -> Done | Exception:
    try:
        with db.session.begin_nested():
            return _perform(action, [wanted], actor)[0]
    except Exception as error:
        if passes(error):
            raise
        return error


def _before_each(
    action: OrderAction, wanted: Sequence[Wanted], actor: Actor, known: Mapping[str, Submission]
) -> list[Done | DeskError | None]:
    """The answers before anything is done. A refusal that fails in the database takes no other order with it: they
    share a savepoint, and the next one gets another.
    """
    savepoint, answers = db.session.begin_nested(), []
    for one in wanted:
        answers.append(_before(action, one, actor, known))
        if isinstance(answers[-1], PluginFailed):
            savepoint.rollback()
            savepoint = db.session.begin_nested()
    savepoint.commit()
    return answers


def _before(
    action: OrderAction, wanted: Wanted, actor: Actor, known: Mapping[str, Submission]
) -> Done | DeskError | None:
    """The answer before anything is done: an earlier result, or a refusal; None if the action can be performed."""
    order = wanted.order
    if earlier := known.get(wanted.key or ""):
        same = (earlier.order_id, earlier.action) == (order.id, action.code)
        return Done(**earlier.result) if same else KeyReused()
    if refusal := refusal_of(action, order, actor, getattr(wanted.data, action.about, None)):
        return refusal  # before `Stale`, which asks to try again
    return Stale() if wanted.version is not None and wanted.version != order.version else None


def _perform(
    action: OrderAction, wanted: Sequence[Wanted], actor: Actor, *, raises: type[Exception] = DeskError
) -> list[Done]:
    before = [one.order.version for one in wanted]
    orders = [one.order for one in wanted]
    ask(action, "action", action.perform_many, orders, wanted[0].data, actor, raises=raises)
    if action.drafts:
        drafts.discard_drafts([order.id for order in orders], action.code, actor)
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
    """The actor's earlier submissions with these keys."""
    keys = [one.key for one in wanted if one.key]
    if not keys:
        return {}
    query = select(Submission).where(
        Submission.actor_kind == actor.kind, Submission.actor_id == (actor.id or 0), Submission.key.in_(keys)
    )
    return {row.key: row for row in db.session.scalars(query)}


def settle_state(order: Order) -> None:
    """Compute again what follows from the lines' counters: the open units, the state, and the columns that a new
    state sets.
    """
    order.unshipped = sum(open_units(line) for line in order.lines)
    state = state_of(ChannelStage(order.channel_order.stage), order.lines)
    if state != order.state:
        order.state = state
        for name, value in follows_from(state).items():
            setattr(order, name, value)


def comment(order: Order, text: str, *, actor: Actor, status: str | None = None, pin: bool = False) -> OrderComment:
    """Add an internal comment; its text is sealed, since comments name buyers too.

    `status` also sets a status of the order's state, for which the actor needs that right; `pin` keeps the comment
    above the others.
    """
    text = text.strip()
    if not text:
        raise Invalid(field="text", problem=_l("Enter a value."))
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
    """Put a pinned comment of the order back among the others; the caller holds the order's lock."""
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
    """Mark the order with a problem; a mark of the same kind with other values is replaced. The caller records the
    event.

    If several things of one order can have the same problem, `of` is the id of this thing, which then has its own mark.
    """
    mark = {"kind": kind, "values": values} | ({} if of is None else {"of": of})
    order.attention = [*_without(order, kind, of), mark]
    order.needs_attention = True


def settle_attention(order: Order, kind: str, *, of: int | None = None) -> None:
    """Remove a mark; with `of`, only the mark of that thing. The caller records the event."""
    order.attention = _without(order, kind, of)
    order.needs_attention = bool(order.attention) or any(line.problems for line in order.lines)


def _without(order: Order, kind: str, of: int | None) -> list[dict[str, Any]]:
    """The order's other marks. A mark that names no thing matches every `of`."""
    return [
        trouble
        for trouble in order.attention
        if trouble["kind"] != kind or (of is not None and trouble.get("of", of) != of)
    ]
