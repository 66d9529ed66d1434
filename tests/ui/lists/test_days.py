"""A day is the list's day: what is done to everything found takes what the list showed, whatever day UTC has."""

import csv
import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from sqlalchemy import update

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.channels.models import Shop
from webapp.db import db, unit_of_work
from webapp.jobs import runs
from webapp.jobs.models import Run, RunResult
from webapp.lists import export_runs
from webapp.lists.subjects import zone_of
from webapp.orders.models import Order
from webapp.orders.statuses import find_status, make_status
from webapp.testing import incoming_order

TODAY = "placed:today"
LINE_ISLANDS = datetime(2026, 11, 20, 1, tzinfo=UTC)  # 20 November in UTC, 15 o'clock of the same day on Kiritimati


@pytest.fixture
def kiritimati(take: Callable[..., list[Order]]) -> Iterator[list[Order]]:
    """A shop fourteen hours ahead, with an order of this morning there, yesterday in UTC, and an older one."""
    with time_machine.travel(LINE_ISLANDS, tick=True):
        orders = take(*(incoming_order(created_at=LINE_ISLANDS - timedelta(hours=hours)) for hours in (10, 20)))
        with unit_of_work():
            db.session.execute(update(Shop).values(zone="Pacific/Kiritimati"))
        yield orders


def test_everything_found_is_what_the_list_showed(
    browser: Browser, kiritimati: list[Order], work: Callable[[], int]
) -> None:
    today, before = kiritimati
    page = browser.get(f"/orders/?q={TODAY}").text
    assert f'href="/orders/{today.number}"' in page
    assert f'href="/orders/{before.number}"' not in page

    slips = browser.get("/orders/packing-slips", {"all": "1", "q": TODAY}).text
    assert today.channel_order_number in slips
    assert before.channel_order_number not in slips

    browser.post("/orders/bulk/hold", {"all": "1", "q": TODAY, "reason": "Stock count", "submission_key": "k"})
    work()
    [run] = db.session.query(Run).filter_by(kind="bulk")
    assert [row.subject_id for row in db.session.query(RunResult).filter_by(run_id=run.id)] == [today.id]

    form = {"all": "1", "q": TODAY, "rows": "orders", "column": ["number"]}
    streamed = browser.get(browser.post("/orders/export/start", form | {"format": "csv"}).location)
    assert numbers(streamed.text) == [today.number]


def test_a_run_and_a_rule_know_the_shops_day(
    browser: Browser, kiritimati: list[Order], olga: Actor, work: Callable[[], int], take: Callable[..., list[Order]]
) -> None:
    form = {"all": "1", "q": TODAY, "rows": "orders", "column": ["number"], "format": "xlsx"}
    browser.post("/orders/export/start", form)
    work()
    [run] = db.session.query(Run).filter_by(kind=export_runs.KIND)
    assert (run.state, run.total) == ("done", 1)
    assert runs.find_run(run.id).done == 1

    with unit_of_work():
        make_status("fresh", {"en": "Fresh"}, state="processing", actor=olga, rule=TODAY)
    new, old = take(*(incoming_order(created_at=LINE_ISLANDS - timedelta(hours=hours)) for hours in (11, 21)))
    assert (new.status, old.status) == (find_status("fresh").code, None)
    assert str(zone_of(olga)) == "Pacific/Kiritimati"


def numbers(text: str) -> list[str]:
    [head, *rows] = csv.reader(io.StringIO(text))
    return [row[head.index("Order")] for row in rows]
