"""Shared by tests of orders: an act as every door does it, and buyers that are erased as time passes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask

from webapp.audit.actor import Actor
from webapp.channels.contract import ChannelStage, IncomingOrder, IncomingPackage
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.orders.erasing import erase_by_date
from webapp.orders.models import Order, OrderHold
from webapp.orders.queries import find_order, reference
from webapp.orders.services import Done, act, find_action, read_input
from webapp.testing import again, line_again
from webapp.vault import services as vault
from webapp.vault.services import reveal

Do = Callable[..., Done]
Take = Callable[..., list[Order]]
Work = Callable[[], int]


@pytest.fixture
def do(app: Flask) -> Do:
    """Do an action on an order, with its input as JSON."""

    def act_on(order: Order, code: str, data: dict[str, Any], actor: Actor, **more: Any) -> Done:
        action, number = find_action(code), reference(order)
        with unit_of_work():
            return act(action, find_order(number, actor, lock=True), read_input(action, data), actor, **more)

    return act_on


def reason_of(hold: OrderHold) -> str:
    """The reason of an order's hold; empty once its key is destroyed."""
    return str(vault.open_sealed([(hold.order_id, "hold", hold.sealed)])[0] or "") if hold.sealed else ""


@contextmanager
def days_later(days: float) -> Iterator[None]:
    with time_machine.travel(now() + timedelta(days=days)):
        yield


def shipped(order: IncomingOrder, **more: Any) -> IncomingOrder:
    """The order as the channel lists it after shipping."""
    lines = line_again(order, fulfilled=order.lines[0].ordered, unfulfilled=0)
    parcel = IncomingPackage("1", {order.lines[0].number: order.lines[0].ordered}, shipped_at=order.updated_at)
    return again(order, stage=ChannelStage.SHIPPED, status="SHIPPED", lines=lines, packages=(parcel,), **more)


def names_of(ids: list[int]) -> set[int]:
    """The orders whose buyers can be read."""
    db.session.rollback()
    return set(reveal(Actor.operator(), ids, purpose="test"))


def erase_all(work: Work) -> None:
    erase_by_date.enqueue()
    work()
    db.session.expire_all()
