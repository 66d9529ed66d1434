"""Work that waits: it makes nobody unready, stands in the metrics, and says so on every page once it is late."""

from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace

import pytest
import time_machine
from flask import Flask

from tests.ui.conftest import Browser
from webapp.config import configuration
from webapp.jobs import Job, queue
from webapp.ui.frame import health

BEGUN = datetime.now(UTC)


def wait(count: int, name: str = "now") -> None:
    """Let so many jobs wait in a queue."""
    with in_seconds(0):
        for number in range(count):
            Job("nobody.works", lambda: None, name, 60).send((number,))


def in_seconds(seconds: float) -> time_machine.travel:
    return time_machine.travel(BEGUN + timedelta(seconds=seconds), tick=False)


def test_the_metrics_count_what_waits_of_each_kind_of_work(browser: Browser) -> None:
    wait(3)
    wait(1, "asking")
    wait(2, "importing")
    health._metrics.cache_clear()
    told = browser.get("/metrics")
    assert told.content_type.startswith("text/plain")
    lines = told.text.splitlines()
    assert {'waybill_jobs_waiting{work="now"} 4', 'waybill_jobs_waiting{work="channel"} 2'} <= set(lines)
    assert 'waybill_jobs_waiting{work="clock"} 0' in lines
    assert 'waybill_jobs_oldest_seconds{work="clock"} 0.0' in lines
    assert "waybill_workers 0" in lines


@pytest.mark.parametrize("public_address", ["", "https://desk.example.com"])
def test_the_metrics_are_for_this_machine_and_who_is_believed(
    app: Flask, public_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def status(address: str, **headers: str) -> int:
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        return app.test_client().get("/metrics", environ_base={"REMOTE_ADDR": address}, headers=told).status_code

    with monkeypatch.context() as proxied:
        proxied.setenv("WAYBILL_URL", public_address)
        configuration.cache_clear()
        assert [status(one) for one in ("127.0.0.1", "::1", "::ffff:127.0.0.1")] == [200] * 3
        assert [status(one) for one in ("10.0.0.7", "")] == [200 if public_address else 404] * 2
        assert status("203.0.113.5") == 404
        assert status("127.0.0.1", X_Forwarded_For="203.0.113.5") == 404
        assert status("127.0.0.1", X_Forwarded_For="127.0.0.1") == 404
        assert status("127.0.0.1", Forwarded="for=203.0.113.5") == 404
    configuration.cache_clear()


def test_the_metrics_ask_the_queue_once_in_a_second(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = count(1)
    health._metrics.cache_clear()
    monkeypatch.setattr(health, "workers", lambda: next(counted))
    monkeypatch.setattr(health, "time", SimpleNamespace(monotonic=lambda: 17.3))
    assert all("waybill_workers 1\n" in browser.get("/metrics").text for _ in range(5))
    monkeypatch.setattr(health, "time", SimpleNamespace(monotonic=lambda: 18.1))
    assert "waybill_workers 2\n" in browser.get("/metrics").text


def test_a_backlog_makes_no_desk_unready(browser: Browser) -> None:
    wait(50, "importing")
    wait(50)
    with in_seconds(3600):
        answer = browser.get("/readyz")
    assert answer.status_code == 200
    assert answer.json is not None
    assert "jobs" not in answer.json["checks"]


def test_a_page_says_that_work_is_late_and_why_until_it_is_not(browser: Browser) -> None:
    wait(3)
    with in_seconds(10):
        assert "Work in the background is late" not in browser.get("/orders/").text
    with in_seconds(40):
        page = browser.get("/orders/").text
        assert "Work in the background is late: 3 jobs wait, the oldest for 40 s." in page
        assert "No worker is running." in page
        assert "Work in the background is late" in browser.get("/backlog").text
    queue("now").empty()
    again = browser.get("/backlog").text
    assert "late" not in again
    assert "hx-get" not in again  # it asks no more


def test_pages_of_an_import_may_wait_for_each_other(browser: Browser) -> None:
    wait(3, "importing")
    with in_seconds(120):
        assert "late" not in browser.get("/backlog").text
    with in_seconds(400):
        assert "3 jobs wait, the oldest for 6 min." in browser.get("/backlog").text


def test_without_a_queue_pages_come_without_the_banner(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "unix:///nowhere.sock")
    configuration.cache_clear()
    assert browser.get("/orders/").status_code == 200
    assert browser.get("/metrics").status_code == 503
    monkeypatch.undo()
    configuration.cache_clear()
