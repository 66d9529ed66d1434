"""The desk as a newcomer meets it: `up`, the link, practice orders, ship one, and Amazon has it; in a real browser."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from webapp.keeper import Kept

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser")]
ROOT = Path(__file__).resolve().parents[2]
OWNER = {"email": "olive@example.org", "name": "Olive Owner", "password": "Correct-Horse-7"}
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


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
def chromium() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        if os.environ.get("WAYBILL_REQUIRE_BROWSER") == "1":
            pytest.fail("no Chromium was found")
        pytest.skip("no Chromium was found: install chromium to run the browser journeys")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def signed_in(desk: Desk, chromium: Browser) -> dict[str, Any]:
    """The storage state of the owner, who set the desk up by the printed link."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(desk.link)
    for name, value in OWNER.items():
        page.locator(f"input[name={name}]").fill(value)
    page.locator("main form button").first.click()
    expect(page.get_by_role("heading", name="Orders")).to_be_visible()
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
            **({"viewport": {"width": 1440, "height": 900}, "storage_state": signed_in} | options)
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        return page

    yield make
    for context in contexts:
        context.close()
    assert [error for error in errors if "409" not in error and "422" not in error] == []


def ship(page: Page, tracking: str) -> None:
    page.locator("#order-actions").get_by_text("Ship", exact=True).first.click()
    page.locator("#order-actions select[name=carrier]").select_option("DHL")
    page.locator("#order-actions input[name=tracking_number]").fill(tracking)
    page.locator("#order-actions form button").first.click()


def test_a_newcomer_ships_an_order_and_amazon_has_it(desk: Desk, open_page: Callable[..., Page]) -> None:
    order = desk.open_order()
    page = open_page()
    page.goto(f"{desk.url}/orders/")
    expect(page.locator("tbody tr").first).to_be_visible()
    page.goto(f"{desk.url}/orders/{order['channel_order_number']}")
    expect(page.get_by_text(order["number"]).first).to_be_visible()
    ship(page, "JD-BROWSER-1")
    expect(page.get_by_text("Complete").first).to_be_visible()
    expect(page.locator("#order-updates .row").first).to_contain_text("Effective", timeout=120_000)
    packages = desk.told(order["channel_order_number"])
    assert {(package["carrierCode"], package["trackingNumber"]) for package in packages} == {("DHL", "JD-BROWSER-1")}


def test_the_same_by_the_command_line(desk: Desk, signed_in: dict[str, Any]) -> None:
    order = desk.open_order(skip=1)
    parcel = json.dumps({"carrier": "UPS", "tracking_number": "1Z-CLI-1"})
    done = desk.command("orders", "act", order["number"], "ship", "--data", parcel)
    [update] = done["updates"]
    desk.command("updates", "wait", str(update["id"]), "--until", "sent", "--seconds", "30")
    assert [package["trackingNumber"] for package in desk.told(order["channel_order_number"])] == ["1Z-CLI-1"]


def test_shipping_works_without_javascript(desk: Desk, open_page: Callable[..., Page]) -> None:
    order = desk.open_order(skip=2)
    page = open_page(java_script_enabled=False)
    page.goto(f"{desk.url}/orders/{order['number']}")
    ship(page, "JD-PLAIN-1")
    expect(page.get_by_text("Complete").first).to_be_visible()


def test_a_mistake_keeps_what_was_typed(desk: Desk, open_page: Callable[..., Page]) -> None:
    order = desk.open_order(skip=3)
    page = open_page()
    page.goto(f"{desk.url}/orders/{order['number']}/actions/ship")
    page.locator("#order-actions select[name=carrier]").select_option("Other")
    page.locator("#order-actions input[name=tracking_number]").fill("KEEP-ME")
    page.locator("#order-actions form button").first.click()
    expect(page.get_by_text("This carrier needs a name.").first).to_be_visible()
    expect(page.locator("#order-actions input[name=tracking_number]")).to_have_value("KEEP-ME")


def test_each_act_is_told_once_however_many_came_before(desk: Desk, open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto(f"{desk.url}/orders/{desk.open_order(skip=3)['number']}")
    for number in range(3):
        page.locator("#order-comments textarea").fill(f"Comment {number}")
        page.locator("#order-comments form button").first.click()
        expect(page.locator("#order-comments")).to_contain_text(f"Comment {number}")
    assert page.locator("#messages").count() == 1
    assert page.locator("#messages .toast").count() <= 3


def test_the_same_form_sent_twice_ships_once(desk: Desk, open_page: Callable[..., Page]) -> None:
    order = desk.open_order(skip=3)
    first, second = open_page(), open_page()
    for page in (first, second):
        page.goto(f"{desk.url}/orders/{order['number']}/actions/ship")
        page.locator("#order-actions select[name=carrier]").select_option("DHL")
        page.locator("#order-actions input[name=tracking_number]").fill("JD-TWICE")
    for page in (first, second):
        page.locator("#order-actions form button").first.click()
        page.wait_for_timeout(500)
    shown = desk.command("orders", "show", order["number"])
    assert len([parcel for shipment in shown["shipments"] for parcel in shipment["packages"]]) == 1


def test_news_appears_by_itself(desk: Desk, open_page: Callable[..., Page]) -> None:
    """An order placed on the practice Amazon's page is on the desk within ten seconds, and the open list says so."""
    page = open_page()
    page.goto(f"{desk.url}/orders/")
    httpx.post(f"{desk.practice_url}/practice/orders", json={"marketplace": "DE", "count": 1}).raise_for_status()
    expect(page.locator("#order-news")).to_contain_text("new order", timeout=15_000)


PAGES = (
    "/orders/",
    "/orders/{number}",
    "/orders/{number}/actions/ship",
    "/stores/",
    "/stores/add",
    "/runs/",
    "/plugins/",
)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(desk: Desk, open_page: Callable[..., Page], theme: str) -> None:
    number = desk.open_order(skip=3)["number"]
    page = open_page(color_scheme=theme)
    found = {}
    for path in PAGES:
        page.goto(desk.url + path.format(number=number))
        page.wait_for_timeout(300)
        if violations := Axe().run(page).response["violations"]:
            found[path] = [(violation["id"], violation["nodes"][0]["html"][:120]) for violation in violations]
    assert found == {}


@pytest.mark.parametrize("language", ["en", "fr"])
def test_no_page_scrolls_sideways_at_390_px(desk: Desk, open_page: Callable[..., Page], language: str) -> None:
    number = desk.open_order(skip=3)["number"]
    page = open_page(viewport={"width": 390, "height": 844}, locale=language)
    for path in PAGES:
        page.goto(desk.url + path.format(number=number))
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, path


def test_an_order_can_be_shipped_by_keyboard_alone(desk: Desk, open_page: Callable[..., Page]) -> None:
    order = desk.open_order(skip=3)
    page = open_page()
    page.goto(f"{desk.url}/orders/{order['number']}")

    def tab_to(selector: str) -> None:
        for _ in range(80):
            if page.evaluate("s => document.activeElement && document.activeElement.matches(s)", selector):
                return
            page.keyboard.press("Tab")
        pytest.fail(f"Tab never reaches {selector}")

    tab_to("#order-actions a[href*='/actions/ship']")
    page.keyboard.press("Enter")
    page.wait_for_selector("#order-actions input[name=tracking_number]")
    tab_to("#order-actions select[name=carrier]")
    page.keyboard.type("DHL")
    tab_to("#order-actions input[name=tracking_number]")
    page.keyboard.type("JD-KEYS")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Complete").first).to_be_visible()
