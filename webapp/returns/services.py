"""Returns: asking for one, deciding about it, receiving and inspecting the goods, refunding them, and closing it.

Units that come back have left before. Those of returns that are neither ended nor here yet are counted in the order's
lines (`to_return`), so that no two returns ask for one unit; those that are here are counted as `returned`. Money is
not moved here: a refund is composed as any other, and the return names its credit memo; once it is issued for all
that was accepted, the return closes by itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.billing.memos import CanceledNotRefunded, CancelInstead, memo_of
from webapp.billing.models import CreditMemo, MemoState
from webapp.billing.refundable import refundable_units
from webapp.channels.described import refund_reason_for
from webapp.channels.incoming import Component, FulfilledBy
from webapp.channels.returns import ReturnReason
from webapp.channels.services import channel_name
from webapp.clock import now
from webapp.db import among, db
from webapp.errors import Invalid, Refusal
from webapp.i18n import lazy_gettext as _l
from webapp.orders.events import EventGroup, EventWords, record
from webapp.orders.inputs import UnitsOfLine
from webapp.orders.models import Order, OrderLine
from webapp.orders.queries import AROUND, locked_all
from webapp.orders.services import ManagedAtChannel, comment as add_comment
from webapp.orders.states import OrderState
from webapp.returns.contract import ReturnItem
from webapp.returns.models import Return, ReturnLine, ReturnMemo
from webapp.returns.queries import return_of, returns_by_id
from webapp.returns.states import DECIDE, ENDED, INSPECT, RECEIVE, STEPS, ReturnState, awaited, state_of

RETURNING = "orders.return"  # the right
RETURNS = EventGroup("returns", _l("Returns"), 38)
WORDS = (
    EventWords("return_requested", _l("Return %(number)s requested (units: %(units)s)"), RETURNS),
    EventWords("return_authorized", _l("Return %(number)s authorized (units: %(units)s of %(asked)s)"), RETURNS),
    EventWords("return_denied", _l("Return %(number)s denied"), RETURNS),
    EventWords("return_received", _l("Return %(number)s: goods received (units: %(units)s)"), RETURNS),
    EventWords(
        "return_inspected",
        _l("Return %(number)s inspected (units accepted: %(accepted)s, rejected: %(rejected)s)"),
        RETURNS,
    ),
    EventWords("return_refunded", _l("Return %(number)s: refund of %(total)s composed"), RETURNS),
    EventWords("return_closed", _l("Return %(number)s closed"), RETURNS),
)
_NOT_PAID_BACK = (MemoState.WITHDRAWN, MemoState.REFUSED)


class NotOursToReturn(Refusal):
    """The channel ships the order from its own warehouse, and takes its returns."""

    code = "not_ours_to_return"
    sentence = _l("%(channel)s itself ships this order, and takes its returns.")


class NothingLeftToReturn(Refusal):
    code = "nothing_left_to_return"
    sentence = _l("Everything that has left of this order came back, or is about to.")


class TooManyToReturn(Refusal):
    """Of a line, fewer units are left than chosen."""

    code = "too_many_to_return"
    field = "lines"
    sentence = _l("Left of %(sku)s: %(left)s.")


class ReturnDecided(Refusal):
    code = "return_decided"
    sentence = _l("This return was decided about already.")


class NotOnItsWay(Refusal):
    code = "return_not_on_its_way"
    sentence = _l("Nothing of this return is on its way.")


class NothingToInspect(Refusal):
    code = "nothing_to_inspect"
    sentence = _l("Nothing of this return waits to be inspected.")


class ReturnEnded(Refusal):
    code = "return_ended"
    sentence = _l("This return has ended.")


class NothingAccepted(Refusal):
    """Nothing was accepted, or its refund is composed already."""

    code = "nothing_accepted"
    sentence = _l("Nothing of this return is accepted and not refunded yet.")


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
            raise Invalid(
                field="lines", problem=_l("has line %(line)s, which is not on this order.", line=item.line_id)
            )
        if item.line_id in named:
            raise Invalid(field="lines", problem=_l("names line %(line)s twice.", line=item.line_id))
        named.add(item.line_id)
        _check_units(lines[item.line_id], item.units, returnable_units(lines[item.line_id]))
    if not named:
        raise Invalid(field="lines", problem=_l("needs at least one."))
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
    return ReturnEnded() if row.state in ENDED else None


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


def accept_return(order: Order, return_id: int, units: Mapping[int, int], *, actor: Actor) -> None:
    """Accept units that were received and not inspected yet, and reject the others of these; without units, accept
    all. The caller holds the order's lock.
    """
    row, chosen = _chosen(order, return_id, INSPECT, units)
    _inspect(order, row, chosen, actor)


def reject_return(order: Order, return_id: int, *, actor: Actor) -> None:
    """Reject all units that were received and not inspected yet. The caller holds the order's lock."""
    row, _all = _chosen(order, return_id, INSPECT, {})
    _inspect(order, row, {}, actor)


def close_each(ids: Sequence[int], *, actor: Actor) -> dict[int, Refusal | None]:
    """Close those of these returns that the actor may see; returns why each of them can't be closed, or None. Locks
    their orders, in the order of their ids.
    """
    rows = returns_by_id(ids, actor)
    orders = {order.id: order for order in locked_all(sorted({row.order_id for row in rows}), actor, *AROUND)}
    refusals: dict[int, Refusal | None] = {}
    for row in rows:
        try:
            close_return(orders[row.order_id], row.id, actor=actor)
            refusals[row.id] = None
        except Refusal as refusal:
            refusals[row.id] = refusal
    return refusals


def close_return(order: Order, return_id: int, *, actor: Actor) -> None:
    """Close a return, whatever is still open of it: units that are not here yet are free for another. The caller holds
    the order's lock.
    """
    row = return_of(order, return_id)
    if refusal := close_refusal(row):
        raise refusal
    with _moving(order, row):
        row.closed_at = now()
    _record(row, "return_closed", actor)


# --- Refunding what came back -----------------------------------------------------------------------------------------


def units_to_refund(row: Return) -> dict[int, int]:
    """By order line, the accepted units for which no refund of this return is composed."""
    refunded: dict[int | None, int] = {}
    for memo in row.memos:
        if memo.state not in _NOT_PAID_BACK:
            for line in memo.lines:
                if line.component == Component.ITEM:
                    refunded[line.line_id] = refunded.get(line.line_id, 0) + line.units
    return {line.line_id: left for line in row.lines if (left := line.accepted - refunded.get(line.line_id, 0)) > 0}


def refund_refusal_of(row: Return) -> Refusal | None:
    """Why the order's refund can't begin with this return."""
    return None if units_to_refund(row) else NothingAccepted()


def refund_of_return(order: Order, return_id: int) -> tuple[dict[int, int], str]:
    """How the refund of what came back begins: units by order line, as far as the order has them left, and the
    channel's reason, empty if none fits. Raises `NotFound`.
    """
    row = return_of(order, return_id)
    left = units_to_refund(row)
    units = {line.id: min(left[line.id], refundable_units(line)) for line in order.lines if line.id in left}
    reasons = {ReturnReason(line.reason) for line in row.lines if line.line_id in left}
    return units, refund_reason_for(order.store.channel, order.marketplace, reasons)


def note_refund(order: Order, return_id: int, memo: CreditMemo, *, actor: Actor) -> None:
    """Record that a credit memo refunds what came back with a return. The caller holds the order's lock. Raises
    `NothingAccepted`.
    """
    row = return_of(order, return_id)
    if refusal := refund_refusal_of(row):
        raise refusal
    row.memos.append(memo_of(order, memo.id))
    _record(row, "return_refunded", actor, total=f"{memo.total} {memo.currency}")
    if _is_settled(row):
        close_return(order, row.id, actor=actor)


def close_settled(memo_ids: Sequence[int], *, actor: Actor) -> None:
    """Close the returns that these issued credit memos refund, if nothing is left to do: all goods are here and
    inspected, and every accepted unit is refunded. Locks their orders.
    """
    found = db.session.scalars(select(ReturnMemo.return_id).where(among(ReturnMemo.memo_id, memo_ids)))
    if not (ids := sorted(set(found))):
        return
    rows = returns_by_id(ids, actor)
    for order in locked_all([row.order_id for row in rows], actor, *AROUND):
        for row in rows:
            if row.order_id == order.id and _is_settled(return_of(order, row.id)):
                close_return(order, row.id, actor=actor)


def _is_settled(row: Return) -> bool:
    paid = all(memo.state == MemoState.ISSUED for memo in row.memos if memo.state not in _NOT_PAID_BACK)
    return row.state == ReturnState.ACCEPTED and paid and not units_to_refund(row)


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
    db.session.flush()


def _inspect(order: Order, row: Return, accepted: Mapping[int, int], actor: Actor) -> None:
    left = left_of(row, INSPECT)
    with _moving(order, row):
        for line in row.lines:
            units = accepted.get(line.line_id, 0)
            line.accepted += units
            line.rejected += left[line.line_id] - units
    good = sum(accepted.values())
    _record(row, "return_inspected", actor, accepted=good, rejected=sum(left.values()) - good)


def _chosen(order: Order, return_id: int, step: str, units: Mapping[int, int]) -> tuple[Return, dict[int, int]]:
    """The return, and the units by order line with which a step is done: those given, or else all that can be."""
    row = return_of(order, return_id)
    if refusal := step_refusal(row, step):
        raise refusal
    left = left_of(row, step)
    if strange := sorted(units.keys() - left.keys()):
        raise Invalid(field="lines", problem=_l("has line %(line)s, which is not in this return.", line=strange[0]))
    lines = {line.id: line for line in order.lines}
    for line_id, count in units.items():
        _check_units(lines[line_id], count, left[line_id])
    return row, dict(units) or {line_id: count for line_id, count in left.items() if count}


def _check_units(line: OrderLine, units: int, left: int) -> None:
    if units < 1:
        raise Invalid(field="lines", problem=_l("must be at least one unit of each line."))
    if units > left:
        raise TooManyToReturn(sku=line.sku or line.title, left=left)


def _record(row: Return, code: str, actor: Actor, **values: Any) -> None:
    record(row.order, code, actor=actor, values={"number": row.number, **values})
