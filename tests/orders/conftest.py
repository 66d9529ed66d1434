"""What tests of acts on orders share: an act as every door does it."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from webapp.audit.actor import Actor
from webapp.db import unit_of_work
from webapp.orders.models import Order, OrderHold
from webapp.orders.queries import find_order, reference
from webapp.orders.services import Done, act, find_action, read_input
from webapp.vault import services as vault

Do = Callable[..., Done]


@pytest.fixture
def do(app: Flask) -> Do:
    """Do an action to an order, with the data that it needs as JSON gives them."""

    def act_on(order: Order, code: str, data: dict[str, Any], actor: Actor, **more: Any) -> Done:
        action, number = find_action(code), reference(order)
        with unit_of_work():
            return act(action, find_order(number, actor, lock=True), read_input(action, data), actor, **more)

    return act_on


def reason_of(hold: OrderHold) -> str:
    """Why an order was held; empty once its key is gone."""
    return str(vault.open_sealed([(hold.order_id, "hold", hold.sealed)])[0] or "") if hold.sealed else ""
