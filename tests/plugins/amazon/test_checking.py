"""A person tests a store at Amazon: each check says what is wrong, by the role's name, and what to do about it."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from plugins.amazon import errors
from plugins.amazon.channel import AmazonChannel
from plugins.amazon.practice import PracticeClient
from webapp.api import Check, OrdersWindow, StoreAccess, now

TRACKING, SHIPPING = "“Inventory and Order Tracking”", "“Direct-to-Consumer Shipping (Restricted)”"
TAX, FINANCE = "“Tax Invoicing (Restricted)”", "“Finance and Accounting”"
COMMUNICATION = "“Buyer Communication”"
SOLICITATION = "“Buyer Solicitation”"
READING = (
    "searchOrders", "getOrder", "getFeeds", "getMarketplaceParticipations", "listTransactions",
    "getMessagingActionsForOrder", "getSolicitationActionsForOrder", "token",
)  # fmt: skip


@pytest.fixture
def checks(channel: AmazonChannel, store: StoreAccess) -> Callable[..., dict[str, Check]]:
    def made(tested: StoreAccess = store) -> dict[str, Check]:
        return {check.name: check for check in channel.test(tested).checks}

    return made


@pytest.fixture(autouse=True)
def _order(amazon: PracticeClient) -> None:
    amazon.place(marketplace="US", status="UNSHIPPED")


def said(found: dict[str, Check]) -> dict[str, bool | None]:
    return {name: check.ok for name, check in found.items()}


GOOD = {
    "application": True,
    "authorization": True,
    "region": True,
    "marketplaces": True,
    "seller_id": None,
    "orders": True,
    "addresses": True,
    "buyers": True,
    "cancellations": True,
    "transactions": True,
    "messages": True,
    "reviews": True,
    "shipments": None,
}


def test_a_good_store_needs_one_search_and_changes_nothing(
    checks: Callable[..., dict[str, Check]], amazon: PracticeClient
) -> None:
    found = checks()
    assert said(found) == GOOD
    assert all(str(check.label) and str(check.sentence) for check in found.values())
    made = [call["operation"] for call in amazon.calls()]
    assert sorted(made) == [
        "getFeeds",
        "getMarketplaceParticipations",
        "getMessagingActionsForOrder",
        "getSolicitationActionsForOrder",
        "listTransactions",
        "searchOrders",
        "token",
    ]


def test_connecting_by_itself_makes_no_further_calls(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient
) -> None:
    assert channel.connect(store).checks == ()
    assert amazon.calls("searchOrders") == []


@pytest.mark.parametrize(
    ("lacks", "missing", "role"),
    [
        ("lacks_shipping", ["addresses"], SHIPPING),
        ("lacks_tax", ["buyers"], TAX),
        ("lacks_finance", ["transactions"], FINANCE),
        ("lacks_communication", ["messages"], COMMUNICATION),
        ("lacks_solicitation", ["reviews"], SOLICITATION),
        ("lacks_tracking", ["orders", "cancellations"], TRACKING),
    ],
)
def test_the_missing_role_is_named(
    lacks: str,
    missing: list[str],
    role: str,
    channel: AmazonChannel,
    store: StoreAccess,
    checks: Callable[..., dict[str, Check]],
    amazon: PracticeClient,
) -> None:
    amazon.settings(**{lacks: True})
    found = checks()
    assert [name for name, check in found.items() if check.ok is False] == missing
    for name in missing:
        assert role in str(found[name].sentence)
        assert "authorize the application again" in str(found[name].sentence)
    assert channel.connect(store).ok  # the store works as far as it can


@pytest.mark.parametrize("kind", ["dataset_denied", "dataset_denied_unnamed"])
@pytest.mark.parametrize(
    ("dataset", "missing", "role"), [("BUYER", "buyers", TAX), ("RECIPIENT", "addresses", SHIPPING)]
)
def test_a_denied_data_set_is_found_whether_amazon_names_it_or_not(
    kind: str,
    dataset: str,
    missing: str,
    role: str,
    checks: Callable[..., dict[str, Check]],
    amazon: PracticeClient,
) -> None:
    amazon.fault("searchOrders", kind, dataset=dataset, times=100)
    found = checks()
    assert said(found) == GOOD | {missing: False}
    assert role in str(found[missing].sentence)
    assert len(amazon.calls("searchOrders")) <= 5  # the first is made again with a new token
    assert {call["operation"] for call in amazon.calls()} <= set(READING)


@pytest.mark.parametrize(
    ("fault", "words"), [("marketplace", "Amazon.ca"), ("marketplace_unnamed", "one marketplace is not permitted")]
)
def test_a_closed_marketplace_is_no_missing_role(
    fault: str, words: str, checks: Callable[..., dict[str, Check]], amazon: PracticeClient
) -> None:
    amazon.fault("searchOrders", fault, marketplace="CA", times=100)
    [closed] = [check for check in checks().values() if check.ok is False]
    said = str(closed.sentence)
    assert (closed.name, words in said, "role" in said) == ("orders", True, False)


def test_without_an_open_order_the_personal_roles_stay_unknown(
    make_store: Callable[..., StoreAccess], checks: Callable[..., dict[str, Check]], amazon: PracticeClient
) -> None:
    found = checks(make_store("fe", marketplaces="AU"))  # where the practice seller sells nothing
    assert found["marketplaces"].ok is False
    assert (found["addresses"].ok, found["messages"].ok) == (None, None)


@pytest.mark.parametrize(
    ("fault", "at", "words"),
    [
        ("secret_expired", "application", "180 days"),
        ("not_allowed", "application", "suspended"),
    ],
)
def test_a_refused_application_says_which_of_both(
    fault: str, at: str, words: str, checks: Callable[..., dict[str, Check]], amazon: PracticeClient
) -> None:
    amazon.fault("token", fault)
    found = checks()
    assert [name for name, check in found.items() if check.ok is False] == [at]
    assert words in str(found[at].sentence)
    assert found["authorization"].ok is None


def test_a_withdrawn_authorization(checks: Callable[..., dict[str, Check]], amazon: PracticeClient) -> None:
    amazon.revoke("na")
    found = checks()
    assert (found["application"].ok, found["authorization"].ok, found["region"].ok) == (True, False, None)
    assert "is older than one year" in str(found["authorization"].sentence)


def test_the_wrong_region_names_the_right_one(
    channel: AmazonChannel, make_store: Callable[..., StoreAccess], amazon: PracticeClient
) -> None:
    """Also if its own host denies the token: then the hosts of other regions are asked for the account."""
    everywhere = channel.test(make_store(region="eu"))
    of_its_region = make_store("eu", region="na", endpoint=make_store().settings["endpoint"] + "/na")
    by_host = channel.test(of_its_region)
    for connection, region in (
        (everywhere, "North America and Brazil"),
        (by_host, "Europe, Middle East and India"),
    ):
        assert isinstance(connection.problem, errors.WrongRegion)
        assert f"Choose the region “{region}”" in str(connection.problem)
        checked = {check.name: check for check in connection.checks}
        assert (checked["authorization"].ok, checked["region"].ok) == (True, False)
        assert str(checked["region"].sentence) == str(connection.problem)


def test_what_can_not_be_reached_teaches_nothing(
    make_store: Callable[..., StoreAccess], checks: Callable[..., dict[str, Check]]
) -> None:
    found = checks(make_store(token_endpoint="http://127.0.0.1:9/auth"))
    assert set(said(found).values()) == {None}
    assert {str(check.sentence) for check in found.values()} == {"This was not checked, because the connection failed."}


def test_an_exhausted_allowance_is_no_missing_role(
    checks: Callable[..., dict[str, Check]], amazon: PracticeClient
) -> None:
    amazon.fault("searchOrders", "429")
    found = checks()
    assert found["orders"].ok is None
    assert "accepts no more calls" in str(found["orders"].sentence)
    assert found["cancellations"].ok


def test_tests_leave_the_sync_its_searches(
    channel: AmazonChannel, store: StoreAccess, checks: Callable[..., dict[str, Check]], amazon: PracticeClient
) -> None:
    """Of 20 searches at once, tests take five, whoever tests how often; and none once ten are gone."""
    amazon.settings(rates=1)
    tested = [checks() for _ in range(8)]
    assert said(tested[0]) == GOOD
    last = tested[-1]
    assert (last["orders"].ok, "accepts no more calls at the moment" in str(last["orders"].sentence)) == (None, True)
    assert len(amazon.calls("searchOrders")) <= 5
    assert len(amazon.calls("getFeeds")) <= 3
    window = OrdersWindow(now() - timedelta(days=30), open_only=True)
    for _ in range(12):
        channel.fetch_orders(store, window)


def test_what_the_sync_needs_is_not_taken(
    channel: AmazonChannel, store: StoreAccess, checks: Callable[..., dict[str, Check]], amazon: PracticeClient
) -> None:
    amazon.settings(rates=1)
    window = OrdersWindow(now() - timedelta(days=30), open_only=True)
    for _ in range(12):
        channel.fetch_orders(store, window)
    found = checks()
    assert (found["orders"].ok, found["cancellations"].ok) == (None, True)
    assert len(amazon.calls("searchOrders")) == 12
