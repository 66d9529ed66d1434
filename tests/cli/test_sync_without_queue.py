"""Without a queue `sync` says so instead of leaving a run that no worker hears of, and a new store is read later."""

from collections.abc import Callable

import pytest

from tests.cli.conftest import Command
from tests.conftest import run_by_the_clock
from webapp.channels.connecting import Connection, Disconnected
from webapp.channels.models import Store
from webapp.config import configuration
from webapp.db import db
from webapp.jobs.models import Run
from webapp.orders.models import Order
from webapp.testing import FakeChannel, incoming_order


def test_a_sync_that_no_worker_can_hear_of_is_not_started(
    cli: Command, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    configuration.cache_clear()
    ended = cli("sync", store.id)
    assert (ended.code, "can't reach its queue" in ended.err) == (6, True)
    assert db.session.query(Run).count() == 0


def test_a_store_that_is_added_before_there_is_a_queue_is_read_once_there_is_one(
    cli: Command, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel.offer(incoming_order())
    with monkeypatch.context() as away:
        away.setenv("REDIS_URL", "redis://127.0.0.1:1")
        configuration.cache_clear()
        assert cli("store", "add", "fake", "--name", "Early", "--set", "key=k").code == 0
    configuration.cache_clear()
    run_by_the_clock()
    assert db.session.query(Order).count() == 1


def test_a_store_that_is_refused_at_first_is_read_once_its_test_works(
    cli: Command, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch, work: Callable[[], int]
) -> None:
    channel.offer(incoming_order())
    with monkeypatch.context() as patch:
        refused = Connection(problem=Disconnected(channel="Fake", problem="asleep"))
        patch.setattr(FakeChannel, "connect", lambda self, store: refused)
        assert cli("store", "add", "fake", "--name", "Berlin", "--set", "key=k").code == 0
        work()
    assert cli("store", "test", "Berlin").code == 0
    run_by_the_clock()
    assert db.session.query(Order).count() == 1
