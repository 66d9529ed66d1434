"""The timeline: every event in words, with what was there before, by who and of what kind; and the order as it was."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from flask import Flask

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.audit.models import AuditEntry
from webapp.audit.services import write_readings
from webapp.channels.incoming import ChannelStage, Component, IncomingAmount
from webapp.clock import iso, now
from webapp.db import db, unit_of_work
from webapp.hooks import hookimpl, hooks
from webapp.i18n import lazy_gettext as _l
from webapp.orders.archiving import archive
from webapp.orders.asof import Then, as_of
from webapp.orders.events import EventGroup, EventWords, event_groups, event_words, events_of, record
from webapp.orders.holds import hold, release
from webapp.orders.models import Order, OrderEvent
from webapp.orders.organizing import assign, set_due, set_status, set_tags
from webapp.orders.queries import locked
from webapp.orders.services import comment
from webapp.orders.statuses import make_status
from webapp.testing import again, incoming_line, incoming_order, line_again


def _shown(page: str) -> str:
    """The timeline's text alone."""
    start = page.index('<ol class="timeline">')
    text = re.sub(r"<[^>]+>", " ", page[start : page.index("</ol>", start)])
    return re.sub(r"\s+", " ", text)


@pytest.fixture
def order(take: Callable[..., list[Order]], mia: Actor) -> Order:
    """An order to which everything happened."""
    told = incoming_order()
    [order] = take(told)
    with unit_of_work():
        make_status("packing", {"en": "Packing", "fr": "Emballage"}, state="processing", actor=Actor.operator())
    for act in (
        lambda row: set_tags(row, ["fragile"], [], actor=Actor.operator()),
        lambda row: set_status(row, "packing", actor=mia),
        lambda row: assign(row, mia.id, actor=mia),
        lambda row: set_due(row, now() + timedelta(days=3), actor=mia),
        lambda row: hold(row, "Jane is moving", actor=mia),
        lambda row: release(row, actor=mia),
        lambda row: comment(row, "done", actor=mia),
    ):
        with unit_of_work():
            act(locked(db.session.get_one(Order, order.id)))
    take(again(told, service_level="EXPRESS"))
    take(again(told, minutes=9, service_level="OVERNIGHT", lines=line_again(told, title="A better mug")))
    return db.session.get_one(Order, order.id)


def test_every_event_is_told_with_what_was_there_before(order: Order, browser: Browser) -> None:
    told = _shown(browser.get(f"/orders/{order.number}?tab=timeline").text)

    for part in (
        "Tags added: fragile", "Tags — → fragile", "Status: Packing", "Status — → Packing", "Assigned to Mia",
        "Assignee — → Mia", "Put on hold", "Jane is moving", "On hold yes → no", "Comment added",
        "Service EXPRESS → OVERNIGHT", "MUG: Title A mug → A better mug", "The order arrived",
    ):  # fmt: skip
        assert part in told, part
    assert "due_at" not in told


def test_it_is_told_in_the_readers_language(order: Order, browser: Browser) -> None:
    browser.client.set_cookie("waybill_language", "fr")
    assert "Emballage" in _shown(browser.get(f"/orders/{order.number}?tab=timeline", Accept_Language="fr").text)


def test_reasons_are_for_who_may_see_buyers_and_on_the_record(
    order: Order, browser: Browser, make_browser: Callable[..., Browser], make_user: Callable[..., Actor]
) -> None:
    reader = make_browser(make_user("read_only", "Rita"))
    url = f"/orders/{order.number}?tab=timeline"

    assert "Jane is moving" not in reader.get(url).text
    assert "Jane is moving" in browser.get(url).text
    write_readings()
    seen = [entry.data for entry in db.session.query(AuditEntry).filter_by(code="buyers_seen")]
    assert [data["orders"] for data in seen if data["purpose"] == "timeline"] == [[order.id]]


@pytest.mark.parametrize(
    ("query", "there", "gone"),
    [
        ("who=people", "Put on hold", "The order arrived"),
        ("who=channel", "The order arrived", "Put on hold"),
        ("who=desk", "Tags added: fragile", "Put on hold"),
        ("kind=holds", "Hold released", "Tagged"),
        ("kind=news", "News from the channel", "Hold released"),
        ("kind=organizing&who=people", "Status: Packing", "Tagged"),
        ("kind=shipping", "No events match.", "Put on hold"),
    ],
)
def test_it_can_be_narrowed_by_who_and_kind(order: Order, browser: Browser, query: str, there: str, gone: str) -> None:
    told = _shown(browser.get(f"/orders/{order.number}?tab=timeline&{query}").text)

    assert there in told
    assert gone not in told


def test_news_of_the_channel_name_what_changed_and_how(take: Callable[..., list[Order]], browser: Browser) -> None:
    told = incoming_order([incoming_line("MUG", 3), incoming_line("CUP", 1)])
    [order] = take(told)
    take(again(told, ship_by=now().replace(day=9, hour=9, minute=5), lines=line_again(told, fulfilled=1)))
    take(again(told, minutes=9, stage=ChannelStage.CANCELED, status="Canceled"))

    told_then, told_first = _shown(browser.get(f"/orders/{order.number}?tab=timeline&kind=news").text).split(
        "News from"
    )[1:]
    assert "the channel: State: Complete · Status at the channel: Canceled · Ship by: " in told_then
    assert "Units canceled (MUG): 2 · Units canceled (CUP): 1 " in told_then
    assert re.search(r"the channel: Ship by: \w+ 9, \d\d:05 · Units shipped \(MUG\): 1 ", told_first)
    assert "CUP" not in told_first


def test_every_event_of_the_desk_has_a_group_in_the_filter(app: Flask) -> None:
    groups = event_groups(event_words())

    assert list(groups) == [
        "news", "shipping", "canceling", "updates", "money", "refunds", "returns", "holds", "messages", "addresses",
        "comments", "organizing", "other",
    ]  # fmt: skip
    assert {words.code for words in event_words().values() if words.group.code == "other"} == set()


def test_events_of_a_plugin_are_found_by_the_group_that_it_names(order: Order, browser: Browser, mia: Actor) -> None:
    class Counting:
        @hookimpl
        def register_event_words(self) -> list[EventWords]:
            shipping = EventGroup("shipping", _l("Parcels"))  # the desk's own label stands
            return [
                EventWords("counted", _l("Counted twice"), shipping),
                EventWords("weighed", _l("Weighed"), EventGroup("scales", _l("On the scales"))),
                EventWords("sung", _l("Sung to")),
            ]

    hooks.manager.register(Counting())
    for code in ("counted", "weighed", "sung", "unknown"):
        with unit_of_work():
            record(locked(db.session.get_one(Order, order.id)), code, actor=mia)
    said = {"shipping": "Counted twice", "scales": "Weighed", "other": "Sung to"}
    for group, sentence in said.items():
        page = browser.get(f"/orders/{order.number}?tab=timeline&kind={group}").text
        assert sentence in _shown(page)
        assert not any(other in _shown(page) for other in said.values() if other != sentence)
        assert ("unknown" in _shown(page)) is (group == "other")
        assert page.index(">Shipments<") < page.index(">On the scales<") < page.index(">Everything else<")
        assert ">Parcels<" not in page


@pytest.mark.parametrize(("until", "shown"), [("the seal breaks", "the seal breaks"), (5, "5"), (None, "None")])
def test_an_event_of_a_plugin_may_keep_anything_under_a_name_that_the_desk_uses(
    make_order: Callable[..., Order], browser: Browser, mia: Actor, until: object, shown: str
) -> None:
    class Plugin:
        @hookimpl
        def register_event_words(self) -> list[EventWords]:
            return [EventWords("sealed_until", _l("Sealed until %(until)s"))]

    hooks.manager.register(Plugin(), name="seals")
    order = make_order()
    with unit_of_work():
        record(locked(order), "sealed_until", actor=mia, values={"until": until})
    assert f"Sealed until {shown}" in _shown(browser.get(f"/orders/{order.number}?tab=timeline").text)


def test_a_long_timeline_has_older_pages(
    make_order: Callable[..., Order], browser: Browser, mia: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.ui.orders.timeline.LONGEST", 3)
    order = make_order()
    for _ in range(6):
        with unit_of_work():
            comment(db.session.get_one(Order, order.id), "one more", actor=mia)
    told, url = [], f"/orders/{order.number}?tab=timeline"
    while url:
        page = browser.get(url).text
        told.append(_shown(page).count("Order at that time"))
        older = re.search(r'href="([^"]+before=\d+)"', page)
        url = older[1].replace("&amp;", "&") if older else ""

    assert told == [3, 3, 1]


def test_an_order_is_shown_as_it_was(order: Order, browser: Browser, mia: Actor) -> None:
    [held] = [event for event in events_of(order) if event.code == "held"]
    url = f"/orders/{order.number}"

    then = browser.get(f"{url}?at={iso(held.seen_at)}").text
    assert "This is the order as it was in Waybill on" in then
    assert "Back to now" in then
    assert re.search(r"<dt>On hold</dt><dd>yes</dd>", then)
    assert "A better mug" not in then[then.index('id="order-then"') :]
    assert "Quixelworth" not in then
    before = browser.get(f"{url}?at={iso(held.seen_at - timedelta(days=1))}").text
    assert "This order was not in Waybill at that time." in before
    part = browser.get(f"{url}?at={iso(now())}", htmx=True).text
    assert "<html" not in part
    assert "A better mug" in part
    assert browser.get(f"{url}?at=yesterday").status_code == 404
    assert browser.get(f"{url}?at=2026-11-23T05:31:30.723833 00:00").status_code == 200  # a plus that a URL ate


def _text(part: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", part))


@pytest.fixture
def moved(take: Callable[..., list[Order]]) -> Order:
    """An order with a tip, of whose shipping 1.20 became part of the item, and its tax a cent more."""
    amounts = (IncomingAmount(Component.ITEM, 123400, 19), IncomingAmount(Component.SHIPPING, 480))
    told = incoming_order([incoming_line(amounts=amounts)], total=123999, amounts=(IncomingAmount(Component.TIP, 100),))
    take(told)
    amounts = (IncomingAmount(Component.ITEM, 123520, 20), IncomingAmount(Component.SHIPPING, 360))
    [order] = take(again(told, lines=line_again(told, amounts=amounts), amounts=()))
    return order


def test_money_that_moves_is_told_by_line_and_component(moved: Order, browser: Browser) -> None:
    told = _shown(browser.get(f"/orders/{moved.number}?tab=timeline&kind=news").text)
    assert "5 changes" in told
    for part in (
        "MUG: Items €1,234.00 → €1,235.20", "MUG: Items, tax €0.19 → €0.20", "MUG: Shipping €4.80 → €3.60",
        "Tip €1.00 → €0.00", "Difference €0.00 → €0.99",
        "News from the channel: Items: €1,235.40 · Shipping: €3.60 · Tip: €0.00",
    ):  # fmt: skip
        assert part in told, (part, told)


def test_money_that_moves_is_told_in_the_readers_language(moved: Order, browser: Browser) -> None:
    browser.client.set_cookie("waybill_language", "fr")
    told = _shown(browser.get(f"/orders/{moved.number}?tab=timeline", Accept_Language="fr").text)
    assert "MUG : Articles 1 234,00 € → 1 235,20 €" in told


def test_amounts_are_shown_as_they_were(moved: Order, browser: Browser) -> None:
    newest, placed = events_of(moved)
    shown = [
        _text(browser.get(f"/orders/{moved.number}?at={iso(moment.seen_at)}", htmx=True).text)
        for moment in (placed, newest)
    ]
    amounts = "Items €1,234.00 €0.19 €0.00 €1,234.19 Shipping €4.80 €0.00 €0.00 €4.80 Tip €1.00"
    assert amounts in shown[0].replace("Shipping  ", "Shipping ")
    assert "€1,234.00 €0.19 €0.00 €1,234.19" in shown[0]  # the line
    assert "Items €1,235.20 €0.20 €0.00 €1,235.40 Shipping €3.60" in shown[1]
    assert "Tip" not in shown[1].partition("Order totals")[2]


def test_an_order_of_before_says_that_amounts_are_not_known(
    moved: Order, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_amounts(events: Sequence[OrderEvent], at: datetime) -> Then | None:
        then = as_of(events, at)
        return replace(then, amounts=None) if then else None

    monkeypatch.setattr("webapp.ui.orders.order.as_of", without_amounts)
    shown = _text(browser.get(f"/orders/{moved.number}?at={iso(now())}", htmx=True).text)
    assert "the amounts at that time are not known" in shown
    assert "Order totals" not in shown
    assert "Price Total" in shown


def test_what_is_no_longer_charged_is_not_among_the_totals(moved: Order, browser: Browser) -> None:
    page = browser.get(f"/orders/{moved.number}").text
    totals = _text(page[page.index('id="order-totals"') : page.index("</section>", page.index('id="order-totals"'))])
    assert "Shipping €3.60" in totals
    assert "Tip" not in totals


def test_an_archived_order_says_since_when(make_order: Callable[..., Order], browser: Browser, mia: Actor) -> None:
    from webapp.channels.incoming import ChannelStage

    order = make_order(stage=ChannelStage.SHIPPED, status="SHIPPED")
    with unit_of_work():
        archive(locked(db.session.get_one(Order, order.id)), actor=mia)
    assert "Archived — →" in _shown(browser.get(f"/orders/{order.number}?tab=timeline").text)
