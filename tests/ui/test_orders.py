"""The list of orders, the page of one, and acting on it."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.channels.contract import ChannelStage, FulfilledBy
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.fulfillment.models import Shipment
from webapp.orders.models import Order
from webapp.orders.queries import key_of
from webapp.orders.services import comment, hold
from webapp.sync.models import ChannelUpdate, UpdateState
from webapp.testing import FakeChannel, again, incoming_line, incoming_order

SHIP = {"carrier": "FAKE", "tracking_number": "JD0001"}


def _form(page: str) -> dict[str, str]:
    """The hidden fields of the action's form."""
    form = page[page.index('class="chosen"') :]
    names = ("submission_key", "order_version")
    return {name: re.search(rf'name="{name}"[^>]*value="([^"]*)"', form)[1] for name in names}  # type: ignore[index]


@pytest.fixture
def carrier(channel: FakeChannel, monkeypatch: pytest.MonkeyPatch) -> str:
    """The code of a carrier that the fake channel knows."""
    return channel.carriers("DE")[0].code


def test_a_list_of_fifty_costs_few_queries(take: Callable[..., list[Order]], browser: Browser) -> None:
    take(*[incoming_order([incoming_line(f"SKU{n}", 2)]) for n in range(60)])
    page = browser.get("/orders/")

    assert page.text.count('<tr id="order-') == 50
    assert "Jane Quixelworth" in page.text
    assert len(browser.queries) <= 8, "\n".join(browser.queries)


def test_the_list_pages_back_and_forth(take: Callable[..., list[Order]], browser: Browser) -> None:
    at = now() - timedelta(days=2)
    orders = take(*[incoming_order(created_at=at + timedelta(minutes=n)) for n in range(120)])

    seen, url = [], "/orders/"
    while url:
        page = browser.get(url).text
        seen += [int(id_) for id_ in re.findall(r'<tr id="order-(\d+)"', page)]
        older = re.search(r'rel="next" href="([^"]+)"', page)
        url, last = (older[1].replace("&amp;", "&") if older else ""), url
    newer = re.search(r'rel="prev" href="([^"]+)"', browser.get(last).text)

    assert seen == [order.id for order in reversed(orders)]
    assert newer is not None
    assert browser.get(newer[1].replace("&amp;", "&")).text.count('<tr id="order-') == 50


def test_the_list_filters_by_shown_state(take: Callable[..., list[Order]], browser: Browser, mia: Actor) -> None:
    held, pending, other = take(
        incoming_order(),
        incoming_order(stage=ChannelStage.AWAITING_PAYMENT, status="PENDING", total=None),
        incoming_order(),
    )
    with unit_of_work():
        hold(db.session.get_one(Order, held.id), "fraud check", actor=mia)

    def shown(state: str) -> set[int]:
        return set(map(int, re.findall(r'<tr id="order-(\d+)"', browser.get(f"/orders/?state={state}").text)))

    assert shown("on_hold") == {held.id}
    assert shown("pending") == {pending.id}
    assert shown("processing") == {other.id}


def test_names_and_addresses_are_only_for_who_may_see_buyers(
    make_order: Callable[..., Order],
    make_browser: Callable[..., Browser],
    make_user: Callable[..., Actor],
    browser: Browser,
    mia: Actor,
) -> None:
    order = make_order()
    with unit_of_work():
        comment(db.session.get_one(Order, order.id), "Jane called", actor=mia)
    reader = make_browser(make_user("read_only", "Rita"))

    assert "7 Zanzibar Mews" in browser.get(f"/orders/{order.number}").text
    assert "Jane called" in browser.get(f"/orders/{order.number}").text
    for path in ("/orders/", f"/orders/{order.number}", f"/orders/rows/{order.id}", f"/orders/{order.number}/parts"):
        page = reader.get(path)
        assert page.status_code == 200
        assert not re.search("Jane|Quixelworth|Zanzibar|Vrombaut|5550199", page.text), path


def test_an_order_is_found_by_either_number_and_its_id(make_order: Callable[..., Order], browser: Browser) -> None:
    order = make_order()

    for number in (order.number, order.channel_order_number, f"@{order.id}"):
        page = browser.get(f"/orders/{number}")
        assert page.status_code == 200
        assert str(order.number) in page.text
        assert order.channel_order_number in page.text
    assert len(browser.queries) <= 16, "\n".join(browser.queries)
    assert browser.get("/orders/999999").status_code == 404
    for path in ("/orders/rows/", "/runs/"):  # beyond what a database counts
        assert {browser.get(path + digits).status_code for digits in ("9" * 12, "9" * 30)} == {404}


def test_a_number_of_several_orders_is_answered_with_the_choice(
    make_order: Callable[..., Order], browser: Browser, channel: FakeChannel, store: Any
) -> None:
    from webapp.channels.contract import OrdersPage
    from webapp.channels.services import add_store
    from webapp.sync.importing import prepare, take_in

    order = make_order(number="302-1111111-0000001")
    with unit_of_work():
        other = add_store("fake", "Second", {"key": "k2"}, actor=Actor.operator())
    ready = prepare(other, OrdersPage([incoming_order(number="302-1111111-0000001")]))
    with unit_of_work():
        take_in(other, ready)

    page = browser.get("/orders/302-1111111-0000001")

    assert page.status_code == 409
    assert f'href="/orders/{order.number}"' in page.text
    assert page.text.count("302-1111111-0000001") >= 3


def test_news_count_what_came_since(make_order: Callable[..., Order], browser: Browser) -> None:
    first = make_order()
    since = key_of(first)
    assert "new order" not in browser.get(f"/orders/news?since={since}", htmx=True).text

    make_order(created_at=now())

    assert "1 new order" in browser.get(f"/orders/news?since={since}", htmx=True).text


def test_shipping_shows_the_form_ships_and_shows_what_changed(
    make_order: Callable[..., Order], browser: Browser, carrier: str, work: Callable[[], int], channel: FakeChannel
) -> None:
    order = make_order(quantity=2)
    url = f"/orders/{order.number}/actions/ship"
    form = browser.get(url, htmx=True)
    assert form.status_code == 200
    assert "<html" not in form.text

    done = browser.post(url, _form(form.text) | {"carrier": carrier, "tracking_number": "JD0001"}, htmx=True)

    assert done.status_code == 200
    assert done.headers["HX-Trigger"] == '{"order-changed": null}'
    for part in ("order-actions", "order-summary", "order-packages", "order-updates", "order-timeline", "messages"):
        assert f'id="{part}"' in done.text
    assert "JD0001" in done.text
    work()
    db.session.rollback()
    assert [told["package"]["tracking_number"] for told in channel.told("shipment")] == ["JD0001"]


def test_without_javascript_the_form_is_a_page_and_leads_back(
    make_order: Callable[..., Order], browser: Browser, carrier: str
) -> None:
    order = make_order()
    url = f"/orders/{order.number}/actions/ship"
    form = browser.get(url)
    assert "<html" in form.text

    done = browser.post(url, _form(form.text) | {"carrier": carrier, "tracking_number": "JD0001"})

    assert done.status_code == 302
    assert done.location == f"/orders/{order.number}"
    assert "JD0001" in browser.get(done.location).text


def test_the_same_form_sent_twice_ships_once(make_order: Callable[..., Order], browser: Browser, carrier: str) -> None:
    order = make_order(quantity=2)
    url = f"/orders/{order.number}/actions/ship"
    data = _form(browser.get(url, htmx=True).text) | {"carrier": carrier, "tracking_number": "JD0001"}

    assert [browser.post(url, data, htmx=True).status_code for _ in range(2)] == [200, 200]

    assert db.session.scalar(select(func.count()).select_from(Shipment)) == 1


def test_what_is_missing_comes_back_with_what_was_typed(
    make_order: Callable[..., Order], browser: Browser, carrier: str
) -> None:
    order = make_order()
    url = f"/orders/{order.number}/actions/ship"
    form = _form(browser.get(url, htmx=True).text)

    for data, said in (
        ({"carrier": carrier, "tracking_number": "", "service": "Typed"}, "is needed."),
        ({"carrier": "", "tracking_number": "JD0001", "service": "Typed"}, "is needed."),
        ({"carrier": "PIGEON", "tracking_number": "JD0001", "service": "Typed"}, "no carrier of this marketplace"),
    ):
        answer = browser.post(url, form | data, htmx=True)
        assert answer.status_code == 422
        assert said in answer.text.replace("“", "")
        assert 'value="Typed"' in answer.text
        assert 'aria-invalid="true"' in answer.text
        assert answer.text.count('id="order-actions"') == 1
        whole = browser.post(url, form | data)
        assert whole.status_code == 422
        assert "<html" in whole.text
        assert 'value="Typed"' in whole.text
    assert db.session.scalar(select(func.count()).select_from(Shipment)) == 0


def test_a_form_that_grew_old_says_what_happened_and_keeps_what_was_typed(
    make_order: Callable[..., Order], browser: Browser, mia: Actor, carrier: str
) -> None:
    order = make_order()
    url = f"/orders/{order.number}/actions/ship"
    data = _form(browser.get(url, htmx=True).text) | {"carrier": carrier, "tracking_number": "JD0001"}
    with unit_of_work():
        comment(db.session.get_one(Order, order.id), "wait for me", actor=mia)

    answer = browser.post(url, data, htmx=True)

    assert answer.status_code == 409
    assert answer.headers["HX-Retarget"] == "#order-actions"
    assert "changed while you were looking" in answer.text
    assert "Commented" in answer.text
    assert 'value="JD0001"' in answer.text
    assert "<html" in browser.post(url, data).text
    second = browser.post(url, data | _form(answer.text), htmx=True)
    assert second.status_code == 200


def test_a_comment_never_makes_another_form_wait(make_order: Callable[..., Order], browser: Browser) -> None:
    order = make_order()
    url = f"/orders/{order.number}/actions/comment"

    assert browser.post(url, {"text": "one", "order_version": "1"}, htmx=True).status_code == 200
    answer = browser.post(url, {"text": "two <b>", "order_version": "1"}, htmx=True)

    assert answer.status_code == 200
    assert "two &lt;b&gt;" in answer.text
    assert answer.text.index('id="order-comments"') < answer.text.index('id="order-timeline"')
    empty = browser.post(url, {"text": " "}, htmx=True)
    assert empty.status_code == 422
    assert 'id="order-comments"' in empty.text


def test_commenting_beside_an_open_form_makes_it_no_older(
    make_order: Callable[..., Order], browser: Browser, carrier: str
) -> None:
    order = make_order()
    url = f"/orders/{order.number}/actions/ship"
    data = _form(browser.get(url, htmx=True).text) | {"carrier": carrier, "tracking_number": "JD0001"}
    browser.post(f"/orders/{order.number}/actions/comment", {"text": "packed"}, htmx=True)

    assert browser.post(url, data, htmx=True).status_code == 200


def test_a_refused_act_says_why_and_touches_nothing(
    make_order: Callable[..., Order], browser: Browser, carrier: str
) -> None:
    order = make_order(fulfilled_by=FulfilledBy.CHANNEL)
    url = f"/orders/{order.number}/actions/ship"
    page = browser.get(f"/orders/{order.number}").text
    assert "The channel itself ships this order." in page

    shown, sent = browser.get(url, htmx=True), browser.post(url, SHIP | {"carrier": carrier}, htmx=True)

    for answer in (shown, sent):
        assert answer.status_code == 409
        assert answer.headers["HX-Retarget"] == "#messages"
        assert "The channel itself ships this order." in answer.text
    assert db.session.scalar(select(func.count()).select_from(Shipment)) == 0


def test_acting_needs_the_actions_right(
    make_order: Callable[..., Order], make_browser: Callable[..., Browser], make_user: Callable[..., Actor]
) -> None:
    order, reader = make_order(), make_browser(make_user("read_only", "Rita"))
    url = f"/orders/{order.number}/actions/ship"

    assert reader.get(url).status_code == 403
    assert reader.post(url, SHIP).status_code == 403
    assert "actions/ship" not in reader.get(f"/orders/{order.number}").text


def test_a_refused_update_is_sent_again_by_its_button(
    make_order: Callable[..., Order], browser: Browser, carrier: str, work: Callable[[], int], channel: FakeChannel
) -> None:
    from webapp.channels.contract import Refused

    order = make_order()
    channel.outcomes = [Refused("Tracking looks odd")]
    url = f"/orders/{order.number}/actions/ship"
    browser.post(url, _form(browser.get(url, htmx=True).text) | {"carrier": carrier, "tracking_number": "J1"})
    work()
    db.session.rollback()
    update = db.session.scalars(select(ChannelUpdate)).one()
    page = browser.get(f"/orders/{order.number}").text
    assert "Tracking looks odd" in page
    assert f"/updates/{update.id}/retry" in page

    answer = browser.post(f"/updates/{update.id}/retry", htmx=True)

    assert answer.status_code == 200
    assert 'id="order-updates"' in answer.text
    work()
    db.session.rollback()
    assert db.session.get_one(ChannelUpdate, update.id).state == UpdateState.SENT
    assert browser.post(f"/updates/{update.id}/retry", htmx=True).status_code == 409


def test_the_timeline_tells_values_before_and_after(
    take: Callable[..., list[Order]], browser: Browser, carrier: str
) -> None:
    told = incoming_order()
    [order] = take(told)
    take(again(told, ship_by=now() + timedelta(days=9), service_level="EXPRESS"))
    page = browser.get(f"/orders/{order.number}").text

    assert "News from the channel" in page
    assert "EXPRESS" in page
    assert "<dt>Ship by</dt>" in page


def test_an_order_without_amounts_or_address_has_a_page(take: Callable[..., list[Order]], browser: Browser) -> None:
    line = incoming_line(unit_price=None, total=None, amounts=())
    [order] = take(
        incoming_order(
            [line], stage=ChannelStage.AWAITING_PAYMENT, status="PENDING", total=None, currency=None, buyer={}
        )
    )
    page = browser.get(f"/orders/{order.number}")

    assert page.status_code == 200
    assert "Withheld by Fake channel" in page.text
    assert browser.get("/orders/").status_code == 200


def test_an_order_managed_at_the_channel_is_shown_and_offers_nothing(
    take: Callable[..., list[Order]], browser: Browser, store: Any
) -> None:
    with unit_of_work():
        store.import_orders = False
    [order] = take(incoming_order())
    page = browser.get(f"/orders/@{order.id}")

    assert page.status_code == 200
    assert "Managed at Fake channel" in page.text
    assert "importing orders is off" in page.text
    assert f"/orders/@{order.id}" in browser.get("/orders/").text
