"""Every call to Amazon is reported: what it was about, how it ended, and never what was in it."""

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import timedelta

import httpx
import pytest

from plugins.amazon import client
from plugins.amazon.channel import OPERATIONS, AmazonChannel
from plugins.amazon.practice import PracticeClient
from webapp.api import Call, ChannelError, OrdersWindow, StoreAccess, Update, now
from webapp.testing import HandedUpdates


@pytest.fixture
def reported() -> list[Call]:
    return []


@pytest.fixture
def store(make_store: Callable[..., StoreAccess], reported: list[Call]) -> StoreAccess:
    return replace(make_store(), report=reported.append)


@pytest.fixture
def number(amazon: PracticeClient) -> str:
    return str(amazon.place(marketplace="US")["order_id"])


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other at once."""
    monkeypatch.setattr(client, "sleep", lambda seconds: None)


def of(reported: list[Call], operation: str) -> list[Call]:
    return [one for one in reported if one.operation == operation]


def test_reading_is_reported_with_its_request_id(
    channel: AmazonChannel, store: StoreAccess, number: str, reported: list[Call]
) -> None:
    assert channel.fetch_order(store, number)
    channel.fetch_orders(store, OrdersWindow(now() - timedelta(hours=1)))
    assert [one.operation for one in reported] == ["getAccessToken", "getOrder", "searchOrders"]
    _token, single, search = reported
    assert (search.orders, single.orders) == ((), (number,))
    for one in reported:
        assert (one.outcome, one.status, one.tries, one.problem, one.detail) == ("ok", 200, 1, "", "")
        assert 0 < one.seconds < 60
        assert abs(now() - one.at) < timedelta(minutes=1)
    assert search.request_id
    assert single.request_id != search.request_id


@pytest.mark.parametrize(
    ("fault", "outcome", "status", "tries", "problem", "detail"),
    [
        ("500", "failed", 500, 3, "amazon_troubled", "InternalFailure"),
        ("drop", "failed", None, 3, "amazon_hung_up", "RemoteProtocolError"),
        ("garbage", "failed", 200, 1, "amazon_unintelligible", ""),
        ("403", "refused", 403, 2, "amazon_access_denied", "Unauthorized"),
        ("400", "refused", 400, 1, "amazon_refused", "InvalidInput"),
        ("429", "throttled", 429, 1, "channel_throttled", "QuotaExceeded"),
    ],
)
def test_what_fails_says_why(
    fault: str,
    outcome: str,
    status: int | None,
    tries: int,
    problem: str,
    detail: str,
    channel: AmazonChannel,
    store: StoreAccess,
    amazon: PracticeClient,
    number: str,
    reported: list[Call],
) -> None:
    amazon.fault("getOrder", fault, times=5)
    with pytest.raises(ChannelError):
        channel.fetch_order(store, number)
    [one] = of(reported, "getOrder")
    assert (one.outcome, one.status, one.tries, one.problem, one.detail) == (outcome, status, tries, problem, detail)
    assert one.orders == (number,)


def test_what_works_at_the_second_try_is_one_call(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, number: str, reported: list[Call]
) -> None:
    amazon.fault("getOrder", "500", times=1)
    channel.fetch_order(store, number)
    [one] = of(reported, "getOrder")
    assert (one.outcome, one.status, one.tries, one.detail) == ("ok", 200, 2, "")


def test_a_call_that_was_never_made_is_none(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, number: str, reported: list[Call]
) -> None:
    amazon.settings(rates=1)
    channel.fetch_order(store, number)  # tells that it is one in two seconds now
    amazon.fault("getOrder", "429", times=1)
    for _ in range(2):
        with pytest.raises(ChannelError):
            channel.fetch_order(store, number)
    assert [one.outcome for one in of(reported, "getOrder")] == ["ok", "throttled"]  # then it waits for the allowance


def test_a_withdrawn_authorization_is_a_refused_sign_in(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, reported: list[Call]
) -> None:
    amazon.revoke("na")
    assert not channel.connect(store).ok
    [one] = reported
    assert (one.operation, one.outcome, one.status, one.detail) == ("getAccessToken", "refused", 400, "invalid_grant")
    assert one.problem == "amazon_permission_withdrawn"


def test_an_unreachable_amazon_has_no_status(channel: AmazonChannel, store: StoreAccess, reported: list[Call]) -> None:
    away = replace(store, settings={**store.settings, "endpoint": "http://127.0.0.1:9"})
    assert not channel.connect(away).ok
    one = reported[-1]
    assert (one.outcome, one.status, one.problem, one.detail) == ("failed", None, "amazon_unreachable", "ConnectError")


@pytest.mark.parametrize(
    ("fault", "when", "outcome", "status"),
    [("drop", "after", "lost", None), ("500", "after", "lost", 500), ("400", "before", "refused", 400)],
)
def test_a_confirmation_names_its_update(
    fault: str,
    when: str,
    outcome: str,
    status: int | None,
    channel: AmazonChannel,
    store: StoreAccess,
    amazon: PracticeClient,
    make_update: Callable[..., Update],
    reported: list[Call],
) -> None:
    update = make_update(amazon.place(marketplace="US"))
    amazon.fault("confirmShipment", fault, times=1, when=when)
    channel.deliver(store, HandedUpdates([update]))
    [one] = of(reported, "confirmShipment")
    assert (one.outcome, one.status, one.updates, one.orders) == (outcome, status, (update.id,), ())


def test_a_slow_answer_to_an_act_is_lost(
    channel: AmazonChannel,
    store: StoreAccess,
    amazon: PracticeClient,
    make_update: Callable[..., Update],
    reported: list[Call],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    update = make_update(amazon.place(marketplace="US"))
    monkeypatch.setattr(client, "TIMEOUT", httpx.Timeout(0.3))
    amazon.fault("confirmShipment", "slow", seconds=1)
    channel.deliver(store, HandedUpdates([update]))
    [one] = of(reported, "confirmShipment")
    assert (one.outcome, one.status, one.problem, one.detail) == ("lost", None, "amazon_answer_lost", "ReadTimeout")
    assert one.seconds >= 0.3


def test_a_feed_names_its_updates_once_when_it_is_submitted(
    channel: AmazonChannel,
    store: StoreAccess,
    amazon: PracticeClient,
    cancel: Callable[..., Update],
    reported: list[Call],
) -> None:
    amazon.settings(feed_queue=0, feed_processing=0)
    updates = [cancel(amazon.place(marketplace="US")) for _ in range(2)]
    outcomes = channel.deliver(store, HandedUpdates(updates))
    channel.look_up(store, [replace(one, handle=getattr(outcomes[one.id], "handle", None)) for one in updates])
    about = {one.operation: set(one.updates) for one in reported}
    every = {one.id for one in updates}
    assert {"createFeedDocument", "uploadDocument", "getFeed", "getFeedDocument", "downloadDocument"} < about.keys()
    assert {operation: ids for operation, ids in about.items() if ids} == {"createFeed": every}
    assert about.keys() <= OPERATIONS.keys()
    assert {one.outcome for one in reported} == {"ok"}


def test_nothing_that_was_exchanged_is_reported(
    channel: AmazonChannel, store: StoreAccess, number: str, reported: list[Call]
) -> None:
    channel.connect(store)
    channel.fetch_orders(store, OrdersWindow(now() - timedelta(hours=1)))
    order = channel.fetch_order(store, number)
    everything = " ".join(str(getattr(one, field.name)) for one in reported for field in fields(one))
    secrets = [store.settings[name] for name in ("client_id", "client_secret", "refresh_token", "endpoint")]
    secrets += [getattr(order, "buyer", {})["name"], "http", "Atza"]
    assert [secret for secret in secrets if secret in everything] == []
