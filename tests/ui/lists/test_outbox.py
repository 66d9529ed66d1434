"""The outbox in the browser: its page, the buttons of a row, and decisions about many updates."""

# ruff: noqa: F811 - fixtures are imported by their names

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from urllib.parse import urlencode

import pytest

from tests.ui.conftest import Browser
from tests.updates import till as tills
from tests.updates.conftest import Credit, channel, credit, order, store, till, update  # noqa: F401 - fixtures
from webapp.audit.actor import Actor
from webapp.channels.models import Store
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.holding import SETTINGS
from webapp.fulfillment.services import ship_order
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.settings.services import change
from webapp.sync import jobs
from webapp.testing import incoming_order
from webapp.ui.frame.formats import state_label
from webapp.ui.lists import outbox
from webapp.updates import deciding
from webapp.updates.models import ChannelUpdate

Take = Callable[..., list[Order]]


@pytest.fixture
def many(till: tills.Ledger, store: Store, take: Take, credit: Credit) -> list[Order]:
    """30 orders with an update each: every third is held, every third refused, the others are queued."""
    orders = take(*[incoming_order() for _ in range(30)])
    for number, of in enumerate(orders, start=1):
        credit(number, of=of, held=number % 3 == 0)
    refused = db.session.query(ChannelUpdate).filter(ChannelUpdate.id % 3 == 1)
    with unit_of_work():
        refused.update({"state": "refused", "problem": {"code": "not_shown", "values": {}}})
    return orders


def tells(page: str, of: Order) -> bool:
    """Whether a page shows both numbers of an order and both its statuses."""
    words = (of.number, of.channel_order_number, state_label(of.shown_state), "Till: ")
    return all(str(word) in page for word in words)


def ids_of(page: str) -> list[str]:
    return re.findall(r'<input type="checkbox" name="update" value="(\d+)"', page)


def buttons_of(page: str) -> set[str]:
    return set(re.findall(r'form="decide-form" formaction="/outbox/decide/(\w+)"', page))


def offered_for_many(page: str) -> list[str]:
    """The decisions about ticked updates, in the order of their buttons."""
    found = re.findall(r'formaction="/outbox/decide" name="act" value="(\w+)"', page)
    return list(dict.fromkeys(found))  # the third is in the menu too, for phones


def test_the_page_of_the_outbox_costs_few_queries(many: list[Order], browser: Browser) -> None:
    browser.get("/outbox/")
    for url in ("/outbox/", "/outbox/?q=store:1+kind:credit&sort=due", "/outbox/?view=decide", "/outbox/?view=waiting"):
        page = browser.get(url)
        assert page.status_code == 200
        assert len(ids_of(page.text)) in (30, 10, 20), url
        assert len(browser.queries) <= 8, "\n".join(browser.queries)
    assert 'aria-label="Updates by status"' in page.text
    assert all(tells(browser.get("/outbox/").text, one) for one in many)
    assert "30 updates" in browser.get("/outbox/count").text


def test_many_lanes_and_stores_cost_no_more(many: list[Order], browser: Browser) -> None:
    with unit_of_work():
        for row in db.session.query(ChannelUpdate):
            row.lane, row.due_at = f"lane {row.id}", now() - timedelta(seconds=1)
    browser.get("/outbox/")
    browser.get("/outbox/")
    assert len(browser.queries) <= 8, "\n".join(browser.queries)


def test_a_row_has_buttons_for_what_can_be_decided_about_it(
    order: Order, store: Store, credit: Credit, browser: Browser
) -> None:
    credit(1, held=True)
    page = browser.get("/outbox/?q=sending:held").text
    assert buttons_of(page) == {"undo", "send"}
    [row] = ids_of(page)
    answer = browser.post("/outbox/decide/undo", {"update": row, "q": "sending:held"})
    assert answer.status_code == 302
    assert unescape(answer.location).startswith("/outbox/?q=sending:held")
    assert update().state == "withdrawn"
    page = browser.get("/outbox/").text
    assert "The update is undone. Nothing was sent." in page
    assert buttons_of(page) == set()
    assert browser.post("/outbox/decide/undo", {"update": row}).status_code == 302
    assert "The status of this update is “Withdrawn”" in browser.get("/outbox/").text


def test_it_says_when_a_batch_goes(
    order: Order, store: Store, credit: Credit, browser: Browser, channel: tills.TillChannel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(channel, "when", lambda access, lane, urgent: 1200.0)
    credit()
    drawn = re.search(r'<td class="text c-goes"[^>]*>(.*?)</td>', browser.get("/outbox/").text)
    assert drawn is not None
    assert "<time" in drawn[1]
    with unit_of_work():
        db.session.query(ChannelUpdate).update({"state": "sent", "sent_at": now()})
    drawn = re.search(r'<td class="text c-goes"[^>]*>(.*?)</td>', browser.get("/outbox/").text)
    assert drawn is not None
    assert "<time" not in drawn[1]


def test_many_are_decided_about_after_a_page_that_asks(many: list[Order], browser: Browser) -> None:
    ids = ids_of(browser.get("/outbox/").text)
    asked = browser.get("/outbox/decide?act=close&" + urlencode({"update": ids}, doseq=True)).text
    assert "This is possible for 10 of 30" in asked
    assert "Close without sending again: 10 updates" in asked
    answer = browser.post("/outbox/decide/close", {"update": ids})
    assert answer.status_code == 200
    assert "Done: 10 updates" in answer.text
    assert "20 updates were not changed:" in answer.text
    assert answer.text.count("be closed.") == 20
    assert tells(answer.text, many[1])
    states = [row.state for row in db.session.query(ChannelUpdate).order_by(ChannelUpdate.id)]
    assert states == ["withdrawn", "owed", "held"] * 10


def test_the_bar_offers_what_any_of_the_chosen_updates_allows(many: list[Order], browser: Browser) -> None:
    ids = ids_of(browser.get("/outbox/?q=sending:refused").text)
    assert offered_for_many(browser.get("/outbox/acts", {"update": ids}).text) == ["retry", "elsewhere", "close"]
    assert len(browser.queries) <= 8, "\n".join(browser.queries)


def test_many_that_were_refused_are_done_elsewhere(many: list[Order], browser: Browser) -> None:
    page = browser.get("/outbox/?q=sending:refused").text
    assert buttons_of(page) == {"retry", "elsewhere", "close"}
    ids = ids_of(browser.get("/outbox/").text)
    asked = browser.get("/outbox/decide?act=elsewhere&" + urlencode({"update": ids}, doseq=True)).text
    assert "This is possible for 10 of 30" in asked
    assert "You confirm that these changes were made directly on the channel." in asked
    answer = browser.post("/outbox/decide/elsewhere", {"update": ids})
    assert "Done: 10 updates" in answer.text
    assert answer.text.count("Only a refused update can be marked as done elsewhere.") == 20
    states = [row.state for row in db.session.query(ChannelUpdate).order_by(ChannelUpdate.id)]
    assert states == ["done_elsewhere", "owed", "held"] * 10


def test_everything_found_is_decided_about_up_to_a_number(
    many: list[Order], browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MOST", 7)
    monkeypatch.setattr(outbox, "TOGETHER", 2)
    asked = browser.get("/outbox/decide?act=undo&all=1&q=sending:held").text
    assert "These are the first 7 updates." in asked
    ids = re.findall(r'name="update" value="(\d+)"', asked)
    assert len(ids) == 7
    assert "Done: 7 updates" in browser.post("/outbox/decide/undo", {"update": ids, "q": "sending:held"}).text
    assert db.session.query(ChannelUpdate).filter_by(state="withdrawn").count() == 7


def test_what_can_not_be_decided_is_said(many: list[Order], browser: Browser) -> None:
    assert browser.get("/outbox/decide?act=undo").status_code == 302
    assert "Choose at least one update first." in browser.get("/outbox/").text
    assert browser.get("/outbox/decide?act=burn&update=1").status_code == 404
    assert browser.post("/outbox/decide/burn", {"update": "1"}).status_code == 404
    assert browser.post("/outbox/decide/undo", {}).status_code == 422
    assert browser.post("/outbox/decide/undo", {"update": "99999"}).status_code == 404


def test_who_may_decide_about_no_kind_sees_no_buttons(
    many: list[Order],
    make_user: Callable[..., Actor],
    make_browser: Callable[..., Browser],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = make_browser(make_user("read_only", "Rob"))
    page = reader.get("/outbox/").text
    assert buttons_of(page) == set()
    assert ids_of(page) == []
    assert "bulk-bar" not in page
    assert reader.post("/outbox/decide/close", {"update": "1"}).status_code == 302
    assert update(1).state == "refused"
    monkeypatch.setattr(tills.CreditKind, "right", "orders.view")
    assert buttons_of(reader.get("/outbox/").text) == {"undo", "send", "retry", "elsewhere", "close"}
    assert offered_for_many(reader.get("/outbox/").text) == ["undo", "send", "retry", "confirm", "elsewhere", "close"]


def test_who_may_only_undo_is_offered_only_that_for_many(
    take: Take, store: Store, make_user: Callable[..., Actor], make_browser: Callable[..., Browser]
) -> None:
    orders = take(incoming_order(), incoming_order())
    with unit_of_work():
        change(SETTINGS, {"ship_hold": 60}, db.session.get_one(Store, store.id), actor=Actor.operator())
        for one in orders:
            ship_order(locked(one), [PackageInput("DHL", "JD1")], actor=Actor.operator())
    packer = make_browser(make_user("packer", "Pat"))
    page = packer.get("/outbox/").text
    assert buttons_of(page) == {"undo"}
    assert offered_for_many(page) == ["undo"]
    assert len(ids := ids_of(page)) == 2
    assert "Possible for" not in packer.get("/outbox/decide?act=undo&" + urlencode({"update": ids}, doseq=True)).text
    assert "Done: 2 updates" in packer.post("/outbox/decide/undo", {"update": ids}).text
    assert {row.state for row in db.session.query(ChannelUpdate)} == {"withdrawn"}


def test_a_decision_that_no_kind_takes_is_not_offered_for_many(
    many: list[Order], browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in deciding.kinds().values():
        monkeypatch.setattr(type(kind), "confirmable", False)
    assert offered_for_many(browser.get("/outbox/").text) == ["undo", "send", "retry", "close"]


def test_one_that_is_sent_again_is_sent(
    till: tills.Ledger, order: Order, store: Store, credit: Credit, browser: Browser, work: Callable[[], int]
) -> None:
    till.drop = 1
    credit()
    jobs.deliver(store.id, "payouts")
    assert buttons_of(browser.get("/outbox/?view=decide").text) == {"retry", "confirm", "close"}
    with unit_of_work():
        db.session.query(ChannelUpdate).update({"state": "refused", "sent_at": None})
    browser.post("/outbox/decide/retry", {"update": str(update().id)})
    work()
    assert update().state == "sent"
