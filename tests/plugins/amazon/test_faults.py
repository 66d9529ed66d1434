"""Whatever Amazon does wrong becomes the right kind of error, and a plain sentence."""

import contextlib
import logging
import socket
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import redis
import respx
import structlog

from plugins.amazon import accounts, client, errors
from plugins.amazon.channel import AmazonChannel
from plugins.amazon.practice import PracticeClient
from plugins.amazon.shared import Shared
from webapp.api import ChannelError, Disconnected, IncomingOrder, Invalid, OrdersWindow, StoreAccess, Throttled, now

HOUR = timedelta(hours=1)


def fetch(channel: AmazonChannel, store: StoreAccess) -> Any:
    return channel.fetch_orders(store, OrdersWindow(now() - HOUR))


@pytest.fixture
def order(amazon: PracticeClient) -> str:
    return str(amazon.place(marketplace="US")["order_id"])


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other at once."""
    monkeypatch.setattr(client, "sleep", lambda seconds: None)


@pytest.mark.parametrize("fault", ["500", "503", "drop"])
def test_reading_is_tried_again(
    fault: str, channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, order: str
) -> None:
    amazon.fault("getOrder", fault, times=2)
    assert isinstance(channel.fetch_order(store, order), IncomingOrder)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("500", errors.Troubled),
        ("503", errors.Troubled),
        ("drop", errors.HungUp),
        ("garbage", errors.Unintelligible),
        ("403", errors.AccessDenied),
        ("400", errors.RequestRefused),
        ("429", Throttled),
    ],
)
def test_what_does_not_go_away_has_its_kind_and_sentence(
    fault: str,
    kind: type[ChannelError],
    channel: AmazonChannel,
    store: StoreAccess,
    amazon: PracticeClient,
    order: str,
) -> None:
    amazon.fault("getOrder", fault, times=5)

    with pytest.raises(kind) as caught:
        channel.fetch_order(store, order)

    assert (caught.value.retry_after is None) == issubclass(kind, Disconnected)
    assert "%(" not in str(caught.value)
    assert order not in str(caught.value)
    assert caught.value.stored()["code"] == kind.code


def test_a_refused_rate_is_held_back_longer_and_longer(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, order: str
) -> None:
    channel.fetch_order(store, order)
    amazon.settings(rates=1)
    channel.fetch_order(store, order)  # tells that it is one in two seconds now
    amazon.fault("getOrder", "429")
    with pytest.raises(Throttled) as first:
        channel.fetch_order(store, order)
    calls = len(amazon.calls("getOrder"))
    with pytest.raises(Throttled) as second:
        channel.fetch_order(store, order)

    assert 2 <= first.value.retry_after <= 3  # type: ignore[operator] - it is throttled
    assert second.value.retry_after <= first.value.retry_after  # type: ignore[operator]
    assert len(amazon.calls("getOrder")) == calls


def test_an_expired_token_is_renewed_once_for_all(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, order: str, shared: Shared
) -> None:
    channel.fetch_order(store, order)
    tokens = len(amazon.calls("token"))
    amazon.revoke()  # access tokens only
    for worker in (channel, AmazonChannel(shared), AmazonChannel(shared)):
        assert worker.fetch_order(store, order)
    amazon.fault("getOrder", "expired")
    assert channel.fetch_order(store, order)

    assert len(amazon.calls("token")) == tokens + 2


def test_a_slow_answer_is_given_up(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "TIMEOUT", httpx.Timeout(0.3))
    amazon.fault("getOrder", "slow", seconds=1)
    with pytest.raises(errors.Silent):
        channel.fetch_order(store, order)


def test_the_authorization_is_withdrawn(channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient) -> None:
    assert channel.connect(store).ok
    amazon.revoke("na")

    problem = channel.connect(store).problem

    assert isinstance(problem, errors.PermissionWithdrawn)
    assert "refresh token" in str(problem)
    with pytest.raises(Disconnected):
        fetch(channel, store)


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"client_secret": "wrong"}, errors.ApplicationRefused, "client ID and secret"),
        ({"client_id": "wrong"}, errors.ApplicationRefused, "client ID and secret"),
        ({"refresh_token": "wrong"}, errors.PermissionWithdrawn, "refresh token"),
        ({"region": "eu"}, errors.WrongRegion, "another region, because it sells in US, CA"),
        ({"marketplaces": "MX"}, errors.NothingSold, "none of the chosen marketplaces (MX)"),
    ],
)
def test_wrong_settings_are_told_in_plain_words(
    settings: dict[str, str],
    kind: type[ChannelError],
    words: str,
    channel: AmazonChannel,
    make_store: Callable[..., StoreAccess],
    amazon: PracticeClient,
) -> None:
    connection = channel.connect(make_store(**settings))

    assert not connection.ok
    assert isinstance(connection.problem, kind)
    assert words in str(connection.problem)
    signed_in = kind in (errors.WrongRegion, errors.NothingSold)  # only a refused sign-in disconnects a store
    assert isinstance(connection.problem, Disconnected) is not signed_in


def test_a_host_of_another_region_denies_access(
    channel: AmazonChannel, make_store: Callable[..., StoreAccess], amazon: PracticeClient
) -> None:
    store = make_store()
    elsewhere = store.settings["endpoint"] + "/eu"
    problem = channel.connect(make_store(endpoint=elsewhere)).problem

    assert isinstance(problem, errors.AccessDenied)
    assert "“NA”" in str(problem)


@pytest.mark.parametrize("place", ["endpoint", "token_endpoint"])
def test_nobody_answers_at_the_endpoint(
    place: str, channel: AmazonChannel, make_store: Callable[..., StoreAccess], amazon: PracticeClient
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{taken.getsockname()[1]}"
        problem = channel.connect(make_store(**{place: closed})).problem

    assert isinstance(problem, errors.Unreachable)
    assert "127.0.0.1" in str(problem)


def test_the_open_marketplaces(
    channel: AmazonChannel, make_store: Callable[..., StoreAccess], amazon: PracticeClient
) -> None:
    assert {one.country for one in channel.connect(make_store("eu")).marketplaces} == {"GB", "DE", "FR", "IT", "ES"}
    assert {one.country for one in channel.connect(make_store("na")).marketplaces} == {"US", "CA"}
    [japan] = channel.connect(make_store("fe", marketplaces="jp")).marketplaces
    assert (japan.currency, japan.zone) == ("JPY", "Asia/Tokyo")


def test_endpoints_of_ones_own_need_a_desk_that_allows_them(
    channel: AmazonChannel, store: StoreAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def desk(custom_endpoints: bool) -> None:
        allowed = SimpleNamespace(custom_endpoints=custom_endpoints, practice=False, version="1.0")
        monkeypatch.setattr(accounts, "configuration", lambda: allowed)

    [endpoint] = [setting for setting in channel.settings if setting.name == "endpoint"]
    bare = StoreAccess(1, store.settings, practice=False)
    desk(custom_endpoints=False)
    assert isinstance(channel.connect(bare).problem, errors.EndpointNotAllowed)
    assert endpoint.parse("") == ""
    with pytest.raises(Invalid):
        endpoint.parse("https://example.com")
    desk(custom_endpoints=True)
    assert channel.connect(bare).ok
    for url in ("https://example.com", "http://127.0.0.1:9400", "http://localhost:9400"):
        assert endpoint.parse(url) == url
    for url in (
        "http://example.com",
        "ftp://example.com",
        "https://a:b@example.com",
        "https://",
        "example.com",
        "https://[bad",
        "https://a:99999999",
    ):
        with pytest.raises(Invalid):
            endpoint.parse(url)


def test_unknown_countries_are_named(channel: AmazonChannel) -> None:
    [marketplaces] = [setting for setting in channel.settings if setting.name == "marketplaces"]
    assert marketplaces.parse("de, fr ,UK") == "de, fr ,UK"
    with pytest.raises(Invalid, match="XX"):
        marketplaces.parse("DE,XX")


def test_a_token_page_that_is_no_json(channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient) -> None:
    for fault, kind in (("503", errors.Troubled), ("garbage", errors.Unintelligible), ("429", Throttled)):
        amazon.fault("token", fault, times=2)
        assert isinstance(channel.connect(store).problem, kind)
        amazon.mend()


def test_without_redis_the_desk_goes_on_alone(store: StoreAccess, amazon: PracticeClient, order: str) -> None:
    gone = redis.Redis(host="127.0.0.1", port=1)
    channel = AmazonChannel(Shared(connection=lambda: gone, key=lambda *parts: ":".join(parts)))
    tokens = len(amazon.calls("token"))

    assert channel.fetch_order(store, order)
    assert channel.fetch_order(store, order)
    assert len(amazon.calls("token")) == tokens + 1


@pytest.mark.parametrize(
    "words",
    [
        "The value FULFILLMENT is not available for includedData.",
        "includedData: FULFILLMENT, PACKAGES can't be used by this application.",
    ],
)
def test_named_data_sets_are_left_out_at_once(
    words: str, channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient
) -> None:
    channel.connect(store)
    refusal = httpx.Response(400, json={"errors": [{"code": "InvalidInput", "message": words, "details": ""}]})
    page = httpx.Response(200, json={"orders": [], "lastUpdatedBefore": "2026-11-20T10:00:00.000Z"})
    with respx.mock(assert_all_called=False) as mocked:
        mocked.post(path="/auth/o2/token").pass_through()
        route = mocked.get(path="/orders/2026-01-01/orders").mock(side_effect=[refusal, page])
        found = fetch(channel, store)

    assert found.bound.isoformat() == "2026-11-20T10:00:00+00:00"
    assert found.calls == 2
    asked = route.calls.last.request.url.params["includedData"].split(",")
    assert "FULFILLMENT" not in asked
    assert {"BUYER", "FULFILLMENT_ORDERS"} <= set(asked)


def test_amazons_hosts_are_asked_as_amazon_wants_it(
    channel: AmazonChannel, make_store: Callable[..., StoreAccess], amazon: PracticeClient
) -> None:
    store = make_store("fe", endpoint="", token_endpoint="")
    with respx.mock() as mocked:
        token = mocked.post("https://api.amazon.com/auth/o2/token").respond(
            json={"access_token": "Atza|x", "expires_in": 3600}
        )
        search = mocked.get("https://sellingpartnerapi-fe.amazon.com/orders/2026-01-01/orders").respond(
            json={"orders": [{"orderId": "1"}]}, headers={"x-amzn-RateLimit-Limit": "999"}
        )
        page = channel.fetch_orders(store, OrdersWindow(now() - HOUR))

    assert token.calls.last.request.headers["content-type"] == "application/x-www-form-urlencoded"
    request = search.calls.last.request
    assert request.headers["x-amz-access-token"] == "Atza|x"
    assert request.headers["user-agent"].startswith("Waybill/")
    assert "(Language=Python/3." in request.headers["user-agent"]
    assert request.url.params["lastUpdatedAfter"].endswith("Z")
    assert page.bound is not None  # Amazon told none: earlier than any edge
    assert page.bound < now() - timedelta(minutes=3)
    assert [one.field for one in page.unreadable] == ["orderItems"]


def test_nothing_secret_and_nobody_is_in_the_logs(
    channel: AmazonChannel,
    make_store: Callable[..., StoreAccess],
    amazon: PracticeClient,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    structlog.reset_defaults()  # an app of an earlier test may have chosen to log less
    store = make_store()
    placed = amazon.place(
        marketplace="US", buyer_name="Zebulon Quackenbush", gift_message="Happy Xyzzy", traits=["gift"]
    )
    for fault in ("500", "503", "drop", "garbage", "403", "400", "429"):
        for operation in ("searchOrders", "getOrder", "token"):
            amazon.fault(operation, fault, times=3)
        with contextlib.suppress(ChannelError):
            fetch(channel, store)
        with contextlib.suppress(ChannelError):
            channel.fetch_order(store, placed["order_id"])
        amazon.mend()
    channel.connect(make_store(client_secret="hush-hush"))
    written = "".join(capfd.readouterr()) + caplog.text

    assert "amazon_failed" in written
    secrets = [store.settings[name] for name in ("client_secret", "refresh_token")]
    for secret in (*secrets, "hush-hush", "Atza", "Quackenbush", "Xyzzy", placed["order_id"]):
        assert secret not in written
    assert "practice-secret" not in repr(store)
    assert "practice" not in repr(accounts.Account.of(store)).replace("127.0.0.1", "")
