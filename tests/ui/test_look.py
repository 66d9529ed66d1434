"""The pages in a real browser: nothing that axe finds, nothing that the policy blocks, live without a reload."""

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask, url_for
from sqlalchemy import select
from werkzeug.serving import make_server

from webapp.accounts.models import User
from webapp.accounts.services import open_session
from webapp.audit.actor import Actor
from webapp.clock import iso, now
from webapp.db import db, unit_of_work
from webapp.live import publish
from webapp.orders.bulk import start_bulk
from webapp.orders.models import Order
from webapp.orders.services import find_action, read_input
from webapp.sync.models import ChannelUpdate, UpdateState
from webapp.testing import FakeChannel, incoming_line, incoming_order
from webapp.ui import live

# What a browser shows does not depend on the database.
pytestmark = [pytest.mark.browser, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


@pytest.fixture
def desk(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The desk over HTTP, in threads of this process."""
    monkeypatch.setattr(live, "pump", live.Pump())
    app.testing = True
    server = make_server("127.0.0.1", 0, app, threaded=True)
    server.daemon_threads = False  # so that closing waits for every request
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(live, "stopping", lambda: True)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def page(desk: str, chromium: Any, app: Flask, olga: Actor) -> Iterator[Any]:
    """A page of the owner's Chromium; what its console complains of fails the test."""
    with unit_of_work():
        token = open_session(db.session.get_one(User, olga.id), how="test")
    complaints: list[str] = []
    size = {"width": 1440, "height": 900}
    context = chromium.new_context(base_url=desk, viewport=size, reduced_motion="reduce")  # axe looks at what rests
    context.set_default_timeout(20_000)
    context.add_cookies([{"name": app.config["WAYBILL_COOKIE"], "value": token, "url": desk}])
    tab = context.new_page()
    tab.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    yield tab
    context.close()
    assert [said for said in complaints if not re.search(r"(status of|Status Error Code) 4", said)] == []


def _flaws(page: Any) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{page.url}: {flaw['id']} {flaw['nodes'][0]['html'][:120]}" for flaw in found]


NO_PAGES = {"static", "live.stream", "health.alive", "health.ready", "exports.stream", "exports.fetch"}
NO_PAGES |= {"dashboard.report_csv"}


def _pages(app: Flask, order: Order, store: Any, run: Any) -> list[str]:
    """The address of every page, and of the tabs and acts of one order; parts of pages are among them."""
    values: dict[str, Any] = {"number": order.number, "store_id": store.id, "order_id": order.id, "run_id": run.id}
    values |= {"shop_id": order.shop_id, "token": "none", "person_id": db.session.scalar(select(User.id).limit(1))}
    codes: dict[str, list[str]] = {
        "orders.choose": ["ship", "hold", "assign", "due", "tag", "address"],
        "stores.credentials": ["fake"],
        "dashboard.card": ["work"],
    }
    found = []
    with app.test_request_context():
        for rule in app.url_map.iter_rules():
            if "GET" not in (rule.methods or set()) or rule.endpoint in NO_PAGES:
                continue
            given = {name: value for name, value in values.items() if name in rule.arguments}
            lacking = rule.arguments - set(given)
            if not lacking:
                found.append(url_for(rule.endpoint, **given))
            elif lacking == {"code"}:
                found += [url_for(rule.endpoint, code=code, **given) for code in codes.get(rule.endpoint, ["fake"])]
        tabs = ("shipments", "updates", "timeline", "channel")
        found += [url_for("orders.show", number=order.number, tab=tab) for tab in tabs]
        found += [url_for("orders.show", number=order.number, at=iso(now()))]
        chosen = ("bulk.choose", "exports.choose", "documents.packing_slips", "ship_list.give")
        found += [url_for(endpoint, all=1) for endpoint in chosen]
        found += [url_for("bulk.choose", order=order.id, action=code) for code in ("hold", "comment", "archive")]
        found += [url_for("orders.index", q=query) for query in ("state:open total:>1", "sku:NONE", "total:much")]
    return [*found, "/nowhere"]


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_axe_finds_nothing_on_any_page_and_none_scrolls_sideways(
    page: Any,
    app: Flask,
    take: Callable[..., list[Order]],
    olga: Actor,
    work: Callable[[], int],
    width: int,
    scheme: str,
    store: Any,
    channel: FakeChannel,
) -> None:
    lines = [incoming_line("MUG", 2), incoming_line("", 1)]
    [order, other] = take(incoming_order(lines, flags=("prime", "gift")), incoming_order(total=None))
    with unit_of_work():
        given = read_input(find_action("hold"), {"reason": "fraud check"})
        run = start_bulk("hold", given, actor=olga, ids=[other.id])
    work()
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    flaws, wide, looked_at = [], [], 0
    for path in _pages(app, order, store, run):
        answer = page.goto(path)
        if "text/html" not in answer.headers.get("content-type", "") or "<html" not in answer.text():
            continue
        looked_at += 1
        flaws += _flaws(page)
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wide.append(path)
    assert (flaws, wide) == ([], [])
    assert looked_at >= 30


def test_an_order_is_shipped_in_place_and_its_update_settles_by_itself(
    page: Any, make_order: Callable[..., Order], work: Callable[[], int], channel: FakeChannel
) -> None:
    order = make_order(quantity=2)
    page.goto(f"/orders/{order.number}")
    page.click("#order-actions a.button")
    page.click("form.chosen button[type=submit]")
    page.wait_for_selector("[aria-invalid=true]")
    assert page.evaluate("document.activeElement.name") == "carrier"
    page.select_option("[name=carrier]", index=1)
    page.fill("[name=tracking_number]", "JD0001")
    page.click("form.chosen button[type=submit]")
    page.wait_for_selector(".toast[data-tone=good]")

    assert "Shipped" in page.inner_text(".toast")
    assert "JD0001" in page.inner_text("#order-packages")
    work()
    page.wait_for_selector("#order-updates .pill:has-text('Sent')")
    assert _flaws(page) == []
    assert [told["package"]["tracking_number"] for told in channel.told("shipment")] == ["JD0001"]

    with unit_of_work():
        db.session.query(ChannelUpdate).update({"state": UpdateState.EFFECTIVE})
        publish("orders", [order.id])
    page.wait_for_selector("#order-updates .pill:has-text('Effective')")
    page.wait_for_timeout(5500)  # longer than what goes by the clock while something is under way
    assert "JD0001" in page.inner_text("#order-packages")
    assert page.locator("#order-timeline").count() == 1


def test_new_orders_announce_themselves_and_rows_change_in_place(
    page: Any, make_order: Callable[..., Order], take: Callable[..., list[Order]]
) -> None:
    order = make_order()
    page.goto("/orders/")
    page.wait_for_timeout(1500)  # until the stream stands
    make_order(created_at=now())
    page.wait_for_selector("#order-news a:has-text('1 new order')")
    with unit_of_work():
        from webapp.orders.holds import hold

        hold(db.session.get_one(Order, order.id), "fraud check", actor=Actor.operator())

    page.wait_for_selector(f"#order-{order.id} .pill:has-text('On hold')")


def test_without_javascript_an_order_can_be_shipped(
    page: Any, desk: str, make_order: Callable[..., Order], app: Flask
) -> None:
    order = make_order()
    cookies = page.context.cookies()
    plain = page.context.browser.new_context(base_url=desk, java_script_enabled=False)
    plain.add_cookies(cookies)
    tab = plain.new_page()
    tab.goto(f"/orders/{order.number}")
    tab.click("#order-actions a.button")
    tab.select_option("[name=carrier]", index=1)
    tab.fill("[name=tracking_number]", "JD0002")
    tab.click("form.chosen button[type=submit]")

    assert tab.url.endswith(f"/orders/{order.number}")
    tab.get_by_role("link", name="Shipments", exact=True).click()
    assert "JD0002" in tab.inner_text("main")
    plain.close()
