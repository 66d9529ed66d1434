"""Returns: what can come back, what each step does to the units and to the state, and the refund of what came back."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Barrier

import pytest
from flask import Flask
from sqlalchemy import update
from sqlalchemy.exc import DBAPIError

from tests.refunds import only_recorded, refund, reverse, shipped_line, shipped_order
from webapp.audit.actor import Actor
from webapp.billing.memos import CancelInstead, issue_memos
from webapp.billing.models import MemoState
from webapp.billing.refundable import LineWish, Wish
from webapp.channels.incoming import FulfilledBy
from webapp.channels.returns import ReturnReason
from webapp.db import db, unit_of_work
from webapp.errors import DeskError, Invalid, NotFound
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.fulfillment.unshipping import UnitsSettled, unshipping_refusal
from webapp.orders.events import events_of, rebuild
from webapp.orders.models import Order, OrderLine
from webapp.orders.queries import locked
from webapp.orders.services import act, find_action, read_input
from webapp.returns import services
from webapp.returns.contract import ReturnItem
from webapp.returns.models import Return
from webapp.returns.queries import find_return, returns_of
from webapp.returns.states import ReturnState, awaited
from webapp.testing import JAPAN, incoming_order

Take = Callable[..., list[Order]]
S = ReturnState


@pytest.fixture
def order(take: Take) -> Order:
    """Three mugs and a cup, all of which have left."""
    [order] = take(shipped_order([shipped_line("MUG", 3), shipped_line("CUP")]))
    return order


def do(order: Order, code: str, data: object, actor: Actor) -> None:
    action = find_action(code)
    with unit_of_work():
        act(action, locked(order), read_input(action, data), actor)  # type: ignore[arg-type]


def request(order: Order, *units: int, actor: Actor, reason: str = "defective") -> Return:
    lines = {str(line.id): count for line, count in zip(order.lines, units, strict=False) if count}
    do(order, "return", {"lines": lines, "reason": reason}, actor)
    return returns_of(order)[-1]


def step(row: Return, code: str, actor: Actor, *units: int) -> str:
    lines = {str(line.line_id): count for line, count in zip(row.lines, units, strict=False) if count}
    do(row.order, code, {"return_id": row.id} | ({"lines": lines} if lines else {}), actor)
    return row.state


def counts(order: Order) -> list[tuple[int, int]]:
    """By line, the units on their way back and those that came back."""
    return [(line.to_return, line.returned) for line in order.lines]


def test_a_return_in_parts_counts_every_unit_once(order: Order, mia: Actor) -> None:
    row = request(order, 3, 1, actor=mia)
    assert (row.number, row.state, counts(order)) == ("R-000001", S.REQUESTED, [(3, 0), (1, 0)])

    assert step(row, "authorize_return", mia, 2) == S.PARTLY_AUTHORIZED
    assert counts(order) == [(2, 0), (0, 0)]  # what is denied is free again
    assert step(row, "receive_return", mia, 1) == S.PARTLY_RECEIVED
    assert step(row, "accept_return", mia) == S.PARTLY_RECEIVED
    assert step(row, "receive_return", mia) == S.RECEIVED
    assert counts(order) == [(0, 2), (0, 0)]
    assert step(row, "reject_return", mia) == S.ACCEPTED
    assert [(line.asked, line.authorized, line.accepted, line.rejected) for line in row.lines] == [
        (3, 2, 1, 1), (1, 0, 0, 0),
    ]  # fmt: skip
    assert step(row, "close_return", mia) == S.CLOSED
    assert [event.code for event in events_of(order)][-2::-1] == [
        "return_requested", "return_authorized", "return_received", "return_inspected", "return_received",
        "return_inspected", "return_closed",
    ]  # fmt: skip


def test_closing_and_denying_free_what_is_not_here(order: Order, mia: Actor) -> None:
    first, second = request(order, 2, actor=mia), request(order, 1, 1, actor=mia)
    assert step(first, "deny_return", mia) == S.DENIED
    assert step(second, "authorize_return", mia) == S.AUTHORIZED
    step(second, "receive_return", mia, 1)
    assert step(second, "close_return", mia) == S.CLOSED
    assert counts(order) == [(0, 1), (0, 0)]


def test_a_return_that_is_wholly_rejected_says_so(order: Order, mia: Actor) -> None:
    row = request(order, 1, actor=mia)
    step(row, "authorize_return", mia)
    step(row, "receive_return", mia)
    do(order, "reject_return", {"return_id": row.id, "condition": "damaged"}, mia)
    assert (row.state, row.lines[0].condition) == (S.REJECTED, "damaged")
    assert isinstance(services.refund_refusal_of(row), services.NothingAccepted)


def test_whatever_is_done_the_counters_add_up_and_follow_from_the_events(take: Take, mia: Actor) -> None:
    [order] = take(shipped_order([shipped_line("MUG", 12), shipped_line("CUP", 6)]))
    chance, whole, in_part = Random(3), ("deny", "reject", "close"), 6 * ("authorize", "receive", "accept")
    for _ in range(80):
        rows = list(returns_of(order))
        units = [chance.randint(0, 1) for _ in order.lines]
        try:
            if not rows or chance.random() < 0.2:
                request(order, 1, *units[1:], actor=mia)
            else:
                code = chance.choice((*whole, *in_part))
                step(chance.choice(rows[-3:]), f"{code}_return", mia, *(units if code in in_part else ()))
        except DeskError:
            continue
        for line in order.lines:
            mine = [(one, row) for row in returns_of(order) for one in row.lines if one.line_id == line.id]
            assert line.to_return == sum(awaited(one, row.state) for one, row in mine)
            assert line.returned == sum(one.received for one, _row in mine)
    rebuilt = rebuild(reversed(events_of(order))).lines
    assert {(rebuilt[str(line.id)]["to_return"], rebuilt[str(line.id)]["returned"]) for line in order.lines} == set(
        counts(order)
    )
    assert sum(line.returned for line in order.lines) > 3


# --- What is refused --------------------------------------------------------------------------------------------------


def test_only_what_has_left_and_stays_away_can_come_back(take: Take, order: Order, mia: Actor) -> None:
    [fresh, theirs] = take(incoming_order(), shipped_order(fulfilled_by=FulfilledBy.CHANNEL))
    assert isinstance(services.return_refusal(fresh), CancelInstead)
    assert isinstance(services.return_refusal(theirs), services.NotOursToReturn)
    request(order, 3, actor=mia)
    with pytest.raises(services.TooManyToReturn):
        request(order, 1, actor=mia)
    request(order, 0, 1, actor=mia)
    assert isinstance(services.return_refusal(order), services.NothingLeftToReturn)
    with pytest.raises(DBAPIError), unit_of_work():
        db.session.execute(update(OrderLine).where(OrderLine.id == order.lines[0].id).values(to_return=4))


@pytest.mark.parametrize(
    ("units", "problem"), [({0: 1}, Invalid), ({1: 0}, Invalid), ({1: -1}, Invalid), ({1: 4}, services.TooManyToReturn)]
)
def test_a_wrong_choice_records_nothing(
    order: Order, mia: Actor, units: dict[int, int], problem: type[DeskError]
) -> None:
    chosen = {(order.lines[0].id if place else 10**6): count for place, count in units.items()}
    items = [ReturnItem(line_id, count, ReturnReason.OTHER) for line_id, count in chosen.items()]
    for wrong in (items, [*items, *items], []):
        with pytest.raises(problem if wrong == items else DeskError), unit_of_work():
            services.request_return(locked(order), wrong, actor=mia)
    assert (returns_of(order), counts(order)) == ([], [(0, 0), (0, 0)])


def test_each_step_is_possible_once(take: Take, order: Order, mia: Actor) -> None:
    row = request(order, 2, actor=mia)
    for code, refusal in (
        ("receive_return", services.NotOnItsWay),
        ("accept_return", services.NothingToInspect),
    ):
        with pytest.raises(refusal):
            step(row, code, mia)
    step(row, "authorize_return", mia)
    with pytest.raises(services.ReturnDecided):
        step(row, "deny_return", mia)
    with pytest.raises(services.TooManyToReturn):
        step(row, "receive_return", mia, 3)
    step(row, "close_return", mia)
    with pytest.raises(services.ReturnEnded):
        step(row, "close_return", mia)
    [other] = take(shipped_order())
    with pytest.raises(NotFound), unit_of_work():
        services.close_return(locked(other), row.id, actor=mia)
    with pytest.raises(NotFound):
        find_return("R-999999999999", mia)


def test_two_clerks_ask_for_the_last_units_at_once(app: Flask, order: Order, mia: Actor) -> None:
    ready, order_id, line = Barrier(2), order.id, order.lines[0].id
    db.session.remove()

    def ask(_: int) -> bool:
        with app.app_context():
            ready.wait()
            try:
                with unit_of_work():
                    row = locked(db.session.get_one(Order, order_id))
                    services.request_return(row, [ReturnItem(line, 2, ReturnReason.OTHER)], actor=mia)
            except services.TooManyToReturn:
                return False
            return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(ask, range(2))) == [False, True]
    assert counts(db.session.get_one(Order, order_id))[0] == (2, 0)


def test_a_package_is_not_taken_back_while_its_goods_come_back(make_order: Callable[..., Order], mia: Actor) -> None:
    order = make_order("MUG", 2)
    with unit_of_work():
        shipment = ship_order(locked(order), [PackageInput("DHL", "JD1")], actor=mia)
    request(order, 1, actor=mia)
    assert isinstance(unshipping_refusal(order, shipment.packages), UnitsSettled)


# --- The refund -------------------------------------------------------------------------------------------------------


def test_the_refund_begins_with_what_was_accepted_and_the_return_names_it(
    take: Take, mia: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_recorded(monkeypatch)
    [order] = take(shipped_order([shipped_line("茶碗", 3)], currency="JPY", marketplace=JAPAN.id))
    row, line = request(order, 2, actor=mia), order.lines[0]
    step(row, "authorize_return", mia)
    step(row, "receive_return", mia)
    step(row, "accept_return", mia, 1)
    assert services.refund_of_return(order, row.id) == ({line.id: 1}, "CustomerReturn")

    wish = {"return_id": row.id, "reason": "CustomerReturn", "lines": {str(line.id): {"units": 1}}}
    with pytest.raises(services.MoreThanAccepted):  # the second one is not inspected yet
        do(order, "refund", wish | {"lines": {str(line.id): {"units": 2}}}, mia)
    assert (line.refunded, returns_of(order)[0].memos) == (0, [])
    do(order, "refund", wish, mia)
    [memo] = returns_of(order)[0].memos
    assert (memo.state, memo.lines[0].units) == (MemoState.ISSUED, 1)
    assert services.units_to_refund(row) == {}
    with pytest.raises(services.NothingAccepted):
        do(order, "refund", wish, mia)
    assert (line.refunded, row.state) == (1, S.CLOSED)

    reverse(memo, actor=mia)
    [row] = returns_of(order)
    assert (line.refunded, row.state, services.units_to_refund(row)) == (0, S.CLOSED, {line.id: 1})
    do(order, "refund", wish, mia)
    assert (line.refunded, services.units_to_refund(returns_of(order)[0])) == (1, {})


def test_what_another_refund_took_is_not_refunded_again(
    take: Take, mia: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_recorded(monkeypatch)
    [order] = take(shipped_order([shipped_line("MUG", 3)]))
    line = order.lines[0]
    one = Wish(lines={line.id: LineWish(1)})
    first, second = request(order, 1, actor=mia), request(order, 1, actor=mia)
    for row in (first, second):
        step(row, "authorize_return", mia)
        step(row, "receive_return", mia)
    assert step(first, "accept_return", mia) == S.ACCEPTED
    refund(order, one, actor=mia)
    assert step(second, "reject_return", mia) == S.REJECTED
    assert services.units_to_refund(first) == {line.id: 1}  # two came back, and one of them is refunded

    refund(order, one, actor=mia)
    assert first.state == S.CLOSED  # whichever refund it was
    assert services.refund_of_return(order, first.id)[0] == {line.id: 0}
    wish = {"return_id": first.id, "reason": "CustomerReturn", "lines": {str(line.id): {"units": 1}}}
    with pytest.raises(services.RefundedOutside):
        do(order, "refund", wish, mia)


def test_goods_that_were_refunded_before_they_came_back_leave_nothing_to_do(
    take: Take, mia: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_recorded(monkeypatch)
    [order] = take(shipped_order([shipped_line("MUG", 2)]))
    refund(order, Wish(lines={order.lines[0].id: LineWish(1)}), actor=mia)
    row = request(order, 1, actor=mia)
    step(row, "authorize_return", mia)
    step(row, "receive_return", mia)
    assert step(row, "accept_return", mia) == S.CLOSED
    assert isinstance(services.refund_refusal_of(row), services.RefundedOutside)


def test_a_return_closes_once_its_refund_is_issued(take: Take, mia: Actor) -> None:
    [order] = take(shipped_order([shipped_line("MUG", 2)]))
    row, line = request(order, 2, actor=mia), order.lines[0]
    for code in ("authorize_return", "receive_return", "accept_return"):
        step(row, code, mia)
    wish = {"return_id": row.id, "reason": "CustomerReturn", "lines": {str(line.id): {"units": 2}}}
    do(order, "refund", wish, mia)
    [memo] = row.memos
    assert (memo.state, row.state) == (MemoState.RECORDED, S.ACCEPTED)
    do(order, "undo_refund", {}, mia)
    assert services.units_to_refund(returns_of(order)[0]) == {line.id: 2}  # it never left

    do(order, "refund", wish, mia)
    with unit_of_work():
        locked(order)
        issue_memos([returns_of(order)[0].memos[-1]], actor=mia)
    assert (returns_of(order)[0].state, counts(order)) == (S.CLOSED, [(0, 2)])
