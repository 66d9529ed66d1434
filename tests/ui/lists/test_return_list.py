"""The list of returns in the browser, and closing many at once."""

import re
from collections.abc import Callable

from tests.refunds import shipped_line, shipped_order
from tests.ui.conftest import Browser
from tests.ui.lists.test_invoice_list import sheets
from tests.ui.orders.test_invoices import words
from tests.ui.orders.test_returns import hidden, opened
from webapp.audit.actor import Actor
from webapp.db import db, unit_of_work
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.returns import services
from webapp.returns.models import Return

Take = Callable[..., list[Order]]


def test_the_list_costs_few_queries_and_closes_many(take: Take, browser: Browser, operator: Actor) -> None:
    rows = [opened(order, operator) for order in take(*(shipped_order() for _ in range(12)))]
    browser.get("/returns/")
    page = browser.get("/returns/").text
    assert len(browser.queries) <= 8, "\n".join(browser.queries)
    assert re.findall(r'class="number" href="[^"]+#return-\d+">(R-\d+)<', page)[0] == "R-000012"
    assert "Wrong product" in page

    received, accepted = (db.session.get_one(Return, id_) for id_ in rows[2:4])
    for row in (received, accepted):
        with unit_of_work():
            order = locked(row.order)
            services.authorize_return(order, row.id, {}, actor=operator)
            services.receive_return(order, row.id, {}, actor=operator)
            if row is accepted:
                services.accept_return(order, row.id, {}, actor=operator)
    warned = words(browser.get("/returns/close?" + "&".join(f"return={row}" for row in rows)).text)
    cost = len(browser.queries)
    assert "1 return has goods that were not inspected." in warned
    assert "1 return has accepted goods that are not refunded." in warned

    asked = browser.get(f"/returns/close?return={rows[0]}&return={rows[1]}").text
    assert len(browser.queries) == cost, "\n".join(browser.queries)
    assert "Close 2 returns" in asked
    with unit_of_work():
        services.close_return(locked(db.session.get_one(Return, rows[0]).order), rows[0], actor=operator)
    chosen = {"return": [str(rows[0]), str(rows[1])]} | hidden(asked.split('action="/returns/close"')[1])
    done = browser.post("/returns/close", chosen | {"return": [str(rows[0]), str(rows[1])]})
    acts = [browser.get(f"/returns/acts?return={row}").text for row in rows[:2]]
    assert ["/returns/close" in bar for bar in acts] == [False, False]  # both have ended
    shown = words(browser.get(done.location).text)
    assert "1 return closed" in shown
    assert "1 not changed: This return has ended." in shown
    assert browser.post("/returns/search", {"text": "r-000003"} | hidden(page)).location.endswith("#return-3")


def test_closing_many_costs_as_many_statements_as_closing_one(take: Take, browser: Browser, operator: Actor) -> None:
    rows = [opened(order, operator) for order in take(*(shipped_order() for _ in range(8)))]
    form = hidden(browser.get(f"/returns/close?return={rows[0]}").text.split('action="/returns/close"')[1])
    browser.post("/returns/close", form | {"return": [str(rows[0])]})
    one = without_events(browser.queries)
    done = browser.post("/returns/close", form | {"return": [str(row) for row in rows]})
    assert without_events(browser.queries) == one
    assert "7 returns closed" in words(browser.get(done.location).text)


def without_events(queries: list[str]) -> list[str]:
    """The statements, without values, and without those that write events."""
    return [re.sub(r"IN \((%\(\w+\)s|[^()])*\)", "IN", query) for query in queries if "INTO order_events" not in query]


def test_the_slips_of_ticked_returns_are_printed_without_denied_ones(
    take: Take, browser: Browser, operator: Actor, work: Callable[[], object]
) -> None:
    orders = take(*(shipped_order([shipped_line(sku), shipped_line("HAT")]) for sku in ("MUG", "CUP", "POT")))
    rows = [opened(order, operator) for order in orders]
    with unit_of_work():
        services.deny_return(locked(orders[2]), rows[2], actor=operator)
    chosen = "&".join(f"return={row}" for row in rows)
    page = browser.get(f"/returns/print?{chosen}").text
    assert len(browser.queries) <= 12, "\n".join(browser.queries)
    assert (page.count('class="slip"'), "This return was denied" in page) == (2, True)
    assert browser.get(f"/orders/{orders[2].number}/return-slip?return_id={rows[2]}").status_code == 409
    started = browser.post("/returns/print", {"return": [str(row) for row in rows]})
    work()
    first, second = sheets(browser.get(f"{started.location}/document").data)
    assert ("R-000001" in first and "MUG" in first, "R-000002" in second and "CUP" in second) == (True, True)
    assert "HAT" not in first + second


def test_without_the_right_nothing_is_closed(
    take: Take, make_browser: Callable[..., Browser], make_user: Callable[..., Actor], operator: Actor
) -> None:
    [order] = take(shipped_order())
    row, reader = opened(order, operator), make_browser(make_user("read_only"))
    assert "R-000001" in reader.get("/returns/").text
    assert 'formaction="/returns/close"' not in reader.get("/returns/").text
    assert reader.get(f"/returns/close?return={row}").status_code == 403
    assert reader.post("/returns/close", {"return": str(row)}).status_code == 403
