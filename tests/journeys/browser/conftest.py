"""A desk run by `up` and a real browser: one of each for all journeys of this folder, since both start slowly."""

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from supervisor.reaper import OwnedProcess
from tests.journeys.conftest import PATIENCE

ROOT = Path(__file__).resolve().parents[3]
LONG = PATIENCE * 1000  # milliseconds, for background work
OWNER = {"email": "olive@example.org", "name": "Olive Owner", "password": "Correct-Horse-7"}
PLAIN_ORDERS = """
    SELECT number, channel_order_number FROM orders
     WHERE state = 'processing' AND fulfilled_by = 'merchant' AND channel_status = 'UNSHIPPED'
       AND NOT (on_hold OR canceling OR buyer_wants_cancel) AND flags = '[]' AND attention = '[]'
     ORDER BY id LIMIT 1 OFFSET ?
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep all journeys of this folder in one process, which has the desk."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            for mark in (pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser")):
                item.add_marker(mark)


class Desk:
    """A desk that `up` runs, with everything it brings."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "desk"
        self.env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("WAYBILL_", "DATABASE_", "REDIS_"))
        }
        self.env |= {"WAYBILL_DATA_DIR": str(self.data_dir)}
        self.output = folder / "up.log"
        with self.output.open("wb") as log:
            self.process = OwnedProcess(
                [sys.executable, "-m", "webapp", "up"], cwd=ROOT, env=self.env, stdout=log, stderr=log
            )
        self.link = self._await(r"(http://\S+/welcome/\S+)")
        told = json.loads((self.data_dir / "desk.json").read_text())
        self.url, self.practice_url = told["url"], told["practice_url"]

    def _await(self, pattern: str) -> str:
        return str(self.until(lambda: re.search(pattern, self.output.read_text()), "the link")[1])

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait for the condition's first true value, while the desk runs."""
        deadline = time.monotonic() + PATIENCE
        while not (value := condition()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"waited in vain for {what}: {self.output.read_text()}")
            time.sleep(0.1)
        return value

    def command(self, *argv: str) -> Any:
        """Run a command and read its JSON."""
        made = subprocess.run(
            [sys.executable, "-m", "webapp", *argv, "--json"],
            cwd=ROOT,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert made.returncode == 0, made.stderr
        return json.loads(made.stdout)

    def read(self, query: str, *values: object) -> list[sqlite3.Row]:
        """Rows of the desk's database; a command would load the whole desk to read them."""
        with contextlib.closing(sqlite3.connect(f"file:{self.data_dir / 'waybill.db'}?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            return database.execute(query, values).fetchall()

    def wait_for_orders(self, number: int) -> None:
        """Wait until the practice stores have been read."""
        self.until(lambda: self.read("SELECT 1 FROM orders LIMIT 1 OFFSET ?", number - 1), "the practice orders")

    def open_order(self, skip: int = 0) -> sqlite3.Row:
        """A plain order that can be shipped."""
        found: list[sqlite3.Row] = self.until(lambda: self.read(PLAIN_ORDERS, skip), "an order")
        return found[0]

    def packages(self, number: str) -> int:
        """How many packages of an order have been shipped."""
        [[count]] = self.read(
            "SELECT count(*) FROM packages JOIN orders ON orders.id = order_id WHERE orders.number = ?", number
        )
        return int(count)

    def told(self, channel_order_number: str) -> list[dict[str, Any]]:
        """The confirmations of an order that the practice Amazon received."""
        answer = httpx.get(f"{self.practice_url}/practice/orders/{channel_order_number}/told").json()
        return [call["body"]["packageDetail"] for call in answer["told"]]


@pytest.fixture(scope="package")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(tmp_path_factory.mktemp("up"))
    yield made
    made.process.stop()
    made.process.wait()


@pytest.fixture(scope="package")
def signed_in(desk: Desk, chromium: Browser) -> dict[str, Any]:
    """The browser state of the owner, who set the desk up by the printed link."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(desk.link)
    for name, value in OWNER.items():
        page.locator(f"input[name={name}]").fill(value)
    page.locator("main form button").first.click()
    expect(page.get_by_role("heading", name="Dashboard", level=1)).to_be_visible()
    state: dict[str, Any] = context.storage_state()
    context.close()
    return state


@pytest.fixture
def open_page(chromium: Browser, signed_in: dict[str, Any]) -> Iterator[Callable[..., Page]]:
    """Open a signed-in page; console errors (including a broken CSP) fail the test."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def make(**options: Any) -> Page:
        context = chromium.new_context(
            **({"viewport": {"width": 1440, "height": 900}, "storage_state": signed_in} | options),
            reduced_motion="reduce",  # axe needs a page without running transitions
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        return page

    yield make
    for context in contexts:
        context.close()
    harmless = ("409", "422", "oobErrorNoTarget")  # the last part was still loading when its tab was left
    assert [error for error in errors if not any(told in error for told in harmless)] == []
