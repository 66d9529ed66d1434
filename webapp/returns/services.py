"""Returns: asking for one, deciding about it, receiving and inspecting the goods, refunding them, and closing it.

Units that come back have left before. Those of returns that are neither ended nor here yet are counted in the order's
lines (`to_return`), so that no two returns ask for one unit; those that are here are counted as `returned`. Money is
not moved here: a refund is composed as any other, and the return names its credit memo; once all that was accepted is
refunded, by it or by another, the return closes by itself. If the refund is taken back then, the return stays closed,
and its refund is offered again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.billing.memos import CanceledNotRefunded, CancelInstead, memo_of
from webapp.billing.models import NEVER_ISSUED, CreditMemo, CreditMemoLine, MemoState
from webapp.channels.described import refund_reason_for
from webapp.channels.incoming import Component, FulfilledBy
from webapp.channels.returns import ReturnReason
from webapp.channels.services import channel_name
from webapp.clock import now
from webapp.db import among, db
from webapp.errors import Invalid, Refusal
from webapp.i18n import lazy_gettext as _l
from webapp.orders.events import EventGroup, EventWords, record, record_all
from webapp.orders.inputs import UnitsOfLine
from webapp.orders.models import Order, OrderLine
from webapp.orders.queries import locked_all
from webapp.orders.services import ManagedAtChannel, comment as add_comment
from webapp.orders.states import OrderState
from webapp.returns.contract import ReturnCondition, ReturnItem
from webapp.returns.models import Return, ReturnLine, ReturnMemo
from webapp.returns.queries import return_of, returns_by_id, returns_of
from webapp.returns.states import DECIDE, ENDED, INSPECT, RECEIVE, STEPS, ReturnState, awaited, state_of

RETURNING = "orders.return"  # the right
RETURNS = EventGroup("returns", _l("Returns"), 38)
WORDS = (
    EventWords("return_requested", _l("Return %(number)s requested (units: %(units)s)"), RETURNS, "return"),
    EventWords("return_authorized", _l("Return %(number)s authorized (units: %(units)s of %(asked)s)"), RETURNS),
    EventWords("return_denied", _l("Return %(number)s denied"), RETURNS),
    EventWords("return_received", _l("Return %(number)s: goods received (units: %(units)s)"), RETURNS),
    EventWords(
        "return_inspected",
        _l("Return %(number)s inspected (units accepted: %(accepted)s, rejected: %(rejected)s)"),
        RETURNS,
    ),
    EventWords(
        "return_inspected_as",
        _l("Return %(number)s inspected: %(condition)s (units accepted: %(accepted)s, rejected: %(rejected)s)"),
        RETURNS,
    ),
    EventWords("return_refunded", _l("Return %(number)s: refund of %(total)s created"), RETURNS),
    EventWords("return_closed", _l("Return %(number)s closed"), RETURNS),
)


class NotOursToReturn(Refusal):
    """The channel ships the order from its own warehouse, and takes its returns."""

    code = "not_ours_to_return"
    sentence = _l("%(channel)s itself ships this order and handles its returns.")


class NothingLeftToReturn(Refusal):
    code = "nothing_left_to_return"
    sentence = _l("All shipped units of this order have been returned or are on their way back.")


class TooManyToReturn(Refusal):
    """Of a line, fewer units are left than chosen."""

    code = "too_many_to_return"
    field = "lines"
    sentence = _l("The quantity is too high. Units of %(sku)s still available: %(left)s.")


class NoReturn(Refusal):
    """The order has no return."""

    code = "no_return"
    sentence = _l("This order has no return.")


class ReturnDecided(Refusal):
    code = "return_decided"
    sentence = _l("A decision on this return was already made.")


class NotOnItsWay(Refusal):
    code = "return_not_on_its_way"
    sentence = _l("This return has no units on their way back.")


class NothingToInspect(Refusal):
    code = "nothing_to_inspect"
    sentence = _l("This return has no units that wait for inspection.")


class ReturnEnded(Refusal):
    code = "return_ended"
    sentence = _l("This return has ended.")


class NothingAccepted(Refusal):
    """Nothing was accepted, or its refund is composed already."""

    code = "nothing_accepted"
    sentence = _l("This return has no accepted units left to refund.")


class MoreThanAccepted(Refusal):
    """A refund that names a return has units of it that were not accepted."""

    code = "more_than_accepted"
    field = "lines"
    sentence = _l("The quantity is too high. Accepted units of %(sku)s left to refund in this return: %(left)s.")


class RefundedOutside(Refusal):
    """Units were accepted, and as many of their lines as came back are in refunds that don't name the return."""

    code = "return_refunded_outside"
    sentence = _l("Another refund, which is not linked to this return, already covers the returned units.")


_NOT_POSSIBLE: Mapping[str, type[Refusal]] = {DECIDE: ReturnDecided, RECEIVE: NotOnItsWay, INSPECT: NothingToInspect}


def returnable_units(line: OrderLine) -> int:
    """The units of a line that a return can ask for: those that left, and neither came back nor are about to."""
    return line.shipped - line.returned - line.to_return


def return_refusal(order: Order) -> Refusal | None:
    """Why no return of the order can be requested now; asked by the button and by `request_return`."""
    if order.managed_at_channel:
        return ManagedAtChannel()
    if order.fulfilled_by == FulfilledBy.CHANNEL:
        return NotOursToReturn(channel=channel_name(order.store.channel))
    if not any(line.shipped for line in order.lines):
        return CanceledNotRefunded() if order.state == OrderState.CANCELED else CancelInstead()
    return None if any(map(returnable_units, order.lines)) else NothingLeftToReturn()


def request_return(order: Order, items: Sequence[ReturnItem], *, comment: str = "", actor: Actor) -> Return:
    """Record that units of an order are to come back. The comment is for colleagues, sealed as every comment. The
    caller holds the order's lock.

    Raises the refusal of `return_refusal`, `TooManyToReturn`, or `Invalid` for lines that are none or named twice.
    """
    if refusal := return_refusal(order):
        raise refusal
    lines = {line.id: line for line in order.lines}
    named: set[int] = set()
    for item in items:
        if item.line_id not in lines:
            raise Invalid(field="lines", problem=_l("Line %(line)s is not on this order.", line=item.line_id))
        if item.line_id in named:
            raise Invalid(field="lines", problem=_l("Line %(line)s is entered twice.", line=item.line_id))
        named.add(item.line_id)
        _check_units(lines[item.line_id], item.units, returnable_units(lines[item.line_id]))
    if not named:
        raise Invalid(field="lines", problem=_l("Choose at least one."))
    row = Return(
        order=order,
        state=ReturnState.REQUESTED,
        requested_at=now(),
        actor_kind=actor.kind,
        actor_id=actor.id,
        lines=[
            ReturnLine(
                line_id=item.line_id,
                asked=item.units,
                authorized=0,
                received=0,
                accepted=0,
                rejected=0,
                reason=item.reason,
                condition=item.condition,
                resolution=item.resolution,
            )
            for item in items
        ],
    )
    db.session.add(row)
    for line in row.lines:
        lines[line.line_id].to_return += line.asked
    db.session.flush()
    _record(row, "return_requested", actor, units=sum(line.asked for line in row.lines))
    if comment.strip():
        add_comment(order, comment, actor=actor)
    return row


def step_refusal(row: Return, step: str) -> Refusal | None:
    """Why a step of a return is not possible now; asked by its buttons and by the acts."""
    return None if any(left_of(row, step).values()) else _NOT_POSSIBLE[step]()


def step_refusals(order: Order, step: str) -> dict[int, Refusal | None]:
    """By the id of each return of the order, why a step (`decide`, `receive`, `inspect`) can't be done now, or None."""
    return {row.id: step_refusal(row, step) for row in returns_of(order)}


def left_of(row: Return, step: str) -> dict[int, int]:
    """By order line, the units with which a step can be done now."""
    states, left = STEPS[step]
    return {line.line_id: left(line) for line in row.lines} if row.state in states else {}


def lines_left(order: Order, return_id: int, step: str) -> list[UnitsOfLine]:
    """The order's lines with which a step of a return (`decide`, `receive`, `inspect`) can be done now, as its form
    offers them. Raises `NotFound`.
    """
    left = left_of(return_of(order, return_id), step)
    return [UnitsOfLine(line.id, line.title, line.sku, left[line.id]) for line in order.lines if left.get(line.id)]


def close_refusal(row: Return) -> Refusal | None:
    """Why a return can't be closed now."""
    if row.order.managed_at_channel:
        return ManagedAtChannel()
    return ReturnEnded() if row.state in ENDED else None


def close_refusals(order: Order) -> dict[int, Refusal | None]:
    """By the id of each return of the order, why it can't be closed now, or None."""
    return {row.id: close_refusal(row) for row in returns_of(order)}


def authorize_return(order: Order, return_id: int, units: Mapping[int, int], *, actor: Actor) -> None:
    """Authorize a return: these units by order line, and no others; without units, all that was asked for. The caller
    holds the order's lock.
    """
    row, chosen = _chosen(order, return_id, DECIDE, units)
    with _moving(order, row):
        row.decided_at = now()
        for line in row.lines:
            line.authorized = chosen.get(line.line_id, 0)
    asked = sum(line.asked for line in row.lines)
    _record(row, "return_authorized", actor, units=sum(chosen.values()), asked=asked)


def deny_return(order: Order, return_id: int, *, actor: Actor) -> None:
    """Deny a return: its units are free for another. The caller holds the order's lock."""
    row, _all = _chosen(order, return_id, DECIDE, {})
    with _moving(order, row):
        row.decided_at = now()
    _record(row, "return_denied", actor)


def receive_return(order: Order, return_id: int, units: Mapping[int, int], *, actor: Actor) -> None:
    """Record units that arrived; without units, all that are on their way. The caller holds the order's lock."""
    row, chosen = _chosen(order, return_id, RECEIVE, units)
    lines = {line.id: line for line in order.lines}
    with _moving(order, row):
        for line in row.lines:
            arrived = chosen.get(line.line_id, 0)
            line.received += arrived
            lines[line.line_id].returned += arrived
    _record(row, "return_received", actor, units=sum(chosen.values()))


def accept_return(
    order: Order,
    return_id: int,
    units: Mapping[int, int],
    *,
    condition: ReturnCondition | None = None,
    actor: Actor,
) -> None:
    """Accept units that were received and not inspected yet, and reject the others of these; without units, accept
    all. `condition` is that of all of them, if it is not the one that was said before. The caller holds the order's
    lock.
    """
    row, chosen = _chosen(order, return_id, INSPECT, units)
    _inspect(order, row, chosen, condition, actor)


def reject_return(order: Order, return_id: int, *, condition: ReturnCondition | None = None, actor: Actor) -> None:
    """Reject all units that were received and not inspected yet. `condition`: see `accept_return`. The caller holds
    the order's lock.
    """
    row, _all = _chosen(order, return_id, INSPECT, {})
    _inspect(order, row, {}, condition, actor)


def close_each(ids: Sequence[int], *, actor: Actor) -> dict[int, Refusal | None]:
    """Close those of these returns that the actor may see; returns why each of them can't be closed, or None. Locks
    their orders, in the order of their ids.
    """
    rows = _locked(ids, actor)
    refusals = {row.id: close_refusal(row) for row in rows}
    if closing := [row for row in rows if refusals[row.id] is None]:
        _close(closing, actor)
    return refusals


def close_return(order: Order, return_id: int, *, actor: Actor) -> None:
    """Close a return, whatever is still open of it: units that are not here yet are free for another. The caller holds
    the order's lock.
    """
    row = return_of(order, return_id)
    if refusal := close_refusal(row):
        raise refusal
    _close([row], actor)


# --- Refunding what came back -----------------------------------------------------------------------------------------


def units_to_refund(row: Return, *, before: CreditMemo | None = None) -> dict[int, int]:
    """By order line, the accepted units for which no refund is composed: neither one of this return, nor another that
    took units which came back. `before`: as it was before this memo of the order.
    """
    own = {line.line_id: line.units for line in before.lines if line.component == Component.ITEM} if before else {}
    free = {
        line.id: min(units, line.returned - line.refunded - line.refunding + own.get(line.id, 0))
        for line, units in _unnamed(row)
    }
    return {line_id: units for line_id, units in free.items() if units > 0}


def refund_refusal_of(row: Return, *, before: CreditMemo | None = None) -> Refusal | None:
    """Why the order's refund can't begin with this return, or could not `before` this memo."""
    if units_to_refund(row, before=before):
        return None
    return RefundedOutside() if _unnamed(row) else NothingAccepted()


def refund_of_return(order: Order, return_id: int) -> tuple[dict[int, int], str]:
    """How the refund of what came back begins: units of each order line of the return, and the channel's reason, empty
    if none fits. Raises `NotFound`.
    """
    row = return_of(order, return_id)
    left = units_to_refund(row)
    units = {line.line_id: left.get(line.line_id, 0) for line in row.lines}
    reasons = {ReturnReason(line.reason) for line in row.lines if units[line.line_id]}
    return units, refund_reason_for(order.store.channel, order.marketplace, reasons)


def note_refund(order: Order, return_id: int, memo: CreditMemo, *, actor: Actor) -> None:
    """Record that a credit memo, just composed, refunds what came back with a return. The caller holds the order's
    lock. Raises `NothingAccepted`, `RefundedOutside` or `MoreThanAccepted`.
    """
    row, memo = return_of(order, return_id), memo_of(order, memo.id)
    if refusal := refund_refusal_of(row, before=memo):
        raise refusal
    left, lines = units_to_refund(row, before=memo), {line.line_id: line.line for line in row.lines}
    for part in memo.lines:
        line = lines.get(part.line_id or 0)
        if line is not None and part.units > left.get(line.id, 0):
            raise MoreThanAccepted(sku=line.sku or line.title, left=left.get(line.id, 0))
    row.memos.append(memo)
    _record(row, "return_refunded", actor, total=f"{memo.total} {memo.currency}")
    _close_settled([row], actor)


def close_settled(memo_ids: Sequence[int], *, actor: Actor) -> None:
    """Close the returns whose goods these issued credit memos refund, if nothing is left to do: all goods are here and
    inspected, and every accepted unit is refunded. Locks their orders.
    """
    named = select(ReturnMemo.return_id).where(among(ReturnMemo.memo_id, memo_ids))
    of_lines = (
        select(ReturnLine.return_id)
        .join(CreditMemoLine, CreditMemoLine.line_id == ReturnLine.line_id)
        .join(Return, Return.id == ReturnLine.return_id)
        .where(among(CreditMemoLine.memo_id, memo_ids), Return.state == ReturnState.ACCEPTED)
    )
    if ids := sorted(set(db.session.scalars(named.union(of_lines)))):
        _close_settled(_locked(ids, actor), actor)


def _close_settled(rows: Iterable[Return], actor: Actor) -> None:
    if settled := [row for row in rows if _is_settled(row)]:
        _close(settled, actor)


def _is_settled(row: Return) -> bool:
    if row.state != ReturnState.ACCEPTED or any(memo.state != MemoState.ISSUED for memo in _paying(row)):
        return False
    return all(line.returned <= line.refunded for line, _units in _unnamed(row))


def _unnamed(row: Return) -> list[tuple[OrderLine, int]]:
    """The order lines with accepted units that no refund of this return has, and how many."""
    named: dict[int | None, int] = {}
    for line in (line for memo in _paying(row) for line in memo.lines if line.component == Component.ITEM):
        named[line.line_id] = named.get(line.line_id, 0) + line.units
    left = [(line.line, line.accepted - named.get(line.line_id, 0)) for line in row.lines]
    return [(line, units) for line, units in left if units > 0]


def _paying(row: Return) -> list[CreditMemo]:
    """The return's credit memos, without those that never left, that were refused, or that are taken back."""
    return [memo for memo in row.memos if memo.state not in NEVER_ISSUED and memo.opposite is None]


# --- Moving -----------------------------------------------------------------------------------------------------------


@contextmanager
def _moving(order: Order, row: Return) -> Iterator[None]:
    """Around a change of a return's lines or times: afterwards its state and the order's counters follow."""
    before = {line.line_id: awaited(line, row.state) for line in row.lines}
    yield
    row.state = state_of(row.lines, decided_at=row.decided_at, closed_at=row.closed_at)
    lines = {line.id: line for line in order.lines}
    for line in row.lines:
        lines[line.line_id].to_return += awaited(line, row.state) - before[line.line_id]


def _locked(ids: Sequence[int], actor: Actor) -> list[Return]:
    """Those of the returns that the actor may see, as they are now; their orders are locked."""
    of_orders = select(Return.order_id).where(among(Return.id, ids))
    locked_all(sorted(set(db.session.scalars(of_orders))), actor)
    return returns_by_id(ids, actor)


def _close(rows: Sequence[Return], actor: Actor) -> None:
    at = now()
    for row in rows:
        with _moving(row.order, row):
            row.closed_at = at
    each = [{"number": row.number} for row in rows]
    record_all([row.order for row in rows], "return_closed", actor=actor, each=each)


def _inspect(
    order: Order, row: Return, accepted: Mapping[int, int], condition: ReturnCondition | None, actor: Actor
) -> None:
    left = left_of(row, INSPECT)
    with _moving(order, row):
        for line in row.lines:
            if condition and left[line.line_id]:
                line.condition = condition
            units = accepted.get(line.line_id, 0)
            line.accepted += units
            line.rejected += left[line.line_id] - units
    good = sum(accepted.values())
    code, found = ("return_inspected_as", {"condition": condition}) if condition else ("return_inspected", {})
    _record(row, code, actor, accepted=good, rejected=sum(left.values()) - good, **found)
    _close_settled([row], actor)


def _chosen(order: Order, return_id: int, step: str, units: Mapping[int, int]) -> tuple[Return, dict[int, int]]:
    """The return, and the units by order line with which a step is done: those given, or else all that can be."""
    row = return_of(order, return_id)
    if refusal := step_refusal(row, step):
        raise refusal
    left = left_of(row, step)
    if strange := sorted(units.keys() - left.keys()):
        raise Invalid(field="lines", problem=_l("Line %(line)s is not in this return.", line=strange[0]))
    lines = {line.id: line for line in order.lines}
    for line_id, count in units.items():
        _check_units(lines[line_id], count, left[line_id])
    return row, dict(units) or {line_id: count for line_id, count in left.items() if count}


def _check_units(line: OrderLine, units: int, left: int) -> None:
    if units < 1:
        raise Invalid(field="lines", problem=_l("Enter at least 1 unit for each line."))
    if units > left:
        raise TooManyToReturn(sku=line.sku or line.title, left=left)


def _record(row: Return, code: str, actor: Actor, **values: Any) -> None:
    record(row.order, code, actor=actor, values={"id": row.id, "number": row.number, **values})
