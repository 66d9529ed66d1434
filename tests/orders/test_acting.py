"""One act for every door: it checks right, repeated key, version and refusal; of two clerks at once one wins."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from flask import Flask

from tests.orders.conftest import reason_of
from webapp.audit.actor import Actor
from webapp.db import db, unit_of_work
from webapp.errors import DeskError, Forbidden, Invalid, NotFound, Stale
from webapp.fulfillment.models import Shipment
from webapp.orders.events import events_of
from webapp.orders.holds import AlreadyOnHold, NotOnHold, hold, release
from webapp.orders.models import Order, OrderComment, OrderHold
from webapp.orders.queries import comments_of, find_order, holds_of, reference
from webapp.orders.services import (
    Done,
    KeyReused,
    act,
    comment,
    find_action,
    read_input,
)
from webapp.updates.models import ChannelUpdate
from webapp.vault.services import open_sealed

GOOD = {"carrier": "DHL", "tracking_number": "JD0001"}


def do(number: str, code: str, data: dict[str, Any], actor: Actor, **more: Any) -> Done:
    """Act as every door does."""
    action = find_action(code)
    with unit_of_work():
        return act(action, find_order(number, actor, lock=True), read_input(action, data), actor, **more)


@pytest.fixture
def number(make_order: Callable[..., Order]) -> str:
    return reference(make_order(quantity=2))


def test_the_right_is_asked(number: str, make_user: Callable[..., Actor]) -> None:
    rob = make_user("read_only", "Rob")
    for code, data in (("ship", GOOD), ("comment", {"text": "hello"})):
        with pytest.raises(Forbidden):
            do(number, code, data, rob)
    assert db.session.query(OrderComment).count() == 0


def test_an_unknown_action_is_not_found(number: str, mia: Actor) -> None:
    with pytest.raises(NotFound, match="teleport"):
        do(number, "teleport", {}, mia)


def test_an_act_on_what_somebody_changed_meanwhile_is_refused(number: str, mia: Actor) -> None:
    seen = find_order(number, mia).version
    do(number, "comment", {"text": "first"}, mia, version=seen)
    with pytest.raises(Stale, match="changed while you were looking"):
        do(number, "ship", GOOD, mia, version=seen)
    assert db.session.query(Shipment).count() == 0
    do(number, "ship", GOOD, mia, version=seen + 1)


def test_the_same_form_sent_twice_answers_with_the_first_result(number: str, mia: Actor) -> None:
    first = do(number, "ship", GOOD, mia, key="k1", version=1)
    assert (first.since, first.version) == (1, 2)
    again = do(number, "ship", GOOD, mia, key="k1", version=1)
    assert again == first
    assert db.session.query(Shipment).count() == db.session.query(ChannelUpdate).count() == 1


def test_the_same_key_of_somebody_else_is_another_act(number: str, mia: Actor, make_user: Callable[..., Actor]) -> None:
    do(number, "comment", {"text": "mine"}, mia, key="k1")
    do(number, "comment", {"text": "mine too"}, make_user("clerk", "Max"), key="k1")
    assert db.session.query(OrderComment).count() == 2


def test_a_key_used_for_another_act_is_refused(number: str, make_order: Callable[..., Order], mia: Actor) -> None:
    other = reference(make_order())
    do(number, "comment", {"text": "hello"}, mia, key="k1")
    for elsewhere, code, data in ((number, "ship", GOOD), (other, "comment", {"text": "hello"})):
        with pytest.raises(KeyReused, match="used for another act"):
            do(elsewhere, code, data, mia, key="k1")


def test_a_refused_act_leaves_its_key_free(number: str, mia: Actor) -> None:
    with pytest.raises(DeskError, match="does not accept the carrier"):
        do(number, "ship", {"carrier": "Pigeon", "tracking_number": "1"}, mia, key="k1")
    do(number, "ship", GOOD, mia, key="k1")


def at_once(app: Flask, acts: list[Callable[[], Done]]) -> list[Done | DeskError]:
    """Let all of them act at the same moment, each with a session of its own."""
    together = Barrier(len(acts))

    def run(one: Callable[[], Done]) -> Done | DeskError:
        together.wait(60)
        with app.app_context():
            try:
                return one()
            except DeskError as refused:
                return refused

    db.session.rollback()
    with ThreadPoolExecutor(len(acts)) as pool:
        return [task.result(60) for task in [pool.submit(run, one) for one in acts]]


@pytest.mark.parametrize("versioned", [False, True])
def test_of_two_clerks_shipping_one_order_one_wins_and_the_other_reads_why(
    app: Flask, number: str, mia: Actor, make_user: Callable[..., Actor], versioned: bool
) -> None:
    max_ = make_user("clerk", "Max")
    more = {"version": 1} if versioned else {}
    results = at_once(app, [lambda who=who: do(number, "ship", GOOD, who, **more) for who in (mia, max_, mia, max_)])
    done = [result for result in results if isinstance(result, Done)]
    refused = {str(result) for result in results if isinstance(result, DeskError)}
    assert len(done) == 1
    [sentence] = refused
    assert sentence == "Nothing is left to ship."  # not `Stale`, which asks to try again
    db.session.expire_all()
    assert db.session.query(Shipment).count() == db.session.query(ChannelUpdate).count() == 1
    assert find_order(number, mia).lines[0].shipped == 2


def test_one_form_sent_many_times_at_once_ships_once(app: Flask, number: str, mia: Actor) -> None:
    results = at_once(app, [lambda: do(number, "ship", GOOD, mia, key="k1", version=1)] * 4)
    assert len({result for result in results if isinstance(result, Done)}) == 1
    assert not [result for result in results if isinstance(result, DeskError)]
    db.session.expire_all()
    assert db.session.query(Shipment).count() == 1


def test_clerks_who_comment_at_once_are_all_heard(app: Flask, number: str, mia: Actor) -> None:
    results = at_once(app, [lambda i=i: do(number, "comment", {"text": f"note {i}"}, mia) for i in range(4)])
    assert sorted(result.version for result in results if isinstance(result, Done)) == [2, 3, 4, 5]


def test_a_comment_is_sealed_and_read_again(number: str, mia: Actor) -> None:
    do(number, "comment", {"text": "  Rang Mrs. Quixelworth  "}, mia)
    order = find_order(number, mia)
    [row] = comments_of(order)
    assert b"Quixelworth" not in row.sealed
    assert open_sealed([(order.id, "comment", row.sealed)]) == ["Rang Mrs. Quixelworth"]
    assert (row.actor_kind, row.actor_id) == ("person", mia.id)
    assert "Quixelworth" not in str([event.data for event in events_of(order)])


@pytest.mark.parametrize("text", ["", "   ", "x" * 10_001, "a\0b"])
def test_a_comment_that_cannot_be_is_refused(number: str, mia: Actor, text: str) -> None:
    with pytest.raises(Invalid):
        do(number, "comment", {"text": text}, mia)
    with pytest.raises(Invalid, match="text: Enter a value"), unit_of_work():
        comment(find_order(number, mia, lock=True), " ", actor=mia)
    assert db.session.query(OrderComment).count() == 0


def test_a_hold_lasts_until_it_is_released(number: str, mia: Actor) -> None:
    with unit_of_work():
        hold(find_order(number, mia, lock=True), " check stock ", actor=mia)
    order = find_order(number, mia)
    assert (order.on_hold, order.shown_state, order.state) == (True, "on_hold", "processing")
    with pytest.raises(AlreadyOnHold), unit_of_work():
        hold(find_order(number, mia, lock=True), "again", actor=mia)
    with unit_of_work():
        release(find_order(number, mia, lock=True), actor=mia)
    with pytest.raises(NotOnHold), unit_of_work():
        release(find_order(number, mia, lock=True), actor=mia)
    order = find_order(number, mia)
    [row] = holds_of(order)
    assert (order.shown_state, reason_of(row), row.released_at is not None) == ("processing", "check stock", True)
    assert [event.code for event in events_of(order)] == ["released", "held", "placed"]
    assert db.session.query(OrderHold).count() == 1
