"""A desk that `up` runs and a real browser before it, one of each for a module of journeys: both are slow to start."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from webapp.keeper import Kept

ROOT = Path(__file__).resolve().parents[2]
OWNER = {"email": "olive@example.org", "name": "Olive Owner", "password": "Correct-Horse-7"}


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
            self.process = Kept([sys.executable, "-m", "webapp", "up"], cwd=ROOT, env=self.env, stdout=log, stderr=log)
        self.link = self._await(r"(http://\S+/welcome/\S+)")
        told = json.loads((self.data_dir / "desk.json").read_text())
        self.url, self.practice_url = told["url"], told["practice_url"]

    def _await(self, pattern: str) -> str:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if found := re.search(pattern, self.output.read_text()):
                return found[1]
            time.sleep(0.1)
        pytest.fail(f"up printed no link: {self.output.read_text()}")

    def command(self, *argv: str) -> Any:
        """Run a command and read its JSON."""
        made = subprocess.run(
            [sys.executable, "-m", "webapp", *argv, "--json"],
            cwd=ROOT,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert made.returncode == 0, made.stderr
        return json.loads(made.stdout)

    def orders(self, **wanted: Any) -> list[dict[str, Any]]:
        """Orders of the desk that look like this."""
        listed = self.command("orders", "list", "--limit", "0")
        return [order for order in listed if all(order[name] == value for name, value in wanted.items())]

    def wait_for_orders(self, number: int) -> None:
        """The practice stores have been read so far."""
        deadline = time.monotonic() + 120
        while len(self.orders()) < number:
            assert time.monotonic() < deadline, "the practice orders do not come"
            time.sleep(1)

    def open_order(self, skip: int = 0) -> dict[str, Any]:
        """A plain order that can be shipped."""
        found = self.orders(state="processing", fulfilled_by="merchant", channel_status="UNSHIPPED")
        plain = [order for order in found if not order["flags"] and not order["attention"]]
        return plain[skip]

    def told(self, channel_order_number: str) -> list[dict[str, Any]]:
        """What the practice Amazon was told of an order."""
        answer = httpx.get(f"{self.practice_url}/practice/orders/{channel_order_number}/told").json()
        return [call["body"]["packageDetail"] for call in answer["told"]]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(tmp_path_factory.mktemp("up"))
    yield made
    made.process.stop()
    made.process.wait()


@pytest.fixture(scope="module")
def signed_in(desk: Desk, chromium: Browser) -> dict[str, Any]:
    """The storage state of the owner, who set the desk up by the printed link."""
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
    """Open a signed-in page; console errors (a broken CSP among them) fail the test."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def make(**options: Any) -> Page:
        context = chromium.new_context(
            **({"viewport": {"width": 1440, "height": 900}, "storage_state": signed_in} | options),
            reduced_motion="reduce",  # axe looks at what has come to rest
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        return page

    yield make
    for context in contexts:
        context.close()
    harmless = ("409", "422", "oobErrorNoTarget")  # the last: a part was on its way while its tab was left
    assert [error for error in errors if not any(told in error for told in harmless)] == []
