"""Shared by tests of orders: an act as every door does it, exports, and buyers that are erased as time passes."""

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask

from webapp.audit.actor import Actor
from webapp.channels.incoming import ChannelStage, IncomingOrder, IncomingPackage
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.lists.exporting import Table, ids_of, stream_csv
from webapp.orders.erasing import erase_by_date
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order, OrderHold
from webapp.orders.queries import find_order, reference
from webapp.orders.services import Done, act, find_action, read_input
from webapp.search.contract import ORDERS
from webapp.testing import again, incoming_line, incoming_order, line_again
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


# --- Exports ---


@pytest.fixture
def max_(make_user: Callable[..., Actor]) -> Actor:
    """A manager, who may export."""
    return make_user("manager", "Max")


@pytest.fixture
def orders(take: Callable[..., list[Order]]) -> list[Order]:
    lines = [incoming_line("MUG", 2), incoming_line("=1+1", 1, price=250)]
    return take(incoming_order(lines), incoming_order([incoming_line("TEA", 3)]))


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def streamed(actor: Actor, rows: str = ORDERS, codes: tuple[str, ...] = (), **more: Any) -> list[dict[str, str]]:
    table = Table(ORDER_LIST, actor, rows, codes)
    return read("".join(stream_csv(table, ids_of(ORDER_LIST, actor, **more))))
