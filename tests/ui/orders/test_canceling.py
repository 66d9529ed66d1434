"""Canceling in the browser: the form, a running cancellation, undo, a refusal, and a buyer who asks for it."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.channels.incoming import FulfilledBy
from webapp.channels.models import Store
from webapp.channels.outgoing import Refused
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.holding import CANCEL_HOLD, SETTINGS
from webapp.fulfillment.models import Cancellation
from webapp.fulfillment.services import ship_order
from webapp.orders.models import Order
from webapp.orders.order_settings import NEW_ORDERS
from webapp.orders.queries import locked, reference
from webapp.settings.services import change
from webapp.sync import jobs
from webapp.testing import FakeChannel, again, incoming_line, incoming_order, line_again
from webapp.updates.models import ChannelUpdate

Take = Callable[..., list[Order]]


@pytest.fixture
def boss(make_user: Callable[..., Actor], make_browser: Callable[..., Browser]) -> Browser:
    return make_browser(make_user("manager", "Bo"))


def hidden(page: str) -> dict[str, str]:
    names = ("submission_key", "order_version")
    form = page[page.index('class="chosen"') :]
    return {name: re.search(rf'name="{name}"[^>]*value="([^"]*)"', form)[1] for name in names}  # type: ignore[index]


def cancel(browser: Browser, order: Order, *, htmx: bool = True, **data: str) -> str:
    url = f"/orders/{order.number}/actions/cancel"
    form = browser.get(url, htmx=htmx).text
    answer = browser.post(url, hidden(form) | {"reason": "NoInventory"} | data, htmx=htmx)
    return answer.text if htmx else browser.get(f"/orders/{order.number}").text


def latest() -> ChannelUpdate:
    db.session.expire_all()
    return db.session.query(ChannelUpdate).order_by(ChannelUpdate.id.desc()).first()  # type: ignore[return-value]


@pytest.mark.parametrize("htmx", [True, False])
def test_it_says_when_it_goes_and_is_undone_from_the_page(
    make_order: Callable[..., Order], boss: Browser, htmx: bool
) -> None:
    order = make_order(quantity=2)
    page = cancel(boss, order, htmx=htmx)
    goes = re.search(r"The cancellation is sent to Fake channel at \d\d:\d\d:\d\d\.", page)
    assert goes
    assert "Not in stock" in page
    assert "Canceling" in page
    answer = boss.post(f"/updates/{latest().id}/undo", htmx=htmx)
    assert (latest().state, latest().order.canceling) == ("withdrawn", False)
    page = answer.text if htmx else boss.get(f"/orders/{order.number}").text
    assert "Nothing was sent." in page
    assert "Being canceled" not in page


def test_a_store_that_sends_nothing_names_no_time(
    make_order: Callable[..., Order], boss: Browser, store: Store
) -> None:
    canceled, shipped = make_order(), make_order()
    with unit_of_work():
        change(SETTINGS, {"ship_hold": 60}, db.session.get_one(Store, store.id), actor=Actor.operator())
        ship_order(locked(shipped), [PackageInput("DHL", "JD1")], actor=Actor.operator())
    assert "The confirmation is sent to Fake channel at" in boss.get(f"/orders/{shipped.number}?tab=shipments").text
    with unit_of_work():
        db.session.get_one(Store, store.id).read_only = {"code": "older_database", "values": {}}
    page = cancel(boss, canceled)
    for text in (page, boss.get(f"/orders/{canceled.number}").text):
        assert "Being canceled" in text
        assert "The database is older than the last updates" in text
        for wrong in ("sent to Fake channel at", "The cancellation is sent at"):
            assert wrong not in text
    page = boss.get(f"/orders/{shipped.number}?tab=shipments").text
    assert "The confirmation has not been sent to Fake channel. The database is older" in page
    assert "The confirmation is sent to" not in page


def test_the_message_offers_to_undo_it(make_order: Callable[..., Order], boss: Browser) -> None:
    order = make_order()
    page = cancel(boss, order)
    message = page[page.index('id="messages"') :]
    assert "Cancellation requested: Not in stock. The cancellation is sent at" in message
    assert f"/orders/{order.number}/actions/undo_cancel" in message
    names = ("submission_key", "order_version")
    data = {name: re.search(rf'name="{name}" value="([^"]+)"', message)[1] for name in names}  # type: ignore[index]
    boss.post(f"/orders/{order.number}/actions/undo_cancel", data, htmx=True)
    assert (latest().state, db.session.query(Cancellation).one().state) == ("withdrawn", "withdrawn")


def test_units_of_lines_are_chosen_in_the_form(take: Take, boss: Browser) -> None:
    [order] = take(incoming_order([incoming_line("MUG", 3)]))
    line = order.lines[0].id
    chosen = {"lines": "some", "lines-line": str(line), f"lines-{line}": "2"}
    page = cancel(boss, order, **chosen)
    assert latest().payload["lines"] == {order.lines[0].channel_line_number: 2}
    assert "2 units" in page


def test_an_empty_reason_is_asked_for(make_order: Callable[..., Order], boss: Browser) -> None:
    order = make_order()
    url = f"/orders/{order.number}/actions/cancel"
    answer = boss.post(url, hidden(boss.get(url, htmx=True).text) | {"reason": ""}, htmx=True)
    assert answer.status_code == 422
    assert "aria-invalid" in answer.text


def test_a_refusal_is_on_the_page_with_what_to_do(
    make_order: Callable[..., Order], boss: Browser, channel: FakeChannel, work: Callable[[], int]
) -> None:
    order = make_order()
    cancel(boss, order)
    channel.outcomes = [Refused("The order is packed.")]
    with time_machine.travel(now() + timedelta(seconds=61), tick=True):
        jobs.find_due()
        work()
    page = boss.get(f"/orders/{order.number}").text
    assert "The channel did not cancel this order: The order is packed." in page
    assert "cancel it again with another reason" in page
    updates = boss.get(f"/orders/{order.number}?tab=updates").text
    assert "Try again" not in updates  # it would be refused: the order is canceled anew instead
    assert "Close without sending again" in updates


def test_while_it_is_on_its_way_nothing_offers_to_undo_it(
    make_order: Callable[..., Order], boss: Browser, work: Callable[[], int]
) -> None:
    order = make_order()
    cancel(boss, order)
    with time_machine.travel(now() + timedelta(seconds=61), tick=True):
        jobs.find_due()
        work()
    page = boss.get(f"/orders/{order.number}").text
    assert "The cancellation was sent. Wait until Fake channel shows it." in page
    assert f"/updates/{latest().id}/undo" not in page


def test_a_buyers_request_is_answered_from_its_banner(take: Take, boss: Browser) -> None:
    told = incoming_order([incoming_line("MUG", 1)])
    take(told)
    [order] = take(again(told, lines=line_again(told, cancel_requested=True, cancel_reason="Bought twice")))
    boss.post(f"/orders/{order.number}/actions/comment", {"text": "They wrote to us too"})
    for tab in ("shipments", "updates", "timeline", "channel", "overview"):
        page = boss.get(f"/orders/{order.number}?tab={tab}")
        assert len(boss.queries) <= 8, "\n".join(boss.queries)
        assert "Bought twice" in page.text
    banner = page.text[page.text.index('id="order-cancel-request"') :]
    for word in ("Bought twice", "Received", "Cancel for the buyer", "Ship anyway"):
        assert word in banner
    form = boss.get(f"/orders/{order.number}/actions/cancel", htmx=True).text
    assert re.search(r'value="BuyerCanceled"[^>]*selected|selected[^>]*value="BuyerCanceled"', form)
    assert (
        "Ship although" in (ship := boss.get(f"/orders/{order.number}/actions/ship", htmx=True).text)
        or "ship anyway" in ship
    )
    assert re.search(r'Received <time [^>]*data-countdown="age">0 min</time> ago ·\s+<time', banner)
    cancel(boss, order, reason="BuyerCanceled")
    assert latest().payload["reason"] == "BuyerCanceled"
    assert "order-cancel-request" not in boss.get(f"/orders/{order.number}").text
    assert order.number not in boss.get("/orders/", {"view": "cancel"}).text


@pytest.mark.parametrize("why", ["by the channel", "managed"])
def test_a_request_that_is_answered_elsewhere_is_not_to_decide_here(
    take: Take, boss: Browser, store: Store, why: str
) -> None:
    more = {"fulfilled_by": FulfilledBy.CHANNEL} if why == "by the channel" else {}
    if why == "managed":
        with unit_of_work():
            change(NEW_ORDERS, {"import_orders": "no"}, db.session.get_one(Store, store.id), actor=Actor.operator())
    [order] = take(incoming_order([incoming_line(cancel_requested=True)], **more))
    assert order.unshipped
    url = f"/orders/{reference(order)}"
    page = boss.get(url).text
    banner = page[page.index('id="order-cancel-request"') :]
    assert "Answer the request on Fake channel, not here." in banner
    for wrong in ("Decide before anything ships", "Cancel for the buyer", "Ship anyway"):
        assert wrong not in page
    assert order.channel_order_number not in boss.get("/orders/", {"view": "cancel"}).text
    work = boss.get("/dashboard/cards/work").text
    assert re.search(r'<span class="figure">0</span> <span class="word">Buyer wants to cancel', work)
    assert order.channel_order_number in boss.get("/orders/", {"q": "buyer-cancel:yes"}).text


def test_the_view_of_requests_shows_age_reason_and_cost(
    take: Take, boss: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeChannel, "unanswered_request", "Each hour counts.")
    told = [incoming_order([incoming_line("MUG", 1), incoming_line("CUP", 1)]) for _ in range(3)]
    take(*told)
    with time_machine.travel(now() - timedelta(hours=3, minutes=5), tick=True):
        orders = take(
            *(
                again(one, lines=line_again(one, cancel_requested=True, cancel_reason=f"Reason {place}"))
                for place, one in enumerate(told)
            )
        )
    boss.get("/orders/")
    page = boss.get("/orders/", {"view": "cancel"}).text
    assert len(boss.queries) <= 8, "\n".join(boss.queries)
    assert '<p class="note">Each hour counts.</p>' in page
    for place, order in enumerate(orders):
        row = boss.get(f"/orders/rows/{order.id}", {"view": "cancel"}).text
        assert row in page
        assert f"Reason {place}" in row
        assert 'data-countdown="age">3 h 5 min</time>' in row
    head = page[page.index("Cancel requested since") - 300 : page.index("Cancel requested since")]
    assert "data-sort" not in head.rpartition("<th")[2]
    assert 'data-column="cancel_since"' not in page  # it belongs to the view, not to the person's layout
    for other in ("/orders/", "/orders/?q=buyer-cancel:yes"):
        page = boss.get(other).text
        assert "Each hour counts." not in page
        assert "Cancel requested since" not in page


def test_a_request_made_again_is_as_old_as_the_last(take: Take, boss: Browser) -> None:
    told = incoming_order([incoming_line("MUG", 1)])
    take(told)
    for hours, asks in ((9, True), (6, False), (2, True)):
        with time_machine.travel(now() - timedelta(hours=hours), tick=True):
            take(told := again(told, lines=line_again(told, cancel_requested=asks)))
    [order] = db.session.query(Order)
    page = boss.get(f"/orders/{order.number}").text
    assert re.search(r'Received <time [^>]*data-countdown="age">2 h</time> ago', page)
    assert 'data-countdown="age">2 h</time>' in boss.get("/orders/", {"view": "cancel"}).text


def test_a_clerk_sees_no_button(
    make_order: Callable[..., Order], make_browser: Callable[..., Browser], mia: Actor
) -> None:
    order = make_order()
    page = make_browser(mia).get(f"/orders/{order.number}").text
    assert "/actions/cancel" not in page


def test_a_running_cancellation_costs_one_statement(make_order: Callable[..., Order], boss: Browser) -> None:
    order = make_order()
    boss.get(f"/orders/{order.number}")
    plain = len(boss.queries)
    cancel(boss, order)
    for tab in ("", "?tab=updates", "?tab=shipments", "?tab=channel"):
        boss.get(f"/orders/{order.number}{tab}")
        assert len(boss.queries) <= 8, "\n".join(boss.queries)
        assert tab or len(boss.queries) == plain + 1, "\n".join(boss.queries)


def test_who_may_not_cancel_may_not_undo_it(
    make_order: Callable[..., Order], boss: Browser, make_browser: Callable[..., Browser], mia: Actor
) -> None:
    order = make_order()
    cancel(boss, order)
    clerk = make_browser(mia)
    page = clerk.get(f"/orders/{order.number}").text
    assert "Being canceled" in page
    assert f"/updates/{latest().id}/undo" not in page
    assert clerk.post(f"/updates/{latest().id}/undo").status_code == 403
    assert latest().state == "held"


def test_many_are_canceled_from_the_view_of_buyers_who_ask(take: Take, boss: Browser, work: Callable[[], int]) -> None:
    lines = [incoming_line(cancel_requested=True) for _ in range(2)]
    orders = take(*(incoming_order([line]) for line in lines))
    chosen = {"order": [str(order.id) for order in orders]}
    page = boss.get("/orders/bulk", {**chosen, "action": "cancel"}).text
    assert "The buyer asked to cancel" in page
    boss.post("/orders/bulk/cancel", {**chosen, "reason": "BuyerCanceled"})
    work()
    db.session.expire_all()
    assert [row.payload["reason"] for row in db.session.query(ChannelUpdate)] == ["BuyerCanceled"] * 2
    assert all(order.number not in boss.get("/orders/", {"view": "cancel"}).text for order in orders)


def test_forms_for_many_read_the_cancellations_of_all_in_one_statement(take: Take, boss: Browser) -> None:
    orders = take(*(incoming_order() for _ in range(7)))
    chosen = {"order": [str(order.id) for order in orders]}
    for order in orders[:1]:
        cancel(boss, order)
    needed = {}
    for action in ("", "cancel", "undo_cancel"):
        boss.get("/orders/bulk", {**chosen, "action": action})
        needed[action] = len(boss.queries)
    for order in orders[1:6]:
        cancel(boss, order)
    for action, before in needed.items():
        page = boss.get("/orders/bulk", {**chosen, "action": action})
        assert len(boss.queries) == before <= 8, "\n".join(boss.queries)
        if action == "undo_cancel":
            assert "This order is not being canceled." in page.text


def test_the_seconds_are_set_on_the_page_of_the_store(boss: Browser, store: Store) -> None:
    page = boss.get(f"/stores/{store.id}/settings").text
    assert "Seconds in which a cancellation can be undone" in page
    boss.post(f"/stores/{store.id}/settings/groups/outward", {"cancel_hold": "90"})
    db.session.expire_all()
    assert CANCEL_HOLD.of(db.session.get_one(Store, store.id)) == 90
    answer = boss.post(f"/stores/{store.id}/settings/groups/outward", {"cancel_hold": "3601"})
    assert "Enter 3600 or less." in answer.text
