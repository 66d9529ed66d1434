"""The list in the browser: pages, filters, chips, columns, views, and what it says where it can't answer."""

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from tests.ui.conftest import Browser
from webapp.audit.actor import Actor
from webapp.channels.incoming import ChannelStage, FulfilledBy
from webapp.channels.models import Shop, Store
from webapp.channels.services import add_store
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.errors import TooSlow
from webapp.lists.listing import key_of
from webapp.lists.models import ListLayout, SavedView
from webapp.lists.subjects import subjects
from webapp.orders.listing import ORDER_LIST
from webapp.orders.models import Order
from webapp.search.models import SealedQuery
from webapp.search.registered import list_columns
from webapp.testing import incoming_line, incoming_order
from webapp.ui.frame import unscripted
from webapp.ui.lists import counts, list_pages

Take = Callable[..., list[Order]]


def rows_of(page: str) -> list[int]:
    return [int(id_) for id_ in re.findall(r'<tr id="order-(\d+)"', page)]


def heads_of(page: str) -> list[str]:
    return re.findall(r'<th scope="col"[^>]*data-column="(\w+)"', page)


def test_a_list_of_fifty_costs_few_queries(take: Take, browser: Browser) -> None:
    take(*[incoming_order([incoming_line(f"SKU{n}", 2)], flags=("prime", "gift")) for n in range(60)])
    browser.get("/orders/")
    for url in ("/orders/", "/orders/?sort=ship_by", "/orders/?q=state:open+channel:fake&sort=-total"):
        page = browser.get(url)

        assert page.text.count('<tr id="order-') == 50, url
        assert "Jane Quixelworth" in page.text
        assert len(browser.queries) <= 8, "\n".join(browser.queries)


def test_the_list_pages_back_and_forth(take: Take, browser: Browser) -> None:
    at = now() - timedelta(days=2)
    orders = take(*[incoming_order(created_at=at + timedelta(minutes=n)) for n in range(120)])

    seen, url, last = [], "/orders/", ""
    while url:
        page = browser.get(url).text
        seen += rows_of(page)
        older = re.search(r'rel="next" href="([^"]+)"', page)
        url, last = (unescape(older[1]) if older else ""), url
    newer = re.search(r'rel="prev" href="([^"]+)"', browser.get(last).text)

    assert seen == [order.id for order in reversed(orders)]
    assert newer is not None
    assert len(rows_of(browser.get(unescape(newer[1])).text)) == 50


def test_rows_that_are_drawn_anew_bring_the_ways_on_and_the_news_along(take: Take, browser: Browser) -> None:
    at = now() - timedelta(days=2)
    orders = take(*[incoming_order(created_at=at + timedelta(minutes=n)) for n in range(60)])
    first = browser.get("/orders/").text
    rows_url = re.search(r'id="list-rows"[^>]*hx-get="([^"]+)"', first)[1]  # type: ignore[index]
    orders += take(*[incoming_order(created_at=now() - timedelta(minutes=20 - n)) for n in range(20)])

    again = browser.get(unescape(rows_url), htmx=True).text

    assert re.search(r'<nav id="list-pager"[^>]*hx-swap-oob="morph"', again)
    assert re.search(r'<div id="list-news"[^>]*hx-swap-oob="morph"', again)
    older = re.search(r'rel="next" href="([^"]+)"', again)[1]  # type: ignore[index]
    shown = rows_of(again) + rows_of(browser.get(unescape(older)).text)
    assert shown == [order.id for order in reversed(orders)]
    news_url = re.search(r'id="list-news"[^>]*hx-get="([^"]+)"', again)[1]  # type: ignore[index]
    assert "new order" not in browser.get(unescape(news_url), htmx=True).text
    filtered = browser.get("/orders/?q=state:open", htmx=True).text  # a page without news has no place for them
    assert 'id="list-pager"' in filtered
    assert "list-news" not in filtered


def test_the_list_shows_what_its_query_asks_for(take: Take, browser: Browser) -> None:
    held, pending, other = take(
        incoming_order(),
        incoming_order(stage=ChannelStage.AWAITING_PAYMENT, status="PENDING", total=None),
        incoming_order(),
    )
    with unit_of_work():
        db.session.execute(update(Order).where(Order.id == held.id).values(on_hold=True))

    def shown(query: str) -> set[int]:
        return set(rows_of(browser.get(f"/orders/?q={query}").text))

    assert shown("hold:yes") == {held.id}
    assert shown("state:pending") == {pending.id}
    assert shown("state:processing") == {other.id}
    assert shown("-state:pending") == {held.id, other.id}


def test_a_link_of_chips_takes_one_clause_away(take: Take, browser: Browser) -> None:
    take(incoming_order())
    page = browser.get("/orders/?q=state:processing+channel:fake&sort=ship_by").text

    links = [unescape(link) for link in re.findall(r'<a href="([^"]+)"\s+aria-label="Remove the filter', page)]
    assert len(links) == 2
    assert "Fake channel" in page
    for link in links:
        assert "sort=ship_by" in link
        assert len(rows_of(browser.get(link).text)) == 1


def test_the_number_of_one_order_leads_to_it(take: Take, browser: Browser) -> None:
    [order] = take(incoming_order())

    bare = str(order.number).lstrip("0")
    link = f"https://market.test/orders-v3/order/{order.channel_order_number}"
    for number in (order.number, order.channel_order_number, f" {order.number} ", bare, f"No. {bare}", link):
        assert browser.post("/orders/search", {"text": number}).location == f"/orders/{order.number}"
    assert f"{order.number}" in browser.get(f"/orders/{bare}").text
    assert browser.post("/orders/search", {"text": "no-such-1"}).location.startswith("/orders/?")


def test_digits_that_mean_several_orders_list_them(take: Take, browser: Browser) -> None:
    first, second, third = take(*(incoming_order(number=f"302-000000{n}-1237432") for n in range(3)))
    with unit_of_work():
        for order, number in ((first, "007432"), (second, "008000"), (third, "7654")):
            db.session.execute(update(Order).where(Order.id == order.id).values(number=number))
    assert browser.post("/orders/search", {"text": "7432"}).location.startswith("/orders/?")
    assert browser.post("/orders/search", {"text": "8000"}).location == "/orders/008000"
    assert browser.post("/orders/search", {"text": "7654"}).location == "/orders/7654"


def test_words_that_may_name_a_buyer_stay_out_of_the_address(
    take: Take, browser: Browser, logged: Callable[[], str]
) -> None:
    take(incoming_order())
    answer = browser.post("/orders/search", {"text": "state:open quixelworth"})

    assert answer.status_code == 303
    assert "quixelworth" not in answer.location.lower()
    page = browser.get(answer.location).text
    assert 'value="state:open quixelworth"' in page
    assert "Searched in:" in page
    assert "quixelworth" not in logged().lower()
    for link in re.findall(r'(?:href|action|hx-get)="([^"]+)"', page):
        assert "quixelworth" not in link.lower()
    assert "quixelworth" not in str(db.session.scalars(select(SealedQuery.sealed)).one()).lower()


def test_words_in_an_address_are_not_looked_for(take: Take, browser: Browser) -> None:
    take(incoming_order())
    answer = browser.get("/orders/?q=quixelworth")

    assert answer.status_code == 422
    assert "press Enter in the search box" in answer.text
    assert rows_of(answer.text) == []


def test_another_persons_words_are_not_opened(
    take: Take, browser: Browser, make_browser: Callable[..., Browser], mia: Actor
) -> None:
    take(incoming_order())
    location = browser.post("/orders/search", {"text": "quixelworth"}).location

    answer = make_browser(mia).get(location)

    assert answer.status_code in (404, 409, 422)
    assert rows_of(answer.text) == []
    assert "quixelworth" not in answer.text


def test_a_mistake_is_pointed_at_and_what_was_typed_is_kept(take: Take, browser: Browser) -> None:
    take(incoming_order())
    answers = [browser.post("/orders/search", {"text": "state:open stat:x"}), browser.get("/orders/?q=state:nowhere")]

    assert [answer.status_code for answer in answers] == [422, 422]
    assert re.search(r"state:open <mark>stat", answers[0].text)
    assert 'value="state:open stat:x"' in answers[0].text
    assert 'aria-invalid="true"' in answers[0].text
    assert "<mark>" in answers[1].text


def test_of_a_long_query_only_what_stands_around_the_mistake_is_shown(browser: Browser) -> None:
    words = [f"word{number}" for number in range(900)]
    text = browser.get(f"/orders/?q={'+'.join(words)}").text
    shown = re.search(r'class="mistake"><code>(.*?)</code>', text, re.DOTALL)

    assert shown
    assert len(shown[1]) < 700
    assert "<mark>word300</mark> word301" in shown[1]
    assert (shown[1][0], shown[1][-1]) == ("…", "…")
    assert " ".join(words) in text  # the search box keeps it


def test_a_list_that_takes_too_long_says_how_to_narrow_it(
    take: Take, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(incoming_order())

    def slow(*_: Any, **__: Any) -> None:
        raise TooSlow

    monkeypatch.setattr(list_pages, "list_page", slow)
    answer = browser.get("/orders/?q=state:complete")

    assert answer.status_code == 422
    assert "The last 90 days" in answer.text
    assert "placed" in re.search(r'href="([^"]+)"[^>]*>[^<]*(?:<svg.*?</svg>)?The last 90 days', answer.text)[1]  # type: ignore[index]


def test_what_took_too_long_is_not_counted_once_more(
    take: Take, browser: Browser, olga: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(incoming_order())

    def slow(*_: Any, **__: Any) -> None:
        raise TooSlow

    monkeypatch.setattr(list_pages, "list_page", slow)
    assert browser.get("/orders/?q=country:DE&whole=1").status_code == 422
    assert counts.known_counts(ORDER_LIST, {"found": "country:DE"}, olga) == {}


def test_a_whole_page_counts_only_as_long_as_its_time_lasts(
    take: Take, browser: Browser, olga: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = take(incoming_order(), incoming_order())
    with monkeypatch.context() as patch:
        patch.setattr(counts, "_SHORTEST", list_pages.SECONDS)  # the list took nearly all of it
        page = browser.get("/orders/?whole=1").text
    assert rows_of(page) == [order.id for order in reversed(orders)]
    assert "Too many to count" in page
    assert counts.known_counts(ORDER_LIST, {"found": ""}, olga) == {}

    assert "2 orders" in browser.get("/orders/?whole=1").text


def test_news_count_what_came_since(make_order: Callable[..., Order], browser: Browser) -> None:
    first = make_order()
    since = key_of(ORDER_LIST, first)
    assert "new order" not in browser.get(f"/orders/news?since={since}", htmx=True).text

    make_order(created_at=now())

    assert "1 new order" in browser.get(f"/orders/news?since={since}", htmx=True).text


def test_empty_lists_say_what_to_do(browser: Browser, take: Take) -> None:
    assert "No orders yet" in browser.get("/orders/").text
    take(incoming_order())
    assert "No orders match" in browser.get("/orders/?q=state:complete").text
    assert "No older orders" in browser.get("/orders/?after=2020-01-01T00:00:00Z~1").text
    assert browser.get("/orders/?after=odd").status_code == 422


# --- Counts -----------------------------------------------------------------------------------------------------------


def test_counts_come_after_the_page_and_may_be_a_minute_old_where_they_are_slow(
    take: Take, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "_KEPT_LEAST", counts._KEPT_MOST)
    take(incoming_order(), incoming_order())
    page = browser.get("/orders/?q=state:open").text
    url = re.search(r'id="list-count"[^>]*hx-get="([^"]+)"', page)
    assert url is not None

    assert "2 orders" in browser.get(unescape(url[1]), htmx=True).text
    take(incoming_order())
    assert "2 orders" in browser.get("/orders/?q=state:open").text
    assert "2 orders" in browser.get(unescape(url[1]), htmx=True).text


def test_counts_from_before_a_change_are_asked_for_again_once_they_are_counted_again(
    take: Take, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "_KEPT_LEAST", 10)
    monkeypatch.setattr(counts, "_KEPT_MOST", 10)
    again = re.compile(r'<i id="counts-again"[^>]*hx-get="/orders/counts"\s+hx-trigger="load delay:(\d+)ms"')
    assert not again.search(browser.get("/orders/counts", htmx=True).text)  # just counted

    take(incoming_order())
    told = again.search(browser.get("/orders/counts", htmx=True).text)
    assert told
    assert 500 < int(told[1]) <= 10_500


def test_views_are_counted_in_one_question(take: Take, browser: Browser) -> None:
    take(
        incoming_order(ship_by=now() - timedelta(hours=1)),
        incoming_order(),
        incoming_order(fulfilled_by=FulfilledBy.CHANNEL),
        incoming_order(stage=ChannelStage.AWAITING_PAYMENT, status="PENDING"),
    )
    browser.get("/orders/")
    told = browser.get("/orders/counts", htmx=True).text

    def count(name: str) -> str:
        return re.search(rf'id="count-{name}"[^>]*>([^<]*)<', told)[1]  # type: ignore[index]

    assert (count("view-to_ship"), count("view-today"), count("view-pending")) == ("2", "1", "1")
    assert (count("view-late"), count("view-all"), count("view-hold")) == ("1", "4", "0")
    assert len(browser.queries) <= 8, "\n".join(browser.queries)


# --- Columns ----------------------------------------------------------------------------------------------------------


def test_a_row_says_what_was_ordered_and_how_many_other_products(take: Take, browser: Browser) -> None:
    take(incoming_order([incoming_line("MUG", 2), incoming_line("CUP"), incoming_line("TEE")]), incoming_order())

    many, one = re.findall(r'<td class="text c-first_item"[^>]*>(.*?)</td>', browser.get("/orders/?sort=placed").text)

    assert ">2 × A mug<" in many
    assert '<span class="more">+2</span><span class="sub">MUG</span>' in many
    assert "more" not in one


def test_shop_and_practice_are_in_the_rows_only_if_there_are_others(take: Take, browser: Browser, store: Store) -> None:
    take(incoming_order())

    def below() -> str:
        return re.search(r'c-store.*?class="sub">(.*?)</td>', browser.get("/orders/").text)[1]  # type: ignore[index]

    alone = below()
    with unit_of_work():
        db.session.get_one(Store, store.id).practice = True
    assert below() == alone
    with unit_of_work():
        other = add_store("fake", "Real store", {"key": "k-secret-9"}, actor=Actor.operator())
    assert "Practice" in below()
    assert "My shop" not in below()
    with unit_of_work():
        shop = Shop(name="Second shop", created_at=now())
        db.session.add(shop)
        db.session.flush()
        db.session.get_one(Store, other.id).shop_id = shop.id
    assert "My shop" in below()


def test_columns_are_chosen_ordered_and_remembered(take: Take, browser: Browser, make_browser: Any, mia: Actor) -> None:
    take(incoming_order())
    chosen = {"column": ["total", "number", "country"], "width-total": "222"}
    assert browser.post("/orders/columns", chosen).status_code == 302
    page = browser.get("/orders/").text
    assert heads_of(page) == ["number", "total", "country"]
    assert '<col id="col-total" width="222">' in page
    panel = browser.get("/orders/columns").text
    assert '<input type="hidden" name="column" value="number">' in panel  # which can be neither taken off nor moved
    assert not re.search(r'type="checkbox" name="column" value="number"|value="number:-?1"', panel)
    assert re.search(r'value="total:-1"[^>]* disabled', panel)

    assert browser.post("/orders/columns", {**chosen, "move": "country:-1"}, htmx=True).status_code == 200
    assert heads_of(browser.get("/orders/").text) == ["number", "total", "country"]
    assert browser.post("/orders/columns", {**chosen, "move": "total:1"}, htmx=True).status_code == 200
    assert heads_of(browser.get("/orders/").text) == ["number", "total", "country"]
    assert browser.post("/orders/columns", {"width-number": "9999", "quiet": "1"}).status_code == 204
    assert '<col id="col-number" width="800">' in browser.get("/orders/").text
    assert "total" in heads_of(make_browser(mia).get("/orders/").text)[1:]

    browser.post("/orders/columns", {"reset": "1"})
    assert heads_of(browser.get("/orders/").text) == [code for code, column in list_columns().items() if column.default]
    assert db.session.scalars(select(ListLayout)).all() == []


def test_the_default_columns_of_every_list_fit_on_a_page(app: Flask) -> None:
    widths = {
        code: sum(column.width for column in list_columns(code).values() if column.default or column.always)
        for code in subjects()
    }

    assert {code: width for code, width in widths.items() if width > list_pages.ROOM} == {}
    assert len(widths) >= 8


def test_every_column_together_is_a_page(take: Take, browser: Browser) -> None:
    take(
        *[incoming_order([incoming_line("MUG", 2), incoming_line("", 1)], flags=("gift", "odd_flag")) for _ in range(3)]
    )
    browser.post("/orders/columns", {"column": list(list_columns())})

    page = browser.get("/orders/")

    assert heads_of(page.text) == list(list_columns())
    for told in ("7 Zanzibar Mews", "Germany", "The order arrived", "MUG", "Odd flag", "jane.quixelworth@buyers.test"):
        assert told in page.text, told


def test_the_sorting_that_was_chosen_last_is_remembered(take: Take, browser: Browser) -> None:
    low, high = take(incoming_order([incoming_line(price=100)]), incoming_order([incoming_line(price=900)]))
    browser.post("/orders/columns", {"sort_by": "-total", "quiet": "1"})
    assert rows_of(browser.get("/orders/").text) == [high.id, low.id]
    assert rows_of(browser.get("/orders/?sort=total").text) == [low.id, high.id]
    assert browser.post("/orders/columns", {"sort_by": "flags", "quiet": "1"}).status_code in (204, 422)
    assert browser.get("/orders/").status_code == 200


@pytest.mark.parametrize("sort", ["-total", "ship_by"])
def test_a_link_shows_the_same_list_whatever_sorting_became_usual(
    take: Take, browser: Browser, make_browser: Callable[..., Browser], mia: Actor, sort: str
) -> None:
    due = now() + timedelta(days=3)
    take(*[incoming_order([incoming_line(price=9000 - n)], ship_by=due + timedelta(hours=n)) for n in range(60)])
    first = browser.get("/orders/?q=state:open").text
    older = unescape(re.search(r'rel="next" href="([^"]+)"', first)[1])  # type: ignore[index]
    drawn_anew = unescape(re.search(r'id="list-rows"[^>]*hx-get="([^"]+)"', first)[1])  # type: ignore[index]
    chip = unescape(re.search(r'<a href="([^"]+)"\s+aria-label="Remove the filter', first)[1])  # type: ignore[index]
    found = browser.post("/orders/search", {"text": "state:open"}).location
    shown = {url: rows_of(browser.get(url).text) for url in (older, drawn_anew, chip, found)}

    for someone in (browser, make_browser(mia)):
        someone.post("/orders/columns", {"sort_by": sort, "quiet": "1"})
        assert rows_of(someone.get("/orders/?q=state:open").text) != rows_of(first)
        assert {url: rows_of(someone.get(url).text) for url in shown} == shown


def test_a_list_after_an_act_is_sorted_as_it_was(take: Take, browser: Browser) -> None:
    orders = take(*[incoming_order([incoming_line(price=n)]) for n in (300, 200)])
    browser.post("/orders/columns", {"sort_by": "-total", "quiet": "1"})
    sent = browser.post("/orders/bulk/comment", {"order": str(orders[0].id), "text": "x", "sort": "-placed"})
    assert rows_of(browser.get(sent.location).text) == [orders[1].id, orders[0].id]


def test_buyers_columns_are_only_for_who_may_see_them(
    take: Take, make_browser: Callable[..., Browser], make_user: Callable[..., Actor]
) -> None:
    [order] = take(incoming_order())
    reader = make_browser(make_user("read_only", "Rita"))
    reader.post("/orders/columns", {"column": ["number", "buyer", "address", "email"]})

    for path in ("/orders/", f"/orders/rows/{order.id}"):
        page = reader.get(path).text
        assert f'id="order-{order.id}"' in page
        assert not re.search("Jane|Quixelworth|Zanzibar", page)
    assert heads_of(reader.get("/orders/").text) == ["number"]
    assert "Shown only to people who may see buyer data" in reader.get("/orders/columns").text


# --- Filters ----------------------------------------------------------------------------------------------------------


def test_filters_write_a_query(take: Take, browser: Browser) -> None:
    cheap, dear = take(incoming_order([incoming_line(price=1000)]), incoming_order([incoming_line(price=9950)]))
    page = browser.get("/orders/filters?q=channel:fake")
    assert page.status_code == 200
    assert re.search(r'name="f-channel" value="fake" checked', page.text)

    given = {"q": "channel:fake -hold", "f-state": ["processing", "pending"], "f-total-low": "99.50"}
    answer = browser.post("/orders/filters", given)

    assert answer.status_code == 303
    assert rows_of(browser.get(answer.location).text) == [dear.id]
    assert "channel" not in answer.location  # its boxes were left empty
    for low, high in (("99,50", ""), ("", "49,5")):  # a decimal comma, too
        found = browser.post("/orders/filters", {"f-total-low": low, "f-total-high": high}).location
        assert rows_of(browser.get(found).text) == [dear.id if low else cheap.id]
    assert browser.post("/orders/search", {"text": "total:>=99,50x"}).status_code == 422


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("total-low", "lots"),
        ("total-high", "1,000"),
        ("units-low", "-3"),
        ("placed-low", "2026-99-99"),
        ("due", "soon"),
    ],
)
def test_a_filter_that_cannot_be_understood_is_shown_again(take: Take, browser: Browser, name: str, typed: str) -> None:
    take(incoming_order())
    given = {"q": "channel:fake -hold", "view": "late", f"f-{name}": typed, "f-state": ["pending"], "f-country": "DE"}

    wrong = browser.post("/orders/filters", given)

    assert wrong.status_code == 422
    code = name.partition("-")[0]
    field = re.search(rf'<input[^>]*name="f-{name}"[^>]*>', wrong.text)[0]  # type: ignore[index]
    assert f'value="{typed}"' in field
    assert f'aria-describedby="f-{code}-error"' in field
    assert 'type="date"' not in field
    assert f'id="f-{code}-error"' in wrong.text
    assert len(re.findall('<input[^>]*aria-invalid="true"', wrong.text)) == 1
    assert re.search(r'name="f-state" value="pending" checked', wrong.text)
    assert re.search(r'name="f-country" value="DE"', wrong.text)
    assert not re.search(r'name="f-channel" value="fake" checked', wrong.text)  # which was taken off
    for kept, value in (("q", "channel:fake -hold"), ("view", "late")):
        assert f'name="{kept}" value="{value}"' in wrong.text


# --- Views ------------------------------------------------------------------------------------------------------------


def test_a_list_is_saved_opened_changed_and_deleted(take: Take, browser: Browser) -> None:
    [order, _] = take(incoming_order(), incoming_order(stage=ChannelStage.AWAITING_PAYMENT, status="PENDING"))
    saved = browser.post("/orders/views/", {"name": "My work", "q": "state:processing", "sort": "ship_by"})
    page = browser.get(saved.location).text
    assert rows_of(page) == [order.id]
    assert "<h1>My work</h1>" in page
    code = db.session.scalars(select(SavedView.id)).one()

    again = browser.post("/orders/views/", {"name": "my work", "q": ""})
    assert again.status_code == 422
    assert "Another of your views" in again.text
    change = {"act": "replace", "q": "state:pending", "sort": "ship_by", "view": str(code)}
    assert browser.post(f"/orders/views/{code}", change).status_code == 302
    assert order.id not in rows_of(browser.get(f"/orders/?view={code}").text)
    browser.post(f"/orders/views/{code}", {"act": "rename", "name": "Pending ones", "shared": "1"})
    assert "Pending ones" in browser.get("/orders/views/").text
    assert browser.post("/orders/views/start", {"code": str(code)}).status_code == 302
    assert browser.post("/orders/views/start", {"code": "777"}).status_code == 404
    browser.post(f"/orders/views/{code}", {"act": "delete"})
    assert db.session.scalars(select(SavedView)).all() == []
    assert browser.get(f"/orders/?view={code}").status_code == 200


def test_a_view_with_words_opens_by_its_button(take: Take, browser: Browser) -> None:
    [order] = take(incoming_order())
    location = browser.post("/orders/search", {"text": "quixelworth"}).location
    token = re.search(r"w=([\w-]+)", location)[1]  # type: ignore[index]
    saved = browser.post("/orders/views/", {"name": "Jane", "q": "", "w": token})
    assert rows_of(browser.get(saved.location).text) == [order.id]
    row = db.session.scalars(select(SavedView)).one()
    assert "quixelworth" not in row.query.lower()

    closed = browser.get(f"/orders/?view={row.id}").text
    assert rows_of(closed) == []
    assert "Show the orders" in closed
    opened = browser.post("/orders/search", {"view": str(row.id)})
    assert "quixelworth" not in opened.location.lower()
    assert rows_of(browser.get(opened.location).text) == [order.id]


def test_views_every_desk_has(take: Take, browser: Browser) -> None:
    late, fine = take(incoming_order(ship_by=now() - timedelta(hours=2)), incoming_order())
    assert rows_of(browser.get("/orders/?view=late").text) == [late.id]
    assert rows_of(browser.get("/orders/?view=all").text) == [fine.id, late.id]
    for code in ("today", "cancel", "attention", "hold", "nowhere"):
        assert browser.get(f"/orders/?view={code}").status_code == 200


def test_without_a_script_the_page_counts_by_itself(take: Take, browser: Browser) -> None:
    take(incoming_order(), incoming_order())
    first = browser.get("/orders/?q=state:processing")
    assert 'content="0; url=/orders/?q=state:processing&amp;whole=1"' in first.text
    assert "data-none" in first.text

    whole = browser.get("/orders/?q=state:processing&whole=1").text
    asked = [query for query in browser.queries if not query.startswith("SET ")]
    assert len(asked) <= 8, "\n".join(asked)
    assert "<noscript>" not in whole
    assert "data-none" not in whole
    assert 'hx-trigger="load' not in whole
    assert "2 orders" in whole

    browser.get("/orders/bulk")  # leads back with a sentence: the cookie spares it a page that is left at once
    page = browser.get("/orders/").text
    assert "Choose at least one order" in page
    assert "<noscript>" not in page
    assert "data-none" not in page


@pytest.mark.parametrize("https", [True, False])
def test_the_cookie_of_browsers_without_a_script_keeps_to_https(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, https: bool
) -> None:
    monkeypatch.setattr(unscripted, "is_https", lambda: https)
    [cookie] = [told for told in browser.get("/orders/?whole=1").headers.getlist("Set-Cookie") if "unscripted" in told]
    assert ("Secure" in cookie) is https


def test_a_mistake_costs_no_count_of_everything(take: Take, browser: Browser) -> None:
    take(incoming_order())
    page = browser.get("/orders/?q=state:nowhere&whole=1")
    assert page.status_code == 422
    assert "1 order<" not in page.text


def test_a_view_may_bring_its_columns_along(
    take: Take, browser: Browser, make_browser: Callable[..., Browser], mia: Actor
) -> None:
    take(incoming_order())
    browser.post("/orders/columns", {"column": ["number", "total", "country"], "width-total": "222"})
    browser.post("/orders/views/", {"name": "Money", "q": "state:open", "columns": "1", "shared": "1"})
    browser.post("/orders/columns", {"column": ["number", "placed"]})
    url = f"/orders/?view={db.session.scalar(select(SavedView.id))}"
    colleague = make_browser(mia)
    for someone in (browser, colleague):
        page = someone.get(url).text
        assert heads_of(page) == ["number", "total", "country"]
        assert 'id="col-total" width="222"' in page
    assert heads_of(browser.get("/orders/").text) == ["number", "placed"]

    layout = f"/orders/columns{url.removeprefix('/orders/')}"
    assert f'href="{layout}"' in browser.get(url).text
    assert "These columns belong to the view" in browser.get(layout).text
    assert browser.post(layout, {"column": ["number", "buyer"]}).location == layout
    assert heads_of(browser.get(url).text) == ["number", "buyer"]
    assert heads_of(browser.get("/orders/").text) == ["number", "placed"]
    assert colleague.post(layout, {"column": ["number"]}).status_code == 403
    assert heads_of(colleague.get(url).text) == ["number", "buyer"]

    browser.post(layout, {"reset": "1"})
    assert heads_of(browser.get(url).text) == ["number", "placed"]


def test_in_somebody_elses_view_sorting_and_rows_are_ones_own(
    take: Take, browser: Browser, make_browser: Callable[..., Browser], mia: Actor
) -> None:
    low, high = take(incoming_order([incoming_line(price=100)]), incoming_order([incoming_line(price=900)]))
    browser.post("/orders/columns", {"column": ["number", "total"]})
    browser.post("/orders/views/", {"name": "Money", "q": "state:open", "columns": "1", "shared": "1"})
    view = f"?view={db.session.scalar(select(SavedView.id))}"
    colleague = make_browser(mia)
    colleague.post("/orders/columns", {"column": ["number", "placed"]})

    assert colleague.post(f"/orders/columns{view}", {"sort_by": "total", "quiet": "1"}).status_code == 204
    assert rows_of(colleague.get(f"/orders/{view}").text) == [low.id, high.id]
    assert colleague.post(f"/orders/columns{view}", {"dense": "1"}, htmx=True).status_code == 200
    page = colleague.get(f"/orders/{view}").text
    assert 'class="stack grid dense"' in page
    assert heads_of(page) == ["number", "total"]
    assert 'class="grip"' not in page
    assert 'class="grip"' in browser.get(f"/orders/{view}").text
    assert heads_of(colleague.get("/orders/").text) == ["number", "placed"]

    panel = colleague.get(f"/orders/columns{view}").text
    assert "Only the person who saved the view can change its columns." in panel
    assert 'name="dense" value="1" checked' in panel
    assert not re.search('name="(column|move|reset)"', panel)
    for change in ({"column": ["number"]}, {"move": "total:-1"}, {"width-total": "99"}, {"reset": "1"}):
        assert colleague.post(f"/orders/columns{view}", change).status_code == 403


@pytest.mark.parametrize(("role", "offered"), [("read_only", False), ("owner", True)])
def test_only_who_may_add_a_store_is_offered_one(
    make_browser: Callable[..., Browser], make_user: Callable[..., Actor], olga: Actor, role: str, offered: bool
) -> None:
    page = make_browser(make_user(role, "Rob")).get("/orders/").text
    assert "Connect a store to see its orders" in page
    assert ('href="/stores/add"' in page) is offered
