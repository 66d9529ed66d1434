"""What people decide about updates on the order's page: undo, send now, say that it happened."""

# ruff: noqa: F811 - fixtures are imported by their names

import json
import re
from collections.abc import Callable

import pytest

from tests.ui.conftest import Browser
from tests.updates import till as tills
from tests.updates.conftest import Credit, channel, credit, order, store, till, update  # noqa: F401 - fixtures
from webapp.audit.actor import Actor
from webapp.channels.connecting import Disconnected
from webapp.channels.models import Store
from webapp.cli.main import main
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.hooks import hooks
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.sync import delivering, jobs

Work = Callable[[], int]


def ways(browser: Browser, order: Order) -> set[str]:
    page = browser.get(f"/orders/{order.number}?tab=updates").text
    return set(re.findall(r'action="/updates/\d+/(\w+)"', page))


def decide(browser: Browser, way: str) -> int:
    return browser.post(f"/updates/{update().id}/{way}", htmx=True).status_code


def test_what_is_held_is_undone_or_sent_at_once(
    till: tills.Ledger,
    order: Order,
    credit: Credit,
    browser: Browser,
    work: Work,
) -> None:
    credit(1, held=True)
    page = browser.get(f"/orders/{order.number}?tab=updates").text
    assert "Scheduled for" in page
    assert ways(browser, order) == {"undo", "send"}
    assert decide(browser, "undo") == 200
    assert update().state == "withdrawn"
    assert ways(browser, order) == set()
    assert "The update was undone before it was sent" in browser.get(f"/orders/{order.number}?tab=timeline").text
    credit(2, held=True)
    assert browser.post(f"/updates/{update(2).id}/send", htmx=True).status_code == 200
    work()
    assert till.paid == ["C2"]
    assert browser.post(f"/updates/{update(2).id}/undo", htmx=True).status_code == 409


def test_what_nobody_knows_is_said_to_have_happened(
    till: tills.Ledger,
    store: Store,
    order: Order,
    credit: Credit,
    browser: Browser,
) -> None:
    till.drop = 1
    credit()
    jobs.deliver(store.id, "payouts")
    assert ways(browser, order) == {"retry", "confirm", "close"}
    assert decide(browser, "confirm") == 200
    assert update().state == "effective"
    assert "The update was marked as done" in browser.get(f"/orders/{order.number}?tab=timeline").text


def test_what_was_refused_is_said_to_be_done_elsewhere(
    till: tills.Ledger, store: Store, order: Order, credit: Credit, browser: Browser
) -> None:
    credit()
    with unit_of_work():
        row = update()
        row.state, row.refused_at = "refused", now()
    assert ways(browser, order) == {"retry", "elsewhere", "close"}
    answer = browser.post(f"/updates/{update().id}/elsewhere", htmx=True)
    assert answer.status_code == 200
    assert "The update counts as done elsewhere" in answer.text
    assert update().state == "done_elsewhere"
    page = browser.get(f"/orders/{order.number}?tab=updates").text
    assert re.findall(r'<li data-step="(\w+)">([\w ]+)<', page) == [
        ("done", "Queued"),
        ("bad", "Refused"),
        ("done", "Done elsewhere"),
    ]
    assert (
        "The update was marked as done directly on the channel"
        in browser.get(f"/orders/{order.number}?tab=timeline").text
    )
    assert browser.post(f"/updates/{update().id}/elsewhere", htmx=True).status_code == 409


def test_what_waits_says_when_it_goes_and_why_it_waits(
    till: tills.Ledger, store: Store, order: Order, credit: Credit, browser: Browser,
    channel: tills.TillChannel, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    tills.CreditKind.waiting.add("C1")
    credit()
    jobs.deliver(store.id, "payouts")
    monkeypatch.setattr(channel, "when", lambda access, lane, urgent: 1200.0 if lane == "payouts" else 0.0)
    page = browser.get(f"/orders/{order.number}?tab=updates").text
    assert "Scheduled for" in page
    assert "Nobody wants this credit any more." in page


def test_a_store_that_is_read_only_says_so_and_sends_again_when_it_is_let(
    store: Store,
    till: tills.Ledger,
    credit: Credit,
    browser: Browser,
    work: Work,
) -> None:
    row = db.session.get_one(Store, store.id)
    row.read_only = {"code": "older_database", "values": {}}
    db.session.commit()
    credit()
    work()
    assert till.paid == []
    page = browser.get(f"/stores/{store.id}").text
    assert "The database is older than the last updates" in page
    assert "1 update waits to be sent" in page
    assert browser.post(f"/stores/{store.id}/let_send").status_code == 302
    jobs.find_due()
    work()
    assert till.paid == ["C1"]


STOPPED = {
    "read_only": {"read_only": {"code": "older_database", "values": {}}},
    "disconnected": {"problem": Disconnected().stored()},
    "paused": {"active": False},
}


@pytest.mark.parametrize("how", STOPPED)
@pytest.mark.parametrize("held", [True, False])
def test_a_store_that_sends_nothing_shows_no_time(
    store: Store, order: Order, credit: Credit, browser: Browser, channel: tills.TillChannel,
    monkeypatch: pytest.MonkeyPatch, how: str, held: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr(channel, "when", lambda access, lane, urgent: 1200.0)
    credit(1, held=held)
    for stopped in (False, True):
        if stopped:
            with unit_of_work():
                db.session.query(Store).filter_by(id=store.id).update(STOPPED[how])  # type: ignore[arg-type]
        page = browser.get(f"/orders/{order.number}?tab=updates").text
        assert ("Scheduled for" in page) is not stopped
        [cell] = re.findall(r'<td class="text c-goes"[^>]*>(.*?)</td>', browser.get("/outbox/").text)
        assert ("<time" in cell) is not stopped


def test_who_may_decide_is_said_by_the_kind(
    order: Order,
    credit: Credit,
    make_user: Callable[..., Actor],
    make_browser: Callable[..., Browser],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    credit(1, held=True)
    reader = make_browser(make_user("packer", "Paula"))
    assert ways(reader, order) == set()
    assert decide(reader, "undo") == 403
    monkeypatch.setattr(tills.CreditKind, "right", "orders.view")
    assert ways(reader, order) == {"undo", "send"}
    assert decide(reader, "undo") == 200
    assert update().state == "withdrawn"


def test_one_whose_kind_is_gone_is_not_sent(order: Order, credit: Credit, browser: Browser) -> None:
    credit(1, held=True)
    hooks.manager.unregister(name="till")
    assert decide(browser, "send") == 404
    assert update().state == "held"


@pytest.mark.parametrize("way", ["retry", "close", "confirm", "elsewhere", "undo", "send"])
def test_what_is_decided_needs_the_right_that_the_kind_names(
    credit: Credit,
    order: Order,
    make_browser: Callable[..., Browser],
    make_user: Callable[..., Actor],
    browser: Browser,
    way: str,
) -> None:
    """The route asks for seeing orders alone; whoever may do no more is refused by what it calls."""
    credit(held=True)
    reader = make_browser(make_user("read_only", "Rita"))
    assert reader.post(f"/updates/{update().id}/{way}").status_code == 403
    assert update().state == "held"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"problem": Disconnected(channel="Till", problem="wrong secret").stored()}, "refuses Waybill"),
        ({"active": False}, "This update waits until its store is activated."),
        ({"read_only": {"code": "older_database", "values": {}}}, "The database is older than the last updates"),
    ],
)
def test_what_is_owed_to_a_store_that_is_told_nothing_says_why(
    store: Store, order: Order, credit: Credit, browser: Browser, changes: dict[str, object], said: str
) -> None:
    credit()
    row = db.session.get_one(Store, store.id)
    for name, value in changes.items():
        setattr(row, name, value)
    db.session.commit()
    assert said in browser.get(f"/orders/{order.number}?tab=updates").text


BUSY = "This update waits until “Credit” of this account has finished."


def test_what_waits_behind_others_of_its_lane_says_so(
    till: tills.Ledger,
    store: Store,
    order: Order,
    credit: Credit,
    browser: Browser,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On its page and in JSON, until the lane is free; what nobody waits for asks no database about it."""
    path = f"/orders/{order.number}?tab=updates"
    credit(1)
    assert BUSY not in browser.get(path).text
    with unit_of_work():
        assert delivering.claim_due(store.id, "payouts", "a worker") is not None
    browser.get(path)
    alone = len(browser.queries)

    credit(2)
    credit(3)
    page = browser.get(path).text
    assert page.count(BUSY) == 2  # once for each, and not of the one that is under way
    assert len(browser.queries) <= alone + 2  # asked once for all that wait
    assert main(["--json", "updates", "list", "--state", "owed"]) == 0
    told = {row["reference"]: row["message"] for row in json.loads(capsys.readouterr().out)}
    assert told == {"C1": None, "C2": BUSY, "C3": BUSY}

    with unit_of_work():
        row = update(1)
        row.state, row.lease_owner, row.lease_until = "unknown", None, None
    assert browser.get(path).text.count(BUSY) == 2
    with unit_of_work():
        update(1).handle = "batch-1-1"
    assert BUSY not in browser.get(path).text


def test_what_goes_beside_others_asks_nothing_about_its_lane(
    till: tills.Ledger, store: Store, order: Order, browser: Browser, operator: Actor
) -> None:
    path = f"/orders/{order.number}?tab=updates"
    with unit_of_work():
        [line] = (held := locked(order)).lines
        ship_order(held, [PackageInput("DHL", "JD1", lines={line.id: 1})], actor=operator)
    page = browser.get(path).text
    assert "Queued" in page
    assert not [query for query in browser.queries if "channel_updates.handle IS NULL" in query]
