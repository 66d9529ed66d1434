"""Filling a practice desk: as many orders as asked, once, each of which the practice Amazon knows and can ship."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from plugins.amazon.filling import FilledOrders, practice_world
from plugins.amazon.practice import PracticeClient, PracticeServer
from plugins.amazon.practice.practice import Practice
from plugins.amazon.practice.world import FILLED_FROM
from tests.cli.conftest import Command, Ended
from webapp.api import Actor, Order, add_store, now, stores, unit_of_work
from webapp.channels.models import Store
from webapp.cli.main import main
from webapp.config import configuration
from webapp.db import db
from webapp.fulfillment.models import Package
from webapp.vault.services import reveal

pytestmark = pytest.mark.own_desk


@pytest.fixture
def cli(app: Flask, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command on this test's desk."""

    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Ended(int(code), *capsys.readouterr())

    return run


def fill(cli: Command, *arguments: object) -> dict[str, int]:
    ended = cli("practice", "fill", "--json", *arguments)
    assert ended.code == 0, ended.err
    document: dict[str, int] = ended.document
    return document


@pytest.fixture
def world(app: Flask) -> Iterator[Practice]:
    """The practice Amazon of this test's desk, as a later process would find it."""
    opened = practice_world()
    yield opened
    opened.close()


def test_a_desk_is_filled_with_exactly_so_many_orders_and_only_once(cli: Command) -> None:
    first = fill(cli, "--orders", 300)
    again = fill(cli, "--orders", 300)
    more = fill(cli, "--orders", 350)

    assert (first["new"], again["new"], more["new"]) == (300, 0, 50)
    assert db.session.query(Order).count() == 350
    assert {store.name for store in stores() if store.practice} == {
        "Practice Amazon US", "Practice Amazon EU", "Practice Amazon JP",
    }  # fmt: skip


def test_most_orders_are_done_with_and_a_few_are_open_and_late(cli: Command) -> None:
    fill(cli, "--orders", 1500)

    orders = db.session.query(Order).all()
    open_ones = [order for order in orders if order.state in ("pending", "processing")]
    assert 0.02 < len(open_ones) / len(orders) < 0.06
    assert any(order.ship_by and order.ship_by < now() for order in open_ones)
    assert {"complete", "canceled", "processing"} <= {order.state for order in orders}
    assert min(order.placed_at for order in orders) < now() - timedelta(days=720)
    assert max(order.placed_at for order in orders) <= now()
    numbers = [order.number for order in orders]
    assert None not in numbers
    assert len(set(numbers)) == len(orders)
    # parcels, buyers and the rest were imported in the usual way
    assert db.session.query(Package).count() > 1000
    shipped = next(order for order in orders if order.fulfilled_by == "merchant" and order.state == "complete")
    assert reveal(Actor.operator(), [shipped.id], purpose="test")[shipped.id]["email"]


def test_the_practice_amazon_knows_every_filled_order(cli: Command, world: Practice) -> None:
    fill(cli, "--orders", 200)

    later = Practice(configuration().data_dir / "practice")  # as `up` starts it afterwards
    try:
        for order in db.session.query(Order):
            there = later.find(order.channel_order_number)
            assert there is not None
            assert there.order.index >= FILLED_FROM
            assert there.status == order.channel_status
        to_ship = db.session.query(Order).filter_by(state="processing", fulfilled_by="merchant").first()
        assert to_ship is not None
        shipped = later.act(to_ship.channel_order_number, "ship")
        assert shipped is not None
        assert shipped.status == "SHIPPED"
    finally:
        later.close()


def test_a_running_practice_amazon_hears_of_it_and_lists_the_open_ones(
    cli: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    home: Path = configuration().data_dir / "practice"
    with PracticeServer(home, orders=20, arrivals=0, settings={"rates": 1000, "edge": 0}) as server:
        monkeypatch.setenv("WAYBILL_PRACTICE_URL", server.url)
        configuration.cache_clear()

        told = fill(cli, "--orders", 150)

        assert told["in_transactions_of"] == 100
        with PracticeClient(server.url) as client:
            for order in db.session.query(Order):
                assert client.order(order.channel_order_number)["status"] == order.channel_status


def test_one_store_is_filled_alone_when_named(cli: Command) -> None:
    fill(cli, "--orders", 40)
    fill(cli, "--orders", 30, "--store", "practice amazon jp")

    japan = db.session.query(Store).filter_by(name="Practice Amazon JP").one()
    assert db.session.query(Order).count() == 70
    assert db.session.query(Order).filter_by(store_id=japan.id).count() >= 30


def test_practice_orders_stay_out_of_a_real_desk(cli: Command) -> None:
    with unit_of_work():
        values = {"client_id": "c", "client_secret": "s", "refresh_token": "r", "region": "eu"}
        values["seller_id"] = "A1EXAMPLE1234"
        add_store("amazon", "Mine", values, actor=Actor.operator())

    ended = cli("practice", "fill", "--orders", 5)

    assert ended.code == 1
    assert "practice" in ended.err.lower()
    assert db.session.query(Order).count() == 0


def test_a_store_that_is_no_practice_store_is_not_filled(cli: Command) -> None:
    fill(cli, "--orders", 2)

    assert cli("practice", "fill", "--orders", 5, "--store", "Nobody's").code == 1


def test_what_became_of_a_filled_order_meanwhile_is_what_comes_in(cli: Command, world: Practice) -> None:
    stretches = world.fill(100, ["na", "eu", "fe"])
    source = FilledOrders(world, stretches, {"na": 1, "eu": 2, "fe": 3}, world.now_ms())
    listed = list(source.listed(0, len(source)))
    open_one = next(
        number
        for _, number, index in listed
        if (found := world.find(number)) and found.status == "UNSHIPPED" and found.order.fulfilled_by == "MERCHANT"
    )
    world.act(open_one, "cancel")

    fill(cli, "--orders", 100)

    assert len({number for _, number, _ in listed}) == 100
    [order] = db.session.query(Order).filter_by(channel_order_number=open_one)
    assert order.state == "canceled"
