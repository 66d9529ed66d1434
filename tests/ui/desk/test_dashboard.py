"""The dashboard: what must happen, traffic, sales, recent orders; each card by itself, each number as its list says."""

import csv
import io
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import unquote

import pytest
import time_machine
from sqlalchemy import update

from tests.ui.conftest import Browser
from webapp.accounts.models import User
from webapp.accounts.roles import change_role_rights
from webapp.audit.actor import Actor
from webapp.audit.rights import rights_of_built_in
from webapp.channels.incoming import ChannelStage, FulfilledBy
from webapp.channels.models import Store
from webapp.channels.returns import ReturnReason
from webapp.clock import now
from webapp.db import db, unit_of_work
from webapp.fulfillment.canceling import cancel_orders
from webapp.fulfillment.contract import PackageInput
from webapp.fulfillment.services import ship_order
from webapp.fulfillment.shipment_list import SHIPMENT_LIST
from webapp.hooks import hookimpl, hooks
from webapp.hooks.failures import Failure
from webapp.orders.holds import hold
from webapp.orders.models import Order
from webapp.orders.queries import locked
from webapp.reporting.contract import Card
from webapp.reporting.figures import Interval
from webapp.returns.contract import ReturnItem
from webapp.returns.services import request_return
from webapp.testing import again, incoming_line, incoming_order, line_again
from webapp.ui.desk import charts, dashboard, sales
from webapp.updates.models import ChannelUpdate, UpdateState

CARDS = ("work", "sync", "sales", "recent")


def selects(browser: Browser) -> list[str]:
    return [query for query in browser.queries if query.lstrip().upper().startswith(("SELECT", "WITH"))]


def stats_of(page: str) -> dict[str, tuple[str, str]]:
    """The numbers of the page with their links, by their word."""
    found = re.findall(
        r'href="([^"]+)"[^>]*><span class="figure">([^<]+)</span> <span class="word">([^<]+)</span>', page
    )
    return {unescape(word): (number, unescape(url)) for url, number, word in found}


def test_the_desk_begins_with_the_dashboard(browser: Browser, store: Store) -> None:
    assert browser.get("/").location == "/dashboard/"
    page = browser.get("/dashboard/").text
    assert len(selects(browser)) <= 8
    for card in CARDS:
        assert f'hx-get="/dashboard/cards/{card}"' in page
    assert "/dashboard/?whole=1" in page


def test_a_desk_without_stores_says_what_to_do(browser: Browser) -> None:
    page = browser.get("/dashboard/").text
    assert "Connect a store to begin" in page
    assert "/stores/add" in page
    assert "<noscript>" not in page  # nothing loads after it


def test_a_person_may_begin_elsewhere(browser: Browser, store: Store, olga: Actor) -> None:
    with unit_of_work():
        db.session.get_one(User, olga.id).start_view = "late"
    assert browser.get("/").location == "/orders/?view=late"
    assert "Begin with this page" in browser.get("/dashboard/").text

    assert browser.post("/dashboard/start").location == "/dashboard/"

    assert browser.get("/").location == "/dashboard/"
    assert "Begin with this page" not in browser.get("/dashboard/").text


def test_who_began_with_a_list_that_is_gone_begins_with_the_dashboard(
    browser: Browser, store: Store, olga: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with unit_of_work():
        db.session.get_one(User, olga.id).start_view = "shipments:today"
    assert browser.get("/").location == "/shipments/?view=today"
    gone = replace(SHIPMENT_LIST, right="nobody.may")
    monkeypatch.setattr(dashboard, "subjects", lambda: {SHIPMENT_LIST.code: gone})
    assert browser.get("/").location == "/dashboard/"
    monkeypatch.setattr(dashboard, "subjects", lambda: {"unmounted": SHIPMENT_LIST})
    with unit_of_work():
        db.session.get_one(User, olga.id).start_view = "unmounted:today"
    assert browser.get("/").location == "/dashboard/"


def test_without_a_script_the_page_draws_its_cards_itself(browser: Browser, take: Callable[..., list[Order]]) -> None:
    [order] = take(incoming_order())
    page = browser.get("/dashboard/?whole=1&range=7d").text
    assert 'hx-trigger="load' not in page
    assert "<noscript>" not in page
    assert str(order.number) in page
    assert order.channel_order_number in page
    assert "Fake store" in page
    assert len(selects(browser)) <= 8, "\n".join(selects(browser))


@pytest.fixture
def busy(take: Callable[..., list[Order]], operator: Actor) -> list[Order]:
    """A morning: late, due, canceled by the buyer, held, coming back, with refused updates, and what is not ours."""
    at = now()
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    wish = incoming_order(ship_by=midnight + timedelta(days=9))
    told = [
        incoming_order(ship_by=at - timedelta(hours=1)),
        incoming_order(ship_by=midnight - timedelta(microseconds=1)),
        incoming_order(ship_by=midnight + timedelta(hours=1)),
        incoming_order(ship_by=midnight + timedelta(days=3)),
        incoming_order(ship_by=at - timedelta(hours=1), stage=ChannelStage.AWAITING_PAYMENT, status="PENDING"),
        incoming_order(ship_by=midnight + timedelta(days=9)),
        incoming_order(ship_by=midnight + timedelta(days=9)),
        wish.__class__(**{**_fields(wish), "lines": line_again(wish, cancel_requested=True)}),
    ]
    orders = take(*told)
    with unit_of_work():
        hold(locked(orders[5]), "wait", actor=operator)
        line = locked(orders[6]).lines[0]
        ship_order(orders[6], [PackageInput("DHL", "JD1", lines={line.id: 1})], actor=operator)
        db.session.execute(update(ChannelUpdate).values(state=UpdateState.REFUSED))
        request_return(orders[6], [ReturnItem(line.id, 1, ReturnReason.OTHER)], actor=operator)
    return orders


def _fields(order: Any) -> dict[str, Any]:
    return {name: getattr(order, name) for name in order.__dataclass_fields__}


def test_what_must_happen_today_is_counted_as_its_lists_show_it(browser: Browser, busy: list[Order]) -> None:
    page = browser.get("/dashboard/cards/work").text
    assert len(selects(browser)) <= 5, "\n".join(selects(browser))
    stats = stats_of(page)
    numbers = {word: number for word, (number, _) in stats.items()}
    assert numbers == {
        "Late": "1",
        "Due today": "1",
        "Due tomorrow": "1",
        "Due later": "2",
        "Buyer wants to cancel": "1",
        "Refunds to approve": "0",
        "Returns awaiting a decision": "1",
        "Unread answers": "0",
        "Answers assigned to me": "0",
        "Attention": "0",
        "On hold": "1",
        "Updates refused or uncertain": "1",
        "Mails without an order": "0",
    }
    for word, (number, url) in stats.items():
        listed = browser.get(url).text
        assert len(re.findall(r'<tr id="(?:order|return|update)-\d+"', listed)) == int(number), (word, url)


@pytest.fixture
def requests(take: Callable[..., list[Order]]) -> list[Order]:
    """Seven requests to cancel, the first order's the newest; and one that is decided at the channel."""
    told = [incoming_order([incoming_line("MUG", 1), incoming_line("CUP", 1)]) for _ in range(7)]
    told.append(replace(incoming_order([incoming_line("TEE", 1)]), fulfilled_by=FulfilledBy.CHANNEL))
    found = []
    take(*told)
    for hours, one in enumerate(told, start=1):
        with time_machine.travel(now() - timedelta(hours=hours), tick=True):
            found += take(again(one, lines=line_again(one, cancel_requested=True)))
    return found


def requests_of(page: str) -> list[tuple[int, str, list[str]]]:
    """The requests of the card: the order's id, its age, and the acts that are offered."""
    return [
        (
            int(id_),
            re.findall(r'data-countdown="age">([^<]+)<', part)[0],
            re.findall(r"/actions/(\w+)#order-actions", part),
        )
        for id_, part in re.findall(r'<li id="request-(\d+)">(.*?)</li>', page, re.DOTALL)
    ]


def test_the_requests_that_wait_longest_are_answered_from_the_card(
    browser: Browser, make_browser: Callable[..., Browser], make_user: Callable[..., Actor], requests: list[Order]
) -> None:
    page = browser.get("/dashboard/cards/work").text
    assert len(selects(browser)) <= 5, "\n".join(selects(browser))
    assert stats_of(page)["Buyer wants to cancel"][0] == "7"
    both = ["ship", "cancel"]
    assert [(id_, age, sorted(acts)) for id_, age, acts in requests_of(page)] == [
        (requests[place].id, f"{place + 1} h", sorted(both)) for place in (6, 5, 4, 3, 2)
    ]
    for text in ("Cancel for the buyer", "Ship anyway", requests[6].channel_order_number):
        assert text in page
    form = browser.get(f"/orders/{requests[6].number}/actions/cancel")
    assert 'id="order-actions"' in form.text
    browser.get("/dashboard/?whole=1")
    assert len(selects(browser)) <= 8, "\n".join(selects(browser))

    reader = make_browser(make_user("read_only", "Rob"))
    shown = requests_of(reader.get("/dashboard/cards/work").text)
    assert [acts for _id, _age, acts in shown] == [[]] * 5
    packer = make_browser(make_user("packer", "Pat"))
    assert {tuple(acts) for _id, _age, acts in requests_of(packer.get("/dashboard/cards/work").text)} == {("ship",)}


def test_a_request_that_is_answered_goes_from_every_card(
    browser: Browser,
    make_browser: Callable[..., Browser],
    make_user: Callable[..., Actor],
    requests: list[Order],
    operator: Actor,
) -> None:
    other = make_browser(make_user("manager", "Bo"))
    assert requests_of(other.get("/dashboard/cards/work").text)[0][0] == requests[6].id
    with unit_of_work():
        cancel_orders([locked(requests[6])], "BuyerCanceled", actor=operator)
        ship_order(locked(requests[5]), [PackageInput("DHL", "JD1")], actor=operator, anyway=True)
    assert 'data-live="orders"' in other.get("/dashboard/cards/work").text
    for one in (browser, other):
        page = one.get("/dashboard/cards/work").text
        assert [id_ for id_, _age, _acts in requests_of(page)] == [requests[place].id for place in (4, 3, 2, 1, 0)]
        assert stats_of(page)["Buyer wants to cancel"][0] == "5"


def test_the_traffic_of_each_store_stands_in_a_row(browser: Browser, busy: list[Order], store: Store) -> None:
    page = browser.get("/dashboard/cards/sync").text
    assert "Fake store" in page
    assert "Sync now" in page
    [troubled] = re.findall(r'href="(/outbox/[^"]*refused[^"]*)"', page)
    assert "sending:refused,unknown" in unquote(troubled)
    assert browser.get(unescape(troubled)).text.count('<tr id="update-') == 1
    with unit_of_work():
        db.session.get_one(Store, store.id).archived_at = now()
    assert "All stores are archived" in browser.get("/dashboard/cards/sync").text


def test_recent_orders_show_both_numbers_and_both_statuses_and_no_buyer(browser: Browser, busy: list[Order]) -> None:
    page = browser.get("/dashboard/cards/recent").text
    for order in busy[:3]:
        assert f">{order.number}</a>" in page
        assert order.channel_order_number in page
    assert "UNSHIPPED" in page
    assert "Quixelworth" not in page


def test_a_card_that_fails_says_so_in_its_place(
    browser: Browser, store: Store, plugin_failures: list[Failure], logged: Callable[[], str]
) -> None:
    def broken(actor: Actor) -> str:
        raise ValueError("Jane Quixelworth")

    class Weather:
        @hookimpl
        def register_cards(self) -> list[Card]:
            return [Card(code="weather", label="Weather", render=broken)]

    hooks.manager.register(Weather(), name="forecast")
    answer = browser.get("/dashboard/cards/weather")
    assert answer.status_code == 200
    assert "“Weather” of the plugin “forecast” failed." in answer.text
    assert "Try again" in answer.text
    assert "Quixelworth" not in answer.text + logged()
    whole = browser.get("/dashboard/?whole=1").text
    assert "“Weather” of the plugin “forecast” failed." in whole
    assert "To do today" in whole
    assert browser.get("/dashboard/cards/none").status_code == 404
    plugin_failures.clear()


def test_a_card_has_its_time(browser: Browser, store: Store, plugin_failures: list[Failure]) -> None:
    def slow(actor: Actor) -> str:
        endless = (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900000000) SELECT count(*) FROM n"
        )
        return str(db.session.connection().exec_driver_sql(endless).scalar())

    class Slow:
        @hookimpl
        def register_cards(self) -> list[Card]:
            return [Card(code="slow", label="Slow", render=slow, seconds=0.1)]

    hooks.manager.register(Slow())
    assert "would take too long" in browser.get("/dashboard/cards/slow").text
    assert [(one.code, one.problem) for one in plugin_failures] == [("slow", "slow")]
    plugin_failures.clear()


def test_who_may_not_see_stores_has_no_card_of_them(
    make_browser: Callable[..., Browser], make_user: Callable[..., Actor], store: Store
) -> None:
    clerk = make_browser(make_user("clerk", "Cleo"))
    assert "card-sync" in clerk.get("/dashboard/").text
    with unit_of_work():
        change_role_rights("clerk", rights_of_built_in("clerk") - {"stores.view"}, actor=Actor.operator())
    assert "card-sync" not in clerk.get("/dashboard/").text
    assert clerk.get("/dashboard/cards/sync").status_code == 404


# --- Sales ------------------------------------------------------------------------------------------------------------


def test_sales_compare_with_the_time_before(browser: Browser, take: Callable[..., list[Order]]) -> None:
    at = now()
    take(
        incoming_order([incoming_line(price=3000)], created_at=at),
        incoming_order([incoming_line(price=500)], created_at=at, marketplace="JP", currency="JPY"),
        incoming_order([incoming_line(price=2000)], created_at=at - timedelta(days=8)),
        incoming_order(created_at=at, stage=ChannelStage.CANCELED, status="CANCELLED"),
        incoming_order(created_at=at - timedelta(days=40)),
    )
    page = browser.get("/dashboard/cards/sales?range=7d").text
    assert len(selects(browser)) <= 5
    assert "€36.00" in page
    assert "¥600" in page
    assert "+50%" in page
    assert "none in the period before" in page
    assert "no data before" not in page
    assert "1 canceled order is not counted" in page
    assert "33.3% of all" in page
    assert page.count("<svg") - page.count('class="icon"') == 2
    assert "<table" in page
    assert 'style="' not in page


def test_sales_are_not_compared_with_days_before_the_first_order(
    browser: Browser, take: Callable[..., list[Order]]
) -> None:
    at = datetime(2026, 3, 20, 12, tzinfo=UTC)
    take(
        incoming_order([incoming_line(price=2000)], created_at=at - timedelta(days=5)),
        *(incoming_order([incoming_line(price=3000)], created_at=at) for _ in range(12)),
    )
    page = browser.get("/dashboard/report?from=2026-03-18&to=2026-03-21").text  # compared with Mar 14 to 17
    assert page.count("no data before Mar 15") == 4  # orders, units, sales, and their average
    assert "times as much" not in page
    assert len(re.findall(r'<polyline[^>]* points="([^"]*)"', page)[0].split()) == 3  # the line begins on Mar 15

    page = browser.get("/dashboard/report?from=2026-03-18&to=2026-03-20").text  # compared with Mar 15 to 17
    assert "no data before" not in page
    assert "12 times as much" in page


def test_a_store_is_compared_with_its_own_days(browser: Browser, take: Callable[..., list[Order]]) -> None:
    first = now() - timedelta(days=40)
    take(incoming_order(created_at=first), *(incoming_order(created_at=now()) for _ in range(12)))
    assert f"no data before {first:%b} {first.day}" in browser.get("/stores/").text


def test_a_time_that_cannot_be_read_is_told(browser: Browser, store: Store) -> None:
    for told in ("from=2026-13-01&to=2026-11-02", "from=x&to=y", "from=2026-11-02", "from=1200-01-01&to=2026-01-01"):
        answer = browser.get(f"/dashboard/report?{told}")
        assert answer.status_code == 200
        assert "Enter two days" in answer.text
    assert browser.get("/dashboard/report?range=nonsense&by=era&store=x&shop=99999999999&code=9").status_code == 200


def test_the_report_and_its_file_say_the_same(browser: Browser, take: Callable[..., list[Order]]) -> None:
    day = datetime(2026, 3, 10, 12, tzinfo=UTC)
    take(
        incoming_order([incoming_line(price=3000)], created_at=day),
        incoming_order([incoming_line(price=1000)], created_at=day + timedelta(days=20)),
    )
    where = "from=2026-03-01&to=2026-04-30&by=month"
    page = browser.get(f"/dashboard/report?{where}").text
    assert "Mar 2026" in page
    assert "€48.00" in page

    answer = browser.get(f"/dashboard/report.csv?{where}")

    assert answer.mimetype == "text/csv"
    assert "orders-20260301-20260430.csv" in answer.headers["Content-Disposition"]
    rows = list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert rows == [
        ["First day", "Last day", "Orders", "Units", "Canceled", "Sales in EUR"],
        ["2026-03-01", "2026-03-31", "2", "2", "0", "48.00"],
        ["2026-04-01", "2026-04-30", "0", "0", "0", "0.00"],
        ["2026-03-01", "2026-04-30", "2", "2", "0", "48.00"],
    ]


def test_the_file_needs_its_right(
    make_browser: Callable[..., Browser], make_user: Callable[..., Actor], store: Store
) -> None:
    clerk = make_browser(make_user("clerk", "Cleo"))
    assert clerk.get("/dashboard/report.csv").status_code == 403
    assert "report.csv" not in clerk.get("/dashboard/report").text


@pytest.mark.parametrize(
    ("chosen", "since", "before"),
    [
        ("today", date(2026, 5, 31), (date(2026, 5, 30), date(2026, 5, 30))),
        ("7d", date(2026, 5, 25), (date(2026, 5, 18), date(2026, 5, 24))),
        ("30d", date(2026, 5, 2), (date(2026, 4, 2), date(2026, 5, 1))),
        ("month", date(2026, 5, 1), (date(2026, 4, 1), date(2026, 4, 30))),
        ("quarter", date(2026, 4, 1), (date(2026, 1, 1), date(2026, 3, 2))),
        ("year", date(2026, 1, 1), (date(2025, 1, 1), date(2025, 5, 31))),
    ],
)
def test_a_range_has_one_before_it(app: object, chosen: str, since: date, before: tuple[date, date]) -> None:
    asked = sales.asked({"range": chosen}, date(2026, 5, 31))
    assert (asked.since, asked.until, asked.before) == (since, date(2026, 5, 31), before)


def test_days_that_were_typed_win_over_a_range(app: object) -> None:
    today = date(2026, 5, 31)
    same = sales.asked({"range": "7d", "from": "2026-05-25", "to": "2026-05-31", "by": "week"}, today)
    assert (same.range, same.by) == ("7d", Interval.WEEK)
    other = sales.asked({"range": "7d", "from": "2026-05-20", "to": "2026-05-30"}, today)
    assert (other.range, other.since, other.until) == ("custom", date(2026, 5, 20), date(2026, 5, 30))
    assert other.kept == {}


@pytest.mark.parametrize(
    ("highest", "top"), [(0, 2), (1, 2), (3, 3), (9, 10), (11, 20), (99, 100), (4100, 5000), (123456, 200000)]
)
def test_a_scale_is_round(highest: int, top: int) -> None:
    assert charts.round_top(highest) == top


def test_bars_fill_their_place() -> None:
    chart = charts.bars(
        [0, 50, 100], before=[10, 20, 30, 40], title="t", description="d", titles=["a", "b", "c"],
        labels=["1", "2", "3"], words=str,
    )  # fmt: skip
    assert [bar.height for bar in chart.bars] == [0, 50, 100]
    assert [bar.y for bar in chart.bars] == [100, 50, 0]
    assert chart.marks == ["100", "50", "0"]
    assert len(chart.line.split()) == 3
    assert charts.thinned([str(n) for n in range(30)])[0::6] == ["0", "29"]
