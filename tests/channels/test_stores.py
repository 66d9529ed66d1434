"""Stores and shops: names and settings that can't be are refused, numbers never repeat, practice stays practice."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from hypothesis import given, strategies as st

from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.channels import described
from webapp.channels.connecting import StoreAccess
from webapp.channels.contract import Channel
from webapp.channels.models import Store
from webapp.channels.services import (
    access,
    add_store,
    change_store,
    create_shop,
    default_shop,
    draw_numbers,
    get_store,
    remember_marketplaces,
    stores,
)
from webapp.channels.shops import sequences_meet
from webapp.db import db, unit_of_work
from webapp.errors import Forbidden, Invalid, NotFound
from webapp.hooks import hooks
from webapp.orders.models import Order
from webapp.orders.order_settings import treatment_of
from webapp.settings.declared import Setting
from webapp.testing import FakeChannel, FakeChannelPlugin, incoming_order

PREFIXES = st.text("A1-0", max_size=4)
COUNTS = st.integers(1, 10**6)


@given(PREFIXES, PREFIXES, COUNTS, COUNTS)
def test_prefixes_that_are_let_in_never_give_one_number(one: str, other: str, first: int, second: int) -> None:
    if f"{one}{first:06d}" == f"{other}{second:06d}":
        assert sequences_meet(one, other)
        assert sequences_meet(other, one)


@given(PREFIXES, PREFIXES)
def test_prefixes_that_are_refused_could_give_one_number(one: str, other: str) -> None:
    if sequences_meet(one, other):
        longer, shorter = sorted((one, other), key=len, reverse=True)
        rest = longer.removeprefix(shorter)
        assert longer.startswith(shorter)
        # The longer one's first numbers are those of the shorter one once it has counted that far.
        assert not rest.strip("0123456789")


@pytest.mark.parametrize(("one", "other"), [("", "7"), ("A-", "A-"), ("A-", "A-1"), ("", "")])
def test_a_sequence_that_could_meet_anothers_cannot_be_saved(app: Flask, one: str, other: str) -> None:
    with unit_of_work():
        create_shop("One", prefix=one)
    with pytest.raises(Invalid, match="could give the same numbers"), unit_of_work():
        create_shop("Other", prefix=other)


def test_numbers_drawn_in_parallel_never_repeat(app: Flask) -> None:
    with unit_of_work():
        shop = create_shop("Harbor", prefix="H-").id
    together = Barrier(5)

    def draw() -> list[str]:
        together.wait(60)
        with app.app_context():
            return [number for _ in range(4) for number in draw_numbers(shop, 25)]

    with ThreadPoolExecutor(5) as pool:
        drawn = [number for task in [pool.submit(draw) for _ in range(5)] for number in task.result(60)]
    assert len(set(drawn)) == 500
    assert sorted(drawn) == [f"H-{number:06d}" for number in range(1, 501)]
    assert draw_numbers(shop, 0) == []


TAKEN = "Name: Another store has this name, or the name has only digits. Choose another name."


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        ("", {"key": "k"}, "Name: Enter a value."),
        ("  ", {"key": "k"}, "Name: Enter a value."),
        ("fake STORE", {"key": "k"}, TAKEN),
        ("42", {"key": "k"}, TAKEN),
        ("New", {}, "Key: Enter a value."),
        ("New", {"key": "k", "colour": "red"}, "colour: There is no setting with this name. The settings are: key."),
    ],
)
def test_a_store_that_cannot_be_is_refused_and_nothing_is_left_of_it(
    store: Store, operator: Actor, name: str, values: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(Invalid) as refused, unit_of_work():
        add_store("fake", name, values, actor=operator)
    assert str(refused.value) == sentence
    assert [one.id for one in stores()] == [store.id]


def test_an_unknown_channel_is_not_found(app: Flask, operator: Actor) -> None:
    with pytest.raises(NotFound, match="kiosk"), unit_of_work():
        add_store("kiosk", "Kiosk", {}, actor=operator)


def test_a_store_is_found_by_id_and_by_name_in_any_case(store: Store, operator: Actor) -> None:
    with unit_of_work():
        other = add_store("fake", "Été", {"key": "k"}, actor=operator)
    assert get_store(store.id) is get_store(str(store.id)) is get_store(" FAKE store ") is store
    assert get_store("ÉTÉ") is get_store("été") is other
    with pytest.raises(Invalid, match="Another store"), unit_of_work():
        add_store("fake", "ÉTÉ", {"key": "k"}, actor=operator)
    for wrong in ("kiosk", "999", "9" * 40, "²", "", "-1", "a\0b"):
        with pytest.raises(NotFound):
            get_store(wrong)


def test_only_who_may_edit_stores_adds_and_changes_them(store: Store, mia: Actor) -> None:
    with pytest.raises(Forbidden), unit_of_work():
        add_store("fake", "New", {"key": "k"}, actor=mia)
    with pytest.raises(Forbidden), unit_of_work():
        change_store(store, {"key": "other"}, actor=mia)


def test_changes_name_settings_only_and_never_their_values(store: Store, operator: Actor) -> None:
    with unit_of_work():
        change_store(db.session.get_one(Store, store.id), {"key": "k-other-7"}, actor=operator, name="Renamed")
    assert (get_store("Renamed").id, access(get_store("Renamed")).settings["key"]) == (store.id, "k-other-7")
    entries = db.session.query(AuditEntry).filter(AuditEntry.code.in_(["store_added", "store_changed"])).all()
    assert len(entries) == 2
    assert "k-other-7" not in str([entry.data for entry in entries])
    assert "k-other-7" not in repr(access(store))


class Kiosk(FakeChannel):
    """A channel with a practice address."""

    code = "kiosk"
    settings = (
        Setting(name="key", label="Key", default=None, secret=True),
        Setting(name="endpoint", label="Endpoint", default=""),
        Setting(name="token_endpoint", label="Token endpoint", default=""),
    )


@pytest.fixture
def kiosk(app: Flask) -> Channel:
    made = Kiosk()
    hooks.manager.register(FakeChannelPlugin(made))
    return made


def test_a_practice_store_stays_where_it_practices(kiosk: Channel, operator: Actor) -> None:
    at = {"key": "k", "endpoint": "http://127.0.0.1:8400", "token_endpoint": "http://127.0.0.1:8400/token"}
    with unit_of_work():
        practice = add_store("kiosk", "Practice", at, actor=operator, practice=True).id
        real = add_store("kiosk", "Real", at, actor=operator).id
    for name in ("endpoint", "token_endpoint"):
        for elsewhere in ("https://real.test", ""):
            with pytest.raises(Invalid, match="The endpoint of a practice store can't be changed"), unit_of_work():
                change_store(db.session.get_one(Store, practice), {name: elsewhere}, actor=operator)
    with unit_of_work():
        change_store(db.session.get_one(Store, practice), at | {"key": "k2"}, actor=operator)
        change_store(db.session.get_one(Store, real), {"endpoint": "https://real.test"}, actor=operator)
    assert access(get_store("Practice")).settings == at | {"key": "k2"}
    assert access(get_store("Real")).settings["endpoint"] == "https://real.test"


def test_orders_go_to_the_shop_of_their_marketplace(
    store: Store, channel: FakeChannel, take: Callable[..., list[Order]]
) -> None:
    with unit_of_work():
        tokyo = create_shop("Tokyo", prefix="T-", zone="Asia/Tokyo").id
        for row in db.session.get_one(Store, store.id).marketplaces:
            if row.marketplace == "JP":
                row.shop_id = tokyo
    treated = treatment_of(store)
    own = store.shop_id
    assert [treated.shop_for(marketplace) for marketplace in ("JP", "DE", "MX")] == [tokyo, own, own]
    there, here = take(incoming_order(marketplace="JP", currency="JPY"), incoming_order())
    assert (there.shop_id, there.number, here.shop_id) == (tokyo, "T-000001", store.shop_id)
    with unit_of_work():  # testing the connection again moves nothing
        again = db.session.get_one(Store, store.id)
        remember_marketplaces(again, channel.connect(access(again)))
    assert treatment_of(db.session.get_one(Store, store.id)).shop_for("JP") == tokyo


def test_the_first_shop_is_made_when_it_is_needed(app: Flask) -> None:
    with unit_of_work():
        made = default_shop()
        assert default_shop() is made


class SitedChannel(FakeChannel):
    """A channel whose orders have pages at an address that is a setting of each store."""

    settings = (*FakeChannel.settings, Setting(name="site", label="Site"))

    def order_url(self, store: StoreAccess, number: str, marketplace: str) -> str | None:
        assert set(store.settings) == {"site"}
        site = store.settings["site"]
        return f"https://{site}/{number}" if site else None


def test_the_page_of_an_order_follows_its_stores_settings_and_knows_no_secret(app: Flask, operator: Actor) -> None:
    hooks.manager.register(FakeChannelPlugin(SitedChannel()))
    with unit_of_work():
        shed = add_store("fake", "Shed", {"key": "k-1", "site": "shed.test"}, actor=operator)
        barn = add_store("fake", "Barn", {"key": "k-2"}, actor=operator)
    assert described.order_url(shed, "302-1", "DE") == "https://shed.test/302-1"
    assert described.order_url(barn, "302-1", "DE") == ""
    with unit_of_work():
        change_store(shed, {"site": "new.test"}, actor=operator)
    assert described.order_url(shed, "302-1", "DE") == "https://new.test/302-1"
