"""Shared by tests of sending updates to a channel."""

from collections.abc import Callable

import pytest
from sqlalchemy import select

from webapp.audit.actor import Actor
from webapp.db import db, unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.testing import incoming_line, incoming_order
from webapp.updates.models import ChannelUpdate


@pytest.fixture
def shipped(take: Callable[..., list[Order]], mia: Actor) -> Order:
    """An order whose two units were just shipped in one package; the job that sends its update waits in the queue."""
    [order] = take(incoming_order([incoming_line("MUG", 2)], number="302-7777777-0000001"))
    with unit_of_work():
        ship_order(locked(order), [PackageInput("DHL", "JD0001")], actor=mia)
    return order


def update() -> ChannelUpdate:
    """The only update, as it is now."""
    db.session.expire_all()
    return db.session.scalars(select(ChannelUpdate)).one()
