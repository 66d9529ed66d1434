"""A till that receives credits, a store on it, and what tests of updates do with both."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select

from tests.updates import till as tills
from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.channels.services import access, add_store, remember_marketplaces
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.hooks import hooks
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.sync import jobs
from webapp.testing import incoming_order
from webapp.updates.contract import Owing
from webapp.updates.models import ChannelUpdate
from webapp.updates.owing import owe


@pytest.fixture
def till() -> Iterator[tills.Ledger]:
    """What the till paid."""
    server = tills.TillServer()
    server.ledger.url = server.url
    yield server.ledger
    server.close()


@pytest.fixture
def channel(app: Flask) -> tills.TillChannel:
    plugin = tills.plugin()
    hooks.manager.register(plugin, name="till")
    for kept in (tills.CreditKind.unwanted, tills.CreditKind.waiting, tills.CreditKind.ended):
        kept.clear()  # type: ignore[attr-defined]
    return plugin._channel  # type: ignore[return-value]


def connected(till: tills.Ledger, channel: tills.TillChannel, name: str) -> Store:
    """A store at this till, tested as the page does it."""
    with unit_of_work():
        settings = {"url": till.url, "secret": "right"}
        store = add_store("till", name, settings, actor=Actor.operator())
        remember_marketplaces(store, channel.connect(access(store)))
    return db.session.get_one(Store, store.id)


@pytest.fixture
def store(till: tills.Ledger, channel: tills.TillChannel) -> Store:
    return connected(till, channel, "Till")


@pytest.fixture
def order(take: Callable[..., list[Order]]) -> Order:
    [order] = take(incoming_order(number="302-7777777-0000001"))
    return order


Credit = Callable[..., ChannelUpdate]


@pytest.fixture
def credit(order: Order) -> Credit:
    """Owe a credit of an order, by its id, held or due at once."""

    def make(number: int = 1, amount: int = 100, *, held: bool = False, of: Order | None = None) -> ChannelUpdate:
        with unit_of_work():
            [row] = owe("credit", [Owing(locked(of or order), tills.Credit(number, amount))])
            if not held:
                row.state, row.due_at = "owed", row.created_at
        return update(number)

    return make


def update(number: int = 1) -> ChannelUpdate:
    """The latest update of this credit, as it is now."""
    db.session.expire_all()
    query = select(ChannelUpdate).where(ChannelUpdate.reference == f"C{number}", ChannelUpdate.kind == "credit")
    return db.session.scalars(query.order_by(ChannelUpdate.revision.desc())).all()[0]


Work = Callable[[], int]
LANE = "payouts"


class Killed(BaseException):
    """Replaces a worker's kill: nothing after it runs, and open transactions are rolled back."""


def later(seconds: float) -> time_machine.travel:
    return time_machine.travel(now() + timedelta(seconds=seconds), tick=True)


def go_on(store: Store, work: Work, *, times: int = 8, every: float = 70) -> None:
    """Let the clock find whatever is due, again and again."""
    for number in range(1, times + 1):
        with later(number * every):
            jobs.find_due()
            work()


def run(store: Store) -> None:
    jobs.deliver(store.id, LANE)
