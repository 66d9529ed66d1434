"""The pages in a real browser: axe and the security policy find nothing, and they are live without a reload."""

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask, url_for
from playwright.sync_api import expect
from sqlalchemy import select
from werkzeug.serving import make_server

from webapp.accounts.models import User
from webapp.accounts.services import open_session
from webapp.audit.actor import Actor
from webapp.billing.memos import issue_memos, record_refund
from webapp.billing.models import Invoice
from webapp.billing.refundable import Wish
from webapp.billing.services import issue_invoices
from webapp.channels.incoming import ChannelStage, IncomingPackage
from webapp.channels.messages import MessagesAnswer
from webapp.channels.returns import ReturnReason
from webapp.clock import iso, now
from webapp.db import db, unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.live import publish
from webapp.mail import mailboxes
from webapp.mail.composing import trial_letter
from webapp.mail.imap import Listed
from webapp.mail.mailboxes import MailboxFailed
from webapp.mail.models import Mailbox
from webapp.mail.queue import TEST, put
from webapp.mail.reading import read_mail
from webapp.messaging.allowed import note_allowed
from webapp.messaging.models import MessageTemplate, ReceivedMail
from webapp.messaging.receiving import take_in
from webapp.messaging.services import write_message
from webapp.messaging.templates import add_template
from webapp.orders.bulk import start_bulk
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.orders.services import find_action, read_input
from webapp.returns.contract import ReturnItem
from webapp.returns.services import request_return
from webapp.testing import FakeChannel, incoming_line, incoming_order
from webapp.ui.frame import live
from webapp.updates.models import ChannelUpdate, UpdateState

# What a browser shows does not depend on the database.
pytestmark = [pytest.mark.browser, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]


@pytest.fixture
def desk(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The desk over HTTP, in threads of this process."""
    pump = live.Pump()
    monkeypatch.setattr(live, "pump", pump)
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
    if listening := pump._thread:  # it ends once it looks and nobody is left, which a busy machine may put off
        listening.join()


@pytest.fixture
def page(desk: str, chromium: Any, app: Flask, olga: Actor) -> Iterator[Any]:
    """A page of the owner's Chromium; complaints in its console fail the test."""
    with unit_of_work():
        token = open_session(db.session.get_one(User, olga.id), how="test")
    complaints: list[str] = []
    size = {"width": 1440, "height": 900}
    context = chromium.new_context(base_url=desk, viewport=size, reduced_motion="reduce")  # axe needs a page at rest
    context.set_default_timeout(60_000)  # on a busy machine
    context.add_cookies([{"name": app.config["WAYBILL_COOKIE"], "value": token, "url": desk}])
    tab = context.new_page()
    tab.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    yield tab
    context.close()
    assert [said for said in complaints if not re.search(r"(status of|Status Error Code) 4", said)] == []


@pytest.fixture
def plain(page: Any, desk: str) -> Iterator[Any]:
    """A tab of the owner's in which no script runs."""
    context = page.context.browser.new_context(base_url=desk, java_script_enabled=False)
    context.set_default_timeout(60_000)
    context.add_cookies(page.context.cookies())
    yield context.new_page()
    context.close()


def renew(page: Any, part: str) -> None:
    """Tell a part to renew itself, and wait until the page shows the desk's answer."""
    page.evaluate(
        """(part) => new Promise((shown) => {
          const element = document.querySelector(part);
          let answers = element.classList.contains("htmx-request") ? 2 : 1; // the second waits for the first
          element.addEventListener("htmx:afterRequest", ({ detail }) => {
            if (detail.elt === element && !--answers) setTimeout(shown, 100); // htmx settles for 20 ms
          });
          htmx.trigger(element, "refresh");
        })""",
        part,
    )


def _flaws(page: Any) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{page.url}: {flaw['id']} {flaw['nodes'][0]['html'][:120]}" for flaw in found]


# What doesn't fit: a page's width, a list in its box, words where they stand, and letters too small to read.
_UNFIT = """() => {
  const found = [], shown = (element) => element.offsetParent && getComputedStyle(element).visibility === "visible";
  if (document.documentElement.scrollWidth > innerWidth) found.push("the page scrolls sideways");
  for (const element of document.querySelectorAll(".scroll:has(> #list), .button, .pill, .stat, h1, h2, dt")) {
    const cut = element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).display !== "inline";
    if (cut && shown(element) && !element.closest(".hidden-text")) found.push("cut: " + element.innerText.slice(0, 60));
  }
  for (const tab of document.querySelectorAll(".tabs [aria-current]")) {
    const [own, row] = [tab, tab.closest(".tabs")].map((element) => element.getBoundingClientRect());
    if (own.left < row.left - 1 || own.right > row.right + 1) found.push("out of sight: " + tab.innerText);
  }
  const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (words.nextNode()) {
    const element = words.currentNode.parentElement;
    if (!words.currentNode.nodeValue.trim() || !shown(element) || element.closest(".slip, svg")) continue;
    if (parseFloat(getComputedStyle(element).fontSize) < 12) found.push("small: " + words.currentNode.nodeValue.trim());
  }
  return found;
}"""


def _unfit(page: Any) -> list[str]:
    return [f"{page.url}: {what}" for what in page.evaluate(_UNFIT)]


NO_PAGES = {"static", "live.stream", "health.alive", "health.ready", "exports.fetch", "documents.fetch"}
NO_PAGES |= {"dashboard.report_csv", "documents.packing_slip_pdf", "orders.stream_export", "shipments.stream_export"}
NO_PAGES |= {"outbox.stream_export", "calls.stream_export", "invoices.stream_export", "invoices.show_pdf"}
NO_PAGES |= {"credit_memos.stream_export", "credit_memos.show_pdf", "transactions.stream_export"}
NO_PAGES |= {"returns.stream_export", "inbox.file", "received_messages.file"}
NO_PAGES |= {"documents.picking_pdf", "documents.return_slip_pdf"}
NO_PAGES |= {f"reports.{code}_{kind}" for code in ("taxes", "invoices", "refunds") for kind in ("csv", "workbook")}


def _pages(app: Flask, order: Order, store: Any, run: Any) -> list[str]:
    """The address of every page, and of the tabs and acts of one order; parts of pages are among them."""
    values: dict[str, Any] = {"number": order.number, "store_id": store.id, "order_id": order.id, "run_id": run.id}
    values |= {"row_id": order.id, "document_id": db.session.scalar(select(Invoice.id).limit(1))}
    values |= {"shop_id": order.shop_id, "token": "none", "person_id": db.session.scalar(select(User.id).limit(1))}
    values |= {"mailbox_id": db.session.scalar(select(Mailbox.id).limit(1))}
    values |= {"mail_id": db.session.scalar(select(ReceivedMail.id).where(ReceivedMail.message_id.is_(None)))}
    values |= {"template_id": db.session.scalar(select(MessageTemplate.id).limit(1))}
    codes: dict[str, list[str]] = {
        "orders.choose": ["ship", "hold", "assign", "due", "tag", "address", "message"],
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
        tabs = ("shipments", "invoices", "refunds", "returns", "messages", "updates", "timeline", "channel")
        found += [url_for("orders.show", number=order.number, tab=tab) for tab in tabs]
        found += [url_for("orders.show", number=order.number, at=iso(now()))]
        chosen = (
            "bulk.choose",
            "orders.export",
            "shipments.export",
            "outbox.export",
            "calls.export",
            "invoices.export",
            "invoices.print_chosen",
            "credit_memos.export",
            "credit_memos.print_chosen",
            "documents.invoices",
            "documents.credit_memos",
            "documents.packing_slips",
            "documents.picking",
            "documents.return_slips_of_many",
            "returns.choose",
            "returns.print_chosen",
            "returns.export",
            "ship_list.give",
        )
        found += [url_for(endpoint, all=1) for endpoint in chosen]
        found += [url_for("outbox.choose", all=1, act=code) for code in ("close", "undo")]
        found += [url_for("bulk.choose", order=order.id, action=code) for code in ("hold", "comment", "archive")]
        found += [url_for("orders.index", q=query) for query in ("state:open total:>1", "sku:NONE", "total:much")]
    return [*found, "/nowhere"]


_LOOKS = [
    pytest.param(width, scheme, marks=[] if (width, scheme) in {(1440, "light"), (390, "dark")} else [pytest.mark.soak])
    for width in (390, 768, 1024, 1440, 1920)
    for scheme in ("light", "dark")
]


@pytest.mark.parametrize(("width", "scheme"), _LOOKS)
def test_axe_finds_nothing_on_any_page_and_all_fits_its_width(
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
    left = incoming_line("CUP", 2, fulfilled=2)
    parcel = IncomingPackage("1", {left.number: 2}, "DHL", tracking_number="JD0009", shipped_at=now())
    [order, other, told, shipped] = take(
        incoming_order(lines, flags=("prime", "gift")),
        incoming_order(total=None),
        incoming_order(),
        incoming_order([left], stage=ChannelStage.SHIPPED, status="SHIPPED", packages=(parcel,)),
    )
    with unit_of_work():
        coming = request_return(locked(shipped), [ReturnItem(shipped.lines[0].id, 2, ReturnReason.OTHER)], actor=olga)
        given = read_input(find_action("hold"), {"reason": "fraud check"})
        run = start_bulk("hold", given, actor=olga, ids=[other.id])
        ship_order(locked(told), [PackageInput("DHL", "JD1", lines={told.lines[0].id: 1})], actor=olga)
        db.session.query(ChannelUpdate).update({"state": UpdateState.REFUSED})
        for row in (locked(order), locked(told)):
            issue_invoices([row], {row.lines[0].id: 1}, actor=olga)
        note_allowed(order.id, MessagesAnswer(["problem"]))
        write_message(locked(order), "problem", "Your mug is late.\nWe are sorry.", actor=olga)
        add_template(situation="custom", language="en", shop=None, name="Sold out", text="{write_here}", actor=olga)
        put(TEST, trial_letter("olga@example.com"))
        box = {"host": "imap.example.com", "port": 993, "security": "tls", "user": "desk", "folder": ""}
        mailboxes.add(box | {"name": "Answers", "password": "x"}, actor=olga).problem = MailboxFailed().stored()
        issue_memos([record_refund(locked(shipped), Wish(whole=True), "CustomerReturn", actor=olga)], actor=olga)
    parts = 'Content-Type: multipart/mixed; boundary="f"\n\n--f\n\nWhere is it?\n\n> It has left us.\n--f\n'
    for subject in (f"About {order.number}", "Nobody's " + "long" * 60):
        mail = f"From: Otto <otto@example.com>\nSubject: {subject}\n{parts}Content-Type: image/png\n\nPNG\n--f--"
        take_in(None, read_mail(mail.encode()), Listed(1, 1, now()))  # type: ignore[arg-type]
    work()
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    flaws, unfit = [], []
    looked_at: set[str] = set()
    of_return = [
        "?tab=returns",
        f"/actions/authorize_return?return_id={coming.id}",
        f"/return-slip?return_id={coming.id}",
    ]
    for path in [*_pages(app, order, store, run), *(f"/orders/{shipped.number}{rest}" for rest in of_return)]:
        answer = page.goto(path)
        if "text/html" not in answer.headers.get("content-type", "") or "<html" not in answer.text():
            continue
        if page.url in looked_at:  # it leads to a page that was looked at, such as the list
            continue
        looked_at.add(page.url)
        expect(page.locator("main [aria-busy=true]")).to_have_count(0)  # cards and counts come after the page
        flaws += _flaws(page)
        unfit += _unfit(page)
    assert (flaws, unfit) == ([], [])
    assert len(looked_at) >= 30


def test_an_order_is_shipped_in_place_and_its_update_settles_by_itself(
    page: Any, make_order: Callable[..., Order], work: Callable[[], int], channel: FakeChannel
) -> None:
    order = make_order(quantity=2)
    page.clock.install()
    page.goto(f"/orders/{order.number}")
    page.click("#order-actions a.button")
    page.click("form.chosen button.main")
    expect(page.locator("[name=carrier][aria-invalid=true]")).to_be_focused()
    page.select_option("[name=carrier]", index=1)
    page.fill("[name=tracking_number]", "JD0001")
    page.click("form.chosen button.main")

    expect(page.locator(".toast[data-tone=good]")).to_contain_text("Shipped")
    expect(page.locator("#order-packages")).to_contain_text("JD0001")
    work()
    page.wait_for_selector("#order-updates .pill:has-text('Sent')")
    assert _flaws(page) == []
    assert [told["package"]["tracking_number"] for told in channel.told("shipment")] == ["JD0001"]

    with unit_of_work():
        db.session.query(ChannelUpdate).update({"state": UpdateState.EFFECTIVE})
        publish("orders", [order.id])
    page.wait_for_selector("#order-updates .pill:has-text('Confirmed')")
    page.clock.run_for(5500)  # longer than what goes by the clock while something is under way
    expect(page.locator(".htmx-request")).to_have_count(0)
    expect(page.locator("#order-packages")).to_contain_text("JD0001")
    expect(page.locator("#order-timeline")).to_have_count(1)


def test_new_orders_announce_themselves_and_rows_change_in_place(
    page: Any, make_order: Callable[..., Order], take: Callable[..., list[Order]]
) -> None:
    order = make_order()
    with page.expect_response("**/live?*"):
        page.goto("/orders/")
    whole: list[str] = []
    page.on("request", lambda asked: whole.append(asked.url) if "/orders/?" in asked.url else None)
    make_order(created_at=now())
    page.wait_for_selector("#list-news a:has-text('1 new order')")
    with unit_of_work():
        from webapp.orders.holds import hold

        hold(db.session.get_one(Order, order.id), "fraud check", actor=Actor.operator())

    page.wait_for_selector(f"#order-{order.id} .pill:has-text('On hold')")
    assert whole == []  # one row that changed is no reason to ask for all of them


def test_without_javascript_an_order_can_be_shipped(plain: Any, make_order: Callable[..., Order]) -> None:
    order = make_order()
    plain.goto(f"/orders/{order.number}")
    plain.click("#order-actions a.button")
    plain.select_option("[name=carrier]", index=1)
    plain.fill("[name=tracking_number]", "JD0002")
    plain.click("form.chosen button.main")

    plain.wait_for_url(f"**/orders/{order.number}")
    plain.locator(".tabs").get_by_role("link", name="Shipments", exact=True).click()
    plain.wait_for_url(f"**/orders/{order.number}?tab=shipments")
    expect(plain.locator("main")).to_contain_text("JD0002")
