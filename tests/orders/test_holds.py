"""A hold keeps an order from being shipped, with a sealed reason, until somebody releases it or it ends."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from tests.orders.conftest import Do, reason_of
from webapp.audit.actor import Actor
from webapp.channels.incoming import ChannelStage, FulfilledBy
from webapp.clock import iso, now
from webapp.db import db, unit_of_work
from webapp.errors import DeskError, Forbidden, Invalid
from webapp.orders import jobs
from webapp.orders.events import event_words, events_of, record
from webapp.orders.holds import AlreadyOnHold, NothingToHold, NotOnHold, NotOursToHold
from webapp.orders.models import Order, OrderHold
from webapp.orders.queries import find_order, holds_of, locked, reference
from webapp.orders.services import bar, offers, settle_state
from webapp.testing import again, incoming_order
from webapp.vault.services import open_sealed

Take = Callable[..., list[Order]]


@pytest.fixture
def order(make_order: Callable[..., Order]) -> Order:
    return make_order()


def reloaded(order: Order) -> Order:
    db.session.rollback()
    return find_order(f"@{order.id}", Actor.operator())


def test_a_hold_tells_why_by_whom_and_until_when(order: Order, mia: Actor, do: Do) -> None:
    until = now().replace(microsecond=0) + timedelta(days=2)
    do(order, "hold", {"reason": " Mrs. Quixelworth is away ", "until": iso(until)}, mia)
    row = reloaded(order)
    [held] = holds_of(row)
    assert (row.on_hold, row.version) == (True, 2)
    assert (held.until, held.actor_id, reason_of(held)) == (until, mia.id, "Mrs. Quixelworth is away")
    event = events_of(row)[0]
    assert (event.code, event.data["values"]) == ("held_until", {"until": iso(until)})
    assert event.data["before"]["order"] == {"on_hold": False}
    assert open_sealed([(row.id, "event", event.sealed)]) == [{"reason": "Mrs. Quixelworth is away"}]
    assert "Quixelworth" not in str(event.data)


def test_a_time_without_a_zone_is_one_of_the_shop(order: Order, mia: Actor, do: Do) -> None:
    with unit_of_work():
        find_order(reference(order), mia, lock=True).shop.zone = "America/New_York"
    do(order, "hold", {"reason": "away", "until": "2030-01-02T10:00"}, mia)
    assert iso(holds_of(order)[0].until) == "2030-01-02T15:00:00Z"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({}, "reason: Enter a value"),
        ({"reason": "  "}, "reason: Enter a value"),
        ({"reason": "x" * 501}, "reason: This text is too long"),
        ({"reason": "x", "until": "2030-13-01"}, "until: Enter a date and time"),
        ({"reason": "x", "until": "2020-01-01"}, "until: Choose a date and time in the future"),
        ({"reason": "x", "until": "9999-12-31"}, "until: Enter a date between 1970 and 2199"),
        ({"reason": "x", "until": "soon"}, "until: Enter a date and time"),
    ],
)
def test_what_is_no_hold_is_refused(order: Order, mia: Actor, do: Do, data: dict[str, str], problem: str) -> None:
    with pytest.raises(Invalid, match=problem):
        do(order, "hold", data, mia)
    assert reloaded(order).on_hold is False


def test_only_what_is_still_to_leave_from_here_can_be_held(take: Take, mia: Actor, do: Do) -> None:
    shipped, theirs = take(
        incoming_order(stage=ChannelStage.SHIPPED, status="SHIPPED"), incoming_order(fulfilled_by=FulfilledBy.CHANNEL)
    )
    with pytest.raises(NothingToHold, match="This order is complete, so it can't be put on hold"):
        do(shipped, "hold", {"reason": "x"}, mia)
    with pytest.raises(NotOursToHold):
        do(theirs, "hold", {"reason": "x"}, mia)


def test_one_hold_at_a_time(order: Order, mia: Actor, do: Do) -> None:
    with pytest.raises(NotOnHold):
        do(order, "release", {}, mia)
    do(order, "hold", {"reason": "x"}, mia)
    with pytest.raises(AlreadyOnHold):
        do(order, "hold", {"reason": "y"}, mia)
    do(order, "release", {}, mia)
    assert (reloaded(order).on_hold, events_of(order)[0].code) == (False, "released")


def test_a_bar_shows_whichever_of_hold_and_release_is_possible(order: Order, mia: Actor, do: Do) -> None:
    def shown() -> list[str]:
        return [offer.code for offer in bar(offers(reloaded(order), mia)) if offer.code in ("hold", "release")]

    assert shown() == ["hold"]
    do(order, "hold", {"reason": "x"}, mia)
    assert shown() == ["release"]
    do(order, "release", {}, mia)
    do(order, "ship", {"carrier": "DHL", "tracking_number": "1"}, mia)
    assert shown() == ["hold"]  # neither is possible: the first says why


def test_the_right_is_asked(order: Order, make_user: Callable[..., Actor], do: Do) -> None:
    with pytest.raises(Forbidden):
        do(order, "hold", {"reason": "x"}, make_user("read_only", "Rob"))


def end_now(order: Order) -> None:
    with unit_of_work():
        db.session.execute(update(OrderHold).where(OrderHold.order_id == order.id).values(until=now()))


def test_a_hold_whose_end_has_come_releases_itself_once(
    make_order: Callable[..., Order], mia: Actor, do: Do, work: Callable[[], int]
) -> None:
    due, later, endless = (make_order() for _ in range(3))
    for order, until in ((due, now() + timedelta(days=1)), (later, now() + timedelta(days=1)), (endless, None)):
        do(order, "hold", {"reason": "x", "until": iso(until)}, mia)
    end_now(due)
    for _ in range(2):
        jobs.release_due.enqueue()
        work()
    assert [reloaded(order).on_hold for order in (due, later, endless)] == [False, True, True]
    released, held, _placed = events_of(due)
    assert (released.code, released.actor_kind, released.cause, held.code) == ("released", "job", "until", "held_until")
    assert released.data["after"]["order"] == {"on_hold": False}
    assert holds_of(due)[0].released_at is not None
    do(due, "ship", {"carrier": "DHL", "tracking_number": "1"}, mia)


def test_holds_end_in_chunks(
    make_order: Callable[..., Order], mia: Actor, do: Do, work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "CHUNK", 2)
    orders = [make_order() for _ in range(5)]
    for order in orders:
        do(order, "hold", {"reason": "x", "until": iso(now() + timedelta(days=1))}, mia)
        end_now(order)
    jobs.release_due.enqueue()
    assert work() == 3
    assert not any(reloaded(order).on_hold for order in orders)


def test_a_hold_released_by_hand_is_not_released_again_by_its_end(
    order: Order, mia: Actor, do: Do, work: Callable[[], int]
) -> None:
    do(order, "hold", {"reason": "x", "until": iso(now() + timedelta(days=1))}, mia)
    do(order, "release", {}, mia)
    end_now(order)
    do(order, "hold", {"reason": "another"}, mia)
    jobs.release_due.enqueue()
    work()
    assert reloaded(order).on_hold is True


def test_a_hold_does_not_outlive_its_order(take: Take, mia: Actor, do: Do) -> None:
    """The hold ends in the transaction of the channel's news."""
    told = [incoming_order() for _ in range(3)]
    canceled, shipped, still_open = take(*told)
    for order in (canceled, shipped, still_open):
        do(order, "hold", {"reason": "x"}, mia)
    take(again(told[0], stage=ChannelStage.CANCELED, status="CANCELLED"))
    take(again(told[1], stage=ChannelStage.SHIPPED, status="SHIPPED"))
    assert [reloaded(order).shown_state for order in (canceled, shipped, still_open)] == [
        "canceled",
        "complete",
        "on_hold",
    ]
    for order in (canceled, shipped):
        ended = events_of(order)[0]
        assert (ended.code, ended.actor_kind, ended.data["after"]["order"]) == ("hold_ended", "job", {"on_hold": False})
        assert [event.code for event in events_of(order)].count("hold_ended") == 1
        assert holds_of(order)[0].released_at is not None
        assert str(event_words()[ended.code].sentence) == "Hold released because the order has nothing left to ship"


def test_an_act_that_leaves_nothing_to_keep_back_ends_the_hold_too(order: Order, mia: Actor, do: Do) -> None:
    do(order, "hold", {"reason": "x"}, mia)
    with unit_of_work():
        row = locked(order)
        row.lines[0].canceled = row.lines[0].ordered
        settle_state(row)
        record(row, "tried", actor=mia)
    row = reloaded(order)
    assert (row.shown_state, [event.code for event in events_of(row)][:2]) == ("canceled", ["hold_ended", "tried"])
    assert holds_of(row)[0].released_at is not None


def test_the_channels_news_move_the_state_under_a_hold(take: Take, mia: Actor, do: Do) -> None:
    told = incoming_order(stage=ChannelStage.AWAITING_PAYMENT, status="PENDING")
    [order] = take(told)
    do(order, "hold", {"reason": "x"}, mia)
    [order] = take(again(told, stage=ChannelStage.OPEN, status="UNSHIPPED"))
    assert (order.state, order.shown_state) == ("processing", "on_hold")
    do(order, "release", {}, mia)
    assert reloaded(order).shown_state == "processing"


def test_a_refused_hold_leaves_nothing(order: Order, mia: Actor, do: Do) -> None:
    do(order, "ship", {"carrier": "DHL", "tracking_number": "1"}, mia)
    with pytest.raises(DeskError):
        do(order, "hold", {"reason": "x"}, mia)
    assert list(db.session.scalars(select(OrderHold))) == []
