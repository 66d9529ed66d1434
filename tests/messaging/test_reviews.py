"""Requesting reviews: once for each order, by people and by the rule of a store, when the channel takes it."""

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select, update

from webapp.audit.actor import Actor
from webapp.channels.connecting import StoreAccess
from webapp.channels.incoming import ChannelStage
from webapp.channels.models import Store
from webapp.channels.outgoing import Batch, Effective, NotYet, Refused, Unknown, Update
from webapp.clock import now, parse_instant
from webapp.db import db, unit_of_work
from webapp.errors import DeskError, Invalid, sentence_of
from webapp.lists.listing import matching_ids
from webapp.messaging import review_rule, reviews
from webapp.messaging.jobs import request_reviews
from webapp.messaging.message_settings import MESSAGES as SETTINGS
from webapp.messaging.models import ReviewRequest, ReviewWalk
from webapp.messaging.review_settings import REVIEWS
from webapp.orders.listing import NEWEST, ORDER_LIST
from webapp.orders.models import Order, OrderEvent
from webapp.orders.queries import locked
from webapp.returns.models import Return
from webapp.search.compiling import compile_query
from webapp.search.query import parse
from webapp.settings.services import change, store_all
from webapp.testing import FakeChannel, sync_now
from webapp.updates.models import ChannelUpdate, UpdateState

JOB = Actor.job("reviews")


@pytest.fixture
def delivered(make_order: Callable[..., Order]) -> Callable[..., Order]:
    """A shipped order whose latest promised day of delivery was so many days ago, the earliest two days before."""

    def make(days: float = 10, **more: Any) -> Order:
        at = now() - timedelta(days=days)
        values = {"stage": ChannelStage.SHIPPED, "status": "SHIPPED", "created_at": at - timedelta(days=6)}
        values |= {"deliver_from": at - timedelta(days=2), "deliver_by": at}
        return make_order(**values | more)

    return make


@pytest.fixture(autouse=True)
def at_once(store: Store) -> None:
    """Nothing is held, so that it leaves with the next sync."""
    with unit_of_work():
        store_all_of("messages", store, message_hold=0)


def store_all_of(group: str, store: Store, **values: Any) -> None:
    store_all({"messages": SETTINGS, "reviews": REVIEWS}[group], values, db.session.get_one(Store, store.id))


def switch_on(store: Store, **values: Any) -> None:
    with unit_of_work():
        store_all_of("reviews", store, **{"request_reviews": True} | values)


def request(order: Order, *, actor: Actor) -> None:
    with unit_of_work():
        reviews.request_review(locked(order), actor=actor)


def updates_of(order: Order) -> list[ChannelUpdate]:
    db.session.expire_all()
    query = select(ChannelUpdate).where(ChannelUpdate.order_id == order.id, ChannelUpdate.kind == "review_request")
    return list(db.session.scalars(query.order_by(ChannelUpdate.id)))


def decided(order: Order) -> tuple[str, str | None] | None:
    """What was decided about the order, and why nothing is requested."""
    db.session.expire_all()
    row = db.session.scalars(select(ReviewRequest).where(ReviewRequest.order_id == order.id)).one_or_none()
    return None if row is None else (row.state, row.problem and row.problem["code"])


def planned(order: Order) -> bool:
    db.session.rollback()
    return reviews.planned_for(db.session.get_one(Order, order.id)) is not None


# --- By hand ----------------------------------------------------------------------------------------------------------


def test_a_review_is_requested_once(delivered: Callable[..., Order], mia: Actor, channel: FakeChannel) -> None:
    order = delivered()
    request(order, actor=mia)
    with pytest.raises(reviews.AlreadyRequested):
        request(order, actor=mia)
    channel.outcomes = [Effective()]
    sync_now(order.store)
    sync_now(order.store)
    [told] = channel.told("review_request")
    assert parse_instant(told["until"]) == order.deliver_by + timedelta(days=30)
    assert [one.state for one in updates_of(order)] == [UpdateState.EFFECTIVE]
    with pytest.raises(reviews.AlreadyRequested):
        request(order, actor=mia)
    codes = db.session.scalars(select(OrderEvent.code).where(OrderEvent.order_id == order.id)).all()
    assert [code for code in codes if code.startswith("review")] == ["review_requested", "review_request_sent"]


@pytest.mark.parametrize(
    ("days", "more", "why"),
    [
        (2.9, {}, reviews.TooEarly),  # five days after the earliest day
        (3.1, {}, None),
        (29.9, {}, None),
        (30.1, {}, reviews.TooLate),
        (10, {"stage": ChannelStage.CANCELED}, reviews.CanceledReview),
        (10, {"stage": ChannelStage.OPEN}, reviews.NotShippedYet),
        (10, {"stage": ChannelStage.OPEN, "deliver_by": None, "deliver_from": None}, reviews.NoDayOfDelivery),
        (4.9, {"deliver_from": None}, reviews.TooEarly),
    ],
)
def test_the_days_on_which_it_is_possible(
    delivered: Callable[..., Order], mia: Actor, days: float, more: dict[str, Any], why: type[DeskError] | None
) -> None:
    refusal = reviews.review_refusal(delivered(days, **more), mia)
    assert type(refusal) is (type(None) if why is None else why)
    assert refusal is None or sentence_of(refusal.stored()) == str(refusal)


def test_of_many_orders_those_that_are_too_early_are_counted_together(
    delivered: Callable[..., Order], mia: Actor
) -> None:
    early = [reviews.review_refusal(delivered(days), mia) for days in (0, 2)]
    assert len({str(one) for one in early}) == 2
    assert {one.counted() for one in early if one} == {"It is too early to request a review."}


def test_a_request_that_has_not_left_is_stopped_and_may_be_made_again(
    delivered: Callable[..., Order], store: Store, mia: Actor, channel: FakeChannel
) -> None:
    with unit_of_work():
        store_all_of("messages", store, message_hold=60)
    order = delivered()
    request(order, actor=mia)
    with unit_of_work():
        reviews.stop_review(locked(order), actor=mia)
    assert decided(order) == ("skipped", "review_stopped")
    with time_machine.travel(now() + timedelta(hours=1)):
        sync_now(order.store)
    assert channel.told("review_request") == []
    with pytest.raises(reviews.NothingToStop), unit_of_work():
        reviews.stop_review(locked(order), actor=mia)
    request(order, actor=mia)
    channel.outcomes = [Effective()]
    with time_machine.travel(now() + timedelta(hours=1)):
        sync_now(order.store)
    assert [one.state for one in updates_of(order)] == [UpdateState.WITHDRAWN, UpdateState.EFFECTIVE]
    assert len(channel.told("review_request")) == 1


def test_a_refusal_shows_the_channels_sentence(
    delivered: Callable[..., Order], mia: Actor, channel: FakeChannel
) -> None:
    channel.outcomes = [Refused("A solicitation was already sent.")]
    order = delivered()
    request(order, actor=mia)
    sync_now(order.store)
    [trouble] = db.session.get_one(Order, order.id).attention
    assert trouble["kind"] == "review_not_requested"
    with pytest.raises(reviews.AlreadyRequested):
        request(order, actor=mia)


def test_a_lost_answer_is_looked_up(delivered: Callable[..., Order], mia: Actor, channel: FakeChannel) -> None:
    made, not_made = delivered(), delivered()
    for order, found in ((made, [Effective()]), (not_made, [NotYet(0)])):
        channel.outcomes, channel.found = [Unknown("no answer"), Effective()], found
        request(order, actor=mia)
        sync_now(order.store)
        assert [one.state for one in updates_of(order)] == [UpdateState.UNKNOWN]
        with time_machine.travel(now() + timedelta(minutes=5)):
            sync_now(order.store)
            sync_now(order.store)
        assert [one.state for one in updates_of(order)] == [UpdateState.EFFECTIVE]
    assert len(channel.told("review_request")) == 3


@pytest.mark.parametrize("moment", ["before", "within"])
def test_a_worker_that_dies_requests_no_review_twice_and_loses_none(
    delivered: Callable[..., Order], mia: Actor, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    class Killed(BaseException):
        pass

    def take(updates: Sequence[Update]) -> None:
        channel.delivered += updates
        raise Killed

    def deliver(store: StoreAccess, updates: Batch) -> None:
        raise Killed

    order = delivered()
    request(order, actor=mia)
    with monkeypatch.context() as patched:
        patched.setattr(channel, "_take", take) if moment == "within" else patched.setattr(channel, "deliver", deliver)
        with pytest.raises(Killed):
            sync_now(order.store)
    channel.outcomes = [Effective()]
    channel.found = [Effective() if moment == "within" else NotYet(0)]
    for minutes in (10, 20):
        with time_machine.travel(now() + timedelta(minutes=minutes)):
            sync_now(order.store)
    assert len(channel.told("review_request")) == 1
    assert [one.state for one in updates_of(order)] == [UpdateState.EFFECTIVE]


def test_two_writers_request_one_review(app: Flask, delivered: Callable[..., Order], store: Store, mia: Actor) -> None:
    switch_on(store)
    order_id, ready, ends = delivered().id, threading.Barrier(2, timeout=30), []

    def write(actor: Actor) -> None:
        with app.app_context():
            ready.wait()
            try:
                with unit_of_work():
                    reviews.request_review(locked(db.session.get_one(Order, order_id)), actor=actor)
                ends.append("requested")
            except reviews.AlreadyRequested:
                ends.append("refused")

    db.session.rollback()  # of what was read here
    writers = [threading.Thread(target=write, args=(actor,)) for actor in (mia, JOB)]
    for one in writers:
        one.start()
    for one in writers:
        one.join(60)
    assert sorted(ends) == ["refused", "requested"]
    db.session.rollback()
    assert len(updates_of(db.session.get_one(Order, order_id))) == 1


# --- By the rule ------------------------------------------------------------------------------------------------------


def test_the_rule_requests_what_is_due_and_leaves_the_rest_for_later(
    delivered: Callable[..., Order], store: Store, channel: FakeChannel
) -> None:
    due, not_due, over = delivered(8), delivered(6), delivered(31)
    request_reviews()
    assert not review_rule.any_due()  # off by default
    switch_on(store)
    assert review_rule.any_due()
    assert [planned(one) for one in (due, not_due, over)] == [True, True, False]
    request_reviews()
    request_reviews()
    assert not review_rule.any_due()
    assert [decided(one) for one in (due, not_due, over)] == [("requested", None), None, None]
    with time_machine.travel(now() + timedelta(days=1.1)):
        assert review_rule.any_due()
        request_reviews()
        request_reviews()
        channel.outcomes = [Effective(), Effective()]
        sync_now(store)
    assert [decided(one) for one in (due, not_due)] == [("requested", None)] * 2
    assert len(channel.told("review_request")) == 2


def test_the_rule_leaves_out_by_what_happened_and_keeps_why(
    delivered: Callable[..., Order], store: Store, mia: Actor
) -> None:
    refunded, returned, canceled = delivered(8), delivered(8), delivered(8, stage=ChannelStage.CANCELED)
    with unit_of_work():
        paid = {"refund_ceiling_minor": 1000, "refunded_minor": 1000}
        db.session.execute(update(Order).where(Order.id == refunded.id).values(paid))
        at = {"requested_at": now(), "state": "requested", "actor_kind": "operator"}
        db.session.add(Return(order_id=returned.id, **at))
    switch_on(store)
    request_reviews()
    assert decided(refunded) == ("skipped", "review_of_refunded")
    assert decided(returned) == ("skipped", "review_of_returned")
    assert decided(canceled) == ("skipped", "review_of_canceled")
    request(refunded, actor=mia)  # a person may
    assert decided(refunded) == ("requested", None)


def test_what_may_be_left_out_is_a_setting(delivered: Callable[..., Order], store: Store) -> None:
    order = delivered(8)
    with unit_of_work():
        at = {"requested_at": now(), "state": "closed", "closed_at": now(), "actor_kind": "operator"}
        db.session.add(Return(order_id=order.id, **at))
    switch_on(store, review_leave_out_returned=False)
    request_reviews()
    assert decided(order) == ("requested", None)


def test_an_order_that_was_shipped_late_is_found_again(delivered: Callable[..., Order], store: Store) -> None:
    order = delivered(8, stage=ChannelStage.OPEN)
    switch_on(store)
    request_reviews()
    assert decided(order) is None
    assert planned(order)
    with unit_of_work():
        db.session.execute(update(Order).where(Order.id == order.id).values(state="complete"))
    request_reviews()
    assert not review_rule.any_due()
    with time_machine.travel(now() + timedelta(days=1.1)):
        assert review_rule.any_due()
        request_reviews()
    assert decided(order) == ("requested", None)


def test_a_stopped_plan_stays_stopped(delivered: Callable[..., Order], store: Store, mia: Actor) -> None:
    order = delivered(6)
    switch_on(store)
    with unit_of_work():
        reviews.stop_review(locked(order), actor=mia)
    assert not planned(order)
    with time_machine.travel(now() + timedelta(days=2)):
        request_reviews()
    assert decided(order) == ("skipped", "review_stopped")


def test_a_clerk_and_the_rule_ask_once(delivered: Callable[..., Order], store: Store, mia: Actor) -> None:
    order = delivered(8)
    switch_on(store)
    request(order, actor=mia)
    request_reviews()
    assert len(updates_of(order)) == 1


def test_what_the_rule_requested_is_withdrawn_if_the_order_is_refunded_before_it_leaves(
    delivered: Callable[..., Order], store: Store, channel: FakeChannel
) -> None:
    with unit_of_work():
        store_all_of("messages", store, message_hold=60)
    order = delivered(8)
    switch_on(store)
    request_reviews()
    with unit_of_work():
        db.session.execute(update(Order).where(Order.id == order.id).values(state="closed"))
    with time_machine.travel(now() + timedelta(minutes=2)):
        sync_now(store)
    assert [one.state for one in updates_of(order)] == [UpdateState.WITHDRAWN]
    assert decided(order) == ("skipped", "review_of_refunded")
    assert channel.told("review_request") == []


def test_the_rule_goes_in_chunks_and_considers_each_order_once(
    delivered: Callable[..., Order], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = [delivered(8) for _ in range(5)]
    switch_on(store)
    considered: list[int] = []
    consider = review_rule._consider

    def count(order: Order, *given: Any) -> None:
        considered.append(order.id)
        consider(order, *given)

    monkeypatch.setattr(review_rule, "_consider", count)
    for left in (True, True, False):
        with unit_of_work():
            assert review_rule.work_off(2) is left
    assert sorted(considered) == sorted(one.id for one in orders)


def test_a_worker_that_dies_in_a_chunk_decides_nothing_twice(
    delivered: Callable[..., Order], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    orders = [delivered(8) for _ in range(2)]
    switch_on(store)
    consider, begun = review_rule._consider, []

    def die(order: Order, *given: Any) -> None:
        consider(order, *given)
        begun.append(order.id)
        if len(begun) == 2:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(review_rule, "_consider", die)
        with pytest.raises(Killed):
            request_reviews()
    assert [decided(one) for one in orders] == [None, None]
    request_reviews()
    assert [len(updates_of(one)) for one in orders] == [1, 1]


def test_the_day_of_the_rule_is_one_on_which_the_channel_takes_requests(store: Store, operator: Actor) -> None:
    for days in (4, 30):
        with pytest.raises(Invalid, match="from 5 to 29"), unit_of_work():
            change(REVIEWS, {"review_days": days}, actor=operator, subject=db.session.get_one(Store, store.id))


def test_a_store_from_which_nothing_goes_waits(delivered: Callable[..., Order], store: Store) -> None:
    delivered(8)
    switch_on(store)
    with unit_of_work():
        db.session.get_one(Store, store.id).active = False
    assert not review_rule.any_due()
    request_reviews()
    assert db.session.scalars(select(ReviewWalk)).all() == []


# --- Lists ------------------------------------------------------------------------------------------------------------


def test_orders_are_found_by_their_review_request(delivered: Callable[..., Order], store: Store, mia: Actor) -> None:
    def found(query: str) -> set[int]:
        ids = matching_ids(ORDER_LIST, mia, compile_query(parse(query), mia), NEWEST, 100)
        return set(db.session.scalars(ids))

    to_come, asked, stopped, over = delivered(6), delivered(8), delivered(6), delivered(40)
    assert found("review:planned") == set()
    switch_on(store)
    request(asked, actor=mia)
    with unit_of_work():
        reviews.stop_review(locked(stopped), actor=mia)
    assert found("review:planned") == {to_come.id}
    assert found("review:requested") == {asked.id}
    assert found("review:skipped") == {stopped.id}
    assert found("review:none") == {stopped.id, over.id}
    assert found("review:planned,requested") == {to_come.id, asked.id}
