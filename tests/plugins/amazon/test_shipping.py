"""Shipment confirmations over real HTTP: one effect, whatever happens to the answer."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from plugins.amazon import shipping
from plugins.amazon.channel import AmazonChannel
from plugins.amazon.feeds.messages import FULFILLMENT
from plugins.amazon.practice import PracticeClient
from tests.plugins.amazon.conftest import feeds_done
from webapp.api import (
    Accepted,
    Effective,
    NotCarriedOut,
    NothingLearned,
    NotYet,
    Outcome,
    Refused,
    Sent,
    StoreAccess,
    Unknown,
    Update,
)
from webapp.testing import HandedUpdates

MakeUpdate = Callable[..., Update]


@pytest.fixture
def placed(amazon: PracticeClient) -> dict[str, Any]:
    return amazon.place(marketplace="US", quantity=2)


def test_a_confirmation_is_sent_and_then_seen(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: dict[str, Any], make_update: MakeUpdate
) -> None:
    update = make_update(placed, carrier="Other", carrier_name="Bike Bob", service="By hand", tracking_number="BOB 1")

    [sent] = channel.deliver(store, [update]).values()
    assert isinstance(sent, Sent)
    assert sent.handle
    [told] = amazon.told(update.order_number)
    assert told["effect"] == "new"
    detail = told["body"]["packageDetail"]
    assert (detail["packageReferenceId"], detail["carrierCode"], detail["carrierName"]) == ("1", "Other", "Bike Bob")
    assert (detail["shippingMethod"], detail["trackingNumber"]) == ("By hand", "BOB 1")
    assert channel.look_up(store, [update]) == {update.id: Effective()}


def test_repeating_has_the_effect_of_once(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: dict[str, Any], make_update: MakeUpdate
) -> None:
    update = make_update(placed)
    for _ in range(3):
        assert isinstance(channel.deliver(store, [update])[update.id], Sent)
    assert amazon.effects(update.order_number) == 1


def test_several_packages_of_one_order_in_one_batch(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, make_update: MakeUpdate
) -> None:
    placed = amazon.place(marketplace="US", lines=2, quantity=2)
    first, second = (item["order_item_id"] for item in placed["items"])
    updates = [
        make_update(placed, number=1, lines={first: 1}),
        make_update(placed, number=2, lines={first: 1, second: 2}),
    ]
    before = len(amazon.calls("getOrder"))

    assert all(isinstance(outcome, Sent) for outcome in channel.deliver(store, updates).values())
    assert set(channel.look_up(store, updates).values()) == {Effective()}
    assert len(amazon.calls("getOrder")) == before + 1
    assert amazon.order(placed["order_id"])["status"] == "SHIPPED"


@pytest.mark.parametrize("fault", ["drop", "500", "503"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_answer_is_unknown_until_the_order_is_read(
    fault: str,
    when: str,
    channel: AmazonChannel,
    store: StoreAccess,
    amazon: PracticeClient,
    placed: dict[str, Any],
    make_update: MakeUpdate,
) -> None:
    update = make_update(placed)
    amazon.fault("confirmShipment", fault, when=when)

    assert isinstance(channel.deliver(store, [update])[update.id], Unknown)
    seen = channel.look_up(store, [update])[update.id]

    assert seen == (Effective() if when == "after" else NotYet(0))
    assert amazon.effects(update.order_number) == (1 if when == "after" else 0)


def test_what_certainly_did_not_happen_waits_and_so_does_the_rest(
    channel: AmazonChannel,
    make_store: Callable[..., StoreAccess],
    amazon: PracticeClient,
    make_update: MakeUpdate,
) -> None:
    updates = [make_update(one) for one in amazon.place_many(3, marketplace="US")]
    amazon.fault("confirmShipment", "429")
    outcomes = channel.deliver(make_store(), updates)
    assert all(isinstance(outcome, NotYet) and outcome.seconds > 0 for outcome in outcomes.values())
    assert not any(amazon.told(update.order_number) for update in updates)

    nowhere = make_store(endpoint="http://127.0.0.1:1", token_endpoint=make_store().settings["token_endpoint"])
    assert all(isinstance(outcome, NotYet) for outcome in channel.deliver(nowhere, updates).values())

    amazon.revoke("na")
    amazon.revoke()
    [outcome, *_] = channel.deliver(make_store(), updates).values()
    assert isinstance(outcome, NotYet)


@pytest.mark.parametrize(
    ("wish", "package", "words"),
    [
        ({"status": "PENDING"}, {}, "Pending"),
        ({"status": "CANCELLED"}, {"lines": True}, "canceled"),
        ({"fulfilled_by": "AMAZON"}, {}, "fulfilled by Amazon"),
        ({"traits": ["ship_plus"]}, {}, "Ship+"),
        ({"traits": ["transparency"]}, {}, "Transparency"),
        ({}, {"shipped_at": "2020-01-01T00:00:00Z"}, "before the order"),
        ({}, {"carrier": "Other"}, "carrierName"),
        ({}, {"tracking_number": ""}, "trackingNumber"),
    ],
)
def test_amazon_says_no_in_its_own_sentence(
    wish: dict[str, Any],
    package: dict[str, Any],
    words: str,
    channel: AmazonChannel,
    store: StoreAccess,
    amazon: PracticeClient,
    make_update: MakeUpdate,
) -> None:
    placed = amazon.place(marketplace="US", **wish)
    if package.pop("lines", None):
        package["lines"] = {placed["items"][0]["order_item_id"]: 1}
    update = make_update(placed, **package)

    refused = channel.deliver(store, [update])[update.id]

    assert isinstance(refused, Refused)
    assert words in refused.sentence
    assert refused.cause is None


def test_more_than_is_left_and_a_number_that_does_not_exist(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: dict[str, Any], make_update: MakeUpdate
) -> None:
    [line] = (item["order_item_id"] for item in placed["items"])
    too_many = make_update(placed, lines={line: 3})
    unknown = Update(99, "shipment", "111-0000000-0000000", "ATVPDKIKX0DER", "1", too_many.payload)

    outcomes = channel.deliver(store, [too_many, unknown])

    assert isinstance(outcomes[too_many.id], Refused)
    assert isinstance(outcomes[99], Refused)
    assert not amazon.effects(placed["order_id"])


def test_what_amazon_has_already_is_not_refused(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: dict[str, Any], make_update: MakeUpdate
) -> None:
    amazon.ship_elsewhere(placed["order_id"], carrier="UPS", tracking="1zsame 1")
    update = make_update(placed, number=7, tracking_number="1ZSAME1")
    assert channel.deliver(store, [update]) == {update.id: Effective()}


def test_units_that_somebody_shipped_elsewhere_meanwhile(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: dict[str, Any], make_update: MakeUpdate
) -> None:
    update = make_update(placed, number=7)
    amazon.fault("confirmShipment", "drop")
    assert isinstance(channel.deliver(store, [update])[update.id], Unknown)
    amazon.ship_elsewhere(placed["order_id"], carrier="DHL", tracking="OTHER1")

    assert channel.look_up(store, [update]) == {update.id: Effective(done_elsewhere=True)}


def test_a_sent_one_that_does_not_show_yet_stays_sent(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: dict[str, Any], make_update: MakeUpdate
) -> None:
    made = make_update(placed)
    update = Update(
        made.id, made.kind, made.order_number, made.marketplace, made.reference, made.payload, handle="request-1"
    )
    assert channel.look_up(store, [update]) == {update.id: Sent("request-1")}
    for fault in ("403", "500", "429"):
        amazon.fault("getOrder", fault, times=3)
        nothing_learned = channel.look_up(store, [update])[update.id]
        assert isinstance(nothing_learned, NothingLearned)
        assert nothing_learned.seconds > 0
        assert nothing_learned.cause  # so that the desk leaves it as it is and looks again
        amazon.mend()


def test_the_tracking_number_can_be_changed_later(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: dict[str, Any], make_update: MakeUpdate
) -> None:
    channel.deliver(store, [make_update(placed)])
    later = make_update(placed, tracking_number="1ZLATER")
    assert not isinstance(channel.look_up(store, [later])[later.id], Effective)

    assert isinstance(channel.deliver(store, [later])[later.id], Sent)

    assert channel.look_up(store, [later]) == {later.id: Effective()}
    assert len(amazon.order(placed["order_id"])["packages"]) == 1


def corrected(made: Update, first: Update, **changes: Any) -> Update:
    """The correction of a confirmation, as the desk sends it."""
    return replace(made, revision=2, payload={**made.payload, "earlier": [first.payload["package"]]}, **changes)


def test_a_correction_edits_the_package_and_is_seen_only_then(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: dict[str, Any], make_update: MakeUpdate
) -> None:
    first = make_update(placed, service="Standard")
    for changes in ({"tracking_number": "1ZLATER"}, {"carrier": "FedEx"}, {"service": "By hand"}):
        later = corrected(make_update(placed, **{"service": "Standard"} | changes), first)
        channel.deliver(store, [first])
        assert channel.look_up(store, [later]) == {later.id: NotYet(0)}  # its answer was lost: it is sent again
        assert channel.look_up(store, [replace(later, handle="taken")]) == {later.id: Sent("taken")}
        assert isinstance(channel.deliver(store, [later])[later.id], Sent)
        assert channel.look_up(store, [replace(later, handle="taken")]) == {later.id: Effective()}
        [package] = amazon.order(placed["order_id"])["packages"]
        for name, value in changes.items():
            assert package[{"tracking_number": "tracking"}.get(name, name)] == value


def test_a_correction_beside_another_parcel_was_not_done_elsewhere(
    channel: AmazonChannel, store: StoreAccess, placed: dict[str, Any], make_update: MakeUpdate
) -> None:
    line = placed["items"][0]["order_item_id"]
    first, second = (
        make_update(placed, number=number, tracking_number=f"JD{number}", lines={line: 1}) for number in (1, 2)
    )
    channel.deliver(store, [first, second])
    lost = corrected(make_update(placed, number=1, tracking_number="JD2", lines={line: 1}), first)
    assert channel.look_up(store, [lost]) == {lost.id: NotYet(0)}  # the other parcel has that number


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_correction_whose_answer_is_lost_has_one_effect(
    channel: AmazonChannel,
    store: StoreAccess,
    amazon: PracticeClient,
    placed: dict[str, Any],
    make_update: MakeUpdate,
    when: str,
) -> None:
    first = make_update(placed)
    channel.deliver(store, [first])
    later = corrected(make_update(placed, tracking_number="1ZLATER"), first)
    amazon.fault("confirmShipment", "drop", when=when)
    assert isinstance(channel.deliver(store, [later])[later.id], Unknown)
    seen = channel.look_up(store, [later])[later.id]
    assert seen == (Effective() if when == "after" else NotYet(0))
    channel.deliver(store, [later])
    assert [package["tracking"] for package in amazon.order(placed["order_id"])["packages"]] == ["1ZLATER"]
    assert amazon.effects(later.order_number) == 2


def test_an_update_of_another_version_is_not_guessed_at(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, placed: dict[str, Any], make_update: MakeUpdate
) -> None:
    made = make_update(placed)
    foreign = Update(made.id, made.kind, made.order_number, made.marketplace, "1", {**made.payload, "version": 2})
    shapeless = Update(0, made.kind, made.order_number, made.marketplace, "1", {"version": 1, "package": {}})
    for update in (foreign, shapeless):
        refused = channel.deliver(store, [update])[update.id]
        assert isinstance(refused, Refused)
        assert refused.cause is not None
        assert refused.cause["code"] == "amazon_foreign_update"
    assert not amazon.told(made.order_number)


def test_a_batch_that_takes_too_long_leaves_the_rest_for_the_next(
    channel: AmazonChannel,
    store: StoreAccess,
    amazon: PracticeClient,
    make_update: MakeUpdate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shipping, "LONGEST", -1)
    update = make_update(amazon.place(marketplace="US"))
    assert channel.deliver(store, [update]) == {update.id: NotYet(1)}
    assert not amazon.told(update.order_number)


def test_once_amazon_is_away_the_rest_is_not_looked_up(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, make_update: MakeUpdate
) -> None:
    updates = [make_update(one) for one in amazon.place_many(3, marketplace="US")]
    before = len(amazon.calls("getOrder"))
    amazon.fault("getOrder", "429", times=5)
    assert all(isinstance(outcome, NothingLearned) for outcome in channel.look_up(store, updates).values())
    assert len(amazon.calls("getOrder")) == before + 1


# --- Very many at once ------------------------------------------------------------------------------------------------


@pytest.fixture
def many(amazon: PracticeClient, make_update: MakeUpdate) -> list[Update]:
    """More confirmations than go by calls of their own."""
    placed = amazon.place_many(shipping.KIND.batch + 2, marketplace="US", status="UNSHIPPED")
    return [make_update(one, carrier="Other", carrier_name="Bike Bob", service="By hand") for one in placed]


def looked_up(channel: AmazonChannel, store: StoreAccess, updates: list[Update], batch: "Kept") -> list[Outcome]:
    asked = [replace(one, handle=batch.handles.get(one.id), begun=batch.attempts[-1]) for one in updates]
    found = channel.look_up(store, asked)
    return [found[one.id] for one in updates]


class Kept(HandedUpdates):
    """A batch with the handles that it got."""

    handles: dict[int, str]

    def sent(self, channel: AmazonChannel, store: StoreAccess) -> list[Outcome]:
        outcomes = channel.deliver(store, self)
        self.handles = {id_: str(one.handle) for id_, one in outcomes.items() if isinstance(one, Sent)}
        return list(outcomes.values())


def test_very_many_are_confirmed_by_one_feed(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, many: list[Update]
) -> None:
    batch = Kept(many)
    assert all(isinstance(one, Sent) for one in batch.sent(channel, store))
    assert not amazon.calls("confirmShipment")
    feeds_done(amazon)
    assert looked_up(channel, store, many, batch) == [Accepted()] * len(many)
    accepted = [replace(one, handle=batch.handles[one.id], accepted=True) for one in many]
    assert set(channel.look_up(store, accepted).values()) == {Effective()}
    [package] = amazon.order(many[0].order_number)["packages"]
    assert (package["reference"], package["carrier"], package["service"]) == ("1", "Bike Bob", "By hand")


def test_one_that_a_feed_refuses_is_confirmed_by_a_call_that_says_why(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, many: list[Update], make_update: MakeUpdate
) -> None:
    canceled = amazon.place(marketplace="US")
    bad = make_update(canceled)
    amazon.cancel(canceled["order_id"])
    batch = Kept([bad, *many])
    batch.sent(channel, store)
    feeds_done(amazon)
    [first, *others] = looked_up(channel, store, [bad, *many], batch)
    assert first == NotCarriedOut(1)
    assert set(others) == {Accepted()}
    assert isinstance(channel.deliver(store, HandedUpdates([bad]))[bad.id], Refused)


@pytest.mark.parametrize("mark", ["fatal_25_wrong", "fatal_silent", "report_cut", "canceled"])
def test_what_a_feed_does_not_say_is_told_by_the_orders(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, many: list[Update], mark: str
) -> None:
    amazon.mark_next_feed(FULFILLMENT, mark)
    batch = Kept(many)
    batch.sent(channel, store)
    feeds_done(amazon)
    expected = Effective() if mark == "report_cut" else NotCarriedOut(1)
    assert set(looked_up(channel, store, many, batch)) == {expected}


def test_corrections_by_a_feed_edit_the_packages(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, many: list[Update]
) -> None:
    channel.deliver(store, many[:1])
    channel.deliver(store, many[1:2])
    news = {"tracking_number": "LATER", "carrier_name": "Bike Bill"}
    later = [
        replace(one, revision=2, payload=one.payload | {"package": one.payload["package"] | news, "earlier": [told]})
        for one, told in ((one, one.payload["package"]) for one in many)
    ]
    batch = Kept(later)
    assert all(isinstance(one, Sent) for one in batch.sent(channel, store))
    feeds_done(amazon)
    assert looked_up(channel, store, later, batch) == [Accepted()] * len(many)
    accepted = [replace(one, handle=batch.handles[one.id], accepted=True) for one in later]
    assert set(channel.look_up(store, accepted).values()) == {Effective()}
    for update in many:
        [package] = amazon.order(update.order_number)["packages"]
        assert (package["reference"], package["carrier"], package["tracking"]) == ("1", "Bike Bill", "LATER")


@pytest.mark.parametrize(
    ("operation", "fault"), [("createFeedDocument", "500"), ("createFeed", "429"), ("createFeed", "403")]
)
def test_where_amazon_takes_no_feed_they_go_by_calls(
    channel: AmazonChannel, store: StoreAccess, amazon: PracticeClient, many: list[Update], operation: str, fault: str
) -> None:
    amazon.fault(operation, fault, times=3)
    assert any(isinstance(one, Sent) for one in channel.deliver(store, HandedUpdates(many)).values())
    assert amazon.calls("confirmShipment")
    assert not amazon.feeds()
