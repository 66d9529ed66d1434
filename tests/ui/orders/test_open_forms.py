"""Forms that stand open while their order changes."""

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape

import pytest
from sqlalchemy import update

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.billing.services import issue_invoices
from webapp.channels.incoming import ChannelStage, IncomingOrder
from webapp.channels.models import ChannelOrder
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.hooks.failures import Failure
from webapp.orders import freshness
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.orders.services import comment, find_action, refusal_of
from webapp.orders.statuses import make_status
from webapp.sync import fresh_facts
from webapp.testing import FakeChannel, again, incoming_line, incoming_order, line_again

Take = Callable[..., list[Order]]


class OpenForm:
    """The form of an act as a page holds it."""

    def __init__(self, browser: Browser, order: Order, code: str = "ship") -> None:
        self.browser, self.url = browser, f"/orders/{order.number}/actions/{code}"
        self._read(browser.get(self.url, htmx=True).text)

    def _read(self, page: str) -> None:
        self.page = page
        self.renewing = re.search(r'hx-post="([^"]*/renew\?shape=\w+)"', page)[1]  # type: ignore[index]
        names = ("submission_key", "order_version")
        self.hidden = {name: re.search(rf'name="{name}"[^>]*value="([^"]*)"', page)[1] for name in names}  # type: ignore[index]

    def renew(self, **typed: str) -> bool:
        """What the page does when it hears of the order; returns whether the form was drawn anew."""
        answer = self.browser.post(self.renewing, self.hidden | typed, htmx=True)
        if answer.status_code == 204:
            return False
        assert answer.status_code == 200
        self._read(answer.text)
        return True

    def send(self, **typed: str) -> str:
        return self.browser.post(self.url, self.hidden | typed, htmx=True).text

    @property
    def can_be_sent(self) -> bool:
        return bool(re.search(r'<button class="button main" type="submit">', self.page[self.page.index("chosen") :]))


@pytest.fixture
def clerk(mia: Actor, make_browser: Callable[..., Browser]) -> Browser:
    return make_browser(mia)


def asks_to_cancel(order: IncomingOrder) -> IncomingOrder:
    return again(order, lines=line_again(order, cancel_requested=True))


def test_an_order_that_is_canceled_stops_its_open_form(take: Take, clerk: Browser) -> None:
    incoming = incoming_order()
    [order] = take(incoming)
    form = OpenForm(clerk, order)
    take(again(incoming, stage=ChannelStage.CANCELED, status="Canceled"))
    assert form.renew(tracking_number="JD0001")
    assert "This order is canceled." in form.page
    assert 'value="JD0001"' in form.page  # what was typed stays
    assert not form.can_be_sent
    assert not form.renew(tracking_number="JD0001")  # the same again changes nothing


@pytest.mark.parametrize("code", ["ship", "hold", "address"])
@pytest.mark.parametrize("htmx", [True, False])
def test_a_form_sent_too_late_says_why_and_asks_for_no_other_try(
    take: Take, clerk: Browser, mia: Actor, code: str, htmx: bool
) -> None:
    incoming = incoming_order()
    [order] = take(incoming)
    form = OpenForm(clerk, order, code)
    take(again(incoming, stage=ChannelStage.CANCELED, status="Canceled"))
    typed = form.hidden | {"carrier": "DHL", "tracking_number": "JD0001", "reason": "JD0001", "name": "JD0001"}
    place = "order-addresses" if code == "address" else "order-actions"
    answer = clerk.post(form.url, typed, htmx=htmx, HX_Target=place)
    assert answer.status_code == (422 if code == "address" else 409)  # which is incomplete, too
    [refusal] = re.findall(r'role="alert">.*?</svg><div>(.*?)</div>', answer.text, re.DOTALL)
    assert unescape(refusal) == str(refusal_of(find_action(code), db.session.get_one(Order, order.id), mia))
    assert "Check it and try again" not in answer.text
    assert "JD0001" in answer.text
    assert '<button class="button main" type="submit">' not in answer.text
    assert '<button class="hidden-text" type="submit" tabindex="-1" aria-hidden="true" disabled>' in answer.text


def test_a_stopped_form_follows_its_reason(take: Take, clerk: Browser) -> None:
    incoming = incoming_order()
    [order] = take(incoming)
    form = OpenForm(clerk, order)
    OpenForm(clerk, order, "hold").send(reason="Check")
    assert form.renew(tracking_number="JD0001")
    take(again(incoming, stage=ChannelStage.CANCELED, status="Canceled"))
    assert form.renew(tracking_number="JD0001")
    assert "This order is canceled." in form.page


def test_the_comment_box_follows_its_order_and_keeps_what_was_typed(take: Take, clerk: Browser) -> None:
    with unit_of_work():
        make_status("packing", {"en": "At the table"}, state="processing", actor=Actor.operator())
    incoming = incoming_order()
    [order] = take(incoming)
    assert "/actions/comment/renew?shape=" in clerk.get(f"/orders/{order.number}").text
    form = OpenForm(clerk, order, "comment")
    assert "At the table" in form.page
    assert not form.renew(text="Half a")
    take(again(incoming, stage=ChannelStage.CANCELED, status="Canceled"))
    assert form.renew(text="Half a sentence")
    assert ("Half a sentence" in form.page, "At the table" in form.page) == (True, False)


def test_a_buyer_s_request_changes_the_open_form(take: Take, clerk: Browser) -> None:
    incoming = incoming_order()
    [order] = take(incoming)
    form = OpenForm(clerk, order)
    assert "ship_anyway" not in form.page
    take(asks_to_cancel(incoming))
    assert form.renew(carrier="DHL", tracking_number="JD0001")
    assert 'name="ship_anyway"' in form.page
    assert "What happened meanwhile:" in form.page
    assert form.can_be_sent
    answer = form.send(carrier="DHL", tracking_number="JD0001")
    assert "The buyer asked to cancel this order." in answer
    assert "Shipped" in form.send(carrier="DHL", tracking_number="JD0001", ship_anyway="y")


def test_units_that_left_meanwhile_are_offered_no_more(take: Take, clerk: Browser) -> None:
    incoming = incoming_order([incoming_line("MUG", 3)])
    [order] = take(incoming)
    form = OpenForm(clerk, order)
    take(again(incoming, lines=line_again(incoming, fulfilled=1)))
    assert form.renew()
    assert 'max="2"' in form.page


def test_a_form_that_is_still_right_is_left_alone(take: Take, clerk: Browser, mia: Actor) -> None:
    [order] = take(incoming_order())
    form = OpenForm(clerk, order)
    with unit_of_work():
        comment(locked(order), "Ask the warehouse", actor=mia)
    assert not form.renew(tracking_number="JD0001")


def test_the_buttons_beside_an_open_form_stay_true(take: Take, clerk: Browser) -> None:
    [order] = take(incoming_order())
    form = OpenForm(clerk, order, "due")
    assert re.search(r'<a id="offer-ship"', form.page)
    OpenForm(clerk, order, "hold").send(reason="Check")
    assert form.renew()
    assert re.search(r'<span class="why" id="why-offer-ship" role="tooltip">This order is on hold', form.page)
    assert form.can_be_sent


def test_a_form_that_a_plugin_can_t_draw_is_left_alone(
    take: Take, clerk: Browser, monkeypatch: pytest.MonkeyPatch, plugin_failures: list[Failure]
) -> None:
    [order] = take(incoming_order())
    form = OpenForm(clerk, order)
    monkeypatch.setattr(type(find_action("ship")), "offered", lambda *_: 1 / 0)
    assert not form.renew(tracking_number="JD0001")
    assert [failure.code for failure in plugin_failures] == ["ship"]
    plugin_failures.clear()


def test_a_button_that_is_pressed_too_late_says_so_in_a_message(take: Take, clerk: Browser, operator: Actor) -> None:
    [order] = take(incoming_order())
    with unit_of_work():
        [invoice] = issue_invoices([locked(order)], actor=operator)
        comment(locked(order), "Wait", actor=operator)
    pressed = {"invoice": str(invoice.id), "order_version": "1", "submission_key": "k1"}
    url = f"/orders/{order.number}/actions/correct_invoice"
    answer = clerk.post(url, pressed, htmx=True, HX_Target="order-tab")
    assert (answer.status_code, answer.headers["HX-Retarget"]) == (409, "#messages")
    assert "This order changed while you were looking at it." in answer.text
    assert "This order changed while you were looking at it." in clerk.post(url, pressed).text


def test_a_form_that_was_stopped_comes_back(take: Take, clerk: Browser) -> None:
    [order] = take(incoming_order())
    form = OpenForm(clerk, order)
    hold = OpenForm(clerk, order, "hold")
    hold.send(reason="Check")
    assert form.renew(tracking_number="JD0001")
    assert not form.can_be_sent
    OpenForm(clerk, order, "release").send()
    assert form.renew(tracking_number="JD0001")
    assert form.can_be_sent
    assert 'value="JD0001"' in form.page


def test_another_s_act_needs_its_right(
    take: Take, make_browser: Callable[..., Browser], make_user: Callable[..., Actor]
) -> None:
    [order] = take(incoming_order())
    reader = make_browser(make_user("read_only", "Rea"))
    assert reader.post(f"/orders/{order.number}/actions/ship/renew?shape=x", htmx=True).status_code == 403


@pytest.mark.parametrize("htmx", [True, False])
def test_shipping_asks_the_channel_first_where_facts_are_old(
    take: Take,
    clerk: Browser,
    channel: FakeChannel,
    monkeypatch: pytest.MonkeyPatch,
    work: Callable[[], int],
    htmx: bool,
) -> None:
    incoming = incoming_order()
    [order] = take(incoming)
    channel.offer(asks_to_cancel(incoming))
    form = OpenForm(clerk, order)
    with unit_of_work():
        old = now() - timedelta(minutes=11)
        db.session.execute(update(ChannelOrder).values(seen_at=old))
    monkeypatch.setattr(fresh_facts.time, "sleep", lambda _seconds: work())  # a worker answers meanwhile
    typed = form.hidden | {"carrier": "DHL", "tracking_number": "JD0001"}
    answer = clerk.post(form.url, typed, htmx=htmx).text
    assert "The buyer asked to cancel this order" in answer
    db.session.expire_all()
    assert db.session.get_one(Order, order.id).unshipped == 1
    for path in (f"/orders/{order.number}/packing-slip", f"/orders/packing-slips?order={order.id}"):
        with unit_of_work():
            db.session.execute(update(ChannelOrder).values(seen_at=old))
        assert "The buyer asked to cancel this order" in clerk.get(path).text


def test_an_act_says_when_the_channel_did_not_answer(
    take: Take, clerk: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    [order] = take(incoming_order())
    form = OpenForm(clerk, order)
    with unit_of_work():
        db.session.execute(update(ChannelOrder).values(seen_at=now() - timedelta(minutes=11)))
    monkeypatch.setattr(freshness, "PATIENCE", timedelta(seconds=0.2))
    answer = form.send(carrier="DHL", tracking_number="JD0001")
    assert "Shipped" in answer
    assert "Fake channel did not answer in time" in answer
    slip = clerk.get(f"/orders/{order.number}/packing-slip").text
    assert "did not answer in time" not in slip  # it has left


def test_a_slip_of_old_facts_says_so(take: Take, clerk: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    [order] = take(incoming_order())
    with unit_of_work():
        db.session.execute(update(ChannelOrder).values(seen_at=now() - timedelta(minutes=11)))
    monkeypatch.setattr(freshness, "PATIENCE", timedelta(seconds=0.2))
    slip = clerk.get(f"/orders/{order.number}/packing-slip").text
    assert "did not answer in time" in slip
