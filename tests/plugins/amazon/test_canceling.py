"""Cancellations over real HTTP: one effect, whatever happens to the feed, its answer, its list and its report."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from plugins.amazon.channel import AmazonChannel
from plugins.amazon.feeds.messages import ACKNOWLEDGEMENT, ADJUSTMENT
from plugins.amazon.practice import PracticeClient
from tests.plugins.amazon.conftest import feeds_done
from webapp.api import (
    Accepted,
    NotCarriedOut,
    NothingLearned,
    NotYet,
    Outcome,
    Refused,
    Sent,
    StoreAccess,
    Unknown,
    Update,
    now,
)
from webapp.testing import HandedUpdates

Cancel = Callable[..., Update]


class Desk:
    """Sends and looks up as the desk does: what it learned of an update, and its attempt, goes into the next look."""

    def __init__(self, channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient) -> None:
        self.channel, self.store, self.amazon = channel, store, amazon
        self.batch = HandedUpdates([])
        self.handles: set[str] = set()

    def send(self, updates: Sequence[Update]) -> list[Outcome]:
        self.batch = HandedUpdates(updates)
        self.outcomes = dict(self.channel.deliver(self.store, self.batch))
        return self._learned(updates)

    def look(self, updates: Sequence[Update], *, wait: bool = True) -> list[Outcome]:
        """Look up, once Amazon has processed all feeds."""
        if wait:
            feeds_done(self.amazon)
        begun = self.batch.attempts[-1] if self.batch.attempts else None
        asked = []
        for one in updates:
            outcome = self.outcomes[one.id]
            handle = outcome.handle if isinstance(outcome, Sent) else None
            known = frozenset() if handle else frozenset(self.handles)
            accepted = isinstance(outcome, Accepted)
            asked.append(replace(one, handle=handle, begun=begun, known=known, accepted=accepted))
        found: Mapping[int, Outcome] = self.channel.look_up(self.store, asked)
        self.outcomes |= {id_: one for id_, one in found.items() if isinstance(one, (Sent, Accepted))}
        return [found[one.id] for one in updates]

    def _learned(self, updates: Sequence[Update]) -> list[Outcome]:
        self.handles |= {str(one.handle) for one in self.outcomes.values() if isinstance(one, Sent)}
        return [self.outcomes[one.id] for one in updates]


@pytest.fixture
def desk(channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient) -> Iterator[Desk]:
    yield Desk(channel, store, amazon)
    amazon.settings(clock=0, document_twice="taken", foreign_feeds="listed", gzip_reports=False)


def status(amazon: PracticeClient, update: Update) -> str:
    return str(amazon.order(update.order_number)["status"])


# --- What goes well ---------------------------------------------------------------------------------------------------


def test_whole_orders_of_several_marketplaces_go_in_one_feed(
    desk: Desk, amazon: PracticeClient, cancel: Cancel
) -> None:
    placed = [amazon.place(marketplace=site, lines=2) for site in ("US", "CA", "US")]
    updates = [cancel(one, reason="BuyerCanceled") for one in placed]
    [first, *others] = desk.send(updates)
    assert isinstance(first, Sent)
    assert all(one == first for one in others)
    assert desk.batch.called == {one.id for one in updates}
    assert desk.look(updates) == [Accepted()] * 3
    assert desk.look(updates) == [Accepted()] * 3  # nothing is asked of Amazon for those
    assert [status(amazon, one) for one in updates] == ["CANCELLED"] * 3
    [feed] = amazon.feeds()
    assert (feed["feedType"], feed["messages"]) == (ACKNOWLEDGEMENT, 3)
    assert len(feed["marketplaceIds"]) == 2
    [told] = amazon.told(updates[0].order_number)
    assert (told["effect"], told["body"]["reason"]) == ("canceled", "BuyerCanceled")
    assert set(told["body"]["lines"]) == {item["order_item_id"] for item in placed[0]["items"]}


def test_units_of_a_line_go_as_an_adjustment(desk: Desk, amazon: PracticeClient, cancel: Cancel) -> None:
    placed = amazon.place(marketplace="US", quantity=5)
    [item] = placed["items"]
    update = cancel(placed, whole=False, lines={item["order_item_id"]: 2})
    desk.send([update])
    assert desk.look([update]) == [Accepted()]
    [feed] = amazon.feeds()
    assert feed["feedType"] == ADJUSTMENT
    [line] = amazon.order(placed["order_id"])["items"]
    assert line["left"] == 3
    assert status(amazon, update) == "UNSHIPPED"


def test_while_a_feed_waits_its_updates_stay_sent(desk: Desk, amazon: PracticeClient, cancel: Cancel) -> None:
    amazon.mark_next_feed(ACKNOWLEDGEMENT, "slow_queue", seconds=3600)
    update = cancel(amazon.place(marketplace="US"))
    [sent] = desk.send([update])
    assert desk.look([update], wait=False) == [sent]
    amazon.settings(clock=3700)
    assert desk.look([update], wait=False) == [Accepted()]


def test_a_report_that_is_packed_is_read(desk: Desk, amazon: PracticeClient, cancel: Cancel) -> None:
    amazon.settings(gzip_reports=True)
    update = cancel(amazon.place(marketplace="US"))
    desk.send([update])
    assert desk.look([update]) == [Accepted()]


def test_a_warning_is_kept_with_its_sentence(desk: Desk, amazon: PracticeClient, cancel: Cancel) -> None:
    amazon.mark_next_feed(ACKNOWLEDGEMENT, "warning")
    updates = [cancel(one) for one in amazon.place_many(2, marketplace="US", status="UNSHIPPED")]
    desk.send(updates)
    [warned, fine] = desk.look(updates)
    assert isinstance(warned, Accepted)
    assert warned.sentence
    assert fine == Accepted()


# --- What Amazon refuses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wish", [{"status": "PENDING"}, {"status": "SHIPPED"}, {"status": "CANCELLED"}, {"fulfilled_by": "AMAZON"}]
)
def test_one_that_amazon_refuses_does_not_hold_up_the_others(
    desk: Desk, amazon: PracticeClient, cancel: Cancel, wish: dict[str, Any]
) -> None:
    refused, good = cancel(amazon.place(marketplace="US", **wish)), cancel(amazon.place(marketplace="US"))
    before = status(amazon, refused)
    desk.send([refused, good])
    [no, yes] = desk.look([refused, good])
    assert isinstance(no, Refused)
    assert no.sentence
    assert yes == Accepted()
    assert status(amazon, refused) == before
    assert status(amazon, good) == "CANCELLED"


def test_what_can_not_be_written_is_refused_alone_and_nothing_of_it_is_sent(
    desk: Desk, amazon: PracticeClient, cancel: Cancel
) -> None:
    bad, good = cancel(amazon.place(marketplace="US"), reason="Mood"), cancel(amazon.place(marketplace="US"))
    [no, yes] = desk.send([bad, good])
    assert isinstance(no, Refused)
    assert "CancelReason" in no.sentence
    assert isinstance(yes, Sent)
    assert amazon.feeds()[0]["messages"] == 1 or desk.look([good]) == [Accepted()]


def test_without_a_seller_id_nothing_is_sent_and_the_reason_says_what_to_do(
    channel: AmazonChannel, make_store: Callable[..., StoreAccess], amazon: PracticeClient, cancel: Cancel
) -> None:
    update = cancel(amazon.place(marketplace="US"))
    outcome = channel.deliver(make_store(seller_id=""), HandedUpdates([update]))[update.id]
    assert isinstance(outcome, Refused)
    assert "seller ID" in outcome.sentence
    assert outcome.cause
    assert not amazon.feeds()


def test_a_wrong_seller_id_fails_as_a_whole_and_is_never_taken_for_done(
    channel: AmazonChannel, make_store: Callable[..., StoreAccess], amazon: PracticeClient, cancel: Cancel
) -> None:
    desk = Desk(channel, make_store(seller_id="A9SOMEBODYELSE"), amazon)
    updates = [cancel(one) for one in amazon.place_many(2, marketplace="US", status="UNSHIPPED")]
    desk.send(updates)
    assert all(isinstance(one, Unknown) for one in desk.look(updates))
    assert {status(amazon, one) for one in updates} == {"UNSHIPPED"}


def test_a_feed_that_is_refused_at_once_refuses_all_with_amazons_sentence(
    desk: Desk, amazon: PracticeClient, cancel: Cancel
) -> None:
    amazon.fault("createFeed", "400")
    updates = [cancel(one) for one in amazon.place_many(2, marketplace="US", status="UNSHIPPED")]
    for outcome in desk.send(updates):
        assert isinstance(outcome, Refused)
        assert "not valid" in outcome.sentence
    assert not amazon.feeds()


# --- A schema that is broken, and other failures of a whole feed ------------------------------------------------------


def test_a_broken_schema_is_halved_until_the_bad_one_is_alone(
    desk: Desk, amazon: PracticeClient, cancel: Cancel
) -> None:
    mark = "fatal_25_wrong"  # the report names a message that is fine: it is not asked which one is bad
    updates = [cancel(one) for one in amazon.place_many(5, marketplace="US", status="UNSHIPPED")]
    amazon.mark_next_feed(ACKNOWLEDGEMENT, mark)
    desk.send(updates)
    assert desk.look(updates) == [NotCarriedOut(2)] * 5
    assert {status(amazon, one) for one in updates} == {"UNSHIPPED"}
    amazon.mark_next_feed(ACKNOWLEDGEMENT, mark)
    desk.send(updates[:1])
    [alone] = desk.look(updates[:1])
    assert isinstance(alone, Refused)
    assert alone.cause


@pytest.mark.parametrize(
    ("mark", "happened"),
    [
        ("fatal_25_processed", None),
        ("fatal_other", False),
        ("fatal_silent", False),
        ("fatal_silent_processed", True),
        ("report_cut", True),
        ("report_miscounted", True),
        ("report_foreign_message", True),
        ("report_too_few", True),
    ],
)
def test_what_a_report_does_not_prove_is_unknown(
    desk: Desk, amazon: PracticeClient, cancel: Cancel, mark: str, happened: bool | None
) -> None:
    updates = [cancel(one) for one in amazon.place_many(2, marketplace="US", status="UNSHIPPED")]
    amazon.mark_next_feed(ACKNOWLEDGEMENT, mark)
    desk.send(updates)
    for _ in range(2):
        assert all(isinstance(one, Unknown) for one in desk.look(updates))
    if happened is not None:
        assert {status(amazon, one) == "CANCELLED" for one in updates} == {happened}


def test_a_feed_that_amazon_canceled_was_not_carried_out(desk: Desk, amazon: PracticeClient, cancel: Cancel) -> None:
    amazon.mark_next_feed(ACKNOWLEDGEMENT, "canceled")
    update = cancel(amazon.place(marketplace="US"))
    desk.send([update])
    [outcome] = desk.look([update])
    assert isinstance(outcome, NotCarriedOut)
    assert outcome.together > 1


def test_a_report_that_is_lost_for_a_while_is_asked_for_again(
    desk: Desk, amazon: PracticeClient, cancel: Cancel
) -> None:
    amazon.mark_next_feed(ACKNOWLEDGEMENT, "report_lost", seconds=600)
    update = cancel(amazon.place(marketplace="US"))
    desk.send([update])
    [outcome] = desk.look([update])
    assert isinstance(outcome, NothingLearned)
    assert outcome.seconds > 0
    amazon.settings(clock=700)
    assert desk.look([update]) == [Accepted()]


# --- Answers that are lost --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["drop", "500", "503", "garbage"])
def test_a_lost_answer_after_the_effect_is_found_in_the_list(
    desk: Desk, amazon: PracticeClient, cancel: Cancel, fault: str
) -> None:
    known = cancel(amazon.place(marketplace="US"))
    desk.send([known])
    update = cancel(amazon.place(marketplace="US"))
    amazon.fault("createFeed", fault, when="after")
    [lost] = desk.send([update])
    assert isinstance(lost, Unknown)
    [found] = desk.look([update])
    assert isinstance(found, Sent)
    assert found.handle not in desk.handles
    assert desk.look([update]) == [Accepted()]
    assert amazon.effects(update.order_number) == 1


def test_a_lost_answer_without_an_effect_is_proven_by_two_lists_half_an_hour_later(
    desk: Desk, amazon: PracticeClient, cancel: Cancel
) -> None:
    update = cancel(amazon.place(marketplace="US"))
    amazon.fault("createFeed", "drop", when="before")
    assert isinstance(desk.send([update])[0], Unknown)
    for clock in (0, 600, 1700):
        amazon.settings(clock=clock)
        [outcome] = desk.look([update])
        assert isinstance(outcome, NothingLearned), clock
        assert outcome.seconds >= 300
    amazon.settings(clock=1900)
    [outcome] = desk.look([update])
    assert isinstance(outcome, NotCarriedOut)
    assert not amazon.feeds()


def test_a_first_list_that_comes_late_needs_a_second_one(desk: Desk, amazon: PracticeClient, cancel: Cancel) -> None:
    update = cancel(amazon.place(marketplace="US"))
    amazon.fault("createFeed", "drop", when="before")
    desk.send([update])
    amazon.settings(clock=7200)
    assert isinstance(desk.look([update])[0], NothingLearned)
    assert isinstance(desk.look([update])[0], NothingLearned)  # at once: the same list
    amazon.settings(clock=7600)
    assert isinstance(desk.look([update])[0], NotCarriedOut)


def test_a_feed_that_is_listed_late_is_ours_all_the_same(desk: Desk, amazon: PracticeClient, cancel: Cancel) -> None:
    update = cancel(amazon.place(marketplace="US"))
    amazon.mark_next_feed(ACKNOWLEDGEMENT, "listed_late", seconds=1200)
    amazon.fault("createFeed", "drop", when="after")
    desk.send([update])
    assert isinstance(desk.look([update])[0], NothingLearned)
    amazon.settings(clock=1300)
    assert isinstance(desk.look([update])[0], Sent)
    assert desk.look([update]) == [Accepted()]


def test_a_list_that_is_refused_teaches_nothing(desk: Desk, amazon: PracticeClient, cancel: Cancel) -> None:
    update = cancel(amazon.place(marketplace="US"))
    amazon.fault("createFeed", "drop", when="before")
    desk.send([update])
    amazon.settings(clock=7200)
    for fault in ("403", "500", "429", "garbage", "drop"):
        amazon.fault("getFeeds", fault, times=3)
        [outcome] = desk.look([update])
        assert isinstance(outcome, NothingLearned), fault
        assert outcome.seconds > 0
        amazon.mend()


@pytest.mark.parametrize("happened", [True, False])
def test_a_foreign_feed_that_fits_as_well_leaves_it_to_the_effect(
    desk: Desk, amazon: PracticeClient, cancel: Cancel, happened: bool
) -> None:
    """Another application's feed of the same minute, type, marketplaces and size."""
    update = cancel(amazon.place(marketplace="US"))
    amazon.fault("createFeed", "drop", when="after" if happened else "before")
    desk.send([update])
    amazon.foreign_feed(ACKNOWLEDGEMENT, messages=1, marketplace_ids=[update.marketplace])
    [outcome] = desk.look([update])
    if happened:
        assert isinstance(outcome, Unknown)
    else:  # the only one that fits is taken for ours: its report does not name our message, and says no more
        assert not isinstance(outcome, NotCarriedOut)


@pytest.mark.parametrize(
    "foreign", [{"messages": 7}, {"marketplace_ids": ["A2EUQ1WTGCTBG2"]}], ids=["other size", "other marketplace"]
)
def test_a_foreign_feed_that_does_not_fit_is_passed_over(
    desk: Desk, amazon: PracticeClient, cancel: Cancel, foreign: dict[str, Any]
) -> None:
    update = cancel(amazon.place(marketplace="US"))
    amazon.fault("createFeed", "drop", when="after")
    desk.send([update])
    amazon.foreign_feed(ACKNOWLEDGEMENT, **{"messages": 1, "marketplace_ids": [update.marketplace]} | foreign)
    feeds_done(amazon)
    assert isinstance(desk.look([update])[0], Sent)
    assert desk.look([update]) == [Accepted()]


def test_one_that_no_attempt_began_is_sent_again(channel: AmazonChannel, store: StoreAccess, cancel: Cancel,
                                                 amazon: PracticeClient) -> None:  # fmt: skip
    update = cancel(amazon.place(marketplace="US"))
    assert channel.look_up(store, [update]) == {update.id: NotYet(0)}


def test_after_a_backup_was_restored_a_strange_feed_leaves_it_to_the_effect_and_none_proves_it(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, cancel: Cancel
) -> None:
    """The desk knows no attempt, only since when it may have left."""
    lost, own = (cancel(amazon.place(marketplace="US")) for _ in range(2))
    since = now() - timedelta(minutes=1)
    batch = HandedUpdates([own])
    [sent] = channel.deliver(store, batch).values()
    assert isinstance(sent, Sent)
    asked = replace(lost, look_from=since)
    assert isinstance(channel.look_up(store, [asked])[lost.id], Unknown)
    asked = replace(asked, known=frozenset({str(sent.handle)}))
    assert isinstance(channel.look_up(store, [asked])[lost.id], NothingLearned)
    amazon.settings(clock=3600)
    assert isinstance(channel.look_up(store, [asked])[lost.id], NotCarriedOut)
    amazon.settings(clock=0)


# --- What certainly did not happen ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        ("createFeedDocument", "500"),
        ("createFeedDocument", "429"),
        ("createFeedDocument", "drop"),
        ("createFeedDocument", "403"),
        ("createFeed", "429"),
        ("createFeed", "403"),
    ],
)
def test_what_fails_before_it_is_submitted_is_tried_again(
    desk: Desk, amazon: PracticeClient, cancel: Cancel, operation: str, fault: str
) -> None:
    update = cancel(amazon.place(marketplace="US"))
    amazon.fault(operation, fault, times=3)
    [outcome] = desk.send([update])
    assert isinstance(outcome, NotYet)
    assert outcome.seconds > 0
    assert outcome.cause
    assert bool(outcome.denial) == (fault == "403")
    amazon.mend()
    assert not amazon.feeds()


def test_a_lane_says_when_amazon_takes_the_next_feed(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, cancel: Cancel
) -> None:
    assert channel.when(store, ACKNOWLEDGEMENT) == 0
    amazon.fault("createFeed", "429")
    update = cancel(amazon.place(marketplace="US"))
    channel.deliver(store, HandedUpdates([update]))
    shown = {name: one for name, one in store.settings.items() if name not in ("client_secret", "refresh_token")}
    assert channel.when(StoreAccess(1, shown, practice=True), ACKNOWLEDGEMENT) > 0
    assert channel.when(store, "shipment") == 0
