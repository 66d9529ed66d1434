"""The forms of shipping's input: one package or many, days and times."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from plugins.order_actions.ship import ShipInput, ShipOrder
from webapp.api import HIDDEN, Actor, Invoice, Order, Refusal, Remaining, db, issue_invoice, now, unit_of_work
from webapp.billing.automatic import AUTOMATIC
from webapp.channels.incoming import Component, IncomingAmount
from webapp.channels.models import Shop
from webapp.errors import Forbidden
from webapp.fulfillment.models import Package
from webapp.orders.queries import locked
from webapp.orders.services import act, read_input
from webapp.settings.services import store_all
from webapp.testing import again, incoming_line, incoming_order

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


# --- Invoicing what ships ---------------------------------------------------------------------------------------------


def invoiced() -> list[list[int]]:
    """The units of each invoice."""
    return [[line.units for line in row.lines if line.units] for row in db.session.query(Invoice).order_by(Invoice.id)]


def test_what_ships_is_invoiced_in_the_same_act_if_that_is_ticked(take: Callable[..., list[Order]], mia: Actor) -> None:
    [order] = take(incoming_order([incoming_line("MUG", 3), incoming_line("CUP")]))
    mug, cup = (line.id for line in order.lines)
    ship(order, PARCEL | {"lines": {str(mug): 1}}, mia)
    assert invoiced() == []
    ship(order, PARCEL | {"lines": {str(mug): 1, str(cup): 1}, "invoice": True}, mia)
    assert invoiced() == [[1, 1]]
    with unit_of_work():
        issue_invoice(locked(order), {mug: 1}, actor=mia)
    ship(order, PARCEL | {"invoice": True}, mia)  # one unit of two is left to invoice, and one of them ships
    assert invoiced() == [[1, 1], [1], [1]]


def test_nothing_ships_if_it_can_not_be_invoiced(take: Callable[..., list[Order]], mia: Actor) -> None:
    [order] = take(incoming_order(total=None))
    with pytest.raises(Refusal, match="does not provide the total"):
        ship(order, PARCEL | {"invoice": True}, mia)
    assert order.lines[0].shipped == 0


def test_the_right_to_invoice_is_asked(make_order: Callable[..., Order], make_user: Callable[..., Actor]) -> None:
    order, packer = make_order(), make_user("packer", "Paul")
    with pytest.raises(Forbidden):
        ship(order, PARCEL | {"invoice": True}, packer)
    assert ShipOrder().offered(order, packer)["invoice"] is HIDDEN


def test_what_is_invoiced_already_just_ships(make_order: Callable[..., Order], mia: Actor) -> None:
    order = make_order()
    with unit_of_work():
        issue_invoice(locked(order), actor=mia)
    assert ShipOrder().offered(order, mia)["invoice"] is HIDDEN
    ship(order, PARCEL | {"invoice": True}, mia)
    assert invoiced() == [[1]]


def test_the_last_shipment_takes_what_was_kept_off_the_invoice(take: Callable[..., list[Order]], mia: Actor) -> None:
    amounts = (IncomingAmount(Component.ITEM, 1000), IncomingAmount(Component.SHIPPING, 500))
    [order] = take(incoming_order([incoming_line("MUG", 2, amounts=amounts)], total=1500))
    with unit_of_work():
        issue_invoice(locked(order), components={"shipping": False}, actor=mia)
    ship(order, PARCEL | {"lines": {str(order.lines[0].id): 1}, "invoice": True}, mia)
    assert invoiced() == [[2]]
    ship(order, PARCEL | {"invoice": True}, mia)
    assert invoiced() == [[2], []]


def test_what_is_left_below_zero_is_not_invoiced_with_the_last_shipment(
    take: Callable[..., list[Order]], mia: Actor
) -> None:
    told = incoming_order([incoming_line("MUG", price=1000)])
    [order] = take(told)
    with unit_of_work():
        issue_invoice(locked(order), actor=mia)
    take(again(told, amounts=(IncomingAmount(Component.OTHER, -50),), total=1150))
    assert Remaining(order).net < 0
    ship(order, PARCEL | {"invoice": True}, mia)
    assert (order.lines[0].shipped, invoiced()) == (1, [[1]])


def test_the_tick_is_hidden_where_the_store_invoices_by_itself(make_order: Callable[..., Order], mia: Actor) -> None:
    order = make_order()
    assert ShipOrder().offered(order, mia)["invoice"].shown
    with unit_of_work():
        values = {"invoices": "when_shipped", "invoice_from": (now() - timedelta(days=2)).date().isoformat()}
        store_all(AUTOMATIC, values, order.store)
    assert ShipOrder().offered(order, mia)["invoice"] is HIDDEN


def test_the_carrier_of_the_last_shipment_is_offered_to_who_shipped_it(
    take: Callable[..., list[Order]], mia: Actor, make_user: Callable[..., Actor]
) -> None:
    first, second = take(incoming_order(), incoming_order())

    def offered(actor: Actor) -> list[Any]:
        fields = ShipOrder().offered(second, actor)["packages"].fields
        return [fields[name].default for name in ("carrier", "carrier_name", "service")]

    assert offered(mia) == [None, None, None]
    ship(first, PARCEL | {"carrier": "Other", "carrier_name": "Bike post", "service": "Noon"}, mia)
    assert offered(mia) == ["Other", "Bike post", "Noon"]
    assert offered(make_user(name="Ann")) == [None, None, None]
    name = ShipOrder().offered(second, mia)["packages"].fields["carrier_name"]
    assert name.only_with == ("carrier", "Other")
