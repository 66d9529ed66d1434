"""What tests of canceling share: an order of two lines that is being canceled, and its update as it is now."""

from collections.abc import Callable

import pytest
from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.channels.incoming import IncomingOrder
from webapp.db import db, unit_of_work
from webapp.fulfillment.models import Cancellation
from webapp.orders.models import Order
from webapp.orders.queries import find_order, reference
from webapp.orders.services import act, find_action, read_input
from webapp.testing import FakeChannel, incoming_line, incoming_order
from webapp.updates.models import ChannelUpdate

Do = Callable[..., None]


@pytest.fixture
def boss(make_user: Callable[..., Actor]) -> Actor:
    """A manager."""
    return make_user("manager", "Bo")


@pytest.fixture
def told(channel: FakeChannel) -> IncomingOrder:
    """The order as the channel lists it."""
    return incoming_order([incoming_line("MUG", 3), incoming_line("CUP", 1)])


@pytest.fixture
def order(take: Callable[..., list[Order]], told: IncomingOrder) -> Order:
    [order] = take(told)
    return order


@pytest.fixture
def do(boss: Actor) -> Do:
    """Act on an order as every door does."""

    def act_on(
        order: Order, code: str, *, actor: Actor = boss, version: int | None = None, key: str = "", **data: object
    ):
        action = find_action(code)
        with unit_of_work():
            row = find_order(reference(order), actor, lock=True)
            act(action, row, read_input(action, data), actor, version=version, key=key or None)

    return act_on


def update() -> ChannelUpdate:
    """The latest update, as it is now."""
    db.session.expire_all()
    return db.session.scalars(select(ChannelUpdate).order_by(ChannelUpdate.id.desc())).all()[0]


def cancellation() -> Cancellation:
    """The latest cancellation, as it is now."""
    db.session.expire_all()
    return db.session.scalars(select(Cancellation).order_by(Cancellation.id.desc())).all()[0]
