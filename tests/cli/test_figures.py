"""`figures check` adds up all orders again, tells where the figures differ, and mends them."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.cli.conftest import one_sentence
from webapp.channels.models import Store
from webapp.db import db, unit_of_work
from webapp.live import connection, key
from webapp.orders.models import Order
from webapp.reporting.changes import Sums
from webapp.reporting.folding import Lease, missing
from webapp.reporting.jobs import count_shops, fold_figures
from webapp.reporting.models import DailyFigure, FigureChange
from webapp.sync.jobs import find_due
from webapp.testing import FakeChannel, incoming_order


def test_differences_are_told_and_repaired(cli: Callable[..., Any], take: Callable[..., list[Order]]) -> None:
    take(incoming_order(), incoming_order())
    count_shops()
    fold_figures()
    assert cli("figures", "check").out.startswith("The figures match the orders.")
    with unit_of_work():
        db.session.execute(update(DailyFigure).values(orders=5, total_minor=1))

    told = cli("figures", "check", "--json")
    assert told.code == 1
    assert told.document["differences"] == 1
    assert (told.document["rows"][0]["orders"], told.document["rows"][0]["total"]) == (-3, "23.99")

    assert cli("figures", "check", "--repair", "--json").document["repaired"] is True
    db.session.rollback()
    assert cli("figures", "check", "--json").document == {"differences": 0, "repaired": False, "rows": []}


def test_two_do_not_count_at_once(cli: Callable[..., Any], store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webapp.cli.figures._PATIENCE", 0.2)
    other = connection().lock(key("figures"), timeout=60)
    other.acquire()
    assert cli("figures", "check").code == 5
    other.release()


def test_a_turn_that_is_lost_meanwhile_is_said_and_nothing_written(
    cli: Callable[..., Any], take: Callable[..., list[Order]], monkeypatch: pytest.MonkeyPatch
) -> None:
    take(incoming_order())
    count_shops()
    fold_figures()
    with unit_of_work():
        db.session.execute(update(DailyFigure).values(orders=5))

    def slowly(lease: Lease) -> tuple[Sums, dict[int, str]]:
        found = missing(lease)
        connection().delete(key("figures"))
        return found

    monkeypatch.setattr("webapp.cli.figures.missing", slowly)
    told = cli("figures", "check", "--repair")
    assert (told.code, told.out) == (5, "")
    assert one_sentence(told).endswith("another process may have started again. Try again in a minute.")
    assert db.session.scalars(select(DailyFigure.orders)).all() == [5]
    assert db.session.scalar(select(FigureChange.id)) is None


def test_a_store_is_paused_and_put_away_by_command(
    cli: Callable[..., Any], store: Store, channel: FakeChannel, work: Callable[[], int]
) -> None:
    assert cli("store", "deactivate", "Fake store", "--json").document["active"] is False
    find_due()
    assert channel.asked == []
    assert cli("store", "archive", "Fake store", "--json").document["archived_at"]
    assert "restore it first" in cli("store", "activate", "Fake store").err
    assert cli("store", "restore", "Fake store", "--json").document["archived_at"] is None
    assert cli("store", "activate", "Fake store", "--json").document["active"] is True
    work()
    assert channel.asked != []


def test_a_store_added_by_command_is_read_by_itself(
    cli: Callable[..., Any], channel: FakeChannel, work: Callable[[], int]
) -> None:
    channel.offer(incoming_order())
    assert cli("store", "add", "fake", "--name", "Mine", "--set", "key=k").code == 0
    work()
    db.session.rollback()
    assert db.session.query(Order).count() == 1
