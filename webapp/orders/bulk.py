"""Bulk acts: one order action performed on many orders, as a run with a result for each order.

The run's results name the orders and how each one ended; they are written at once when the run starts. A chunk acts and
writes its results in one transaction: if a worker dies in the middle of a chunk, all its orders stay undone and
waiting, and a job that comes twice finds nothing waiting. The person who started the run acts, with the rights that
they have while it goes on.
"""

import secrets
import traceback
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar

import structlog
from sqlalchemy import Row, func, or_, select

from webapp.accounts.models import User
from webapp.accounts.services import starter_of
from webapp.audit.actor import Actor, ActorKind
from webapp.audit.services import audit
from webapp.db import among, db, unit_of_work, write_rows
from webapp.errors import DeskError, Forbidden, Refusal
from webapp.hooks.fence import PluginFailed, ask
from webapp.i18n import LazyString, lazy_gettext as _l, lazy_pgettext
from webapp.jobs import job, runs
from webapp.jobs.models import Run, RunResult
from webapp.lists.listing import first_rows, matching_ids
from webapp.money import Money
from webapp.orders import freshness
from webapp.orders.attention import kinds
from webapp.orders.cancel_requests import asks_to_cancel
from webapp.orders.contract import ActionInput, OrderAction, Preview
from webapp.orders.inputs import is_needed
from webapp.orders.listing import NEWEST, ORDER_LIST
from webapp.orders.models import BulkAct, Order, Submission
from webapp.orders.queries import AROUND, locked_all, visible
from webapp.orders.services import Done, Wanted, act_many, actions, find_action, read_input, refusal_of
from webapp.orders.states import STATE_LABELS
from webapp.search.compiling import Compiled
from webapp.vault import services as vault

log = structlog.get_logger(__name__)
KIND = "bulk"
CAP = 50_000
CHUNK = 50
FIRST = 10  # orders of the first chunk: few, so that the first results are soon there
Found = TypeVar("Found", Order, Row[Any])  # an order, or what is read of it to say what should be looked at
_LOOKED_AT_FIRST = (
    Order.number,
    Order.channel_order_number,
    Order.attention,
    Order.on_hold,
    Order.buyer_wants_cancel,
    Order.unshipped,
    Order.canceling,
)
LOOKED_AT = 200  # orders that a form asks about before it says for how many the action is possible


class ResultState(StrEnum):
    WAITING = "waiting"
    DONE = "done"
    REFUSED = "refused"  # by a rule, named in its sentence
    FAILED = "failed"  # by a bug, described in the log


UNDONE = (ResultState.WAITING, ResultState.REFUSED, ResultState.FAILED)
RESULT_LABELS = {
    ResultState.WAITING: _l("Not done yet"),
    ResultState.DONE: lazy_pgettext("result", "Done"),
    ResultState.REFUSED: _l("Refused"),
    ResultState.FAILED: _l("Failed"),
}


class NothingChosen(DeskError):
    code, status = "nothing_chosen", 422
    sentence = _l("Choose at least one order first.")


class TooManyForOneRun(DeskError):
    code, status = "too_many_for_one_run", 422
    sentence = _l(
        "One run can process up to %(cap)s orders, and more were found. Narrow the list, for example by date."
    )


class NotInBulk(Refusal):
    code = "not_in_bulk"
    sentence = _l("The action “%(action)s” can be used on one order at a time only.")


class NothingTakesLists(Refusal):
    code = "nothing_takes_lists"
    sentence = _l("The plugin for uploaded lists is not loaded. The Plugins page shows the reason.")


class NothingToRepeat(Refusal):
    code = "nothing_to_repeat"
    sentence = _l("All orders of this run are done. There is nothing to try again.")


class NothingToUndo(Refusal):
    code = "nothing_to_undo"
    sentence = _l("This run can't be undone.")


class ActFailed(DeskError):
    code = "act_failed"
    sentence = _l("Waybill had an internal error and changed nothing. The log of the worker has the details.")


class InputLost(DeskError):
    code = "input_lost"
    sentence = _l("The input of this run can no longer be read. Start a new run.")


def bulk_actions(actor: Actor, actions: Mapping[str, OrderAction]) -> list[OrderAction]:
    """The actions that can be performed on many orders at once and to which the actor has the right."""
    return [action for action in actions.values() if action.bulk and actor.may(action.right)]


def listed_action() -> OrderAction:
    """The action that takes a list, with an input for each order. Raises `NothingTakesLists`."""
    for action in actions().values():
        if action.bulk and action.listed:
            return action
    raise NothingTakesLists


def chosen_ids(
    actor: Actor, *, ids: Sequence[int] | None = None, compiled: Compiled | None = None, sort: str = NEWEST
) -> list[int]:
    """The ids of a run's orders: those of `ids` if they are given, or all that a query finds, in the list's order.

    Callers read them before the transaction that starts the run, since on SQLite that transaction blocks all writers.
    Raises `TooManyForOneRun`.
    """
    found = matching_ids(ORDER_LIST, actor, compiled, sort, CAP + 1)
    if ids is not None:
        found = visible(actor).with_only_columns(Order.id).where(among(Order.id, ids)).order_by(Order.id).limit(CAP + 1)
    read = list(db.session.scalars(found))
    if len(read) > CAP:
        raise TooManyForOneRun(cap=CAP)
    return read


def start_bulk(action_code: str, data: ActionInput, *, actor: Actor, ids: Sequence[int], key: str = "") -> Run:
    """Start a run over these orders (see `chosen_ids`). Another call with the same `key` returns the first run.

    Raises `Forbidden`, `NotInBulk` or `NothingChosen`; then no run was started.
    """
    action = _checked(action_code, actor)
    return known_run(key, actor) or _begin(action, {"input": data.model_dump(mode="json")}, ids, actor, key)


def start_each(action_code: str, inputs: Mapping[int, ActionInput], *, actor: Actor, key: str = "") -> Run:
    """Start a run over orders with an input for each. Another call with the same `key` returns the first run."""
    action = _checked(action_code, actor)
    body = {"each": {str(order_id): data.model_dump(mode="json") for order_id, data in inputs.items()}}
    return known_run(key, actor) or _begin(action, body, chosen_ids(actor, ids=list(inputs)), actor, key)


def try_again(run: Run, *, actor: Actor, key: str = "") -> Run:
    """Start a new run over the orders that an ended run left undone. Raises `NothingToRepeat`."""
    row = db.session.get_one(BulkAct, run.id)
    action = find_action(row.action)
    actor.needs(action.right)
    if run.is_open:
        raise NothingToRepeat
    if known := known_run(key, actor):
        return known
    undone = select(RunResult.subject_id).where(RunResult.run_id == run.id, RunResult.state.in_(UNDONE))
    try:
        return _begin(action, _opened(row), chosen_ids(actor, ids=list(db.session.scalars(undone))), actor, key)
    except NothingChosen:
        raise NothingToRepeat from None


def undoing(run: Run, actor: Actor) -> OrderAction | None:
    """The action that undoes this run, if there is one, the actor has the right to it, and something can be undone."""
    action = actions().get(db.session.get_one(BulkAct, run.id).action)
    if action is None or run.is_open or run.done == run.failed:
        return None
    code, given = _undo_of(action, 0, 0)
    back, chosen = actions().get(code), type(action).undo_in_run is not OrderAction.undo_in_run
    if back is None or not (back.bulk or chosen) or not actor.may(back.right) or not _is_whole(back, given):
        return None
    try:
        possible = ask(action, "action", action.run_undoable, _done_ids(run), gives=bool)
    except PluginFailed:
        return None
    return back if possible else None


def _is_whole(action: OrderAction, given: Mapping[str, Any]) -> bool:
    """Whether the input has every field that the action's form requires."""
    needed = [name for name, info in action.Input.model_fields.items() if is_needed(info)]
    return all(name in given for name in needed)


def _done_ids(run: Run) -> list[int]:
    done = select(RunResult.subject_id).where(RunResult.run_id == run.id, RunResult.state == ResultState.DONE)
    return list(db.session.scalars(done.order_by(RunResult.position)))


def _undo_of(action: OrderAction, since: int, version: int) -> tuple[str, Mapping[str, Any]]:
    try:
        found = ask(action, "action", action.undo_in_run, since, version, gives=(tuple, NoneType))
    except PluginFailed:
        return "", {}
    return found or ("", {})


def undo(run: Run, *, actor: Actor, key: str = "") -> Run:
    """Start a new run that undoes what an ended run did. Raises `NothingToUndo`."""
    back = undoing(run, actor)
    if back is None:
        raise NothingToUndo
    if known := known_run(key, actor):
        return known
    action = find_action(db.session.get_one(BulkAct, run.id).action)
    ids = chosen_ids(actor, ids=_done_ids(run))
    acts = _versions(run)
    given = {order_id: _undo_of(action, *acts.get(order_id, (0, 0)))[1] for order_id in ids}
    body = {"each": {str(id_): read_input(back, one).model_dump(mode="json") for id_, one in given.items()}}
    return _begin(back, body, ids, actor, key)


def _versions(run: Run) -> dict[int, tuple[int, int]]:
    """By order, its versions before and after the act of the run, as long as they are remembered."""
    query = select(Submission.order_id, Submission.result).where(
        Submission.actor_kind == run.actor_kind,
        Submission.actor_id == (run.actor_id or 0),
        Submission.key.startswith(_key_in(run, ""), autoescape=True),
    )
    return {order_id: (result["since"], result["version"]) for order_id, result in db.session.execute(query)}


def _key_in(run: Run, position: int | str) -> str:
    """The key under which the act on one order of the run is remembered."""
    return f"bulk-{run.id}-{position}"


def _checked(code: str, actor: Actor) -> OrderAction:
    action = find_action(code)
    if not action.bulk:
        raise NotInBulk(action=action.label)
    actor.needs(action.right)
    return action


def known_run(key: str, actor: Actor) -> Run | None:
    """The run that the actor already started with this key. Of two requests at once, the second waits for the first."""
    if key and actor.kind is ActorKind.PERSON:
        db.session.execute(select(User.id).where(User.id == actor.id).with_for_update(key_share=True))
    query = select(Run).join(BulkAct, BulkAct.run_id == Run.id).where(BulkAct.key == key)
    own = query.where(Run.actor_kind == actor.kind, Run.actor_id == actor.id)
    return db.session.scalar(own) if key else None


def _begin(action: OrderAction, body: Mapping[str, Any], ids: Sequence[int], actor: Actor, key: str) -> Run:
    if not ids:
        raise NothingChosen
    run = runs.begin(KIND, actor=actor, total=len(ids))
    period, sealed = vault.seal_apart(KIND, body)
    row = BulkAct(run_id=run.id, key=key or secrets.token_urlsafe(16), action=action.code, period=period, sealed=sealed)
    db.session.add(row)
    db.session.flush()
    waits = {"run_id": run.id, "state": ResultState.WAITING.value, "problem": None}
    write_rows(RunResult, [waits | {"position": at, "subject_id": id_} for at, id_ in enumerate(ids, start=1)])
    audit("bulk_started", actor=actor, run=run.id, action=action.code, orders=run.total)
    return run


def _opened(row: BulkAct) -> dict[str, Any]:
    body = vault.open_apart(KIND, row.period, row.sealed)
    if not isinstance(body, dict):
        raise InputLost
    return body


# --- In the worker ----------------------------------------------------------------------------------------------------


@job("now")
@runs.gives_up
def act_on_chunk(run_id: int, chunk: int) -> None:
    """Act on the next orders of a run; another job does the rest."""
    if chunk == 0 and _waits(run_id):
        act_on_chunk.enqueue_in(freshness.LOOK_AGAIN, run_id, chunk)
        return
    with unit_of_work():
        run = runs.take_chunk(run_id, chunk)
        if run is not None:
            _do_chunk(run)


runs.carried_by(KIND, act_on_chunk)


def _waits(run_id: int) -> bool:
    """Whether the orders of the run leave by it and are read again first."""
    action = actions().get(db.session.get_one(BulkAct, run_id).action)
    if action is None or not action.lets_leave:
        return False
    chosen = select(RunResult.subject_id).where(RunResult.run_id == run_id)
    return freshness.run_waits(runs.find_run(run_id), list(db.session.scalars(chosen)))


def _do_chunk(run: Run) -> None:
    waiting = select(RunResult).where(RunResult.run_id == run.id, RunResult.state == ResultState.WAITING)
    limit = CHUNK if run.done else min(FIRST, CHUNK)
    results = list(db.session.scalars(waiting.order_by(RunResult.position).limit(limit)))
    try:
        row = db.session.get_one(BulkAct, run.id)
        action, body, actor = find_action(row.action), _opened(row), starter_of(run)
        orders = {order.id: order for order in locked_all([result.subject_id for result in results], actor, *AROUND)}
    except DeskError as problem:  # the plugin, the key or the right to see orders is gone: no order can be done
        runs.fail(run, problem)
        return
    _act(run, results, action, orders, body, actor)
    run.done += len(results)
    run.failed += sum(result.state != ResultState.DONE for result in results)
    if len(results) < limit or run.done >= (run.total or 0):
        runs.finish(run)
    else:
        runs.go_on(run)


def _act(
    run: Run,
    results: Sequence[RunResult],
    action: OrderAction,
    orders: Mapping[int, Order],
    body: Mapping[str, Any],
    actor: Actor,
) -> None:
    """Act on the orders of these results, and write how each one ended."""
    wanted: list[tuple[RunResult, Wanted]] = []
    for result in results:
        order = orders.get(result.subject_id)
        given = body.get("each", {}).get(str(result.subject_id), body.get("input"))
        try:
            if order is None:
                raise Forbidden(right=str(_l("see orders")))
            wanted.append((result, Wanted(order, read_input(action, given), _key_in(run, result.position))))
        except DeskError as problem:
            result.state, result.problem = _result_of(run, result.subject_id, problem)
    try:
        outcomes = act_many(action, [one for _result, one in wanted], actor)
    except Forbidden as problem:  # the person has lost the right since they started the run
        outcomes = [problem] * len(wanted)
    for (result, one), outcome in zip(wanted, outcomes, strict=True):
        result.state, result.problem = _result_of(run, one.order.id, outcome)


def _result_of(run: Run, order_id: int, outcome: Done | Exception) -> tuple[str, dict[str, Any] | None]:
    if isinstance(outcome, Done):
        return ResultState.DONE, None
    if isinstance(outcome, DeskError) and not isinstance(outcome, PluginFailed):
        return ResultState.REFUSED, outcome.stored()
    cause = outcome.__cause__ if isinstance(outcome, PluginFailed) and outcome.__cause__ else outcome
    way = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(cause.__traceback__)]
    log.error("bulk_act_failed", run=run.id, order=order_id, kind=type(cause).__name__, way=" ".join(way[1:]))
    return ResultState.FAILED, ActFailed().stored()


# --- For pages --------------------------------------------------------------------------------------------------------


def possible(action: OrderAction, orders: Sequence[Order], actor: Actor) -> list[Order]:
    """Those of the orders that the action would not refuse now."""
    return [order for order in orders if refusal_of(action, order, actor) is None]


@dataclass(slots=True)
class PreviewOfMany:
    """What an act would do to many orders: for how many it is possible, the sums of its amounts by label and currency,
    the total of each currency last; the sentences that speak against it, with their values; and how many orders refuse
    it with which sentence.
    """

    fitting: int = 0
    amounts: list[tuple[str, Money]] = field(default_factory=list)
    warnings: list[tuple[LazyString | str, Mapping[str, Any]]] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)


def preview_many(action: OrderAction, orders: Sequence[Order], data: ActionInput, actor: Actor) -> PreviewOfMany:
    """What an action would do to these orders. It is not done. Raises `PluginFailed`."""
    found = PreviewOfMany()
    sums: dict[str, dict[str, Money]] = {}  # by currency and label
    totals: dict[str, tuple[str, Money]] = {}
    for order in orders:
        try:
            one = ask(action, "form", action.dry_run, order, data, actor, gives=Preview, raises=DeskError)
        except PluginFailed:
            raise
        except DeskError as refusal:
            found.refused[str(refusal)] += 1
            continue
        found.fitting += 1
        found.warnings += one.warnings
        for label, amount in one.amounts[:-1]:
            rows = sums.setdefault(amount.currency, {})
            rows[str(label)] = rows.get(str(label), Money(0, amount.currency)) + amount
        for label, amount in one.amounts[-1:]:
            before = totals.get(amount.currency, ("", Money(0, amount.currency)))[1]
            totals[amount.currency] = str(label), before + amount
    for currency, total in sorted(totals.items()):
        found.amounts += [*sums.get(currency, {}).items(), total]
    return found


def attention_of(orders: Iterable[Found]) -> dict[str, list[Found]]:
    """What should be looked at before an act on these orders, as their own pages show it: the label of each thing, with
    the orders that it is about.
    """
    known = {code: str(kind.label) for code, kind in kinds().items()}
    asks, held = str(_l("The buyer asked to cancel")), str(STATE_LABELS["on_hold"])
    found: dict[str, list[Found]] = {}
    for order in orders:
        labels = [known.get(trouble["kind"], trouble["kind"]) for trouble in order.attention]
        if asks_to_cancel(order):
            labels.insert(0, asks)
        if order.on_hold:
            labels.append(held)
        for label in dict.fromkeys(labels):
            found.setdefault(label, []).append(order)
    return found


def to_look_at(actor: Actor, ids: Sequence[int]) -> list[Row[Any]]:
    """Those of these orders, however many, that `attention_of` says something about, in the order of their ids."""
    query = visible(actor).with_only_columns(*_LOOKED_AT_FIRST).where(among(Order.id, ids)).order_by(Order.id)
    return list(db.session.execute(query.where(or_(Order.needs_attention, Order.on_hold, Order.buyer_wants_cancel))))


def orders_to_look_at(
    actor: Actor, *, ids: Sequence[int] | None = None, compiled: Compiled | None = None, sort: str = NEWEST
) -> list[Order]:
    """The first orders of a choice, with all that refusals read of them."""
    query = first_rows(ORDER_LIST, actor, compiled, sort, LOOKED_AT)
    if ids is not None:
        query = visible(actor).where(among(Order.id, ids)).order_by(Order.id).limit(LOOKED_AT)
    return list(db.session.scalars(query.options(*AROUND)))


def results_of(run: Run, *, state: str | None = None, after: int = 0, limit: int = 100) -> list[RunResult]:
    """A run's results in the order of their positions, from the position behind `after` on; only those in `state`,
    if given.
    """
    query = select(RunResult).where(RunResult.run_id == run.id, RunResult.position > after)
    if state:
        query = query.where(RunResult.state == state)
    return list(db.session.scalars(query.order_by(RunResult.position).limit(limit)))


def result_counts(run: Run) -> dict[str, int]:
    """The number of results in each state."""
    query = select(RunResult.state, func.count()).where(RunResult.run_id == run.id).group_by(RunResult.state)
    return dict(db.session.execute(query).all())
