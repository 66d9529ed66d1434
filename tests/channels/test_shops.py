"""Shops: what they are called, where their numbers come from, and that no number is ever given twice."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings, strategies as st

from webapp.audit.actor import Actor
from webapp.channels.models import Shop
from webapp.channels.services import draw_numbers
from webapp.channels.shops import change_shop, create_shop, get_shop, next_numbers, sequence_of, shops
from webapp.db import db, unit_of_work
from webapp.errors import Forbidden, Invalid, NotFound


def values_of(shop: Shop, **changed: Any) -> dict[str, Any]:
    sequence = sequence_of(shop)
    had = {"name": shop.name, "zone": shop.zone, "prefix": sequence.prefix, "padding": sequence.padding}
    return had | changed


def changed(shop_id: int, actor: Actor, **told: Any) -> None:
    with unit_of_work():
        shop = get_shop(shop_id)
        change_shop(shop, **values_of(shop, **told), actor=actor)


@pytest.fixture
def shop_id(app: Flask, operator: Actor) -> int:
    with unit_of_work():
        return create_shop("Berlin", prefix="B-", zone="Europe/Berlin", actor=operator).id


def test_a_shop_is_described(shop_id: int, operator: Actor) -> None:
    changed(shop_id, operator, name="  Berlin  Mitte ", zone="Europe/Paris")
    shop = get_shop(shop_id)
    assert (shop.name, shop.zone) == ("Berlin Mitte", "Europe/Paris")
    with pytest.raises(NotFound):
        get_shop(99)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"name": " "}, "Enter a value"),
        ({"name": "x" * 101}, "too long"),
        ({"name": "PARIS"}, "Another shop has this name"),
        ({"zone": "Moon/Base"}, "time zone is not known"),
        ({"prefix": "B/"}, "letters, digits"),
        ({"prefix": "P-"}, "could give the same numbers"),
        ({"prefix": "P-1"}, "could give the same numbers"),
        ({"padding": 0}, "from 1 to 12"),
    ],
)
def test_what_cannot_be_is_refused(shop_id: int, operator: Actor, told: dict[str, Any], why: str) -> None:
    with unit_of_work():
        create_shop("Paris", prefix="P-", actor=operator)
    with pytest.raises(Invalid, match=why):
        changed(shop_id, operator, **told)
    assert get_shop(shop_id).name == "Berlin"


def test_an_earlier_prefix_goes_on_where_it_stopped_and_is_nobody_elses(shop_id: int, operator: Actor) -> None:
    assert draw_numbers(shop_id, 2) == ["B-000001", "B-000002"]
    changed(shop_id, operator, prefix="C-", padding=4)
    assert draw_numbers(shop_id, 1) == ["C-0001"]
    with pytest.raises(Invalid, match="could give the same numbers as “B-”"), unit_of_work():
        create_shop("Other", prefix="B-", actor=operator)
    changed(shop_id, operator, prefix="B-", padding=6)
    assert next_numbers() == {shop_id: "B-000003"}
    assert draw_numbers(shop_id, 1) == ["B-000003"]


prefixes = st.sampled_from(["", "A", "A-", "1", "A1", "B-", "B"])
acts = st.lists(st.tuples(st.integers(0, 2), prefixes, st.integers(1, 3), st.integers(1, 6)), min_size=1, max_size=12)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=acts)
def test_whatever_prefixes_shops_take_no_number_is_given_twice(app: Flask, operator: Actor, script: list[Any]) -> None:
    given_numbers: list[str] = []
    with unit_of_work():
        count = len(shops())
        ids = [create_shop(f"Shop {count + n}", prefix=f"S{count + n}-", actor=operator).id for n in range(3)]
    for which, prefix, count, padding in script:
        try:
            changed(ids[which], operator, prefix=prefix, padding=padding)
        except Invalid:
            db.session.rollback()
        given_numbers += draw_numbers(ids[which], count)
    assert len(given_numbers) == len(set(given_numbers))


def test_of_two_shops_added_at_once_only_one_can_give_a_number(app: Flask, operator: Actor) -> None:
    begun = Event()

    def add() -> None:
        begun.set()
        with app.app_context(), unit_of_work():
            create_shop("Second", prefix="A-1", actor=operator)

    with ThreadPoolExecutor(1) as pool:
        with unit_of_work():
            create_shop("First", prefix="A-", actor=operator)
            added = pool.submit(add)
            assert begun.wait(60)
            time.sleep(0.3)  # until it waits
        with pytest.raises(Invalid, match="could give the same numbers as “A-”"):
            added.result(60)


def test_changing_shops_needs_its_right(shop_id: int, mia: Actor) -> None:
    with pytest.raises(Forbidden):
        changed(shop_id, mia, name="Mine")
    with pytest.raises(Forbidden), unit_of_work():
        create_shop("Mine", prefix="M-", actor=mia)
