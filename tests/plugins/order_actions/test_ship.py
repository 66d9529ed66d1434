"""The forms of shipping's input: one package or many, days and times."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plugins.order_actions.ship import ShipInput, ShipOrder
from webapp.api import Actor, Order, db, now, unit_of_work
from webapp.channels.models import Shop
from webapp.fulfillment.models import Package
from webapp.orders.queries import locked
from webapp.orders.services import act, read_input
from webapp.testing import incoming_line, incoming_order

PARCEL = {"carrier": "DHL", "tracking_number": "JD1"}


def ship(order: Order, given: dict[str, Any], actor: Actor) -> list[Package]:
    action = ShipOrder()
    with unit_of_work():
        act(action, locked(order), read_input(action, given), actor)
    return list(db.session.query(Package).order_by(Package.number))


def test_one_packages_fields_can_stand_directly() -> None:
    assert ShipInput.model_validate(PARCEL) == ShipInput.model_validate({"packages": [PARCEL]})


def test_many_packages_go_in_one_act(take: Callable[..., list[Order]], mia: Actor) -> None:
    [order] = take(incoming_order([incoming_line("MUG", 3)]))
    line = order.lines[0].id
    parcels = [PARCEL | {"tracking_number": f"JD{n}", "lines": {str(line): n}} for n in (1, 2)]
    packages = ship(order, {"packages": parcels}, mia)
    assert [(package.number, package.tracking_number) for package in packages] == [(1, "JD1"), (2, "JD2")]


def test_today_is_now(make_order: Callable[..., Order], mia: Actor) -> None:
    [package] = ship(make_order(created_at=now() - timedelta(minutes=1)), PARCEL | {"ship_date": _today()}, mia)
    assert abs(package.shipped_at - now()) < timedelta(minutes=1)


def _today() -> str:
    return now().date().isoformat()


def test_another_day_is_its_end_in_the_shops_zone(make_order: Callable[..., Order], mia: Actor) -> None:
    order = make_order(created_at=now() - timedelta(days=9))
    with unit_of_work():
        db.session.query(Shop).one().zone = "Asia/Tokyo"
    day = (now() - timedelta(days=3)).date()
    [package] = ship(order, PARCEL | {"ship_date": day.isoformat()}, mia)
    end = datetime(day.year, day.month, day.day, 15, tzinfo=UTC)  # midnight in Tokyo
    assert end - package.shipped_at == timedelta(minutes=1)


def test_a_time_without_an_offset_is_the_shops(make_order: Callable[..., Order], mia: Actor) -> None:
    order = make_order(created_at=now() - timedelta(days=9))
    with unit_of_work():
        db.session.query(Shop).one().zone = "Asia/Tokyo"
    day = (now() - timedelta(days=3)).date()
    [package] = ship(order, PARCEL | {"ship_date": f"{day}T18:00:00"}, mia)
    assert package.shipped_at == datetime(day.year, day.month, day.day, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    "given",
    [{}, {"packages": []}, {"packages": "x"}, {"ship_date": "someday"}, {"ship_date": "9999-12-31"}, {"colour": "red"}],
)
def test_what_cannot_be_read_is_a_sentence(make_order: Callable[..., Order], mia: Actor, given: dict[str, Any]) -> None:
    order = make_order()
    with pytest.raises(Exception, match=r"\w") as raised:
        ship(order, given if "packages" in given else PARCEL | given if given else {}, mia)
    assert raised.value.__class__.__module__.startswith("webapp.")
