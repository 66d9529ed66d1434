"""The preview of order settings: what it shows is what the import then does with the same order."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from webapp.audit.actor import Actor
from webapp.channels.incoming import ChannelStage, IncomingOrder
from webapp.channels.models import Store
from webapp.channels.shops import create_shop
from webapp.db import db, unit_of_work
from webapp.orders.models import Order
from webapp.orders.order_settings import Treatment, change_orders
from webapp.orders.statuses import find_status, make_status, retire_status
from webapp.sync.preview import newest_of, preview
from webapp.testing import GERMANY, JAPAN, again, incoming_line, incoming_order

Take = Callable[..., list[Order]]
_numbers = count(1)
ORDERS: dict[str, dict[str, Any]] = {
    "open": {},
    "pending": {"stage": ChannelStage.AWAITING_PAYMENT, "status": "PENDING", "buyer": {}},
    "shipped": {"stage": ChannelStage.SHIPPED, "status": "SHIPPED"},
    "canceled": {"stage": ChannelStage.CANCELED, "status": "CANCELLED"},
    "japanese": {"marketplace": JAPAN.id, "currency": "JPY"},
    "without a SKU": {"lines": [incoming_line("", 2, fulfilled=1)]},
    "of an odd status": {"stage": ChannelStage.UNKNOWN, "status": "MOON"},
    "odd": {"buyer": {"name": "Jane", "address": {"country": "DE"}}, "missing": ("PROCEEDS",)},
}
SETTINGS: dict[str, dict[str, Any]] = {
    "usual": {},
    "their numbers": {"own_numbers": False, "status": "to_pick"},
    "status": {"status": "to_pick"},
    "retired status": {"status": "retired"},
    "not imported": {"import_orders": False, "status": "to_pick"},
    "Japan off": {"off": frozenset({JAPAN.id}), "status": "to_pick", "own_numbers": False},
    "shop of Japan": {"shops": "tokyo", "status": "to_pick"},
    "another shop": {"shop_id": "tokyo"},
}


@pytest.fixture
def tokyo(store: Store, operator: Actor) -> int:
    with unit_of_work():
        make_status("to_pick", {"en": "To pick"}, state="processing", actor=operator)
        make_status("retired", {"en": "Retired"}, state="processing", actor=operator)
        make_status("cups", {"en": "Cups"}, state="processing", rule="sku:CUP", actor=operator)
        return create_shop("Tokyo", prefix="T-", actor=operator).id


def treated(store: Store, tokyo: int, given: dict[str, Any]) -> Treatment:
    own = {"import_orders": True, "own_numbers": True, "status": "", "other_orders": True}
    usual = Treatment(**own, shop_id=store.shop_id, shops={}, off=frozenset())
    made = replace(usual, **{name: value for name, value in given.items() if value != "tokyo"})
    if given.get("shops") == "tokyo":
        made = replace(made, shops={JAPAN.id: tokyo})
    return replace(made, shop_id=tokyo) if given.get("shop_id") == "tokyo" else made


def save(store: Store, treatment: Treatment, operator: Actor) -> None:
    with unit_of_work():
        row = db.session.get_one(Store, store.id)
        change_orders(
            row,
            settings={
                "import_orders": treatment.import_orders,
                "own_numbers": treatment.own_numbers,
                "new_order_status": treatment.status,
            },
            shop_id=treatment.shop_id,
            marketplace_shops=dict(treatment.shops),
            marketplaces={f"marketplace.{name}": name not in treatment.off for name in (GERMANY.id, JAPAN.id)},
            actor=operator,
        )


def looks(order: Order) -> tuple[Any, ...]:
    return order.shop_id, order.state, order.status, order.attention


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_import_does_what_the_preview_shows(
    store: Store, take: Take, tokyo: int, operator: Actor, settings: str
) -> None:
    treatment = treated(store, tokyo, SETTINGS[settings])
    kinds = ORDERS | {"by rule": {"lines": [incoming_line("CUP", 1)]}}
    told = {name: incoming_order(**kind) for name, kind in kinds.items()}
    take(*told.values())
    save(store, treatment, operator)
    if settings == "retired status":
        with unit_of_work():
            retire_status(find_status("retired"), actor=operator)
    for name, incoming in told.items():
        db.session.rollback()
        seen = db.session.query(Order).filter_by(channel_order_number=incoming.number).one()
        shown = preview(seen, treatment)
        expected = (shown.shop_id, shown.state, shown.status, list(shown.attention))
        [copy] = take(_copy(incoming))
        db.session.refresh(copy)
        assert looks(copy) == expected, name
        if shown.once_paid is not None:
            [paid] = take(_paid(copy))
            db.session.refresh(paid)
            assert paid.status == shown.once_paid, name
        theirs = {incoming.number: copy.channel_order_number}.get(shown.number or "", shown.number)
        assert copy.number == theirs, name


def _paid(order: Order) -> IncomingOrder:
    pending = incoming_order(**ORDERS["pending"], number=order.channel_order_number)
    return again(pending, stage=ChannelStage.OPEN, status="UNSHIPPED")


def _copy(order: IncomingOrder) -> IncomingOrder:
    return replace(order, number=f"305-0000000-{next(_numbers):07}")


def test_the_newest_order_is_previewed(store: Store, take: Take, operator: Actor) -> None:
    assert newest_of(store, operator) is None
    [order] = take(incoming_order())
    found = newest_of(store, operator)
    assert found is not None
    assert found.id == order.id


def test_what_a_pending_order_gets_once_it_is_paid_is_shown(
    store: Store, take: Take, tokyo: int, operator: Actor
) -> None:
    [order] = take(incoming_order(**ORDERS["pending"]))
    shown = preview(order, treated(store, tokyo, {"status": "to_pick"}))
    assert (shown.state, shown.status, shown.once_paid) == ("pending", None, "to_pick")
    assert preview(order, treated(store, tokyo, {"status": "to_pick", "import_orders": False})).once_paid is None
