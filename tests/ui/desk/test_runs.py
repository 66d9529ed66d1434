"""A run beside the list and on its page: what became of each order; paused, tried again, undone, and by whom."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import update

from tests.ui.conftest import Browser, ids, runs_of
from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.fulfillment.holding import SETTINGS as HOLDS
from webapp.hooks.failures import Failure
from webapp.jobs.models import Run, RunResult
from webapp.orders.models import Order
from webapp.orders.services import find_action
from webapp.settings.services import store_all
from webapp.sync import jobs
from webapp.updates.models import ChannelUpdate


def test_a_run_ends_with_what_became_of_it_and_can_be_undone_where_its_act_can(
    browser: Browser, orders: list[Order], work: Callable[[], int]
) -> None:
    browser.post("/orders/bulk/archive", {"order": ids(orders)[:1], "submission_key": "k1"})
    work()
    browser.post("/orders/bulk/hold", {"order": ids(orders)[:2], "reason": "x", "submission_key": "k2"})
    work()
    browser.post("/orders/bulk/release", {"order": ids(orders), "submission_key": "k3"})
    work()
    _, held, released = runs_of()
    told = browser.get(f"/runs/{released.id}/strip").text
    assert "released, " in told
    assert "1 refused" in told
    assert "/undo" not in told  # a hold needs its reason
    first = browser.get(f"/runs/{held.id}/strip").text
    assert f"/runs/{held.id}/undo" in first


def test_undoing_a_run_takes_back_what_it_did_and_nothing_else(
    browser: Browser, orders: list[Order], work: Callable[[], int]
) -> None:
    browser.post("/orders/bulk/hold", {"order": ids(orders)[:2], "reason": "x", "submission_key": "k1"})
    work()
    [held] = runs_of()
    undone = browser.post(f"/runs/{held.id}/undo")
    again = browser.post(f"/runs/{held.id}/undo")  # twice in a hurry
    assert (undone.status_code, undone.location) == (302, again.location)
    assert "2 orders are being released." in browser.get(undone.location).text
    work()
    db.session.expire_all()
    assert not any(order.on_hold for order in db.session.query(Order))
    assert len(runs_of()) == 2
    assert browser.post(f"/runs/{runs_of()[-1].id}/undo").status_code == 409


def test_words_that_fail_take_no_page_with_them(
    browser: Browser, orders: list[Order], monkeypatch: pytest.MonkeyPatch, plugin_failures: list[Failure]
) -> None:
    def broken(count: int) -> str:
        raise ZeroDivisionError

    browser.post("/orders/bulk/hold", {"order": ids(orders)[:2], "reason": "x", "submission_key": "k1"})
    monkeypatch.setattr(find_action("hold"), "doing", broken)
    [run] = runs_of()
    assert "Hold: 2" in browser.get(f"/orders/?run={run.id}").text
    assert browser.get("/orders/?run=999999").status_code == 200
    assert {(one.place, one.code) for one in plugin_failures} == {("label", "hold")}
    plugin_failures.clear()


def test_a_runs_page_names_every_order_and_tries_again(
    browser: Browser, orders: list[Order], work: Callable[[], int]
) -> None:
    browser.post("/orders/bulk/hold", {"order": ids(orders)[:1], "reason": "first", "submission_key": "k1"})
    work()
    browser.post("/orders/bulk/hold", {"order": ids(orders), "reason": "second", "submission_key": "k2"})
    work()
    _first, run = runs_of()
    page = browser.get(f"/runs/{run.id}").text
    assert "This order is on hold already." in page
    assert all(str(order.number) in page for order in orders)
    assert len(browser.queries) <= 12
    refused = browser.get(f"/runs/{run.id}?state=refused").text
    assert f">{orders[1].number}<" not in refused
    again = browser.post(f"/runs/{run.id}/again", {"submission_key": "k3"})
    assert again.location == f"/orders/?run={runs_of()[-1].id}"
    assert db.session.query(RunResult).filter_by(run_id=runs_of()[-1].id).count() == 1
    listed = browser.get("/runs/").text
    assert listed.count("Bulk action") == 3
    assert "Olga" in listed


def test_a_runs_page_says_what_was_wrong_by_the_forms_labels(
    browser: Browser, orders: list[Order], work: Callable[[], int]
) -> None:
    browser.post("/orders/bulk/due", {"order": ids(orders), "due": "", "submission_key": "k1"})
    work()
    [run] = runs_of()
    assert "Due: Enter a due date. The order has no due date to remove." in browser.get(f"/runs/{run.id}").text
    assert len(browser.queries) <= 12


def test_whoever_began_a_run_leads_it(
    browser: Browser, orders: list[Order], make_browser: Callable[..., Browser], mia: Actor, work: Callable[[], int]
) -> None:
    browser.post("/orders/bulk/comment", {"order": ids(orders), "text": "x", "submission_key": "k1"})
    [run] = runs_of()
    clerk = make_browser(mia)
    assert clerk.post(f"/runs/{run.id}/pause").status_code == 404
    paused = browser.post(f"/runs/{run.id}/pause", htmx=True)
    assert "The run pauses after the current part" in paused.text
    work()
    assert runs_of()[0].state == "paused"
    assert "Resume" in browser.get(f"/runs/{run.id}").text
    assert browser.post(f"/runs/{run.id}/resume").location == f"/runs/{run.id}"
    work()
    assert runs_of()[0].state == "done"
    assert browser.post(f"/runs/{run.id}/stop").status_code == 409


def test_results_are_paged(
    browser: Browser, orders: list[Order], work: Callable[[], int], monkeypatch: pytest.MonkeyPatch, olga: Any
) -> None:
    monkeypatch.setattr("webapp.ui.desk.runs.RESULTS", 2)
    browser.post("/orders/bulk/comment", {"order": ids(orders), "text": "x", "submission_key": "k1"})
    [run] = runs_of()
    page = browser.get(f"/runs/{run.id}").text
    assert f"/runs/{run.id}?after=2" in page
    assert str(orders[2].number) in browser.get(f"/runs/{run.id}?after=2").text


def test_a_run_brings_its_results_with_its_progress(
    browser: Browser, orders: list[Order], work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.ui.desk.runs.RESULTS", 2)
    browser.post("/orders/bulk/hold", {"order": ids(orders)[:1], "reason": "first", "submission_key": "k1"})
    work()
    browser.post("/orders/bulk/hold", {"order": ids(orders), "reason": "second", "submission_key": "k2"})
    run = runs_of()[-1]
    asked = f"/runs/{run.id}/progress?after=2"
    assert f'hx-get="{asked}"' in browser.get(f"/runs/{run.id}?after=2").text
    paused = browser.post(f"/runs/{run.id}/pause?after=2", htmx=True).text
    assert paused.count("Not done yet") == 2  # a row, and what rows can be filtered by
    browser.post(f"/runs/{run.id}/resume")
    work()

    told = browser.get(asked, htmx=True).text

    assert len(browser.queries) <= 12
    assert 'id="run-results" class="stackgap" hx-swap-oob="morph"' in told
    assert [f">{order.number}<" in told for order in orders] == [False, False, True]
    assert "Try 1 order again" in told


def test_a_run_is_for_whoever_began_it_and_for_who_manages_the_desk(
    browser: Browser,
    orders: list[Order],
    make_browser: Callable[..., Browser],
    make_user: Callable[..., Actor],
    mia: Actor,
    work: Callable[[], int],
) -> None:
    clerk, other, manager = make_browser(mia), make_browser(make_user("clerk", "Carl")), make_user("manager", "Max")
    clerk.post("/orders/bulk/hold", {"order": ids(orders), "reason": "x", "submission_key": "k1"})
    work()
    [run] = runs_of()
    for path in ("", "/progress", "/strip"):
        assert clerk.get(f"/runs/{run.id}{path}").status_code == 200
        assert make_browser(manager).get(f"/runs/{run.id}{path}").status_code == 200
        assert other.get(f"/runs/{run.id}{path}").status_code == 404
    for path in ("pause", "resume", "stop", "again", "undo"):
        assert other.post(f"/runs/{run.id}/{path}").status_code == 404
    links = [f'href="/runs/{run.id}"' in someone.get("/runs/").text for someone in (clerk, other, browser)]
    assert links == [True, False, True]


def test_an_export_is_not_repeated_as_an_act(browser: Browser, orders: list[Order]) -> None:
    browser.post("/orders/export/start", {"all": "1", "format": "xlsx", "rows": "orders", "column": "total"})
    [run] = runs_of("export")
    assert browser.post(f"/runs/{run.id}/again").status_code == 404


@pytest.fixture
def shipped(browser: Browser, orders: list[Order], store: Store, work: Callable[[], int]) -> Callable[[], Run]:
    """Ship two orders by a list under a hold, and return the run."""

    def ship() -> Run:
        with unit_of_work():
            store_all(HOLDS, {"ship_hold": 60}, store)
        rows = [f"{order.number}\tDHL\tJD{order.id}\t" for order in orders[:2]]
        browser.post("/orders/ship-list/start", {"list": "\n".join(rows), "submission_key": "k1"})
        work()
        [run] = runs_of()
        return run

    return ship


def test_a_list_that_shipped_under_a_hold_is_undone_from_its_run(
    browser: Browser, shipped: Callable[[], Run], work: Callable[[], int]
) -> None:
    run = shipped()
    assert f"/runs/{run.id}/undo" in browser.get(f"/runs/{run.id}/strip").text
    undone = browser.post(f"/runs/{run.id}/undo")
    assert "The shipments of 2 orders are being undone." in browser.get(undone.location).text
    work()
    db.session.expire_all()
    assert all(order.unshipped for order in db.session.query(Order))
    last = runs_of()[-1]
    strip = browser.get(f"/runs/{last.id}/strip").text
    assert "2 shipments undone" in strip
    assert "/undo" not in strip
    assert "/undo" not in browser.get(f"/runs/{run.id}/strip").text  # nothing is left to be undone


def test_undo_is_offered_as_long_as_something_waits(
    browser: Browser, orders: list[Order], shipped: Callable[[], Run], work: Callable[[], int]
) -> None:
    run = shipped()
    with time_machine.travel(now() + timedelta(seconds=61), tick=True):
        jobs.find_due()
        work()
        assert "/undo" not in browser.get(f"/runs/{run.id}/strip").text
        assert browser.post(f"/runs/{run.id}/undo").status_code == 409


def test_orders_that_an_undoing_run_left_are_tried_again(
    browser: Browser, orders: list[Order], shipped: Callable[[], Run], work: Callable[[], int]
) -> None:
    run = shipped()
    with unit_of_work():
        db.session.execute(update(ChannelUpdate).where(ChannelUpdate.order_id == orders[0].id).values(attempts=1))
    browser.post(f"/runs/{run.id}/undo")
    work()
    undoing = runs_of()[-1]
    assert (undoing.done, undoing.failed) == (2, 1)
    with unit_of_work():
        db.session.execute(update(ChannelUpdate).where(ChannelUpdate.order_id == orders[0].id).values(attempts=0))
    again = browser.post(f"/runs/{undoing.id}/again", {"submission_key": "k9"})
    assert again.status_code == 302
    work()
    db.session.expire_all()
    assert all(order.unshipped for order in db.session.query(Order))


def test_a_run_that_undid_cancellations_offers_no_second_cancellation(
    browser: Browser, orders: list[Order], work: Callable[[], int]
) -> None:
    browser.post("/orders/bulk/cancel", {"order": ids(orders)[:2], "reason": "NoInventory", "submission_key": "k1"})
    work()
    [canceled] = runs_of()
    assert f"/runs/{canceled.id}/undo" in browser.get(f"/runs/{canceled.id}/strip").text
    browser.post(f"/runs/{canceled.id}/undo")
    work()
    last = runs_of()[-1]
    assert last.id != canceled.id
    assert "/undo" not in browser.get(f"/runs/{last.id}/strip").text
    assert browser.post(f"/runs/{last.id}/undo").status_code == 409


def test_runs_that_found_nothing_are_one_row_that_leads_to_them(browser: Browser, store: Store) -> None:
    for number in range(4):
        with unit_of_work():
            numbers = {"new": 1} if number == 3 else {}
            made = Run(kind="sync", subject_id=store.id, actor_kind="job", state="done", quiet=number < 3)
            made.started_at = made.ended_at = now()
            made.numbers = numbers
            db.session.add(made)

    shown = browser.get("/runs/").text

    assert "3 runs by the schedule in the last hour found nothing new and changed nothing" in shown
    links = re.findall(r'href="(/runs/[^"]*)"', shown)
    assert len(links) == 1 + 1 + 1  # of those that found nothing, of the one that found something, and of the menu
    [folded] = [link for link in links if "quiet" in link]
    unfolded = browser.get(folded).text
    assert len(set(re.findall(r'href="/runs/\d+"', unfolded))) == 3
    assert "found nothing new and changed nothing" not in unfolded


def test_a_stopped_run_says_how_much_of_it_is_not_done(browser: Browser, orders: list[Order]) -> None:
    browser.post("/orders/bulk/hold", {"order": ids(orders), "reason": "x", "submission_key": "k1"})
    [run] = runs_of()
    with unit_of_work():
        db.session.execute(update(Run).values(state="stopped", ended_at=now()))

    shown = browser.get(f"/runs/{run.id}").text
    assert 'Not done yet <span class="muted">3</span>' in shown
    assert "<dt>not done</dt>" not in shown
    assert 'data-label="Not done">3<' in browser.get("/runs/").text
