"""Sizes: whatever is sent a hundred or a hundred thousand times over is answered, or refused before it costs much."""

import time
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.ui.conftest import Browser
from webapp.db import check_time, db, limit_session, time_limit, unit_of_work
from webapp.errors import TooSlow
from webapp.orders.models import Order
from webapp.search.query import LONGEST, MOST
from webapp.ui.lists import list_pages
from webapp.ui.lists.chips import MOST as MOST_CHIPS

SHAPES: dict[str, Callable[[int], str]] = {
    "words": lambda size: " ".join(f"word{at}" for at in range(size)),
    "unwanted": lambda size: " ".join(f"-word{at}" for at in range(size)),
    "numbers": lambda size: "number:" + ",".join(f"302-{at:07}" for at in range(size)),
    "short numbers": lambda size: "number:" + ",".join(str(at) for at in range(size)),
    "beginnings": lambda size: "number:" + ",".join(f"W{at}*" for at in range(size)),
    "keys": lambda size: " ".join(f"-total:>{at}" for at in range(size)),
    "titles": lambda size: "title:" + ",".join(f"mug{at}" for at in range(size)),
    "one word": lambda size: "x" * size,
    "one ideograph": lambda size: "中" * size,
    "marks": lambda size: "e" + "\u0301" * size,
    "digits": lambda size: "9" * size,
    "hyphens": lambda size: "a-" * size,
    "colons": lambda size: "a:" * size,
    "a long key": lambda size: "a" * size + ":x",
    "quotes": lambda size: '"a ' * size,
    "backslashes": lambda size: '"' + "\\" * size,
    "spaces": lambda size: " " * size,
    "commas": lambda size: "sku:" + "," * size,
    "stars": lambda size: "sku:a" + "*" * size,
    "a range": lambda size: "placed:" + "." * size,
    "lines": lambda size: "W-1; DHL; JD1\n" * size,
    "superscripts": lambda size: "²" * size,
}
BOXES: tuple[tuple[str, str, str, dict[str, str]], ...] = (
    ("post", "/orders/search", "text", {}),
    ("post", "/orders/complete", "text", {}),
    ("get", "/orders/", "q", {}),
    ("get", "/orders/", "after", {"sort": "total"}),
    ("get", "/orders/", "w", {}),
    ("get", "/orders/", "view", {}),
    ("get", "/orders/", "sort", {}),
    ("get", "/orders/count", "q", {}),
    ("get", "/orders/news", "since", {}),
    ("get", "/orders/filters", "q", {}),
    ("post", "/orders/filters", "q", {}),
    ("post", "/orders/filters", "f-sku", {}),
    ("post", "/orders/filters", "f-total-low", {}),
    ("post", "/orders/columns", "column", {}),
    ("post", "/orders/views/", "q", {"name": "Mine"}),
    ("post", "/orders/views/", "name", {}),
    ("post", "/orders/ship-list", "list", {}),
    ("post", "/orders/ship-list/start", "list", {}),
    ("post", "/palette/", "text", {"act": "hold"}),
    ("get", "/orders/bulk", "order", {}),
    ("get", "/orders/bulk", "q", {"all": "1"}),
    ("get", "/orders/export", "q", {"all": "1"}),
    ("post", "/orders/export/start", "column", {"all": "1", "format": "csv", "rows": "orders"}),
    ("get", "/reports/orders", "since", {}),
    (
        "post",
        "/settings/statuses/new",
        "rule",
        {"code": "odd", "name_en": "Odd", "state": "processing", "tone": "calm"},
    ),
    ("post", "/settings/tags/", "name", {"tone": "calm"}),
    ("post", "/settings/tags/1/delete", "heir", {}),
    ("post", "/theme", "next", {}),
)
SIZES = (1, 7, 299, 300, 301, 9_000, 60_000)


def sent(browser: Browser, box: tuple[str, str, str, dict[str, str]], value: Any) -> Any:
    method, path, name, around = box
    return getattr(browser, method)(path, around | {name: value})


def try_sizes(browser: Browser, shape: str, size: int, at: int) -> None:
    box = BOXES[at]
    answer = sent(browser, box, SHAPES[shape](size))
    assert answer.status_code < 500, (shape, size, box)
    again = sent(browser, box, [SHAPES[shape](min(size, 20))] * min(size, 2_000))  # the same name many times over
    assert again.status_code < 500, (shape, size, box, "repeated")


TRIED = {"shape": st.sampled_from(sorted(SHAPES)), "size": st.sampled_from(SIZES), "at": st.integers(0, len(BOXES) - 1)}
RESTED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=15, deadline=None, suppress_health_check=RESTED)
@given(**TRIED)
def test_every_box_answers_or_refuses_any_size(browser: Browser, order: Order, shape: str, size: int, at: int) -> None:
    try_sizes(browser, shape, size, at)


@pytest.mark.soak
@settings(max_examples=1_500, deadline=None, suppress_health_check=RESTED)
@given(**TRIED)
def test_every_box_answers_or_refuses_any_size_for_long(
    browser: Browser, order: Order, shape: str, size: int, at: int
) -> None:
    try_sizes(browser, shape, size, at)


@pytest.fixture
def order(make_order: Callable[..., Order]) -> Order:
    return make_order()


@pytest.mark.parametrize("shape", ["words", "unwanted", "numbers", "short numbers", "beginnings", "keys", "titles"])
def test_as_much_as_a_query_may_ask_for_is_answered(
    browser: Browser, order: Order, shape: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(list_pages, "SECONDS", 60)  # of a machine that has much else to do
    text = SHAPES[shape](MOST - 1)
    assert len(text) <= LONGEST
    asked = browser.post("/orders/search", {"text": text})
    assert asked.status_code == 303
    page = browser.get(asked.location)
    assert page.status_code == 200
    assert page.text.count('class="chip filter-chip') <= MOST_CHIPS
    assert len(page.text) < 600_000


def test_what_databases_are_asked_does_not_grow_with_the_words(
    browser: Browser, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_pages, "SECONDS", 60)
    asked = []
    for size in (21, 210):
        browser.get(browser.post("/orders/search", {"text": SHAPES["words"](size)}).location)
        asked.append((len(browser.queries), sum(map(len, browser.queries))))
    (few, short), (many, long) = asked
    assert many <= few + 2
    assert long <= 1.5 * short


@pytest.mark.parametrize("size", [301, 10_000])
def test_too_many_words_are_refused_before_the_database_is_asked_and_stay_in_the_box(
    browser: Browser, order: Order, size: int
) -> None:
    text = SHAPES["words"](size)
    browser.post("/orders/search", {"text": "mug"})
    browser.get("/orders/")
    usual = len(browser.queries)
    refused = browser.post("/orders/search", {"text": text})
    assert refused.status_code == 422
    sentence = "more than 300 words" if size == 301 else "This search is longer than"
    assert sentence in refused.text
    assert text in unescape(refused.text)
    assert len(browser.queries) <= usual + 1


def test_a_search_that_no_link_can_hold_is_refused(browser: Browser, order: Order) -> None:
    refused = browser.post("/orders/search", {"text": "sku:" + ",".join("é" * 40 + str(at) for at in range(100))})
    assert refused.status_code == 422
    assert "too long for a link" in refused.text


def test_a_page_whose_time_is_over_says_so_and_keeps_what_was_asked(
    browser: Browser, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_pages, "SECONDS", -1)
    late = browser.get("/orders/", {"q": "state:open"})
    assert late.status_code == 422
    assert "This search would take too long" in late.text
    assert 'value="state:open' in unescape(late.text)
    part = browser.get("/orders/", {"q": "state:open"}, htmx=True)
    assert part.status_code == 422
    monkeypatch.undo()
    assert browser.get("/orders/", {"q": "state:open"}).status_code == 200


def test_time_is_checked_between_steps_and_never_while_writing(app: Any) -> None:
    with pytest.raises(TooSlow), time_limit(-1):
        pass
    with time_limit(60):
        with pytest.raises(TooSlow), time_limit(-1):
            check_time()
        check_time()
    check_time()
    with pytest.raises(TooSlow), time_limit(0.3):  # noqa: PT012
        for _ in range(50):  # each of which takes less than that
            db.session.execute(db.select(Order.id))
            time.sleep(0.1)
    limit_session(-1)
    with pytest.raises(TooSlow):
        check_time()
    with unit_of_work():
        check_time()
        db.session.execute(db.select(Order.id))
    with pytest.raises(TooSlow):
        check_time()
    db.session.remove()
    check_time()
