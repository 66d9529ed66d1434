"""Review requests at Amazon: each made at most once, and what became of one whose answer was lost."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from plugins.amazon.channel import AmazonChannel
from plugins.amazon.client import GET_SOLICITATIONS, REQUEST_REVIEW
from plugins.amazon.practice import PracticeClient
from plugins.amazon.practice.solicitations import NOT_SHIPPED, TOO_EARLY, TOO_LATE, TWICE
from plugins.amazon.solicitations import KIND, SHOWN_AFTER
from webapp.api import Effective, NothingLearned, NotYet, Outcome, Refused, StoreAccess, Unknown, Update
from webapp.testing import HandedUpdates

Review = Callable[..., Update]
Json = dict[str, Any]
DAY = 86_400


@pytest.fixture
def placed(amazon: PracticeClient) -> Json:
    """An order that Amazon takes a request of."""
    return amazon.place(marketplace="US", status="SHIPPED", placed_ago=12 * DAY)


def delivered(channel: AmazonChannel, store: StoreAccess, update: Update) -> Outcome:
    return channel.deliver(store, HandedUpdates([update]))[update.id]


def received(amazon: PracticeClient, placed: Json) -> int:
    return sum(one["effect"] == "solicited" for one in amazon.told(placed["order_id"]))


def lost(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, update: Update, *, when: str, seconds: float
) -> Update:
    """The request after its answer was lost so many seconds ago, as it is looked up."""
    amazon.fault(REQUEST_REVIEW.name, "drop", when=when)
    batch = HandedUpdates([update])
    assert isinstance(channel.deliver(store, batch)[update.id], Unknown)
    [begun] = batch.attempts
    return replace(update, begun=replace(begun, at=begun.at - timedelta(seconds=seconds)))


def test_a_review_is_requested_by_an_attempt_and_once(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: Json, review: Review
) -> None:
    update = review(placed)
    batch = HandedUpdates([update])
    assert channel.deliver(store, batch) == {update.id: Effective()}
    assert batch.called == {update.id}
    assert delivered(channel, store, review(placed)) == Refused(TWICE)
    assert received(amazon, placed) == 1
    assert (KIND.repeatable, KIND.batch, channel.lane(KIND.code, {}), channel.when(store, KIND.code)) == (
        False, 1, "review_request", 0.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({"status": "SHIPPED", "placed_ago": 6 * DAY}, TOO_EARLY),
        ({"status": "SHIPPED", "placed_ago": 40 * DAY}, TOO_LATE),
        ({"status": "UNSHIPPED", "placed_ago": 12 * DAY}, NOT_SHIPPED),
        ({"status": "CANCELLED", "placed_ago": 12 * DAY}, NOT_SHIPPED),
    ],
)
def test_amazons_own_sentence_is_the_refusal(
    wish: Json, sentence: str, channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, review: Review
) -> None:
    placed = amazon.place(marketplace="US", **wish)
    assert delivered(channel, store, review(placed)) == Refused(sentence)
    assert received(amazon, placed) == 0


def test_an_unknown_order_and_a_missing_role_are_refusals(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: Json, review: Review
) -> None:
    elsewhere = amazon.place(marketplace="DE", status="SHIPPED", placed_ago=12 * DAY)
    assert delivered(channel, store, review(elsewhere)) == Refused("The requested resource does not exist.")
    amazon.settings(lacks_solicitation=True)
    assert delivered(channel, store, review(placed)) == Refused("Access to requested resource is denied.")


@pytest.mark.parametrize("fault", ["429", "expired", "garbage"])
def test_what_amazon_answers_first(
    fault: str, channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: Json, review: Review
) -> None:
    amazon.fault(REQUEST_REVIEW.name, fault)
    outcome = delivered(channel, store, review(placed))
    assert isinstance(outcome, NotYet if fault == "429" else Effective)
    assert received(amazon, placed) == (fault != "429")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fault", ["500", "503", "drop"])
def test_a_lost_answer_stays_unknown_until_it_is_looked_up(
    fault: str, when: str, channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: Json,
    review: Review,
) -> None:  # fmt: skip
    amazon.fault(REQUEST_REVIEW.name, fault, when=when)
    assert isinstance(delivered(channel, store, review(placed)), Unknown)
    assert len(amazon.calls(REQUEST_REVIEW.name)) == 1
    assert received(amazon, placed) == (when == "after")


def test_a_request_whose_action_is_gone_was_made(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: Json, review: Review
) -> None:
    update = lost(channel, store, amazon, review(placed), when="after", seconds=5)
    assert channel.look_up(store, [update]) == {update.id: Effective()}


def test_a_request_whose_action_is_still_there_was_not_made(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: Json, review: Review
) -> None:
    pause = SHOWN_AFTER.total_seconds()
    soon = lost(channel, store, amazon, review(placed), when="before", seconds=5)
    assert channel.look_up(store, [soon]) == {soon.id: NothingLearned(pause)}  # Amazon may list it for a while
    later = lost(channel, store, amazon, review(placed), when="before", seconds=pause + 1)
    assert channel.look_up(store, [later]) == {later.id: NotYet(0)}
    assert received(amazon, placed) == 0


def test_after_the_last_day_nobody_can_know(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: Json, review: Review
) -> None:
    update = review(placed, days=-1)
    assert channel.look_up(store, [update]) == {update.id: Unknown()}
    assert amazon.calls(GET_SOLICITATIONS.name) == []


@pytest.mark.parametrize("fault", ["429", "403", "garbage"])
def test_a_look_that_failed_learned_nothing(
    fault: str, channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: Json, review: Review
) -> None:
    update = lost(channel, store, amazon, review(placed), when="after", seconds=90)
    amazon.fault(GET_SOLICITATIONS.name, fault, times=2 if fault == "403" else 1)  # a new token is tried first
    assert isinstance(channel.look_up(store, [update])[update.id], NothingLearned)
    assert channel.look_up(store, [update]) == {update.id: Effective()}
